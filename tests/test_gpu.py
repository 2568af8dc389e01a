"""What a fit on a GPU owes to one on a CPU."""

import pickle

import numpy as np
import pytest
import torch

import skvae
from skvae import (
    AutoencoderTransformer,
    VAEImputer,
    VAEOutlierDetector,
    VAETransformer,
)
from skvae.likelihoods import (
    Bernoulli,
    Columns,
    Gaussian,
    LogNormal,
    NormalScores,
    StudentT,
)
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


def test_gpu_fit_is_saved_and_loaded_with_and_without_a_gpu(
    iris, tmp_path, monkeypatch
):
    path = tmp_path / "m.skvae"
    fitted = VAETransformer(max_iter=3, tol=None, device="cuda").fit(iris)
    fitted.save(path)
    again = skvae.load(path)
    assert again.device_ == fitted.device_
    np.testing.assert_array_equal(again.transform(iris), fitted.transform(iris))
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    again = skvae.load(path)
    assert again.device_ == "cpu"
    np.testing.assert_allclose(again.transform(iris), fitted.transform(iris), atol=1e-9)


LIKELIHOODS = [
    Gaussian(),
    Gaussian(noise="decoder"),
    StudentT(),
    NormalScores(),
    LogNormal(),
    Columns([("bernoulli", [0]), (NormalScores(), [1, 2, 3])]),
]
SAMPLERS = ["auto", "prior", "mixture", "posterior"]


def answers_of(fitted, X, gappy):
    """Return what a fitted estimator says of rows."""
    return {
        "transform": fitted.transform(X),
        "inverse": fitted.inverse_transform(fitted.transform(X)),
        "score": fitted.score_samples(X),
        "impute": fitted.impute(gappy),
        "sample": fitted.sample(20, random_state=0, kind="mean"),
        "given": fitted.sample(3, random_state=0, given=gappy[:2]),
    }


@pytest.mark.parametrize(
    ("likelihood", "sampler"),
    [*((one, "auto") for one in LIKELIHOODS), *((Gaussian(), s) for s in SAMPLERS[1:])],
    ids=repr,
)
def test_gpu_answers_are_those_of_the_cpu(likelihood, sampler, iris, monkeypatch):
    X = iris.copy()
    X[:, 0] = X[:, 0] > 5.8 if isinstance(likelihood, Columns) else X[:, 0]
    gappy = X[::5].copy()
    gappy[::2, 1] = gappy[1::2, 3] = np.nan
    fitted = VAETransformer(
        likelihood=likelihood,
        sampler=sampler,
        max_iter=3,
        tol=None,
        random_state=0,
        device="cuda",
    ).fit(X)
    on_gpu = answers_of(fitted, X, gappy)
    text = pickle.dumps(fitted)
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    on_cpu = answers_of(pickle.loads(text), X, gappy)
    for name in ("transform", "inverse", "score", "impute"):
        np.testing.assert_allclose(on_gpu[name], on_cpu[name], atol=1e-6, err_msg=name)
    # Each device has numbers of its own.
    for name in ("sample", "given"):
        assert on_gpu[name].shape == on_cpu[name].shape
        assert np.isfinite(on_gpu[name]).all()


@pytest.mark.parametrize("n_components", [2, "auto"])
def test_gpu_fits_rows_with_missing_cells(n_components, iris):
    X = iris.copy()
    X[::3, 1] = X[1::4, 2] = np.nan
    fitted = VAETransformer(n_components, max_iter=3, tol=None, device="cuda").fit(X)
    assert np.isfinite(fitted.impute(X)).all()


def test_gpu_imputer_and_detector_answer(iris):
    X = iris.copy()
    X[::3, 1] = np.nan
    filled = VAEImputer(max_iter=3, random_state=0).fit_transform(X)
    assert np.isfinite(filled).all()
    detector = VAEOutlierDetector(max_iter=3, random_state=0).fit(iris)
    assert np.isfinite(detector.score_samples(iris)).all()


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
    whole = VAETransformer(learning_rate=OneCycle(), **params).fit(iris)
    parts = VAETransformer(learning_rate=Interrupted(), **params)
    with pytest.warns(UserWarning, match="interrupted by user"):
        parts.fit(iris)
    parts.learning_rate.is_armed = False
    parts = pickle.loads(pickle.dumps(parts)).set_params(warm_start=True).fit(iris)
    assert parts.n_iter_ == 6
    np.testing.assert_allclose(parts.loss_curve_, whole.loss_curve_, rtol=1e-4)
