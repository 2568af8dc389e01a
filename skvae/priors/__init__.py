"""p(z), and the families of q(z given x): distributions of latent variables."""

from skvae.priors._posterior import Normal, Point, Posterior
from skvae.priors._posterior import bounded as bounded
from skvae.priors._posterior import bounded_backward as bounded_backward
from skvae.priors._priors import (
    PRIORS as PRIORS,
)
from skvae.priors._priors import (
    NoPrior,
    Prior,
    PriorModel,
    StandardNormal,
)
from skvae.priors._priors import (
    as_prior as as_prior,
)

__all__ = [
    "NoPrior",
    "Normal",
    "Point",
    "Posterior",
    "Prior",
    "PriorModel",
    "StandardNormal",
]
