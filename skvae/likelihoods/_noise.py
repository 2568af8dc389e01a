"""Noise of standardized columns: learned, shared or for each column, or given."""

import math
from numbers import Real
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from skvae.likelihoods._statistics import rounding_noise

LARGEST_LOG_STD = 10.0
"""Bound on learned noise; its negative is the least."""


def check_noise(noise: Any, name: str) -> None:
    """Raise ValueError unless `noise` is "shared", "column" or a positive number."""
    if isinstance(noise, str) and noise in ("shared", "column"):
        return
    given = isinstance(noise, Real) and not isinstance(noise, bool)
    if not given or not 0 < float(noise) < math.inf:
        raise ValueError(
            f"{name} likelihood requires noise='shared', 'column' or a positive "
            f"standard deviation. Got {noise!r}."
        )


class Noise(nn.Module):
    r"""Standard deviation of the noise of standardized columns.

    Learned noise is :math:`\sqrt{\sigma^2 + \rho^2}`, where :math:`\rho` is what
    rounding alone does: a column with steps of width w has noise of at least
    :math:`w / \sqrt{12}`, so that the density of repeated values stays bounded.

    Parameters
    ----------
    noise : {"shared", "column"} or float
        A number is in the units of `X`.
    n_features : int
    """

    log_std: Tensor
    log_floor: Tensor

    def __init__(self, noise: str | float, n_features: int) -> None:
        super().__init__()
        self.noise = noise
        size = 1 if noise == "shared" else n_features
        log_std = torch.zeros(size, dtype=torch.float32)
        if isinstance(noise, str):
            self.log_std = nn.Parameter(log_std)
        else:
            self.register_buffer("log_std", log_std)
        # Of the variance; so low that it changes nothing until a floor is known.
        log_floor = torch.full((size,), -4 * LARGEST_LOG_STD, dtype=torch.float32)
        self.register_buffer("log_floor", log_floor)

    def forward(self) -> Tensor:
        """Return the logarithm of the standard deviation, (1,) or (D,)."""
        if not isinstance(self.noise, str):
            return self.log_std
        learned = self.log_std.clamp(-LARGEST_LOG_STD, LARGEST_LOG_STD)
        return 0.5 * torch.logaddexp(2.0 * learned, self.log_floor)

    def least_variance(self) -> Tensor:
        """Return the least variance of a column, ()."""
        return self.log_floor.min().exp() + math.exp(-2.0 * LARGEST_LOG_STD)

    def add_gradient(self, by_noise: Tensor) -> None:
        """Add to the gradient of what is learned, given that by what a call returns."""
        if self.log_std.grad is not None:
            learned = self.log_std.clamp(-LARGEST_LOG_STD, LARGEST_LOG_STD)
            slope = torch.exp(2.0 * (learned - self())) * (learned == self.log_std)
            self.log_std.grad.add_(by_noise * slope)

    @torch.no_grad()
    def fit(self, log_scale: Tensor, gaps: np.ndarray) -> None:
        """Take scales (D,) in the units of `X`, and least gaps (D,) standardized."""
        if not isinstance(self.noise, str):
            # Bounded, so that squares of rows over the noise stay finite.
            log_std = math.log(self.noise) - log_scale
            self.log_std.copy_(log_std.clamp(-20.0, 20.0))
            return
        floor = torch.from_numpy(rounding_noise(gaps)).square()
        if self.noise == "shared":
            floor = floor.min().reshape(1)
        # What is learned is never zero, and counts towards the floor.
        floor = (floor - math.exp(-2.0 * LARGEST_LOG_STD)).clamp_min(0.0)
        self.log_floor.copy_(floor.log().clamp(-4 * LARGEST_LOG_STD, 0.0))

    @torch.no_grad()
    def start(self, variances: Tensor) -> None:
        """Set learned noise to the root of residual variances (D,)."""
        if not isinstance(self.noise, str):
            return
        if self.noise == "shared":
            variances = variances.mean().reshape(1)
        learned = (variances - self.log_floor.to(variances).exp()).clamp_min(1e-12)
        log_std = 0.5 * learned.log()
        self.log_std.copy_(log_std.clamp(-LARGEST_LOG_STD, LARGEST_LOG_STD))
