"""Paths through the latent space, information about factors, and p(z) beside q(z)."""

import warnings

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import polars as pl
import pytest
import scipy.sparse
from numpy.testing import assert_allclose, assert_array_equal
from scipy.stats import kstest, norm
from sklearn.datasets import load_iris
from sklearn.decomposition import PCA
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.metrics import mutual_info_score
from sklearn.preprocessing import Normalizer

from skvae import AutoencoderTransformer, TraversalDisplay, VAETransformer
from skvae.inspection import (
    compare_posterior_to_prior,
    draw_posterior,
    interpolate,
    interpolation_points,
    mutual_information_gap,
    traversal_points,
    traverse,
)
from skvae.inspection._priors import squared_mmd

X = load_iris().data
RNG = np.random.default_rng(0)


def fitted(cls, rows=X, n_components=2, **params):
    settings = {"hidden_layer_sizes": (8,), "max_iter": 20, "tol": None}
    model = cls(n_components, **settings | params, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", (ConvergenceWarning, UserWarning))
        return model.fit(rows)


def mixed_frame():
    frame = load_iris(as_frame=True).frame.rename(columns={"sepal length (cm)": "long"})
    frame["target"] = frame["target"].map({0: "setosa", 1: "other", 2: "other"})
    frame["target"] = frame["target"].astype("category")
    frame["large"] = frame["long"] > 5.5
    frame["day"] = pd.Timestamp("2020-01-01") + pd.to_timedelta(
        (frame["petal length (cm)"] * 10).round().astype(int), unit="D"
    )
    frame["wide"] = (frame["sepal width (cm)"] * 10).round().astype(int)
    return frame


@pytest.fixture(scope="module")
def vae():
    return fitted(VAETransformer, sampler="prior")


@pytest.fixture(scope="module")
def autoencoder():
    return fitted(AutoencoderTransformer)


@pytest.fixture(scope="module")
def table():
    return fitted(VAETransformer, mixed_frame())


# Traversals


def test_a_traversal_moves_one_component_of_each_row(vae):
    Z = traversal_points(vae, X[:3], 1, n_steps=4, limits=(-1.0, 2.0))
    Z = Z.reshape(3, 4, 2)
    assert_allclose(Z[:, :, 0], np.repeat(vae.transform(X[:3])[:, :1], 4, axis=1))
    assert_allclose(Z[:, :, 1], np.tile([-1.0, 0.0, 1.0, 2.0], (3, 1)))


def test_a_traversal_is_decoded_in_the_units_of_the_rows(vae):
    steps = {"n_steps": 4, "limits": (-1.0, 2.0)}
    Z = traversal_points(vae, X[:3], 1, **steps)
    assert_array_equal(traverse(vae, X[:3], 1, **steps), vae.inverse_transform(Z))


def test_limits_are_the_central_range_of_the_prior(vae):
    Z = traversal_points(vae, X[:1], 0)
    # The standard error of these quantiles of 10,000 draws is 0.027.
    assert_allclose(Z[[0, -1], 0], norm.ppf([0.025, 0.975]), atol=0.11)


def test_limits_are_those_of_the_sampler_in_the_coordinates_of_the_user():
    model = fitted(VAETransformer, beta=0.01, sampler="posterior")
    mean, std = model.posterior(X)
    for k in range(2):
        Z = traversal_points(model, X[:1], k)
        draws = mean[:, k] + std[:, k] * RNG.normal(size=(400, len(X)))
        expected = np.quantile(draws, [0.025, 0.975])
        assert_allclose(Z[[0, -1], k], expected, atol=0.1 * np.ptp(expected))


def test_limits_of_training_rows_are_those_of_their_posterior_means(autoencoder):
    Z = traversal_points(autoencoder, X[:1], 1, train=X)
    means = autoencoder.transform(X)[:, 1]
    assert_allclose(Z[[0, -1], 1], np.quantile(means, [0.025, 0.975]))


def test_without_a_distribution_limits_must_be_given(autoencoder):
    for model in (autoencoder, PCA(2).fit(X)):
        with pytest.raises(ValueError, match=r"limits or train must be .*Got neither"):
            traverse(model, X[:1], 0)
        assert traverse(model, X[:1], 0, limits=(-1, 1)).shape == (9, 4)


def test_traversals_take_and_return_tables(table):
    rows = mixed_frame().iloc[[0, 100]]
    decoded = traverse(table, rows, 0, n_steps=3)
    assert len(decoded) == 6
    assert decoded.dtypes.tolist() == rows.dtypes.tolist()
    assert interpolate(table, rows, rows, n_steps=3).columns.equals(rows.columns)


def test_traversals_take_missing_cells_and_sparse_rows():
    counts = RNG.poisson(1.0, size=(60, 5)).astype(float)
    model = fitted(VAETransformer, scipy.sparse.csr_array(counts), likelihood="poisson")
    sparse = traverse(model, scipy.sparse.csr_array(counts[:1]), 0)
    assert_array_equal(sparse, traverse(model, counts[:1], 0))
    holes = np.where(RNG.random(X.shape) < 0.2, np.nan, X)
    model = fitted(VAETransformer, holes)
    assert np.isfinite(traverse(model, holes[:2], 0)).all()


@pytest.mark.parametrize("component", [2, -1, 0.5, True, None])
def test_the_component_must_be_an_index(vae, component):
    with pytest.raises(ValueError, match=r"component must be .* from 0 to 1.* Got"):
        traverse(vae, X[:1], component)


@pytest.mark.parametrize("limits", [(1, -1), (0, np.inf), (0,), 3.0, (0, 1, 2)])
def test_limits_must_be_two_numbers(vae, limits):
    with pytest.raises(ValueError, match=r"limits must be two finite .*Got"):
        traverse(vae, X[:1], 0, limits=limits)


@pytest.mark.parametrize("n_steps", [1, 0, 2.5])
def test_paths_have_at_least_two_steps(vae, n_steps):
    with pytest.raises(ValueError, match=r"n_steps must be .* Got"):
        traverse(vae, X[:1], 0, n_steps=n_steps)
    with pytest.raises(ValueError, match=r"n_steps must be .* Got"):
        interpolate(vae, X[:1], X[1:2], n_steps=n_steps)


def test_the_estimator_must_decode_and_be_fitted():
    with pytest.raises(TypeError, match=r"'inverse_transform'. Got Normalizer"):
        traverse(Normalizer().fit(X), X[:1], 0)
    with pytest.raises(NotFittedError):
        traverse(VAETransformer(), X[:1], 0)


# Interpolation


def shoemake(u, v, t):
    """Return the point at t between unit vectors, as the paper writes it."""
    angle = np.arccos(u @ v)
    return (np.sin((1 - t) * angle) * u + np.sin(t * angle) * v) / np.sin(angle)


def unit(*shape):
    v = RNG.normal(size=shape)
    return v / np.linalg.norm(v, axis=-1, keepdims=True)


def arcs(U, V, n_steps=7):
    U, V = np.atleast_2d(U), np.atleast_2d(V)
    Z = interpolation_points(U, V, n_steps=n_steps, path="spherical")
    return Z.reshape(len(U), n_steps, U.shape[1])


@pytest.mark.parametrize("n_components", [2, 3, 50])
def test_a_spherical_path_is_that_of_shoemake(n_components):
    U, V = unit(2, 20, n_components)
    for i, arc in enumerate(arcs(U, V)):
        expected = [shoemake(U[i], V[i], t) for t in np.linspace(0, 1, 7)]
        assert_allclose(arc, expected, atol=1e-9)


def test_the_length_of_a_spherical_path_changes_evenly():
    U, V = 2.0 * unit(5, 4), 7.0 * unit(5, 4)
    lengths = np.linalg.norm(arcs(U, V, 6), axis=-1)
    assert_allclose(lengths, np.tile([2.0, 3.0, 4.0, 5.0, 6.0, 7.0], (5, 1)))


@pytest.mark.parametrize("length", [1.0, 2.5, 1e-160, 1e150])
def test_a_spherical_path_between_parallel_points_is_straight(length):
    u = unit(4)
    t = np.linspace(0, 1, 7)[:, None]
    assert_allclose(arcs(u, length * u)[0], (1 - t) * u + t * length * u, atol=1e-14)


def test_a_spherical_path_from_the_origin_is_straight():
    v, zero, t = RNG.normal(size=4), np.zeros(4), np.linspace(0, 1, 7)[:, None]
    assert_allclose(arcs(zero, v)[0], t * v, atol=1e-15)
    assert_allclose(arcs(v, zero)[0], (1 - t) * v, atol=1e-15)
    assert_array_equal(arcs(zero, zero)[0], np.zeros((7, 4)))


@pytest.mark.parametrize("u", [[1.0, 0.0, 0.0], [1.0, 1.0, 1.0], [0.3, -0.2, 2.0]])
def test_a_spherical_path_between_opposite_points_goes_around_the_origin(u):
    u = np.array(u)
    arc = arcs(u, -u)[0]
    radius = np.linalg.norm(u)
    assert_allclose(np.linalg.norm(arc, axis=1), radius)
    assert_allclose(arc @ u / radius**2, np.cos(np.linspace(0, np.pi, 7)), atol=1e-12)
    assert_array_equal(arc[[0, -1]], [u, -u])
    # It stays in one plane.
    assert np.linalg.matrix_rank(arc, tol=1e-9) == 2


@pytest.mark.parametrize("offset", [1e-5, 1e-9, 1e-13])
def test_a_spherical_path_is_even_where_sines_vanish(offset):
    for end in (1.0, -1.0):
        angle = np.arctan2(offset, end)
        arc = arcs([1.0, 0.0], [end, offset])[0]
        turned = np.arctan2(arc[:, 1], arc[:, 0])
        assert_allclose(turned, np.linspace(0, angle, 7), rtol=1e-6, atol=1e-16)


def test_a_spherical_path_of_one_component_is_straight():
    assert_allclose(
        arcs([[2.0]], [[-1.0]], 4)[0, :, 0], [2.0, 1.0, 0.0, -1.0], atol=1e-15
    )


@pytest.mark.parametrize("path", ["linear", "spherical"])
def test_interpolation_decodes_from_row_to_row(vae, path):
    decoded = interpolate(vae, X[:2], X[100:102], n_steps=5, path=path)
    Z = vae.transform(X)
    points = interpolation_points(Z[:2], Z[100:102], n_steps=5, path=path)
    assert_array_equal(decoded, vae.inverse_transform(points))
    assert_array_equal(points.reshape(2, 5, 2)[:, [0, -1]], Z[[[0, 100], [1, 101]]])


def test_a_linear_path_is_a_line():
    Z = interpolation_points([[0.0, 4.0]], [[2.0, 0.0]], n_steps=3)
    assert_allclose(Z, [[0.0, 4.0], [1.0, 2.0], [2.0, 0.0]])


def test_interpolation_says_what_does_not_fit(vae):
    with pytest.raises(ValueError, match=r"path must be .*'spherical'.*Got 'cubic'"):
        interpolate(vae, X[:1], X[1:2], path="cubic")
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        interpolate(vae, X[:1], X[1:3])
    with pytest.raises(ValueError, match=r"shape .*Got \(1, 2\) and \(1, 3\)"):
        interpolation_points(np.zeros((1, 2)), np.zeros((1, 3)))


# Information about factors

FACTORS = RNG.integers([3, 5, 2], size=(2000, 3))


def reference_gap(Z, factors, n_bins=20):
    """Return the gaps by scikit-learn's mutual information, in a loop."""
    binned = []
    for z in Z.T:
        edges = np.linspace(z.min(), z.max(), n_bins + 1)
        binned.append(np.digitize(z, edges[1:-1]))
    gaps = []
    for v in factors.T:
        known = sorted(mutual_info_score(b, v) for b in binned)
        gaps.append((known[-1] - known[-2]) / mutual_info_score(v, v))
    return gaps


def test_the_gap_is_that_of_scikit_learns_information():
    noise = RNG.normal(size=(2000, 4))
    Z = noise + 2.0 * FACTORS @ RNG.normal(size=(3, 4))
    gap = mutual_information_gap(Z, FACTORS, n_bins=12)
    assert_allclose(gap.per_factor, reference_gap(Z, FACTORS, 12))
    assert gap.mean == pytest.approx(np.mean(gap.per_factor))
    assert gap.information.shape == (4, 3)
    assert_allclose(gap.entropy, [mutual_info_score(v, v) for v in FACTORS.T])


def test_components_that_equal_the_factors_have_a_gap_of_one():
    # The others know little by chance.
    gap = mutual_information_gap(3.0 * FACTORS[:, ::-1] - 1.0, FACTORS)
    assert_allclose(gap.per_factor, 1.0, atol=0.01)
    order = gap.information.argmax(axis=0)
    assert order.tolist() == [2, 1, 0]


def test_components_that_know_nothing_have_no_gap():
    gap = mutual_information_gap(RNG.normal(size=(2000, 3)), FACTORS)
    assert gap.mean < 0.02


def test_components_that_mix_the_factors_have_a_low_gap():
    signs = 2.0 * RNG.integers(2, size=(2000, 2)) - 1.0
    rotated = signs @ np.array([[1.0, 1.0], [-1.0, 1.0]]) / np.sqrt(2.0)
    gap = mutual_information_gap(rotated, signs)
    assert gap.mean < 0.05
    # Either component tells half of either factor.
    assert_allclose(gap.information / gap.entropy, 0.5, atol=0.05)


def test_a_single_component_is_compared_with_one_that_knows_nothing():
    gap = mutual_information_gap(FACTORS[:, :1], FACTORS[:, 0])
    assert_allclose(gap.per_factor, [1.0])


@pytest.mark.parametrize("library", [pd, pl])
def test_factors_may_be_categories_texts_and_booleans(library):
    names = np.array(["a", "b", "c"])[FACTORS[:, 0]]
    frame = {"name": names, "n": FACTORS[:, 1], "on": FACTORS[:, 2] > 0}
    Z = RNG.normal(size=(2000, 2)) + FACTORS[:, :2]
    gap = mutual_information_gap(Z, library.DataFrame(frame))
    assert_allclose(gap.per_factor, mutual_information_gap(Z, FACTORS).per_factor)
    alone = mutual_information_gap(Z, names)
    assert_allclose(alone.per_factor, gap.per_factor[:1])


def test_factors_must_be_discrete_and_known():
    Z = RNG.normal(size=(20, 2))
    with pytest.raises(ValueError, match=r"at least 2 different .*Got 1 of factor 0"):
        mutual_information_gap(Z, np.zeros(20))
    with pytest.raises(ValueError, match=r"at most half .*\(20\).*Got 20 of factor 0"):
        mutual_information_gap(Z, RNG.normal(size=20))
    factors = np.tile([[0.0, 1.0], [1.0, 0.0]], (10, 1))
    factors[3, 1] = np.nan
    texts = np.where(np.isnan(factors), None, factors.astype(str))
    for holes in (factors, texts, pd.DataFrame(factors)):
        with pytest.raises(ValueError, match=r"missing cells. Got 1 in factor 1"):
            mutual_information_gap(Z, holes)
    with pytest.raises(ValueError, match=r"shape .*Got \(20, 1, 1\)"):
        mutual_information_gap(Z, np.zeros((20, 1, 1)))
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        mutual_information_gap(Z[:9], np.arange(20) % 2)


# The aggregate posterior and p(z)


def test_draws_have_the_moments_of_the_posterior(vae):
    mean, std = vae.posterior(X[:1])
    Z = draw_posterior(vae, np.repeat(X[:1], 20_000, axis=0))
    assert_allclose(Z.mean(axis=0), mean[0], atol=5 * std.max() / np.sqrt(20_000))
    assert_allclose(Z.std(axis=0), std[0], rtol=0.03)


def test_draws_follow_from_their_seed(vae, autoencoder, untouched):
    assert_array_equal(draw_posterior(vae, X), draw_posterior(vae, X))
    assert (draw_posterior(vae, X) != draw_posterior(vae, X, random_state=1)).any()
    assert_array_equal(draw_posterior(autoencoder, X), autoencoder.transform(X))


def test_mmd_is_that_of_a_loop():
    a, b = RNG.normal(size=(7, 3)), RNG.normal(1.0, 2.0, size=(9, 3))
    both = [*a, *b]
    pairs = [(p, q) for i, p in enumerate(both) for q in both[:i]]
    width = np.median([np.linalg.norm(p - q) for p, q in pairs])

    def kernel(p, q):
        scales = (width / 4, width / 2, width, 2 * width)
        return np.mean(
            [norm.pdf(np.linalg.norm(p - q) / s) for s in scales]
        ) / norm.pdf(0)

    within = [
        np.mean(
            [kernel(p, q) for i, p in enumerate(s) for j, q in enumerate(s) if i != j]
        )
        for s in (a, b)
    ]
    between = np.mean([kernel(p, q) for p in a for q in b])
    assert squared_mmd(a, b) == pytest.approx(sum(within) - 2 * between)


def test_mmd_of_equal_distributions_is_zero_in_the_mean():
    found = [squared_mmd(*RNG.normal(size=(2, 20, 2))) for _ in range(300)]
    error = np.std(found) / np.sqrt(len(found))
    assert abs(np.mean(found)) < 4 * error
    # A biased estimate would be this far away.
    assert error < 0.05 / 10


OFTEN = np.tile(X, (6, 1))


def test_a_posterior_far_from_the_prior_is_told_from_it():
    model = fitted(VAETransformer, beta=0.001, sampler="posterior")
    comparison = compare_posterior_to_prior(model, OFTEN)
    prior, sampler = comparison.prior, comparison.sampler
    assert prior.auc > 0.65 > sampler.auc
    assert prior.mmd > 3 * abs(sampler.mmd)
    assert prior.components.max() > sampler.components.max()
    assert "sampler" in str(comparison)


def test_rows_unlike_those_of_the_fit_are_told_from_the_sampler():
    model = fitted(VAETransformer, beta=0.001, sampler="posterior")
    # One species is one cluster of three.
    species = compare_posterior_to_prior(model, X[:50])
    assert min(species.prior.auc, species.sampler.auc) > 0.8
    assert min(species.prior.mmd, species.sampler.mmd) > 0.1


def test_distances_of_components_are_largest_differences_of_frequencies(vae):
    found = compare_posterior_to_prior(vae, X[:50].repeat(20, axis=0)).prior.components
    Z = draw_posterior(vae, X[:50].repeat(20, axis=0), random_state=9)
    exact = [kstest(z, "norm").statistic for z in Z.T]
    assert max(exact) > 0.5
    assert_allclose(found, exact, atol=0.07)


def test_a_comparison_follows_from_its_seed(vae):
    some, same, other = (
        compare_posterior_to_prior(vae, X, random_state=seed).prior
        for seed in (3, 3, 4)
    )
    assert (some.auc, some.mmd) == (same.auc, same.mmd) != (other.auc, other.mmd)


def test_the_prior_is_no_sampler_beside_itself(vae):
    comparison = compare_posterior_to_prior(vae, X)
    assert comparison.sampler is None
    assert "sampler" not in str(comparison)


def test_tables_are_compared_too(table):
    assert 0.0 <= compare_posterior_to_prior(table, mixed_frame()).prior.auc <= 1.0


def test_what_has_no_distribution_is_refused(vae, autoencoder):
    with pytest.raises(ValueError, match=r"distribution of z .*Got Autoencoder"):
        compare_posterior_to_prior(autoencoder, X)
    with pytest.raises(TypeError, match=r"as distributions. Got PCA"):
        compare_posterior_to_prior(PCA(2).fit(X), X)
    with pytest.raises(ValueError, match=r"at least 10 rows. Got 3"):
        compare_posterior_to_prior(vae, X[:3])


# The display

pictures = pytest.mark.usefixtures("no_screen")


@pictures
def test_a_display_has_a_row_of_images_for_each_component(vae):
    options = {"n_steps": 5, "limits": (-1.0, 1.0)}
    display = TraversalDisplay.from_estimator(vae, X[:1], image_shape=(2, 2), **options)
    image = display.image_.get_array()
    assert image.shape == (4, 10)
    for k in range(2):
        decoded = traverse(vae, X[:1], k, **options)
        shown = image[2 * k : 2 * k + 2].reshape(2, 5, 2).swapaxes(0, 1)
        assert_allclose(shown.reshape(5, 4), decoded)
    ax = display.axes_[0, 0]
    marked = [patch.get_xy() for patch in ax.patches]
    z = vae.transform(X[:1])[0]
    nearest = [np.abs(np.linspace(-1, 1, 5) - z[k]).argmin() for k in range(2)]
    assert_allclose(marked, [[nearest[1] + 0.03, 0.03], [nearest[0] + 0.03, 1.03]])
    assert [t.get_text() for t in ax.get_yticklabels()] == [
        "component 1\n\N{MINUS SIGN}1 to 1",
        "component 0\n\N{MINUS SIGN}1 to 1",
    ]


@pictures
def test_a_display_has_panels_of_the_columns_that_move_most():
    rows = np.column_stack((X[:, 2], RNG.normal(size=150), X[:, 3], X[:, 0])) * 100.0
    pca = PCA(1).fit(rows)
    display = TraversalDisplay.from_estimator(pca, rows[:1], train=rows, n_columns=2)
    (panels,), decoded = display.panels, traverse(pca, rows[:1], 0, train=rows)
    moved = np.ptp(decoded, axis=0) / rows.std(axis=0)
    most = np.argsort(-moved)[:2]
    assert [panel.name for panel in panels] == [f"column {j}" for j in most]
    for j, line, ax in zip(most, display.lines_[0], display.axes_[0], strict=True):
        assert_allclose(line.get_xdata(), display.values[0])
        assert_allclose(line.get_ydata(), decoded[:, j])
        low, high = np.percentile(rows[:, j], (2.5, 97.5))
        assert ax.get_ylim()[0] < low < high < ax.get_ylim()[1]


@pictures
def test_a_display_of_a_table_has_units_categories_and_dates(table):
    frame = mixed_frame()
    display = TraversalDisplay.from_estimator(table, frame.iloc[[0]], n_columns=8)
    decoded = traverse(table, frame.iloc[[0]], 0)
    titles = [ax.get_title() for ax in display.axes_[0]]
    assert sorted(titles) == sorted(frame.columns)
    for title, line, ax in zip(
        titles, display.lines_[0], display.axes_[0], strict=True
    ):
        y = line.get_ydata()
        if title in ("target", "large"):
            labels = [tick.get_text() for tick in ax.get_yticklabels()]
            assert [labels[i] for i in y] == decoded[title].astype(str).tolist()
        elif title == "day":
            apart = pd.to_datetime(y) - decoded[title]
            assert (abs(apart) <= pd.Timedelta(1, "D")).all()
        else:
            assert_allclose(y.astype(float), decoded[title])


@pictures
def test_a_display_of_polars_rows_is_that_of_pandas(table):
    frame = mixed_frame().drop(columns=["target", "large"])
    displays = [
        TraversalDisplay.from_estimator(fitted(VAETransformer, rows), rows[:1])
        for rows in (frame, pl.from_pandas(frame))
    ]
    names = [[panel.name for panel in display.panels[0]] for display in displays]
    assert names[0] == names[1]


@pictures
def test_a_display_takes_axes_and_components(vae):
    axes = plt.subplots(1, 3)[1]
    display = TraversalDisplay.from_estimator(
        vae, X[:1], components=1, n_columns=3, ax=axes, color="red"
    )
    assert display.axes_[0].tolist() == axes.tolist()
    assert display.lines_[0][0].get_color() == "red"
    assert {ax.get_xlabel() for ax in axes} == {"component 1"}
    with pytest.raises(ValueError, match=r"2 x 4 matplotlib Axes.* Got .* of 3"):
        TraversalDisplay.from_estimator(vae, X[:1], ax=axes)


@pictures
def test_a_display_says_what_does_not_fit(vae, autoencoder):
    with pytest.raises(ValueError, match=r"a single row.*Got 2 rows"):
        TraversalDisplay.from_estimator(vae, X[:2])
    with pytest.raises(ValueError, match=r"components must .* from 0 to 1.*Got \[0, 0"):
        TraversalDisplay.from_estimator(vae, X[:1], components=[0, 0])
    with pytest.raises(ValueError, match="n_columns must be"):
        TraversalDisplay.from_estimator(vae, X[:1], n_columns=0)
    with pytest.raises(ValueError, match=r"X has features \(4\)"):
        TraversalDisplay.from_estimator(vae, X[:1], image_shape=(3, 3))
    with pytest.raises(ValueError, match="limits or train must be given"):
        TraversalDisplay.from_estimator(autoencoder, X[:1])
    assert TraversalDisplay.from_estimator(autoencoder, X[:1], train=X).lines_


@pictures
def test_a_column_that_does_not_vary_does_not_move(vae):
    rows = np.column_stack((X, np.full(len(X), 3.1)))
    model = fitted(VAETransformer, rows)
    display = TraversalDisplay.from_estimator(model, rows[:1], n_columns=5)
    assert [panels[-1].name for panels in display.panels] == ["column 4"] * 2
