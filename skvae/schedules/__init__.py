"""Term weights and learning rates: constant, scheduled, or controlled.

A schedule maps the progress of a fit to a value: `learning_rate=` takes one as the
rate, `beta=` and `weight=` as the weight of a term of the loss. A controller is a
`Weight` with a state, which it updates from the terms that it watches.
"""

from skvae.schedules._controllers import GECO, ControlVAE, StallDecay
from skvae.schedules._schedules import (
    LEARNING_RATE as LEARNING_RATE,
)
from skvae.schedules._schedules import (
    Constant,
    Cosine,
    Cyclical,
    OneCycle,
    Schedule,
    WarmUp,
)
from skvae.schedules._schedules import (
    as_learning_rate as as_learning_rate,
)
from skvae.schedules._weights import Progress as Progress
from skvae.schedules._weights import Weight
from skvae.schedules._weights import as_weight as as_weight
from skvae.schedules._weights import require as require

__all__ = [
    "GECO",
    "Constant",
    "ControlVAE",
    "Cosine",
    "Cyclical",
    "OneCycle",
    "Schedule",
    "StallDecay",
    "WarmUp",
    "Weight",
]
