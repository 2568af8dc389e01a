"""What makes rows unusual: contributions of cells and of z, in few bits."""

from typing import Any

import numpy as np

from skvae.explorer._columns import rows_that_travel
from skvae.explorer._pack import Pack
from skvae.table import as_cells

MOST = 127
"""Code of the largest number of a row; codes stand for squares, with their sign."""

NOTE = (
    "What makes a row unusual: how much worse each cell fits than is usual of its "
    "column, in nats, rounded by at most 0.8 % of the largest of the row."
)


def add_contributions(
    pack: Pack, model: Any, X: np.ndarray, most_cells: int, n_draws: int | str
) -> tuple[dict[str, Any] | None, list[str]]:
    """Put contributions of rows into a pack; return where they are, and notes.

    Parameters
    ----------
    pack : Pack
    model : object
        A fitted estimator, of which those without `explain` have no contributions.
    X : ndarray of shape (n_travelling, n_features)
        Numbers and codes.
    most_cells : int
        Numbers that may travel: of all rows, or else of a random subset.
    n_draws : int or "auto"
        Draws of z per row, as for the log-density.
    """
    explained = rows_that_travel(len(X), X.shape[1] + 1, most_cells)
    if not len(explained) or not hasattr(model, "explain"):
        return None, []
    try:
        found = _contributions(model, X[explained], n_draws)
    except ValueError:
        # As without a density, of which another note tells.
        return None, []
    codes, steps = coded(found)
    said = {
        "places": pack.add(explained.astype(np.uint32)),
        "codes": pack.add(codes),
        "steps": pack.add(steps),
    }
    n_explained = f" This file has that of {len(explained):,} rows."
    return said, [NOTE + n_explained * (len(explained) < len(X))]


def _contributions(model: Any, X: np.ndarray, n_draws: int | str) -> np.ndarray:
    """Return contributions beyond what is usual of a column, and those of z."""
    plain, less = model._beyond_usual(as_cells(X), n_draws)
    return np.column_stack((less, plain[:, -1]))


def coded(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return codes c of numbers, int8, and steps s of rows, (n,): numbers are s c |c|.

    By squares, small numbers are not lost beside a large one. A row with numbers that
    are not finite has a step that is not.
    """
    steps = np.abs(values).max(axis=1) / MOST**2
    known = np.isfinite(steps)
    run = np.where(known & (steps > 0.0), steps, 1.0)
    scaled = np.where(known[:, None], values, 0.0) / run[:, None]
    codes = np.rint(np.sign(scaled) * np.sqrt(np.abs(scaled)))
    return codes.astype(np.int8), np.where(known, steps, np.nan).astype(np.float32)
