"""Real-valued columns with outliers."""

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from skvae._sklearn import StrOptions
from skvae.likelihoods._contract import Likelihood
from skvae.likelihoods._draws import gamma, normal
from skvae.likelihoods._noise import NOISE, POSITIVE
from skvae.likelihoods._standardized import StandardizedModel
from skvae.likelihoods._statistics import column_means, rounding_noise
from skvae.table import Rows

START_DF = 4.0
"""Degrees of freedom where training starts, if they are learned."""

LARGEST_INPUT = 10.0
"""Scales beyond which all outliers look the same to the encoder."""

N_STEPS, N_ROWS = 100, 1 << 17
"""Most steps, and rows, from which a robust location and scale are found."""


def robust_location_and_scale(
    rows: Rows, model: StandardizedModel, df: float, given: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Return the t-distribution fitted to each column, in standard units.

    By the EM algorithm of Lange, Little & Taylor (1989), section 2, in which rows
    count less the farther out they are.

    Parameters
    ----------
    rows : Rows
    model : StandardizedModel
        Its `prepare` gives the standard units.
    df : float
    given : ndarray of shape (D,), default=None
        Scales, where they are not to be fitted.
    """
    rows = rows.take(np.arange(min(len(rows), N_ROWS)))
    least = np.maximum(rounding_noise(rows, model.prepare), 1e-8)
    least = np.minimum(least, 1.0)
    loc, scale = np.zeros(rows.n_features), np.ones(rows.n_features)
    scale = scale if given is None else given

    def weighted(X: np.ndarray) -> np.ndarray:
        t = (model.prepare(X) - loc) / scale
        weight = (df + 1.0) / (df + t**2)
        return np.hstack((weight, weight * t, weight * t**2))

    for _ in range(N_STEPS):
        means = column_means(rows, weighted)[0].reshape(3, -1)
        total, first, second = means[0] + (means[0] == 0.0), means[1], means[2]
        shift = scale * first / total
        change = np.sqrt(np.maximum(second - first**2 / total, 0.0))
        loc, previous = loc + shift, scale
        scale = np.maximum(scale * change, least) if given is None else given
        if max(np.abs(shift / scale).max(), np.abs(scale / previous - 1).max()) < 1e-9:
            break
    return loc, scale


class _StudentTModel(StandardizedModel):
    """Columns as (loc + scale * x) * unit, with x a t-distribution at the outputs."""

    preparation_kind = "standard_clipped"

    def __init__(self, n_features: int, df: str | float, noise: str | float) -> None:
        super().__init__(n_features, noise)
        self.df = df
        if isinstance(df, str):
            size = 1 if noise == "shared" else n_features
            # Of the excess over two, above which the variance is finite.
            log_df = torch.full((size,), math.log(START_DF - 2.0), dtype=torch.float32)
            self.log_df = nn.Parameter(log_df)

    def fit_statistics(self, rows: Rows) -> None:
        """Learn each column's location and scale, which outliers do not move."""
        super().fit_statistics(rows)
        df = START_DF if isinstance(self.df, str) else float(self.df)
        loc, scale = robust_location_and_scale(rows, self, df)
        if not isinstance(self.noise.noise, str):
            given = float(self.noise.noise) / self.log_scale().exp().cpu().numpy()
            loc, _ = robust_location_and_scale(rows, self, df, given)
        self.loc.add_(self.scale * torch.from_numpy(loc).to(self.loc))
        scale[self.constants.where()] = 1.0
        self.scale.mul_(torch.from_numpy(scale).to(self.scale))
        self._fit_noise(rows)

    def preparation_arrays(self) -> dict[str, Any]:
        """Return location and scale, and the bound at which inputs are clipped."""
        return {**super().preparation_arrays(), "bound": LARGEST_INPUT}

    def degrees(self) -> Tensor:
        """Return the degrees of freedom, (1,) or (D,), float64."""
        if not isinstance(self.df, str):
            return torch.full_like(self.loc[:1], float(self.df), dtype=torch.float64)
        return 2.0 + self.log_df.double().clamp(-5.0, 7.0).exp()

    def cell_density(self, outputs: Tensor, x: Tensor) -> Tensor:
        """Return log-densities of the t-distribution in the units of `X`."""
        df, log_noise = self.degrees(), self.noise()
        # In float64, since these are differences of large numbers.
        constant = (
            torch.lgamma(0.5 * (df + 1.0))
            - torch.lgamma(0.5 * df)
            - 0.5 * torch.log(math.pi * df)
            - log_noise.double()
            - self.log_scale().double()
        ).to(outputs.dtype)
        df = df.to(outputs.dtype)
        squares = ((x - outputs) * torch.exp(-log_noise)).square()
        return constant - 0.5 * (df + 1.0) * torch.log1p(squares / df)

    def draw(self, outputs: Tensor, generator: torch.Generator) -> Tensor:
        """Return normal draws over the root of a chi-squared draw."""
        loc = self.location(outputs)
        df = self.degrees().expand_as(loc)
        chi_squared = 2.0 * gamma(0.5 * df, generator)
        t = normal(loc, generator) * torch.sqrt(df / chi_squared)
        return self.constants.put(loc + self.std(outputs) * t)

    def start_noise(self, variances: Tensor) -> None:
        """Set the learned scale to what gives the residual variances."""
        df = self.degrees().detach().to(variances)
        # With fewer degrees of freedom the variance says little.
        super().start_noise(variances * ((df - 2.0) / df).clamp_min(0.25))


class StudentT(Likelihood):
    r"""Heavy-tailed columns; outliers do not distort other rows.

    .. math:: \log p(X \mid z) = \sum_j \log t_\nu\!\left(
        \frac{X_j - m_j - s_j a_j(z)}{s_j \sigma_j}\right) - \log (s_j \sigma_j)

    with decoder outputs :math:`a(z)` and the density :math:`t_\nu` of Student's
    t-distribution with :math:`\nu` degrees of freedom [1]_. Location :math:`m_j` and
    scale :math:`s_j` are those of the t-distribution that fits the column best, so
    that outliers do not set the units. The encoder sees standardized values, clipped at
    10 scales.

    Domain: real numbers. Link: identity.

    Parameters
    ----------
    df : "learned" or float, default="learned"
        Degrees of freedom. Learned ones are above 2, and there are as many as scales
        of noise. A small number makes heavy tails; above 30 the distribution is nearly
        normal.
    noise : {"shared", "column"} or float, default="column"
        Which scales :math:`\sigma` are learned: one for all standardized columns, or
        one for each. A number is a scale in the units of `X`, not learned.

    See Also
    --------
    Gaussian : For columns without outliers.

    References
    ----------
    .. [1] Lange, Little & Taylor (1989). Robust statistical modeling using the t
       distribution. JASA 84(408). https://doi.org/10.1080/01621459.1989.10478852

    Examples
    --------
    >>> StudentT(df=4)
    StudentT(df=4)
    """

    _model = _StudentTModel
    _parameter_constraints: dict = {
        "df": [StrOptions({"learned"}), POSITIVE],
        "noise": NOISE,
    }

    def __init__(
        self, df: str | float = "learned", noise: str | float = "column"
    ) -> None:
        self.df = df
        self.noise = noise

    def admits(self, low: float, high: float) -> bool:
        """Return whether these are numbers: the domain holds them all."""
        return low <= high
