"""p(z), and the families of q(z given x): distributions of latent variables."""

from skvae.priors._aggregate import Aggregate
from skvae.priors._categorical import CategoricalLatents
from skvae.priors._categories import NormalAndCategorical
from skvae.priors._flow import Flow
from skvae.priors._kept import AggregatePosterior
from skvae.priors._mixture import Mixture
from skvae.priors._names import PRIORS as PRIORS
from skvae.priors._names import SAMPLERS as SAMPLERS
from skvae.priors._names import as_prior as as_prior
from skvae.priors._names import as_sampler as as_sampler
from skvae.priors._posterior import Normal, Point, Posterior
from skvae.priors._posterior import bounded as bounded
from skvae.priors._posterior import bounded_backward as bounded_backward
from skvae.priors._priors import NoPrior, Prior, PriorModel, StandardNormal
from skvae.priors._vamp import VampPrior

__all__ = [
    "Aggregate",
    "AggregatePosterior",
    "CategoricalLatents",
    "Flow",
    "Mixture",
    "NoPrior",
    "Normal",
    "NormalAndCategorical",
    "Point",
    "Posterior",
    "Prior",
    "PriorModel",
    "StandardNormal",
    "VampPrior",
]
