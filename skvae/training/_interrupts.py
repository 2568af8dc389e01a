"""What Ctrl-C does to a fit: it ends the fit, or whatever goes on around it."""

import math
import time
import warnings

SECONDS = 60.0
"""Time after a Ctrl-C that ended a fit, within which another one is the second."""


class Interrupts:
    """When a fit of this process was last ended by Ctrl-C."""

    def __init__(self) -> None:
        self.last = -math.inf

    def is_second(self) -> bool:
        """Take note of a Ctrl-C; return whether another one came shortly before."""
        now = time.monotonic()
        is_second = now - self.last < SECONDS
        # One that follows the second is a first one again.
        self.last = -math.inf if is_second else now
        return is_second


INTERRUPTS = Interrupts()


def end_fit(interrupt: KeyboardInterrupt, may_end: bool) -> None:
    """Let Ctrl-C end a fit with a warning, or raise it again.

    Parameters
    ----------
    interrupt : KeyboardInterrupt
        The exception that is being handled.
    may_end : bool
        Whether there is something to keep, and nothing is known to go on afterwards.
    """
    if not may_end or INTERRUPTS.is_second():
        raise interrupt
    warnings.warn(
        "Training interrupted by user; the last whole epoch is kept. A second Ctrl-C "
        f"within {SECONDS:.0f} seconds raises KeyboardInterrupt.",
        stacklevel=4,
    )
