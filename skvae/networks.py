"""Encoders and decoders: a multilayer perceptron beside an optional linear path."""

from collections.abc import Callable, Sequence
from functools import partial
from itertools import pairwise
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from skvae._products import affine

__all__ = ["ACTIVATIONS", "Activation", "Decoder", "Encoder"]


class Activation(NamedTuple):
    """A function of each value, and how a gradient passes through it.

    `backward` takes the gradient, the values before and the values after.
    """

    forward: Callable[[Tensor], Tensor]
    backward: Callable[[Tensor, Tensor, Tensor], Tensor]


_aten = torch.ops.aten
_sigmoid_backward = _aten.sigmoid_backward.default
_tanh_backward = _aten.tanh_backward.default
_threshold_backward = _aten.threshold_backward.default
_gelu_backward = _aten.gelu_backward.default
_silu_backward = _aten.silu_backward.default
_hardtanh_backward = _aten.hardtanh_backward.default

ACTIVATIONS: dict[str, Activation] = {
    "identity": Activation(lambda a: a, lambda g, a, h: g),
    "logistic": Activation(torch.sigmoid, lambda g, a, h: _sigmoid_backward(g, h)),
    "tanh": Activation(torch.tanh, lambda g, a, h: _tanh_backward(g, h)),
    "relu": Activation(torch.relu, lambda g, a, h: _threshold_backward(g, h, 0.0)),
    "gelu": Activation(F.gelu, lambda g, a, h: _gelu_backward(g, a)),
    "silu": Activation(F.silu, lambda g, a, h: _silu_backward(g, a)),
}


class Dense(nn.Module):
    """A layer of weights (n_out, n_in) and a bias.

    `torch.nn.Linear` would advance torch's global generator, and the ways around that
    import a second's worth of its compiler.

    Parameters
    ----------
    n_in, n_out : int
    draw : callable or None
        Sets the initial weights in place; None makes them zero. The bias is zero.
    """

    def __init__(
        self, n_in: int, n_out: int, draw: Callable[[Tensor], Tensor] | None
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(n_out, n_in, dtype=torch.float32))
        self.bias = nn.Parameter(torch.zeros(n_out, dtype=torch.float32))
        if draw is not None:
            draw(self.weight.data)

    def forward(self, h: Tensor) -> Tensor:
        return affine(h, self.weight, self.bias)

    def extra_repr(self) -> str:
        """Return the sizes, for the representation."""
        return f"{self.weight.shape[1]}, {self.weight.shape[0]}"


class _Constant(nn.Module):
    """A perceptron without layers: its output is its bias."""

    def __init__(self, n_out: int) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(n_out, dtype=torch.float32))

    def forward(self, h: Tensor) -> Tensor:
        return self.bias.expand(*h.shape[:-1], -1)


class Perceptron(nn.Module):
    """Hidden layers, each followed by the activation, and a linear head.

    Weights are those of Glorot & Bengio (2010). Beside a linear path the head is zero
    and the other weights are orthogonal (Saxe et al. 2014): any two draws of these
    treat their inputs much alike, so that fits from different seeds agree better.
    """

    def __init__(
        self,
        sizes: Sequence[int],
        activation: str,
        generator: torch.Generator,
        beside_linear: bool,
    ) -> None:
        super().__init__()
        drawn = nn.init.orthogonal_ if beside_linear else nn.init.xavier_uniform_
        draw = partial(drawn, generator=generator)
        pairs = list(pairwise(sizes))
        self.hidden: Any = nn.ModuleList(Dense(*pair, draw) for pair in pairs[:-1])
        self.head = Dense(*pairs[-1], None if beside_linear else draw)
        self.activation = activation

    @property
    def bias(self) -> nn.Parameter:
        return self.head.bias

    def forward(self, h: Tensor) -> Tensor:
        activate, dtype = ACTIVATIONS[self.activation].forward, h.dtype
        for layer in self.hidden:
            h = activate(layer(h))
        # Whatever the precision of the products is, sums of outputs are not rounded.
        return self.head(h).to(dtype)


class _Network(nn.Module):
    """A perceptron and, with `n_linear > 0`, a linear path to its first outputs.

    Beside a linear path the perceptron's head starts at zero, so that the network
    starts linear; without hidden layers it stays linear.
    """

    def __init__(
        self,
        sizes: Sequence[int],
        n_linear: int,
        activation: str,
        generator: torch.Generator,
    ) -> None:
        super().__init__()
        self.linear: Any = None
        if n_linear:
            weights = torch.zeros(n_linear, sizes[0], dtype=torch.float32)
            self.linear = nn.Parameter(weights)
        if n_linear and len(sizes) == 2:
            self.perceptron: _Constant | Perceptron = _Constant(sizes[-1])
        else:
            self.perceptron = Perceptron(sizes, activation, generator, bool(n_linear))

    @property
    def bias(self) -> nn.Parameter:
        """Bias of the outputs."""
        return self.perceptron.bias

    def path(self, h: Tensor) -> Tensor:
        """Return what the linear path adds, in the precision of its weights."""
        with torch.autocast(h.device.type, enabled=False):
            return F.linear(h, self.linear)


LOG_VAR_BOUNDS = (-30.0, 10.0)
"""Bounds far outside any useful log-variance, so that exp stays finite."""


def bound_log_var(log_var: Tensor) -> Tensor:
    """Return log-variances within their bounds."""
    return log_var.clamp(*LOG_VAR_BOUNDS)


def bound_log_var_backward(gradient: Tensor, log_var: Tensor) -> Tensor:
    """Return the gradient by log-variances before they were bounded."""
    return _hardtanh_backward(gradient, log_var, *LOG_VAR_BOUNDS)


class Encoder(_Network):
    """Inputs of a row (B, D) → mean and log-variance of its posterior, each (B, K).

    Parameters
    ----------
    n_inputs, n_components : int
    hidden_layer_sizes : sequence of int
    activation : str
        A key of `ACTIVATIONS`.
    linear_path : bool
        Add a linear map of the inputs to the mean.
    stochastic : bool
        False gives a deterministic code: the log-variance is None.
    generator : torch.Generator
        Source of the initial weights.
    """

    def __init__(
        self,
        n_inputs: int,
        n_components: int,
        hidden_layer_sizes: Sequence[int],
        activation: str,
        linear_path: bool,
        stochastic: bool,
        generator: torch.Generator,
    ) -> None:
        n_outputs = n_components * (2 if stochastic else 1)
        sizes = (n_inputs, *hidden_layer_sizes, n_outputs)
        n_linear = n_components if linear_path else 0
        super().__init__(sizes, n_linear, activation, generator)
        self.stochastic = stochastic

    def forward(self, h: Tensor) -> tuple[Tensor, Tensor | None]:
        """Return (mean, log-variance)."""
        mean, log_var = self.perceptron(h), None
        if self.stochastic:
            mean, log_var = mean.chunk(2, dim=-1)
            log_var = bound_log_var(log_var)
        if self.linear is not None:
            mean = mean + self.path(h)
        return mean, log_var


class Decoder(_Network):
    """Latent variables (..., K) → outputs of the likelihood (..., n_outputs).

    Parameters
    ----------
    n_components, n_outputs : int
    hidden_layer_sizes : sequence of int
        In the order from the latent variables to the outputs.
    activation : str
        A key of `ACTIVATIONS`.
    linear_path : bool
        Add a linear map of the latent variables to the outputs.
    generator : torch.Generator
        Source of the initial weights.
    """

    def __init__(
        self,
        n_components: int,
        n_outputs: int,
        hidden_layer_sizes: Sequence[int],
        activation: str,
        linear_path: bool,
        generator: torch.Generator,
    ) -> None:
        sizes = (n_components, *hidden_layer_sizes, n_outputs)
        n_linear = n_outputs if linear_path else 0
        super().__init__(sizes, n_linear, activation, generator)

    def forward(self, z: Tensor) -> Tensor:
        """Return the outputs."""
        outputs = self.perceptron(z)
        return outputs if self.linear is None else outputs + self.path(z)
