"""Columns of different kinds."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import chain
from numbers import Integral
from typing import Any

import numpy as np

from skvae.likelihoods._contract import Likelihood, LikelihoodModel
from skvae.likelihoods._side_by_side import SideBySideModel
from skvae.likelihoods._table import LIKELIHOODS


def as_likelihood(value: Any) -> Likelihood:
    """Return a likelihood spec from a spec, a name, or the parts of `Columns`."""
    if isinstance(value, str):
        if value not in LIKELIHOODS:
            raise ValueError(
                f"A likelihood must be one of {sorted(LIKELIHOODS)}, or an object. Got "
                f"{value!r}."
            )
        return LIKELIHOODS[value]()
    return Columns(value) if isinstance(value, Mapping | list) else value


def _parts(parts: Sequence | Mapping) -> Iterator[tuple[Likelihood, list]]:
    """Yield (likelihood, columns); of a dict, each likelihood once."""
    if not isinstance(parts, Mapping):
        for likelihood, columns in parts:
            several = isinstance(columns, Sequence | np.ndarray)
            several = several and not isinstance(columns, str)
            yield as_likelihood(likelihood), list(columns) if several else [columns]
        return
    groups: dict[str, tuple[Likelihood, list]] = {}
    for column, value in parts.items():
        likelihood = as_likelihood(value)
        groups.setdefault(repr(likelihood), (likelihood, []))[1].append(column)
    yield from groups.values()


def _positions(
    columns: list, n_features: int, feature_names: Sequence[str] | None
) -> list[int]:
    """Return positions of columns given by name or position."""
    names = {} if feature_names is None else dict(_enumerated(feature_names))
    positions = []
    for column in columns:
        position = names.get(column, column)
        is_position = isinstance(position, Integral) and not isinstance(position, bool)
        if not is_position or not 0 <= position < n_features:
            known = f"names {list(names)} or " if names else ""
            raise ValueError(
                f"Columns of a likelihood must be {known}positions 0 to "
                f"{n_features - 1}. Got {column!r}."
            )
        positions.append(int(position))
    return positions


def _enumerated(names: Sequence[str]) -> Iterator[tuple[str, int]]:
    return ((str(name), position) for position, name in enumerate(names))


def _check_each_once(
    positions: list[int], n_features: int, feature_names: Sequence[str] | None
) -> None:
    """Raise ValueError unless every column has one likelihood."""
    times = np.bincount(positions, minlength=n_features)
    wrong = np.flatnonzero(times != 1)
    if len(wrong):
        column = int(wrong[0])
        name = column if feature_names is None else repr(str(feature_names[column]))
        raise ValueError(
            f"Every column requires one likelihood. Got {times[column]} for column "
            f"{name}. List each column of X once, for example as 'gaussian'."
        )


class Columns(Likelihood):
    r"""Columns of different kinds, each with a likelihood that fits it.

    .. math:: \log p(X \mid z) = \sum_i \log p_i(X_{C_i} \mid z)

    over the parts :math:`i` with columns :math:`C_i`: given z, columns are
    independent, whatever their kind [1]_. Columns of a part share what the part's
    likelihood shares, such as one learned noise.

    Parameters
    ----------
    parts : list of (likelihood, columns), or dict of column to likelihood
        Every column once. A likelihood is a name or an object. Columns are names, if
        `X` is a DataFrame, or positions. In a dict, columns with the same likelihood
        are one part.

    See Also
    --------
    Gaussian : For real-valued columns, where all are.

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

    def _resolve(
        self, X: np.ndarray, feature_names: Sequence[str] | None
    ) -> Likelihood:
        n_features = X.shape[1]
        resolved, listed = [], []
        for likelihood, columns in _parts(self.parts):
            positions = _positions(columns, n_features, feature_names)
            listed += positions
            if positions:
                part = likelihood._resolve(X[:, positions], None)
                resolved.append((part, positions))
        _check_each_once(listed, n_features, feature_names)
        # Alone, a likelihood may start at a closed form.
        if len(resolved) == 1 and listed == list(range(n_features)):
            return resolved[0][0]
        return Columns(resolved)

    def build(self, n_features: int) -> LikelihoodModel:
        """Return a model for `n_features` columns, without statistics yet."""
        models, columns = [], []
        for likelihood, names in _parts(self.parts):
            columns.append(_positions(names, n_features, None))
            models.append(likelihood.build(len(columns[-1])))
        _check_each_once(list(chain(*columns)), n_features, None)
        return SideBySideModel(models, columns)

    def check_domain(self, X: np.ndarray, name_of: Callable[[int], str]) -> None:
        """Raise ValueError where an observed value is outside its part's domain."""
        for likelihood, columns in _parts(self.parts):
            positions = _positions(columns, X.shape[1], None)
            names = [name_of(position) for position in positions]
            likelihood.check_domain(X[:, positions], names.__getitem__)
