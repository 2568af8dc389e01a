"""Columns of ordered levels."""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from skvae.likelihoods._codes import CodesLikelihood, CodesModel
from skvae.likelihoods._linearization import Linearization
from skvae.table import Rows


class _OrdinalModel(CodesModel):
    """Levels cut out of a logistic variable around the output of each column."""

    preparation_kind = link_kind = "levels"

    def __init__(self, n_levels: Sequence[int]) -> None:
        super().__init__(n_levels)
        self.n_inputs = self.n_outputs = self.n_features
        self.n_cuts = max(1, self.is_padding.shape[1] - 1)
        self.add_statistics(level_mean=0.0, level_std=1.0)
        # The first cut, and logarithms of the gaps to those after it.
        cuts = torch.zeros(self.n_features, self.n_cuts, dtype=torch.float32)
        self.cuts = nn.Parameter(cuts)

    def fit_statistics(self, rows: Rows) -> None:
        """Learn how frequent levels are, and set the cuts accordingly."""
        super().fit_statistics(rows)
        p = self.padded(self.frequency, 0.0)
        codes = torch.arange(p.shape[1], dtype=p.dtype, device=p.device)
        self.level_mean.copy_(p @ codes)
        variance = (p * (codes - self.level_mean[:, None]).square()).sum(1)
        self.level_std.copy_(variance.sqrt() + (variance == 0.0))
        with torch.no_grad():
            below = p.cumsum(1)[:, : self.n_cuts].clamp(1e-9, 1.0 - 1e-9)
            cuts = torch.logit(below)
            gaps = cuts.diff(dim=1).clamp_min(1e-6).log()
            self.cuts.copy_(torch.cat((cuts[:, :1], gaps), dim=1))

    def _gaps(self) -> Tensor:
        """Return how far each cut but the first is above the one before."""
        return self.cuts[:, 1:].clamp(-15.0, 10.0).exp()

    def _cumulated_cuts(self) -> Tensor:
        """Return the cuts, in order, (D, C - 1)."""
        return torch.cat((self.cuts[:, :1], self._gaps()), dim=1).cumsum(1)

    def preparation_arrays(self) -> dict[str, Any]:
        """Return mean and standard deviation of the levels."""
        return {"mean": self.level_mean, "std": self.level_std}

    def link_arrays(self) -> dict[str, Any]:
        """Return the cuts."""
        cuts = self._cumulated_cuts().masked_fill(self._has_no_cut(), torch.inf)
        return {"cuts": cuts}

    def log_masses(self, outputs: Tensor) -> Tensor:
        r"""Return the log-mass of every level, (..., D, C).

        With cuts :math:`l < u` around a level and the logistic function
        :math:`\sigma`, :math:`\sigma(u) - \sigma(l) = \sigma(u) \sigma(-l)
        (1 - e^{l - u})`, in which nothing cancels.
        """
        cuts = self._cumulated_cuts()
        below = cuts - outputs.unsqueeze(-1)
        upper, lower = F.logsigmoid(below), F.logsigmoid(-below)
        # Differences of cuts may round to zero; the gaps themselves do not.
        gaps = torch.log(-torch.expm1(-self._gaps()))
        # The first level has no cut below, the last of each column none above.
        lower = F.pad(lower, (1, 0))
        gaps = F.pad(gaps, (1, 1))
        last = self._is_last()
        upper = F.pad(upper, (0, 1)).masked_fill(last, 0.0)
        masses = (upper + lower + gaps.masked_fill(last, 0.0))[..., : last.shape[1]]
        return masses.masked_fill(self.is_padding, -torch.inf)

    def residual(self, outputs: Tensor, x: Tensor) -> Tensor:
        """Return levels minus their expectation, in standard deviations."""
        masses = self.log_masses(outputs).exp()
        codes = torch.arange(masses.shape[-1], dtype=masses.dtype, device=masses.device)
        return (x - masses @ codes) / self.level_std.to(x.dtype)

    def linearized(self) -> Linearization:
        """Return zeros, with the slope of the expected level.

        At zero, the cuts give the frequencies of levels.
        """
        above = torch.sigmoid(-self._cumulated_cuts().detach()).to(self.level_std)
        slope = (above * (1.0 - above)).masked_fill(self._has_no_cut(), 0.0).sum(1)
        # The floor bounds the outputs of nearly constant columns.
        zeros, slope = torch.zeros_like(self.level_mean), slope.clamp_min(0.05)
        return Linearization(zeros, zeros, slope, self.level_std)

    def _has_no_cut(self) -> Tensor:
        """Return which cuts a column has too few levels for, (D, C - 1)."""
        return self._is_last()[:, : self.n_cuts]

    def _is_last(self) -> Tensor:
        """Return which levels have no cut above them, (D, C); so does padding."""
        return F.pad(self.is_padding, (0, 1), value=True)[:, 1:]


class Ordinal(CodesLikelihood):
    r"""Ordered levels: grades, answers on a scale, binned quantities.

    .. math:: \log p(X \mid z) = \sum_j \log \big(\sigma(\tau_{j, X_j} - a_j(z))
        - \sigma(\tau_{j, X_j - 1} - a_j(z))\big)

    with one decoder output :math:`a_j(z)` for each column, the logistic function
    :math:`\sigma`, and cuts :math:`\tau_{j0} < \tau_{j1} < \ldots` that are learned:
    the proportional odds model [1]_ of each column. The encoder sees standardized
    codes.

    Domain: codes 0, 1, ..., C - 1. Link: cumulative logit. There is no mean; in its
    place methods return the median level.

    Parameters
    ----------
    n_levels : "auto", int or list of int, default="auto"
        Number of levels of all columns, or of each. `"auto"`: in `fit`, those of the
        column's type or those that occur; in `resolve`, up to the largest code.

    See Also
    --------
    Categorical : For categories without an order.

    References
    ----------
    .. [1] McCullagh (1980). Regression models for ordinal data. Journal of the Royal
       Statistical Society B 42(2). https://doi.org/10.1111/j.2517-6161.1980.tb01109.x

    Examples
    --------
    >>> import numpy as np
    >>> Ordinal().resolve(np.array([[0.0], [4.0]]))
    Ordinal(n_levels=[5])
    """

    _model = _OrdinalModel
    size_parameter = "n_levels"
    needs_order = True

    def __init__(self, n_levels: str | int | Sequence[int] = "auto") -> None:
        self.n_levels = n_levels
