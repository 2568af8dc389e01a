"""The gradient of a batch's loss: by autograd, or written out for perceptrons.

Both give the same to rounding. For a small network autograd's records cost more than
its products; the written-out step makes products and little else, in place.
"""

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from skvae._model import Model
from skvae.networks import WrittenNetwork
from skvae.objectives import Objective
from skvae.priors import bounded, bounded_backward
from skvae.table import Batch
from skvae.training._state import FlatParameters

PIECE_ROWS = 1024
"""Rows whose gradient a CPU computes at once: few enough to stay in its cache."""


class AutogradStep:
    """The gradient of any objective of any model.

    Parameters
    ----------
    model : Model
    objective : Objective
    parameters : FlatParameters
        Of that model; `parameters.gradient` takes what a call gives.
    """

    records = True
    """Whether torch has to record operations."""

    def __init__(
        self, model: Model, objective: Objective, parameters: FlatParameters
    ) -> None:
        self.model, self.objective = model, objective
        self.gradient = parameters.gradient

    def __call__(self, batch: Batch, noise: Tensor, weights: Sequence[Any]) -> Tensor:
        """Set the gradient of the summed loss; return the sum of each term, (T,).

        Parameters
        ----------
        batch : Batch
        noise : Tensor of shape (S, B, K)
        weights : sequence of T numbers, or tensors of shape ()
            Of the terms, in the order of the objective's names.
        """
        self.gradient.zero_()
        terms = self.objective.stacked_terms(self.model, batch, noise)
        sums = terms @ batch.weights
        sum(w * s for w, s in zip(weights, sums, strict=True)).backward()
        return sums.detach()


class WrittenStep:
    """Base of the steps whose gradient is written out.

    For perceptrons; the likelihood is any. To be called where torch records no
    gradients, best in inference mode.

    Parameters
    ----------
    model : Model
        A call sets `grad` of its parameters.
    objective : Objective
    """

    records = False

    def __init__(self, model: Model, objective: Objective) -> None:
        self.model, self.objective = model, objective
        self.likelihood = model.likelihood
        self.encoder = WrittenNetwork(model.encoder)
        self.decoder = WrittenNetwork(model.decoder)
        learned = (p for p in model.likelihood.parameters() if p.requires_grad)
        self.likelihood_gradients: list[Any] = [p.grad for p in learned]

    @staticmethod
    def knows(model: Model) -> bool:
        """Return whether the step holds for the prior and the posterior of a model."""
        return model.has_standard_z

    def __call__(self, batch: Batch, noise: Tensor, weights: Sequence[Any]) -> Tensor:
        """Set the gradient as `AutogradStep` does."""
        for gradient in self.likelihood_gradients:
            gradient.zero_()
        noise = self.objective.noise_at(noise)
        n_rows = PIECE_ROWS // len(noise)
        if len(batch) <= n_rows or batch.x.device.type != "cpu":
            return self._piece(batch, noise, weights, adds=False)
        pieces = zip(batch.split(n_rows), noise.split(n_rows, dim=1), strict=True)
        sums = [
            self._piece(*piece, weights, adds=i > 0) for i, piece in enumerate(pieces)
        ]
        return torch.stack(sums).sum(0)

    def _piece(
        self, batch: Batch, noise: Tensor, weights: Sequence[Any], adds: bool
    ) -> Tensor:
        outputs = self.encoder.forward(self.model.encoder_inputs(batch))
        outputs = self.model.with_empty_rows(outputs, batch)
        terms, gradient = self._terms(outputs, batch, noise, weights, adds)
        if batch.empty is not None:
            gradient.masked_fill_(batch.empty, 0.0)
        self.encoder.backward(gradient, adds)
        return terms @ batch.weights

    def _terms(
        self, outputs: Tensor, batch: Batch, noise: Tensor, weights: Any, adds: bool
    ) -> tuple[Tensor, Tensor]:
        """Return the terms of each row, (T, B), and the gradient by the outputs."""
        raise NotImplementedError

    def _backward(self, outer: Tensor, adds: bool) -> Tensor:
        """Return the gradient by z (B, K) from that by the decoder's outputs."""
        inner = self.decoder.backward(outer, adds)
        return self.decoder.to_inputs(outer, inner)


class ReconstructionStep(WrittenStep):
    """The gradient of a plain autoencoder's loss."""

    @staticmethod
    def knows(model: Model) -> bool:
        """Return whether z is a function of the row."""
        return not model.posterior.is_random

    def _terms(
        self, outputs: Tensor, batch: Batch, noise: Tensor, weights: Any, adds: bool
    ) -> tuple[Tensor, Tensor]:
        """Return the loss of each row, (1, B), and the gradient by the outputs."""
        loss, outer = self.likelihood.loss_and_gradient(
            self.decoder.forward(outputs), batch.x, batch.weights, batch.observed
        )
        return loss[None], self._backward(outer, adds)


class ELBOStep(WrittenStep):
    """The gradient of the evidence lower bound, for a standard normal prior."""

    def _terms(
        self, outputs: Tensor, batch: Batch, noise: Tensor, weights: Any, adds: bool
    ) -> tuple[Tensor, Tensor]:
        """Return loss and KL of each row, (2, B), and the gradient by the outputs."""
        mean, unbounded = outputs.chunk(2, dim=-1)
        log_variance = bounded(unbounded)
        deviation = torch.exp(0.5 * log_variance).mul_(noise[0])
        loss, outer = self.likelihood.loss_and_gradient(
            self.decoder.forward(mean + deviation),
            batch.x,
            batch.weights,
            batch.observed,
        )
        gradient = self._backward(outer, adds)
        # Gradients of the KL term of Kingma & Welling (2013), appendix B.
        scale = (batch.weights * weights[1])[:, None]
        excess = torch.expm1(log_variance)
        spread = deviation.mul_(gradient).addcmul_(scale, excess).mul_(0.5)
        spread = bounded_backward(spread, unbounded)
        gradient = gradient.addcmul_(scale, mean)
        kl = excess.addcmul_(mean, mean).sub_(log_variance).sum(-1)
        terms = torch.stack((loss, kl.mul_(0.5)))
        return terms, torch.cat((gradient, spread), dim=-1)


class IWAEStep(WrittenStep):
    """The gradient of the importance-weighted bound, for a standard normal prior."""

    def _terms(
        self, outputs: Tensor, batch: Batch, noise: Tensor, weights: Any, adds: bool
    ) -> tuple[Tensor, Tensor]:
        mean, unbounded = outputs.chunk(2, dim=-1)
        log_variance = bounded(unbounded)
        deviation = torch.exp(0.5 * log_variance) * noise
        z = mean + deviation
        log_ratio = (noise.square() - z.square() + log_variance).sum(-1).mul_(0.5)
        decoded = self.decoder.forward(z.flatten(0, 1))
        log_p = self.likelihood.log_prob(
            decoded.unflatten(0, z.shape[:2]), batch.x, batch.observed
        )
        log_weights = log_p + log_ratio
        bound = torch.logsumexp(log_weights, 0) - math.log(len(z))
        shares = log_weights.softmax(0) * batch.weights
        import os
        R = int(os.environ.get("RES", 0))
        if R:
            g = torch.Generator().manual_seed(int(log_weights[0, 0].item() * 1e6) % 2**31)
            chosen = torch.multinomial(log_weights.softmax(0).T, R, True, generator=g).T  # (R,B)
            rows = (chosen * len(batch) + torch.arange(len(batch))).flatten()
            self.decoder.before = [h[rows] for h in self.decoder.before]
            self.decoder.after = [h[rows] for h in self.decoder.after]
            z, deviation = z.flatten(0, 1)[rows].unflatten(0, (R, -1)), deviation.flatten(0, 1)[rows].unflatten(0, (R, -1))
            shares = (batch.weights / R).expand(R, -1)
            decoded = decoded[rows]
        n = len(z)
        observed = None if batch.observed is None else batch.observed.repeat(n, 1)
        _, outer = self.likelihood.loss_and_gradient(
            decoded, batch.x.repeat(n, 1), shares.flatten(), observed
        )
        gradient = self._backward(outer, adds).view_as(z)
        gradient = gradient.addcmul_(shares[..., None], z)
        own = batch.weights[:, None]
        scale = own * (weights[1] - 1.0)
        excess = torch.expm1(log_variance)
        spread = (deviation * gradient).sum(0).sub_(own).addcmul_(scale, excess)
        spread = bounded_backward(spread.mul_(0.5), unbounded)
        gradient = gradient.sum(0).addcmul_(scale, mean)
        kl = excess.addcmul_(mean, mean).sub_(log_variance).sum(-1).mul_(0.5)
        return torch.stack((-bound - kl, kl)), torch.cat((gradient, spread), dim=-1)


WRITTEN = {"reconstruction": ReconstructionStep, "elbo": ELBOStep, "iwae": IWAEStep}
"""Steps by what `Objective.written_gradient` says."""


Step = AutogradStep | WrittenStep


def step_for(model: Model, objective: Objective, parameters: FlatParameters) -> Step:
    """Return the fastest step that gives the gradient of an objective."""
    networks = (model.encoder, model.decoder)
    step = WRITTEN.get(objective.written_gradient)
    if (
        step is not None
        and step.knows(model)
        and not objective.weights()
        and all(network.has_written_pass for network in networks)
    ):
        return step(model, objective)
    return AutogradStep(model, objective, parameters)
