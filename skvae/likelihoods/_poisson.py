"""Counts whose variance equals their mean."""

from typing import Any

import torch
from torch import Tensor

from skvae.likelihoods._contract import Where
from skvae.likelihoods._counts import LARGEST_COUNT, CountsLikelihood, CountsModel
from skvae.likelihoods._deviance import (
    log_factorial_excess,
    poisson_deviance,
    poisson_deviance_and_residual,
)
from skvae.likelihoods._forms import LARGEST_LOG_MEAN
from skvae.table import Rows

LARGE_RATE = 1e4
"""Above this, losses of one column are computed in float64.

A rounded logarithm of the mean changes a loss by up to the root of the count times as
much.
"""


class _PoissonModel(CountsModel):
    """Counts whose variance is their mean."""

    def __init__(self, n_features: int, size_factor: bool) -> None:
        super().__init__(n_features, size_factor)
        self.is_large = False
        self.register_load_state_dict_post_hook(_PoissonModel._see_rates)

    def fit_statistics(self, rows: Rows) -> None:
        """Learn what counts have in common, and whether they are large."""
        super().fit_statistics(rows)
        self._see_rates()

    def _see_rates(self, _: Any = None) -> None:
        # Known outside of the tensors, since a step must not wait for the device.
        self.is_large = bool(self.rate.max() > LARGE_RATE)

    def _with_digits(self, *values: Tensor) -> tuple[Tensor, ...]:
        """Return values with as many digits as the losses need."""
        return tuple(v.double() for v in values) if self.is_large else values

    def cell_log_prob(self, outputs: Tensor, x: Tensor) -> Tensor:
        """Return the log-masses."""
        a, x = self._with_digits(outputs, x)
        log_mass = -log_factorial_excess(x) - poisson_deviance(self.log_mean(a, x), x)
        return log_mass.to(outputs.dtype)

    def loss_and_gradient(
        self, outputs: Tensor, x: Tensor, sample_weights: Tensor, observed: Where = None
    ) -> tuple[Tensor, Tensor]:
        """Return minus the log-mass, and expected minus observed as gradient."""
        x = x if observed is None else self.fill(x, observed)
        a, x = self._with_digits(outputs, x)
        log_mean = self.log_mean(a, x)
        losses, gradient = poisson_deviance_and_residual(log_mean, x)
        losses += log_factorial_excess(x)
        if observed is not None:
            losses = torch.where(observed, losses, 0.0)
            gradient = torch.where(observed, gradient, 0.0)
        # Beyond its bound, the logarithm of the mean is constant.
        gradient = torch.where(log_mean.abs() < LARGEST_LOG_MEAN, gradient, 0.0)
        if self.size_factor:
            gradient -= a.softmax(-1) * gradient.sum(-1, keepdim=True)
        gradient = gradient.to(outputs.dtype) * sample_weights[:, None]
        return losses.sum(-1).to(outputs.dtype), gradient

    def mode(self, outputs: Tensor) -> Tensor:
        """Return the largest counts that are not above their means."""
        return self.mean(outputs).floor().clamp_max(LARGEST_COUNT)

    def draw(self, outputs: Tensor, generator: torch.Generator) -> Tensor:
        """Return counts, float64."""
        return self.draw_around(self.log_mean(outputs).double().exp(), generator)


class Poisson(CountsLikelihood):  # numpydoc ignore=PR02
    r"""Counts whose variance equals their mean.

    .. math:: \log p(X \mid z) = \sum_j X_j \log \lambda_j(z) - \lambda_j(z)
        - \log X_j!

    [1]_ with :math:`\log \lambda = a(z)`, the decoder's outputs. The encoder sees
    standardized log(1 + X).

    Domain: whole numbers from 0 to 2**53, all of which float64 can hold.
    Link: log.

    Parameters
    ----------
    size_factor : bool, default=False
        Whether rows are samples of different depth, as cells are in sequencing: then
        :math:`\lambda_j = l \, \mathrm{softmax}(a(z))_j` with the row's total
        :math:`l` [2]_, the encoder sees rows scaled to the mean total, and generated
        rows have that total. Scores condition on the totals. Missing cells are assumed
        to have had their average fraction of the total.

    See Also
    --------
    NegativeBinomial : For counts whose variance exceeds their mean.

    References
    ----------
    .. [1] McCullagh & Nelder (1989). Generalized linear models, chapter 6. Chapman &
       Hall.
    .. [2] Lopez et al. (2018). Deep generative modeling for single-cell
       transcriptomics. Nature Methods 15. https://doi.org/10.1038/s41592-018-0229-2

    Examples
    --------
    >>> Poisson(size_factor=True)
    Poisson(size_factor=True)
    """

    _model = _PoissonModel
