"""How well a map keeps the neighborhoods of rows, and their order by distance."""

from collections.abc import Callable, Iterator
from numbers import Integral
from typing import Any

import numpy as np
import scipy.sparse
from scipy.stats import rankdata
from sklearn import get_config
from sklearn.metrics.pairwise import euclidean_distances
from sklearn.utils import check_array, check_consistent_length, gen_batches

Pairs = tuple[Any, Any]
"""Training rows, and those whose neighbors are sought among them; None for the same."""

Measure = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""Squared distances (n, m) in two spaces, of n rows to m others → (n,)."""


def neighbor_recall(
    X_train: Any, Z_train: Any, X: Any = None, Z: Any = None, *, n_neighbors: int = 15
) -> float:
    r"""Return how many of the nearest neighbors of a row a map keeps, as a fraction.

    The mean over rows of :math:`|N_X \cap N_Z| / k`, where :math:`N_X` and :math:`N_Z`
    are the k training rows nearest to a row by Euclidean distance, before and after it
    is mapped. What is as near as the last of the neighbors is one of them, too.

    Parameters
    ----------
    X_train : {array-like, sparse matrix} of shape (n_train_samples, n_features)
        Rows that the map was fitted to, columns scaled as they should count.
    Z_train : array-like of shape (n_train_samples, n_components)
        Where the map puts them.
    X : {array-like, sparse matrix} of shape (n_samples, n_features), default=None
        Rows whose neighbors are sought among the training rows. None stands for the
        training rows, none of which is a neighbor of itself.
    Z : array-like of shape (n_samples, n_components), default=None
        Where the map puts these.
    n_neighbors : int, default=15
        Number of neighbors k, at most half of the training rows.

    Returns
    -------
    recall : float
        From 0 to 1; `n_neighbors / n_train_samples` is expected of a random map.

    Raises
    ------
    ValueError
        If shapes do not fit together, or there are not enough rows.

    See Also
    --------
    trustworthiness, continuity : How far away rows come from that do not belong.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.decomposition import PCA
    >>> from skvae.inspection import neighbor_recall
    >>> X = load_iris().data
    >>> pca = PCA(2).fit(X[::2])
    >>> recall = neighbor_recall(
    ...     X[::2], pca.transform(X[::2]), X[1::2], pca.transform(X[1::2])
    ... )
    >>> round(recall, 2)
    0.9
    """
    recall = neighbor_recall_samples(X_train, Z_train, X, Z, n_neighbors=n_neighbors)
    return float(recall.mean())


def neighbor_recall_samples(
    X_train: Any, Z_train: Any, X: Any = None, Z: Any = None, *, n_neighbors: int = 15
) -> np.ndarray:
    """Return how many of the nearest neighbors of each row a map keeps.

    As the color of a map it shows which regions can be trusted.

    Parameters
    ----------
    X_train, Z_train, X, Z, n_neighbors : as in `neighbor_recall`

    Returns
    -------
    recall : ndarray of shape (n_samples,)
        Fractions, whose mean is `neighbor_recall`.

    Raises
    ------
    ValueError
        If shapes do not fit together, or there are not enough rows.

    See Also
    --------
    skvae.LatentDisplay : Draws a map, colored by values.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from skvae.inspection import neighbor_recall_samples
    >>> X = load_iris().data
    >>> neighbor_recall_samples(X, X[:, 2:]).shape
    (150,)
    """

    def recall(in_x: np.ndarray, in_z: np.ndarray) -> np.ndarray:
        radius = np.partition(in_x, n_neighbors - 1, axis=1)[:, n_neighbors - 1, None]
        return (_of_nearest(in_x, in_z, n_neighbors) <= radius).mean(axis=1)

    return _measure(recall, (X_train, X), (Z_train, Z), n_neighbors)


def trustworthiness(
    X_train: Any, Z_train: Any, X: Any = None, Z: Any = None, *, n_neighbors: int = 15
) -> float:
    r"""Return how little a map invents neighbors.

    .. math:: 1 - \frac{2}{n k (2m - 3k + 1)} \sum_i \sum_{j \in N_Z(i)}
        \max(0, r(i, j) - k)

    where row j is the r-th nearest to row i before the map, among m rows, for n rows
    i [1]_. With `X` left out it equals `sklearn.manifold.trustworthiness`, ties apart.

    Parameters
    ----------
    X_train, Z_train, X, Z, n_neighbors : as in `neighbor_recall`

    Returns
    -------
    trustworthiness : float
        From 0 to 1; about 0.5 is expected of a random map.

    Raises
    ------
    ValueError
        If shapes do not fit together, or there are not enough rows.

    See Also
    --------
    continuity : How little a map tears neighborhoods apart.

    References
    ----------
    .. [1] Venna & Kaski (2001). Neighborhood preservation in nonlinear projection
       methods: an experimental study. ICANN.
       https://doi.org/10.1007/3-540-44668-0_68

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from skvae.inspection import trustworthiness
    >>> X = load_iris().data
    >>> round(trustworthiness(X, X[:, 2:]), 2)
    0.95
    """
    pairs = (X_train, X), (Z_train, Z)
    intruders = _measure(_excess_ranks(n_neighbors), *pairs, n_neighbors)
    return 1.0 - float(intruders.mean())


def continuity(
    X_train: Any, Z_train: Any, X: Any = None, Z: Any = None, *, n_neighbors: int = 15
) -> float:
    """Return how little a map tears neighborhoods apart.

    It is `trustworthiness` with the two spaces exchanged: near rows may not end far
    apart.

    Parameters
    ----------
    X_train, Z_train, X, Z, n_neighbors : as in `neighbor_recall`

    Returns
    -------
    continuity : float
        From 0 to 1; about 0.5 is expected of a random map.

    Raises
    ------
    ValueError
        If shapes do not fit together, or there are not enough rows.

    See Also
    --------
    trustworthiness : How little a map invents neighbors.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from skvae.inspection import continuity
    >>> X = load_iris().data
    >>> round(continuity(X, X[:, 2:]), 2)
    0.97
    """
    excess = _excess_ranks(n_neighbors)
    pairs = (X_train, X), (Z_train, Z)
    lost = _measure(lambda in_x, in_z: excess(in_z, in_x), *pairs, n_neighbors)
    return 1.0 - float(lost.mean())


def rank_correlation(X_train: Any, Z_train: Any, X: Any = None, Z: Any = None) -> float:
    """Return how well a map keeps the order of all rows by distance.

    The mean over rows of Spearman's correlation between their distances to the training
    rows before and after the map: 1 where everything keeps its place, far rows and
    near ones alike. A row counts 0 where all its distances are the same.

    Parameters
    ----------
    X_train, Z_train, X, Z : as in `neighbor_recall`

    Returns
    -------
    correlation : float
        From -1 to 1; 0 is expected of a random map.

    Raises
    ------
    ValueError
        If shapes do not fit together.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from skvae.inspection import rank_correlation
    >>> X = load_iris().data
    >>> round(rank_correlation(X, X[:, 2:]), 2)
    0.96
    """

    def correlation(in_x: np.ndarray, in_z: np.ndarray) -> np.ndarray:
        x, z = _centered_ranks(in_x), _centered_ranks(in_z)
        scale = np.sqrt(np.square(x).sum(axis=1) * np.square(z).sum(axis=1))
        return (x * z).sum(axis=1) / np.where(scale > 0.0, scale, np.inf)

    return float(_measure(correlation, (X_train, X), (Z_train, Z), 1).mean())


def neighbor_accuracy(
    Z_train: Any, y_train: Any, Z: Any, y: Any, *, n_neighbors: int = 5
) -> float:
    """Return how often the classes of the neighbors in a map tell that of a row.

    Parameters
    ----------
    Z_train : array-like of shape (n_train_samples, n_components)
        Where the map puts the rows that it was fitted to.
    y_train : array-like of shape (n_train_samples,)
        Their classes.
    Z : array-like of shape (n_samples, n_components)
        Where it puts other rows.
    y : array-like of shape (n_samples,)
        Their classes.
    n_neighbors : int, default=5
        Number of neighbors that vote.

    Returns
    -------
    accuracy : float
        Fraction of the rows whose class wins the vote.

    Raises
    ------
    ValueError
        If shapes do not fit together, or there are not enough rows.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from skvae.inspection import neighbor_accuracy
    >>> X, y = load_iris(return_X_y=True)
    >>> Z = X[:, 2:]
    >>> round(neighbor_accuracy(Z[::2], y[::2], Z[1::2], y[1::2]), 2)
    0.97
    """
    # Imported here because it takes a fifth of a second and few users need it.
    from sklearn.neighbors import KNeighborsClassifier

    classifier = KNeighborsClassifier(n_neighbors).fit(Z_train, y_train)
    return float(classifier.score(Z, y))


def _excess_ranks(n_neighbors: int) -> Measure:
    """Return how far neighbors in a second space are from being such in a first.

    It is a mean of each row's, and 1 the most that there can be.
    """

    def excess(in_true: np.ndarray, in_mapped: np.ndarray) -> np.ndarray:
        found = _of_nearest(in_true, in_mapped, n_neighbors)
        ordered = np.sort(in_true, axis=1)
        nearer = [np.searchsorted(*row) for row in zip(ordered, found, strict=True)]
        n_others = np.isfinite(in_true).sum(axis=1)
        largest = 0.5 * n_neighbors * (2 * n_others - 3 * n_neighbors + 1)
        excesses = np.maximum(np.stack(nearer) + 1 - n_neighbors, 0)
        return excesses.sum(axis=1) / largest

    return excess


def _of_nearest(values: np.ndarray, distances: np.ndarray, n: int) -> np.ndarray:
    """Return values (n_samples, n) of those at the n least distances."""
    nearest = np.argpartition(distances, n - 1, axis=1)[:, :n]
    return np.take_along_axis(values, nearest, axis=1)


def _centered_ranks(distances: np.ndarray) -> np.ndarray:
    """Return ranks minus their mean, zero for a row itself, infinitely far away."""
    others = np.isfinite(distances)
    mean = 0.5 * (others.sum(axis=1, keepdims=True) + 1)
    return np.where(others, rankdata(distances, axis=1) - mean, 0.0)


def _measure(
    measure: Measure, some: Pairs, others: Pairs, n_neighbors: int
) -> np.ndarray:
    """Return a measure of each row (n,), from distances in two spaces."""
    if (some[1] is None) != (others[1] is None):
        raise ValueError("X and Z must both be given, or neither. Got one of them.")
    spaces = _checked("X", *some), _checked("Z", *others)
    check_consistent_length(*(train for train, _ in spaces))
    check_consistent_length(*(rows for _, rows in spaces))
    is_same = some[1] is None
    _check_n_neighbors(n_neighbors, spaces[0][0].shape[0] - is_same)
    distances = _distances(*spaces, is_same)
    return np.concatenate([measure(*squares) for squares in distances])


def _checked(name: str, train: Any, rows: Any) -> Pairs:
    """Return training rows and rows of one space as arrays, near the origin."""
    known = {"accept_sparse": "csr", "dtype": [np.float64, np.float32]}
    train = check_array(train, input_name=f"{name}_train", **known)
    rows = train if rows is None else check_array(rows, input_name=name, **known)
    if rows.shape[1] != train.shape[1]:
        raise ValueError(
            f"{name} must have as many columns as {name}_train, {train.shape[1]}. Got "
            f"{rows.shape[1]}."
        )
    if scipy.sparse.issparse(train) or scipy.sparse.issparse(rows):
        return train, rows
    # Distances lose digits far from the origin.
    center = train.mean(axis=0)
    return train - center, rows - center


def _check_n_neighbors(n_neighbors: Any, n_others: int) -> None:
    is_count = isinstance(n_neighbors, Integral) and int(n_neighbors) > 0
    if not is_count or 2 * n_neighbors > max(n_others, 2):
        raise ValueError(
            "n_neighbors must be a positive integer, at most half of the other "
            f"training rows, {n_others}. Got {n_neighbors!r}."
        )


def _distances(
    some: Pairs, others: Pairs, is_same: bool
) -> Iterator[tuple[np.ndarray, ...]]:
    """Yield squared distances to training rows in both spaces, chunk by chunk.

    With their copies, chunks take scikit-learn's `working_memory`.
    """
    n_train, n_rows = some[0].shape[0], some[1].shape[0]
    size = int(get_config()["working_memory"] * 2**20 / (8 * 6 * n_train))
    for part in gen_batches(n_rows, max(1, size)):
        squares = tuple(
            euclidean_distances(rows[part], train, squared=True)
            for train, rows in (some, others)
        )
        if is_same:
            for each in squares:
                each[np.arange(len(each)), np.arange(n_rows)[part]] = np.inf
        yield squares
