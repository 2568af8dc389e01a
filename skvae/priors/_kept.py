"""The posteriors of training rows themselves as p(z)."""

from numbers import Integral
from typing import Any

import torch
from torch import Tensor

from skvae._sklearn import Interval, StrOptions
from skvae.priors._aggregate import Aggregate
from skvae.priors._posterior import NormalParts
from skvae.priors._priors import Prior, PriorModel

MOST_ROWS = 10_000
"""Most rows whose posteriors are kept."""


class AggregatePosteriorModel(PriorModel):
    """Equal parts of normal posteriors, built."""

    means: Tensor
    log_variances: Tensor

    def __init__(self, n_components: int, n_rows: int) -> None:
        super().__init__(n_components)
        zeros = torch.zeros((n_rows, n_components), dtype=torch.float32)
        self.register_buffer("means", zeros)
        self.register_buffer("log_variances", zeros.clone())

    @property
    def width(self) -> int:
        return max(self.means.shape)

    @property
    def parts(self) -> NormalParts:
        """The posteriors."""
        return NormalParts(self.means, self.log_variances)

    def attach(self, model: Any) -> None:
        raise ValueError(
            "AggregatePosterior can only be a sampler: it keeps the posteriors of a "
            "trained model. Got it as prior. Use sampler='posterior', or a prior that "
            "is learned in its place: prior='vamp'."
        )

    def log_prob(self, z: Tensor) -> Tensor:
        return self.parts.log_prob(z)

    def draw(self, n: int, generator: torch.Generator) -> Tensor:
        return self.parts.draw(n, generator)

    def moments(self) -> tuple[Tensor, Tensor]:
        return self.parts.moments()


class AggregatePosterior(Prior):
    r"""The posteriors of training rows, kept: the most exact of samplers.

    .. math:: p(z) = \tfrac1n \sum_i q(z \mid x_i)

    It can only be a sampler: it is what a model of z is fitted to, as far as it goes.
    The fitted model then contains what the encoder says of each of these rows, so that
    it should be shared only where the rows may be.

    Parameters
    ----------
    n_rows : "auto" or int, default="auto"
        Number of rows whose posteriors are kept. `"auto"`: all, but at most 10,000.

    References
    ----------
    .. [1] Tomczak & Welling (2018). VAE with a VampPrior. AISTATS, equation 9.
       https://arxiv.org/abs/1705.07120

    Examples
    --------
    >>> AggregatePosterior()
    AggregatePosterior()
    """

    _parameter_constraints: dict = {
        "n_rows": [StrOptions({"auto"}), Interval(Integral, 1, None, closed="left")]
    }

    def __init__(self, n_rows: str | int = "auto") -> None:
        self.n_rows = n_rows

    def build(self, n_components: int) -> AggregatePosteriorModel:
        n_rows = 1 if isinstance(self.n_rows, str) else self.n_rows
        return AggregatePosteriorModel(n_components, n_rows)

    def check_as_sampler(self, prior: Prior) -> None:
        """Raise ValueError where posteriors are not normal.

        Parameters
        ----------
        prior : Prior
        """
        if not prior.posterior.is_normal:
            raise ValueError(
                "sampler='posterior' requires a prior whose posterior is normal. Got "
                f"prior={prior!r}. Use sampler='mixture'."
            )

    def fitted(
        self, train: Aggregate, held_out: Aggregate, seed: int
    ) -> tuple[Prior, PriorModel]:
        """Return the spec with a number of rows, and the model that keeps them.

        Parameters
        ----------
        train, held_out : Aggregate
            Posteriors of rows, normal; those of the former are kept.
        seed : int

        Returns
        -------
        spec : AggregatePosterior
        model : PriorModel
        """
        self._validate_params()
        most = MOST_ROWS if isinstance(self.n_rows, str) else self.n_rows
        n_rows = min(most, train.n_rows)
        spec = AggregatePosterior(n_rows)
        model = spec.build(train.n_components)
        moments = train.posterior.moments(train.spread(n_rows))
        model.means, model.log_variances = (moment.float() for moment in moments)
        return spec, model
