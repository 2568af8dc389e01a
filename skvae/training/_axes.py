"""Principal axes of what the encoder sees of some rows."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import scipy.linalg
import torch

from skvae._model import Model
from skvae._threads import blas_threads_for
from skvae.table import Batch, Rows, row_slices

MOST_EXACT = 4096
"""Rows or columns up to which eigenvectors are computed from all inner products."""

N_PASSES, N_SPARE = 6, 10
"""Passes over more than that, and axes that are followed beside those asked for."""


class Clusters(NamedTuple):
    """Clusters of rows, C in all, that categorical variables start at.

    Attributes
    ----------
    centers : ndarray of shape (C, n_inputs)
        Relative to the mean of all rows.
    directions, offsets : ndarray of shape (C, n_inputs) and (C,)
        Of logits that are linear in what rows have beyond the mean.
    variance : float
        The largest variance of the inputs along an axis.
    """

    centers: np.ndarray
    directions: np.ndarray
    offsets: np.ndarray
    variance: float


class PrincipalAxes(NamedTuple):
    """Leading eigenpairs of a covariance, with its mean and its diagonal.

    With clusters, the covariance is that within them.
    """

    center: np.ndarray
    values: np.ndarray
    vectors: np.ndarray
    variances: np.ndarray
    clusters: Clusters | None = None

    @property
    def largest(self) -> float:
        """The largest eigenvalue; that of all rows, not within clusters."""
        largest = float(self.values.max(initial=0.0))
        return largest if self.clusters is None else self.clusters.variance

    def leading(self, n: int) -> "PrincipalAxes":
        """Return the first n of them."""
        return self._replace(values=self.values[:n], vectors=self.vectors[:, :n])


class Inputs:
    """The encoder's inputs of some rows, with weights that sum to one.

    Parameters
    ----------
    model : Model
    rows : Rows
    """

    def __init__(self, model: Model, rows: Rows) -> None:
        self.model, self.rows = model, rows
        self.total = rows.weights.sum()

    def reduce(self, function: Callable[[np.ndarray, np.ndarray], Any]) -> Any:
        """Return the sum of function(inputs, weights) over chunks, float64."""
        likelihood = self.model.likelihood

        def over_chunk(X: np.ndarray, weights: np.ndarray) -> Any:
            x = torch.from_numpy(likelihood.prepare(X))
            values = [
                function(self._of(x[part]), weights[part] / self.total)
                # Inputs may be wider than rows by far.
                for part in row_slices(len(x), likelihood.n_inputs)
            ]
            return sum(values[1:], values[0])

        return self.rows.reduce(over_chunk)

    def _of(self, x: torch.Tensor) -> np.ndarray:
        batch = Batch.of(x, self.rows.has_missing)
        return self.model.inputs(batch).numpy()

    def center(self) -> np.ndarray:
        """Return the mean, (n_inputs,)."""
        return self.reduce(lambda h, weights: weights @ h)

    def reduce_deviations(
        self, center: np.ndarray, function: Callable[[np.ndarray], Any]
    ) -> Any:
        """Return the sum of function(h) over chunks.

        Here h are the inputs less their mean, times the roots of their weights. These
        sum to n / (n - 1), n the number of distinct rows: sums of squares are unbiased
        variances, those of `sklearn.decomposition.PCA`.
        """
        n_rows = len(self.rows)
        unbiased = n_rows / max(1, n_rows - 1)
        return self.reduce(
            lambda h, weights: function(
                (h - center) * np.sqrt(unbiased * weights)[:, None]
            )
        )


def _leading(symmetric: np.ndarray, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the `n` largest eigenvalues, descending, and their eigenvectors."""
    size = len(symmetric)
    with blas_threads_for(size):
        values, vectors = _some(symmetric, size - n)
        if len(values) < n:
            values, vectors = scipy.linalg.eigh(symmetric, driver="evd")
            values, vectors = values[size - n :], vectors[:, size - n :]
    # The sign of an eigenvector is arbitrary; fixed, it does not turn with rounding.
    largest = np.abs(vectors).argmax(axis=0)
    vectors = vectors * np.where(vectors[largest, np.arange(n)] < 0, -1.0, 1.0)
    return values[::-1].clip(min=0.0), vectors[:, ::-1]


def _some(symmetric: np.ndarray, first: int) -> tuple[np.ndarray, np.ndarray]:
    """Return eigenvalues from one on, ascending, and their eigenvectors.

    None, or too few, where thousands of values are equal: the algorithm that finds some
    of them alone may fail then.
    """
    try:
        ends = [first, len(symmetric) - 1]
        return scipy.linalg.eigh(symmetric, subset_by_index=ends)
    except scipy.linalg.LinAlgError:
        return np.empty(0), np.empty((len(symmetric), 0))


def principal_axes(model: Model, rows: Rows, n_axes: int) -> PrincipalAxes:
    """Return the leading weighted principal axes of the encoder's inputs."""
    inputs = Inputs(model, rows)
    n_axes = min(n_axes, model.likelihood.n_inputs)
    center = inputs.center()
    if min(len(rows), len(center)) > MOST_EXACT:
        return _axes_by_iteration(inputs, center, n_axes)
    if len(rows) >= len(center):
        covariance = inputs.reduce_deviations(center, lambda h: h.T @ h)
        values, vectors = _leading(covariance, n_axes)
        return PrincipalAxes(center, values, vectors, np.diag(covariance))
    # With fewer rows than columns, the inner products of rows are the smaller matrix.
    h = np.concatenate(inputs.reduce_deviations(center, lambda h: [h]))
    values, vectors = _leading(h @ h.T, min(n_axes, len(rows)))
    kept = values > 1e-12 * values[0]
    values = values[kept]
    vectors = h.T @ vectors[:, kept] / np.sqrt(values)
    return PrincipalAxes(center, values, vectors, np.square(h).sum(axis=0))


def _axes_by_iteration(
    inputs: Inputs, center: np.ndarray, n_axes: int
) -> PrincipalAxes:
    """Return the principal axes by subspace iteration, a pass over the rows each.

    It needs the memory of some vectors, not that of a square matrix (Halko, Martinsson
    & Tropp 2011, algorithm 4.4, with the covariance as the matrix).
    """
    size = min(n_axes + N_SPARE, len(center), len(inputs.rows))
    variances = inputs.reduce_deviations(center, lambda h: np.square(h).sum(axis=0))
    image = np.random.default_rng(0).normal(size=(len(center), size))
    for _ in range(N_PASSES):
        basis = np.linalg.qr(image)[0]

        def times(h: np.ndarray, basis: np.ndarray = basis) -> np.ndarray:
            return h.T @ (h @ basis)

        image = inputs.reduce_deviations(center, times)
    values, mixing = _leading(basis.T @ image, n_axes)
    return PrincipalAxes(center, values, basis @ mixing, variances)
