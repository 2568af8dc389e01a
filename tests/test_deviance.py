"""Log-masses of counts of any size, in float32, against SciPy's in float64."""

import numpy as np
import pytest
import scipy.special
import scipy.stats
import torch
from numpy.testing import assert_allclose

from skvae.likelihoods import NegativeBinomial, Poisson, ZeroInflatedNegativeBinomial
from skvae.likelihoods import _deviance as deviance
from skvae.likelihoods._draws import LARGE_RATE, poisson
from skvae.table import as_cells, canonical_rows

COUNTS = [0.0, 1.0, 2.0, 19.0, 20.0, 21.0, 1e3, 1e6, 1e8, 1e9]
THETAS = [1e-3, 0.5, 3.0, 19.9, 20.1, 1e3, 1e8]
RATIOS = [0.3, 0.9, 1.0, 1.0001, 2.5]
"""Means over counts."""


def grid(*values):
    return [torch.tensor(a.ravel()) for a in np.meshgrid(*values, indexing="ij")]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_log_factorials_and_log_gammas_lack_nothing(dtype):
    x = torch.tensor([*range(200), 1e3, 1e5], dtype=torch.float64)
    excess = scipy.special.gammaln(x + 1) - scipy.special.xlogy(x, x) + x
    tolerance = 1e-6 if dtype == torch.float32 else 1e-9
    found = deviance.log_factorial_excess(x.to(dtype), deviance.log_counts(x.to(dtype)))
    assert_allclose(found, excess, atol=tolerance)
    z = torch.logspace(-3, 5, 400, dtype=torch.float64)
    excess = scipy.special.gammaln(z) - scipy.special.xlogy(z, z) + z
    found = deviance.log_gamma_excess(z.to(dtype))
    assert_allclose(found, excess, rtol=tolerance, atol=10 * tolerance)


def poisson_loss(log_mean, x):
    log_x = deviance.log_counts(x)
    loss = deviance.poisson_deviance(log_mean, x, log_x)
    return loss + deviance.log_factorial_excess(x, log_x)


def negative_binomial_loss(log_mean, theta, x):
    log_x = deviance.log_counts(x)
    at_mean = deviance.log_gamma_excess(x + theta) - deviance.log_gamma_excess(theta)
    loss = deviance.negative_binomial_deviance(log_mean, theta, x, log_x)
    return loss + deviance.log_factorial_excess(x, log_x) - at_mean


def test_poisson_losses_are_those_of_scipy():
    x, ratio = grid(COUNTS, RATIOS)
    mean = ratio * x.clamp_min(0.7)
    expected = -scipy.stats.poisson.logpmf(x, mean)
    assert_allclose(poisson_loss(mean.log(), x), expected, rtol=1e-9, atol=1e-5)


def test_negative_binomial_losses_are_those_of_scipy():
    x, theta, ratio = grid(COUNTS[:8], THETAS, RATIOS)
    mean = ratio * x.clamp_min(0.7)
    expected = -scipy.stats.nbinom.logpmf(x, theta, theta / (theta + mean))
    losses = negative_binomial_loss(mean.log(), theta, x)
    # What SciPy subtracts from one another is as large as the count.
    assert_allclose(losses, expected, rtol=1e-7, atol=1e-5)


def test_float32_loses_no_digits_to_large_terms():
    x, theta, ratio = grid([*COUNTS, 2.0**53], THETAS, RATIOS)
    log_mean = (ratio * x.clamp_min(0.7)).log()
    single = [values.float().requires_grad_() for values in (log_mean, theta)]
    # Both start at the same, rounded numbers.
    double = [values.detach().double().requires_grad_() for values in single]
    losses = [negative_binomial_loss(*v, x.to(v[0].dtype)) for v in (single, double)]
    # A float32 holds the difference of two logarithms of about 36 to 4e-6.
    slack = 4e-6 * torch.minimum(x, theta) + 2e-6
    error = (losses[0].double() - losses[1]).abs()
    assert (error <= 1e-5 * losses[1].abs() + slack).all()
    for loss in losses:
        loss.sum().backward()
    for one, two in zip(single, double, strict=True):
        size = two.grad.abs().max()
        assert_allclose(one.grad, two.grad, rtol=1e-3, atol=1e-5 * size)


@pytest.mark.parametrize("n", [1e6, 1e12, 2.0**53])
def test_most_likely_mass_is_that_of_a_normal_distribution(n):
    x = torch.tensor([n], dtype=torch.float64)
    expected = 0.5 * np.log(2 * np.pi * n) + 1 / (12 * n)
    assert poisson_loss(x.log(), x).item() == pytest.approx(expected, rel=1e-9)
    x = x.float()
    assert poisson_loss(x.log(), x).item() == pytest.approx(expected, rel=1e-6)


def test_written_derivatives_are_those_of_the_losses():
    x, theta, ratio = grid([0.0, 1.0, 5.0, 40.0], THETAS[1:6], RATIOS)
    log_mean = (ratio * x.clamp_min(0.7)).log().requires_grad_()
    theta.requires_grad_()
    assert torch.autograd.gradcheck(lambda a: poisson_loss(a, x), log_mean)
    assert torch.autograd.gradcheck(
        lambda a, t: negative_binomial_loss(a, t, x), (log_mean, theta)
    )
    of_column = torch.tensor(3.0, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(
        lambda t: negative_binomial_loss(log_mean.detach(), t, x), of_column
    )


@pytest.mark.parametrize("rate", [0.5 * LARGE_RATE, 2.0 * LARGE_RATE, 1e15])
def test_draws_have_the_moments_of_poisson_counts(rate):
    random = torch.Generator().manual_seed(0)
    draws = poisson(torch.full((40_000,), rate, dtype=torch.float64), random).numpy()
    assert np.array_equal(draws, draws.round())
    deviations = (draws - rate) / np.sqrt(rate)
    assert abs(deviations.mean()) < 0.02
    assert deviations.var() == pytest.approx(1.0, abs=0.03)


SPECS = [Poisson(), NegativeBinomial(), ZeroInflatedNegativeBinomial()]


@pytest.mark.parametrize("spec", SPECS, ids=str)
@pytest.mark.parametrize("size", [1e3, 1e6, 1e9])
def test_losses_of_batches_are_those_of_float64(spec, size):
    random = np.random.default_rng(0)
    X = random.poisson(size * random.gamma(5.0, 0.2, size=(50, 3))).astype(float)
    model = spec.build(3)
    model.fit_statistics(canonical_rows(as_cells(X), np.ones(50)))
    outputs = torch.tensor(random.normal(0.0, 0.3, size=(50, model.n_outputs)))
    outputs[:, :3] += model.linearized().outputs[:3]
    x, weights = torch.tensor(X), torch.ones(50)
    loss, gradient = model.loss_and_gradient(outputs.float(), x.float(), weights)
    expected = -model.double().log_prob(outputs.float().double(), x)
    assert_allclose(loss, expected.detach(), rtol=2e-5, atol=1e-3)
    assert torch.isfinite(gradient).all()


@pytest.mark.parametrize("spec", SPECS, ids=str)
def test_draws_and_modes_stay_in_the_domain(spec):
    X = np.full((20, 2), 2.0**53)
    X[:10] = 2.0**52
    model = spec.build(2)
    model.fit_statistics(canonical_rows(as_cells(X), np.ones(20)))
    outputs = torch.full((50, model.n_outputs), 40.0, dtype=torch.float64)
    with torch.no_grad():
        answers = model.mode(outputs), model.draw(outputs, torch.Generator())
    for counts in answers:
        spec.check_domain(counts.numpy(), str)
