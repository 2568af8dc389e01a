"""How columns change with components, against PCA and finite differences."""

import numpy as np
import pandas as pd
import polars as pl
import pytest
import scipy.sparse
import torch
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.decomposition import PCA
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skvae import AutoencoderTransformer, LatentDisplay, LoadingsDisplay, VAETransformer
from skvae.estimators._apply import decode, mean_derivatives
from skvae.inspection import loadings
from skvae.priors import CategoricalLatents

pytestmark = [
    pytest.mark.usefixtures("no_screen"),
    pytest.mark.filterwarnings("ignore:.*components carry nothing"),
]

QUICK = {"max_iter": 2, "tol": None, "random_state": 0}


def table(n_rows=60):
    """Numbers with gaps, text, truths and dates that follow one cause."""
    random = np.random.default_rng(0)
    z = random.normal(size=n_rows)
    frame = pd.DataFrame(
        {
            "age": 40.0 + 10.0 * z,
            "noise": random.normal(size=n_rows),
            "job": np.where(z > 0.0, "chief", "clerk"),
            "owns": z > 0.2,
            "since": pd.Timestamp("2020-01-01") + pd.to_timedelta(100 * z, "D"),
            "always": 3.0,
        }
    )
    frame.loc[::7, "age"] = np.nan
    frame.loc[1::7, "job"] = None
    return frame


@pytest.fixture(scope="module")
def mixed():
    frame = table()
    options = {"hidden_layer_sizes": (8,), **QUICK}
    return VAETransformer(1, **options).fit(frame), frame


def linear(cls, X, n_components):
    """Return a model that stays at PCA."""
    options = {"hidden_layer_sizes": (), "early_stopping": False, "random_state": 0}
    options |= {"learning_rate": 1e-9, "max_iter": 1, "tol": None}
    return cls(n_components, **options).fit(X)


def oriented(expected):
    """Return components with the signs of ours: the largest is positive."""
    largest = np.abs(expected).argmax(axis=1)[:, None]
    return expected * np.sign(np.take_along_axis(expected, largest, axis=1))


@pytest.mark.parametrize("cls", [VAETransformer, AutoencoderTransformer])
def test_loadings_of_a_linear_model_are_those_of_pca(cls, iris):
    X = np.column_stack((iris, iris[:, ::2] @ [1.0, -0.5] * 1e6))
    X += np.random.default_rng(0).normal(size=X.shape) * X.std(0)
    found = loadings(linear(cls, X, 2), X)
    pca = PCA(2).fit(StandardScaler().fit_transform(X))
    if cls is VAETransformer:
        # Tipping & Bishop, equation 15; rows without noise vary as much as the prior.
        sizes = np.sqrt(pca.explained_variance_ - pca.noise_variance_)
        assert_allclose(found.scale, 1.0, atol=1.0 / len(X))
        sizes *= found.scale
    else:
        sizes = np.sqrt(pca.explained_variance_ * (len(X) - 1) / len(X))
    expected = oriented(pca.components_ * sizes[:, None])
    assert_allclose(found.standardized, expected, atol=1e-5)
    assert_allclose(found.original / X.std(0), expected, atol=1e-5)


def test_derivatives_are_those_of_expectations(every_kind):
    vae, X = every_kind
    found, step = loadings(vae, X), 1e-4

    def expected(Z):
        return decode(vae.module_, Z, lambda p, outputs: p.expected(outputs))

    Z = vae.transform(X)
    slopes = [
        (expected(Z + way) - expected(Z - way)).mean(axis=0) / (2.0 * step)
        for way in step * np.eye(2)
    ]
    own = found.original / found.scale[:, None]
    size = np.abs(slopes).max(axis=0)
    assert (size > 1e-6).all()
    assert_allclose(own / size, slopes / size, atol=1e-6)


def test_expectations_are_the_means_and_probabilities_that_answers_follow(case):
    model = case.model()
    outputs = 0.3 * np.random.default_rng(1).normal(size=(5, model.n_outputs))
    outputs = torch.from_numpy(outputs).to(torch.float32)
    columns, codes = model.expected_of.numpy()
    expected, means = (
        f(outputs).detach().numpy() for f in (model.expected, model.mean)
    )
    assert_array_equal(np.sort(columns), columns)
    assert_allclose(expected[:, codes < 0], means[:, columns[codes < 0]])
    for j in np.unique(columns[codes >= 0]):
        masses = expected[:, columns == j]
        assert_array_equal(codes[columns == j], np.arange(masses.shape[1]))
        assert_allclose(masses.sum(axis=1), 1.0, rtol=1e-5)
        half = (masses.cumsum(axis=1) < 0.5).sum(axis=1)
        modes = masses.argmax(axis=1)
        assert ((means[:, j] == half) | (means[:, j] == modes)).all()


def test_a_unit_of_a_component_is_its_standard_deviation_over_the_rows(mixed):
    vae, frame = mixed
    mean, std = vae.posterior(frame)
    scale = np.sqrt(mean.var(axis=0) + np.square(std).mean(axis=0))
    assert_allclose(loadings(vae, frame).scale, scale)


def test_a_mixed_table_has_a_value_for_each_number_and_each_category(mixed):
    vae, frame = mixed
    found = loadings(vae, frame)
    names = [
        "age",
        "noise",
        "job = chief",
        "job = clerk",
        "owns",
        "since (days)",
        "always",
    ]
    assert found.names == list(found.standardized.columns) == names
    assert_array_equal(found.columns, [0, 1, 2, 2, 3, 4, 5])
    assert list(found.original.index) == list(vae.get_feature_names_out())
    original, standardized = found.original.iloc[0], found.standardized.iloc[0]
    # Probabilities sum to one.
    assert_allclose(original["job = chief"], -original["job = clerk"])
    assert original["always"] == standardized["always"] == 0.0
    ratio = original / standardized
    assert_allclose(ratio["age"], frame["age"].std(ddof=0))
    days = (frame["since"] - frame["since"].min()) / pd.Timedelta(days=1)
    assert_allclose(ratio["since (days)"], days.std(ddof=0))
    is_chief = (frame["job"].dropna() == "chief").to_numpy()
    assert_allclose(ratio["job = chief"], is_chief.std())
    # All follow one cause but the noise.
    caused = standardized.drop(["always", "noise"]).abs().min()
    assert caused > 2.0 * abs(standardized["noise"])


@pytest.mark.parametrize("output", ["default", "pandas", "polars"])
def test_answers_are_of_the_kind_that_set_output_asks_for(output, iris):
    vae = VAETransformer(2, **QUICK).fit(iris).set_output(transform=output)
    found = loadings(vae, iris)
    kinds = {"default": np.ndarray, "pandas": pd.DataFrame, "polars": pl.DataFrame}
    for matrix in (found.standardized, found.original):
        assert isinstance(matrix, kinds[output])
    if output == "polars":
        assert found.original.columns == ["component", *found.names]
    plain = loadings(vae.set_output(transform="default"), iris)
    assert isinstance(plain.original, np.ndarray)
    assert found.names == plain.names == [f"column {j}" for j in range(4)]
    numbers = found.original
    numbers = numbers.drop("component") if output == "polars" else numbers
    assert_array_equal(np.asarray(numbers), plain.original)


def test_a_column_named_component_stays_beside_the_names_of_components(iris):
    X = pl.DataFrame(iris, ["component", "b", "c", "d"])
    found = loadings(VAETransformer(2, **QUICK).fit(X), X)
    names = ["component_", "component", "b", "c", "d"]
    assert found.original.columns == found.standardized.columns == names
    expected = found.standardized.drop("component_").to_numpy()
    assert_array_equal(found.array, expected)
    assert found.names == names[1:]


def test_sparse_rows_and_chunks_of_rows_give_the_same(monkeypatch):
    X = np.random.default_rng(0).poisson(1.0, size=(50, 3)).astype(float)
    vae = VAETransformer(2, likelihood="poisson", **QUICK).fit(X)
    expected = loadings(vae, X).standardized
    sparse = loadings(vae, scipy.sparse.csr_matrix(X)).standardized
    assert_allclose(sparse, expected, atol=1e-12)
    monkeypatch.setattr("skvae.estimators._apply.MOST_ROWS", 7)
    monkeypatch.setattr("skvae.table._cells.CHUNK_VALUES", 30)
    assert_allclose(loadings(vae, X).standardized, expected, atol=1e-12)


def test_derivatives_are_taken_at_some_of_many_rows(mixed, monkeypatch):
    vae, frame = mixed
    every_third = vae.transform(frame)[::3]
    monkeypatch.setattr("skvae.inspection._loadings.MOST_ROWS", 20)
    slopes = mean_derivatives(vae.module_, every_third, lambda p, a: p.expected(a))
    found = loadings(vae, frame)
    assert_allclose(found.original, slopes * found.scale[:, None])


def test_components_of_categorical_variables_are_left_out(iris):
    vae = VAETransformer(5, prior=CategoricalLatents(3), **QUICK).fit(iris)
    assert loadings(vae, iris).standardized.shape == (2, 4)
    vae = VAETransformer(3, prior=CategoricalLatents(3), **QUICK).fit(iris)
    with pytest.raises(ValueError, match="Got categorical variables alone"):
        loadings(vae, iris)


def test_a_single_row_or_another_estimator_is_refused(mixed, iris):
    vae, frame = mixed
    with pytest.raises(ValueError, match="at least 2 rows"):
        loadings(vae, frame[:1])
    pipeline = make_pipeline(StandardScaler(), PCA(2)).fit(iris)
    with pytest.raises(TypeError, match=r"Got Pipeline\. Pass that step"):
        loadings(pipeline, iris)


def test_columns_constant_in_the_rows_and_units_of_any_size_have_finite_loadings(iris):
    X = iris * [1e150, 1e-150, 1.0, 1.0]
    vae = VAETransformer(2, **QUICK).fit(X)
    usual = VAETransformer(2, **QUICK).fit(iris)
    expected = loadings(usual, iris).standardized
    assert_allclose(loadings(vae, X).standardized, expected, rtol=1e-6)
    X[:, 2] = 1.5
    assert_array_equal(loadings(vae, X).standardized[:, 2], 0.0)


def test_loadings_read_as_a_line_for_each_component(mixed, iris):
    (line,) = repr(loadings(*mixed)).splitlines()
    assert line.startswith("component 0: ")
    assert line.endswith(", ...")
    assert line.count(", ") == 5
    model = AutoencoderTransformer(3, **QUICK).fit(iris)
    assert len(repr(loadings(model, iris)).splitlines()) == 3


# Pictures


def test_bars_are_the_loadings_the_largest_first(mixed):
    vae, frame = mixed
    display = LoadingsDisplay.from_estimator(vae, frame)
    found = loadings(vae, frame).standardized.iloc[0]
    expected = found.reindex(found.abs().sort_values(ascending=False).index)
    (bars,) = display.bars_
    assert_allclose([bar.get_width() for bar in bars], expected)
    axes = display.axes_[0]
    labels = [text.get_text() for text in axes.get_yticklabels()]
    assert set(labels) == set(found.index)
    assert_allclose(found[labels].abs(), expected.abs())
    assert axes.get_title() == "component 0"
    assert "more" not in axes.get_xlabel()


def test_the_figure_says_what_it_leaves_out():
    values = np.arange(40.0).reshape(2, 20) / -100.0
    names = [f"a column with a long name {j}" for j in range(20)]
    display = LoadingsDisplay(values, names, ["one", "two"]).plot()
    first, second = (axes.get_xlabel().splitlines()[1] for axes in display.axes_)
    assert first == "5 more columns, none above 0.04"
    assert second == "5 more columns, none above 0.24"
    display.plot(n_columns=19)
    assert display.axes_[0].get_xlabel().endswith("\n1 more column, none above 0")
    heat = LoadingsDisplay(values, names, ["one", "two"]).plot(
        kind="heatmap", n_columns=12
    )
    assert heat.axes_[0].get_xlabel().endswith("\n8 more columns, none above 0.27")
    assert all(len(t.get_text()) <= 24 for t in heat.axes_[0].get_yticklabels())


def test_many_components_are_a_heat_map(iris):
    model = AutoencoderTransformer(5, **QUICK).fit(iris)
    display = LoadingsDisplay.from_estimator(model, iris)
    assert display.bars_ is None
    values = loadings(model, iris).standardized
    drawn = display.images_[0].get_array()
    assert drawn.shape == (4, 5)
    labels = [text.get_text() for text in display.axes_[0].get_yticklabels()]
    order = [int(label.removeprefix("column ")) for label in labels]
    assert_allclose(drawn, values[:, order].T)
    of = np.abs(drawn).argmax(axis=1)
    assert_array_equal(of, np.sort(of))
    assert display.images_[0].get_clim()[1] == np.abs(values).max()
    some = LoadingsDisplay.from_estimator(model, iris, components=[3, 1])
    assert [axes.get_title() for axes in some.axes_] == ["component 3", "component 1"]


@pytest.mark.parametrize("shape", [(2, 2), (1, 1, 3)])
def test_loadings_of_images_are_images(iris, shape):
    X = iris[:, : np.prod(shape)]
    vae = VAETransformer(1, **QUICK).fit(X)
    display = LoadingsDisplay.from_estimator(vae, X, image_shape=shape)
    expected = loadings(vae, X).standardized[0].reshape(shape)
    expected = expected.mean(axis=2) if len(shape) == 3 else expected
    assert_allclose(display.images_[0].get_array(), expected)
    with pytest.raises(ValueError, match="image_shape must hold as many"):
        LoadingsDisplay.from_estimator(vae, X, image_shape=(3, 3))


def test_loadings_display_refuses_what_it_cannot_draw():
    display = LoadingsDisplay(np.zeros((1, 2)), ["a", "b"], ["one"])
    with pytest.raises(ValueError, match="kind must be"):
        display.plot(kind="pie")
    with pytest.raises(ValueError, match="n_columns must be"):
        display.plot(n_columns=0)
    assert display.plot().axes_[0].get_xlim() == (-1.05, 1.05)


# Arrows in a map


@pytest.fixture(scope="module")
def biplot(digits):
    X = digits[:200, 16:32]
    return linear(VAETransformer, X, 3), X


def test_arrows_point_to_where_columns_grow(biplot):
    vae, X = biplot
    options = {"components": (2, 0), "n_arrows": 3}
    display = LatentDisplay.from_estimator(vae, X, **options)
    found = loadings(vae, X).standardized[[2, 0]]
    most = np.argsort(-np.linalg.norm(found, axis=0))[:3]
    assert [t.get_text() for t in display.arrow_names_] == [f"column {j}" for j in most]
    to_data = display.ax_.transAxes + display.ax_.transData.inverted()
    ends = [to_data.transform([a.xy, a.xyann]) for a in display.arrows_]
    steps = np.array([tip - middle for tip, middle in ends])
    # The prior is standard normal: the unit of z is that of the loadings.
    expected = found[:, most].T
    size = np.linalg.norm(steps) / np.linalg.norm(expected)
    assert_allclose(steps, size * expected, atol=0.02 * np.abs(steps).max())
    Z = vae.transform(X)[:, [2, 0]]
    assert_allclose(ends[0][1], np.median(Z, axis=0), atol=1e-6)


def test_names_of_arrows_lie_apart_and_within_the_axes(biplot):
    display = LatentDisplay.from_estimator(*biplot, n_arrows=16)
    boxes = [name.get_window_extent() for name in display.arrow_names_]
    frame = display.ax_.get_window_extent()
    assert len(boxes) > 12
    for i, box in enumerate(boxes):
        assert not any(box.overlaps(other) for other in boxes[:i])
        assert frame.x0 < box.x0
        assert box.x1 < frame.x1
    tips = np.array([arrow.xy for arrow in display.arrows_])
    assert tips.min() > 0.0
    assert tips.max() < 1.0


def test_a_map_has_no_arrows_unless_asked_and_refuses_what_it_cannot_show(biplot, iris):
    vae, X = biplot
    assert LatentDisplay.from_estimator(vae, X).arrows_ == []
    with pytest.raises(ValueError, match="requires two components"):
        LatentDisplay.from_estimator(vae, X, components=1, n_arrows=2)
    with pytest.raises(TypeError, match="Got PCA"):
        LatentDisplay.from_estimator(PCA(2).fit(iris), iris, n_arrows=2)
