"""Held-out losses are the rows' own, and those that training minimizes."""

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from scipy import stats
from scipy.special import logsumexp

from skvae.objectives import ELBO, IWAE, AddedTerm, Reconstruction
from skvae.priors import NoPrior
from skvae.schedules import Constant, WarmUp
from skvae.training._validation import Validation

WEIGHTS = np.array([1.0, 2.0, 0.5, 0.25, 1.25] * 2)


class Spread(AddedTerm):
    """A term of the whole batch."""

    name = "spread"

    def term(self, model, batch, noise):
        mean = model.posterior_mean(batch)
        return (mean - mean.mean(0)).square().mean()


OBJECTIVES = [ELBO(0.0), ELBO(0.3), IWAE(4), Spread(ELBO(0.3))]
each_objective = pytest.mark.parametrize("objective", OBJECTIVES, ids=repr)


def _model(small):
    """Return a model whose posterior is deliberately off, so that no bound is exact."""
    model = small.model()
    with torch.no_grad():
        random = torch.Generator().manual_seed(0)
        for p in model.parameters():
            p.add_(0.2 * torch.randn(p.shape, generator=random))
    return model


def _validation(small, model, objective, n_draws, seed=0, weights=WEIGHTS):
    """Return what checks ten rows, and a list of the noise that it will use."""
    rows = small.batches(model, small.X[40:], weights=weights)
    validation = Validation(model, objective, rows, 10, n_draws, seed)
    draw, seen = validation._noise, []

    def spy(*args):
        seen.append(draw(*args))
        return seen[-1]

    validation._noise = spy
    return validation, seen


def _noise_of(case, noise):
    """Return the noise of a case of training: none where rows are at their mean."""
    fraction = getattr(getattr(case, "base", case), "mean_fraction", 0.0)
    return noise * (1.0 - fraction)


class Truth:
    """The terms of single rows, in float64, by SciPy's densities."""

    def __init__(self, small, model):
        model = model.double()
        self.model, self.X = model, small.X[40:]
        x = torch.from_numpy(model.likelihood.prepare(self.X))
        with torch.no_grad():
            mean, log_variance = (
                model.encoder(x).numpy().reshape(10, 2, 2).swapaxes(0, 1)
            )
        self.mean, self.std = mean, np.exp(0.5 * log_variance)

    def log_p(self, row, z):
        with torch.no_grad():
            outputs = self.model.decoder(torch.from_numpy(z)[None])
            mean = self.model.likelihood.mean(outputs)[0]
            std = self.model.likelihood.std()
        return stats.norm(mean, std).logpdf(self.X[row]).sum()

    def kl(self, row):
        m, s = self.mean[row], self.std[row]
        return 0.5 * np.sum(m**2 + s**2 - 1 - 2 * np.log(s))

    def elbo(self, row, noise):
        """Return the reconstruction, a mean over draws."""
        z = self.mean[row] + self.std[row] * noise
        return -np.mean([self.log_p(row, one) for one in z])

    def iwae(self, row, noise):
        """Return minus the bound, less the divergence."""
        m, s = self.mean[row], self.std[row]
        log_weights = [
            self.log_p(row, one)
            + stats.norm().logpdf(one).sum()
            - stats.norm(m, s).logpdf(one).sum()
            for one in m + s * noise
        ]
        return np.log(len(noise)) - logsumexp(log_weights) - self.kl(row)


@pytest.mark.parametrize("n_draws", [1, 5])
@each_objective
def test_held_out_terms_are_those_of_each_row(small, objective, n_draws):
    model = _model(small)
    validation, seen = _validation(small, model, objective, n_draws)
    means = validation()
    noise = seen[0].double().numpy()
    assert len(noise) == max(n_draws, objective.n_draws)
    truth = Truth(small, model)
    term = truth.iwae if isinstance(objective, IWAE) else truth.elbo
    of_rows = [
        sum(f * term(i, _noise_of(case, noise)[:, i]) for f, case in objective.cases())
        for i in range(10)
    ]
    weights = WEIGHTS / WEIGHTS.mean()
    assert means["reconstruction"] == pytest.approx(
        np.mean(weights * of_rows), rel=1e-5
    )
    kl = np.mean(weights * [truth.kl(i) for i in range(10)])
    assert means["kl"] == pytest.approx(kl, rel=1e-5)
    if "spread" in means:
        assert means["spread"] == pytest.approx(truth.mean.var(0).mean(), rel=1e-5)


@each_objective
def test_terms_of_training_and_of_validation_agree_in_the_mean(small, objective):
    """Steps of no length draw other noise for the same rows again and again."""
    model = _model(small)
    plan = {"objective": objective, "learning_rate": Constant(0.0), "max_iter": 100}
    training = small.training(model, batch_size=10, **plan)
    training.train = small.batches(model, small.X[40:], 10)
    training.run(lambda: None, lambda: False)
    checks = [
        _validation(small, model, objective, 1, seed, weights=None)[0]()
        for seed in range(100)
    ]
    for name, curve in training.state.history.terms.items():
        other = np.array([check[name] for check in checks])
        error = np.sqrt((np.var(curve) + other.var()) / 100)
        assert_allclose(np.mean(curve), other.mean(), atol=5 * error + 1e-5)


def test_held_out_error_is_that_of_rows_decoded_at_their_mean(small):
    model = _model(small)
    validation, _ = _validation(small, model, ELBO(0.0), 3)
    error = validation.error()
    x = torch.from_numpy(model.likelihood.prepare(small.X[40:])).float()
    with torch.no_grad():
        left = x - model.decoder(model.posterior.mean(model.encoder(x)))
    expected = WEIGHTS / WEIGHTS.mean() @ left.square().mean(1).numpy() / 10
    assert error == pytest.approx(expected, rel=1e-5)


def test_checks_repeat_whatever_was_drawn_between(small, untouched):
    validation, _ = _validation(small, _model(small), ELBO(0.3), 2)
    first, density = validation(), validation.density()
    assert validation() == first
    assert validation.density() == density


def test_density_is_that_of_the_linear_start(small):
    model = small.model()
    validation, _ = _validation(small, model, ELBO(0.0), 1)
    loadings = model.decoder.path.weight.detach().numpy()
    noise = model.likelihood.noise().exp().item()
    scale = small.X.std(axis=0)
    covariance = (loadings @ loadings.T + noise**2 * np.eye(5)) * np.outer(scale, scale)
    log_p = stats.multivariate_normal(small.X.mean(axis=0), covariance)
    expected = np.average(log_p.logpdf(small.X[40:]), weights=WEIGHTS)
    assert validation.density() == pytest.approx(expected, rel=1e-4)


def test_a_model_whose_z_is_not_drawn_has_no_density(small):
    model = small.model(prior=NoPrior())
    validation, _ = _validation(small, model, Reconstruction(), 1)
    assert validation.density() == -np.inf


# In a training


def _first(small, **options):
    return small.training(held_out=True, **options).state.history.validation[0]


def test_training_validates_with_the_final_beta(small):
    losses = [_first(small, beta=b) for b in (WarmUp(0.3, 2.0), Constant(2.0), 1.0)]
    assert losses[0] == losses[1] > losses[2]


def test_training_validates_with_the_fraction_of_rows_at_their_mean(small):
    loss = {f: _first(small, objective=ELBO(f)) for f in (0.0, 0.25, 0.75)}
    assert loss[0.75] < loss[0.0]
    mixed = (2 * loss[0.0] + loss[0.75]) / 3
    assert loss[0.25] == pytest.approx(mixed, rel=1e-5)


def test_training_shows_its_losses_under_the_final_beta(small):
    history = small.run(beta=WarmUp(1.0, 3.0), held_out=True).state.history
    terms = history.terms
    expected = np.add(terms["reconstruction"], 3.0 * np.array(terms["kl"]))
    assert_allclose(history.loss, expected)


@pytest.mark.parametrize("held_out", [True, False])
def test_training_shows_the_loss_of_rows_without_hidden_cells(small, held_out):
    """Steps of no length, so that every epoch shows the start."""
    plan = {"learning_rate": Constant(0.0), "hidden_fraction": 0.9, "tol": 0.0}
    training = small.run(held_out=held_out, shown=True, **plan)
    rows = small.batches(training.model, small.X[:10])
    expected = Validation(training.model, ELBO(0.0), rows, 10, 1, 0)()
    history = training.state.history
    assert history.terms == {name: [mean] * 6 for name, mean in expected.items()}
    assert history.loss == [sum(expected.values())] * 6
    if not held_out:
        assert training.acceptance.loss == history.loss[0]
        assert training.state.kept.n_stale == 5
