"""One list of posteriors, many properties. A new one is one line in `POSTERIORS`."""

import math

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from scipy import stats
from torch.testing import assert_close

from skvae.priors import Normal, Point
from skvae.priors._posterior import LOG_VARIANCE_BOUNDS, bounded, bounded_backward

K = 3
POSTERIORS = [Normal(), Point()]
RANDOM = [posterior for posterior in POSTERIORS if posterior.is_random]
each = pytest.mark.parametrize("posterior", POSTERIORS, ids=lambda p: type(p).__name__)
random = pytest.mark.parametrize("posterior", RANDOM, ids=lambda p: type(p).__name__)


def _outputs(posterior, *rows, seed=0):
    size = (*rows, posterior.n_outputs(K))
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(size, generator=generator, dtype=torch.float64)


def _noise(*shape, seed=1):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn((*shape, K), generator=generator, dtype=torch.float64)


@each
def test_posterior_draws_have_its_moments(posterior):
    outputs = _outputs(posterior, 4)
    z = posterior.draw(outputs, _noise(50_000, 4))
    z = z.expand(50_000, 4, K)
    assert_allclose(z.mean(0), posterior.mean(outputs), atol=0.05)
    assert_allclose(z.std(0), posterior.std(outputs), atol=0.05)


@each
def test_posterior_is_drawn_at_its_mean_without_noise(posterior):
    outputs = _outputs(posterior, 4)
    z = posterior.draw(outputs, torch.zeros(4, K, dtype=torch.float64))
    assert_close(z, posterior.mean(outputs))


@each
def test_posterior_outputs_have_the_moments_that_they_are_made_of(posterior):
    mean, std = _noise(4), _noise(4, seed=2).exp()
    outputs = posterior.outputs_of(mean, std)
    assert outputs.shape == (4, posterior.n_outputs(K))
    assert_close(posterior.mean(outputs), mean)
    if posterior.is_random:
        assert_close(posterior.std(outputs), std)


@random
def test_posterior_density_is_that_of_its_draws(posterior):
    """The entropy, as a mean over draws and by the distribution's moments."""
    outputs = _outputs(posterior, 4)
    z, log_q = posterior.draw_and_score(outputs, _noise(50_000, 4))
    assert_close(log_q, posterior.log_prob(outputs, z))
    # The density integrates to one: importance weights against a wide normal.
    wide = torch.distributions.Normal(posterior.mean(outputs), 3.0)
    far = wide.mean + 3.0 * _noise(50_000, 4, seed=3)
    weights = (posterior.log_prob(outputs, far) - wide.log_prob(far).sum(-1)).exp()
    error = weights.std(0) / math.sqrt(50_000)
    assert ((weights.mean(0) - 1.0).abs() < 5 * error).all()


@random
def test_posterior_draws_are_differentiable(posterior):
    outputs = _outputs(posterior, 4).requires_grad_()
    assert torch.autograd.gradcheck(posterior.draw, (outputs, _noise(4)))


def test_normal_posterior_equals_scipy():
    outputs, z = _outputs(Normal(), 4), _noise(7, 4)
    mean, log_variance = outputs.numpy()[:, :K], outputs.numpy()[:, K:]
    expected = stats.norm(mean, np.exp(0.5 * log_variance)).logpdf(z).sum(-1)
    assert_allclose(Normal().log_prob(outputs, z), expected)


def test_normal_posterior_bounds_its_log_variance():
    outputs = 1e6 * _outputs(Normal(), 50)
    _, log_variance = Normal().moments(outputs)
    assert (log_variance.min(), log_variance.max()) == LOG_VARIANCE_BOUNDS


def test_gradient_of_the_bounds_is_that_of_autograd():
    values = torch.tensor([-40.0, -29.0, 0.0, 9.0, 11.0], requires_grad=True)
    gradient = torch.arange(1.0, 6.0)
    bounded(values).backward(gradient)
    assert_close(bounded_backward(gradient, values.detach()), values.grad)


def test_point_posterior_has_no_density():
    with pytest.raises(ValueError, match="require a prior whose posterior is random"):
        Point().log_prob(torch.zeros(2, K), torch.zeros(2, K))
