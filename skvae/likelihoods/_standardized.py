"""Columns in standard units, with noise around the decoder's outputs."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from skvae.likelihoods._contract import LikelihoodModel
from skvae.likelihoods._forms import TORCH, affine
from skvae.likelihoods._linearization import Linearization
from skvae.likelihoods._noise import Noise
from skvae.likelihoods._statistics import rounding_noise, standardization
from skvae.table import Rows

LARGEST_RATIO = 1e300
"""Bound on a scale shared by columns of very different magnitude."""


class StandardizedModel(LikelihoodModel):
    """Columns as (loc + scale * x) * unit, with x around the outputs."""

    preparation_kind = "standard"
    link_kind = "affine"

    transform: Callable[..., np.ndarray] = staticmethod(np.asarray)
    """Gives the variable to standardize: `X` itself."""

    def __init__(
        self, n_features: int, noise: str | float, scaling: str = "column"
    ) -> None:
        super().__init__()
        self.n_features = self.n_inputs = self.n_outputs = n_features
        self.scaling = scaling
        self.add_statistics(unit=1.0, loc=0.0, scale=1.0)
        self.noise = Noise(noise, n_features)

    def fit_statistics(self, rows: Rows) -> None:
        """Learn each column's magnitude, mean and standard deviation."""
        unit, loc, scale = standardization(rows, self.transform)
        if self.scaling == "shared":
            scale = self._shared_scale(scale, unit)
        # A constant column has no scale of its own.
        constant = scale == 0.0
        loc[constant] *= unit[constant]
        unit[constant] = scale[constant] = 1.0
        self.unit.copy_(torch.from_numpy(unit))
        self.loc.copy_(torch.from_numpy(loc))
        self.scale.copy_(torch.from_numpy(scale))
        self.noise.fit(self.log_scale(), rounding_noise(rows, self.prepare))

    @staticmethod
    def _shared_scale(scale: np.ndarray, unit: np.ndarray) -> np.ndarray:
        """Return the root mean variance over all columns, in each column's unit."""
        largest = unit.max()
        rms = math.sqrt(np.mean((scale * (unit / largest)) ** 2))
        with np.errstate(over="ignore"):
            return np.minimum(rms * (largest / unit), LARGEST_RATIO)

    def log_scale(self) -> Tensor:
        """Return the logarithm of each column's scale in the units of `transform`."""
        return self.scale.log() + self.unit.log()

    def preparation_arrays(self) -> dict[str, Any]:
        """Return magnitude, location and scale of each column."""
        return {"unit": self.unit, "loc": self.loc, "scale": self.scale}

    link_arrays = preparation_arrays

    def residual(self, outputs: Tensor, x: Tensor) -> Tensor:
        """Return standardized rows minus their expectation."""
        return x - outputs

    def location(self, outputs: Tensor) -> Tensor:
        """Return the outputs in the units of `transform`, float64."""
        return affine(TORCH, outputs, self.preparation_arrays())

    mode = location

    def std(self) -> Tensor:
        """Return the noise in the units of `transform`, (D,), float64."""
        std = torch.exp(self.noise().double()) * self.scale * self.unit
        return std.clamp_min(torch.finfo(std.dtype).tiny)

    def linearized(self) -> Linearization:
        """Return zeros, and outputs in the units of the inputs."""
        zeros = torch.zeros_like(self.loc)
        least_noise = float(self.noise.least_variance())
        return Linearization(zeros, zeros, least_noise=least_noise)

    def start_noise(self, variances: Tensor) -> None:
        """Set learned noise to the root of the residual variances."""
        self.noise.start(variances)
