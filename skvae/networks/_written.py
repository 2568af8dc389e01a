"""Forward and backward passes written out, with gradients set in place."""

from typing import Any, NamedTuple

import torch
from torch import Tensor

from skvae.networks._linear_path import Branches
from skvae.networks._products import affine, product, put_product


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


class WrittenNetwork:
    """Forward and backward pass through a perceptron and its linear path.

    Parameters
    ----------
    network : Branches
        `backward` sets `grad` of its parameters.
    """

    def __init__(self, network: Branches) -> None:
        body, path = network.body, network.path
        pairs = [(layer.weight, layer.bias) for layer in body.hidden]
        self.layers = [
            _Layer(weight.data, bias.data, weight.grad, bias.grad)
            for weight, bias in (*pairs, (body.head.weight, path.bias))
        ]
        self.activation = body.activation
        self.path: Any = path.weight.data if path.has_map else None
        self.path_gradient: Any = path.weight.grad
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
            linear = gradient[:, : len(self.path)]
            put_product(self.path_gradient, linear, self.after[0], adds)
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
