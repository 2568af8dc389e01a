"""Models of different columns, side by side, as one model."""

from collections.abc import Iterable, Iterator
from itertools import accumulate
from typing import Any

import torch
from torch import Tensor, nn

from skvae.likelihoods._contract import LikelihoodModel, Where
from skvae.likelihoods._linearization import Linearization, side_by_side
from skvae.table import Rows


class SideBySideModel(LikelihoodModel):
    """Models side by side: what each gives is concatenated, in the columns' order."""

    preparation_kind = link_kind = "columns"

    parts: Any

    def __init__(self, models: list[LikelihoodModel], owned: list[list[int]]) -> None:
        super().__init__()
        self.parts, self.owned = nn.ModuleList(models), owned
        self.sizes = [model.n_features for model in models]
        self.input_sizes = [model.n_inputs for model in models]
        self.output_sizes = [model.n_outputs for model in models]
        self.n_features = sum(self.sizes)
        self.n_inputs, self.n_outputs = sum(self.input_sizes), sum(self.output_sizes)
        columns = torch.tensor([column for columns in owned for column in columns])
        self.register_buffer("columns", columns, persistent=False)
        self.register_buffer("order", torch.argsort(columns), persistent=False)

    @property
    def width(self) -> int:
        """Most values of a row that the parts compute, together."""
        return sum(part.width for part in self.parts)

    @property
    def input_columns(self) -> Tensor:
        """The column that each input of a part shows."""
        return self._columns_of(part.input_columns for part in self.parts)

    @property
    def output_columns(self) -> Tensor:
        """The column that each output of a part is of."""
        return self._columns_of(part.output_columns for part in self.parts)

    def _columns_of(self, within: Iterable[Tensor]) -> Tensor:
        """Return the columns of `X` of columns within the parts."""
        pairs = zip(self.owned, within, strict=True)
        return torch.cat([torch.tensor(own)[columns] for own, columns in pairs])

    @property
    def rounds_draws(self) -> bool:
        """Whether a part rounds its draws."""
        return any(part.rounds_draws for part in self.parts)

    @property
    def draws_cells(self) -> bool:
        """Whether training draws cells of a part anew."""
        return any(part.draws_cells for part in self.parts)

    def draw_cells(self, x: Tensor, uniform: Tensor) -> Tensor:
        """Return rows with the cells of parts drawn anew."""
        columns = (v.index_select(-1, self.columns) for v in (x, uniform))
        cells = (v.split(self.sizes, -1) for v in columns)
        each = zip(self.parts, *cells, strict=True)
        return self._join(part.draw_cells(*given) for part, *given in each)

    @property
    def n_constant(self) -> int:
        """Number of columns that the parts tell apart as constant."""
        return sum(part.n_constant for part in self.parts)

    def _each(self, outputs: Tensor, *cells: Tensor | None) -> Iterator[Any]:
        """Yield (model, its outputs, its cells, ...) of the parts; None stays None."""
        split = [
            [None] * len(self.parts)
            if x is None
            else x.index_select(-1, self.columns).split(self.sizes, -1)
            for x in cells
        ]
        outputs_of = outputs.split(self.output_sizes, -1)
        return zip(self.parts, outputs_of, *split, strict=True)

    def _join(self, cells: Iterable[Tensor]) -> Tensor:
        """Return cells of the parts in the order of the columns."""
        return torch.cat(list(cells), dim=-1).index_select(-1, self.order)

    def fit_statistics(self, rows: Rows) -> None:
        """Learn the statistics of each part."""
        for part, columns in zip(self.parts, self.owned, strict=True):
            part.fit_statistics(rows.columns(columns))

    def preparation_arrays(self) -> dict[str, Any]:
        """Return the preparations of the parts, and their columns."""
        return {
            "parts": tuple(part.preparation() for part in self.parts),
            "columns": self.columns,
            "ends": _ends(self.sizes),
            "order": self.order,
        }

    def link_arrays(self) -> dict[str, Any]:
        """Return the links of the parts, and their outputs."""
        parts = tuple(part.link() for part in self.parts)
        return {"parts": parts, "ends": _ends(self.output_sizes), "order": self.order}

    def log_prob(self, outputs: Tensor, x: Tensor, observed: Where = None) -> Tensor:
        """Return the sum of the log-densities and log-masses of the parts."""
        zeros = outputs.new_zeros(outputs.shape[:-1])
        each = self._each(outputs, x, observed)
        seen = (part for part in each if not _has_no_cells(part[-1]))
        return zeros + sum(model.log_prob(*given) for model, *given in seen)

    def loss_and_gradient(
        self, outputs: Tensor, x: Tensor, sample_weights: Tensor, observed: Where = None
    ) -> tuple[Tensor, Tensor]:
        """Return minus the log-density, and the gradients of the parts."""
        each = [
            model.loss_and_gradient(values, cells, sample_weights, seen)
            for model, values, cells, seen in self._each(outputs, x, observed)
        ]
        losses, gradients = zip(*each, strict=True)
        return sum(losses), torch.cat(gradients, dim=-1)

    def cell_log_prob(self, outputs: Tensor, x: Tensor) -> Tensor:
        """Return the log-density or log-mass of each cell."""
        each = self._each(outputs, x)
        return self._join(model.cell_log_prob(*given) for model, *given in each)

    def residual(self, outputs: Tensor, x: Tensor) -> Tensor:
        """Return the residuals of the parts."""
        each = self._each(outputs, x)
        return self._join(model.residual(*given) for model, *given in each)

    def mode(self, outputs: Tensor) -> Tensor:
        """Return the most likely cells, float64."""
        return self._join(model.mode(a).double() for model, a in self._each(outputs))

    def expected(self, outputs: Tensor) -> Tensor:
        """Return what is expected of the parts, in the order of the columns."""
        values = [model.expected(a).double() for model, a in self._each(outputs)]
        _, order = self._expected_of()
        return torch.cat(values, dim=-1)[..., order.to(outputs.device)]

    @property
    def expected_of(self) -> Tensor:
        """The column, and the code or -1, of each value that is expected."""
        of_values, order = self._expected_of()
        return of_values[:, order]

    def _expected_of(self) -> tuple[Tensor, Tensor]:
        """Return that of the parts one after another, and the order of the columns."""
        pairs = [part.expected_of for part in self.parts]
        columns = self._columns_of(columns for columns, _ in pairs)
        codes = torch.cat([codes for _, codes in pairs])
        order = torch.argsort(columns, stable=True)
        return torch.stack((columns, codes)), order

    def draw(self, outputs: Tensor, generator: torch.Generator) -> Tensor:
        """Return draws of the parts, one after the other, float64."""
        each = self._each(outputs)
        return self._join(model.draw(a, generator).double() for model, a in each)

    def linearized(self) -> Linearization:
        """Return the linearizations of the parts, side by side."""
        return side_by_side([part.linearized() for part in self.parts])

    def start_noise(self, variances: Tensor) -> None:
        """Set the learned noise of the parts."""
        of_parts = variances.split(self.input_sizes)
        for part, variance in zip(self.parts, of_parts, strict=True):
            part.start_noise(variance)


def _has_no_cells(observed: Where) -> bool:
    """Return whether no cell is observed; False where a look would have to wait."""
    if not isinstance(observed, Tensor) or observed.device.type != "cpu":
        return False
    return not bool(observed.any())


def _ends(sizes: list[int]) -> tuple[int, ...]:
    """Return where each part but the last ends."""
    return tuple(accumulate(sizes[:-1]))
