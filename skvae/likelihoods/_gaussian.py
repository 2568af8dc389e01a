"""Normal columns with learned noise."""

import math

import numpy as np
import torch
from torch import Tensor

from skvae._batches import Rows
from skvae.likelihoods._contract import Likelihood, LikelihoodModel
from skvae.likelihoods._draws import normal
from skvae.likelihoods._noise import Noise, check_noise
from skvae.likelihoods._statistics import resolution, standardization

LARGEST = 1e15
"""Bound on model units, so that squares stay finite in float32."""

LARGEST_RATIO = 1e300
"""Bound on a scale shared by columns of very different magnitude."""


class GaussianModel(LikelihoodModel):
    """Columns as (loc + scale * x) * unit, with x normal around the outputs."""

    linear_start_is_exact = True

    unit: Tensor
    loc: Tensor
    scale: Tensor

    def __init__(self, n_features: int, noise: str | float, scaling: str) -> None:
        super().__init__()
        self.n_features = self.n_inputs = self.n_outputs = n_features
        self.scaling = scaling
        for name in ("unit", "scale"):
            self.register_buffer(name, torch.ones(n_features, dtype=torch.float64))
        self.register_buffer("loc", torch.zeros(n_features, dtype=torch.float64))
        self.noise = Noise(noise, n_features)

    @staticmethod
    def transform(X: np.ndarray) -> np.ndarray:
        """Return what of `X` is normal: `X` itself."""
        return X.astype(np.float64, copy=False)

    def fit_statistics(self, rows: Rows) -> None:
        """Learn each column's magnitude, mean and standard deviation."""
        unit, loc, scale = standardization(rows, self.transform)
        if self.scaling == "shared":
            scale = self._shared_scale(scale, unit)
        # A constant column has no scale of its own.
        constant = scale == 0.0
        loc[constant] *= unit[constant]
        unit[constant] = scale[constant] = 1.0
        self.unit.copy_(torch.from_numpy(unit))
        self.loc.copy_(torch.from_numpy(loc))
        self.scale.copy_(torch.from_numpy(scale))
        self.noise.fit(self.log_scale(), resolution(rows, self.prepare))

    @staticmethod
    def _shared_scale(scale: np.ndarray, unit: np.ndarray) -> np.ndarray:
        """Return the root mean variance over all columns, in each column's unit."""
        largest = unit.max()
        rms = math.sqrt(np.mean((scale * (unit / largest)) ** 2))
        with np.errstate(over="ignore"):
            return np.minimum(rms * (largest / unit), LARGEST_RATIO)

    def log_scale(self) -> Tensor:
        """Return the logarithm of each column's scale in the units of `transform`."""
        return self.scale.log() + self.unit.log()

    def prepare(self, X: np.ndarray) -> np.ndarray:
        """Return standardized rows, float64."""
        unit, loc, scale = (t.cpu().numpy() for t in (self.unit, self.loc, self.scale))
        with np.errstate(over="ignore"):
            x = (self.transform(X) / unit - loc) / scale
        return np.clip(x, -LARGEST, LARGEST, out=x)

    def cell_inputs(self, x: Tensor) -> Tensor:
        """Return the standardized rows as they are."""
        return x

    def log_prob(
        self, outputs: Tensor, x: Tensor, observed: Tensor | None = None
    ) -> Tensor:
        """Return the normal log-density in the units of `X`, (..., B)."""
        if observed is not None:
            return super().log_prob(outputs, x, observed)
        # What does not depend on the cell is added to the sum.
        log_noise = self.noise()
        squares = ((x - outputs) * torch.exp(-log_noise)).square().sum(-1)
        constant = 0.5 * self.n_features * math.log(2 * math.pi)
        jacobian = self.log_scale().sum().to(outputs.dtype)
        noise = log_noise.expand(self.n_features).sum()
        return -0.5 * squares - noise - constant - jacobian

    def cell_log_prob(self, outputs: Tensor, x: Tensor) -> Tensor:
        """Return normal log-densities in the units of `X`."""
        log_noise = self.noise()
        squares = ((x - outputs) * torch.exp(-log_noise)).square()
        constant = 0.5 * math.log(2 * math.pi) + self.log_scale().to(outputs.dtype)
        return -0.5 * squares - (log_noise + constant)

    def residual(self, outputs: Tensor, x: Tensor) -> Tensor:
        """Return standardized rows minus their expectation."""
        return x - outputs

    def location(self, outputs: Tensor) -> Tensor:
        """Return the outputs in the units of `transform`, float64."""
        return (self.loc + self.scale * outputs.double()) * self.unit

    def spread_of(self, location: Tensor) -> Tensor:
        """Return the noise in the units of `transform`, shaped as the location."""
        std = torch.exp(self.noise().double()) * self.scale * self.unit
        return std.clamp_min(torch.finfo(location.dtype).tiny).expand_as(location)

    def distribution(self, outputs: Tensor) -> torch.distributions.Distribution:
        """Return normal distributions in the units of `X`, float64."""
        loc = self.location(outputs)
        return torch.distributions.Normal(loc, self.spread_of(loc))

    def mean(self, outputs: Tensor) -> Tensor:
        """Return the outputs in the units of `X`, float64."""
        return self.location(outputs)

    def draw(self, outputs: Tensor, generator: torch.Generator) -> Tensor:
        """Return mean + std * normal noise, in the units of `X`."""
        loc = self.location(outputs)
        return loc + self.spread_of(loc) * normal(loc, generator)

    def marginal_outputs(self) -> Tensor:
        """Return zeros: standardized columns have mean zero."""
        return torch.zeros_like(self.loc)

    def marginal_inputs(self) -> Tensor:
        """Return zeros, as the marginal outputs are."""
        return self.marginal_outputs()

    def linear_outputs(self, loadings: Tensor) -> Tensor:
        """Return the loadings: outputs and encoder inputs have the same units."""
        return loadings

    def start_noise(self, variances: Tensor) -> None:
        """Set learned noise to the root of the residual variances."""
        self.noise.start(variances)


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
        check_noise(self.noise, "Gaussian")
        return GaussianModel(n_features, self.noise, self.scaling)
