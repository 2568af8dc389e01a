"""The rows of a data set in latent space."""

import numpy as np
from sklearn.utils import check_consistent_length, column_or_1d
from sklearn.utils.validation import check_is_fitted

from skvae.displays._checks import LATENT_NAMES, check_ax, choose_components, dense

COLORS = np.array(
    "#3f90da #ffa90e #bd1f01 #94a4a2 #832db6 "
    "#a96b59 #e76300 #b9ac70 #717581 #92dadd".split()
)
"""The ten colors of Petroff (2021), "Accessible color sequences for data
visualization": chosen to be distinguishable with any kind of color vision."""

_MAX_CLASSES = 20


class LatentDisplay:
    """Where the rows of a data set lie in a latent space.

    Two components make a scatter plot. One component makes a histogram, or, where
    `y` is continuous, a scatter plot of `y` against it. Labels that are not numbers,
    or at most 20 different whole numbers, are classes and get a legend; any other
    `y` gets a colorbar.

    Parameters
    ----------
    latent : ndarray of shape (n_samples, 1) or (n_samples, 2)
        Latent coordinates.
    y : array-like of shape (n_samples,), default=None
        Labels or values to color by.
    names : sequence of str, default=("latent 0", "latent 1")
        The axis labels.

    Attributes
    ----------
    ax_, figure_ : matplotlib Axes and Figure
        The axes drawn on and its figure.
    scatter_ : matplotlib PathCollection or None
        The points; None where a histogram is drawn.
    legend_ : matplotlib Legend or None
        The legend of the classes.
    colorbar_ : matplotlib Colorbar or None
        The colorbar of a continuous `y`.

    See Also
    --------
    ManifoldDisplay : The latent space, decoded on a grid.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.decomposition import PCA
    >>> from skvae.displays import LatentDisplay
    >>> X, y = load_iris(return_X_y=True)
    >>> display = LatentDisplay.from_estimator(PCA(2).fit(X), X, y)
    >>> display.ax_.get_xlabel()
    'pca0'
    """

    def __init__(self, latent, *, y=None, names=LATENT_NAMES):
        self.latent = latent
        self.y = y
        self.names = names

    @classmethod
    def from_estimator(
        cls, estimator, X, y=None, *, components=(0, 1), ax=None, **kwargs
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
        return cls(latent[:, chosen], y=y, names=names).plot(ax, **kwargs)

    def plot(self, ax=None, **kwargs):
        """Draw the latent coordinates.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw; a new figure by default.
        **kwargs : dict
            Passed to `matplotlib.axes.Axes.scatter`, or to `hist` for a histogram.

        Returns
        -------
        display : LatentDisplay
            This display.
        """
        y, classes = None, None
        if self.y is not None:
            check_consistent_length(self.latent, self.y)
            y, classes = _codes(column_or_1d(self.y))
        self.ax_ = check_ax(ax)
        self.figure_ = self.ax_.figure
        self.scatter_ = self.legend_ = self.colorbar_ = None
        self.ax_.set_xlabel(self.names[0])
        if self.latent.shape[1] == 2:
            self.ax_.set_ylabel(self.names[1])
            self._scatter(self.latent[:, 1], y, classes, kwargs)
        elif y is not None and classes is None:
            self.ax_.set_ylabel("y")
            self._scatter(y, None, None, kwargs)
        else:
            self.ax_.set_ylabel("number of rows")
            self._histogram(y, classes, kwargs)
        return self

    def _scatter(self, vertical, y, classes, kwargs):
        # Many rows need small points, or those drawn last hide the others.
        size = np.clip(20_000 / max(len(vertical), 1), 2, 30)
        style = {"s": size, "linewidths": 0, "c": COLORS[:1] if y is None else y}
        if classes is not None:
            style["c"] = self._add_legend(classes)[y]
        self.scatter_ = self.ax_.scatter(self.latent[:, 0], vertical, **style | kwargs)
        if y is not None and classes is None:
            self.colorbar_ = self.figure_.colorbar(self.scatter_, ax=self.ax_)

    def _histogram(self, y, classes, kwargs):
        latent = self.latent[:, 0]
        style = {"bins": 40, "color": COLORS[0]}
        if classes is not None:
            latent = [latent[y == code] for code in range(len(classes))]
            style |= {"color": list(self._add_legend(classes)), "stacked": True}
        self.ax_.hist(latent, **style | kwargs)

    def _add_legend(self, classes):
        """Name the classes; return their colors."""
        from matplotlib.lines import Line2D

        colors = _class_colors(len(classes))
        dots = [Line2D([], [], color=c, marker="o", linestyle="") for c in colors]
        self.legend_ = self.ax_.legend(
            dots,
            [str(label) for label in classes],
            loc="center left",
            bbox_to_anchor=(1.0, 0.5),
            ncols=-(-len(classes) // 20),
            frameon=False,
            handletextpad=0.1,
            columnspacing=0.8,
        )
        return colors


def _codes(y):
    """Return class codes and classes, or `y` and None where `y` is continuous."""
    if y.dtype.kind not in "biuf":
        classes, codes = np.unique(y.astype(str), return_inverse=True)
        return codes, classes
    classes, codes = np.unique(y, return_inverse=True)
    whole = np.isfinite(classes).all() and np.array_equal(classes, classes.round())
    if len(classes) > _MAX_CLASSES or not whole:
        return y, None
    return codes, classes.astype(int) if y.dtype.kind == "f" else classes


def _class_colors(n_classes):
    """Return one color per class, as unlike one another as their number allows."""
    if n_classes <= len(COLORS):
        return COLORS[:n_classes]
    from matplotlib import colormaps

    return colormaps["turbo"](np.linspace(0, 1, n_classes))
