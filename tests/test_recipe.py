"""What "auto" becomes, from the shape of the data and the strength of the start."""

import pytest

from skvae.estimators._recipe import (
    n_epochs,
    pace_of,
    resolve,
    resolve_loss,
    resolve_networks,
    resolve_objective,
)
from skvae.networks import Perceptron
from skvae.objectives import ELBO, IWAE, AddedTerm, Neighbors, Shape
from skvae.schedules import Constant, OneCycle, WarmUp, Weight
from skvae.training import Start

STRONG, WEAK = Start(True, True, 5.0), Start(True, True, 1.5)
INEXACT, WEAK_INEXACT = Start(True, False, 5.0), Start(True, False, 1.5)
NONE = Start(False, False)


class Falling(Weight):
    """A weight that is one half in the end."""

    def value(self, state, progress):
        return 1.5 - progress


SHAPE = Shape(n_rows=100, n_columns=5, n_components=2)


class Size(AddedTerm):
    """A term beside those of another objective."""

    name = "size"


# The loss


@pytest.mark.parametrize(
    ("beta", "mean_fraction", "start", "is_linear", "expected"),
    [
        ("auto", "auto", STRONG, False, (Constant(0.6), 0.4)),
        ("auto", "auto", WEAK, False, (WarmUp(value=0.9), 0.1)),
        ("auto", "auto", STRONG, True, (Constant(1.0), 0.0)),
        ("auto", "auto", INEXACT, False, (Constant(1.0), 0.0)),
        ("auto", "auto", WEAK_INEXACT, False, (WarmUp(value=1.0), 0.0)),
        ("auto", "auto", NONE, False, (Constant(1.0), 0.0)),
        ("auto", 0.25, STRONG, False, (Constant(0.75), 0.25)),
        ("auto", 0.5, NONE, False, (Constant(0.5), 0.5)),
        ("auto", 0.0, WEAK, False, (WarmUp(value=1.0), 0.0)),
        (1.0, "auto", WEAK, False, (Constant(1.0), 0.0)),
        (4.0, 0.5, STRONG, False, (Constant(4.0), 0.5)),
        (WarmUp(0.2), "auto", STRONG, False, (WarmUp(0.2), 0.0)),
        (Falling(), "auto", STRONG, False, (Falling(), 0.0)),
    ],
    ids=repr,
)
@pytest.mark.parametrize("is_extended", [False, True])
def test_loss_follows_the_start_where_it_is_not_given(
    beta, mean_fraction, start, is_linear, expected, is_extended
):
    objective = ELBO(mean_fraction)
    given = Size(objective, weight=3.0) if is_extended else objective
    resolved, weight = resolve_loss(given, beta, start, is_linear, SHAPE)
    assert repr(weight) == repr(expected[0])
    bound = resolved.base if is_extended else resolved
    assert bound.mean_fraction == expected[1]
    # What the user passed is left as it was.
    assert objective.mean_fraction == mean_fraction


@pytest.mark.parametrize("start", [STRONG, WEAK, NONE])
def test_importance_weighted_bound_is_not_weighted_by_the_start(start):
    objective, weight = resolve_loss("iwae", "auto", start, False, SHAPE)
    assert objective.n_draws == IWAE().n_draws
    assert repr(weight) == repr(Constant(1.0))


@pytest.mark.parametrize(
    ("beta", "least"), [(0.9, "0.9"), (WarmUp(), "0"), (Falling(), "0.5")], ids=repr
)
@pytest.mark.parametrize("objective", ["iwae", IWAE(2), Size(IWAE(5))], ids=repr)
def test_beta_that_leaves_no_lower_bound_is_refused(objective, beta, least):
    message = rf"requires beta >= 1 throughout.*is {least} at one end"
    with pytest.raises(ValueError, match=message):
        resolve_loss(objective, beta, STRONG, False, SHAPE)
    resolve_loss(IWAE(1), beta, STRONG, False, SHAPE)


# Settings

AUTO = dict.fromkeys(
    (
        "learning_rate",
        "batch_size",
        "validation_fraction",
        "max_iter",
        "n_iter_no_change",
        "hidden_fraction",
    ),
    "auto",
)


@pytest.mark.parametrize(
    ("n_rows", "batch_size", "fraction", "max_iter", "patience"),
    [
        (50, 50, 0.2, 300, 60),
        (1500, 128, 200 / 1500, 300, 60),
        (10_000, 128, 0.1, 51, 10),
        (1_000_000, 128, 0.1, 10, 10),
    ],
)
def test_settings_follow_the_number_of_rows(
    n_rows, batch_size, fraction, max_iter, patience
):
    settings = resolve(AUTO, n_rows, False)
    assert settings["batch_size"] == batch_size
    assert settings["validation_fraction"] == pytest.approx(fraction)
    assert settings["max_iter"] == max_iter
    assert settings["n_iter_no_change"] == patience
    assert repr(settings["learning_rate"]) == repr(OneCycle())


def test_settings_follow_the_objective():
    def said(objective, n_columns, n_components=2, n_rows=10_000):
        params = {"n_components": n_components, "objective": objective}
        pace = pace_of(params, objective, n_columns, missing=False)
        settings = resolve(AUTO, n_rows, False, pace)
        names = ("max_iter", "n_iter_no_change", "learning_rate")
        return [repr(settings[name]) for name in names]

    assert said(ELBO(), 10) == said(ELBO(), 300) == ["51", "10", "OneCycle()"]
    assert said(Neighbors(), 256) == ["32", "10", "OneCycle(value=0.004)"]
    assert said(ELBO(), 10, "auto", 100)[:2] == ["1000", "200"]
    assert said(Neighbors(), 257) == ["32", "10", "OneCycle()"]


def test_density_of_rows_with_missing_cells_is_trained_for_imputation():
    params = AUTO | {"n_components": "auto", "objective": "auto"}
    objective = resolve_objective(params, missing=True)
    assert repr(objective) == "IWAE(n_draws=8)"
    settings = resolve(params, 1000, True, pace_of(params, objective, 10, missing=True))
    assert (settings["batch_size"], settings["max_iter"]) == (256, 150)
    assert settings["hidden_fraction"] == 0.5
    given = params | {"objective": "elbo"}
    objective = resolve_objective(given, missing=True)
    assert isinstance(objective, ELBO)
    settings = resolve(given, 1000, True, pace_of(given, objective, 10, missing=True))
    assert (settings["batch_size"], settings["max_iter"]) == (128, 512)


def test_cells_are_hidden_where_some_are_missing():
    assert resolve(AUTO, 100, False)["hidden_fraction"] == 0.0
    assert resolve(AUTO, 100, True)["hidden_fraction"] == 1.0
    given = AUTO | {"hidden_fraction": 0.3}
    assert resolve(given, 100, False)["hidden_fraction"] == 0.3


def test_settings_that_are_given_stay():
    given = {"batch_size": 7, "validation_fraction": 0.5, "max_iter": 3}
    settings = resolve(AUTO | given | {"n_iter_no_change": 2}, 100, False)
    assert {name: settings[name] for name in given} == given
    assert settings["n_iter_no_change"] == 2


# Networks

SHORT = {"hidden_layer_sizes": "auto", "activation": "auto"}


@pytest.mark.parametrize(
    ("params", "sizes"),
    [
        ({}, [(128,) * 3, (128,) * 3]),
        ({"hidden_layer_sizes": (7, 4)}, [(7, 4), (4, 7)]),
        ({"hidden_layer_sizes": 9}, [(9,), (9,)]),
        ({"encoder": Perceptron((7, 4))}, [(7, 4), (4, 7)]),
        ({"decoder": Perceptron((7, 4))}, [(4, 7), (7, 4)]),
        ({"encoder": Perceptron((7, 4)), "decoder": Perceptron(3)}, [(7, 4), (3,)]),
    ],
    ids=repr,
)
def test_networks_mirror_each_other_where_one_is_not_given(params, sizes):
    params = {"encoder": None, "decoder": None, **SHORT, **params}
    networks = resolve_networks(params, n_columns=5)
    assert [network.hidden_layer_sizes for network in networks] == sizes
    assert {network.activation for network in networks} == {"gelu"}


@pytest.mark.parametrize("given", ["encoder", "decoder"])
@pytest.mark.parametrize("short", [{"hidden_layer_sizes": 5}, {"activation": "relu"}])
def test_short_form_beside_a_network_is_refused(given, short):
    params = {"encoder": None, "decoder": None, **SHORT, **short, given: Perceptron()}
    (name,) = short
    message = (
        rf"{name} must be 'auto' where {given} is given.*{given}=Perceptron\({name}="
    )
    with pytest.raises(ValueError, match=message):
        resolve_networks(params, n_columns=5)


@pytest.mark.parametrize(
    ("n_rows", "expected"), [(20, 150), (3413, 150), (10_000, 51), (10**6, 10)]
)
def test_epochs_take_the_steps_within_bounds(n_rows, expected):
    assert n_epochs(n_rows, 256, n_steps=2000, most=150) == expected
