"""How much of the variance of the columns the first components explain."""

from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from skvae._model import Model
from skvae.table import Batch, Batches

MOST_ROWS, LEAST_ROWS = 10_000, 200
"""Rows that are decoded after a fit, at most and, of many components, at least."""

MOST_DECODED = 20_000
"""Points that are decoded after a fit, unless the least number of rows takes more: a
small fraction of what training takes."""


class Errors(NamedTuple):
    """What is known of the reconstruction of some rows.

    Attributes
    ----------
    squares : Tensor of shape (1 + K, D)
        Sums of squared residuals of the observed cells of each column: first from what
        fits best without any z, then decoded from the first k components.
    low, high : Tensor of shape (D,)
        Least and greatest observed cell of each column, in model units.
    """

    squares: Tensor
    low: Tensor
    high: Tensor

    @classmethod
    def of(cls, model: Model, batch: Batch) -> "Errors":
        """Return what is known of a batch; components after the k-th are at the mean.

        The order of components is that of the user.
        """
        likelihood, observed, x = model.likelihood, batch.observed, batch.x
        ends = x.nan_to_num(torch.inf).amin(0), x.nan_to_num(-torch.inf).amax(0)
        seen = torch.ones_like(x) if observed is None else observed.to(x)
        if batch.weights is not None:
            seen = seen * batch.weights[:, None]
        if observed is not None:
            x = likelihood.fill(x, observed)
        z, place = model.posterior_mean(batch), torch.argsort(model.order)
        usual = likelihood.linearized().outputs.to(z).expand(len(z), -1)
        sums = [_squares(likelihood.residual(usual, x), seen)]
        for k in range(1, 1 + model.n_components):
            outputs = model.decoder(torch.where(place < k, z, model.center.to(z)))
            sums.append(_squares(likelihood.residual(outputs, x), seen))
        return cls(torch.stack(sums), *ends)

    @classmethod
    def merged(cls, some: Iterable["Errors"]) -> "Errors":
        """Return what is known of several batches together."""
        squares, low, high = (torch.stack(each) for each in zip(*some, strict=True))
        return cls(squares.sum(0), low.amin(0), high.amax(0))

    def r2(self) -> np.ndarray:
        """Return R2 with the first k components, (K,): the mean over varying columns.

        Zeros where no column varies.
        """
        varies = (self.low < self.high) & (self.squares[0] > 0.0)
        before, *after = self.squares[:, varies].cpu().numpy()
        if not len(before):
            return np.zeros(len(after))
        return 1.0 - np.mean(np.array(after) / before, axis=1)


def _squares(residual: Tensor, seen: Tensor) -> Tensor:
    return (residual.square() * seen).sum(0).double()


@torch.inference_mode()
def explained_ratio(model: Model, rows: Batches) -> np.ndarray:
    """Return how much R2 rises with each component, (K,), on some training rows.

    They are the first of the rows in canonical order, which is as good as random.
    """
    most = min(MOST_ROWS, MOST_DECODED // model.n_components)
    n_rows = max(LEAST_ROWS, most)
    errors = [Errors.of(model, batch) for batch in rows.in_order(n_rows)]
    return np.diff(Errors.merged(errors).r2(), prepend=0.0)


class ExplainedVariance:
    """Mixin: says what to do where `explained_variance_ratio_` is not known."""

    def __getattr__(self, name: str) -> Any:
        if name == "explained_variance_ratio_" and "module_" in vars(self):
            raise AttributeError(
                "explained_variance_ratio_ is computed by fit. Got a "
                f"{type(self).__name__} that an older version of skvae fitted. Fit it "
                "again, or use skvae.inspection.cumulative_r2(model, X)."
            )
        # Raises the error with the message that it had.
        return object.__getattribute__(self, name)
