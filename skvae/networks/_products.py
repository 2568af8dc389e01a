"""Matrix products and their gradients, through oneDNN where that is faster.

torch sends products of float32 matrices to MKL, which on recent AMD processors reaches
half of what oneDNN does, with the same results to rounding. Torch's switch,
`torch.set_float32_matmul_precision`, concerns the whole process and may allow bfloat16;
the operator called here concerns one product and keeps float32.
"""

import time
from collections.abc import Callable
from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor

LEAST_WORK = 1 << 22
"""Multiplications of a product below which finding oneDNN's kernel costs too much."""

THIN = 32
"""Columns up to which MKL is up to four times slower in some layouts than in others."""

LEAST_GAIN = 1.3
"""How much faster oneDNN must be, to make up for the copies that a gradient needs.

Processors lie well below (Zen 3: 0.9) or well above (Zen 5: 2), so that a noisy
measurement does not matter.
"""

MANY_ROWS = 2048
"""Rows from which oneDNN is faster even where it is slower for a batch.

On Zen 3 it takes 1.0 times as long as MKL at 1,024 rows, and 0.83 times at 4,096.
"""


def _through_onednn(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    return torch.ops.mkldnn._linear_pointwise(x, weight, bias, "none", [], "")


@cache
def _has_onednn() -> bool:
    """Whether torch has the operator, and its results are those of float32."""
    if not torch.backends.mkldnn.is_available():
        return False
    x = torch.arange(64 * 64, dtype=torch.float32).reshape(64, 64).sin()
    try:
        y = _through_onednn(x, x, x[0])
    except (AttributeError, RuntimeError, TypeError):
        return False
    exact = F.linear(x.double(), x.double(), x[0].double())
    return bool((y - exact).abs().max() < 1e-6 * exact.abs().max())


@cache
def _gain() -> float:
    """Return how many times faster than MKL oneDNN is on this machine."""
    x = torch.ones((128, 512), dtype=torch.float32)
    weight = torch.ones((256, 512), dtype=torch.float32)

    def seconds(product: Callable[[Tensor, Tensor, None], Tensor]) -> float:
        started = time.perf_counter()
        product(x, weight, None)
        return time.perf_counter() - started

    pairs = [(seconds(F.linear), seconds(_through_onednn)) for _ in range(8)]
    mkl, onednn = (min(times) for times in zip(*pairs, strict=True))
    return mkl / onednn


def _suits_onednn(x: Tensor, n_outputs: int) -> bool:
    return (
        x.numel() * n_outputs >= LEAST_WORK
        and x.dtype is torch.float32
        and x.device.type == "cpu"
        and _has_onednn()
        and (x.numel() >= MANY_ROWS * x.shape[-1] or _gain() >= LEAST_GAIN)
    )


def affine(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Return x weight^T + bias, (..., N), of (..., D) and (N, D).

    Equal to `torch.nn.functional.linear` up to rounding, and exactly where gradients
    are recorded.
    """
    if _suits_onednn(x, weight.shape[0]) and not torch.is_grad_enabled():
        return _through_onednn(x, weight, bias)
    return F.linear(x, weight, bias)


def product(x: Tensor, weight: Tensor) -> Tensor:
    """Return x weight, (B, D), of (B, N) and (N, D): a gradient of inputs."""
    if _suits_onednn(x, weight.shape[1]):
        return _through_onednn(x, weight.T, None)
    if weight.shape[1] <= THIN:
        return F.linear(x, weight.T.contiguous())
    return x @ weight


def put_product(out: Tensor, a: Tensor, b: Tensor, adds: bool) -> None:
    """Set `out` (N, D) to a^T b, of (B, N) and (B, D): a gradient of weights.

    With `adds` the product is added to what is there.
    """
    put = out.add_ if adds else out.copy_
    if out.shape[1] <= THIN:
        put((b.T @ a).T)
    elif not _suits_onednn(a, out.shape[1]):
        out.addmm_(a.T, b, beta=int(adds))
    elif a.shape[1] <= b.shape[1]:
        put(_through_onednn(a.T, b.T, None))
    else:
        # The first argument is copied, so it should be the smaller one.
        put(_through_onednn(b.T, a.T, None).T)
