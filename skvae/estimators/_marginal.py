"""Independent columns: the model without z."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from skvae.likelihoods import Likelihood
from skvae.table import Batch, Cells, Rows, as_cells, row_slices


class Marginal:
    r"""The likelihood of independent columns, :math:`\sum_j \log p(X_j)`.

    Parameters
    ----------
    likelihood : Likelihood
        A resolved spec.
    rows : Rows
        What each column's distribution is fitted to.
    """

    def __init__(self, likelihood: Likelihood, rows: Rows) -> None:
        self.likelihood, self.n_features = likelihood, rows.n_features
        self.model = likelihood.build(rows.n_features)
        self.model.fit_statistics(rows)
        usual = self.model.linearized().inputs

        def squares(X: np.ndarray, weights: np.ndarray) -> torch.Tensor:
            batch = self._batch(X, rows.has_missing)
            h = self.model.encoder_inputs(batch.x, batch.observed)
            return torch.from_numpy(weights) @ (h - usual).square()

        variance = rows.reduce(squares)
        # Without z, all that varies is noise.
        self.model.start_noise(variance / rows.weights.sum())
        self.model.double()

    def _batch(self, X: np.ndarray, has_missing: bool) -> Batch:
        x = self.model.prepare(X).astype(np.float64, copy=False)
        return Batch.of(torch.from_numpy(x), has_missing)

    def log_prob(self, cells: Cells) -> np.ndarray:
        """Return the log-density of each row's observed cells, float64."""
        return self._map(self.model.log_prob, cells)

    def cell_log_prob(self, cells: Cells) -> np.ndarray:
        """Return the log-density of each cell, (n, D) of float64; 0 where missing."""

        def of_cells(outputs: Tensor, x: Tensor, observed: Tensor | None) -> Tensor:
            if observed is None:
                return self.model.cell_log_prob(outputs, x)
            filled = self.model.fill(x, observed)
            each = self.model.cell_log_prob(outputs, filled)
            return torch.where(observed, each, 0.0)

        return self._map(of_cells, cells)

    @torch.inference_mode()
    def _map(self, function: Callable[..., Tensor], cells: Cells) -> np.ndarray:
        """Return function(outputs, x, observed) of all rows."""
        answers = []
        usual = self.model.linearized().outputs
        for part in row_slices(*cells.shape):
            batch = self._batch(cells[part], cells.has_missing)
            outputs = usual.expand(len(batch), -1)
            answers.append(function(outputs, batch.x, batch.observed).numpy())
        return np.concatenate(answers)

    @torch.inference_mode()
    def usual(self, n_rows: int, random: torch.Generator) -> np.ndarray:
        """Return the median of -log p of each column's cells, (D,), of drawn rows."""
        outputs = self.model.linearized().outputs.expand(n_rows, -1)
        rows = self.model.draw(outputs, random).double().numpy()
        surprises = -self.cell_log_prob(as_cells(np.nan_to_num(rows)))
        return np.median(surprises, axis=0)

    def __getstate__(self) -> dict[str, Any]:
        """Return the state with NumPy arrays in place of tensors."""
        tensors = self.model.state_dict()
        arrays = {name: tensor.numpy() for name, tensor in tensors.items()}
        return {**vars(self), "model": arrays}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Build the model again."""
        vars(self).update(state)
        model = self.likelihood.build(self.n_features).double()
        arrays = state["model"].items()
        model.load_state_dict({name: torch.tensor(array) for name, array in arrays})
        self.model = model
