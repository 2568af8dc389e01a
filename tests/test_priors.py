"""One list of priors, many properties. A new prior is one line in `PRIORS`."""

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from scipy import stats
from sklearn.base import clone

from skvae.priors import NoPrior, Normal, PriorModel, StandardNormal, as_prior

N_COMPONENTS = 3

# spec, its scipy distribution over (..., K)
PRIORS = [(StandardNormal(), stats.multivariate_normal(np.zeros(N_COMPONENTS)))]
NAMES = [repr(spec) for spec, _ in PRIORS]
each = pytest.mark.parametrize(("spec", "reference"), PRIORS, ids=NAMES)

MEAN = torch.tensor([[0.0, 1.0, -2.0], [0.5, -0.1, 0.0]], dtype=torch.float64)
LOG_VARIANCE = torch.tensor([[0.0, -2.0, 1.0], [0.7, 0.0, -5.0]], dtype=torch.float64)
OUTPUTS = torch.cat((MEAN, LOG_VARIANCE), dim=-1)


@each
def test_prior_kl_equals_monte_carlo(spec, reference):
    q = stats.norm(MEAN, (0.5 * LOG_VARIANCE).exp())
    z = q.rvs(size=(50_000, 2, N_COMPONENTS), random_state=np.random.default_rng(0))
    ratios = q.logpdf(z).sum(-1) - reference.logpdf(z)
    error = ratios.std(axis=0) / np.sqrt(len(ratios))
    kl = spec.build(N_COMPONENTS).kl(Normal(), OUTPUTS, torch.tensor(z))
    assert (np.abs(kl.numpy() - ratios.mean(axis=0)) < 5 * error).all()


@each
def test_prior_kl_is_the_sum_of_that_per_component_where_there_is_one(spec, reference):
    model = spec.build(N_COMPONENTS)
    per_component = model.kl_per_component(Normal(), OUTPUTS)
    if per_component is not None:
        assert per_component.shape == MEAN.shape
        assert (per_component >= 0).all()
        kl = model.kl(Normal(), OUTPUTS, MEAN)
        assert_allclose(per_component.sum(-1), kl, rtol=1e-12)


@each
def test_prior_kl_is_estimated_without_bias_where_it_is_not_closed(spec, reference):
    posterior, model = Normal(), spec.build(N_COMPONENTS)
    noise = torch.randn((50_000, 2, 3), generator=torch.Generator().manual_seed(0))
    z = posterior.draw(OUTPUTS, noise.double())
    estimate = PriorModel.kl(model, posterior, OUTPUTS, z)
    assert_allclose(estimate, model.kl(posterior, OUTPUTS, z), rtol=0.02)
    single = PriorModel.kl(model, posterior, OUTPUTS, z[0])
    assert_allclose(single, posterior.log_prob(OUTPUTS, z[0]) - model.log_prob(z[0]))


@each
def test_prior_log_prob_equals_scipy(spec, reference):
    z = np.random.default_rng(0).normal(scale=3.0, size=(4, 5, N_COMPONENTS))
    log_prob = spec.build(N_COMPONENTS).log_prob(torch.tensor(z))
    assert_allclose(log_prob, reference.logpdf(z))


@each
def test_prior_draws_have_the_moments_of_the_prior(spec, reference):
    model = spec.build(N_COMPONENTS)
    draws = model.draw(50_000, torch.Generator().manual_seed(0))
    assert draws.dtype == torch.float64
    assert_allclose(draws.mean(0), reference.mean, atol=0.025)
    assert_allclose(np.cov(draws.numpy().T), reference.cov, atol=0.04)
    mean, std = model.moments()
    assert_allclose(mean, reference.mean)
    assert_allclose(std, np.sqrt(np.diag(reference.cov)))


@each
def test_prior_draws_repeat_by_generator(untouched, spec, reference):
    model = spec.build(N_COMPONENTS)
    a, b, c = (model.draw(4, torch.Generator().manual_seed(s)) for s in (1, 1, 2))
    assert torch.equal(a, b)
    assert not torch.equal(a, c)


@pytest.mark.parametrize("spec", [*(spec for spec, _ in PRIORS), NoPrior()], ids=repr)
def test_prior_survives_clone(spec):
    assert repr(clone(spec)) == repr(spec)


def test_priors_are_known_by_name():
    assert repr(as_prior("normal")) == "StandardNormal()"
    assert as_prior(spec := NoPrior()) is spec
