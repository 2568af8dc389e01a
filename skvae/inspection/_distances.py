"""Distances between the distributions of two sets of encoded rows."""

import numpy as np
from scipy.stats import ks_2samp

N_BINS = 8
"""Bins of a column of numbers, of equal counts, by which it goes with another one."""


def column_distance(a: np.ndarray, b: np.ndarray, is_coded: bool) -> float:
    """Return how far the observed cells of a column differ between two sets of rows.

    The largest difference between the cumulative frequencies of numbers (the statistic
    of Kolmogorov and Smirnov), or half the sum of the differences between frequencies
    of codes (the total variation distance). NaN where a column has no observed cell.
    """
    a, b = a[~np.isnan(a)], b[~np.isnan(b)]
    if not (len(a) and len(b)):
        return np.nan
    if not is_coded:
        return float(ks_2samp(a, b, method="asymp").statistic)
    values, places = np.unique(np.concatenate((a, b)), return_inverse=True)
    first = np.bincount(places[: len(a)], minlength=len(values)) / len(a)
    second = np.bincount(places[len(a) :], minlength=len(values)) / len(b)
    return float(0.5 * np.abs(first - second).sum())


def outside(a: np.ndarray, b: np.ndarray, is_coded: bool) -> float:
    """Return which fraction of the observed cells of `a` is beyond those of `b`.

    Beyond the least and the greatest number, or not among the codes.
    """
    a, b = a[~np.isnan(a)], b[~np.isnan(b)]
    if not len(a):
        return 0.0
    if is_coded or not len(b):
        return float(np.mean(~np.isin(a, b)))
    return float(np.mean((a < b.min()) | (a > b.max())))


def binned(rows: np.ndarray, like: np.ndarray, is_coded: np.ndarray) -> np.ndarray:
    """Return the bin of each cell, whole numbers from 0; missing cells have their own.

    Columns of numbers have bins of equal counts among `like`; codes are bins.
    """
    bins = np.empty(rows.shape, dtype=np.int64)
    for j, cells in enumerate(rows.T):
        if is_coded[j]:
            found = np.where(np.isnan(cells), 0.0, cells + 2.0)
        else:
            edges = _edges(like[:, j])
            found = np.where(np.isnan(cells), 0, 1 + np.searchsorted(edges, cells))
        bins[:, j] = found.astype(np.int64)
    return bins


def _edges(cells: np.ndarray) -> np.ndarray:
    """Return inner edges of bins; none where no cell is observed."""
    observed = cells[~np.isnan(cells)]
    if not len(observed):
        return observed
    inner = np.arange(1, N_BINS) / N_BINS
    return np.unique(np.quantile(observed, inner, method="inverted_cdf"))


def associations(bins: np.ndarray) -> np.ndarray:
    r"""Return how strongly each two columns go together, (D, D), from 0 to 1.

    The informational coefficient of correlation [1]_
    :math:`\sqrt{1 - \exp(-2 I)}` of the mutual information :math:`I` of the bins, which
    for two normal columns is about the size of their correlation. The information is
    corrected for its bias in few rows [2]_.

    References
    ----------
    .. [1] Linfoot (1957). An informational measure of correlation. Information and
       Control 1(1). https://doi.org/10.1016/S0019-9958(57)90116-X
    .. [2] Miller (1955). Note on the bias of information estimates. In Information
       Theory in Psychology.
    """
    n_columns = bins.shape[1]
    single = [_entropy(column) for column in bins.T]
    information = np.zeros((n_columns, n_columns))
    for i in range(n_columns):
        for j in range(i):
            both = bins[:, i] * (bins[:, j].max() + 1) + bins[:, j]
            information[i, j] = single[i] + single[j] - _entropy(both)
    information = np.maximum(information + information.T, 0.0)
    return np.sqrt(-np.expm1(-2.0 * information))


def _entropy(bins: np.ndarray) -> float:
    """Return the entropy of the bins in nats, corrected for its bias."""
    counts = np.unique(bins, return_counts=True)[1]
    frequencies = counts / len(bins)
    entropy = -(frequencies * np.log(frequencies)).sum()
    return float(entropy + 0.5 * (len(counts) - 1) / len(bins))
