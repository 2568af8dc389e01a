"""Mixtures of normal distributions as p(z)."""

import math
from collections.abc import Iterator
from numbers import Integral
from typing import Any

import torch
from torch import Tensor, nn

from skvae._sklearn import Interval, StrOptions
from skvae.priors._aggregate import Aggregate
from skvae.priors._em import Clusters, fit_clusters
from skvae.priors._posterior import Posterior
from skvae.priors._priors import Prior, PriorModel
from skvae.priors._rows import aggregate_of
from skvae.table import Rows

N_CLUSTERS = 10
"""Number of clusters of a prior, which cannot be chosen by its fit, by default."""

N_STARTS = 4
"""Starts of expectation-maximization for a prior, the best of which counts."""

MOST_CLUSTERS = 128
"""Most clusters that are tried."""

FACTORS = {"full": 2, "tied": 4}
"""By how much more clusters are tried next, for each type of covariance."""

LEAST_ROWS_PER_CLUSTER = 5
"""Fewer rows do not tell where a cluster is."""


class MixtureModel(PriorModel):
    r"""A mixture of normal distributions, built.

    The precision of cluster c is :math:`P_c P_c^T`, where :math:`P_c` is upper
    triangular: of `factors` what lies above the diagonal, and on it their exponentials.
    There are as many factors as clusters, or one that these share. The fractions of the
    clusters are the softmax of `logits`.
    """

    # Clusters show once the encoder has unfolded the rows.
    refits_at = 0.4

    def __init__(self, n_components: int, n_clusters: int, n_factors: int) -> None:
        super().__init__(n_components)
        self.logits = nn.Parameter(torch.zeros(n_clusters, dtype=torch.float32))
        zeros = torch.zeros((n_clusters, n_components), dtype=torch.float32)
        self.means = nn.Parameter(zeros)
        shape = n_factors, n_components, n_components
        self.factors = nn.Parameter(torch.zeros(shape, dtype=torch.float32))

    @property
    def width(self) -> int:
        return self.means.numel()

    def attach(self, model: Any) -> None:
        self.model = (model,)

    @torch.no_grad()
    def start(self, rows: Rows) -> None:
        self.refit(aggregate_of(*self.model, rows))

    @torch.no_grad()
    def refit(self, rows: Aggregate) -> None:
        z, n_clusters = rows.some_draws(seed=0), len(self.means)
        kind = "full" if len(self.factors) == n_clusters else "tied"
        tried = [fit_clusters(z, n_clusters, kind, seed) for seed in range(N_STARTS)]
        self.set_clusters(max(tried, key=lambda clusters: clusters.score(z)))

    def set_clusters(self, clusters: Clusters) -> None:
        """Set parameters in place."""
        self.logits.copy_(clusters.fractions.log())
        self.means.copy_(clusters.means)
        roots = clusters.roots()
        scales = roots.diagonal(dim1=-2, dim2=-1)
        self.factors.copy_(roots + torch.diag_embed(scales.log() - scales))

    def roots(self) -> Tensor:
        """Return the upper triangular roots of the precisions, (C, K, K)."""
        scales = torch.exp(self.factors.diagonal(dim1=1, dim2=2))
        roots = self.factors.triu(1) + torch.diag_embed(scales)
        return roots.expand(len(self.means), -1, -1)

    def cluster_log_prob(self, z: Tensor) -> Tensor:
        """Return log p(z, cluster), (..., C)."""
        roots, (n_clusters, n_components) = self.roots(), self.means.shape
        flat = roots.transpose(0, 1).reshape(n_components, -1)
        offsets = torch.einsum("ck,ckj->cj", self.means, roots)
        scores = (z @ flat).unflatten(-1, (n_clusters, n_components)) - offsets
        log_det = self.factors.diagonal(dim1=1, dim2=2).sum(-1)
        constant = 0.5 * n_components * math.log(2 * math.pi)
        log_fractions = self.logits.log_softmax(0)
        return log_fractions + log_det - constant - 0.5 * scores.square().sum(-1)

    def log_prob(self, z: Tensor) -> Tensor:
        return self.cluster_log_prob(z).logsumexp(-1)

    def cluster_probabilities(
        self, posterior: Posterior, outputs: Tensor, noise: Tensor
    ) -> Tensor:
        z = posterior.draw(outputs, noise)
        return self.cluster_log_prob(z).softmax(-1).mean(0)

    def draw(self, n: int, generator: torch.Generator) -> Tensor:
        fractions = self.logits.double().softmax(0)
        clusters = torch.multinomial(fractions, n, True, generator=generator)
        noise = torch.randn(
            (n, self.n_components, 1),
            generator=generator,
            dtype=torch.float64,
            device=generator.device,
        )
        # Of the precision P P^T, the covariance has the factor P^-T.
        roots = self.roots().double().mT[clusters]
        steps = torch.linalg.solve_triangular(roots, noise, upper=False)
        return self.means.double()[clusters] + steps[..., 0]

    def moments(self) -> tuple[Tensor, Tensor]:
        fractions = self.logits.softmax(0)[:, None]
        eye = torch.diag_embed(torch.ones_like(self.zeros)).to(self.factors)
        roots = torch.linalg.solve_triangular(self.roots().mT, eye, upper=False)
        mean = (fractions * self.means).sum(0)
        squares = roots.square().sum(-1) + (self.means - mean).square()
        return mean, (fractions * squares).sum(0).sqrt()


class Mixture(Prior):
    r"""A mixture of normal distributions.

    .. math:: p(z) = \sum_c \pi_c \, \mathcal{N}(z; m_c, S_c)

    As a sampler it is fitted to draws from the posteriors of the training rows by
    expectation-maximization, after training [1]_, as
    :class:`sklearn.mixture.GaussianMixture` would be.

    As a prior it is learned with the model ([2]_, equation 9), and clusters the rows:
    `predict` gives the cluster of a row, `predict_proba` the probability of each.
    Before training and once more after 0.4 of `max_iter` epochs, it is set to the
    clusters that expectation-maximization finds in such draws: gradients alone seldom
    move a cluster from where rows were to where the encoder has moved them, and
    clusters without rows stay without. The divergence is estimated, and not known per
    component. Where clusters are what is sought, the objective
    :class:`~skvae.objectives.Neighbors` makes them far easier to find.

    Parameters
    ----------
    n_clusters : "auto" or int, default="auto"
        Number of normal distributions. `"auto"`: for a sampler, as many as make draws
        from the posteriors of held-out rows most likely, of 1 and more, each twice (or
        with `"tied"` four times) the number before, up to 128; for a prior 10.
    covariance_type : {"auto", "full", "tied"}, default="auto"
        `"full"`: each cluster has a covariance of its own; `"tied"`: all have the same,
        so that there may be more of them. `"auto"`: for a sampler, the one under which
        these draws are more likely; for a prior `"full"`.

    See Also
    --------
    VampPrior : Many more, but smaller, clusters.

    References
    ----------
    .. [1] Ghosh, Sajjadi, Vergari, Black & Schölkopf (2020). From variational to
       deterministic autoencoders. ICLR, section 4.
       https://arxiv.org/abs/1903.12436
    .. [2] Jiang, Zheng, Tan, Tang & Zhou (2017). Variational deep embedding: an
       unsupervised and generative approach to clustering. IJCAI.
       https://arxiv.org/abs/1611.05148

    Examples
    --------
    >>> Mixture(n_clusters=8)
    Mixture(n_clusters=8)
    """

    _parameter_constraints: dict = {
        "n_clusters": [
            StrOptions({"auto"}),
            Interval(Integral, 1, None, closed="left"),
        ],
        "covariance_type": [StrOptions({"auto", *FACTORS})],
    }

    has_clusters = True

    def __init__(
        self, n_clusters: str | int = "auto", covariance_type: str = "auto"
    ) -> None:
        self.n_clusters = n_clusters
        self.covariance_type = covariance_type

    def build(self, n_components: int) -> MixtureModel:
        self._validate_params()
        given = self.n_clusters
        n_clusters = N_CLUSTERS if isinstance(given, str) else given
        n_factors = 1 if self.covariance_type == "tied" else n_clusters
        return MixtureModel(n_components, n_clusters, n_factors)

    @torch.no_grad()
    def fitted(
        self, train: Aggregate, held_out: Aggregate, seed: int
    ) -> tuple[Prior, PriorModel]:
        self._validate_params()
        z, checked = (rows.some_draws(seed) for rows in (train, held_out))
        kind, is_any = self.covariance_type, self.covariance_type == "auto"
        tried = [
            each
            for one in (FACTORS if is_any else (kind,))
            for each in self._try(one, z, checked, train.n_rows, seed)
        ]
        _, spec, model = max(tried, key=lambda each: each[0])
        return spec, model

    def _try(
        self, kind: str, z: Tensor, checked: Tensor, n_rows: int, seed: int
    ) -> Iterator[tuple[float, Prior, PriorModel]]:
        """Yield mixtures with how likely other draws are, while they become more so."""
        before = -math.inf
        for n_clusters in self._numbers(kind, n_rows):
            model = _fit(z, n_clusters, kind, seed)
            likely = float(model.log_prob(checked.float()).mean())
            yield likely, Mixture(n_clusters, kind), model
            if likely < before:
                break
            before = likely

    def _numbers(self, kind: str, n_rows: int) -> list[int]:
        """Return the numbers of clusters to try, given that of the rows."""
        if not isinstance(self.n_clusters, str):
            return [self.n_clusters]
        most = max(1, min(MOST_CLUSTERS, n_rows // LEAST_ROWS_PER_CLUSTER))
        powers = range(int(math.log(most, FACTORS[kind])) + 1)
        return [FACTORS[kind] ** power for power in powers]


def _fit(z: Tensor, n_clusters: int, kind: str, seed: int) -> MixtureModel:
    """Return a mixture fitted to draws of z, (n, K), float64."""
    clusters = fit_clusters(z, n_clusters, kind, seed)
    model = Mixture(n_clusters, kind).build(z.shape[1])
    model.set_clusters(clusters)
    return model
