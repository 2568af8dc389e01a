"""Distributions of z that are fitted after training, and what is drawn from them."""

import pickle
import sys
from functools import cache

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from scipy import stats
from sklearn.base import clone
from sklearn.datasets import load_iris

from skvae import VAETransformer
from skvae.priors import (
    Aggregate,
    AggregatePosterior,
    Flow,
    Mixture,
    NoPrior,
    Normal,
    StandardNormal,
)

X = load_iris().data
FLOW = Flow(2, 32)
SAMPLERS = [Mixture(3), Mixture(3, "tied"), Mixture(), AggregatePosterior(), FLOW]


def aggregate(n, n_groups=3, std=0.3, seed=0):
    """Return posteriors around some centers, and the centers."""
    random = np.random.default_rng(seed)
    centers = np.array([[-3.0, 0.0], [3.0, 1.0], [0.0, 4.0]])[:n_groups]
    groups = random.permutation(np.arange(n) % n_groups)
    mean = centers[groups] + 0.5 * random.normal(size=(n, 2))
    outputs = torch.tensor(np.hstack((mean, np.full((n, 2), 2.0 * np.log(std)))))
    return Aggregate(Normal(), outputs, torch.ones(n)), centers


@cache
def fitted(spec, n=300, **params):
    rows, _ = aggregate(n, **params)
    checked, _ = aggregate(100, seed=1, **params)
    return spec.fitted(rows, checked, seed=0)


def tiny(**params):
    defaults = {"max_iter": 3, "tol": None, "random_state": 0}
    return VAETransformer(2, hidden_layer_sizes=(8,), **(defaults | params))


def test_aggregate_draws_are_divided_among_rows_by_their_weights():
    mean = torch.tensor([[0.0], [10.0], [20.0]])
    outputs = torch.cat((mean, torch.full((3, 1), -20.0)), 1)
    rows = Aggregate(Normal(), outputs, torch.tensor([1.0, 2.0, 1.0]))
    z = rows.draw(8, seed=0)[:, 0]
    assert_allclose(z, [0.0] * 2 + [10.0] * 4 + [20.0] * 2, atol=1e-3)


def test_weighted_rows_of_an_aggregate_are_repeated_ones():
    rows, _ = aggregate(6)
    twice = torch.arange(6).repeat_interleave(2)
    weighted = rows._replace(weights=2.0 * rows.weights)
    assert_array_equal(rows.take(twice).draw(24, 0), weighted.draw(24, 0))


@pytest.mark.parametrize("spec", SAMPLERS, ids=repr)
def test_sampler_is_the_distribution_of_the_draws(spec):
    model = fitted(spec)[1].double()
    rows, _ = aggregate(300)
    z, drawn = rows.draw(4000, seed=2), model.draw(4000, torch.Generator())
    assert_allclose(drawn.mean(0).detach(), z.mean(0), atol=0.2)
    assert_allclose(np.cov(drawn.detach().T), np.cov(z.T), atol=0.5)
    mean, std = (moment.detach() for moment in model.moments())
    assert_allclose(mean, z.mean(0), atol=0.2)
    assert_allclose(std, z.std(0), atol=0.2)


@pytest.mark.parametrize("spec", SAMPLERS, ids=repr)
def test_sampler_has_a_density_that_integrates_to_one(spec):
    model = fitted(spec)[1].double()
    ticks = torch.linspace(-10.0, 10.0, 401, dtype=torch.float64)
    density = model.log_prob(torch.cartesian_prod(ticks, ticks)).detach().exp()
    assert density.sum() * 0.05**2 == pytest.approx(1.0, abs=1e-3)


def test_density_of_a_mixture_is_that_of_scipy():
    model = fitted(Mixture(3))[1].double()
    roots, means = model.roots().detach(), model.means.detach().numpy()
    covariances = torch.linalg.inv(roots @ roots.mT).numpy()
    fractions = model.logits.softmax(0).detach().numpy()
    z = np.random.default_rng(0).normal(size=(5, 2))
    each = zip(fractions, means, covariances, strict=True)
    density = sum(w * stats.multivariate_normal(m, c).pdf(z) for w, m, c in each)
    assert_allclose(model.log_prob(torch.tensor(z)).detach(), np.log(density))


def test_density_of_kept_posteriors_is_their_mean():
    rows, _ = aggregate(40)
    model = AggregatePosterior().fitted(rows, rows, seed=0)[1].double()
    mean, log_variance = rows.posterior.moments(rows.outputs)
    z = torch.randn((7, 1, 2), generator=torch.Generator().manual_seed(0))
    q = stats.norm(mean, (0.5 * log_variance).exp()).pdf(z.double()).prod(-1)
    assert_allclose(model.log_prob(z[:, 0].double()), np.log(q.mean(-1)), rtol=1e-5)


def test_number_of_clusters_is_the_power_of_two_that_groups_need():
    assert fitted(Mixture())[0].n_clusters == 4
    assert fitted(Mixture(), n_groups=1)[0].n_clusters == 1


def test_tied_clusters_have_one_covariance():
    spec, model = fitted(Mixture(3, "tied"))
    assert repr(spec) == "Mixture(covariance_type='tied', n_clusters=3)"
    roots = model.roots().detach()
    assert_array_equal(roots[0], roots[2])
    assert not np.array_equal(*fitted(Mixture(2, "full"))[1].roots().detach())


def test_flow_is_bent_where_one_normal_distribution_is_straight():
    rows, _ = aggregate(200, seed=2)
    z = rows.draw(2000, seed=3)
    normal, flow = (fitted(spec)[1].double() for spec in (Mixture(1), FLOW))
    gain = (flow.log_prob(z) - normal.log_prob(z)).mean()
    assert gain > 0.3


@pytest.mark.usefixtures("untouched")
def test_flow_follows_its_seed_and_touches_nothing():
    z = torch.zeros((1, 2))
    models = [fitted(spec, 50)[1] for spec in (FLOW, clone(FLOW))]
    values = [float(model.log_prob(z)) for model in models]
    assert values[0] == values[1]


def test_flow_without_its_package_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "zuko.flows", None)
    with pytest.raises(ImportError, match=r"pip install 'skvae\[flow\]'"):
        FLOW.build(2)


def test_kept_posteriors_are_at_most_as_many_as_asked():
    assert fitted(AggregatePosterior())[0].n_rows == 300
    spec, model = fitted(AggregatePosterior(50))
    assert spec.n_rows == len(model.means) == 50


def test_kept_posteriors_have_to_be_normal():
    with pytest.raises(ValueError, match="requires a prior whose posterior is normal"):
        AggregatePosterior().check_as_sampler(NoPrior())


def test_prior_has_nothing_to_fit():
    rows, _ = aggregate(20)
    spec, model = StandardNormal().fitted(rows, rows, seed=0)
    assert repr(spec) == "StandardNormal()"
    assert model.is_standard_normal


@pytest.mark.parametrize("sampler", ["prior", "mixture", "posterior", Mixture(2), FLOW])
def test_fitted_sampler_survives_pickling(sampler):
    vae = tiny(sampler=sampler).fit(X)
    again = pickle.loads(pickle.dumps(vae))
    assert repr(again.sampler_) == repr(vae.sampler_)
    assert_array_equal(again.score_samples(X), vae.score_samples(X))
    rows = [model.sample(5, random_state=0) for model in (vae, again)]
    assert_array_equal(*rows)


def test_sampler_makes_held_out_rows_more_likely():
    train, test = X[::2], X[1::2]
    params = {"max_iter": 100, "n_components": 2, "random_state": 0}
    auto, prior = (
        VAETransformer(sampler=sampler, **params).fit(train)
        for sampler in ("auto", "prior")
    )
    assert isinstance(auto.sampler_, Mixture)
    assert isinstance(prior.sampler_, StandardNormal)
    assert_array_equal(auto.transform(X), prior.transform(X))
    assert auto.score(test) > prior.score(test) + 0.3


@pytest.mark.filterwarnings("ignore:.*components carry nothing")
def test_sampler_stays_the_prior_where_nothing_else_is_likelier():
    noise = np.random.default_rng(0).normal(size=(400, 4))
    vae = tiny(sampler="auto", objective="elbo").fit(noise)
    assert isinstance(vae.sampler_, StandardNormal)
    assert vae.module_.sampler is None


def test_sampler_follows_weights_as_repetition():
    weights = np.arange(len(X)) % 3
    options = {"early_stopping": False, "batch_size": 150, "sampler": "mixture"}
    weighted = tiny(**options).fit(X, sample_weight=weights)
    repeated = tiny(**options).fit(np.repeat(X, weights, axis=0))
    assert_allclose(weighted.score_samples(X), repeated.score_samples(X), rtol=1e-6)


def test_sampler_is_fitted_anew_by_a_warm_start():
    vae = tiny(warm_start=True, early_stopping=False, sampler="mixture").fit(X)
    before = vae.module_.sampler.means.detach().clone()
    vae.fit(X)
    assert vae.n_iter_ == 6
    assert not torch.equal(before, vae.module_.sampler.means)
    assert all("sampler" not in name for name in vae._saved.arrays)


def test_spec_of_the_sampler_is_not_changed():
    spec = Mixture()
    vae = clone(tiny(sampler=spec)).fit(X)
    assert spec.n_clusters == "auto"
    assert vae.sampler_.n_clusters != "auto"


def test_unknown_sampler_is_refused():
    with pytest.raises(ValueError, match="'sampler' parameter"):
        tiny(sampler="posteriors").fit(X)
    with pytest.raises(ValueError, match="n_clusters"):
        tiny(sampler=Mixture(0)).fit(X)
