"""A training run: start, step, loop, acceptance and state."""

from skvae.training._acceptance import Start
from skvae.training._interrupts import end_fit
from skvae.training._loop import Plan, Training
from skvae.training._neighbors import neighbors_of
from skvae.training._optimizers import SOLVERS
from skvae.training._posteriors import posteriors_of
from skvae.training._start import NUMBERS as NUMBERS
from skvae.training._start import best_number, mean_loss, start
from skvae.training._state import Saved
from skvae.training._unfinished import Unfinished, copied

__all__ = [
    "SOLVERS",
    "Plan",
    "Saved",
    "Start",
    "Training",
    "Unfinished",
    "best_number",
    "copied",
    "end_fit",
    "mean_loss",
    "neighbors_of",
    "posteriors_of",
    "start",
]
