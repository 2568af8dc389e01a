"""Columns that determine others: found, counted, and kept in generated rows."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from skvae.inspection._encoded import Encoder
from skvae.table import library_of, table_of

CHANCE = 1e-6
"""Probability below which it is no chance that repeated values go together."""


class Rule(NamedTuple):
    """A column whose every value goes with one value of another column.

    Attributes
    ----------
    determinant, dependent : int
        Positions of the columns.
    values, images : ndarray of shape (n_values,)
        Values of the former, ascending, and what they go with, as numbers and codes.
    """

    determinant: int
    dependent: int
    values: np.ndarray
    images: np.ndarray

    def expected(self, rows: np.ndarray) -> np.ndarray:
        """Return the dependent cells by the rule, (n,); NaN where it says nothing."""
        cells = rows[:, self.determinant]
        places = np.searchsorted(self.values, cells).clip(max=len(self.values) - 1)
        return np.where(self.values[places] == cells, self.images[places], np.nan)


class ColumnRules:
    """What :func:`find_rules` returns.

    Attributes
    ----------
    rules : list of Rule
    table : DataFrame or dict
        The columns `determinant`, `dependent` and `n_values`, a row for each rule: a
        DataFrame if `X` was one.
    """

    def __init__(self, encoder: Encoder, rules: Sequence[Rule], library: Any) -> None:
        self._encoder, self.rules = encoder, list(rules)
        names = [column.name for column in encoder.layout.columns]
        self.table = table_of(
            library,
            {
                "determinant": [names[rule.determinant] for rule in self.rules],
                "dependent": [names[rule.dependent] for rule in self.rules],
                "n_values": [len(rule.values) for rule in self.rules],
            },
        )

    def __repr__(self) -> str:
        """Return a line for each rule."""
        labels = self._encoder.layout.labels
        lines = [
            f"{labels[rule.determinant]} determines {labels[rule.dependent]} "
            f"({len(rule.values)} values)"
            for rule in self.rules
        ]
        return "\n".join(lines or ["No column determines another."])

    def fraction_kept(self, rows: Any) -> np.ndarray:
        """Return the fraction of rows that keep each rule.

        Parameters
        ----------
        rows : DataFrame or array-like of shape (n_samples, n_features)

        Returns
        -------
        fractions : ndarray of shape (n_rules,)
            Of the rows of which the rule says something; NaN if there are none.
        """
        cells = self._encoder(rows)
        kept = []
        for rule in self.rules:
            expected = rule.expected(cells)
            known = ~np.isnan(expected) & ~np.isnan(cells[:, rule.dependent])
            agrees = expected[known] == cells[known, rule.dependent]
            kept.append(agrees.mean() if known.any() else np.nan)
        return np.array(kept)

    def apply(self, rows: Any) -> Any:
        """Return rows in which every rule is kept.

        Cells of dependent columns are replaced where the determinant has a value that
        the rule knows; missing cells stay missing.

        Parameters
        ----------
        rows : DataFrame or array-like of shape (n_samples, n_features)

        Returns
        -------
        rows : DataFrame or ndarray of shape (n_samples, n_features)
        """
        before = self._encoder(rows)
        cells = before.copy()
        for rule in self.rules:
            expected = rule.expected(cells)
            is_known = ~np.isnan(expected) & ~np.isnan(cells[:, rule.dependent])
            cells[is_known, rule.dependent] = expected[is_known]
        is_new = (cells != before) & ~np.isnan(cells)
        return self._encoder.layout.fill(rows, cells, is_new)


def find_rules(X: Any) -> ColumnRules:
    """Find columns that determine other columns.

    A column determines another if each of its values goes with one value of the other,
    and its values repeat so often that this is no chance: with a value that agrees with
    another one by chance with probability q, and r rows that repeat a value, q to the
    power of r is below one in a million. Of two columns that determine each other the
    first is the determinant; of several determinants, the one with the fewest values.

    Parameters
    ----------
    X : DataFrame or array-like of shape (n_samples, n_features)

    Returns
    -------
    rules : ColumnRules
        In the order in which they are to be applied.

    See Also
    --------
    compare_rows : How generated rows compare with real ones.

    Examples
    --------
    >>> import pandas as pd
    >>> from skvae.inspection import find_rules
    >>> X = pd.DataFrame({"city": ["Bern", "Rome", "Oslo"] * 20, "km": range(60)})
    >>> X["country"] = X["city"].map({"Bern": "CH", "Rome": "IT", "Oslo": "NO"})
    >>> rules = find_rules(X)
    >>> rules
    'city' determines 'country' (3 values)
    >>> generated = X.assign(country="CH").sample(30, random_state=0)
    >>> rules.fraction_kept(rules.apply(generated))
    array([1.])
    """
    encoder = Encoder(X)
    columns = [_values(cells) for cells in encoder.first.T]
    sizes = [len(values) for values, _ in columns]
    found: dict[int, Rule] = {}
    # Fewer values come first, so that the first determinant has the fewest.
    for i in np.argsort(sizes, kind="stable").tolist():
        for j in range(len(columns)):
            if j in found or not _may_determine(i, j, sizes):
                continue
            rule = _rule(i, j, columns)
            if rule is not None:
                found[j] = rule
    # A determinant has as many values as what it determines, or more.
    ordered = sorted(
        found.values(), key=lambda rule: (-len(rule.values), rule.determinant)
    )
    return ColumnRules(encoder, ordered, library_of(X))


def _values(cells: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the distinct values of a column, and each cell's place; -1 is missing."""
    values, places = np.unique(cells[~np.isnan(cells)], return_inverse=True)
    found = np.full(len(cells), -1)
    found[~np.isnan(cells)] = places
    return values, found


def _may_determine(i: int, j: int, sizes: Sequence[int]) -> bool:
    """Return whether numbers of values, and the order of the columns, allow it."""
    is_first = sizes[i] > sizes[j] or (sizes[i] == sizes[j] and i < j)
    return is_first and sizes[j] > 1


def _rule(i: int, j: int, columns: Sequence[Any]) -> Rule | None:
    """Return the rule by which a column determines another, if it does."""
    (values, places), (images, their_places) = columns[i], columns[j]
    seen = (places >= 0) & (their_places >= 0)
    places, their_places = places[seen], their_places[seen]
    pairs = np.unique(np.column_stack((places, their_places)), axis=0)
    n_values = len(np.unique(places))
    if len(pairs) > n_values:
        return None
    fractions = np.bincount(their_places) / max(1, len(their_places))
    agreement = np.square(fractions).sum()
    if agreement >= 1.0 or agreement ** (len(places) - n_values) >= CHANCE:
        return None
    return Rule(i, j, values[pairs[:, 0]], images[pairs[:, 1]])
