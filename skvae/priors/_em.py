"""Mixtures of normal distributions, fitted by expectation-maximization."""

from typing import NamedTuple

import torch
from torch import Tensor

from skvae._random import Stream, generator

MOST_ITERATIONS, N_LLOYD = 200, 10
"""Iterations of expectation-maximization, and of k-means before."""

LEAST_GAIN = 1e-3
"""Rise of the mean log-likelihood below which the algorithm ends."""

LEAST_VARIANCE = 1e-4
"""What is added to variances, relative to their mean."""

LEAST_COUNT = 1e-10
"""What is added to the number of draws of a cluster, so that none has nothing."""


class Clusters(NamedTuple):
    """A mixture: fractions (C,), means (C, K), and covariances.

    These are (C, K, K), or (1, K, K) if they are the same.
    """

    fractions: Tensor
    means: Tensor
    covariances: Tensor

    def roots(self) -> Tensor:
        """Return upper triangular P with precisions P P^T, as many as covariances."""
        factors = torch.linalg.cholesky(self.covariances)
        eye = torch.eye(factors.shape[-1], dtype=factors.dtype).expand_as(factors)
        return torch.linalg.solve_triangular(factors, eye, upper=False).mT

    def log_prob(self, z: Tensor) -> Tensor:
        """Return log p(z, cluster), (n, C), up to a constant."""
        roots = self.roots()
        if len(roots) == 1:
            squares = torch.cdist(z @ roots[0], self.means @ roots[0]).square()
        else:
            scores = torch.einsum("nk,ckj->ncj", z, roots)
            offsets = torch.einsum("ck,ckj->cj", self.means, roots)
            squares = (scores - offsets).square().sum(-1)
        log_det = roots.diagonal(dim1=1, dim2=2).log().sum(-1)
        return self.fractions.log() + log_det - 0.5 * squares

    def score(self, z: Tensor) -> float:
        """Return the mean log-likelihood of draws z (n, K), up to a constant."""
        return float(self.log_prob(z).logsumexp(-1).mean())


def fit_clusters(z: Tensor, n_clusters: int, kind: str, seed: int) -> Clusters:
    """Return the mixture that expectation-maximization leads to, from k-means.

    Dempster, Laird & Rubin (1977), with regularized covariances.

    Parameters
    ----------
    z : Tensor of shape (n, K)
        Draws, float64.
    n_clusters : int
    kind : {"full", "tied"}
        Whether each cluster has a covariance of its own.
    seed : int
    """
    weights = _k_means(z, n_clusters, seed)
    before = -torch.inf
    for _ in range(MOST_ITERATIONS):
        clusters = _maximized(z, weights, kind)
        log_prob = clusters.log_prob(z)
        likely = float(log_prob.logsumexp(-1).mean())
        if likely - before < LEAST_GAIN:
            break
        weights, before = log_prob.softmax(-1), likely
    return clusters


def _maximized(z: Tensor, weights: Tensor, kind: str) -> Clusters:
    """Return the mixture that is most likely, given weights of the clusters (n, C)."""
    counts = weights.sum(0) + LEAST_COUNT
    means = weights.T @ z / counts[:, None]
    if kind == "tied":
        covariances = ((z.T @ z - (counts * means.T) @ means) / len(z))[None]
    else:
        products = (z[:, :, None] * z[:, None, :]).flatten(1)
        squares = (weights.T @ products).unflatten(1, (z.shape[1], z.shape[1]))
        covariances = squares / counts[:, None, None]
        covariances = covariances - means[:, :, None] * means[:, None, :]
    least = LEAST_VARIANCE * z.var(0).mean() * torch.eye(z.shape[1]).to(z)
    return Clusters(counts / counts.sum(), means, covariances + least)


def _k_means(z: Tensor, n_clusters: int, seed: int) -> Tensor:
    """Return which cluster each draw belongs to, as weights (n, C).

    From centers that are chosen one by one, with probabilities that grow with the
    squared distance from those before (Arthur & Vassilvitskii 2007).
    """
    random = generator(seed, Stream.SAMPLER, n_clusters)
    first = torch.randint(len(z), (1,), generator=random)
    centers, distances = z[first], torch.full((len(z),), torch.inf, dtype=z.dtype)
    for _ in range(1, n_clusters):
        distances = torch.minimum(distances, (z - centers[-1]).square().sum(-1))
        # Even where all draws are alike there is one to choose.
        chosen = torch.multinomial(distances + LEAST_COUNT, 1, generator=random)
        centers = torch.cat((centers, z[chosen]))
    for _ in range(N_LLOYD):
        nearest = torch.cdist(z, centers).argmin(1)
        weights = torch.nn.functional.one_hot(nearest, n_clusters).to(z)
        counts = weights.sum(0)[:, None]
        centers = torch.where(counts > 0.0, weights.T @ z / counts, centers)
    return weights
