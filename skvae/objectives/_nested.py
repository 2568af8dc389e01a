"""Components of which the first k suffice."""

import math
from typing import Any

import torch
from torch import Tensor, nn

from skvae._model import Model
from skvae.objectives._contract import (
    OBJECTIVES,
    Objective,
    Shape,
    Terms,
    Wrapper,
    fractions,
)
from skvae.priors import Posterior, PriorModel
from skvae.schedules import require
from skvae.table import Batch

GOLDEN = 0.5 * (math.sqrt(5.0) - 1.0)
"""Multiples of it, modulo 1, fill [0, 1] evenly, however many there are."""


class NestedDropout(Wrapper):
    r"""The first k components of a fit are as good as a fit of k.

    Each row of a batch is decoded from its first b components, and the others are at
    their mean over the batch. The number b has the geometric distribution

    .. math:: P(b = k) = (1 - \rho) \rho^{k - 1} \;\text{ for } k < K, \quad
        P(b = K) = \rho^{K - 1}

    [1]_, section 3.2. The KL term of a row has the first b components too, so that the
    loss is a mean of those of fits of 1, 2, ..., K components; with `IWAE`, whose KL
    term is inside its bound, only the decoder is truncated. The components of the
    fitted model stay in their order. Pass the first k columns of `transform` to
    `inverse_transform` to decode them.

    Parameters
    ----------
    base : str or Objective, default="elbo"
        The loss of rows that are decoded from some of the components.
    rate : "auto" or float, default="auto"
        Chance :math:`\rho` of one component more, in [0, 1]. `"auto"`:
        :math:`K^{-1 / (K - 1)}`, so that one row of K keeps all components.

    Raises
    ------
    ValueError
        In `fit`: if a parameter is invalid.

    See Also
    --------
    skvae.VAETransformer.inverse_transform : Decodes the first components.

    Notes
    -----
    Batches are shuffled, so that b goes by the place of a row in its batch: batches of
    any size have each b as often as they should. Without a divergence per component,
    the KL term is that of all of them.

    Each number of components trains on a fraction of the rows only, and noise that is
    learned is shared by all of them: a fit takes more epochs than one of K components.
    A larger `rate` reconstructs better from many components, and less well from few.

    References
    ----------
    .. [1] Rippel, Gelbart & Adams (2014). Learning ordered representations with nested
       dropout. ICML. https://arxiv.org/abs/1402.0915

    Examples
    --------
    >>> NestedDropout(rate=0.8)
    NestedDropout(rate=0.8)
    """

    changes_model = True
    orders_components = True

    def __init__(
        self, base: str | Objective = "elbo", rate: str | float = "auto"
    ) -> None:
        self.base = base
        self.rate: Any = rate

    def terms(self, model: Model, batch: Batch, noise: Tensor) -> Terms:
        """Return the terms of the base for rows with some of their components.

        Parameters
        ----------
        model : Model
        batch : Batch
        noise : Tensor of shape (S, B, K)

        Returns
        -------
        terms : dict of str to Tensor of shape (B,) or ()
        """
        kept = self._kept(len(batch), noise)
        decoder = _Truncated(model.decoder, kept, fractions(batch))
        prior = _TruncatedPrior(model.prior, kept)
        view = model.with_parts(decoder=decoder, prior=prior)
        return self._base.terms(view, batch, noise)

    def _kept(self, n_rows: int, noise: Tensor) -> Tensor:
        """Return which components each row keeps, (B, K)."""
        n_components = noise.shape[-1]
        is_auto = isinstance(self.rate, str)
        rate = _rate(n_components) if is_auto else self.rate
        place, component = (
            torch.arange(n, dtype=torch.float64, device=noise.device)
            for n in (n_rows, n_components)
        )
        return ((place + 0.5) * GOLDEN % 1.0)[:, None] < rate**component

    def resolved(self, mean_fraction: float, shape: Shape | None = None) -> Objective:
        """Return the objective with numbers in place of "auto".

        Parameters
        ----------
        mean_fraction : float
        shape : Shape or None
            Has the number of components.

        Returns
        -------
        objective : Objective
        """
        resolved = super().resolved(mean_fraction, shape)
        if shape is None or not isinstance(self.rate, str):
            return resolved
        return resolved.set_params(rate=_rate(shape.n_components))

    def check(self) -> None:
        """Raise ValueError where a parameter is invalid."""
        super().check()
        if self.rate != "auto":
            said = "'auto' or a number in [0, 1]"
            require(self, "rate", lambda rate: 0 <= rate <= 1, said)


def _rate(n_components: int) -> float:
    """Return the chance of one component more of which 1 row of K keeps all."""
    return float(n_components ** (-1.0 / max(1, n_components - 1)))


class _Truncated(nn.Module):
    """A decoder to which components that a row does not keep are at their mean."""

    def __init__(self, decoder: nn.Module, kept: Tensor, fractions: Tensor) -> None:
        super().__init__()
        self.decoder, self.kept, self.fractions = decoder, kept, fractions

    def forward(self, z: Tensor) -> Tensor:
        mean = (self.fractions[:, None] * z).sum(-2, keepdim=True)
        return self.decoder(torch.where(self.kept, z, mean))


class _TruncatedPrior(PriorModel):
    """A prior whose divergence counts the components that a row keeps."""

    def __init__(self, prior: PriorModel, kept: Tensor) -> None:
        super().__init__(prior.n_components)
        self.prior, self.kept = prior, kept

    def log_prob(self, z: Tensor) -> Tensor:
        return self.prior.log_prob(z)

    def draw(self, n: int, generator: torch.Generator) -> Tensor:
        return self.prior.draw(n, generator)

    def draw_from(self, noise: Tensor) -> Tensor:
        return self.prior.draw_from(noise)

    def kl(self, posterior: Posterior, outputs: Tensor, z: Tensor) -> Tensor:
        each = self.kl_per_component(posterior, outputs)
        return self.prior.kl(posterior, outputs, z) if each is None else each.sum(-1)

    def kl_per_component(self, posterior: Posterior, outputs: Tensor) -> Tensor | None:
        each = self.prior.kl_per_component(posterior, outputs)
        return None if each is None else each * self.kept

    def moments(self) -> tuple[Tensor, Tensor]:
        return self.prior.moments()


OBJECTIVES["nested_dropout"] = NestedDropout
