"""What a run that ended says of its outcome."""

import math
import warnings
from typing import Any

from sklearn.exceptions import ConvergenceWarning

from skvae.objectives import Objective
from skvae.schedules import Progress
from skvae.training._state import TrainingState


def _warn(text: str) -> None:
    warnings.warn(text, ConvergenceWarning, stacklevel=4)


def warn_of_start(objective: Objective) -> None:
    """Warn where an objective other than the start's own has changed nothing."""
    if objective.max_r2_loss < math.inf:
        _warn(
            "The model stays at PCA. Training found no state with a lower held-out "
            f"loss that explains at most {objective.max_r2_loss:g} less of the "
            "variance of held-out rows. Raise max_iter, or max_r2_loss of the "
            "objective."
        )


def warn_of_infinite_loss(state: TrainingState, slowdown: float, goes_on: bool) -> None:
    """Warn of an epoch that was undone, and say what follows."""
    what = f"goes on from there with a learning rate {1 / slowdown:.0f} times lower"
    _warn(
        f"The loss was not finite in epoch {state.counters.n_epochs + 1}. The epoch "
        f"before is restored, and training {what if goes_on else 'ends there'}. Lower "
        "learning_rate to avoid this."
    )


def warn_of_weights(state: TrainingState, plan: Any) -> None:
    """Warn of weights that let no state be returned: the last one is."""
    if state.kept.theta is not None:
        return
    end = Progress(1.0, 1.0)
    for name, weight in plan.weights.items():
        now = state.counters.weights[name]
        if weight.accepts(now):
            continue
        terms = state.history.terms.items()
        last = ", ".join(f"{term} {curve[-1]:.4g}" for term, curve in terms)
        _warn(
            f"{weight!r}, the weight of {name!r}, has not held its target. It ends at "
            f"{weight.value(now, end):.3g}, with the terms {last}. Raise max_iter, or "
            "choose a target between the values that the term has with a small and a "
            "large constant weight."
        )


def warn_if_improving(state: TrainingState, plan: Any) -> None:
    """Warn where the last tenth of the epochs still improved by more than `tol`."""
    losses, n_epochs = state.kept.losses, state.counters.n_epochs
    window = max(1, n_epochs // 10)
    if plan.tol is None or len(losses) <= window:
        return
    gain = min(losses[:-window]) - min(losses[-window:])
    if gain <= plan.tol * window:
        return
    reached, limit = f"Maximum iterations ({plan.max_iter}) reached", "max_iter"
    if n_epochs < plan.max_iter:
        after = f"after {n_epochs} of at most {plan.max_iter} epochs"
        reached, limit = f"Maximum time ({plan.max_time:g} s) over {after}", "max_time"
    _warn(
        f"{reached} and the loss still improves: by {gain:.2g} nats per row in the "
        f"last {window} epochs. Raise {limit}, or tol if this is good enough."
    )
