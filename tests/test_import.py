"""Importing and fitting stay quick: they leave alone what is slow to import."""

import json
import subprocess
import sys

import pytest

SLOW = ("matplotlib", "onnx", "sklearn.decomposition", "sympy", "torch._dynamo")


def _imported_by(code):
    """Return which slow modules a fresh interpreter holds after running some code."""
    held = f"[name for name in {SLOW} if name in sys.modules]"
    tell = f"import json, sys; print(json.dumps({held}))"
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", f"{code}\n{tell}"],
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def imported_by_others():
    return _imported_by("import sklearn.base, torch")


def test_import_leaves_slow_modules_alone(imported_by_others):
    assert _imported_by("import skvae") == imported_by_others


def test_first_fit_leaves_slow_modules_alone(imported_by_others):
    """A map needs one of them: the search for neighbors."""
    fit = (
        "import numpy as np, skvae\n"
        "X = np.random.default_rng(0).normal(size=(50, 4))\n"
        "vae = skvae.VAETransformer(4, max_iter=1, random_state=0).fit(X)\n"
        "vae.inverse_transform(vae.transform(X))"
    )
    assert _imported_by(fit) == imported_by_others
