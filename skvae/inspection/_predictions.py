"""What gradient-boosted trees can tell from encoded rows."""

from typing import Any

import numpy as np
from sklearn.metrics import roc_auc_score

N_FOLDS, N_ITERATIONS = 5, 60

MOST_CATEGORIES = 255
"""Categories of a column that the trees take for such; more are taken for numbers."""

MOST_CLASSES = 20
"""Different whole numbers of a target that are classes."""


def two_sample_auc(
    a: np.ndarray, b: np.ndarray, is_coded: np.ndarray, seed: int
) -> float:
    """Return the cross-validated AUC of telling rows of `b` from those of `a`.

    As many rows of each are used, chosen at random where there are more.
    """
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.model_selection import StratifiedKFold, cross_val_predict

    random = np.random.default_rng(seed)
    size = min(len(a), len(b))
    parts = [rows[np.sort(random.permutation(len(rows))[:size])] for rows in (a, b)]
    X, y = _for_trees(np.concatenate(parts), is_coded), np.repeat([0, 1], size)
    model = HistGradientBoostingClassifier(
        max_iter=N_ITERATIONS,
        categorical_features=_are_categories(X, is_coded),
        random_state=seed,
    )
    folds = StratifiedKFold(N_FOLDS, shuffle=True, random_state=seed)
    says = cross_val_predict(model, X, y, cv=folds, method="predict_proba")
    return float(roc_auc_score(y, says[:, 1]))


def skill(
    train: np.ndarray, test: np.ndarray, column: int, is_coded: np.ndarray, seed: int
) -> float:
    """Return how well a column of `test` is predicted by a model fitted to `train`.

    R2 of numbers; the area under the ROC curve less 0.5 of classes, the mean over
    classes against the others, weighted by their frequency.
    """
    from sklearn.ensemble import (
        HistGradientBoostingClassifier,
        HistGradientBoostingRegressor,
    )

    train, test = (rows[~np.isnan(rows[:, column])] for rows in (train, test))
    y, y_test = train[:, column], test[:, column]
    has_whole_classes = not is_coded[column] and _are_classes(y_test)
    is_class = is_coded[column] or has_whole_classes
    # Generated numbers need not be whole; categories that differ are not near.
    y = _nearest(np.unique(y_test), y) if has_whole_classes else y
    if len(np.unique(y)) < 2:
        return 0.0
    others = np.delete(np.arange(test.shape[1]), column)
    parts = (rows[:, others] for rows in (train, test))
    X, X_test = (_for_trees(rows, is_coded[others]) for rows in parts)
    categorical = _are_categories(np.concatenate((X, X_test)), is_coded[others])
    of = HistGradientBoostingClassifier if is_class else HistGradientBoostingRegressor
    model: Any = of(categorical_features=categorical, random_state=seed).fit(X, y)
    if not is_class:
        return float(model.score(X_test, y_test))
    return _mean_auc(y_test, model.classes_, model.predict_proba(X_test)) - 0.5


def _for_trees(rows: np.ndarray, is_coded: np.ndarray) -> np.ndarray:
    """Return rows with codes from 0."""
    return rows + is_coded


def _are_categories(rows: np.ndarray, is_coded: np.ndarray) -> np.ndarray:
    """Return which columns the trees can take for categories, (D,) of bool."""
    return is_coded & (np.nan_to_num(rows).max(axis=0) < MOST_CATEGORIES)


def _are_classes(values: np.ndarray) -> bool:
    """Return whether numbers are few and whole."""
    classes = np.unique(values)
    return len(classes) <= MOST_CLASSES and bool((classes == np.rint(classes)).all())


def _nearest(classes: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Return the class nearest to each value, of sorted ones."""
    middles = 0.5 * (classes[1:] + classes[:-1])
    return classes[np.searchsorted(middles, values)]


def _mean_auc(y: np.ndarray, classes: np.ndarray, says: np.ndarray) -> float:
    """Return the AUC of each class against the others, weighted by frequency.

    One half of a class that the model does not know.
    """
    found, counts = np.unique(y, return_counts=True)
    if len(found) < 2:
        return 0.5
    known = dict(zip(classes.tolist(), says.T, strict=True))
    nothing = np.zeros(len(y))
    each = [roc_auc_score(y == c, known.get(c, nothing)) for c in found.tolist()]
    return float(np.average(each, weights=counts))
