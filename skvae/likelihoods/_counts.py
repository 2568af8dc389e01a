"""What columns of counts have in common."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from skvae.likelihoods import _forms as forms
from skvae.likelihoods._contract import Likelihood, LikelihoodModel
from skvae.likelihoods._draws import poisson
from skvae.likelihoods._forms import TORCH
from skvae.likelihoods._linearization import Linearization
from skvae.likelihoods._statistics import column_means, column_moments
from skvae.table import Rows

LARGEST_COUNT = 2**53
"""Up to here every whole number is a float64."""

LEAST_SLOPE = 0.05
"""Bound on the change of log1p(mean) with log(mean), for rare counts."""


class CountsModel(LikelihoodModel):
    """Counts as they are; outputs are logarithms of expected counts.

    With size factors they are logits of each column's fraction of the row's total.
    """

    preparation_kind = "log_counts"
    link_kind = "counts"

    def __init__(self, n_features: int, size_factor: bool) -> None:
        super().__init__()
        self.n_features = self.n_inputs = self.n_outputs = n_features
        self.size_factor = size_factor
        self.register_buffer("size", torch.tensor(float(n_features)).double())
        self.add_statistics(rate=1.0, input_mean=0.0, input_std=1.0)

    def fit_statistics(self, rows: Rows) -> None:
        """Learn mean counts, the mean total, and moments of the inputs."""
        mean, weight = column_means(rows)
        # A column without counts gets the rate of half a count in all rows.
        rate = np.maximum(mean, 0.5 / np.maximum(weight, 1.0))
        self.rate.copy_(torch.from_numpy(rate))
        self.size.copy_(self.rate.sum())
        moments = column_moments(rows, self._log_counts)
        variance = torch.from_numpy(moments.variance())
        self.input_mean.copy_(torch.from_numpy(moments.mean))
        self.input_std.copy_(variance.sqrt() + (variance == 0.0))

    def _log_counts(self, X: np.ndarray) -> np.ndarray:
        """Return the inputs before they are standardized; NaN stays NaN."""
        x = torch.from_numpy(X)
        total = forms.estimated_totals(TORCH, x, ~torch.isnan(x), self.rate)
        return forms.log_counts(TORCH, x, self._size(), total).numpy()

    def _size(self) -> Tensor | None:
        """Return the mean total, if there are size factors."""
        return self.size if self.size_factor else None

    def preparation_arrays(self) -> dict[str, Any]:
        """Return mean counts, their mean total, and moments of their logarithms."""
        moments = {"mean": self.input_mean, "std": self.input_std}
        return {"rate": self.rate, "size": self._size(), **moments}

    def link_arrays(self) -> dict[str, Any]:
        """Return the mean total."""
        return {"size": self._size()}

    def log_mean(self, outputs: Tensor, x: Tensor | None = None) -> Tensor:
        """Return the logarithm of the expected counts, (..., D).

        Without rows, size factors are those of a row of average total.
        """
        of_rows = self.size_factor and x is not None
        size = forms.row_totals(TORCH, x) if of_rows else self._size()
        return forms.log_mean_counts(TORCH, outputs, size)

    def residual(self, outputs: Tensor, x: Tensor) -> Tensor:
        """Return inputs minus those of the expected counts."""
        inputs = forms.log_counts(TORCH, x, self._size(), forms.row_totals(TORCH, x))
        expected = torch.log1p(self.mean(outputs).to(x.dtype))
        return (inputs - expected) / self.input_std.to(x.dtype)

    def draw_around(self, rate: Tensor, generator: torch.Generator) -> Tensor:
        """Return Poisson draws, those beyond the domain as its largest count."""
        return poisson(rate, generator).clamp_max(LARGEST_COUNT)

    def linearized(self) -> Linearization:
        r"""Return logarithms of the mean counts, with the slope of the inputs there.

        :math:`\mathbb{E}\, e^{a + \epsilon} = e^{a + s^2 / 2}`, with
        :math:`\epsilon \sim \mathcal{N}(0, s^2)` (Aitchison & Ho 1989, section 2).
        """
        slope = (self.rate / (1.0 + self.rate)).clamp_min(LEAST_SLOPE)
        zeros, outputs = torch.zeros_like(self.input_mean), self.rate.log()
        return Linearization(zeros, outputs, slope, self.input_std, curvature=-0.5)


class CountsLikelihood(Likelihood):
    """Base of the specs of columns of counts."""

    _parameter_constraints: dict = {"size_factor": ["boolean"]}
    _remedy = (
        "Pass counts before any normalization, or use likelihood='gaussian' or "
        "'log_normal'."
    )

    def __init__(self, size_factor: bool = False) -> None:
        self.size_factor = size_factor

    def _outside(self, X: np.ndarray) -> np.ndarray:
        return (X < 0) | (X > LARGEST_COUNT) | (X > np.floor(X))

    def _domain(self, column: int) -> str:
        return "whole numbers from 0 to 2**53"
