"""Arrows in a map that show where columns grow."""

from typing import NamedTuple

import numpy as np

from skvae.displays._checks import shortened

REACH = 0.35
"""Length of the longest arrow, as a fraction of the axes."""

MARGIN = 0.02
"""Distance of arrows and names from the edge of the axes, as a fraction of these."""

APART = 1.15
"""Distance of two names one above the other, in heights of a name."""


class Arrows(NamedTuple):
    """Arrows of columns in two components.

    Attributes
    ----------
    steps : ndarray of shape (n_arrows, 2)
        How far z moves where a column grows by its standard deviation, in the units of
        z, the longest first: the covariance of each component with the column.
    names : list of str
    """

    steps: np.ndarray
    names: list[str]

    @classmethod
    def of(cls, found, chosen, n_arrows):
        """Return the arrows of the columns that move most with two components.

        Parameters
        ----------
        found : ComponentLoadings
        chosen : list of two int
            The components.
        n_arrows : int
        """
        if len(chosen) != 2 or max(chosen) >= len(found.scale):
            raise ValueError(
                "n_arrows requires two components that are real numbers. Got "
                f"components {chosen}. Draw LoadingsDisplay, or set n_arrows=0."
            )
        moved = found.array[chosen].T
        lengths = np.linalg.norm(moved, axis=1)
        most = np.argsort(-lengths, kind="stable")[:n_arrows]
        most = most[lengths[most] > 0.0]
        steps = moved[most] * found.scale[chosen]
        return cls(steps, [shortened(found.names[j]) for j in most])

    def draw(self, ax, center):
        """Draw the arrows from a center in data units; return them and their names."""
        # The place of the axes follows from what is drawn around them.
        ax.figure.draw_without_rendering()
        low, high = np.sort(np.array([ax.get_xlim(), ax.get_ylim()]), axis=1).T
        middle, steps = (center - low) / (high - low), self.steps / (high - low)
        tips = middle + steps * _factor(steps, middle)
        place, style = ax.transAxes, {"color": "black", "zorder": 4}
        shape = {"arrowstyle": "-|>", "linewidth": 1.2, "shrinkA": 0, "shrinkB": 0}
        arrows = [
            ax.annotate(
                "",
                tip,
                middle,
                xycoords=place,
                textcoords=place,
                arrowprops=shape | style,
            )
            for tip in tips
        ]
        return arrows, self._write(ax, tips, middle)

    def _write(self, ax, tips, middle):
        """Write the names beside the tips, none over another."""
        behind = {"facecolor": "white", "alpha": 0.7, "linewidth": 0.0, "pad": 0.8}
        style = {"transform": ax.transAxes, "fontsize": "small", "zorder": 5}
        names = [
            ax.text(*tip, name, va="center", bbox=behind, **style)
            for tip, name in zip(tips, self.names, strict=True)
        ]
        frame = ax.get_window_extent()
        boxes = [name.get_window_extent() for name in names]
        sizes = np.array(
            [[b.width / frame.width, b.height / frame.height] for b in boxes]
        )
        is_left = tips[:, 0] < middle[0]
        lefts = tips[:, 0] + np.where(is_left, -0.01 - sizes[:, 0], 0.01)
        lefts = np.clip(lefts, MARGIN, np.maximum(1.0 - MARGIN - sizes[:, 0], MARGIN))
        bottoms = _spread(lefts, tips[:, 1], sizes)
        for name, *place in zip(names, lefts, bottoms, strict=True):
            name.set_position(place)
        return names


def _factor(steps, middle):
    """Return the largest factor with which no arrow is too long, or leaves the axes."""
    longest = np.linalg.norm(steps, axis=1).max(initial=0.0)
    room = np.where(steps > 0.0, 1.0 - MARGIN - middle, middle - MARGIN)
    sizes = np.abs(steps)
    limits = room[sizes > 0.0] / sizes[sizes > 0.0]
    return min(REACH / longest, limits.min()) if longest else 0.0


def _spread(lefts, heights, sizes):
    """Return heights near to given ones at which no box lies over another.

    From the lowest box up each is moved above those that it would overlap; boxes that
    leave the axes at the top are moved down in the same way.
    """
    heights = heights.copy()
    for way, order in ((1.0, np.argsort(heights)), (-1.0, None)):
        if order is None:
            heights = np.minimum(heights, 1.0 - MARGIN - 0.5 * sizes[:, 1])
            order = np.argsort(-heights, kind="stable")
        for i, k in enumerate(order):
            for other in order[:i]:
                is_beside = (
                    lefts[k] < lefts[other] + sizes[other, 0]
                    and lefts[other] < lefts[k] + sizes[k, 0]
                )
                least = APART * 0.5 * (sizes[k, 1] + sizes[other, 1])
                gap = way * (heights[k] - heights[other])
                if is_beside and gap < least:
                    heights[k] = heights[other] + way * least
    return heights
