"""Models ↔ files: whatever can be fitted answers as before after loading."""

import datetime
import json
import pickle
import warnings
from decimal import Decimal
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pytest
import torch
from sklearn.base import BaseEstimator, clone
from sklearn.exceptions import NotFittedError
from torch import nn

import skvae
from skvae import (
    AutoencoderTransformer,
    VAEImputer,
    VAEOutlierDetector,
    VAETransformer,
    estimators,
    likelihoods,
    networks,
    objectives,
    priors,
    schedules,
)
from skvae.estimators._marginal import Marginal
from skvae.files import ModelFileError, _save
from skvae.files._models import MODELS, NAME_OF, SPECS
from skvae.table import Layout

RNG = np.random.default_rng(0)
X = RNG.normal(size=(40, 4)) @ RNG.normal(size=(4, 4))
GAPPY = np.where(RNG.random(X.shape) < 0.1, np.nan, X)
FAST = {"max_iter": 2, "tol": None, "random_state": 0, "hidden_layer_sizes": (5,)}
IMAGES = RNG.random((30, 64))


@pytest.fixture
def path(tmp_path):
    return tmp_path / "m.skvae"


@pytest.fixture(autouse=True)
def no_warnings_of_short_fits():
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=UserWarning)
        yield


def vae(**options):
    return VAETransformer(**{**FAST, **options})


def without_sizes(**options):
    return VAETransformer(**{**FAST, "hidden_layer_sizes": "auto", **options})


MODELS_TO_SAVE = {
    "VAETransformer": (vae(), X),
    "auto": (vae(n_components="auto"), X),
    "float32": (vae(), X.astype(np.float32)),
    "missing": (vae(), GAPPY),
    "AutoencoderTransformer": (AutoencoderTransformer(**FAST), X),
    "VAEImputer": (VAEImputer(max_iter=2, random_state=0), GAPPY),
    "VAEImputer of a model": (VAEImputer(estimator=vae(), add_indicator=True), GAPPY),
    "VAEOutlierDetector": (VAEOutlierDetector(max_iter=2, random_state=0), X),
    "detector of a model": (VAEOutlierDetector(estimator=vae()), X),
    "mixture": (vae(prior="mixture"), X),
    "vamp": (vae(prior=priors.VampPrior(5)), X),
    "vamp, missing": (vae(prior=priors.VampPrior(50)), GAPPY),
    "flow": (vae(prior=priors.Flow(2, 8)), X),
    "categories": (vae(n_components=5, prior=priors.CategoricalLatents(3)), X),
    "no prior": (vae(prior=priors.NoPrior(), objective="rae"), X),
    "posterior": (vae(sampler="posterior"), X),
    "mixture after": (vae(sampler=priors.Mixture(2, "tied")), X),
    "residual": (without_sizes(encoder=networks.ResidualPerceptron(1, 8)), X),
    "convolutional": (
        without_sizes(
            encoder=networks.ConvolutionalEncoder((8, 8), n_channels=2, n_units=8)
        ),
        IMAGES,
    ),
    "no path": (vae(init="random"), X),
    "warm": (vae(warm_start=True), X),
    "ControlVAE": (vae(objective="elbo", beta=schedules.ControlVAE(1.0)), X),
    "GECO": (vae(objective="elbo", beta=schedules.GECO(1.0)), X),
    "StallDecay": (vae(objective="elbo", beta=schedules.StallDecay()), X),
    "WarmUp": (vae(beta=schedules.WarmUp(0.5), learning_rate=1e-3), X),
    "Cosine": (vae(learning_rate=schedules.Cosine(1e-3)), X),
    "names of columns": (vae(likelihood={0: "student_t", (1): "gaussian"}), X),
    "random state": (vae(random_state=np.random.RandomState(3)), X),
    "device": (vae(device=torch.device("cpu")), X),
    "sizes of NumPy": (vae(hidden_layer_sizes=np.array([5, np.int64(4)])), X),
    "text of NumPy": (vae(objective=np.str_("elbo")), X),
    "linear": (vae(hidden_layer_sizes=()), X),
}
for name in ("iwae", "free_bits", "total_correlation", "denoising"):
    MODELS_TO_SAVE[name] = vae(objective=name), X
MODELS_TO_SAVE["nested_dropout"] = vae(objective="nested_dropout"), X


def answers(model, X):
    """Return all that a fitted model says of a few rows."""
    X = X[:5]
    calls = {
        "transform": lambda: model.transform(X),
        "score_samples": lambda: model.score_samples(X),
        "predict": lambda: model.predict(X),
        "impute": lambda: model.impute(X),
        "sample": lambda: model.sample(3, random_state=0),
        "inverse": lambda: model.inverse_transform(np.asarray(model.transform(X))),
    }
    given = {}
    for name, call in calls.items():
        try:
            given[name] = call()
        except (AttributeError, ValueError) as error:
            given[name] = f"{type(error).__name__}: {error}"
    return given


def parts(value):
    """Return what a value consists of, by name; None if it is one by itself."""
    if isinstance(value, dict):
        return value
    if isinstance(value, list | tuple):
        return dict(enumerate(value))
    if isinstance(value, nn.Module):
        return {k: tensor.numpy() for k, tensor in value.state_dict().items()}
    if isinstance(value, np.random.RandomState):
        return dict(enumerate(value.get_state()))
    if isinstance(value, BaseEstimator | Layout | Marginal):
        return {name: part for name, part in vars(value).items() if name != "coded"}
    return None


def assert_equal(own, other):
    """Fail unless two values are equal, bit by bit."""
    assert type(own) is type(other)
    some, others = parts(own), parts(other)
    if some is not None:
        assert some.keys() == others.keys()
        for key in some:
            assert_equal(some[key], others[key])
    elif isinstance(own, np.ndarray):
        np.testing.assert_array_equal(own, other, strict=True)
    elif hasattr(own, "equals"):
        assert own.equals(other)
    else:
        assert own == other or (own != own and other != other)


@pytest.mark.parametrize("name", MODELS_TO_SAVE)
def test_model_is_the_same_after_loading(name, path):
    model, X = MODELS_TO_SAVE[name]
    model = clone(model).fit(X)
    model.save(path)
    loaded = skvae.load(path)
    assert_equal(model, loaded)
    assert_equal(answers(model, X), answers(loaded, X))
    clone(loaded).fit(X)
    assert b"torch" not in pickle.dumps(
        model.set_params(device="cpu") if name == "device" else model
    )


def test_likelihood_is_the_same_after_loading(case, path):
    model = vae(likelihood=case.spec, max_iter=1).fit(case.X)
    model.save(path)
    loaded = skvae.load(path)
    assert_equal(model, loaded)
    assert_equal(model.transform(case.X), loaded.transform(case.X))
    assert b"torch" not in pickle.dumps(model)


def test_every_estimator_and_spec_can_be_saved():
    modules = (estimators, likelihoods, networks, objectives, priors, schedules)
    public = {getattr(module, name) for module in modules for name in module.__all__}
    specs = {c for c in public if isinstance(c, type) and issubclass(c, BaseEstimator)}
    assert specs - set(NAME_OF) == {networks.UserNetwork}
    assert {getattr(skvae, name.split(".")[-1]).save for name in MODELS}


@pytest.mark.parametrize("name", SPECS)
def test_spec_has_nothing_but_its_parameters(name):
    """Files hold the parameters of a spec."""
    base_classes = ("Objective", "Prior", "Network", "Schedule", "Weight", "Likelihood")
    if name.split(".")[-1] in (*base_classes, "Wrapper", "AddedTerm"):
        return
    required = {
        "Columns": ([],),
        "FreeBits": (),
        "ConvolutionalEncoder": ((8, 8),),
        "ConvolutionalDecoder": ((8, 8),),
        "Constant": (1.0,),
        "ControlVAE": (1.0,),
        "GECO": (1.0,),
    }
    spec = SPECS[name](*required.get(name.split(".")[-1], ()))
    assert vars(spec).keys() == spec.get_params(deep=False).keys()


# Tables


def table():
    """Return columns of every type that a fit can read."""
    n = 30
    i = np.arange(n)
    day = pd.Timestamp("2020-02-29")
    dates = pd.Series(day + pd.to_timedelta(i, "D"))
    return pd.DataFrame(
        {
            "number": X[:n, 0],
            "whole": i,
            "Int64": pd.array(i, dtype="Int64"),
            "bool": i % 2 == 0,
            "text": np.array(["ä", "b", "c\0d"])[i % 3],
            "object": pd.Series([None, "x", "y"] * 10, dtype=object),
            "mixed": pd.Series([1, "x", 2.5] * 10, dtype=object).astype("category"),
            "level": pd.Categorical(
                np.array(["low", "high"])[i % 2], ["low", "high"], ordered=True
            ),
            "numbers": pd.Categorical(i % 3),
            "floats": pd.Categorical(i % 2 / 3),
            "bools": pd.Categorical(i % 2 == 0),
            "date": dates,
            "zone": dates.dt.tz_localize("Europe/Berlin"),
            "duration": pd.to_timedelta(i, "h"),
            "dates": pd.Categorical(dates.where(i % 2 == 0, day)),
            "zones": pd.Categorical(dates.where(i % 2 == 0, day).dt.tz_localize("UTC")),
            "durations": pd.Categorical(pd.to_timedelta(i % 3, "h")),
            "interval": pd.cut(X[:n, 1], 3),
            "arrow": pd.array(i, dtype="int8[pyarrow]"),
            "string": pd.array(np.array(["p", "q"])[i % 2], dtype="string"),
            "decimal": [Decimal(k).scaleb(-1) for k in range(n)],
        }
    )


def polars_table():
    n = 30
    i = np.arange(n)
    first = datetime.date(2020, 2, 29)
    return pl.DataFrame(
        {
            "number": X[:n, 0],
            "text": np.array(["ä", "b", "c"])[i % 3],
            "enum": pl.Series(
                np.array(["x", "y"])[i % 2], dtype=pl.Enum(["x", "y", "z"])
            ),
            "date": [first + datetime.timedelta(int(k)) for k in i],
            "time": pl.Series([datetime.datetime(2020, 1, 1, int(k) % 24) for k in i]),
            "bool": i % 2 == 0,
            "int": pl.Series(i, dtype=pl.UInt8),
        }
    )


@pytest.mark.parametrize("make", [table, polars_table])
@pytest.mark.parametrize("likelihood", ["auto", "categorical of dates"])
def test_table_is_the_same_after_loading(make, likelihood, path):
    frame = make()
    if likelihood != "auto":
        likelihood = {"date": "categorical", "number": "normal_scores"}
    model = vae(likelihood=likelihood).fit(frame)
    model.save(path)
    loaded = skvae.load(path)
    assert_equal(model, loaded)
    assert_equal(answers(model, frame), answers(loaded, frame))


@pytest.mark.parametrize(
    "names",
    [
        ["a", "b", "c", "d"],
        pd.MultiIndex.from_product([["a", "b"], [1, 2]], names=["u", None]),
    ],
)
def test_names_of_columns_are_the_same_after_loading(names, path):
    frame = pd.DataFrame(X, columns=names)
    model = vae().fit(frame).set_output(transform="pandas")
    model.save(path)
    loaded = skvae.load(path)
    assert_equal(answers(model, frame), answers(loaded, frame))
    assert_equal(model.transform(frame), loaded.transform(frame))


def test_array_of_dates_is_the_same_after_loading(path):
    dates = np.array("2020-01-01", "M8[h]") + (1000 * X).astype("m8[h]")
    model = vae().fit(dates)
    model.save(path)
    assert_equal(answers(model, dates), answers(skvae.load(path), dates))


def test_thousands_of_names_fit_into_the_header(path):
    wide = pd.DataFrame(
        RNG.normal(size=(12, 2000)), columns=[f"gene_{j:05}" for j in range(2000)]
    )
    model = vae(hidden_layer_sizes=(), max_iter=1).fit(wide)
    model.save(path)
    assert int.from_bytes(path.read_bytes()[:8], "little") < 20_000
    assert_equal(model, skvae.load(path))


def test_file_is_hardly_larger_than_the_arrays(path):
    model = VAETransformer(max_iter=1, tol=None, random_state=0).fit(X)
    model.save(path)
    tensors = model.module_.state_dict().values()
    n_bytes = sum(tensor.numel() * tensor.element_size() for tensor in tensors)
    assert path.stat().st_size < 1.05 * n_bytes


# What goes on after loading


@pytest.mark.parametrize(
    "name", ["ControlVAE", "warm", "vamp", "AutoencoderTransformer"]
)
def test_warm_start_goes_on_as_from_the_model_itself(name, path):
    model, X = MODELS_TO_SAVE[name]
    model = clone(model).set_params(warm_start=True).fit(X)
    model.save(path)
    loaded = skvae.load(path)
    assert_equal(model.fit(X).transform(X), loaded.fit(X).transform(X))


@pytest.mark.parametrize(
    "spec", [likelihoods.Gaussian(noise=10**6), likelihoods.StudentT(df=10**7)]
)
def test_large_numbers_that_are_no_sizes_can_be_saved(spec, path):
    model = vae(likelihood=spec).fit(X)
    model.save(path)
    assert_equal(model, skvae.load(path))


@pytest.mark.parametrize("name", ["VAEOutlierDetector", "flow"])
def test_skops_trusts_all_but_our_classes(name, path):
    skops = pytest.importorskip("skops.io", reason="skops is not installed")
    model, X = MODELS_TO_SAVE[name]
    model = clone(model).fit(X)
    data = skops.dumps(model)
    untrusted = skops.get_untrusted_types(data=data)
    assert {kind.split(".")[0] for kind in untrusted} == {"skvae"}
    loaded = skops.loads(data, trusted=untrusted)
    np.testing.assert_array_equal(model.score_samples(X), loaded.score_samples(X))


def test_modes_of_the_caller_do_not_matter(path):
    model = vae().fit(X)
    model.save(path)
    with torch.inference_mode(), torch.device("meta"):
        loaded = skvae.load(path)
    assert_equal(model, loaded)
    assert not any(p.is_inference() for p in loaded.module_.parameters())


def test_callbacks_are_left_out(path):
    from sklearn.callback import ProgressBar

    model = vae().set_callbacks(ProgressBar()).fit(X)
    model.save(path)
    assert not hasattr(skvae.load(path), "_skl_callbacks")


def test_saving_changes_nothing(path, untouched):
    model = vae().fit(X)
    before = pickle.dumps(model)
    model.save(path)
    loaded = skvae.load(path)
    assert pickle.dumps(model) == before
    assert all(p.requires_grad for p in loaded.module_.parameters())
    assert not any(p.is_inference() for p in loaded.module_.parameters())


def test_unfitted_model_is_not_saved(path):
    with pytest.raises(NotFittedError):
        vae().save(path)
    assert not path.exists()


def test_model_for_a_gpu_is_loaded_on_the_cpu_without_one(path, monkeypatch):
    model = vae().fit(X)
    model.device = "cuda:7"
    model.save(path)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert skvae.load(path).device_ == "cpu"


# Networks of the user's own


def make(n_in, n_out):
    return nn.Sequential(nn.Linear(n_in, 3), nn.Tanh(), nn.Linear(3, n_out))


def make_other(n_in, n_out):
    return nn.Sequential(nn.Linear(n_in, 4), nn.Tanh(), nn.Linear(4, n_out))


class OwnNetwork(networks.Network):
    """A class of the user's own."""

    def __init__(self, n_units=3):
        self.n_units = n_units

    def build(self, n_in, n_out, random):
        return make(n_in, n_out)


@pytest.mark.parametrize(
    "own", [make, lambda n_in, n_out: make(n_in, n_out), OwnNetwork()]
)
@pytest.mark.parametrize(
    "wrap", [lambda model: model, lambda model: VAEOutlierDetector(estimator=model)]
)
def test_own_network_is_given_again(own, wrap, path):
    model = wrap(without_sizes(encoder=own, decoder=networks.Perceptron((4,)))).fit(X)
    model.save(path)
    loaded = skvae.load(path, encoder=own)
    assert_equal(model.score_samples(X), loaded.score_samples(X))
    with pytest.raises(ValueError, match="requires encoder=") as caught:
        skvae.load(path)
    assert not isinstance(caught.value, ModelFileError)
    with pytest.raises(ValueError, match="decoder must be left out"):
        skvae.load(path, encoder=own, decoder=make)
    with pytest.raises(ModelFileError, match="the same encoder="):
        skvae.load(path, encoder=make_other)


def test_own_network_without_need_is_refused(path):
    vae().fit(X).save(path)
    with pytest.raises(ValueError, match="encoder must be left out"):
        skvae.load(path, encoder=make)


class OwnPrior(priors.StandardNormal):
    """A class of the user's own."""


class OwnModel(VAETransformer):
    """A class of the user's own."""


@pytest.mark.parametrize(
    "model",
    [
        vae(prior=OwnPrior()),
        OwnModel(**{k: v for k, v in FAST.items() if k != "hidden_layer_sizes"}),
        vae(likelihood=[("gaussian", lambda X: [0, 1, 2, 3])]),
    ],
)
def test_other_classes_are_refused_at_save(model, path):
    model = model.fit(X)
    with pytest.raises(TypeError, match="Use pickle"):
        model.save(path)
    assert not path.exists()


# Versions


def test_later_format_is_refused_in_words(path, monkeypatch):
    monkeypatch.setattr(_save, "FORMAT", 7)
    monkeypatch.setattr(_save, "__version__", "9.9")
    vae().fit(X).save(path)
    monkeypatch.undo()
    with pytest.raises(ModelFileError, match=r"version 7 .* skvae 9\.9,.*Install"):
        skvae.load(path)


def test_earlier_formats_are_migrated_one_by_one(path, monkeypatch):
    model = vae().fit(X)
    model.save(path)
    done = []
    steps = {1: lambda f: done.append(1) or f, 2: lambda f: done.append(2) or f}
    monkeypatch.setattr(_save, "FORMAT", 3)
    monkeypatch.setattr(_save, "MIGRATIONS", steps)
    assert_equal(model, skvae.load(path))
    assert done == [1, 2]


def test_every_earlier_format_has_a_migration_and_golden_files():
    assert sorted(_save.MIGRATIONS) == list(range(1, _save.FORMAT))
    found = {path.name.split("_")[0] for path in GOLDEN.glob("*.skvae")}
    assert found == {f"format{number}" for number in range(1, _save.FORMAT + 1)}


GOLDEN = Path(__file__).parent / "golden"


def golden_table():
    """Return the rows that the models in the golden files were fitted to."""
    i = np.arange(20)
    columns = {"n": np.sin(i), "t": np.array(["ä", "b"])[i % 2], "b": i % 3 == 0}
    columns["d"] = pd.Timestamp("2020-01-01") + pd.to_timedelta(i * i, "D")
    levels = pd.Categorical(
        np.array(["low", "high"])[i // 10], ["low", "high"], ordered=True
    )
    return pd.DataFrame({**columns, "l": levels, "c": pd.cut(np.cos(i), 2)})


@pytest.mark.parametrize(
    "path", sorted(GOLDEN.glob("*.skvae")), ids=lambda path: path.stem
)
def test_golden_file_gives_the_answers_of_its_time(path):
    model = skvae.load(path)
    kept = json.loads(path.with_suffix(".json").read_text())
    np.testing.assert_allclose(model.score_samples(golden_table()), kept, rtol=1e-6)
