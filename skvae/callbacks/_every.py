"""How often something is to be done: after so many epochs, or so much time."""

import re
from collections.abc import Callable
from numbers import Integral
from typing import Any

SECONDS = {"s": 1.0, "min": 60.0, "h": 3600.0}
"""Units of time."""

PERIOD = re.compile(rf"(\d+(?:\.\d+)?) ?({'|'.join(SECONDS)})")


def due_after(every: Any) -> Callable[[int, float], bool]:
    """Return whether it is time, given numbers of epochs and seconds since the last.

    Parameters
    ----------
    every : int or str
        A number of epochs, or a time, such as `"30s"`, `"5min"` or `"1.5h"`.

    Raises
    ------
    ValueError
        If it is neither.
    """
    said = PERIOD.fullmatch(every) if isinstance(every, str) else None
    if said is not None and (seconds := float(said[1]) * SECONDS[said[2]]) > 0.0:
        return lambda n_epochs, passed: passed >= seconds
    is_number = isinstance(every, Integral) and not isinstance(every, bool)
    if is_number and every >= 1:
        return lambda n_epochs, passed: n_epochs % int(every) == 0
    raise ValueError(
        "every must be a positive number of epochs, or a time such as '30s', '5min' or "
        f"'1.5h'. Got {every!r}."
    )
