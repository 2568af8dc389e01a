"""A fitted model ↔ a file."""

import platform
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import sklearn
import torch
from sklearn.utils.validation import check_is_fitted

from skvae._version import __version__
from skvae.files._container import Path, Source, write
from skvae.files._errors import ModelFileError
from skvae.files._layout import Entry, little
from skvae.files._models import Given, NotGivenError, writer
from skvae.files._values import Reader

FORMAT = 1
"""Version of the format that is written."""

Facts = dict[str, Any]

MIGRATIONS: Mapping[int, Callable[[Facts], Facts]] = {}
"""For each older version, what makes the facts of a file those of the next version."""


def save(model: Any, path: Path) -> None:
    """Write a fitted model to a file; see the method `save` of estimators.

    Raises
    ------
    TypeError
        If a file cannot hold a value.
    ValueError
        If the header would be too long, or the file could not be loaded.
    OSError
        If it cannot be written.
    """
    check_is_fitted(model)
    made = writer()
    try:
        node = made.encode(model)
        audit(node, made.arrays)
    except ModelFileError as error:
        raise ValueError(f"The model cannot be saved. {error} Use pickle.") from error
    facts = {
        "format": FORMAT,
        "versions": versions(),
        "n_columns": int(model.n_features_in_),
        "model": node,
    }
    write(path, made.arrays, facts)


def audit(node: Any, arrays: Mapping[str, np.ndarray]) -> list[Entry]:
    """Return what a file would have of arrays; ValueError if it could not be loaded."""
    small = {name: little(array) for name, array in arrays.items()}
    entries = {name: Entry(name, a.dtype, a.shape) for name, a in small.items()}
    Reader(Given(encoder=True, decoder=True).kinds(), _Entries(entries)).audit(node)
    return list(entries.values())


class _Entries(Source):
    """A file that is not there yet."""

    def __init__(self, entries: dict[str, Entry]) -> None:
        self.entries = entries


def versions() -> dict[str, str]:
    """Return the versions of the packages that matter to a model."""
    return {
        "skvae": __version__,
        "python": platform.python_version(),
        "numpy": np.__version__,
        "sklearn": sklearn.__version__,
        "torch": str(torch.__version__),
    }


def load(path: Path, *, encoder: Any = None, decoder: Any = None) -> Any:
    """Load a model from a file that its method `save` has written.

    Nothing in a file is executed: it names classes of this package alone, which are
    looked up in a list, and holds numbers. Bytes that are damaged or missing are
    noticed by a checksum. See :doc:`/guide/files`, and :doc:`/guide/security` for what
    is safe to load from strangers.

    Parameters
    ----------
    path : str or path-like
    encoder, decoder : Network or callable, default=None
        What was given to the estimator as `encoder` and `decoder`, if that was a
        function or a network of a class of your own. Files hold its numbers, not its
        code.

    Returns
    -------
    model : estimator
        The fitted estimator, without its callbacks, on its device; on the CPU if that
        is not there.

    Raises
    ------
    ModelFileError
        If the file is damaged, not that of a model, or one of a later version.
    ValueError
        If `encoder` or `decoder` are needed, or given without need.
    OSError
        If the file cannot be opened.

    See Also
    --------
    VAETransformer.save : Write the file.

    Examples
    --------
    >>> import pathlib
    >>> import tempfile
    >>> import skvae
    >>> from sklearn.datasets import load_iris
    >>> X = load_iris().data
    >>> vae = skvae.VAETransformer(max_iter=5, tol=None, random_state=0).fit(X)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "iris.skvae")
    ...     vae.save(path)
    ...     again = skvae.load(path)
    >>> bool((again.transform(X) == vae.transform(X)).all())
    True
    """
    with Source(path) as source:
        facts = in_present_format(source.facts)
        try:
            return _read(source, facts, encoder, decoder)
        except NotGivenError as error:
            raise ValueError(str(error)) from None
        except Exception as error:
            raise ModelFileError(f"{error} {_origin(facts)}") from error


def _read(source: Source, facts: Facts, encoder: Any, decoder: Any) -> Any:
    if "checkpoint" in facts:
        raise ModelFileError(
            "The file is that of a fit that was cut off. Resume it with "
            "skvae.resume(path, X)."
        )
    n_columns = facts["n_columns"]
    if not isinstance(n_columns, int):
        raise ModelFileError("The file does not say how many columns there are.")
    given = Given(encoder, decoder, n_columns)
    model = Reader(given.kinds(), source).read(facts["model"])
    refuse_unused(given, facts["model"])
    if not hasattr(model, "save"):
        raise ModelFileError("The file has something else in place of a model.")
    check_is_fitted(model)
    return model


def refuse_unused(given: Given, node: Any) -> None:
    """Raise NotGivenError if a network was given that the file does not ask for."""
    text = str(node)
    for name in ("encoder", "decoder"):
        if getattr(given, name) is not None and f"'own {name}'" not in text:
            raise NotGivenError(
                f"{name} must be left out: the file holds all of the network. Got "
                f"{getattr(given, name)!r}."
            )


def in_present_format(facts: Facts) -> Facts:
    """Return the facts of a file of any known version as this version writes them."""
    number = facts.get("format")
    if not isinstance(number, int) or isinstance(number, bool) or number < 1:
        raise ModelFileError(
            "The file does not say which version of the format it has."
        )
    if number > FORMAT:
        raise ModelFileError(
            f"The file has version {number} of the format, and skvae {__version__} "
            f"reads up to {FORMAT}. {_origin(facts)} Install that version or a later "
            "one."
        )
    for old in range(number, FORMAT):
        facts = MIGRATIONS[old](facts)
    return facts


def _origin(facts: Facts) -> str:
    """Return a sentence that says which versions have written a file."""
    said = facts.get("versions")
    named = said.items() if isinstance(said, dict) else ()
    pairs = ", ".join(f"{str(k)[:20]} {str(v)[:30]}" for k, v in list(named)[:10])
    return f"It was written with {pairs or 'unknown versions'}."
