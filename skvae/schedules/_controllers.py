"""Controllers: weights that change with the terms that they watch."""

import math
from collections.abc import Callable, Mapping
from typing import Any

from skvae.schedules._schedules import Constant, Schedule, checked
from skvae.schedules._weights import Progress, Weight, require

N_SMOOTHED, FRACTION_SMOOTHED = 10.0, 0.02
"""Steps over which errors are averaged: so many, and this fraction of those taken."""

GAIN, N_DELAYED = 24.0, 100.0
"""After n steps the logarithm of the weight moves by GAIN / (N_DELAYED + n) times the
error: however long a fit is, that is as fast as late steps change its average."""

PROPORTIONAL = 4.0
"""How many times the error moves the logarithm of the weight, without delay."""

MOST, MOST_BACK, BACK = 0.1, 0.5, 3.0
"""Errors count up to the first. A model follows a weight with a delay, in which the
weight must not go far; but on its way back towards 1, errors count up to the second,
and the gain is so many times as large."""

FRACTION_BEFORE, CLOSING = 0.1, 0.9
"""A large error that is less than the second number times its average over so many
steps, in their fraction, shrinks as the model learns: the integral waits."""

POWER_AVERAGED = 8
"""Step t counts as t to this power in the average error that decides what is returned,
as it does in the average of parameters, which is returned."""


def _clipped(value: float, most: float) -> float:
    return min(most, max(-most, value))


def _check_bounds(weight: Any) -> None:
    require(weight, "most", lambda v: 0 < v < math.inf, "a number above 0")
    said = f"a number above 0 and at most most={weight.most!r}"
    require(weight, "least", lambda v: 0 < v <= weight.most, said)


def _goals(target: Any, progress: Progress) -> tuple[float, float]:
    """Return what a target is at a moment and at the end of a fit."""
    schedule = target if isinstance(target, Schedule) else Constant(target)
    n_epochs = progress.n_epochs
    return schedule(progress.epoch, n_epochs), schedule(n_epochs, n_epochs)


def _check_target(weight: Any, is_valid: Callable[[float], bool], said: str) -> None:
    """Raise ValueError unless a number, or what a schedule ends at, is valid."""
    if not isinstance(weight.target, Schedule):
        require(weight, "target", is_valid, said)
        return
    _, last = _goals(checked(weight.target), Progress(1.0, 1.0))
    if not is_valid(last):
        raise ValueError(
            f"target of {weight!r} must end at {said}. It ends at {last!r}."
        )


def _mean_of(weight: Any, name: str, means: Mapping[str, float]) -> float:
    """Return the mean of a term that a parameter names."""
    term = getattr(weight, name)
    if term not in means:
        raise ValueError(
            f"{name} of {weight!r} must be a term of the objective, one of "
            f"{sorted(means)}. Got {term!r}."
        )
    return means[term]


class _Held(Weight):
    """A weight that brings a term to a target; a subclass says how far away it is.

    The state holds the integral, which is the logarithm of the weight at the target,
    the average error, the average gap over a longer time, the average size of the error
    over the steps that make up the average of parameters, and the number of steps.
    """

    watches = "steps"
    least: float
    most: float
    target: float | Schedule
    _tolerance = 0.025

    def _gap(
        self, state: Any, means: Mapping[str, float], target: float
    ) -> tuple[float, float]:
        """Return how far away the target is, in nats, and the unit of errors.

        The gap is positive if the weight is too small.
        """
        raise NotImplementedError

    def start(self) -> tuple[float, float, float, float, int]:
        """Return the state of weight 1, or of the nearest that is allowed."""
        return self._bounded(0.0), 0.0, 0.0, 1.0, 0

    def value(self, state: Any, progress: float) -> float:
        """Return the weight."""
        integral, error, *_ = state
        sum_ = integral + PROPORTIONAL * _clipped(error, MOST)
        return math.exp(self._bounded(sum_))

    def update(self, state: Any, means: Mapping[str, float], progress: Any) -> Any:
        """Return the next state."""
        integral, error, before, size, n = state
        target, last = _goals(self.target, progress)
        gap, unit = self._gap(state, means, target)
        n += 1
        new = _clipped(gap / unit, 1.0)
        error += (new - error) / min(n, N_SMOOTHED + FRACTION_SMOOTHED * n)
        before += (gap - before) / min(n, N_SMOOTHED + FRACTION_BEFORE * n)
        is_back = error * integral < 0.0
        step = BACK * _clipped(error, MOST_BACK) if is_back else _clipped(error, MOST)
        if not is_back and abs(error) > MOST and abs(gap) < CLOSING * abs(before):
            step = 0.0
        # Within the bounds, so that it does not wind up.
        integral = self._bounded(integral + step * GAIN / (N_DELAYED + n))
        # What is held before the target is the last one does not count.
        size_now = abs(error) if target == last else 1.0
        size += (size_now - size) * (1 + POWER_AVERAGED) / (n + POWER_AVERAGED)
        return integral, error, before, size, n

    def accepts(self, state: Any) -> bool:
        """Return whether the target has been held for long enough."""
        size: float = state[3]
        return size <= self._tolerance

    def _bounded(self, logarithm: float) -> float:
        return min(math.log(self.most), max(math.log(self.least), logarithm))


class ControlVAE(_Held):
    r"""Hold a term, by default the KL term, at a target.

    .. math:: \log \beta_t = I_t + 4 \bar e_t, \quad
        I_t = I_{t-1} + \frac{24}{100 + t} \bar e_t, \quad
        e_t = \mathrm{KL}_t / \mathrm{KL}^* - 1

    after step t, with :math:`\mathrm{KL}^*` the target and :math:`\bar e` the average
    of :math:`e` over about the last 10 steps and 2 % of all. This is the PI controller
    of [1]_ on a logarithmic scale; see the notes.

    Parameters
    ----------
    target : float or Schedule
        Mean of the term over training rows that is held, in nats per row, above 0. A
        schedule, such as ``WarmUp(0.5, value=25.0)``, moves the target during the fit,
        and only its last value is held.
    term : str, default="kl"
        Name of the term, which is the one that the weight multiplies.
    least : float, default=0.0003
        Least weight.
    most : float, default=3000.0
        Largest weight.

    See Also
    --------
    GECO : Reach a reconstruction.

    Notes
    -----
    The gains of [1]_, 0.01 and 0.0001 per nat and step, are for hundreds of thousands
    of steps. Here the error is relative to the target, and the gain of the integral
    falls with the number of steps, so that fits of any length settle in a like fraction
    of their steps. Errors count up to 0.1, since a model follows with a delay in which
    the weight must not go far; where the integral goes back towards weight 1, they
    count up to 0.5 and its gain is three times as large. On its way from 1 it waits
    while an error above 0.1 shrinks: where the gap of a step is below 0.9 times its
    average over about the last tenth of the steps. As in [1]_ the integral stops at the
    bounds.

    A target that rises is the capacity C of [2]_, with the loss
    :math:`R + \gamma |\mathrm{KL} - C|`: that is a weight :math:`\pm \gamma` of the KL
    term, which changes its sign whenever the term crosses C. Here the weight settles
    instead, so that there is no :math:`\gamma` to choose; and it stays positive, so
    that a capacity for which reconstructions have no use is not filled.

    A fit returns an average of parameters, in which the last ninth of the steps so far
    weighs most. Of the states where :math:`|\bar e|`, averaged in the same way, is at
    most 2.5 %, it is the one with the least held-out loss. While the error is larger
    the fit does not stop early; if no state was accepted, the last one is returned,
    with a warning. The start at PCA then sets no standard.

    References
    ----------
    .. [1] Shao et al. (2020). ControlVAE: Controllable variational autoencoder. ICML.
       https://arxiv.org/abs/2004.05988
    .. [2] Burgess et al. (2018). Understanding disentangling in :math:`\beta`-VAE,
       section 5. https://arxiv.org/abs/1804.03599

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from skvae import VAETransformer
    >>> X = load_iris().data
    >>> vae = VAETransformer(2, objective="elbo", beta=ControlVAE(4.0), random_state=0)
    >>> bool(3.8 < vae.fit(X).kl_per_component_.sum() < 4.2)
    True
    """

    def __init__(
        self,
        target: float | Schedule,
        term: str = "kl",
        least: float = 0.0003,
        most: float = 3000.0,
    ) -> None:
        self.target = target
        self.term = term
        self.least = least
        self.most = most

    def _gap(
        self, state: Any, means: Mapping[str, float], target: float
    ) -> tuple[float, float]:
        return _mean_of(self, "term", means) - target, max(target, 1e-12)

    def check(self) -> None:
        """Raise ValueError where a parameter is invalid."""
        said = "a number above 0, in nats per row"
        _check_target(self, lambda v: 0 < v < math.inf, said)
        _check_bounds(self)


class GECO(_Held):
    r"""Reach a target of the reconstruction, at the least divergence.

    .. math:: \min \mathrm{KL} \quad \text{such that} \quad
        R = \mathbb{E}_q[-\log p(x \mid z)] = R^*

    [1]_, equation 1, for the constraint :math:`R - R^*`. Its Lagrangian
    :math:`\mathrm{KL} + \lambda (R - R^*)` is :math:`\lambda` times the loss
    :math:`R + \beta \, \mathrm{KL}` with :math:`\beta = 1 / \lambda`, up to a constant.
    As in [1]_, algorithm 1, the logarithm of the multiplier moves by the average of the
    constraint:

    .. math:: \log \beta_t = I_t + 4 \bar e_t, \quad
        I_t = I_{t-1} + \frac{24}{100 + t} \bar e_t, \quad
        e_t = \frac{R^* - R_t}{\beta_{t-1} \mathrm{KL}_t}

    after step t, with :math:`\bar e` as in :class:`ControlVAE`.

    Parameters
    ----------
    target : float or Schedule
        Mean of the term over training rows, not held-out ones, that is reached, in nats
        per row: with :math:`-\log p(x \mid z)` any number, as columns have units.
        `term_curves_` of a fit with a constant weight says what is near; see the notes
        for a mean squared error. A schedule moves the target during the fit, and only
        its last value is held. Where targets are negative it must be a `Schedule` of
        your own: `WarmUp` and `Cyclical` start at 0.
    term : str, default="reconstruction"
        Name of the term that is to reach the target.
    weighted : str, default="kl"
        Name of the term that the weight multiplies: that of the objective where the
        controller is its `weight`.
    least : float, default=0.0003
        Least weight, about exp(-8).
    most : float, default=3000.0
        Largest weight, about exp(8).

    See Also
    --------
    ControlVAE : Hold the KL term.

    Notes
    -----
    With Adam or RMSProp, whose steps do not depend on the size of the loss, minimizing
    the loss over :math:`\lambda` is the same as minimizing the Lagrangian; with SGD the
    learning rate here is that of the paper times :math:`\lambda`.

    In [1]_ the logarithm moves by a constant times the constraint, which takes a number
    of the size of the data. Here the constraint is divided by :math:`\beta` times the
    divergence: where the loss is least, :math:`\mathrm{d}R = -\beta \, \mathrm{d}
    \mathrm{KL}`, so that the quotient is a relative error of the divergence, without
    units. Gains, bounds and what a fit returns are as in :class:`ControlVAE`, but with
    errors of up to 5 %.

    The target is in nats, which every likelihood has. With the default Gaussian noise,
    learned and shared by columns, the noise variance of standardized columns settles at
    their mean squared error s, over draws of z; then

    .. math:: R = \tfrac D2 \log (2 \pi e s) + \sum_j \log s_j

    with the standard deviations :math:`s_j` of D columns, which is the target for s.

    The rows that are watched are those that are trained on. A model that overfits
    reconstructs others worse, also the held-out ones, and no weight need bring these to
    a target.

    References
    ----------
    .. [1] Rezende & Viola (2018). Taming VAEs. https://arxiv.org/abs/1810.00597

    Examples
    --------
    >>> GECO(target=12.5)
    GECO(target=12.5)

    A mean squared error of 0.1 times the variance of each column:

    >>> import numpy as np
    >>> from sklearn.datasets import load_iris
    >>> X = load_iris().data
    >>> nats = X.shape[1] / 2 * np.log(2 * np.pi * np.e * 0.1)
    >>> GECO(target=round(float(nats + np.log(X.std(axis=0)).sum()), 3))
    GECO(target=0.335)
    """

    _tolerance = 0.05

    def __init__(
        self,
        target: float | Schedule,
        term: str = "reconstruction",
        weighted: str = "kl",
        least: float = 0.0003,
        most: float = 3000.0,
    ) -> None:
        self.target = target
        self.term = term
        self.weighted = weighted
        self.least = least
        self.most = most

    def _gap(
        self, state: Any, means: Mapping[str, float], target: float
    ) -> tuple[float, float]:
        weighted = self.value(state, 0.0) * abs(_mean_of(self, "weighted", means))
        return target - _mean_of(self, "term", means), max(weighted, 1e-12)

    def check(self) -> None:
        """Raise ValueError where a parameter is invalid."""
        _check_target(self, math.isfinite, "a finite number, in nats per row")
        _check_bounds(self)


class StallDecay(Weight):
    r"""Lower a weight whenever a held-out term has stalled.

    .. math:: \beta \leftarrow \max(\beta_{\min}, \gamma \beta)

    after each `patience` epochs in which the term was never less than the least so far,
    as in [1]_, section 3.2, but judged by rows that training does not see.

    Parameters
    ----------
    factor : float, default=0.7
        Factor :math:`\gamma`, in (0, 1).
    patience : int, default=10
        Epochs without progress after which the weight is lowered, at least 1.
    most : float, default=1.0
        The weight at first.
    least : float, default=0.01
        The least weight :math:`\beta_{\min}`. A fit does not stop early before it.
    term : str, default="reconstruction"
        Name of the term that is watched: on held-out rows after each epoch, or on
        training rows if none are held out.

    See Also
    --------
    WarmUp : A weight that rises.

    Notes
    -----
    A fit of few epochs, such as one to very many rows, needs a smaller `patience`.

    References
    ----------
    .. [1] Zhang et al. (2024). Mixed-type tabular data synthesis with score-based
       diffusion in latent space. ICLR. https://arxiv.org/abs/2310.09656

    Examples
    --------
    >>> StallDecay(least=0.1)
    StallDecay(least=0.1)
    """

    watches = "epochs"

    def __init__(
        self,
        factor: float = 0.7,
        patience: int = 10,
        most: float = 1.0,
        least: float = 0.01,
        term: str = "reconstruction",
    ) -> None:
        self.factor = factor
        self.patience = patience
        self.most = most
        self.least = least
        self.term = term

    def start(self) -> tuple[float, float, int]:
        """Return the largest weight, without a least term yet."""
        return float(self.most), math.inf, 0

    def value(self, state: Any, progress: float) -> float:
        """Return the weight."""
        weight: float = state[0]
        return weight

    def update(self, state: Any, means: Mapping[str, float], progress: Any) -> Any:
        """Return the next state."""
        weight, best, n_stale = state
        mean = _mean_of(self, "term", means)
        if mean < best:
            return weight, mean, 0
        if n_stale + 1 < self.patience:
            return weight, best, n_stale + 1
        return max(float(self.least), self.factor * weight), best, 0

    def is_settled(self, state: Any) -> bool:
        """Return whether the weight is the least."""
        settled: bool = state[0] <= self.least
        return settled

    def check(self) -> None:
        """Raise ValueError where a parameter is invalid."""
        require(self, "factor", lambda v: 0 < v < 1, "a number in (0, 1)")
        said = "a positive integer"
        require(self, "patience", lambda v: v > 0 and int(v) == v, said)
        _check_bounds(self)
