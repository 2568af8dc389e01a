"""Columns as if they were independent: the model without any z."""

from typing import Any

import numpy as np
import torch

from skvae._batches import Rows, has_missing, row_slices
from skvae._sparse import SparseRows
from skvae.likelihoods import Likelihood


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
        usual = self.model.marginal_inputs()
        variance: Any = 0.0
        for X, weights in rows.chunks():
            x = torch.from_numpy(self.model.prepare(X))
            squares = (self._inputs(x) - usual).square()
            variance = variance + torch.from_numpy(weights) @ squares
        # Without z, all that varies is noise.
        self.model.start_noise(variance / rows.weights.sum())
        self.model.double()

    def _inputs(self, x: torch.Tensor) -> torch.Tensor:
        return self.model.encoder_inputs(x, ~torch.isnan(x)).double()

    @torch.inference_mode()
    def log_prob(self, X: np.ndarray | SparseRows) -> np.ndarray:
        """Return the log-density of each row's observed cells, float64."""
        scores = np.empty(len(X))
        outputs, misses = self.model.marginal_outputs(), has_missing(X)
        for part in row_slices(*X.shape):
            x = torch.from_numpy(self.model.prepare(X[part])).double()
            observed = ~torch.isnan(x) if misses else None
            cells = outputs.expand(len(x), -1)
            scores[part] = self.model.log_prob(cells, x, observed).numpy()
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
