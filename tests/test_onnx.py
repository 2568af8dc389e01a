"""ONNX runtime answers raw rows as the model does."""

import os
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.exceptions import NotFittedError
from torch import nn

from skvae import (
    AutoencoderTransformer,
    VAEImputer,
    VAETransformer,
    export_onnx,
)
from skvae.likelihoods import Likelihood, LikelihoodModel, Linearization
from skvae.networks import ConvolutionalEncoder, Perceptron, ResidualPerceptron
from skvae.priors import CategoricalLatents, Flow, Mixture, NoPrior, VampPrior

onnx = pytest.importorskip("onnx", reason="needs the package onnx")
onnxruntime = pytest.importorskip("onnxruntime", reason="needs onnxruntime")

pytestmark = pytest.mark.filterwarnings("ignore:.*components carry nothing")

TOLERANCE = 1e-9
"""Of a column's spread, of a component, and of |score| + 1; the promise is 1e-5."""

SIZES = 1, 3, 17
"""Numbers of rows in a batch."""


def small(cls=VAETransformer, n_components=2, **params):
    """Return an estimator that is fitted in one epoch."""
    density = {"objective": "elbo", "sampler": "prior"} if cls is VAETransformer else {}
    networks = {} if "encoder" in params else {"hidden_layer_sizes": 6}
    options = {"max_iter": 1, "tol": None, "early_stopping": False, "random_state": 0}
    return cls(n_components, **{**density, **networks, **options, **params})


def shaken(model, size=0.2):
    """Return a fitted model with parameters far from any start, as if trained."""
    random = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in model.module_.parameters():
            noise = torch.randn(parameter.shape, generator=random)
            parameter.add_(noise.to(parameter), alpha=size)
    return model


def with_gaps(X, fraction=0.2):
    """Return rows with missing cells, one of them without any other."""
    X = X[: SIZES[-1]].copy()
    X[np.random.default_rng(0).random(X.shape) < fraction] = np.nan
    X[2] = np.nan
    return X


def session(model, part, folder):
    """Return ONNX runtime's session for an exported part."""
    path = folder / f"{part}.onnx"
    export_onnx(model, path, part)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    providers = ["CPUExecutionProvider"]
    return onnxruntime.InferenceSession(str(path), options, providers)


def answers(part, **rows):
    """Return the outputs by name, the same in batches of any size."""
    names = [output.name for output in part.get_outputs()]
    batches = [{name: x[:n] for name, x in rows.items()} for n in SIZES]
    each = [dict(zip(names, part.run(None, batch), strict=True)) for batch in batches]
    for some in each:
        for name, whole in each[-1].items():
            same = whole[: len(some[name])]
            if whole.dtype == object:
                assert (some[name] == same).all()
            else:
                np.testing.assert_allclose(some[name], same, rtol=1e-12, atol=1e-12)
    return each[-1]


def assert_same(found, expected, spread=1.0):
    """Fail unless numbers agree, relative to their size and to a column's spread."""
    assert found.dtype == np.float64
    assert found.shape == expected.shape
    np.testing.assert_array_equal(np.isnan(found), np.isnan(expected))
    scale = np.maximum(np.abs(expected), spread)
    assert (np.abs(found - expected) <= TOLERANCE * scale).all()


def assert_encodes(model, X, folder):
    found = answers(session(model, "encoder", folder), X=X)["Z"]
    assert_same(found, model.transform(X))


def assert_decodes(model, X, folder):
    Z = 2.0 * model.transform(X)
    found = answers(session(model, "decoder", folder), Z=Z)["X"]
    spread = np.nanstd(X, axis=0)
    assert_same(found, np.asarray(model.inverse_transform(Z), dtype=float), spread)


def assert_scores(model, X, folder):
    found = answers(session(model, "score", folder), X=X)["score"]
    assert_same(found, model.score_samples(X))


# Likelihoods


def test_parts_of_every_likelihood_equal_the_model(case, tmp_path):
    model = shaken(small(likelihood=case.spec, hidden_fraction=0.3).fit(case.X))
    X = with_gaps(case.X)
    assert_encodes(model, X, tmp_path)
    assert_decodes(model, X, tmp_path)
    assert_scores(model, X, tmp_path)


def test_constant_columns_equal_the_model(iris, tmp_path):
    X = np.column_stack((iris, np.full(len(iris), 3.7)))
    model = shaken(small().fit(X))
    X = with_gaps(X[::9])
    X[5, 4] = 4.0
    assert_encodes(model, X, tmp_path)
    assert_decodes(model, X, tmp_path)
    assert_scores(model, X, tmp_path)


def test_rows_score_by_as_many_draws_as_the_model_takes(iris, tmp_path):
    model = shaken(small().fit(iris), 0.05)
    X = iris[::9]
    each = [model.score_samples(X, n_draws=n) for n in (16, 32, 64, 128)]
    taken = np.isclose(each, model.score_samples(X), rtol=1e-12).argmax(axis=0)
    assert set(taken) == {0, 1, 2, 3}
    assert_scores(model, X, tmp_path)


def test_no_rows_have_no_answers(iris, tmp_path):
    model, X = small().fit(iris), np.empty((0, 4))
    (Z,) = session(model, "encoder", tmp_path).run(None, {"X": X})
    (decoded,) = session(model, "decoder", tmp_path).run(None, {"Z": Z})
    (scores,) = session(model, "score", tmp_path).run(None, {"X": X})
    assert (Z.shape, decoded.shape, scores.shape) == ((0, 2), (0, 4), (0,))


# Tables


def table(n=60):
    """Return a table of columns of all kinds, with missing cells."""
    random = np.random.default_rng(0)
    levels = pd.CategoricalDtype(["low", "mid", "high"], ordered=True)
    days = pd.to_timedelta(100.0 * random.random(n), "D")
    X = pd.DataFrame(
        {
            "age": random.integers(18, 80, n),
            "city": random.choice(["Rome", "Oslo", "Bern"], n),
            "paid": pd.array(random.random(n) < 0.4, "boolean"),
            "height": random.normal(170.0, 10.0, n),
            "Z": pd.Series(random.choice(levels.categories, n), dtype=levels),
            "day": pd.Timestamp("2024-03-01 12:00") + days,
            "class": pd.Categorical(random.integers(3, 7, n)),
            "length": days,
        }
    )
    for j, name in enumerate(("city", "paid", "height", "day")):
        X.loc[j :: 5 + j, name] = None
    return X


def inputs_of(X):
    """Return the inputs of a graph for a table: (n, 1) for each column."""
    inputs = {}
    for name, cells in X.items():
        if cells.dtype.kind in "mM":
            cells = cells - pd.Timestamp(0) if cells.dtype.kind == "M" else cells
            cells = cells / pd.Timedelta(days=1)
        if name in ("city", "Z"):
            values = cells.astype(object).where(cells.notna(), "").to_numpy(object)
        else:
            values = cells.to_numpy(dtype=np.float64, na_value=np.nan)
        inputs[name] = values[:, None]
    return inputs


@pytest.fixture(scope="module")
def of_table():
    model = shaken(small(handle_unknown="missing", hidden_fraction=0.3).fit(table()))
    return model, table()[: SIZES[-1]]


def test_table_is_encoded_and_scored_from_its_columns(of_table, tmp_path):
    model, X = of_table
    found = answers(session(model, "encoder", tmp_path), **inputs_of(X))
    # An input has the name Z already.
    assert_same(found["Z_"], model.transform(X))
    found = answers(session(model, "score", tmp_path), **inputs_of(X))
    assert_same(found["score"], model.score_samples(X))


def test_text_that_fit_has_not_seen_is_a_missing_cell(of_table, tmp_path):
    model, X = of_table
    inputs = inputs_of(X)
    inputs["city"] = np.full((len(X), 1), "Lima", dtype=object)
    inputs["class"] = np.full((len(X), 1), 17.0)
    found = answers(session(model, "encoder", tmp_path), **inputs)["Z_"]
    assert_same(found, model.transform(X.assign(**{"city": None, "class": None})))


def test_table_is_decoded_to_columns_of_its_types(of_table, tmp_path):
    model, X = of_table
    Z = 3.0 * model.transform(X)
    found = answers(session(model, "decoder", tmp_path), Z=Z)
    expected = model.inverse_transform(Z)
    assert list(found) == [name if name != "Z" else "Z_" for name in X]
    for name, kind in {
        "age": np.int64,
        "class": np.int64,
        "paid": np.bool_,
        "city": object,
    }.items():
        assert found[name].dtype == kind
        assert found[name][:, 0].tolist() == expected[name].tolist()
    assert found["Z_"][:, 0].tolist() == expected["Z"].tolist()
    expected = inputs_of(expected)
    for name in ("height", "day", "length"):
        spread = np.nanstd(inputs_of(table())[name])
        assert_same(found[name], expected[name], spread)


def test_table_of_numbers_is_one_input_and_one_output(tmp_path):
    X = table()[["age", "height"]].assign(is_tall=lambda X: X["height"] > 170.0)
    model = shaken(small().fit(X))
    rows = X.to_numpy(dtype=float)[: SIZES[-1]]
    found = answers(session(model, "encoder", tmp_path), X=rows)["Z"]
    assert_same(found, model.transform(X[: SIZES[-1]]))
    Z = 3.0 * found
    expected = model.inverse_transform(Z).to_numpy(dtype=float)
    found = answers(session(model, "decoder", tmp_path), Z=Z)["X"]
    assert_same(found, expected, np.nanstd(rows, axis=0))


def test_codes_in_an_array_are_any_numbers(tmp_path):
    random = np.random.default_rng(0)
    X = np.column_stack((random.normal(size=50), random.choice([0.5, 2.0, 7.0], 50)))
    X = np.column_stack((X, random.integers(2, 4, 50)))
    given = {1: "categorical", 2: "ordinal"}
    model = shaken(small(likelihood=given, handle_unknown="missing").fit(X))
    X = with_gaps(X)
    X[0, 1] = 3.0
    assert_encodes(model, X, tmp_path)
    assert_decodes(model, X, tmp_path)
    assert_scores(model, X, tmp_path)


# Priors, networks, and what a user writes


@pytest.fixture(scope="module")
def rows():
    random = np.random.default_rng(0)
    X = random.normal(size=(60, 2)) @ random.normal(size=(2, 12))
    X += 0.3 * random.normal(size=X.shape)
    X[::7, 2] = np.nan
    return X


@pytest.mark.parametrize(
    "params",
    [
        {"prior": Mixture(3)},
        {"prior": Mixture(3, "tied")},
        {"prior": VampPrior(5)},
        {"prior": CategoricalLatents(2)},
        {"prior": CategoricalLatents(2, n_variables=2)},
        {"sampler": "mixture"},
        {"sampler": "posterior"},
    ],
    ids=str,
)
def test_priors_encode_and_score(params, rows, tmp_path):
    model = shaken(small(n_components=4, **params).fit(rows))
    X = with_gaps(rows)
    assert_encodes(model, X, tmp_path)
    assert_scores(model, X, tmp_path)


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ({"prior": Flow(1, 8)}, r"form in ONNX. Got Flow\(.*Use sampler='mixture'"),
        (
            {"prior": NoPrior(), "objective": "rae", "sampler": Mixture(1)},
            "require a prior whose posterior is random",
        ),
    ],
    ids=["flow", "none"],
)
def test_priors_without_a_score_encode_and_decode(params, said, rows, tmp_path):
    pytest.importorskip("zuko", reason="flows need the package zuko")
    model = shaken(small(**params).fit(rows))
    X = with_gaps(rows)
    assert_encodes(model, X, tmp_path)
    assert_decodes(model, X, tmp_path)
    with pytest.raises(ValueError, match=said):
        export_onnx(model, tmp_path / "score.onnx", "score")
    assert not (tmp_path / "score.onnx").exists()


def test_autoencoder_equals_the_model(rows, tmp_path):
    model = shaken(small(AutoencoderTransformer).fit(rows))
    X = with_gaps(rows)
    assert_encodes(model, X, tmp_path)
    assert_decodes(model, X, tmp_path)
    assert_scores(model, X, tmp_path)


def layers(n_in, n_out):
    return nn.Sequential(
        nn.Linear(n_in, 8),
        nn.LeakyReLU(),
        nn.LayerNorm(8),
        nn.Dropout(0.2),
        nn.Linear(8, 8),
        nn.ReLU(inplace=True),
        nn.Linear(8, 8),
        nn.ELU(),
        nn.Linear(8, n_out),
    )


class Attention(nn.Module):
    """Columns attend to each other; then a convolution, and sizes that are asked."""

    def __init__(self, n_in, n_out):
        super().__init__()
        self.column, self.n_channels = nn.Linear(1, 4), 2
        self.images = nn.Conv2d(1, self.n_channels, 3, stride=2, padding=1)
        self.last = nn.Linear(self.n_channels * ((n_in + 1) // 2) * 2 + 1, n_out)

    def forward(self, h):
        columns = self.column(h.unsqueeze(-1))
        weights = (columns @ columns.transpose(-1, -2) / 2.0).softmax(-1)
        images = torch.tanh(self.images((weights @ columns)[:, None]))
        flat = images.view(h.size(0), -1)
        return self.last(torch.cat((flat, h.new_zeros(h.shape[0], 1)), dim=-1))


@pytest.mark.parametrize(
    "encoder",
    [
        Perceptron(()),
        *(Perceptron((6, 5), name) for name in ("identity", "logistic", "tanh")),
        *(Perceptron((6, 5), name) for name in ("relu", "gelu", "silu")),
        ResidualPerceptron(2, 6),
        ConvolutionalEncoder((3, 4), (2, 3), n_units=5),
        ConvolutionalEncoder((4, 3), 2, kernel_size=5, stride=3, n_units=()),
        layers,
        Attention,
    ],
    ids=lambda encoder: getattr(encoder, "__name__", repr(encoder)),
)
def test_networks_encode_and_decode(encoder, rows, tmp_path):
    model = shaken(small(encoder=encoder).fit(rows))
    X = with_gaps(rows)
    assert_encodes(model, X, tmp_path)
    assert_decodes(model, X, tmp_path)


def test_networks_without_a_linear_path_equal_the_model(rows, tmp_path):
    model = shaken(small(init="random").fit(rows))
    assert_encodes(model, with_gaps(rows), tmp_path)


class LaplaceModel(LikelihoodModel):
    """Laplace noise around the outputs, which are in the units of X."""

    preparation_kind, link_kind = "standard", "affine"

    def __init__(self, n_features):
        super().__init__()
        self.n_features = self.n_inputs = self.n_outputs = n_features
        self.add_statistics(loc=0.0)
        self.log_noise = nn.Parameter(torch.zeros((), dtype=torch.float32))

    def fit_statistics(self, rows):
        self.loc.copy_(torch.from_numpy(np.nanmean(rows[np.arange(len(rows))], 0)))

    def preparation_arrays(self):
        return {"unit": 1.0, "loc": self.loc, "scale": torch.ones_like(self.loc)}

    link_arrays = preparation_arrays

    def cell_log_prob(self, outputs, x):
        distances = (x - outputs).abs() * torch.exp(-self.log_noise)
        return -distances - self.log_noise.to(outputs.dtype) - np.log(2.0)

    def linearized(self):
        zeros = torch.zeros_like(self.loc)
        return Linearization(inputs=zeros, outputs=zeros, slope=1.0)


class Laplace(Likelihood):
    def build(self, n_features):
        return LaplaceModel(n_features)


def test_likelihood_of_ones_own_equals_the_model(rows, tmp_path):
    model = shaken(small(likelihood=Laplace()).fit(rows))
    X = with_gaps(rows)
    assert_encodes(model, X, tmp_path)
    assert_decodes(model, X, tmp_path)
    assert_scores(model, X, tmp_path)


class Sinc(nn.Linear):
    def forward(self, h):
        return super().forward(torch.sinc(h))


class Choice(nn.Linear):
    def forward(self, h):
        return super().forward(-h if h.sum() > 1e9 else h)


@pytest.mark.parametrize(
    ("encoder", "said"),
    [
        (Sinc, r"encoder=UserNetwork\(Sinc\): torch.sinc has none"),
        (Choice, r"encoder=UserNetwork\(Choice\): values are not known"),
    ],
)
def test_network_without_a_form_is_refused_in_words(encoder, said, rows, tmp_path):
    model = small(encoder=encoder).fit(rows)
    with pytest.raises(ValueError, match=f"have a form in ONNX. Got {said}.*Use a n"):
        export_onnx(model, tmp_path / "x.onnx")
    assert not list(tmp_path.iterdir())
    export_onnx(model, tmp_path / "x.onnx", "decoder")


# What is refused


def test_model_must_be_fitted_and_a_transformer(rows, tmp_path):
    with pytest.raises(NotFittedError):
        export_onnx(small(), tmp_path / "x.onnx")
    imputer = VAEImputer(estimator=small(), random_state=0).fit(rows)
    with pytest.raises(ValueError, match=r"Got VAEImputer. Pass .* model.estimator_"):
        export_onnx(imputer, tmp_path / "x.onnx")
    export_onnx(imputer.estimator_, tmp_path / "x.onnx")


def test_part_must_be_known(rows, tmp_path):
    with pytest.raises(ValueError, match=r"part must be one of .* Got 'prior'"):
        export_onnx(small().fit(rows), tmp_path / "x.onnx", "prior")


def test_categories_must_be_text_numbers_or_booleans(tmp_path):
    X = pd.DataFrame({"day": pd.Categorical(pd.to_datetime(["2024-01-01"] * 20))})
    model = small(n_components=1).fit(X.assign(a=np.arange(20.0)))
    with pytest.raises(ValueError, match=r"categories of text.*Got .* column 'day'"):
        export_onnx(model, tmp_path / "x.onnx")


def test_package_must_be_installed(rows, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(ImportError, match=r"pip install 'skvae\[onnx\]'"):
        export_onnx(small().fit(rows), tmp_path / "x.onnx")


# The file


@pytest.mark.usefixtures("untouched")
def test_file_is_valid_and_says_what_it_is(rows, tmp_path):
    model, path = small().fit(rows), tmp_path / "x.onnx"
    export_onnx(model, str(path), part="score")
    proto = onnx.load(path)
    onnx.checker.check_model(proto, full_check=True)
    said = {each.key: each.value for each in proto.metadata_props}
    assert said["part"] == "score"
    assert proto.producer_name == "skvae"
    first = path.read_bytes()
    export_onnx(model, path, part="score")
    assert path.read_bytes() == first


def test_parameters_take_four_bytes_each(iris, tmp_path):
    model = small(encoder=Perceptron((200, 200))).fit(iris)
    export_onnx(model, tmp_path / "x.onnx")
    n_parameters = sum(p.numel() for p in model.module_.encoder.parameters())
    assert (tmp_path / "x.onnx").stat().st_size < 4.2 * n_parameters + 20_000


def test_file_that_cannot_be_written_leaves_nothing_behind(rows, tmp_path):
    model, path = small().fit(rows), tmp_path / "folder"
    path.mkdir()
    (path / "kept").touch()
    with pytest.raises(OSError, match="folder"):
        export_onnx(model, path)
    assert [*map(Path, os.listdir(tmp_path))] == [Path("folder")]
    with pytest.raises(FileNotFoundError):
        export_onnx(model, tmp_path / "nowhere" / "x.onnx")


def test_file_is_written_through_a_link_and_keeps_its_permissions(rows, tmp_path):
    target, link = tmp_path / "encoder.onnx", tmp_path / "link.onnx"
    target.touch()
    target.chmod(0o640)
    link.symlink_to(target)
    export_onnx(small().fit(rows), link)
    assert link.is_symlink()
    assert target.stat().st_size
    assert target.stat().st_mode & 0o777 == 0o640


# Pipelines


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_pipeline_with_a_model_converts(iris, dtype):
    skl2onnx = pytest.importorskip("skl2onnx", reason="needs the package skl2onnx")
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    from skvae.files import register_onnx

    register_onnx()
    y = np.arange(len(iris)) // 50
    pipe = make_pipeline(StandardScaler(), small(), LogisticRegression()).fit(iris, y)
    shaken(pipe[1])
    X = iris.astype(dtype)
    proto = skl2onnx.to_onnx(pipe, X[:1], options={"zipmap": False})
    run = onnxruntime.InferenceSession(
        proto.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    labels, probabilities = run.run(None, {"X": X})
    assert probabilities.dtype == dtype
    tolerance = 1e-5 if dtype == np.float32 else 1e-9
    np.testing.assert_allclose(probabilities, pipe.predict_proba(X), atol=tolerance)
    assert (labels == pipe.predict(X)).mean() > 0.99


def test_pipeline_of_an_old_opset_is_refused_in_words(iris):
    skl2onnx = pytest.importorskip("skl2onnx", reason="needs the package skl2onnx")
    from skvae.files import register_onnx

    register_onnx()
    model = small().fit(iris)
    with pytest.raises(ValueError, match="target_opset must be at least 18"):
        skl2onnx.to_onnx(model, iris[:1], target_opset=15)


@pytest.mark.parametrize("columns", [["a", "b"], ["a", "text"], ["text"], ["a", "n"]])
def test_model_that_is_the_first_step_takes_a_table(columns):
    skl2onnx = pytest.importorskip("skl2onnx", reason="needs the package skl2onnx")
    from skvae.files import register_onnx

    register_onnx()
    random = np.random.default_rng(0)
    X = pd.DataFrame(random.normal(size=(60, 2)), columns=["a", "b"])
    X = X.assign(n=random.integers(50, size=60), text=random.choice(["x", "y"], 60))
    X = X[columns]
    model = shaken(small(n_components=1).fit(X))
    proto = skl2onnx.to_onnx(model, X[:1])
    run = onnxruntime.InferenceSession(
        proto.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    (Z,) = run.run(None, {name: X[[name]].to_numpy() for name in columns})
    np.testing.assert_allclose(Z, model.transform(X), atol=1e-5)


def test_step_that_lacks_columns_of_a_table_is_refused_in_words():
    skl2onnx = pytest.importorskip("skl2onnx", reason="needs the package skl2onnx")
    from skvae.files import register_onnx

    register_onnx()
    model = small().fit(table())
    with pytest.raises(ValueError, match="requires an input for each of its 8 columns"):
        skl2onnx.to_onnx(model, np.zeros((1, 8)))
