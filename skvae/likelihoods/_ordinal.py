"""Columns of ordered levels."""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from skvae.likelihoods._codes import CodesLikelihood, CodesModel
from skvae.likelihoods._draws import uniform
from skvae.likelihoods._linearization import Linearization
from skvae.table import Rows


class _OrdinalModel(CodesModel):
    """Levels cut out of a logistic variable around the output of each column."""

    preparation_kind = link_kind = "levels"
    free_padding = 1024

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

    def _cuts(self) -> Tensor:
        """Return the cuts, in order, (D, C - 1); infinite where a column has none."""
        cuts = torch.cat((self.cuts[:, :1], self._gaps()), dim=1).cumsum(1)
        return cuts.masked_fill(self._is_last()[:, : self.n_cuts], torch.inf)

    def preparation_arrays(self) -> dict[str, Any]:
        """Return mean and standard deviation of the levels."""
        return {"mean": self.level_mean, "std": self.level_std}

    def link_arrays(self) -> dict[str, Any]:
        """Return the cuts."""
        return {"cuts": self._cuts()}

    def _levels(self) -> tuple[Tensor, Tensor, Tensor]:
        r"""Return the cuts below and above each level, and :math:`\log(1 - e^{l - u})`.

        Each (D, C). The first level has no cut below, the last none above.
        """
        cuts, last = self._cuts(), self._is_last()
        lower = F.pad(cuts, (1, 0), value=-torch.inf)
        upper = F.pad(cuts, (0, 1), value=torch.inf)
        # Differences of cuts may round to zero; the gaps themselves do not.
        gaps = F.pad(torch.log(-torch.expm1(-self._gaps())), (1, 1))
        lower, upper, gaps = (a[:, : last.shape[1]] for a in (lower, upper, gaps))
        return lower, upper, gaps.masked_fill(last, 0.0)

    def log_masses(self, outputs: Tensor) -> Tensor:
        """Return the log-mass of every level, (..., D, C)."""
        masses = _log_mass(outputs.unsqueeze(-1), *self._levels())
        return masses.masked_fill(self.is_padding, -torch.inf)

    def cell_log_prob(self, outputs: Tensor, x: Tensor) -> Tensor:
        """Return the log-mass of each cell's level."""
        codes = x.long().T
        return _log_mass(outputs, *(a.gather(1, codes).T for a in self._levels()))

    def residual(self, outputs: Tensor, x: Tensor) -> Tensor:
        """Return levels minus their expectation, in standard deviations."""
        # That is how many cuts are expected below the variable.
        expected = torch.sigmoid(outputs.unsqueeze(-1) - self._cuts()).sum(-1)
        return (x - expected) / self.level_std.to(x.dtype)

    def draw(self, outputs: Tensor, generator: torch.Generator) -> Tensor:
        """Return how many cuts are below a draw of the logistic variable."""
        variable = outputs + torch.logit(uniform(outputs, generator))
        codes = torch.searchsorted(self._cuts(), variable.T.contiguous())
        return codes.T.to(outputs.dtype)

    def linearized(self) -> Linearization:
        """Return zeros, with the slope of the expected level.

        At zero, the cuts give the frequencies of levels.
        """
        above = torch.sigmoid(-self._cuts().detach()).to(self.level_std)
        # The floor bounds the outputs of nearly constant columns.
        slope = (above * (1.0 - above)).sum(1).clamp_min(0.05)
        zeros = torch.zeros_like(self.level_mean)
        return Linearization(zeros, zeros, slope, self.level_std)

    def _is_last(self) -> Tensor:
        """Return which levels have no cut above them, (D, C); so does padding."""
        return F.pad(self.is_padding, (0, 1), value=True)[:, 1:]


def _log_mass(output: Tensor, lower: Tensor, upper: Tensor, gap: Tensor) -> Tensor:
    r"""Return the log-mass between cuts :math:`l < u` around an output of zero.

    With the logistic function :math:`\sigma`, :math:`\sigma(u) - \sigma(l) = \sigma(u)
    \sigma(-l) (1 - e^{l - u})`, in which nothing cancels.
    """
    return F.logsigmoid(upper - output) + F.logsigmoid(output - lower) + gap


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
