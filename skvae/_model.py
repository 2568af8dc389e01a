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

    def build(self, seed: int) -> "Model":
        """Return the model with weights drawn from `seed`, without statistics."""
        likelihood = self.likelihood.build(self.n_features)
        shared = (self.activation, self.linear_path)
        encoder = Encoder(
            self.n_features,
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
        return Model(encoder, decoder, likelihood, prior, self.n_components)


class Model(nn.Module):
    """Encoder, decoder, likelihood and prior; a plain autoencoder without a prior.

    `encode` and `decode` work in the coordinates of the user, in which components are
    ordered by what they carry and have a fixed sign. Training works in those of the
    networks, which never change, so that it can go on after components were ordered.
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
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.decoder = decoder
        self.likelihood = likelihood
        self.prior: Any = prior
        self.register_buffer("order", torch.arange(n_components))
        self.register_buffer("sign", torch.ones(n_components, dtype=torch.float32))

    def posterior(self, x: Tensor) -> tuple[Tensor, Any]:
        """Return (mean, log-variance) of q(z given x), network coordinates."""
        return self.encoder(self.likelihood.encoder_inputs(x))

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
