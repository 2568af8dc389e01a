"""Which likelihood each column has: types, names and positions → one spec."""

from collections.abc import Iterable, Mapping
from typing import Any

from sklearn.base import clone

from skvae._frames import Layout
from skvae._sklearn import column_indices
from skvae.likelihoods import LIKELIHOODS, Columns, Likelihood
from skvae.likelihoods._codes import CodesLikelihood

BY_KIND = {"number": "gaussian", "boolean": "bernoulli", "category": "categorical"}
"""What "auto" makes of a column, by the kind that its type says."""


def likelihood_for(
    value: Any, X: Any, layout: Layout, by_kind: Mapping[str, Any]
) -> Likelihood:
    """Return one likelihood spec for all columns.

    Parameters
    ----------
    value : str, Likelihood, dict or list
        Parameter of an estimator. "auto" goes by the types of columns; a dict has
        names or positions of columns as keys, and leaves others to "auto"; a list has
        pairs of a likelihood and columns, chosen as in `ColumnTransformer`.
    X : DataFrame or ndarray
    layout : Layout
        The columns of `X`.
    by_kind : mapping
        What "auto" is for each kind of column.
    """
    _refuse_unreadable(layout)
    if isinstance(value, str) and value != "auto":
        return _spec(value)
    if isinstance(value, Likelihood) and not isinstance(value, Columns):
        return value
    if isinstance(value, Columns):
        parts = _named(value.parts, X)
        rest = _rest(parts, layout, {})
    else:
        parts = [] if isinstance(value, str) else _named(value, X)
        rest = _rest(parts, layout, by_kind)
    # Parts of a list stay apart; elsewhere, equal specs share one, and so its noise.
    listed = isinstance(value, list | Columns)
    parts = parts + _grouped(rest) if listed else _grouped(parts + rest)
    return parts[0][0] if len(parts) == 1 else Columns(parts)


def _refuse_unreadable(layout: Layout) -> None:
    for column in layout.columns:
        if column.kind == "other":
            raise ValueError(
                "X must be numeric, boolean, text or categorical. Got "
                f"{column.dtype} in column {column.label}. Turn the column into one "
                "of these, or drop it."
            )


Part = tuple[Likelihood, list[int]]
"""A likelihood and the positions of its columns."""


def _spec(value: Any) -> Likelihood:
    """Return a likelihood from a spec or a name, which may be wrong here."""
    if isinstance(value, str) and value in LIKELIHOODS:
        return LIKELIHOODS[value]()
    if isinstance(value, Likelihood):
        return value
    raise ValueError(
        f"The likelihood of a column must be one of {sorted(LIKELIHOODS)} or a "
        f"Likelihood. Got {value!r}."
    )


def _named(said: Any, X: Any) -> list[Part]:
    """Return the parts that a dict or a list names."""
    if isinstance(said, Mapping):
        said = [(spec, key) for key, spec in said.items()]
    parts: list[Part] = []
    seen: set[int] = set()
    for spec, columns in said:
        positions = column_indices(X, columns)
        if seen.intersection(positions):
            raise ValueError(
                "likelihood must name a column once at most. Got column "
                f"{min(seen.intersection(positions))} twice. Leave one of the two out."
            )
        seen.update(positions)
        if positions:
            parts.append((_spec(spec), positions))
    return parts


def _rest(
    parts: Iterable[Part], layout: Layout, by_kind: Mapping[str, Any]
) -> list[Part]:
    """Return a part for each column that has none, by its kind."""
    named = {j for _, columns in parts for j in columns}
    rest = [j for j in range(len(layout.columns)) if j not in named]
    if rest and not by_kind:
        raise ValueError(
            "Columns must name every column. Got none for column "
            f"{layout.columns[rest[0]].label}. Add it, or pass the parts alone as "
            "likelihood, which leaves other columns to their types."
        )
    return [(_spec(by_kind[layout.columns[j].kind]), [j]) for j in rest]


def _grouped(parts: Iterable[Part]) -> list[Part]:
    """Return parts with equal specs as one, in the order of their first columns."""
    groups: dict[str, Part] = {}
    for spec, columns in sorted(parts, key=lambda part: part[1]):
        groups.setdefault(repr(spec), (spec, []))[1].extend(columns)
    return list(groups.values())


def _parts(likelihood: Likelihood, layout: Layout) -> list[Part]:
    """Return each likelihood and the positions of its columns."""
    if isinstance(likelihood, Columns):
        return list(likelihood.parts)
    return [(likelihood, list(range(len(layout.columns))))]


def coded_columns(likelihood: Likelihood, layout: Layout) -> list[int]:
    """Return the positions of columns that a likelihood reads as codes.

    Raises ValueError where another one is asked to read categories.
    """
    coded = []
    for spec, columns in _parts(likelihood, layout):
        if isinstance(spec, CodesLikelihood):
            coded += columns
            continue
        for column in (layout.columns[j] for j in columns):
            if column.kind == "category":
                raise ValueError(
                    f"{spec!r} requires numbers. Got {column.dtype} in column "
                    f"{column.label}. Let likelihood='auto' make it 'categorical', "
                    "name it 'ordinal', or encode it first."
                )
    return sorted(coded)


def sized(likelihood: Likelihood, layout: Layout) -> Likelihood:
    """Return a likelihood that knows of all categories, seen in the rows or not."""
    if isinstance(likelihood, Columns):
        parts = [
            (_sized(spec, columns, layout), columns)
            for spec, columns in _parts(likelihood, layout)
        ]
        return Columns(parts)
    return _sized(likelihood, list(range(len(layout.columns))), layout)


def _sized(spec: Likelihood, columns: list[int], layout: Layout) -> Likelihood:
    if not isinstance(spec, CodesLikelihood) or getattr(spec, spec._size) != "auto":
        return spec
    sizes = [len(layout.columns[j].known) for j in columns]
    return clone(spec).set_params(**{spec._size: sizes})
