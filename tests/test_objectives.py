"""Bounds stand in their order, and meet at the evidence of a linear model."""

import math

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from scipy import stats
from torch.distributions import Independent, Normal, kl_divergence

from skvae import VAETransformer
from skvae._model import Architecture
from skvae.likelihoods import Bernoulli, Gaussian
from skvae.networks import Perceptron
from skvae.objectives import (
    ELBO,
    IWAE,
    AddedTerm,
    Reconstruction,
    as_objective,
    elbo_bound,
    importance_bound,
)
from skvae.objectives._bounds import log_weights
from skvae.priors import NoPrior, StandardNormal
from skvae.schedules import WarmUp
from skvae.table import Batch, Rows, as_cells
from skvae.training._start import start_linear

RNG = np.random.default_rng(0)
X = RNG.normal(size=(50, 2)) @ RNG.normal(size=(2, 4)) * 2 + RNG.normal(size=(50, 4))
K = 2
GAUSSIAN = Gaussian()


def _noise(*shape, seed=0):
    random = torch.Generator().manual_seed(seed)
    return torch.randn((*shape, K), generator=random, dtype=torch.float64)


def _model(prior, likelihood=GAUSSIAN):
    networks = (Perceptron((6,), "tanh"),) * 2
    model = Architecture(4, K, *networks, True, likelihood, prior).build(seed=0)
    values = X if isinstance(likelihood, Gaussian) else X.clip(0, 1)
    rows = Rows(as_cells(values), np.arange(50), np.ones(50))
    model.double().likelihood.fit_statistics(rows)
    start_linear(model, rows)
    return model.requires_grad_(False)


@pytest.fixture
def model():
    """Return a linear model whose posterior is deliberately off."""
    model = _model(StandardNormal())
    model.encoder.path.bias.add_(torch.tensor([0.4, -0.3, 0.5, -0.4]))
    return model


@pytest.fixture
def batch(model):
    return Batch(torch.from_numpy(model.likelihood.prepare(X[:10])))


def _evidence(model):
    loadings = model.decoder.path.weight.numpy()
    noise = model.likelihood.noise().exp().item()
    covariance = loadings @ loadings.T + noise**2 * np.eye(4)
    scale = X.std(axis=0)
    covariance = scale[:, None] * covariance * scale
    return stats.multivariate_normal(X.mean(axis=0), covariance).logpdf(X[:10])


def _posterior(model, batch):
    outputs = model.encode(batch)
    return Normal(model.posterior.mean(outputs), model.posterior.std(outputs))


def _cells(model, z):
    likelihood = model.likelihood
    return Normal(likelihood.mean(model.decoder(z)), likelihood.std())


def test_elbo_terms_equal_torch_distributions(model, batch):
    noise = _noise(1, 10)
    terms = ELBO(0.0).terms(model, batch, noise)
    q = _posterior(model, batch)
    kl = kl_divergence(q, Normal(torch.zeros(10, K), 1.0)).sum(-1)
    p = _cells(model, q.mean + q.stddev * noise[0])
    log_prob = p.log_prob(torch.from_numpy(X[:10])).sum(-1)
    assert_allclose(terms["kl"], kl)
    assert_allclose(terms["reconstruction"], -log_prob)


def test_elbo_terms_of_several_draws_are_means(model, batch):
    noise = _noise(3, 10)
    terms = ELBO(0.0).terms(model, batch, noise)
    singles = [ELBO(0.0).terms(model, batch, draw[None]) for draw in noise]
    for name, term in terms.items():
        assert_allclose(term, torch.stack([single[name] for single in singles]).mean(0))


def test_elbo_reparametrized_gradient_reaches_the_log_variance(model, batch):
    model.requires_grad_(True)
    ELBO(0.0).terms(model, batch, _noise(1, 10))["reconstruction"].sum().backward()
    assert (model.encoder.path.bias.grad[K:].abs() > 0).all()


def test_importance_with_one_draw_is_a_single_sample_elbo(model, batch):
    noise = _noise(1, 1)
    q = _posterior(model, batch)
    z = q.mean + q.stddev * noise[0]
    log_p = _cells(model, z).log_prob(torch.from_numpy(X[:10]))
    prior = Independent(Normal(torch.zeros(K).double(), 1.0), 1)
    expected = log_p.sum(-1) + prior.log_prob(z) - q.log_prob(z).sum(-1)
    assert_allclose(importance_bound(model, batch, noise), expected)


def test_elbo_bound_averages_to_minus_the_elbo_terms(model, batch):
    noise = _noise(4000, 1)
    weights = log_weights(model, batch, noise)
    losses = model.log_prob(model.posterior.draw(model.encode(batch), noise), batch)
    terms = ELBO(0.0).terms(model, batch, noise)
    gap = elbo_bound(model, batch, noise) + terms["reconstruction"] + terms["kl"]
    spread = (weights - losses).std(0) / math.sqrt(4000)
    assert (gap.abs() < 5 * spread).all()


@pytest.mark.parametrize("n_draws", [1, 2, 50])
def test_elbo_bound_is_at_most_the_importance_bound_of_the_same_draws(
    model, batch, n_draws
):
    noise = _noise(n_draws, 1)
    gap = importance_bound(model, batch, noise) - elbo_bound(model, batch, noise)
    assert (gap >= -1e-12).all()
    assert (gap.max() > 1e-3) == (n_draws > 1)


def test_bounds_rise_with_draws_towards_the_evidence(model, batch):
    def mean(n_draws):
        noises = [_noise(n_draws, 1, seed=seed) for seed in range(50)]
        bounds = [importance_bound(model, batch, noise).mean() for noise in noises]
        return float(torch.stack(bounds).mean())

    bounds = [mean(1), mean(10), mean(100), _evidence(model).mean() + 0.01]
    assert (np.diff(bounds) > 0).all(), bounds


def test_importance_bound_converges_to_the_evidence(model, batch):
    bound = importance_bound(model, batch, _noise(20_000, 1))
    assert_allclose(bound, _evidence(model), atol=0.05)


def test_bounds_of_the_exact_posterior_equal_the_evidence(batch):
    model = _model(StandardNormal())
    expected = _evidence(model)
    assert_allclose(importance_bound(model, batch, _noise(1, 1)), expected, rtol=1e-8)
    assert_allclose(elbo_bound(model, batch, _noise(3, 1)), expected, rtol=1e-8)


def test_importance_bound_survives_hopeless_draws(model, batch):
    bound = importance_bound(model, Batch(batch.x * 1e3), _noise(5, 1))
    assert bound.isfinite().all()
    assert (bound < -1e4).all()


@pytest.mark.parametrize("likelihood", [Gaussian(), Bernoulli()], ids=repr)
@pytest.mark.parametrize("prior", [NoPrior(), StandardNormal()], ids=repr)
def test_reconstruction_has_no_other_term_and_no_noise(likelihood, prior):
    model = _model(prior, likelihood)
    batch = Batch(torch.from_numpy(model.likelihood.prepare(X[:10])).clamp(0, 1))
    terms = Reconstruction().terms(model, batch, _noise(1, 10))
    expected = -model.log_prob(model.posterior_mean(batch), batch)
    assert_allclose(terms.pop("reconstruction"), expected)
    assert not terms


def test_terms_of_the_weighted_bound_add_up_to_it(model, batch):
    noise = _noise(7, len(batch))
    terms = IWAE(7).terms(model, batch, noise)
    bound = importance_bound(model, batch, noise)
    assert_allclose(-sum(terms.values()), bound, rtol=1e-10)


def test_weighted_bound_with_one_draw_is_the_evidence_lower_bound(model, batch):
    noise = _noise(1, len(batch))
    terms = IWAE(1).terms(model, batch, noise)
    assert_allclose(-sum(terms.values()), elbo_bound(model, batch, noise), rtol=1e-10)


def test_weighted_bound_of_a_row_counts_observed_cells_alone(model, batch):
    hidden = torch.zeros(10, 4, dtype=torch.bool)
    hidden[:, 2] = True
    some, noise = batch.hide(hidden), _noise(5, len(batch))
    terms = IWAE(5).terms(model, some, noise)
    bound = importance_bound(model, some, noise)
    assert torch.isfinite(bound).all()
    assert_allclose(-sum(terms.values()), bound, rtol=1e-10)
    assert (bound != importance_bound(model, batch, noise)).all()


def test_stacked_terms_give_a_term_of_the_batch_to_each_row(model, batch):
    class Twice(ELBO):
        names = ("of the batch", "reconstruction", "kl")

        def terms(self, *args):
            return {**super().terms(*args), "of the batch": torch.tensor(3.0)}

    noise = _noise(1, 10)
    stacked = Twice().stacked_terms(model, batch, noise)
    assert_allclose(stacked[0], np.full(10, 3.0))
    assert_allclose(stacked[1:], [*ELBO().terms(model, batch, noise).values()])


# Names and parameters


def test_objectives_are_known_by_name():
    assert repr(as_objective("elbo")) == "ELBO()"
    assert repr(as_objective("iwae")) == "IWAE()"
    assert as_objective(spec := IWAE(5)) is spec
    assert (ELBO().n_draws, spec.n_draws) == (1, 5)


@pytest.mark.parametrize(
    ("objective", "message"),
    [
        (IWAE(0), r"n_draws of IWAE.*positive integer"),
        (IWAE(2.5), r"n_draws of IWAE.*positive integer"),
        (IWAE(None), r"n_draws of IWAE.*positive integer"),
        (ELBO(1.0), r"mean_fraction of ELBO.*in \[0, 1\)"),
        (ELBO(-0.1), r"mean_fraction of ELBO.*in \[0, 1\)"),
        (ELBO("some"), r"mean_fraction of ELBO.*in \[0, 1\)"),
    ],
    ids=repr,
)
def test_objective_with_an_invalid_parameter_is_refused(objective, message):
    with pytest.raises(ValueError, match=message):
        VAETransformer(objective=objective).fit(X)


def test_auto_becomes_a_fraction_which_beta_makes_up_for():
    assert ELBO().resolved(0.4).mean_fraction == 0.4
    assert ELBO(0.1).resolved(0.4).mean_fraction == 0.1
    assert ELBO().for_density().mean_fraction == 0.0
    assert ELBO(0.1).default_beta(start_is_weak=False) == 0.9
    assert repr(ELBO(0.5).default_beta(start_is_weak=True)) == "WarmUp(value=0.5)"
    assert IWAE().default_beta(start_is_weak=True) == 1.0


@pytest.mark.parametrize(("beta", "least"), [(0.5, "0.5"), (WarmUp(), "0")])
def test_importance_weighted_bound_refuses_to_reward_divergence(beta, least):
    vae = VAETransformer(objective="iwae", beta=beta)
    with pytest.raises(ValueError, match=rf"requires beta >= 1.*is {least} at one end"):
        vae.fit(np.random.default_rng(0).normal(size=(20, 3)))


def test_importance_weighted_fit_of_a_weak_start_stays_bounded():
    X = np.random.default_rng(0).normal(size=(300, 6))
    X[np.random.default_rng(1).random(X.shape) < 0.2] = np.nan
    options = {"objective": "iwae", "max_iter": 30, "tol": None, "random_state": 0}
    with pytest.warns(UserWarning, match="carry nothing"):
        vae = VAETransformer(**options).fit(X)
    # Nothing is to be found; rewarded, the divergence would go beyond a nat.
    assert repr(vae.beta_) == "Constant()"
    assert max(vae.term_curves_["kl"]) < 0.5


class Doubled(ELBO):
    """The bound, with a term of its own beside it."""

    names = ("reconstruction", "kl", "twice")

    def terms(self, *args):
        terms = super().terms(*args)
        return {**terms, "twice": 2.0 * terms["kl"]}


def test_subclass_of_the_bound_keeps_its_terms():
    vae = VAETransformer(objective=Doubled(), max_iter=2, tol=None, random_state=0)
    vae.fit(X)
    assert repr(vae.objective_) == "Doubled(mean_fraction=0.4)"
    assert vae.term_curves_["twice"] == pytest.approx(
        [2.0 * kl for kl in vae.term_curves_["kl"]]
    )


def test_added_term_to_an_unknown_objective_is_refused():
    with pytest.raises(
        ValueError, match=r"one of \['denoising', 'elbo', .*'rae', .*'foo'"
    ):
        VAETransformer(objective=AddedTerm("foo")).fit(X)
