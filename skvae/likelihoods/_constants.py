"""Real-valued columns that are constant, and so have no density."""

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from skvae.likelihoods._contract import Where
from skvae.likelihoods._forms import Link, Preparation
from skvae.likelihoods._statistics import standardization
from skvae.table import Rows


class Constants(nn.Module):
    r"""Which columns are constant, and how likely a cell is one that has changed.

    The density of a constant column is unbounded: its noise, learned, would be zero.
    Instead a cell has the mass :math:`(n + 1/2) / (n + 1)` if it is the constant, and
    otherwise :math:`(1/2) / (n + 1)`, with n observed cells in distinct rows, whose
    weights have mean one: as if half a row more had another value. In model units a
    cell is 0, or 1 if it has changed.

    A column that varies by no more than float64 rounds is constant, too, and a cell
    that float32 has rounded is the constant. A column without any observed cell is
    constant with n = 0, so that every value is as likely.

    Parameters
    ----------
    n_features : int

    Attributes
    ----------
    n : int
        Number of constant columns. Without any, all methods return what they are given.
    """

    value: Tensor
    """Constants (D,), zero where a column varies."""
    rounded: Tensor
    """Constants as float32 holds them, in float64."""
    weight: Tensor
    """Weight of observed cells of constant columns, (D,)."""
    varies: Tensor
    log_same: Tensor
    change: Tensor
    """What a change costs, log(2 n + 1) nats; zero where a column varies."""

    def __init__(self, n_features: int) -> None:
        super().__init__()
        self.register_buffer("varies", torch.ones(n_features, dtype=torch.bool))
        for name in ("value", "weight", "rounded", "log_same", "change"):
            zeros = torch.zeros(n_features, dtype=torch.float64)
            self.register_buffer(name, zeros, persistent=name in ("value", "weight"))
        self.n = 0

    def fit(self, rows: Rows, empty: float) -> None:
        """Find the columns that are constant; without observed cells they are `empty`.

        That is where the standard deviation is within the rounding of the numbers.
        """
        unit, loc, scale, weight = standardization(rows, np.asarray)
        constant = scale <= np.finfo(np.float64).eps
        value = np.where(weight > 0.0, loc * unit, empty)
        self.varies.copy_(torch.from_numpy(~constant))
        self.value.copy_(torch.from_numpy(np.where(constant, value, 0.0)))
        self.weight.copy_(torch.from_numpy(np.where(constant, weight, 0.0)))
        self._derive()

    def _derive(self) -> None:
        """Set what follows from the constants and the weight of observed cells."""
        self.n = int(self.varies.logical_not().sum())
        self.rounded.copy_(self.value.float())
        log_same = -torch.log1p(1.0 / (2.0 * self.weight + 1.0))
        self.log_same.copy_(log_same.masked_fill(self.varies, 0.0))
        self.change.copy_(torch.log1p(2.0 * self.weight))

    def _load_from_state_dict(self, *args: Any) -> None:
        super()._load_from_state_dict(*args)
        self._derive()

    # What a model does with them

    def where(self) -> np.ndarray:
        """Return which columns are constant, (D,)."""
        return ~self.varies.cpu().numpy()

    def put_mean(self, values: Tensor) -> Tensor:
        """Return values (D,), with their mean over other columns at constant ones."""
        mean = self.hide(values).sum() / max(1, len(values) - self.n)
        return torch.where(self.varies, values, mean)

    def preparation(self, of_others: Preparation) -> Preparation:
        """Return the preparation of all columns."""
        return self._apart(of_others) if self.n else of_others

    def link(self, of_others: Link) -> Link:
        """Return the link of all columns."""
        return self._apart(of_others) if self.n else of_others

    def _apart(self, form: Any) -> Any:
        names = ("value", "rounded", "varies")
        arrays = {name: getattr(self, name) for name in names}
        return type(form)("apart", {"others": form, **arrays})

    def hide(self, values: Tensor) -> Tensor:
        """Return values (..., D), zero at constant columns."""
        return values * self.varies if self.n else values

    def put(self, cells: Tensor) -> Tensor:
        """Return cells (..., D), in the units of `X`, with the constants in place."""
        return torch.where(self.varies, cells, self.value) if self.n else cells

    def put_masses(self, log_prob: Tensor, x: Tensor) -> Tensor:
        """Return log-densities of cells (..., D), with log-masses in place."""
        if not self.n:
            return log_prob
        masses = (self.log_same - self.change * x).to(log_prob.dtype)
        return torch.where(self.varies, log_prob, masses)

    def sum_losses(self, losses: Tensor, x: Tensor, observed: Where) -> Tensor:
        """Return losses of cells, of constants minus log-masses, summed over each row.

        Of shape (D,) where all rows have the same, or else (B, D).
        """
        if self.n:
            losses = torch.where(self.varies, losses, -self.log_same)
        if observed is not None and losses.dim() == 1:
            total = observed.to(losses.dtype) @ losses
        else:
            seen = losses if observed is None else torch.where(observed, losses, 0.0)
            total = seen.sum(-1)
        if not self.n:
            return total
        changed = x if observed is None else torch.where(observed, x, 0.0)
        return total + changed @ self.change.to(x.dtype)
