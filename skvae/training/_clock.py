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
        self.n_before = 0

    def start(self, n_epochs: int = 0) -> None:
        """Go on counting from here, where so many epochs have been done."""
        self.before, self.began = self.seconds, time.monotonic()
        self.n_before = n_epochs

    @property
    def seconds(self) -> float:
        """Time so far."""
        if self.began is None:
            return self.before
        return self.before + time.monotonic() - self.began

    def report(self, n_epochs: int, most: int) -> str:
        """Return how long the epochs so far have taken, and how long others may take.

        The others are taken to be as long as those since the start.

        Parameters
        ----------
        n_epochs : int
            Epochs so far, more than at the start.
        most : int
            Epochs that the run may have.
        """
        seconds = self.seconds
        pace = (seconds - self.before) / (n_epochs - self.n_before)
        left = min(pace * (most - n_epochs), max(0.0, self.max_time - seconds))
        return f"{in_words(seconds)}, at most {in_words(left)} left"

    @property
    def is_late(self) -> bool:
        """Whether the time is over."""
        return self.seconds >= self.max_time


def in_words(seconds: float) -> str:
    """Return a time to two digits or so, as "4.2 s", "3 min 20 s" or "2 h 5 min"."""
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60} min"
