"""What "auto" becomes, from the shape of the data and the strength of the start."""

import pytest

from skvae._recipe import resolve_weights
from skvae.schedules import Constant, WarmUp

STRONG, WEAK = 5.0, 1.5


@pytest.mark.parametrize(
    ("beta", "code_share", "signal_to_noise", "trades", "expected"),
    [
        ("auto", "auto", STRONG, True, (Constant(0.6), 0.4)),
        ("auto", "auto", WEAK, True, (WarmUp(value=0.9), 0.1)),
        ("auto", "auto", STRONG, False, (Constant(1.0), 0.0)),
        ("auto", "auto", WEAK, False, (WarmUp(value=1.0), 0.0)),
        ("auto", "auto", None, False, (Constant(1.0), 0.0)),
        ("auto", 0.25, STRONG, True, (Constant(0.75), 0.25)),
        ("auto", 0.5, None, False, (Constant(0.5), 0.5)),
        ("auto", 0.0, WEAK, True, (WarmUp(value=1.0), 0.0)),
        (1.0, "auto", WEAK, True, (Constant(1.0), 0.0)),
        (4.0, 0.5, STRONG, True, (Constant(4.0), 0.5)),
        (WarmUp(0.2), "auto", STRONG, True, (WarmUp(0.2), 0.0)),
    ],
)
def test_weights_follow_the_start_where_they_are_not_given(
    beta, code_share, signal_to_noise, trades, expected
):
    schedule, share = resolve_weights(beta, code_share, signal_to_noise, trades)
    assert repr(schedule) == repr(expected[0])
    assert share == expected[1]
