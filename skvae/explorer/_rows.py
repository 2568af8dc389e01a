"""What a page knows of every row: its place, class, density and posterior width."""

from typing import Any

import numpy as np
from sklearn.utils import check_consistent_length, column_or_1d

from skvae.displays._classes import classes_of, measured
from skvae.explorer._levels import add_levels, add_steps
from skvae.explorer._pack import Pack

FEW = 10**11
"""Multiplications for scores, up to which rows are scored as `score_samples` does."""

FEW_DRAWS = 4
"""Draws of z for the score of each row, where that would take longer."""


def add_rows(pack: Pack, model: Any, X: Any, y: Any) -> tuple[dict, list[str]]:
    """Put what is known of every row into a pack.

    Returns
    -------
    said : dict
        Where it is, by name.
    notes : list of str
        What is left out, and why.
    """
    Z = np.asarray(model.transform(X), dtype=np.float64)
    said: dict[str, Any] = {"z": add_steps(pack, Z)}
    if y is not None:
        said["labels"] = _labels(pack, y, len(Z))
    measures, notes = _measures(model, X, len(Z))
    said["measures"] = [
        {"name": name, **add_levels(pack, values)} for name, values in measures.items()
    ]
    return said, notes


def draws_of(model: Any, n_rows: int) -> int | str:
    """Return how many draws of z the log-density of each row takes."""
    is_long = 128 * n_rows * model.module_.work > FEW
    return FEW_DRAWS if is_long else "auto"


def _labels(pack: Pack, y: Any, n_rows: int) -> dict[str, Any]:
    """Return classes with names and colors, or measured values."""
    title = str(getattr(y, "name", None) or "class")
    y = y if getattr(y, "ndim", 1) == 1 else column_or_1d(y)
    check_consistent_length(np.empty(n_rows), y)
    classes = classes_of(y)
    if classes is None:
        values: Any = measured(y)
        return {"name": title, **add_levels(pack, values)}
    codes = pack.add(classes.codes.astype(np.uint8))
    colors = (255.0 * np.asarray(classes.colors)[:, :3]).round().astype(int).tolist()
    return {"name": title, "codes": codes, "names": classes.names, "colors": colors}


def _measures(model: Any, X: Any, n_rows: int) -> tuple[dict, list[str]]:
    """Return measures of every row by name, and why others are left out."""
    if not hasattr(model, "posterior"):
        return {"minus squared error": model.score_samples(X)}, []
    measures, notes = {}, []
    n_draws = draws_of(model, n_rows)
    if n_draws == FEW_DRAWS:
        notes.append(f"The log-density is estimated from {FEW_DRAWS} draws per row.")
    try:
        measures["log-density"] = model.score_samples(X, n_draws=n_draws)
    except ValueError as error:
        notes.append(f"There is no log-density: {error}")
    width = model.posterior(X)[1].mean(axis=1)
    if width.any():
        measures["posterior width"] = width
    return measures, notes
