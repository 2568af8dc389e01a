"""Arrays and sparse matrices of any layout are read alike, and never written to."""

import copy
import functools

import numpy as np
import pytest
import scipy.sparse
import sklearn
import torch
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone

from skvae import AutoencoderTransformer, VAEImputer, VAEOutlierDetector, VAETransformer
from skvae.displays import ReconstructionDisplay
from skvae.table import as_cells, plain

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*components carry nothing"),
    pytest.mark.filterwarnings("ignore:Maximum iterations"),
]

# Small enough for int8, and exact in float16.
COUNTS = np.random.default_rng(0).poisson(2.0, size=(60, 4)).astype(np.float64)
HOLES = np.where(np.random.default_rng(1).random(COUNTS.shape) < 0.1, np.nan, COUNTS)


# Layouts: functions of a C-ordered array, with or without holes


def _reversed(X):
    return X[::-1, ::-1].copy()[::-1, ::-1]


def _spaced(X):
    larger = np.full((3 * len(X), 2 * X.shape[1]), 99, dtype=X.dtype)
    larger[::3, ::2] = X
    return larger[::3, ::2]


def _read_only(X):
    X = X.copy()
    X.flags.writeable = False
    return X


def _typed(dtype, arrange=np.asarray):
    return lambda X: arrange(X.astype(dtype))


REAL = {
    "reversed": _reversed,
    "spaced": _spaced,
    "columns first": np.asfortranarray,
    "read-only": _read_only,
    "object": _typed(object),
    "list": np.ndarray.tolist,
    "masked": np.ma.masked_invalid,
    "tensor": torch.from_numpy,
    "tensor of columns": lambda X: torch.from_numpy(X.T.copy()).T,
    "float16": _typed("f2"),
    "longdouble": _typed("g"),
    "float64 of other byte order": _typed(">f8"),
    "float32": _typed("f4"),
    "float32 reversed": _typed("f4", _reversed),
    "float32 read-only": _typed("f4", _read_only),
    "float32 of other byte order": _typed(">f4", _spaced),
}
WHOLE = {
    f"{kind}{size}": _typed(f"{order}{kind}{size}")
    for kind in "iu"
    for size, order in zip((1, 2, 4, 8), "|><>", strict=True)
} | {
    "integers reversed": _typed(">i4", _reversed),
    "integers read-only": _typed("u2", _read_only),
    "integers in a tensor": lambda X: torch.from_numpy(X.astype(np.int32)),
}


# Sparse layouts


def _csr(data, like):
    return scipy.sparse.csr_matrix((data, like.indices, like.indptr), shape=like.shape)


def _unsorted(X):
    return scipy.sparse.csr_matrix(X[:, ::-1])[:, ::-1]


def _doubled(X):
    """Return a matrix that stores each cell in two halves, zeros included."""
    columns = np.tile(np.repeat(np.arange(X.shape[1])[::-1], 2), len(X))
    data = np.repeat(0.5 * X[:, ::-1].ravel(), 2)
    ends = np.arange(len(X) + 1) * 2 * X.shape[1]
    return scipy.sparse.csr_matrix((data, columns, ends), shape=X.shape)


def _mapped(matrix):
    """Return a matrix as joblib hands it to its workers: read-only."""
    for array in (matrix.data, matrix.indices, matrix.indptr):
        array.flags.writeable = False
    return matrix


def _long(X):
    matrix = _unsorted(X)
    matrix.indices = matrix.indices.astype(np.int64)
    matrix.indptr = matrix.indptr.astype(np.int64)
    return matrix


def _stored(dtype, matrix=_unsorted):
    """Return a layout whose stored cells have a type that SciPy may not convert."""
    return lambda X: _csr(matrix(X).data.astype(dtype), matrix(X))


SPARSE = {
    f"{name} {container}": getattr(scipy.sparse, f"{name}_{container}")
    for container in ("array", "matrix")
    for name in ("csr", "csc", "coo", "lil", "dok", "bsr", "dia")
} | {
    "unsorted": _unsorted,
    "read-only": lambda X: _mapped(_unsorted(X)),
    "doubled": _doubled,
    "doubled read-only": lambda X: _mapped(_doubled(X)),
    "long indices": _long,
    "transposed": lambda X: scipy.sparse.csc_array(X.T).T,
    "float16": _stored("f2"),
    "transposed float16": lambda X: _stored("f2")(X.T).T,
    "longdouble": _stored("g"),
    "float32": _stored("f4"),
    "other byte order": _stored(">f8"),
}
WHOLE_SPARSE = {
    "integers": _stored("i4"),
    "int8": _stored("i1"),
    "uint64": _stored("u8"),
    "int32 of other byte order": _stored(">i4"),
}


# Methods: functions of a model, rows of some layout and the plain rows


def _answer(model, X, _=None):
    scores = isinstance(model, VAEOutlierDetector)
    return model.score_samples(X) if scores else model.transform(X)


def _fit(model, X, rows):
    return _answer(clone(model).fit(X), rows)


def _method(name, **options):
    return lambda model, X, _: getattr(model, name)(X, **options)


QUICK = {"max_iter": 1, "random_state": 0}
MODELS = {
    "gaussian": VAETransformer(2, **QUICK),
    "counts": VAETransformer(2, likelihood="poisson", **QUICK),
    "codes": VAETransformer(2, likelihood="categorical", **QUICK),
    "mixed": VAETransformer(2, likelihood={0: "poisson", 2: "ordinal"}, **QUICK),
    "autoencoder": AutoencoderTransformer(2, likelihood="poisson", **QUICK),
    "detector": VAEOutlierDetector(likelihood="negative_binomial", n_draws=8, **QUICK),
    "imputer": VAEImputer(n_proposals=16, **QUICK),
}
ANSWERS = [
    ("gaussian", _fit),
    ("counts", _fit),
    ("counts", _method("posterior")),
    ("counts", _method("score_samples")),
    ("autoencoder", _answer),
    ("detector", _fit),
    ("detector", _method("predict")),
]
DENSE_ANSWERS = [
    *ANSWERS,
    ("codes", _fit),
    ("mixed", _fit),
    ("counts", _method("impute", n_proposals=16)),
    ("counts", _method("missing_cells")),
    ("imputer", _fit),
]


@functools.cache
def _fitted(name, has_holes, dtype):
    return clone(MODELS[name]).fit(_rows(has_holes, dtype))


def _rows(has_holes, dtype=np.float64):
    return (HOLES if has_holes else COUNTS).astype(dtype)


def _arrays(X):
    """Yield the arrays that a matrix, an array or a list is made of."""
    if scipy.sparse.issparse(X):
        is_dict = X.format == "dok"
        parts = (list(X.keys()), list(X.values())) if is_dict else vars(X).values()
        for part in parts:
            yield from part if isinstance(part, tuple) else (part,)
    elif isinstance(X, np.ndarray):
        yield X
        yield from _arrays(X.base)
    else:
        yield X


def _content(X):
    """Return a copy of everything that a matrix, an array or a list is made of."""
    arrays = [np.asarray(array) for array in _arrays(X)]
    return [
        (
            a.dtype,
            a.shape,
            copy.deepcopy(a.tolist()) if a.dtype == object else a.tobytes(),
        )
        for a in arrays
    ]


@functools.cache
def _expected(model, method, has_holes, dtype):
    rows = _rows(has_holes, dtype)
    return method(_fitted(model, has_holes, dtype), rows, rows)


def _table(answers, real, whole):
    """Return every answer to every layout, as parameters of a test."""
    named = [(*each, True) for each in real.items()]
    named += [(*each, False) for each in whole.items()]
    return [
        pytest.param(model, method, layout, has_holes, name, id=f"{name}-{k}-{model}")
        for k, (model, method) in enumerate(answers)
        for name, layout, has_holes in named
    ]


@pytest.mark.parametrize(
    ("model", "method", "layout", "has_holes", "name"),
    _table(DENSE_ANSWERS, REAL, WHOLE) + _table(ANSWERS, SPARSE, WHOLE_SPARSE),
)
def test_answers_are_those_to_plain_rows(model, method, layout, has_holes, name):
    dtype = "f4" if "float32" in name else "f8"
    rows, given = _rows(has_holes, dtype), layout(_rows(has_holes))
    before = _content(given)
    answer = np.asarray(method(_fitted(model, has_holes, dtype), given, rows))
    # Imputed rows have the type of the rows that came in.
    expected = np.asarray(_expected(model, method, has_holes, dtype), answer.dtype)
    assert_allclose(answer, expected, rtol=1e-12, atol=1e-12)
    assert _content(given) == before


# Where the table above cannot look


def test_answers_to_rows_in_a_file_are_those_to_rows_in_memory(tmp_path):
    np.save(tmp_path / "X.npy", COUNTS)
    mapped = np.load(tmp_path / "X.npy", mmap_mode="r")
    for name, method in DENSE_ANSWERS:
        answer = method(_fitted(name, False, "f8"), mapped, COUNTS)
        expected = _expected(name, method, False, "f8")
        assert_allclose(answer, expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("matrix", [_unsorted, _doubled])
def test_matrix_that_shares_its_structure_is_not_changed(matrix):
    other = matrix(COUNTS)
    fitted = clone(MODELS["counts"]).fit(_csr(other.data.copy(), other))
    fitted.transform(_csr(other.data.copy(), other))
    assert_array_equal(other.toarray(), COUNTS)


@pytest.mark.parametrize(
    "convert", [np.asarray, scipy.sparse.csr_array, _typed(bool), _typed("f4")]
)
def test_cells_that_are_read_are_a_copy(convert):
    X = convert(COUNTS)
    before = _content(X)
    for rows in (slice(3, 9), slice(None), np.arange(4)):
        as_cells(X)[rows][:] = 1
    assert _content(X) == before


@pytest.mark.parametrize("name", ["reversed", "masked", "list", "tensor", "float16"])
def test_points_of_the_latent_space_may_have_any_layout(name):
    fitted = _fitted("counts", False, "f8")
    Z = fitted.transform(COUNTS).astype(np.float16).astype(np.float64)
    assert_array_equal(
        fitted.inverse_transform(REAL[name](Z)), fitted.inverse_transform(Z)
    )


@pytest.mark.parametrize("layout", [_reversed, _typed(">i4"), _unsorted, _doubled])
def test_rows_are_drawn_from_any_layout(layout, no_screen):
    X = layout(COUNTS)
    before, fitted = _content(X), _fitted("counts", False, "f8")
    ReconstructionDisplay.from_estimator(fitted, X, image_shape=(2, 2))
    assert _content(X) == before


@pytest.mark.parametrize("dtype", ["f8", ">f4", "f2", "i4", "?", object])
def test_masked_cells_are_missing(dtype):
    X = COUNTS.clip(0, 1).astype(dtype)
    masked = np.ma.MaskedArray(X, mask=np.isnan(HOLES))
    cells = plain(masked)
    missing = np.array(
        [[cell is None or cell != cell for cell in row] for row in cells]
    )
    assert_array_equal(missing, np.isnan(HOLES))
    assert_array_equal(cells[~missing], X[~missing])


def test_masked_cells_are_missing_in_every_method():
    masked = np.ma.masked_invalid(HOLES)
    masked.data[masked.mask] = 999.0
    expected = _fitted("gaussian", True, "f8").impute(HOLES)
    fitted = clone(MODELS["gaussian"]).fit(masked)
    assert_array_equal(fitted.impute(masked), expected)
    assert_array_equal(fitted.missing_cells(masked), masked.mask)


@pytest.mark.parametrize(
    "layout",
    [
        np.asarray,
        np.ndarray.tolist,
        torch.from_numpy,
        _unsorted,
        scipy.sparse.coo_matrix,
        lambda X: scipy.sparse.lil_array(X),
    ],
)
def test_booleans_are_such_in_every_layout(layout):
    X = layout(COUNTS > 2.0)
    before, fitted = _content(X), VAETransformer(2, **QUICK).fit(X)
    assert repr(fitted.likelihood_) == "Bernoulli()"
    scores = fitted.score_samples(1.0 * (COUNTS > 2.0))
    assert_array_equal(fitted.score_samples(X), scores)
    assert _content(X) == before


@pytest.mark.parametrize(
    "layout",
    [
        np.ndarray.tolist,
        torch.from_numpy,
        _typed("f4"),
        _typed(">i4", _reversed),
        scipy.sparse.csr_array,
        scipy.sparse.coo_matrix,
        _unsorted,
    ],
)
def test_array_api_dispatch_changes_nothing(layout):
    X, fitted = layout(COUNTS), _fitted("counts", False, "f8")
    expected = fitted.score_samples(X)
    with sklearn.config_context(array_api_dispatch=True):
        answer = fitted.score_samples(X)
        clone(fitted).fit(X, sample_weight=np.ones(len(COUNTS)))
    assert isinstance(answer, np.ndarray)
    assert_array_equal(answer, expected)


def test_sparse_rows_may_be_empty():
    X = COUNTS.copy()
    X[[0, 5, -1]] = 0.0
    for rows in (X, np.zeros_like(X)):
        fitted = clone(MODELS["counts"]).fit(scipy.sparse.csr_array(rows))
        expected = clone(MODELS["counts"]).fit(rows).score_samples(rows)
        assert_array_equal(fitted.score_samples(scipy.sparse.coo_array(rows)), expected)


def test_complex_sparse_rows_are_refused():
    with pytest.raises(ValueError, match="Complex data not supported"):
        VAETransformer().fit(scipy.sparse.coo_array(COUNTS + 1j))


@pytest.mark.skipif(np.finfo("g").max == np.finfo("f8").max, reason="no longer type")
def test_number_that_no_float64_holds_is_infinite():
    X = COUNTS.astype("g")
    X[4, 2] = np.longdouble("1e400")
    for rows in (X, scipy.sparse.csr_array(X)):
        with pytest.raises(ValueError, match="Got inf in column 2, row 4"):
            VAETransformer().fit(rows)


@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_array_of_one_row_may_have_a_negative_stride(dtype):
    X = np.ones((1, 1), dtype=dtype)[::-1]
    assert X.flags.c_contiguous
    fitted = clone(MODELS["gaussian"]).fit(X)
    assert fitted.transform(X).shape == (1, 2)
    assert fitted.inverse_transform(np.zeros((1, 2), dtype)[::-1]).shape == (1, 1)
