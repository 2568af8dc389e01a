"""The posteriors of learned pseudo-inputs as p(z)."""

from numbers import Integral
from typing import Any

import torch
from torch import Tensor, nn

from skvae._sklearn import Interval
from skvae.priors._posterior import NormalParts
from skvae.priors._priors import Prior, PriorModel
from skvae.priors._rows import some_rows
from skvae.table import Rows


class VampPriorModel(PriorModel):
    """Equal parts of the posteriors of pseudo-inputs, built.

    These lie in the space of the encoder's inputs, with what it sees of missing cells.
    """

    def __init__(self, n_components: int, n_pseudo_inputs: int) -> None:
        super().__init__(n_components)
        self.n_pseudo_inputs = n_pseudo_inputs

    @property
    def width(self) -> int:
        return max(self.n_pseudo_inputs, self.n_components)

    def attach(self, model: Any) -> None:
        self.model = (model,)
        likelihood = model.likelihood
        n_inputs = likelihood.n_inputs + model.sees_missing * likelihood.n_features
        zeros = torch.zeros((self.n_pseudo_inputs, n_inputs), dtype=torch.float32)
        self.pseudo_inputs = nn.Parameter(zeros)

    @torch.no_grad()
    def start(self, rows: Rows) -> None:
        (model,) = self.model
        inputs = model.encoder_inputs(some_rows(model, rows, self.n_pseudo_inputs))
        # Of too few rows, some are taken more often.
        places = torch.arange(self.n_pseudo_inputs) % len(inputs)
        self.pseudo_inputs.copy_(inputs[places])

    def parts(self) -> NormalParts:
        """Return the posteriors of the pseudo-inputs, float64."""
        (model,) = self.model
        outputs = model.encoder(self.pseudo_inputs).double()
        return NormalParts(*model.posterior.moments(outputs))

    def log_prob(self, z: Tensor) -> Tensor:
        # In float64, since large squares cancel where posteriors are narrow.
        return self.parts().log_prob(z.double()).to(z.dtype)

    @torch.no_grad()
    def draw(self, n: int, generator: torch.Generator) -> Tensor:
        return self.parts().draw(n, generator)

    def moments(self) -> tuple[Tensor, Tensor]:
        mean, std = self.parts().moments()
        return mean.to(self.zeros), std.to(self.zeros)


class VampPrior(Prior):
    r"""A mixture of the posteriors of pseudo-inputs, which are learned.

    .. math:: p(z) = \tfrac1C \sum_c q(z \mid u_c)

    with C inputs :math:`u_c` of the encoder that are learned with the model ([1]_,
    equations 9 and 10): of all priors the aggregate posterior of the training rows
    gives the greatest bound, and this one can come close to it at the cost of C more
    rows in the encoder at each step. Training starts at C training rows; if there are
    fewer, some are there more than once. The divergence is estimated, and not known per
    component.

    Parameters
    ----------
    n_pseudo_inputs : int, default=500
        Number of pseudo-inputs, C.

    See Also
    --------
    Mixture : Clusters that rows belong to.
    AggregatePosterior : The posteriors of the training rows themselves, kept after
        training.

    References
    ----------
    .. [1] Tomczak & Welling (2018). VAE with a VampPrior. AISTATS.
       https://arxiv.org/abs/1705.07120

    Examples
    --------
    >>> VampPrior(n_pseudo_inputs=100)
    VampPrior(n_pseudo_inputs=100)
    """

    _parameter_constraints: dict = {
        "n_pseudo_inputs": [Interval(Integral, 1, None, closed="left")]
    }

    def __init__(self, n_pseudo_inputs: int = 500) -> None:
        self.n_pseudo_inputs = n_pseudo_inputs

    def build(self, n_components: int) -> VampPriorModel:
        self._validate_params()
        return VampPriorModel(n_components, self.n_pseudo_inputs)

    def check_as_sampler(self, prior: Prior) -> None:
        """Raise ValueError: pseudo-inputs are learned with the model alone.

        Parameters
        ----------
        prior : Prior
        """
        raise ValueError(
            "VampPrior can only be a prior: its pseudo-inputs are learned with the "
            "encoder. Got it as sampler. Use prior='vamp', or sampler='posterior'."
        )
