"""What every likelihood can do: the spec that users pass, and the model it builds."""

from collections.abc import Callable

import numpy as np
import torch
from sklearn.base import BaseEstimator
from torch import Tensor, nn

from skvae._batches import Rows


class LikelihoodModel(nn.Module):
    """What every built likelihood can do.

    Attributes
    ----------
    n_features : int
        Number of columns of `X`, D.
    n_outputs : int
        Number of values that the decoder gives per row.
    """

    n_features: int
    n_outputs: int
    linear_start_is_exact = False
    """Whether probabilistic PCA is the best linear model under this likelihood."""
    keeps_units = False
    """Whether model units are those of `X`, so that there is nothing to prepare."""

    def fit_statistics(self, rows: Rows) -> None:
        """Learn location, scale and the like from all rows, in float64."""
        raise NotImplementedError

    def prepare(self, X: np.ndarray) -> np.ndarray:
        """Return rows of `X` (B, D) in model units, float64 if they are computed."""
        raise NotImplementedError

    def encoder_inputs(self, x: Tensor) -> Tensor:
        """Return what the encoder sees of rows in model units."""
        raise NotImplementedError

    def log_prob(self, outputs: Tensor, x: Tensor) -> Tensor:
        """Return log p(X given z) in the units of `X`, (B,), from model units."""
        raise NotImplementedError

    def loss_and_gradient(
        self, outputs: Tensor, x: Tensor, row_weights: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return -log p(X given z) of each row, and the gradient of its weighted sum.

        The gradient (B, n_outputs) is by `outputs`; that by the likelihood's own
        parameters is added to their `grad`. A likelihood may know a faster way than
        this one, which asks autograd.
        """
        with torch.enable_grad():
            outputs = outputs.detach().requires_grad_()
            loss = -self.log_prob(outputs, x)
            (loss @ row_weights).backward()
        return loss.detach(), outputs.grad  # type: ignore[return-value]

    def residual(self, outputs: Tensor, x: Tensor) -> Tensor:
        """Return rows minus their expectation, (B, D), in model units."""
        raise NotImplementedError

    def distribution(self, outputs: Tensor) -> torch.distributions.Distribution:
        """Return p(X given z) over single cells, in the units of `X`."""
        raise NotImplementedError

    def mean(self, outputs: Tensor) -> Tensor:
        """Return the expectation of p(X given z), (B, D), in the units of `X`."""
        return self.distribution(outputs).mean

    def draw(self, outputs: Tensor, generator: torch.Generator) -> Tensor:
        """Return one draw from p(X given z), (B, D), in the units of `X`."""
        raise NotImplementedError

    def marginal_outputs(self) -> Tensor:
        """Return the outputs (n_outputs,) that fit best without any z."""
        raise NotImplementedError

    def marginal_inputs(self) -> Tensor:
        """Return the expected encoder inputs (D,) under `marginal_outputs`."""
        raise NotImplementedError

    def linear_outputs(self, loadings: Tensor) -> Tensor:
        """Turn directions of the encoder's inputs (K, D) into ones of the outputs.

        To first order, moving the outputs along a direction returned moves the
        expected encoder inputs along the direction given.
        """
        raise NotImplementedError

    def start_noise(self, variances: Tensor) -> None:
        """Set learned noise from residual variances (D,) in model units."""


class Likelihood(BaseEstimator):
    """Base of all likelihood specs."""

    def build(self, n_features: int) -> LikelihoodModel:
        """Return a model for `n_features` columns, without statistics yet."""
        raise NotImplementedError

    def check_domain(self, X: np.ndarray, name_of: Callable[[int], str]) -> None:
        """Raise ValueError where a value of `X` is outside the domain.

        Parameters
        ----------
        X : ndarray of shape (n_samples, n_features)
        name_of : callable
            Gives a column's name, for the message, from its position.
        """
