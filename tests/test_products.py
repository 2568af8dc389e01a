"""Products are the same whichever way they are made."""

import pytest
import torch
import torch.nn.functional as F
from torch.testing import assert_close

from skvae.networks import _products
from skvae.networks._products import affine, product, put_product

SHAPES = [
    (1, 1, 1),
    (5, 3, 4),
    (130, 40, 50),
    (50, 40, 130),
    (600, 256, 200),
    (2100, 60, 50),
]


def _matrices(*shapes, dtype=torch.float32):
    random = torch.Generator().manual_seed(0)
    return [torch.randn(shape, generator=random, dtype=dtype) for shape in shapes]


@pytest.fixture(params=["as it is", "onednn", "onednn, but slower", "none"], name="way")
def _way(request, monkeypatch):
    """Take each way that products may be made on some machine."""
    if request.param.startswith("onednn"):
        if not _products._has_onednn():
            pytest.skip("torch has no oneDNN operator here")
        monkeypatch.setattr(_products, "LEAST_WORK", 0)
        gain = 1.0 if "slower" in request.param else 2.0
        monkeypatch.setattr(_products, "_gain", lambda: gain)
    if request.param == "none":
        monkeypatch.setattr(_products, "_has_onednn", lambda: False)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.usefixtures("way")
def test_products_equal_exact_ones(shape, dtype):
    n_rows, n_inputs, n_outputs = shape
    x, weight, bias, gradient, total = _matrices(
        (n_rows, n_inputs),
        (n_outputs, n_inputs),
        (n_outputs,),
        (n_rows, n_outputs),
        (n_outputs, n_inputs),
        dtype=dtype,
    )
    tight = {"rtol": 1e-5, "atol": 2e-4} if dtype == torch.float32 else {}
    exact = [values.double().clone() for values in (x, weight, bias, gradient, total)]
    with torch.no_grad():
        assert_close(affine(x, weight, bias).double(), F.linear(*exact[:3]), **tight)
        assert_close(product(gradient, weight).double(), exact[3] @ exact[1], **tight)
    put_product(total, gradient, x, adds=True)
    assert_close(total.double(), exact[4] + exact[3].T @ exact[0], **tight)
    total.fill_(torch.nan)
    put_product(total, gradient, x, adds=False)
    assert_close(total.double(), exact[3].T @ exact[0], **tight)


@pytest.mark.usefixtures("way")
def test_affine_takes_several_draws_of_rows():
    x, weight, bias = _matrices((3, 20, 30), (10, 30), (10,))
    with torch.no_grad():
        assert_close(affine(x, weight, bias), F.linear(x, weight, bias))


@pytest.mark.usefixtures("way")
def test_affine_is_differentiable_where_gradients_are_recorded():
    x, weight = _matrices((20, 30), (10, 30), dtype=torch.float32)
    weight.requires_grad_()
    affine(x, weight).sum().backward()
    assert_close(weight.grad, x.sum(0).expand_as(weight))


def test_gain_is_measured_without_touching_anything_global(untouched):
    if _products._has_onednn.__wrapped__():
        assert _products._gain.__wrapped__() > 0
