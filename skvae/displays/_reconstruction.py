"""Rows of data beside their reconstructions."""

import numpy as np

from skvae.displays._cells import draw_images, draw_lines, line_limits
from skvae.displays._checks import (
    check_ax,
    check_count,
    check_decoder,
    decode,
    dense,
    has_columns,
    indexable,
    names_of,
    plain,
    take_rows,
)
from skvae.displays._classes import COLORS
from skvae.inspection._encoded import Encoder

MOST_NAMES = 30
"""Features of which each has a line and a name of its own."""


class ReconstructionDisplay:
    """Rows of data beside their reconstructions.

    Where `image_shape` is given, originals stand in the upper row of images and
    their reconstructions below. Where at most 30 features have names, each has a line,
    on which a dot is a reconstructed value and a circle the original one. Otherwise
    each cell holds two lines over the features, one on the other. Missing values are
    left out; categories are drawn in their order.

    Parameters
    ----------
    originals : ndarray of shape (n_samples, n_features)
        Rows of data.
    reconstructions : ndarray of shape (n_samples, n_features)
        The same rows, encoded and decoded.
    image_shape : tuple of int, default=None
        ``(height, width)``, or ``(height, width, 3)`` for colors.
    names : sequence of str, default=None
        Names of the rows, written under the cells.
    feature_names : sequence of str, default=None
        Names of the features.

    Attributes
    ----------
    ax_, figure_ : matplotlib Axes and Figure
        The axes drawn on, where one unit is one cell, and its figure.
    image_ : matplotlib AxesImage or None
        All images in one; None where lines are drawn.
    lines_ : list of matplotlib LineCollection or None
        The originals and the reconstructions; None where images or dots are drawn.
    dots_ : list of matplotlib PathCollection or None
        The originals and the reconstructions; None where images or lines are drawn.

    See Also
    --------
    ManifoldDisplay : The latent space, decoded on a grid.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn.decomposition import PCA
    >>> from skvae.displays import ReconstructionDisplay
    >>> X = load_digits().data
    >>> pca = PCA(10).fit(X)
    >>> display = ReconstructionDisplay.from_estimator(pca, X, image_shape=(8, 8))
    >>> display.image_.get_array().shape
    (16, 64)
    """

    def __init__(
        self,
        originals,
        reconstructions,
        *,
        image_shape=None,
        names=None,
        feature_names=None,
    ):
        self.originals = originals
        self.reconstructions = reconstructions
        self.image_shape = image_shape
        self.names = names
        self.feature_names = feature_names

    @classmethod
    def from_estimator(
        cls, estimator, X, *, n_samples=8, image_shape=None, ax=None, **kwargs
    ):
        """Reconstruct rows of `X` and draw both.

        Parameters
        ----------
        estimator : estimator instance
            Any fitted transformer with `inverse_transform`.
        X : {array-like, sparse matrix, DataFrame} of shape (n_samples, n_features)
            The data to choose from.
        n_samples : int, default=8
            How many rows to draw, evenly spaced from the first to the last of `X`:
            always the same ones.
        image_shape : tuple of int, default=None
            ``(height, width)`` or ``(height, width, 3)`` of one row of data.
        ax : matplotlib Axes, default=None
            Where to draw; a new figure by default.
        **kwargs : dict
            Passed to :meth:`plot`.

        Returns
        -------
        display : ReconstructionDisplay
            The display, drawn.
        """
        check_decoder(estimator)
        check_count("n_samples", n_samples)
        X = indexable(X)
        last = X.shape[0] - 1
        chosen = np.linspace(0, last, min(n_samples, last + 1)).round().astype(int)
        rows = take_rows(X, chosen)
        decoded = decode(estimator, estimator.transform(rows), image_shape)
        names = [f"row {index}" for index in chosen]
        read = Encoder(X) if has_columns(X) and has_columns(decoded) else dense
        display = cls(
            read(rows),
            read(decoded),
            image_shape=image_shape,
            names=names,
            feature_names=names_of(X),
        )
        return display.plot(ax, **kwargs)

    def plot(self, ax=None, *, line_scale="auto", **kwargs):
        """Draw originals and reconstructions.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw; a new figure by default.
        line_scale : {"auto", "shared", "feature"}, default="auto"
            What fills the height of a cell, where lines are drawn: the range of all
            values, or each feature's own. "auto" means the latter where most features
            vary over less than a fifth of the range of all. Dots always have each
            feature's own.
        **kwargs : dict
            Passed to `matplotlib.axes.Axes.imshow`, to
            `matplotlib.collections.LineCollection`, or, for dots, to
            `matplotlib.axes.Axes.scatter`.

        Returns
        -------
        display : ReconstructionDisplay
            This display.
        """
        # From the bottom up: reconstructions, then originals.
        cells = np.stack([self.reconstructions, self.originals])
        limits = line_limits(cells, line_scale)
        n_columns = cells.shape[1]
        has_dots = self._has_dots()
        height = 1.0 + 0.25 * cells.shape[2] if has_dots else 2.2
        width = max(3.0, n_columns) + self._width_beside(has_dots)
        self.ax_ = check_ax(ax, figsize=(width, height))
        self.figure_ = self.ax_.figure
        self.image_ = self.lines_ = self.dots_ = None
        if has_dots:
            self._draw_dots(cells, kwargs)
        elif self.image_shape is None:
            self._overlay(cells, limits, kwargs)
        else:
            # One range of gray for both, that of the data.
            low, high = np.nanmin(self.originals), np.nanmax(self.originals)
            style = {"vmin": low, "vmax": high} | kwargs
            self.image_ = draw_images(self.ax_, cells, self.image_shape, **style)
            self.ax_.set_yticks([0.5, 1.5], ["reconstruction", "original"])
        names = [""] * n_columns if self.names is None else self.names
        self.ax_.set_xticks(np.arange(n_columns) + 0.5, names)
        self.ax_.tick_params(length=0)
        return self

    def _has_dots(self):
        names, shape = self.feature_names, self.image_shape
        return shape is None and names is not None and len(names) <= MOST_NAMES

    def _width_beside(self, has_dots):
        """Return how many inches legend and names of features take, about."""
        if self.image_shape is not None:
            return 0.0
        longest = max(map(len, self.feature_names)) if has_dots else 0
        return 1.5 + 0.075 * longest

    def _draw_dots(self, cells, kwargs):
        """Draw each feature on a line of its own, the first at the top."""
        low, high = line_limits(cells, "feature")
        _, n_columns, n_features = cells.shape
        fractions = (cells - low) / np.where(high > low, high - low, 1.0)
        x = np.arange(n_columns)[:, None] + 0.15 + 0.7 * fractions
        y = np.broadcast_to(np.arange(n_features)[::-1], x.shape[1:])
        self.ax_.hlines(y[0], 0, n_columns, colors="#e0e0e0", linewidths=0.8)
        self.ax_.vlines(
            np.arange(1, n_columns),
            -0.5,
            n_features - 0.5,
            colors="#b0b0b0",
            linewidths=0.5,
        )
        circle = {"s": 42, "facecolors": "none", "edgecolors": COLORS[8]}
        dot = {"s": 14, "color": COLORS[2], "linewidths": 0}
        self.dots_ = [
            self.ax_.scatter(x[1], y, label="original", **circle | kwargs),
            self.ax_.scatter(x[0], y, label="reconstruction", **dot | kwargs),
        ]
        self.ax_.set(xlim=(0, n_columns), ylim=(-0.5, n_features - 0.5))
        names = list(map(plain, self.feature_names))
        self.ax_.set_yticks(np.arange(n_features)[::-1], names)
        self.ax_.legend(loc="center left", bbox_to_anchor=(1, 0.5), frameon=False)

    def _overlay(self, cells, limits, kwargs):
        below = {"colors": "#717581", "linewidths": 2.5, "label": "original"}
        above = {"colors": "#bd1f01", "linewidths": 1.0, "label": "reconstruction"}
        self.lines_ = [
            draw_lines(self.ax_, cells[1:], limits, **below | kwargs),
            draw_lines(self.ax_, cells[:1], limits, **above | kwargs),
        ]
        self.ax_.set_yticks([])
        self.ax_.legend(loc="center left", bbox_to_anchor=(1, 0.5), frameon=False)
