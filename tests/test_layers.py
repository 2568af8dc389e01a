"""A file imports only from the layers below it."""

import ast
from pathlib import Path

import pytest

import skvae

ROOT = Path(skvae.__file__).parent

# From the ground up. A folder is one idea, like a file; inside it, files may meet.
LAYERS = [
    {
        "_batches",
        "_frames",
        "_optimizers",
        "_products",
        "_random",
        "_recipe",
        "_replay",
        "_sklearn",
        "_sparse",
        "_state",
        "_version",
        "schedules",
    },
    {"likelihoods", "networks", "priors"},
    {"_apply", "_columns", "_model"},
    {"objectives"},
    {"_impute", "_marginal", "_start", "_step"},
    {"_validation"},
    {"_training"},
    {"_base", "_checks"},
    {"_autoencoder", "_vae"},
    {"_density"},
    {"_imputer", "_outliers"},
    {"inspection"},
    {"displays"},
    {"__init__"},
]
WITHIN_A_LAYER = {
    ("_apply", "_model"),
    ("_base", "_checks"),
    ("_batches", "_random"),
    ("_batches", "_sparse"),
    ("_recipe", "schedules"),
    ("_state", "_optimizers"),
}
HEIGHT = {name: height for height, layer in enumerate(LAYERS) for name in layer}

FILES = sorted(path.relative_to(ROOT) for path in ROOT.rglob("*.py"))


def _top(path):
    """Return the name of a file, or of the folder directly below the package."""
    return path.parts[0].removesuffix(".py")


def _imported(path):
    """Return the names of the package's own modules that a file imports."""
    for node in ast.walk(ast.parse((ROOT / path).read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno} imports relatively"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        for name in names:
            package, *rest = name.split(".")
            if package == "skvae":
                yield rest[0] if rest and rest[0] in HEIGHT else "__init__"


def _may_import(name, other):
    inside = name == other and (ROOT / name).is_dir()
    listed = (name, other) in WITHIN_A_LAYER
    return inside or listed or HEIGHT[other] < HEIGHT[name]


def test_layers_hold_every_module():
    assert {_top(path) for path in FILES} <= set(HEIGHT)
    assert len(HEIGHT) == sum(map(len, LAYERS))


@pytest.mark.parametrize("path", FILES, ids=str)
def test_layers_below_are_all_that_a_file_imports(path):
    name = _top(path)
    above = {other for other in _imported(path) if not _may_import(name, other)}
    assert not above


def test_sklearn_private_names_are_known_to_one_file_alone():
    for path in FILES:
        text = (ROOT / path).read_text(encoding="utf-8")
        private = "sklearn.utils._" in text or "sklearn.callback" in text
        assert not private or path.name == "_sklearn.py", path
