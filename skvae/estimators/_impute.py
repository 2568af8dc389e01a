"""A model and rows with missing cells → imputed cells."""

import math
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from skvae._model import Model
from skvae._random import Stream, generator
from skvae.estimators._apply import map_rows
from skvae.likelihoods import LikelihoodModel
from skvae.objectives import Draws, weigh
from skvae.table import Batch, as_cells, content_hashes

DRAWS_AT_A_TIME = 1 << 14
"""Largest number of draws of z, over the rows of a chunk, that are decoded at once."""

PROPOSALS = ((0.0, 0.5), (0.5, 0.25), (1.0, 0.25))
"""Positions on the way from the posterior to the prior, and the fraction of the
proposals that is drawn at each."""

Statistic = Callable[[LikelihoodModel, Draws, Tensor], Tensor]
"""(likelihood, draws, weights) → one value of each cell, (B, D)."""


def propose(model: Model, batch: Batch, noise: Tensor) -> Draws:
    r"""Return draws of z for rows with missing cells, with their importance weights.

    Half of them are drawn from the encoder's posterior, others from its powers on the
    way to a standard normal, :math:`q_t \propto q^{1 - t} p^t`, and all are weighted by
    the density of the mixture: defensive importance sampling (Hesterberg 1995; Owen &
    Zhou 2000). Where the posterior is too narrow, as it may be for rows with more
    missing cells than in training, no draw then has all the weight. A posterior that is
    not normal is not widened.

    Parameters
    ----------
    model : Model
    batch : Batch
    noise : Tensor of shape (S, 1, K)
        Standard normal draws, the same for every row.
    """
    outputs, posterior = model.encode(batch), model.posterior
    if not posterior.is_normal:
        return weigh(model, batch, *posterior.draw_and_score(outputs, noise))
    moments = [_tempered(*posterior.moments(outputs), t) for t, _ in PROPOSALS]
    begins = np.cumsum([fraction for _, fraction in PROPOSALS[:-1]]) * len(noise)
    pieces = noise.tensor_split(begins.astype(int).tolist())
    z = torch.cat(
        [m + torch.exp(0.5 * v) * e for (m, v), e in zip(moments, pieces, strict=True)]
    )
    log_q = torch.stack(
        [
            math.log(max(len(e), 1e-9) / len(noise)) + _log_normal(z, m, v)
            for (m, v), e in zip(moments, pieces, strict=True)
        ]
    )
    return weigh(model, batch, z, torch.logsumexp(log_q, dim=0))


def _tempered(mean: Tensor, log_var: Tensor, t: float) -> tuple[Tensor, Tensor]:
    """Return mean and log-variance of q^(1 - t) p^t, for a standard normal p."""
    precision = (1.0 - t) * torch.exp(-log_var) + t
    return (1.0 - t) * torch.exp(-log_var) * mean / precision, -precision.log()


def _log_normal(z: Tensor, mean: Tensor, log_var: Tensor) -> Tensor:
    squares = (z - mean).square() * torch.exp(-log_var)
    return -0.5 * (squares + log_var + math.log(2 * math.pi)).sum(-1)


def weighted_mean(model: LikelihoodModel, draws: Draws, weights: Tensor) -> Tensor:
    """Return the expected cells: E[X given the observed cells]."""
    return model.average(draws.outputs, weights)


def best_mode(model: LikelihoodModel, draws: Draws, weights: Tensor) -> Tensor:
    """Return the most likely cells given the most likely of the draws of z."""
    best = draws.log_joint.argmax(0)
    outputs = draws.outputs[best, torch.arange(len(best), device=best.device)]
    return model.mode(outputs)


def weighted_median(model: LikelihoodModel, draws: Draws, weights: Tensor) -> Tensor:
    """Return the weighted medians of one draw of the cells for each draw of z."""
    # Rows use the same random numbers, so that none depends on the rows beside it.
    cells = torch.stack(
        [
            model.draw(outputs, generator(0, Stream.IMPUTATION, device=outputs.device))
            for outputs in draws.outputs.unbind(1)
        ],
        dim=1,
    )
    order = cells.argsort(0)
    sorted_weights = weights.unsqueeze(-1).expand_as(cells).gather(0, order)
    middle = (sorted_weights.cumsum(0) < 0.5).sum(0, keepdim=True)
    return cells.gather(0, order).gather(0, middle.clamp_max(len(cells) - 1))[0]


STATISTICS: dict[str, Statistic] = {
    "mean": weighted_mean,
    "median": weighted_median,
    "mode": best_mode,
}


def impute_once(
    model: Model, X: np.ndarray, noise: Tensor, statistic: str, coded: np.ndarray
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
    statistic : {"mean", "median", "mode"}
    coded : ndarray of int
        Positions of the columns of codes.
    """
    codes = torch.from_numpy(coded)

    def cells(model: Model, batch: Batch) -> Tensor:
        draws = propose(model, batch, noise.to(batch.x.dtype))
        weights = draws.log_weights.softmax(0)
        values = STATISTICS[statistic](model.likelihood, draws, weights)
        likely = model.likelihood.average(draws.outputs, weights).to(values)
        values[:, codes] = likely[:, codes]
        return values

    return _filled(model, cells, X, len(noise), 1)[0]


def impute_often(
    model: Model, X: np.ndarray, noise: Tensor, n_draws: int, seed: int
) -> np.ndarray:
    """Return draws of the missing cells given the observed ones, (n_draws, n, D).

    By sampling importance resampling (Rubin 1987): of the draws of z, some are drawn
    again by their weights, and a row is drawn from each. What a row gets follows from
    the seed and from its own observed cells.
    """

    def cells(model: Model, batch: Batch) -> Tensor:
        draws = propose(model, batch, noise.to(batch.x.dtype))
        weights = draws.log_weights.softmax(0)
        rows = []
        hashes = content_hashes(as_cells(batch.x.double().cpu().numpy()))
        for i, row in enumerate(hashes.tolist()):
            random = generator(seed, Stream.IMPUTATION, row, device=model.device)
            chosen = torch.multinomial(weights[:, i], n_draws, True, generator=random)
            rows.append(model.likelihood.draw(draws.outputs[chosen, i], random))
        return torch.stack(rows, dim=1)

    return _filled(model, cells, X, len(noise), n_draws)


def _filled(
    model: Model,
    cells: Callable[[Model, Batch], Tensor],
    X: np.ndarray,
    n_proposals: int,
    n_copies: int,
) -> np.ndarray:
    """Return copies of X, (n_copies, n, D), with missing cells taken from `cells`."""
    missing = np.isnan(X)
    incomplete = np.flatnonzero(missing.any(axis=1))
    filled = np.repeat(X[None], n_copies, axis=0)
    if not len(incomplete):
        return filled

    def rows_first(model: Model, batch: Batch) -> Tensor:
        return cells(model, batch).reshape(n_copies, *batch.x.shape).transpose(0, 1)

    n_rows = max(1, DRAWS_AT_A_TIME // n_proposals)
    values = map_rows(model, rows_first, as_cells(X[incomplete]), n_rows).swapaxes(0, 1)
    filled[:, incomplete] = np.where(
        missing[incomplete], values.astype(X.dtype), X[incomplete]
    )
    return filled
