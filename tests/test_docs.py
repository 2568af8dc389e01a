"""The documentation of what users touch is complete."""

import inspect
import tomllib
from pathlib import Path

import pytest
from numpydoc.validate import validate
from sklearn.base import BaseEstimator

import skvae
from skvae import likelihoods, objectives, schedules

FACE = [getattr(skvae, name) for name in skvae.__all__]
FACE = [member for member in FACE if inspect.isclass(member)]
SPECS = [
    getattr(module, name)
    for module in (likelihoods, schedules)
    for name in module.__all__
]
SPECS = [spec for spec in SPECS if issubclass(spec, BaseEstimator)]
SPECS.append(objectives.IWAE)


def _methods(cls):
    for name, method in inspect.getmembers(cls, inspect.isroutine):
        ours = str(getattr(method, "__module__", None)).startswith("skvae")
        if ours and not name.startswith("_"):
            yield f"skvae.{cls.__name__}.{name}"


def _errors(name, owed):
    """Return numpydoc's findings, `owed` being asked here and not of all code."""
    text = Path(__file__).parents[1].joinpath("pyproject.toml").read_text("utf-8")
    left_out = tomllib.loads(text)["tool"]["numpydoc_validation"]["checks"]
    left_out = set(left_out) - owed
    return [error for error in validate(name)["errors"] if error[0] not in left_out]


@pytest.mark.parametrize("cls", FACE + SPECS, ids=lambda cls: cls.__name__)
def test_class_describes_each_parameter(cls):
    assert not _errors(f"{cls.__module__}.{cls.__name__}", {"PR01", "PR07"})


@pytest.mark.parametrize("name", [name for cls in FACE for name in _methods(cls)])
def test_method_documents_parameters_and_returns(name):
    assert not _errors(name, {"PR01", "RT01"})
