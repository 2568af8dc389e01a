"""Names of priors and samplers."""

from skvae.priors._flow import Flow
from skvae.priors._kept import AggregatePosterior
from skvae.priors._mixture import Mixture
from skvae.priors._priors import Prior, StandardNormal
from skvae.priors._vamp import VampPrior

PRIORS: dict[str, type[Prior]] = {
    "normal": StandardNormal,
    "mixture": Mixture,
    "vamp": VampPrior,
    "flow": Flow,
}
"""Names of priors."""

SAMPLERS: dict[str, type[Prior]] = {
    "mixture": Mixture,
    "posterior": AggregatePosterior,
}
"""Names of what can be fitted to draws of z after training."""


def as_prior(value: str | Prior) -> Prior:
    """Return a prior spec from a spec or a name."""
    return PRIORS[value]() if isinstance(value, str) else value


def as_sampler(value: str | Prior) -> Prior:
    """Return the spec of a sampler from a spec or a name."""
    return SAMPLERS[value]() if isinstance(value, str) else value
