"""Counts whose variance equals their mean."""

import torch
from torch import Tensor

from skvae.likelihoods._contract import Where
from skvae.likelihoods._counts import LARGEST_COUNT, CountsLikelihood, CountsModel
from skvae.likelihoods._deviance import (
    log_counts,
    log_factorial_excess,
    poisson_deviance,
    poisson_deviance_and_residual,
)
from skvae.likelihoods._forms import LARGEST_LOG_MEAN


class _PoissonModel(CountsModel):
    """Counts whose variance is their mean."""

    def cell_log_prob(self, outputs: Tensor, x: Tensor) -> Tensor:
        """Return the log-masses."""
        log_x = log_counts(x)
        deviance = poisson_deviance(self.log_mean(outputs, x), x, log_x)
        return -log_factorial_excess(x, log_x) - deviance

    def loss_and_gradient(
        self, outputs: Tensor, x: Tensor, sample_weights: Tensor, observed: Where = None
    ) -> tuple[Tensor, Tensor]:
        """Return minus the log-mass, and expected minus observed as gradient."""
        x = x if observed is None else self.fill(x, observed)
        log_mean, log_x = self.log_mean(outputs, x), log_counts(x)
        losses, gradient = poisson_deviance_and_residual(log_mean, x, log_x)
        losses += log_factorial_excess(x, log_x)
        if observed is not None:
            losses = torch.where(observed, losses, 0.0)
            gradient = torch.where(observed, gradient, 0.0)
        # Beyond its bound, the logarithm of the mean is constant.
        gradient = torch.where(log_mean.abs() < LARGEST_LOG_MEAN, gradient, 0.0)
        if self.size_factor:
            gradient -= outputs.softmax(-1) * gradient.sum(-1, keepdim=True)
        return losses.sum(-1), gradient * sample_weights[:, None]

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
