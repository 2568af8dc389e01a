"""Two specs have the same identity only if they are the same."""

import numpy as np
import pytest
from sklearn import config_context

from skvae._sklearn import identity
from skvae.objectives import ELBO, AddedTerm
from skvae.schedules import OneCycle, Schedule


class Steps(Schedule):
    """A schedule of many values, which scikit-learn's representation cuts off."""

    def __init__(self, values):
        self.values = values


LONG = np.arange(100.0)
PAIRS = [
    (Steps(LONG), Steps(np.where(LONG == 40.0, -1.0, LONG))),
    (Steps(list(range(100))), Steps([*range(99), 0])),
    (AddedTerm(ELBO(0.1), 2.0), AddedTerm(ELBO(0.2), 2.0)),
    ({"beta": OneCycle(), "n": (1, 2)}, {"beta": OneCycle(value=1.0), "n": (1, 2)}),
]


@pytest.mark.parametrize(("value", "other"), PAIRS)
def test_identity_differs_where_a_value_differs(value, other):
    assert identity(value) != identity(other)
    text = identity(value)
    with config_context(print_changed_only=False):
        assert identity(value) == text
