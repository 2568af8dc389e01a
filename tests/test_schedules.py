"""Schedules pass through their end points and stay between them."""

import numpy as np
import pytest
from sklearn.base import clone

from skvae.schedules import (
    LEARNING_RATES,
    Constant,
    Cosine,
    OneCycle,
    Schedule,
    WarmUp,
    as_schedule,
)

N_EPOCHS = 40

# schedule, {epoch: value}, the epoch up to which it rises
CASES = [
    (Constant(4.0), {0: 4.0, 17.5: 4.0, 40: 4.0}, 0),
    (WarmUp(part=0.25, value=3.0), {0: 0.0, 5: 1.5, 10: 3.0, 40: 3.0}, 40),
    (WarmUp(part=0.0, value=3.0), {0: 3.0, 40: 3.0}, 40),
    (Cosine(warm_up=0.25), {0: 0.0, 5: 0.5, 10: 1.0, 25: 0.5, 40: 0.0}, 10),
    (Cosine(warm_up=0.0, final=0.2), {0: 1.0, 20: 0.6, 40: 0.2}, 0),
    (OneCycle(0.25, 0.1, 0.01), {0: 0.1, 5: 0.55, 10: 1.0, 40: 0.01}, 10),
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


@pytest.mark.parametrize("schedule", LEARNING_RATES.values(), ids=repr)
def test_learning_rate_schedule_is_a_factor_of_at_most_one(schedule):
    values = [schedule(epoch, N_EPOCHS) for epoch in np.linspace(0, N_EPOCHS, 401)]
    assert max(values) == pytest.approx(1.0)
    assert min(values) >= 0.0


@pytest.mark.parametrize("schedule", SCHEDULES, ids=repr)
def test_schedule_survives_clone_params_and_repr(schedule):
    names = {name: globals()[name] for name in ("Constant", "Cosine", "OneCycle")}
    copies = [
        clone(schedule),
        type(schedule)(**schedule.get_params()),
        eval(repr(schedule), {"WarmUp": WarmUp, **names}),
    ]
    for copy in copies:
        assert copy.get_params() == schedule.get_params()


def test_as_schedule_takes_schedules_names_and_numbers():
    warm_up = WarmUp(0.3)
    assert as_schedule(warm_up) is warm_up
    assert isinstance(as_schedule("cosine"), Cosine)
    assert as_schedule(2)(5, 10) == 2.0
    with pytest.raises(NotImplementedError):
        Schedule()(0, 1)
