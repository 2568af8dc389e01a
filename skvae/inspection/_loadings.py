"""What drives a component: how columns change with it, on average over rows."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from sklearn.utils.validation import check_is_fitted

from skvae._sklearn import output_library
from skvae.estimators._apply import mean_derivatives
from skvae.table import Cells, Column, matrix_of

NO_SPREAD = 1e-15
"""Standard deviation, over the largest cell, of a column that is constant."""

MOST_ROWS = 10_000
"""Rows at which derivatives are taken, at most."""

N_NAMED = 5
"""Columns that are named for each component."""


@dataclass(kw_only=True, eq=False, repr=False)
class ComponentLoadings:  # numpydoc ignore=PR02
    """How columns change with each component, as `loadings` measures it.

    Parameters
    ----------
    standardized : ndarray or DataFrame of shape (n_components, n_values)
        Mean change of each value for one standard deviation of a component, in
        standard deviations of the value; 0 of values that are constant in `X`. A
        column of numbers is one value; one of categories has a value for each, its
        probability.
    original : ndarray or DataFrame of shape (n_components, n_values)
        The same in the units of `X`: dates and times in days, categories as changes of
        their probabilities.
    scale : ndarray of shape (n_components,)
        What one standard deviation of each component is in `z`. Without the factor,
        `original / scale[:, None]` is the mean derivative.
    names : list of str
        Names of the values: of the columns, or `"column = category"`.
    columns : ndarray of int of shape (n_values,)
        Position of the column that each value is of.

    See Also
    --------
    loadings : Measures it.
    skvae.LoadingsDisplay : Draws it.
    """

    standardized: Any
    original: Any
    scale: np.ndarray
    names: list[str]
    columns: np.ndarray

    @property
    def array(self) -> np.ndarray:
        """`standardized` as an array, whatever it is."""
        matrix = np.asarray(self.standardized)[:, -len(self.names) :]
        return matrix.astype(np.float64)

    def __repr__(self) -> str:
        """Return a line for each component, with the columns that change most."""
        lines = []
        for k, row in enumerate(self.array):
            most = np.argsort(-np.abs(row), kind="stable")[:N_NAMED]
            said = ", ".join(f"{self.names[j]} {row[j]:+.2f}" for j in most)
            rest = ", ..." * (len(row) > N_NAMED)
            lines.append(f"component {k}: {said}{rest}")
        return "\n".join(lines)


def loadings(estimator: Any, X: Any) -> ComponentLoadings:
    r"""Measure how columns change with each component, on average over rows.

    With the expected value :math:`m_j(z)` of a column, or the probability of one of its
    categories, the loading is

    .. math:: s_k \, \frac{1}{n} \sum_i
        \frac{\partial m_j}{\partial z_k}\big(\mu(x_i)\big)

    at the posterior means :math:`\mu` of the rows, where :math:`s_k` is the standard
    deviation of component k over the rows, of draws from their posteriors:
    :math:`s_k^2 = \mathrm{Var}[\mu_k] + \mathrm{Mean}[\sigma_k^2]`, near 1 if the prior
    is standard normal and fits. In probabilistic PCA it is 1, and the loadings are
    eigenvectors of the covariance, each times the root of its eigenvalue less the noise
    ([1]_, equation 15).

    Parameters
    ----------
    estimator : VAETransformer or AutoencoderTransformer
        A fitted estimator; of others, their `estimator_`.
    X : {array-like, sparse matrix} of shape (n_samples, n_features)
        At least two rows, such as those of `fit`. Where a cell is missing does not
        matter, but for the row's place in the latent space. Give rows of one kind, such
        as a cluster, to see what drives a component there.

    Returns
    -------
    loadings : ComponentLoadings
        With arrays, or DataFrames where `fit` was given one or `set_output` asks for
        them.

    Raises
    ------
    TypeError
        If the estimator has no decoder of this package.
    ValueError
        If there are fewer than two rows, or all components are of categorical
        variables.

    See Also
    --------
    skvae.LoadingsDisplay : Draws what this returns.
    traverse : Decoded rows while one component changes, far from where they are.

    Notes
    -----
    Derivatives are exact, in float64; of more than 10,000 rows, they are averaged over
    evenly spaced ones. A mean over rows is 0 where a column rises with a component for
    some rows and falls for others as much. The last components of
    :class:`~skvae.priors.CategoricalLatents`, probabilities of categories that cannot
    change one at a time, are left out. Columns of `ordinal` levels have a value for
    each level, too.

    References
    ----------
    .. [1] Tipping & Bishop (1999). Probabilistic principal component analysis. Journal
       of the Royal Statistical Society B 61(3). https://doi.org/10.1111/1467-9868.00196

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from skvae import VAETransformer
    >>> from skvae.inspection import loadings
    >>> X = load_iris(as_frame=True).data
    >>> vae = VAETransformer(max_iter=20, tol=None, random_state=0).fit(X)
    >>> found = loadings(vae, X)
    >>> found
    component 0: ...sepal width (cm) ...
    component 1: sepal width (cm) ...
    >>> found.standardized.shape
    (2, 4)
    """
    model = check_model(estimator)
    n_real = model.posterior.n_real(model.n_components)
    if not n_real:
        raise ValueError(
            "loadings requires components that are real numbers. Got categorical "
            "variables alone. Use traverse, or predict and the rows of each category."
        )
    moments = np.asarray(estimator._map(_moments, X), dtype=np.float64)
    if len(moments) < 2:
        raise ValueError(
            f"X must have at least 2 rows, whose spread is the unit. Got {len(moments)}"
            ". Pass the rows of fit, or all rows of a kind."
        )
    mean, std = np.ascontiguousarray(moments[:, 0]), moments[:, 1]
    scale = np.sqrt(mean.var(axis=0) + np.square(std).mean(axis=0))[:n_real]
    some = mean[:: -(-len(mean) // MOST_ROWS)]
    slopes = mean_derivatives(model, some, lambda p, outputs: p.expected(outputs))
    columns, codes = model.likelihood.expected_of.numpy()
    original = slopes[:n_real] * scale[:, None]
    spread = _spread(estimator._read(X), columns, codes)
    standardized = np.where(spread > 0.0, original / np.where(spread, spread, 1.0), 0.0)
    layout = estimator._known.layout
    pairs = zip(columns.tolist(), codes.tolist(), strict=True)
    names = [_name(layout.columns[j], code) for j, code in pairs]
    library = output_library(estimator) or layout.library
    rows = [str(name) for name in estimator.get_feature_names_out()[:n_real]]
    return ComponentLoadings(
        standardized=matrix_of(library, standardized, rows, names),
        original=matrix_of(library, original, rows, names),
        scale=scale,
        names=names,
        columns=columns,
    )


def check_model(estimator: Any) -> Any:
    """Return the model of a fitted estimator, or raise TypeError if it has none."""
    check_is_fitted(estimator)
    if not hasattr(estimator, "module_"):
        raise TypeError(
            "The estimator must be a VAETransformer or an AutoencoderTransformer. Got "
            f"{type(estimator).__name__}. Pass that step of a pipeline, with the rows "
            "that it gets, or estimator_ of an imputer or a detector."
        )
    return estimator.module_


def _moments(model: Any, batch: Any) -> torch.Tensor:
    """Return mean and standard deviation of the posteriors of rows, (B, 2, K)."""
    outputs = model.encode(batch)
    std = model.posterior.std(outputs)[..., model.order]
    return torch.stack((model.to_user(model.posterior.mean(outputs)), std), dim=1)


def _spread(cells: Cells, columns: np.ndarray, codes: np.ndarray) -> np.ndarray:
    """Return standard deviations of observed values; zero of those that are constant.

    Of a category it is that of a column that is 1 where a cell has it, else 0.
    """
    low, high = cells.column_ranges()
    largest = np.nan_to_num(np.fmax(np.abs(low), np.abs(high)))[columns]
    unit = np.where((codes < 0) & (largest > 0.0), largest, 1.0)

    def values(chunk: np.ndarray) -> np.ndarray:
        found = chunk.astype(np.float64, copy=False)[:, columns]
        found = np.where(
            codes < 0, found, np.where(np.isnan(found), found, found == codes)
        )
        return found / unit

    count = total = squares = np.zeros(len(columns))
    for chunk in cells.chunks():
        found = values(chunk)
        count, total = count + (~np.isnan(found)).sum(0), total + np.nansum(found, 0)
    mean = total / np.maximum(count, 1)
    for chunk in cells.chunks():
        squares = squares + np.nansum(np.square(values(chunk) - mean), 0)
    std = np.sqrt(squares / np.maximum(count, 1))
    return np.where(std > NO_SPREAD, std * unit, 0.0)


def _name(column: Column, code: int) -> str:
    """Return what a value is called."""
    name = column.title
    if code >= 0:
        category = code if column.categories is None else column.categories[code]
        return f"{name} = {category}"
    return f"{name} (days)" if column.kind in ("datetime", "timedelta") else name
