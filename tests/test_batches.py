"""Rows are known by their content; batches cover them evenly and repeatably."""

import numpy as np
import pytest
import scipy.sparse
import torch
from numpy.testing import assert_allclose, assert_array_equal

from skvae import _batches
from skvae._batches import (
    Batches,
    canonical_rows,
    content_hashes,
    has_missing,
    position_hashes,
    resolve_device,
)
from skvae._sparse import SparseRows

CPU = torch.device("cpu")


@pytest.fixture
def X():
    rng = np.random.default_rng(0)
    return rng.normal(size=(30, 3)).astype(np.float32).astype(np.float64)


@pytest.fixture
def small_chunks(monkeypatch):
    monkeypatch.setattr(_batches, "CHUNK_VALUES", 7)


def _content(rows):
    return rows.X[rows.index], rows.weights


def _assert_same_rows(a, b):
    for part, other in zip(_content(a), _content(b), strict=True):
        assert_array_equal(part, other)


def _batches_of(n, batch_size, n_columns=2):
    X = np.arange(n * n_columns, dtype=float).reshape(n, n_columns)
    rows = canonical_rows(X, np.ones(n))
    return Batches.from_rows(rows, lambda X: X, CPU, batch_size)


# Hashes


@pytest.mark.parametrize("convert", [np.float32, np.asfortranarray], ids=repr)
def test_hash_depends_on_values_not_on_their_storage(X, convert):
    assert_array_equal(content_hashes(X), content_hashes(np.asarray(convert(X))))


def test_hash_of_integers_equals_that_of_floats():
    X = np.arange(-6, 6).reshape(4, 3)
    assert_array_equal(content_hashes(X), content_hashes(X.astype(float)))


def test_hash_of_a_row_depends_on_that_row_alone(X):
    order = np.random.default_rng(1).permutation(len(X))
    assert_array_equal(content_hashes(X)[order], content_hashes(X[order]))
    assert_array_equal(content_hashes(X)[4:5], content_hashes(X[4:5]))


def test_hashes_of_missing_cells_are_all_the_same():
    bits = np.array([[0x7FF8000000000000, 1], [0xFFF8000000000123, 1]], dtype=np.uint64)
    X = bits.view(np.float64)
    assert np.isnan(X[:, 0]).all()
    assert len(set(content_hashes(X).tolist())) == 1
    assert len(set(position_hashes(X).tolist())) == 1
    other = np.nan_to_num(X)
    assert content_hashes(other)[0] != content_hashes(X)[0]


def test_hash_of_minus_zero_equals_that_of_zero():
    zeros = np.array([[0.0, 1.0], [-0.0, 1.0]])
    assert len(set(content_hashes(zeros).tolist())) == 1


def test_hash_tells_near_rows_and_swapped_columns_apart(X):
    rows = [X, X[:, [1, 0, 2]], -X, np.nextafter(X, 9), np.zeros_like(X[:1])]
    X = np.concatenate([*rows, np.eye(3), 2 * np.eye(3)])
    assert len(set(content_hashes(X).tolist())) == len(X)


def test_hash_does_not_depend_on_chunks(X, small_chunks):
    in_chunks = content_hashes(X)
    assert_array_equal(in_chunks, [content_hashes(row[None])[0] for row in X])


# Canonical rows


def test_canonical_rows_ignore_the_order_of_rows(X):
    weights = np.arange(1.0, 31.0)
    order = np.random.default_rng(1).permutation(len(X))
    _assert_same_rows(
        canonical_rows(X, weights), canonical_rows(X[order], weights[order])
    )


def test_canonical_rows_ignore_the_order_of_equal_rows():
    weights = np.array([0.1, 0.2, 0.3, 1.0])
    X = np.array([[1.0], [1.0], [1.0], [2.0]])
    order = np.array([3, 2, 1, 0])
    _assert_same_rows(
        canonical_rows(X, weights), canonical_rows(X[order], weights[order])
    )


def test_canonical_rows_keep_their_order_in_other_units(X):
    weights = np.arange(1.0, 31.0)
    rows = canonical_rows(X, weights)
    other = canonical_rows(X * [1e-3, 1.8, 1e6] + [0.0, 32.0, -5e5], weights)
    assert_array_equal(other.index, rows.index)


def test_canonical_rows_tell_apart_rows_that_one_far_row_makes_look_equal(X):
    far = np.vstack([X, [[1e12, 1e12, 1e12]]])
    assert len(canonical_rows(far, np.ones(31))) == 31
    order = np.random.default_rng(1).permutation(31)
    weights = np.arange(1.0, 32.0)
    _assert_same_rows(
        canonical_rows(far, weights), canonical_rows(far[order], weights[order])
    )


def test_canonical_rows_take_values_of_any_size():
    top = np.finfo(float).max
    X = np.array([[top, 0.0, 5e-324], [-top, 0.0, 0.0], [-top, 0.0, 0.0]])
    rows = canonical_rows(X, np.ones(3))
    assert sorted(rows.weights) == pytest.approx([2 / 3, 4 / 3])


def test_canonical_rows_take_weight_two_as_a_repeated_row(X):
    weights = 1.0 + (np.arange(30) % 3)
    repeated = np.repeat(X, weights.astype(int), axis=0)
    _assert_same_rows(
        canonical_rows(X, weights), canonical_rows(repeated, np.ones(len(repeated)))
    )


def test_canonical_rows_take_weight_zero_as_an_absent_row(X):
    weights = np.ones(30)
    weights[::4] = 0.0
    kept = weights > 0
    _assert_same_rows(
        canonical_rows(X, weights), canonical_rows(X[kept], weights[kept])
    )


def test_canonical_rows_have_mean_weight_one(X):
    rows = canonical_rows(X, np.linspace(1.0, 50.0, 30))
    assert rows.weights.mean() == pytest.approx(1.0)
    taken = rows.take(np.arange(0, 30, 3))
    assert taken.weights.mean() == pytest.approx(1.0)
    assert_allclose(
        taken.weights / taken.weights[0], (rows.weights / rows.weights[0])[::3]
    )


def test_canonical_rows_merge_equal_rows(X):
    rows = canonical_rows(np.vstack([X, X[:5]]), np.ones(35))
    assert len(rows) == 30
    doubled = (rows.X[rows.index][:, None] == X[:5]).all(axis=2).any(axis=1)
    assert_allclose(rows.weights, np.where(doubled, 2.0, 1.0) * 30 / 35)


def test_rows_chunks_are_float64_and_complete(X, small_chunks):
    rows = canonical_rows(X.astype(np.float32), np.arange(1.0, 31.0))
    chunks = list(rows.chunks())
    assert len(chunks) == 15
    assert all(part.dtype == np.float64 for part, _ in chunks)
    assert_array_equal(np.concatenate([part for part, _ in chunks]), X[rows.index])
    assert_array_equal(np.concatenate([weights for _, weights in chunks]), rows.weights)


def test_rows_chunks_hold_at_least_a_row(monkeypatch, X):
    monkeypatch.setattr(_batches, "CHUNK_VALUES", 2)
    assert len(list(canonical_rows(X, np.ones(30)).chunks())) == 30


@pytest.mark.parametrize("most", [_batches.MOST_ROWS_TO_SPREAD, 1])
def test_split_is_disjoint_and_complete(monkeypatch, X, most):
    monkeypatch.setattr(_batches, "MOST_ROWS_TO_SPREAD", most)
    train, held_out = canonical_rows(X, np.ones(30)).split(7)
    assert (len(train), len(held_out)) == (23, 7)
    assert_array_equal(np.sort(np.r_[train.index, held_out.index]), np.arange(30))


@pytest.mark.parametrize(
    "convert", [np.asarray, lambda X: SparseRows(scipy.sparse.csr_array(X))]
)
def test_split_holds_out_every_fifth_row_by_distance(convert):
    X = np.random.default_rng(0).standard_t(2, size=(50, 3)) * [1, 1e6, 1e-6]
    X[3, 1] = np.nan
    distances = np.nansum(np.square((X - np.nanmean(X, 0)) / np.nanstd(X, 0)), axis=1)
    _, held_out = canonical_rows(convert(X), np.ones(50)).split(10)
    ranks = distances.argsort().argsort()[held_out.index]
    assert_array_equal(np.sort(ranks), np.arange(2, 50, 5))


def test_split_follows_neither_the_order_of_rows_nor_their_units(X):
    order = np.random.default_rng(1).permutation(30)
    _, held_out = canonical_rows(X, np.ones(30)).split(7)
    _, other = canonical_rows(X[order] * 1e6 + 1e6, np.ones(30)).split(7)
    assert_array_equal(np.sort(order[other.index]), np.sort(held_out.index))


@pytest.mark.parametrize("row", [0, 13, 29])
def test_missing_cells_are_found_in_any_chunk(X, small_chunks, row):
    assert not has_missing(X)
    assert not has_missing(X.astype(np.int8))
    X[row, 1] = np.nan
    assert has_missing(X)


# Batches


@pytest.mark.parametrize(
    ("n", "batch_size"), [(129, 128), (128, 128), (1, 1), (1, 8), (10, 3), (7, 1)]
)
def test_batches_cover_each_row_once_in_even_sizes(n, batch_size):
    batches = _batches_of(n, batch_size)
    parts = [x for x, _ in batches.shuffled(seed=0, epoch=2)]
    sizes = [len(x) for x in parts]
    assert len(parts) == batches.n_steps
    assert max(sizes) <= batch_size
    assert max(sizes) - min(sizes) <= 1
    seen = np.sort(torch.cat(parts)[:, 0].numpy())
    assert_array_equal(seen, 2 * np.arange(n))


def test_batches_repeat_by_seed_and_epoch_and_differ_otherwise():
    def order(seed, epoch):
        parts = _batches_of(40, 16).shuffled(seed, epoch)
        return torch.cat([x for x, _ in parts])[:, 0].tolist()

    assert order(0, 1) == order(0, 1)
    assert len({tuple(order(*name)) for name in [(0, 1), (0, 2), (1, 1)]}) == 3


def test_batches_keep_rows_and_weights_together():
    X = np.arange(1.0, 21.0)[:, None]
    batches = Batches.from_rows(canonical_rows(X, X[:, 0]), lambda X: X, CPU, 6)
    for x, weights in batches.shuffled(seed=0, epoch=0):
        assert_allclose(weights, x[:, 0] / 10.5, rtol=1e-6)


def test_batches_are_prepared_and_in_order_across_chunks(X, small_chunks):
    rows = canonical_rows(X, np.arange(1.0, 31.0))
    batches = Batches.from_rows(rows, lambda X: 2 * X, CPU, 8)
    parts = list(batches.in_order())
    assert len(parts) == 15
    assert_array_equal(torch.cat([x for x, _ in parts]), 2 * X[rows.index])
    assert_allclose(torch.cat([w for _, w in parts]), rows.weights, rtol=1e-6)


# Devices


def test_device_auto_is_the_cpu_without_a_gpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert resolve_device("auto") == CPU == resolve_device(CPU)


def test_device_auto_is_the_gpu_where_there_is_one(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert resolve_device("auto").type == "cuda"
    assert resolve_device("cuda:1").index == 1
    with pytest.raises(RuntimeError, match="which sees 2"):
        resolve_device("cuda:2")


@pytest.mark.parametrize("device", ["cuda", "cuda:0", torch.device("cuda")], ids=str)
def test_device_cuda_without_a_gpu_says_what_to_do(monkeypatch, device):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(RuntimeError, match=r"requires a CUDA GPU.*Use device='auto'"):
        resolve_device(device)


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.uint8])
def test_batches_converted_as_they_are_read_are_the_same(dtype):
    X = np.random.default_rng(0).integers(0, 200, (40, 3)).astype(dtype)
    rows = canonical_rows(X, np.ones(40))
    kept = Batches.from_rows(rows, lambda X: 0.1 * X, CPU, 7)
    read = Batches.from_rows(rows, lambda X: 0.1 * X, CPU, 7, most_bytes=0)
    for name in ("shuffled", "in_order"):
        arguments = (0, 1) if name == "shuffled" else ()
        pairs = zip(
            getattr(kept, name)(*arguments),
            getattr(read, name)(*arguments),
            strict=True,
        )
        for (x, weights), (other, other_weights) in pairs:
            assert x.dtype == other.dtype == torch.float32
            assert torch.equal(x, other)
            assert torch.equal(weights, other_weights)


def _source_of(X, prepare=None):
    rows = canonical_rows(X, np.ones(len(X)))
    return Batches.from_rows(rows, prepare, CPU, 7)


def test_batches_in_the_units_of_the_model_are_read_where_they_lie():
    X = np.random.default_rng(0).random((40, 3)).astype(np.float32)
    copied, shared = _source_of(X, lambda X: X), _source_of(X)
    assert shared.source.x.data_ptr() == X.ctypes.data
    assert copied.source.x.data_ptr() != X.ctypes.data
    for (x, _), (other, _) in zip(
        copied.shuffled(0, 1), shared.shuffled(0, 1), strict=True
    ):
        assert torch.equal(x, other)


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
    for (x, _), (other, _) in zip(
        _source_of(X).shuffled(0, 1), _source_of(spoilt).shuffled(0, 1), strict=True
    ):
        assert torch.equal(x, other)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_batches_of_a_file_are_read_from_it(tmp_path, dtype):
    X = np.random.default_rng(0).random((40, 3)).astype(dtype)
    np.save(tmp_path / "X.npy", X)
    mapped = np.asarray(np.load(tmp_path / "X.npy", mmap_mode="r"))
    batches = _source_of(mapped, lambda X: 2 * X)
    assert not hasattr(batches.source, "x")
    for (x, _), (other, _) in zip(
        batches.shuffled(0, 1),
        _source_of(X, lambda X: 2 * X).shuffled(0, 1),
        strict=True,
    ):
        assert torch.equal(x, other)
