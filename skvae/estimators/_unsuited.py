"""A fit that is used for another job than its settings suit."""

import warnings
from typing import Any

MOST_OF_MAPS = 3
"""Components of a map, at most."""

FEWEST_COLUMNS = 10
"""Columns that so few components can hardly describe, at least."""


class UnsuitedSettingsWarning(UserWarning):
    """A fit is used for another job than its settings suit.

    `sample` of :class:`~skvae.VAETransformer` warns, once for each estimator, if the
    fit is a map, with at most three components and the objective that keeps neighbors
    together, of a table with ten or more columns. Such rows lack much of how columns go
    together. The message names the fit that suits rows.

    Parameters
    ----------
    message : str
        What the fit suits, and the call that suits the job.

    See Also
    --------
    VAETransformer : Its `n_components="auto"` is for rows.

    Examples
    --------
    >>> import warnings
    >>> from sklearn.datasets import load_wine
    >>> from skvae import UnsuitedSettingsWarning, VAETransformer
    >>> X = load_wine().data
    >>> vae = VAETransformer(2, max_iter=5, tol=None, random_state=0).fit(X)
    >>> with warnings.catch_warnings(action="error"):
    ...     try:
    ...         vae.sample(3)
    ...     except UnsuitedSettingsWarning as warning:
    ...         print(warning)
    This fit is a map: ... VAETransformer(n_components="auto")...
    """

    def __init__(self, message: str) -> None:
        super().__init__(message)


def warn_of_map(estimator: Any) -> None:
    """Warn, once for each estimator, if rows are drawn from a map of many columns."""
    likelihood = estimator.module_.likelihood
    n_columns = likelihood.n_features - likelihood.n_constant
    is_map = estimator.n_components_ <= MOST_OF_MAPS
    keeps_neighbors = estimator.objective_.neighborhood is not None
    is_told = getattr(estimator, "_is_told_of_map", False)
    if is_told or not (is_map and keeps_neighbors and n_columns >= FEWEST_COLUMNS):
        return
    estimator._is_told_of_map = True
    warnings.warn(
        f"This fit is a map: {estimator.n_components_} components of {n_columns} "
        "columns, chosen to keep neighbors together. Rows drawn from it lack much of "
        "how columns go together. For rows, fit "
        'VAETransformer(n_components="auto").',
        UnsuitedSettingsWarning,
        stacklevel=3,
    )
