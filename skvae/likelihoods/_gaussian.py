"""Normal columns with learned noise."""

import math
from numbers import Real
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from skvae._batches import Rows
from skvae.likelihoods._contract import Likelihood, LikelihoodModel

LARGEST = 1e15
"""Bound on model units, so that squares stay finite in float32."""

LARGEST_RATIO = 1e300
"""Bound on a scale shared by columns of very different magnitude."""


class _GaussianModel(LikelihoodModel):
    """Columns as location + scale * x, with x normal around the outputs."""

    linear_start_is_exact = True

    unit: Tensor
    loc: Tensor
    scale: Tensor
    log_noise: Tensor

    def __init__(self, n_features: int, noise: str | float, scaling: str) -> None:
        super().__init__()
        self.n_features = self.n_outputs = n_features
        self.noise, self.scaling = noise, scaling
        # X = (loc + scale * x) * unit: dividing by the largest magnitude first keeps
        # columns of any finite size away from overflow.
        for name in ("unit", "scale"):
            self.register_buffer(name, torch.ones(n_features, dtype=torch.float64))
        self.register_buffer("loc", torch.zeros(n_features, dtype=torch.float64))
        if isinstance(noise, str):
            size = 1 if noise == "shared" else n_features
            self.log_noise = nn.Parameter(torch.zeros(size, dtype=torch.float32))
        else:
            log_noise = torch.zeros(n_features, dtype=torch.float32)
            self.register_buffer("log_noise", log_noise)

    def fit_statistics(self, rows: Rows) -> None:
        """Learn each column's magnitude, mean and standard deviation."""
        first = rows.X[rows.index[:1]].astype(np.float64)
        unit = np.zeros(rows.n_features)
        for X, _ in rows.chunks():
            np.maximum(unit, np.abs(X).max(axis=0), out=unit)
        unit[unit == 0.0] = 1.0
        # Deviations from a row, not from zero: exact zeros for constant columns, and
        # no cancellation for columns with a large offset.
        shift = np.zeros(rows.n_features)
        for X, weights in rows.chunks():
            shift += weights @ (X / unit - first / unit)
        shift /= rows.weights.sum()
        variance = np.zeros(rows.n_features)
        for X, weights in rows.chunks():
            variance += weights @ (X / unit - first / unit - shift) ** 2
        scale = np.sqrt(variance / rows.weights.sum())
        if self.scaling == "shared":
            scale = self._shared_scale(scale, unit)
        loc = (first / unit)[0] + shift
        # A constant column has no scale of its own.
        constant = scale == 0.0
        loc[constant] *= unit[constant]
        unit[constant] = scale[constant] = 1.0
        self.unit.copy_(torch.from_numpy(unit))
        self.loc.copy_(torch.from_numpy(loc))
        self.scale.copy_(torch.from_numpy(scale))
        if not isinstance(self.noise, str):
            noise = math.log(self.noise) - self.log_scale()
            # Bounded, so that squares of rows over the noise stay finite.
            self.log_noise.copy_(noise.clamp(-20.0, 20.0).to(self.log_noise.dtype))

    @staticmethod
    def _shared_scale(scale: np.ndarray, unit: np.ndarray) -> np.ndarray:
        """Return the root mean variance over all columns, in each column's unit."""
        largest = unit.max()
        rms = math.sqrt(np.mean((scale * (unit / largest)) ** 2))
        with np.errstate(over="ignore"):
            return np.minimum(rms * (largest / unit), LARGEST_RATIO)

    def log_scale(self) -> Tensor:
        """Return the logarithm of each column's scale in the units of `X`."""
        return self.scale.log() + self.unit.log()

    def prepare(self, X: np.ndarray) -> np.ndarray:
        """Return standardized rows, float64."""
        unit, loc, scale = (t.cpu().numpy() for t in (self.unit, self.loc, self.scale))
        with np.errstate(over="ignore"):
            x = (X.astype(np.float64, copy=False) / unit - loc) / scale
        return np.clip(x, -LARGEST, LARGEST, out=x)

    def encoder_inputs(self, x: Tensor) -> Tensor:
        """Return the standardized rows as they are."""
        return x

    def _bounded_log_noise(self) -> Tensor:
        if isinstance(self.noise, str):
            return self.log_noise.clamp(-10.0, 10.0)
        return self.log_noise

    def log_prob(self, outputs: Tensor, x: Tensor) -> Tensor:
        """Return the normal log-density in the units of `X`, (B,)."""
        log_noise = self._bounded_log_noise()
        squares = ((x - outputs) * torch.exp(-log_noise)).square().sum(-1)
        constant = 0.5 * self.n_features * math.log(2 * math.pi)
        jacobian = self.log_scale().sum().to(outputs.dtype)
        noise = log_noise.expand(self.n_features).sum()
        return -0.5 * squares - noise - constant - jacobian

    def loss_and_gradient(
        self, outputs: Tensor, x: Tensor, row_weights: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return minus the log-density, and its gradients in closed form."""
        log_noise = self._bounded_log_noise()
        precision = torch.exp(-log_noise)
        deviations = (outputs - x).mul_(precision)
        constant = self.log_scale().sum() + log_noise.expand(self.n_features).sum()
        constant = constant + 0.5 * self.n_features * math.log(2 * math.pi)
        squares = torch.linalg.vecdot(deviations, deviations)
        loss = 0.5 * squares + constant.to(squares.dtype)
        if self.log_noise.grad is not None:
            if self.noise == "shared":
                by_noise = row_weights @ (self.n_features - squares)
            else:
                by_noise = row_weights @ (1.0 - deviations.square())
            self.log_noise.grad.add_(by_noise * (log_noise == self.log_noise))
        return loss, deviations.mul_(precision * row_weights[:, None])

    def residual(self, outputs: Tensor, x: Tensor) -> Tensor:
        """Return standardized rows minus their expectation."""
        return x - outputs

    def distribution(self, outputs: Tensor) -> torch.distributions.Distribution:
        """Return normal distributions in the units of `X`, float64."""
        loc = self.mean(outputs)
        noise = torch.exp(self._bounded_log_noise().double())
        std = (noise * self.scale * self.unit).clamp_min(torch.finfo(loc.dtype).tiny)
        return torch.distributions.Normal(loc, std.expand_as(loc))

    def mean(self, outputs: Tensor) -> Tensor:
        """Return the outputs in the units of `X`, float64."""
        return (self.loc + self.scale * outputs.double()) * self.unit

    def draw(self, outputs: Tensor, generator: torch.Generator) -> Tensor:
        """Return mean + std * normal noise, in the units of `X`."""
        p = self.distribution(outputs)
        noise = torch.randn(
            p.mean.shape, generator=generator, dtype=p.mean.dtype, device=p.mean.device
        )
        return p.mean + p.stddev * noise

    def marginal_outputs(self) -> Tensor:
        """Return zeros: standardized columns have mean zero."""
        return torch.zeros(self.n_outputs, dtype=torch.float64)

    def marginal_inputs(self) -> Tensor:
        """Return zeros, as the marginal outputs are."""
        return self.marginal_outputs()

    def linear_outputs(self, loadings: Tensor) -> Tensor:
        """Return the loadings: outputs and encoder inputs have the same units."""
        return loadings

    def start_noise(self, variances: Tensor) -> None:
        """Set learned noise to the root of the residual variances."""
        if not isinstance(self.log_noise, nn.Parameter):
            return
        if self.noise == "shared":
            variances = variances.mean().reshape(1)
        with torch.no_grad():
            self.log_noise.copy_(0.5 * variances.clamp_min(1e-12).log())
            self.log_noise.clamp_(-10.0, 10.0)


class Gaussian(Likelihood):
    r"""Normal columns with learned noise, for real-valued data in any units.

    .. math:: \log p(X \mid z) = \sum_j \log \mathcal{N}(X_j;
        m_j + s_j a_j(z), (s_j \sigma_j)^2)

    with decoder outputs :math:`a(z)`, the column's mean :math:`m_j` and scale
    :math:`s_j`. The noise :math:`\sigma` is learned together with the networks, as in
    the sigma-VAE [1]_; with a linear decoder and one shared :math:`\sigma` this is
    probabilistic PCA [2]_, equation 7.

    Domain: real numbers. Link: identity.

    Parameters
    ----------
    noise : {"shared", "column"} or float, default="shared"
        `"shared"` learns one noise for all standardized columns, `"column"` one for
        each. A number is the standard deviation in the units of `X`, not learned.
    scaling : {"column", "shared"}, default="column"
        `"column"` standardizes each column by itself, so that units do not matter.
        `"shared"` divides all columns by one number, which keeps their relative
        sizes: for columns in the same unit, such as pixels or spectra.

    See Also
    --------
    Bernoulli : For values in [0, 1].

    References
    ----------
    .. [1] Rybkin, Daniilidis & Levine (2021). Simple and effective VAE training with
       calibrated decoders. ICML. https://arxiv.org/abs/2006.13202
    .. [2] Tipping & Bishop (1999). Probabilistic principal component analysis. Journal
       of the Royal Statistical Society B 61(3). https://doi.org/10.1111/1467-9868.00196

    Examples
    --------
    >>> Gaussian(noise="column")
    Gaussian(noise='column')
    """

    def __init__(self, noise: str | float = "shared", scaling: str = "column") -> None:
        self.noise = noise
        self.scaling = scaling

    def build(self, n_features: int) -> LikelihoodModel:
        """Return a model for `n_features` columns, without statistics yet."""
        if self.scaling not in ("column", "shared"):
            raise ValueError(
                "Gaussian likelihood requires scaling='column' or 'shared'. Got "
                f"{self.scaling!r}."
            )
        noise: Any = self.noise
        named = isinstance(noise, str) and noise in ("shared", "column")
        given = isinstance(noise, Real) and not isinstance(noise, bool)
        if not named and not (given and 0 < float(noise) < math.inf):
            raise ValueError(
                "Gaussian likelihood requires noise='shared', 'column' or a positive "
                f"standard deviation. Got {self.noise!r}."
            )
        return _GaussianModel(n_features, self.noise, self.scaling)
