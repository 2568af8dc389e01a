"""Loss and density of a model on held-out rows."""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from skvae._model import Model
from skvae._random import Stream, generator
from skvae.objectives import Objective, importance_bound
from skvae.table import Batch, Batches

N_VALIDATION_LOSSES = 512
"""Held-out losses are means of at least so many terms, by repeated draws if need be."""

N_DENSITY_DRAWS = 16
"""Draws per row of the bound by which held-out densities are compared."""

DENSITY_VALUES = 1 << 19
"""Most values of a layer, for draws of some rows, at a time: 2 MB."""


class Validation:
    """Checks a model on some rows, with the same draws at every call.

    A call gives the mean of each term of the loss.

    Parameters
    ----------
    model : Model
    objective : Objective
    rows : Batches
    n_rows, n_draws : int
        How many of the rows, from the first on, and draws of z for each.
    seed : int
    """

    def __init__(
        self,
        model: Model,
        objective: Objective,
        rows: Batches,
        n_rows: int,
        n_draws: int,
        seed: int,
    ) -> None:
        self.model, self.objective, self.rows = model, objective, rows
        self.cases = objective.cases()
        # The bound must not be looser than the one that is trained on.
        self.n_draws = max(n_draws, objective.n_draws)
        self.n_rows, self.seed = n_rows, seed

    def __call__(self) -> dict[str, float]:
        means = self._mean(self._terms).tolist()
        return dict(zip(self.objective.names, means, strict=True))

    @torch.inference_mode()
    def _mean(self, function: Callable[[int, Batch], Tensor]) -> Tensor:
        """Return the weighted mean over rows of function(chunk, batch), (..., B)."""
        most = self.objective.most_rows or self.n_rows
        batches = self.rows.in_order(self.n_rows)
        pieces = enumerate(piece for batch in batches for piece in batch.split(most))
        sums = [function(i, b).double() @ b.weights.double() for i, b in pieces]
        return torch.stack(sums).sum(0) / self.n_rows

    def _terms(self, chunk: int, batch: Batch) -> Any:
        """Return each row's terms, (T, B), averaged over the cases of training."""
        noise = self._noise(chunk, batch, self.n_draws)
        return sum(
            fraction * objective.stacked_terms(self.model, batch, noise)
            for fraction, objective in self.cases
        )

    def error(self) -> float:
        """Return the mean squared error of rows that are decoded at their mean."""
        return float(self._mean(lambda _, batch: self.model.squared_error(batch)))

    def variance(self) -> float:
        """Return the mean squared deviation of rows from what fits best without z."""
        model = self.model
        outputs = model.likelihood.linearized().outputs.to(model.sign)[None]
        return float(self._mean(lambda _, b: model.squared_residual(outputs, b)))

    def density(self) -> float:
        """Return the mean importance-weighted log-density of the rows.

        Minus infinity where z is not drawn, and so there is no density.
        """
        if not self.model.posterior.is_random:
            return -math.inf
        return float(self._mean(self._density))

    def _density(self, chunk: int, batch: Batch) -> Tensor:
        noise = self._noise(chunk, batch, N_DENSITY_DRAWS)
        most = max(1, DENSITY_VALUES // (N_DENSITY_DRAWS * self.model.width))
        pieces = zip(batch.split(most), noise.split(most, dim=1), strict=True)
        return torch.cat([importance_bound(self.model, *piece) for piece in pieces])

    def _noise(self, chunk: int, batch: Batch, n_draws: int) -> Tensor:
        device = batch.x.device
        random = generator(self.seed, Stream.VALIDATION, chunk, device=device)
        shape = (n_draws, len(batch), self.model.n_components)
        return torch.randn(shape, generator=random, device=device, dtype=torch.float32)
