"""The state of a model and held-out rows → how good it is, and whether it is kept."""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from skvae._batches import Batches
from skvae._model import Model
from skvae._random import Stream, generator
from skvae._start import expected_gain
from skvae.objectives import Objective, importance_bound

N_VALIDATION_LOSSES = 512
"""Held-out losses are means of at least so many terms, by repeated draws if need be."""

N_DENSITY_DRAWS = 16
"""Draws per row of the bound by which a held-out density is told."""

TAIL_FACTOR = 2.0
"""How much more probabilistic PCA gains by more rows than it would of normal columns.

The variances of columns with heavy tails are told less well (Takeuchi 1976): half as
well at an excess kurtosis of 2, which is that of Student's t with 7 degrees of freedom.
"""


class Check(NamedTuple):
    """How a state does on held-out rows: mean loss, and error of reconstruction."""

    loss: float
    error: float


class Bar(NamedTuple):
    """What another state must reach on held-out rows to be kept, not the start."""

    error: float
    density: float


class Validation:
    """Checks the state of a model on some rows, with the same draws at every call.

    Parameters
    ----------
    model : Model
    objective : Objective
    rows : Batches
    n_rows, n_draws : int
        How many of the rows, from the first on, and draws of z for each.
    beta, code_share : float
        Weight of the KL term, and of the reconstruction at the posterior's mean.
    seed : int
    """

    def __init__(
        self,
        model: Model,
        objective: Objective,
        rows: Batches,
        n_rows: int,
        n_draws: int,
        beta: float,
        code_share: float,
        seed: int,
    ) -> None:
        self.model, self.rows, self.objective = model, rows, objective
        # No bound to be looser than the one that is trained on.
        self.n_draws = max(n_draws, getattr(objective, "n_draws", 1))
        self.n_rows, self.seed = n_rows, seed
        self.beta, self.code_share = beta, code_share

    @torch.inference_mode()
    def __call__(self) -> Check:
        loss = error = 0.0
        for i, (x, weights) in enumerate(self.rows.in_order(self.n_rows)):
            noise = self._noise(i, x, self.n_draws)
            terms = self.objective(self.model, x, noise)
            reconstruction = terms.reconstruction.expand(self.n_draws, -1).mean(0)
            if self.code_share:
                at_code = self.objective(self.model, x, torch.zeros_like(noise[:1]))
                reconstruction.lerp_(at_code.reconstruction[0], self.code_share)
            losses = reconstruction + self.beta * terms.kl
            loss += float(losses.double() @ weights.double())
            squares = self.model.squared_error(self.model.posterior(x)[0], x)
            error += float(squares.double() @ weights.double())
        return Check(loss / self.n_rows, error / self.n_rows)

    def bar_at_pca(self, check: Check, n_train: int | None) -> Bar:
        """Return what other states are held to, given the check of the start at PCA.

        Parameters
        ----------
        check : Check
        n_train : int or None
            Rows that the start was fitted to, if it will be fitted to all in the end.
        """
        n_components, n_columns = self.model.encoder.linear.shape
        # With as many components as columns the start reconstructs exactly.
        error = check.error if n_components < n_columns else math.inf
        if self.model.prior is None:
            return Bar(error, -math.inf)
        density = self.density()
        if n_train is not None:
            n_all = n_train + self.n_rows
            gain = expected_gain(n_components, n_columns, n_train, n_all)
            density += TAIL_FACTOR * gain
        return Bar(error, density)

    def reaches(self, bar: Bar, check: Check) -> bool:
        """Return whether the present state, of which `check` is known, may be kept."""
        if check.error > bar.error:
            return False
        # Dear, and asked only where it may matter.
        return bar.density == -math.inf or self.density() >= bar.density

    @torch.inference_mode()
    def density(self) -> float:
        """Return the mean importance-weighted log-density of the rows."""
        total = 0.0
        for i, (x, weights) in enumerate(self.rows.in_order(self.n_rows)):
            noise = self._noise(i, x, N_DENSITY_DRAWS)
            bound = importance_bound(self.model, x, noise)
            total += float(bound.double() @ weights.double())
        return total / self.n_rows

    def _noise(self, chunk: int, x: Tensor, n_draws: int) -> Tensor:
        random = generator(self.seed, Stream.VALIDATION, chunk, device=x.device)
        shape = (n_draws, len(x), len(self.model.order))
        return torch.randn(
            shape, generator=random, device=x.device, dtype=torch.float32
        )
