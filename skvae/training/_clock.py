"""The time that a run takes."""

import math
import time


class Clock:
    """Counts the time of epochs, those before an interruption included.

    Nothing but the end of a run with `max_time` depends on it.

    Parameters
    ----------
    max_time : float or None
        Seconds after which it is late.
    """

    def __init__(self, max_time: float | None) -> None:
        self.max_time = math.inf if max_time is None else max_time
        self.before = 0.0
        self.began: float | None = None

    def start(self) -> None:
        """Go on counting from here."""
        self.before, self.began = self.seconds, time.monotonic()

    @property
    def seconds(self) -> float:
        """Time so far."""
        if self.began is None:
            return self.before
        return self.before + time.monotonic() - self.began

    @property
    def is_late(self) -> bool:
        """Whether the time is over."""
        return self.seconds >= self.max_time
