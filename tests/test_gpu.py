"""What a fit on a GPU owes to one on a CPU."""

import pickle

import numpy as np
import pytest
import torch

from skvae import AutoencoderTransformer, VAETransformer
from skvae.likelihoods import Bernoulli, Gaussian

pytestmark = pytest.mark.skipif(
    not torch.cuda.is_available(), reason="torch sees no CUDA GPU"
)


@pytest.mark.parametrize("cls", [VAETransformer, AutoencoderTransformer])
@pytest.mark.parametrize("likelihood", [Gaussian(), Bernoulli()], ids=repr)
def test_gpu_fit_loads_and_answers_on_the_cpu(cls, likelihood, iris, monkeypatch):
    X = iris / 10
    fitted = cls(likelihood=likelihood, max_iter=3, tol=None, device="cuda").fit(X)
    assert fitted.device_.startswith("cuda")
    text = pickle.dumps(fitted)
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    again = pickle.loads(text)
    assert again.device_ == "cpu"
    np.testing.assert_allclose(again.transform(X), fitted.transform(X), atol=1e-9)


def test_gpu_fit_that_stays_linear_is_the_cpu_fit(iris):
    params = {"learning_rate_init": 30.0, "max_iter": 3, "tol": None}
    Z = [
        VAETransformer(device=device, random_state=0, **params).fit_transform(iris)
        for device in ("cpu", "cuda")
    ]
    np.testing.assert_allclose(Z[1], Z[0], atol=1e-4)
