"""Columns in standard units, with noise around the decoder's outputs."""

import math

import numpy as np
import torch
from torch import Tensor

from skvae._batches import Rows
from skvae.likelihoods._contract import LikelihoodModel
from skvae.likelihoods._noise import Noise
from skvae.likelihoods._statistics import resolution, standardization

LARGEST = 1e15
"""Bound on model units, so that squares stay finite in float32."""

LARGEST_RATIO = 1e300
"""Bound on a scale shared by columns of very different magnitude."""


class StandardizedModel(LikelihoodModel):
    """Columns as (loc + scale * x) * unit, with x around the outputs."""

    unit: Tensor
    loc: Tensor
    scale: Tensor

    def __init__(self, n_features: int, noise: str | float, scaling: str) -> None:
        super().__init__()
        self.n_features = self.n_inputs = self.n_outputs = n_features
        self.scaling = scaling
        for name in ("unit", "scale"):
            self.register_buffer(name, torch.ones(n_features, dtype=torch.float64))
        self.register_buffer("loc", torch.zeros(n_features, dtype=torch.float64))
        self.noise = Noise(noise, n_features)

    @staticmethod
    def transform(X: np.ndarray) -> np.ndarray:
        """Return what of `X` is normal: `X` itself."""
        return X.astype(np.float64, copy=False)

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
        self.noise.fit(self.log_scale(), resolution(rows, self.prepare))

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

    def prepare(self, X: np.ndarray) -> np.ndarray:
        """Return standardized rows, float64."""
        unit, loc, scale = (t.cpu().numpy() for t in (self.unit, self.loc, self.scale))
        with np.errstate(over="ignore"):
            x = (self.transform(X) / unit - loc) / scale
        return np.clip(x, -LARGEST, LARGEST, out=x)

    def cell_inputs(self, x: Tensor) -> Tensor:
        """Return the standardized rows as they are."""
        return x

    def residual(self, outputs: Tensor, x: Tensor) -> Tensor:
        """Return standardized rows minus their expectation."""
        return x - outputs

    def location(self, outputs: Tensor) -> Tensor:
        """Return the outputs in the units of `transform`, float64."""
        return (self.loc + self.scale * outputs.double()) * self.unit

    def spread_of(self, location: Tensor) -> Tensor:
        """Return the noise in the units of `transform`, shaped as the location."""
        std = torch.exp(self.noise().double()) * self.scale * self.unit
        return std.clamp_min(torch.finfo(location.dtype).tiny).expand_as(location)

    def mean(self, outputs: Tensor) -> Tensor:
        """Return the outputs in the units of `X`, float64."""
        return self.location(outputs)

    def marginal_outputs(self) -> Tensor:
        """Return zeros: standardized columns have mean zero."""
        return torch.zeros_like(self.loc)

    def marginal_inputs(self) -> Tensor:
        """Return zeros, as the marginal outputs are."""
        return self.marginal_outputs()

    def linear_outputs(self, loadings: Tensor) -> Tensor:
        """Return the loadings: outputs and encoder inputs have the same units."""
        return loadings

    def least_noise(self) -> float:
        """Return the least variance that rounding gives a column."""
        return float(self.noise.least_variance())

    def start_noise(self, variances: Tensor) -> None:
        """Set learned noise to the root of the residual variances."""
        self.noise.start(variances)
