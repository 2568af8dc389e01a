"""How far the posteriors of rows together are from p(z)."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.spatial.distance import pdist
from sklearn.metrics.pairwise import euclidean_distances

from skvae._random import seed_from
from skvae.inspection._distances import column_distance
from skvae.inspection._latent import draw_from, draw_posterior
from skvae.inspection._predictions import two_sample_auc

LEAST_ROWS, MOST_ROWS = 10, 2000
"""Rows that a classifier needs, and the most that MMD is computed of."""

WIDTHS = (0.25, 0.5, 1.0, 2.0)
"""Widths of kernels, in median distances."""


@dataclass(kw_only=True, eq=False, repr=False)
class LatentDistance:  # numpydoc ignore=PR02
    """How far draws of z from the posteriors of rows are from a distribution.

    Parameters
    ----------
    auc : float
        Area under the ROC curve of a classifier that tells draws from the posteriors
        and draws from the distribution apart, cross-validated; 0.5 if it cannot, 1 if
        it always can.
    mmd : float
        Squared maximum mean discrepancy, unbiased: about 0, of either sign, where the
        distributions are the same.
    components : ndarray of shape (n_components,)
        Distance of each component by itself, from 0 to 1: the largest difference of
        cumulative frequencies.
    """

    auc: float
    mmd: float
    components: np.ndarray


@dataclass(kw_only=True, eq=False, repr=False)
class PosteriorComparison:  # numpydoc ignore=PR02
    """How far the aggregate posterior of rows is from what z is drawn from.

    `print` it.

    Parameters
    ----------
    prior : LatentDistance or None
        From p(z) of training; None where that is no distribution.
    sampler : LatentDistance or None
        From the sampler, which was fitted to the posteriors after training; None where
        the sampler is the prior.

    See Also
    --------
    compare_posterior_to_prior : Measures it.
    """

    prior: LatentDistance | None
    sampler: LatentDistance | None

    def __str__(self) -> str:
        measured = {"prior": self.prior, "sampler": self.sampler}
        lines = [f"{'':10}{'AUC':>8}{'MMD^2':>10}  most distant components"]
        lines += [_line(k, v) for k, v in measured.items() if v is not None]
        return "\n".join(lines)


def compare_posterior_to_prior(
    estimator: Any, X: Any, *, random_state: Any = 0
) -> PosteriorComparison:
    r"""Measure how far the aggregate posterior of rows is from p(z).

    The aggregate posterior is :math:`q(z) = \frac1n \sum_i q(z \mid x_i)`. Where it is
    far from p(z), decoded draws from p(z) come from regions without rows. It is
    compared by one draw for each row, with as many draws from p(z): by the classifier
    of [1]_, and by the unbiased estimate of

    .. math:: \mathrm{MMD}^2 = \mathbb{E}[k(z, z') + k(y, y') - 2 k(z, y)]

    of [2]_, equation 3. The kernel is the mean of normal kernels
    :math:`\exp(-\|z - y\|^2 / 2 \sigma^2)`, whose widths :math:`\sigma` are a quarter,
    a half, once and twice the median distance between draws: the median alone misses
    clusters.

    Parameters
    ----------
    estimator : VAETransformer
        Fitted.
    X : {array-like, sparse matrix} of shape (n_samples, n_features)
        At least 10 rows, best such that the model was not fitted to.
    random_state : int, RandomState instance or None, default=0
        Seed of the draws and of the splits.

    Returns
    -------
    comparison : PosteriorComparison

    Raises
    ------
    TypeError
        If the estimator has no latent distribution.
    ValueError
        If there are too few rows, or no distribution of z to compare with, as in an
        `AutoencoderTransformer`.

    See Also
    --------
    compare_rows : Compares generated rows with real ones.

    Notes
    -----
    The classifier is that of `compare_rows`. MMD uses at most 2,000 draws of each.

    References
    ----------
    .. [1] Lopez-Paz & Oquab (2017). Revisiting classifier two-sample tests. ICLR.
       https://arxiv.org/abs/1610.06545
    .. [2] Gretton et al. (2012). A kernel two-sample test. Journal of Machine Learning
       Research 13.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from skvae import VAETransformer
    >>> from skvae.inspection import compare_posterior_to_prior
    >>> X = load_iris().data
    >>> vae = VAETransformer(max_iter=50, tol=None, random_state=0).fit(X)
    >>> comparison = compare_posterior_to_prior(vae, X)
    >>> comparison.prior.components.shape
    (2,)
    """
    seed = seed_from(random_state)
    Z = draw_posterior(estimator, X, random_state=seed).astype(np.float64)
    if len(Z) < LEAST_ROWS:
        raise ValueError(
            f"X must have at least {LEAST_ROWS} rows. Got {len(Z)}. Give more rows."
        )
    model = estimator.module_
    priors = {"prior": model.prior, "sampler": model.sampler}
    found = {k: _distance(estimator, Z, p, seed) for k, p in priors.items()}
    if not any(found.values()):
        raise ValueError(
            "The estimator must have a distribution of z to compare with. Got "
            f"{type(estimator).__name__} without one. Pass a VAETransformer, or give "
            "it a sampler such as 'mixture'."
        )
    return PosteriorComparison(**found)


def _distance(
    estimator: Any, Z: np.ndarray, prior: Any, seed: int
) -> LatentDistance | None:
    """Return how far Z is from draws of a built prior; None without one."""
    drawn = prior and draw_from(estimator, prior, len(Z), seed)
    if drawn is None:
        return None
    is_coded = np.zeros(Z.shape[1], dtype=bool)
    columns = zip(Z.T, drawn.T, strict=True)
    step = slice(None, None, -(-len(Z) // MOST_ROWS))
    return LatentDistance(
        auc=two_sample_auc(Z, drawn, is_coded, seed),
        mmd=squared_mmd(Z[step], drawn[step]),
        components=np.array([column_distance(a, b, False) for a, b in columns]),
    )


def squared_mmd(a: np.ndarray, b: np.ndarray) -> float:
    """Return the unbiased squared MMD of two samples, (n, K) and (m, K)."""
    median = float(np.median(pdist(np.concatenate((a, b))))) or 1.0

    def mean(x: np.ndarray, y: np.ndarray, n_same: int) -> float:
        squares = euclidean_distances(x, y, squared=True) / median**2
        kernel = sum(np.exp(-0.5 * squares / w**2).sum() for w in WIDTHS) / len(WIDTHS)
        # Each row is at distance 0 from itself, where its kernel is 1.
        return float(kernel - n_same) / (len(x) * len(y) - n_same)

    return mean(a, a, len(a)) + mean(b, b, len(b)) - 2.0 * mean(a, b, 0)


def _line(name: str, found: LatentDistance) -> str:
    most = np.argsort(-found.components, kind="stable")[:3]
    said = ", ".join(f"{k} ({found.components[k]:.2f})" for k in most)
    return f"{name:10}{found.auc:8.3f}{found.mmd:10.4f}  {said}"
