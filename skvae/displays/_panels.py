"""Single columns of decoded rows, each drawn over z in a panel of its own."""

from typing import NamedTuple

import numpy as np

from skvae.displays._checks import plain
from skvae.displays._classes import COLORS
from skvae.inspection._encoded import Encoder

CENTRAL = (2.5, 97.5)
"""Percentiles of a column between which its panel reaches at least."""

CHANGE = 2.0
"""How many standard deviations another category counts for."""


class Panel(NamedTuple):
    """A column of decoded rows.

    Attributes
    ----------
    name : str
    cells : ndarray of shape (n_steps,)
        Numbers, dates, or places among the categories.
    limits : ndarray of shape (2,), default=None
        What the vertical axis has to reach over; None for categories.
    categories : list of str, default=None
        Those that occur.
    """

    name: str
    cells: np.ndarray
    limits: np.ndarray | None = None
    categories: list[str] | None = None


def panels_of(decoded, usual, n_components, n_columns):
    """Return for each component the panels of the columns that it moves most.

    Parameters
    ----------
    decoded : DataFrame or ndarray of shape (n_components * n_steps, n_features)
        Rows, all steps of a component after each other.
    usual : DataFrame or array-like of shape (n_samples, n_features)
        Rows that show how much columns vary.
    n_components, n_columns : int
    """
    encoder = Encoder(decoded)
    known, is_coded = encoder(usual), encoder.is_coded
    panels = []
    for rows in np.split(encoder.first, n_components):
        moved = _moved(rows, known, is_coded)
        most = np.argsort(-moved, kind="stable")[:n_columns]
        of = encoder.layout.columns
        panels.append([_panel(of[j], rows[:, j], known[:, j]) for j in most])
    return panels


def _moved(rows, usual, is_coded):
    """Return how far each column moves, in standard deviations of the usual rows."""
    n_observed = np.maximum((~np.isnan(usual)).sum(axis=0), 1)
    means = np.nansum(usual, axis=0) / n_observed
    std = np.sqrt(np.nansum((usual - means) ** 2, axis=0) / n_observed)
    moves = np.ptp(rows, axis=0)
    # A column that varies by rounding alone does not move.
    varies = std > 1e-9 * np.abs(means)
    distances = np.where(varies, moves / np.where(varies, std, 1.0), 0.0)
    return np.where(is_coded, CHANGE * (moves > 0), distances)


def _panel(column, cells, usual):
    """Return the panel of a column, given as numbers and codes."""
    name = column.title
    names = ["False", "True"] if column.kind == "boolean" else column.categories
    if names is not None:
        found, places = np.unique(cells, return_inverse=True)
        return Panel(name, places, categories=[str(names[int(i)]) for i in found])
    known = usual[~np.isnan(usual)]
    reach = np.percentile(known, CENTRAL) if len(known) else cells
    limits = np.array([min(*reach, *cells), max(*reach, *cells)])
    if column.kind == "datetime":
        return Panel(name, _dates(cells, column), _dates(limits, column))
    is_duration = column.kind == "timedelta"
    return Panel(f"{name} (days)" if is_duration else name, cells, limits)


def _dates(days, column):
    """Return days from the origin of a column as dates."""
    seconds = np.rint((days + column.origin) * 86_400).astype("int64")
    return seconds.astype("M8[s]")


def draw_panel(ax, panel, z, mean, **kwargs):
    """Draw the cells of a column over z; return the line."""
    from matplotlib.dates import AutoDateLocator

    ax.axvline(mean, color=COLORS[3], linestyle="--", linewidth=1.0)
    is_numbers = panel.categories is None
    style = {"color": COLORS[0], "marker": "o", "markersize": 3.0}
    style |= {} if is_numbers else {"drawstyle": "steps-mid"}
    (line,) = ax.plot(z, panel.cells, **style | kwargs)
    ax.set_title(plain(panel.name), fontsize="small")
    if panel.cells.dtype.kind == "M":
        ax.yaxis.set_major_locator(AutoDateLocator(minticks=2, maxticks=4))
    if is_numbers:
        low, high = panel.limits
        margin = (high - low) * 0.06
        if low < high:
            ax.set_ylim(low - margin, high + margin)
        return line
    ax.set_yticks(np.arange(len(panel.categories)), list(map(plain, panel.categories)))
    ax.set_ylim(-0.5, max(1, len(panel.categories) - 1) + 0.5)
    return line


def check_panels(ax, shape):
    """Return an array of axes of this shape, in a new figure where `ax` is None."""
    import matplotlib.pyplot as plt
    from matplotlib.axes import Axes

    if ax is None:
        size = {"figsize": (2.5 * shape[1], 2.0 * shape[0]), "layout": "constrained"}
        return plt.subplots(*shape, squeeze=False, **size)[1]
    axes = np.ravel(np.asarray(ax, dtype=object))
    if len(axes) != np.prod(shape) or not all(isinstance(a, Axes) for a in axes):
        raise ValueError(
            f"ax must be {shape[0]} x {shape[1]} matplotlib Axes, a row for each "
            f"component. Got {type(ax).__name__} of {len(axes)}. Give axes such as "
            f"plt.subplots{shape}[1], or None to have them made."
        )
    return axes.reshape(shape)
