"""Binary columns, or intensities in [0, 1]."""

from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from skvae._batches import Rows
from skvae.likelihoods._contract import Likelihood, LikelihoodModel
from skvae.likelihoods._draws import uniform
from skvae.likelihoods._statistics import as_they_are, column_means, column_ranges

MOST_FACTORS = 120
"""Numbers in [0.5, 1] whose product is surely a normal float32 number."""


def sums_of_logs(p: Tensor) -> Tensor:
    """Return the sum of log(p) of each row (B,), of probabilities in [0.5, 1].

    As logarithms of products of many: a logarithm takes as long as a few of these.
    """
    n_columns = p.shape[1]
    sizes = range(min(n_columns, MOST_FACTORS), 0, -1)
    n_factors = next(size for size in sizes if n_columns % size == 0)
    return p.unflatten(1, (-1, n_factors)).prod(-1).log_().sum(-1)


def check_unit_interval(
    X: np.ndarray, name_of: Callable[[int], str], likelihood: str
) -> None:
    """Raise ValueError where an observed value of `X` is outside [0, 1]."""
    low, high = column_ranges(X)
    outside = np.flatnonzero((low < 0) | (high > 1))
    if len(outside):
        column = int(outside[0])
        value = low[column] if low[column] < 0 else high[column]
        raise ValueError(
            f"{likelihood} likelihood requires 0 <= X <= 1. Got {value:.6g} in column "
            f"{name_of(column)}. Scale the column to [0, 1] (for example X / 255, or "
            "MinMaxScaler(clip=True)), or use likelihood='gaussian'."
        )


class UnitModel(LikelihoodModel):
    """Columns in [0, 1] as they are; outputs are logits, or what is like them."""

    keeps_units = True

    rate: Tensor

    def __init__(self, n_features: int) -> None:
        super().__init__()
        self.n_features = self.n_inputs = self.n_outputs = n_features
        rate = torch.full((n_features,), 0.5, dtype=torch.float64)
        self.register_buffer("rate", rate)

    def fit_statistics(self, rows: Rows) -> None:
        """Learn each column's mean, kept off 0 and 1 by half a row."""
        mean, weight = column_means(rows, as_they_are)
        self.rate.copy_(torch.from_numpy((mean * weight + 0.5) / (weight + 1.0)))

    def prepare(self, X: np.ndarray) -> np.ndarray:
        """Return the rows as they are."""
        return X

    def cell_inputs(self, x: Tensor) -> Tensor:
        """Return the rows as they are."""
        return x

    def residual(self, outputs: Tensor, x: Tensor) -> Tensor:
        """Return rows minus their expectation."""
        return x - self.mean(outputs)

    def marginal_inputs(self) -> Tensor:
        """Return each column's mean."""
        return self.rate


class _BernoulliModel(UnitModel):
    """Zeros and ones, or intensities scored as if they were."""

    def cell_log_prob(self, outputs: Tensor, x: Tensor) -> Tensor:
        """Return minus the cross-entropy of each cell."""
        x = x.expand_as(outputs)
        return -F.binary_cross_entropy_with_logits(outputs, x, reduction="none")

    def loss_and_gradient(
        self, outputs: Tensor, x: Tensor, row_weights: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return the cross-entropy, and the expectation minus the rows as gradient."""
        rate = torch.sigmoid(outputs)
        likelier = (rate - 0.5).abs_().add_(0.5)
        # softplus(a) = max(a, 0) - log(max(rate, 1 - rate)), which is quicker.
        loss = torch.relu(outputs).sum(-1) - sums_of_logs(likelier)
        loss -= torch.linalg.vecdot(outputs, x)
        return loss, rate.sub_(x).mul_(row_weights[:, None])

    def distribution(self, outputs: Tensor) -> torch.distributions.Distribution:
        """Return Bernoulli distributions that accept intensities in [0, 1]."""
        return torch.distributions.Bernoulli(logits=outputs, validate_args=False)

    def mean(self, outputs: Tensor) -> Tensor:
        """Return the probabilities of one."""
        return torch.sigmoid(outputs)

    def mode(self, outputs: Tensor) -> Tensor:
        """Return one where it is more likely than zero."""
        return (outputs > 0.0).to(outputs.dtype)

    def draw(self, outputs: Tensor, generator: torch.Generator) -> Tensor:
        """Return zeros and ones."""
        u = uniform(outputs, generator)
        return (u < torch.sigmoid(outputs)).to(outputs.dtype)

    def marginal_outputs(self) -> Tensor:
        """Return the logit of each column's mean."""
        return torch.logit(self.rate)

    def linear_outputs(self, loadings: Tensor) -> Tensor:
        """Return the loadings over the slope of the sigmoid at the mean."""
        # The floor keeps nearly constant columns from asking for unbounded logits.
        slope = (self.rate * (1.0 - self.rate)).clamp_min(0.05)
        return loadings / slope


class Bernoulli(Likelihood):
    r"""Binary columns, or intensities in [0, 1] such as grey pixels.

    .. math:: \log p(X \mid z) = \sum_j X_j \log \pi_j(z)
        + (1 - X_j) \log(1 - \pi_j(z))

    Domain: [0, 1]. Link: logit, :math:`\pi = 1 / (1 + e^{-a})`. Values strictly
    between 0 and 1 are taken as targets of the cross-entropy, as is common for
    images [1]_; the score then is not the logarithm of a normalized density.

    See Also
    --------
    Gaussian : For real-valued columns.

    References
    ----------
    .. [1] Kingma & Welling (2013). Auto-encoding variational Bayes, appendix C.1.
       https://arxiv.org/abs/1312.6114

    Examples
    --------
    >>> Bernoulli()
    Bernoulli()
    """

    def build(self, n_features: int) -> LikelihoodModel:
        """Return a model for `n_features` columns, without statistics yet."""
        return _BernoulliModel(n_features)

    def admits(self, low: float, high: float) -> bool:
        """Return whether values are in [0, 1]."""
        return low >= 0 and high <= 1

    def check_domain(self, X: np.ndarray, name_of: Callable[[int], str]) -> None:
        """Raise ValueError where a value of `X` is outside [0, 1]."""
        check_unit_interval(X, name_of, "Bernoulli")
