"""What the architecture page says is enough to add to each room from outside."""

import math
import pickle

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from scipy import stats
from sklearn.base import clone
from sklearn.decomposition import PCA
from sklearn.metrics import adjusted_rand_score
from sklearn.model_selection import GridSearchCV
from sklearn.preprocessing import StandardScaler
from torch import nn
from torch.nn.functional import softmax

from skvae import AutoencoderTransformer, VAETransformer
from skvae.likelihoods import Likelihood, LikelihoodModel, Linearization
from skvae.networks import Network, Perceptron
from skvae.objectives import ELBO, IWAE, AddedTerm, Reconstruction
from skvae.priors import (
    CategoricalLatents,
    NoPrior,
    Point,
    Posterior,
    Prior,
    PriorModel,
)
from skvae.schedules import Weight
from skvae.table import Batch

pytestmark = pytest.mark.filterwarnings("ignore:.*components carry nothing")


# Priors


class MixtureModel(PriorModel):
    """Two normal components around -center and center, which are learned."""

    def __init__(self, n_components, distance):
        super().__init__(n_components)
        self.center = nn.Parameter(torch.full((n_components,), 0.5 * distance))

    def log_prob(self, z):
        sides = torch.stack((z - self.center, z + self.center)).square().sum(-1)
        constant = 0.5 * self.n_components * math.log(2 * math.pi) + math.log(2)
        return torch.logsumexp(-0.5 * sides, dim=0) - constant

    def draw(self, n, generator):
        options = {"generator": generator, "device": generator.device}
        z = torch.randn((n, self.n_components), **options, dtype=torch.float64)
        side = torch.randint(2, (n, 1), **options)
        return z + (2 * side - 1) * self.center


class Mixture(Prior):
    """A mixture of two normal distributions; its KL is estimated."""

    def __init__(self, distance=2.0):
        self.distance = distance

    def build(self, n_components):
        return MixtureModel(n_components, self.distance)


class PseudoInputsModel(PriorModel):
    """The mean posterior of some rows that are learned (Tomczak & Welling 2018)."""

    def __init__(self, n_components, n_inputs):
        super().__init__(n_components)
        self.n_inputs = n_inputs

    def attach(self, model):
        self.model = (model,)
        size = (self.n_inputs, model.likelihood.n_features)
        self.inputs = nn.Parameter(torch.zeros(size))

    @torch.no_grad()
    def start(self, rows):
        (model,) = self.model
        some = rows.take(np.arange(self.n_inputs) % len(rows))
        X = np.concatenate(some.reduce(lambda X, _: [X]))
        x = torch.from_numpy(model.likelihood.prepare(X))
        self.inputs.copy_(model.likelihood.fill(x, ~x.isnan()))

    def _outputs(self):
        (model,) = self.model
        return model.encode(Batch(self.inputs))

    def log_prob(self, z):
        (model,) = self.model
        log_q = model.posterior.log_prob(self._outputs(), z[..., None, :])
        return torch.logsumexp(log_q, dim=-1) - math.log(self.n_inputs)

    @torch.no_grad()
    def draw(self, n, generator):
        (model,) = self.model
        options = {"generator": generator, "device": generator.device}
        which = torch.randint(self.n_inputs, (n,), **options)
        noise = torch.randn((n, self.n_components), **options, dtype=torch.float64)
        return model.posterior.draw(self._outputs().double()[which], noise)


class PseudoInputs(Prior):
    """VampPrior."""

    def __init__(self, n_inputs=4):
        self.n_inputs = n_inputs

    def build(self, n_components):
        return PseudoInputsModel(n_components, self.n_inputs)


class Stretched(Prior):
    """Independent normal components with different standard deviations."""

    def build(self, n_components):
        return StretchedModel(n_components)


class StretchedModel(PriorModel):
    @property
    def std(self):
        return 4.0 ** torch.arange(self.n_components)

    def log_prob(self, z):
        return torch.distributions.Normal(0.0, self.std).log_prob(z).sum(-1)

    def draw(self, n, generator):
        shape = (n, self.n_components)
        return self.std * torch.randn(shape, generator=generator, dtype=torch.float64)

    def moments(self):
        return torch.zeros(self.n_components), self.std


class PenaltyModel(PriorModel):
    def kl(self, posterior, outputs, z):
        return z.square().sum(-1)


class Penalty(Prior):
    """A prior for a point: its square is penalized, and there is no density."""

    posterior = Point()

    def build(self, n_components):
        return PenaltyModel(n_components)


# A posterior of another family


class Relaxed(Posterior):
    """Relaxed one-hot codes: the Concrete distribution (Maddison et al. 2017)."""

    def __init__(self, temperature):
        self.temperature = temperature

    def n_outputs(self, n_components):
        return n_components

    def outputs_of(self, mean, std):
        return mean.log()

    def draw(self, outputs, noise):
        uniform = torch.special.ndtr(noise).clamp(1e-6, 1 - 1e-6)
        gumbel = -torch.log(-torch.log(uniform))
        return softmax((outputs + gumbel) / self.temperature, dim=-1)

    def log_prob(self, outputs, z):
        n, t, log_z = z.shape[-1], self.temperature, z.clamp_min(1e-30).log()
        constant = math.lgamma(n) + (n - 1) * math.log(t)
        scores = (outputs - (t + 1) * log_z).sum(-1)
        return constant + scores - n * torch.logsumexp(outputs - t * log_z, dim=-1)

    def mean(self, outputs):
        return softmax(outputs, dim=-1)

    def std(self, outputs):
        return (self.mean(outputs) * (1 - self.mean(outputs))).sqrt()


class CategoriesModel(PriorModel):
    """All categories alike."""

    def __init__(self, n_components, posterior):
        super().__init__(n_components)
        self.posterior = posterior

    def log_prob(self, z):
        return self.posterior.log_prob(torch.zeros_like(z), z)

    def draw(self, n, generator):
        shape, options = (n, self.n_components), {"generator": generator}
        options |= {"dtype": torch.float64, "device": generator.device}
        noise = torch.randn(shape, **options)
        return self.posterior.draw(torch.zeros_like(noise), noise)

    def kl(self, posterior, outputs, z):
        log_q = outputs.log_softmax(-1)
        return (log_q.exp() * (log_q + math.log(self.n_components))).sum(-1)

    def moments(self):
        mean = torch.full((self.n_components,), 1 / self.n_components)
        return mean, (mean * (1 - mean)).sqrt()


class Categories(Prior):
    """One-hot codes, relaxed, with a closed KL (Jang et al. 2017)."""

    def __init__(self, temperature=0.5):
        self.temperature = temperature

    @property
    def posterior(self):
        return Relaxed(self.temperature)

    def build(self, n_components):
        return CategoriesModel(n_components, self.posterior)


# Objectives


class Discrepancy(AddedTerm):
    """Squared MMD between draws of a batch and a standard normal, in closed form.

    With a normal kernel of width `width` (Rustamov 2021).
    """

    name = "discrepancy"

    def __init__(self, base="elbo", weight=1.0, width=1.0):
        super().__init__(base, weight)
        self.width = width

    def term(self, model, batch, noise):
        z = model.posterior.draw(model.encode(batch), noise[0])
        squares, n = self.width**2, z.shape[-1]

        def kernel(distances, spread):
            scale = (squares / (squares + spread)) ** (0.5 * n)
            return scale * torch.exp(-0.5 * distances / (squares + spread))

        pairs = kernel((z[:, None] - z).square().sum(-1), 0.0).mean()
        cross = kernel(z.square().sum(-1), 1.0).mean()
        return pairs - 2.0 * cross + kernel(torch.zeros(()), 2.0)


class Distances(AddedTerm):
    """How far the posterior mean is out, of each row."""

    name = "distance"

    def term(self, model, batch, noise):
        return model.posterior_mean(batch).square().sum(-1)


# A controller, a network, a likelihood


class Capacity(Weight):
    """Moves the logarithm of a weight until a term has some value."""

    watches = "steps"

    def __init__(self, term="kl", target=2.0, rate=0.05):
        self.term = term
        self.target = target
        self.rate = rate

    def start(self):
        return 0.0

    def value(self, state, progress):
        return math.exp(state)

    def update(self, state, means, progress):
        return state + self.rate * (means[self.term] - self.target)


class Waves(Network):
    """Random Fourier features and a linear map of them."""

    def __init__(self, n_waves=8):
        self.n_waves = n_waves

    def build(self, n_in, n_out, random):
        return WavesModel(n_in, n_out, self.n_waves, random)


class WavesModel(nn.Module):
    def __init__(self, n_in, n_out, n_waves, random):
        super().__init__()
        frequencies = torch.randn((n_waves, n_in), generator=random)
        self.register_buffer("frequencies", frequencies)
        self.map = nn.Parameter(torch.randn((n_out, n_waves), generator=random))

    def forward(self, h):
        return torch.sin(h @ self.frequencies.T) @ self.map.T


class ExponentialModel(LikelihoodModel):
    """Positive columns with an exponential density; outputs are log(mean / usual)."""

    preparation_kind = "standard"
    link_kind = "log_normal"

    def __init__(self, n_features):
        super().__init__()
        self.n_features = self.n_inputs = self.n_outputs = n_features
        self.register_buffer("usual", torch.ones(n_features, dtype=torch.float64))

    def fit_statistics(self, rows):
        def sums(X, weights):
            return np.stack((weights @ np.nan_to_num(X), weights @ ~np.isnan(X)))

        total, weight = rows.reduce(sums)
        self.usual.copy_(torch.from_numpy(total / weight))

    def preparation_arrays(self):
        return {"unit": self.usual, "loc": 1.0, "scale": 1.0}

    def link_arrays(self):
        zero = torch.zeros((), dtype=torch.float64)
        return {"unit": 1.0, "loc": self.usual.log(), "scale": 1.0, "std": zero}

    def cell_log_prob(self, outputs, x):
        log_usual = self.usual.log().to(outputs.dtype)
        return -outputs - (x + 1.0) * torch.exp(-outputs) - log_usual

    def distribution(self, outputs):
        return torch.distributions.Exponential(1.0 / self.mean(outputs))

    def linearized(self):
        return Linearization(torch.zeros_like(self.usual), torch.zeros_like(self.usual))


class Exponential(Likelihood):
    def build(self, n_features):
        return ExponentialModel(n_features)


CASES = {
    "estimated KL": {"prior": Mixture(distance=3.0)},
    "pseudo-inputs": {"prior": PseudoInputs(n_inputs=5)},
    "categories": {"prior": Categories(), "n_components": 4},
    "categories, drawn": {"prior": CategoricalLatents(3, 2), "n_components": 7},
    "term of the batch": {"objective": Discrepancy(IWAE(3), weight=5.0)},
    "one term": {"objective": Reconstruction()},
    "two terms": {"objective": Distances(Discrepancy(), weight=0.1)},
    "controller": {"beta": Capacity(rate=0.1)},
    "network": {"encoder": Waves(), "decoder": Perceptron((8,))},
    "likelihood": {"likelihood": Exponential()},
    "all": {
        "prior": PseudoInputs(),
        "objective": Distances(Discrepancy(IWAE(2)), weight=0.1),
        "beta": Capacity(target=1.0),
        "encoder": Waves(),
        "likelihood": {0: Exponential(), 1: "gaussian", 2: "log_normal", 3: "poisson"},
    },
}
each = pytest.mark.parametrize("params", CASES.values(), ids=CASES.keys())


def tiny(**params):
    """Return an estimator that fits in a moment."""
    sizes = {} if "encoder" in params else {"hidden_layer_sizes": (8,)}
    defaults = {"max_iter": 4, "tol": None, "random_state": 0, "sampler": "prior"}
    defaults |= sizes
    return VAETransformer(**(defaults | params))


@pytest.fixture(scope="module")
def X(iris):
    """Positive columns, of which the last is a count."""
    return np.column_stack((iris[:, :3], np.ceil(iris[:, 3])))


@pytest.fixture(scope="module")
def holed(X):
    """The same table with missing cells, and a row of nothing else."""
    holed = np.where(np.arange(X.size).reshape(X.shape) % 7, X, np.nan)
    holed[3] = np.nan
    return holed


def answers(vae, X, holed):
    """Return what a fitted estimator answers."""
    Z = vae.transform(X)
    return [
        Z,
        *vae.posterior(holed),
        vae.inverse_transform(Z),
        vae.score_samples(X),
        vae.score_samples(holed, bound="elbo"),
        vae.impute(holed, n_proposals=16),
        vae.sample(9, random_state=0),
    ]


@each
def test_extension_answers_everything_and_survives_pickling(
    untouched, X, holed, params
):
    vae = tiny(**params).fit(X)
    ours = answers(vae, X, holed)
    assert all(np.isfinite(answer).all() for answer in ours)
    theirs = answers(pickle.loads(pickle.dumps(vae)), X, holed)
    for answer, other in zip(ours, theirs, strict=True):
        assert_array_equal(answer, other)


@each
def test_extension_is_trained(X, params):
    before = tiny(**params, learning_rate=1e-12, max_iter=1).fit(X)
    after = tiny(**params, learning_rate=0.01, early_stopping=False).fit(X)
    moved = after.module_.state_dict()
    for name, start in before.module_.named_parameters():
        assert (moved[name] != start).any() or not start.numel(), name


@each
def test_extension_fits_missing_cells(holed, params):
    assert np.isfinite(tiny(**params).fit(holed).score(holed))


@each
def test_extension_survives_clone_and_fits_the_same_again(X, params):
    vae = tiny(**params)
    again = clone(vae.fit(X)).fit(X)
    assert repr(again) == repr(vae)
    assert_array_equal(again.transform(X), vae.transform(X))


class Stopper:
    """Stops a fit after two epochs."""

    def setup(self, estimator, context):
        pass

    teardown = on_fit_task_begin = setup

    def on_fit_task_end(self, estimator, context, **kwargs):
        return context.task_name == "epoch" and context.task_id == 1


@each
def test_extension_goes_on_where_it_was_stopped(X, params):
    whole = tiny(**params).fit(X)
    some = tiny(**params).set_callbacks(Stopper()).fit(X)
    assert some.n_iter_ == 2
    some = pickle.loads(pickle.dumps(some)).set_callbacks()
    some.set_params(warm_start=True).fit(X)
    assert some.loss_curve_ == whole.loss_curve_
    assert_array_equal(some.transform(X), whole.transform(X))
    assert some.fit(X).n_iter_ == 8


@pytest.mark.parametrize(
    ("params", "grid"),
    [
        ({"prior": Mixture()}, {"prior__distance": [1.0, 4.0]}),
        ({"prior": PseudoInputs()}, {"prior__n_inputs": [2, 5]}),
        ({"prior": Categories()}, {"prior__temperature": [0.5, 0.9]}),
        (
            {"prior": CategoricalLatents(2), "n_components": 5},
            {"prior__n_categories": [2, 3], "prior__temperature": [0.5, 0.9]},
        ),
        ({"objective": Discrepancy(IWAE())}, {"objective__base__n_draws": [2, 3]}),
        ({"objective": Discrepancy()}, {"objective__width": [1.0, 2.0]}),
        ({"beta": Capacity()}, {"beta__target": [0.1, 2.0]}),
        ({"encoder": Waves()}, {"encoder__n_waves": [4, 8]}),
        ({"encoder": Perceptron()}, {"encoder__hidden_layer_sizes": [(4,), (8, 6)]}),
        ({}, {"likelihood": [Exponential(), "gaussian"]}),
    ],
    ids=str,
)
def test_extension_has_parameters_that_a_search_reaches(X, params, grid):
    search = GridSearchCV(tiny(**params, early_stopping=False), grid, cv=2)
    search.set_params(error_score="raise").fit(X)
    scores = search.cv_results_["mean_test_score"]
    assert np.isfinite(scores).all()
    assert scores[0] != scores[1]


# What each is for


def test_pseudo_inputs_prior_owns_its_inputs_alone(X):
    prior = tiny(prior=PseudoInputs(), hidden_layer_sizes=(8,)).fit(X).module_.prior
    assert [*prior.state_dict()] == ["inputs"]
    assert prior.log_prob(torch.zeros(1, 2)).requires_grad


@torch.no_grad()
def test_prior_with_an_estimated_kl_bounds_the_evidence(X):
    """A linear model of a mixture is a mixture of normals, whose density is known."""
    vae = tiny(prior=Mixture(2.0), hidden_layer_sizes=(), early_stopping=False).fit(X)
    model = vae.module_
    W, noise = model.decoder.path.weight, model.likelihood.noise().exp()
    covariance = W @ W.T + noise**2 * torch.eye(4)
    h, log_scale = (X - X.mean(axis=0)) / X.std(axis=0), np.log(X.std(axis=0)).sum()
    sides = [
        stats.multivariate_normal(model.decoder(center), covariance).logpdf(h)
        for center in (model.prior.center, -model.prior.center)
    ]
    exact = np.logaddexp(*sides) - np.log(2) - log_scale
    assert_allclose(vae.score_samples(X, n_draws=4096), exact, atol=0.02)
    assert (vae.score_samples(X, bound="elbo", n_draws=4096) < exact + 0.01).all()


def test_prior_of_a_point_penalizes_it(X):
    options = {"early_stopping": False, "max_iter": 20, "learning_rate": 0.01}
    options["objective"] = "elbo"
    free, held = (
        tiny(prior=Penalty(), beta=beta, **options).fit(X).transform(X)
        for beta in (0.0, 10.0)
    )
    assert np.square(held).mean() < 0.5 * np.square(free).mean()


@pytest.mark.parametrize("method", ["fit", "score"])
def test_density_of_a_point_is_refused_in_words(X, method):
    vae = tiny(prior=NoPrior())
    if method == "score":
        vae = tiny(prior=Penalty()).fit(X)
    with pytest.raises(ValueError, match="require a prior whose posterior is random"):
        getattr(vae, method)(X)


def test_relaxed_categories_carry_what_distinguishes_rows():
    rng = np.random.default_rng(0)
    kind = rng.integers(3, size=300)
    centers = np.array([[0.0, 0.0], [5.0, 0.0], [0.0, 5.0]])
    X = centers[kind] + rng.normal(size=(300, 2))
    vae = tiny(n_components=3, prior=Categories(), max_iter=60, beta=0.3)
    vae.set_params(learning_rate=0.01, batch_size=32)
    masses = np.abs(vae.fit(X).transform(X))
    assert_allclose(masses.sum(axis=1), 1.0, rtol=1e-6)
    assert adjusted_rand_score(kind, masses.argmax(axis=1)) > 0.8
    assert vae.kl_per_component_ is None


def test_kl_of_relaxed_categories_is_closed():
    logits = torch.tensor([[0.3, -1.0, 2.0], [0.0, 0.0, 0.0]])
    prior = Categories()
    kl = prior.build(3).kl(prior.posterior, logits, None)
    q, p = (torch.distributions.Categorical(logits=v) for v in (logits, logits * 0))
    torch.testing.assert_close(kl, torch.distributions.kl_divergence(q, p))


def test_terms_have_curves_weights_and_a_line(X, capsys):
    objective = Distances(Discrepancy(ELBO(0.0), weight=5.0), weight=0.1)
    vae = tiny(objective=objective, verbose=True).fit(X)
    names = ["reconstruction", "kl", "discrepancy", "distance"]
    assert [*vae.term_curves_] == names
    weighted = np.transpose([*vae.term_curves_.values()]) @ [1.0, 1.0, 5.0, 0.1]
    assert_allclose(vae.loss_curve_, weighted, rtol=1e-5)
    line = capsys.readouterr().out.splitlines()[-1]
    assert all(f"{name} {vae.term_curves_[name][-1]:.6g}" in line for name in names)


def test_terms_nest_in_any_order(X):
    options = {"early_stopping": False, "max_iter": 3}
    one = tiny(objective=Distances(Discrepancy(weight=5.0), 0.1), **options).fit(X)
    other = tiny(objective=Discrepancy(Distances(weight=0.1), 5.0), **options).fit(X)
    assert_allclose(one.loss_curve_, other.loss_curve_, rtol=1e-5)
    assert_allclose(one.transform(X), other.transform(X), atol=1e-3)


def test_term_twice_is_refused(X):
    with pytest.raises(ValueError, match="different names"):
        tiny(objective=Distances(Distances())).fit(X)


@pytest.mark.parametrize("watches", ["steps", "epochs"])
@pytest.mark.parametrize("target", [2.0, 3.0])
def test_controller_leads_its_term_to_the_target(X, monkeypatch, watches, target):
    monkeypatch.setattr(Capacity, "watches", watches)
    vae = tiny(beta=Capacity(target=target, rate=0.02), early_stopping=False)
    vae.set_params(objective="elbo", max_iter=100, learning_rate=0.005).fit(X)
    assert vae.term_curves_["kl"][-1] == pytest.approx(target, rel=0.1)


@pytest.mark.parametrize("encoder", [Waves(), Perceptron((8,))], ids=repr)
@pytest.mark.parametrize("estimator", [VAETransformer, AutoencoderTransformer])
def test_any_network_starts_at_the_linear_model(iris, encoder, estimator):
    X = StandardScaler().fit_transform(iris)
    options = {"max_iter": 1, "learning_rate": 1e-12, "early_stopping": False}
    if estimator is VAETransformer:
        options |= {"objective": "elbo", "sampler": "prior"}
    model = estimator(2, encoder=encoder, random_state=0, **options).fit(X)
    pca = PCA(2).fit(X)
    back = model.inverse_transform(model.transform(X))
    if estimator is VAETransformer:
        assert_allclose(model.score_samples(X), pca.score_samples(X), atol=1e-3)
        # Probabilistic PCA shrinks what PCA reconstructs.
        kept = 1 - pca.noise_variance_ / pca.explained_variance_
        expected = (pca.transform(X) * kept) @ pca.components_
    else:
        expected = pca.inverse_transform(pca.transform(X))
    assert_allclose(back, expected, atol=1e-4)


def test_likelihood_scores_as_scipy_and_draws_from_its_density(X):
    vae = tiny(likelihood=Exponential(), n_components=1).fit(X)
    model = vae.module_.likelihood
    outputs = torch.tensor([[0.1, -0.5, 0.0, 1.0]], dtype=torch.float64)
    x = torch.from_numpy(model.prepare(X[:5]))
    expected = stats.expon(scale=X.mean(axis=0) * outputs.exp().numpy()).logpdf(X[:5])
    assert_allclose(model.log_prob(outputs, x), expected.sum(axis=1))
    assert_allclose(vae.sample(20_000, 0).mean(axis=0), X.mean(axis=0), rtol=0.1)


# Priors that are not exchangeable


def test_sample_decodes_the_prior_in_the_order_of_the_networks(X):
    """Users see components in another order than the one that the prior knows."""
    vae = tiny(n_components=3, prior=Stretched(), init="random", max_iter=20)
    model = vae.fit(X).module_
    assert model.order.tolist() != [0, 1, 2]
    z = model.prior.draw(20_000, torch.Generator().manual_seed(1))
    with torch.no_grad():
        expected = model.likelihood.mean(model.decoder(z.float())).numpy()
    rows = vae.sample(20_000, random_state=0, kind="mean")
    spread = expected.std(axis=0)
    assert_allclose(np.cov((rows / spread).T), np.cov((expected / spread).T), atol=0.05)
