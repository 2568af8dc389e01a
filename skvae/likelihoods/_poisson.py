"""Counts as dispersed as chance alone makes them."""

import torch
from torch import Tensor

from skvae.likelihoods._contract import LikelihoodModel
from skvae.likelihoods._counts import CountsLikelihood, CountsModel


class _PoissonModel(CountsModel):
    """Counts whose variance is their mean."""

    def cell_log_prob(self, outputs: Tensor, x: Tensor) -> Tensor:
        """Return the log-masses."""
        log_mean = self.log_mean(outputs, x)
        return x * log_mean - log_mean.exp() - torch.lgamma(x + 1.0)

    def distribution(self, outputs: Tensor) -> torch.distributions.Distribution:
        """Return Poisson distributions."""
        return torch.distributions.Poisson(self.log_mean(outputs).exp())

    def draw(self, outputs: Tensor, generator: torch.Generator) -> Tensor:
        """Return counts."""
        return torch.poisson(self.log_mean(outputs).exp(), generator=generator)


class Poisson(CountsLikelihood):
    r"""Counts that vary no more than chance makes them.

    .. math:: \log p(X \mid z) = \sum_j X_j \log \lambda_j(z) - \lambda_j(z)
        - \log X_j!

    [1]_ with :math:`\log \lambda = a(z)`, the decoder's outputs. The encoder sees
    standardized log(1 + X).

    Domain: whole numbers >= 0. Link: log.

    Parameters
    ----------
    size_factor : bool, default=False
        Whether rows are samples of different depth, as cells are in sequencing: then
        :math:`\lambda_j = l \, \mathrm{softmax}(a(z))_j` with the row's total
        :math:`l` [2]_, the encoder sees rows brought to the mean total, and what the
        model generates has that total. The score is given the totals. Cells that are
        missing are taken to have had their average share of the total.

    See Also
    --------
    NegativeBinomial : For counts that vary more.

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

    def __init__(self, size_factor: bool = False) -> None:
        self.size_factor = size_factor

    def build(self, n_features: int) -> LikelihoodModel:
        """Return a model for `n_features` columns, without statistics yet."""
        return _PoissonModel(n_features, self.size_factor)
