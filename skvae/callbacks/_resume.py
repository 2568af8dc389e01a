"""A file of a fit that was cut off, and its rows → the fitted estimator."""

import os
from typing import Any

from skvae.callbacks._checkpoint import Checkpoint
from skvae.callbacks._file import read_cut


def resume(
    path: str | os.PathLike[str],
    X: Any,
    sample_weight: Any = None,
    *,
    encoder: Any = None,
    decoder: Any = None,
) -> Any:
    """Continue a fit that was cut off, from a file of :class:`Checkpoint`.

    The result equals that of a fit that was never interrupted, bit for bit on the same
    machine with the same number of threads: parameters, curves, weights of terms, and
    when it stops. Meanwhile the file is kept up to date, as it was before. If the fit
    had ended, its result is returned.

    Parameters
    ----------
    path : str or path-like
    X : {array-like, sparse matrix} of shape (n_samples, n_features)
        The rows that `fit` was given, in any order.
    sample_weight : array-like of shape (n_samples,), default=None
        The weights that `fit` was given.
    encoder, decoder : Network or callable, default=None
        What was given to the estimator as `encoder` and `decoder`, if that was a
        function or a network of a class of your own: files do not hold its code.

    Returns
    -------
    estimator : object
        The fitted estimator, of the class and with the parameters of the one whose fit
        was cut off.

    Raises
    ------
    ModelFileError
        If the file is not a whole, valid file of :class:`Checkpoint`.
    OSError
        If it cannot be opened.
    ValueError
        If rows, columns or weights are not those of the fit, or this version of the
        package would fit another model; if `encoder` or `decoder` are needed, or given
        without need.

    See Also
    --------
    skvae.callbacks.Checkpoint : Writes the file.

    Notes
    -----
    What `fit` does before training is done anew: reading the rows, the start at a
    linear model, the search for neighbors. The seed is that of the first fit, also with
    `random_state=None`, and `max_time` counts the time of the epochs before. Other
    callbacks than the checkpoint are not in the file.

    A file from a stranger is safe to read, but a fit takes the memory and the time that
    its settings ask for.

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
    >>> vae = skvae.VAETransformer(max_iter=50, max_time=0.01, tol=None)
    >>> vae = vae.set_callbacks(Checkpoint(path)).fit(X)
    >>> skvae.resume(path, X).n_iter_ == vae.n_iter_
    True
    >>> skvae.resume(path, X[1:])
    Traceback (most recent call last):
    ValueError: A fit can be resumed with its own rows and sample weights only. ...
    >>> folder.cleanup()
    """
    estimator, unfinished, settings = read_cut(path, encoder, decoder)
    estimator.set_callbacks(Checkpoint(path, **settings))
    estimator._unfinished = unfinished
    try:
        estimator.fit(X, sample_weight=sample_weight)
    finally:
        vars(estimator).pop("_unfinished", None)
    return estimator
