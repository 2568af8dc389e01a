"""The clock tells the time of epochs, and how long a run may still take."""

import pytest

from skvae.training import _clock
from skvae.training._clock import Clock, in_words


@pytest.fixture
def now(monkeypatch):
    """A list whose last entry is the time."""
    times = [100.0]
    monkeypatch.setattr(_clock.time, "monotonic", lambda: times[-1])
    return times


def test_time_left_is_that_of_the_other_epochs_at_the_same_pace(now):
    clock = Clock(max_time=None)
    clock.start()
    now.append(106.0)
    assert clock.report(3, 10) == "6.0 s, at most 14.0 s left"


def test_time_left_of_a_run_taken_up_goes_by_its_own_epochs(now):
    clock = Clock(max_time=None)
    clock.before = 50.0
    clock.start(n_epochs=5)
    now.append(104.0)
    assert clock.report(7, 10) == "54.0 s, at most 6.0 s left"


def test_time_left_ends_with_max_time(now):
    clock = Clock(max_time=10.0)
    clock.start()
    now.append(108.0)
    assert clock.report(1, 100) == "8.0 s, at most 2.0 s left"
    now.append(111.0)
    assert clock.report(2, 100) == "11.0 s, at most 0.0 s left"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.04, "0.0 s"),
        (59.9, "59.9 s"),
        (59.96, "1 min 0 s"),
        (200.0, "3 min 20 s"),
        (3599.7, "1 h 0 min"),
        (7500.0, "2 h 5 min"),
    ],
)
def test_times_are_told_in_words(seconds, text):
    assert in_words(seconds) == text
