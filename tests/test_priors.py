"""One list of priors, many properties. A new prior is one line in `PRIORS`."""

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from scipy import stats
from sklearn.base import clone

from skvae.priors import StandardNormal

N_COMPONENTS = 3

# spec, its scipy distribution over (..., K)
PRIORS = [(StandardNormal(), stats.multivariate_normal(np.zeros(N_COMPONENTS)))]
NAMES = [repr(spec) for spec, _ in PRIORS]
each = pytest.mark.parametrize(("spec", "reference"), PRIORS, ids=NAMES)


@each
def test_prior_kl_equals_monte_carlo(spec, reference):
    mean = np.array([[0.0, 1.0, -2.0], [0.5, -0.1, 0.0]])
    log_var = np.array([[0.0, -2.0, 1.0], [0.7, 0.0, -5.0]])
    kl = spec.build(N_COMPONENTS).kl(torch.tensor(mean), torch.tensor(log_var))
    assert kl.shape == mean.shape
    assert (kl >= 0).all()
    rng = np.random.default_rng(0)
    for row in range(2):
        q = stats.norm(mean[row], np.exp(0.5 * log_var[row]))
        z = q.rvs(size=(50_000, N_COMPONENTS), random_state=rng)
        ratios = q.logpdf(z).sum(1) - reference.logpdf(z)
        error = ratios.std() / np.sqrt(len(ratios))
        assert_allclose(kl[row].sum(), ratios.mean(), atol=5 * error)


@each
def test_prior_log_prob_equals_scipy(spec, reference):
    z = np.random.default_rng(0).normal(scale=3.0, size=(4, 5, N_COMPONENTS))
    log_prob = spec.build(N_COMPONENTS).log_prob(torch.tensor(z))
    assert_allclose(log_prob, reference.logpdf(z))


@each
def test_prior_draws_have_the_moments_of_the_prior(spec, reference):
    draws = spec.build(N_COMPONENTS).draw(50_000, torch.Generator().manual_seed(0))
    assert draws.dtype == torch.float64
    assert_allclose(draws.mean(0), reference.mean, atol=0.025)
    assert_allclose(np.cov(draws.numpy().T), reference.cov, atol=0.04)


@each
def test_prior_draws_repeat_by_generator(spec, reference):
    model = spec.build(N_COMPONENTS)
    a, b, c = (model.draw(4, torch.Generator().manual_seed(s)) for s in (1, 1, 2))
    assert torch.equal(a, b)
    assert not torch.equal(a, c)


@each
def test_prior_survives_clone(spec, reference):
    assert repr(clone(spec)) == repr(spec)
