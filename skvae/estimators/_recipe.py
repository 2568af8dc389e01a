"""The one place where "auto" becomes a number, from the shape of the data."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from skvae.networks import Network, Perceptron, as_network
from skvae.objectives import IWAE, Objective, Shape, as_objective
from skvae.priors import as_prior
from skvae.schedules import (
    LEARNING_RATE,
    Constant,
    Progress,
    Schedule,
    Weight,
    as_learning_rate,
    as_weight,
)
from skvae.training import Start


class Pace(NamedTuple):
    """How fast and how long a default fit trains.

    Attributes
    ----------
    n_steps : int
        Optimizer steps, if the number of epochs is within its bounds.
    learning_rate : float
        The largest one.
    patience : float
        Fraction of the epochs after which a fit without improvement ends.
    most_epochs : int
    batch_size : int
        Rows per step, if there are so many.
    hidden_fraction : float
        Largest fraction of the cells that is hidden, where cells are missing.
    """

    n_steps: int = 4000
    learning_rate: float = LEARNING_RATE
    patience: float = 0.2
    most_epochs: int = 300
    batch_size: int = 128
    hidden_fraction: float = 1.0


BOUND_PACE = Pace()
NEIGHBORS_PACE = Pace(2500, 0.004, 0.3)
"""A map has to move farther from where it starts."""

DENSITY_PACE = Pace(most_epochs=1000)
"""Densities of small tables still rise after 300 epochs."""

GAPS_PACE = Pace(2000, 0.006, most_epochs=150, batch_size=256, hidden_fraction=0.5)
"""With 8 draws it gives the errors of 128 rows, 300 epochs and 20 draws in a third of
the time, in the mean over ten tables."""

GAPS_OBJECTIVE = IWAE(n_draws=8)
"""No encoder is exact for every pattern of missing cells; this bound needs none."""

MANY_COLUMNS = 256
"""Beyond, a first layer moves as far with half the learning rate."""

MEAN_FRACTION, WEAK_MEAN_FRACTION = 0.4, 0.1
"""Fractions of the rows of a batch that are decoded at the mean of their posterior,
where the linear start is strong and where it is weak."""

MOST_IN_A_MAP = 3
"""Components up to which a latent space is a map by default."""


def n_epochs(n_rows: int, batch_size: int, n_steps: int, most: int = 300) -> int:
    """Return how many epochs take a number of steps, at least 10 and at most `most`."""
    return min(most, max(10, round(n_steps * batch_size / n_rows)))


def pace_of(
    params: Mapping[str, Any], objective: Objective, n_columns: int, missing: bool
) -> Pace:
    """Return how fast and how long a default fit with this objective trains."""
    if objective.neighborhood is None:
        if params["n_components"] != "auto":
            return BOUND_PACE
        return GAPS_PACE if missing and _is_auto(params["objective"]) else DENSITY_PACE
    if n_columns > MANY_COLUMNS:
        return NEIGHBORS_PACE._replace(learning_rate=LEARNING_RATE)
    return NEIGHBORS_PACE


def resolve(
    params: Mapping[str, Any], n_rows: int, missing: bool, pace: Pace = BOUND_PACE
) -> dict[str, Any]:
    """Return the settings of a fit, with every "auto" replaced by its formula.

    Parameters
    ----------
    params : mapping
        Parameters of an estimator.
    n_rows : int
        Number of distinct rows.
    missing : bool
        Whether rows of `fit` have missing cells.
    pace : Pace

    Returns
    -------
    settings : dict
        `learning_rate` (a schedule), `batch_size`, `validation_fraction`, `max_iter`,
        `n_iter_no_change`, `hidden_fraction`.
    """

    def given(name: str, auto: Any) -> Any:
        value = params[name]
        return auto if _is_auto(value) else value

    batch_size = min(int(given("batch_size", pace.batch_size)), n_rows)
    # Fewer than 200 rows cannot tell good states from lucky ones, but small sets cannot
    # spare as many.
    held_out = min(0.2, max(0.1, 200 / n_rows))
    epochs = n_epochs(n_rows, batch_size, pace.n_steps, pace.most_epochs)
    max_iter, hidden = int(given("max_iter", epochs)), pace.hidden_fraction * missing
    patience = max(10, int(pace.patience * max_iter))
    return {
        "learning_rate": as_learning_rate(given("learning_rate", pace.learning_rate)),
        "batch_size": batch_size,
        "validation_fraction": float(given("validation_fraction", held_out)),
        "max_iter": max_iter,
        "n_iter_no_change": int(given("n_iter_no_change", patience)),
        "hidden_fraction": float(given("hidden_fraction", hidden)),
    }


def resolve_networks(
    params: Mapping[str, Any], n_columns: int
) -> tuple[Network, Network]:
    """Return the specs of encoder and decoder.

    Parameters
    ----------
    params : mapping
        Parameters of an estimator.
    n_columns : int
        Number of columns of `X`.
    """
    encoder: Any = as_network(params["encoder"], "encoder")
    decoder: Any = as_network(params["decoder"], "decoder")
    short = {name: params[name] for name in ("hidden_layer_sizes", "activation")}
    if encoder is None and decoder is None:
        encoder = Perceptron(**short)
    else:
        _refuse_short_form(short, "decoder" if encoder is None else "encoder")
    encoder = decoder.mirrored() if encoder is None else encoder
    decoder = encoder.mirrored() if decoder is None else decoder
    return encoder.resolved(n_columns), decoder.resolved(n_columns)


def _is_auto(value: Any) -> bool:
    return isinstance(value, str) and value == "auto"


def _refuse_short_form(short: Mapping[str, Any], network: str) -> None:
    for name, value in short.items():
        if not _is_auto(value):
            raise ValueError(
                f"{name} must be 'auto' where {network} is given. Got {value!r}. Leave "
                f"it out, or give it to the network: {network}=Perceptron({name}=...)."
            )


def resolve_objective(params: Mapping[str, Any], missing: bool) -> Objective:
    """Return the objective, with numbers in it that may still be "auto".

    With `"auto"`, few normal components are a map, whose neighborhoods are looked at;
    but a linear encoder cannot unfold them. Components whose number is chosen are for
    density.

    Parameters
    ----------
    params : mapping
        Parameters of an estimator.
    missing : bool
        Whether rows of `fit` have missing cells.
    """
    objective, n_components = params["objective"], params["n_components"]
    if not _is_auto(objective):
        return as_objective(objective)
    if n_components == "auto":
        return GAPS_OBJECTIVE if missing else as_objective("elbo").for_density()
    encoder, _ = resolve_networks(params, n_columns=1)
    is_linear = getattr(encoder, "hidden_layer_sizes", None) == ()
    is_normal = as_prior(params["prior"]).posterior.is_normal
    is_map = n_components <= MOST_IN_A_MAP and is_normal and not is_linear
    return as_objective("neighbors" if is_map else "elbo")


def resolve_loss(
    objective: str | Objective,
    beta: str | float | Schedule | Weight,
    start: Start,
    is_linear: bool,
    shape: Shape,
) -> tuple[Objective, Schedule | Weight]:
    """Return the objective and the weight of its KL term.

    Parameters
    ----------
    objective : str or Objective
    beta : "auto", float, Schedule or Weight
        Parameters of an estimator.
    start : Start
        What training starts from.
    is_linear : bool
        Whether the model stays linear: then reconstructions gain nothing from giving up
        density.
    shape : Shape
        That of the fit.
    """
    objective = as_objective(objective)
    fraction = WEAK_MEAN_FRACTION if start.is_weak else MEAN_FRACTION
    is_auto = isinstance(beta, str)
    if not is_auto and "kl" not in objective.names:
        raise ValueError(
            f"beta must be 'auto' with objective={objective!r}, which has no KL term. "
            f"Got {beta!r}. Leave beta out, or use an objective with that term."
        )
    trades = is_auto and start.is_exact and not is_linear
    objective = objective.resolved(fraction if trades else 0.0, shape)
    value: Any = objective.default_beta(start.is_weak) if is_auto else beta
    value = value if isinstance(value, Schedule | Weight) else Constant(float(value))
    _check_beta(objective, value)
    return objective, value


def _check_beta(objective: Objective, beta: Schedule | Weight) -> None:
    """Raise ValueError if the loss would have no useful lower bound."""
    weight = as_weight(beta)
    ends = (Progress(epoch, 1.0) for epoch in (0.0, 1.0))
    values = (weight.value(weight.start(), end) for end in ends)
    least = min(weight.least, *values)
    if least < objective.least_beta:
        raise ValueError(
            f"objective={objective!r} requires beta >= {objective.least_beta:g} "
            f"throughout. Got {beta!r}, which is {least:g} at one end. Use "
            f"beta={objective.least_beta}, or objective='elbo'."
        )
