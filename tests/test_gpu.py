"""What a fit on a GPU owes to one on a CPU."""

import pickle

import numpy as np
import pytest
import torch

from skvae import AutoencoderTransformer, VAETransformer
from skvae._optimizers import Adam
from skvae._replay import Replayed, record_cuda_graph
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


def test_gpu_steps_in_bfloat16_are_recorded_and_train(iris, monkeypatch):
    recorded = []

    def record(take, inputs):
        recording = record_cuda_graph(take, inputs)
        recorded.append(len(inputs[0]))
        return recording

    monkeypatch.setattr(Replayed.__init__, "__defaults__", (record,))
    params = {"max_iter": 5, "tol": None, "random_state": 0, "device": "cuda"}
    exact = VAETransformer(**params).fit(iris)
    n_recorded = len(recorded)
    rounded = VAETransformer(precision="bfloat16", **params).fit(iris)
    assert len(recorded) == 2 * n_recorded > 0
    assert rounded.loss_curve_ != exact.loss_curve_
    # One rounding, of 2^-8, in each of a row's outputs.
    difference = rounded.validation_curve_[-1] - exact.validation_curve_[-1]
    assert abs(difference) < iris.shape[1] * 2.0**-8


@pytest.mark.parametrize("likelihood", [Gaussian(), Bernoulli()], ids=repr)
def test_gpu_steps_of_a_graph_are_the_eager_steps(likelihood, iris, monkeypatch):
    def fitted():
        vae = VAETransformer(
            likelihood=likelihood, max_iter=5, tol=None, random_state=0, device="cuda"
        )
        return vae.fit(iris / 10)

    recorded = []

    def record(take, inputs):
        recorded.append(len(inputs[0]))
        return record_cuda_graph(take, inputs)

    monkeypatch.setattr(Replayed.__init__, "__defaults__", (record,))
    replayed = fitted()
    assert recorded
    monkeypatch.setattr(Adam, "can_be_recorded", lambda self: False)
    eager = fitted()
    np.testing.assert_allclose(replayed.loss_curve_, eager.loss_curve_, rtol=1e-4)
    Z = replayed.transform(iris / 10)
    np.testing.assert_allclose(Z, eager.transform(iris / 10), atol=1e-3)
