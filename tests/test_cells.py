"""Cells are read alike, however they are stored; sparse ones take less memory."""

import numpy as np
import pytest
import scipy.sparse

from skvae import AutoencoderTransformer, VAEImputer, VAEOutlierDetector, VAETransformer
from skvae.table import as_cells, canonical_rows, content_hashes
from skvae.table._cells import SparseCells
from skvae.table._hashes import position_hashes

pytestmark = pytest.mark.filterwarnings("ignore:.*components carry nothing")

GENERATOR = np.random.default_rng(0)
DENSE = GENERATOR.poisson(0.3, size=(120, 20)) * GENERATOR.normal(size=(120, 20))
DENSE[:, 3] = GENERATOR.normal(size=120)
DENSE[:, 5] = 0.0
DENSE[7] = 0.0
COUNTS = np.abs(DENSE).round()
HOLES = np.where(GENERATOR.random(DENSE.shape) < 0.1, np.nan, DENSE)
FORMATS = [scipy.sparse.csr_matrix, scipy.sparse.csc_array, scipy.sparse.coo_matrix]
QUICK = {"max_iter": 3, "tol": None, "random_state": 0}


@pytest.mark.parametrize("X", [DENSE, HOLES, COUNTS, -COUNTS], ids=range(4))
@pytest.mark.parametrize(
    "function",
    [
        content_hashes,
        position_hashes,
        lambda cells: content_hashes(cells, np.array([7, 3, 3])),
        lambda cells: cells.column_ranges(),
        lambda cells: cells.has_missing,
        lambda cells: cells.bounds,
        lambda cells: cells.shape,
        lambda cells: cells[2:9],
        lambda cells: cells[np.array([7, 3, 3])],
        lambda cells: cells.column_ranges(np.array([7, 3, 3])),
        lambda cells: position_hashes(cells, np.array([7, 3, 3])),
    ],
    ids=range(11),
)
def test_sparse_rows_are_read_as_dense_ones(function, X):
    sparse = as_cells(scipy.sparse.csr_matrix(X))
    np.testing.assert_array_equal(function(sparse), function(as_cells(X)))


def test_columns_are_read_when_they_are_asked_for():
    X = DENSE.copy()
    some = as_cells(X).columns([4, 1, 3])
    X += 1.0
    np.testing.assert_array_equal(some[2:9], X[2:9, [4, 1, 3]])
    np.testing.assert_array_equal(some[np.array([5, 2])], X[[5, 2]][:, [4, 1, 3]])
    np.testing.assert_array_equal(some.columns([2, 0])[:], X[:, [3, 4]])
    np.testing.assert_array_equal(some.columns(slice(1))[:], X[:, [4]])
    np.testing.assert_array_equal(
        some.column_ranges(), as_cells(some[:]).column_ranges()
    )
    assert some.as_tensor() is None


def test_cells_of_cells_are_the_same():
    cells = as_cells(DENSE)
    assert as_cells(cells) is cells


@pytest.mark.parametrize("row", [0, 13, 29])
@pytest.mark.parametrize("convert", [np.asarray, scipy.sparse.csr_array])
def test_missing_cells_are_found_in_any_chunk(monkeypatch, convert, row):
    monkeypatch.setattr("skvae.table._cells.CHUNK_VALUES", 7)
    X = np.random.default_rng(0).normal(size=(30, 3))
    assert not as_cells(convert(X)).has_missing
    assert not as_cells(convert(X.astype(np.int8))).has_missing
    X[row, 1] = np.nan
    assert as_cells(convert(X)).has_missing


def test_bounds_of_sparse_rows_hold_the_zeros_that_are_not_stored():
    assert as_cells(scipy.sparse.csr_matrix([[2.0, 0.0], [0.0, 3.0]])).bounds == (0, 3)


def test_stored_zeros_and_duplicates_are_cells_like_others():
    data, indices, ends = [1.0, 2.0, 0.0, -0.0], [2, 2, 0, 1], [0, 2, 4]
    matrix = scipy.sparse.csr_matrix((data, indices, ends), shape=(2, 3))
    np.testing.assert_array_equal(
        content_hashes(as_cells(matrix)), content_hashes(as_cells(matrix.toarray()))
    )
    assert matrix.nnz == 4


def test_canonical_order_is_that_of_dense_rows():
    weights = GENERATOR.integers(0, 3, len(DENSE)).astype(float)
    X = np.r_[DENSE, DENSE[:30]]
    weights = np.r_[weights, weights[:30]]
    dense = canonical_rows(as_cells(X), weights)
    sparse = canonical_rows(as_cells(scipy.sparse.csr_matrix(X)), weights)
    np.testing.assert_array_equal(sparse.index, dense.index)
    np.testing.assert_array_equal(sparse.weights, dense.weights)


def test_slices_hold_fewer_of_the_rows_that_become_dense():
    wide = scipy.sparse.csr_array((50, SparseCells.most_dense // 10))
    assert len(list(as_cells(wide).slices(4096))) == 5
    assert len(list(as_cells(np.ones((50, 3))).slices(20))) == 3


@pytest.mark.parametrize("to_sparse", FORMATS, ids=lambda f: f.__name__)
@pytest.mark.parametrize(
    ("estimator", "X"),
    [
        (VAETransformer(2, **QUICK), DENSE),
        (VAETransformer(2, **QUICK), HOLES),
        (VAETransformer(2, likelihood="negative_binomial", **QUICK), COUNTS),
        (AutoencoderTransformer(2, **QUICK), DENSE),
    ],
    ids=["gaussian", "holes", "counts", "autoencoder"],
)
def test_sparse_equals_dense(estimator, X, to_sparse):
    dense, sparse = estimator.fit(X).transform(X), to_sparse(X)
    np.testing.assert_array_equal(estimator.transform(sparse), dense)
    scores = estimator.score_samples(X)
    np.testing.assert_array_equal(estimator.score_samples(sparse), scores)
    np.testing.assert_array_equal(estimator.fit(sparse).transform(sparse), dense)


def test_sparse_float32_stays_float32():
    sparse = scipy.sparse.csr_matrix(DENSE.astype(np.float32))
    assert VAETransformer(2, **QUICK).fit_transform(sparse).dtype == np.float32


def test_detector_scores_sparse_rows():
    detector = VAEOutlierDetector(2, max_iter=30, random_state=0).fit(DENSE)
    scores = detector.score_samples(scipy.sparse.csr_matrix(DENSE))
    np.testing.assert_array_equal(scores, detector.score_samples(DENSE))


def test_rows_are_never_dense_beyond_a_chunk(monkeypatch):
    shape = (3000, 400)
    sparse = scipy.sparse.random_array(shape, density=0.01, rng=0, format="csr")
    largest = []
    read = SparseCells.__getitem__

    def watched(self, part):
        rows = read(self, part)
        largest.append(rows.size)
        return rows

    monkeypatch.setattr(SparseCells, "__getitem__", watched)
    defaults = "skvae.table._batches.Batches.from_rows.__func__.__defaults__"
    monkeypatch.setattr(defaults, (0,))
    vae = VAETransformer(1, hidden_layer_sizes=(4,), init="random", batch_size=64)
    vae.set_params(max_iter=1, tol=None, random_state=0).fit(sparse).transform(sparse)
    assert max(largest) <= max(1 << 18, 4096 * 400)


@pytest.mark.parametrize(
    "likelihood", ["categorical", {0: "poisson"}], ids=["codes", "columns"]
)
def test_mixed_or_coded_sparse_rows_are_refused(likelihood):
    sparse = scipy.sparse.csr_matrix(COUNTS)
    with pytest.raises(ValueError, match="Sparse rows require one likelihood"):
        VAETransformer(likelihood=likelihood, **QUICK).fit(sparse)


def test_sparse_value_outside_the_domain_is_named():
    counts = COUNTS.copy()
    counts[5, 4] = -2.0
    with pytest.raises(ValueError, match=r"Poisson.*Got -2 in column 4"):
        VAETransformer(likelihood="poisson").fit(scipy.sparse.csr_matrix(counts))


def test_infinite_sparse_value_is_named():
    infinite = DENSE.copy()
    infinite[4, 2] = np.inf
    with pytest.raises(ValueError, match="Got inf in column 2, row 4"):
        VAETransformer().fit(scipy.sparse.csr_matrix(infinite))


def test_filling_sparse_rows_is_refused():
    sparse = scipy.sparse.csr_matrix(DENSE)
    with pytest.raises(TypeError, match="requires dense rows"):
        VAETransformer(2, **QUICK).fit(sparse).impute(sparse)
    with pytest.raises(TypeError, match="requires dense rows"):
        VAEImputer().fit(sparse)
