"""Answers: by a budget of memory, and in float64 from the parameters there are now."""

import copy

import numpy as np
import pytest
import torch
from sklearn.datasets import load_iris

from skvae import VAETransformer
from skvae.estimators import _apply
from skvae.table import Batch

X = load_iris().data


@pytest.fixture
def vae():
    return VAETransformer(2, max_iter=2, tol=None, random_state=0).fit(X)


def parameter(vae):
    return next(vae.module_.decoder.parameters())


def in_place(vae):
    with torch.no_grad():
        parameter(vae).mul_(1.1)


def through_data(vae):
    parameter(vae).data[0] += 0.1


def new_data(vae):
    parameter(vae).data = parameter(vae).data * 1.1


def through_numpy(vae):
    parameter(vae).detach().numpy()[...] *= 1.1


def loaded(vae):
    state = copy.deepcopy(vae.module_.state_dict())
    vae.module_.load_state_dict({k: v * 1.1 for k, v in state.items()})


CHANGES = [in_place, through_data, new_data, through_numpy, loaded]


@pytest.mark.parametrize("change", CHANGES)
def test_changed_parameters_change_answers(vae, change):
    Z = np.ones((3, 2))
    before = vae.inverse_transform(Z)
    np.testing.assert_array_equal(vae.inverse_transform(Z), before)
    change(vae)
    after = vae.inverse_transform(Z)
    assert np.abs(after - before).max() > 1e-4
    single = vae.inverse_transform(Z.astype(np.float32))
    np.testing.assert_allclose(after, single, rtol=1e-4)


def test_parameters_are_converted_once(vae):
    one, two = (_apply._in_float64(vae.module_) for _ in range(2))
    pairs = zip(one.parameters(), two.parameters(), strict=True)
    assert all(a is b for a, b in pairs)
    assert all(p.dtype == torch.float64 for p in one.parameters())
    assert all(p.dtype == torch.float32 for p in vae.module_.parameters())


@pytest.mark.parametrize("rows", [7, 64])
def test_answers_do_not_depend_on_the_budget(vae, rows, monkeypatch):
    answers = vae.transform, vae.inverse_transform
    expected = [answer(Z) for answer, Z in zip(answers, (X, X[:, :2]), strict=True)]
    width = vae.module_.width
    monkeypatch.setattr(_apply, "MOST_BYTES", 8 * _apply.N_ARRAYS * width * rows)
    assert _apply.most_at_once(vae.module_) == rows
    for answer, Z, known in zip(answers, (X, X[:, :2]), expected, strict=True):
        np.testing.assert_allclose(answer(Z), known, rtol=0.0, atol=1e-9)


def test_a_row_that_exceeds_the_budget_is_computed_alone(vae, monkeypatch):
    monkeypatch.setattr(_apply, "MOST_BYTES", 1)
    assert _apply.most_at_once(vae.module_) == 1
    assert vae.transform(X[:3]).shape == (3, 2)


def test_width_of_columns_is_that_of_all_parts():
    rng = np.random.default_rng(0)
    table = np.column_stack([X, rng.integers(0, 3, size=len(X))])
    kinds = [("gaussian", [0, 1, 2, 3]), ("categorical", [4])]
    vae = VAETransformer(2, likelihood=kinds, max_iter=1, tol=None).fit(table)
    likelihood = vae.module_.likelihood
    assert likelihood.width == sum(part.width for part in likelihood.parts)
    assert likelihood.width >= 4 + 3
    assert vae.module_.width >= likelihood.width


@pytest.mark.parametrize("rows", [[2, 0], [True, False, True]])
def test_batch_takes_rows(rows):
    x = torch.arange(6.0).reshape(3, 2)
    batch = Batch.of(x, True, index=torch.arange(3))
    taken = batch.take(torch.tensor(rows))
    chosen = [0, 2] if rows[0] is True else rows
    torch.testing.assert_close(taken.x, x[chosen])
    torch.testing.assert_close(taken.observed, torch.ones(2, 2, dtype=torch.bool))
    assert taken.index.tolist() == chosen
    assert taken.weights is None
    assert Batch(x).take(torch.tensor(rows)).observed is None
