"""Real-valued columns that are constant, and so have no density."""

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from skvae.likelihoods._forms import Link, Preparation
from skvae.likelihoods._statistics import standardization
from skvae.table import Rows


class Constants(nn.Module):
    r"""Which columns are constant, and how likely a cell is one that has changed.

    The density of a constant column is unbounded: its noise, learned, would be zero.
    Instead a cell has the mass :math:`(n + 1/2) / (n + 1)` if it is the constant, and
    otherwise :math:`(1/2) / (n + 1)`, with n observed cells in `fit`: as if half a row
    more had another value. In model units a cell is 0, or 1 if it has changed.

    A column that varies by no more than its numbers are rounded is constant, too. One
    without any observed cell is constant with n = 0, so that every value is as likely.

    Parameters
    ----------
    n_features : int

    Attributes
    ----------
    n : int
        Number of constant columns. Without any, all methods return what they are given.
    """

    value: Tensor
    """Constants (D,), and NaN where a column varies."""
    weight: Tensor
    varies: Tensor
    log_same: Tensor
    change: Tensor
    """What a change costs, log(2 n + 1) nats; zero where a column varies."""

    def __init__(self, n_features: int) -> None:
        super().__init__()
        value = torch.full((n_features,), torch.nan, dtype=torch.float64)
        self.register_buffer("value", value)
        self.register_buffer("weight", torch.zeros_like(value))
        for name in ("varies", "log_same", "change"):
            self.register_buffer(name, torch.zeros_like(value), persistent=False)
        self._derive()

    def fit(self, rows: Rows, empty: float) -> None:
        """Find the columns that are constant; without observed cells they are `empty`.

        That is where the standard deviation is within the rounding of the numbers.
        """
        unit, loc, scale, weight = standardization(rows, np.asarray)
        single = rows.cells.dtype == np.float32
        constant = scale <= np.finfo(np.float32 if single else np.float64).eps
        value = np.where(weight > 0.0, loc * unit, empty)
        self.value.copy_(torch.from_numpy(np.where(constant, value, np.nan)))
        self.weight.copy_(torch.from_numpy(weight))
        self._derive()

    def _derive(self) -> None:
        """Set what follows from the constants and the weight of observed cells."""
        varies = self.value.isnan()
        self.n = int(varies.logical_not().sum())
        same = -torch.log1p(1.0 / (2.0 * self.weight + 1.0))
        self.varies.copy_(varies)
        self.log_same.copy_(same.masked_fill(varies, 0.0))
        change = torch.log1p(2.0 * self.weight)
        self.change.copy_(change.masked_fill(varies, 0.0))

    def _load_from_state_dict(self, *args: Any) -> None:
        super()._load_from_state_dict(*args)
        self._derive()

    # What a model does with them

    def preparation(self, of_others: Preparation) -> Preparation:
        """Return the preparation of all columns."""
        return self._apart(of_others) if self.n else of_others

    def link(self, of_others: Link) -> Link:
        """Return the link of all columns."""
        return self._apart(of_others) if self.n else of_others

    def _apart(self, form: Any) -> Any:
        return type(form)("apart", {"others": form, "constant": self.value})

    def hide(self, values: Tensor) -> Tensor:
        """Return values (..., D), zero at constant columns."""
        return values * self.varies.to(values.dtype) if self.n else values

    def put(self, cells: Tensor) -> Tensor:
        """Return cells (..., D), in the units of `X`, with the constants in place."""
        return torch.where(self.value.isnan(), cells, self.value) if self.n else cells

    def put_masses(self, log_prob: Tensor, x: Tensor) -> Tensor:
        """Return log-densities of cells (..., D), with log-masses in place."""
        if not self.n:
            return log_prob
        masses = (self.log_same - self.change * x).to(log_prob.dtype)
        return torch.where(self.value.isnan(), log_prob, masses)

    def log_mass(self, x: Tensor, observed: Tensor | None) -> Tensor | float:
        """Return the log-mass of each row's observed constants, (B,)."""
        if not self.n:
            return 0.0
        if observed is None:
            return self.log_same.sum().to(x.dtype) - x @ self.change.to(x.dtype)
        seen = observed.to(x.dtype)
        return seen @ self.log_same.to(x.dtype) - torch.where(
            observed, x, 0.0
        ) @ self.change.to(x.dtype)
