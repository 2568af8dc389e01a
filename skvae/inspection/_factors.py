"""What single components know about the factors that rows were made from."""

from typing import Any, NamedTuple

import numpy as np
from scipy.special import entr
from sklearn.utils import check_array, check_consistent_length

from skvae.inspection._encoded import Encoder
from skvae.table import library_of


class InformationGap(NamedTuple):
    """How far each factor is in one component alone.

    Attributes
    ----------
    mean : float
        Mean of `per_factor`.
    per_factor : ndarray of shape (n_factors,)
        From 0, if two components know equally much about the factor, to 1, if one
        component determines it and no other knows anything.
    information : ndarray of shape (n_components, n_factors)
        Mutual information of each component with each factor, in nats.
    entropy : ndarray of shape (n_factors,)
        Entropy of each factor, in nats.

    See Also
    --------
    mutual_information_gap : Measures it.
    """

    mean: float
    per_factor: np.ndarray
    information: np.ndarray
    entropy: np.ndarray


def mutual_information_gap(Z: Any, factors: Any, *, n_bins: int = 20) -> InformationGap:
    r"""Measure how far each factor of variation is in one component alone.

    .. math:: \frac{1}{|V|} \sum_v \frac{1}{H(v)} \left(I(z_{j(v)}; v)
        - \max_{j \neq j(v)} I(z_j; v)\right),

    where :math:`j(v)` is the component that knows most about factor v [1]_, section
    4.1. Information is that of bins of a component, as in [2]_.

    Parameters
    ----------
    Z : array-like of shape (n_samples, n_components)
        Rows in the latent space: their posterior means, as `transform` returns them and
        [2]_ takes them; or draws from their posteriors (`draw_posterior`), whose
        information is that of q(z given x), as in [1]_. Of a component that carries
        nothing, draws know nothing, whereas its posterior means may still do.
    factors : DataFrame or array-like of shape (n_samples, n_factors) or (n_samples,)
        What the rows were made from: categories, texts, booleans or numbers of few
        different values.
    n_bins : int, default=20
        Bins of each component, of equal widths from its least to its greatest value.

    Returns
    -------
    gap : InformationGap
        `gap.mean` and, of each factor, `gap.per_factor`.

    Raises
    ------
    ValueError
        If a factor is constant, continuous or has missing cells, or numbers of rows
        differ.

    Notes
    -----
    With few rows, information is overestimated by about
    (n_bins - 1)(n_values - 1) / (2 n_samples), of all components alike, so that the gap
    loses most of that. A single component is compared with one that knows nothing.

    References
    ----------
    .. [1] Chen, Li, Grosse & Duvenaud (2018). Isolating sources of disentanglement in
       variational autoencoders. NeurIPS. https://arxiv.org/abs/1802.04942
    .. [2] Locatello et al. (2019). Challenging common assumptions in the unsupervised
       learning of disentangled representations. ICML, appendix C.
       https://arxiv.org/abs/1811.12359

    Examples
    --------
    >>> import numpy as np
    >>> from skvae.inspection import mutual_information_gap
    >>> factors = np.random.default_rng(0).integers(3, size=(1000, 2))
    >>> round(mutual_information_gap(factors, factors).mean, 1)
    1.0
    >>> rotated = factors @ [[1, 1], [1, -1]]
    >>> round(mutual_information_gap(rotated, factors).mean, 1)
    0.0
    """
    Z = check_array(Z, dtype=float, input_name="Z")
    values = _values(factors)
    check_consistent_length(Z, values)
    bins = np.column_stack([_bins(z, n_bins) for z in Z.T])
    entropy = np.array([_entropy(np.bincount(v)) for v in values.T])
    information = np.array([[_information(z, v) for v in values.T] for z in bins.T])
    # One more component that knows nothing: where there is only one, it is the second.
    ordered = np.sort(np.vstack((information, np.zeros(len(entropy)))), axis=0)
    per_factor = (ordered[-1] - ordered[-2]) / entropy
    return InformationGap(float(per_factor.mean()), per_factor, information, entropy)


def _values(factors: Any) -> np.ndarray:
    """Return the number of each value among those of its factor, from 0."""
    columns = _of_table(factors) if library_of(factors) else _of_array(factors)
    for name, cells, is_missing in columns:
        _check_factor(name, len(np.unique(cells)), is_missing)
    return np.column_stack(
        [np.unique(c, return_inverse=True)[1] for _, c, _ in columns]
    )


def _of_table(factors: Any) -> list[tuple]:
    """Return name, cells, and which are missing, of each column of a table."""
    encoder = Encoder(factors)
    names = (column.name for column in encoder.layout.columns)
    each = zip(names, encoder.first.T, strict=True)
    return [(name, cells, np.isnan(cells)) for name, cells in each]


def _of_array(factors: Any) -> list[tuple]:
    """Return name, cells, and which are missing, of each column of an array."""
    array = np.asarray(factors)
    array = array[:, None] if array.ndim == 1 else array
    if array.ndim != 2:
        raise ValueError(
            "factors must have the shape (n_samples, n_factors) or (n_samples,). Got "
            f"{array.shape}."
        )
    is_text = array.dtype.kind not in "biuf"
    cells = array.astype(str) if is_text else array
    missing = np.array([[c is None or c != c for c in row] for row in array.tolist()])
    return list(zip(range(array.shape[1]), cells.T, missing.T, strict=True))


def _check_factor(name: Any, n_values: int, is_missing: np.ndarray) -> None:
    if is_missing.any():
        raise ValueError(
            f"Factors must not have missing cells. Got {is_missing.sum()} in factor "
            f"{name!r}. Leave these rows out, of Z as well."
        )
    n_rows = len(is_missing)
    if n_values < 2 or n_values > max(2, n_rows // 2):
        raise ValueError(
            "A factor must have at least 2 different values, and at most half as many "
            f"as there are rows ({n_rows}). Got {n_values} of factor {name!r}. Leave a "
            "constant factor out, and put a continuous one into bins."
        )


def _bins(z: np.ndarray, n_bins: int) -> np.ndarray:
    """Return the bin of each value, of equal widths, from 0."""
    edges = np.histogram_bin_edges(z, n_bins)
    return np.searchsorted(edges[1:-1], z, side="right")


def _information(a: np.ndarray, b: np.ndarray) -> float:
    """Return the mutual information of whole numbers from 0, in nats."""
    counts = np.zeros((a.max() + 1, b.max() + 1))
    np.add.at(counts, (a, b), 1.0)
    parts = counts.sum(0), counts.sum(1), counts
    first, second, both = (_entropy(part) for part in parts)
    return max(0.0, first + second - both)


def _entropy(counts: np.ndarray) -> float:
    """Return the entropy in nats of frequencies that are given as counts."""
    return float(entr(counts / counts.sum()).sum())
