"""First-order optimizers on one flat tensor.

The rules are torch's own, without its optimizer classes: constructing the first of
those imports torch's compiler, which costs more than fitting a small table.
"""

import math

import torch
from torch import Tensor


class Optimizer:
    """Base: turns gradients into steps of a flat tensor of weights, in place.

    Parameters
    ----------
    weights : Tensor of shape (P,)
    alpha : float
        Weight decay.
    decayed : Tensor of shape (P,)
        One where weight decay applies, zero elsewhere.
    """

    slots: tuple[str, ...] = ()

    def __init__(self, weights: Tensor, alpha: float, decayed: Tensor) -> None:
        self.weights = weights
        self.alpha = alpha
        self.decayed = decayed
        self.n_steps = 0
        self.state = {name: torch.zeros_like(weights) for name in self.slots}

    def step(self, gradient: Tensor, learning_rate: float) -> None:
        """Take one step against `gradient`, which may be overwritten."""
        self.n_steps += 1
        if self.alpha:
            gradient.addcmul_(self.weights, self.decayed, value=self.alpha)
        self._update(gradient, learning_rate)

    def _update(self, gradient: Tensor, learning_rate: float) -> None:
        raise NotImplementedError


class SGD(Optimizer):
    """Stochastic gradient descent with momentum 0.9 (Sutskever et al. 2013)."""

    slots = ("momentum",)

    def _update(self, gradient: Tensor, learning_rate: float) -> None:
        momentum = self.state["momentum"].mul_(0.9).add_(gradient)
        self.weights.add_(momentum, alpha=-learning_rate)


class RMSprop(Optimizer):
    """RMSprop with decay 0.9 (Tieleman & Hinton 2012, lecture 6.5)."""

    slots = ("square",)

    def _update(self, gradient: Tensor, learning_rate: float) -> None:
        square = self.state["square"].mul_(0.9).addcmul_(gradient, gradient, value=0.1)
        self.weights.addcdiv_(gradient, square.sqrt().add_(1e-7), value=-learning_rate)


class Adam(Optimizer):
    """Adam (Kingma & Ba 2015, algorithm 1) with its default decay rates."""

    slots = ("mean", "square")

    def _update(self, gradient: Tensor, learning_rate: float) -> None:
        mean = self.state["mean"].lerp_(gradient, 0.1)
        square = self.state["square"]
        square.mul_(0.999).addcmul_(gradient, gradient, value=0.001)
        scale = math.sqrt(1.0 - 0.999**self.n_steps)
        rate = learning_rate / (1.0 - 0.9**self.n_steps)
        self.weights.addcdiv_(mean, (square.sqrt() / scale).add_(1e-8), value=-rate)


class AdamW(Adam):
    """Adam with decoupled weight decay (Loshchilov & Hutter 2019, algorithm 2)."""

    def step(self, gradient: Tensor, learning_rate: float) -> None:
        """Take one step against `gradient`, which may be overwritten."""
        self.n_steps += 1
        if self.alpha:
            self.weights.addcmul_(
                self.weights, self.decayed, value=-learning_rate * self.alpha
            )
        self._update(gradient, learning_rate)


SOLVERS: dict[str, type[Optimizer]] = {
    "adam": Adam,
    "adamw": AdamW,
    "rmsprop": RMSprop,
    "sgd": SGD,
}
