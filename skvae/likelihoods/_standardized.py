"""Columns in standard units, with noise around the decoder's outputs."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from skvae.likelihoods._constants import Constants
from skvae.likelihoods._contract import LikelihoodModel, Where
from skvae.likelihoods._forms import TORCH, Link, Preparation, affine
from skvae.likelihoods._linearization import Linearization
from skvae.likelihoods._noise import Noise
from skvae.likelihoods._statistics import rounding_noise, standardization
from skvae.table import Rows

LARGEST_RATIO = 1e300
"""Bound on a scale shared by columns of very different magnitude."""


LEAST_SHARE = 1e-6
"""Least of what an encoder sees of a standardized column: enough to start from."""


class StandardizedModel(LikelihoodModel):
    """Columns as (loc + scale * x) * unit, with x around the outputs.

    A subclass writes `cell_density`, of columns that vary. Others are `Constants`: the
    encoder does not see them, and outputs do not move them.
    """

    preparation_kind = "standard"
    link_kind = "affine"

    transform: Callable[..., np.ndarray] = staticmethod(np.asarray)
    """Gives the variable to standardize: `X` itself."""
    empty = 0.0
    """What columns without any observed cell are."""

    def __init__(
        self, n_features: int, noise: str | float, scaling: str = "column"
    ) -> None:
        super().__init__()
        self.n_features = self.n_inputs = n_features
        self.scaling = scaling
        self.add_statistics(unit=1.0, loc=0.0, scale=1.0)
        if scaling == "inputs":
            self.preparation_kind = "standard_shared"
            self.linear_start_is_exact = False
            self.add_statistics(share=1.0)
        self.noise = Noise(noise, n_features)
        self.n_outputs = n_features + self.noise.n_outputs
        if self.noise.n_outputs:
            self.linear_start_is_exact = False
        self.constants = Constants(n_features)

    def fit_statistics(self, rows: Rows) -> None:
        """Learn each column's magnitude, mean and standard deviation."""
        self.constants.fit(rows, self.empty)
        unit, loc, scale, _ = standardization(rows, self.transform)
        constant = self.constants.where()
        # Where numbers differ their logarithms may not.
        unit[constant] = scale[constant | (scale == 0.0)] = 1.0
        if self.scaling != "column" and not constant.all():
            shared = self._shared_scale(scale[~constant], unit[~constant])
            if self.scaling == "shared":
                scale[~constant] = shared
            else:
                share = np.maximum(scale[~constant] / shared, LEAST_SHARE)
                self.share[~constant] = torch.from_numpy(share)
        self.unit.copy_(torch.from_numpy(unit))
        self.loc.copy_(torch.from_numpy(loc))
        self.scale.copy_(torch.from_numpy(scale))
        self._fit_noise(rows)

    def _fit_noise(self, rows: Rows) -> None:
        """Learn the noise of rounding; that of constant columns does not count."""
        least = rounding_noise(rows, self.prepare)
        self.noise.fit(
            self.log_scale(), np.where(self.constants.where(), np.inf, least)
        )

    @staticmethod
    def _shared_scale(scale: np.ndarray, unit: np.ndarray) -> np.ndarray:
        """Return the root mean variance over all columns, in each column's unit."""
        largest = unit.max()
        rms = math.sqrt(np.mean((scale * (unit / largest)) ** 2))
        with np.errstate(over="ignore"):
            return np.minimum(rms * (largest / unit), LARGEST_RATIO)

    def split(self, outputs: Tensor) -> tuple[Tensor, Tensor]:
        """Return outputs (..., D), and the logarithm of the noise around them.

        The noise is of shape (1,) or (D,), or that of outputs where it differs among
        rows.
        """
        if not self.noise.n_outputs:
            return outputs, self.noise()
        location, of_noise = outputs.chunk(2, dim=-1)
        return location, self.noise(of_noise)

    def _share(self) -> Tensor:
        """Return what the encoder sees of each standardized column, (D,)."""
        return self.share if self.scaling == "inputs" else torch.ones_like(self.scale)

    def log_scale(self) -> Tensor:
        """Return the logarithm of each column's scale in the units of `transform`."""
        return self.scale.log() + self.unit.log()

    def preparation_arrays(self) -> dict[str, Any]:
        """Return magnitude, location and scale of each column, and its share."""
        share = {"share": self.share} if self.scaling == "inputs" else {}
        return self._moments() | share

    def link_arrays(self) -> dict[str, Any]:
        """Return magnitude, location and scale of each column."""
        return self._moments() | (self.noise.arrays() if self.noise.n_outputs else {})

    def _moments(self) -> dict[str, Any]:
        return {"unit": self.unit, "loc": self.loc, "scale": self.scale}

    @property
    def n_constant(self) -> int:
        """Number of constant columns."""
        return self.constants.n

    def preparation(self) -> Preparation:
        """Return the preparation, with constant columns apart."""
        return self.constants.preparation(super().preparation())

    def link(self) -> Link:
        """Return the link, with the constants in place."""
        return self.constants.link(super().link())

    def encoder_inputs(self, x: Tensor, observed: Where = None) -> Tensor:
        """Return what the encoder sees, (B, D), nothing of constant columns."""
        return self.constants.hide(super().encoder_inputs(x, observed))

    def cell_density(self, outputs: Tensor, x: Tensor) -> Tensor:
        """Return the log-density of each cell in the units of `X`."""
        raise NotImplementedError

    def cell_log_prob(self, outputs: Tensor, x: Tensor) -> Tensor:
        """Return log-densities in the units of `X`, and log-masses of constants."""
        return self.constants.put_masses(self.cell_density(outputs, x), x)

    def residual(self, outputs: Tensor, x: Tensor) -> Tensor:
        """Return rows minus their expectation, in units of what the encoder sees."""
        outputs = outputs[..., : self.n_features]
        return self.constants.hide(x - outputs) * self._share().to(outputs.dtype)

    def location(self, outputs: Tensor) -> Tensor:
        """Return the outputs in the units of `transform`, float64."""
        return affine(TORCH, outputs[..., : self.n_features], self._moments())

    def mode(self, outputs: Tensor) -> Tensor:
        """Return the outputs in the units of `X`, float64."""
        return self.constants.put(self.location(outputs))

    def std(self, outputs: Tensor | None = None) -> Tensor:
        """Return the noise in the units of `transform`, float64.

        Of columns (D,), or where it differs among rows (..., D) at outputs.
        """
        log_noise = self.noise() if outputs is None else self.split(outputs)[1]
        std = torch.exp(log_noise.double()) * self.scale * self.unit
        return std.clamp_min(torch.finfo(std.dtype).tiny)

    def noise_arrays(self) -> dict[str, Tensor]:
        """Return what a link needs of the noise: `std`, or its unit and the rest."""
        if not self.noise.n_outputs:
            return {"std": self.std()}
        return {"std": self.scale * self.unit, **self.noise.arrays()}

    def linearized(self) -> Linearization:
        """Return zeros, and outputs in the units of the inputs."""
        zeros = torch.zeros_like(self.loc)
        share = self._share()
        slope = torch.where(self.constants.varies, share, torch.inf)
        least_noise = float(self.noise.least_variance() * share.square().min())
        linearization = Linearization(zeros, zeros, slope, least_noise=least_noise)
        has_more = self.noise.n_outputs > 0
        return linearization.with_outputs_apart(zeros) if has_more else linearization

    def start_noise(self, variances: Tensor) -> None:
        """Set learned noise to the root of the residual variances."""
        variances = variances / self._share().square()
        self.noise.start(self.constants.put_mean(variances))
