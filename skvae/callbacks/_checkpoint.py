"""A callback that saves a fit while it goes on."""

import os
import warnings
from collections.abc import Callable
from typing import Any

from skvae.callbacks._every import due_after
from skvae.callbacks._file import Cut, require_writable, write_cut
from skvae.files._save import save


class Checkpoint:
    """Save a fit while it goes on, so that it can be resumed.

    Set it on an estimator by `set_callbacks`. The file holds the parameters of the
    estimator and the whole state of its training after an epoch, but no rows. Given
    these, :func:`skvae.resume` continues the fit, and its result equals that of a fit
    that was never interrupted. A file is replaced at once or not at all: when the
    process or the machine stops, the old one or the new one is there.

    Parameters
    ----------
    path : str or path-like
        The file. One of an earlier fit is replaced.
    every : int or str, default=10
        After how many epochs the file is written, or after how much time, such as
        `"30s"`, `"5min"` or `"1.5h"`, at the end of an epoch. It is also written when
        training ends, or is ended by Ctrl-C, `max_time` or a callback.
    keep_best : bool, default=True
        Whether the model itself, as `fit` would return it at that moment, is saved
        beside the file too, under `path` with ".best" appended, whenever its best state
        is another one than before. :func:`skvae.load` loads it while the fit goes on.
        It takes as long as `fit` does after training, mostly for the sampler.
        `resume` does not need it.

    Raises
    ------
    TypeError
        In `fit`, if the estimator is not of this package, or a file cannot hold its
        settings.
    ValueError
        In `fit`, if `every` is invalid, or the settings are too long for a file.
    OSError
        In `fit`, if the folder of the file is absent or may not be written to.

    Warns
    -----
    UserWarning
        If a file cannot be written later, as on a full disk, or cannot hold the best
        model, such as categories of other types than files know. Training goes on, and
        an older file is as it was before.

    See Also
    --------
    skvae.resume : Continue the fit.

    Notes
    -----
    Clones of an estimator share its callbacks: the fits of a search would replace each
    other's file. Ctrl-C ends a clone's fit by `KeyboardInterrupt`, and then only the
    last file of every so many epochs is there. Of :class:`~skvae.VAEImputer` and
    :class:`~skvae.VAEOutlierDetector`, the file is about the whole estimator, and the
    one of the best model about the model inside.

    Examples
    --------
    >>> import pathlib
    >>> import tempfile
    >>> from sklearn.datasets import load_iris
    >>> import skvae
    >>> from skvae.callbacks import Checkpoint
    >>> X = load_iris().data
    >>> folder = tempfile.TemporaryDirectory()
    >>> path = pathlib.Path(folder.name, "fit.skvae")
    >>> vae = skvae.VAETransformer(max_iter=20, tol=None, random_state=0)
    >>> vae = vae.set_callbacks(Checkpoint(path, every="5min")).fit(X)
    >>> resumed = skvae.resume(path, X)  # of a fit that has ended: its result
    >>> bool((resumed.transform(X) == vae.transform(X)).all())
    True
    >>> skvae.load(f"{path}.best").n_components_
    2
    >>> folder.cleanup()
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        every: int | str = 10,
        keep_best: bool = True,
    ) -> None:
        self.path = path
        self.every = every
        self.keep_best = keep_best

    def __repr__(self) -> str:
        settings = f"every={self.every!r}, keep_best={self.keep_best!r}"
        return f"{type(self).__name__}({os.fspath(self.path)!r}, {settings})"

    # The protocol of scikit-learn's callbacks

    def setup(self, estimator: Any, context: Any) -> None:
        """Raise an error, before a long fit, where its state could not be saved.

        Parameters
        ----------
        estimator : estimator
        context : CallbackContext
        """
        due_after(self.every)
        running = getattr(estimator, "_running", None)
        if running is None:
            raise TypeError(
                "Checkpoint requires an estimator of skvae. Got "
                f"{type(estimator).__name__}. Set it on the estimator inside."
            )
        require_folder(self.path)
        estimator = running.before_fit()
        require_writable(estimator)
        running.notes[self, "estimator"] = estimator

    def teardown(self, estimator: Any, context: Any) -> None:
        """Do nothing.

        Parameters
        ----------
        estimator : estimator
        context : CallbackContext
        """

    def on_fit_task_begin(self, estimator: Any, context: Any) -> None:
        """Do nothing.

        Parameters
        ----------
        estimator : estimator
        context : CallbackContext
        """

    def on_fit_task_end(self, estimator: Any, context: Any) -> None:
        """Save the state after an epoch, if it is time, and at the end of training.

        Parameters
        ----------
        estimator : estimator
        context : CallbackContext
        """
        running, is_epoch = estimator._running, context.task_name == "epoch"
        if self._is_due(running) if running.goes_on else not is_epoch:
            self._save(running)

    def _is_due(self, running: Any) -> bool:
        now = running.seconds
        passed = now - running.notes.get((self, "time"), running.seconds_before)
        is_due = running.is_finished or due_after(self.every)(running.n_epochs, passed)
        if is_due:
            running.notes[self, "time"] = now
        return is_due

    def _save(self, running: Any) -> None:
        if self._is_saved(self._save_state, running, "state") and self.keep_best:
            self._is_saved(self._save_best, running, "best model")

    def _is_saved(self, save: Callable[[Any], None], running: Any, what: str) -> bool:
        """Save something; where that fails, warn and return False.

        What a file cannot hold will not change, and is said once. No error of a file
        is worth the end of a long fit.
        """
        begin = f"The {what} after epoch {running.n_epochs} could not be saved: "
        try:
            save(running)
        except OSError as error:
            end = "Training goes on. Make room, or let the folder be written to."
            warnings.warn(f"{begin}{error}. {end}", stacklevel=2)
        except Exception as error:
            if (self, "failed", what) not in running.notes:
                warnings.warn(f"{begin}{error} Training goes on.", stacklevel=2)
            running.notes[self, "failed", what] = True
        else:
            return True
        return False

    def _save_state(self, running: Any) -> None:
        unfinished = running.unfinished()
        if unfinished is not None:
            settings = {"every": self.every, "keep_best": self.keep_best}
            cut = Cut(running.notes[self, "estimator"], unfinished, settings)
            write_cut(self.path, cut, running.n_columns)

    def _save_best(self, running: Any) -> None:
        """Save the model where it is another one than before, or the fit's result."""
        state = running.best_state
        is_new = state is None or running.notes.get((self, "best")) is not state
        # What could not be saved during the fit is tried again at its end only.
        is_new = is_new and (self, "failed", "best model") not in running.notes
        if not running.goes_on or (is_new and not running.is_finished):
            save(running.best(), f"{os.fspath(self.path)}.best")
            running.notes[self, "best"] = state


def require_folder(path: str | os.PathLike[str]) -> None:
    """Raise OSError unless a file can be written where a path says."""
    folder = os.path.dirname(os.path.realpath(path))
    if not os.path.isdir(folder):
        raise FileNotFoundError(
            f"A checkpoint requires a folder that exists. Got {folder!r}. Make it."
        )
    if os.path.isdir(path) or not os.access(folder, os.W_OK | os.X_OK):
        raise PermissionError(
            "A checkpoint requires a folder that may be written to, and a name in it "
            f"that is none of a folder. Got {os.fspath(path)!r}. Use another path."
        )
