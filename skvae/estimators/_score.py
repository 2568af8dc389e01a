"""A model and rows → bounds on their log-densities."""

import numpy as np
import torch
from torch import Tensor

from skvae._model import Model
from skvae.estimators._apply import map_rows
from skvae.estimators._draws import (
    Draw,
    Plan,
    Weighed,
    doubling,
    n_effective,
    weigh_rows,
)
from skvae.objectives import BOUNDS, weigh
from skvae.table import Batch, Cells

TOLERANCE = 0.1
"""Standard error of a row's importance-weighted bound, in nats, that ends its draws."""


def is_tight(log_weights: Tensor) -> Tensor:
    r"""Return which rows have enough draws, (B,).

    To first order, the logarithm of the mean of S weights has the variance
    :math:`\gamma^2 / S`, and is too low by half of that, where :math:`\gamma^2` is the
    variance of a weight over its squared mean (Nowozin 2018, proposition 1).
    """
    n_draws = len(log_weights)
    return 1.0 / n_effective(log_weights) - 1.0 / n_draws <= TOLERANCE**2


SCORE_DRAWS = Plan(doubling(16, 128), is_tight)
"""How many draws of z a row's score takes."""


def score_rows(
    model: Model, cells: Cells, noise: Tensor, plan: Plan, bound: str
) -> np.ndarray:
    """Return a bound on the log-density of each row, in nats.

    Parameters
    ----------
    model : Model
    cells : Cells
    noise : Tensor of shape (S, 1, K)
        Standard normal draws, the same for every row.
    plan : Plan
    bound : {"importance", "elbo"}
    """
    draw = posterior_draw(model, noise)

    def log_prob(model: Model, batch: Batch) -> Tensor:
        return bound_of(batch, weigh_rows(model, batch, draw, plan), bound)

    return map_rows(model, log_prob, cells, plan.ends[0])


def posterior_draw(model: Model, noise: Tensor) -> Draw:
    """Return what draws z from the posteriors of rows, by noise of shape (S, 1, K)."""

    def draw(outputs: Tensor, part: slice) -> tuple[Tensor, Tensor]:
        return model.posterior.draw_and_score(outputs, noise[part].to(outputs))

    return draw


def bound_of(batch: Batch, weighed: Weighed, bound: str = "importance") -> Tensor:
    """Return a bound on the log-density of weighed rows, (B,); 0 of empty rows."""
    scores = BOUNDS[bound](weighed.log_weights, weighed.n_draws)
    # Without an observed cell there is nothing to estimate.
    return scores if batch.empty is None else scores * ~batch.empty[:, 0]


def score_together(
    model: Model, batch: Batch, noise: Tensor, plan: Plan = SCORE_DRAWS
) -> Tensor:
    """Return the importance-weighted bound of `score_rows`, (B,), whatever the rows.

    Nothing that is done depends on how many rows there are, or on their cells, so that
    it can be written as a graph. Rows for which the first draws are not enough get all
    others together.

    Parameters
    ----------
    model : Model
    batch : Batch
    noise : Tensor of shape (S, 1, K)
    plan : Plan
    """
    first, *ends = plan.ends

    def drawn(outputs: Tensor, batch: Batch, noise: Tensor) -> Tensor:
        draws = model.posterior.draw_and_score(outputs, noise)
        return weigh(model, batch, *draws, model.fitted_prior).log_weights

    def bound(log_weights: Tensor) -> Tensor:
        n_draws = log_weights.new_tensor(len(log_weights))
        return BOUNDS["importance"](log_weights, n_draws)

    outputs = model.encode(batch)
    log_weights = drawn(outputs, batch, noise[:first])
    scores, wanting = bound(log_weights), ~plan.is_enough(log_weights)
    rest = outputs[wanting], batch.take(wanting), noise[first : plan.most]
    log_weights = torch.cat((log_weights[:, wanting], drawn(*rest)))
    others = bound(log_weights)
    for end in reversed(ends[:-1]):
        some = log_weights[:end]
        others = torch.where(plan.is_enough(some), bound(some), others)
    scores = scores.masked_scatter(wanting, others)
    return scores if batch.empty is None else scores * ~batch.empty[:, 0]
