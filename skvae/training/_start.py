"""Where training starts: the closed-form linear solution, or the marginal one."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import scipy.linalg
import torch

from skvae._model import Model
from skvae._random import normal_sequence
from skvae.objectives import Objective
from skvae.table import Batch, Rows, row_slices
from skvae.training._acceptance import Start

NOISE_FACTORS = (1.0, 3.0, 10.0, 30.0, 100.0)
"""Factors of the noise that are tried where the linear start is an approximation."""

MOST_EXACT = 4096
"""Rows or columns up to which eigenvectors are computed from all inner products."""

N_PASSES, N_SPARE = 6, 10
"""Passes over more than that, and axes that are followed beside those asked for."""

N_ROWS_TO_TRY = 1000
"""Rows on which they are compared."""


class _PrincipalAxes(NamedTuple):
    """Leading eigenpairs of a covariance, with its mean and its diagonal."""

    center: np.ndarray
    values: np.ndarray
    vectors: np.ndarray
    variances: np.ndarray


class _Inputs:
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
    values, vectors = scipy.linalg.eigh(symmetric, subset_by_index=[size - n, size - 1])
    # The sign of an eigenvector is arbitrary; fixed, it does not turn with rounding.
    largest = np.abs(vectors).argmax(axis=0)
    vectors = vectors * np.where(vectors[largest, np.arange(n)] < 0, -1.0, 1.0)
    return values[::-1].clip(min=0.0), vectors[:, ::-1]


def _principal_axes(model: Model, rows: Rows) -> _PrincipalAxes:
    """Return the weighted principal axes of the encoder's inputs, one per component."""
    inputs = _Inputs(model, rows)
    n_axes = min(model.n_components, model.likelihood.n_inputs)
    center = inputs.center()
    if min(len(rows), len(center)) > MOST_EXACT:
        return _axes_by_iteration(inputs, center, n_axes)
    if len(rows) >= len(center):
        covariance = inputs.reduce_deviations(center, lambda h: h.T @ h)
        values, vectors = _leading(covariance, n_axes)
        return _PrincipalAxes(center, values, vectors, np.diag(covariance))
    # With fewer rows than columns, the inner products of rows are the smaller matrix.
    h = np.concatenate(inputs.reduce_deviations(center, lambda h: [h]))
    values, vectors = _leading(h @ h.T, min(n_axes, len(rows)))
    kept = values > 1e-12 * values[0]
    values = values[kept]
    vectors = h.T @ vectors[:, kept] / np.sqrt(values)
    return _PrincipalAxes(center, values, vectors, np.square(h).sum(axis=0))


def _axes_by_iteration(
    inputs: _Inputs, center: np.ndarray, n_axes: int
) -> _PrincipalAxes:
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
    return _PrincipalAxes(center, values, basis @ mixing, variances)


def _residual_variance(axes: _PrincipalAxes) -> float:
    """Return the noise variance of probabilistic PCA on these axes.

    Inputs that are constant have none, and do not count.
    """
    n_left = np.count_nonzero(axes.variances) - len(axes.values)
    if n_left > 0:
        return (axes.variances.sum() - axes.values.sum()) / n_left
    # With as many components as columns, every noise up to the least eigenvalue has
    # the same likelihood; a smaller one lets z distinguish rows.
    return 0.1 * axes.values[-1:].sum()


@torch.no_grad()
def start_marginal(model: Model) -> None:
    """Set the decoder's bias to the outputs that fit best without any z."""
    model.decoder.path.bias.copy_(model.likelihood.linearized().outputs)


def start_linear(model: Model, rows: Rows, noise_factor: float = 1.0) -> float:
    r"""Set the linear paths of a model to the closed-form solution for the rows.

    For a variational autoencoder that is probabilistic PCA (Tipping & Bishop 1999,
    equations 7 and 8): with leading eigenpairs :math:`(\lambda_k, u_k)` of the
    covariance and the mean :math:`\sigma^2` of the other eigenvalues, the decoder is
    :math:`W = U (\Lambda - \sigma^2)^{1/2}`, and the exact posterior of a row is normal
    with mean :math:`\Lambda^{-1} W^T h` and variance :math:`\sigma^2 \Lambda^{-1}`.
    For a plain autoencoder it is PCA with whitened components.

    Parameters
    ----------
    model : Model
        Changed in place.
    rows : Rows
    noise_factor : float, default=1.0
        Factor of the noise, for likelihoods that have noise of their own.

    Returns
    -------
    strength : float
        The largest eigenvalue over the noise, :math:`\lambda_1 / \sigma^2`.
    """
    return _start_on(model, _principal_axes(model, rows), noise_factor)


def _start_on(model: Model, axes: _PrincipalAxes, noise_factor: float) -> float:
    """Start linear on axes that are known, as `start_linear` does."""
    floor = 1e-8 * max(axes.variances.mean(), 1e-8)
    floor = max(floor, model.likelihood.linearized().least_noise)
    noise = max(_residual_variance(axes) * noise_factor, floor)
    is_random = model.posterior.is_random
    kept = axes.values > (noise if is_random else floor)
    values, vectors = axes.values[kept], axes.vectors[:, kept]
    loadings = vectors.T * np.sqrt(values - noise * is_random)[:, None]
    residual = axes.variances - np.square(loadings).sum(axis=0)
    # First, since noise may move the outputs that are best without z.
    model.likelihood.start_noise(torch.from_numpy(residual.clip(min=0.0)))
    _set_paths(model, axes.center, loadings, values, noise)
    if is_random:
        _keep_expectations(model)
    return float(axes.values.max(initial=0.0) / noise)


@torch.no_grad()
def _set_paths(
    model: Model,
    center: np.ndarray,
    loadings: np.ndarray,
    values: np.ndarray,
    noise: float,
) -> None:
    """Set the linear paths to mean = W (h - center) and h = center + z loadings.

    Components beyond the number of loadings stay unused, with the prior as posterior,
    and which cells are missing does not enter.
    """
    start_marginal(model)
    encoder, decoder = model.encoder.path, model.decoder.path
    linearized, n_used = model.likelihood.linearized(), len(loadings)
    weights = loadings / values[:, None]
    encoder.weight.zero_()[:n_used, : len(center)] = torch.from_numpy(weights)
    mean, std = (moment.double().clone() for moment in model.prior.moments())
    mean[:n_used] = torch.from_numpy(-weights @ center)
    std[:n_used] = torch.from_numpy(np.sqrt(noise / values))
    encoder.bias.copy_(model.posterior.outputs_of(mean, std))
    directions = linearized.directions(torch.from_numpy(loadings))
    decoder.weight.zero_()[:, :n_used] = directions.T
    offset = torch.from_numpy(center) - linearized.inputs
    decoder.bias.add_(linearized.directions(offset[None])[0])


@torch.no_grad()
def _keep_expectations(model: Model) -> None:
    """Move the outputs so that z, a standard normal, changes no expectation."""
    path = model.decoder.path
    variances = path.weight.square().sum(dim=1)
    path.bias.add_(model.likelihood.linearized().offset(variances))


def start(model: Model, rows: Rows, objective: Objective) -> Start:
    """Set the parameters to start from, and return what the start is.

    Where probabilistic PCA is an approximation, so is its noise: the best of several
    is taken. Without linear paths only the decoder's bias is set.
    """
    model.prior.start(rows)
    if not model.encoder.path.has_map:
        start_marginal(model)
        return Start(is_linear=False, is_exact=False)
    is_pca = model.has_standard_z or not model.posterior.is_random
    if is_pca and model.likelihood.linear_start_is_exact and not model.sees_missing:
        return Start(True, True, start_linear(model, rows))
    axes = _principal_axes(model, rows)
    some = rows.take(np.arange(min(len(rows), N_ROWS_TO_TRY)))
    losses: dict[float, float] = {}
    for factor in NOISE_FACTORS:
        # Noise above every eigenvalue leaves no path that could be trained.
        if _start_on(model, axes, factor) > 1.0 or not losses:
            losses[factor] = _loss(model, some, objective)
    best = min(losses, key=lambda factor: losses[factor])
    return Start(True, False, _start_on(model, axes, best))


@torch.inference_mode()
def _loss(model: Model, rows: Rows, objective: Objective) -> float:
    """Return the mean of the unweighted terms of rows, under one fixed draw each."""
    x = torch.from_numpy(model.likelihood.prepare(rows[:]))
    noise = normal_sequence(len(rows), model.n_components, seed=0)[None]
    batch = Batch.of(x.to(torch.float32), rows.has_missing)
    terms = objective.stacked_terms(model, batch, noise.to(torch.float32))
    return float(terms.sum(0).mean())
