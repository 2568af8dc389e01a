"""Schedules: values that follow from the progress of a fit alone."""

import math
from collections.abc import Mapping
from numbers import Integral, Real

from sklearn.base import BaseEstimator

LEARNING_RATE = 2e-3
"""Largest learning rate by default."""


class Schedule(BaseEstimator):
    """Base of all schedules: a call gives the value at a moment of the fit."""

    _largest: Mapping[str, float] = {}
    """Parameters that must be numbers from 0 up to these."""

    _counts: tuple[str, ...] = ()
    """Parameters that must be positive integers."""

    def __call__(self, epoch: float, n_epochs: float) -> float:
        """Return the value at `epoch`.

        Parameters
        ----------
        epoch : float
            Epochs done so far; fractions count the steps within an epoch.
        n_epochs : float
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

    _largest = {"value": math.inf}

    def __init__(self, value: float = 1.0) -> None:
        self.value = value

    def __call__(self, epoch: float, n_epochs: float) -> float:
        """Return `value`."""
        return self.value


class WarmUp(Schedule):
    r"""Rise linearly from zero to a value at the beginning of a fit, then stay.

    .. math:: b(t) = b \min(1, t / t_0)

    with :math:`t` the fraction of the fit that is done. As `beta=`, this is the KL
    warm-up of Sønderby et al. [1]_: components become useful before the KL term can
    switch them off.

    Parameters
    ----------
    fraction : float, default=0.5
        Fraction :math:`t_0` of the fit, in [0, 1], spent rising.
    value : float, default=1.0
        The value :math:`b` that is reached.

    References
    ----------
    .. [1] Sønderby, Raiko, Maaløe, Sønderby & Winther (2016). Ladder variational
       autoencoders. NeurIPS. https://arxiv.org/abs/1602.02282

    Examples
    --------
    >>> WarmUp(fraction=0.4)(epoch=1, n_epochs=10)
    0.25
    """

    _largest = {"fraction": 1.0, "value": math.inf}

    def __init__(self, fraction: float = 0.5, value: float = 1.0) -> None:
        self.fraction = fraction
        self.value = value

    def __call__(self, epoch: float, n_epochs: float) -> float:
        """Return the value at `epoch`."""
        risen = epoch / n_epochs
        return self.value * (risen / self.fraction if risen < self.fraction else 1.0)


class Cyclical(Schedule):
    r"""Rise from zero to a value again and again, and stay there for a while each time.

    .. math:: b(t) = b \min(1, \tau / f), \quad \tau = M t - \lfloor M t \rfloor

    with :math:`t` the fraction of the fit that is done [1]_, equations 6 and 7 with a
    linear rise. As `beta=`, each cycle starts from the encoder that the last one left,
    whose components are useful already.

    Parameters
    ----------
    n_cycles : int, default=4
        Number of cycles :math:`M`, at least 1.
    fraction : float, default=0.5
        Fraction :math:`f` of each cycle, in [0, 1], spent rising.
    value : float, default=1.0
        The value :math:`b` that is reached.

    See Also
    --------
    WarmUp : A single rise.

    References
    ----------
    .. [1] Fu, Li, Liu, Gao, Celikyilmaz & Carin (2019). Cyclical annealing schedule: a
       simple approach to mitigating KL vanishing. NAACL.
       https://arxiv.org/abs/1903.10145

    Examples
    --------
    >>> schedule = Cyclical(n_cycles=2)
    >>> [schedule(epoch, n_epochs=8) for epoch in range(9)]
    [0.0, 0.5, 1.0, 1.0, 0.0, 0.5, 1.0, 1.0, 1.0]
    """

    _largest = {"fraction": 1.0, "value": math.inf}
    _counts = ("n_cycles",)

    def __init__(
        self, n_cycles: int = 4, fraction: float = 0.5, value: float = 1.0
    ) -> None:
        self.n_cycles = n_cycles
        self.fraction = fraction
        self.value = value

    def __call__(self, epoch: float, n_epochs: float) -> float:
        """Return the value at `epoch`; from the end on, that of the last cycle."""
        if epoch >= n_epochs:
            return self.value
        risen = (self.n_cycles * epoch / n_epochs) % 1.0
        return self.value * (risen / self.fraction if risen < self.fraction else 1.0)


class Cosine(Schedule):
    r"""Rise linearly for a short while, then fall along half a cosine.

    .. math:: \eta(t) = \tfrac12 (1 + \cos \pi t)

    times the largest value, with :math:`t` the fraction of the fall that is done [1]_,
    equation 5 without restarts.

    Parameters
    ----------
    warm_up : float, default=0.05
        Fraction of the fit, in [0, 1), spent rising.
    final : float, default=0.0
        Value at the end, as a fraction of the largest.
    value : float, default=0.002
        The largest value.

    References
    ----------
    .. [1] Loshchilov & Hutter (2017). SGDR: Stochastic gradient descent with warm
       restarts. ICLR. https://arxiv.org/abs/1608.03983

    Examples
    --------
    >>> round(Cosine(warm_up=0.0, value=1.0)(epoch=5, n_epochs=10), 3)
    0.5
    """

    _largest = {"warm_up": 1.0, "final": 1.0, "value": math.inf}

    def __init__(
        self, warm_up: float = 0.05, final: float = 0.0, value: float = LEARNING_RATE
    ) -> None:
        self.warm_up = warm_up
        self.final = final
        self.value = value

    def __call__(self, epoch: float, n_epochs: float) -> float:
        """Return the value at `epoch`."""
        done = min(1.0, epoch / n_epochs)
        if done < self.warm_up:
            return self.value * (done / self.warm_up)
        fallen = (done - self.warm_up) / max(1.0 - self.warm_up, 1e-9)
        height = 0.5 * (1.0 + math.cos(math.pi * fallen))
        return self.value * (self.final + (1.0 - self.final) * height)


class OneCycle(Schedule):
    """Rise to the peak along half a cosine, then fall far below the start.

    Parameters
    ----------
    peak : float, default=0.3
        Fraction of the fit, in (0, 1), after which the value is the largest.
    start : float, default=0.04
        Value at the beginning, as a fraction of the largest.
    final : float, default=0.0001
        Value at the end, as a fraction of the largest.
    value : float, default=0.002
        The largest value.

    References
    ----------
    .. [1] Smith & Topin (2019). Super-convergence: very fast training of neural
       networks using large learning rates. https://arxiv.org/abs/1708.07120

    Examples
    --------
    >>> OneCycle()(epoch=3, n_epochs=10)
    0.002
    """

    _largest = {"peak": 1.0, "start": math.inf, "final": math.inf, "value": math.inf}

    def __init__(
        self,
        peak: float = 0.3,
        start: float = 0.04,
        final: float = 0.0001,
        value: float = LEARNING_RATE,
    ) -> None:
        self.peak = peak
        self.start = start
        self.final = final
        self.value = value

    def __call__(self, epoch: float, n_epochs: float) -> float:
        """Return the value at `epoch`."""
        done = min(1.0, epoch / n_epochs)
        if done < self.peak:
            low, risen = self.start, done / self.peak
        else:
            low, risen = self.final, (1.0 - done) / max(1.0 - self.peak, 1e-9)
        height = 0.5 * (1.0 - math.cos(math.pi * risen))
        return self.value * (low + (1.0 - low) * height)


def checked(schedule: Schedule) -> Schedule:
    """Return the schedule, or raise ValueError where a parameter is out of range."""
    for name, most in schedule._largest.items():
        number = getattr(schedule, name)
        valid = isinstance(number, Real) and math.isfinite(number)
        if not valid or not 0.0 <= number <= most:
            raise ValueError(
                f"{name} of {schedule!r} must be a number in [0, {most:g}]. Got "
                f"{number!r}."
            )
    for name in schedule._counts:
        number = getattr(schedule, name)
        if not isinstance(number, Integral) or number < 1:
            raise ValueError(
                f"{name} of {schedule!r} must be a positive integer. Got {number!r}."
            )
    return schedule


def as_learning_rate(value: float | Schedule) -> Schedule:
    """Return the schedule of the learning rate from a schedule or its peak."""
    return checked(value if isinstance(value, Schedule) else OneCycle(value=value))
