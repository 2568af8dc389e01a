"""The rows that flow through a step of training."""

from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True)
class Batch:
    """Some rows in model units, on a device.

    Attributes
    ----------
    x : Tensor of shape (B, D)
        NaN where a cell is not observed.
    observed : Tensor of bool of shape (B, D) or None
        None says that every cell is observed; `x` then holds no NaN.
    weights : Tensor of shape (B,) or None
        Sample weights; None outside of training.
    index : Tensor of int64 of shape (B,) or None
        Positions of the rows among those that the batches were made of.
    conditions : Tensor of shape (B, C) or None
        What p(x given z) depends on beside z.
    partners : Tensor of shape (B, D) or None
        Cells of a neighbor of each row, for objectives that compare the two; NaN where
        a cell is not observed, which may be if `observed` is not None.
    """

    x: Tensor
    observed: Tensor | None = None
    weights: Any = None
    index: Any = None
    conditions: Tensor | None = None
    partners: Tensor | None = None

    @classmethod
    def of(cls, x: Tensor, has_missing: bool, **known: Tensor) -> "Batch":
        """Return rows as a batch; NaN is looked for only if a cell may be missing."""
        return cls(x, ~torch.isnan(x) if has_missing else None, **known)

    def __len__(self) -> int:
        return self.x.shape[0]

    @cached_property
    def empty(self) -> Tensor | None:
        """Which rows have no observed cell, (B, 1); None where there is none."""
        return None if self.observed is None else ~self.observed.any(-1, keepdim=True)

    def fields(self) -> dict[str, Any]:
        """Return the values of the fields by name."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    def with_partners(self) -> "Batch":
        """Return the rows, and then their neighbors, as a batch of 2 B rows."""
        partners: Any = self.partners
        if self.observed is None:
            return Batch(torch.cat((self.x, partners)))
        observed = torch.cat((self.observed, ~torch.isnan(partners)))
        return Batch(torch.cat((self.x, partners)), observed)

    def hide(self, hidden: Tensor) -> "Batch":
        """Return the batch without some cells, given as (B, D) of bool."""
        observed = ~hidden if self.observed is None else self.observed & ~hidden
        return replace(self, x=self.x.masked_fill(hidden, torch.nan), observed=observed)

    def take(self, rows: Tensor) -> "Batch":
        """Return some of the rows, given as positions or as (B,) of bool."""
        given = {name: v for name, v in self.fields().items() if v is not None}
        return Batch(**{name: value[rows] for name, value in given.items()})

    def split(self, n_rows: int) -> list["Batch"]:
        """Return batches of at most so many rows each."""
        given = {name: v for name, v in self.fields().items() if v is not None}
        pieces = zip(*(value.split(n_rows) for value in given.values()), strict=True)
        return [Batch(**dict(zip(given, piece, strict=True))) for piece in pieces]
