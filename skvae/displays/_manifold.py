"""A latent space, decoded on a grid."""

import textwrap

import numpy as np
from scipy.special import ndtri

from skvae.displays._cells import draw_images, draw_lines, line_limits
from skvae.displays._checks import (
    LATENT_NAMES,
    check_ax,
    check_count,
    check_decoder,
    choose_components,
    count_components,
    decode,
    dense,
    has_columns,
    names_of,
    plain,
)
from skvae.inspection._encoded import Encoder

MOST_NAMES = 12
"""Features that are named below the grid."""


class ManifoldDisplay:
    """A latent space, decoded on a grid.

    Each cell shows a decoded latent point: an image if `image_shape` is given,
    otherwise a line over the features. Up and right are larger latent values.

    Parameters
    ----------
    cells : ndarray of shape (n_rows, n_columns, n_features)
        Decoded points; row 0 holds the smallest vertical coordinate.
    horizontal : ndarray of shape (n_columns,)
        Latent coordinate of each column.
    vertical : ndarray of shape (n_rows,), default=None
        Latent coordinate of each row; None where one component makes one row.
    image_shape : tuple of int, default=None
        ``(height, width)``, or ``(height, width, 3)`` for colors.
    names : sequence of str, default=("component 0", "component 1")
        The axis labels.
    feature_names : sequence of str, default=None
        Names of the features, which are written below where lines are drawn.

    Attributes
    ----------
    ax_, figure_ : matplotlib Axes and Figure
        The axes drawn on, where one unit is one cell, and its figure.
    image_ : matplotlib AxesImage or None
        All images in one; None where lines are drawn.
    lines_ : matplotlib LineCollection or None
        One line per cell; None where images are drawn.

    See Also
    --------
    LatentDisplay : Where the rows of a data set lie in the same space.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn.decomposition import PCA
    >>> from skvae.displays import ManifoldDisplay
    >>> pca = PCA(2, whiten=True).fit(load_digits().data)
    >>> display = ManifoldDisplay.from_estimator(pca, n_cells=5, image_shape=(8, 8))
    >>> display.image_.get_array().shape
    (40, 40)
    """

    def __init__(
        self,
        cells,
        horizontal,
        vertical=None,
        *,
        image_shape=None,
        names=LATENT_NAMES,
        feature_names=None,
    ):
        self.cells = cells
        self.horizontal = horizontal
        self.vertical = vertical
        self.image_shape = image_shape
        self.names = names
        self.feature_names = feature_names

    @classmethod
    def from_estimator(
        cls,
        estimator,
        *,
        n_cells=15,
        image_shape=None,
        components=(0, 1),
        extent=None,
        ax=None,
        **kwargs,
    ):
        """Decode a grid of latent points and draw it.

        Parameters
        ----------
        estimator : estimator instance
            Any fitted transformer with `inverse_transform`.
        n_cells : int, default=15
            Cells along each axis.
        image_shape : tuple of int, default=None
            ``(height, width)`` or ``(height, width, 3)`` of one row of data.
        components : int or tuple of one or two int, default=(0, 1)
            The components that vary, the horizontal axis first; the others stay at
            0. One component makes one row of cells. For a transformer of one
            component the default means that component.
        extent : tuple of float, default=None
            The outermost latent values, ``(left, right, bottom, top)``, or
            ``(left, right)`` for one component, with cells evenly spaced between.
            By default cells stand at the quantiles ``(i + 0.5) / n_cells`` of the
            standard normal distribution: each stands for the same fraction of a VAE's
            prior. Latent spaces of another scale need an extent.
        ax : matplotlib Axes, default=None
            Where to draw; a new figure by default.
        **kwargs : dict
            Passed to :meth:`plot`.

        Returns
        -------
        display : ManifoldDisplay
            The display, drawn.
        """
        check_decoder(estimator)
        check_count("n_cells", n_cells)
        n_components = count_components(estimator)
        chosen, names = choose_components(estimator, components, n_components)
        axes = _grid_axes(n_cells, len(chosen), extent)
        grid = np.stack(np.meshgrid(*axes), axis=-1).reshape(-1, len(chosen))
        latent = np.zeros((len(grid), n_components))
        latent[:, chosen] = grid
        decoded = decode(estimator, latent, image_shape)
        rows = Encoder(decoded).first if has_columns(decoded) else dense(decoded)
        display = cls(
            rows.reshape(-1, n_cells, rows.shape[1]),
            *axes,
            image_shape=image_shape,
            names=names,
            feature_names=names_of(decoded),
        )
        return display.plot(ax, **kwargs)

    def plot(self, ax=None, *, line_scale="auto", **kwargs):
        """Draw the grid.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw; a new figure by default.
        line_scale : {"auto", "shared", "feature"}, default="auto"
            What fills the height of a cell, where lines are drawn: the range of all
            values, or each feature's own. "auto" means the latter where most features
            vary over less than a fifth of the range of all.
        **kwargs : dict
            Passed to `matplotlib.axes.Axes.imshow`, or to
            `matplotlib.collections.LineCollection`.

        Returns
        -------
        display : ManifoldDisplay
            This display.
        """
        limits = line_limits(self.cells, line_scale)
        self.ax_ = check_ax(ax, figsize=(6, 1.6 if self.vertical is None else 6))
        self.figure_ = self.ax_.figure
        self.image_ = self.lines_ = None
        if self.image_shape is None:
            self.lines_ = draw_lines(self.ax_, self.cells, limits, **kwargs)
        else:
            self.image_ = draw_images(self.ax_, self.cells, self.image_shape, **kwargs)
        self.ax_.set_xticks(*_cell_ticks(self.horizontal))
        self.ax_.set_xlabel(self.names[0] + self._order_of_features())
        self.ax_.set_yticks([])
        if self.vertical is not None:
            self.ax_.set_yticks(*_cell_ticks(self.vertical))
            self.ax_.set_ylabel(self.names[1])
        return self

    def _order_of_features(self):
        """Return a line that names the features of a cell, if they have names."""
        if self.feature_names is None or self.image_shape is not None:
            return ""
        named = ", ".join(self.feature_names[:MOST_NAMES])
        more = ", ..." * (len(self.feature_names) > MOST_NAMES)
        text = f"Each cell, from left to right: {named}{more}"
        return "\n" + plain(textwrap.fill(text, 60))


def _grid_axes(n_cells, n_axes, extent):
    """Return the latent coordinates of the cells, one array per axis."""
    if extent is None:
        return [ndtri((np.arange(n_cells) + 0.5) / n_cells)] * n_axes
    limits = np.ravel(np.asarray(extent, dtype=float))
    rises = len(limits) == 2 * n_axes and np.all(limits[::2] < limits[1::2])
    if not rises or not np.isfinite(limits).all():
        wanted = "(left, right) with left < right, as one component varies"
        if n_axes == 2:
            wanted = "(left, right, bottom, top) with left < right and bottom < top"
        raise ValueError(f"extent must be {wanted}. Got {extent!r}.")
    return [np.linspace(low, high, n_cells) for low, high in limits.reshape(-1, 2)]


def _cell_ticks(coordinates, n_ticks=5):
    """Return positions and labels of ticks at the centers of evenly chosen cells."""
    last = len(coordinates) - 1
    cells = np.unique(np.linspace(0, last, n_ticks).round().astype(int))
    # Two digits for the largest coordinate, and as many decimals for the others.
    largest = np.max(np.abs(coordinates)) or 1.0
    decimals = max(0, 1 - int(np.floor(np.log10(largest))))
    labels = [f"{coordinates[cell]:.{decimals}f}" for cell in cells]
    return cells + 0.5, [label.replace("-", "\N{MINUS SIGN}") for label in labels]
