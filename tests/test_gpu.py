"""What a fit on a GPU owes to one on a CPU."""

import pickle

import numpy as np
import pytest
import torch

from skvae import AutoencoderTransformer, VAETransformer
from skvae.likelihoods import Bernoulli, Gaussian
from skvae.schedules import OneCycle
from skvae.training._optimizers import Adam
from skvae.training._replay import Replayed, record_cuda_graph

pytestmark = [
    pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no CUDA GPU"),
    # Fits of a few epochs may leave components idle, and say so.
    pytest.mark.filterwarnings("ignore:.*components carry nothing"),
]


class Interrupted(OneCycle):
    """The default learning rate, with Ctrl-C in the fifth of six epochs."""

    is_armed = True

    def __call__(self, epoch, n_epochs):
        if self.is_armed and epoch / n_epochs > 0.7:
            raise KeyboardInterrupt
        return super().__call__(epoch, n_epochs)


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
    params = {"learning_rate": 30.0, "max_iter": 3, "tol": None}
    Z = [
        VAETransformer(device=device, random_state=0, **params).fit_transform(iris)
        for device in ("cpu", "cuda")
    ]
    np.testing.assert_allclose(Z[1], Z[0], atol=1e-4)


@pytest.mark.parametrize("missing", [False, True])
@pytest.mark.parametrize("likelihood", [Gaussian(), Bernoulli()], ids=repr)
def test_gpu_steps_of_a_graph_are_the_eager_steps(
    likelihood, missing, iris, monkeypatch
):
    X = iris / 10
    if missing:
        X[::3, 1] = X[1::4, 2] = X[7] = np.nan

    def fitted():
        vae = VAETransformer(
            likelihood=likelihood, max_iter=5, tol=None, random_state=0, device="cuda"
        )
        return vae.fit(X)

    recorded = []

    def record(take, inputs):
        recording = record_cuda_graph(take, inputs)
        recorded.append(len(inputs[0]))
        return recording

    monkeypatch.setattr(Replayed.__init__, "__defaults__", (record,))
    replayed = fitted()
    assert recorded
    monkeypatch.setattr(Adam, "can_be_recorded", lambda self: False)
    eager = fitted()
    np.testing.assert_allclose(replayed.loss_curve_, eager.loss_curve_, rtol=1e-4)
    np.testing.assert_allclose(replayed.transform(X), eager.transform(X), atol=1e-3)


def test_gpu_fit_that_was_stopped_is_taken_up(iris):
    params = {"max_iter": 6, "tol": None, "random_state": 0, "device": "cuda"}
    whole = VAETransformer(**params).fit(iris)
    parts = VAETransformer(learning_rate=Interrupted(), **params)
    with pytest.warns(UserWarning, match="interrupted by user"):
        parts.fit(iris)
    parts.learning_rate.is_armed = False
    parts = pickle.loads(pickle.dumps(parts)).set_params(warm_start=True).fit(iris)
    assert parts.n_iter_ == 6
    np.testing.assert_allclose(parts.loss_curve_, whole.loss_curve_, rtol=1e-4)
