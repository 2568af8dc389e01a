"""Keeping the best state, which is never worse than the start."""

import math
from collections.abc import Callable, Mapping
from typing import NamedTuple

from torch import Tensor

from skvae.training._state import Kept, TrainingState
from skvae.training._validation import Validation

LEAST_STRENGTH = 2.0
"""Largest eigenvalue over noise below which a linear start is weak."""

TAIL_FACTOR = 2.0
"""Gain of probabilistic PCA from more rows, relative to that for normal columns.

The variances of columns with heavy tails are estimated less well (Takeuchi 1976): half
as well at an excess kurtosis of 2, that of Student's t with 7 degrees of freedom.
"""


class Start(NamedTuple):
    """What a run starts from.

    Attributes
    ----------
    is_linear : bool
        Whether it is a linear model in closed form.
    is_exact : bool
        Whether no linear model is better: PCA, or probabilistic PCA.
    strength : float
        Largest eigenvalue over the noise of a linear model; 0 of others. Near 1 the
        model holds noise only: a KL term of full weight would keep it there, and hardly
        any density can be traded for reconstructions.
    """

    is_linear: bool
    is_exact: bool
    strength: float = 0.0

    @property
    def is_weak(self) -> bool:
        """Whether there is a linear model that is hardly more than noise."""
        return self.is_linear and self.strength <= LEAST_STRENGTH


def expected_gain(
    n_components: int, n_columns: int, n_rows: int, n_all_rows: int
) -> float:
    r"""Return what probabilistic PCA gains by being fitted to more rows.

    The maximum-likelihood fit of p parameters to n rows is expected to lose
    :math:`p / 2n` nats on a new row, to first order (Akaike 1974). Here p counts the
    mean, the loadings up to rotation, and the noise.
    """
    k = min(n_components, n_columns)
    n_parameters = n_columns * (k + 1) - k * (k - 1) // 2 + 1
    return 0.5 * n_parameters * (1 / n_rows - 1 / n_all_rows)


class Standard(NamedTuple):
    """What a state must reach on held-out rows to replace an exact start."""

    error: float
    density: float


class Acceptance:
    """Keeps the best state on held-out rows, and counts epochs without improvement.

    A state is accepted if its loss is the least so far and, where the start is exact,
    if it reconstructs held-out rows no worse than the start and gives them a greater
    density, by more than the start is expected to gain from being fitted to all rows.
    Without held-out rows nothing is kept, and the training loss is watched.

    Parameters
    ----------
    state : TrainingState
        What is remembered, `state.kept`, is part of it.
    loss_of : callable
        Weighs mean terms with the present final weights of the terms.
    tol : float or None
        Least improvement that counts.
    """

    def __init__(
        self,
        state: TrainingState,
        loss_of: Callable[[Mapping[str, float]], float],
        tol: float | None,
    ) -> None:
        self.state, self.loss_of = state, loss_of
        self.tol = tol or 0.0

    @property
    def kept(self) -> Kept:
        """What is remembered."""
        return self.state.kept

    @property
    def loss(self) -> float:
        """The least loss so far, of states that were accepted."""
        return self._loss(self.kept.best)

    @property
    def stays_at_start(self) -> bool:
        """Whether no state has replaced a linear start."""
        return self.kept.is_start

    @property
    def awaits_standard(self) -> bool:
        """Whether no state has reached the standard that an exact start sets."""
        return self.kept.standard is not None and self.stays_at_start

    def begin(self, means: Mapping[str, float], theta: Tensor) -> None:
        """Take the start as the best state so far."""
        self._watch(means)
        self._keep(means, theta)

    def set_standard(self, validation: Validation, n_train: int) -> None:
        """Set the standard that later states must reach.

        Parameters
        ----------
        validation : Validation
            Of the start.
        n_train : int
            Number of rows that the start was fitted to, if it will be fitted to all in
            the end; otherwise 0.
        """
        model, n_rows = validation.model, validation.n_rows
        n_components, likelihood = model.n_components, model.likelihood
        n_columns = likelihood.n_inputs - likelihood.n_constant
        # With as many components as columns the start reconstructs exactly.
        error = validation.error() if n_components < n_columns else math.inf
        density = validation.density()
        if n_train and model.posterior.is_random:
            gain = expected_gain(n_components, n_columns, n_train, n_train + n_rows)
            density += TAIL_FACTOR * gain
        self.kept.standard = Standard(error, density)

    def set_least_r2(self, validation: Validation, max_r2_loss: float) -> None:
        """Set how much less variance than the start later states may explain.

        Parameters
        ----------
        validation : Validation
            Of the start.
        max_r2_loss : float
            A fraction of the variance of held-out rows.
        """
        error = validation.error() + max_r2_loss * validation.variance()
        self.kept.standard = Standard(error, -math.inf)

    def offer(
        self, means: Mapping[str, float], theta: Tensor, validation: Validation
    ) -> None:
        """Take a state, and a copy of its parameters, if it is accepted."""
        is_least = self.loss_of(means) < self.loss
        if is_least and self._reaches_standard(validation):
            self._keep(means, theta)
            self.kept.is_start = False
        self._watch(means)

    def watch(self, means: Mapping[str, float]) -> None:
        """Take the mean terms of the training rows, where no rows are held out."""
        if self.loss_of(means) < self.loss:
            self.kept.best = means
        self._watch(means)

    def wait(self) -> None:
        """Count epochs anew from here; without a kept state, compare losses anew."""
        self.kept.n_stale = 0
        if self.kept.theta is None:
            self.kept.best = self.kept.reference = None
            self.kept.losses.clear()

    def _loss(self, means: Mapping[str, float] | None) -> float:
        return math.inf if means is None else self.loss_of(means)

    def _keep(self, means: Mapping[str, float], theta: Tensor) -> None:
        self.kept.best, self.kept.theta = means, theta.clone()

    def _watch(self, means: Mapping[str, float]) -> None:
        loss = self.loss_of(means)
        self.kept.losses.append(loss)
        if loss < self._loss(self.kept.reference) - self.tol:
            self.kept.reference, self.kept.n_stale = means, 0
        else:
            self.kept.n_stale += 1

    def _reaches_standard(self, validation: Validation) -> bool:
        if self.kept.standard is None:
            return True
        error, density = self.kept.standard
        if error < math.inf and validation.error() > error:
            return False
        # Expensive, so checked last.
        return density == -math.inf or validation.density() >= density
