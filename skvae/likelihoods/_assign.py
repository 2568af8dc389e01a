"""A table and the parameter `likelihood` → cells, and a likelihood for each column."""

import warnings
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from sklearn.base import clone

from skvae._sklearn import identity
from skvae.likelihoods._columns import Columns, as_likelihood
from skvae.likelihoods._contract import Likelihood
from skvae.table import (
    Cells,
    Column,
    Layout,
    Part,
    assign_columns,
    check_finite,
    read_table,
)

BY_KIND = {
    "number": "gaussian",
    "boolean": "bernoulli",
    "category": "categorical",
    "level": "ordinal",
    "datetime": "gaussian",
    "timedelta": "gaussian",
    "object": "gaussian",
}
"""What "auto" means for a column, by the kind that its type implies."""

LEAST_IDENTIFIERS = 10
"""With fewer rows, texts that all differ are not unusual."""


class Known(NamedTuple):
    """What a fit knows about the columns."""

    layout: Layout
    likelihood: Likelihood
    """Resolved, with columns by position."""
    said: str
    """The parameter `likelihood` of the fit."""
    others: tuple[Likelihood, ...] = ()
    """What the columns may be as well, for a fit that takes the best."""


def learn_columns(
    estimator: Any, X: Any, handle_unknown: str, *by_kinds: Mapping[str, Any]
) -> tuple[Cells, Known]:
    """Return X as finite numbers and codes, and what is known of columns.

    Sets the estimator's `n_features_in_` and `feature_names_in_`.

    Parameters
    ----------
    estimator : estimator
        Its `likelihood` says what columns are.
    X : array-like of shape (n_samples, n_features)
    handle_unknown : {"error", "missing"}
    *by_kinds : mappings
        What "auto" is for each kind of column, and what it may be as well.
    """
    table, layout = read_table(estimator, X)
    chosen_from = table.values if isinstance(table, Cells) else table
    said = estimator.likelihood
    assigned = [
        assign_likelihoods(said, chosen_from, layout, by_kind) for by_kind in by_kinds
    ]
    # Other likelihoods do not change which columns are read as codes.
    layout = layout.with_categories(table, _sizes_of_coded(assigned[0], layout))
    cells: Any = layout.encode(table, handle_unknown)
    check_finite(cells, layout.labels)
    _warn_of_identifiers(cells, layout)
    likelihood, *others = (_resolved(parts, cells, layout) for parts in assigned)
    _warn_of_empty(cells, layout.labels)
    _check_domain(cells, likelihood, layout)
    others = [one for one in others if identity(one) != identity(likelihood)]
    return cells, Known(layout, likelihood, identity(said), tuple(others))


def _resolved(parts: list[Part], cells: Cells, layout: Layout) -> Likelihood:
    """Return the likelihood of all columns, with numbers of categories."""
    parts = [(_sized(spec, columns, layout), columns) for spec, columns in parts]
    likelihood = parts[0][0] if len(parts) == 1 else Columns(parts)
    return likelihood.resolve(cells)


def check_rows(estimator: Any, X: Any, known: Known, handle_unknown: str) -> Cells:
    """Return X as finite numbers and codes, as the model was fitted to.

    Parameters
    ----------
    estimator : estimator
        X must agree with its `n_features_in_` and `feature_names_in_`.
    X : array-like of shape (n_samples, n_features)
    known : Known
    handle_unknown : {"error", "missing"}
        Whether a category that was not seen in `fit` is an error or a missing cell.
    """
    table, layout = read_table(estimator, X, known.layout)
    cells = layout.encode(table, handle_unknown)
    check_cells(cells, known)
    return cells


def check_cells(cells: Cells, known: Known) -> None:
    """Raise ValueError where a cell is infinite, or outside its column's domain."""
    check_finite(cells, known.layout.labels)
    _check_domain(cells, known.likelihood, known.layout)


def fitted_likelihood(known: Known) -> Likelihood:
    """Return the spec that says what each column was taken for.

    Its `repr` can be edited and passed as `likelihood`. Columns are named as in the
    DataFrame that `fit` was given; without one, or where names are no strings, they
    are given by position.
    """
    likelihood = known.likelihood
    names = [column.name for column in known.layout.columns]
    are_names = all(isinstance(name, str) for name in names)
    if not (are_names and isinstance(likelihood, Columns)):
        return likelihood
    parts = likelihood.parts
    return Columns([(spec, [names[j] for j in columns]) for spec, columns in parts])


def assign_likelihoods(
    said: Any, X: Any, layout: Layout, by_kind: Mapping[str, Any]
) -> list[Part]:
    """Return likelihood specs, each with the positions of its columns.

    Parameters
    ----------
    said : str, Likelihood, dict or list
        Parameter of an estimator. "auto" goes by the types of columns; a dict has
        names or positions of columns as keys, and leaves others to "auto"; a list has
        pairs of a likelihood and columns, chosen as in `ColumnTransformer`.
    X : DataFrame, ndarray or sparse matrix
    layout : Layout
        The columns of `X`.
    by_kind : mapping
        What "auto" is for each kind of column.
    """
    others: Sequence[Any] = [by_kind[kind] for kind in layout.kinds]
    if isinstance(said, Columns):
        said, others = said.parts, ()
    elif said == "auto":
        said = {}
    elif isinstance(said, str | Likelihood):
        return [(as_likelihood(said), list(range(len(layout.columns))))]
    return assign_columns(said, X, as_likelihood, layout.labels, others)


def _sizes_of_coded(parts: list[Part], layout: Layout) -> dict[int, int | None]:
    """Return the positions of columns that a likelihood reads as codes.

    With the number of categories that a user gave, if any. Raises ValueError where
    another likelihood would read categories, or where their order would be guessed.
    """
    sizes: dict[int, int | None] = {}
    for spec, positions in parts:
        for column in (layout.columns[j] for j in positions):
            _check_kind(spec, column)
        if spec.size_parameter:
            given = spec.given_sizes(len(positions))
            sizes |= zip(positions, given, strict=True)
    return dict(sorted(sizes.items()))


def _check_kind(spec: Likelihood, column: Column) -> None:
    """Raise ValueError where a likelihood cannot read the values of a column."""
    is_number = column.kind not in ("category", "level", "object")
    if spec.size_parameter is None and not is_number:
        raise ValueError(
            f"{spec!r} requires numbers. Got {column.dtype} in column {column.label}. "
            "Convert it, for example with pandas.to_numeric or pandas.to_datetime, or "
            "name the column 'categorical' in likelihood."
        )
    if spec.needs_order and not (is_number or column.has_order):
        raise ValueError(
            f"{spec!r} requires ordered values. Got {column.dtype} in column "
            f"{column.label}, whose order would be a guess. Make it an ordered "
            "categorical type that lists the levels from low to high, for example "
            "pandas.CategoricalDtype(levels, ordered=True), or name it 'categorical'."
        )


def _sized(spec: Likelihood, columns: list[int], layout: Layout) -> Likelihood:
    """Return a likelihood that knows of all categories, seen in the rows or not."""
    name = spec.size_parameter
    if name is None:
        return spec
    # Without any category, all cells are missing; one stands for it.
    sizes = [max(1, len(layout.columns[j].categories)) for j in columns]
    for j, size, given in zip(
        columns, sizes, spec.given_sizes(len(columns)), strict=True
    ):
        if given not in (None, size):
            raise ValueError(
                f"{name} must be the number of categories of column "
                f"{layout.columns[j].label}, {size}. Got {given}. Set {name}='auto', "
                "and to have categories that do not occur, make it a categorical type "
                "that lists them."
            )
    return clone(spec).set_params(**{name: sizes})


def _warn_of_identifiers(cells: Cells, layout: Layout) -> None:
    """Warn of columns of text in which no text occurs twice."""
    texts = [
        j
        for j in layout.coded.tolist()
        if layout.columns[j].kind == "category"
        and LEAST_IDENTIFIERS <= len(layout.columns[j].categories)
        and all(isinstance(value, str) for value in layout.columns[j].categories)
    ]
    for j in texts:
        codes = cells.columns([j])[:][:, 0]
        seen = codes[~np.isnan(codes)]
        if len(seen) >= LEAST_IDENTIFIERS and len(np.unique(seen)) == len(seen):
            warnings.warn(
                f"Column {layout.columns[j].label} looks like an identifier: its "
                f"{len(seen)} texts all differ, so that nothing can be learned of "
                "them. Drop it.",
                stacklevel=2,
            )


def _warn_of_empty(cells: Cells, labels: Sequence[str]) -> None:
    """Warn of columns without any observed cell."""
    if not cells.has_missing:
        return
    low, _ = cells.column_ranges()
    empty = [labels[column] for column in np.flatnonzero(np.isnan(low)).tolist()]
    if empty:
        warnings.warn(
            "Every column should have an observed cell. Got none in column "
            f"{', '.join(empty)}, of which nothing can be learned. Drop it.",
            stacklevel=2,
        )


def _check_domain(cells: Cells, likelihood: Likelihood, layout: Layout) -> None:
    """Raise ValueError where an observed cell is outside its column's domain."""
    if likelihood.admits(*cells.bounds):
        return
    for X in cells.chunks():
        likelihood.check_domain(X, layout.labels.__getitem__)
