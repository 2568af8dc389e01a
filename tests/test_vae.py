"""What `VAETransformer` promises."""

import pickle
import re
import signal
import threading
from concurrent.futures import ThreadPoolExecutor, wait
from functools import partial

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import clone
from sklearn.callback import ProgressBar
from sklearn.datasets import make_s_curve
from sklearn.decomposition import PCA
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skvae import VAETransformer
from skvae.likelihoods import Gaussian
from skvae.networks import Perceptron
from skvae.objectives import ELBO
from skvae.schedules import Constant, WarmUp

# Fits of a few epochs may leave components idle, and say so.
pytestmark = pytest.mark.filterwarnings("ignore:.*components carry nothing")


def tiny(**params):
    """Return an estimator that fits in a moment."""
    defaults = {
        "n_components": 2,
        "beta": 1.0,
        "hidden_layer_sizes": (16,),
        "max_iter": 5,
        "tol": None,
        "random_state": 0,
    }
    return VAETransformer(**(defaults | params))


@pytest.fixture(scope="module")
def fitted(iris):
    return tiny(max_iter=50).fit(iris)


# Shapes and units


@pytest.mark.parametrize(
    "X",
    [
        np.array([[1.0, 2.0, 3.0]]),
        np.arange(20.0)[:, None],
        np.ones((12, 3)),
        np.zeros((12, 1)),
        np.repeat([[1.0, 5.0]], 7, axis=0),
        np.random.default_rng(0).normal(size=(129, 3)),
        np.random.default_rng(0).normal(size=(8, 40)),
        np.random.default_rng(0).normal(size=(50, 2)) * [1e300, 1e-300],
    ],
    ids=["row", "column", "constant", "zero", "same", "batch+1", "wide", "extreme"],
)
@pytest.mark.parametrize("init", ["pca", "random"])
@pytest.mark.parametrize("k", [1, 4])
def test_vae_fits_any_shape_of_data(X, init, k):
    vae = tiny(n_components=k, init=init).fit(X)
    answers = [
        vae.transform(X),
        *vae.posterior(X),
        vae.inverse_transform(vae.transform(X)) / np.abs(X).max().clip(1e-300),
        vae.sample(3, random_state=0) / np.abs(X).max().clip(1e-300),
        vae.score_samples(X),
    ]
    assert [len(answer) for answer in answers] == [len(X)] * 4 + [3, len(X)]
    assert all(np.isfinite(answer).all() for answer in answers)


def test_inverse_transform_answers_in_the_units_of_the_data(iris):
    X = iris * [1e6, 1e-6, 1.0, 1.0] + [0.0, 0.0, 1e6, 0.0]
    vae = tiny(max_iter=50).fit(X)
    error = np.square(vae.inverse_transform(vae.transform(X)) - X).mean(axis=0)
    assert (error < 0.5 * X.var(axis=0)).all()


def test_units_of_a_column_do_not_change_the_embedding(iris):
    Z = tiny().fit_transform(iris)
    for factor, offset in ((1e6, 0.0), (1e-6, 0.0), (1.0, 1e6)):
        X = iris * [factor, 1, 1, 1] + [offset, 0, 0, 0]
        change = np.abs(tiny().fit_transform(X) - Z).max()
        assert change < 1e-3 * Z.std()


def test_score_samples_is_a_density_of_the_raw_rows(fitted, iris):
    """Changing units by c changes the density by -log c."""
    other = tiny(max_iter=50).fit(iris * 1000.0)
    shift = fitted.score(iris) - other.score(iris * 1000.0)
    assert shift == pytest.approx(4 * np.log(1000.0), abs=0.05)


def test_score_is_the_weighted_mean_of_score_samples(fitted, iris):
    weights = np.arange(150.0)
    expected = np.average(fitted.score_samples(iris), weights=weights)
    assert fitted.score(iris, sample_weight=weights) == pytest.approx(expected)


def test_float32_rows_get_float32_answers_near_the_float64_ones(fitted, iris):
    X = iris.astype(np.float32)
    for method in (fitted.transform, fitted.score_samples):
        assert method(X).dtype == np.float32
        np.testing.assert_allclose(method(X), method(X.astype(float)), atol=1e-3)
    assert fitted.inverse_transform(fitted.transform(X)).dtype == np.float32


# Latent variables


def test_transform_is_the_posterior_mean(fitted, iris):
    mean, std = fitted.posterior(iris)
    np.testing.assert_array_equal(mean, fitted.transform(iris))
    assert ((std > 0) & (std < 1.5)).all()


def test_components_come_in_order_of_their_information(digits):
    vae = tiny(n_components=6, max_iter=10).fit(digits)
    kl = vae.kl_per_component_
    assert (np.diff(kl) <= 0).all()
    mean, std = vae.posterior(digits)
    of_rows = 0.5 * (mean**2 + std**2 - 1 - 2 * np.log(std)).mean(axis=0)
    np.testing.assert_allclose(of_rows, kl, rtol=0.05, atol=0.02)


@pytest.mark.parametrize("init", ["pca", "random"])
def test_sign_of_a_component_follows_its_strongest_column(iris, init):
    vae = tiny(init=init, early_stopping=False, max_iter=30).fit(iris)
    X = (iris - iris.mean(axis=0)) / iris.std(axis=0)
    moments = vae.transform(iris).T @ X
    strongest = np.abs(moments).argmax(axis=1)
    assert (moments[np.arange(2), strongest] > 0).all()


def test_more_components_than_columns_leave_a_valid_density(iris):
    X = StandardScaler().fit_transform(iris)
    options = {"hidden_layer_sizes": (), "early_stopping": False, "max_iter": 20}
    vae = tiny(n_components=7, sampler="prior", **options)
    assert vae.fit(X).score(X) == pytest.approx(PCA(4).fit(X).score(X), abs=0.05)


def test_beta_changes_what_is_learned(iris):
    settings = {"objective": "elbo", "max_iter": 60}
    carried = [
        tiny(beta=b, **settings).fit(iris).kl_per_component_.sum() for b in (1, 8)
    ]
    assert carried[1] < 0.9 * carried[0]


def test_beta_schedule_ends_at_its_value(iris):
    settings = {"objective": "elbo", "early_stopping": False}
    a = tiny(beta=Constant(2.0), **settings).fit(iris)
    b = tiny(beta=WarmUp(fraction=0.2, value=2.0), **settings).fit(iris)
    assert a.loss_curve_[0] != b.loss_curve_[0]
    for vae in (a, b):
        reconstruction, kl = (curve[-1] for curve in vae.term_curves_.values())
        last = reconstruction + 2.0 * kl
        assert vae.loss_curve_[-1] == pytest.approx(last, rel=1e-5)


# Samples


def test_sample_repeats_with_its_seed_and_varies_without(fitted):
    np.testing.assert_array_equal(fitted.sample(5, 1), fitted.sample(5, 1))
    assert (fitted.sample(5) != fitted.sample(5)).all()


def test_samples_have_the_moments_of_the_data(iris):
    settings = {"objective": "elbo", "max_iter": 300, "tol": None}
    vae = VAETransformer(2, random_state=0, **settings).fit(iris)
    X = vae.sample(4000, random_state=0)
    np.testing.assert_allclose(X.mean(axis=0), iris.mean(axis=0), atol=0.2)
    np.testing.assert_allclose(X.std(axis=0), iris.std(axis=0), rtol=0.2)


def test_mean_samples_are_draws_without_noise(fitted):
    means, draws = fitted.sample(500, 0, kind="mean"), fitted.sample(500, 0)
    noise = fitted.module_.likelihood.std().detach()
    np.testing.assert_allclose((draws - means).std(axis=0), noise, rtol=0.15)


def test_bernoulli_samples_are_binary(digits):
    vae = tiny(likelihood="bernoulli", max_iter=1).fit(digits / 16)
    assert set(np.unique(vae.sample(20, 0))) == {0.0, 1.0}
    means = vae.sample(20, 0, kind="mean")
    assert ((means > 0) & (means < 1)).all()


# The same row, the same answer


@pytest.mark.parametrize("method", ["transform", "score_samples"])
def test_answer_does_not_depend_on_other_rows(fitted, iris, method):
    ask = getattr(fitted, method)
    whole = ask(iris)
    order = np.random.default_rng(0).permutation(150)
    np.testing.assert_allclose(ask(iris[order]), whole[order], rtol=1e-9)
    alone = np.concatenate([ask(row[None]) for row in iris[:5]])
    np.testing.assert_allclose(alone, whole[:5], rtol=1e-9)
    np.testing.assert_allclose(ask(np.tile(iris, (40, 1)))[-150:], whole, rtol=1e-9)


def test_answers_survive_pickling_without_torch_inside(fitted, iris):
    text = pickle.dumps(fitted)
    assert b"torch" not in text
    again = pickle.loads(text)
    np.testing.assert_array_equal(again.transform(iris), fitted.transform(iris))
    np.testing.assert_array_equal(again.score_samples(iris), fitted.score_samples(iris))
    np.testing.assert_array_equal(again.sample(4, 0), fitted.sample(4, 0))


def test_pickle_of_another_version_warns(fitted, monkeypatch):
    text = pickle.dumps(fitted)
    monkeypatch.setattr("skvae.estimators._base.__version__", "9.9")
    with pytest.warns(UserWarning, match=r"pickled by skvae .* loaded by 9\.9"):
        pickle.loads(text)


def test_pickle_asking_for_an_absent_gpu_loads_on_the_cpu(iris, monkeypatch):
    vae = tiny().fit(iris)
    vae.device = "cuda"
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    again = pickle.loads(pickle.dumps(vae))
    assert again.device_ == "cpu"
    assert again.transform(iris).shape == (150, 2)


def test_answers_are_the_same_from_several_threads(fitted, iris):
    answers = [None] * 8

    def ask(i):
        answers[i] = fitted.transform(iris)

    threads = [threading.Thread(target=ask, args=(i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for answer in answers:
        np.testing.assert_array_equal(answer, fitted.transform(iris))


# The same data, the same fit


def weights_of(vae):
    return {name: t.numpy() for name, t in vae.module_.state_dict().items()}


def assert_same_fit(a, b):
    a, b = weights_of(a), weights_of(b)
    for name in a:
        np.testing.assert_array_equal(a[name], b[name])


def test_row_order_does_not_change_the_fit(iris):
    order = np.random.default_rng(0).permutation(150)
    assert_same_fit(tiny().fit(iris), tiny().fit(iris[order]))


@pytest.mark.parametrize("batch_size", ["auto", 16])
def test_weights_equal_repetition(iris, batch_size):
    weights = np.random.default_rng(0).integers(0, 4, size=150)
    weighted = tiny(batch_size=batch_size).fit(iris, sample_weight=weights)
    repeated = tiny(batch_size=batch_size).fit(np.repeat(iris, weights, axis=0))
    assert_same_fit(weighted, repeated)


def test_scale_of_the_weights_does_not_change_the_fit(iris):
    weights = np.random.default_rng(0).integers(1, 4, size=150).astype(float)
    a, b = tiny().fit(iris, None, weights), tiny().fit(iris, None, 2 * weights)
    assert_same_fit(a, b)


def test_type_of_the_input_does_not_change_the_fit(iris):
    X = iris.astype(np.float32)
    frame = pd.DataFrame(X, columns=list("abcd"))
    a = tiny().fit(X)
    assert_same_fit(a, tiny().fit(X.astype(np.float64)))
    assert_same_fit(a, tiny().fit(frame))


def test_random_state_decides_the_fit(iris):
    assert_same_fit(tiny().fit(iris), tiny().fit(iris))
    a, b = (weights_of(tiny(random_state=seed).fit(iris)) for seed in (0, 1))
    assert any((a[name] != b[name]).any() for name in a)


def test_warm_start_goes_on_as_one_run_would(iris):
    params = {"learning_rate": Constant(2e-3), "early_stopping": False}
    whole = tiny(max_iter=6, **params).fit(iris)
    parts = tiny(max_iter=4, warm_start=True, **params).fit(iris)
    parts = pickle.loads(pickle.dumps(parts)).set_params(max_iter=2).fit(iris)
    assert_same_fit(whole, parts)
    assert parts.n_iter_ == 6
    assert parts.loss_curve_ == whole.loss_curve_


def test_warm_start_may_be_turned_on_later(iris):
    vae = tiny(max_iter=3).fit(iris)
    vae.set_params(warm_start=True, solver="sgd", learning_rate=1e-4).fit(iris)
    assert vae.n_iter_ == 6
    assert len(vae.loss_curve_) == 6


def test_warm_start_forgets_what_came_before_a_fresh_fit(iris):
    vae = tiny(warm_start=True).fit(iris)
    vae.set_params(warm_start=False, hidden_layer_sizes=(9,)).fit(iris)
    vae.set_params(warm_start=True).fit(iris)
    assert vae.n_iter_ == 10
    assert (
        repr(vae.encoder_) == "Perceptron(activation='gelu', hidden_layer_sizes=(9,))"
    )


def test_warm_start_never_returns_a_worse_held_out_state(iris):
    vae = tiny(max_iter=40, warm_start=True).fit(iris)
    before = vae.best_loss_
    vae.set_params(max_iter=3, learning_rate=10.0).fit(iris)
    assert vae.best_loss_ <= before
    assert len(vae.validation_curve_) == vae.n_iter_ + 1


@pytest.mark.parametrize(
    "mode",
    [torch.no_grad, torch.inference_mode, partial(torch.autocast, "cpu")],
    ids=["no_grad", "inference_mode", "autocast"],
)
@pytest.mark.parametrize("likelihood", ["gaussian", "student_t"])
def test_modes_of_the_caller_change_neither_the_fit_nor_its_answers(
    iris, mode, likelihood
):
    vae = tiny(likelihood=likelihood).fit(iris)
    Z, scores, rows = vae.transform(iris), vae.score_samples(iris), vae.sample(9, 0)
    with mode():
        there = tiny(likelihood=likelihood).fit(iris)
        np.testing.assert_array_equal(there.transform(iris), Z)
        np.testing.assert_array_equal(there.score_samples(iris), scores)
        np.testing.assert_array_equal(there.sample(9, 0), rows)
    assert_same_fit(vae, there)


def test_default_dtype_of_the_caller_does_not_change_the_fit(iris):
    here = tiny().fit(iris)
    text = pickle.dumps(here)
    torch.set_default_dtype(torch.float64)
    try:
        there = tiny().fit(iris)
        again = pickle.loads(text)
        Z = again.transform(iris.astype(np.float32))
    finally:
        torch.set_default_dtype(torch.float32)
    assert_same_fit(here, there)
    np.testing.assert_array_equal(Z, here.transform(iris.astype(np.float32)))


@pytest.mark.parametrize(
    "likelihood", ["gaussian", "bernoulli", "poisson", "categorical", "ordinal"]
)
@pytest.mark.parametrize("dtype", [np.uint8, np.int64])
def test_whole_numbers_are_taken_as_they_are(likelihood, dtype):
    X = np.random.default_rng(0).integers(0, 2, (40, 3)).astype(dtype)
    vae = tiny(likelihood=likelihood).fit(X)
    other = tiny(likelihood=likelihood).fit(X.astype(np.float64))
    for answer in ("transform", "score_samples"):
        ours, theirs = getattr(vae, answer)(X), getattr(other, answer)(X * 1.0)
        assert ours.dtype == np.float64
        np.testing.assert_array_equal(ours, theirs)


def test_weights_of_any_size_are_taken(iris):
    weights = np.random.default_rng(0).integers(1, 4, size=150) * 2.0**1020
    assert_same_fit(
        tiny().fit(iris, None, weights), tiny().fit(iris, None, weights / 8)
    )


def test_bernoulli_start_is_no_worse_than_no_latent_variables():
    X = np.random.default_rng(0).integers(0, 2, size=(900, 12)).astype(float)
    vae = tiny(n_components=12, likelihood="bernoulli").fit(X)
    assert vae.validation_curve_[0] < 12 * np.log(2) + 0.1


def test_bernoulli_fit_that_stays_linear_keeps_the_start_that_was_chosen():
    X = np.random.default_rng(0).integers(0, 2, size=(900, 12)).astype(float)
    vae = tiny(n_components=12, likelihood="bernoulli", learning_rate=30.0)
    vae.fit(X)
    assert np.argmin(vae.validation_curve_) == 0
    assert vae.score(X) > -12 * np.log(2) - 0.1


def test_nothing_global_is_touched(untouched, iris):
    vae = tiny(random_state=None).fit(iris)
    vae.transform(iris)
    vae.inverse_transform(vae.transform(iris))
    vae.posterior(iris)
    vae.sample(3)
    vae.score(iris)
    pickle.loads(pickle.dumps(vae))


def test_fits_in_threads_are_those_of_fits_alone(untouched, digits):
    def settings():
        return torch.get_float32_matmul_precision(), torch.get_default_dtype()

    before = settings()
    vaes = [tiny(random_state=seed) for seed in range(4)]
    alone = [clone(vae).fit(digits).transform(digits) for vae in vaes]
    with ThreadPoolExecutor(4) as pool:
        fits = [pool.submit(vae.fit, digits) for vae in vaes]
        while not all(fit.done() for fit in fits):
            assert settings() == before
            # A loop that never rests leaves the fits no time.
            wait(fits, timeout=1e-3)
    for fit, Z in zip(fits, alone, strict=True):
        np.testing.assert_array_equal(fit.result().transform(digits), Z)


# Training, seen from outside


def test_curves_have_an_entry_per_epoch(iris):
    vae = tiny(objective="elbo", max_iter=7).fit(iris)
    assert vae.n_iter_ == 7
    assert [*vae.term_curves_] == ["reconstruction", "kl"]
    assert [len(curve) for curve in vae.term_curves_.values()] == [7, 7]
    assert len(vae.loss_curve_) == 7
    assert len(vae.validation_curve_) == 8
    total = np.add(*vae.term_curves_.values())
    np.testing.assert_allclose(vae.loss_curve_, total, rtol=1e-5)


@pytest.mark.parametrize("gaps", [0.0, 0.3])
@pytest.mark.parametrize("objective", ["elbo", "iwae"])
def test_curves_of_rows_of_one_kind_agree_though_training_hides_cells(gaps, objective):
    """Steps of hardly any length, so that training rows are not fitted better."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(1000, 2)) @ rng.normal(size=(2, 8))
    X += 0.5 * rng.normal(size=X.shape)
    X[rng.random(X.shape) < gaps] = np.nan
    params = {"hidden_fraction": 1.0, "learning_rate": Constant(1e-9), "max_iter": 1}
    vae = tiny(objective=objective, validation_fraction=0.4, **params).fit(X)
    shown, held_out = vae.loss_curve_[-1], vae.validation_curve_[-1]
    assert shown == pytest.approx(held_out, rel=0.05)
    assert shown == pytest.approx(sum(curve[-1] for curve in vae.term_curves_.values()))


@pytest.mark.parametrize(
    ("params", "fraction", "weight"),
    [
        ({}, 0.4, 0.6),
        ({"objective": ELBO(0.2)}, 0.2, 0.8),
        ({"objective": ELBO(0.2), "beta": 2.0}, 0.2, 2.0),
        ({"beta": 1.0}, 0.0, 1.0),
        ({"init": "random"}, 0.0, 1.0),
        ({"hidden_layer_sizes": ()}, 0.0, 1.0),
        ({"likelihood": "bernoulli"}, 0.0, 1.0),
    ],
    ids=str,
)
def test_rows_are_decoded_at_their_mean_too_where_the_start_is_pca(
    iris, params, fraction, weight
):
    settings = {"beta": "auto", "objective": "elbo"} | params
    vae = tiny(**settings).fit(iris / iris.max())
    assert vae.objective_.mean_fraction == fraction
    assert vae.beta_(5, 5) == pytest.approx(weight)


def test_best_held_out_state_is_restored(iris):
    """An absurd learning rate makes the starting state the best one."""
    vae = tiny(learning_rate=100.0, max_iter=20).fit(iris)
    assert vae.best_loss_ == min(vae.validation_curve_)
    best = np.argmin(vae.validation_curve_)
    assert best < 20
    assert vae.score(iris) > PCA(2).fit(iris).score(iris) - 5


def test_linear_solution_of_all_rows_is_returned_where_nothing_beats_it():
    X = np.random.default_rng(0).normal(size=(600, 6)) * [9, 5, 1, 1, 1, 1]
    vae = tiny(likelihood=Gaussian(scaling="shared"), learning_rate=30.0)
    vae.fit(X)
    assert np.argmin(vae.validation_curve_) == 0
    expected = PCA(2).fit(X).score_samples(X)
    np.testing.assert_allclose(vae.score_samples(X), expected, atol=0.05)


def test_weak_linear_start_is_warmed_up():
    """Equal variance in all directions leaves PCA, and so the start, nothing."""
    X = make_s_curve(1000, random_state=0)[0]
    settings = {"objective": "elbo", "max_iter": 250, "tol": None}
    vae = VAETransformer(2, random_state=0, **settings).fit(X)
    assert isinstance(vae.beta_, WarmUp)
    back = vae.inverse_transform(vae.transform(X))
    ours = np.square((back - X) / X.std(axis=0)).mean()
    assert ours < 0.1


def test_early_stopping_ends_a_fit_that_no_longer_improves(iris):
    options = {"max_iter": 500, "tol": 10.0, "n_iter_no_change": 3}
    vae = tiny(init="random", **options).fit(iris)
    assert vae.n_iter_ < 10


def test_unfinished_fit_warns_with_the_remedy(digits):
    with pytest.warns(ConvergenceWarning, match="Raise max_iter"):
        tiny(max_iter=2, tol=1e-3, learning_rate=Constant(2e-3)).fit(digits)


@pytest.fixture
def interruptible():
    """Let SIGINT interrupt, which a shell turns off for what it runs in background."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_keyboard_interrupt_keeps_the_last_whole_epoch(iris, interruptible):
    class Interrupt(Watcher):
        def on_fit_task_end(self, estimator, context, **kwargs):
            super().on_fit_task_end(estimator, context, **kwargs)
            if context.task_id == 2:
                threading.Timer(0.05, signal.raise_signal, [signal.SIGINT]).start()

    vae = tiny(max_iter=100_000, learning_rate=Constant(2e-3), early_stopping=False)
    watcher = Interrupt()
    vae.set_callbacks(watcher)
    with pytest.warns(UserWarning, match="interrupted"):
        vae.fit(iris)
    assert 3 <= vae.n_iter_ < 100_000
    assert len(vae.loss_curve_) == vae.n_iter_
    names = [(name, i) for name, i, _ in watcher.ends]
    assert names == [("epoch", i) for i in range(len(names) - 1)] + [("fit", 0)]
    same = tiny(
        max_iter=vae.n_iter_, learning_rate=Constant(2e-3), early_stopping=False
    )
    assert_same_fit(vae, same.fit(iris))


class Watcher:
    """Keeps what scikit-learn's callback hooks are told."""

    def __init__(self):
        self.ends = []

    def setup(self, estimator, context):
        pass

    def teardown(self, estimator, context):
        pass

    def on_fit_task_begin(self, estimator, context, **kwargs):
        pass

    def on_fit_task_end(self, estimator, context, *, fitted_estimator=None, **kwargs):
        self.ends.append((context.task_name, context.task_id, fitted_estimator))


class Stopper(Watcher):
    def on_fit_task_end(self, estimator, context, *, fitted_estimator=None, **kwargs):
        super().on_fit_task_end(estimator, context, fitted_estimator=fitted_estimator)
        return context.task_name == "epoch" and context.task_id == 2


def test_callbacks_see_every_epoch_as_a_usable_estimator(iris):
    watcher = Watcher()
    vae = tiny(max_iter=4, early_stopping=False).set_callbacks(watcher).fit(iris)
    names = [name for name, _, _ in watcher.ends]
    assert names == ["epoch"] * 4 + ["fit"]
    scores = [seen.score(iris) for _, _, seen in watcher.ends]
    assert len(set(scores[:4])) == 4
    assert scores[-1] == vae.score(iris)


def test_callback_can_stop_a_fit(iris):
    vae = tiny(max_iter=50).set_callbacks(Stopper()).fit(iris)
    assert vae.n_iter_ == 3
    assert not hasattr(vae, "_callback_fit_ctx")


def test_progress_bar_runs(iris, capsys):
    tiny().set_callbacks(ProgressBar()).fit(iris)
    assert "VAETransformer" in capsys.readouterr().out


def test_verbose_prints_a_line_per_epoch(iris, capsys):
    tiny(max_iter=3, verbose=True).fit(iris)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3
    assert lines[2].startswith("Epoch 3: loss ")
    assert re.search(r", held-out .*, [\d.]+ s, at most [\d.]+ s left$", lines[1])
    assert lines[2].endswith("at most 0.0 s left")


# At home in scikit-learn


def test_clone_and_get_params_keep_specs():
    vae = VAETransformer(likelihood=Gaussian(noise="column"), beta=WarmUp(0.3))
    params = clone(vae).get_params()
    assert params["likelihood__noise"] == "column"
    assert params["beta__fraction"] == 0.3


def test_grid_search_needs_no_scorer(iris):
    search = GridSearchCV(
        make_pipeline(StandardScaler(), tiny(max_iter=10)),
        {
            "vaetransformer__n_components": [1, 2],
            "vaetransformer__likelihood": [Gaussian(), Gaussian(noise="column")],
        },
        cv=2,
        error_score="raise",
    ).fit(iris)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_set_output_names_the_components(iris, library):
    pytest.importorskip(library)
    Z = tiny().set_output(transform=library).fit_transform(iris)
    assert list(Z.columns) == ["vaetransformer0", "vaetransformer1"]


def test_html_representation_shows_a_fitted_estimator(fitted):
    assert "VAETransformer" in fitted._repr_html_()


def test_default_parameters_are_resolved_into_attributes(iris):
    vae = VAETransformer(max_iter=2, tol=None, random_state=0).fit(iris)
    assert repr(vae.encoder_) == repr(vae.decoder_) == repr(Perceptron().resolved(4))
    assert repr(vae.likelihood_) == "Gaussian()"
    base, width = vae.objective_.base, vae.objective_.width
    assert repr(base) == "ELBO(mean_fraction=0.4)"
    # In a plane, a normal variable is within r in 1 - exp(-r^2 / 2).
    assert 1 - np.exp(-0.5 * width**2) == pytest.approx(15 / 120, rel=0.02)
    assert vae.objective_.weight == 1.0
    assert repr(vae.beta_) == "Constant(value=0.6)"
    assert repr(vae.learning_rate_) == "OneCycle(value=0.004)"
    assert (vae.batch_size_, vae.max_iter_, vae.n_iter_no_change_) == (128, 2, 10)
    assert (vae.validation_fraction_, vae.hidden_fraction_) == (0.2, 0.0)


# Networks


@pytest.mark.parametrize(
    ("params", "sizes"),
    [
        ({"hidden_layer_sizes": (9, 4)}, [(9, 4), (4, 9)]),
        ({"encoder": Perceptron((9, 4))}, [(9, 4), (4, 9)]),
        ({"decoder": Perceptron((9, 4))}, [(4, 9), (9, 4)]),
        ({"encoder": Perceptron(7), "decoder": Perceptron(())}, [(7,), ()]),
    ],
    ids=str,
)
def test_networks_are_as_asked_or_mirrored(iris, params, sizes):
    vae = VAETransformer(max_iter=2, tol=None, random_state=0, **params).fit(iris)
    assert [vae.encoder_.hidden_layer_sizes, vae.decoder_.hidden_layer_sizes] == sizes
    networks = vae.module_.encoder, vae.module_.decoder
    built = [tuple(len(h.weight) for h in n.body.hidden) for n in networks]
    assert built == sizes


@pytest.mark.parametrize("network", ["encoder", "decoder"])
@pytest.mark.parametrize("short", [{"hidden_layer_sizes": 9}, {"activation": "relu"}])
def test_short_form_beside_a_network_is_refused(iris, network, short):
    vae = VAETransformer(**{network: Perceptron()}, **short)
    with pytest.raises(
        ValueError, match=f"{next(iter(short))} must be 'auto' where {network}"
    ):
        vae.fit(iris)
