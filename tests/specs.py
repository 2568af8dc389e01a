"""Priors and objectives that several test files go through."""

from skvae.objectives import (
    ELBO,
    IWAE,
    MMD,
    RAE,
    Denoising,
    FreeBits,
    Neighbors,
    NestedDropout,
    TotalCorrelation,
)
from skvae.priors import (
    CategoricalLatents,
    Flow,
    Mixture,
    NoPrior,
    StandardNormal,
    VampPrior,
)

PRIORS = [
    StandardNormal(),
    Mixture(2),
    VampPrior(5),
    Flow(1, 8),
    CategoricalLatents(2),
    NoPrior(),
]
"""One of each kind; only `RAE` goes with the last."""

OBJECTIVES = [
    ELBO(),
    IWAE(2),
    IWAE(2, gradient="doubly_reparameterized"),
    Neighbors(n_neighbors=3, weight=1.0),
    FreeBits(),
    FreeBits(per="row"),
    MMD(),
    TotalCorrelation(),
    NestedDropout(),
    Denoising(),
    RAE(),
]
