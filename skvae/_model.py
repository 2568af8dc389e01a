"""The module that ties encoder, decoder, likelihood and prior."""

import copy
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor, nn

from skvae._random import Stream, generator
from skvae._threads import one_thread
from skvae.likelihoods import Likelihood, LikelihoodModel
from skvae.networks import Branches, Network
from skvae.priors import Posterior, Prior, PriorModel
from skvae.table import Batch


class Architecture(NamedTuple):
    """Everything needed to build a model again, parameters and statistics apart."""

    n_features: int
    n_components: int
    encoder: Network
    decoder: Network
    has_path: bool
    likelihood: Likelihood
    prior: Prior
    sees_missing: bool = False
    """Whether the encoder sees which cells are missing."""
    sampler: Prior | None = None
    """What was fitted to draws of z after training, if anything was."""

    @one_thread()
    def build(self, seed: int) -> "Model":
        """Return the model with parameters drawn from `seed`, without statistics."""
        likelihood = self.likelihood.build(self.n_features)
        posterior = self.prior.posterior
        has_path = self.has_path and posterior.has_linear_start
        seen = likelihood.input_columns
        if self.sees_missing:
            seen = torch.cat((seen, torch.arange(self.n_features)))
        encoder = Branches(
            self.encoder,
            len(seen),
            posterior.n_outputs(self.n_components),
            self.n_components * has_path,
            partial(generator, seed, Stream.PARAMETERS, 0),
            seen,
        )
        decoder = Branches(
            self.decoder,
            self.n_components,
            likelihood.n_outputs,
            likelihood.n_outputs * has_path,
            partial(generator, seed, Stream.PARAMETERS, 1),
            likelihood.output_columns,
        )
        prior = self.prior.build(self.n_components)
        parts = encoder, decoder, likelihood, prior, posterior, self.sees_missing
        model = Model(*parts)
        if self.sampler is not None:
            model.sampler = self.sampler.build(self.n_components)
        return model


class Model(nn.Module):
    """Encoder, decoder, likelihood and prior.

    Training works in the coordinates of the networks, which never change, so that it
    can go on after components were ordered. Users get coordinates in which components
    are ordered by the information that they carry and have a fixed sign.

    Attributes
    ----------
    sampler : PriorModel or None
        What was fitted to draws of z after training. Training never uses it.
    center : Tensor of shape (K,)
        Mean of z over the training rows, in the coordinates of the networks.
    sees_missing : bool
        Whether the encoder sees, after the likelihood's inputs, one column per column
        of `X` that is 1 where a cell is missing.
    """

    order: Tensor
    sign: Tensor
    center: Tensor
    known: tuple[Batch, Tensor] | None = None
    """A batch, and the encoder's outputs of it; of views that have encoded one."""

    def __init__(
        self,
        encoder: Branches,
        decoder: Branches,
        likelihood: LikelihoodModel,
        prior: PriorModel,
        posterior: Posterior,
        sees_missing: bool,
    ) -> None:
        super().__init__()
        self.encoder, self.decoder = encoder, decoder
        self.likelihood, self.prior = likelihood, prior
        self.posterior, self.sees_missing = posterior, sees_missing
        self.sampler: PriorModel | None = None
        n_components = prior.n_components
        self.register_buffer("order", torch.arange(n_components))
        self.register_buffer("sign", torch.ones(n_components, dtype=torch.float32))
        self.register_buffer("center", torch.zeros(n_components, dtype=torch.float32))
        prior.attach(self)

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        return self.sign.device

    @property
    def n_components(self) -> int:
        """Number of components, K."""
        return len(self.order)

    @property
    def width(self) -> int:
        """Most values of a row, or of a draw of z, that are computed together."""
        sizes = (size for parameter in self.parameters() for size in parameter.shape)
        parts = self.likelihood, self.fitted_prior, self.encoder, self.decoder
        return max(*(part.width for part in parts), *sizes)

    @property
    def work(self) -> int:
        """Number of parameters, times that of the places at which layers share them.

        About how many multiplications a row, or a draw of z, takes.
        """
        sizes = (size for parameter in self.parameters() for size in parameter.shape)
        n_parameters = sum(parameter.numel() for parameter in self.parameters())
        return n_parameters * self.width // max(sizes)

    @property
    def fitted_prior(self) -> PriorModel:
        """p(z) of a fitted model's answers: of its sampler, if it has one."""
        return self.prior if self.sampler is None else self.sampler

    @property
    def has_standard_z(self) -> bool:
        """Whether p(z) is standard normal and q(z given x) is normal."""
        return self.posterior.is_normal and self.prior.is_standard_normal

    def inputs(self, batch: Batch) -> Tensor:
        """Return what the encoder sees of the cells, (B, n_inputs)."""
        return self.likelihood.encoder_inputs(batch.x, batch.observed)

    def encoder_inputs(self, batch: Batch) -> Tensor:
        """Return what the encoder sees of the cells, and which are missing."""
        h = self.inputs(batch)
        if not self.sees_missing:
            return h
        if batch.observed is None:
            missing = torch.zeros_like(batch.x)
        else:
            missing = ~batch.observed
        return torch.cat((h, missing.to(h.dtype)), dim=-1)

    def encode(self, batch: Batch) -> Tensor:
        """Return the encoder's outputs, (B, n_outputs), which describe q(z given x)."""
        if self.known is not None and self.known[0] is batch:
            return self.known[1]
        outputs = self.encoder(self.encoder_inputs(batch))
        return self.with_empty_rows(outputs, batch)

    def having_encoded(self, batch: Batch) -> "Model":
        """Return a view of the model that encodes a batch now, and not again."""
        view = copy.copy(self)
        view.known = batch, self.encode(batch)
        return view

    def with_empty_rows(self, outputs: Tensor, batch: Batch) -> Tensor:
        """Return outputs that are nearest to the prior where no cell is observed."""
        if batch.empty is None:
            return outputs
        moments = (moment.to(outputs) for moment in self.prior.moments())
        return torch.where(batch.empty, self.posterior.outputs_of(*moments), outputs)

    def posterior_mean(self, batch: Batch) -> Tensor:
        """Return the mean of q(z given x), (B, K)."""
        return self.posterior.mean(self.encode(batch))

    def log_prob(self, z: Tensor, batch: Batch) -> Tensor:
        """Return log p(observed cells given z), (..., B), of z (..., B, K)."""
        return self.likelihood.log_prob(self.decoder(z), batch.x, batch.observed)

    def squared_error(self, batch: Batch) -> Tensor:
        """Return the mean squared residual of each row's observed cells, (B,).

        Rows are decoded at their posterior mean.
        """
        return self.squared_residual(self.decoder(self.posterior_mean(batch)), batch)

    def squared_residual(self, outputs: Tensor, batch: Batch) -> Tensor:
        """Return the mean squared residual from outputs of rows' observed cells, (B,).

        Parameters
        ----------
        outputs : Tensor of shape (B, n_outputs) or (n_outputs,)
        batch : Batch
        """
        observed = batch.observed
        if observed is None:
            return self.likelihood.residual(outputs, batch.x).square().mean(-1)
        x = self.likelihood.fill(batch.x, observed)
        squares = self.likelihood.residual(outputs, x).square()
        return torch.where(observed, squares, 0.0).sum(-1) / observed.sum(-1).clamp_min(
            1
        )

    def with_parts(self, **modules: nn.Module) -> "Model":
        """Return a view of the model in which some modules are others."""
        view = copy.copy(self)
        view._modules = {**self._modules, **modules}
        if "encoder" in modules:
            view.known = None
        return view

    # The user's coordinates

    def to_user(self, z: Tensor) -> Tensor:
        """Return z in the coordinates of the user from those of the networks."""
        return z[..., self.order] * self.sign

    def to_network(self, z: Tensor) -> Tensor:
        """Return z in the coordinates of the networks from those of the user."""
        return (z * self.sign)[..., torch.argsort(self.order)]

    def order_components(self, information: Tensor, moments: Tensor) -> None:
        """Order components by information, and orient them.

        Columns of categorical variables stay last, as they are.

        Parameters
        ----------
        information : Tensor of shape (K,)
            What each component carries, in the coordinates of the networks.
        moments : Tensor of shape (K, n_inputs)
            Covariance of each component with the encoder's inputs. The largest in
            magnitude becomes positive.
        """
        n_real = self.posterior.n_real(self.n_components)
        order = torch.argsort(information[:n_real], descending=True, stable=True)
        moments = moments[:n_real]
        largest = moments.gather(1, moments.abs().argmax(1, keepdim=True))[:, 0]
        self.order[:n_real].copy_(order)
        self.sign[:n_real].copy_(torch.where(largest < 0, -1.0, 1.0)[order])
