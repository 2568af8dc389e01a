"""Flat images, and convolutions of them."""

from itertools import pairwise
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from skvae.networks._perceptron import ACTIVATIONS, Dense, draw_weights


class Layout(NamedTuple):
    """Images and the convolutions between them and their smallest version.

    Attributes
    ----------
    shape : tuple of int
        Height, width and channels of the images.
    n_channels : tuple of int
        Those after each convolution, in the order of the network.
    kernel_size, stride : int
    n_units : tuple of int
        Those of dense layers between the smallest images and what is not an image, in
        the order of the network.
    activation : str
    """

    shape: tuple[int, int, int]
    n_channels: tuple[int, ...]
    kernel_size: int
    stride: int
    n_units: tuple[int, ...]
    activation: str

    @property
    def sizes(self) -> list[tuple[int, int]]:
        """Return height and width of the images and after each convolution.

        Each convolution divides them by the stride, rounded up.
        """
        sizes = [self.shape[:2]]
        for _ in self.n_channels:
            height, width = sizes[-1]
            sizes.append((-(-height // self.stride), -(-width // self.stride)))
        return sizes


class Convolution(nn.Module):
    """A convolution that divides height and width by its stride, rounded up.

    Weights (n_out, n_in, size, size) and biases are zero until they are drawn.
    """

    def __init__(self, n_in: int, n_out: int, size: int, stride: int) -> None:
        super().__init__()
        weight = torch.zeros((n_out, n_in, size, size), dtype=torch.float32)
        self.weight = nn.Parameter(weight)
        self.bias = nn.Parameter(torch.zeros(n_out, dtype=torch.float32))
        self.stride, self.padding = stride, size // 2

    def forward(self, h: Tensor) -> Tensor:
        return F.conv2d(h, self.weight, self.bias, self.stride, self.padding)


class Transposed(nn.Module):
    """The transpose of a convolution: images of a known size from smaller ones.

    Weights (n_in, n_out, size, size) are zero until they are drawn.
    """

    def __init__(
        self, n_in: int, n_out: int, size: int, stride: int, to: tuple[int, int]
    ) -> None:
        super().__init__()
        weight = torch.zeros((n_in, n_out, size, size), dtype=torch.float32)
        self.weight = nn.Parameter(weight)
        self.bias: Any = nn.Parameter(torch.zeros(n_out, dtype=torch.float32))
        self.stride, self.padding = stride, size // 2
        # What rounding up has added to a size is left out.
        self.added = tuple((length - 1) % stride for length in to)

    def forward(self, h: Tensor) -> Tensor:
        options = self.stride, self.padding, self.added
        return F.conv_transpose2d(h, self.weight, self.bias, *options)


class Pixels(nn.Module):
    """Flat values ↔ images, given the column that each value belongs to.

    Columns are flat in C order of (height, width, channels). Several values of a column
    are several channels.

    Parameters
    ----------
    layout : Layout
    columns : Tensor of shape (n,)
        The column of each value. Each column has as many.
    """

    order: Any
    inverse: Any

    def __init__(self, layout: Layout, columns: Tensor) -> None:
        super().__init__()
        height, width, _ = layout.shape
        self.n_channels = len(columns) // (height * width)
        self.shape = height, width, self.n_channels
        order: Any = torch.argsort(columns.cpu(), stable=True)
        inverse: Any = torch.argsort(order)
        if torch.equal(order, inverse) and bool((order.diff() > 0).all()):
            order = inverse = None
        # They follow from the columns, so that they need not be saved.
        self.register_buffer("order", order, persistent=False)
        self.register_buffer("inverse", inverse, persistent=False)

    def images(self, values: Tensor) -> Tensor:
        """Return images (B, channels, height, width) of flat values (B, n)."""
        if self.order is not None:
            values = values.index_select(-1, self.order)
        return images_of(values, self.shape)

    def flat(self, images: Tensor) -> Tensor:
        """Return the flat values (B, n) of images."""
        values = flat(images)
        return values if self.inverse is None else values.index_select(-1, self.inverse)


def images_of(values: Tensor, shape: tuple[int, int, int]) -> Tensor:
    """Return images (B, channels, height, width) of values in the order of a shape."""
    return values.unflatten(-1, shape).permute(0, 3, 1, 2)


def flat(images: Tensor) -> Tensor:
    """Return the values of images (B, channels, height, width), channels last."""
    return images.permute(0, 2, 3, 1).flatten(1)


def _channels_last(images: Tensor) -> Tensor:
    """Return images as they lie in flat rows; CPUs are faster with them."""
    return images.contiguous(memory_format=torch.channels_last)


class _ImageModel(nn.Module):
    """A network between flat images (..., n) and what is not an image."""

    layers: Any

    def __init__(self, layout: Layout, columns: Tensor) -> None:
        super().__init__()
        self.layout, self.pixels = layout, Pixels(layout, columns)
        self.activation = ACTIVATIONS[layout.activation].forward

    @property
    def width(self) -> int:
        """Most values of a row that a convolution computes together."""
        shapes = (layer.weight.shape for layer in self.layers)
        patches = (max(n, m) * height * width for n, m, height, width in shapes)
        return max(patches) * max(h * w for h, w in self.layout.sizes[1:])

    def forward(self, h: Tensor) -> Tensor:
        outputs = self.rows(h.reshape(-1, h.shape[-1]))
        return outputs.reshape(*h.shape[:-1], outputs.shape[-1])

    def rows(self, h: Tensor) -> Tensor:
        """Return the outputs (B, n_out) of inputs (B, n_in)."""
        raise NotImplementedError


class ImageEncoder(_ImageModel):
    """Convolutions, each followed by the activation, and a head without a bias."""

    def __init__(
        self, layout: Layout, columns: Tensor, n_out: int, random: torch.Generator
    ) -> None:
        super().__init__(layout, columns)
        pairs = pairwise((self.pixels.n_channels, *layout.n_channels))
        options = layout.kernel_size, layout.stride
        self.layers = nn.ModuleList(Convolution(*pair, *options) for pair in pairs)
        height, width = layout.sizes[-1]
        n_values = height * width * layout.n_channels[-1]
        *dense, last = pairwise((n_values, *layout.n_units, n_out))
        self.dense = nn.ModuleList(Dense(*pair) for pair in dense)
        self.head = Dense(*last, has_bias=False)
        draw_weights(
            nn.init.xavier_uniform_, [*self.layers, *self.dense, self.head], random
        )

    def start_at_zero(self, random: torch.Generator) -> None:
        """Make all outputs zero, with orthogonal weights below the head."""
        draw_weights(nn.init.orthogonal_, [*self.layers, *self.dense], random)
        nn.init.zeros_(self.head.weight)

    def rows(self, h: Tensor) -> Tensor:
        """Return the outputs (B, n_out) of inputs (B, n_in)."""
        images = self.pixels.images(h)
        for layer in self.layers:
            images = self.activation(_channels_last(layer(images)))
        h = flat(images)
        for layer in self.dense:
            h = self.activation(layer(h))
        return self.head(h)


class ImageDecoder(_ImageModel):
    """A layer, the activation, and transposed convolutions, with activations between.

    The last one has no bias: it belongs to the `LinearPath` beside it.
    """

    def __init__(
        self, layout: Layout, columns: Tensor, n_in: int, random: torch.Generator
    ) -> None:
        super().__init__(layout, columns)
        smallest, *larger = layout.sizes[::-1]
        self.shape = (*smallest, layout.n_channels[0])
        n_values = smallest[0] * smallest[1] * self.shape[-1]
        dense = pairwise((n_in, *layout.n_units, n_values))
        self.dense = nn.ModuleList(Dense(*pair) for pair in dense)
        pairs = pairwise((*layout.n_channels, self.pixels.n_channels))
        options = layout.kernel_size, layout.stride
        self.layers = nn.ModuleList(
            Transposed(*pair, *options, to)
            for pair, to in zip(pairs, larger, strict=True)
        )
        self.layers[-1].bias = None
        draw_weights(nn.init.xavier_uniform_, [*self.dense, *self.layers], random)

    def start_at_zero(self, random: torch.Generator) -> None:
        """Make all outputs zero, with orthogonal weights below the last layer."""
        draw_weights(nn.init.orthogonal_, [*self.dense, *self.layers[:-1]], random)
        nn.init.zeros_(self.layers[-1].weight)

    def rows(self, h: Tensor) -> Tensor:
        """Return the outputs (B, n_out) of inputs (B, n_in)."""
        for layer in self.dense:
            h = self.activation(layer(h))
        images = images_of(h, self.shape)
        for layer in self.layers[:-1]:
            images = self.activation(_channels_last(layer(images)))
        images = self.layers[-1](images)
        return self.pixels.flat(images)
