"""The gradient of a batch's loss: by autograd, or written out for perceptrons.

Both give the same to rounding. For a small network autograd's records cost more than
its products; the written-out step makes products and little else, in place.
"""

from typing import Any, NamedTuple

import torch
from torch import Tensor

from skvae._model import Model
from skvae._products import affine, product, put_product
from skvae._state import FlatWeights
from skvae.networks import (
    ACTIVATIONS,
    Decoder,
    Encoder,
    Perceptron,
    bound_log_var,
    bound_log_var_backward,
)
from skvae.objectives import Objective, elbo, reconstruction
from skvae.priors import StandardNormalModel

PIECE_ROWS = 1024
"""Rows whose gradient a CPU computes at once: few enough to stay in its cache."""


class AutogradStep:
    """The gradient of any objective of any model.

    Parameters
    ----------
    model : Model
    objective : Objective
    weights : FlatWeights
        Of that model; `weights.gradient` takes what a call gives.
    precision : {"float32", "bfloat16"}, default="float32"
        Of the products of the networks.
    """

    records = True
    """Whether torch has to record operations."""

    def __init__(
        self,
        model: Model,
        objective: Objective,
        weights: FlatWeights,
        precision: str = "float32",
    ) -> None:
        self.model, self.objective, self.weights = model, objective, weights
        self.rounds = precision == "bfloat16"

    def __call__(
        self, x: Tensor, row_weights: Tensor, noise: Tensor, beta: Any
    ) -> Tensor:
        """Set the gradient of the summed loss; return its two terms, (2,).

        Parameters
        ----------
        x : Tensor of shape (B, D)
        row_weights : Tensor of shape (B,)
        noise : Tensor of shape (B, K)
        beta : float
            Weight of the second term, the KL term.
        """
        self.weights.gradient.zero_()
        # Weights rounded once would be those of an earlier step when it is replayed.
        with torch.autocast(
            x.device.type, torch.bfloat16, self.rounds, cache_enabled=False
        ):
            terms = self.objective(self.model, x, noise)
        sums = torch.stack((terms.reconstruction, terms.kl)) @ row_weights
        (sums[0] + beta * sums[1]).backward()
        return sums.detach()


class _Layer(NamedTuple):
    """Weights and bias of a layer with their gradients, as plain tensors."""

    weight: Tensor
    bias: Tensor
    weight_gradient: Tensor
    bias_gradient: Tensor

    def put_gradients(self, h: Tensor, gradient: Tensor, adds: bool) -> None:
        """Set the gradients, or add to them, from input and output's gradient."""
        if adds:
            self.bias_gradient.add_(gradient.sum(0))
        else:
            torch.sum(gradient, 0, out=self.bias_gradient)
        put_product(self.weight_gradient, gradient, h, adds)


class _Network:
    """Forward and backward pass through the layers of an encoder or decoder."""

    def __init__(self, network: Any) -> None:
        perceptron = network.perceptron
        self.layers = [
            _Layer(p.weight.data, p.bias.data, p.weight.grad, p.bias.grad)
            for p in (*perceptron.hidden, perceptron.head)
        ]
        self.activation = ACTIVATIONS[perceptron.activation]
        self.path: Any = None
        if network.linear is not None:
            self.path, self.path_gradient = network.linear.data, network.linear.grad
        self.before: list[Tensor] = []
        self.after: list[Tensor] = []

    def forward(self, inputs: Tensor) -> Tensor:
        """Return the outputs (B, N) and remember what `backward` needs."""
        *hidden, head = self.layers
        self.before, self.after = [], [inputs]
        for layer in hidden:
            self.before.append(affine(self.after[-1], layer.weight, layer.bias))
            self.after.append(self.activation.forward(self.before[-1]))
        outputs = affine(self.after[-1], head.weight, head.bias)
        if self.path is not None:
            outputs[:, : len(self.path)].addmm_(inputs, self.path.T)
        return outputs

    def backward(self, gradient: Tensor, adds: bool) -> Tensor:
        """Set the gradients of the weights; return that of the first layer's outputs.

        With `adds` they are added to what is there.
        """
        if self.path is not None:
            part = gradient[:, : len(self.path)]
            put_product(self.path_gradient, part, self.after[0], adds)
        for i in reversed(range(1, len(self.layers))):
            layer = self.layers[i]
            layer.put_gradients(self.after[i], gradient, adds)
            gradient = self.activation.backward(
                product(gradient, layer.weight), self.before[i - 1], self.after[i]
            )
        self.layers[0].put_gradients(self.after[0], gradient, adds)
        self.before, self.after = [], []
        return gradient

    def to_inputs(self, outer: Tensor, inner: Tensor) -> Tensor:
        """Return the inputs' gradient from the outputs' and the first layer's."""
        gradient = product(inner, self.layers[0].weight)
        if self.path is not None:
            gradient.addmm_(outer[:, : len(self.path)], self.path)
        return gradient


class WrittenStep:
    """The gradient of the evidence lower bound, or of a plain autoencoder's loss.

    For perceptrons, a standard normal prior and no missing cells; the likelihood is
    any. To be called where torch records no gradients, best in inference mode.

    Parameters
    ----------
    model : Model
        Of whose parameters `grad` takes what a call gives.
    """

    records = False

    def __init__(self, model: Model) -> None:
        self.likelihood = model.likelihood
        self.is_stochastic = model.prior is not None
        self.encoder, self.decoder = _Network(model.encoder), _Network(model.decoder)
        learned = (p for p in model.likelihood.parameters() if p.requires_grad)
        self.likelihood_gradients: list[Any] = [p.grad for p in learned]

    def __call__(
        self, x: Tensor, row_weights: Tensor, noise: Tensor, beta: Any
    ) -> Tensor:
        """Set the gradient as `AutogradStep` does."""
        for gradient in self.likelihood_gradients:
            gradient.zero_()
        if x.shape[0] <= PIECE_ROWS or x.device.type != "cpu":
            return self._piece(x, row_weights, noise, beta, adds=False)
        pieces = zip(
            x.split(PIECE_ROWS),
            row_weights.split(PIECE_ROWS),
            noise.split(PIECE_ROWS),
            strict=True,
        )
        terms = [self._piece(*piece, beta, i > 0) for i, piece in enumerate(pieces)]
        return torch.stack(terms).sum(0)

    def _piece(
        self, x: Tensor, row_weights: Tensor, noise: Tensor, beta: Any, adds: bool
    ) -> Tensor:
        code = self.encoder.forward(self.likelihood.encoder_inputs(x))
        if not self.is_stochastic:
            loss, gradient = self._decode(code, x, row_weights, adds)
            self.encoder.backward(gradient, adds)
            return torch.stack((loss @ row_weights, torch.zeros_like(loss[0])))
        mean, unbounded = code.chunk(2, dim=-1)
        log_var = bound_log_var(unbounded)
        deviation = torch.exp(0.5 * log_var).mul_(noise)
        loss, gradient = self._decode(mean + deviation, x, row_weights, adds)
        # Gradients of the KL term of Kingma & Welling (2013), appendix B.
        scale = (row_weights * beta)[:, None]
        excess = torch.expm1(log_var)
        by_log_var = deviation.mul_(gradient).addcmul_(scale, excess).mul_(0.5)
        by_log_var = bound_log_var_backward(by_log_var, unbounded)
        by_mean = gradient.addcmul_(scale, mean)
        self.encoder.backward(torch.cat((by_mean, by_log_var), dim=-1), adds)
        kl = excess.addcmul_(mean, mean).sub_(log_var).sum(-1)
        return torch.stack((loss, kl.mul_(0.5))) @ row_weights

    def _decode(
        self, z: Tensor, x: Tensor, row_weights: Tensor, adds: bool
    ) -> tuple[Tensor, Tensor]:
        """Return the loss of each row (B,), and the gradient by z (B, K)."""
        outputs = self.decoder.forward(z)
        loss, outer = self.likelihood.loss_and_gradient(outputs, x, row_weights)
        inner = self.decoder.backward(outer, adds)
        return loss, self.decoder.to_inputs(outer, inner)


Step = AutogradStep | WrittenStep


def _can_be_written(model: Model, objective: Objective) -> bool:
    if model.may_miss:
        return False
    for network in (model.encoder, model.decoder):
        is_ours = type(network) in (Encoder, Decoder)
        if not is_ours or not isinstance(network.perceptron, Perceptron):
            return False
    if model.prior is None:
        return objective is reconstruction
    return objective is elbo and type(model.prior) is StandardNormalModel


def step_for(
    model: Model,
    objective: Objective,
    weights: FlatWeights,
    precision: str = "float32",
) -> Step:
    """Return the fastest step that gives the gradient of an objective."""
    if precision == "float32" and _can_be_written(model, objective):
        return WrittenStep(model)
    return AutogradStep(model, objective, weights, precision)
