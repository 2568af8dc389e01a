"""Models of different columns, side by side, as one model."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from skvae._batches import Rows
from skvae.likelihoods._contract import LikelihoodModel


class SideBySide(Distribution):
    """Distributions of some columns each, as one of all columns.

    Parameters
    ----------
    parts : list of Distribution
    order : Tensor of shape (D,)
        Position of each column among those of the parts, one after the other.
    """

    arg_constraints: Any = {}

    def __init__(self, parts: list[Distribution], order: Tensor) -> None:
        self.parts, self.order = parts, order
        shape = parts[0].batch_shape[:-1] + order.shape
        super().__init__(shape, validate_args=False)

    def _join(self, parts: list[Tensor]) -> Tensor:
        return torch.cat([part.double() for part in parts], dim=-1)[..., self.order]

    @property
    def mean(self) -> Tensor:
        """Mean; NaN where there is none."""
        return self._join([part.mean for part in self.parts])

    @property
    def variance(self) -> Tensor:
        """Variance; NaN where there is none."""
        return self._join([part.variance for part in self.parts])

    @property
    def mode(self) -> Tensor:
        """Mode."""
        return self._join([part.mode for part in self.parts])

    def log_prob(self, value: Tensor) -> Tensor:
        """Return the log-density or log-mass of each cell."""
        sizes = [part.batch_shape[-1] for part in self.parts]
        values = value[..., torch.argsort(self.order)].split(sizes, dim=-1)
        pairs = zip(self.parts, values, strict=True)
        return self._join([part.log_prob(cells) for part, cells in pairs])

    def sample(self, sample_shape: Any = ()) -> Tensor:
        """Return draws, from torch's global generator."""
        return self._join([part.sample(sample_shape) for part in self.parts])


class _Part(nn.Module):
    """A likelihood's model, the columns it owns, and what it reads and writes."""

    columns: Tensor

    def __init__(
        self, model: LikelihoodModel, columns: list[int], first: tuple[int, int]
    ) -> None:
        super().__init__()
        self.model = model
        self.register_buffer("columns", torch.tensor(columns), persistent=False)
        self.inputs = slice(first[0], first[0] + model.n_inputs)
        self.outputs = slice(first[1], first[1] + model.n_outputs)


class SideBySideModel(LikelihoodModel):
    """Models side by side: what each gives is concatenated, in the columns' order."""

    order: Tensor
    parts: Any

    def __init__(self, models: list[LikelihoodModel], columns: list[list[int]]) -> None:
        super().__init__()
        self.n_features = sum(map(len, columns))
        self.n_inputs = self.n_outputs = 0
        self.parts = nn.ModuleList()
        for model, owned in zip(models, columns, strict=True):
            self.parts.append(_Part(model, owned, (self.n_inputs, self.n_outputs)))
            self.n_inputs += model.n_inputs
            self.n_outputs += model.n_outputs
        flat = torch.tensor([column for part in columns for column in part])
        self.register_buffer("order", torch.argsort(flat), persistent=False)

    def _each(self, function: Callable[[Any], Tensor]) -> Tensor:
        """Return function(part) of all parts, one after the other."""
        return torch.cat([function(part) for part in self.parts], dim=-1)

    def _cells(self, function: Callable[[Any], Tensor]) -> Tensor:
        """Return function(part), a value per column, in the order of the columns."""
        return self._each(function)[..., self.order]

    def fit_statistics(self, rows: Rows) -> None:
        """Learn the statistics of each part."""
        for part in self.parts:
            columns = part.columns.cpu().numpy()
            owned = Rows(rows.X[:, columns], rows.index, rows.weights)
            part.model.fit_statistics(owned)

    def prepare(self, X: np.ndarray) -> np.ndarray:
        """Return rows in the model units of each column's part."""
        x = np.empty(X.shape, dtype=np.float64)
        for part in self.parts:
            columns = part.columns.cpu().numpy()
            x[:, columns] = part.model.prepare(X[:, columns])
        return x

    def encoder_inputs(self, x: Tensor, observed: Tensor | None = None) -> Tensor:
        """Return the inputs of each part."""

        def inputs(part: _Part) -> Tensor:
            seen = None if observed is None else observed[..., part.columns]
            return part.model.encoder_inputs(x[..., part.columns], seen)

        return self._each(inputs)

    def cell_inputs(self, x: Tensor) -> Tensor:
        """Return the inputs of each part."""
        return self._each(lambda part: part.model.cell_inputs(x[..., part.columns]))

    def spread(self, columns: Tensor) -> Tensor:
        """Return values of columns as values of inputs."""
        return self._each(lambda part: part.model.spread(columns[..., part.columns]))

    def fill(self, x: Tensor, observed: Tensor) -> Tensor:
        """Return rows with a value of the domain in place of missing cells."""

        def fill(part: _Part) -> Tensor:
            cells, seen = x[..., part.columns], observed[..., part.columns]
            return part.model.fill(cells, seen)

        return self._cells(fill)

    def log_prob(
        self, outputs: Tensor, x: Tensor, observed: Tensor | None = None
    ) -> Tensor:
        """Return the sum of the log-densities and log-masses of the parts."""
        total: Any = 0.0
        for part in self.parts:
            cells, values = x[..., part.columns], outputs[..., part.outputs]
            seen = None if observed is None else observed[..., part.columns]
            total = total + part.model.log_prob(values, cells, seen)
        return total

    def cell_log_prob(self, outputs: Tensor, x: Tensor) -> Tensor:
        """Return the log-density or log-mass of each cell."""

        def log_prob(part: _Part) -> Tensor:
            cells, values = x[..., part.columns], outputs[..., part.outputs]
            return part.model.cell_log_prob(values, cells)

        return self._cells(log_prob)

    def residual(self, outputs: Tensor, x: Tensor) -> Tensor:
        """Return the residuals of the parts."""

        def residual(part: _Part) -> Tensor:
            cells, values = x[..., part.columns], outputs[..., part.outputs]
            return part.model.residual(values, cells)

        return self._cells(residual)

    def distribution(self, outputs: Tensor) -> Distribution:
        """Return the distributions of the parts, side by side."""
        distributions = [
            part.model.distribution(outputs[..., part.outputs]) for part in self.parts
        ]
        return SideBySide(distributions, self.order)

    def mean(self, outputs: Tensor) -> Tensor:
        """Return expected cells, float64."""
        return self._cells(
            lambda part: part.model.mean(outputs[..., part.outputs]).double()
        )

    def average(self, outputs: Tensor, weights: Tensor) -> Tensor:
        """Return expected cells of a mixture, float64."""
        return self._cells(
            lambda part: part.model.average(
                outputs[..., part.outputs], weights
            ).double()
        )

    def mode(self, outputs: Tensor) -> Tensor:
        """Return the most likely cells, float64."""
        return self._cells(
            lambda part: part.model.mode(outputs[..., part.outputs]).double()
        )

    def draw(self, outputs: Tensor, generator: torch.Generator) -> Tensor:
        """Return draws of the parts, one after the other, float64."""

        def draw(part: _Part) -> Tensor:
            return part.model.draw(outputs[..., part.outputs], generator).double()

        return self._cells(draw)

    def marginal_outputs(self) -> Tensor:
        """Return those of the parts."""
        return self._each(lambda part: part.model.marginal_outputs())

    def marginal_inputs(self) -> Tensor:
        """Return those of the parts."""
        return self._each(lambda part: part.model.marginal_inputs())

    def linear_outputs(self, loadings: Tensor) -> Tensor:
        """Return directions of the parts' outputs."""
        return self._each(
            lambda part: part.model.linear_outputs(loadings[..., part.inputs])
        )

    def spread_offset(self, variances: Tensor) -> Tensor:
        """Return those of the parts."""
        return self._each(
            lambda part: part.model.spread_offset(variances[..., part.outputs])
        )

    def start_noise(self, variances: Tensor) -> None:
        """Set the learned noise of the parts."""
        for part in self.parts:
            part.model.start_noise(variances[part.inputs])
