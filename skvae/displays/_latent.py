"""The rows of a data set in latent space."""

import numpy as np
from sklearn.utils import check_consistent_length, column_or_1d
from sklearn.utils.validation import check_is_fitted

from skvae.displays._arrows import Arrows
from skvae.displays._checks import (
    LATENT_NAMES,
    check_ax,
    check_count,
    choose_components,
    dense,
    plain,
)
from skvae.displays._classes import COLORS, GRAY, classes_of, measured
from skvae.inspection import loadings

FAR = 15.0
"""Distance from the quartiles, in distances between these, of rows left outside."""

MOST_FAR = 0.01
"""Fraction of the rows, or one row, that may be left outside."""


class LatentDisplay:
    """Where the rows of a data set lie in a latent space.

    Two components make a scatter plot. One component makes a histogram, or, where
    `y` is continuous, a scatter plot of `y` against it. Labels that are not numbers,
    or at most 20 different whole numbers, are classes and get a legend; any other
    `y` gets a colorbar. Ordered categories keep their order, and are colored by it.
    Rare classes are drawn last, missing labels and all but the 19 most frequent of many
    classes in gray. Rows far from all others are left outside of the axes, which say
    how many.

    Parameters
    ----------
    latent : ndarray of shape (n_samples, 1) or (n_samples, 2)
        Latent coordinates.
    y : array-like of shape (n_samples,), default=None
        Labels or values to color by.
    names : sequence of str, default=("component 0", "component 1")
        The axis labels.
    arrows : Arrows, default=None
        Where columns grow, as `from_estimator` finds it.

    Attributes
    ----------
    ax_, figure_ : matplotlib Axes and Figure
        The axes drawn on and its figure.
    scatter_ : matplotlib PathCollection or None
        The points; None where a histogram is drawn.
    legend_ : matplotlib Legend or None
        The legend of the classes, whose title is the name of `y`, if it has one.
    colorbar_ : matplotlib Colorbar or None
        The colorbar of a continuous `y`.
    arrows_ : list of matplotlib Annotation
        The arrows.
    arrow_names_ : list of matplotlib Text
        Their names.

    See Also
    --------
    ManifoldDisplay : The latent space, decoded on a grid.
    LoadingsDisplay : What the arrows show, as bars.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.decomposition import PCA
    >>> from skvae.displays import LatentDisplay
    >>> X, y = load_iris(return_X_y=True)
    >>> display = LatentDisplay.from_estimator(PCA(2).fit(X), X, y)
    >>> display.ax_.get_xlabel()
    'component 0'
    """

    def __init__(self, latent, *, y=None, names=LATENT_NAMES, arrows=None):
        self.latent = latent
        self.y = y
        self.names = names
        self.arrows = arrows

    @classmethod
    def from_estimator(
        cls, estimator, X, y=None, *, components=(0, 1), n_arrows=0, ax=None, **kwargs
    ):
        """Transform `X` and draw the result.

        Parameters
        ----------
        estimator : estimator instance
            Any fitted transformer.
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The rows to place.
        y : array-like of shape (n_samples,), default=None
            Labels or values to color by.
        components : int or tuple of one or two int, default=(0, 1)
            The components to draw, the horizontal axis first. For a transformer of
            one component the default means that component.
        n_arrows : int, default=0
            Columns to show as arrows (a biplot), those that change most with the two
            components, from the middle of the rows to where the column is greater: on
            average, since a column need not grow in one direction. Their lengths are to
            each other as the changes; see :func:`skvae.inspection.loadings`, which says
            what estimators have them. Up to 8 can be read.
        ax : matplotlib Axes, default=None
            Where to draw; a new figure by default.
        **kwargs : dict
            Passed to :meth:`plot`.

        Returns
        -------
        display : LatentDisplay
            The display, drawn.
        """
        check_is_fitted(estimator)
        latent = dense(estimator.transform(X))
        chosen, names = choose_components(estimator, components, latent.shape[1])
        arrows = None
        if n_arrows:
            check_count("n_arrows", n_arrows)
            arrows = Arrows.of(loadings(estimator, X), chosen, n_arrows)
        display = cls(latent[:, chosen], y=y, names=names, arrows=arrows)
        return display.plot(ax, **kwargs)

    def plot(self, ax=None, **kwargs):
        """Draw the latent coordinates.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw; a new figure by default.
        **kwargs : dict
            Passed to `matplotlib.axes.Axes.scatter`, or to `hist` for a histogram.
            `cmap` also colors classes.

        Returns
        -------
        display : LatentDisplay
            This display.
        """
        values = classes = None
        if self.y is not None:
            check_consistent_length(self.latent, self.y)
            y = column_or_1d(self.y)
            given = self.y if hasattr(self.y, "dtype") else y
            classes = classes_of(given, kwargs.get("cmap"))
            values = measured(given) if classes is None else None
        if classes is not None:
            kwargs.pop("cmap", None)
        self.ax_ = check_ax(ax)
        self.figure_ = self.ax_.figure
        self.scatter_ = self.legend_ = self.colorbar_ = None
        self.arrows_, self.arrow_names_ = [], []
        self.ax_.set_xlabel(self.names[0])
        if self.latent.shape[1] == 2:
            self.ax_.set_ylabel(self.names[1])
            self._scatter(self.latent[:, 1], values, classes, kwargs)
            self._draw_arrows()
        elif values is not None:
            self.ax_.set_ylabel(self._name_of_y() or "y")
            self._scatter(values, None, None, kwargs)
        else:
            self.ax_.set_ylabel("number of rows")
            self._histogram(classes, kwargs)
        return self

    def _name_of_y(self):
        name = getattr(self.y, "name", None)
        return None if name is None else plain(str(name))

    def _scatter(self, vertical, values, classes, kwargs):
        # Many rows need small points, or those drawn last hide the others.
        n_rows = len(vertical)
        size = np.clip(20_000 / max(n_rows, 1), 2, 30)
        style = {"s": size, "linewidths": 0, "c": COLORS[:1]}
        points = np.column_stack((self.latent[:, 0], vertical))
        if classes is not None:
            self._add_legend(classes)
            style["c"] = classes.colors[classes.codes]
        elif values is not None:
            # A missing value has no color, but a place.
            cmap = _with_gray(kwargs.pop("cmap", None))
            style |= {"c": values, "cmap": cmap, "plotnonfinite": True}
        style |= kwargs
        if classes is not None:
            order = classes.order()
            points = points[order]
            style = {name: _ordered(value, order) for name, value in style.items()}
        self.scatter_ = self.ax_.scatter(*points.T, **style)
        self._set_limits(points)
        if values is not None:
            self.colorbar_ = self.figure_.colorbar(
                self.scatter_, ax=self.ax_, label=self._name_of_y()
            )

    def _set_limits(self, points):
        """Reach over all points, or over most where few are far from them."""
        near = self._near(points)
        if near.all():
            return
        margin = 0.05 * np.ptp(points[near], axis=0)
        low, high = points[near].min(axis=0) - margin, points[near].max(axis=0) + margin
        self.ax_.set(xlim=(low[0], high[0]), ylim=(low[1], high[1]))

    def _near(self, points):
        """Return which rows are to be seen; say how many are not."""
        near = ~_are_far(points)
        n_far = int(np.isfinite(points).all(axis=1).sum() - near.sum())
        if n_far:
            text = f"{n_far} row{'s' * (n_far > 1)} outside of the axes"
            self.ax_.set_title(text, fontsize="small", loc="right")
        return near

    def _draw_arrows(self):
        if self.arrows is not None:
            near = self.latent[~_are_far(self.latent)]
            drawn = self.arrows.draw(self.ax_, np.median(near, axis=0))
            self.arrows_, self.arrow_names_ = drawn

    def _histogram(self, classes, kwargs):
        latent = self.latent[:, 0]
        near = self._near(self.latent[:, :1])
        style = {"bins": 40, "color": COLORS[0]}
        if not near.all():
            style["range"] = latent[near].min(), latent[near].max()
        if classes is not None:
            self._add_legend(classes)
            latent = [latent[classes.codes == k] for k in range(len(classes.names))]
            style |= {"color": list(classes.colors), "stacked": True}
        self.ax_.hist(latent, **style | kwargs)

    def _add_legend(self, classes):
        """Name the classes."""
        from matplotlib.lines import Line2D

        style = {"marker": "o", "linestyle": ""}
        dots = [Line2D([], [], color=color, **style) for color in classes.colors]
        self.legend_ = self.ax_.legend(
            dots,
            list(map(plain, classes.names)),
            title=self._name_of_y(),
            loc="center left",
            bbox_to_anchor=(1.0, 0.5),
            ncols=1 if len(classes.names) <= 10 else 2,
            frameon=False,
            handletextpad=0.1,
            columnspacing=0.8,
        )


def _are_far(points):
    """Return which points are far from all others, or not finite; few are, if any."""
    finite = np.isfinite(points).all(axis=1)
    if not finite.any():
        return ~finite
    low, high = np.percentile(points[finite], (25, 75), axis=0)
    reach = FAR * (high - low)
    with np.errstate(invalid="ignore"):
        beyond = (points < low - reach) | (points > high + reach)
    is_far = finite & (beyond & (high > low)).any(axis=1)
    few = is_far.sum() <= max(1, MOST_FAR * finite.sum())
    return ~finite | (is_far & few)


def _with_gray(cmap):
    """Return a map of colors that is gray where there is no value."""
    import matplotlib as mpl

    known = mpl.colormaps.get_cmap(cmap)
    return known.with_extremes(bad=GRAY)


def _ordered(value, order):
    """Return what belongs to rows in another order of the rows."""
    belongs = np.ndim(value) in (1, 2) and len(value) == len(order)
    return np.asarray(value)[order] if belongs else value
