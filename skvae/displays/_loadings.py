"""How columns change with each component."""

import numpy as np

from skvae.displays._cells import check_image_shape
from skvae.displays._checks import (
    check_axes,
    check_count,
    choose_some,
    component_names,
    shortened,
)
from skvae.displays._classes import COLORS
from skvae.inspection import loadings

MOST_BARS = 4
"""Components that are drawn as bars, where nothing else is said."""

MOST_IMAGES = 8
"""Components that are drawn as images if none are chosen."""

N_COLUMNS = {"bars": 15, "heatmap": 30}
"""Columns to draw, where nothing else is said."""


class LoadingsDisplay:
    """How columns change with each component: bars, a heat map or images.

    The mean change of a column is drawn for one standard deviation of a component, in
    standard deviations of the column; a category counts as a column that is 1 where a
    cell has it, else 0. Up to four components have bars, the largest first; more are a
    heat map. Where not all columns are drawn, the figure says how many are left out.

    Parameters
    ----------
    values : ndarray of shape (n_components, n_values)
        What `ComponentLoadings.standardized` holds.
    names : sequence of str
        Names of the columns, or `"column = category"`.
    components : sequence of str
        Names of the components.
    image_shape : tuple of int, default=None
        ``(height, width)``, or ``(height, width, 3)`` for colors, whose mean is drawn.

    Attributes
    ----------
    axes_, figure_ : ndarray of matplotlib Axes, and Figure
        The axes drawn on, one for each component or one for the heat map, and their
        figure.
    bars_ : list of matplotlib BarContainer, or None
        The bars of each component; None where there are none.
    images_ : list of matplotlib AxesImage, or None
        The heat map, or the image of each component; None where bars are drawn.
    colorbar_ : matplotlib Colorbar or None
        That of the images.

    See Also
    --------
    skvae.inspection.loadings : The numbers.
    TraversalDisplay : Columns over a component, far from where rows are.
    LatentDisplay : Draws them as arrows in a map, with `n_arrows`.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from skvae import LoadingsDisplay, VAETransformer
    >>> X = load_iris(as_frame=True).data
    >>> vae = VAETransformer(max_iter=20, tol=None, random_state=0).fit(X)
    >>> display = LoadingsDisplay.from_estimator(vae, X)
    >>> len(display.bars_)
    2
    """

    def __init__(self, values, names, components, *, image_shape=None):
        self.values = values
        self.names = names
        self.components = components
        self.image_shape = image_shape

    @classmethod
    def from_estimator(
        cls, estimator, X, *, components=None, image_shape=None, ax=None, **kwargs
    ):
        """Measure how columns change over rows, and draw it.

        Parameters
        ----------
        estimator : VAETransformer or AutoencoderTransformer
            A fitted estimator.
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            At least two rows, such as those of `fit`.
        components : int or sequence of int, default=None
            Components to draw. None: all, but as images the first eight.
        image_shape : tuple of int, default=None
            ``(height, width)`` or ``(height, width, 3)`` of one row of data.
        ax : matplotlib Axes or array of these, default=None
            Where to draw: one for each component, or one for a heat map. A new figure
            by default.
        **kwargs : dict
            Passed to :meth:`plot`.

        Returns
        -------
        display : LoadingsDisplay
            The display, drawn.
        """
        found = loadings(estimator, X)
        most = MOST_IMAGES if image_shape is not None else len(found.scale)
        chosen = choose_some(components, len(found.scale), most)
        named = found.names, component_names(estimator, chosen)
        display = cls(found.array[chosen], *named, image_shape=image_shape)
        return display.plot(ax, **kwargs)

    def plot(self, ax=None, *, kind="auto", n_columns=None, **kwargs):
        """Draw the loadings.

        Parameters
        ----------
        ax : matplotlib Axes or array of these, default=None
            Where to draw; a new figure by default.
        kind : {"auto", "bars", "heatmap"}, default="auto"
            What to draw, if there is no `image_shape`; "auto" draws bars for up to
            four components.
        n_columns : int, default=None
            Columns to draw, at most: for bars the largest of each component, for a heat
            map those that are largest for any. None: 15 and 30.
        **kwargs : dict
            Passed to `matplotlib.axes.Axes.barh`, or to `imshow`.

        Returns
        -------
        display : LoadingsDisplay
            This display.
        """
        if kind not in ("auto", *N_COLUMNS):
            raise ValueError(f"kind must be 'auto', 'bars' or 'heatmap'. Got {kind!r}.")
        if kind == "auto":
            kind = "bars" if len(self.values) <= MOST_BARS else "heatmap"
        n_columns = N_COLUMNS[kind] if n_columns is None else n_columns
        check_count("n_columns", n_columns)
        self.bars_ = self.images_ = self.colorbar_ = None
        # A scale around zero, also where nothing moves.
        self._limit = float(np.abs(self.values).max()) or 1.0
        n_drawn = min(n_columns, len(self.names))
        if self.image_shape is not None:
            self._draw_images(ax, kwargs)
        elif kind == "bars":
            self._draw_bars(ax, n_drawn, kwargs)
        else:
            self._draw_heat_map(ax, n_drawn, kwargs)
        self.figure_ = self.axes_[0].figure
        return self

    def _draw_bars(self, ax, n_drawn, kwargs):
        n_components = len(self.values)
        size = (1.2 + 4.0 * n_components, 1.3 + 0.26 * n_drawn)
        self.axes_ = check_axes(ax, n_components, figsize=size)
        self.bars_ = []
        for axes, name, values in zip(
            self.axes_, self.components, self.values, strict=True
        ):
            order = np.argsort(-np.abs(values), kind="stable")
            some, rest = order[:n_drawn], order[n_drawn:]
            colors = np.where(values[some] < 0.0, COLORS[2], COLORS[0])
            style = {"color": colors, "height": 0.7} | kwargs
            places = np.arange(len(some))
            self.bars_.append(axes.barh(places, values[some], **style))
            axes.set_yticks(places, [shortened(self.names[j]) for j in some])
            axes.axvline(0.0, color="black", linewidth=0.8)
            reach = 1.05 * self._limit
            axes.set(xlim=(-reach, reach), ylim=(n_drawn - 0.4, -0.6), title=name)
            said = _left_out(len(rest), np.abs(values[rest]).max(initial=0.0))
            axes.set_xlabel("mean change (standard deviations)" + said)
            axes.tick_params(axis="y", length=0)

    def _draw_heat_map(self, ax, n_drawn, kwargs):
        sizes = np.abs(self.values)
        order = np.argsort(-sizes.max(axis=0), kind="stable")
        some, rest = order[:n_drawn], order[n_drawn:]
        # Columns of the same component stand together.
        some = some[np.argsort(sizes[:, some].argmax(axis=0), kind="stable")]
        size = (3.6 + 0.36 * len(self.values), 1.5 + 0.22 * n_drawn)
        self.axes_ = check_axes(ax, 1, figsize=size)
        axes = self.axes_[0]
        style = self._style() | {"aspect": "auto"} | kwargs
        self.images_ = [axes.imshow(self.values[:, some].T, **style)]
        names = [shortened(self.names[j]) for j in some]
        axes.set_yticks(np.arange(len(some)), names)
        labels = [shortened(name) for name in self.components]
        # Numbers suffice, if names say no more.
        if labels == [f"component {k}" for k in range(len(labels))]:
            labels = [str(k) for k in range(len(labels))]
            axes.set_xlabel("component")
        axes.set_xticks(np.arange(len(labels)), labels)
        axes.tick_params(length=0)
        said = _left_out(len(rest), sizes[:, rest].max(initial=0.0))
        axes.set_xlabel(axes.get_xlabel() + said)
        self._add_colorbar()

    def _draw_images(self, ax, kwargs):
        n_components, n_values = self.values.shape
        check_image_shape(self.image_shape, n_values)
        height, width, *colors = self.image_shape
        images = self.values.reshape(n_components, height, width, *colors)
        images = images.mean(axis=-1) if colors else images
        size = (1.6 * n_components + 1.2, 1.6 * height / width + 0.6)
        self.axes_ = check_axes(ax, n_components, figsize=size)
        self.images_ = []
        for axes, name, image in zip(self.axes_, self.components, images, strict=True):
            self.images_.append(axes.imshow(image, **self._style() | kwargs))
            axes.set(xticks=[], yticks=[])
            axes.set_title(name, fontsize="medium")
        self._add_colorbar()

    def _style(self):
        return {"cmap": "RdBu", "vmin": -self._limit, "vmax": self._limit}

    def _add_colorbar(self):
        figure, last = self.axes_[0].figure, self.images_[-1]
        label = "mean change\n(standard deviations)"
        self.colorbar_ = figure.colorbar(last, ax=list(self.axes_), label=label)


def _left_out(n, largest):
    """Return a line about columns that are not drawn; none if all are."""
    if not n:
        return ""
    return f"\n{n} more column{'s' * (n > 1)}, none above {largest:.2g}"
