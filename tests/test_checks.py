"""Errors a user can make: each names what must hold, what was got, what to do."""

import numpy as np
import pandas as pd
import polars as pl
import pytest
import scipy.sparse
import torch
from sklearn.exceptions import NotFittedError

from skvae import AutoencoderTransformer, VAETransformer
from skvae.likelihoods import Gaussian
from skvae.schedules import Constant, WarmUp

# Fits of a few epochs may leave components idle, and say so.
pytestmark = pytest.mark.filterwarnings("ignore:.*components carry nothing")

X = np.random.default_rng(0).normal(size=(30, 3))
FRAME = pd.DataFrame(X, columns=["age", "height", "weight"])


@pytest.fixture(scope="module")
def vae():
    return VAETransformer(2, max_iter=1, tol=None, random_state=0).fit(FRAME)


@pytest.mark.parametrize("cls", [VAETransformer, AutoencoderTransformer])
@pytest.mark.parametrize("method", ["transform", "inverse_transform", "score"])
def test_unfitted_use_is_refused(cls, method):
    with pytest.raises(NotFittedError, match="Call 'fit'"):
        getattr(cls(), method)(X)


@pytest.mark.parametrize("cls", [VAETransformer, AutoencoderTransformer])
def test_unfitted_estimator_has_no_device(cls):
    assert not hasattr(cls(), "device_")
    with pytest.raises(NotFittedError, match="Call 'fit'"):
        _ = cls().device_


@pytest.mark.parametrize("method", ["posterior", "score_samples", "sample"])
def test_unfitted_vae_is_refused(method):
    argument = 1 if method == "sample" else X
    with pytest.raises(NotFittedError, match="Call 'fit'"):
        getattr(VAETransformer(), method)(argument)


@pytest.mark.parametrize("with_missing", [False, True])
@pytest.mark.parametrize("value", [np.inf, -np.inf])
@pytest.mark.parametrize("method", ["fit", "transform"])
def test_infinite_value_is_named_by_column_and_row(vae, method, value, with_missing):
    frame = FRAME.copy()
    frame.loc[7, "height"] = value
    if with_missing:
        frame.loc[3, "age"] = np.nan
    with pytest.raises(
        ValueError, match=rf"Got {value} in column 'height', row 7.*NaN"
    ):
        getattr(vae, method)(frame)


@pytest.mark.parametrize("method", ["fit", "transform"])
def test_infinite_value_is_named_whatever_the_chunk(vae, method, monkeypatch):
    monkeypatch.setattr("skvae.table._cells.CHUNK_VALUES", 2 * X.shape[1])
    frame = FRAME.copy()
    frame.iloc[[2, 6], 0] = np.nan
    frame.loc[7, "height"] = -np.inf
    with pytest.raises(ValueError, match=r"Got -inf in column 'height', row 7"):
        getattr(vae, method)(frame)


def test_large_finite_values_are_not_taken_for_infinite():
    huge = X * 1e307
    VAETransformer(max_iter=1, tol=None).fit(huge)


def test_wrong_number_of_columns_is_refused(vae):
    with pytest.raises(ValueError, match=r"2 features.*expecting 3"):
        VAETransformer(max_iter=1, tol=None).fit(X).transform(X[:, :2])


def test_wrong_order_of_columns_is_refused(vae):
    with pytest.raises(ValueError, match="same order"):
        vae.transform(FRAME[["weight", "age", "height"]])


def test_text_in_an_array_is_refused():
    with pytest.raises(ValueError, match=r"numeric.*Got text.*DataFrame"):
        VAETransformer().fit(np.array([["tall", "old"]] * 30))


def test_text_in_a_column_of_numbers_is_named(vae):
    frame = FRAME.assign(height=["tall"] * 30)
    with pytest.raises(
        ValueError, match=r"'height' must hold numbers.*'tall'.*to_numeric"
    ):
        vae.transform(frame)


@pytest.mark.parametrize("value", [-0.25, 1.5])
def test_bernoulli_value_outside_the_unit_interval_is_named(value):
    frame = pd.DataFrame(np.full((20, 2), 0.5), columns=["ink", "paper"])
    frame.loc[3, "paper"] = value
    with pytest.raises(ValueError, match=rf"Got {value} in column 'paper'.*gaussian"):
        VAETransformer(likelihood="bernoulli").fit(frame)


@pytest.mark.parametrize("name", ["bernoulli", "continuous_bernoulli", "log_normal"])
def test_domain_is_checked_beside_missing_cells(name, monkeypatch):
    monkeypatch.setattr("skvae.table._cells.CHUNK_VALUES", 6)
    values = np.full((20, 3), 0.5)
    values[[3, 18], 0] = np.nan
    values[11, 2] = -0.25
    with pytest.raises(ValueError, match=r"requires .* Got -0\.25 in column 2"):
        VAETransformer(likelihood=name).fit(values)


def test_bernoulli_domain_is_checked_in_transform():
    fitted = VAETransformer(likelihood="bernoulli", max_iter=1, tol=None)
    fitted.fit(np.clip(X, 0, 1))
    with pytest.raises(ValueError, match="requires 0 <= X <= 1"):
        fitted.transform(X)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"n_components": 0}, "'n_components' parameter"),
        ({"n_components": 1.5}, "'n_components' parameter"),
        ({"likelihood": "poison"}, "'likelihood' parameter.*bernoulli"),
        ({"init": "svd"}, "'init' parameter.*pca"),
        ({"solver": "lbfgs"}, "'solver' parameter.*rmsprop"),
        ({"activation": "swish"}, "'activation' parameter.*silu"),
        ({"learning_rate": "linear"}, "'learning_rate' parameter.*auto"),
        ({"learning_rate": 0.0}, "'learning_rate' parameter"),
        ({"beta": -1.0}, "'beta' parameter"),
        ({"batch_size": 0}, "'batch_size' parameter"),
        ({"max_iter": 0}, "'max_iter' parameter"),
        ({"validation_fraction": 1.0}, "'validation_fraction' parameter"),
        ({"validation_fraction": 0.0}, "'validation_fraction' parameter"),
        ({"n_iter_no_change": 0}, "'n_iter_no_change' parameter"),
        ({"hidden_layer_sizes": 0}, "'hidden_layer_sizes' parameter"),
        ({"hidden_layer_sizes": (8, 0)}, "hidden_layer_sizes must.*Got 0"),
        ({"hidden_layer_sizes": (8, 2.5)}, "hidden_layer_sizes must.*Got 2.5"),
        ({"device": "gpu"}, "device must.*Got 'gpu'"),
        ({"device": "cuda:x"}, "device must.*Got 'cuda:x'"),
        ({"beta": WarmUp(3)}, r"fraction of WarmUp\(fraction=3\).*\[0, 1\]. Got 3"),
        ({"beta": Constant(-1)}, "value of Constant.*Got -1"),
        ({"learning_rate": Constant("a")}, "value of Constant.*Got 'a'"),
        ({"likelihood": Gaussian(noise="row")}, "'noise' parameter of Gaussian.*'row'"),
        ({"likelihood": Gaussian(noise=-1.0)}, r"'noise' parameter of Gaussian.*-1\.0"),
        ({"likelihood": Gaussian(scaling="none")}, "'scaling' parameter.*'none'"),
    ],
)
def test_invalid_parameter_is_refused(params, message):
    with pytest.raises(ValueError, match=message):
        VAETransformer(**params).fit(X)


@pytest.mark.parametrize(
    ("column", "message"),
    [
        (pd.period_range("2026", periods=30, freq="D"), r"period\[D\] in .*'height'"),
        ([1, "tall"] * 15, "requires numbers. Got object of int, str.*'height'"),
        ([{"a": 1}] * 30, "numbers.*unhashable.*'height'"),
    ],
    ids=["periods", "mixed", "dicts"],
)
def test_column_that_holds_no_values_to_model_is_named(column, message):
    frame = FRAME.assign(height=pd.Series(column))
    with pytest.raises((TypeError, ValueError), match=message):
        VAETransformer().fit(frame)


@pytest.mark.parametrize("dtype", [object, "str", float])
def test_column_without_any_cell_is_warned_of(dtype):
    frame = FRAME.assign(height=pd.Series([None] * 30, dtype=dtype))
    with pytest.warns(UserWarning, match="observed cell. Got none in column 'height'"):
        VAETransformer(max_iter=1, tol=None).fit(frame)


def test_array_of_dates_is_read_as_days_and_comes_back():
    dates = np.datetime64("2026-01-01", "s") + np.arange(80).reshape(40, 2) * 86_400
    dates[3, 0] = "NaT"
    vae = VAETransformer(1, max_iter=1, tol=None, random_state=0).fit(dates)
    filled = vae.impute(dates)
    assert vae.sample(3).dtype == filled.dtype == dates.dtype
    assert not np.isnat(filled).any()
    assert (filled == dates).sum() == dates.size - 1


class Derived(pd.DataFrame):
    """A table, as GeoDataFrame is one."""


def test_class_derived_from_a_table_is_a_table():
    frame = Derived({"a": X[:, 0], "b": X[:, 1] > X[0, 1]})
    vae = VAETransformer(1, max_iter=1, tol=None).fit(frame)
    assert "Bernoulli" in repr(vae.likelihood_)
    assert (vae.sample(2).dtypes == frame.dtypes).all()


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"a": [1.0]}, r"Got dict. Pass pandas.DataFrame\(X\)"),
        (pl.LazyFrame({"a": [1.0]}), r"Got LazyFrame. Pass X.collect\(\)"),
        (np.zeros(3, [("a", float)]), "Got a structured array"),
        (torch.ones(3, 2, requires_grad=True), r"gradients. Pass X.detach\(\)"),
    ],
    ids=["dict", "LazyFrame", "structured", "gradients"],
)
def test_what_is_no_table_says_how_to_make_one(table, message):
    with pytest.raises(TypeError, match=message):
        VAETransformer().fit(table)


@pytest.mark.parametrize("order", [slice(None, None, -1), slice(None)])
@pytest.mark.parametrize("is_writable", [True, False])
def test_sparse_rows_are_never_changed(order, is_writable):
    rows = scipy.sparse.random_array((60, 8), density=0.4, format="csr", rng=0)[
        :, order
    ]
    for array in (rows.data, rows.indices, rows.indptr):
        array.flags.writeable = is_writable
    before = [a.copy() for a in (rows.data, rows.indices, rows.indptr)]
    vae = VAETransformer(1, max_iter=1, tol=None, random_state=0).fit(rows)
    vae.transform(rows)
    vae.score_samples(rows)
    for array, kept in zip((rows.data, rows.indices, rows.indptr), before, strict=True):
        np.testing.assert_array_equal(array, kept)


def test_missing_gpu_is_refused(monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(RuntimeError, match=r"device='cuda'.*Use device='auto'"):
        VAETransformer(device="cuda").fit(X)


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        (-np.ones(30), "Negative"),
        (np.zeros(30), "at least one non-zero"),
        (np.ones(29), "shape"),
        (np.full(30, np.nan), "NaN"),
    ],
)
def test_invalid_weights_are_refused(weights, message):
    with pytest.raises(ValueError, match=message):
        VAETransformer().fit(X, sample_weight=weights)


def test_latent_array_of_the_wrong_width_is_refused(vae):
    with pytest.raises(
        ValueError, match=r"must have at most 2 columns.*Got 3.*transform"
    ):
        vae.inverse_transform(X)


@pytest.mark.parametrize("n_samples", [0, -1, 2.5])
def test_invalid_number_of_samples_is_refused(vae, n_samples):
    with pytest.raises(ValueError, match="positive integer"):
        vae.sample(n_samples)


def test_unknown_kind_of_sample_is_refused(vae):
    with pytest.raises(ValueError, match="'draw' or 'mean'"):
        vae.sample(kind="median")


def test_unknown_bound_is_refused(vae):
    with pytest.raises(ValueError, match=r"bound must be one of.*elbo"):
        vae.score_samples(FRAME, bound="iwae")


def test_no_draws_are_refused(vae):
    with pytest.raises(ValueError, match="n_draws"):
        vae.score_samples(FRAME, n_draws=0)


def test_failed_first_fit_leaves_the_estimator_unfitted():
    estimator = VAETransformer(device="cuda:99", max_iter=1)
    with pytest.raises(RuntimeError):
        estimator.fit(X)
    with pytest.raises(NotFittedError):
        estimator.transform(X)


def test_warm_start_with_another_architecture_is_refused():
    estimator = VAETransformer(2, max_iter=1, tol=None, warm_start=True).fit(X)
    with pytest.raises(ValueError, match=r"warm_start=True requires.*n_components=1"):
        estimator.set_params(n_components=1).fit(X)
