"""Where training starts: the closed-form linear solution, or the marginal one."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import scipy.linalg
import torch

from skvae._batches import Rows, row_slices
from skvae._model import Model
from skvae._random import normal_sequence
from skvae.objectives import Objective

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


def _encoder_inputs(
    model: Model, rows: Rows
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield (encoder inputs, weights that sum to one) in chunks, float64."""
    total = rows.weights.sum()
    for X, weights in rows.chunks():
        x = torch.from_numpy(model.likelihood.prepare(X))
        # Inputs may be wider than rows by far.
        for part in row_slices(len(x), model.likelihood.n_inputs):
            yield model.inputs(x[part]).numpy(), weights[part] / total


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
    n_axes = min(len(model.order), model.likelihood.n_inputs)
    center = sum(weights @ h for h, weights in _encoder_inputs(model, rows))
    if min(len(rows), len(center)) > MOST_EXACT:
        return _axes_by_iteration(model, rows, center, n_axes)
    deviations = _deviations(model, rows, center)
    if len(rows) >= len(center):
        covariance = sum(h.T @ h for h in deviations)
        values, vectors = _leading(covariance, n_axes)
        return _PrincipalAxes(center, values, vectors, np.diag(covariance))
    # With fewer rows than columns, the inner products of rows are the smaller matrix.
    h = np.concatenate(list(deviations))
    values, vectors = _leading(h @ h.T, min(n_axes, len(rows)))
    kept = values > 1e-12 * values[0]
    values = values[kept]
    vectors = h.T @ vectors[:, kept] / np.sqrt(values)
    return _PrincipalAxes(center, values, vectors, np.square(h).sum(axis=0))


def _deviations(model: Model, rows: Rows, center: np.ndarray) -> Iterator[np.ndarray]:
    """Yield the encoder's inputs less their mean, times the roots of their weights.

    The weights sum to n / (n - 1), n the number of distinct rows: sums of squares are
    unbiased variances, those of `sklearn.decomposition.PCA`.
    """
    unbiased = len(rows) / max(1, len(rows) - 1)
    for h, weights in _encoder_inputs(model, rows):
        yield (h - center) * np.sqrt(unbiased * weights)[:, None]


def _axes_by_iteration(
    model: Model, rows: Rows, center: np.ndarray, n_axes: int
) -> _PrincipalAxes:
    """Return the principal axes by subspace iteration, a pass over the rows each.

    It needs the memory of some vectors, not that of a square matrix (Halko, Martinsson
    & Tropp 2011, algorithm 4.4, with the covariance as the matrix).
    """
    size = min(n_axes + N_SPARE, len(center), len(rows))
    random = np.random.default_rng(0)
    image = random.normal(size=(len(center), size))
    for _ in range(N_PASSES):
        basis = np.linalg.qr(image)[0]
        image, variances = np.zeros_like(basis), np.zeros_like(center)
        for h in _deviations(model, rows, center):
            image += h.T @ (h @ basis)
            variances += np.square(h).sum(axis=0)
    values, mixing = _leading(basis.T @ image, n_axes)
    return _PrincipalAxes(center, values, basis @ mixing, variances)


def _residual_variance(axes: _PrincipalAxes) -> float:
    """Return the noise variance of probabilistic PCA on these axes."""
    n_left = len(axes.center) - len(axes.values)
    if n_left:
        return (axes.variances.sum() - axes.values.sum()) / n_left
    # With as many components as columns, every noise up to the least eigenvalue has
    # the same likelihood; a smaller one lets z tell rows apart.
    return 0.1 * axes.values[-1]


def start_marginal(model: Model) -> None:
    """Set the decoder's bias to the outputs that fit best without any z."""
    with torch.no_grad():
        model.decoder.bias.copy_(model.likelihood.marginal_outputs())


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
    signal_to_noise : float
        The largest eigenvalue over the noise, :math:`\lambda_1 / \sigma^2`.
    """
    return _start_on(model, _principal_axes(model, rows), noise_factor)


def _start_on(model: Model, axes: _PrincipalAxes, noise_factor: float) -> float:
    """Start linear on axes that are known, as `start_linear` does."""
    floor = 1e-8 * max(axes.variances.mean(), 1e-8)
    floor = max(floor, model.likelihood.least_noise())
    noise = max(_residual_variance(axes) * noise_factor, floor)
    probabilistic = model.prior is not None
    kept = axes.values > (noise if probabilistic else floor)
    values, vectors = axes.values[kept], axes.vectors[:, kept]
    loadings = vectors.T * np.sqrt(values - noise * probabilistic)[:, None]
    log_var = np.log(noise / values) if probabilistic else np.empty(0)
    residual = axes.variances - np.square(loadings).sum(axis=0)
    # First: what is left to noise may move the outputs that are best without z.
    model.likelihood.start_noise(torch.from_numpy(residual.clip(min=0.0)))
    _set_linear(model, axes.center, loadings / values[:, None], loadings, log_var)
    if probabilistic:
        _keep_expectations(model)
    return float(axes.values.max(initial=0.0) / noise)


@torch.no_grad()
def _set_linear(
    model: Model,
    center: np.ndarray,
    weights: np.ndarray,
    loadings: np.ndarray,
    log_var: np.ndarray,
) -> None:
    """Set the linear paths to mean = weights (h - center), h = center + z loadings.

    Components beyond the number of loadings stay unused, with the prior as posterior,
    and which cells are missing does not enter.
    """
    start_marginal(model)
    n_components, likelihood = len(model.order), model.likelihood
    n_used = len(loadings)
    encoder, decoder = model.encoder, model.decoder
    encoder.linear.zero_()[:n_used, : len(center)] = torch.from_numpy(weights)
    encoder.bias.zero_()[:n_used] = torch.from_numpy(-weights @ center)
    encoder.bias[n_components : n_components + len(log_var)] = torch.from_numpy(log_var)
    directions = torch.from_numpy(loadings).to(decoder.linear.device)
    decoder.linear.zero_()[:, :n_used] = likelihood.linear_outputs(directions).T
    inputs = likelihood.marginal_inputs().to(decoder.bias.device)
    offset = torch.from_numpy(center).to(decoder.bias.device) - inputs
    decoder.bias.add_(likelihood.linear_outputs(offset[None])[0])


@torch.no_grad()
def _keep_expectations(model: Model) -> None:
    """Move the outputs so that z, a standard normal, changes no expectation."""
    variances = model.decoder.linear.square().sum(dim=1)
    model.decoder.bias.add_(model.likelihood.spread_offset(variances))


def expected_gain(
    n_components: int, n_columns: int, n_rows: int, n_all_rows: int
) -> float:
    r"""Return what probabilistic PCA gains by being fitted to more rows.

    The maximum-likelihood fit of p parameters to n rows is expected to lose
    :math:`p / 2n` nats on a new row, to first order (Akaike 1974). Here p counts the
    mean, the loadings up to rotation, and the noise.
    """
    k = min(n_components, n_columns)
    n_parameters = n_columns * (k + 1) - k * (k - 1) // 2 + 1
    return 0.5 * n_parameters * (1 / n_rows - 1 / n_all_rows)


def start(model: Model, rows: Rows, objective: Objective) -> float | None:
    """Set the weights to start from; return the signal to noise of a linear start.

    Where probabilistic PCA is an approximation, so is its noise: the best of several
    is taken. Without linear paths only the decoder's bias is set.
    """
    if model.encoder.linear is None:
        start_marginal(model)
        return None
    if model.likelihood.linear_start_is_exact and not model.masks:
        return start_linear(model, rows)
    axes = _principal_axes(model, rows)
    some = rows.take(np.arange(min(len(rows), N_ROWS_TO_TRY)))
    losses: dict[float, float] = {}
    for factor in NOISE_FACTORS:
        # Noise above every eigenvalue leaves no path that could be trained.
        if _start_on(model, axes, factor) > 1.0 or not losses:
            losses[factor] = _loss(model, some, objective)
    return _start_on(model, axes, min(losses, key=lambda factor: losses[factor]))


@torch.inference_mode()
def _loss(model: Model, rows: Rows, objective: Objective) -> float:
    """Return the mean loss of rows under one fixed draw each."""
    prepared = np.concatenate([model.likelihood.prepare(X) for X, _ in rows.chunks()])
    noise = normal_sequence(len(rows), len(model.order), seed=0)
    x, noise = (
        values.to(device=model.sign.device, dtype=torch.float32)
        for values in (torch.from_numpy(prepared), noise)
    )
    terms = objective(model, x, noise)
    return float((terms.reconstruction + terms.kl).mean())
