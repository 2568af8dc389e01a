"""A model and rows with missing cells → imputed cells."""

import math
from collections.abc import Callable, Iterator
from itertools import count
from typing import Any

import numpy as np
import torch
from torch import Tensor

from skvae._model import Model
from skvae._random import Stream, generator
from skvae.estimators._apply import map_rows, most_at_once
from skvae.estimators._draws import Plan, Weighed, doubling, n_effective, weigh_rows
from skvae.objectives import Draws
from skvae.table import Batch, as_cells, content_hashes, row_slices

PROPOSALS = ((0.0, 0.5), (0.5, 0.25), (1.0, 0.25))
"""Positions on the way from the posterior to the prior, and the fraction of the
proposals that is drawn at each."""

FEW, MANY = 64, 1024
"""The least number of proposals, which is doubled until it is enough, and the most."""

ENOUGH, ENOUGH_TO_DRAW = 16, 64
"""Effective numbers of draws that are enough for means, and to draw cells from."""

MEDIAN_DRAWS = 255
"""Number of draws of a cell whose median is filled in; odd, so that one of them is."""


class Proposals:
    r"""Draws of z for rows with missing cells, from more than the encoder's posterior.

    Half of them are drawn from the encoder's posterior, others from its powers on the
    way to a standard normal, :math:`q_t \propto q^{1 - t} p^t`, and all are weighted by
    the density of the mixture: defensive importance sampling (Hesterberg 1995; Owen &
    Zhou 2000). Where the posterior is too narrow, as it may be for rows with more
    missing cells than in training, no draw then has all the weight. A posterior that is
    not normal is not widened.

    Parameters
    ----------
    model : Model
    noise : Tensor of shape (S, 1, K)
        Standard normal draws, the same for every row.
    """

    def __init__(self, model: Model, noise: Tensor) -> None:
        self.posterior, self.noise = model.posterior, noise
        self.kinds = _kinds(len(noise)).to(noise.device)
        counts = torch.bincount(self.kinds, minlength=len(PROPOSALS)).double()
        self.log_fractions = (counts.clamp_min(1e-9) / len(noise)).log().tolist()

    def __call__(self, outputs: Tensor, part: slice) -> tuple[Tensor, Tensor]:
        """Return some of the draws of z, (S, B, K), and their log q, (S, B)."""
        noise = self.noise[part].to(outputs)
        if not self.posterior.is_normal:
            return self.posterior.draw_and_score(outputs, noise)
        q = self.posterior.moments(outputs)
        moments = [_tempered(*q, t) for t, _ in PROPOSALS]
        means, log_vars = zip(*moments, strict=True)
        kinds = self.kinds[part]
        z = torch.stack(means)[kinds]
        z = z + torch.exp(0.5 * torch.stack(log_vars)[kinds]) * noise
        log_q = [
            log_fraction + _log_normal(z, *of_kind)
            for log_fraction, of_kind in zip(self.log_fractions, moments, strict=True)
        ]
        return z, torch.stack(log_q).logsumexp(0)


def _kinds(n: int) -> Tensor:
    """Return which of `PROPOSALS` each of n draws is drawn from, (n,).

    They are divided anew whenever their number doubles: these pieces of a Sobol
    sequence fill the space evenly by themselves.
    """
    ends = [end for end in doubling(FEW, max(FEW, n)) if end < n]
    bounds = np.cumsum([fraction for _, fraction in PROPOSALS])
    at = [np.arange(size) / size for size in np.diff([0, *ends, n])]
    return torch.from_numpy(np.searchsorted(bounds, np.concatenate(at), "right"))


def _tempered(mean: Tensor, log_var: Tensor, t: float) -> tuple[Tensor, Tensor]:
    """Return mean and log-variance of q^(1 - t) p^t, for a standard normal p."""
    precision = (1.0 - t) * torch.exp(-log_var) + t
    return (1.0 - t) * torch.exp(-log_var) * mean / precision, -precision.log()


def _log_normal(z: Tensor, mean: Tensor, log_var: Tensor) -> Tensor:
    squares = (z - mean).square() * torch.exp(-log_var)
    return -0.5 * (squares + log_var + math.log(2 * math.pi)).sum(-1)


class Average:
    """The expected cells of each row, over draws of z that come in pieces.

    Attributes
    ----------
    cells : Tensor of shape (B, D)
        In the units of `X`; the most likely categories, and median levels.
    """

    def __init__(self, model: Model, n_rows: int) -> None:
        self.link, self.sums = model.likelihood.link(), list[Tensor]()
        kind: Any = {"dtype": torch.float64, "device": model.device}
        self.cells = torch.empty((n_rows, model.likelihood.n_features), **kind)
        self.largest = torch.full((n_rows,), -math.inf, **kind)
        self.total = torch.zeros((n_rows,), **kind)

    def __call__(self, rows: Tensor, draws: Draws) -> None:
        """Take in draws of some of the rows."""
        # Relative to the largest so far, weights can be summed.
        log_weights, before = draws.log_weights.double(), self.largest[rows]
        largest = torch.maximum(before, log_weights.amax(0))
        shrink, weights = torch.exp(before - largest), torch.exp(log_weights - largest)
        self.largest[rows] = largest
        self.total[rows] = shrink * self.total[rows] + weights.sum(0)
        slots = count()

        def mix(values: Tensor) -> Tensor:
            added = torch.einsum("sb,sb...->b...", weights, values.double())
            sums = self._sums(next(slots), added)
            sums[rows] = torch.einsum("b,b...->b...", shrink, sums[rows]) + added
            return torch.einsum("b,b...->b...", 1.0 / self.total[rows], sums[rows])

        self.cells[rows] = self.link.cells(draws.outputs, mix).double()

    def _sums(self, slot: int, like: Tensor) -> Tensor:
        """Return the sums that the link asks for as the first, second, ..."""
        if slot == len(self.sums):
            shape = len(self.cells), *like.shape[1:]
            self.sums.append(torch.zeros(shape, dtype=like.dtype, device=like.device))
        return self.sums[slot]


def draw_cells(
    model: Model, batch: Batch, weighed: Weighed, n_draws: int, seed: int
) -> Iterator[Tensor]:
    """Yield draws of all cells given the observed ones, (n_draws, D), row by row.

    By sampling importance resampling (Rubin 1987): of the draws of z, some are drawn
    again by their weights, and a row is drawn from each. What a row gets follows from
    the seed and from its own observed cells.
    """
    hashes = content_hashes(as_cells(batch.x.double().cpu().numpy())).tolist()
    weights = weighed.log_weights.softmax(0)
    for i, row in enumerate(hashes):
        random = generator(seed, Stream.IMPUTATION, row, device=model.device)
        chosen = torch.multinomial(weights[:, i], n_draws, True, generator=random)
        cells = []
        for piece in chosen.split(most_at_once(model)):
            points, which = piece.unique(return_inverse=True)
            outputs = model.decoder(weighed.z[points, i])
            cells.append(model.likelihood.draw(outputs[which], random))
        yield torch.cat(cells)


def _mean(model: Model, batch: Batch, weighed: Weighed, average: Average) -> Tensor:
    """Return the expected cells: E[X given the observed cells]."""
    return average.cells


def _mode(model: Model, batch: Batch, weighed: Weighed, average: Average) -> Tensor:
    """Return the most likely cells given the most likely of the draws of z."""
    best = weighed.log_joint.argmax(0)
    z = weighed.z[best, torch.arange(len(best), device=best.device)]
    return model.likelihood.mode(model.decoder(z))


def _median(model: Model, batch: Batch, weighed: Weighed, average: Average) -> Tensor:
    """Return medians of draws of the cells."""
    draws = draw_cells(model, batch, weighed, MEDIAN_DRAWS, seed=0)
    return torch.stack([cells.median(0).values for cells in draws])


STATISTICS = {"mean": _mean, "median": _median, "mode": _mode}


def plan_of(n_proposals: int | str, statistic: str = "mean", n_draws: int = 0) -> Plan:
    """Return how many draws of z a row gets.

    Parameters
    ----------
    n_proposals : int or "auto"
    statistic : {"mean", "median", "mode"}, default="mean"
        A median is that of cells that are drawn.
    n_draws : int, default=0
        How many of the draws of z are drawn again, if any.
    """
    is_drawn = n_draws or statistic == "median"
    enough = max(ENOUGH_TO_DRAW, n_draws) if is_drawn else ENOUGH
    auto = Plan(doubling(FEW, MANY), lambda weights: n_effective(weights) >= enough)
    return auto.of(n_proposals)


def impute_once(
    model: Model,
    X: np.ndarray,
    noise: Tensor,
    plan: Plan,
    statistic: str,
    coded: np.ndarray,
) -> np.ndarray:
    r"""Return one value for each missing cell, by self-normalized importance weights.

    .. math:: E[f(X) \mid x_o] \approx \sum_s w_s E[f(X) \mid z_s], \quad
        w_s \propto p(x_o \mid z_s)\, p(z_s) / q(z_s \mid x_o)

    (Mattei & Frellsen 2019, equation 12). Categories get the most likely one, levels
    the median, whatever the statistic.

    Parameters
    ----------
    model : Model
    X : ndarray of shape (n_samples, n_features)
        Numbers and codes; NaN is a missing cell.
    noise : Tensor of shape (S, 1, K)
    plan : Plan
    statistic : {"mean", "median", "mode"}
    coded : ndarray of int
        Positions of the columns of codes.
    """

    def cells(model: Model, batch: Batch) -> Tensor:
        average = Average(model, len(batch))
        use = average if statistic == "mean" or len(coded) else None
        weighed = weigh_rows(model, batch, Proposals(model, noise), plan, use)
        values = STATISTICS[statistic](model, batch, weighed, average).double()
        values[:, coded] = average.cells[:, coded]
        return values.unsqueeze(1)

    return _filled(model, cells, X, plan, 1)[0]


def impute_often(
    model: Model, X: np.ndarray, noise: Tensor, plan: Plan, n_draws: int, seed: int
) -> np.ndarray:
    """Return draws of the missing cells given the observed ones, (n_draws, n, D)."""

    def cells(model: Model, batch: Batch) -> Tensor:
        weighed = weigh_rows(model, batch, Proposals(model, noise), plan)
        return torch.stack([*draw_cells(model, batch, weighed, n_draws, seed)])

    return _filled(model, cells, X, plan, n_draws)


def _filled(
    model: Model,
    cells: Callable[[Model, Batch], Tensor],
    X: np.ndarray,
    plan: Plan,
    n_copies: int,
) -> np.ndarray:
    """Return copies of X with missing cells taken from `cells`, (B, n_copies, D)."""
    missing = np.isnan(X)
    incomplete = np.flatnonzero(missing.any(axis=1))
    filled = np.repeat(X[None], n_copies, axis=0)
    for part in row_slices(len(incomplete), n_copies * X.shape[1]):
        rows = incomplete[part]
        values = map_rows(model, cells, as_cells(X[rows]), plan.ends[0])
        values = values.swapaxes(0, 1).astype(X.dtype, copy=False)
        filled[:, rows] = np.where(missing[rows], values, X[rows])
    return filled
