"""Rows of data beside their reconstructions."""

import numpy as np
from scipy.sparse import issparse

from skvae.displays._cells import draw_images, draw_lines, line_limits
from skvae.displays._checks import check_ax, check_count, check_decoder, decode, dense


class ReconstructionDisplay:
    """Rows of data beside their reconstructions.

    Where `image_shape` is given, originals stand in the upper row of images and
    their reconstructions below. Otherwise each cell holds two lines over the
    features, one on the other.

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

    Attributes
    ----------
    ax_, figure_ : matplotlib Axes and Figure
        The axes drawn on, where one unit is one cell, and its figure.
    image_ : matplotlib AxesImage or None
        All images in one; None where lines are drawn.
    lines_ : list of matplotlib LineCollection or None
        The originals and the reconstructions; None where images are drawn.

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

    def __init__(self, originals, reconstructions, *, image_shape=None, names=None):
        self.originals = originals
        self.reconstructions = reconstructions
        self.image_shape = image_shape
        self.names = names

    @classmethod
    def from_estimator(
        cls, estimator, X, *, n_samples=8, image_shape=None, ax=None, **kwargs
    ):
        """Reconstruct rows of `X` and draw both.

        Parameters
        ----------
        estimator : estimator instance
            Any fitted transformer with `inverse_transform`.
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
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
        X = _indexable(X)
        last = X.shape[0] - 1
        chosen = np.linspace(0, last, min(n_samples, last + 1)).round().astype(int)
        # A data frame stays one, so that the estimator can check its column names.
        rows = X.iloc[chosen] if hasattr(X, "iloc") else X[chosen]
        decoded = decode(estimator, estimator.transform(rows), image_shape)
        names = [f"row {index}" for index in chosen]
        display = cls(dense(rows), decoded, image_shape=image_shape, names=names)
        return display.plot(ax, **kwargs)

    def plot(self, ax=None, *, line_scale="shared", **kwargs):
        """Draw originals and reconstructions.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw; a new figure by default.
        line_scale : {"shared", "feature"}, default="shared"
            What fills the height of a cell, where lines are drawn: the range of all
            values, or each feature's own.
        **kwargs : dict
            Passed to `matplotlib.axes.Axes.imshow`, or to
            `matplotlib.collections.LineCollection`.

        Returns
        -------
        display : ReconstructionDisplay
            This display.
        """
        # From the bottom up: reconstructions, then originals.
        cells = np.stack([self.reconstructions, self.originals])
        limits = line_limits(cells, line_scale)
        n_columns = cells.shape[1]
        self.ax_ = check_ax(ax, figsize=(max(3.0, n_columns), 2.2))
        self.figure_ = self.ax_.figure
        self.image_ = self.lines_ = None
        if self.image_shape is None:
            self._overlay(cells, limits, kwargs)
        else:
            # One range of gray for both, that of the data.
            low, high = np.min(self.originals), np.max(self.originals)
            style = {"vmin": low, "vmax": high} | kwargs
            self.image_ = draw_images(self.ax_, cells, self.image_shape, **style)
            self.ax_.set_yticks([0.5, 1.5], ["reconstruction", "original"])
        names = [""] * n_columns if self.names is None else self.names
        self.ax_.set_xticks(np.arange(n_columns) + 0.5, names)
        self.ax_.tick_params(length=0)
        return self

    def _overlay(self, cells, limits, kwargs):
        below = {"colors": "#717581", "linewidths": 2.5, "label": "original"}
        above = {"colors": "#bd1f01", "linewidths": 1.0, "label": "reconstruction"}
        self.lines_ = [
            draw_lines(self.ax_, cells[1:], limits, **below | kwargs),
            draw_lines(self.ax_, cells[:1], limits, **above | kwargs),
        ]
        self.ax_.set_yticks([])
        self.ax_.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=2, frameon=False)


def _indexable(X):
    """Return `X` in a form that a list of row numbers can index."""
    if issparse(X):
        return X.tocsr()
    return X if hasattr(X, "shape") else np.asarray(X)
