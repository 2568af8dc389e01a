"""Multilayer perceptrons."""

from collections.abc import Callable, Sequence
from functools import partial
from itertools import pairwise
from numbers import Integral
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from skvae.networks._contract import Network
from skvae.networks._products import affine


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

ACTIVATIONS: dict[str, Activation] = {
    "identity": Activation(lambda a: a, lambda g, a, h: g),
    "logistic": Activation(torch.sigmoid, lambda g, a, h: _sigmoid_backward(g, h)),
    "tanh": Activation(torch.tanh, lambda g, a, h: _tanh_backward(g, h)),
    "relu": Activation(torch.relu, lambda g, a, h: _threshold_backward(g, h, 0.0)),
    "gelu": Activation(F.gelu, lambda g, a, h: _gelu_backward(g, a)),
    "silu": Activation(F.silu, lambda g, a, h: _silu_backward(g, a)),
}


def resolve_activation(name: str) -> str:
    """Return the name of an activation in place of "auto"; raise ValueError."""
    name = "gelu" if name == "auto" else name
    if name not in ACTIVATIONS:
        raise ValueError(
            f"activation must be 'auto' or one of {sorted(ACTIVATIONS)}. Got {name!r}."
        )
    return name


def auto_size(n_columns: int) -> int:
    """Return the size of hidden layers that goes with a number of columns."""
    return min(256, max(128, 2 * n_columns))


@torch.no_grad()
def draw_weights(
    rule: Callable, layers: Sequence[Any], random: torch.Generator
) -> None:
    """Set the weights of layers by a rule of `torch.nn.init`."""
    draw = partial(rule, generator=random)
    for layer in layers:
        draw(layer.weight)


class Dense(nn.Module):
    """A layer of weights (n_out, n_in), with or without a bias, all zero.

    `torch.nn.Linear` would advance torch's global generator, and the ways around that
    import torch's compiler, which takes a second.
    """

    def __init__(self, n_in: int, n_out: int, has_bias: bool = True) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(n_out, n_in, dtype=torch.float32))
        bias = torch.zeros(n_out, dtype=torch.float32) if has_bias else None
        self.bias: Any = None if bias is None else nn.Parameter(bias)

    def forward(self, h: Tensor) -> Tensor:
        return affine(h, self.weight, self.bias)

    def extra_repr(self) -> str:
        """Return the sizes, for the representation."""
        return f"{self.weight.shape[1]}, {self.weight.shape[0]}"


class PerceptronModel(nn.Module):
    """Hidden layers, each followed by the activation, and a head without a bias.

    The bias of the outputs belongs to the `LinearPath` beside it.
    """

    def __init__(
        self, sizes: Sequence[int], activation: str, random: torch.Generator
    ) -> None:
        super().__init__()
        *hidden, last = pairwise(sizes)
        self.hidden: Any = nn.ModuleList(Dense(*pair) for pair in hidden)
        self.head: Any = Dense(*last, has_bias=False)
        self.activation = ACTIVATIONS[activation]
        draw_weights(nn.init.xavier_uniform_, [*self.hidden, self.head], random)

    @property
    def is_empty(self) -> bool:
        """Whether the outputs are always zero."""
        return self.head is None

    @property
    def has_written_pass(self) -> bool:
        """Whether `WrittenNetwork` knows how to pass through."""
        return not self.is_empty

    def start_at_zero(self, random: torch.Generator) -> None:
        """Make all outputs zero, with orthogonal weights below the head.

        Any two draws of these transform their inputs similarly (Saxe et al. 2014), so
        that fits from different seeds agree better. Without hidden layers the
        perceptron would repeat the linear path: it stays zero.
        """
        draw_weights(nn.init.orthogonal_, self.hidden, random)
        nn.init.zeros_(self.head.weight)
        if not self.hidden:
            self.head = None

    def forward(self, h: Tensor) -> Tensor:
        if self.is_empty:
            return h.new_zeros(())
        for layer in self.hidden:
            h = self.activation.forward(layer(h))
        return self.head(h)


class Perceptron(Network):
    """Multilayer perceptron.

    Weights are drawn by the rule of Glorot & Bengio [1]_ or, beside a linear path, are
    orthogonal [2]_ below a head that starts at zero.

    Parameters
    ----------
    hidden_layer_sizes : "auto", int or array-like of int, default="auto"
        Sizes of the hidden layers, in the order from inputs to outputs. `()` makes the
        network linear. `"auto"`: three layers of twice the number of columns of `X`,
        at least 128 and at most 256.
    activation : str, default="auto"
        Activation of the hidden layers: `"identity"`, `"logistic"`, `"tanh"`,
        `"relu"`, `"gelu"` or `"silu"`. `"auto"`: `"gelu"`.

    References
    ----------
    .. [1] Glorot & Bengio (2010). Understanding the difficulty of training deep
       feedforward neural networks. AISTATS.
    .. [2] Saxe, McClelland & Ganguli (2014). Exact solutions to the nonlinear dynamics
       of learning in deep linear neural networks. https://arxiv.org/abs/1312.6120

    Examples
    --------
    >>> Perceptron((256, 64), activation="relu").mirrored()
    Perceptron(activation='relu', hidden_layer_sizes=(64, 256))
    """

    def __init__(
        self,
        hidden_layer_sizes: str | int | Sequence[int] = "auto",
        activation: str = "auto",
    ) -> None:
        self.hidden_layer_sizes = hidden_layer_sizes
        self.activation = activation

    def resolved(self, n_columns: int) -> "Perceptron":
        """Return the spec with sizes and activation in place of "auto".

        Parameters
        ----------
        n_columns : int
            Number of columns of `X`.

        Returns
        -------
        network : Perceptron

        Raises
        ------
        ValueError
            If a size or the activation is invalid.
        """
        sizes: Any = self.hidden_layer_sizes
        if isinstance(sizes, str) and sizes == "auto":
            sizes = (auto_size(n_columns),) * 3
        sizes = (sizes,) if isinstance(sizes, Integral) else tuple(sizes)
        for size in sizes:
            if not isinstance(size, Integral) or size < 1:
                raise ValueError(
                    "hidden_layer_sizes must be positive integers, one per layer, or "
                    f"() for a linear model. Got {size!r}."
                )
        return Perceptron(tuple(map(int, sizes)), resolve_activation(self.activation))

    def mirrored(self) -> "Perceptron":
        """Return the perceptron with its hidden layers in reverse order.

        Returns
        -------
        network : Perceptron
        """
        sizes: Any = self.hidden_layer_sizes
        is_many = not isinstance(sizes, str | Integral)
        return Perceptron(tuple(sizes)[::-1] if is_many else sizes, self.activation)

    def build(self, n_in: int, n_out: int, random: torch.Generator) -> nn.Module:
        """Return a module.

        Parameters
        ----------
        n_in, n_out : int
            Numbers of inputs and outputs.
        random : torch.Generator
            Source of the initial parameters.

        Returns
        -------
        module : torch.nn.Module
        """
        spec: Any = self.resolved(n_in)
        sizes = (n_in, *spec.hidden_layer_sizes, n_out)
        return PerceptronModel(sizes, spec.activation, random)
