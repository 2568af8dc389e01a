"""Convolutional networks, for rows that are flat images."""

from collections.abc import Callable, Sequence
from math import prod
from numbers import Integral
from typing import Any

import torch
from sklearn.base import clone
from torch import Tensor, nn

from skvae.networks._contract import Network
from skvae.networks._images import ImageDecoder, ImageEncoder, Layout
from skvae.networks._perceptron import resolve_activation


class _Convolutional(Network):
    """What the encoder and the decoder have in common: all but the direction."""

    _model: Callable[..., nn.Module]
    """Gets a layout, columns, the number of what is not an image, and a generator."""

    @staticmethod
    def _ends(n_in: int, n_out: int) -> tuple[int, int]:
        """Return the numbers of values of images, and of what is not an image."""
        raise NotImplementedError

    def __init__(
        self,
        image_shape: Sequence[int],
        n_channels: int | Sequence[int],
        n_units: int | Sequence[int],
        kernel_size: int,
        stride: int,
        activation: str,
    ) -> None:
        self.image_shape = image_shape
        self.n_channels = n_channels
        self.n_units = n_units
        self.kernel_size = kernel_size
        self.stride = stride
        self.activation = activation

    def resolved(self, n_columns: int) -> "_Convolutional":
        """Return the spec with an activation in place of "auto".

        Parameters
        ----------
        n_columns : int
            Number of columns of `X`.

        Returns
        -------
        network : Network

        Raises
        ------
        ValueError
            If a parameter is invalid.
        """
        shape, channels = self._counts("image_shape"), self._counts("n_channels")
        if len(shape) not in (2, 3) or not channels:
            raise ValueError(
                "image_shape must be (height, width) or (height, width, channels), and "
                f"n_channels have a number per convolution. Got {shape} and {channels}."
            )
        (size,), (stride,) = self._counts("kernel_size"), self._counts("stride")
        if size % 2 == 0 or size < stride:
            raise ValueError(
                "kernel_size must be odd and at least as large as stride, so that each "
                f"pixel is seen. Got kernel_size={size} and stride={stride}."
            )
        activation = resolve_activation(self.activation)
        numbers = {"n_units": self._counts("n_units"), "kernel_size": size}
        options = {**numbers, "stride": stride, "activation": activation}
        return clone(self).set_params(image_shape=shape, n_channels=channels, **options)

    def _reversed(self) -> dict[str, Any]:
        """Return the parameters of the mirror image."""
        params = self.get_params(deep=False)
        for name in ("n_channels", "n_units"):
            params[name] = self._counts(name)[::-1]
        return params

    def _counts(self, name: str) -> tuple[int, ...]:
        """Return a parameter as a tuple of positive integers."""
        given = getattr(self, name)
        values = (given,) if isinstance(given, Integral) else tuple(given)
        for value in values:
            if not isinstance(value, Integral) or value < 1:
                raise ValueError(f"{name} must be positive integers. Got {given!r}.")
        return tuple(map(int, values))

    def build(self, n_in: int, n_out: int, random: torch.Generator) -> nn.Module:
        """Return a module for the values of an image, or of several after each other.

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
        return self.build_for_columns(None, n_in, n_out, random)

    def build_for_columns(
        self, columns: Tensor | None, n_in: int, n_out: int, random: torch.Generator
    ) -> nn.Module:
        n_values, n_others = self._ends(n_in, n_out)
        if columns is None:
            columns = torch.arange(n_values) % prod(self._counts("image_shape"))
        return self._model(self._layout(columns), columns, n_others, random)

    def _layout(self, columns: Tensor) -> Layout:
        """Return the layout, given the column of each pixel's value.

        Raises
        ------
        ValueError
            If there are not as many columns as pixels, or not as many values of each.
        """
        spec: Any = self.resolved(0)
        shape, name = spec.image_shape, type(self).__name__
        counts = torch.bincount(columns.cpu())
        if len(counts) != prod(shape):
            raise ValueError(
                f"{name} requires one column for each value of an image: "
                f"{' x '.join(map(str, shape))} = {prod(shape)}. Got {len(counts)} "
                "columns. Set image_shape to the (height, width) or (height, width, "
                "channels) of the images that rows hold, in C order."
            )
        least, most = int(counts.min()), int(counts.max())
        if least != most:
            raise ValueError(
                f"{name} requires as many values for one column as for another, which "
                f"become channels. Got {least} to {most}: as the likelihood gives "
                "columns, or as many as there are categories. Use one likelihood for "
                "all columns, with one number of categories, or a Perceptron."
            )
        options = spec.kernel_size, spec.stride, spec.n_units
        return Layout((*shape, 1)[:3], spec.n_channels, *options, spec.activation)


class ConvolutionalEncoder(_Convolutional):
    r"""Convolutions, then a perceptron, for rows that are flat images.

    A convolution with weights w and stride s makes images of m channels

    .. math:: a_{yxm} = b_m + \sum_{i, j, c} w_{mcij} h_{sy+i, sx+j, c}

    where i and j are centered at 0 and pixels outside of the image are 0 [1]_. Height
    and width are divided by s, rounded up, so that images of any size work. Dense
    layers follow. The decoder beside it is a :class:`ConvolutionalDecoder` by default.

    Rows are flat in C order of (height, width, channels), as ``images.reshape(n, -1)``
    makes them. Where the encoder sees several values of a column, such as a category
    one-hot or whether a cell is missing, these are channels too.

    Parameters
    ----------
    image_shape : tuple of int
        (height, width) or (height, width, channels) of the images.
    n_channels : int or array-like of int, default=(16, 32)
        Channels after each convolution, in the order of the network.
    n_units : int or array-like of int, default=(256, 256)
        Units of dense layers after the convolutions; `()` is none.
    kernel_size : int, default=3
        Height and width of the weights of a convolution, odd.
    stride : int, default=2
        Step of a convolution, at most `kernel_size`.
    activation : str, default="auto"
        Activation of all layers but the last, as of :class:`Perceptron`. `"auto"`:
        `"gelu"`.

    Raises
    ------
    ValueError
        In `fit`, if a parameter is invalid, if `X` has another number of columns than
        an image has values, or if the likelihood has more values for some columns than
        for others.

    See Also
    --------
    Perceptron : For columns without an order.

    Notes
    -----
    Beside a linear path (`init="pca"`) the outputs start at zero, with orthogonal
    weights below the last layer [2]_. A step takes about twice as long as a
    perceptron's on a CPU, and needs fewer steps: try `learning_rate=0.004` and a
    smaller `max_iter`.

    References
    ----------
    .. [1] Dumoulin & Visin (2016). A guide to convolution arithmetic for deep learning.
       https://arxiv.org/abs/1603.07285
    .. [2] Saxe, McClelland & Ganguli (2014). Exact solutions to the nonlinear dynamics
       of learning in deep linear neural networks. https://arxiv.org/abs/1312.6120

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from skvae import VAETransformer
    >>> from skvae.networks import ConvolutionalEncoder
    >>> X = load_digits().data
    >>> encoder = ConvolutionalEncoder((8, 8), n_channels=(8, 16), n_units=32)
    >>> vae = VAETransformer(encoder=encoder, max_iter=1, tol=None, random_state=0)
    >>> vae.fit(X).decoder_.n_channels
    (16, 8)
    """

    _model = ImageEncoder

    @staticmethod
    def _ends(n_in: int, n_out: int) -> tuple[int, int]:
        return n_in, n_out

    def __init__(
        self,
        image_shape: Sequence[int],
        n_channels: int | Sequence[int] = (16, 32),
        *,
        n_units: int | Sequence[int] = (256, 256),
        kernel_size: int = 3,
        stride: int = 2,
        activation: str = "auto",
    ) -> None:
        super().__init__(
            image_shape, n_channels, n_units, kernel_size, stride, activation
        )

    def mirrored(self) -> "ConvolutionalDecoder":
        """Return the decoder with these layers in reverse order.

        Returns
        -------
        network : ConvolutionalDecoder
        """
        return ConvolutionalDecoder(**self._reversed())


class ConvolutionalDecoder(_Convolutional):
    """A perceptron, then transposed convolutions, for rows that are flat images.

    The mirror image of a :class:`ConvolutionalEncoder`: dense layers, then the
    transposes [1]_ of its convolutions, to images of the sizes that it has seen. Where
    a likelihood has several outputs per column, such as its mean and noise, these are
    channels.

    Parameters
    ----------
    image_shape : tuple of int
        (height, width) or (height, width, channels) of the images.
    n_channels : int or array-like of int, default=(32, 16)
        Channels before each transposed convolution, in the order of the network.
    n_units : int or array-like of int, default=(256, 256)
        Units of dense layers before the convolutions; `()` is none.
    kernel_size : int, default=3
        Height and width of the weights of a convolution, odd.
    stride : int, default=2
        Factor of height and width, at most `kernel_size`.
    activation : str, default="auto"
        Activation of all layers but the last, as of :class:`Perceptron`. `"auto"`:
        `"gelu"`.

    Raises
    ------
    ValueError
        In `fit`, as for :class:`ConvolutionalEncoder`.

    See Also
    --------
    ConvolutionalEncoder : Its mirror image, with the equation.

    References
    ----------
    .. [1] Dumoulin & Visin (2016). A guide to convolution arithmetic for deep learning.
       https://arxiv.org/abs/1603.07285, chapter 4.

    Examples
    --------
    >>> ConvolutionalDecoder((28, 28), (64, 32)).mirrored().n_channels
    (32, 64)
    """

    _model = ImageDecoder

    @staticmethod
    def _ends(n_in: int, n_out: int) -> tuple[int, int]:
        return n_out, n_in

    def __init__(
        self,
        image_shape: Sequence[int],
        n_channels: int | Sequence[int] = (32, 16),
        *,
        n_units: int | Sequence[int] = (256, 256),
        kernel_size: int = 3,
        stride: int = 2,
        activation: str = "auto",
    ) -> None:
        super().__init__(
            image_shape, n_channels, n_units, kernel_size, stride, activation
        )

    def mirrored(self) -> "ConvolutionalEncoder":
        """Return the encoder with these layers in reverse order.

        Returns
        -------
        network : ConvolutionalEncoder
        """
        return ConvolutionalEncoder(**self._reversed())
