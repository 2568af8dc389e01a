"""The module that ties encoder, decoder, likelihood and prior, and its linear start."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import scipy.linalg
import torch
from torch import Tensor, nn

from skvae._batches import Rows
from skvae._random import Stream, generator
from skvae.likelihoods import Likelihood, LikelihoodModel
from skvae.networks import Decoder, Encoder
from skvae.priors import Prior, PriorModel


class Architecture(NamedTuple):
    """Everything needed to build a model again, weights and statistics apart."""

    n_features: int
    n_components: int
    hidden_layer_sizes: tuple[int, ...]
    activation: str
    linear_path: bool
    likelihood: Likelihood
    prior: Prior | None

    def build(self, seed: int) -> "Model":
        """Return the model with weights drawn from `seed`, without statistics."""
        likelihood = self.likelihood.build(self.n_features)
        shared = (self.activation, self.linear_path)
        encoder = Encoder(
            self.n_features,
            self.n_components,
            self.hidden_layer_sizes,
            *shared,
            self.prior is not None,
            generator(seed, Stream.WEIGHTS, 0),
        )
        decoder = Decoder(
            self.n_components,
            likelihood.n_outputs,
            self.hidden_layer_sizes[::-1],
            *shared,
            generator(seed, Stream.WEIGHTS, 1),
        )
        prior = None if self.prior is None else self.prior.build(self.n_components)
        return Model(encoder, decoder, likelihood, prior, self.n_components)


class Model(nn.Module):
    """Encoder, decoder, likelihood and prior; a plain autoencoder without a prior.

    `encode` and `decode` work in the coordinates of the user, in which components are
    ordered by what they carry and have a fixed sign. Training works in those of the
    networks, which never change, so that it can go on after components were ordered.
    """

    order: Tensor
    sign: Tensor

    def __init__(
        self,
        encoder: Encoder,
        decoder: Decoder,
        likelihood: LikelihoodModel,
        prior: PriorModel | None,
        n_components: int,
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.decoder = decoder
        self.likelihood = likelihood
        self.prior: Any = prior
        self.register_buffer("order", torch.arange(n_components))
        self.register_buffer("sign", torch.ones(n_components, dtype=torch.float32))

    def posterior(self, x: Tensor) -> tuple[Tensor, Any]:
        """Return (mean, log-variance) of q(z given x), network coordinates."""
        return self.encoder(self.likelihood.encoder_inputs(x))

    def encode(self, x: Tensor) -> tuple[Tensor, Any]:
        """Return (mean, log-variance) of q(z given x), user coordinates."""
        mean, log_var = self.posterior(x)
        if log_var is not None:
            log_var = log_var[..., self.order]
        return mean[..., self.order] * self.sign, log_var

    def decode(self, z: Tensor) -> Tensor:
        """Return the likelihood's outputs for z in user coordinates."""
        return self.decoder(self.to_network(z))

    def to_network(self, z: Tensor) -> Tensor:
        """Return z in network coordinates from user coordinates."""
        return (z * self.sign)[..., torch.argsort(self.order)]

    def order_components(self, information: Tensor, moments: Tensor) -> None:
        """Order components by information, and orient them.

        Parameters
        ----------
        information : Tensor of shape (K,)
            What each component carries, network coordinates.
        moments : Tensor of shape (K, D)
            Covariance of each component with the encoder's inputs. The largest in
            magnitude becomes positive.
        """
        order = torch.argsort(information, descending=True, stable=True)
        largest = moments.gather(1, moments.abs().argmax(1, keepdim=True))[:, 0]
        self.order.copy_(order)
        self.sign.copy_(torch.where(largest < 0, -1.0, 1.0)[order])


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
        yield model.likelihood.encoder_inputs(x).numpy(), weights / total


def _leading(symmetric: np.ndarray, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the `n` largest eigenvalues, descending, and their eigenvectors."""
    size = len(symmetric)
    values, vectors = scipy.linalg.eigh(symmetric, subset_by_index=[size - n, size - 1])
    # The sign of an eigenvector is arbitrary; fixed, it does not turn with rounding.
    largest = np.abs(vectors).argmax(axis=0)
    vectors = vectors * np.where(vectors[largest, np.arange(n)] < 0, -1.0, 1.0)
    return values[::-1].clip(min=0.0), vectors[:, ::-1]


def _principal_axes(model: Model, rows: Rows, n_axes: int) -> _PrincipalAxes:
    """Return the weighted principal axes of the encoder's inputs."""
    center = sum(weights @ h for h, weights in _encoder_inputs(model, rows))
    deviations = (
        (h - center) * np.sqrt(weights)[:, None]
        for h, weights in _encoder_inputs(model, rows)
    )
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
    n_components, n_inputs = model.encoder.linear.shape
    axes = _principal_axes(model, rows, min(n_components, n_inputs))
    floor = 1e-8 * max(axes.variances.mean(), 1e-8)
    noise = max(_residual_variance(axes) * noise_factor, floor)
    probabilistic = model.prior is not None
    kept = axes.values > (noise if probabilistic else floor)
    values, vectors = axes.values[kept], axes.vectors[:, kept]
    loadings = vectors.T * np.sqrt(values - noise * probabilistic)[:, None]
    log_var = np.log(noise / values) if probabilistic else np.empty(0)
    _set_linear(model, axes.center, loadings / values[:, None], loadings, log_var)
    residual = axes.variances - np.square(loadings).sum(axis=0)
    model.likelihood.start_noise(torch.from_numpy(residual.clip(min=0.0)))
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

    Components beyond the number of loadings stay unused, with the prior as posterior.
    """
    start_marginal(model)
    n_components, likelihood = len(model.order), model.likelihood
    n_used = len(loadings)
    encoder, decoder = model.encoder, model.decoder
    encoder.linear.zero_()[:n_used] = torch.from_numpy(weights)
    encoder.bias.zero_()[:n_used] = torch.from_numpy(-weights @ center)
    encoder.bias[n_components : n_components + len(log_var)] = torch.from_numpy(log_var)
    directions = torch.from_numpy(loadings).to(decoder.linear.device)
    decoder.linear.zero_()[:, :n_used] = likelihood.linear_outputs(directions).T
    inputs = likelihood.marginal_inputs().to(decoder.bias.device)
    offset = torch.from_numpy(center).to(decoder.bias.device) - inputs
    decoder.bias.add_(likelihood.linear_outputs(offset[None])[0])
