"""Independent columns: the model without z."""

from typing import Any

import numpy as np
import torch

from skvae.likelihoods import Likelihood
from skvae.table import Batch, Cells, Rows, row_slices


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

    @torch.inference_mode()
    def log_prob(self, cells: Cells) -> np.ndarray:
        """Return the log-density of each row's observed cells, float64."""
        scores = np.empty(len(cells))
        usual = self.model.linearized().outputs
        for part in row_slices(*cells.shape):
            batch = self._batch(cells[part], cells.has_missing)
            outputs = usual.expand(len(batch), -1)
            log_prob = self.model.log_prob(outputs, batch.x, batch.observed)
            scores[part] = log_prob.numpy()
        return scores

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
