"""Noise of standardized columns: shared, of each column or row, or given."""

import math
from numbers import Real

import numpy as np
import torch
from torch import Tensor, nn

from skvae._sklearn import Interval, StrOptions
from skvae.likelihoods._forms import (
    LARGEST_LOG_FACTOR,
    LARGEST_LOG_STD,
    TORCH,
    log_noise,
)

POSITIVE = Interval(Real, 0, None, closed="neither")
NOISE = [StrOptions({"shared", "column"}), POSITIVE]
"""What the parameter `noise` of a likelihood may be."""

NOISE_OF_ROWS = [StrOptions({"shared", "column", "decoder"}), POSITIVE]
"""What it may be where noise may differ among rows."""


class Noise(nn.Module):
    r"""Standard deviation of the noise of standardized columns.

    Learned noise is :math:`\sqrt{\sigma^2 + \rho^2}`, where :math:`\rho` is the noise
    of rounding: a column with steps of width w has noise of at least
    :math:`w / \sqrt{12}`, so that the density of repeated values stays bounded.

    Parameters
    ----------
    noise : {"shared", "column", "decoder"} or float
        A number is in the units of `X`. With `"decoder"`, :math:`\sigma` is that of the
        column times a factor of the row, from outputs of the decoder.
    n_features : int

    Attributes
    ----------
    is_shared : bool
        Whether one noise is learned for all columns.
    n_outputs : int
        Number of outputs of the decoder that say what the noise is.
    """

    log_std: Tensor
    log_floor: Tensor

    def __init__(self, noise: str | float, n_features: int) -> None:
        super().__init__()
        self.noise, self.is_shared = noise, noise == "shared"
        size = 1 if self.is_shared else n_features
        self.n_outputs = n_features if noise == "decoder" else 0
        log_std = torch.zeros(size, dtype=torch.float32)
        if isinstance(noise, str):
            self.log_std = nn.Parameter(log_std)
        else:
            self.register_buffer("log_std", log_std)
        # Of the variance; so low that it changes nothing until a floor is known.
        log_floor = torch.full((size,), -4 * LARGEST_LOG_STD, dtype=torch.float32)
        self.register_buffer("log_floor", log_floor)

    def forward(self, outputs: Tensor | None = None) -> Tensor:
        """Return the logarithm of the standard deviation, (1,) or (D,).

        At outputs (..., D) of the decoder that are of the noise, (..., D): None leaves
        out what differs among rows.
        """
        if not isinstance(self.noise, str):
            return self.log_std
        return log_noise(TORCH, outputs, self.arrays())

    def arrays(self) -> dict[str, Tensor]:
        """Return the named arrays of the link that this noise needs."""
        return {"log_std": self.log_std, "log_floor": self.log_floor}

    def least_variance(self) -> Tensor:
        """Return the least variance of a column, ()."""
        return self.log_floor.min().exp() + math.exp(-2.0 * LARGEST_LOG_STD)

    def joined(
        self, by_location: Tensor, by_noise: Tensor, log_noise: Tensor, outputs: Tensor
    ) -> Tensor:
        """Return the gradient by outputs of the decoder; add that of `log_std`.

        Parameters
        ----------
        by_location, by_noise : Tensor of shape (B, D)
            The gradients by what cells lie around, and by the logarithm of their noise.
        log_noise : Tensor of shape (1,), (D,) or (B, D)
            What a call gave.
        outputs : Tensor of shape (B, D) or (B, 2 D)
        """
        if not self.n_outputs:
            total = by_noise.sum() if self.is_shared else by_noise.sum(0)
            self.add_gradient(total, log_noise)
            return by_location
        way = torch.tanh(outputs[:, self.n_outputs :] / LARGEST_LOG_FACTOR)
        learned = self.log_std + LARGEST_LOG_FACTOR * way
        inside = learned.abs() <= LARGEST_LOG_STD
        by_learned = by_noise * torch.exp(2.0 * (learned - log_noise)) * inside
        if self.log_std.grad is not None:
            self.log_std.grad.add_(by_learned.sum(0))
        return torch.cat((by_location, by_learned * (1.0 - way.square())), -1)

    def add_gradient(self, by_noise: Tensor, log_noise: Tensor) -> None:
        """Add to the gradient of `log_std`, given the gradient by a call's result."""
        if self.log_std.grad is not None:
            learned = self.log_std.clamp(-LARGEST_LOG_STD, LARGEST_LOG_STD)
            slope = torch.exp(2.0 * (learned - log_noise)) * (learned == self.log_std)
            self.log_std.grad.add_(by_noise * slope)

    @torch.no_grad()
    def fit(self, log_scale: Tensor, least: np.ndarray) -> None:
        """Take scales (D,) in the units of `X`, and standardized noise of rounding."""
        if not isinstance(self.noise, str):
            # Bounded, so that squares of rows over the noise stay finite.
            log_std = math.log(self.noise) - log_scale
            self.log_std.copy_(log_std.clamp(-20.0, 20.0))
            return
        floor = torch.from_numpy(least).square()
        if self.is_shared:
            floor = floor.min().reshape(1)
        # Learned noise is never zero, and counts towards the floor.
        floor = (floor - math.exp(-2.0 * LARGEST_LOG_STD)).clamp_min(0.0)
        self.log_floor.copy_(floor.log().clamp(-4 * LARGEST_LOG_STD, 0.0))

    @torch.no_grad()
    def start(self, variances: Tensor) -> None:
        """Set learned noise to the root of residual variances (D,)."""
        if not isinstance(self.noise, str):
            return
        if self.is_shared:
            variances = variances.mean().reshape(1)
        learned = (variances - self.log_floor.to(variances).exp()).clamp_min(1e-12)
        log_std = 0.5 * learned.log()
        self.log_std.copy_(log_std.clamp(-LARGEST_LOG_STD, LARGEST_LOG_STD))
