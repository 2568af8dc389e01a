"""Components of which the first k suffice."""

import math
from typing import Any

import torch
import torch.nn.functional as F
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

MOST_AT_MEAN = 0.8
"""Largest fraction of rows that are decoded at their mean by default."""


class NestedDropout(Wrapper):
    r"""The first k components of a fit are nearly as good as a fit of k.

    Each row of a batch is decoded from its first b components, and the others are at
    their mean over the batch. Each number b = 1, ..., K is as frequent, or b has the
    geometric distribution

    .. math:: P(b = k) = (1 - \rho) \rho^{k - 1} \;\text{ for } k < K, \quad
        P(b = K) = \rho^{K - 1}

    of [1]_, section 3.2. The KL term of a row has the first b components too; with
    `IWAE`, whose KL term is inside its bound, only the decoder is truncated. Of its
    posterior mean a row moves component b alone, as if those before were known: they
    are as good as they can be without it. The components of the fitted model stay in
    their order. Pass the first k columns of `transform` to `inverse_transform` to
    decode them.

    Parameters
    ----------
    base : str or Objective, default="elbo"
        The loss of rows that are decoded from some of the components.
    rate : "uniform" or float, default="uniform"
        Chance :math:`\rho` of one component more, in [0, 1], or each number of
        components as often.

    Raises
    ------
    ValueError
        In `fit`: if a parameter is invalid, or the base changes the model.

    See Also
    --------
    skvae.VAETransformer.inverse_transform : Decodes the first components.

    Notes
    -----
    Batches are shuffled, so that b goes by the place of a row in its batch: batches of
    any size have each b as often as they should. Without a divergence per component,
    the KL term is that of all of them.

    Noise that is learned is shared by all numbers of components, and so greater than
    that of a fit of K, whose KL term would weigh as much less. Where the base decodes a
    fraction of the rows at their mean by default, here it is twice that fraction, but
    at most 0.8, and `beta` is 1 less that.

    What changes the model for its base, such as `Denoising`, goes around:
    ``Denoising(NestedDropout())``. Inside, it would encode the rows again, and lose
    which component a row moves.

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
    goes_inside = True
    orders_components = True

    def __init__(
        self, base: str | Objective = "elbo", rate: str | float = "uniform"
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
        return self._base.terms(_moving_last(view, batch, kept), batch, noise)

    def _kept(self, n_rows: int, noise: Tensor) -> Tensor:
        """Return which components each row keeps, (B, K)."""
        n_components = noise.shape[-1]
        place, component = (
            torch.arange(n, dtype=torch.float64, device=noise.device)
            for n in (n_rows, n_components)
        )
        is_uniform = isinstance(self.rate, str)
        chances = 1 - component / n_components if is_uniform else self.rate**component
        return ((place + 0.5) * GOLDEN % 1.0)[:, None] < chances

    def resolved(self, mean_fraction: float, shape: Shape | None = None) -> Objective:
        """Return the objective with the base resolved.

        Parameters
        ----------
        mean_fraction : float
            That of the base becomes twice as much, up to `MOST_AT_MEAN`.
        shape : Shape or None

        Returns
        -------
        objective : Objective
        """
        fraction = min(MOST_AT_MEAN, 2.0 * mean_fraction)
        return super().resolved(fraction, shape)

    def check(self) -> None:
        """Raise ValueError where a parameter is invalid."""
        super().check()
        if self.rate != "uniform":
            said = "'uniform' or a number in [0, 1]"
            require(self, "rate", lambda rate: 0 <= rate <= 1, said)


def _moving_last(model: Model, batch: Batch, kept: Tensor) -> Model:
    """Return a view whose rows move their posterior mean in the last component kept.

    Where a start can be linear, the first K outputs of the encoder are the means. What
    else is learned, such as standard deviations, moves with all that is kept.
    """
    view = model.having_encoded(batch)
    if model.posterior.has_linear_start:
        means, others = view.encode(batch).tensor_split([kept.shape[1]], dim=-1)
        is_last = kept & ~F.pad(kept[:, 1:], (0, 1))
        means = torch.where(is_last, means, means.detach())
        view.known = batch, torch.cat((means, others), dim=-1)
    return view


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
