"""Equal rows have equal hashes, whatever their order and however they are stored."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from skvae.table import as_cells, content_hashes
from skvae.table._hashes import position_hashes


@pytest.fixture
def X():
    rng = np.random.default_rng(0)
    return rng.normal(size=(30, 3)).astype(np.float32).astype(np.float64)


def content_of(X):
    return content_hashes(as_cells(X))


def positions_of(X):
    return position_hashes(as_cells(X))


@pytest.mark.parametrize("convert", [np.float32, np.asfortranarray], ids=repr)
def test_hash_depends_on_values_not_on_their_storage(X, convert):
    assert_array_equal(content_of(X), content_of(np.asarray(convert(X))))


def test_hash_of_integers_equals_that_of_floats():
    X = np.arange(-6, 6).reshape(4, 3)
    assert_array_equal(content_of(X), content_of(X.astype(float)))


def test_hash_of_a_row_depends_on_that_row_alone(X):
    order = np.random.default_rng(1).permutation(len(X))
    assert_array_equal(content_of(X)[order], content_of(X[order]))
    assert_array_equal(content_of(X)[4:5], content_of(X[4:5]))


def test_hashes_of_missing_cells_are_all_the_same():
    bits = np.array([[0x7FF8000000000000, 1], [0xFFF8000000000123, 1]], dtype=np.uint64)
    X = bits.view(np.float64)
    assert np.isnan(X[:, 0]).all()
    assert len(set(content_of(X).tolist())) == 1
    assert len(set(positions_of(X).tolist())) == 1
    other = np.nan_to_num(X)
    assert content_of(other)[0] != content_of(X)[0]


def test_hash_of_minus_zero_equals_that_of_zero():
    zeros = np.array([[0.0, 1.0], [-0.0, 1.0]])
    assert len(set(content_of(zeros).tolist())) == 1


def test_hash_tells_near_rows_and_swapped_columns_apart(X):
    rows = [X, X[:, [1, 0, 2]], -X, np.nextafter(X, 9), np.zeros_like(X[:1])]
    X = np.concatenate([*rows, np.eye(3), 2 * np.eye(3)])
    assert len(set(content_of(X).tolist())) == len(X)


def test_hash_does_not_depend_on_chunks(X, monkeypatch):
    monkeypatch.setattr("skvae.table._cells.CHUNK_VALUES", 7)
    in_chunks = content_of(X)
    assert_array_equal(in_chunks, [content_of(row[None])[0] for row in X])


def test_hashes_of_some_rows_are_theirs_among_all(X):
    some = np.array([4, 1, 17])
    assert_array_equal(content_hashes(as_cells(X), some), content_of(X)[some])
