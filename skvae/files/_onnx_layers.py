"""Layers of networks on arrays of a graph, in float64."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

Array = Any

Pair = int | tuple[int, int]


def _linear(h: Array, weight: Tensor, bias: Tensor | None = None) -> Array:
    outputs = torch.matmul(h, weight.T)
    return outputs if bias is None else outputs + bias


def _layer_norm(
    h: Array,
    shape: Any,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
) -> Array:
    if len(shape) != 1:
        raise NotImplementedError("layer_norm over several axes has none")
    deviations = h - torch.mean(h, -1, True)
    variance = torch.mean(torch.square(deviations), -1, True)
    h = deviations / torch.sqrt(variance + eps)
    h = h if weight is None else h * weight
    return h if bias is None else h + bias


def _pair(value: Pair) -> tuple[int, int]:
    return (value, value) if isinstance(value, int) else (value[0], value[1])


def _refuse(groups: int, dilation: Pair, padding: Any) -> None:
    is_usual = groups == 1 and _pair(dilation) == (1, 1)
    if not is_usual or isinstance(padding, str):
        raise NotImplementedError("a convolution with groups or dilation has none")


def _conv2d(
    h: Array,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Pair = 1,
    padding: Pair = 0,
    dilation: Pair = 1,
    groups: int = 1,
) -> Array:
    """Return a convolution as a product of patches: ONNX runtimes have none in float64.

    At output o, weight i meets the pixel s o + i - p.
    """
    _refuse(groups, dilation, padding)
    places = []
    given = h.shape[2:], weight.shape[2:], _pair(stride), _pair(padding)
    for n, size, step, pad in zip(*given, strict=True):
        n_out = (n + 2 * pad - size) // step + 1
        at = step * torch.arange(n_out)[:, None] + torch.arange(size) - pad
        places.append(torch.where((at >= 0) & (at < n), at, -1))
    return _product_of_patches(h, places, weight, bias)


def _conv_transpose2d(
    h: Array,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Pair = 1,
    padding: Pair = 0,
    output_padding: Pair = 0,
    groups: int = 1,
    dilation: Pair = 1,
) -> Array:
    """Return the transpose of a convolution.

    At output o, weight i meets the pixel (o + p - i) / s, if there is one.
    """
    _refuse(groups, dilation, padding)
    places = []
    sizes = h.shape[2:], weight.shape[2:]
    options = map(_pair, (stride, padding, output_padding))
    for n, size, step, pad, added in zip(*sizes, *options, strict=True):
        n_out = (n - 1) * step - 2 * pad + size + added
        at = torch.arange(n_out)[:, None] + pad - torch.arange(size)
        is_pixel = (at % step == 0) & (at >= 0) & (at < n * step)
        places.append(torch.where(is_pixel, at // step, -1))
    return _product_of_patches(h, places, weight.transpose(0, 1), bias)


def _product_of_patches(
    h: Array, places: list[Tensor], weight: Tensor, bias: Tensor | None
) -> Array:
    """Return what weights (M, C, k, l) make of the pixels that each output sees.

    Parameters
    ----------
    h : GraphArray of shape (B, C, H, W)
    places : list of Tensor
        Rows (H', k) and columns (W', l) of these pixels, -1 where there is none.
    weight : Tensor of shape (M, C, k, l)
    bias : Tensor of shape (M,) or None
    """
    n_channels, height, width = h.shape[1:]
    rows, columns = places[0][:, None, :, None], places[1][None, :, None, :]
    # One more pixel is zero: that of places outside.
    at = torch.where((rows < 0) | (columns < 0), height * width, rows * width + columns)
    pixels = torch.nn.functional.pad(h.reshape(-1, n_channels, height * width), (0, 1))
    patches = pixels.index_select(-1, at.flatten())
    n_out, size = len(places[0]) * len(places[1]), at[0, 0].numel()
    patches = (
        patches.reshape(-1, n_channels, n_out, size).permute(0, 2, 1, 3).flatten(2)
    )
    outputs = torch.matmul(patches, weight.flatten(1).T)
    outputs = outputs if bias is None else outputs + bias
    shape = (-1, len(weight), len(places[0]), len(places[1]))
    return outputs.permute(0, 2, 1).reshape(shape)


LAYERS: dict[str, Callable] = {
    "linear": _linear,
    "layer_norm": _layer_norm,
    "conv2d": _conv2d,
    "conv_transpose2d": _conv_transpose2d,
}
