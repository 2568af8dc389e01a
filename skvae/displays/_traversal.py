"""Rows as they are decoded while one component of z changes."""

import numpy as np

from skvae.displays._cells import check_image_shape, draw_images
from skvae.displays._checks import (
    check_ax,
    check_count,
    check_decoder,
    choose_some,
    component_names,
)
from skvae.displays._classes import COLORS
from skvae.displays._panels import check_panels, draw_panel, panels_of
from skvae.inspection import traversal_points

MOST_COMPONENTS = 8
"""Components that are drawn if none are chosen."""

N_GENERATED = 500
"""Generated rows, by which it is judged how far columns move."""


class TraversalDisplay:
    """Rows as they are decoded while one component of z changes.

    Where `image_shape` is given, each component has a row of images. Otherwise it has a
    row of panels, one for each of the columns that it moves most: the decoded cell, in
    the units of the data, over z. The vertical axis of a panel reaches over the central
    95 % of the column, so that what looks flat is. The point of the row itself is
    marked.

    Parameters
    ----------
    values : ndarray of shape (n_components, n_steps)
        Values of each component.
    means : ndarray of shape (n_components,)
        Where the row itself is.
    names : sequence of str
        Names of the components.
    cells : ndarray of shape (n_components, n_steps, n_features), default=None
        Decoded images.
    image_shape : tuple of int, default=None
        ``(height, width)``, or ``(height, width, 3)`` for colors.
    panels : list of list of Panel, default=None
        Columns to draw for each component, as `from_estimator` chooses them.

    Attributes
    ----------
    axes_, figure_ : ndarray of matplotlib Axes, and Figure
        The axes drawn on, (1, 1) for images, and their figure.
    image_ : matplotlib AxesImage or None
        All images in one; None where lines are drawn.
    lines_ : list of list of matplotlib Line2D, or None
        A line in each panel; None where images are drawn.

    See Also
    --------
    skvae.inspection.traverse : The decoded rows.
    ManifoldDisplay : Two components at a time.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from skvae import TraversalDisplay, VAETransformer
    >>> X = load_digits().data
    >>> vae = VAETransformer(max_iter=5, tol=None, random_state=0).fit(X)
    >>> display = TraversalDisplay.from_estimator(vae, X[:1], image_shape=(8, 8))
    >>> display.image_.get_array().shape
    (16, 72)
    """

    def __init__(
        self, values, means, names, *, cells=None, image_shape=None, panels=None
    ):
        self.values = values
        self.means = means
        self.names = names
        self.cells = cells
        self.image_shape = image_shape
        self.panels = panels

    @classmethod
    def from_estimator(
        cls,
        estimator,
        X,
        *,
        components=None,
        n_steps=9,
        limits=None,
        train=None,
        image_shape=None,
        n_columns=4,
        ax=None,
        **kwargs,
    ):
        """Decode a row while each component changes, and draw it.

        Parameters
        ----------
        estimator : VAETransformer or AutoencoderTransformer
            Fitted; or any transformer with `inverse_transform`.
        X : {array-like, sparse matrix} of shape (1, n_features)
            The row to start from.
        components : int or sequence of int, default=None
            The components that change, one at a time; None: the first eight.
        n_steps : int, default=9
        limits : (float, float), default=None
        train : {array-like, sparse matrix} of shape (n_train, n_features), default=None
            See :func:`skvae.inspection.traverse`.
        image_shape : tuple of int, default=None
            ``(height, width)`` or ``(height, width, 3)`` of one row of data.
        n_columns : int, default=4
            Number of columns to draw for each component, where they are not images.
            They are those that move most, compared with how much they vary in `train`
            or else in generated rows.
        ax : matplotlib Axes or array of these, default=None
            Where to draw: one for images, one for each component and column otherwise.
            A new figure by default.
        **kwargs : dict
            Passed to :meth:`plot`.

        Returns
        -------
        display : TraversalDisplay
            The display, drawn.
        """
        check_decoder(estimator)
        check_count("n_columns", n_columns)
        start = _encode_row(estimator, X)
        chosen = choose_some(components, len(start), MOST_COMPONENTS)
        steps = {"n_steps": n_steps, "limits": limits, "train": train}
        points = [traversal_points(estimator, X, k, **steps) for k in chosen]
        values = [Z[:, k] for Z, k in zip(points, chosen, strict=True)]
        known = np.stack(values), start[chosen], component_names(estimator, chosen)
        decoded = estimator.inverse_transform(np.concatenate(points))
        if image_shape is not None:
            check_image_shape(image_shape, decoded.shape[1])
            shape = len(chosen), n_steps, decoded.shape[1]
            cells = np.asarray(decoded).reshape(shape)
            return cls(*known, cells=cells, image_shape=image_shape).plot(ax, **kwargs)
        usual = _usual_rows(estimator, train, decoded)
        panels = panels_of(decoded, usual, len(chosen), n_columns)
        return cls(*known, panels=panels).plot(ax, **kwargs)

    def plot(self, ax=None, **kwargs):
        """Draw the traversals.

        Parameters
        ----------
        ax : matplotlib Axes or array of these, default=None
            Where to draw; a new figure by default.
        **kwargs : dict
            Passed to `matplotlib.axes.Axes.imshow`, or to
            `matplotlib.axes.Axes.plot`.

        Returns
        -------
        display : TraversalDisplay
            This display.
        """
        self.image_ = self.lines_ = None
        draw = self._draw_panels if self.image_shape is None else self._draw_images
        draw(ax, kwargs)
        self.figure_ = self.axes_[0, 0].figure
        return self

    def _draw_images(self, ax, kwargs):
        n_rows, n_steps = self.values.shape
        height, width = self.image_shape[:2]
        size = (n_steps * 0.7 + 1.2, n_rows * 0.7 * height / width + 0.6)
        ax = check_ax(ax, figsize=size)
        self.axes_ = np.array([[ax]])
        # The first component is the uppermost one.
        self.image_ = draw_images(ax, self.cells[::-1], self.image_shape, **kwargs)
        ax.set_yticks(np.arange(n_rows) + 0.5, self._labels()[::-1])
        ax.set_xticks([0.5, n_steps - 0.5], ["low z", "high z"])
        ax.tick_params(length=0)
        nearest = np.abs(self.values - self.means[:, None]).argmin(axis=1)
        for row, step in enumerate(nearest[::-1]):
            self._frame(ax, step, row)

    def _frame(self, ax, step, row):
        """Mark the cell that is nearest to the row itself."""
        from matplotlib.patches import Rectangle

        style = {"fill": False, "edgecolor": COLORS[1], "linewidth": 2.0}
        # Inside its cell, so that neighboring images do not cover it.
        ax.add_patch(Rectangle((step + 0.03, row + 0.03), 0.94, 0.94, **style))

    def _labels(self):
        """Return the names of the components and their limits."""
        each = zip(self.names, self.values[:, 0], self.values[:, -1], strict=True)
        minus = "\N{MINUS SIGN}"
        return [
            f"{name}\n{low:.2g} to {high:.2g}".replace("-", minus)
            for name, low, high in each
        ]

    def _draw_panels(self, ax, kwargs):
        self.axes_ = check_panels(ax, (len(self.panels), len(self.panels[0])))
        self.lines_ = []
        for k, panels in enumerate(self.panels):
            z, mean = self.values[k], self.means[k]
            pairs = zip(self.axes_[k], panels, strict=True)
            lines = [draw_panel(a, panel, z, mean, **kwargs) for a, panel in pairs]
            self.lines_.append(lines)
            for panel in self.axes_[k]:
                panel.set_xlabel(self.names[k])


def _encode_row(estimator, X):
    """Return the posterior mean of a single row, (K,)."""
    Z = np.asarray(estimator.transform(X), dtype=float)
    if len(Z) != 1:
        raise ValueError(
            f"X must be a single row, of shape (1, n_features). Got {len(Z)} rows. "
            "Pass X[:1], or X.iloc[[0]] of a DataFrame."
        )
    return Z[0]


def _usual_rows(estimator, train, decoded):
    """Return rows that show how much columns vary: real, generated or decoded ones."""
    if train is not None:
        return train
    if hasattr(estimator, "sample"):
        # Nobody is shown these rows, which a map is good enough for.
        draw = getattr(estimator, "_sample", estimator.sample)
        return draw(N_GENERATED, random_state=0)
    return decoded
