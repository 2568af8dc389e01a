"""What columns of codes 0, 1, ..., C - 1 have in common."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from sklearn.base import clone
from torch import Tensor

from skvae.likelihoods._contract import Likelihood, LikelihoodModel
from skvae.likelihoods._draws import uniform
from skvae.table import Cells, Rows, as_cells


class CodesModel(LikelihoodModel):
    """Columns of codes, each with a number of categories of its own.

    A value per category is kept flat, column after column, (n_inputs,) or padded to
    the largest number of categories, (D, C).
    """

    def __init__(self, n_categories: Sequence[int]) -> None:
        super().__init__()
        sizes = torch.tensor(n_categories)
        self.n_features, self.n_total = len(sizes), int(sizes.sum())
        codes = torch.arange(int(sizes.max()))
        starts = sizes.cumsum(0) - sizes
        is_padding = codes >= sizes[:, None]
        column_of = torch.arange(len(sizes)).repeat_interleave(sizes)
        # Follow from the sizes, so that they need not be saved.
        for name, value in (
            ("column_of", column_of),
            ("code_of", torch.arange(self.n_total) - starts[column_of]),
            ("position", (starts[:, None] + codes).masked_fill(is_padding, 0)),
            ("is_padding", is_padding),
        ):
            self.register_buffer(name, value, persistent=False)
        frequency = torch.ones(self.n_total, dtype=torch.float64) / sizes[column_of]
        self.register_buffer("frequency", frequency)

    @property
    def width(self) -> int:
        """Most values of a row that a method computes together: of all categories."""
        return self.is_padding.numel()

    def fit_statistics(self, rows: Rows) -> None:
        """Learn how frequent categories are, each as if half a row more had it."""
        counts = torch.from_numpy(rows.reduce(self._counts))
        padded = counts + 0.5
        padded = padded.masked_fill(self.is_padding.cpu(), 0.0)
        padded /= padded.sum(1, keepdim=True)
        self.frequency.copy_(padded[~self.is_padding.cpu()])

    def _counts(self, X: np.ndarray, weights: np.ndarray) -> np.ndarray:
        """Return the weight of the rows that have each code, (D, C)."""
        n_codes = self.is_padding.shape[1]
        seen = ~np.isnan(X)
        counts = [
            np.bincount(codes[known].astype(np.int64), weights[known], n_codes)
            for codes, known in zip(X.T, seen.T, strict=True)
        ]
        return np.stack(counts)

    def padded(self, values: Tensor, padding: float) -> Tensor:
        """Return values (..., n_total) as (..., D, C), with padding."""
        padded = values.index_select(-1, self.position.flatten())
        padded = padded.unflatten(-1, self.position.shape)
        return padded.masked_fill(self.is_padding, padding)

    def log_masses(self, outputs: Tensor) -> Tensor:
        """Return the log-mass of every category, (..., D, C)."""
        raise NotImplementedError

    def cell_log_prob(self, outputs: Tensor, x: Tensor) -> Tensor:
        """Return the log-mass of each cell's category."""
        masses = self.log_masses(outputs)
        codes = x.long().unsqueeze(-1).expand(*masses.shape[:-1], 1)
        return masses.gather(-1, codes).squeeze(-1)

    def mode(self, outputs: Tensor) -> Tensor:
        """Return the codes of the most likely categories."""
        return self.log_masses(outputs).argmax(-1).to(outputs.dtype)

    def draw(self, outputs: Tensor, generator: torch.Generator) -> Tensor:
        """Return codes, the quantiles at uniform numbers."""
        cumulated = self.log_masses(outputs).exp().cumsum(-1)
        # The last category takes what rounding leaves of the total.
        last = self.is_padding.logical_not().sum(-1) - 1
        u = uniform(cumulated[..., 0], generator).unsqueeze(-1)
        codes = torch.minimum((u >= cumulated).sum(-1), last)
        return codes.to(outputs.dtype)


class CodesLikelihood(Likelihood):
    """Base of the specs of columns of codes.

    A subclass names its `size_parameter`, which is "auto", or the number of categories
    of all columns, or of each.
    """

    size_parameter: str

    def resolve(self, X: Cells | np.ndarray) -> Likelihood:
        """Return the spec with the number of categories of each column."""
        sizes: Any = getattr(self, self.size_parameter)
        if isinstance(sizes, str):
            _, high = as_cells(X).column_ranges()
            # Values that are not codes are refused when the domain is checked.
            sizes = np.nan_to_num(high).clip(0, 2**31).astype(int) + 1
        sizes = np.broadcast_to(sizes, X.shape[1]).tolist()
        return clone(self).set_params(**{self.size_parameter: sizes})

    def build(self, n_features: int) -> LikelihoodModel:
        """Return a model for `n_features` columns, without statistics yet."""
        return self._model(self._sizes(n_features))

    def _sizes(self, n_features: int) -> list[int]:
        """Return the number of categories of each column."""
        sizes: Any = getattr(self, self.size_parameter)
        if isinstance(sizes, str):
            raise ValueError(
                f"{type(self).__name__} likelihood requires {self.size_parameter} "
                f"before it is built. Got {sizes!r}. Call resolve(X) first, or give "
                "the number."
            )
        return np.broadcast_to(sizes, n_features).tolist()

    @property
    def _remedy(self) -> str:  # type: ignore[override]
        return f"Encode categories with OrdinalEncoder, or give {self.size_parameter}."

    def _outside(self, X: np.ndarray) -> np.ndarray:
        return (X < 0) | (X >= self._sizes(X.shape[1])) | (X % 1 > 0)

    def _domain(self, column: int) -> str:
        size = getattr(self, self.size_parameter)[column]
        return f"codes 0, 1, ... below {size}, the number of categories"
