"""The module that ties encoder, decoder, likelihood and prior."""

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from skvae._random import Stream, generator
from skvae.likelihoods import Likelihood, LikelihoodModel
from skvae.networks import Decoder, Encoder
from skvae.priors import Prior, PriorModel


class Architecture(NamedTuple):
    """Everything needed to build a model again, weights and statistics apart."""

    n_features: int
    n_components: int
    hidden_layer_sizes: tuple[int, ...]
    activation: str
    linear_path: bool
    likelihood: Likelihood
    prior: Prior | None
    masks: bool = False
    """Whether the encoder is told which cells are missing."""

    def build(self, seed: int) -> "Model":
        """Return the model with weights drawn from `seed`, without statistics."""
        likelihood = self.likelihood.build(self.n_features)
        shared = (self.activation, self.linear_path)
        encoder = Encoder(
            likelihood.n_inputs + self.masks * self.n_features,
            self.n_components,
            self.hidden_layer_sizes,
            *shared,
            self.prior is not None,
            generator(seed, Stream.WEIGHTS, 0),
        )
        decoder = Decoder(
            self.n_components,
            likelihood.n_outputs,
            self.hidden_layer_sizes[::-1],
            *shared,
            generator(seed, Stream.WEIGHTS, 1),
        )
        prior = None if self.prior is None else self.prior.build(self.n_components)
        return Model(encoder, decoder, likelihood, prior, self.n_components, self.masks)


class Model(nn.Module):
    """Encoder, decoder, likelihood and prior; a plain autoencoder without a prior.

    `encode` and `decode` work in the coordinates of the user, in which components are
    ordered by what they carry and have a fixed sign. Training works in those of the
    networks, which never change, so that it can go on after components were ordered.

    Attributes
    ----------
    masks : bool
        Whether the encoder sees, after the likelihood's inputs, one column per column
        of `X` that is 1 where a cell is missing.
    may_miss : bool
        Whether NaN in rows is looked for, as a missing cell. False saves that time
        where it is known that there is none.
    """

    order: Tensor
    sign: Tensor

    def __init__(
        self,
        encoder: Encoder,
        decoder: Decoder,
        likelihood: LikelihoodModel,
        prior: PriorModel | None,
        n_components: int,
        masks: bool,
    ) -> None:
        super().__init__()
        self.masks = self.may_miss = masks
        self.encoder = encoder
        self.decoder = decoder
        self.likelihood = likelihood
        self.prior: Any = prior
        self.register_buffer("order", torch.arange(n_components))
        self.register_buffer("sign", torch.ones(n_components, dtype=torch.float32))

    def observed(self, x: Tensor) -> Tensor | None:
        """Return which cells are observed (B, D), or None where all are."""
        return ~torch.isnan(x) if self.may_miss else None

    def inputs(self, x: Tensor) -> Tensor:
        """Return what the encoder sees of rows, masks apart: (B, n_inputs)."""
        return self.likelihood.encoder_inputs(x, self.observed(x))

    def posterior(self, x: Tensor) -> tuple[Tensor, Any]:
        """Return (mean, log-variance) of q(z given x), network coordinates.

        Of a row without any observed cell it is the prior, a standard normal.
        """
        observed = self.observed(x)
        h = self.likelihood.encoder_inputs(x, observed)
        if self.masks:
            missing = torch.zeros_like(x) if observed is None else ~observed
            h = torch.cat((h, missing.to(h.dtype)), dim=-1)
        mean, log_var = self.encoder(h)
        if observed is None:
            return mean, log_var
        empty = ~observed.any(-1, keepdim=True)
        mean = mean.masked_fill(empty, 0.0)
        return mean, None if log_var is None else log_var.masked_fill(empty, 0.0)

    def log_prob(self, z: Tensor, x: Tensor) -> Tensor:
        """Return log p(observed cells of x given z), z in network coordinates."""
        return self.likelihood.log_prob(self.decoder(z), x, self.observed(x))

    def squared_error(self, z: Tensor, x: Tensor) -> Tensor:
        """Return the mean squared residual of each row's observed cells, (B,)."""
        squares = self.likelihood.residual(self.decoder(z), x).square()
        observed = self.observed(x)
        if observed is None:
            return squares.mean(-1)
        squares = torch.where(observed, squares, 0.0)
        return squares.sum(-1) / observed.sum(-1).clamp_min(1)

    def encode(self, x: Tensor) -> tuple[Tensor, Any]:
        """Return (mean, log-variance) of q(z given x), user coordinates."""
        mean, log_var = self.posterior(x)
        if log_var is not None:
            log_var = log_var[..., self.order]
        return mean[..., self.order] * self.sign, log_var

    def decode(self, z: Tensor) -> Tensor:
        """Return the likelihood's outputs for z in user coordinates."""
        return self.decoder(self.to_network(z))

    def to_network(self, z: Tensor) -> Tensor:
        """Return z in network coordinates from user coordinates."""
        return (z * self.sign)[..., torch.argsort(self.order)]

    def order_components(self, information: Tensor, moments: Tensor) -> None:
        """Order components by information, and orient them.

        Parameters
        ----------
        information : Tensor of shape (K,)
            What each component carries, network coordinates.
        moments : Tensor of shape (K, D)
            Covariance of each component with the encoder's inputs. The largest in
            magnitude becomes positive.
        """
        order = torch.argsort(information, descending=True, stable=True)
        largest = moments.gather(1, moments.abs().argmax(1, keepdim=True))[:, 0]
        self.order.copy_(order)
        self.sign.copy_(torch.where(largest < 0, -1.0, 1.0)[order])
