"""What several test files share."""

import os
import random
import warnings
from pathlib import Path

# scikit-learn skips its array API checks without this, and scipy reads it on import.
os.environ["SCIPY_ARRAY_API"] = "1"

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits, load_iris


@pytest.fixture(scope="session")
def digits():
    return load_digits().data


@pytest.fixture(scope="session")
def iris():
    return load_iris().data


@pytest.fixture(scope="session")
def data_folder():
    """Folder of the real data sets, named by SKVAE_DATA."""
    default = Path(__file__).resolve().parents[2] / "shared" / "data"
    return Path(os.environ.get("SKVAE_DATA", default))


@pytest.fixture
def no_screen():
    """Draw without a screen, and close what was drawn."""
    plt.switch_backend("agg")
    yield
    plt.close("all")


def global_state():
    """Everything global that the package promises to leave alone."""
    name, keys, position, *gauss = np.random.get_state()  # noqa: NPY002
    return (
        random.getstate(),
        (name, keys.tobytes(), position, *gauss),
        torch.get_rng_state().numpy().tobytes(),
        torch.get_num_threads(),
        torch.get_default_dtype(),
        torch.get_float32_matmul_precision(),
        torch.is_grad_enabled(),
        list(warnings.filters),
    )


@pytest.fixture
def untouched():
    """Fail the test if it changes anything global."""
    before = global_state()
    yield
    assert global_state() == before
