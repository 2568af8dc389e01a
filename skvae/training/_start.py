"""Where training starts: the closed-form linear solution, or the marginal one."""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch

from skvae._model import Model
from skvae._random import normal_sequence
from skvae.objectives import Objective
from skvae.priors import StandardNormal
from skvae.table import Batch, Rows
from skvae.training._acceptance import Start
from skvae.training._axes import Clusters, PrincipalAxes, principal_axes
from skvae.training._clusters import clustered_axes

NOISE_FACTORS = (1.0, 3.0, 10.0, 30.0, 100.0)
"""Factors of the noise that are tried where the linear start is an approximation."""

N_ROWS_TO_TRY = 1000
"""Rows on which starts are compared."""

NUMBERS = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32)
"""Numbers of components that are tried where none is given."""

TOLERANCE = 0.01
"""Difference of losses, in nats per row, that more components are not worth."""


def _residual_variance(axes: PrincipalAxes) -> float:
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
        The largest eigenvalue over the noise, :math:`\lambda_1 / \sigma^2`; that of all
        rows, where there are clusters.
    """
    axes = _axes(model, rows)
    return axes.largest / _start_on(model, axes, noise_factor)


def _axes(model: Model, rows: Rows) -> PrincipalAxes:
    """Return the principal axes of rows, or where z has categories, of clusters."""
    if model.posterior.categories:
        return clustered_axes(model, rows)
    return principal_axes(model, rows, model.n_components)


def _start_on(model: Model, axes: PrincipalAxes, noise_factor: float) -> float:
    """Start linear on axes that are known, and return the noise."""
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
    if axes.clusters is not None:
        _set_clusters(model, axes.center, axes.clusters)
    if is_random:
        _keep_expectations(model)
    return float(noise)


@torch.no_grad()
def _set_paths(
    model: Model,
    center: np.ndarray,
    loadings: np.ndarray,
    values: np.ndarray,
    noise: float,
) -> None:
    """Set the linear paths to mean = W (h - center) and h = center + z loadings.

    Components beyond the number of loadings stay unused, with a standard normal
    posterior, and which cells are missing does not enter.
    """
    start_marginal(model)
    encoder, decoder = model.encoder.path, model.decoder.path
    linearized, n_used = model.likelihood.linearized(), len(loadings)
    weights = loadings / values[:, None]
    encoder.weight.zero_()[:n_used, : len(center)] = torch.from_numpy(weights)
    mean = torch.zeros(model.n_components, dtype=torch.float64)
    std = torch.ones_like(mean)
    mean[:n_used] = torch.from_numpy(-weights @ center)
    std[:n_used] = torch.from_numpy(np.sqrt(noise / values))
    encoder.bias.copy_(model.posterior.outputs_of(mean, std))
    directions = linearized.directions(torch.from_numpy(loadings))
    decoder.weight.zero_()[:, :n_used] = directions.T
    offset = torch.from_numpy(center) - linearized.inputs
    decoder.bias.add_(linearized.directions(offset[None])[0])


@torch.no_grad()
def _set_clusters(model: Model, center: np.ndarray, clusters: Clusters) -> None:
    """Set the linear paths of categories to the logits and centers of clusters."""
    first, last = model.posterior.n_real(model.n_components), model.n_components
    encoder, decoder = model.encoder.path, model.decoder.path
    directions = torch.from_numpy(clusters.directions)
    encoder.weight[first:, : len(center)] = directions
    offsets = clusters.offsets - clusters.directions @ center
    encoder.bias[first:last] += torch.from_numpy(offsets)
    centers = torch.from_numpy(clusters.centers)
    decoder.weight[:, first:] = model.likelihood.linearized().directions(centers).T


@torch.no_grad()
def _keep_expectations(model: Model) -> None:
    """Move the outputs so that z, a standard normal, changes no expectation.

    Categories, if there are any, are given.
    """
    path, n_real = model.decoder.path, model.posterior.n_real(model.n_components)
    variances = path.weight[:, :n_real].square().sum(dim=1)
    path.bias.add_(model.likelihood.linearized().offset(variances))


@contextmanager
def _standard_normal_z(model: Model) -> Iterator[None]:
    """Give a model with normal components the prior that linear starts assume."""
    prior = model.prior
    if model.posterior.is_normal:
        model.prior = StandardNormal().build(model.n_components)
    try:
        yield
    finally:
        model.prior = prior


def start(model: Model, rows: Rows, objective: Objective) -> Start:
    """Set the parameters to start from, and return what the start is.

    Where probabilistic PCA is an approximation, so is its noise: the best of several
    is taken. Without linear paths only the decoder's bias is set. A prior that is
    learned starts at what z then is.
    """
    is_pca = model.has_standard_z or not model.posterior.is_random
    with _standard_normal_z(model):
        begun = _start_networks(model, rows, objective, is_pca)
    model.prior.start(rows)
    return begun


def _start_networks(
    model: Model, rows: Rows, objective: Objective, is_pca: bool
) -> Start:
    if not model.encoder.path.has_map:
        start_marginal(model)
        return Start(is_linear=False, is_exact=False)
    is_close = model.likelihood.linear_start_is_exact and not model.sees_missing
    if is_close and (is_pca or model.posterior.categories):
        return Start(True, is_pca, start_linear(model, rows))
    axes = _axes(model, rows)
    losses = _try_factors(model, axes, rows, objective)
    best = min(losses, key=lambda factor: losses[factor])
    return Start(True, False, axes.largest / _start_on(model, axes, best))


def best_number(
    model: Model, train: Rows, held_out: Rows | None, objective: Objective
) -> int:
    """Return the number of components whose linear start has the least held-out loss.

    Or the least number that is as good, within `TOLERANCE`. One less than there are
    inputs is tried too, but no more: something has to be noise. Where cells are
    missing it is at least half the number of columns, since a linear encoder then is
    the farther from exact the more components there are.

    Parameters
    ----------
    model : Model
        With the largest number of components; its parameters are changed.
    train, held_out : Rows
    objective : Objective
    """
    likelihood = model.likelihood
    most = max(1, likelihood.n_inputs - likelihood.n_constant - 1)
    numbers = {min(number, most) for number in NUMBERS}
    if most <= model.n_components:
        numbers.add(most)
    if model.sees_missing:
        least = min(max(1, likelihood.n_features // 2), max(numbers))
        numbers = {max(number, least) for number in numbers}
    if not model.encoder.path.has_map:
        return max(numbers)
    axes = principal_axes(model, train, model.n_components)
    losses = {}
    with _standard_normal_z(model):
        for number in sorted(numbers):
            some = axes.leading(number), held_out or train
            losses[number] = min(_try_factors(model, *some, objective).values())
    enough = min(losses.values()) + TOLERANCE
    return next(number for number, loss in losses.items() if loss <= enough)


def _try_factors(
    model: Model, axes: PrincipalAxes, rows: Rows, objective: Objective
) -> dict[float, float]:
    """Return the losses of linear starts on these axes, by the factor of the noise."""
    some = rows.take(np.arange(min(len(rows), N_ROWS_TO_TRY)))
    losses: dict[float, float] = {}
    for factor in NOISE_FACTORS:
        # Noise above every eigenvalue leaves no path that could be trained.
        noise = _start_on(model, axes, factor)
        if axes.values.max(initial=0.0) > noise or not losses:
            losses[factor] = mean_loss(model, some, objective)
    return losses


@torch.inference_mode()
def mean_loss(model: Model, rows: Rows, objective: Objective) -> float:
    """Return the mean of the unweighted terms of rows, under one fixed draw each."""
    x = torch.from_numpy(model.likelihood.prepare(rows[:]))
    noise = normal_sequence(len(rows), model.n_components, seed=0)[None]
    batch = Batch.of(x.to(torch.float32), rows.has_missing)
    terms = objective.stacked_terms(model, batch, noise.to(torch.float32))
    return float(terms.sum(0).mean())
