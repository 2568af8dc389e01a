"""What columns of codes 0, 1, ..., C - 1 have in common."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from skvae._batches import Rows
from skvae.likelihoods._contract import Likelihood, LikelihoodModel
from skvae.likelihoods._draws import uniform
from skvae.likelihoods._statistics import column_ranges

LEAST_BOUND = 1000
"""So many categories are believed, however few the rows."""


class CodesModel(LikelihoodModel):
    """Columns of codes, each with a number of categories of its own.

    A value per category is kept flat, column after column, (n_inputs,) or padded to
    the largest number of categories, (D, C).
    """

    keeps_units = True

    frequency: Tensor
    column_of: Tensor
    code_of: Tensor
    position: Tensor
    is_padding: Tensor

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

    def fit_statistics(self, rows: Rows) -> None:
        """Learn how frequent categories are, each as if half a row more had it."""
        counts = np.zeros(tuple(self.is_padding.shape))
        for X, weights in rows.chunks():
            for column, codes in enumerate(X.T):
                seen = ~np.isnan(codes)
                counts[column] += np.bincount(
                    codes[seen].astype(np.int64), weights[seen], len(counts[column])
                )
        padded = torch.from_numpy(counts) + 0.5
        padded = padded.masked_fill(self.is_padding.cpu(), 0.0)
        padded /= padded.sum(1, keepdim=True)
        self.frequency.copy_(padded[~self.is_padding.cpu()])

    def prepare(self, X: np.ndarray) -> np.ndarray:
        """Return the codes."""
        return X

    def padded(self, values: Tensor, padding: float) -> Tensor:
        """Return values (..., n_total) as (..., D, C), with padding."""
        return values[..., self.position].masked_fill(self.is_padding, padding)

    def log_masses(self, outputs: Tensor) -> Tensor:
        """Return the log-mass of every category, (..., D, C)."""
        raise NotImplementedError

    def cell_log_prob(self, outputs: Tensor, x: Tensor) -> Tensor:
        """Return the log-mass of each cell's category."""
        masses = self.log_masses(outputs)
        codes = x.long().unsqueeze(-1).expand(*masses.shape[:-1], 1)
        return masses.gather(-1, codes).squeeze(-1)

    def distribution(self, outputs: Tensor) -> torch.distributions.Distribution:
        """Return distributions over codes."""
        return torch.distributions.Categorical(logits=self.log_masses(outputs))

    def mode(self, outputs: Tensor) -> Tensor:
        """Return the codes of the most likely categories."""
        return self.log_masses(outputs).argmax(-1).to(outputs.dtype)

    def mean(self, outputs: Tensor) -> Tensor:
        """Return the mode: codes have no mean."""
        return self.mode(outputs)

    def average(self, outputs: Tensor, weights: Tensor) -> Tensor:
        """Return the most likely codes of a mixture, (B, D)."""
        masses = self.log_masses(outputs).exp()
        masses = torch.einsum("sb,sbdc->bdc", weights.to(masses), masses)
        return masses.argmax(-1).to(outputs.dtype)

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

    A subclass has the parameter named by `_size`: "auto", or the number of categories
    of all columns, or of each.
    """

    _size: str

    def _resolve(
        self, X: np.ndarray, feature_names: Sequence[str] | None
    ) -> "Likelihood":
        sizes: Any = getattr(self, self._size)
        if isinstance(sizes, str):
            _, high = column_ranges(X)
            # Codes that are none are refused when the domain is checked.
            sizes = np.nan_to_num(high, nan=0.0).clip(0, 2**31).astype(int) + 1
            most = max(len(X), LEAST_BOUND)
            if sizes.max() > most:
                raise ValueError(
                    f"{type(self).__name__} likelihood requires codes 0, 1, ..., with "
                    f"no large gaps. Got {sizes.max() - 1} in {len(X)} rows. Encode "
                    f"categories with OrdinalEncoder, or give {self._size}."
                )
        sizes = np.broadcast_to(sizes, X.shape[1]).tolist()
        return type(self)(**{**self.get_params(deep=False), self._size: sizes})

    def _sizes(self, n_features: int) -> list[int]:
        """Return the number of categories of each column."""
        sizes: Any = getattr(self, self._size)
        if isinstance(sizes, str):
            raise ValueError(
                f"{type(self).__name__} likelihood requires {self._size} before it is "
                f"built. Got {sizes!r}. Call resolve(X) first, or give the number."
            )
        return np.broadcast_to(sizes, n_features).tolist()

    def check_domain(self, X: np.ndarray, name_of: Callable[[int], str]) -> None:
        """Raise ValueError where an observed value of `X` is not a known code."""
        sizes = self._sizes(X.shape[1])
        for column, codes in enumerate(X.T):
            size = sizes[column]
            wrong = (codes < 0) | (codes >= size) | (codes % 1 != 0)
            wrong &= ~np.isnan(codes)
            if wrong.any():
                raise ValueError(
                    f"{type(self).__name__} likelihood requires codes 0, 1, ... below "
                    f"{size}, the number of categories. Got {codes[wrong][0]:.6g} in "
                    f"column {name_of(column)}. Encode categories with OrdinalEncoder, "
                    f"or give {self._size}."
                )
