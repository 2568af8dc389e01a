"""Residual perceptrons."""

from numbers import Integral
from typing import Any

import torch
from torch import Tensor, nn

from skvae.networks._contract import Network
from skvae.networks._perceptron import (
    ACTIVATIONS,
    Dense,
    auto_size,
    draw_weights,
    resolve_activation,
)


class Block(nn.Module):
    """Two layers whose outputs, times a scale, are added to their inputs."""

    def __init__(self, size: int, activation: str, scale: float) -> None:
        super().__init__()
        self.scale = scale
        self.first, self.second = Dense(size, size), Dense(size, size)
        self.activation = ACTIVATIONS[activation].forward

    def forward(self, h: Tensor) -> Tensor:
        return h + self.scale * self.second(self.activation(self.first(h)))


class ResidualModel(nn.Module):
    """A layer, blocks, and a head after the activation.

    The bias of the outputs belongs to the `LinearPath` beside it.
    """

    def __init__(
        self,
        n_in: int,
        n_out: int,
        n_blocks: int,
        n_units: int,
        activation: str,
        random: torch.Generator,
    ) -> None:
        super().__init__()
        self.first = Dense(n_in, n_units)
        blocks = (Block(n_units, activation, 1 / n_blocks) for _ in range(n_blocks))
        self.blocks = nn.ModuleList(blocks)
        self.head = Dense(n_units, n_out, has_bias=False)
        self.activation = ACTIVATIONS[activation].forward
        layers = [layer for layer in self.modules() if isinstance(layer, Dense)]
        draw_weights(nn.init.xavier_uniform_, layers, random)

    def start_at_zero(self, random: torch.Generator) -> None:
        """Make all outputs zero."""
        nn.init.zeros_(self.head.weight)

    def forward(self, h: Tensor) -> Tensor:
        h = self.first(h)
        for block in self.blocks:
            h = block(h)
        return self.head(self.activation(h))


class ResidualPerceptron(Network):
    r"""Multilayer perceptron whose layers add to what is there.

    A layer to :math:`n` units, then L blocks

    .. math:: h \leftarrow h + \tfrac 1L \, (W_2 \, a(W_1 h + b_1) + b_2),

    then :math:`W a(h)`, with an activation a. What is added passes through the
    activation, what is there does not [1]_; for tables see [2]_. There is no
    normalization: that of a batch would make a row's answer depend on other rows, and
    that of each row lowered held-out densities. Instead each block counts 1 / L,
    the factor :math:`\alpha_L` of [3]_: steps of Adam, which may be alike in all
    blocks, then add up to no more in a deep stack than in a shallow one.

    Parameters
    ----------
    n_blocks : int, default=2
        Number of blocks, of two layers each.
    n_units : "auto" or int, default="auto"
        Units of each layer. `"auto"`: twice the number of columns of `X`, at least 128
        and at most 256.
    activation : str, default="auto"
        Activation, as of :class:`Perceptron`. `"auto"`: `"gelu"`.

    Raises
    ------
    ValueError
        In `fit`, if a parameter is invalid.

    See Also
    --------
    Perceptron : Faster, since its gradient is written out.

    References
    ----------
    .. [1] He, Zhang, Ren & Sun (2016). Identity mappings in deep residual networks.
       ECCV. https://arxiv.org/abs/1603.05027, equation 5 and figure 4e.
    .. [2] Gorishniy, Rubachev, Khrulkov & Babenko (2021). Revisiting deep learning
       models for tabular data. NeurIPS. https://arxiv.org/abs/2106.11959, section 3.2.
    .. [3] Marion, Fermanian, Biau & Vert (2025). Scaling ResNets in the large-depth
       regime. Journal of Machine Learning Research. https://arxiv.org/abs/2206.06929

    Examples
    --------
    >>> ResidualPerceptron(n_blocks=3).resolved(100)
    ResidualPerceptron(activation='gelu', n_blocks=3, n_units=200)
    """

    def __init__(
        self, n_blocks: int = 2, n_units: str | int = "auto", activation: str = "auto"
    ) -> None:
        self.n_blocks = n_blocks
        self.n_units = n_units
        self.activation = activation

    def resolved(self, n_columns: int) -> "ResidualPerceptron":
        """Return the spec with size and activation in place of "auto".

        Parameters
        ----------
        n_columns : int
            Number of columns of `X`.

        Returns
        -------
        network : ResidualPerceptron

        Raises
        ------
        ValueError
            If a parameter is invalid.
        """
        n_units = auto_size(n_columns) if self.n_units == "auto" else self.n_units
        given: dict[str, Any] = {"n_blocks": self.n_blocks, "n_units": n_units}
        for name, value in given.items():
            if not isinstance(value, Integral) or value < 1:
                raise ValueError(
                    f"{name} must be a positive integer. Got {value!r}. Without hidden "
                    "layers, use Perceptron(())."
                )
        sizes = {name: int(value) for name, value in given.items()}
        activation = resolve_activation(self.activation)
        return ResidualPerceptron(**sizes, activation=activation)

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
        options = spec.n_blocks, spec.n_units, spec.activation
        return ResidualModel(n_in, n_out, *options, random)
