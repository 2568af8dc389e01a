"""The values of a table → a likelihood for each column, with the reason for it."""

import re
from collections.abc import Callable, Hashable
from contextlib import suppress
from functools import reduce
from typing import Any, NamedTuple

import numpy as np

from skvae.likelihoods._assign import BY_KIND, LEAST_IDENTIFIERS
from skvae.likelihoods._statistics import have_common_scale
from skvae.table import Column, Layout, Reader, read_table

MOST_ROWS = 100_000
"""Most rows that are looked at, evenly spaced."""

MOST_LEVELS = 10
"""Most values of a column of levels."""

MOST_VALUES, CELLS_PER_VALUE = 20, 5
"""A column has few values if it has at most so many, each in so many cells."""

SMALL = 10
"""Counts begin at small numbers; amounts need not."""

LARGEST_MEAN = 1000
"""Whole numbers above it in the mean are amounts, whose noise is no noise of counts."""

MANY_ZEROS = 0.2
"""Counts with more zeros than this need not be skewed."""

SKEWED = 1.0
"""Skewness of a long tail; that of an exponential distribution is 2."""

ATOM = 0.1
"""A value is an atom if this fraction of the cells, and thrice its equals, have it."""

HEAVY = 2.0
"""How much longer tails are, beside the middle half, than a normal distribution's."""

OF_NORMAL = 3.82
"""Ratio of the distances of a normal distribution's quantiles that is compared."""

LEAST_UNEVEN = 0.2
"""How uneven the distances of two quantiles from the median are, from 0 to 1."""

FILLED = 0.2
"""Standard deviation of numbers in [0, 1] that fill it; 0.29 if they do so evenly."""

MOST_LINES = 50
"""Most columns of a group that are printed."""

MOST_NAMES = 6
"""Most columns of a line that are named."""

DROP = "drop"
"""What is suggested for a column of which nothing can be learned."""

DATE = r"\d{4}-\d\d?-\d\d?\b|\d\d?[./]\d\d?[./]\d{2,4}\b"
"""How a text begins that is a date."""


class Suggestion(NamedTuple):
    """What a column seems to be, and why."""

    likelihood: str
    reason: str


class Values(NamedTuple):
    """The observed finite cells of a column of numbers.

    Attributes
    ----------
    name : str
    cells : ndarray of shape (n,)
        In the order of the rows.
    distinct, counts : ndarray of shape (n_distinct,)
        Their values, ascending, and how often each occurs.
    """

    name: str
    cells: np.ndarray
    distinct: np.ndarray
    counts: np.ndarray

    @property
    def low(self) -> float:
        """The least value."""
        return float(self.distinct[0])

    @property
    def high(self) -> float:
        """The greatest value."""
        return float(self.distinct[-1])

    @property
    def are_whole(self) -> bool:
        """Whether all are whole numbers."""
        return bool((self.distinct == np.floor(self.distinct)).all())

    @property
    def are_few(self) -> bool:
        """Whether few values occur often."""
        n_values = len(self.distinct)
        most = min(MOST_VALUES, len(self.cells) / CELLS_PER_VALUE)
        return n_values <= most

    @property
    def span(self) -> str:
        """From where to where they reach, as a text."""
        return f"from {_shown(self.low)} to {_shown(self.high)}"


def _shown(value: float) -> str:
    """Return a number as a text."""
    is_short = float(value).is_integer() and abs(value) < 1e12
    return f"{int(value):,}" if is_short else f"{value:.4g}"


# Numbers: the first rule that says something


def _constant(values: Values) -> Suggestion | None:
    if len(values.distinct) > 1:
        return None
    return Suggestion(DROP, f"constant: {_shown(values.low)}")


def _two_values(values: Values) -> Suggestion | None:
    if len(values.distinct) > 2:
        return None
    low, high = values.distinct
    if (low, high) == (0.0, 1.0):
        return Suggestion("bernoulli", "only 0 and 1")
    return Suggestion("categorical", f"two values: {_shown(low)} and {_shown(high)}")


def _identifier(values: Values) -> Suggestion | None:
    n = len(values.cells)
    if not values.are_whole or n < LEAST_IDENTIFIERS or len(values.distinct) < n:
        return None
    steps = np.diff(values.cells)
    if (steps > 0).all() or (steps < 0).all():
        return Suggestion(DROP, "whole numbers that all differ, in order: row numbers?")
    # So many different numbers in so small a range are no chance.
    if values.high - values.low < 1.5 * n and n >= 2 * LEAST_IDENTIFIERS:
        return Suggestion(DROP, f"whole numbers {values.span} that all differ: an id?")
    if re.search(r"(^|[\W_])id$|[a-z](Id|ID)$", values.name):
        return Suggestion(DROP, "whole numbers that all differ, named as an identifier")
    return None


def _levels(values: Values) -> Suggestion | None:
    n_values = len(values.distinct)
    is_dense = values.high - values.low < 2 * n_values
    if not (values.are_whole and values.are_few and is_dense):
        return None
    if n_values > MOST_LEVELS or (values.low == 0 and _is_skewed(values)):
        return None
    reason = f"{n_values} whole numbers {values.span}; if they have no order, "
    return Suggestion("ordinal", reason + '"categorical"')


def _few_values(values: Values) -> Suggestion | None:
    n_values = len(values.distinct)
    is_dense = values.are_whole and values.high - values.low < 3 * n_values
    if not values.are_few or is_dense:
        return None
    return Suggestion("normal_scores", f"only {n_values} values")


def _counts(values: Values) -> Suggestion | None:
    positive = values.distinct[values.distinct > 0]
    are_counts = values.are_whole and values.low >= 0 and positive[0] <= SMALL
    mean = values.cells.mean() if are_counts else np.inf
    zeros = (values.cells == 0).mean()
    if mean > LARGEST_MEAN or not (_is_skewed(values) or zeros > MANY_ZEROS):
        return None
    variance = values.cells.var()
    said = f"counts {values.span}"
    if variance < 1.5 * mean:
        return Suggestion("poisson", f"{said}; their variance is about their mean")
    # A negative binomial distribution with this mean and variance.
    size = mean**2 / (variance - mean)
    expected = (size / (size + mean)) ** size
    if zeros > 0.1 + 1.5 * expected:
        more = f"{zeros:.0%} zeros, more than such counts have"
        return Suggestion("zero_inflated_negative_binomial", f"{said}; {more}")
    ratio = f"{variance / mean:.3g}"
    return Suggestion("negative_binomial", f"{said}; variance {ratio} times the mean")


def _atom(values: Values) -> Suggestion | None:
    fractions = values.counts / len(values.cells)
    place = fractions.argmax()
    others = np.delete(values.distinct, place)
    if fractions[place] < max(ATOM, 3.0 * (1.0 - fractions[place]) / len(others)):
        return None
    atom, low, high = map(_shown, (values.distinct[place], others[0], others[-1]))
    reason = f"{fractions[place]:.0%} are {atom}, others from {low} to {high}"
    return Suggestion("normal_scores", reason)


def _fractions(values: Values) -> Suggestion | None:
    fills = 0.0 <= values.low < 0.05 and 0.95 < values.high <= 1.0
    if not fills or values.cells.std() < FILLED:
        return None
    return Suggestion("continuous_bernoulli", "numbers that fill the range 0 to 1")


def _long_tail(values: Values) -> Suggestion | None:
    tail = _skewness(values.cells)
    if values.low > 0.0 and tail > SKEWED:
        # Not -0.0.
        of_logs = round(_skewness(np.log(values.cells)), 1) + 0.0
        if abs(of_logs) < 0.5 * tail:
            reason = f"positive, skewness {tail:.1f}, of logarithms {of_logs:.1f}"
            return Suggestion("log_normal", reason)
    low, median, high = np.quantile(values.cells, [0.05, 0.5, 0.95])
    # A few outliers make a large skewness, too, and no uneven quantiles.
    is_uneven = abs(high + low - 2.0 * median) > LEAST_UNEVEN * (high - low)
    if abs(tail) < SKEWED or not is_uneven:
        return None
    return Suggestion("normal_scores", f"skewness {tail:.1f}")


def _heavy_tails(values: Values) -> Suggestion | None:
    low, first, third, high = np.quantile(values.cells, [0.005, 0.25, 0.75, 0.995])
    ratio = (high - low) / max(third - first, 1e-300) / OF_NORMAL
    if ratio < HEAVY:
        return None
    return Suggestion("student_t", f"tails {ratio:.1f} times as long as normal ones")


def _usual(values: Values) -> Suggestion:
    things = "whole numbers" if values.are_whole else "numbers"
    return Suggestion("gaussian", f"{things} {values.span}")


NUMBERS: tuple[Callable[[Values], Suggestion | None], ...] = (
    _constant,
    _two_values,
    _identifier,
    _levels,
    _few_values,
    _counts,
    _atom,
    _fractions,
    _long_tail,
    _heavy_tails,
    _usual,
)
"""Rules for columns of numbers, in the order in which they are asked."""


def _skewness(cells: np.ndarray) -> float:
    """Return the third moment of standardized cells; 0 where they hardly differ."""
    largest = np.abs(cells).max()
    distances = cells / largest - (cells / largest).mean()
    spread = np.sqrt(np.square(distances).mean())
    return float(np.mean((distances / spread) ** 3)) if spread > 1e-12 else 0.0


def _is_skewed(values: Values) -> bool:
    """Return whether whole numbers are as skewed as counts with a small mean."""
    return _skewness(values.cells) > 0.5 * SKEWED


def _of_numbers(cells: np.ndarray, name: str) -> Suggestion:
    """Return what a column of numbers seems to be."""
    finite = cells[np.isfinite(cells)]
    if not len(finite):
        return Suggestion(DROP, "no observed cell")
    values = Values(name, finite, *np.unique(finite, return_counts=True))
    found = next(filter(None, (rule(values) for rule in NUMBERS)))
    n_infinite = int(np.isinf(cells).sum())
    if not n_infinite:
        return found
    more = f"; {n_infinite} infinite: put NaN in their place"
    return found._replace(reason=found.reason + more)


# Categories


def _of_categories(cells: np.ndarray, column: Column) -> Suggestion:
    """Return what a column of codes seems to be."""
    codes = np.unique(cells[~np.isnan(cells)]).astype(int)
    n, n_values = int((~np.isnan(cells)).sum()), len(codes)
    seen = [column.categories[code] for code in codes.tolist()]
    things = "values" if column.kind in ("object", "level") else "categories"
    if n_values < 2:
        shown = f"constant: {seen[0]!s}" if seen else "no observed cell"
        return Suggestion(DROP, shown)
    if column.kind == "level":
        return Suggestion("ordinal", f"{n_values} levels, ordered by the type")
    hint = _hint(column, seen)
    if n >= LEAST_IDENTIFIERS and n_values == n:
        return Suggestion(DROP, hint or f"{n} texts or values that all differ: an id?")
    if n >= LEAST_IDENTIFIERS and n_values > 0.5 * n:
        return Suggestion(DROP, hint or f"{n_values} different values in {n} cells")
    return Suggestion("categorical", f"{n_values} {things}" + (hint and f"; {hint}"))


def _hint(column: Column, seen: list) -> str:
    """Return what to convert a column to that is no category by nature, or ""."""
    if column.kind == "object":
        return f"{column.dtype.partition(' of ')[2]} as objects: convert them"
    if not all(isinstance(value, str) for value in seen):
        return ""
    texts = [value.strip() for value in seen if value.strip()]
    with suppress(ValueError):
        if [float(text) for text in texts]:
            return "numbers as text: convert them with pandas.to_numeric"
    if all(re.match(DATE, text) for text in texts):
        return "dates as text: convert them with pandas.to_datetime"
    return ""


# Tables

NO_NUMBERS = {
    "boolean": Suggestion("bernoulli", "booleans"),
    "datetime": Suggestion("gaussian", "dates, in days"),
    "timedelta": Suggestion("gaussian", "durations, in days"),
}
"""What columns are whose values are numbers here and not there."""


def _suggestion(column: Column, cells: np.ndarray) -> Suggestion:
    """Return what a column seems to be, of its cells as numbers or codes."""
    if column.categories is not None:
        return _of_categories(cells, column)
    found = _of_numbers(cells, str(column.name))
    if column.kind not in NO_NUMBERS or found.reason.startswith(("constant", "no ")):
        return found
    return NO_NUMBERS[column.kind]


def suggest_likelihood(X: Any) -> dict[Hashable, str]:
    """Look at the values of a table, and print what its columns seem to be.

    `likelihood="auto"` goes by the types of columns, from which a count or a size looks
    like any other number. This looks at values instead: whole numbers, levels, long
    tails, zeros, identifiers. What it prints can be edited: values do not say what they
    mean.

    Parameters
    ----------
    X : DataFrame, array-like or sparse matrix of shape (n_samples, n_features)
        Of more than 100,000 rows, so many are looked at, evenly spaced.

    Returns
    -------
    likelihood : dict
        Column to likelihood, by name or position, to be passed as `likelihood`. It has
        the columns that `"auto"` would take for something else, and none of those that
        are better dropped, which are printed with the reason.

    Raises
    ------
    ValueError, TypeError
        If `X` is no table, or has a column that `fit` cannot read.

    See Also
    --------
    VAETransformer : Takes the dict as `likelihood`.

    Examples
    --------
    >>> import numpy as np
    >>> import pandas as pd
    >>> from skvae import suggest_likelihood
    >>> random = np.random.default_rng(0)
    >>> table = pd.DataFrame({
    ...     "customer": np.arange(500),
    ...     "income": np.exp(random.normal(10.0, 1.0, 500)),
    ...     "visits": random.negative_binomial(2, 0.2, 500),
    ...     "height": random.normal(170.0, 9.0, 500),
    ... })
    >>> likelihood = suggest_likelihood(table.round(1))
    likelihood={
        'income': 'log_normal',         # positive, skewness 4.2, of logarithms -0.2
        'visits': 'negative_binomial',  # counts from 0 to 40; variance 5.3 times ...
    }
    As "auto" takes them:
        'height': gaussian, numbers from 144.5 to 197.1
    Better dropped:
        'customer': whole numbers that all differ, in order: row numbers?
    >>> likelihood
    {'income': 'log_normal', 'visits': 'negative_binomial'}
    """
    table, layout = read_table(Reader(), X)
    coded = ("category", "level", "object")
    sizes = {j: None for j, kind in enumerate(layout.kinds) if kind in coded}
    layout = layout.with_categories(table, sizes)
    encoded: Any = layout.encode(table, "error")
    chosen = np.linspace(0, len(encoded) - 1, min(len(encoded), MOST_ROWS))
    cells = np.array(encoded[chosen.astype(int)], dtype=np.float64)
    found = [_suggestion(*each) for each in zip(layout.columns, cells.T, strict=True)]
    if layout.is_numeric and _are_pixels(cells):
        same = Suggestion("gaussian", "all columns have the same values, as pixels do")
        found = [same if one.likelihood != DROP else one for one in found]
    names = [column.name for column in layout.columns]
    print(_said(layout, names, found))
    return {names[j]: found[j].likelihood for j in _named(layout, found)}


def _are_pixels(cells: np.ndarray) -> bool:
    """Return whether columns have the same values, more than columns of levels have."""
    if not (np.isfinite(cells).all() and have_common_scale(cells)):
        return False
    return len(reduce(np.union1d, cells.T)) > MOST_LEVELS


def _named(layout: Layout, found: list[Suggestion]) -> list[int]:
    """Return which columns are to be named: "auto" would take them otherwise."""
    pairs = enumerate(zip(layout.columns, found, strict=True))
    return [
        j
        for j, (column, one) in pairs
        if one.likelihood not in (DROP, _by_type(column))
    ]


def _by_type(column: Column) -> str:
    """Return what "auto" takes a column for; "" where it refuses."""
    return "" if column.kind == "object" else BY_KIND[column.kind]


def _said(layout: Layout, names: list, found: list[Suggestion]) -> str:
    """Return a dict as a text, with the reasons, and what is said of other columns."""
    named = _named(layout, found)
    dropped = [j for j, one in enumerate(found) if one.likelihood == DROP]
    rest = [j for j in range(len(found)) if j not in {*named, *dropped}]
    entries = [f"    {names[j]!r}: {found[j].likelihood!r}," for j in named]
    width = max(map(len, entries), default=0)
    whys = (found[j].reason for j in named)
    lines = [f"{e:<{width}}  # {why}" for e, why in zip(entries, whys, strict=True)]
    lines = ["likelihood={", *_shortened(lines), "}"] if named else ["likelihood={}"]
    kept = _together(names, found, rest, "{0.likelihood}, {0.reason}")
    gone = _together(names, found, dropped, "{0.reason}")
    lines += ['As "auto" takes them:', *_shortened(kept)] if kept else []
    lines += ["Better dropped:", *_shortened(gone)] if gone else []
    return "\n".join(lines)


def _together(
    names: list, found: list[Suggestion], columns: list[int], form: str
) -> list[str]:
    """Return a line for all columns of which the same is said."""
    groups: dict[str, list[str]] = {}
    for j in columns:
        groups.setdefault(form.format(found[j]), []).append(repr(names[j]))
    return [
        f"    {', '.join(some[:MOST_NAMES])}"
        + (f" and {len(some) - MOST_NAMES} more" if some[MOST_NAMES:] else "")
        + f": {text}"
        for text, some in groups.items()
    ]


def _shortened(lines: list[str]) -> list[str]:
    """Return the first lines, and how many more there are."""
    n_more = len(lines) - MOST_LINES
    return lines[:MOST_LINES] + ([f"    # and {n_more} more"] if n_more > 0 else [])
