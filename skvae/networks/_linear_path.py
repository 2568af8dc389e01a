"""The linear path beside the body of an encoder or decoder."""

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from skvae.networks._contract import Network


class LinearPath(nn.Module):
    """Adds a bias to the outputs of a body, and a linear map to the first of them.

    Training starts here: the path alone is set to a linear model.

    Parameters
    ----------
    n_in, n_out : int
    n_linear : int
        Number of outputs with a linear map; with 0 there is only the bias.
    """

    def __init__(self, n_in: int, n_out: int, n_linear: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(n_linear, n_in, dtype=torch.float32))
        self.bias = nn.Parameter(torch.zeros(n_out, dtype=torch.float32))
        self.n_rest = n_out - n_linear

    @property
    def has_map(self) -> bool:
        """Whether there is a linear map."""
        return len(self.weight) > 0

    def forward(self, h: Tensor, outputs: Tensor) -> Tensor:
        """Return the outputs (..., n_out) of inputs (..., n_in) and of the body."""
        if not self.has_map:
            return outputs + self.bias
        if not self.n_rest:
            return outputs + F.linear(h, self.weight, self.bias)
        return outputs + self.bias + F.pad(F.linear(h, self.weight), (0, self.n_rest))


class Gated(nn.Module):
    """A body whose outputs are multiplied by a learned number."""

    def __init__(self, body: nn.Module) -> None:
        super().__init__()
        self.body = body
        self.gate = nn.Parameter(torch.ones((), dtype=torch.float32))
        self.has_modes = getattr(body, "has_modes", False)
        self.width = getattr(body, "width", 0)

    def start_at_zero(self, random: torch.Generator) -> None:
        """Make all outputs zero."""
        nn.init.zeros_(self.gate)

    def forward(self, h: Tensor) -> Tensor:
        return self.gate * self.body(h)


class Branches(nn.Module):
    """A body and a linear path that are added.

    Parameters
    ----------
    network : Network
        Spec of the body.
    n_in, n_out : int
    n_linear : int
        Number of outputs with a linear map.
    random : callable
        Gives a generator of the initial parameters, the same at every call.
    columns : Tensor of shape (n_in,) or (n_out,), default=None
        The column of `X` that each input of an encoder, or output of a decoder, is of.
    """

    def __init__(
        self,
        network: Network,
        n_in: int,
        n_out: int,
        n_linear: int,
        random: Callable[[], torch.Generator],
        columns: Tensor | None = None,
    ) -> None:
        super().__init__()
        self.path = LinearPath(n_in, n_out, n_linear)
        sizes = columns, n_in, n_out
        self.body: Any = network.build_for_columns(*sizes, random())
        if n_linear:
            if not hasattr(self.body, "start_at_zero"):
                self.body = Gated(self.body)
            self.body.start_at_zero(random())

    @property
    def is_linear(self) -> bool:
        """Whether there is nothing beside the path."""
        return getattr(self.body, "is_empty", False)

    @property
    def has_written_pass(self) -> bool:
        """Whether `WrittenNetwork` knows how to pass through."""
        return getattr(self.body, "has_written_pass", False)

    @property
    def has_modes(self) -> bool:
        """Whether the body does something else in training mode, such as dropout."""
        return getattr(self.body, "has_modes", False)

    @property
    def width(self) -> int:
        """Most values of a row that the body computes together, if it says so."""
        return getattr(self.body, "width", 0)

    def forward(self, h: Tensor) -> Tensor:
        return self.path(h, self.body(h))
