"""Rows are known by their content: their order and that of a split follow from it."""

import tracemalloc

import numpy as np
import pytest
import scipy.sparse
from numpy.testing import assert_allclose, assert_array_equal

from skvae.table import as_cells, canonical_rows
from skvae.table._rows import MOST_ROWS_TO_SPREAD


@pytest.fixture
def X():
    rng = np.random.default_rng(0)
    return rng.normal(size=(30, 3)).astype(np.float32).astype(np.float64)


@pytest.fixture
def small_chunks(monkeypatch):
    monkeypatch.setattr("skvae.table._cells.CHUNK_VALUES", 7)


def rows_of(X, weights):
    return canonical_rows(as_cells(X), weights)


def _content(rows):
    return rows[:], rows.weights


def _assert_same_rows(a, b):
    for part, other in zip(_content(a), _content(b), strict=True):
        assert_array_equal(part, other)


def test_canonical_rows_ignore_the_order_of_rows(X):
    weights = np.arange(1.0, 31.0)
    order = np.random.default_rng(1).permutation(len(X))
    _assert_same_rows(rows_of(X, weights), rows_of(X[order], weights[order]))


def test_canonical_rows_ignore_the_order_of_equal_rows():
    weights = np.array([0.1, 0.2, 0.3, 1.0])
    X = np.array([[1.0], [1.0], [1.0], [2.0]])
    order = np.array([3, 2, 1, 0])
    _assert_same_rows(rows_of(X, weights), rows_of(X[order], weights[order]))


def test_canonical_rows_keep_their_order_in_other_units(X):
    weights = np.arange(1.0, 31.0)
    rows = rows_of(X, weights)
    other = rows_of(X * [1e-3, 1.8, 1e6] + [0.0, 32.0, -5e5], weights)
    assert_array_equal(other.index, rows.index)


def test_canonical_rows_tell_apart_rows_that_one_far_row_makes_look_equal(X):
    far = np.vstack([X, [[1e12, 1e12, 1e12]]])
    assert len(rows_of(far, np.ones(31))) == 31
    order = np.random.default_rng(1).permutation(31)
    weights = np.arange(1.0, 32.0)
    _assert_same_rows(rows_of(far, weights), rows_of(far[order], weights[order]))


def test_canonical_rows_take_values_of_any_size():
    top = np.finfo(float).max
    X = np.array([[top, 0.0, 5e-324], [-top, 0.0, 0.0], [-top, 0.0, 0.0]])
    rows = rows_of(X, np.ones(3))
    assert sorted(rows.weights) == pytest.approx([2 / 3, 4 / 3])


def test_canonical_rows_take_weight_two_as_a_repeated_row(X):
    weights = 1.0 + (np.arange(30) % 3)
    repeated = np.repeat(X, weights.astype(int), axis=0)
    _assert_same_rows(rows_of(X, weights), rows_of(repeated, np.ones(len(repeated))))


def test_canonical_rows_take_weight_zero_as_an_absent_row(X):
    weights = np.ones(30)
    weights[::4] = 0.0
    kept = weights > 0
    _assert_same_rows(rows_of(X, weights), rows_of(X[kept], weights[kept]))


def test_row_of_weight_zero_needs_no_copy_of_the_others(small_chunks):
    X = np.random.default_rng(0).normal(size=(400, 200))
    weights = np.r_[0.0, np.ones(399)]
    tracemalloc.start()
    rows_of(X, weights)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 0.5 * X.nbytes


def test_canonical_rows_have_mean_weight_one(X):
    rows = rows_of(X, np.linspace(1.0, 50.0, 30))
    assert rows.weights.mean() == pytest.approx(1.0)
    taken = rows.take(np.arange(0, 30, 3))
    assert taken.weights.mean() == pytest.approx(1.0)
    assert_allclose(
        taken.weights / taken.weights[0], (rows.weights / rows.weights[0])[::3]
    )


def test_canonical_rows_merge_equal_rows(X):
    rows = rows_of(np.vstack([X, X[:5]]), np.ones(35))
    assert len(rows) == 30
    doubled = (rows[:][:, None] == X[:5]).all(axis=2).any(axis=1)
    assert_allclose(rows.weights, np.where(doubled, 2.0, 1.0) * 30 / 35)


def chunks_of(rows):
    """Return what a reduction sees, chunk by chunk."""
    return rows.reduce(lambda X, weights: [(X, weights)])


def test_reduction_sees_each_row_once_float64_in_canonical_order(X, small_chunks):
    rows = rows_of(X.astype(np.float32), np.arange(1.0, 31.0))
    chunks = chunks_of(rows)
    assert len(chunks) == 15
    assert all(part.dtype == np.float64 for part, _ in chunks)
    assert_array_equal(np.concatenate([part for part, _ in chunks]), X[rows.index])
    assert_array_equal(np.concatenate([weights for _, weights in chunks]), rows.weights)


def test_reduction_sees_at_least_a_row_at_a_time(monkeypatch, X):
    monkeypatch.setattr("skvae.table._cells.CHUNK_VALUES", 2)
    assert len(chunks_of(rows_of(X, np.ones(30)))) == 30


def test_reduction_adds_or_combines_as_asked(X, small_chunks):
    rows = rows_of(X, np.arange(1.0, 31.0))
    assert_allclose(rows.reduce(lambda X, w: w @ X), rows.weights @ rows[:])
    least = rows.reduce(lambda X, w: X.min(axis=0), np.minimum)
    assert_array_equal(least, X.min(axis=0))


def test_rows_in_a_file_are_reduced_in_the_order_in_which_they_lie(tmp_path, X):
    np.save(tmp_path / "X.npy", X)
    mapped = np.asarray(np.load(tmp_path / "X.npy", mmap_mode="r"))
    weights = np.arange(1.0, 31.0)
    rows, stored = rows_of(mapped, weights), rows_of(X, weights)
    [(seen, seen_weights)] = chunks_of(rows)
    assert_array_equal(seen, X)
    assert_allclose(seen_weights, weights / weights.mean())
    _assert_same_rows(rows, stored)
    for part, other in zip(rows.split(7), stored.split(7), strict=True):
        _assert_same_rows(part, other)


def test_columns_of_rows_keep_their_weights(X):
    rows = rows_of(X, np.arange(1.0, 31.0))
    some = rows.columns([2, 0])
    assert_array_equal(some[:], rows[:][:, [2, 0]])
    assert some.weights is rows.weights


@pytest.mark.parametrize("most", [MOST_ROWS_TO_SPREAD, 1])
def test_split_is_disjoint_and_complete(monkeypatch, X, most):
    monkeypatch.setattr("skvae.table._rows.MOST_ROWS_TO_SPREAD", most)
    train, held_out = rows_of(X, np.ones(30)).split(7)
    assert (len(train), len(held_out)) == (23, 7)
    assert_array_equal(np.sort(np.r_[train.index, held_out.index]), np.arange(30))


@pytest.mark.parametrize("convert", [np.asarray, scipy.sparse.csr_array])
def test_split_holds_out_every_fifth_row_by_distance(convert):
    X = np.random.default_rng(0).standard_t(2, size=(50, 3)) * [1, 1e6, 1e-6]
    X[3, 1] = np.nan
    distances = np.nansum(np.square((X - np.nanmean(X, 0)) / np.nanstd(X, 0)), axis=1)
    _, held_out = rows_of(convert(X), np.ones(50)).split(10)
    ranks = distances.argsort().argsort()[held_out.index]
    assert_array_equal(np.sort(ranks), np.arange(2, 50, 5))


def test_rows_that_stand_for_all_are_spread_as_those_that_a_split_holds_out(X):
    rows = rows_of(X, np.ones(30))
    assert_array_equal(rows.index[rows.spread(7)], rows.split(7)[1].index)
    assert_array_equal(rows.spread(30), np.arange(30))


def test_split_follows_neither_the_order_of_rows_nor_their_units(X):
    order = np.random.default_rng(1).permutation(30)
    _, held_out = rows_of(X, np.ones(30)).split(7)
    _, other = rows_of(X[order] * 1e6 + 1e6, np.ones(30)).split(7)
    assert_array_equal(np.sort(order[other.index]), np.sort(held_out.index))


def test_fingerprint_is_of_every_row():
    X = np.random.default_rng(0).normal(size=(5000, 3))
    other = X.copy()
    other[1234, 1] += 1.0
    one, two = (canonical_rows(as_cells(x), np.ones(5000)) for x in (X, other))
    assert one.fingerprint() != two.fingerprint()
    assert one.fingerprint() == canonical_rows(one.cells, np.ones(5000)).fingerprint()


def test_fingerprint_says_which_row_has_which_weight(X):
    weights = np.arange(1.0, 31.0)
    one, two = rows_of(X, weights), rows_of(X, weights[::-1].copy())
    assert one.fingerprint() != two.fingerprint()
    assert one.fingerprint() == rows_of(X[::-1], weights[::-1].copy()).fingerprint()
