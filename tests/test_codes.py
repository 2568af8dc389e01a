"""Columns of codes: of very different numbers of categories, of one, of none."""

import numpy as np
import pandas as pd
import pytest
import torch
from torch.testing import assert_close

from skvae import VAETransformer
from skvae.likelihoods import Categorical, Ordinal
from skvae.likelihoods._codes import similar
from skvae.table import Rows, as_cells

RNG = np.random.default_rng(0)
MANY = RNG.integers(0, [2, 700, 3, 1, 40, 2], size=(50, 6)).astype(float)
MANY[0] = [1, 699, 2, 0, 39, 1]
HOLES = np.where(RNG.random(MANY.shape) < 0.3, np.nan, MANY)
BOTH = pytest.mark.parametrize("spec", [Categorical(), Ordinal()], ids=repr)
NAMES = pytest.mark.parametrize(
    ("spec", "name"), [(Categorical, "n_categories"), (Ordinal, "n_levels")]
)


def _model(spec, X, levels=MANY):
    model = spec.resolve(levels).build(X.shape[1]).double()
    model.fit_statistics(Rows(as_cells(X), np.arange(len(X)), np.ones(len(X))))
    return model


def _outputs(model):
    """Return outputs that are the same for a column, whatever columns are beside it."""
    outputs = 0.5 * model.linearized().outputs + 0.7
    return outputs.expand(50, -1).clone().requires_grad_()


# Time and memory follow the sum of the numbers of categories


def _n_numbers(model):
    return sum(t.numel() for t in (*model.parameters(), *model.buffers()))


@BOTH
def test_codes_of_a_wide_column_are_not_padded_for_narrow_ones(spec):
    sizes = [2] * 100 + [5000] + [9] * 30
    assert _n_numbers(type(spec)(sizes).build(131)) < 20 * sum(sizes)


@pytest.mark.parametrize("free", [0, 128])
@pytest.mark.parametrize("seed", range(5))
def test_similar_sizes_are_padded_to_at_most_twice_their_sum(seed, free):
    sizes = np.exp(8 * np.random.default_rng(seed).random(60)).astype(int).tolist()
    groups = similar(sizes, free)
    assert sorted(j for group in groups for j in group) == list(range(60))
    padded = sum(len(group) * max(sizes[j] for j in group) for group in groups)
    assert padded <= 2 * sum(sizes) + free * len(groups)


def test_similar_sizes_are_one_group_where_padding_costs_nothing():
    assert similar([7] * 9, 0) == [list(range(9))]
    assert similar([5, 2, 3, 9], 128) == [[0, 1, 2, 3]]
    assert similar([2, 1000, 2], 128) == [[1], [0, 2]]


@pytest.mark.parametrize("X", [MANY, HOLES], ids=["complete", "holes"])
@BOTH
def test_codes_of_any_sizes_are_as_each_column_alone(spec, X):
    model, x = _model(spec, X), torch.from_numpy(X)
    outputs, seen = _outputs(model), ~torch.isnan(x)
    of_columns = []
    for j in range(6):
        alone = _model(spec, X[:, [j]], MANY[:, [j]])
        a, cells = _outputs(alone), x[:, [j]]
        filled = alone.fill(cells, seen[:, [j]])
        answers = alone.mean(a), alone.mode(a), alone.residual(a, filled)
        log_prob = alone.log_prob(a, cells, seen[:, [j]])
        of_columns.append((*answers, alone.cell_log_prob(a, filled), log_prob[:, None]))
    expected = [torch.cat(answers, 1) for answers in zip(*of_columns, strict=True)]
    filled = model.fill(x, seen)
    assert_close(model.mean(outputs).double(), expected[0])
    assert_close(model.mode(outputs).double(), expected[1])
    assert_close(model.residual(outputs, filled), expected[2])
    assert_close(model.cell_log_prob(outputs, filled), expected[3])
    assert_close(model.log_prob(outputs, x, seen), expected[4].sum(1))


@pytest.mark.parametrize("X", [MANY, HOLES], ids=["complete", "holes"])
@BOTH
def test_codes_of_any_sizes_have_the_gradient_of_their_log_prob(spec, X):
    model, x = _model(spec, X), torch.from_numpy(X)
    seen = ~torch.isnan(x)
    outputs = _outputs(model)
    log_prob = model.log_prob(outputs, x, seen)
    (expected,) = torch.autograd.grad(-log_prob.sum(), outputs)
    weights = torch.ones(50, dtype=torch.float64)
    loss, gradient = model.loss_and_gradient(outputs.detach(), x, weights, seen)
    assert_close(loss, -log_prob.detach())
    assert_close(gradient, expected)


@BOTH
def test_codes_of_many_levels_are_drawn_as_often_as_they_should(spec):
    model = _model(spec, MANY)
    outputs = model.linearized().outputs.expand(20_000, -1)
    drawn = model.draw(outputs, torch.Generator().manual_seed(0)).detach().numpy()
    for j, size in enumerate(MANY.max(axis=0).astype(int) + 1):
        expected = np.bincount(MANY[:, j].astype(int), minlength=size) + 0.5
        expected *= 20_000 / expected.sum()
        observed = np.bincount(drawn[:, j].astype(int), minlength=size)
        assert len(observed) == size
        assert ((observed - expected) ** 2 / expected).sum() < size + 6 * size**0.5


# Numbers of categories that are given


@pytest.mark.parametrize("value", ["x", 0, -1, 2.0, True, None, [2, 3], [2, 2, 0.5]])
@NAMES
def test_sizes_that_are_no_positive_integers_are_refused_in_words(spec, name, value):
    message = rf"{name} of {spec.__name__} must be 'auto', a positive integer, .*3 col"
    for call in (lambda s: s.resolve(np.zeros((4, 3))), lambda s: s.build(3)):
        with pytest.raises(ValueError, match=message):
            call(spec(**{name: value}))


@pytest.mark.parametrize("value", [3, np.int64(3), [3, 3], np.array([3, 3]), (3, 3)])
@NAMES
def test_sizes_may_be_any_integers(spec, name, value):
    resolved = spec(**{name: value}).resolve(np.zeros((4, 2)))
    assert repr(resolved) == f"{spec.__name__}({name}=[3, 3])"


@NAMES
def test_sizes_that_are_wrong_are_refused_by_fit(spec, name):
    X = np.zeros((20, 2))
    with pytest.raises(ValueError, match=f"{name} of {spec.__name__} must be"):
        VAETransformer(likelihood=spec(**{name: "many"})).fit(X)


# One level, or none


def ordered(values):
    return pd.Categorical(values, sorted({v for v in values if v}), ordered=True)


ONE_LEVEL = pd.DataFrame(
    {
        "one": ordered(["a"] * 40),
        "gaps": ordered([None, "b"] * 20),
        "many": ordered(RNG.integers(0, 300, 40).astype(str)),
        "two": ordered(["a", "b"] * 20),
        "number": RNG.normal(size=40),
    }
)


@pytest.mark.filterwarnings("ignore:.*carry nothing")
@pytest.mark.parametrize("name", ["categorical", "ordinal"])
def test_columns_of_one_level_are_that_level(name):
    said = dict.fromkeys(("one", "gaps", "many", "two"), name)
    vae = VAETransformer(1, likelihood=said, max_iter=2, tol=None, random_state=0)
    vae.fit(ONE_LEVEL)
    answers = vae.sample(30), vae.inverse_transform(vae.transform(ONE_LEVEL))
    for answer in (*answers, vae.impute(ONE_LEVEL)):
        assert set(answer["one"]) == {"a"}
        assert set(answer["gaps"]) == {"b"}
    assert np.isfinite(vae.score_samples(ONE_LEVEL)).all()


@pytest.mark.filterwarnings("ignore:.*carry nothing")
@NAMES
def test_columns_of_one_level_alone_have_a_mass_of_one(spec, name):
    X = np.zeros((20, 2))
    vae = VAETransformer(1, likelihood=spec(), max_iter=2, tol=None, random_state=0)
    np.testing.assert_allclose(vae.fit(X).score_samples(X), 0.0, atol=1e-6)
    assert not vae.sample(10).any()


@pytest.mark.filterwarnings("ignore:.*carry nothing", "ignore:.*observed cell")
@pytest.mark.parametrize("name", ["categorical", "ordinal"])
def test_columns_of_categories_without_a_level_can_be_fitted(name):
    empty = pd.Series(pd.Categorical([None] * 40, categories=[]))
    X = ONE_LEVEL[["two", "number"]].assign(empty=empty)
    vae = VAETransformer(1, likelihood={"empty": name}, max_iter=2, tol=None)
    assert np.isfinite(vae.fit(X).score_samples(X)).all()
