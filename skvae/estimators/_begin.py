"""The description of a model, and rows → the model that training begins with."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch

from skvae._model import Architecture, Model
from skvae.estimators._sampler import fit_sampler
from skvae.likelihoods import Likelihood
from skvae.objectives import Objective
from skvae.table import Batches, Rows
from skvae.training import NUMBERS, Start, Unfinished, best_number, mean_loss, start

LEAST_ROWS_TO_HOLD_OUT = 10
"""With fewer distinct rows than this, none are held out."""

Split = tuple[Rows, Rows | None]
"""Training rows, and held-out rows or None."""


class Begun(NamedTuple):
    """The description of a model, the model at its start, and what the start is."""

    architecture: Architecture
    model: Model
    start: Start


def begin(
    architecture: Architecture,
    likelihoods: Sequence[Likelihood],
    rows: Rows,
    split: Split,
    objective: Objective,
    seed: int,
) -> Begun:
    """Return a model at its start.

    Parameters
    ----------
    architecture : Architecture
        With the number of components, or 0 if it is to be chosen.
    likelihoods : sequence of Likelihood
        The likelihood, and others to choose from if the number is to be chosen and the
        first does not round draws, as others would not.
    rows : Rows
        All rows, of which the likelihood learns statistics.
    split : tuple of Rows
    objective : Objective
        The loss by which starts are compared.
    seed : int
    """
    if architecture.n_components:
        model = architecture.build(seed)
        model.likelihood.fit_statistics(rows)
        return Begun(architecture, model, start(model, split[0], objective))
    known = rows, split, objective, seed
    architecture = architecture._replace(n_components=max(NUMBERS))
    first = _with_number(architecture, likelihoods[0], *known)
    if len(likelihoods) == 1 or first.model.likelihood.rounds_draws:
        return first
    others = (_with_number(architecture, one, *known) for one in likelihoods[1:])
    tried = [first, *others]
    return min(tried, key=lambda begun: _loss_with_sampler(begun, *known[1:]))


def take_up(begun: Begun, unfinished: Unfinished | None) -> Begun:
    """Return the same, as it was where a run that goes on had begun."""
    if unfinished is None:
        return begun
    unfinished.restore(begun.model)
    return begun._replace(start=unfinished.start)


def _with_number(
    architecture: Architecture,
    likelihood: Likelihood,
    rows: Rows,
    split: Split,
    objective: Objective,
    seed: int,
) -> Begun:
    """Return the start with the best number of components."""
    architecture = architecture._replace(likelihood=likelihood)
    model = architecture.build(seed)
    model.likelihood.fit_statistics(rows)
    number, built = best_number(model, *split, objective), model.likelihood
    architecture = architecture._replace(n_components=number)
    model = architecture.build(seed)
    model.likelihood = built
    return Begun(architecture, model, start(model, split[0], objective))


def _loss_with_sampler(
    begun: Begun, split: Split, objective: Objective, seed: int
) -> float:
    """Return the held-out loss of a start whose z come from a mixture.

    A linear model with a mixture is a mixture: the better it is, the better columns go
    together in the units that their likelihood gives them.
    """
    model, own = begun.model, begun.model.prior
    train, held_out = split

    def batches(rows: Rows) -> Batches:
        prepare, cpu = model.likelihood.prepare, torch.device("cpu")
        return Batches.from_rows(rows, prepare, cpu, len(rows))

    checked = None if held_out is None else batches(held_out)
    known = begun.architecture.prior, model, batches(train), checked
    _, sampler = fit_sampler("mixture", *known, seed)
    model.prior = sampler or own
    loss = mean_loss(model, held_out or train, objective.bound())
    model.prior = own
    return loss


def split_of(rows: Rows, fraction: float, holds_out: bool) -> Split:
    """Return training rows, and held-out rows if there are to be some."""
    if not holds_out or len(rows) < LEAST_ROWS_TO_HOLD_OUT:
        return rows, None
    n_held_out = max(1, round(fraction * len(rows)))
    return rows.split(min(n_held_out, len(rows) - 1))


def shown_of(
    train: Rows, held_out: Rows | None, settings: Mapping[str, Any]
) -> Rows | None:
    """Return training rows for the curves, where training itself hides cells.

    They are as many as are held out, and chosen in the same way.
    """
    if not settings["hidden_fraction"]:
        return None
    n_rows = settings["batch_size"] if held_out is None else len(held_out)
    return train.take(train.spread(min(n_rows, len(train))))


def batches_of(
    model: Model, rows: Rows | None, size: int, neighbors: Any
) -> Batches | None:
    """Return rows as batches on the model's device, or None without rows."""
    if rows is None:
        return None
    likelihood = model.likelihood
    prepare = None if likelihood.keeps_units else likelihood.prepare
    return Batches.from_rows(rows, prepare, model.device, size, neighbors)
