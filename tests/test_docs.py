"""The documentation of what users touch is complete and true."""

import ast
import inspect
import re
import runpy
import sys
import tomllib
from pathlib import Path

import pytest
from numpydoc.docscrape import ClassDoc, FunctionDoc
from numpydoc.validate import validate
from sklearn.base import BaseEstimator
from sklearn.datasets import load_iris

import skvae
from skvae import likelihoods, networks, objectives, priors, schedules
from skvae._sklearn import StrOptions

pytestmark = pytest.mark.filterwarnings("ignore:Maximum iterations")

PUBLIC = [getattr(skvae, name) for name in skvae.__all__]
PUBLIC = [member for member in PUBLIC if inspect.isclass(member)]
ESTIMATORS = [cls for cls in PUBLIC if issubclass(cls, BaseEstimator)]
DISPLAYS = [cls for cls in PUBLIC if cls.__name__.endswith("Display")]
SPECS = [
    getattr(module, name)
    for module in (likelihoods, networks, objectives, priors, schedules)
    for name in module.__all__
]
SPECS = [
    cls for cls in SPECS if inspect.isclass(cls) and issubclass(cls, BaseEstimator)
]


def name_of(member):
    return getattr(member, "__name__", None)


every_class = pytest.mark.parametrize("cls", PUBLIC + SPECS, ids=name_of)
every_estimator = pytest.mark.parametrize("cls", ESTIMATORS, ids=name_of)


def methods(cls):
    for name, method in inspect.getmembers(cls, inspect.isroutine):
        ours = str(getattr(method, "__module__", None)).startswith("skvae")
        if ours and not name.startswith("_"):
            yield pytest.param(cls, name, id=f"{cls.__name__}.{name}")


every_method = pytest.mark.parametrize(
    ("cls", "name"), [method for cls in PUBLIC for method in methods(cls)]
)


def errors(name, owed):
    """Return numpydoc's findings, `owed` being asked here and not of all code."""
    text = Path(__file__).parents[1].joinpath("pyproject.toml").read_text("utf-8")
    left_out = tomllib.loads(text)["tool"]["numpydoc_validation"]["checks"]
    left_out = set(left_out) - owed
    return [error for error in validate(name)["errors"] if error[0] not in left_out]


@every_class
def test_class_describes_each_parameter(cls):
    assert not errors(f"{cls.__module__}.{cls.__name__}", {"PR01", "PR07"})


@every_method
def test_method_documents_parameters_and_returns(cls, name):
    assert not errors(f"skvae.{cls.__name__}.{name}", {"PR01", "RT01"})


# Defaults and choices


def documented(doc, section="Parameters"):
    """Return name → (type, description) of a section of a docstring."""
    return {
        name.lstrip("*"): (entry.type, " ".join(entry.desc))
        for entry in doc[section]
        for name in entry.name.split(", ")
    }


def quoted(kind):
    """Return the strings that a documented type lists."""
    return set(re.findall('"([^"]*)"', kind.partition("default=")[0]))


def assert_defaults_are_documented(function, doc):
    """Fail unless the documented defaults are those of the signature."""
    kinds = {name: kind for name, (kind, _) in documented(doc).items()}
    found = {name: re.search(r"default=(.+)$", kind) for name, kind in kinds.items()}
    defaults = {name: ast.literal_eval(at[1]) for name, at in found.items() if at}
    parameters = inspect.signature(function).parameters.values()
    # What is always None is present for API consistency.
    truth = {p.name: p.default for p in parameters if kinds.get(p.name) != "None"}
    assert defaults == {
        k: v for k, v in truth.items() if v is not inspect.Parameter.empty
    }
    for name, default in defaults.items():
        choices = quoted(kinds[name])
        assert not choices or not isinstance(default, str) or default in choices


@every_class
def test_documented_defaults_of_a_class_are_those_of_its_signature(cls):
    assert_defaults_are_documented(cls, ClassDoc(cls))


@every_method
def test_documented_defaults_of_a_method_are_those_of_its_signature(cls, name):
    method = getattr(cls, name)
    assert_defaults_are_documented(method, FunctionDoc(method))


@every_estimator
def test_documented_choices_are_those_that_are_accepted(cls):
    entries = documented(ClassDoc(cls))
    for name, constraints in cls._parameter_constraints.items():
        kind, description = entries[name]
        choices = {
            choice
            for constraint in constraints
            if isinstance(constraint, StrOptions)
            for choice in constraint.options
        }
        mentioned = set(re.findall('`"([^"]*)"`', description))
        assert quoted(kind) in (choices, set())
        if name == "likelihood":
            # The names are those of the page to which the description refers.
            assert mentioned <= choices
        elif choices:
            assert quoted(kind) | mentioned == choices


@every_estimator
def test_every_parameter_has_a_constraint(cls):
    parameters = set(inspect.signature(cls).parameters)
    assert set(cls._parameter_constraints) == parameters


@every_estimator
def test_every_parameter_is_in_one_group_of_its_page(cls):
    path = Path(__file__).parents[1] / "docs" / "_parameters.py"
    groups = runpy.run_path(str(path))["groups_of"](cls.__name__)
    assert [len(names) > 0 for _, names in groups] == [True] * 3
    names = [name for _, names in groups for name in names]
    assert sorted(names) == sorted(inspect.signature(cls).parameters)


def test_vae_has_at_most_26_parameters():
    assert len(inspect.signature(skvae.VAETransformer).parameters) <= 26


# Attributes

X = load_iris(as_frame=True).data

ROWS = {skvae.TraversalDisplay: X[:1]}
"""What a display draws that takes a single row."""


def public_attributes(instance):
    names = (name for name in dir(instance) if not name.startswith("_"))
    return {name for name in names if name.endswith("_") and hasattr(instance, name)}


@every_estimator
def test_documented_attributes_are_those_of_a_fit(cls):
    fitted = cls(max_iter=1, random_state=0).fit(X)
    assert set(documented(ClassDoc(cls), "Attributes")) == public_attributes(fitted)


@pytest.mark.parametrize("cls", DISPLAYS, ids=name_of)
def test_documented_attributes_are_those_of_a_drawing(cls, no_screen):
    vae = skvae.VAETransformer(max_iter=1, random_state=0).fit(X)
    if hasattr(cls, "from_estimator"):
        needs_rows = "X" in inspect.signature(cls.from_estimator).parameters
        display = cls.from_estimator(vae, *[ROWS.get(cls, X)] * needs_rows)
    else:
        display = cls.from_rows(X, vae.inverse_transform(vae.transform(X)))
    assert set(documented(ClassDoc(cls), "Attributes")) == public_attributes(display)


# The site


def configuration(monkeypatch):
    """Return what docs/conf.py defines."""
    folder = Path(__file__).parents[1] / "docs"
    # It adds its folder.
    monkeypatch.setattr("sys.path", [*sys.path])
    return runpy.run_path(str(folder / "conf.py"))


@pytest.mark.parametrize(
    "text",
    [
        '<script async src="https://cdn.example.org/mathjax.js"></script>',
        '<img alt="" src="//example.org/badge.svg"/>',
        '<link href="https://example.org/style.css" rel="stylesheet"/>',
        "@font-face { src: url('https://example.org/font.woff2') }",
        '@import "https://example.org/style.css";',
    ],
)
def test_site_finds_what_is_loaded_from_another_host(text, monkeypatch):
    assert [*configuration(monkeypatch)["remote_assets"](text)]


@pytest.mark.parametrize(
    "text",
    [
        '<script src="_static/mathjax/tex-chtml.js"></script>',
        '<a href="https://example.org/paper">[1]</a>',
        '<link rel="canonical" href="https://example.org/page.html"/>',
        "a { background: url(data:image/svg+xml;base64,AAAA) }",
    ],
)
def test_site_may_link_to_other_hosts(text, monkeypatch):
    assert not [*configuration(monkeypatch)["remote_assets"](text)]
