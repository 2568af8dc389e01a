"""Batches cover rows evenly and repeatably, and say what is known of them."""

import numpy as np
import pytest
import scipy.sparse
import torch
from numpy.testing import assert_allclose, assert_array_equal

from skvae.table import Batch, Batches, as_cells, canonical_rows

CPU = torch.device("cpu")


@pytest.fixture
def X():
    rng = np.random.default_rng(0)
    return rng.normal(size=(30, 3)).astype(np.float32).astype(np.float64)


@pytest.fixture
def small_chunks(monkeypatch):
    monkeypatch.setattr("skvae.table._cells.CHUNK_VALUES", 7)


def rows_of(X, weights):
    return canonical_rows(as_cells(X), weights)


def _batches_of(n, batch_size, n_columns=2):
    X = np.arange(n * n_columns, dtype=float).reshape(n, n_columns)
    return Batches.from_rows(rows_of(X, np.ones(n)), lambda X: X, CPU, batch_size)


@pytest.mark.parametrize(
    ("n", "batch_size"), [(129, 128), (128, 128), (1, 1), (1, 8), (10, 3), (7, 1)]
)
def test_batches_cover_each_row_once_in_even_sizes(n, batch_size):
    batches = _batches_of(n, batch_size)
    parts = [batch.x for batch in batches.shuffled(seed=0, epoch=2)]
    sizes = [len(x) for x in parts]
    assert len(parts) == batches.n_steps
    assert max(sizes) <= batch_size
    assert max(sizes) - min(sizes) <= 1
    seen = np.sort(torch.cat(parts)[:, 0].numpy())
    assert_array_equal(seen, 2 * np.arange(n))


def test_batches_repeat_by_seed_and_epoch_and_differ_otherwise():
    def order(seed, epoch):
        parts = _batches_of(40, 16).shuffled(seed, epoch)
        return torch.cat([batch.x for batch in parts])[:, 0].tolist()

    assert order(0, 1) == order(0, 1)
    assert len({tuple(order(*name)) for name in [(0, 1), (0, 2), (1, 1)]}) == 3


def test_batches_keep_rows_and_weights_together():
    X = np.arange(1.0, 21.0)[:, None]
    batches = Batches.from_rows(rows_of(X, X[:, 0]), lambda X: X, CPU, 6)
    for batch in batches.shuffled(seed=0, epoch=0):
        assert_allclose(batch.weights, batch.x[:, 0] / 10.5, rtol=1e-6)


def test_batches_are_prepared_and_in_order_across_chunks(X, small_chunks):
    rows = rows_of(X, np.arange(1.0, 31.0))
    batches = Batches.from_rows(rows, lambda X: 2 * X, CPU, 8)
    parts = list(batches.in_order())
    assert len(parts) == 15
    assert_array_equal(torch.cat([batch.x for batch in parts]), 2 * X[rows.index])
    assert_allclose(
        torch.cat([batch.weights for batch in parts]), rows.weights, rtol=1e-6
    )


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.uint8])
def test_batches_converted_as_they_are_read_are_the_same(dtype, monkeypatch):
    X = np.random.default_rng(0).integers(0, 200, (40, 3)).astype(dtype)
    rows = rows_of(X, np.ones(40))
    kept = Batches.from_rows(rows, lambda X: 0.1 * X, CPU, 7)
    monkeypatch.setattr("skvae.table._batches.RESIDENT_BYTES", 0)
    read = Batches.from_rows(rows, lambda X: 0.1 * X, CPU, 7)
    for name in ("shuffled", "in_order"):
        arguments = (0, 1) if name == "shuffled" else ()
        of_kept, of_read = (getattr(all_, name)(*arguments) for all_ in (kept, read))
        for batch, other in zip(of_kept, of_read, strict=True):
            assert batch.x.dtype == other.x.dtype == torch.float32
            assert torch.equal(batch.x, other.x)
            assert torch.equal(batch.weights, other.weights)


def _of(X, prepare=None):
    rows = rows_of(X, np.ones(X.shape[0]))
    return Batches.from_rows(rows, prepare, CPU, 7)


def _assert_same_batches(some, others):
    for batch, other in zip(some.shuffled(0, 1), others.shuffled(0, 1), strict=True):
        assert torch.equal(batch.x, other.x)


def test_batches_in_the_units_of_the_model_are_read_where_they_lie():
    X = np.random.default_rng(0).random((40, 3)).astype(np.float32)
    copied, shared = _of(X, lambda X: X), _of(X)
    _assert_same_batches(copied, shared)
    X[:] = 7.0
    assert all((batch.x == 7.0).all() for batch in shared.in_order())
    assert not any((batch.x == 7.0).any() for batch in copied.in_order())


@pytest.mark.parametrize("spoil", ["dtype", "order", "flags"])
def test_batches_copy_what_torch_cannot_read(spoil):
    X = np.random.default_rng(0).random((40, 3)).astype(np.float32)
    spoilt = X.copy()
    if spoil == "dtype":
        spoilt = spoilt.astype(np.float64)
    elif spoil == "order":
        spoilt = np.asfortranarray(spoilt)
    else:
        spoilt.flags.writeable = False
    _assert_same_batches(_of(X), _of(spoilt))


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_batches_of_a_file_are_read_from_it(tmp_path, dtype):
    X = np.random.default_rng(0).random((40, 3)).astype(dtype)
    np.save(tmp_path / "X.npy", X)
    mapped = np.load(tmp_path / "X.npy", mmap_mode="r+")
    batches = _of(np.asarray(mapped), lambda X: 2 * X)
    _assert_same_batches(batches, _of(X, lambda X: 2 * X))
    mapped[:] = 7.0
    assert all((batch.x == 14.0).all() for batch in batches.in_order())


def test_index_says_which_of_the_rows_a_batch_has(small_chunks):
    X = np.random.default_rng(0).random((40, 3))
    train, _ = rows_of(X, np.ones(40)).split(8)
    batches = Batches.from_rows(train, lambda X: X, CPU, 7)
    for batch in [*batches.shuffled(0, 1), *batches.in_order()]:
        assert batch.index.dtype == torch.int64
        assert_array_equal(batch.x, train[batch.index.numpy()].astype(np.float32))


@pytest.mark.parametrize("convert", [np.asarray, scipy.sparse.csr_array])
def test_observed_cells_are_those_that_are_not_missing(convert):
    X = np.random.default_rng(0).random((40, 3))
    assert all(batch.observed is None for batch in _of(convert(X)).shuffled(0, 1))
    X[3, 1] = np.nan
    for batch in _of(convert(X)).shuffled(0, 1):
        assert torch.equal(batch.observed, ~torch.isnan(batch.x))


# One batch


def _batch():
    x = torch.arange(12.0).reshape(6, 2)
    x[4, 0] = torch.nan
    return Batch.of(x, True, weights=torch.arange(6.0), index=torch.arange(6))


def test_hidden_cells_are_not_observed():
    hidden = torch.zeros(6, 2, dtype=torch.bool)
    hidden[2, 1] = True
    batch = _batch()
    for seen in (batch, Batch(torch.ones(6, 2))):
        less = seen.hide(hidden)
        assert torch.equal(less.observed, ~torch.isnan(less.x))
        assert torch.isnan(less.x).sum() == torch.isnan(seen.x).sum() + 1
        assert less.weights is seen.weights
    assert not torch.isnan(batch.x[2, 1])


def test_batch_is_split_with_all_that_is_known_of_its_rows():
    pieces = _batch().split(4)
    assert [len(piece) for piece in pieces] == [4, 2]
    for name in ("x", "observed", "weights", "index"):
        joined = torch.cat([getattr(piece, name) for piece in pieces])
        torch.testing.assert_close(joined, getattr(_batch(), name), equal_nan=True)
    assert all(piece.conditions is None for piece in pieces)
