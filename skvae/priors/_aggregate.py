"""The posteriors of many rows together, of which a sampler is a model."""

from typing import NamedTuple

import torch
from torch import Tensor

from skvae._random import Stream, generator
from skvae.priors._posterior import Posterior

N_DRAWS, N_DRAWS_OF_A_ROW = 4096, 16
"""Most draws of z that a sampler is fitted to, of all rows and of each in the mean."""


class Aggregate(NamedTuple):
    r"""The aggregate posterior, :math:`q(z) = \sum_i w_i q(z \mid x_i)`.

    Attributes
    ----------
    posterior : Posterior
    outputs : Tensor of shape (n, n_outputs)
        The encoder's outputs for n rows.
    weights : Tensor of shape (n,)
    """

    posterior: Posterior
    outputs: Tensor
    weights: Tensor

    @property
    def n_components(self) -> int:
        """Number of components, K."""
        return self.posterior.mean(self.outputs[:1]).shape[1]

    @property
    def n_rows(self) -> int:
        """Number of rows."""
        return len(self.outputs)

    def take(self, positions: Tensor) -> "Aggregate":
        """Return the posteriors of some of the rows."""
        return self._replace(
            outputs=self.outputs[positions], weights=self.weights[positions]
        )

    def spread(self, n: int) -> Tensor:
        """Return n outputs, (n, n_outputs), divided among rows by their weights."""
        fractions = self.weights.double().cumsum(0)
        at = (torch.arange(n, dtype=torch.float64) + 0.5) / n * fractions[-1]
        rows = torch.searchsorted(fractions, at).clamp_max(len(fractions) - 1)
        return self.outputs.double()[rows]

    def draw(self, n: int, seed: int) -> Tensor:
        """Return n draws of z, (n, K), float64, divided among rows by their weights."""
        return self._draw(self.spread(n), generator(seed, Stream.SAMPLER, n))

    def some_draws(self, seed: int) -> Tensor:
        """Return as many draws of z, (n, K), float64, as a sampler is fitted to."""
        return self.draw(min(N_DRAWS, N_DRAWS_OF_A_ROW * self.n_rows), seed)

    def draw_each(self, seed: int, number: int) -> Tensor:
        """Return a draw of z for each row, (n, K), float64: one of several."""
        random = generator(seed, Stream.SAMPLER, self.n_rows, number)
        return self._draw(self.outputs.double(), random)

    def _draw(self, outputs: Tensor, random: torch.Generator) -> Tensor:
        shape = len(outputs), self.n_components
        noise = torch.randn(shape, generator=random, dtype=torch.float64)
        return self.posterior.draw(outputs, noise)
