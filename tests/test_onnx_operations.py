"""Functions of torch, written as nodes of a graph, equal torch and SciPy."""

import numpy as np
import pytest
import scipy.special
import torch
import torch.nn.functional as F

from skvae.files._onnx_array import ROWS, GraphArray
from skvae.files._onnx_columns import add_numbers
from skvae.files._onnx_graph import Graph
from skvae.files._onnx_operations import OPERATIONS

pytest.importorskip("onnx", reason="needs the package onnx")
onnxruntime = pytest.importorskip("onnxruntime", reason="needs onnxruntime")

RANDOM = np.random.default_rng(0)
X = torch.from_numpy(RANDOM.normal(size=(5, 12)))
ROW = torch.from_numpy(RANDOM.normal(size=12))
DRAWS = torch.from_numpy(RANDOM.normal(size=(3, 1, 12)))
MATRIX = torch.from_numpy(RANDOM.normal(size=(12, 4)))
KERNEL = torch.from_numpy(RANDOM.normal(size=(5, 2, 3, 3)))
PLACES = torch.tensor([3, 0, 0, 11])


def evaluated(function, X, size=None):
    """Return what function(X) gives in ONNX runtime."""
    graph = Graph(OPERATIONS)
    given = add_numbers(graph, "X", X.shape[1])
    value = function(given)
    graph.add_output("y", np.float64, value.double().name, None)
    proto = graph.to_model()
    # Of any number of axes.
    proto.graph.output[0].type.tensor_type.ClearField("shape")
    run = onnxruntime.InferenceSession(
        proto.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    found = run.run(None, {"X": np.asarray(X)})[0]
    known = [len(X) if n == ROWS else n for n in value.shape]
    assert ROWS in value.shape
    assert found.shape == tuple(known)
    return found


FORMULAS = {
    "arithmetic": lambda x: (2.0 - x) * ROW + x / 3 - ROW / (2.0 + x * x) + (-x) ** 2,
    "reflected": lambda x: (
        1.0 / (3.0 + x.square()) - (1 - x) + ROW * x + (x @ MATRIX).sum()
    ),
    "scaled": lambda x: (
        x.add(ROW, alpha=0.5).sub(x, alpha=2.0).addcmul(x, x, value=-1.0)
    ),
    "in_place": lambda x: x.mul(2.0).add_(1.0).neg_().clamp_(-1.5, 0.5),
    "copied": lambda x: x.clone().add_(1.0) * x,
    "parts": lambda x: x.abs().ceil() + x.floor() + x.round() + torch.sign(x),
    "roots": lambda x: x.square().sqrt() + x.abs().log() + x.abs().reciprocal(),
    "bounded": lambda x: (
        torch.tanh(x) + x.sigmoid() + F.relu(x) + torch.special.expit(x)
    ),
    "between": lambda x: torch.maximum(x, ROW) - torch.minimum(x, 0.5 * x) + x.pow(2),
    "clamps": lambda x: (
        x.clamp(min=-0.5)
        + x.clamp_min(0.2)
        + torch.clip(x, ROW, None)
        + x.clamp_max(0.3)
    ),
    "compared": lambda x: torch.where((x < ROW) | (x >= 1.0) & (x <= 2.0), x, 0.0),
    "equal": lambda x: (x == x.round()).to(x) + (x != ROW).double() + (x > 0.0) * x,
    "logic": lambda x: (
        torch.logical_not(x > 0).logical_or(x > 1).logical_and(x < 2) * 1.0
    ),
    "bitwise": lambda x: (
        (~(x > 0)).bitwise_or(x > 1).bitwise_and(x < 2).bitwise_not() * x
    ),
    "masked": lambda x: x.masked_fill(x > 0.0, 7.0) + torch.isnan(x).long(),
    "types": lambda x: x.long().double() + x.bool() + x.int() + (x > 0).type_as(x),
    "sums": lambda x: x.sum(-1) + x.mean(-1) + x.amax(1) + (x > 0).sum(-1),
    "any": lambda x: (
        (x > 1.5).any(-1) * 1.0 + (x > -1.0).all(-1, keepdim=True)[:, 0] * 2.0
    ),
    "argmax": lambda x: x.argmax(-1) + x.argmax(1, keepdim=True).sum(-1),
    "softmax": lambda x: x.softmax(-1) + F.log_softmax(x, dim=-1),
    "logsumexp": lambda x: torch.logsumexp(300.0 * x, 1) + (x @ MATRIX).logsumexp(-1),
    "products": lambda x: (x + DRAWS) @ MATRIX + torch.matmul(x, MATRIX),
    "vectors": lambda x: x @ ROW,
    "images": lambda x: x.reshape(-1, 3, 4).permute(0, 2, 1).flatten(1),
    "shapes": lambda x: x.unflatten(-1, (3, 4)).transpose(-1, -2).reshape(-1, 12),
    "views": lambda x: (
        x.view(x.size(0), 4, -1)[:, 2].unsqueeze(-1).squeeze(-1).view_as(x[:, :3])
    ),
    "expanded": lambda x: x[None].expand(3, *x.shape) + x.expand_as(x + DRAWS) + ROW,
    "known": lambda x: (
        ROW.expand_as(x) * 1.0 + x.new_zeros(x.shape) + x.new_full((12,), 2.0)
    ),
    "like": lambda x: torch.zeros_like(x) + torch.ones_like(x) * x + x.new_tensor(3.0),
    "parts_of": lambda x: x[..., 2:7] * x[:, PLACES[:1]] + x[..., 3, None] + x[:, -1:],
    "selected": lambda x: (
        x.index_select(-1, PLACES)
        + x[..., PLACES]
        + x.T[PLACES].T
        + x[:, ROW > 9.0].sum()
    ),
    "looked_up": lambda x: ROW[x.abs().long()] + ROW.expand(5, 12).T[PLACES].sum(),
    "gathered": lambda x: MATRIX.T.gather(1, x[:, :4].abs().long().T).T,
    "split": lambda x: torch.cat(
        [a * b for a, b in zip(x.chunk(2, -1), x.split(6, -1), strict=True)], -1
    ),
    "sizes": lambda x: torch.stack([a.sum(-1) for a in x.split((5, 4, 3), dim=-1)], -1),
    "ends": lambda x: torch.concatenate(torch.tensor_split(x, (5, 9), -1)[::-1], -1),
    "pieces": lambda x: torch.stack(
        [a.mean(-1) for a in torch.tensor_split(x, 5, -1)], 0
    ),
    "one_hot": lambda x: torch.zeros_like(x).scatter(
        -1, x.argmax(-1, keepdim=True), 1.0
    ),
    "padded": lambda x: F.pad(x, (1, 2)) + F.pad(x, (3, 0), value=2.0),
    "same": lambda x: F.dropout(x.contiguous().clone().detach(), 0.5, training=False),
    "linear": lambda x: F.linear(x, MATRIX.T, ROW[:4]) + F.linear(x, MATRIX.T),
    "layer_norm": lambda x: F.layer_norm(x, (12,), ROW, ROW) + F.layer_norm(x, (12,)),
    "gates": lambda x: F.gelu(x) + F.silu(x) + F.leaky_relu(x, 0.2) + F.elu(x, 0.7),
    "soft": lambda x: (
        F.softplus(30.0 * x) + F.logsigmoid(90.0 * x) + F.softplus(x, 2.0)
    ),
    "entropy": lambda x: F.binary_cross_entropy_with_logits(
        x, torch.sigmoid(x + 1.0), reduction="none"
    ),
    "added": lambda x: torch.logaddexp(500.0 * x, x) + torch.logaddexp(x, ROW),
    "sorted": lambda x: (
        torch.searchsorted(ROW.sort()[0], x)
        + torch.searchsorted(ROW.sort()[0], x, right=True)
    ),
    "sorted_rows": lambda x: (
        torch.searchsorted(MATRIX.T.contiguous().sort()[0], x[:, :4].T.contiguous()).T
    ),
    "mask": lambda x: x.sum(-1).masked_scatter(x[:, 0] > 0, x[x[:, 0] > 0][:, 1]),
    "convolved": lambda x: F.conv2d(
        x.view(-1, 2, 3, 2), KERNEL, KERNEL[:, 0, 0, 0], 2, 1
    ),
    "oblong": lambda x: F.conv2d(
        x.view(-1, 2, 2, 3), KERNEL, stride=(1, 2), padding=(1, 2)
    ),
    "transposed": lambda x: F.conv_transpose2d(
        x.view(-1, 2, 3, 2), KERNEL.transpose(0, 1), ROW[:5], 3, 1, (2, 1)
    ),
}


@pytest.mark.parametrize("name", FORMULAS)
def test_formula_equals_torch(name):
    found, expected = evaluated(FORMULAS[name], X), FORMULAS[name](X).double()
    np.testing.assert_allclose(found, expected, rtol=1e-11, atol=1e-13)


def test_formulas_have_every_function():
    used = set()

    class Noting(dict):
        def get(self, name, default=None):
            used.add(name)
            return super().get(name, default)

    for formula in FORMULAS.values():
        graph = Graph(Noting(OPERATIONS))
        formula(add_numbers(graph, "X", 12))
    special = {"erf", "ndtr", "lgamma", "gammaln", "log_ndtr"}
    assert set(OPERATIONS) - used <= special


SMALL = np.r_[10.0 ** np.linspace(-20, 0, 50), 0.0]
LINE = np.r_[np.linspace(-38.0, 38.0, 400), -SMALL, SMALL]
POSITIVE = np.r_[10.0 ** np.linspace(-6, 1.4, 200), 1.0, 2.0]


@pytest.mark.parametrize(
    ("function", "truth", "x", "rtol"),
    [
        (torch.log1p, np.log1p, np.r_[-0.9 * SMALL, SMALL, 1e6], 1e-15),
        (torch.expm1, np.expm1, np.r_[-SMALL, SMALL, 300.0, -800.0, 1e4], 1e-15),
        (torch.special.erfc, scipy.special.erfc, LINE[np.abs(LINE) < 26.0], 2e-13),
        (torch.erf, scipy.special.erf, LINE, 0.0),
        (torch.special.ndtr, scipy.special.ndtr, LINE[np.abs(LINE) < 37.0], 2e-13),
        (torch.special.log_ndtr, scipy.special.log_ndtr, np.r_[LINE, -1e5], 1e-14),
        (torch.lgamma, scipy.special.gammaln, POSITIVE, 1e-14),
        (torch.special.gammaln, scipy.special.gammaln, POSITIVE, 1e-14),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_special_function_equals_scipy(function, truth, x, rtol):
    found = evaluated(function, x[:, None])[:, 0]
    with np.errstate(over="ignore"):
        np.testing.assert_allclose(found, truth(x), rtol=rtol, atol=2e-14)


def test_missing_cells_stay_missing():
    x = np.array([[np.nan, 1e300, -1e300]])
    found = evaluated(lambda x: x.clamp(-1.0, 1.0), x)
    np.testing.assert_array_equal(found, [[np.nan, 1.0, -1.0]])


def test_sum_of_nothing_is_zero():
    found = evaluated(lambda x: (x[:, :0] + DRAWS[..., :0] - 1.0).sum(-1), X)
    np.testing.assert_array_equal(found, np.zeros((3, 5)))


def test_same_nodes_are_one():
    graph = Graph(OPERATIONS)
    x = add_numbers(graph, "X", 12)
    before = [torch.exp(x + ROW), torch.exp(x + ROW.clone())]
    assert before[0].name == before[1].name
    assert len(graph.nodes) == 2


@pytest.mark.parametrize(
    ("formula", "error", "said"),
    [
        (torch.sinc, NotImplementedError, "torch.sinc has none"),
        (lambda x: x.erfinv(), AttributeError, "Tensor.erfinv has none"),
        (lambda x: x.reshape(2, -1, 5, -1), NotImplementedError, "reshape to"),
        (lambda x: x[1:], NotImplementedError, r"slice\(1, None, None\) of"),
        (lambda x: X[:1].add_(x), NotImplementedError, "changing tensors in place"),
        (lambda x: x[:, :3].add_(1.0), NotImplementedError, "what another array shows"),
        (lambda x: [x.view(-1, 6), F.relu_(x)], NotImplementedError, "what another"),
        (lambda x: F.gelu(x, approximate="tanh"), NotImplementedError, "approximate"),
        (lambda x: F.pad(x, (1, 1), mode="reflect"), NotImplementedError, "'reflect'"),
        (
            lambda x: F.conv2d(x.view(-1, 2, 2, 3), KERNEL, dilation=2),
            NotImplementedError,
            "groups or dilation",
        ),
        (
            lambda x: F.binary_cross_entropy_with_logits(x, x),
            NotImplementedError,
            "cross-entropy with options",
        ),
        (
            lambda x: F.layer_norm(x.view(-1, 3, 4), (3, 4)),
            NotImplementedError,
            "over several axes",
        ),
        (
            lambda x: x.scatter(-1, x.long(), 1.0),
            NotImplementedError,
            "scatter to several places",
        ),
        (bool, TypeError, "values are not known"),
        (len, TypeError, "number of rows is not known"),
        (list, TypeError, "not iterable"),
    ],
)
def test_what_has_no_form_is_an_error(formula, error, said):
    with pytest.raises(error, match=said):
        formula(add_numbers(Graph(OPERATIONS), "X", 12))


def test_arrays_say_what_they_are():
    x = add_numbers(Graph(OPERATIONS), "X", 12)
    assert isinstance(x, GraphArray)
    assert (x.dim(), x.size(1), x.size(), x.numel()) == (2, 12, (ROWS, 12), -12)
    assert x.is_floating_point()
    assert len({x, x}) == 1
    assert torch.overrides.is_tensor_like(x)
