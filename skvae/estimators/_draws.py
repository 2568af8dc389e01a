"""Draws of z with importance weights: in pieces that fit, as many as a row needs."""

import math
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor

from skvae._model import Model
from skvae.estimators._apply import most_at_once
from skvae.objectives import Draws, weigh
from skvae.table import Batch

Draw = Callable[[Tensor, slice], tuple[Tensor, Tensor]]
"""(outputs of the encoder (B, n_outputs), which draws) → z (S, B, K), log q (S, B)."""

Use = Callable[[Tensor, Draws], None]
"""(which rows of a batch, draws of these) → what is made of them, and not kept here."""


class Plan(NamedTuple):
    """How many draws a row gets.

    Attributes
    ----------
    ends : tuple of int
        Numbers of draws after which a row may have enough; the last one ends it.
    is_enough : callable
        Says of log-weights (S, B) which rows have enough draws, (B,).
    """

    ends: tuple[int, ...]
    is_enough: Callable[[Tensor], Tensor]

    @property
    def most(self) -> int:
        """Largest number of draws."""
        return self.ends[-1]

    def of(self, n_draws: int | str) -> "Plan":
        """Return this plan for "auto", or that of a number that is kept to."""
        return self if isinstance(n_draws, str) else self._replace(ends=(n_draws,))


class Weighed(NamedTuple):
    """Draws of z for the rows of a batch, each with a number of its own.

    Attributes
    ----------
    z : Tensor of shape (S, B, K)
    log_joint, log_weights : Tensor of shape (S, B)
        As in `Draws`; minus infinity for what was not drawn.
    n_draws : Tensor of shape (B,)
    """

    z: Tensor
    log_joint: Tensor
    log_weights: Tensor
    n_draws: Tensor


def doubling(least: int, most: int) -> tuple[int, ...]:
    """Return numbers from `least` to `most`, each twice the one before."""
    return tuple(least << i for i in range((most // least).bit_length()))


def n_effective(log_weights: Tensor) -> Tensor:
    r"""Return the number of equally weighted draws that would be as good, (B,).

    .. math:: 1 / \sum_s w_s^2

    with weights that sum to one (Kong 1992).
    """
    return 1.0 / log_weights.softmax(0).square().sum(0)


def weigh_rows(
    model: Model, batch: Batch, draw: Draw, plan: Plan, use: Use | None = None
) -> Weighed:
    """Return draws of z for each row, until they are enough.

    A row's draws depend on that row alone: those that it takes are the first ones of a
    sequence, which is the same for every row.

    Parameters
    ----------
    model : Model
    batch : Batch
    draw : callable
    plan : Plan
    use : callable, default=None
        Is given the draws with their outputs, piece by piece.
    """
    outputs, rows = model.encode(batch), torch.arange(len(batch), device=model.device)
    shape = plan.most, len(batch)
    z = outputs.new_zeros((*shape, model.n_components))
    log_joint, log_weights = outputs.new_full((2, *shape), -math.inf)
    n_draws = outputs.new_zeros(len(batch))
    for begin, end in pairwise((0, *plan.ends)):
        if begin:
            wanting = ~plan.is_enough(log_weights[:begin, rows])
            rows, outputs, batch = rows[wanting], outputs[wanting], batch.take(wanting)
        for part in _pieces(begin, end, most_at_once(model), len(rows)):
            points, log_q = draw(outputs, part)
            drawn = weigh(model, batch, points, log_q, model.fitted_prior)
            z[part, rows] = points
            log_joint[part, rows] = drawn.log_joint
            log_weights[part, rows] = drawn.log_weights
            if use is not None:
                use(rows, drawn)
        n_draws[rows] = end
    return Weighed(z, log_joint, log_weights, n_draws)


def _pieces(begin: int, end: int, most: int, n_rows: int) -> Iterator[slice]:
    """Yield slices of draws, of which all rows take at most so many at a time."""
    step = max(1, most // n_rows) if n_rows else end
    for start in range(begin, end if n_rows else begin, step):
        yield slice(start, min(start + step, end))
