"""Why one row is unusual: what its cells contribute to its surprise."""

from datetime import datetime, timedelta
from numbers import Integral, Real

import numpy as np
from sklearn.utils.validation import check_is_fitted

from skvae.displays._checks import (
    check_ax,
    check_count,
    indexable,
    shortened,
    take_rows,
)
from skvae.displays._classes import COLORS, GRAY
from skvae.estimators._explain import shown_cells


class ExplanationDisplay:
    """What the cells of one row contribute to its surprise, the largest first.

    A bar reaches as far as a cell is more surprising than is usual in its column.
    Beside a name stands the row's value, at the end of the bar what the model expects
    of the cell, given the others of the row. Two more bars are the sum of all other
    columns, and the latent term: how far the z of the row are from those of most rows.

    Parameters
    ----------
    contributions : ndarray of shape (n_features + 1,)
        Those of the columns, and last the latent term.
    names : sequence of str
        Names of the columns.
    values : dict of int to str, default=None
        The row's values, by position of the column.
    expected : dict of int to str, default=None
        What is expected instead.
    unit : str, default="nats"
        What contributions are measured in.
    title : str, default=""
        What is written above.

    Attributes
    ----------
    ax_, figure_ : matplotlib Axes and Figure
        The axes drawn on and their figure.
    bars_ : matplotlib BarContainer
        The bars, from the top down.
    texts_ : list of matplotlib Text
        What is expected, at the ends of bars.

    See Also
    --------
    VAETransformer.explain : The numbers, in nats.
    VAEOutlierDetector.explain : The numbers, on the scale of scores.

    Examples
    --------
    >>> from sklearn.datasets import load_wine
    >>> from skvae import ExplanationDisplay, VAETransformer
    >>> X = load_wine(as_frame=True).data
    >>> vae = VAETransformer(max_iter=20, tol=None, random_state=0).fit(X)
    >>> X.loc[7, "ash"] = 6.0
    >>> display = ExplanationDisplay.from_estimator(vae, X)
    >>> display.ax_.get_yticklabels()[0].get_text()
    'ash = 6'
    """

    def __init__(
        self, contributions, names, *, values=None, expected=None, unit="nats", title=""
    ):
        self.contributions = contributions
        self.names = names
        self.values = values
        self.expected = expected
        self.unit = unit
        self.title = title

    @classmethod
    def from_estimator(cls, estimator, X, *, row=None, n_columns=10, ax=None, **kwargs):
        """Explain one row of `X` and draw that.

        Parameters
        ----------
        estimator : VAETransformer or VAEOutlierDetector
            A fitted one.
        X : {array-like, sparse matrix, DataFrame} of shape (n_samples, n_features)
            The rows to choose from.
        row : int, default=None
            Which row, by position; negative ones count from the end. None: the one with
            the lowest score.
        n_columns : int, default=10
            Largest number of columns that have a bar of their own.
        ax : matplotlib Axes, default=None
            Where to draw; a new figure by default.
        **kwargs : dict
            Passed to :meth:`plot`.

        Returns
        -------
        display : ExplanationDisplay
            The display, drawn.
        """
        if not hasattr(estimator, "explain"):
            raise TypeError(
                "The estimator must have the method 'explain'. Got "
                f"{type(estimator).__name__}, which has none. Give a VAETransformer or "
                "a VAEOutlierDetector."
            )
        check_is_fitted(estimator)
        check_count("n_columns", n_columns)
        X = indexable(X)
        row = _position(estimator, X, row)
        chosen = take_rows(X, [row])
        explained = estimator._explanation(chosen)
        model = getattr(estimator, "estimator_", estimator)
        most = _largest(explained.contributions, n_columns)
        own, expected = shown_cells(model, chosen, most)
        names = [column.title for column in model._known.layout.columns]
        display = cls(
            explained.contributions,
            names,
            values=dict(zip(most.tolist(), map(_text, own), strict=True)),
            expected=dict(zip(most.tolist(), map(_text, expected), strict=True)),
            unit=explained.unit,
            title=f"row {row}: {explained.said}",
        )
        return display.plot(ax, n_columns=n_columns, **kwargs)

    def plot(self, ax=None, *, n_columns=10, **kwargs):
        """Draw the contributions.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw; a new figure by default.
        n_columns : int, default=10
            Largest number of columns that have a bar of their own.
        **kwargs : dict
            Passed to `matplotlib.axes.Axes.barh`.

        Returns
        -------
        display : ExplanationDisplay
            This display.
        """
        check_count("n_columns", n_columns)
        contributions = np.asarray(self.contributions, dtype=float)
        most = _largest(contributions, n_columns)
        others = np.delete(contributions[:-1], most)
        lengths = [*contributions[most], others.sum(), contributions[-1]]
        labels = [
            *map(self._label, most),
            f"{len(others)} other columns",
            "latent term",
        ]
        shown = [*range(len(most)), *[len(most)] * bool(len(others)), len(most) + 1]
        lengths, labels = np.take(lengths, shown), np.take(labels, shown)
        self.ax_ = check_ax(ax, figsize=(7.0, 1.2 + 0.3 * len(lengths)))
        self.figure_ = self.ax_.figure
        places = np.arange(len(lengths))
        colors = np.where(places < len(most), COLORS[0], GRAY)
        self.bars_ = self.ax_.barh(places, lengths, **{"color": colors} | kwargs)
        self.ax_.set_yticks(places, labels)
        self.ax_.invert_yaxis()
        self.ax_.axvline(0.0, color="black", linewidth=0.8)
        self.ax_.set_xlabel(f"contribution to the surprise ({self.unit})")
        self.ax_.set_title(self.title, fontsize="medium", wrap=True)
        self._write_expected(most, lengths)
        return self

    def _label(self, column):
        value = (self.values or {}).get(int(column))
        name = shortened(self.names[column])
        return name if value is None else f"{name} = {shortened(value)}"

    def _write_expected(self, most, lengths):
        """Write at the ends of bars what was expected."""
        expected, self.texts_ = self.expected or {}, []
        self.ax_.set_xlim(*_limits(lengths, room=0.4 if expected else 0.05))
        for place, column in enumerate(most.tolist()):
            if column in expected:
                at = max(lengths[place], 0.0), place
                style = {"va": "center", "fontsize": "small", "color": "#505050"}
                style |= {"xytext": (4, 0), "textcoords": "offset points"}
                text = f"expected {shortened(expected[column])}"
                self.texts_.append(self.ax_.annotate(text, at, **style))


def _position(estimator, X, row):
    """Return the number of the row to explain."""
    n_rows = X.shape[0]
    if row is None:
        return int(np.argmin(estimator.score_samples(X)))
    if not isinstance(row, Integral) or not -n_rows <= row < n_rows:
        raise ValueError(
            f"row must be the position of one of the {n_rows} rows of X. Got {row!r}."
        )
    return int(row) % n_rows


def _largest(contributions, n_columns):
    """Return the columns that contribute most, the largest first."""
    order = np.argsort(-np.asarray(contributions)[:-1], kind="stable")
    # A single column more takes no more room than the sum of one.
    return order if len(order) <= n_columns + 1 else order[:n_columns]


def _limits(lengths, room):
    """Return the ends of the axis, with room for texts on the right."""
    low, high = min(0.0, *lengths), max(0.0, *lengths)
    span = (high - low) or 1.0
    return low - 0.03 * span, high + room * span


def _text(value):
    """Return a cell as a text."""
    if value is None:
        return "missing"
    if isinstance(value, Real) and not isinstance(value, bool):
        is_long = isinstance(value, Integral) or 1e4 <= abs(value) < 1e12
        return f"{value:,.0f}" if is_long else f"{value:.4g}"
    if isinstance(value, timedelta):
        return f"{value / timedelta(days=1):.4g} days"
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M}".removesuffix(" 00:00")
    return str(value)
