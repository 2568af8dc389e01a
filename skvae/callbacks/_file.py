"""An estimator and the state of its fit ↔ a file."""

from typing import Any, NamedTuple

import numpy as np

from skvae._sklearn import FitSupport
from skvae.callbacks._every import due_after
from skvae.files import ModelFileError
from skvae.files._container import Path, Source, write
from skvae.files._layout import header_of
from skvae.files._models import Given, NotGivenError, writer
from skvae.files._save import (
    FORMAT,
    audit,
    in_present_format,
    refuse_unused,
    versions,
)
from skvae.files._values import Reader
from skvae.training import Unfinished


class Cut(NamedTuple):
    """A fit that was cut off.

    Attributes
    ----------
    estimator : estimator
        As it was before the fit.
    unfinished : Unfinished
        The state of its training.
    settings : dict
        Parameters of :class:`Checkpoint`, apart from the path.
    """

    estimator: Any
    unfinished: Unfinished
    settings: dict[str, Any]


def write_cut(path: Path, cut: Cut, n_columns: int) -> None:
    """Write a fit that was cut off to a file.

    Raises
    ------
    OSError
        If the file cannot be written; an older one is as it was before.
    """
    made = writer()
    node = made.encode(
        {
            "estimator": cut.estimator,
            "run": cut.unfinished.as_value(),
            "settings": cut.settings,
        }
    )
    facts = {
        "format": FORMAT,
        "versions": versions(),
        "n_columns": n_columns,
        "checkpoint": node,
    }
    write(path, made.arrays, facts)


def require_writable(estimator: Any) -> None:
    """Raise TypeError or ValueError if a file cannot hold an estimator."""
    made = writer()
    node = made.encode(estimator)
    header_of(audit(node, made.arrays), {"model": node})


def read_cut(path: Path, encoder: Any, decoder: Any) -> Cut:
    """Return what a file says.

    Parameters
    ----------
    path : str or path-like
    encoder, decoder : Network or callable or None
        Networks of the user's own.

    Raises
    ------
    ModelFileError
        If it is not a whole, valid file of :class:`Checkpoint`.
    ValueError
        If a network is missing, or given without need.
    """
    with Source(path) as source:
        facts = in_present_format(source.facts)
        if "checkpoint" not in facts:
            raise ModelFileError(
                "A fit can be resumed from a file of Checkpoint only. Got that of a "
                "model, which skvae.load loads."
            )
        try:
            given = Given(encoder, decoder, int(facts["n_columns"]))
            value = Reader(given.kinds(), source).read(facts["checkpoint"])
            refuse_unused(given, facts["checkpoint"])
            return _checked(**value)
        except NotGivenError as error:
            text = str(error).replace("skvae.load(path,", "skvae.resume(path, X,")
            raise NotGivenError(text) from None
        except Exception as error:
            raise ModelFileError(f"The file is no valid checkpoint. {error}") from error


def _checked(estimator: Any, run: Any, settings: Any) -> Cut:
    """Return a fit that was cut off, if its parts are what they should be."""
    unfinished = Unfinished.of_value(run)
    arrays = unfinished.saved.arrays.values()
    if not all(np.isfinite(array).all() for array in arrays):
        raise ValueError("A state has numbers that are none.")
    if not isinstance(estimator, FitSupport):
        raise ValueError(f"Only estimators are fitted. Got {str(estimator)[:80]}.")
    due_after(settings["every"])
    estimator._is_clone = False
    return Cut(estimator, unfinished, settings)
