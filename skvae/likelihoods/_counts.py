"""What columns of counts have in common."""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from skvae._batches import Rows
from skvae.likelihoods._contract import Likelihood, LikelihoodModel
from skvae.likelihoods._statistics import as_they_are, column_means, column_ranges

LARGEST_LOG_MEAN = 40.0
"""Bound on the logarithm of an expected count, so that losses stay finite."""

LEAST_SLOPE = 0.05
"""Bound on the change of log1p(mean) with log(mean), for rare counts."""


class CountsModel(LikelihoodModel):
    """Counts as they are; outputs are logarithms of expected counts.

    With size factors they are logits of each column's share of the row's total.
    """

    keeps_units = True

    rate: Tensor
    size: Tensor
    input_mean: Tensor
    input_std: Tensor

    def __init__(self, n_features: int, size_factor: bool) -> None:
        super().__init__()
        self.n_features = self.n_inputs = self.n_outputs = n_features
        self.size_factor = size_factor
        ones = torch.ones(n_features, dtype=torch.float64)
        self.register_buffer("rate", ones.clone())
        self.register_buffer("size", torch.tensor(float(n_features)).double())
        self.register_buffer("input_mean", torch.zeros_like(ones))
        self.register_buffer("input_std", ones.clone())

    # Statistics

    def fit_statistics(self, rows: Rows) -> None:
        """Learn mean counts, the mean total, and moments of the inputs."""
        mean, weight = column_means(rows, as_they_are)
        # A column never seen to count gets the rate of half a count in all rows.
        rate = np.maximum(mean, 0.5 / np.maximum(weight, 1.0))
        self.rate.copy_(torch.from_numpy(rate))
        self.size.copy_(self.rate.sum())

        def inputs(X: np.ndarray) -> np.ndarray:
            return self._log_counts(torch.from_numpy(X)).cpu().numpy()

        center, _ = column_means(rows, inputs)
        variance, _ = column_means(rows, lambda X: (inputs(X) - center) ** 2)
        self.input_mean.copy_(torch.from_numpy(center))
        self.input_std.copy_(torch.from_numpy(np.sqrt(variance) + (variance == 0.0)))
        self._fit_shape(rows)

    def _fit_shape(self, rows: Rows) -> None:
        """Learn what the distribution has beside a mean."""

    def _excess(self, rows: Rows) -> tuple[np.ndarray, np.ndarray]:
        """Return the means of m^2 and of (x - m)^2 - m, with expected counts m."""

        def moments(X: np.ndarray) -> np.ndarray:
            expected = self._expected(torch.from_numpy(X)).cpu().numpy()
            observed = np.where(np.isnan(X), np.nan, 1.0)
            return np.hstack(
                (observed * expected**2, (X - expected) ** 2 - observed * expected)
            )

        squares, excess = column_means(rows, moments)[0].reshape(2, -1)
        return squares, excess

    # Size factors

    def sizes(self, x: Tensor) -> Tensor:
        """Return the total of each row (B, 1), as estimated from observed cells."""
        observed = ~torch.isnan(x)
        total = torch.where(observed, x, 0.0).sum(-1, keepdim=True)
        share = (self.rate / self.rate.sum()).to(x.dtype)
        # Without any missing cell the shares sum to one but for rounding.
        seen = (observed * share).sum(-1, keepdim=True)
        seen = torch.where(observed.all(-1, keepdim=True), 1.0, seen)
        return (total / seen.clamp_min(1e-6)).clamp_min(1.0)

    def _expected(self, x: Tensor) -> Tensor:
        """Return the counts expected of rows without any z, (B, D)."""
        rate = self.rate.to(x.dtype)
        if not self.size_factor:
            return rate.expand_as(x)
        return rate * (self.sizes(x) / self.size.to(x.dtype))

    def log_mean(self, outputs: Tensor, x: Tensor | None = None) -> Tensor:
        """Return the logarithm of the expected counts, (..., D).

        Without rows, size factors are those of a row of average total.
        """
        if not self.size_factor:
            return outputs.clamp(-LARGEST_LOG_MEAN, LARGEST_LOG_MEAN)
        size = self.size.to(outputs.dtype) if x is None else self.sizes(x)
        log_mean = outputs.log_softmax(-1) + size.log()
        return log_mean.clamp(-LARGEST_LOG_MEAN, LARGEST_LOG_MEAN)

    def fill(self, x: Tensor, observed: Tensor) -> Tensor:
        """Return rows with expected counts in place of missing cells.

        They leave the total of a row at what the observed cells say.
        """
        if not self.size_factor:
            return super().fill(x, observed)
        return torch.where(observed, x, self._expected(x))

    # Inputs

    def prepare(self, X: np.ndarray) -> np.ndarray:
        """Return the counts."""
        return X

    def _log_counts(self, x: Tensor) -> Tensor:
        """Return log(1 + x), of rows brought to the mean total with size factors."""
        if self.size_factor:
            x = x * (self.size.to(x.dtype) / self.sizes(x))
        return torch.log1p(x)

    def cell_inputs(self, x: Tensor) -> Tensor:
        """Return standardized log(1 + x)."""
        mean, std = self.input_mean.to(x.dtype), self.input_std.to(x.dtype)
        return (self._log_counts(x) - mean) / std

    def residual(self, outputs: Tensor, x: Tensor) -> Tensor:
        """Return inputs minus those of the expected counts."""
        mean = self.mean(outputs).to(x.dtype)
        return (self._log_counts(x) - torch.log1p(mean)) / self.input_std.to(x.dtype)

    # The start

    def marginal_outputs(self) -> Tensor:
        """Return the logarithms of the mean counts."""
        return self.rate.log()

    def marginal_inputs(self) -> Tensor:
        """Return zeros: inputs are standardized."""
        return torch.zeros_like(self.input_mean)

    def linear_outputs(self, loadings: Tensor) -> Tensor:
        """Return the loadings over the slope of the inputs of expected counts."""
        slope = (self.rate / (1.0 + self.rate)).clamp_min(LEAST_SLOPE)
        return loadings * self.input_std / slope

    def spread_offset(self, variances: Tensor) -> Tensor:
        r"""Return minus half the variances.

        :math:`\mathbb{E}\, e^{a + \epsilon} = e^{a + s^2 / 2}`, with
        :math:`\epsilon \sim \mathcal{N}(0, s^2)` (Aitchison & Ho 1989, section 2).
        """
        return -0.5 * variances


class CountsLikelihood(Likelihood):
    """Base of the specs of columns of counts."""

    def check_domain(self, X: np.ndarray, name_of: Callable[[int], str]) -> None:
        """Raise ValueError where an observed value of `X` is not a count."""
        low, _ = column_ranges(X)
        fractional = [bool(np.any(values % 1 > 0)) for values in X.T]
        outside = np.flatnonzero((low < 0) | fractional)
        if len(outside):
            column = int(outside[0])
            values = X[:, column]
            value = low[column] if low[column] < 0 else values[values % 1 > 0][0]
            raise ValueError(
                f"{type(self).__name__} likelihood requires whole numbers >= 0. Got "
                f"{value:.6g} in column {name_of(column)}. Pass counts before any "
                "normalization, or use likelihood='gaussian' or 'log_normal'."
            )
