"""Missing cells are left out; ordering components changes names alone."""

import copy

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from torch.testing import assert_close

from skvae._model import Architecture
from skvae.likelihoods import Gaussian
from skvae.networks import Perceptron
from skvae.objectives import ELBO
from skvae.priors import NoPrior, StandardNormal
from skvae.table import Batch, Rows, as_cells
from skvae.training._start import start_linear

RNG = np.random.default_rng(0)
X = RNG.normal(size=(60, 3)) @ RNG.normal(size=(3, 6)) * 3 + RNG.normal(size=(60, 6))
X = X * [1.0, 10.0, 0.1, 1.0, 1.0, 5.0] + 3.0
HOLES = np.where(RNG.random(X.shape) < 0.3, np.nan, X)
HOLES[0] = np.nan


def _architecture(K=2, hidden=(5,), sees_missing=False, **changes):
    encoder = Perceptron(hidden, "tanh")
    parts = encoder, encoder.mirrored(), True, Gaussian(), StandardNormal()
    return Architecture(6, K, *parts, sees_missing)._replace(**changes)


def _started(X, **options):
    """Return a float64 model at its linear start."""
    model = _architecture(**options).build(seed=0).double()
    rows = Rows(as_cells(X), np.arange(len(X)), np.ones(len(X)))
    model.likelihood.fit_statistics(rows)
    start_linear(model, rows)
    return model


def _batch(model, X, has_missing=False):
    return Batch.of(torch.from_numpy(model.likelihood.prepare(X)), has_missing)


# Missing cells


@pytest.fixture
def holed():
    """A model that sees which cells are missing, with weights that look at that."""
    model = _started(HOLES, sees_missing=True)
    random = torch.Generator().manual_seed(1)
    torch.nn.init.normal_(model.encoder.body.head.weight, generator=random)
    return model


@pytest.fixture
def rows(holed):
    return _batch(holed, HOLES, has_missing=True)


def test_encoder_sees_which_cells_are_missing_beside_its_inputs(holed, rows):
    weight = holed.encoder.path.weight
    assert weight.shape == (2, 12)
    assert torch.equal(weight[:, 6:], torch.zeros(2, 6))
    filled = Batch(torch.nan_to_num(rows.x))
    # Same inputs, but nothing is missing.
    assert_close(holed.inputs(rows), holed.inputs(filled))
    means = [holed.posterior_mean(batch)[1:] for batch in (rows, filled)]
    assert (means[0] != means[1]).all(-1).any()


def test_posterior_of_a_row_without_observed_cells_is_the_prior(holed, rows):
    outputs = holed.encode(rows)
    assert not outputs[0].any()
    assert outputs[1:].all()


def test_posterior_of_complete_rows_does_not_need_to_look_for_missing_cells(holed):
    looked = holed.encode(_batch(holed, X, has_missing=True))
    assert_close(holed.encode(_batch(holed, X)), looked)


def test_log_prob_of_missing_cells_is_left_out(holed, rows):
    z = torch.zeros(len(rows), 2, dtype=torch.float64)
    log_prob = holed.log_prob(z, rows)
    cells = holed.likelihood.cell_log_prob(holed.decoder(z), _batch(holed, X).x)
    assert_close(log_prob, torch.where(rows.observed, cells, 0.0).sum(-1))
    assert log_prob[0] == 0.0


@torch.no_grad()
def test_squared_error_is_of_observed_cells_at_the_posterior_mean(holed, rows):
    errors = holed.squared_error(rows).numpy()
    left = (rows.x - holed.decoder(holed.posterior_mean(rows))).numpy()
    assert_allclose(errors[1:], np.nanmean(left[1:] ** 2, axis=1))
    assert errors[0] == 0.0
    complete = _batch(holed, X)
    left = complete.x - holed.decoder(holed.posterior_mean(complete))
    assert_close(holed.squared_error(complete), left.square().mean(-1))


def test_objective_of_rows_with_missing_cells_has_finite_gradients(holed, rows):
    noise = torch.ones(1, len(rows), 2, dtype=torch.float64)
    terms = ELBO(0.0).terms(holed, rows, noise)
    sum(terms.values()).sum().backward()
    assert all(p.grad.isfinite().all() for p in holed.parameters())
    assert terms["kl"][0] == 0.0


# Building


def test_build_repeats_by_seed_and_touches_nothing_global(untouched):
    a, b, c = (_architecture().build(seed).state_dict() for seed in (0, 0, 1))
    assert all(torch.equal(a[name], b[name]) for name in a)
    assert any(not torch.equal(a[name], c[name]) for name in a)


def test_build_draws_encoder_and_decoder_apart():
    linear = _architecture(6, (), has_path=False, prior=NoPrior())
    model = linear.build(0)
    heads = model.encoder.body.head, model.decoder.body.head
    assert not torch.equal(heads[0].weight, heads[1].weight)


def test_build_gives_each_network_its_own_sizes():
    model = _architecture(hidden=(7, 4)).build(0)
    sizes = [
        [layer.weight.shape[0] for layer in network.body.hidden]
        for network in (model.encoder, model.decoder)
    ]
    assert sizes == [[7, 4], [4, 7]]


# Ordering


def _ordered(model):
    ordered = copy.deepcopy(model)
    information = torch.tensor([0.5, 3.0, 1.0, 3.0], dtype=torch.float64)
    moments = torch.ones(4, 6, dtype=torch.float64)
    moments[1, 2], moments[2, 0] = -5.0, -2.0
    ordered.order_components(information, moments)
    return ordered


@pytest.fixture
def model():
    return _started(X, K=4)


def test_ordering_sorts_components_by_information_and_keeps_ties(model):
    assert _ordered(model).order.tolist() == [1, 3, 2, 0]


def test_ordering_orients_components_by_their_largest_moment(model):
    z = model.posterior_mean(_batch(model, X))
    signs = torch.tensor([-1.0, 1.0, -1.0, 1.0], dtype=torch.float64)
    assert_close(_ordered(model).to_user(z), z[:, [1, 3, 2, 0]] * signs)


def test_ordering_changes_nothing_in_the_coordinates_of_the_networks(model):
    ordered, batch = _ordered(model), _batch(model, X)
    z = ordered.posterior_mean(batch)
    assert torch.equal(z, model.posterior_mean(batch))
    assert torch.equal(ordered.to_network(ordered.to_user(z)), z)


def test_ordering_is_the_same_when_done_again(model):
    ordered = _ordered(model)
    again = _ordered(ordered)
    assert torch.equal(again.order, ordered.order)
    assert torch.equal(again.sign, ordered.sign)


def test_ordering_survives_the_state_dict(model):
    ordered, z = _ordered(model), torch.randn(5, 4, dtype=torch.float64)
    other = _architecture(K=4).build(1).double()
    other.load_state_dict(ordered.state_dict())
    assert torch.equal(other.to_user(z), ordered.to_user(z))
    batch = _batch(model, X)
    assert torch.equal(other.encode(batch), ordered.encode(batch))
