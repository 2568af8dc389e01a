"""Which likelihood each column has: types, names and positions → one spec."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from skvae._frames import Layout
from skvae._sklearn import column_indices
from skvae.likelihoods import LIKELIHOODS, Columns, Likelihood, as_likelihood

BY_KIND = {"number": "gaussian", "boolean": "bernoulli", "category": "categorical"}
"""What "auto" makes of a column, by the kind that its type says."""


def likelihood_for(value: Any, X: Any, layout: Layout) -> Likelihood:
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
    """
    _refuse_other_kinds(layout)
    if isinstance(value, Likelihood):
        chosen = {j: value for j in range(len(layout.columns))}
        likelihood = value
    else:
        chosen = _by_column(value, X, layout)
        likelihood = _combined(chosen)
    _refuse_uncoded(likelihood, layout)
    return likelihood


def coded_columns(likelihood: Likelihood, layout: Layout) -> list[int]:
    """Return the positions of columns that a likelihood reads as codes."""
    n_features = len(layout.columns)
    if not isinstance(likelihood, Columns):
        return list(range(n_features)) if likelihood.coded else []
    names = [column.name for column in layout.columns]
    parts = likelihood.positions(n_features, names)
    return sorted(j for spec, columns in parts if spec.coded for j in columns)


def _by_column(value: Any, X: Any, layout: Layout) -> dict[int, Likelihood]:
    """Return the likelihood of each column, by position."""
    if isinstance(value, str) and value != "auto":
        return dict.fromkeys(range(len(layout.columns)), as_likelihood(value))
    chosen = {
        j: as_likelihood(BY_KIND[column.kind])
        for j, column in enumerate(layout.columns)
    }
    for j, name in _said(value, X):
        chosen[j] = as_likelihood(name)
    return chosen


def _said(value: Any, X: Any) -> Iterable[tuple[int, Any]]:
    """Yield (position, likelihood) of each column that a dict or a list names."""
    if isinstance(value, str):
        return
    pairs = value.items() if isinstance(value, Mapping) else [pair[::-1] for pair in value]
    seen: set[int] = set()
    for columns, likelihood in pairs:
        for j in column_indices(X, columns):
            if j in seen:
                raise ValueError(
                    "likelihood must name each column once at most. Got column "
                    f"{j} twice. Name it in one place."
                )
            seen.add(j)
            yield j, likelihood


def _combined(chosen: Mapping[int, Likelihood]) -> Likelihood:
    """Return one spec; columns with equal specs share one, and so share its noise."""
    groups: dict[str, tuple[Likelihood, list[int]]] = {}
    for j, spec in sorted(chosen.items()):
        groups.setdefault(repr(spec), (spec, []))[1].append(j)
    parts = list(groups.values())
    return parts[0][0] if len(parts) == 1 else Columns(parts)
