"""Objectives that shape the latent space, against loops and closed forms."""

import math
import pickle

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from scipy import integrate, stats
from scipy.special import logsumexp
from sklearn.base import clone
from sklearn.datasets import load_iris, load_wine
from sklearn.decomposition import PCA
from sklearn.metrics import r2_score
from sklearn.model_selection import GridSearchCV

from skvae import AutoencoderTransformer, VAETransformer
from skvae._model import Architecture
from skvae.likelihoods import Bernoulli, Gaussian
from skvae.networks import Perceptron
from skvae.objectives import (
    ELBO,
    IWAE,
    MMD,
    RAE,
    Denoising,
    FreeBits,
    Neighbors,
    NestedDropout,
    Reconstruction,
    TotalCorrelation,
    as_objective,
)
from skvae.objectives._contract import Shape
from skvae.priors import Mixture, NoPrior, Normal, StandardNormal, VampPrior
from skvae.table import Batch, Batches, Rows, as_cells
from skvae.training._start import start_linear
from skvae.training._validation import Validation

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*components carry nothing"),
    pytest.mark.filterwarnings("ignore:.*stays at PCA"),
]

RNG = np.random.default_rng(0)
K = 3
X = RNG.normal(size=(60, K)) @ RNG.normal(size=(K, 5)) * 2 + RNG.normal(size=(60, 5))
WINE = load_wine().data
TINY = {"hidden_layer_sizes": 16, "max_iter": 8, "tol": None, "random_state": 0}


def _model(prior=None):
    """Return a model, float64, whose encoder is deliberately off."""
    networks = (Perceptron((6,), "tanh"),) * 2
    parts = (*networks, True, Gaussian(), prior or StandardNormal())
    model = Architecture(5, K, *parts).build(seed=0)
    rows = Rows(as_cells(X), np.arange(60), np.ones(60))
    model.double().likelihood.fit_statistics(rows)
    start_linear(model, rows)
    with torch.no_grad():
        model.encoder.path.bias[:K] += torch.tensor([0.4, -0.3, 0.5])
    return model


def _batch(model, n=10, weights=None):
    x = torch.from_numpy(model.likelihood.prepare(X[:n]))
    return Batch(x, weights=None if weights is None else torch.tensor(weights))


def _noise(*shape, seed=0):
    random = torch.Generator().manual_seed(seed)
    return torch.randn((*shape, K), generator=random, dtype=torch.float64)


def _moments(model, batch):
    mean, log_variance = model.posterior.moments(model.encode(batch))
    return mean.detach().numpy(), np.exp(0.5 * log_variance.detach().numpy())


WEIGHTS = np.linspace(0.5, 2.0, 10)


# Free bits


def _kl(mean, std):
    return 0.5 * (mean**2 + std**2 - 1.0) - np.log(std)


@pytest.mark.parametrize("nats", [0.0, 0.8, 100.0])
def test_free_bits_replace_what_a_component_or_a_row_has_too_little_of(nats):
    model = _model()
    batch = _batch(model, weights=WEIGHTS)
    each = np.average(_kl(*_moments(model, batch)), axis=0, weights=WEIGHTS)
    expected = {
        "component": sum(max(nats, one) for one in each),
        "row": max(nats, each.sum()),
    }
    for per, kl in expected.items():
        spec = FreeBits(ELBO(0.0), nats, per)
        terms = spec.terms(model, batch, _noise(1, 10))
        assert_allclose(terms["kl"].item(), kl)
        stacked = spec.stacked_terms(model, batch, _noise(1, 10))
        assert_allclose(stacked[1].detach(), np.full(10, kl))


def test_free_bits_have_no_gradient_until_they_are_used_up():
    model = _model()
    batch = _batch(model)
    each = _kl(*_moments(model, batch)).mean(axis=0)
    nats = float(np.median(each))
    FreeBits(ELBO(0.0), nats - 1e-9).terms(model, batch, _noise(1, 10))["kl"].backward()
    gradient = model.encoder.path.bias.grad[:K].numpy()
    counts = each >= nats - 1e-9
    assert_allclose(gradient, counts * _moments(model, batch)[0].mean(axis=0))


def test_free_bits_of_a_row_work_with_an_estimated_divergence():
    model = _model(Mixture(2))
    batch, noise = _batch(model), _noise(1, 10)
    kl = ELBO(0.0).terms(model, batch, noise)["kl"].mean()
    spec = FreeBits(ELBO(0.0), 1e-9, per="row")
    assert_allclose(spec.terms(model, batch, noise)["kl"].item(), kl.item())
    with pytest.raises(ValueError, match=r"per component.*Use per='row'"):
        FreeBits().terms(model, batch, noise)


def test_free_bits_keep_components_that_the_bound_switches_off():
    noise = np.random.default_rng(0).normal(size=(100, 4))
    options = {**TINY, "max_iter": 40, "early_stopping": False, "init": "random"}
    options["learning_rate"] = 0.01

    def kl(objective):
        vae = VAETransformer(2, objective=objective, beta=1.0, **options).fit(noise)
        return vae.kl_per_component_

    assert (kl("elbo") < 0.1).all()
    assert (kl(FreeBits(nats=0.5)) > 0.25).all()


# Maximum mean discrepancy


def _mmd_loop(z, y, weights):
    def kernel(a, b):
        return 2 * K / (2 * K + ((a - b) ** 2).sum())

    total = norm = 0.0
    for i in range(len(z)):
        for j in range(len(z)):
            if i != j:
                w = weights[i] * weights[j]
                same = kernel(z[i], z[j]) + kernel(y[i], y[j])
                total += w * (same - kernel(z[i], y[j]) - kernel(z[j], y[i]))
                norm += w
    return total / norm


def test_discrepancy_equals_a_double_loop_and_its_gradient():
    model = _model()
    batch, noise = _batch(model, weights=WEIGHTS), _noise(1, 10)
    term = MMD().term(model, batch, noise)
    term.backward()
    mean, std = _moments(model, batch)
    y = noise[0].numpy()
    z = mean + std * y
    assert_allclose(term.item(), _mmd_loop(z, y, WEIGHTS))
    step = np.eye(K)[1] * 1e-5
    ends = (_mmd_loop(z + sign * step, y, WEIGHTS) for sign in (1, -1))
    slope = np.subtract(*ends) / 2e-5
    assert_allclose(model.encoder.path.bias.grad[1].item(), slope, rtol=1e-6)


def test_discrepancy_has_the_expectation_of_the_integral():
    # All rows have the posterior N(m, s^2) of one component; others are the prior.
    model, shift, scale = _model(), 1.5, 0.5

    class Fixed(Normal):
        def moments(self, outputs):
            zeros = torch.zeros(len(outputs), K, dtype=torch.float64)
            there = torch.tensor([1.0, 0.0, 0.0])
            return zeros + shift * there, zeros + 2 * math.log(scale) * there

    model.posterior = Fixed()
    batch = _batch(model, 20)
    found = [MMD().term(model, batch, _noise(1, 20, seed=s)).item() for s in range(400)]

    def expected(mean, variance):
        # k = integral of exp(-t) exp(-t d^2 / C) dt, and d^2 is a sum over components.
        def over(t):
            c = t / (2 * K)
            moved = np.exp(-c * mean**2 / (1 + 2 * c * variance))
            first = moved / np.sqrt(1 + 2 * c * variance)
            return np.exp(-t) * first / (1 + 4 * c) ** ((K - 1) / 2)

        return integrate.quad(over, 0, np.inf)[0]

    truth = expected(0.0, 2 * scale**2) + expected(0.0, 2.0)
    truth -= 2 * expected(shift, 1 + scale**2)
    assert abs(np.mean(found) - truth) < 4 * np.std(found) / 20
    assert truth > 0.05


def test_discrepancy_is_zero_where_the_posterior_is_the_prior_and_of_one_row():
    model = _model()
    batch, noise = _batch(model), _noise(1, 10)
    assert MMD().term(model, _batch(model, 1), _noise(1, 1)) == 0.0
    with torch.no_grad():
        for parameter in model.encoder.parameters():
            parameter.zero_()
    assert_allclose(MMD().term(model, batch, noise).item(), 0.0, atol=1e-12)


def test_discrepancy_from_another_prior_uses_its_draws():
    model = _model(Mixture(2))
    with torch.no_grad():
        model.prior.means.copy_(torch.tensor([[50.0], [60.0]]))
    noise = _noise(1, 10)
    y = model.prior.draw_from(noise[0])
    assert ((y > 40) & (y < 70)).all()
    assert_array_equal(y, model.prior.draw_from(noise[0]))
    assert (y != model.prior.draw_from(_noise(1, 10, seed=1)[0])).all()
    assert MMD().term(model, _batch(model), noise) > 0.5


def test_discrepancy_of_an_autoencoder_without_a_prior_is_refused():
    vae = VAETransformer(objective=MMD(Reconstruction()), prior=NoPrior(), **TINY)
    with pytest.raises(ValueError, match=r"require a prior that has them.*NoPrior"):
        vae.fit(X)


def test_discrepancy_makes_the_map_of_all_rows_normal():
    rng = np.random.default_rng(1)
    X = rng.normal(size=(200, 1)) + rng.normal(size=(200, 3)) * 0.2
    options = {**TINY, "max_iter": 40, "early_stopping": False, "beta": 0.0}
    options["learning_rate"] = 0.02

    def variance(objective):
        return VAETransformer(1, objective=objective, **options).fit_transform(X).var()

    assert abs(variance(MMD(ELBO(0.0), weight=300.0)) - 1.0) < 0.15
    assert variance(ELBO(0.0)) > 1.3


# Total correlation


def _total_correlation_loop(z, mean, std, n_rows, weights):
    answers = []
    for i in range(len(z)):
        others = np.delete(weights, i)
        shares = np.insert((1 - 1 / n_rows) * others / others.sum(), i, 1 / n_rows)
        log_q = stats.norm(mean, std).logpdf(z[i])
        joint = logsumexp(log_q.sum(1), b=shares)
        answers.append(joint - logsumexp(log_q, axis=0, b=shares[:, None]).sum())
    return np.array(answers)


@pytest.mark.parametrize("n_rows", [10, 5000])
def test_total_correlation_equals_a_loop_and_its_gradient(n_rows):
    model = _model()
    batch, noise = _batch(model, weights=WEIGHTS), _noise(1, 10)
    term = TotalCorrelation(n_rows=n_rows).term(model, batch, noise)
    mean, std = _moments(model, batch)
    z = mean + std * noise[0].numpy()
    assert_allclose(
        term.detach(), _total_correlation_loop(z, mean, std, n_rows, WEIGHTS)
    )
    outputs = model.encode(batch).detach().requires_grad_()
    model.encode = lambda _: outputs
    TotalCorrelation(n_rows=n_rows).term(model, batch, noise).sum().backward()

    def total(by):
        moved = mean.copy()
        moved[4, 2] += by
        z = moved + std * noise[0].numpy()
        return _total_correlation_loop(z, moved, std, n_rows, WEIGHTS).sum()

    slope = (total(1e-5) - total(-1e-5)) / 2e-5
    assert_allclose(outputs.grad[4, 2].item(), slope, rtol=1e-5)


def test_total_correlation_of_all_rows_is_that_of_a_known_normal():
    # Posterior means are normal with correlation .8, and so is their convolution.
    n, std = 1500, 0.6
    mean = RNG.multivariate_normal(np.zeros(2), [[1.0, 0.8], [0.8, 1.0]], size=n)
    outputs = np.hstack((mean, np.full((n, 2), 2 * math.log(std))))
    model = _model()
    model.encode = lambda _: torch.from_numpy(outputs)
    noise = torch.from_numpy(RNG.normal(size=(1, n, 2)))
    batch = Batch(torch.zeros(n, 5, dtype=torch.float64))
    found = TotalCorrelation(n_rows=n).term(model, batch, noise).mean().item()
    correlation = 0.8 / (1.0 + std**2)
    assert_allclose(found, -0.5 * math.log(1 - correlation**2), atol=0.04)


def test_total_correlation_knows_the_number_of_training_rows():
    vae = VAETransformer(objective=TotalCorrelation(), **TINY).fit(X)
    assert vae.objective_.n_rows == 60 - round(60 * vae.validation_fraction_)
    assert TotalCorrelation(n_rows=7).resolved(0.0, Shape(9, 3, 2)).n_rows == 7
    assert TotalCorrelation().for_density().n_rows == "auto"
    one = TotalCorrelation(n_rows=9).term(_model(), _batch(_model(), 1), _noise(1, 1))
    assert_allclose(one.detach(), 0.0, atol=1e-12)


def test_total_correlation_requires_independent_components():
    vae = VAETransformer(
        objective=TotalCorrelation(Reconstruction()), prior=NoPrior(), **TINY
    )
    with pytest.raises(ValueError, match=r"independent components.*Got Point"):
        vae.fit(X)


# Nested dropout


@pytest.mark.parametrize(
    ("rate", "expected"), [(0.6, [0.4, 0.24, 0.36]), ("uniform", [1 / 3] * 3)]
)
def test_rows_keep_as_many_components_as_the_distribution_says(rate, expected):
    model = _model()
    kept = []
    model.register_buffer("ones", torch.ones(1))

    class Spy(ELBO):
        def terms(self, view, batch, noise):
            kept.append(view.prior.kept)
            return super().terms(view, batch, noise)

    NestedDropout(Spy(0.0), rate).terms(
        model, Batch(torch.zeros(1000, 5, dtype=torch.float64)), _noise(1, 1000)
    )
    numbers = kept[0].sum(1)
    assert_array_equal(kept[0], torch.arange(K) < numbers[:, None])
    fractions = np.bincount(numbers, minlength=K + 1) / 1000
    assert_allclose(fractions, [0.0, *expected], atol=0.005)


@pytest.mark.parametrize("rate", [0.0, 0.5, 1.0])
def test_terms_of_truncated_rows_equal_a_loop(rate):
    model = _model()
    batch, noise = _batch(model, weights=WEIGHTS), _noise(1, 10)
    spec = NestedDropout(ELBO(0.0), rate)
    terms = spec.terms(model, batch, noise)
    mean, std = _moments(model, batch)
    z = mean + std * noise[0].numpy()
    center = np.average(z, axis=0, weights=WEIGHTS)
    golden = (math.sqrt(5) - 1) / 2
    for i in range(10):
        n = sum((i + 0.5) * golden % 1.0 < rate**k for k in range(K))
        z[i, n:] = center[n:]
        assert_allclose(terms["kl"][i].item(), _kl(mean, std)[i, :n].sum())
    expected = -model.log_prob(torch.from_numpy(z), batch)
    assert_allclose(terms["reconstruction"].detach(), expected.detach())


def test_with_all_components_nested_dropout_is_its_base():
    model = _model()
    batch, noise = _batch(model), _noise(2, 10)
    for base in (ELBO(0.4), IWAE(2), FreeBits(IWAE(2)), MMD()):
        nested = NestedDropout(base, 1.0).terms(model, batch, noise)
        for name, term in base.terms(model, batch, noise).items():
            assert_allclose(nested[name].detach(), term.detach())
    assert model.prior.is_standard_normal  # the model itself is unchanged


def test_first_components_of_a_nested_fit_are_as_good_as_those_of_pca():
    rng = np.random.default_rng(0)
    turn = stats.ortho_group.rvs(5, random_state=0)
    X = rng.normal(size=(300, 5)) * [3.0, 2.0, 1.5, 0.3, 0.3] @ turn

    def errors(decode):
        return np.array([np.mean((decode(n) - X) ** 2) for n in (1, 2, 3)])

    pca = PCA().fit(X)
    axes = pca.components_
    best = errors(lambda n: (X - pca.mean_) @ axes[:n].T @ axes[:n] + pca.mean_)
    options = {**TINY, "max_iter": 80, "learning_rate": 0.02, "init": "random"}
    options |= {"likelihood": Gaussian(scaling="inputs"), "prior": NoPrior()}

    def nested_errors(objective):
        vae = VAETransformer(3, objective=objective, **options).fit(X)
        Z = vae.transform(X)
        return errors(lambda n: vae.inverse_transform(Z[:, :n]))

    nested = nested_errors(NestedDropout(Reconstruction()))
    assert (nested < 1.25 * best + 0.1).all()
    assert nested_errors(Reconstruction())[0] > 1.4 * nested[0]


def test_components_of_a_nested_fit_keep_their_order():
    # The second component carries more than the first, which is noise.
    class Swapped(NestedDropout):
        orders_components = False

    options = {"init": "random", **TINY}
    around = Neighbors(NestedDropout(), n_neighbors=5)
    kept = VAETransformer(4, objective=around, **options).fit(WINE)
    assert_array_equal(kept.module_.order, np.arange(4))
    assert kept.objective_.orders_components
    ordered = VAETransformer(4, objective=Swapped(), **options).fit(WINE)
    assert (np.diff(ordered.kl_per_component_) <= 0).all()


def test_rows_move_the_mean_of_their_last_component_alone():
    model, rate, weights = _model(), 0.5, torch.tensor(WEIGHTS)
    batch, noise = _batch(model, weights=WEIGHTS), _noise(1, 10)
    golden, places = (math.sqrt(5) - 1) / 2, np.arange(10) + 0.5
    numbers = sum((places * golden % 1.0 < rate**k).astype(int) for k in range(K))
    kept = torch.arange(K) < torch.from_numpy(numbers)[:, None]

    def loss(outputs):
        mean, log_variance = outputs.chunk(2, dim=-1)
        z = mean + (0.5 * log_variance).exp() * noise[0]
        center = (weights / weights.sum()) @ z
        kl = 0.5 * (mean**2 + log_variance.exp() - 1.0 - log_variance)
        log_prob = model.log_prob(torch.where(kept, z, center), batch)
        return weights @ ((kl * kept).sum(1) - log_prob)

    outputs = model.encode(batch).detach().requires_grad_()
    expected = torch.autograd.functional.jacobian(loss, outputs.detach()).numpy()
    expected[:, :K] *= np.arange(1, K + 1) == numbers[:, None]
    model.encoder.forward = lambda _: outputs
    terms = NestedDropout(ELBO(0.0), rate).stacked_terms(model, batch, noise)
    (terms.sum(0) @ weights).backward()
    assert_allclose(outputs.grad, expected, rtol=1e-6, atol=1e-9)


def test_twice_as_many_rows_are_decoded_at_their_mean_by_default():
    fractions = [
        NestedDropout().resolved(f).base.mean_fraction for f in (0.0, 0.1, 0.4)
    ]
    assert_allclose(fractions, [0.0, 0.2, 0.8])
    assert NestedDropout(ELBO(0.3)).resolved(0.4).base.mean_fraction == 0.3


def test_first_components_of_a_nested_fit_are_as_good_as_a_fit_of_so_many():
    rows = load_iris().data
    options = {"hidden_layer_sizes": 32, "max_iter": 100, "random_state": 0}

    def r2(n_components, objective, n):
        vae = VAETransformer(n_components, objective=objective, **options)
        back = vae.inverse_transform(vae.fit_transform(rows)[:, :n])
        return r2_score(rows, back)

    gains = [r2(3, NestedDropout(), n) - r2(n, "elbo", n) for n in (1, 2, 3)]
    assert min(gains) > -0.02


# The first components, of any fit


@pytest.mark.parametrize("estimator", [VAETransformer, AutoencoderTransformer])
def test_first_components_are_decoded_with_the_others_at_their_mean(estimator):
    model = estimator(4, early_stopping=False, **TINY).fit(WINE)
    Z = model.transform(WINE)
    for n in range(1, 5):
        full = np.hstack((Z[:, :n], np.broadcast_to(Z.mean(axis=0)[n:], (178, 4 - n))))
        expected = model.inverse_transform(full)
        assert_allclose(model.inverse_transform(Z[:, :n]), expected, rtol=1e-5)
    some = model.inverse_transform(Z[:3, :2].astype(np.float32))
    assert some.dtype == np.float32
    loaded = pickle.loads(pickle.dumps(model))
    assert_array_equal(
        loaded.inverse_transform(Z[:, :1]), model.inverse_transform(Z[:, :1])
    )
    with pytest.raises(ValueError, match=r"at most 4 columns.*Got 5.*first columns"):
        model.inverse_transform(np.zeros((2, 5)))


# Denoising


def test_encoder_sees_noise_and_the_loss_is_of_rows_without():
    model = _model()
    batch, noise = _batch(model), _noise(1, 10)
    seen = []
    model.encoder.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    terms = Denoising(ELBO(0.0), 0.5).terms(model, batch, noise)
    outputs = model.encoder(seen[0])
    z = model.posterior.draw(outputs, noise[0])
    assert_allclose(
        terms["reconstruction"].detach(), -model.log_prob(z, batch).detach()
    )
    many = Batch(torch.zeros(2000, 5, dtype=torch.float64))
    Denoising(ELBO(0.0), 0.5).terms(model, many, _noise(1, 2000))
    assert_allclose(seen[-1].std(0), np.full(5, 0.5), rtol=0.1)
    assert_allclose(seen[-1].mean(0), np.zeros(5), atol=0.05)


def test_noise_is_new_at_each_step_and_absent_without_size():
    model = _model()
    batch = _batch(model)

    def kl(scale, seed):
        spec = Denoising(ELBO(0.0), scale)
        return spec.terms(model, batch, _noise(1, 10, seed=seed))["kl"].detach()

    assert_array_equal(kl(0.5, 0), kl(0.5, 0))
    assert (kl(0.5, 0) != kl(0.5, 1)).all()
    plain = ELBO(0.0).terms(model, batch, _noise(1, 10))["kl"].detach()
    assert_array_equal(kl(0.0, 0), plain)


def test_noise_leaves_out_which_cells_are_missing():
    rows = WINE.copy()
    rows[::3, 2] = np.nan
    seen = []

    class Spy(ELBO):
        def terms(self, view, batch, noise):
            handle = view.encoder.encoder.register_forward_pre_hook(
                lambda _, given: seen.append(given[0])
            )
            try:
                return super().terms(view, batch, noise)
            finally:
                handle.remove()

    VAETransformer(2, objective=Denoising(Spy()), **TINY).fit(rows)
    flags = torch.cat([h.detach()[:, 13:] for h in seen])
    assert set(flags.unique().tolist()) == {0.0, 1.0}


# Doubly reparameterized gradient


GRADIENTS = ("standard", "doubly_reparameterized")


def _gradients(gradient, n_draws, n_repeats):
    """Return gradients by outputs of the encoder, (n, B, 2 K), and by the decoder's."""
    model = _model()
    batch = _batch(model, 4)
    many = Batch(batch.x.repeat(n_repeats, 1))
    outputs = model.encode(many).detach().requires_grad_()
    model.encode = lambda _: outputs
    noise = _noise(n_draws, 4 * n_repeats)
    terms = IWAE(n_draws, gradient).terms(model, many, noise)
    sum(terms.values()).sum().backward()
    by_outputs = outputs.grad.reshape(n_repeats, 4, 2 * K).numpy()
    return by_outputs, model.decoder.path.bias.grad.numpy()


def test_both_gradients_of_the_weighted_bound_have_one_expectation():
    (standard, of_decoder), (doubly, same) = (_gradients(g, 4, 4000) for g in GRADIENTS)
    gap = (standard - doubly).mean(axis=0)
    error = (standard - doubly).std(axis=0) / math.sqrt(4000)
    assert (np.abs(gap) < 4.5 * error).all()
    assert (np.abs(standard.mean(axis=0)) > 10 * error).any()
    assert_allclose(of_decoder, same, rtol=1e-9)


def test_doubly_reparameterized_gradient_is_less_noisy_and_of_the_same_value():
    spread = {g: _gradients(g, 50, 100)[0].std(axis=0).mean() for g in GRADIENTS}
    assert spread["doubly_reparameterized"] < 0.7 * spread["standard"]
    model = _model()
    batch, noise = _batch(model), _noise(5, 10)
    values = [IWAE(5, g).terms(model, batch, noise) for g in GRADIENTS]
    for name in values[0]:
        assert_allclose(values[0][name].detach(), values[1][name].detach())


# Regularized deterministic autoencoder


def test_regularized_autoencoder_has_the_sizes_of_z_and_of_the_decoder():
    model = _model(NoPrior())
    batch = _batch(model)
    terms = RAE().terms(model, batch, _noise(1, 10))
    z = model.posterior_mean(batch)
    matrices = [p.detach().numpy() for p in model.decoder.parameters() if p.dim() == 2]
    assert len(matrices) == 3
    size = sum((m**2).sum() for m in matrices)
    found = terms["reconstruction"].detach()
    assert_allclose(found, -model.log_prob(z, batch).detach())
    assert_allclose(terms["size"].detach(), 0.5 * (z.detach() ** 2).sum(1))
    assert_allclose(terms["decoder"].item(), size)
    weights = RAE(0.3, 0.2).weights()
    assert {n: w.schedule.value for n, w in weights.items()} == {
        "size": 0.3,
        "decoder": 0.2,
    }


def test_regularized_autoencoder_draws_rows_from_what_is_fitted_to_z():
    rng = np.random.default_rng(0)
    X = np.repeat([[-3.0, -3.0, 0.0], [3.0, 3.0, 0.0]], 100, axis=0)
    X += rng.normal(size=X.shape) * 0.3
    options = {**TINY, "max_iter": 30}
    vae = VAETransformer(1, prior=NoPrior(), objective="rae", **options).fit(X)
    assert isinstance(vae.sampler_, Mixture)
    drawn = vae.sample(500, random_state=0, kind="mean")
    # Two groups, and nothing between them.
    assert (np.abs(drawn[:, :2].mean(axis=1)) > 1.5).mean() > 0.98
    assert 0.35 < (drawn[:, 0] > 0).mean() < 0.65
    mean, std = vae.posterior(X)
    assert_array_equal(mean, vae.transform(X))
    assert (std == 0).all()
    assert vae.kl_per_component_ is None
    holed = np.where(np.arange(3) == 1, np.nan, X[:2])
    for call in (lambda: vae.score_samples(X), lambda: vae.impute(holed)):
        with pytest.raises(ValueError, match="require a prior whose posterior is"):
            call()


def test_samples_of_no_prior_are_refused():
    options = {"prior": NoPrior(), "objective": "rae", "sampler": "prior", **TINY}
    vae = VAETransformer(1, **options).fit(X)
    with pytest.raises(ValueError, match=r"Got NoPrior.*sampler='mixture'"):
        vae.sample(3)


# Cells that are drawn anew


def test_gray_cells_are_drawn_and_others_stay():
    x = torch.tensor([[0.0, 1.0, 0.3, torch.nan]]).expand(20_000, 4)
    uniform = torch.rand(20_000, 4, generator=torch.Generator().manual_seed(0))
    drawn = Bernoulli(draw_cells=True).build(4).draw_cells(x, uniform).numpy()
    assert set(np.unique(drawn[:, :3])) == {0.0, 1.0}
    assert (drawn[:, :2] == [0.0, 1.0]).all()
    assert_allclose(drawn[:, 2].mean(), 0.3, atol=0.015)
    assert np.isnan(drawn[:, 3]).all()
    unchanged = Bernoulli().build(4)
    assert not unchanged.draws_cells
    assert_array_equal(unchanged.draw_cells(x, uniform), x)


class Spy(ELBO):
    """The bound, which remembers the rows of the steps."""

    seen: list = []

    def terms(self, model, batch, noise):
        if torch.is_grad_enabled():
            type(self).seen.append(batch)
        return super().terms(model, batch, noise)


@pytest.mark.parametrize("missing", [False, True])
def test_steps_see_cells_that_differ_from_epoch_to_epoch(missing):
    gray = np.random.default_rng(0).uniform(0.2, 0.8, size=(20, 4))
    gray[0, 0] = np.nan if missing else 0.5
    parts = [(Bernoulli(draw_cells=True), [1, 2]), (Gaussian(), [0, 3])]
    Spy.seen = []
    options = {**TINY, "early_stopping": False, "max_iter": 3}
    VAETransformer(2, likelihood=parts, objective=Spy(), **options).fit(gray)
    rows = [b.x[torch.argsort(b.index)][:, [1, 2]] for b in Spy.seen]
    values = torch.cat(rows)
    assert values[~values.isnan()].unique().tolist() == [0.0, 1.0]
    assert not torch.equal(rows[0].nan_to_num(), rows[1].nan_to_num())
    others = torch.cat([b.x[:, [0, 3]] for b in Spy.seen])
    assert len(others[~others.isnan()].unique()) > 30


def test_fit_with_drawn_cells_repeats_itself_and_scores_rows_as_they_are():
    gray = np.random.default_rng(0).uniform(size=(40, 6))
    vae = VAETransformer(likelihood=Bernoulli(draw_cells=True), **TINY).fit(gray)
    again = clone(vae).fit(gray)
    assert_array_equal(vae.transform(gray), again.transform(gray))
    assert_array_equal(vae.score_samples(gray), vae.score_samples(gray))
    plain = VAETransformer(likelihood=Bernoulli(), **TINY).fit(gray)
    assert (vae.transform(gray) != plain.transform(gray)).any()


def test_neighbors_are_drawn_as_their_rows_are():
    gray = np.random.default_rng(0).uniform(0.2, 0.8, size=(30, 4))
    Spy.seen = []
    VAETransformer(
        2,
        likelihood=Bernoulli(draw_cells=True),
        objective=Neighbors(Spy(), n_neighbors=3),
        **TINY,
    ).fit(gray)
    assert set(Spy.seen[0].partners.unique().tolist()) == {0.0, 1.0}


# All of them


OBJECTIVES = [
    FreeBits(),
    FreeBits(IWAE(3), nats=1.0, per="row"),
    MMD(),
    TotalCorrelation(),
    NestedDropout(),
    Denoising(),
    IWAE(5, "doubly_reparameterized"),
    Neighbors(Denoising(NestedDropout(FreeBits())), n_neighbors=5),
    Denoising(Neighbors(TotalCorrelation(MMD(IWAE(2))), n_neighbors=5)),
    NestedDropout(Neighbors(MMD(FreeBits()), n_neighbors=5)),
]


@pytest.mark.parametrize(
    "objective",
    [
        FreeBits(MMD()),
        TotalCorrelation(FreeBits(IWAE(2))),
        Denoising(MMD(TotalCorrelation())),
        NestedDropout(TotalCorrelation()),
    ],
    ids=repr,
)
def test_rows_are_encoded_once_for_all_terms(objective):
    model = _model()
    batch, noise = _batch(model, weights=WEIGHTS), _noise(objective.n_draws, 10)
    calls = []
    model.encoder.register_forward_hook(lambda *_: calls.append(1))
    terms = objective.stacked_terms(model, batch, noise)
    assert len(calls) == 1
    # Of other rows, and after a step, it is others.
    model.encoder.path.bias.data.add_(0.1)
    assert not torch.equal(objective.stacked_terms(model, batch, noise), terms)
    assert model.encode(_batch(model, 7)).shape == (7, 2 * K)


@pytest.mark.parametrize("objective", OBJECTIVES, ids=repr)
def test_objective_trains_improves_and_survives(objective):
    options = {**TINY, "max_iter": 12, "learning_rate": 0.01, "init": "random"}
    vae = VAETransformer(3, objective=objective, **options).fit(WINE)
    assert np.isfinite(list(vae.term_curves_.values())).all()
    assert tuple(vae.term_curves_) == objective.names
    assert vae.best_loss_ < vae.validation_curve_[0] - 0.5
    loaded = pickle.loads(pickle.dumps(vae))
    assert repr(loaded.objective_) == repr(vae.objective_)
    assert_array_equal(loaded.transform(WINE), vae.transform(WINE))
    assert repr(clone(vae).objective) == repr(objective)


@pytest.mark.parametrize("prior", [Mixture(2)], ids=["mixture"])
@pytest.mark.parametrize(
    "objective",
    [FreeBits(per="row"), MMD(), TotalCorrelation(), NestedDropout(), Denoising()],
    ids=repr,
)
def test_objective_trains_with_another_prior_and_missing_cells(objective, prior):
    rows = WINE.copy()
    rows[::4, 1] = np.nan
    options = {**TINY, "max_iter": 3}
    vae = VAETransformer(2, objective=objective, prior=prior, **options).fit(rows)
    assert np.isfinite(vae.loss_curve_).all()


def test_parameters_are_searched():
    grid = {"objective__base__nats": [0.1, 0.5], "objective__weight": [1.0]}
    options = {**TINY, "max_iter": 2}
    vae = VAETransformer(objective=MMD(FreeBits()), **options)
    search = GridSearchCV(vae, grid, cv=2, error_score="raise").fit(X)
    assert search.best_estimator_.objective_.base.nats in (0.1, 0.5)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("free_bits", FreeBits),
        ("mmd", MMD),
        ("total_correlation", TotalCorrelation),
        ("nested_dropout", NestedDropout),
        ("denoising", Denoising),
        ("rae", RAE),
    ],
)
def test_objective_has_a_name(name, kind):
    assert type(as_objective(name)) is kind


@pytest.mark.parametrize(
    ("objective", "message"),
    [
        (FreeBits(nats=-1.0), r"nats of FreeBits.*at least 0.*Got -1"),
        (FreeBits(per="all"), r"per of FreeBits.*'component' or 'row'.*Got 'all'"),
        (FreeBits(Reconstruction()), r"term 'kl'.*Use base='elbo'"),
        (FreeBits(IWAE(0)), r"n_draws of IWAE.*positive integer"),
        (MMD(MMD()), r"must have different names"),
        (MMD("foo"), r"must be one of .*'foo'"),
        (TotalCorrelation(n_rows=1), r"n_rows of TotalCorrelation.*above 1. Got 1"),
        (NestedDropout(rate=1.5), r"rate of NestedDropout.*\[0, 1\]. Got 1.5"),
        (NestedDropout(rate="some"), r"rate of NestedDropout.*Got 'some'"),
        (Denoising(noise=-0.1), r"noise of Denoising.*at least 0. Got -0.1"),
        (IWAE(5, "best"), r"gradient of IWAE.*one of .*Got 'best'"),
    ],
    ids=repr,
)
def test_invalid_parameter_is_refused(objective, message):
    with pytest.raises(ValueError, match=message):
        VAETransformer(objective=objective).fit(X)


@pytest.mark.parametrize("inner", [NestedDropout(), Denoising()], ids=repr)
@pytest.mark.parametrize("cls", [FreeBits, MMD, TotalCorrelation])
def test_what_would_undo_a_changed_model_must_be_inside(cls, inner):
    with pytest.raises(ValueError, match="must be inside"):
        VAETransformer(objective=Neighbors(cls(inner)), **TINY).fit(X)
    right = clone(inner).set_params(base=cls())
    assert np.isfinite(VAETransformer(objective=right, **TINY).fit(X).loss_curve_).all()


@pytest.mark.parametrize("base", [Denoising(), NestedDropout()], ids=repr)
def test_nested_dropout_must_be_inside_of_what_changes_the_model(base):
    message = rf"Put it inside: {type(base).__name__}\(NestedDropout\(\.\.\.\)\)"
    with pytest.raises(ValueError, match=message):
        VAETransformer(objective=NestedDropout(base), **TINY).fit(X)


def test_number_of_components_is_chosen_with_free_bits():
    vae = VAETransformer("auto", objective="free_bits", **TINY).fit(X)
    assert vae.n_components_ >= 1


@pytest.mark.parametrize("objective", [MMD(), TotalCorrelation()], ids=repr)
def test_terms_that_compare_rows_are_validated_in_pieces(objective, monkeypatch):
    monkeypatch.setattr(type(objective), "most_rows", 20)
    rows = Rows(as_cells(X), np.arange(60), np.ones(60))
    batches = Batches.from_rows(rows, None, torch.device("cpu"), 60)
    validation, seen = Validation(_model(), objective, batches, 60, 1, seed=0), []
    validation._mean(lambda i, batch: seen.append(len(batch)) or batch.weights)
    assert seen == [20, 20, 20]


def test_given_cells_need_a_posterior():
    vae = VAETransformer(2, prior=NoPrior(), objective="rae", **TINY).fit(X)
    with pytest.raises(ValueError, match=r"given=.*requires a prior"):
        vae.sample(given={0: 1.0})


@pytest.mark.parametrize("sampler", ["posterior", VampPrior(3)], ids=repr)
def test_sampler_that_cannot_be_fitted_is_refused_before_training(sampler, monkeypatch):
    monkeypatch.setattr("skvae.training._loop.Training.run", lambda *_: 1 / 0)
    options = {"prior": NoPrior(), "objective": "rae", "sampler": sampler}
    with pytest.raises(ValueError, match="sampler"):
        VAETransformer(2, **options, **TINY).fit(X)
