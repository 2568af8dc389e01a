"""Labels → the classes to draw, their names and their colors."""

import re
from collections.abc import Sequence
from numbers import Real
from typing import Any, NamedTuple

import numpy as np

from skvae.table import is_missing

COLORS = np.array(
    "#3f90da #ffa90e #bd1f01 #94a4a2 #832db6 "
    "#a96b59 #e76300 #b9ac70 #717581 #92dadd".split()
)
"""The ten colors of Petroff (2021), "Accessible color sequences for data
visualization": chosen to be distinguishable with any kind of color vision."""

GRAY = "#c8c8c8"
"""Color of what is no class of its own: missing labels, and classes without a name."""

MISSING = "missing"

LONGEST = 20
"""Characters of a name in the legend, at most."""

MOST_CLASSES = 20
"""Classes that are named in a legend, and different whole numbers that are classes."""


class Classes(NamedTuple):
    """Classes of rows, in the order of the legend.

    Attributes
    ----------
    codes : ndarray of int of shape (n_samples,)
        The place of each row's class among the names.
    names : list of str
    colors : ndarray of shape (n_classes,) or (n_classes, 4)
        Colors as matplotlib takes them.
    """

    codes: np.ndarray
    names: list[str]
    colors: np.ndarray

    def order(self) -> np.ndarray:
        """Return an order of the rows in which no class hides another.

        Classes of similar size are mixed; then come rarer ones, the rarest last.
        """
        counts = np.bincount(self.codes, minlength=len(self.names))
        usual = len(self.codes) / (2.0 * len(self.names))
        rarity = np.maximum(usual - counts, 0.0)[self.codes]
        mixed = np.random.default_rng(0).permutation(len(self.codes))
        return mixed[np.argsort(rarity[mixed], kind="stable")]


def classes_of(y: Any, cmap: Any = None) -> Classes | None:
    """Return the classes that labels stand for; None where they are measured values.

    Labels that are not numbers, and at most `MOST_CLASSES` different whole numbers, are
    classes, and so are those of an ordered type, in its order. A missing label is
    "missing"; of more than `MOST_CLASSES` classes only the most frequent have a name.

    Parameters
    ----------
    y : array-like of shape (n_samples,)
    cmap : str or Colormap, default=None
        Colors of the classes; by default distinct ones, or a sequence where the classes
        are ordered.
    """
    labels, dtype = np.asarray(y), getattr(y, "dtype", None)
    are_missing = np.array([is_missing(label) for label in labels.tolist()], bool)
    known = labels[~are_missing]
    is_ordered = bool(getattr(dtype, "ordered", False))
    if is_ordered:
        values = [v for v in y.dtype.categories if (known == v).any()]
    elif (found := _values(known)) is not None:
        values = found
    else:
        return None
    places = {value: place for place, value in enumerate(values)}
    codes = np.array(
        [
            len(values) if missing else places[label]
            for label, missing in zip(labels.tolist(), are_missing, strict=True)
        ],
        dtype=int,
    )
    names = [_name(value) for value in values]
    codes, names = _named(codes, names, are_missing)
    return Classes(codes, names, _colors(names, len(values), is_ordered, cmap))


def measured(y: Any) -> np.ndarray | None:
    """Return labels as numbers with NaN where they are missing; None if they are none.

    Times are days, and missing labels may be of any kind.
    """
    labels = np.asarray(y)
    if labels.dtype.kind in "mM":
        days = labels - labels.min() if labels.dtype.kind == "M" else labels
        numbers = days / np.timedelta64(1, "D")
        return np.where(np.isnat(labels), np.nan, numbers)
    if labels.dtype.kind == "O":
        known = [v for v in labels.tolist() if not is_missing(v)]
        if not known or not all(isinstance(v, Real) for v in known):
            return None
        return np.array([np.nan if is_missing(v) else v for v in labels], float)
    return labels if labels.dtype.kind in "biuf" else None


def _values(known: np.ndarray) -> Sequence[Any] | None:
    """Return the different labels in order; None where they are measured values."""
    numbers = measured(known)
    if numbers is None:
        return sorted(set(known.tolist()), key=_natural)
    if known.dtype.kind in "mM":
        return None
    values = np.unique(numbers)
    whole = np.isfinite(values).all() and np.array_equal(values, values.round())
    are_few = len(values) <= MOST_CLASSES and whole
    return sorted(set(known.tolist())) if are_few else None


def _natural(label: Any) -> tuple[list[Any], str]:
    """Return what sorts texts with numbers in them by the numbers."""
    parts = re.split(r"(\d+)", str(label))
    return [int(part) if part.isdecimal() else part for part in parts], str(label)


def _name(value: Any) -> str:
    """Return the name of a class in the legend; a whole number has no decimals."""
    text = f"{value:g}" if isinstance(value, float) else str(value)
    if len(text) <= LONGEST:
        return text
    return f"{text[: LONGEST - 1]}\N{HORIZONTAL ELLIPSIS}"


def _named(
    codes: np.ndarray, names: list[str], are_missing: np.ndarray
) -> tuple[np.ndarray, list[str]]:
    """Return codes and names with the rarest classes and missing labels at the end."""
    n_others = len(names) - MOST_CLASSES + 1
    if n_others > 1:
        counts = np.bincount(codes[~are_missing], minlength=len(names))
        kept = np.sort(np.argsort(-counts, kind="stable")[: MOST_CLASSES - 1])
        places = np.full(len(names) + 1, len(kept))
        places[kept] = np.arange(len(kept))
        codes = places[codes]
        names = [*(names[k] for k in kept), f"{n_others} others"]
    if are_missing.any():
        codes = np.where(are_missing, len(names), codes)
        names = [*names, MISSING]
    return codes, names


def _colors(names: list[str], n_values: int, is_ordered: bool, cmap: Any) -> np.ndarray:
    """Return one color per name; gray for what is no class of its own."""
    from matplotlib import colormaps
    from matplotlib.colors import to_rgba, to_rgba_array

    n_gray = (names[-1:] == [MISSING]) + (n_values > MOST_CLASSES)
    n_classes = len(names) - n_gray
    if cmap is not None or is_ordered:
        chosen = colormaps[cmap or "viridis"] if isinstance(cmap or "", str) else cmap
        colors = chosen(np.linspace(0.0, 0.95, n_classes))
    else:
        full = to_rgba_array(list(COLORS))
        # A darker shade of each, where there are more classes than colors.
        colors = np.concatenate((full, full * (0.55, 0.55, 0.55, 1.0)))[:n_classes]
    return np.concatenate((colors, [to_rgba(GRAY)] * n_gray)) if n_gray else colors
