"""How many draws of z, and rows, an answer takes: as many as it needs, and as fit."""

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.datasets import load_iris

from skvae import VAEOutlierDetector, VAETransformer
from skvae.estimators import _apply, _draws
from skvae.estimators._draws import Plan, doubling, n_effective, weigh_rows
from skvae.estimators._impute import plan_of
from skvae.estimators._score import SCORE_DRAWS, TOLERANCE
from skvae.table import Batch

pytestmark = pytest.mark.filterwarnings("ignore:.*carry nothing")

X = load_iris().data
X_MISSING = np.where(np.random.default_rng(0).random(X.shape) < 0.3, np.nan, X)
METHODS = {
    "scores": lambda vae, X: vae.score_samples(X),
    "elbo": lambda vae, X: vae.score_samples(X, bound="elbo"),
    "30 draws": lambda vae, X: vae.score_samples(X, n_draws=30),
    "mean": lambda vae, X: vae.impute(X),
    "mode": lambda vae, X: vae.impute(X, statistic="mode"),
    "median": lambda vae, X: vae.impute(X, statistic="median"),
    "100 proposals": lambda vae, X: vae.impute(X, n_proposals=100),
    "draws": lambda vae, X: vae.impute(X, n_draws=3).swapaxes(0, 1),
    "transform": lambda vae, X: vae.transform(X),
}
every_method = pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)


@pytest.fixture(scope="module")
def vae():
    """A model of rows with gaps whose posteriors are far from exact."""
    model = VAETransformer(
        3, hidden_layer_sizes=(8,), max_iter=20, tol=None, random_state=0
    )
    return model.fit(X_MISSING)


@pytest.fixture
def decoded(vae, monkeypatch):
    """Note how many rows, or draws of z, the decoder gets at a time."""
    sizes, plain = [], type(vae.module_.decoder).forward

    def forward(self, z):
        if z.shape[-1] == 3:
            sizes.append(z.numel() // 3)
        return plain(self, z)

    monkeypatch.setattr(type(vae.module_.decoder), "forward", forward)
    return sizes


# Any number of rows at a time gives the same


@every_method
def test_answer_of_a_row_does_not_depend_on_company(vae, method):
    together = method(vae, X_MISSING[:40])
    for rows in (slice(3, 4), slice(30, 40)):
        assert_allclose(method(vae, X_MISSING[rows]), together[rows], rtol=1e-9)


# Medians are of draws, which come from one stream, piece by piece.
@pytest.mark.parametrize("name", sorted(METHODS.keys() - {"median"}))
@pytest.mark.parametrize("most", [1, 7, 100])
def test_answers_do_not_depend_on_the_memory_that_they_may_take(
    vae, name, most, monkeypatch
):
    method = METHODS[name]
    expected = method(vae, X_MISSING[:20])
    monkeypatch.setattr(_apply, "MOST_ROWS", most)
    assert_allclose(method(vae, X_MISSING[:20]), expected, rtol=1e-9)


@every_method
def test_no_more_is_decoded_at_a_time_than_fits(vae, method, decoded, monkeypatch):
    monkeypatch.setattr(_apply, "MOST_ROWS", 50)
    method(vae, X_MISSING)
    assert max(decoded, default=0) <= 50


def test_what_fits_follows_from_the_widest_values_of_a_row():
    few, many = (
        VAETransformer(2, hidden_layer_sizes=(4,), max_iter=1, tol=None).fit(
            np.random.default_rng(0).normal(size=(12, n_columns))
        )
        for n_columns in (8, 40_000)
    )
    assert _apply.most_at_once(few.module_) == _apply.MOST_ROWS
    n_rows = _apply.most_at_once(many.module_)
    assert n_rows * 40_000 * 8 * _apply.N_ARRAYS <= _apply.MOST_BYTES < 2**28


# As many draws as a row needs


def test_numbers_of_draws_are_doubled():
    assert doubling(16, 128) == (16, 32, 64, 128)
    assert doubling(8, 8) == (8,)


def test_effective_number_of_draws_is_that_of_equal_weights():
    log_weights = torch.tensor([[0.0, 0.0], [0.0, -torch.inf], [0.0, -torch.inf]])
    assert_allclose(n_effective(log_weights), [3.0, 1.0])


@pytest.mark.parametrize("n_draws", [1, 5, 200])
def test_number_of_draws_that_is_given_is_kept_to(vae, decoded, n_draws):
    vae.score_samples(X_MISSING[:10], n_draws=n_draws)
    assert sum(decoded) == 10 * n_draws


def test_number_of_proposals_that_is_given_is_kept_to(vae, decoded):
    rows = X_MISSING[np.isnan(X_MISSING).any(axis=1)][:10]
    vae.impute(rows, n_proposals=70)
    assert sum(decoded) == 10 * 70


def test_exact_posteriors_need_the_fewest_draws(decoded):
    rows = np.random.default_rng(0).normal(size=(100, 3)) @ np.ones((3, 6))
    rows += np.random.default_rng(1).normal(size=rows.shape)
    linear = VAETransformer(
        3, hidden_layer_sizes=(), early_stopping=False, max_iter=1, random_state=0
    ).fit(rows)
    decoded.clear()
    linear.score_samples(rows)
    assert sum(decoded) == 100 * SCORE_DRAWS.ends[0]


def test_rows_that_need_more_draws_get_the_next_of_the_sequence(vae):
    model, noise = vae.module_, vae._fixed_noise(32).float()
    batch = Batch.of(
        torch.from_numpy(model.likelihood.prepare(X_MISSING[:6]).astype(np.float32)),
        True,
    )

    def draw(outputs, part):
        return model.posterior.draw_and_score(outputs, noise[part])

    enough = torch.tensor([True, False, True, False, False, True])
    plan = Plan((8, 32), lambda log_weights: enough[: log_weights.shape[1]])
    with torch.inference_mode():
        some = weigh_rows(model, batch, draw, plan)
        every = weigh_rows(model, batch, draw, plan.of(32))
    assert_array_equal(some.n_draws, np.where(enough, 8, 32))
    more = ~enough
    assert_allclose(some.log_weights[:, more], every.log_weights[:, more], rtol=1e-5)
    assert_allclose(some.log_weights[:8], every.log_weights[:8], rtol=1e-5)
    assert (some.log_weights[8:, enough] == -torch.inf).all()


def test_scores_of_few_draws_are_those_of_many(vae):
    auto, many = (vae.score_samples(X_MISSING, n_draws=n) for n in ("auto", 2000))
    # The posteriors of this model are crude, so that 128 draws are not enough, either.
    most = vae.score_samples(X_MISSING, n_draws=128)
    error = np.abs(auto - many)
    assert np.sqrt(np.mean(error**2)) < np.sqrt(np.mean((most - many) ** 2)) + TOLERANCE
    assert abs(auto.mean() - most.mean()) < 0.3 * TOLERANCE


def test_imputations_of_few_proposals_are_those_of_many(vae):
    missing = np.isnan(X_MISSING)
    auto, many = (vae.impute(X_MISSING, n_proposals=n) for n in ("auto", 4000))
    errors = [np.sqrt(np.mean((filled - X)[missing] ** 2)) for filled in (auto, many)]
    assert errors[0] < 1.03 * errors[1]


def test_more_draws_need_more_proposals():
    log_weights = torch.zeros((64, 1))
    assert plan_of("auto").is_enough(log_weights[:16]).all()
    assert not plan_of("auto", n_draws=5).is_enough(log_weights[:32]).any()
    assert not plan_of("auto", "median").is_enough(log_weights[:32]).any()
    assert plan_of("auto", n_draws=5).is_enough(log_weights).all()
    assert not plan_of("auto", n_draws=100).is_enough(log_weights).any()


@pytest.mark.parametrize("value", ["many", 0, 2.0])
def test_numbers_of_draws_are_checked(vae, value):
    with pytest.raises(ValueError, match="n_draws must be a positive integer or 'auto"):
        vae.score_samples(X, n_draws=value)
    with pytest.raises(ValueError, match="n_proposals must be a positive integer or"):
        vae.impute(X_MISSING, n_proposals=value)
    with pytest.raises(ValueError, match="n_draws"):
        VAEOutlierDetector(n_draws=value).fit(X)


def test_answers_leave_the_types_of_a_model_alone(vae):
    before = {name: value.clone() for name, value in vae.module_.state_dict().items()}
    vae.score_samples(X_MISSING[:5])
    for name, value in vae.module_.state_dict().items():
        assert value.dtype == before[name].dtype
        assert torch.equal(value.nan_to_num(), before[name].nan_to_num())


def test_draws_of_an_empty_set_of_rows_are_none():
    assert not list(_draws._pieces(0, 16, 100, 0))
