"""Columns of different kinds."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from skvae.likelihoods._contract import Likelihood, LikelihoodModel
from skvae.likelihoods._side_by_side import SideBySideModel
from skvae.likelihoods._table import LIKELIHOODS
from skvae.table import Cells, Part, as_cells, assign_columns


def as_likelihood(value: Any) -> Likelihood:
    """Return a likelihood spec from a spec, a name, or the parts of `Columns`."""
    if isinstance(value, Mapping | list):
        return Columns(value)
    if isinstance(value, str) and value in LIKELIHOODS:
        return LIKELIHOODS[value]()
    if isinstance(value, Likelihood):
        return value
    raise ValueError(
        f"The likelihood of a column must be one of {sorted(LIKELIHOODS)} or a "
        f"Likelihood. Got {value!r}."
    )


class Columns(Likelihood):
    r"""Columns of different kinds, each with a likelihood that fits it.

    .. math:: \log p(X \mid z) = \sum_i \log p_i(X_{C_i} \mid z)

    over the parts :math:`i` with columns :math:`C_i`: given z, columns are
    independent, whatever their kind [1]_. Columns of a part share its parameters, such
    as one learned noise.

    Parameters
    ----------
    parts : list of (likelihood, columns), or dict of column to likelihood
        Every column once. A likelihood is a name or an object. Columns are names, if
        `X` is a DataFrame, or positions. In a dict, columns with the same likelihood
        are one part.

    See Also
    --------
    Gaussian : For tables whose columns are all real-valued.

    References
    ----------
    .. [1] Nazabal, Olmos, Ghahramani & Valera (2020). Handling incomplete heterogeneous
       data using VAEs. Pattern Recognition 107. https://arxiv.org/abs/1807.03653

    Examples
    --------
    >>> import numpy as np
    >>> X = np.array([[1.7, 0.0, 34.0], [1.6, 2.0, 51.0]])
    >>> Columns([("gaussian", [0, 2]), ("categorical", [1])]).resolve(X)
    Columns(parts=[(Gaussian(), [0, 2]), (Categorical(n_categories=[3]), [1])])
    >>> Columns({0: "gaussian", 1: "categorical", 2: "gaussian"}).resolve(X)
    Columns(parts=[(Gaussian(), [0, 2]), (Categorical(n_categories=[3]), [1])])
    """

    def __init__(self, parts: Sequence | Mapping) -> None:
        self.parts = parts

    def _assigned(self, n_columns: int) -> list[Part]:
        """Return each part's likelihood and the positions of its columns."""
        labels = [str(column) for column in range(n_columns)]
        no_rows = np.empty((0, n_columns))
        return assign_columns(self.parts, no_rows, as_likelihood, labels)

    def resolve(self, X: Cells | np.ndarray) -> Likelihood:
        """Return the specs of the parts, resolved, with columns by position."""
        cells, assigned = as_cells(X), self._assigned(X.shape[1])
        parts = [
            (spec.resolve(cells.columns(owned)), owned) for spec, owned in assigned
        ]
        # A likelihood that has all columns may start at a closed form.
        if len(parts) == 1 and parts[0][1] == list(range(X.shape[1])):
            return parts[0][0]
        return Columns(parts)

    def build(self, n_features: int) -> LikelihoodModel:
        """Return a model for `n_features` columns, without statistics yet."""
        parts = self._assigned(n_features)
        models = [spec.build(len(columns)) for spec, columns in parts]
        return SideBySideModel(models, [columns for _, columns in parts])

    def check_domain(self, X: np.ndarray, name_of: Callable[[int], str]) -> None:
        """Raise ValueError where an observed value is outside its part's domain."""
        for likelihood, columns in self._assigned(X.shape[1]):
            names = [name_of(column) for column in columns]
            likelihood.check_domain(X[:, columns], names.__getitem__)
