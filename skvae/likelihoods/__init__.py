r"""p(x given z): what a column is, how it is encoded, scored and drawn.

A *spec* such as `Gaussian()` is what a user passes as `likelihood=`; it holds
parameters only. Its `build` gives a *model*, a `torch.nn.Module` that owns everything
about the columns of `X`: their domain, their statistics, what the encoder sees, the
log-density of a row under the decoder's outputs, and draws. Inside, `x` is in *model
units*, which `prepare` makes of `X`; answers to users are in the units of `X`.
"""

from typing import Any

from skvae.likelihoods._bernoulli import Bernoulli
from skvae.likelihoods._contract import Likelihood, LikelihoodModel
from skvae.likelihoods._gaussian import Gaussian

__all__ = ["Bernoulli", "Gaussian", "Likelihood", "LikelihoodModel"]

LIKELIHOODS: dict[str, type[Likelihood]] = {
    "bernoulli": Bernoulli,
    "gaussian": Gaussian,
}


def as_likelihood(value: Any) -> Likelihood:
    """Return a likelihood spec from a spec or the name of one."""
    return LIKELIHOODS[value]() if isinstance(value, str) else value
