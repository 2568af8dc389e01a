import numpy as np
import pytest
import torch

from skvae import VAETransformer
from skvae.likelihoods import Gaussian
from skvae.likelihoods._statistics import MOST_LEVELS, have_common_scale
from skvae.table import Rows, as_cells

RNG = np.random.default_rng(0)
PIXELS = RNG.integers(0, 17, size=(60, 5)).astype(float)
WITH_GAPS = np.where(RNG.random(PIXELS.shape) < 0.2, np.nan, PIXELS)


@pytest.mark.parametrize(
    ("X", "expected"),
    [
        (PIXELS, True),
        (PIXELS / 16, True),
        (WITH_GAPS, True),
        (np.column_stack((PIXELS, np.zeros(60))), True),
        (PIXELS * [1, 1, 1, 0.5, 0.5], True),
        (PIXELS * [1, 1, 0.5, 0.5, 0.5], False),
        (PIXELS[:, :2], True),
        (PIXELS[:, :2] * [1, 0.5], False),
        (PIXELS[:, :1], False),
        (PIXELS * [1, 10, 100, 1000, 10000], False),
        (PIXELS - PIXELS.mean(axis=0), False),
        (RNG.normal(size=(60, 5)), False),
        (RNG.random(size=(200, 5)).clip(0.1, 0.9), False),
        (np.ones((60, 5)), False),
        (np.full((60, 5), np.nan), False),
    ],
)
def test_columns_have_a_common_scale_as_pixels_do(X, expected):
    assert have_common_scale(X) is expected
    assert have_common_scale(as_cells(X)) is expected
    # Neither the order of rows nor their number matters.
    assert have_common_scale(np.tile(X[::-1], (3, 1))) is expected


@pytest.mark.parametrize("n_levels", [MOST_LEVELS, MOST_LEVELS + 1])
def test_a_common_scale_has_few_values(n_levels):
    X = np.arange(n_levels)[:, None].repeat(3, axis=1)
    assert have_common_scale(X) is (n_levels == MOST_LEVELS)


def test_scaling_auto_is_resolved_from_the_table():
    auto = Gaussian(scaling="auto")
    assert repr(auto.resolve(PIXELS)) == "Gaussian(scaling='inputs')"
    assert repr(auto.resolve(RNG.normal(size=(60, 5)))) == "Gaussian()"


def test_encoder_sees_columns_in_their_relative_sizes():
    X = RNG.normal(size=(500, 3)) * [1.0, 2.0, 0.01] + 5.0
    vae = VAETransformer(likelihood=Gaussian(scaling="inputs"), max_iter=1, tol=None)
    model = vae.fit(X).module_.likelihood
    x = torch.from_numpy(model.prepare(X))
    np.testing.assert_allclose(x.std(0, correction=0), 1.0)
    h = model.encoder_inputs(x).std(0, correction=0).numpy()
    np.testing.assert_allclose(h / X.std(axis=0), h[0] / X[:, 0].std())
    assert np.mean(h**2) == pytest.approx(1.0)


def test_what_the_encoder_sees_does_not_change_the_density():
    X = RNG.normal(size=(50, 3)) * [1.0, 2.0, 0.01]
    outputs = torch.from_numpy(RNG.normal(size=(50, 3)))
    densities = []
    for scaling in ("column", "inputs"):
        model = Gaussian(scaling=scaling).build(3).double()
        model.fit_statistics(Rows(as_cells(X), np.arange(50), np.ones(50)))
        x = torch.from_numpy(model.prepare(X))
        densities.append(model.log_prob(outputs, x).detach().numpy())
    np.testing.assert_allclose(*densities)


@pytest.mark.parametrize(("K", "said"), [(2, "inputs"), (4, "column")])
def test_maps_of_pixels_are_of_columns_in_one_scale(K, said):
    vae = VAETransformer(K, max_iter=1, tol=None, random_state=0)
    X = PIXELS[:, [0, 1, 0, 1, 2, 3, 2, 3]]
    assert vae.fit(X).likelihood_.scaling == said


def test_start_of_pixels_is_pca_of_what_the_encoder_sees():
    X = PIXELS[:, :2] @ RNG.normal(size=(2, 4)) * [1.0, 3.0, 0.1, 2.0]
    X = X + RNG.normal(size=X.shape) * 0.01
    vae = VAETransformer(
        likelihood=Gaussian(scaling="inputs"),
        objective="elbo",
        hidden_layer_sizes=(),
        max_iter=1,
        learning_rate=1e-9,
        tol=None,
    ).fit(X)
    residual = X - vae.inverse_transform(vae.transform(X))
    assert np.square(residual).sum() < 0.01 * np.square(X - X.mean(axis=0)).sum()
