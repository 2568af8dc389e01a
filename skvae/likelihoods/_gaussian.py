"""Normal columns with learned noise."""

import math

import numpy as np
import torch
from torch import Tensor

from skvae._sklearn import StrOptions
from skvae.likelihoods._contract import Likelihood, Where
from skvae.likelihoods._draws import normal
from skvae.likelihoods._noise import NOISE_OF_ROWS
from skvae.likelihoods._standardized import StandardizedModel
from skvae.likelihoods._statistics import have_common_scale
from skvae.table import Cells


class GaussianModel(StandardizedModel):
    """Columns that are normal around the outputs."""

    linear_start_is_exact = True

    def log_prob(self, outputs: Tensor, x: Tensor, observed: Where = None) -> Tensor:
        """Return the normal log-density in the units of `X`, (..., B)."""
        if observed is not None or self.noise.n_outputs:
            return super().log_prob(outputs, x, observed)
        # Terms that do not depend on the cell are added to the sum.
        log_noise = self.noise()
        precision = self.constants.hide(torch.exp(-log_noise))
        squares = ((x - outputs) * precision).square().sum(-1)
        return -0.5 * squares - self._constant(log_noise, x, None).to(outputs.dtype)

    def cell_density(self, outputs: Tensor, x: Tensor) -> Tensor:
        """Return normal log-densities in the units of `X`."""
        outputs, log_noise = self.split(outputs)
        squares = ((x - outputs) * torch.exp(-log_noise)).square()
        constant = 0.5 * math.log(2 * math.pi) + self.log_scale().to(outputs.dtype)
        return -0.5 * squares - (log_noise + constant)

    def loss_and_gradient(
        self, outputs: Tensor, x: Tensor, sample_weights: Tensor, observed: Where = None
    ) -> tuple[Tensor, Tensor]:
        """Return minus the log-density, and its gradients in closed form."""
        location, log_noise = self.split(outputs)
        hide, weights = self.constants.hide, sample_weights[:, None]
        precision = torch.exp(-log_noise)
        constant = self._constant(log_noise, x, observed)
        # A missing cell has no deviation.
        x = x if observed is None else torch.where(observed, x, location)
        deviations = (location - x).mul_(hide(precision))
        squares = torch.linalg.vecdot(deviations, deviations)
        loss = 0.5 * squares + constant.to(squares.dtype)
        if self.noise.is_shared:
            n_varying = self.n_features - self.n_constant
            n_cells = n_varying if observed is None else hide(observed).sum(-1)
            self.noise.add_gradient(sample_weights @ (n_cells - squares), log_noise)
            return loss, deviations.mul_(precision * weights)
        counted = 1.0 if observed is None else observed.to(squares.dtype)
        by_noise = hide(weights * (counted - deviations.square()))
        by_location = deviations.mul_(precision * weights)
        return loss, self.noise.joined(by_location, by_noise, log_noise, outputs)

    def _constant(self, log_noise: Tensor, x: Tensor, observed: Where) -> Tensor:
        """Return what losses of cells are at their mode, summed over each row."""
        cells = self.log_scale() + log_noise + 0.5 * math.log(2 * math.pi)
        return self.constants.sum_losses(cells, x, observed)

    def draw(self, outputs: Tensor, generator: torch.Generator) -> Tensor:
        """Return mean + std * normal noise, in the units of `X`."""
        loc = self.location(outputs)
        return self.constants.put(loc + self.std(outputs) * normal(loc, generator))


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
    noise : {"shared", "column", "decoder"} or float, default="shared"
        `"shared"` learns one noise for all standardized columns, `"column"` one for
        each. With `"decoder"` it also differs among rows: the decoder gives a factor
        of the column's noise, from 0.22 to 4.5, beside the mean, and probabilistic PCA
        is an approximate start. A number is the standard deviation in the units of
        `X`, not learned.
    scaling : {"column", "shared", "inputs", "auto"}, default="column"
        `"column"` standardizes each column by itself, so that units do not matter.
        `"shared"` divides all columns by one number, which keeps their relative
        sizes: for columns in the same unit, such as pixels or spectra. `"inputs"`
        does so only for what the encoder sees, so that columns that hardly vary do not
        drown others, and have a density as with `"column"`. `"auto"`: `"inputs"` where
        all columns take values from the same 256 numbers or fewer, and most of those
        that vary take both the least and the greatest, as pixels do; else `"column"`.

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

    _model = GaussianModel
    _parameter_constraints: dict = {
        "noise": NOISE_OF_ROWS,
        "scaling": [StrOptions({"column", "shared", "inputs", "auto"})],
    }

    def __init__(self, noise: str | float = "shared", scaling: str = "column") -> None:
        self.noise = noise
        self.scaling = scaling

    def resolve(self, X: Cells | np.ndarray) -> Likelihood:
        """Return the spec with a scaling in place of "auto".

        Parameters
        ----------
        X : Cells or ndarray of shape (n_samples, n_features)

        Returns
        -------
        likelihood : Gaussian
        """
        if self.scaling != "auto":
            return super().resolve(X)
        scaling = "inputs" if have_common_scale(X) else "column"
        return Gaussian(self.noise, scaling)

    def admits(self, low: float, high: float) -> bool:
        """Return whether these are numbers: the domain holds them all."""
        return low <= high
