"""A model and rows → log-densities of their single cells."""

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor

from skvae._model import Model
from skvae.estimators._apply import map_rows
from skvae.estimators._draws import Plan, doubling, weigh_rows
from skvae.estimators._impute import FEW, MANY, Proposals
from skvae.estimators._score import bound_of, is_tight, posterior_draw
from skvae.objectives import Draws
from skvae.table import Batch, Cells


class MeanCells:
    """Log-densities of each row's cells, averaged over draws of z that come in pieces.

    Parameters
    ----------
    model : Model
    batch : Batch
    """

    def __init__(self, model: Model, batch: Batch) -> None:
        self.likelihood, self.x = model.likelihood, batch.x
        if batch.observed is not None:
            self.x = self.likelihood.fill(batch.x, batch.observed)
        shape: Any = len(batch), 1
        self.largest = self.x.new_full(shape, -math.inf, dtype=torch.float64)
        self.total = torch.zeros_like(self.largest)
        self.sums = torch.zeros_like(self.x, dtype=torch.float64)

    def __call__(self, rows: Tensor, draws: Draws) -> None:
        """Take in draws of some of the rows."""
        # Relative to the largest so far, weights can be summed.
        log_weights, before = draws.log_weights.double(), self.largest[rows]
        largest = torch.maximum(before, log_weights.amax(0)[:, None])
        shrink = torch.exp(before - largest)
        weights = torch.exp(log_weights - largest[:, 0])
        cells = self.likelihood.cell_log_prob(draws.outputs, self.x[rows]).double()
        added = torch.einsum("sb,sbd->bd", weights, cells)
        self.largest[rows] = largest
        self.total[rows] = shrink * self.total[rows] + weights.sum(0)[:, None]
        self.sums[rows] = shrink * self.sums[rows] + added

    def means(self) -> Tensor:
        """Return the weighted means, (B, D)."""
        return self.sums / self.total


def explain_rows(model: Model, cells: Cells, noise: Tensor, plan: Plan) -> np.ndarray:
    """Return what each cell and z contribute to the surprise of rows, (n, D + 1).

    The sum of a row is minus what `score_rows` gives for the same noise and plan.

    Parameters
    ----------
    model : Model
    cells : Cells
    noise : Tensor of shape (S, 1, K)
        Standard normal draws, the same for every row.
    plan : Plan
    """
    draw = posterior_draw(model, noise)

    def contributions(model: Model, batch: Batch) -> Tensor:
        mean = MeanCells(model, batch)
        weighed = weigh_rows(model, batch, draw, plan, mean)
        whole = -bound_of(batch, weighed).double()
        each = -mean.means()
        if batch.observed is not None:
            each = torch.where(batch.observed, each, 0.0)
        return torch.cat((each, (whole - each.sum(-1))[:, None]), dim=1)

    return map_rows(model, contributions, cells, plan.ends[0])


HIDDEN_DRAWS = Plan(doubling(FEW, MANY), is_tight)
"""How many draws of z a row without one of its cells takes."""


def surprise_rows(
    model: Model, cells: Cells, noise: Tensor, whole: np.ndarray
) -> np.ndarray:
    r"""Return -log p of each cell given the others of its row, (n, D).

    .. math:: -\log p(x_j \mid x_o) = \log p(x_o) - \log p(x)

    for the other cells :math:`x_o`, with the cell hidden from the encoder. An error of
    the second term is the same for all cells of a row, and does not move their order.

    Parameters
    ----------
    model : Model
    cells : Cells
    noise : Tensor of shape (S, 1, K)
        Standard normal draws, the same for every row.
    whole : ndarray of shape (n,)
        Log-densities of the rows.
    """

    def of_others(model: Model, batch: Batch) -> Tensor:
        columns = range(model.likelihood.n_features)
        return torch.stack([_without(model, batch, j, noise) for j in columns], dim=1)

    return map_rows(model, of_others, cells, FEW) - whole[:, None]


def _without(model: Model, batch: Batch, column: int, noise: Tensor) -> Tensor:
    """Return log p of rows without a column's cells, (B,); NaN where they have none."""
    seen = torch.ones(len(batch), dtype=torch.bool, device=model.device)
    if batch.observed is not None:
        seen = batch.observed[:, column]
    hidden = torch.zeros_like(batch.x, dtype=torch.bool)
    hidden[:, column] = True
    others = batch.hide(hidden).take(seen)
    weighed = weigh_rows(model, others, Proposals(model, noise), HIDDEN_DRAWS)
    scores = bound_of(others, weighed)
    return batch.x.new_full(seen.shape, math.nan).masked_scatter(seen, scores)


def less_usual(contributions: np.ndarray, usual: np.ndarray) -> np.ndarray:
    """Return contributions (n, D) less those that are usual of each column, (D,).

    A cell without any, as a missing one, stays so.
    """
    less = np.where(contributions == 0.0, 0.0, contributions - usual)
    return less.astype(contributions.dtype)
