"""Generated rows beside real ones."""

import numpy as np

from skvae.displays._checks import check_axes, plain
from skvae.displays._classes import COLORS
from skvae.inspection import RowComparison, compare_rows

MOST_NAMES = 20
"""Columns whose names are written; more are too many to read."""

CENTRAL = 0.99
"""Fraction of the rows whose distances an axis reaches over at least."""


class RowComparisonDisplay:
    """How generated rows differ from real ones: columns, pairs of columns and rows.

    The first panel has the distance of each column from that of real rows, largest
    first, and that of training rows where there are some. The second has how much more
    or less strongly each two columns go together, in the same order. The third has how
    far rows are from the nearest training row: which fraction is nearer than that; rows
    far beyond nearly all others are counted, and left out.

    Parameters
    ----------
    comparison : RowComparison
        What :func:`skvae.inspection.compare_rows` returns.

    Attributes
    ----------
    axes_, figure_ : ndarray of matplotlib Axes, and Figure
        The three axes drawn on and their figure.
    bars_ : matplotlib BarContainer
        The distances of columns.
    image_ : matplotlib AxesImage
        The pairs.
    lines_ : dict of str to matplotlib Line2D
        `"generated"` and `"real"`, the fractions of rows.
    colorbar_ : matplotlib Colorbar
        That of the pairs.

    Examples
    --------
    >>> import numpy as np
    >>> from skvae import RowComparisonDisplay
    >>> X = np.random.default_rng(0).normal(size=(200, 3))
    >>> display = RowComparisonDisplay.from_rows(X[:100], X[100:])
    >>> len(display.bars_)
    3
    """

    def __init__(self, comparison):
        self.comparison = comparison

    @classmethod
    def from_rows(
        cls, real, generated, *, train=None, target=None, random_state=0, ax=None
    ):
        """Compare rows and draw how they differ.

        Parameters
        ----------
        real, generated : DataFrame or array-like of shape (n_samples, n_features)
            Rows to resemble, and those that should.
        train : DataFrame or array-like of shape (n_train, n_features), default=None
            Rows that the model was fitted to.
        target : str or int, default=None
        random_state : int, default=0
            See :func:`skvae.inspection.compare_rows`.
        ax : array of three matplotlib Axes, default=None
            Where to draw; a new figure by default.

        Returns
        -------
        display : RowComparisonDisplay
            The display, drawn.
        """
        given = {"train": train, "target": target, "random_state": random_state}
        return cls(compare_rows(real, generated, **given)).plot(ax)

    def plot(self, ax=None):
        """Draw the comparison.

        Parameters
        ----------
        ax : array of three matplotlib Axes, default=None
            Where to draw; a new figure by default.

        Returns
        -------
        display : RowComparisonDisplay
            This display.
        """
        if not isinstance(self.comparison, RowComparison):
            raise TypeError(
                "comparison must be a RowComparison. Got "
                f"{type(self.comparison).__name__}. Pass what compare_rows returns, or "
                "use RowComparisonDisplay.from_rows."
            )
        n_named = min(len(self.comparison.columns["column"]), MOST_NAMES)
        self.axes_ = check_axes(ax, 3, figsize=(12.0, max(3.6, 1.2 + 0.2 * n_named)))
        self.figure_ = self.axes_[0].figure
        distances = np.asarray(self.comparison.columns["distance"], dtype=float)
        order = np.argsort(-np.nan_to_num(distances), kind="stable")
        self._draw_columns(self.axes_[0], order)
        self._draw_pairs(self.axes_[1], order)
        self._draw_rows(self.axes_[2])
        return self

    def _draw_columns(self, ax, order):
        columns, places = self.comparison.columns, np.arange(len(order))
        distances = np.asarray(columns["distance"], dtype=float)[order]
        self.bars_ = ax.barh(places, distances, color=COLORS[0], label="generated rows")
        if "distance_train" in columns:
            usual = np.asarray(columns["distance_train"], dtype=float)[order]
            marks = {"linestyle": "", "marker": "|", "markersize": 8}
            ax.plot(usual, places, color="black", label="training rows", **marks)
            ax.legend(frameon=False, loc="lower right")
        ax.invert_yaxis()
        ax.set_xlabel("distance from real cells")
        if len(order) <= MOST_NAMES:
            names = list(columns["column"])
            ax.set_yticks(places, [plain(str(names[j])) for j in order])
        else:
            ax.set(yticks=[], ylabel=f"{len(order)} columns")
        ax.set_title(f"told from real rows with AUC {self.comparison.auc:.2f}")

    def _draw_pairs(self, ax, order):
        pairs = self.comparison.pairs[np.ix_(order, order)]
        self.image_ = ax.imshow(pairs, cmap="RdBu", vmin=-1.0, vmax=1.0)
        self.colorbar_ = ax.figure.colorbar(self.image_, ax=ax, shrink=0.8)
        ax.set(xticks=[], yticks=[], xlabel="column", ylabel="column")
        ax.set_title("how strongly columns go together,\nless the same in real rows")

    def _draw_rows(self, ax):
        found = {
            "generated": (self.comparison.closest, COLORS[0], "-"),
            "real": (self.comparison.closest_real, COLORS[2], "--"),
        }
        self.lines_ = {}
        for name, (distances, color, style) in found.items():
            fractions = np.arange(1, len(distances) + 1) / len(distances)
            drawn = {"color": color, "linestyle": style, "label": f"{name} rows"}
            (self.lines_[name],) = ax.step(np.sort(distances), fractions, **drawn)
        limit, n_farther = _limit([distances for distances, *_ in found.values()])
        label = "distance to the nearest training row"
        label += f"\n(farther rows, left out: {n_farther})" if n_farther else ""
        ax.set(xlabel=label, ylabel="fraction of rows")
        if n_farther:
            ax.set_xlim(-0.03 * limit, limit)
        ax.legend(frameon=False, loc="lower right")
        ax.set_title(
            f"median {self.comparison.closest_ratio:.2f} times\nthat of real rows"
        )


def _limit(groups):
    """Return where an axis may end, and how many distances are beyond it.

    One row far from all others must not hide the others.
    """
    limit = 1.5 * max(np.quantile(distances, CENTRAL) for distances in groups)
    return limit, sum(int((distances > limit).sum()) for distances in groups)
