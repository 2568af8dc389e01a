"""Two specs have the same identity only if they are the same; links in notebooks."""

from email.message import Message
from importlib.metadata import PackageNotFoundError

import numpy as np
import pytest
from sklearn import config_context

from skvae import (
    AutoencoderTransformer,
    VAEImputer,
    VAEOutlierDetector,
    VAETransformer,
    _sklearn,
)
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


# The link to the documentation in notebooks


@pytest.fixture
def site(monkeypatch):
    """Let the metadata of the package name a site."""
    named = Message()
    named["Project-URL"] = "Source, https://example.org/source"
    named["Project-URL"] = "Documentation, https://example.org/docs/"
    monkeypatch.setattr(_sklearn, "metadata", lambda name: named)


@pytest.mark.usefixtures("site")
def test_estimators_link_to_their_page():
    for cls in (VAETransformer, AutoencoderTransformer, VAEImputer, VAEOutlierDetector):
        page = f"https://example.org/docs/api/skvae.{cls.__name__}.html"
        assert page in cls()._repr_html_()


@pytest.mark.usefixtures("site")
def test_subclasses_elsewhere_have_no_page():
    class Own(VAETransformer):
        pass

    assert "example.org" not in Own()._repr_html_()


def test_without_an_address_there_is_no_link(monkeypatch):
    def absent(name):
        raise PackageNotFoundError(name)

    for none in (absent, lambda name: Message()):
        monkeypatch.setattr(_sklearn, "metadata", none)
        assert VAETransformer()._get_doc_link() == ""
        assert "<a class" not in VAETransformer()._repr_html_()
