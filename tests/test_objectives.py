"""Bounds stand in their order, and meet at the evidence of a linear model."""

import math

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from scipy import stats
from torch.distributions import Independent, Normal, kl_divergence

from skvae import VAETransformer
from skvae._batches import Rows
from skvae._model import Architecture
from skvae._start import start_linear
from skvae.likelihoods import Bernoulli, Gaussian
from skvae.objectives import (
    IWAE,
    as_objective,
    elbo,
    elbo_bound,
    importance_bound,
    log_weights,
    noise_shape,
    reconstruction,
)
from skvae.priors import StandardNormal
from skvae.schedules import WarmUp

RNG = np.random.default_rng(0)
X = RNG.normal(size=(50, 2)) @ RNG.normal(size=(2, 4)) * 2 + RNG.normal(size=(50, 4))
K = 2


def _noise(*shape, seed=0):
    random = torch.Generator().manual_seed(seed)
    return torch.randn((*shape, K), generator=random, dtype=torch.float64)


def _model(prior, likelihood=None):
    likelihood = Gaussian() if likelihood is None else likelihood
    architecture = Architecture(4, K, (6,), "tanh", True, likelihood, prior)
    model = architecture.build(seed=0).double()
    values = X if isinstance(likelihood, Gaussian) else X.clip(0, 1)
    rows = Rows(values, np.arange(50), np.ones(50))
    model.likelihood.fit_statistics(rows)
    start_linear(model, rows)
    return model.requires_grad_(False)


@pytest.fixture
def model():
    """Return a linear model whose posterior is deliberately off."""
    model = _model(StandardNormal())
    model.encoder.bias.add_(torch.tensor([0.4, -0.3, 0.5, -0.4]))
    return model


@pytest.fixture
def x(model):
    return torch.from_numpy(model.likelihood.prepare(X[:10]))


def _evidence(model):
    loadings = model.decoder.linear.numpy()
    noise = model.likelihood.noise().exp().item()
    covariance = loadings @ loadings.T + noise**2 * np.eye(4)
    scale = X.std(axis=0)
    covariance = scale[:, None] * covariance * scale
    return stats.multivariate_normal(X.mean(axis=0), covariance).logpdf(X[:10])


def _posterior(model, x):
    mean, log_var = model.posterior(x)
    return Normal(mean, torch.exp(0.5 * log_var))


def test_elbo_terms_equal_torch_distributions(model, x):
    noise = _noise(10)
    terms = elbo(model, x, noise)
    q = _posterior(model, x)
    kl = kl_divergence(q, Normal(torch.zeros(10, K), 1.0)).sum(-1)
    p = model.likelihood.distribution(model.decoder(q.mean + q.stddev * noise))
    log_prob = p.log_prob(torch.from_numpy(X[:10])).sum(-1)
    assert_allclose(terms.kl, kl)
    assert_allclose(terms.reconstruction, -log_prob)


def test_elbo_reparametrized_gradient_reaches_the_log_variance(model, x):
    model.requires_grad_(True)
    elbo(model, x, _noise(10)).reconstruction.sum().backward()
    assert (model.encoder.bias.grad[K:].abs() > 0).all()


def test_importance_with_one_draw_is_a_single_sample_elbo(model, x):
    noise = _noise(1, 1)
    q = _posterior(model, x)
    z = q.mean + q.stddev * noise[0]
    log_p = model.likelihood.distribution(model.decoder(z)).log_prob(
        torch.from_numpy(X[:10])
    )
    prior = Independent(Normal(torch.zeros(K).double(), 1.0), 1)
    expected = log_p.sum(-1) + prior.log_prob(z) - q.log_prob(z).sum(-1)
    assert_allclose(importance_bound(model, x, noise), expected)


def test_elbo_bound_averages_to_minus_the_elbo_terms(model, x):
    noise = _noise(4000, 1)
    singles = log_weights(model, x, noise)
    terms = elbo(model, x, noise)
    gap = elbo_bound(model, x, noise) + (terms.reconstruction.mean(0) + terms.kl)
    spread = (singles + terms.reconstruction).std(0) / math.sqrt(4000)
    assert (gap.abs() < 5 * spread).all()


@pytest.mark.parametrize("n_draws", [1, 2, 50])
def test_elbo_bound_is_at_most_the_importance_bound_of_the_same_draws(
    model, x, n_draws
):
    noise = _noise(n_draws, 1)
    gap = importance_bound(model, x, noise) - elbo_bound(model, x, noise)
    assert (gap >= -1e-12).all()
    assert (gap.max() > 1e-3) == (n_draws > 1)


def test_bounds_rise_with_draws_towards_the_evidence(model, x):
    def mean(n_draws):
        noises = [_noise(n_draws, 1, seed=seed) for seed in range(50)]
        bounds = [importance_bound(model, x, noise).mean() for noise in noises]
        return float(torch.stack(bounds).mean())

    bounds = [mean(1), mean(10), mean(100), _evidence(model).mean() + 0.01]
    assert (np.diff(bounds) > 0).all(), bounds


def test_importance_bound_converges_to_the_evidence(model, x):
    bound = importance_bound(model, x, _noise(20_000, 1))
    assert_allclose(bound, _evidence(model), atol=0.05)


def test_bounds_of_the_exact_posterior_equal_the_evidence():
    model = _model(StandardNormal())
    x = torch.from_numpy(model.likelihood.prepare(X[:10]))
    expected = _evidence(model)
    assert_allclose(importance_bound(model, x, _noise(1, 1)), expected, rtol=1e-8)
    assert_allclose(elbo_bound(model, x, _noise(3, 1)), expected, rtol=1e-8)


def test_importance_bound_survives_hopeless_draws(model, x):
    bound = importance_bound(model, x * 1e3, _noise(5, 1))
    assert bound.isfinite().all()
    assert (bound < -1e4).all()


@pytest.mark.parametrize("likelihood", [Gaussian(), Bernoulli()], ids=repr)
def test_reconstruction_has_no_kl_and_no_noise(likelihood):
    model = _model(None, likelihood)
    x = torch.from_numpy(np.clip(model.likelihood.prepare(X[:10]), 0, 1))
    terms = reconstruction(model, x, _noise(10))
    code, _ = model.posterior(x)
    expected = -model.likelihood.log_prob(model.decoder(code), x)
    assert_allclose(terms.reconstruction, expected)
    assert_allclose(terms.kl, np.zeros(10))
    again = reconstruction(model, x, _noise(10, seed=1))
    assert torch.equal(again.reconstruction, terms.reconstruction)


def test_terms_of_the_weighted_bound_add_up_to_it(model, x):
    noise = _noise(7, len(x))
    terms = IWAE(7)(model, x, noise)
    bound = importance_bound(model, x, noise)
    assert_allclose(-(terms.reconstruction + terms.kl), bound, rtol=1e-10)


def test_weighted_bound_with_one_draw_is_the_evidence_lower_bound(model, x):
    terms = IWAE(1)(model, x, _noise(len(x)))
    bound = elbo_bound(model, x, _noise(1, len(x)))
    assert_allclose(-(terms.reconstruction + terms.kl), bound, rtol=1e-10)


def test_weighted_bound_of_a_row_counts_observed_cells_alone(model, x):
    some = x.clone()
    some[:, 2] = torch.nan
    model.may_miss = True
    noise = _noise(5, len(x))
    terms = IWAE(5)(model, some, noise)
    bound = importance_bound(model, some, noise)
    assert torch.isfinite(bound).all()
    assert_allclose(-(terms.reconstruction + terms.kl), bound, rtol=1e-10)
    full = importance_bound(model, x, noise)
    assert (bound != full).all()


def test_objectives_are_known_by_name():
    assert as_objective("elbo") is elbo
    assert as_objective("iwae").n_draws == IWAE().n_draws
    assert noise_shape(elbo, 3, 2) == (3, 2)
    assert noise_shape(IWAE(5), 3, 2) == (5, 3, 2)


@pytest.mark.parametrize("n_draws", [0, 2.5, None])
def test_weighted_bound_without_draws_is_refused(n_draws):
    with pytest.raises(ValueError, match=r"n_draws of IWAE.*positive integer"):
        as_objective(IWAE(n_draws=n_draws))


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
    assert max(vae.kl_curve_) < 0.5
