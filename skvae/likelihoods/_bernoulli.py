"""Binary columns, or intensities in [0, 1]."""

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from skvae.likelihoods._contract import Likelihood, LikelihoodModel, Where
from skvae.likelihoods._draws import uniform
from skvae.likelihoods._linearization import Linearization
from skvae.likelihoods._statistics import column_means
from skvae.table import Rows

MOST_FACTORS = 120
"""So many numbers in [0.5, 1] have a product that is a normal float32 number."""


def sums_of_logs(p: Tensor) -> Tensor:
    """Return the sum of log(p) of each row (B,), of probabilities in [0.5, 1].

    Computed as logarithms of products, since a logarithm takes as long as several
    products.
    """
    n_columns = p.shape[1]
    sizes = range(min(n_columns, MOST_FACTORS), 0, -1)
    n_factors = next(size for size in sizes if n_columns % size == 0)
    return p.unflatten(1, (-1, n_factors)).prod(-1).log_().sum(-1)


class UnitModel(LikelihoodModel):
    """Columns in [0, 1] as they are; outputs are logits or similar."""

    def __init__(self, n_features: int) -> None:
        super().__init__()
        self.n_features = self.n_inputs = self.n_outputs = n_features
        self.add_statistics(rate=0.5)

    def fit_statistics(self, rows: Rows) -> None:
        """Learn each column's mean, kept off 0 and 1 by half a row."""
        mean, weight = column_means(rows)
        self.rate.copy_(torch.from_numpy((mean * weight + 0.5) / (weight + 1.0)))

    def preparation_arrays(self) -> dict[str, Any]:
        """Return each column's mean, the usual input."""
        return {"usual": self.rate}

    def mode(self, outputs: Tensor) -> Tensor:
        """Return one where values above a half are likelier, else zero."""
        return (outputs > 0.0).to(outputs.dtype)


class UnitLikelihood(Likelihood):
    """Base of the specs of columns in [0, 1]."""

    _remedy = (
        "Scale the column to [0, 1] (for example X / 255, or MinMaxScaler(clip=True)), "
        "or use likelihood='gaussian'."
    )

    def admits(self, low: float, high: float) -> bool:
        """Return whether values are in [0, 1]."""
        return low >= 0 and high <= 1

    def _outside(self, X: np.ndarray) -> np.ndarray:
        return (X < 0) | (X > 1)

    def _domain(self, column: int) -> str:
        return "0 <= X <= 1"


class _BernoulliModel(UnitModel):
    """Zeros and ones, or intensities scored as if they were."""

    link_kind = "sigmoid"

    def __init__(self, n_features: int, draw_cells: bool = False) -> None:
        super().__init__(n_features)
        self._draws_cells = draw_cells

    @property
    def draws_cells(self) -> bool:
        """Whether training draws cells between 0 and 1 anew at each step."""
        return self._draws_cells

    def draw_cells(self, x: Tensor, uniform: Tensor) -> Tensor:
        """Return zeros and ones, the latter with the intensities as probabilities."""
        if not self._draws_cells:
            return x
        return torch.where(torch.isnan(x), x, (uniform < x).to(x.dtype))

    def cell_log_prob(self, outputs: Tensor, x: Tensor) -> Tensor:
        """Return minus the cross-entropy of each cell."""
        x = x.expand_as(outputs)
        return -F.binary_cross_entropy_with_logits(outputs, x, reduction="none")

    def loss_and_gradient(
        self, outputs: Tensor, x: Tensor, sample_weights: Tensor, observed: Where = None
    ) -> tuple[Tensor, Tensor]:
        """Return the cross-entropy, and the expectation minus the rows as gradient."""
        if observed is not None:
            # A missing cell equals its expectation, so that its gradient is zero.
            outputs = torch.where(observed, outputs, 0.0)
            x = torch.where(observed, x, 0.5)
        rate = torch.sigmoid(outputs)
        likelier = (rate - 0.5).abs_().add_(0.5)
        if observed is not None:
            likelier = torch.where(observed, likelier, 1.0)
        # softplus(a) = max(a, 0) - log(max(rate, 1 - rate)), which is quicker.
        loss = torch.relu(outputs).sum(-1) - sums_of_logs(likelier)
        loss -= torch.linalg.vecdot(outputs, x)
        return loss, rate.sub_(x).mul_(sample_weights[:, None])

    def draw(self, outputs: Tensor, generator: torch.Generator) -> Tensor:
        """Return zeros and ones."""
        u = uniform(outputs, generator)
        return (u < torch.sigmoid(outputs)).to(outputs.dtype)

    def linearized(self) -> Linearization:
        """Return means and their logits, with the slope of the sigmoid there."""
        # The floor bounds the logits of nearly constant columns.
        slope = (self.rate * (1.0 - self.rate)).clamp_min(0.05)
        return Linearization(self.rate, torch.logit(self.rate), slope)


class Bernoulli(UnitLikelihood):
    r"""Binary columns, or intensities in [0, 1] such as gray pixels.

    .. math:: \log p(X \mid z) = \sum_j X_j \log \pi_j(z)
        + (1 - X_j) \log(1 - \pi_j(z))

    Domain: [0, 1]. Link: logit, :math:`\pi = 1 / (1 + e^{-a})`. Values strictly
    between 0 and 1 are taken as targets of the cross-entropy, as is common for
    images [1]_; the score then is not the logarithm of a normalized density.

    Parameters
    ----------
    draw_cells : bool, default=False
        Whether training draws cells strictly between 0 and 1 anew at each step, as 0,
        or as 1 with this probability [2]_. Held-out rows and the rows that methods
        are given are taken as they are; pass zeros and ones for log-masses.

    See Also
    --------
    Gaussian : For real-valued columns.

    References
    ----------
    .. [1] Kingma & Welling (2013). Auto-encoding variational Bayes, appendix C.1.
       https://arxiv.org/abs/1312.6114
    .. [2] Salakhutdinov & Murray (2008). On the quantitative analysis of deep belief
       networks. ICML. https://doi.org/10.1145/1390156.1390266

    Examples
    --------
    >>> Bernoulli()
    Bernoulli()
    """

    _model = _BernoulliModel
    _parameter_constraints: dict = {"draw_cells": ["boolean"]}

    def __init__(self, draw_cells: bool = False) -> None:
        self.draw_cells = draw_cells
