"""What a step draws at random: noise, cells drawn anew, cells that are hidden."""

from dataclasses import replace

import torch
from torch import Tensor

from skvae._model import Model
from skvae._random import Stream, generator
from skvae.table import Batch


class Chance:
    """The draws of each step of a run, which follow from seed, epoch and step.

    Parameters
    ----------
    model : Model
    seed : int
    n_draws : int
        Draws of z per row.
    hidden_fraction : float
        Largest fraction of the cells that is hidden.
    """

    def __init__(
        self, model: Model, seed: int, n_draws: int, hidden_fraction: float
    ) -> None:
        self.model, self.seed, self.n_draws = model, seed, n_draws
        self.hidden_fraction = hidden_fraction

    def _generator(self, stream: Stream, epoch: int, step: int) -> torch.Generator:
        return generator(self.seed, stream, epoch, step, device=self.model.device)

    def noise(self, n_rows: int, epoch: int, step: int) -> Tensor:
        """Return standard normal numbers, (S, B, K)."""
        random = self._generator(Stream.NOISE, epoch, step)
        shape = self.n_draws, n_rows, self.model.n_components
        device = self.model.device
        return torch.randn(shape, generator=random, device=device, dtype=torch.float32)

    def applied(self, batch: Batch, epoch: int, step: int) -> Batch:
        """Return the batch as a step sees it: with cells drawn anew, and hidden."""
        return self._with_hidden(self._with_drawn(batch, epoch, step), epoch, step)

    def _with_drawn(self, batch: Batch, epoch: int, step: int) -> Batch:
        """Return the batch with cells drawn anew, where the likelihood draws any."""
        likelihood = self.model.likelihood
        if not likelihood.draws_cells:
            return batch
        random = self._generator(Stream.CELLS, epoch, step)

        def drawn(x: Tensor) -> Tensor:
            uniform = torch.rand(
                x.shape, generator=random, device=x.device, dtype=x.dtype
            )
            return likelihood.draw_cells(x, uniform)

        near = batch.partners
        partners = None if near is None else drawn(near)
        return replace(batch, x=drawn(batch.x), partners=partners)

    def _with_hidden(self, batch: Batch, epoch: int, step: int) -> Batch:
        """Return the batch with a fraction of its cells hidden at random.

        The fraction differs from row to row, from none to `hidden_fraction`.
        """
        if not self.hidden_fraction:
            return batch
        x, random = batch.x, self._generator(Stream.HIDDEN, epoch, step)
        uniform = torch.rand(
            (len(x), x.shape[1] + 1),
            generator=random,
            device=x.device,
            dtype=torch.float32,
        )
        return batch.hide(uniform[:, 1:] < self.hidden_fraction * uniform[:, :1])
