"""The gradient of a batch's loss: by autograd, or written out for perceptrons.

Both give the same to rounding. For a small network autograd's records cost more than
its products; the written-out step makes products and little else, in place.
"""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
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
    """The gradient of the evidence lower bound, or of a plain autoencoder's loss.

    A term that follows from posterior means may be added. For perceptrons and a
    standard normal prior; the likelihood is any. To be called where torch records no
    gradients, best in inference mode.

    Parameters
    ----------
    model : Model
        A call sets `grad` of its parameters.
    """

    records = False

    def __init__(self, model: Model, objective: Objective) -> None:
        self.model, self.objective = model, objective
        self.likelihood = model.likelihood
        self.encoder = WrittenNetwork(model.encoder)
        self.decoder = WrittenNetwork(model.decoder)
        learned = (p for p in model.likelihood.parameters() if p.requires_grad)
        self.likelihood_gradients: list[Any] = [p.grad for p in learned]

    def __call__(self, batch: Batch, noise: Tensor, weights: Sequence[Any]) -> Tensor:
        """Set the gradient as `AutogradStep` does."""
        for gradient in self.likelihood_gradients:
            gradient.zero_()
        noise = self.objective.noise_at(noise)[0]
        if len(batch) <= PIECE_ROWS or batch.x.device.type != "cpu":
            return self._piece(batch, noise, weights, adds=False)
        pieces = zip(batch.split(PIECE_ROWS), noise.split(PIECE_ROWS), strict=True)
        sums = [
            self._piece(*piece, weights, adds=i > 0) for i, piece in enumerate(pieces)
        ]
        return torch.stack(sums).sum(0)

    def _piece(
        self, batch: Batch, noise: Tensor, weights: Sequence[Any], adds: bool
    ) -> Tensor:
        seen = batch if batch.partners is None else batch.with_partners()
        outputs = self.encoder.forward(self.model.encoder_inputs(seen))
        outputs = self.model.with_empty_rows(outputs, seen)
        piece = self._random if self.model.posterior.is_random else self._fixed
        terms, gradient = piece(outputs[: len(batch)], batch, noise, weights, adds)
        means = self.model.posterior.mean(outputs)
        added = self.objective.written_term(means, batch.weights * weights[-1])
        if added is not None:
            terms = torch.cat((terms, added[0][None]))
            gradient = F.pad(gradient, (0, 0, 0, len(seen) - len(batch)))
            gradient[:, : means.shape[1]] += added[1]
        if seen.empty is not None:
            gradient.masked_fill_(seen.empty, 0.0)
        self.encoder.backward(gradient, adds)
        return terms @ batch.weights

    def _fixed(
        self, z: Tensor, batch: Batch, noise: Tensor, weights: Any, adds: bool
    ) -> tuple[Tensor, Tensor]:
        """Return the term of each row, (1, B), and the gradient by the outputs."""
        loss, gradient = self._decode(z, batch, adds)
        return loss[None], gradient

    def _random(
        self, outputs: Tensor, batch: Batch, noise: Tensor, weights: Any, adds: bool
    ) -> tuple[Tensor, Tensor]:
        """Return the terms of each row, (2, B), and the gradient by the outputs."""
        mean, unbounded = outputs.chunk(2, dim=-1)
        log_variance = bounded(unbounded)
        deviation = torch.exp(0.5 * log_variance).mul_(noise)
        loss, gradient = self._decode(mean + deviation, batch, adds)
        # Gradients of the KL term of Kingma & Welling (2013), appendix B.
        scale = (batch.weights * weights[1])[:, None]
        excess = torch.expm1(log_variance)
        spread = deviation.mul_(gradient).addcmul_(scale, excess).mul_(0.5)
        spread = bounded_backward(spread, unbounded)
        gradient = gradient.addcmul_(scale, mean)
        kl = excess.addcmul_(mean, mean).sub_(log_variance).sum(-1)
        terms = torch.stack((loss, kl.mul_(0.5)))
        return terms, torch.cat((gradient, spread), dim=-1)

    def _decode(self, z: Tensor, batch: Batch, adds: bool) -> tuple[Tensor, Tensor]:
        """Return the loss of each row (B,), and the gradient by z (B, K)."""
        outputs = self.decoder.forward(z)
        loss, outer = self.likelihood.loss_and_gradient(
            outputs, batch.x, batch.weights, batch.observed
        )
        inner = self.decoder.backward(outer, adds)
        return loss, self.decoder.to_inputs(outer, inner)


Step = AutogradStep | WrittenStep


def step_for(model: Model, objective: Objective, parameters: FlatParameters) -> Step:
    """Return the fastest step that gives the gradient of an objective."""
    networks = (model.encoder, model.decoder)
    draws = "kl" in objective.names
    is_known = model.has_standard_z if draws else not model.posterior.is_random
    if (
        objective.has_written_gradient
        and (objective.n_draws == 1 and "reconstruction" not in objective.weights())
        and is_known
        and all(network.has_written_pass for network in networks)
    ):
        return WrittenStep(model, objective)
    return AutogradStep(model, objective, parameters)
