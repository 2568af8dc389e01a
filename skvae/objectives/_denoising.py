"""Rows that the encoder sees with noise."""

import torch
from torch import Tensor, nn

from skvae._model import Model
from skvae._random import Stream, generator_from
from skvae.objectives._contract import OBJECTIVES, Objective, Terms, Wrapper
from skvae.schedules import require
from skvae.table import Batch


class Denoising(Wrapper):
    r"""The encoder sees rows with noise; the loss is that of the rows without.

    .. math:: \tilde h = h + s \epsilon, \quad \epsilon \sim \mathcal{N}(0, I)

    for what the encoder sees of the cells, h: with `"gaussian"` standardized columns.
    The encoder learns to answer rows like those of the fit, but with errors [1]_; with
    a bound it is the denoising variational autoencoder [2]_.

    Parameters
    ----------
    base : str or Objective, default="elbo"
        The loss.
    noise : float, default=0.3
        Standard deviation s of the noise.

    Raises
    ------
    ValueError
        In `fit`: if a parameter is invalid.

    See Also
    --------
    skvae.VAETransformer : Its `hidden_fraction` hides whole cells from the encoder.

    Notes
    -----
    The noise differs from step to step, and is part of the losses of held-out rows.
    Fitted models see rows as they are.

    References
    ----------
    .. [1] Vincent, Larochelle, Bengio & Manzagol (2008). Extracting and composing
       robust features with denoising autoencoders. ICML.
    .. [2] Im, Ahn, Memisevic & Bengio (2017). Denoising criterion for variational
       auto-encoding framework. AAAI. https://arxiv.org/abs/1511.06406

    Examples
    --------
    >>> Denoising(noise=0.1)
    Denoising(noise=0.1)
    """

    changes_model = True

    def __init__(self, base: str | Objective = "elbo", noise: float = 0.3) -> None:
        self.base = base
        self.noise = noise

    def terms(self, model: Model, batch: Batch, noise: Tensor) -> Terms:
        """Return the terms of the base, with noise in what the encoder sees.

        Parameters
        ----------
        model : Model
        batch : Batch
        noise : Tensor of shape (S, B, K)

        Returns
        -------
        terms : dict of str to Tensor of shape (B,) or ()
        """
        random = generator_from(noise, Stream.CORRUPTION)
        n_inputs = model.likelihood.n_inputs
        encoder = _Noisy(model.encoder, self.noise, n_inputs, random)
        return self._base.terms(model.with_parts(encoder=encoder), batch, noise)

    def check(self) -> None:
        """Raise ValueError where a parameter is invalid."""
        super().check()
        require(self, "noise", lambda noise: noise >= 0, "a number of at least 0")


class _Noisy(nn.Module):
    """An encoder that sees its first inputs with noise, the same at every call."""

    def __init__(
        self, encoder: nn.Module, scale: float, n_noisy: int, random: torch.Generator
    ) -> None:
        super().__init__()
        self.encoder, self.scale, self.n_noisy = encoder, scale, n_noisy
        self.seed = random.initial_seed()

    def forward(self, h: Tensor) -> Tensor:
        random = torch.Generator(device=h.device).manual_seed(self.seed)
        shape, device = (*h.shape[:-1], self.n_noisy), h.device
        noise = torch.randn(shape, generator=random, device=device, dtype=torch.float32)
        noisy = h[..., : self.n_noisy] + self.scale * noise.to(h)
        return self.encoder(torch.cat((noisy, h[..., self.n_noisy :]), dim=-1))


OBJECTIVES["denoising"] = Denoising
