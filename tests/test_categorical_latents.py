"""Categorical latent variables: densities, draws, the model they make, clusters."""

import pickle

import numpy as np
import pandas as pd
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from scipy import integrate, stats
from scipy.special import log_softmax, logsumexp, softmax
from sklearn.base import clone
from sklearn.cluster import KMeans
from sklearn.metrics import adjusted_rand_score

from skvae import FitReport, VAETransformer
from skvae.objectives import ELBO, IWAE, Neighbors
from skvae.priors import CategoricalLatents, Mixture, NormalAndCategorical
from skvae.table import Batch
from skvae.training._clusters import Points

pytestmark = pytest.mark.filterwarnings("ignore:.*components carry nothing")

POSTERIOR = NormalAndCategorical((3, 2), temperature=0.6)
MEANS, LOG_VARIANCES = np.array([[0.3], [-1.0]]), np.array([[-1.0], [0.5]])
LOGITS = [
    np.array([[0.5, -1.0, 2.0], [0.0, 0.1, -3.0]]),
    np.array([[1.0, 0.0], [-2.0, 2.0]]),
]
OUTPUTS = torch.tensor(np.hstack((MEANS, *LOGITS, LOG_VARIANCES)))
N_COMPONENTS = 6


def normal_noise(*shape, seed=0):
    random = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=random, dtype=torch.float64)


def corners():
    """Yield each pair of categories, with its columns."""
    for i in range(3):
        for j in range(2):
            yield (i, j), np.concatenate((np.eye(3)[i], np.eye(2)[j]))


# The posterior


def test_log_prob_equals_that_of_scipy():
    u = np.array([[0.7], [-0.2]])
    for (i, j), columns in corners():
        z = torch.tensor(np.hstack((u, np.tile(columns, (2, 1)))))
        expected = stats.norm.logpdf(u, MEANS, np.exp(0.5 * LOG_VARIANCES))[:, 0]
        expected += log_softmax(LOGITS[0], axis=1)[:, i]
        expected += log_softmax(LOGITS[1], axis=1)[:, j]
        assert_allclose(POSTERIOR.log_prob(OUTPUTS, z), expected, rtol=1e-12)


def test_draws_are_distributed_as_log_prob_says():
    z = POSTERIOR.draw(OUTPUTS, normal_noise(40_000, 2, N_COMPONENTS)).numpy()
    for row in range(2):
        u = (z[:, row, 0] - MEANS[row]) / np.exp(0.5 * LOG_VARIANCES[row])
        assert stats.kstest(u, "norm").pvalue > 1e-3
        observed, expected = [], []
        for (i, j), columns in corners():
            observed.append((z[:, row, 1:] == columns).all(1).sum())
            p = softmax(LOGITS[0][row])[i] * softmax(LOGITS[1][row])[j]
            expected.append(len(z) * p)
        assert stats.chisquare(observed, expected).pvalue > 1e-3


def test_score_of_draws_is_their_log_prob():
    noise = normal_noise(4, 2, N_COMPONENTS)
    z, log_q = POSTERIOR.draw_and_score(OUTPUTS, noise)
    assert_allclose(log_q, POSTERIOR.log_prob(OUTPUTS, z))


def test_moments_are_those_of_draws():
    z = POSTERIOR.draw(OUTPUTS, normal_noise(40_000, 2, N_COMPONENTS))
    assert_allclose(POSTERIOR.mean(OUTPUTS), z.mean(0), atol=0.03)
    assert_allclose(POSTERIOR.std(OUTPUTS), z.std(0), atol=0.03)


def test_outputs_of_moments_have_these_moments():
    moments = POSTERIOR.mean(OUTPUTS), POSTERIOR.std(OUTPUTS)
    outputs = POSTERIOR.outputs_of(*moments)
    assert outputs.shape == OUTPUTS.shape == (2, POSTERIOR.n_outputs(N_COMPONENTS))
    assert_allclose(POSTERIOR.mean(outputs), moments[0])
    assert_allclose(POSTERIOR.std(outputs), moments[1])


def test_gradient_of_a_draw_is_that_of_the_relaxed_draw():
    noise, factor = normal_noise(5, 2, N_COMPONENTS), normal_noise(N_COMPONENTS, seed=1)
    outputs = OUTPUTS.clone().requires_grad_()
    (POSTERIOR.draw(outputs, noise) @ factor).sum().backward()
    gumbel = torch.tensor(-np.log(-stats.norm.logcdf(noise)))
    same = OUTPUTS.clone().requires_grad_()
    relaxed = [same[:, :1] + (0.5 * same[:, 6:]).exp() * noise[..., :1]]
    for part in (slice(1, 4), slice(4, 6)):
        relaxed.append(((same[:, part] + gumbel[..., part]) / 0.6).softmax(-1))
    (torch.cat(relaxed, -1) @ factor).sum().backward()
    assert_allclose(outputs.grad, same.grad, rtol=1e-9)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_draws_are_corners_with_finite_gradients_also_at_extremes(dtype):
    outputs = torch.tensor([[0.0, 80.0, -80.0, 0.0, 1e4, -1e4, 0.0]], dtype=dtype)
    outputs.requires_grad_()
    noise = torch.tensor([-40.0, -6.0, 0.0, 6.0, 40.0], dtype=dtype)
    noise = noise[torch.arange(5)[:, None] - torch.arange(N_COMPONENTS)][:, None]
    z, log_q = POSTERIOR.draw_and_score(outputs, noise)
    assert set(z[..., 1:].flatten().tolist()) == {0.0, 1.0}
    assert (z[..., 1:4].sum(-1) == 1.0).all()
    assert (z[..., 4:].sum(-1) == 1.0).all()
    (z.sum() + log_q.sum()).backward()
    assert torch.isfinite(outputs.grad).all()
    assert torch.isfinite(log_q).all()


def test_moves_reach_all_categories_alike():
    z = POSTERIOR.draw(OUTPUTS[:1], normal_noise(1, N_COMPONENTS)).expand(30_000, -1)
    step = normal_noise(30_000, N_COMPONENTS)
    there = POSTERIOR.moved(z, step, torch.Generator().manual_seed(0))
    assert_array_equal(there[:, 0], z[:, 0] + step[:, 0])
    moved = (there[:, 1:] != z[:, 1:]).any(1).double().mean()
    # A variable is chosen with probability 1/4 each, and keeps its category at times.
    assert_allclose(moved, 0.25 * (2 / 3 + 1 / 2), atol=0.01)
    others = there[:, 1:4].mean(0)[z[0, 1:4] == 0.0]
    assert_allclose(others, 0.25 / 3, atol=0.01)


def test_columns_of_a_variable_are_one_variable():
    values = torch.tensor([5.0, 1.0, 2.0, 3.0, 10.0, 20.0])
    assert_array_equal(POSTERIOR.whole(values), [5.0, 6.0, 6.0, 6.0, 30.0, 30.0])


# The prior


@pytest.fixture(scope="module")
def built():
    """Return a prior of one normal component and two variables of three categories."""
    return CategoricalLatents(3, 2).build(7)


def test_prior_sums_to_one(built):
    def density(u):
        z = torch.zeros((9, 7), dtype=torch.float64)
        z[:, 0] = u
        pairs = torch.cartesian_prod(torch.arange(3), torch.arange(3))
        z[:, 1:4], z[:, 4:] = torch.eye(3)[pairs[:, 0]], torch.eye(3)[pairs[:, 1]]
        return float(built.log_prob(z).exp().sum())

    assert_allclose(integrate.quad(density, -10, 10)[0], 1.0, rtol=1e-7)


def test_prior_draws_have_its_moments(built):
    z = built.draw(30_000, torch.Generator().manual_seed(0))
    assert z.dtype == torch.float64
    assert_array_equal(z[:, 1:4].sum(1), 1.0)
    mean, std = built.moments()
    assert_allclose(z.mean(0), mean, atol=0.02)
    assert_allclose(z.std(0), std, atol=0.02)


def test_kl_is_the_sum_over_categories():
    prior = CategoricalLatents(3)
    outputs = torch.tensor(np.hstack((MEANS, LOGITS[0], LOG_VARIANCES)))
    variance, p = np.exp(LOG_VARIANCES), softmax(LOGITS[0], axis=1)
    normal = 0.5 * (MEANS**2 + variance - 1.0 - LOG_VARIANCES)[:, 0]
    categories = (p * np.log(3 * p)).sum(1)
    model = prior.build(4)
    kl = model.kl(prior.posterior, outputs, None)
    assert_allclose(kl, normal + categories)
    each = model.kl_per_component(prior.posterior, outputs)
    assert (each >= 0.0).all()
    assert_allclose(each[:, 0], normal)
    assert_allclose(each.sum(1), kl)
    z, log_q = prior.posterior.draw_and_score(outputs, normal_noise(40_000, 2, 4))
    assert_allclose((log_q - model.log_prob(z)).mean(0), kl, atol=0.02)


# The model: sums over categories, integrals over the normal component


def tiny(n_components=4, **params):
    """Return an estimator that fits in a moment."""
    defaults = {"prior": CategoricalLatents(3), "max_iter": 5, "tol": None}
    defaults |= {"hidden_layer_sizes": (8,), "random_state": 0, "learning_rate": 0.01}
    return VAETransformer(n_components, **(defaults | params))


@pytest.fixture(scope="module")
def X():
    rng = np.random.default_rng(0)
    kind, u = rng.integers(3, size=120), rng.normal(size=(120, 3))
    centers = np.array([[0, 0, 1, 1], [3, 0, 0, 1], [0, 3, 0, 2]])
    axes = np.array([[1, 1, 1, 1], [0.6, -0.6, 0, 0], [0, 0, 0.6, -0.6]])
    return centers[kind] + u @ axes + rng.normal(scale=0.3, size=(120, 4))


@pytest.fixture(scope="module")
def fitted(X):
    return tiny().fit(X)


U = np.linspace(-8.0, 8.0, 801)


def log_joint(vae, x):
    """Return log p(observed cells of x, u, category) on a grid, (801, 3)."""
    Z = np.concatenate([np.insert(np.tile(e, (801, 1)), 0, U, 1) for e in np.eye(3)])
    Z = torch.tensor(Z)
    model = pickle.loads(pickle.dumps(vae)).module_.double()
    cells = torch.from_numpy(model.likelihood.prepare(x[None])).double()
    batch = Batch.of(cells.expand(len(Z), -1), has_missing=True)
    with torch.no_grad():
        log_p = model.log_prob(model.to_network(Z), batch).numpy().reshape(3, 801).T
    return log_p + stats.norm.logpdf(U)[:, None] - np.log(3.0)


def test_score_rises_to_the_sum_over_categories(fitted, X):
    exact = [logsumexp(log_joint(fitted, x)) + np.log(U[1] - U[0]) for x in X[:6]]
    scores = fitted.score_samples(X[:6], n_draws=16_384)
    assert_allclose(scores, exact, atol=0.02)
    assert (fitted.score_samples(X[:6], bound="elbo", n_draws=4096) <= exact).all()
    few = fitted.score_samples(X, n_draws=2).mean()
    assert few <= fitted.score_samples(X, n_draws=512).mean()


def test_elbo_in_training_is_that_of_exact_categories(fitted, X):
    model, rows = fitted.module_, X[:6]
    x = torch.from_numpy(model.likelihood.prepare(rows)).float()
    noise = normal_noise(8192, 6, 4).float()
    with torch.no_grad():
        terms = ELBO(0.0).stacked_terms(model, Batch.of(x, False), noise)
    mean, std = fitted.posterior(rows)
    for i, row in enumerate(rows):
        q = stats.norm.pdf(U, mean[i, 0], std[i, 0]) * (U[1] - U[0])
        joint = log_joint(fitted, row)
        prior = stats.norm.logpdf(U)[:, None] - np.log(3.0)
        expected = -(q @ (joint - prior)) @ mean[i, 1:]
        assert_allclose(terms[0, i], expected, rtol=0.02, atol=0.02)


def test_imputed_means_are_sums_over_categories(fitted, X):
    rows = X[:4].copy()
    rows[:, 1] = np.nan
    filled = fitted.impute(rows, n_proposals=4096)
    for row, ours in zip(rows, filled, strict=True):
        weights = softmax(log_joint(fitted, row))
        Z = [np.insert(np.tile(e, (801, 1)), 0, U, 1) for e in np.eye(3)]
        decoded = np.stack([fitted.inverse_transform(z)[:, 1] for z in Z], axis=1)
        assert_allclose(ours[1], (weights * decoded).sum(), atol=0.03)


def test_draws_given_cells_have_the_categories_that_these_make_probable(fitted, X):
    row = np.array([np.nan, 2.0, np.nan, np.nan])
    exact = softmax(log_joint(fitted, row)).sum(0)
    rows = fitted.sample(4000, random_state=0, given=row[None], kind="mean")
    assert_array_equal(rows[:, 1], 2.0)
    decoded = np.stack(
        [
            fitted.inverse_transform(np.insert(np.tile(e, (801, 1)), 0, U, 1))[:, 0]
            for e in np.eye(3)
        ],
        axis=1,
    )
    mean = (softmax(log_joint(fitted, row)) * decoded).sum()
    spread = np.sqrt((softmax(log_joint(fitted, row)) * (decoded - mean) ** 2).sum())
    assert exact.max() < 0.999
    assert_allclose(rows[:, 0].mean(), mean, atol=0.1 * spread)


def test_mean_of_samples_is_that_over_all_categories(fitted):
    weights = stats.norm.pdf(U) * (U[1] - U[0])
    Z = [np.insert(np.tile(e, (801, 1)), 0, U, 1) for e in np.eye(3)]
    decoded = np.stack([fitted.inverse_transform(z) for z in Z])
    mean = np.einsum("u,cud->d", weights, decoded) / 3
    square = np.einsum("u,cud->d", weights, decoded**2) / 3
    rows = fitted.sample(20_000, random_state=0, kind="mean")
    assert_allclose(rows.mean(0), mean, atol=0.04)
    assert_allclose(rows.std(0), np.sqrt(square - mean**2), rtol=0.03)


# The estimator


def test_transform_gives_probabilities_after_normal_components(fitted, X):
    Z = fitted.transform(X)
    assert Z.shape == (120, 4)
    assert_allclose(Z[:, 1:].sum(1), 1.0, rtol=1e-6)
    assert ((Z[:, 1:] >= 0.0) & (Z[:, 1:] <= 1.0)).all()
    assert_array_equal(Z[:, 1:], fitted.predict_proba(X))
    assert_array_equal(fitted.predict(X), Z[:, 1:].argmax(1))
    mean, std = fitted.posterior(X)
    assert_array_equal(mean, Z)
    assert_allclose(std[:, 1:], np.sqrt(Z[:, 1:] * (1 - Z[:, 1:])), atol=1e-7)


def test_normal_components_are_ordered_and_categories_stay(X):
    vae = tiny(6, max_iter=8).fit(X)
    model = vae.module_
    assert_array_equal(model.order[3:], [3, 4, 5])
    assert_array_equal(model.sign[3:], 1.0)
    kl = vae.kl_per_component_
    assert (np.diff(kl[:3]) <= 0.0).all()
    assert (kl >= 0.0).all()
    information, moments = torch.tensor([0.0, 2, 1, 9, 7, 8]), -torch.ones((6, 4))
    model.order_components(information, moments)
    assert_array_equal(model.order, [1, 2, 0, 3, 4, 5])
    assert_array_equal(model.sign, [-1, -1, -1, 1, 1, 1])


def test_variable_that_carries_nothing_is_idle(X):
    with pytest.warns(UserWarning, match="3 of 4 components carry nothing"):
        vae = tiny(init="random", max_iter=1, learning_rate=1e-9).fit(X)
    assert vae.n_active_components_ == 1


def test_columns_have_names(X):
    vae = tiny(max_iter=1).set_output(transform="pandas").fit(X)
    table = vae.transform(X)
    assert isinstance(table, pd.DataFrame)
    assert [*table.columns] == [f"vaetransformer{k}" for k in range(4)]


def test_clone_and_pickle(fitted, X):
    assert repr(clone(fitted)) == repr(fitted)
    again = pickle.loads(pickle.dumps(fitted))
    assert_array_equal(again.predict_proba(X), fitted.predict_proba(X))


def test_weighted_rows_equal_repeated_rows(X):
    weights = 1 + np.arange(len(X)) % 3
    weighted = tiny(max_iter=2).fit(X, sample_weight=weights)
    repeated = tiny(max_iter=2).fit(np.repeat(X, weights, axis=0))
    assert_array_equal(weighted.transform(X), repeated.transform(X))


def test_variables_without_normal_components(X):
    vae = tiny(6, prior=CategoricalLatents(3, 2)).fit(X)
    Z = vae.transform(X)
    assert_allclose(Z[:, :3].sum(1), 1.0, rtol=1e-6)
    assert_allclose(Z[:, 3:].sum(1), 1.0, rtol=1e-6)
    rows = vae.sample(20, random_state=0, given={1: 2.0})
    assert np.isfinite(rows).all()
    assert np.isfinite(vae.score_samples(X)).all()


@pytest.mark.parametrize("objective", [IWAE(4), Neighbors(), "elbo"], ids=repr)
def test_objectives_train(X, objective):
    short = {"objective": objective, "early_stopping": False}
    vae = tiny(5, **short, max_iter=15).fit(X)
    assert vae.loss_curve_[-1] < vae.loss_curve_[0]


@pytest.mark.parametrize("likelihood", ["student_t", "poisson"])
def test_likelihoods_train(X, likelihood):
    X = np.round(np.abs(X) * 3)
    vae = tiny(likelihood=likelihood, early_stopping=False, max_iter=15).fit(X)
    assert vae.loss_curve_[-1] < vae.loss_curve_[0]


def test_row_without_cells_has_every_category_alike(X):
    vae = tiny().fit(np.where(np.arange(X.size).reshape(X.shape) % 5, X, np.nan))
    empty = np.full((1, 4), np.nan)
    assert_allclose(vae.transform(empty), [[0.0, 1 / 3, 1 / 3, 1 / 3]], atol=1e-6)
    assert_array_equal(vae.score_samples(empty), 0.0)


def test_report_counts_the_columns_of_a_variable_together(fitted, X):
    report = FitReport.from_estimator(fitted, X)
    least = np.log1p(np.sqrt(4 / 96))
    kl = report.kl_per_component
    assert kl[1:].max() < least < kl[1:].sum()
    assert report.n_active == 3 + (kl[0] > least)


def test_only_priors_with_clusters_predict():
    assert hasattr(tiny(), "predict_proba")
    assert not hasattr(VAETransformer(), "predict")


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"n_components": 2}, "n_components must be at least 3 .* Got 2"),
        ({"n_components": "auto"}, "n_components must be at least 3 .* Got 'auto'"),
        ({"prior": CategoricalLatents(1)}, "'n_categories' parameter"),
        ({"prior": CategoricalLatents(3, 0)}, "'n_variables' parameter"),
        ({"prior": CategoricalLatents(3, 1, 0.0)}, "'temperature' parameter"),
        ({"sampler": "mixture"}, "sampler must be 'auto' or 'prior'"),
        ({"sampler": Mixture(2)}, "sampler must be 'auto' or 'prior'"),
    ],
)
def test_fit_refuses_in_words(X, params, message):
    with pytest.raises(ValueError, match=message):
        tiny().set_params(**params).fit(X)


# Clusters to start from


def blobs(seed=0):
    rng = np.random.default_rng(seed)
    centers = rng.normal(scale=6.0, size=(4, 5))
    kind = rng.integers(4, size=200)
    return kind, centers[kind] + rng.normal(size=(200, 5))


def test_start_finds_clusters_and_keeps_them():
    kind, X = blobs()
    prior = CategoricalLatents(4)
    start = tiny(5, prior=prior, learning_rate=1e-9, max_iter=1).fit(X)
    assert adjusted_rand_score(kind, start.predict(X)) == 1.0
    centers = start.inverse_transform(np.insert(np.eye(4), 0, 0.0, axis=1))
    labels = start.predict(X)
    means = [X[labels == c].mean(0) for c in range(4)]
    assert_allclose(centers, means, atol=0.15)
    trained = tiny(5, prior=prior, max_iter=20).fit(X)
    assert adjusted_rand_score(kind, trained.predict(X)) == 1.0


def test_k_means_equals_that_of_sklearn():
    _, X = blobs(1)
    weights = np.random.default_rng(0).uniform(size=len(X))
    centers, rest = Points(X, weights / weights.sum()).clustered(4)
    reference = KMeans(4, n_init=10, random_state=0).fit(X, sample_weight=weights)
    found, wanted = (
        a[np.argsort(a[:, 0])] for a in (centers, reference.cluster_centers_)
    )
    assert_allclose(found, wanted, rtol=1e-4)
    assert_allclose(rest.points, X - centers[rest_labels(X, centers)])


def rest_labels(X, centers):
    return np.square(X[:, None] - centers).sum(-1).argmin(1)


def test_k_means_goes_without_enough_points():
    points = Points(np.array([[0.0], [0.0], [1.0]]), np.full(3, 1 / 3))
    centers, rest = points.clustered(5)
    assert_array_equal(np.unique(centers), [0.0, 1.0])
    assert_array_equal(rest.points, 0.0)


@pytest.mark.parametrize(
    "X",
    [
        np.eye(2),
        np.tile([[0.0], [1.0]], (50, 1)),
        np.tile([[0.0, 1.0], [1.0, 1.0], [2.0, 0.0]], (40, 1)),
        np.ones((30, 3)),
    ],
    ids=["two rows", "two values", "three rows", "constant"],
)
def test_fit_starts_where_clusters_leave_nothing(X):
    vae = VAETransformer(4, prior=CategoricalLatents(3), max_iter=2, tol=None)
    assert np.isfinite(vae.fit(X).predict_proba(X)).all()
