"""First-order optimizers on one flat tensor of parameters.

The rules are torch's own, without its optimizer classes: constructing the first of
those imports torch's compiler, which costs more than fitting a small table.
"""

import math
from collections.abc import Mapping
from functools import cache
from typing import Any

import torch
from torch import Tensor

N_STEPS_TO_FADE, FADED = 128, 1e-30
"""After so many steps, values of the state below that are set to zero.

Where a parameter's gradient stays zero, moments shrink by a tenth per step. Below 1e-38
the numbers of a processor become many times slower, and rounding never lets them end.
From 1e-30 it takes 175 steps to there; beside the constants of the rules both are zero.
"""


def _fused_adam(
    theta: Tensor,
    gradient: Tensor,
    slots: Mapping[str, Tensor],
    clock: Tensor,
    rate: float | Tensor,
    divisor: Tensor,
) -> None:
    """Take a step of Adam with the kernel of torch's optimizers, which is private.

    It passes over the memory once; the rule written in tensors passes eight times.
    """
    torch._fused_adam_(
        [theta],
        [gradient],
        [slots["mean"]],
        [slots["square"]],
        [],
        [clock],
        lr=rate,
        beta1=0.9,
        beta2=0.999,
        weight_decay=0.0,
        eps=1e-8,
        amsgrad=False,
        maximize=False,
        grad_scale=divisor,
    )


@cache
def _has_fused_adam(device: torch.device) -> bool:
    """Whether torch has that kernel, with the arguments given here."""
    ones = torch.ones((4, 1), dtype=torch.float32, device=device)
    theta, gradient, mean, square = ones.unbind()
    try:
        slots = {"mean": mean, "square": square}
        _fused_adam(theta, gradient, slots, ones[0, 0], 0.1, ones[0, 0])
    except (AttributeError, RuntimeError, TypeError):
        return False
    return True


class Optimizer:
    """Base: turns gradients into steps of a flat tensor of parameters, in place.

    Parameters
    ----------
    theta : Tensor of shape (P,)
        The parameters.
    """

    slots: tuple[str, ...] = ()

    def __init__(self, theta: Tensor) -> None:
        self.theta = theta
        self.n_steps = 0
        self.clock = torch.zeros((), dtype=torch.float32, device=theta.device)
        self.state = {name: torch.zeros_like(theta) for name in self.slots}

    def can_be_recorded(self) -> bool:
        """Whether `update` takes the learning rate as a tensor."""
        return False

    def tick(self) -> None:
        """Count a step, which `update` then takes."""
        self.n_steps += 1
        self.clock.fill_(self.n_steps)
        if self.n_steps % N_STEPS_TO_FADE == 0:
            for slot in self.state.values():
                torch.hardshrink(slot, FADED, out=slot)

    def update(self, gradient: Tensor, learning_rate: Any, divisor: Tensor) -> None:
        """Change the parameters, as the step that was counted last.

        Parameters
        ----------
        gradient : Tensor of shape (P,)
            Is overwritten.
        learning_rate : float, or Tensor where the step is recorded
        divisor : Tensor of shape (), float32
            By which the gradient is to be divided.
        """
        raise NotImplementedError


class SGD(Optimizer):
    """Stochastic gradient descent with momentum 0.9 (Sutskever et al. 2013)."""

    slots = ("momentum",)

    def update(self, gradient: Tensor, learning_rate: Any, divisor: Tensor) -> None:
        momentum = self.state["momentum"].mul_(0.9).add_(gradient.div_(divisor))
        self.theta.add_(momentum, alpha=-learning_rate)


class RMSprop(Optimizer):
    """RMSprop with decay 0.9 (Tieleman & Hinton 2012, lecture 6.5)."""

    slots = ("square",)

    def update(self, gradient: Tensor, learning_rate: Any, divisor: Tensor) -> None:
        gradient.div_(divisor)
        square = self.state["square"].mul_(0.9).addcmul_(gradient, gradient, value=0.1)
        self.theta.addcdiv_(gradient, square.sqrt().add_(1e-7), value=-learning_rate)


class Adam(Optimizer):
    """Adam (Kingma & Ba 2015, algorithm 1) with its default decay rates."""

    slots = ("mean", "square")

    def can_be_recorded(self) -> bool:
        """Whether torch has the kernel that takes tensors for numbers."""
        return _has_fused_adam(self.theta.device)

    def update(self, gradient: Tensor, learning_rate: Any, divisor: Tensor) -> None:
        if _has_fused_adam(gradient.device):
            slots, clock = self.state, self.clock
            _fused_adam(self.theta, gradient, slots, clock, learning_rate, divisor)
            return
        mean, square = self.state["mean"], self.state["square"]
        gradient.div_(divisor)
        mean.lerp_(gradient, 0.1)
        square.mul_(0.999).addcmul_(gradient, gradient, value=0.001)
        scale = math.sqrt(1.0 - 0.999**self.n_steps)
        rate = learning_rate / (1.0 - 0.9**self.n_steps)
        self.theta.addcdiv_(mean, (square.sqrt() / scale).add_(1e-8), value=-rate)


SOLVERS: dict[str, type[Optimizer]] = {
    "adam": Adam,
    "rmsprop": RMSprop,
    "sgd": SGD,
}
