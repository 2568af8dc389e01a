"""Priors that are learned with the model. A new one is one line in `SPECS`."""

import copy
import pickle

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from scipy import stats
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skvae import VAETransformer
from skvae._model import Architecture
from skvae.likelihoods import Gaussian
from skvae.networks import Perceptron
from skvae.objectives import ELBO, IWAE, Neighbors
from skvae.priors import AggregatePosterior, Flow, Mixture, Normal, VampPrior, as_prior
from skvae.table import Rows, as_cells
from skvae.training._start import start

pytestmark = pytest.mark.filterwarnings("ignore:.*components carry nothing")

SPECS = [Mixture(3), Mixture(3, "tied"), VampPrior(20), Flow(1, 8)]
each = pytest.mark.parametrize("spec", SPECS, ids=repr)
# What its package imports at its first density changes global state.
Flow().build(2).log_prob(torch.zeros((1, 2)))
RNG = np.random.default_rng(0)
CENTERS = np.array([[6.0, 1.0, 0.0, 1.0], [0.0, 6.0, 1.0, 0.0], [1.0, 0.0, 6.0, 2.0]])
GROUPS = np.arange(90) % 3
X = CENTERS[GROUPS] + 0.6 * RNG.normal(size=(90, 4))
HOLED = np.where(RNG.random(X.shape) < 0.2, np.nan, X)
HOLED[5] = np.nan
TICKS = torch.linspace(-9.0, 9.0, 121, dtype=torch.float64)
GRID, CELL = torch.cartesian_prod(TICKS, TICKS), 0.15**2


def model_with(spec, n_components=2, rows=X, sees_missing=False):
    """Return a float64 model, and rows it was made for."""
    networks, known = (Perceptron((6,), "tanh"),) * 2, (True, Gaussian(), spec)
    sizes = rows.shape[1], n_components
    model = Architecture(*sizes, *networks, *known, sees_missing).build(seed=0)
    rows = Rows(as_cells(rows), np.arange(len(rows)), np.ones(len(rows)))
    model.likelihood.fit_statistics(rows)
    return model, rows


def started(spec, **known):
    model, rows = model_with(spec, **known)
    start(model, rows, ELBO(0.0))
    return model


def moved(spec, **known):
    """Return a started model whose parameters have all moved, in float64."""
    model, random = started(spec, **known).double(), torch.Generator().manual_seed(1)
    for p in model.parameters():
        p.data.add_(0.1 * torch.randn(p.shape, generator=random))
    return model


def tiny(**params):
    defaults = {"max_iter": 4, "tol": None, "random_state": 0, "sampler": "prior"}
    defaults |= {"hidden_layer_sizes": (8,), "objective": "elbo"}
    return VAETransformer(**(defaults | params))


# Densities


@torch.no_grad()
@pytest.mark.parametrize("spec", SPECS[:2], ids=repr)
def test_density_of_a_mixture_is_that_of_scipy(spec):
    prior = moved(spec, n_components=3).prior
    roots = prior.roots()
    parts = zip(
        prior.logits.softmax(0).numpy(),
        prior.means.numpy(),
        torch.linalg.inv(roots @ roots.mT).numpy(),
        strict=True,
    )
    z = RNG.normal(size=(2, 5, 3))
    density = sum(w * stats.multivariate_normal(m, c).pdf(z) for w, m, c in parts)
    assert_allclose(prior.log_prob(torch.tensor(z)), np.log(density), rtol=1e-10)


@torch.no_grad()
def test_density_of_pseudo_inputs_is_the_mean_of_their_posteriors():
    model = moved(VampPrior(7), n_components=3)
    z, density = RNG.normal(size=(2, 5, 3)), 0.0
    for u in model.prior.pseudo_inputs:
        mean, log_variance = model.encoder(u[None])[0].numpy().reshape(2, 3)
        density += stats.norm(mean, np.exp(0.5 * log_variance)).pdf(z).prod(-1) / 7
    log_prob = model.prior.log_prob(torch.tensor(z))
    assert_allclose(log_prob, np.log(density), rtol=1e-10)


@torch.no_grad()
def test_density_of_pseudo_inputs_is_exact_in_float32_where_they_are_narrow():
    model = started(VampPrior(20))
    model.encoder.path.bias[2:] = -15.0
    z = model.posterior.mean(model.encoder(model.prior.pseudo_inputs))
    exact = copy.deepcopy(model).double().prior.log_prob(z.double())
    assert_allclose(model.prior.log_prob(z), exact, atol=0.05)


@each
@torch.no_grad()
def test_density_integrates_to_one_and_has_the_moments_of_the_draws(spec):
    prior = moved(spec).prior
    density = prior.log_prob(GRID).exp() * CELL
    assert float(density.sum()) == pytest.approx(1.0, abs=2e-3)
    z = prior.draw(10_000, torch.Generator().manual_seed(0))
    assert z.dtype == torch.float64
    mean = density @ GRID
    covariance = (GRID - mean).T @ ((GRID - mean) * density[:, None])
    assert_allclose(z.mean(0), mean, atol=0.05)
    assert_allclose(np.cov(z.T), covariance, atol=0.08)


@torch.no_grad()
@pytest.mark.parametrize("spec", SPECS[:3], ids=repr)
def test_empty_rows_get_the_moments_of_the_density(spec):
    prior = moved(spec).prior
    density = prior.log_prob(GRID).exp() * CELL
    mean = density @ GRID
    std = (density @ (GRID - mean).square()).sqrt()
    for ours, exact in zip(prior.moments(), (mean, std), strict=True):
        assert_allclose(ours, exact, atol=1e-4)


@each
@torch.no_grad()
def test_divergence_is_estimated_as_the_integral_is(spec):
    prior, posterior = moved(spec).prior, Normal()
    outputs = torch.tensor([[0.5, -0.3, -1.0, 0.2], [0.0, 1.5, -2.0, -1.0]]).double()
    noise = torch.randn((5000, 2, 2), generator=torch.Generator().manual_seed(0))
    z = posterior.draw(outputs, noise.double())
    ratios = posterior.log_prob(outputs, z) - prior.log_prob(z)
    error = ratios.std(0) / len(z) ** 0.5
    log_q = posterior.log_prob(outputs, GRID[:, None])
    log_ratio = log_q - prior.log_prob(GRID)[:, None]
    exact = (log_q.exp() * log_ratio).sum(0) * CELL
    assert ((prior.kl(posterior, outputs, z) - exact).abs() < 5 * error).all()
    assert prior.kl_per_component(posterior, outputs) is None


@each
def test_gradients_are_finite_differences(spec):
    model = moved(spec)
    z = torch.tensor([[0.3, -1.2], [2.0, 0.1], [0.0, 0.4]], dtype=torch.float64)
    values = [z.requires_grad_(), *model.prior.parameters()]
    # Those of the encoder count where it is part of the density.
    values += [p for p in model.encoder.parameters() if isinstance(spec, VampPrior)]
    random = torch.Generator().manual_seed(2)

    def total():
        return model.prior.log_prob(z).sum()

    def height():
        with torch.no_grad():
            return float(total())

    gradients = torch.autograd.grad(total(), values)
    for value, gradient in zip(values, gradients, strict=True):
        direction = torch.randn(value.shape, generator=random, dtype=torch.float64)
        sides = []
        for step in (1e-5, -1e-5):
            value.data.add_(step * direction)
            sides.append(height())
            value.data.sub_(step * direction)
        slope = (sides[0] - sides[1]) / 2e-5
        assert_allclose(float((gradient * direction).sum()), slope, rtol=1e-4)


# Starts


@each
def test_linear_start_does_not_depend_on_the_prior(spec):
    ours, other = started(spec), started(SPECS[0])
    for name in ("encoder", "decoder"):
        paths = (getattr(model, name).path for model in (ours, other))
        for a, b in zip(*(path.parameters() for path in paths), strict=True):
            assert_array_equal(a.detach(), b.detach())


@each
@torch.no_grad()
def test_start_gives_z_of_the_rows_a_density_like_its_own(spec):
    model = started(spec)
    x = torch.from_numpy(model.likelihood.prepare(X)).float()
    outputs = model.encoder(model.likelihood.encoder_inputs(x, None))
    z = model.posterior.mean(outputs)
    normal = as_prior("normal").build(2)
    gain = float((model.prior.log_prob(z) - normal.log_prob(z)).mean())
    if isinstance(spec, Flow):
        assert gain == pytest.approx(0.0, abs=1e-5)
    else:
        assert gain > 0.3


@torch.no_grad()
def test_mixture_starts_at_the_clusters_of_the_rows():
    model = started(Mixture(3))
    x = torch.from_numpy(model.likelihood.prepare(X)).float()
    outputs = model.encoder(model.likelihood.encoder_inputs(x, None))
    z = model.posterior.mean(outputs)
    centers = np.stack([z[GROUPS == g].mean(0) for g in range(3)])
    distances = np.linalg.norm(model.prior.means.numpy()[:, None] - centers, axis=-1)
    assert sorted(distances.argmin(1)) == [0, 1, 2]
    assert distances.min(1).max() < 0.05
    assert_allclose(model.prior.logits.softmax(0), 1 / 3, atol=0.02)


@torch.no_grad()
def test_pseudo_inputs_start_at_rows_as_the_model_sees_them():
    model = started(VampPrior(100), rows=HOLED, sees_missing=True)
    inputs = model.prior.pseudo_inputs.numpy()
    assert inputs.shape == (100, 8)
    observed = ~np.isnan(HOLED)
    x = torch.from_numpy(model.likelihood.prepare(HOLED)).float()
    h = model.likelihood.encoder_inputs(x, torch.from_numpy(observed))
    expected = np.hstack((h.numpy(), ~observed))
    assert {*map(tuple, inputs)} == {*map(tuple, expected.astype(np.float32))}


def test_every_start_but_that_of_a_standard_normal_can_be_left():
    for spec in SPECS:
        model, rows = model_with(spec)
        assert not start(model, rows, ELBO(0.0)).is_exact


# Fits


ANSWERS = {
    "transform": lambda vae: vae.transform(X),
    "score": lambda vae: vae.score_samples(X),
    "holes": lambda vae: vae.score_samples(HOLED, bound="elbo"),
    "sample": lambda vae: vae.sample(9, random_state=0),
    "impute": lambda vae: vae.impute(HOLED, n_proposals=16),
    "given": lambda vae: vae.sample(2, 0, given={0: X[0, 0]}),
}


@each
def test_fit_answers_everything_and_survives_pickling(untouched, spec):
    vae = tiny(prior=clone(spec)).fit(X)
    again = pickle.loads(pickle.dumps(vae))
    for name, answer in ANSWERS.items():
        ours = answer(vae)
        assert np.isfinite(ours).all(), name
        assert_array_equal(ours, answer(again), err_msg=name)
    assert vae.kl_per_component_ is None
    assert repr(clone(vae)) == repr(vae)


@each
def test_every_parameter_of_the_prior_is_trained(spec):
    params = {"prior": spec, "early_stopping": False, "batch_size": 10}
    before = tiny(**params, learning_rate=1e-12, max_iter=1).fit(X).module_.prior
    after = tiny(**params, learning_rate=0.01, max_iter=1).fit(X).module_.prior
    assert [*before.state_dict()] == [*after.state_dict()]
    named = zip(before.named_parameters(), after.parameters(), strict=True)
    for (name, p), other in named:
        assert (p != other).any(), name


@pytest.mark.parametrize("spec", SPECS[1:], ids=repr)
@pytest.mark.parametrize(
    "params",
    [
        {"objective": IWAE(3), "init": "random"},
        {"objective": Neighbors(), "sampler": "posterior"},
        {"n_components": "auto", "sampler": "auto"},
        {"n_components": 1, "hidden_layer_sizes": (), "early_stopping": False},
    ],
    ids=str,
)
def test_fit_goes_with_other_parameters(spec, params):
    vae = tiny(**{"prior": spec, "max_iter": 2} | params).fit(HOLED)
    assert np.isfinite(vae.score_samples(HOLED)).all()


@each
def test_learned_prior_makes_held_out_rows_more_likely(spec):
    train, test = X[::2], X[1::2]
    params = {"learning_rate": 0.01, "early_stopping": False}
    params |= {"max_iter": 20, "batch_size": 15}
    vae, normal = (tiny(prior=p, **params).fit(train) for p in (spec, "normal"))
    assert vae.score(test) > normal.score(test) + 0.1


@each
def test_copy_of_a_model_keeps_to_its_own_encoder(spec):
    model = tiny(prior=spec).fit(X).module_
    z = torch.zeros((1, 2))
    with torch.no_grad():
        before = float(model.prior.log_prob(z))
    twin = copy.deepcopy(model)
    for p in twin.parameters():
        p.data.add_(0.3)
    with torch.no_grad():
        assert float(model.prior.log_prob(z)) == before
        assert float(twin.prior.log_prob(z)) != before
    held = getattr(twin.prior, "model", (twin,))
    assert held[0] is twin
    names = {name.split(".")[0] for name in twin.prior.state_dict()}
    assert "model" not in names


class Stopper:
    """Stops a fit after some epochs."""

    def __init__(self, n_epochs):
        self.n_epochs = n_epochs

    def setup(self, estimator, context):
        pass

    teardown = on_fit_task_begin = setup

    def on_fit_task_end(self, estimator, context, **kwargs):
        return context.task_name == "epoch" and context.task_id + 1 == self.n_epochs


@pytest.mark.parametrize("n_epochs", [1, 2])
def test_fit_goes_on_where_it_was_stopped_before_or_after_a_refit(n_epochs):
    whole = tiny(prior=Mixture(3)).fit(X)
    some = tiny(prior=Mixture(3)).set_callbacks(Stopper(n_epochs)).fit(X)
    assert some.n_iter_ == n_epochs
    some.set_callbacks().set_params(warm_start=True).fit(X)
    assert some.loss_curve_ == whole.loss_curve_
    assert_array_equal(some.transform(X), whole.transform(X))
    assert some.fit(X).n_iter_ == 8


def test_fit_does_not_end_before_the_refit():
    vae = tiny(prior=Mixture(3), tol=100.0, n_iter_no_change=1, max_iter=10).fit(X)
    assert vae.n_iter_ == 5


@each
def test_weighted_rows_are_repeated_ones(spec):
    weights = np.arange(len(X)) % 3
    params = {"prior": spec, "early_stopping": False, "batch_size": len(X)}
    weighted = tiny(**params).fit(X, sample_weight=weights)
    repeated = tiny(**params).fit(np.repeat(X, weights, axis=0))
    assert_allclose(weighted.transform(X), repeated.transform(X), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("prior", "grid"),
    [
        (Mixture(), {"prior__n_clusters": [1, 3]}),
        (VampPrior(), {"prior__n_pseudo_inputs": [2, 30]}),
        (Flow(1, 4), {"prior__n_transforms": [1, 2]}),
        ("normal", {"prior": ["normal", "mixture"]}),
    ],
    ids=str,
)
def test_search_reaches_the_prior(prior, grid):
    vae = tiny(prior=prior, early_stopping=False, learning_rate=0.01)
    search = GridSearchCV(vae, grid, cv=2, refit=False, error_score="raise")
    search.fit(X[:40])
    scores = search.cv_results_["mean_test_score"]
    assert np.isfinite(scores).all()
    assert scores[0] != scores[1]


def test_users_order_of_components_is_not_that_of_the_prior():
    vae = tiny(n_components=3, prior=Mixture(3)).fit(X)
    model = vae.module_
    model.order_components(torch.tensor([1.0, 3.0, 2.0]), -torch.ones((3, 1)))
    assert model.order.tolist() == [1, 2, 0]
    z = model.prior.draw(20_000, torch.Generator().manual_seed(1))
    with torch.no_grad():
        expected = model.likelihood.mean(model.decoder(z.float())).numpy()
    rows = vae.sample(20_000, random_state=0, kind="mean")
    assert_allclose(rows.mean(axis=0), expected.mean(axis=0), atol=0.1)
    assert_allclose(rows.std(axis=0), expected.std(axis=0), rtol=0.05)


def test_names_stand_for_the_defaults():
    assert repr(as_prior("mixture")) == "Mixture()"
    assert repr(as_prior("vamp")) == "VampPrior()"
    assert repr(as_prior("flow")) == "Flow()"
    assert len(as_prior("mixture").build(2).means) == 10
    assert len(started(as_prior("vamp")).prior.pseudo_inputs) == 500


# What is refused


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"prior": Mixture(0)}, "n_clusters"),
        ({"prior": VampPrior(0)}, "n_pseudo_inputs"),
        ({"prior": Flow(0)}, "n_transforms"),
        ({"prior": "mixtures"}, "'prior' parameter"),
        ({"prior": AggregatePosterior()}, "Use sampler='posterior'"),
        ({"sampler": VampPrior()}, "Use prior='vamp'"),
    ],
    ids=str,
)
def test_what_makes_no_sense_is_refused(params, message):
    with pytest.raises(ValueError, match=message):
        tiny(**params).fit(X)


# Clusters


@pytest.fixture(scope="module")
def clustered():
    return tiny(prior=Mixture(3), max_iter=20, sampler="auto").fit(X)


def test_clusters_are_the_groups_of_the_rows(clustered):
    labels = clustered.predict(X)
    assert labels.dtype.kind == "i"
    assert {len({*labels[GROUPS == g]}) for g in range(3)} == {1}
    assert {*labels} == {0, 1, 2}


def test_probabilities_of_clusters_are_those_of_a_loop(clustered):
    mean, std = clustered.posterior(X[:4])
    noise = clustered._fixed_noise(32)[:, 0].numpy()
    model = copy.deepcopy(clustered.module_).double()
    with torch.no_grad():
        fractions = model.prior.logits.softmax(0).numpy()
        roots, means = model.prior.roots(), model.prior.means.numpy()
        covariances = torch.linalg.inv(roots @ roots.mT).numpy()
    expected = np.zeros((4, 3))
    for i in range(4):
        network = [model.to_network(torch.tensor(v)).numpy() for v in (mean[i], std[i])]
        for e in noise:
            z = network[0] + np.abs(network[1]) * e
            joint = [
                f * stats.multivariate_normal(m, c).pdf(z)
                for f, m, c in zip(fractions, means, covariances, strict=True)
            ]
            expected[i] += joint / np.sum(joint) / 32
    assert_allclose(clustered.predict_proba(X[:4]), expected, atol=1e-7)


def test_probabilities_sum_to_one_and_are_each_rows_own(clustered):
    probabilities = clustered.predict_proba(HOLED)
    assert probabilities.shape == (90, 3)
    assert_allclose(probabilities.sum(axis=1), 1.0)
    assert_allclose(clustered.predict_proba(HOLED[7:9]), probabilities[7:9], rtol=1e-12)
    assert_array_equal(probabilities.argmax(axis=1), clustered.predict(HOLED))
    single = clustered.predict_proba(X.astype(np.float32))
    assert single.dtype == np.float32


def test_pipeline_and_tables_have_clusters_too():
    vae = tiny(prior=Mixture(3)).set_output(transform="pandas")
    pipeline = make_pipeline(StandardScaler(), vae).fit(X)
    probabilities = pipeline.predict_proba(X)
    assert isinstance(probabilities, np.ndarray)
    assert_array_equal(probabilities.argmax(axis=1), pipeline.predict(X))
    assert pipeline.transform(X).shape == (90, 2)


@pytest.mark.parametrize("params", [{}, {"prior": "vamp"}, {"sampler": "mixture"}])
def test_prior_without_clusters_has_no_predict(params):
    vae = tiny(**params)
    assert not hasattr(vae, "predict")
    with pytest.raises(AttributeError) as caught:
        _ = vae.predict_proba
    assert "Use prior='mixture'" in str(caught.value.__cause__)


def test_predict_goes_by_the_fitted_prior():
    vae = tiny(prior="normal").fit(X).set_params(prior="mixture")
    assert not hasattr(vae, "predict")
    vae.fit(X).set_params(prior="normal")
    assert vae.predict(X).shape == (len(X),)
