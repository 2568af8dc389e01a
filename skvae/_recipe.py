"""The one place where "auto" becomes a number, from the shape of the data."""

from collections.abc import Mapping
from numbers import Integral
from typing import Any

from skvae.schedules import Constant, Schedule, WarmUp, as_schedule

N_STEPS = 4000
"""Optimizer steps that a default fit may take, if epochs stay within the bounds."""

CODE_SHARE, WEAK_CODE_SHARE = 0.4, 0.1
"""Shares of the rows of a batch that are decoded at the mean of their posterior, where
the linear start is strong and where it is weak."""

MASK_FRACTION = 1.0
"""Part of the observed cells that a default fit masks, where cells are missing."""

LEAST_SIGNAL = 2.0
"""Largest eigenvalue over noise below which a linear start is weak."""


def resolve(params: Mapping[str, Any], n_rows: int, n_columns: int) -> dict[str, Any]:
    """Return the settings of a fit, with every "auto" replaced by its formula.

    Parameters
    ----------
    params : mapping
        Parameters of an estimator.
    n_rows : int
        Number of distinct rows.
    n_columns : int
        Number of columns.

    Returns
    -------
    settings : dict
        `hidden_layer_sizes`, `activation`, `learning_rate` (a schedule),
        `learning_rate_init`, `batch_size`, `validation_fraction`, `max_iter`,
        `n_iter_no_change`.
    """

    def given(name: str, auto: Any) -> Any:
        value = params[name]
        return auto if isinstance(value, str) and value == "auto" else value

    width = min(256, max(128, 2 * n_columns))
    hidden = given("hidden_layer_sizes", (width, width, width))
    hidden = (hidden,) if isinstance(hidden, Integral) else tuple(hidden)
    for size in hidden:
        if not isinstance(size, Integral) or size < 1:
            raise ValueError(
                "hidden_layer_sizes must be positive integers, one per layer, or () "
                f"for a linear model. Got {size!r}."
            )
    batch_size = min(int(given("batch_size", 128)), n_rows)
    # At least 200 rows tell good states from lucky ones, as far as they can be spared.
    held_out = min(0.2, max(0.1, 200 / n_rows))
    epochs = min(300, max(10, round(N_STEPS * batch_size / n_rows)))
    max_iter = int(given("max_iter", epochs))
    return {
        "hidden_layer_sizes": tuple(map(int, hidden)),
        "activation": given("activation", "gelu"),
        "learning_rate": as_schedule(given("learning_rate", "one_cycle")),
        "learning_rate_init": float(given("learning_rate_init", 2e-3)),
        "batch_size": batch_size,
        "validation_fraction": float(given("validation_fraction", held_out)),
        "max_iter": max_iter,
        "n_iter_no_change": int(given("n_iter_no_change", max(10, max_iter // 5))),
    }


def resolve_mask_fraction(mask_fraction: Any, misses: bool) -> float:
    """Return the part of the observed cells that training masks.

    Parameters
    ----------
    mask_fraction : "auto" or float
        Parameter of an estimator.
    misses : bool
        Whether rows of `fit` have missing cells.
    """
    if isinstance(mask_fraction, str):
        return MASK_FRACTION if misses else 0.0
    return float(mask_fraction)


def resolve_weights(
    beta: Any, code_share: Any, signal_to_noise: float | None, trades: bool
) -> tuple[Schedule, float]:
    """Return the schedule of the KL term's weight, and the share of code rows.

    Parameters
    ----------
    beta : "auto", float or Schedule
    code_share : "auto" or float
        Parameters of an estimator.
    signal_to_noise : float or None
        Largest eigenvalue over the noise of the linear start, if there was one. Near
        1 the start holds noise only: a KL term of full weight would keep it there, and
        hardly any density can be had in exchange for reconstructions.
    trades : bool
        Whether density may be given for better reconstructions by default.
    """
    is_weak = signal_to_noise is not None and signal_to_noise <= LEAST_SIGNAL
    if isinstance(code_share, str):
        share = WEAK_CODE_SHARE if is_weak else CODE_SHARE
        code_share = share if trades and isinstance(beta, str) else 0.0
    if not isinstance(beta, str):
        return as_schedule(beta), float(code_share)
    weight = 1.0 - code_share
    schedule = WarmUp(value=weight) if is_weak else Constant(weight)
    return schedule, float(code_share)
