"""What several test files share."""

import math
import numbers
import os
import pickle
import random
import warnings
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

# scikit-learn skips its array API checks without this, and scipy reads it on import.
os.environ["SCIPY_ARRAY_API"] = "1"

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import polars as pl
import pytest
import scipy.sparse
import torch
from sklearn.datasets import load_digits, load_iris

from skvae import VAETransformer
from skvae._model import Architecture
from skvae.likelihoods import (
    Bernoulli,
    Categorical,
    Columns,
    ContinuousBernoulli,
    Gaussian,
    Likelihood,
    LogNormal,
    NegativeBinomial,
    NormalScores,
    Ordinal,
    Poisson,
    StudentT,
    ZeroInflatedNegativeBinomial,
)
from skvae.networks import Perceptron
from skvae.objectives import ELBO
from skvae.priors import as_prior
from skvae.schedules import Constant, as_weight
from skvae.table import Batches, Rows, as_cells
from skvae.training import Plan, Start, Training
from skvae.training._interrupts import INTERRUPTS
from skvae.training._start import start_linear


@pytest.fixture(scope="session")
def digits():
    return load_digits().data


@pytest.fixture(scope="session")
def iris():
    return load_iris().data


@pytest.fixture(scope="session")
def data_folder():
    """Folder of the real data sets, named by SKVAE_DATA."""
    default = Path(__file__).resolve().parents[2] / "shared" / "data"
    return Path(os.environ.get("SKVAE_DATA", default))


@pytest.fixture
def no_screen():
    """Draw without a screen, and close what was drawn."""
    plt.switch_backend("agg")
    yield
    plt.close("all")


def global_state():
    """Everything global that the package promises to leave alone."""
    name, keys, position, *gauss = np.random.get_state()  # noqa: NPY002
    return (
        random.getstate(),
        (name, keys.tobytes(), position, *gauss),
        torch.get_rng_state().numpy().tobytes(),
        torch.get_num_threads(),
        torch.get_default_dtype(),
        torch.get_float32_matmul_precision(),
        torch.is_grad_enabled(),
        list(warnings.filters),
    )


@pytest.fixture
def untouched():
    """Fail the test if it changes anything global."""
    before = global_state()
    yield
    assert global_state() == before


@pytest.fixture(autouse=True)
def no_interrupt_before(monkeypatch):
    """Let the first Ctrl-C of each test be a first one."""
    monkeypatch.setattr(INTERRUPTS, "last", -math.inf)


# Likelihoods, each with a table of its domain

RNG = np.random.default_rng(0)
UNITS = np.array([1.0, 1e6, 1e-6, 30.0])
REAL = RNG.normal([0.0, 5.0, -2.0, 100.0], size=(40, 4)) * UNITS
TAILED = (RNG.standard_t(2.5, size=(40, 4)) + 1.0) * UNITS
POSITIVE = np.exp(RNG.normal(0.0, [0.2, 1.0, 0.5, 0.1], size=(40, 4))) * UNITS
BINARY = (RNG.random(size=(40, 4)) < [0.2, 0.5, 0.7, 0.9]).astype(float)
GREY = RNG.beta(2.0, 3.0, size=(40, 4))
CODES = np.r_[[[1.0, 2.0, 4.0, 0.0]], RNG.integers([2, 3, 5, 1], size=(39, 4))]
COUNTS = RNG.negative_binomial(2.0, [0.2, 0.4, 0.6, 0.5], size=(40, 4)).astype(float)
COUNTS[RNG.random(size=(40, 4)) < 0.3] = 0.0
ATOMS = np.where(RNG.random(size=(40, 4)) < [0.6, 0.4, 0.3, 0.0], 0.0, POSITIVE)
ATOMS[:, 3] = RNG.integers(5, size=40)
VARIANCES = np.array([0.2, 0.3, 0.5, 0.6])
MIXED = np.column_stack(
    (CODES[:, 1], REAL[:, 0], COUNTS[:, 1], POSITIVE[:, 1], GREY[:, 0], REAL[:, 1])
)
MIXED = np.column_stack((MIXED, TAILED[:, 3], CODES[:, 2], BINARY[:, 1], COUNTS[:, :2]))
MIXED = np.column_stack((MIXED, TAILED[:, 0]))
ALL = [
    ("categorical", [0]),
    (Gaussian("column"), [5, 1]),
    ("poisson", [2]),
    ("log_normal", [3]),
    ("continuous_bernoulli", [4]),
    ("student_t", [6]),
    ("ordinal", [7]),
    ("bernoulli", [8]),
    ("negative_binomial", [9]),
    ("zero_inflated_negative_binomial", [10]),
    ("normal_scores", [11]),
]


@dataclass(frozen=True)
class LikelihoodCase:
    """A likelihood and a table of its domain."""

    spec: Likelihood
    X: np.ndarray

    def __str__(self):
        return "Columns" if isinstance(self.spec, Columns) else repr(self.spec)

    def model(self, X=None, columns=slice(None), weights=None, start=True):
        """Return a fitted float64 model, with a known noise where it is learned."""
        spec = self.spec.resolve(self.X[:, columns])
        X = self.X[:, columns] if X is None else X
        weights = np.ones(len(X)) if weights is None else weights
        model = spec.build(X.shape[1]).double()
        model.fit_statistics(
            Rows(as_cells(X), np.arange(len(X)), weights / weights.mean())
        )
        if start:
            model.start_noise(torch.from_numpy(np.resize(VARIANCES, model.n_inputs)))
        return model

    @staticmethod
    def outputs(model, *shape, seed=1):
        """Return random outputs of a decoder around the marginal ones."""
        random = torch.Generator().manual_seed(seed)
        noise = torch.randn(
            (*shape, model.n_outputs), generator=random, dtype=torch.float64
        )
        return model.linearized().outputs + noise


LIKELIHOOD_CASES = [
    LikelihoodCase(Gaussian(), REAL),
    LikelihoodCase(Gaussian(noise="column"), REAL),
    LikelihoodCase(Gaussian(noise="decoder"), REAL),
    LikelihoodCase(Gaussian(scaling="shared"), REAL),
    LikelihoodCase(Gaussian("column", "shared"), REAL),
    LikelihoodCase(Gaussian("column", "inputs"), REAL / UNITS),
    LikelihoodCase(Gaussian(noise=0.7), REAL / UNITS),
    LikelihoodCase(Gaussian(0.7, "shared"), REAL / UNITS),
    LikelihoodCase(StudentT(), TAILED),
    LikelihoodCase(StudentT(df=3.0, noise="shared"), TAILED),
    LikelihoodCase(StudentT(df=8.0, noise=0.7), TAILED / UNITS),
    LikelihoodCase(NormalScores(), TAILED),
    LikelihoodCase(NormalScores(noise="column"), TAILED),
    LikelihoodCase(NormalScores(noise="shared"), POSITIVE),
    LikelihoodCase(NormalScores(noise=0.7), ATOMS),
    LikelihoodCase(NormalScores(noise="decoder"), ATOMS),
    LikelihoodCase(LogNormal(), POSITIVE),
    LikelihoodCase(LogNormal(noise="column"), POSITIVE),
    LikelihoodCase(LogNormal(noise=0.3), POSITIVE),
    LikelihoodCase(LogNormal(noise="decoder"), POSITIVE),
    LikelihoodCase(Bernoulli(), BINARY),
    LikelihoodCase(ContinuousBernoulli(), GREY),
    LikelihoodCase(Categorical(), CODES),
    LikelihoodCase(Ordinal(), CODES),
    LikelihoodCase(Poisson(), COUNTS),
    LikelihoodCase(Poisson(size_factor=True), COUNTS),
    LikelihoodCase(NegativeBinomial(), COUNTS),
    LikelihoodCase(NegativeBinomial(size_factor=True), COUNTS),
    LikelihoodCase(ZeroInflatedNegativeBinomial(), COUNTS),
    LikelihoodCase(ZeroInflatedNegativeBinomial(size_factor=True), COUNTS),
    LikelihoodCase(Columns(ALL), MIXED),
]


@pytest.fixture(params=LIKELIHOOD_CASES, ids=str)
def case(request):
    """Every likelihood, and a mixture of all. A new likelihood is one line above."""
    return request.param


@pytest.fixture(scope="session")
def every_kind():
    """A model of a mixture of all likelihoods, and the rows that it was fitted to."""
    options = {"hidden_layer_sizes": (4,), "early_stopping": False, "max_iter": 2}
    vae = VAETransformer(likelihood=Columns(ALL), random_state=0, tol=None, **options)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*components carry nothing")
        return vae.fit(MIXED), MIXED


class Small:
    """Trainings on a small table, of three batches an epoch, or so."""

    plan = Plan(
        objective=ELBO(0.0),
        weights={},
        solver="adam",
        learning_rate=Constant(1e-3),
        max_iter=6,
        tol=None,
        n_iter_no_change=10,
        seed=0,
    )

    def __init__(self):
        rng = np.random.default_rng(0)
        signal = rng.normal(size=(50, 2)) @ rng.normal(size=(2, 5))
        self.X = signal + 0.3 * rng.normal(size=(50, 5))

    @staticmethod
    def rows(X, weights=None):
        """Return the rows of a table, as they are."""
        weights = np.ones(len(X)) if weights is None else weights
        return Rows(as_cells(X), np.arange(len(X)), weights / weights.mean())

    def model(self, prior="normal", has_path=True):
        """Return a model, at its linear start if it has paths."""
        networks = (Perceptron((6,), "tanh"),) * 2
        known = (has_path, Gaussian(), as_prior(prior))
        model = Architecture(5, 2, *networks, *known).build(seed=0)
        model.likelihood.fit_statistics(self.rows(self.X))
        if has_path:
            start_linear(model, self.rows(self.X))
        return model

    def batches(self, model, X, batch_size=16, weights=None):
        """Return the rows of a table in batches."""
        rows, cpu = self.rows(X, weights), torch.device("cpu")
        return Batches.from_rows(rows, model.likelihood.prepare, cpu, batch_size)

    def training(
        self,
        model=None,
        *,
        held_out=False,
        shown=False,
        batch_size=16,
        earlier=None,
        beta=1.0,
        **plan,
    ):
        """Return a training on 40 of the rows, with or without the others held out."""
        model = self.model() if model is None else model
        train = self.batches(model, self.X[:40], batch_size)
        held_out = self.batches(model, self.X[40:]) if held_out else None
        shown = self.batches(model, self.X[:10]) if shown else None
        plan = self.plan._replace(weights={"kl": as_weight(beta)})._replace(**plan)
        is_linear = model.encoder.path.has_map
        start = Start(is_linear, is_linear, 5.0)
        return Training(model, train, held_out, shown, plan, start, earlier)

    def run(self, *args, end=lambda: False, **options):
        """Return such a training after its run."""
        training = self.training(*args, **options)
        training.run(lambda: None, end)
        return training


@pytest.fixture(scope="session")
def small():
    """Return what makes trainings on a small table."""
    return Small()


class Tables:
    """What answers in the units of a table owe to it, whatever its types."""

    @staticmethod
    def columns(table):
        """Return the columns by position, since two may have the same name."""
        if isinstance(table, pd.DataFrame):
            return [table.iloc[:, j] for j in range(table.shape[1])]
        return list(table.T if isinstance(table, np.ndarray) else table)

    @staticmethod
    def cells(column):
        """Return the cells as objects that keep every digit."""
        if not isinstance(column, pl.Series):
            return pd.Series(column.astype(native(column.dtype))).tolist()
        # A list of dates would lose nanoseconds.
        return (
            column.to_physical() if column.dtype.is_temporal() else column
        ).to_list()

    @staticmethod
    def missing(column):
        """Return which cells are missing."""
        if not isinstance(column, pl.Series):
            return np.asarray(pd.isna(column.astype(native(column.dtype))))
        column = column.fill_nan(None) if column.dtype.is_float() else column
        return column.is_null().to_numpy()

    def observed(self, column):
        """Return the cells that are not missing."""
        cells = zip(self.cells(column), self.missing(column), strict=True)
        return [cell for cell, is_missing in cells if not is_missing]

    def frozen(self, table):
        """Return all that a table holds as bytes, also what lies outside of a view."""
        if isinstance(table, np.ndarray):
            while isinstance(table.base, np.ndarray):
                table = table.base
        elif scipy.sparse.issparse(table):
            # Whether indices are known to be sorted is not among the data.
            table = {k: v for k, v in vars(table).items() if "has_" not in k}
        elif isinstance(table, pd.DataFrame | pl.DataFrame):
            columns = [(str(c.dtype), self.cells(c)) for c in self.columns(table)]
            table = getattr(table, "index", None), table.columns, columns
        return pickle.dumps(table)

    def assert_as_in_fit(self, answer, X):
        """Fail unless an answer has the library, the names and the types of X."""
        self.assert_same_names(answer, X)
        if isinstance(answer, np.ndarray):
            dtype = np.asarray(X).dtype
            # Numbers of arrays are not rounded.
            kinds = dtype.kind if dtype.kind in "mM" else "f"
            assert answer.dtype.kind in kinds
            return
        assert list(map(native, answer.dtypes)) == list(map(native, X.dtypes))
        for column, like in zip(*map(self.columns, (answer, X)), strict=True):
            if column.dtype == object:
                sorts = [{*map(sort, self.observed(each))} for each in (column, like)]
                assert sorts[0] <= sorts[1]

    def assert_filled(self, answer, X):
        """Fail unless an answer is X with cells in the place of the missing ones."""
        X = np.asarray(X) if isinstance(X, list) else X
        assert answer.shape == X.shape
        self.assert_same_names(answer, X)
        if isinstance(X, pd.DataFrame):
            self.assert_same_index(answer.index, X.index)
        for filled, column in zip(*map(self.columns, (answer, X)), strict=True):
            self.assert_same_cells(filled, column)

    @staticmethod
    def assert_same_index(index, like):
        """Fail unless two indices have the same labels, and names of their levels."""
        assert index.equals(like)
        assert list(index.names) == list(like.names)

    def assert_same_names(self, answer, X):
        """Fail unless an answer is of the library of X and has its columns."""
        if isinstance(X, pd.DataFrame):
            assert isinstance(answer, pd.DataFrame)
            self.assert_same_index(answer.columns, X.columns)
        elif isinstance(X, pl.DataFrame):
            assert isinstance(answer, pl.DataFrame)
            assert answer.columns == X.columns
        else:
            assert isinstance(answer, np.ndarray)

    def assert_same_cells(self, filled, column):
        """Fail unless the observed cells of a column are the very cells in another."""
        missing = self.missing(column)
        if missing.all():
            return
        is_object = column.dtype == object
        # An array of objects becomes one of floats, if that changes no cell.
        is_float = (
            is_object and isinstance(column, np.ndarray) and filled.dtype == float
        )
        assert is_float or native(filled.dtype) == native(column.dtype)
        assert not self.missing(filled).any()
        cells = self.cells(filled)
        kept = [cells[i] for i in np.flatnonzero(~missing)]
        observed = self.observed(column)
        assert kept == observed
        if is_object and not is_float:
            assert list(map(type, kept)) == list(map(type, observed))


def native(dtype):
    """Return a type of NumPy in the order of bytes of this machine, others as is."""
    return dtype.newbyteorder("=") if isinstance(dtype, np.dtype) else dtype


def sort(cell):
    """Return what sort of Python object a cell is."""
    abstract = (bool | np.bool_, numbers.Integral, Decimal, numbers.Real)
    return next((each for each in abstract if isinstance(cell, each)), type(cell))


@pytest.fixture(scope="session")
def tables():
    """Return what tables and answers are checked with."""
    return Tables()
