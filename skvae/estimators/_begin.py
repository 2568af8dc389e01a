"""The description of a model, and rows → the model that training begins with."""

from skvae._model import Architecture, Model
from skvae.objectives import Objective
from skvae.table import Rows
from skvae.training import Start, best_number, start


def begin(
    architecture: Architecture,
    rows: Rows,
    split: tuple[Rows, Rows | None],
    objective: Objective,
    seed: int,
    chooses: bool,
) -> tuple[Architecture, Model, Start]:
    """Return the description, the model at its start, and what the start is.

    Parameters
    ----------
    architecture : Architecture
    rows : Rows
        All rows, of which the likelihood learns statistics.
    split : tuple of Rows
        Training rows, and held-out rows or None.
    objective : Objective
        The loss by which starts are compared.
    seed : int
    chooses : bool
        Whether the number of components is the largest one, to be chosen from.
    """
    model = architecture.build(seed)
    model.likelihood.fit_statistics(rows)
    if chooses:
        number, likelihood = best_number(model, *split, objective), model.likelihood
        architecture = architecture._replace(n_components=number)
        model = architecture.build(seed)
        model.likelihood = likelihood
    return architecture, model, start(model, split[0], objective)
