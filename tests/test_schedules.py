"""Schedules pass through their end points and stay between them."""

import numpy as np
import pytest
from sklearn.base import clone

from skvae.schedules import (
    Constant,
    Cosine,
    Cyclical,
    OneCycle,
    Progress,
    Schedule,
    WarmUp,
    Weight,
    as_learning_rate,
    as_weight,
)

N_EPOCHS = 40

# schedule, {epoch: value}, the epoch up to which it rises
CASES = [
    (Constant(4.0), {0: 4.0, 17.5: 4.0, 40: 4.0}, 0),
    (WarmUp(fraction=0.25, value=3.0), {0: 0.0, 5: 1.5, 10: 3.0, 40: 3.0}, 40),
    (WarmUp(fraction=0.0, value=3.0), {0: 3.0, 40: 3.0}, 40),
    (Cyclical(1, 0.25, 3.0), {0: 0.0, 5: 1.5, 10: 3.0, 40: 3.0}, 40),
    (Cosine(0.25, value=2.0), {0: 0.0, 5: 1.0, 10: 2.0, 25: 1.0, 40: 0.0}, 10),
    (Cosine(0.0, final=0.2, value=1.0), {0: 1.0, 20: 0.6, 40: 0.2}, 0),
    (OneCycle(0.25, 0.1, 0.01, 2.0), {0: 0.2, 5: 1.1, 10: 2.0, 40: 0.02}, 10),
]
SCHEDULES = [case[0] for case in CASES]


@pytest.mark.parametrize(("schedule", "points", "_"), CASES, ids=repr)
def test_schedule_passes_through_its_points(schedule, points, _):
    values = {epoch: schedule(epoch, N_EPOCHS) for epoch in points}
    assert values == pytest.approx(points)


@pytest.mark.parametrize(("schedule", "_", "top"), CASES, ids=repr)
def test_schedule_rises_to_its_peak_and_falls_after(schedule, _, top):
    rising = [schedule(epoch, N_EPOCHS) for epoch in np.linspace(0, top, 101)]
    falling = [schedule(epoch, N_EPOCHS) for epoch in np.linspace(top, N_EPOCHS, 101)]
    assert (np.diff(rising) >= -1e-12).all()
    assert (np.diff(falling) <= 1e-12).all()


@pytest.mark.parametrize(("schedule", "points", "_"), CASES, ids=repr)
def test_schedule_stays_within_its_range_beyond_the_end(schedule, points, _):
    values = [schedule(epoch, N_EPOCHS) for epoch in np.linspace(0, 60, 601)]
    assert min(values) >= min(points.values()) - 1e-12
    assert max(values) <= max(points.values()) + 1e-12


def test_cyclical_schedule_repeats_itself():
    schedule, cycle = Cyclical(4, 0.5, 2.0), WarmUp(0.5, 2.0)
    for epoch in np.linspace(0, N_EPOCHS, 161)[:-1]:
        expected = cycle(epoch % 10, 10)
        assert schedule(epoch, N_EPOCHS) == pytest.approx(expected)
    assert schedule(N_EPOCHS, N_EPOCHS) == 2.0


@pytest.mark.parametrize("schedule", SCHEDULES, ids=repr)
def test_schedule_survives_clone_params_and_repr(schedule):
    names = {
        name: globals()[name] for name in ("Constant", "Cosine", "Cyclical", "OneCycle")
    }
    copies = [
        clone(schedule),
        type(schedule)(**schedule.get_params()),
        eval(repr(schedule), {"WarmUp": WarmUp, **names}),
    ]
    for copy in copies:
        assert copy.get_params() == schedule.get_params()


def test_schedule_of_no_kind_has_no_value():
    with pytest.raises(NotImplementedError):
        Schedule()(0, 1)


# Learning rates


def test_learning_rate_is_a_schedule_or_its_largest_value():
    cosine = Cosine(value=0.1)
    assert as_learning_rate(cosine) is cosine
    schedule = as_learning_rate(0.05)
    assert isinstance(schedule, OneCycle)
    values = [schedule(epoch, N_EPOCHS) for epoch in np.linspace(0, N_EPOCHS, 401)]
    assert max(values) == pytest.approx(0.05)
    assert min(values) >= 0.0


# Weights


class Counter(Weight):
    """A weight that grows at each step."""

    watches = "steps"

    def __init__(self, rate=1.0):
        self.rate = rate

    def start(self):
        return 0

    def value(self, state, progress):
        return self.rate * state

    def update(self, state, means, progress):
        return state + 1


@pytest.mark.parametrize("value", [WarmUp(0.25), WarmUp(0.0), Constant(2.0), 2, 0.5])
def test_weight_of_a_schedule_or_number_has_no_state(value):
    weight = as_weight(value)
    assert weight.watches is None
    state = weight.start()
    assert weight.update(state, {"kl": 1.0}, Progress(1.0, N_EPOCHS)) == state
    expected = value if isinstance(value, Schedule) else Constant(value)
    for epoch in (0.0, 0.1 * N_EPOCHS, N_EPOCHS):
        progress = Progress(epoch, N_EPOCHS)
        assert weight.value(state, progress) == expected(epoch, N_EPOCHS)


def test_weight_with_a_state_is_taken_as_it_is():
    counter = Counter(0.1)
    assert as_weight(counter) is counter
    assert clone(counter).get_params() == {"rate": 0.1}
    half = Progress(0.5, 1.0)
    state = counter.update(counter.update(counter.start(), {}, half), {}, half)
    assert counter.value(state, 0.5) == 0.2


def test_weight_of_no_kind_has_no_value():
    weight = Weight()
    assert weight.update(weight.start(), {}, Progress(0.5, 1.0)) is None
    with pytest.raises(NotImplementedError):
        weight.value(None, 0.5)


# Parameters


@pytest.mark.parametrize("take", [as_weight, as_learning_rate])
@pytest.mark.parametrize(
    ("schedule", "message"),
    [
        (Constant(-1.0), r"value of Constant\(value=-1.0\).*\[0, inf\]\. Got -1\.0"),
        (Constant(np.inf), r"value of .* must be a number"),
        (Constant(np.nan), r"value of .* must be a number"),
        (Constant("1"), r"value of .* must be a number.*Got '1'"),
        (WarmUp(fraction=1.5), r"fraction of .* \[0, 1\]\. Got 1\.5"),
        (Cosine(warm_up=-0.1), r"warm_up of .* \[0, 1\]"),
        (OneCycle(peak=2.0), r"peak of .* \[0, 1\]"),
        (OneCycle(value=None), r"value of .*Got None"),
    ],
    ids=repr,
)
def test_schedule_outside_its_range_is_refused_in_words(take, schedule, message):
    with pytest.raises(ValueError, match=message):
        take(schedule)


def test_schedules_are_given_epochs(small):
    given = []

    class Noted(Schedule):
        def __call__(self, epoch, n_epochs):
            given.append((epoch, n_epochs))
            return 0.0

    small.run(learning_rate=Noted(), max_iter=4)
    epochs, totals = zip(*given, strict=True)
    assert list(epochs) == sorted(epochs)
    assert {int(epoch) for epoch in epochs} == {0, 1, 2, 3}
    assert set(totals) == {4}
