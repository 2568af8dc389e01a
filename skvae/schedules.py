"""How a weight changes while training.

A schedule maps the progress of a fit to a value. `learning_rate=` takes one as a
factor of `learning_rate_init`; `beta=` takes one as the weight of the KL term.
"""

import math
from numbers import Real
from typing import Any

from sklearn.base import BaseEstimator

__all__ = ["Constant", "Cosine", "OneCycle", "Schedule", "WarmUp"]


class Schedule(BaseEstimator):
    """Base of all schedules: a call gives the value at a moment of the fit."""

    _parts: tuple[str, ...] = ()
    """Parameters that are a part of the fit, in [0, 1]."""

    def __call__(self, epoch: float, n_epochs: int) -> float:
        """Return the value at `epoch`.

        Parameters
        ----------
        epoch : float
            Epochs done so far; fractions count the steps within an epoch.
        n_epochs : int
            The most epochs that the fit may take (`max_iter`).

        Returns
        -------
        value : float
        """
        raise NotImplementedError


class Constant(Schedule):
    """The same value throughout.

    Parameters
    ----------
    value : float, default=1.0
        The value.

    Examples
    --------
    >>> Constant(4.0)(epoch=3, n_epochs=10)
    4.0
    """

    def __init__(self, value: float = 1.0) -> None:
        self.value = value

    def __call__(self, epoch: float, n_epochs: int) -> float:
        """Return `value`."""
        return self.value


class WarmUp(Schedule):
    r"""Rise linearly from zero to a value over the first part of a fit, then stay.

    .. math:: b(t) = b \min(1, t / t_0)

    with :math:`t` the part of the fit that is done. As `beta=`, this is the KL warm-up
    of Sønderby et al. [1]_: components find a use before the KL term can switch them
    off.

    Parameters
    ----------
    part : float, default=0.5
        Part :math:`t_0` of the fit, in [0, 1], spent rising.
    value : float, default=1.0
        The value :math:`b` that is reached.

    References
    ----------
    .. [1] Sønderby, Raiko, Maaløe, Sønderby & Winther (2016). Ladder variational
       autoencoders. NeurIPS. https://arxiv.org/abs/1602.02282

    Examples
    --------
    >>> WarmUp(part=0.4)(epoch=1, n_epochs=10)
    0.25
    """

    _parts = ("part",)

    def __init__(self, part: float = 0.5, value: float = 1.0) -> None:
        self.part = part
        self.value = value

    def __call__(self, epoch: float, n_epochs: int) -> float:
        """Return the value at `epoch`."""
        risen = epoch / n_epochs
        return self.value * (risen / self.part if risen < self.part else 1.0)


class Cosine(Schedule):
    r"""Rise linearly for a short while, then fall along half a cosine.

    .. math:: \eta(t) = \tfrac12 (1 + \cos \pi t)

    with :math:`t` the part of the fall that is done [1]_, equation 5 without
    restarts.

    Parameters
    ----------
    warm_up : float, default=0.05
        Part of the fit, in [0, 1), spent rising.
    final : float, default=0.0
        Value at the end.

    References
    ----------
    .. [1] Loshchilov & Hutter (2017). SGDR: Stochastic gradient descent with warm
       restarts. ICLR. https://arxiv.org/abs/1608.03983

    Examples
    --------
    >>> round(Cosine(warm_up=0.0)(epoch=5, n_epochs=10), 3)
    0.5
    """

    _parts = ("warm_up",)

    def __init__(self, warm_up: float = 0.05, final: float = 0.0) -> None:
        self.warm_up = warm_up
        self.final = final

    def __call__(self, epoch: float, n_epochs: int) -> float:
        """Return the factor at `epoch`."""
        done = min(1.0, epoch / n_epochs)
        if done < self.warm_up:
            return done / self.warm_up
        fallen = (done - self.warm_up) / max(1.0 - self.warm_up, 1e-9)
        return self.final + (1.0 - self.final) * 0.5 * (
            1.0 + math.cos(math.pi * fallen)
        )


class OneCycle(Schedule):
    """Rise to the peak along half a cosine, then fall far below the start.

    Parameters
    ----------
    peak : float, default=0.3
        Part of the fit, in (0, 1), at which the factor is 1.
    start : float, default=0.04
        Factor at the beginning.
    final : float, default=0.0001
        Factor at the end.

    References
    ----------
    .. [1] Smith & Topin (2019). Super-convergence: very fast training of neural
       networks using large learning rates. https://arxiv.org/abs/1708.07120

    Examples
    --------
    >>> OneCycle()(epoch=3, n_epochs=10)
    1.0
    """

    _parts = ("peak",)

    def __init__(
        self, peak: float = 0.3, start: float = 0.04, final: float = 0.0001
    ) -> None:
        self.peak = peak
        self.start = start
        self.final = final

    def __call__(self, epoch: float, n_epochs: int) -> float:
        """Return the factor at `epoch`."""
        done = min(1.0, epoch / n_epochs)
        if done < self.peak:
            low, risen = self.start, done / self.peak
        else:
            low, risen = self.final, (1.0 - done) / max(1.0 - self.peak, 1e-9)
        return low + (1.0 - low) * 0.5 * (1.0 - math.cos(math.pi * risen))


LEARNING_RATES: dict[str, Schedule] = {
    "constant": Constant(),
    "cosine": Cosine(),
    "one_cycle": OneCycle(),
}


def as_schedule(value: Any) -> Schedule:
    """Return a schedule from a schedule, the name of one, or a number.

    Raises
    ------
    ValueError
        If a value or a part of the schedule is out of range.
    """
    if isinstance(value, str):
        return LEARNING_RATES[value]
    schedule = value if isinstance(value, Schedule) else Constant(float(value))
    ours = type(schedule).__module__ == __name__
    for name, number in schedule.get_params().items() if ours else ():
        most = 1.0 if name in schedule._parts else math.inf
        valid = isinstance(number, Real) and math.isfinite(number)
        if not valid or not 0.0 <= number <= most:
            raise ValueError(
                f"{name} of {schedule!r} must be a number in [0, {most:g}]. Got "
                f"{number!r}."
            )
    return schedule
