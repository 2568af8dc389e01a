"""What every likelihood can do: the spec that users pass, and the model it builds."""

import warnings
from collections.abc import Callable, Sequence

import numpy as np
import torch
from sklearn.base import BaseEstimator, clone
from torch import Tensor, nn

from skvae._batches import Rows, row_slices


class LikelihoodModel(nn.Module):
    """What every built likelihood can do.

    Rows `x` in model units (B, D) hold one number per column of `X`: categories and
    levels are codes 0, 1, ..., and NaN is a missing cell. Where a method takes
    `observed` (B, D), None says that no cell is missing; `x` then holds no NaN, and
    nothing is spent on looking for it.

    Attributes
    ----------
    n_features : int
        Number of columns of `X`, D.
    n_inputs : int
        Number of values that the encoder sees of a row.
    n_outputs : int
        Number of values that the decoder gives per row.
    """

    n_features: int
    n_inputs: int
    n_outputs: int
    linear_start_is_exact = False
    """Whether probabilistic PCA is the best linear model under this likelihood."""
    keeps_units = False
    """Whether model units are those of `X`, so that there is nothing to prepare."""

    def fit_statistics(self, rows: Rows) -> None:
        """Learn location, scale and the like from the observed cells, in float64."""
        raise NotImplementedError

    def prepare(self, X: np.ndarray) -> np.ndarray:
        """Return rows of `X` (B, D) in model units, float64 if they are computed.

        NaN stays NaN.
        """
        raise NotImplementedError

    # What the encoder sees

    def encoder_inputs(self, x: Tensor, observed: Tensor | None = None) -> Tensor:
        """Return what the encoder sees, (B, n_inputs): of missing cells, the usual."""
        if observed is None:
            return self.cell_inputs(x)
        h = self.cell_inputs(self.fill(x, observed))
        return torch.where(self.spread(observed), h, self.marginal_inputs().to(h))

    def cell_inputs(self, x: Tensor) -> Tensor:
        """Return what the encoder sees of rows without missing cells."""
        raise NotImplementedError

    def spread(self, columns: Tensor) -> Tensor:
        """Return values of columns (..., D) as values of inputs (..., n_inputs)."""
        return columns

    def fill(self, x: Tensor, observed: Tensor) -> Tensor:
        """Return rows with a value of the domain in place of missing cells."""
        return torch.where(observed, x, 0.0)

    # How a row is scored

    def log_prob(
        self, outputs: Tensor, x: Tensor, observed: Tensor | None = None
    ) -> Tensor:
        """Return log p(observed cells given z) in the units of `X`, (..., B).

        Parameters
        ----------
        outputs : Tensor of shape (B, n_outputs) or (S, B, n_outputs)
        x : Tensor of shape (B, D)
            Rows in model units.
        observed : Tensor of shape (B, D), default=None
        """
        if observed is None:
            return self.cell_log_prob(outputs, x).sum(-1)
        # Filled before, so that gradients are finite, and left out after.
        cells = self.cell_log_prob(outputs, self.fill(x, observed))
        return torch.where(observed, cells, 0.0).sum(-1)

    def cell_log_prob(self, outputs: Tensor, x: Tensor) -> Tensor:
        """Return the log-density or log-mass of each cell in the units of `X`.

        Of shape (..., B, D), for rows without missing cells.
        """
        raise NotImplementedError

    def loss_and_gradient(
        self, outputs: Tensor, x: Tensor, row_weights: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return -log p(X given z) of each row, and the gradient of its weighted sum.

        For rows without missing cells. The gradient (B, n_outputs) is by `outputs`;
        that by the likelihood's own parameters is added to their `grad`. A likelihood
        may know a faster way than this one, which asks autograd.
        """
        # Tensors made in inference mode take no part in gradients; their copies do.
        with torch.inference_mode(False), torch.enable_grad():
            outputs = outputs.detach().clone().requires_grad_()
            loss = -self.log_prob(outputs, x.clone())
            (loss @ row_weights.clone()).backward()
        return loss.detach(), outputs.grad  # type: ignore[return-value]

    def residual(self, outputs: Tensor, x: Tensor) -> Tensor:
        """Return what the expectation leaves of each cell, (B, D), in model units.

        NaN where a cell is missing.
        """
        raise NotImplementedError

    # What users get

    def distribution(self, outputs: Tensor) -> torch.distributions.Distribution:
        """Return p(X given z) over single cells, in the units of `X`."""
        raise NotImplementedError

    def mean(self, outputs: Tensor) -> Tensor:
        """Return the expected cells, (B, D), in the units of `X`.

        Without a mean, of categories it is the mode, of levels the median.
        """
        return self.distribution(outputs).mean

    def average(self, outputs: Tensor, weights: Tensor) -> Tensor:
        """Return the expected cells, (B, D), of a mixture, in the units of `X`.

        Of categories it is the most likely one, of levels the median.

        Parameters
        ----------
        outputs : Tensor of shape (S, B, n_outputs)
        weights : Tensor of shape (S, B)
            Of the S parts of each row's mixture; they sum to one.
        """
        return torch.einsum("sb,sbd->bd", weights.double(), self.mean(outputs).double())

    def mode(self, outputs: Tensor) -> Tensor:
        """Return the most likely cells, (B, D), in the units of `X`."""
        return self.distribution(outputs).mode

    def draw(self, outputs: Tensor, generator: torch.Generator) -> Tensor:
        """Return one draw from p(X given z), (B, D), in the units of `X`."""
        raise NotImplementedError

    # Where training starts

    def marginal_outputs(self) -> Tensor:
        """Return the outputs (n_outputs,) that fit best without any z."""
        raise NotImplementedError

    def marginal_inputs(self) -> Tensor:
        """Return the usual encoder inputs (n_inputs,), those of `marginal_outputs`."""
        raise NotImplementedError

    def linear_outputs(self, loadings: Tensor) -> Tensor:
        """Turn directions of the inputs (K, n_inputs) into ones of the outputs.

        To first order, moving the outputs along a direction returned moves the
        expected encoder inputs along the direction given.
        """
        raise NotImplementedError

    def spread_offset(self, variances: Tensor) -> Tensor:
        """Return what keeps expectations where outputs vary (n_outputs,).

        To be added to outputs that are normal with the variances given. Zero where the
        link is the identity, or nearly.
        """
        return torch.zeros_like(variances)

    def least_noise(self) -> float:
        """Return a variance of the inputs that noise is never below."""
        return 0.0

    def start_noise(self, variances: Tensor) -> None:
        """Set learned noise from residual variances of the inputs (n_inputs,)."""


class Likelihood(BaseEstimator):
    """Base of all likelihood specs."""

    def resolve(
        self, X: np.ndarray, feature_names: Sequence[str] | None = None
    ) -> "Likelihood":
        """Return the spec with nothing left open that the model's size depends on.

        Numbers of categories are taken from the data, names of columns become
        positions. What is returned can be built, and checks new rows.

        Parameters
        ----------
        X : ndarray of shape (n_samples, n_features)
            The rows to fit to, in the domain; NaN is a missing cell.
        feature_names : sequence of str, default=None
            Names of the columns.
        """
        resolved = self._resolve(X, feature_names)
        empty = np.ones(X.shape[1], dtype=bool)
        for part in row_slices(*X.shape):
            empty &= np.isnan(X[part]).all(axis=0)
        if empty.any():
            columns = [
                str(column) if feature_names is None else repr(feature_names[column])
                for column in map(int, np.flatnonzero(empty))
            ]
            warnings.warn(
                "Every column should have an observed cell. Got none in column "
                f"{', '.join(columns)}, of which nothing can be learned. Drop it.",
                stacklevel=2,
            )
        return resolved

    def _resolve(
        self, X: np.ndarray, feature_names: Sequence[str] | None
    ) -> "Likelihood":
        return clone(self)

    def build(self, n_features: int) -> LikelihoodModel:
        """Return a model for `n_features` columns, without statistics yet."""
        raise NotImplementedError

    def admits(self, low: float, high: float) -> bool:
        """Return whether every value from `low` to `high` is in every column's domain.

        False leaves it to `check_domain`, which takes longer.
        """
        return False

    def check_domain(self, X: np.ndarray, name_of: Callable[[int], str]) -> None:
        """Raise ValueError where an observed value of `X` is outside the domain.

        Parameters
        ----------
        X : ndarray of shape (n_samples, n_features)
            NaN is a missing cell, which is in every domain.
        name_of : callable
            Gives a column's name, for the message, from its position.
        """
