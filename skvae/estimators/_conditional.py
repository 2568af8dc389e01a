"""A model and rows of which some cells are given → draws of z given these cells."""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from skvae._model import Model
from skvae.estimators._apply import most_at_once
from skvae.estimators._draws import n_effective
from skvae.table import Batch, Cells

LEAST_PARTICLES, MOST_PARTICLES = 128, 1 << 15
"""Draws that are moved for each row, or more where more are asked for; and together,
of all rows, unless a row takes more."""

SPARE = 1.5
"""Particles for each draw that is asked for: not all end at different points."""

N_MOVES, N_LAST_MOVES = 4, 10
"""Moves of each particle at each temperature, and at the last one."""

MOST_TEMPERATURES = 100
"""Steps from the proposal to the target, the last of which may be a large one."""

LEAST_EFFECTIVE = 0.5
"""Fraction of the particles that still count after a step of the temperature."""

LEAST_LOG_DENSITY = -1e30
"""What an impossible draw has in place of minus infinity."""

N_BISECTIONS = 20
"""Halvings of the interval in which a temperature is sought."""


class Densities(NamedTuple):
    """Log-densities of draws of z, (S, B) each, up to a constant of each row.

    Attributes
    ----------
    proposal : Tensor
        Of the distribution that particles are drawn from first.
    target : Tensor
        Of z given the observed cells.
    """

    proposal: Tensor
    target: Tensor

    def at(self, temperature: Tensor) -> Tensor:
        """Return those of the geometric path between the two, at (B,) in [0, 1]."""
        return self.proposal + temperature * (self.target - self.proposal)

    def where(self, condition: Tensor, other: "Densities") -> "Densities":
        """Return these where a condition (S, B) holds, and others elsewhere."""
        pairs = zip(self, other, strict=True)
        return Densities(*(torch.where(condition, a, b) for a, b in pairs))

    def take(self, index: Tensor) -> "Densities":
        """Return those of other particles of each row, given as (S, B)."""
        return Densities(*(values.gather(0, index) for values in self))


class Annealing:
    r"""Draws from p(z given the observed cells), by annealed particles.

    Particles are drawn from the encoder's posterior and the distribution of z, in equal
    parts, and follow the geometric path from that mixture to the target: at each of
    several temperatures, chosen so that half of the particles would be worth keeping,
    they are drawn again by their weights and then moved, so that they do not stay
    copies of each other (sequential Monte Carlo; Del Moral, Doucet & Jasra 2006). A
    move adds a multiple of the difference between two other particles, and is accepted
    by the Metropolis rule (differential evolution; ter Braak 2006).

    Parameters
    ----------
    model : Model
    batch : Batch
        Rows, of which some cells are observed.
    random : torch.Generator
    """

    def __init__(self, model: Model, batch: Batch, random: torch.Generator) -> None:
        self.model, self.batch, self.random = model, batch, random
        self.outputs = model.encode(batch)

    def __call__(self, n_draws: int) -> tuple[Tensor, Tensor]:
        """Return draws of z, (n_draws, B, K), and how many of them differ, (B,)."""
        n_particles = _n_particles(n_draws)
        z = self._propose(n_particles)
        densities = self._densities(z)
        temperature = torch.zeros(len(self.batch)).to(z)
        for step in range(MOST_TEMPERATURES):
            if (temperature == 1.0).all():
                break
            is_last = step == MOST_TEMPERATURES - 1
            after = torch.ones_like(temperature)
            if not is_last:
                after = _next_temperature(densities, temperature)
            weights = densities.at(after) - densities.at(temperature)
            chosen = self._resample(weights)
            z = z.gather(0, chosen[..., None].expand_as(z))
            densities, temperature = densities.take(chosen), after
            z, densities = self._move(z, densities, temperature, N_MOVES)
        z, _ = self._move(z, densities, temperature, N_LAST_MOVES)
        # In any order, so that none of them is favored.
        order = torch.randperm(n_particles, generator=self.random, device=z.device)
        z = z[order[:n_draws]]
        return z, self._n_different(z)

    def _n_different(self, z: Tensor) -> Tensor:
        """Return how many draws differ, (B,); categories alone are the same often."""
        if not self.model.posterior.n_real(z.shape[-1]):
            return torch.full(z.shape[1:2], len(z), device=z.device)
        first = z[..., 0].sort(0).values
        return 1 + (first.diff(dim=0) != 0.0).sum(0)

    def _propose(self, n: int) -> Tensor:
        n_rows, n_components = len(self.batch), self.model.n_components
        n_near = n // 2
        shape = n_near, n_rows, n_components
        near = self.model.posterior.draw(self.outputs, self._normal(shape))
        far = self.model.fitted_prior.draw((n - n_near) * n_rows, self.random)
        far = far.to(near).unflatten(0, (n - n_near, n_rows))
        return torch.cat((near, far))

    def _densities(self, z: Tensor) -> Densities:
        """Return the log-densities of proposal and target, in pieces that fit."""
        size = max(1, most_at_once(self.model) // len(self.batch))
        pieces = [self._of_piece(piece) for piece in z.split(size)]
        return Densities(*map(torch.cat, zip(*pieces, strict=True)))

    def _of_piece(self, z: Tensor) -> Densities:
        log_prior = self.model.fitted_prior.log_prob(z)
        log_q = self.model.posterior.log_prob(self.outputs, z)
        proposal = torch.logaddexp(log_q, log_prior) - math.log(2.0)
        target = log_prior + self.model.log_prob(z, self.batch)
        # Finite, since zero times it has to be zero.
        return Densities(proposal, target.clamp_min(LEAST_LOG_DENSITY))

    def _normal(self, shape: tuple[int, ...]) -> Tensor:
        noise = torch.randn(shape, generator=self.random, device=self.random.device)
        return noise.to(self.outputs)

    def _uniform(self, shape: tuple[int, ...]) -> Tensor:
        numbers = torch.rand(shape, generator=self.random, device=self.random.device)
        return numbers.to(self.outputs)

    def _resample(self, log_weights: Tensor) -> Tensor:
        """Return which particles of each row go on, (S, B): systematic resampling."""
        n_particles, n_rows = log_weights.shape
        steps = torch.arange(n_particles, device=log_weights.device)[:, None]
        at = (steps + self._uniform((1, n_rows))) / n_particles
        bounds = log_weights.softmax(0).cumsum(0)
        found = torch.searchsorted(bounds.T.contiguous(), at.T.contiguous())
        return found.T.clamp_max(n_particles - 1)

    def _move(
        self, z: Tensor, densities: Densities, temperature: Tensor, n_moves: int
    ) -> tuple[Tensor, Densities]:
        n_particles, n_rows, n_components = z.shape
        usual = 2.38 / math.sqrt(2.0 * n_components)
        for _ in range(n_moves):
            # Of all sizes, since the target may be much narrower in some places.
            scale = usual * self._uniform((n_particles, n_rows, 1)).square()
            first, second = (self._other_particles(n_particles) for _ in range(2))
            step = scale * (z[first] - z[second])
            there = self.model.posterior.moved(z, step, self.random)
            found = self._densities(there)
            gain = found.at(temperature) - densities.at(temperature)
            is_accepted = self._uniform((n_particles, n_rows)).log() < gain
            z = torch.where(is_accepted[..., None], there, z)
            densities = found.where(is_accepted, densities)
        return z, densities

    def _other_particles(self, n: int) -> Tensor:
        return torch.randperm(n, generator=self.random, device=self.random.device)


def draw_given(
    model: Model, cells: Cells, n_draws: int, random: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Return draws of z given the observed cells of rows.

    Parameters
    ----------
    model : Model
    cells : Cells
        Numbers and codes; NaN is free.
    n_draws : int
        Draws for each row.
    random : torch.Generator

    Returns
    -------
    z : Tensor of shape (n_draws, n, K)
    n_different : Tensor of shape (n,)
        How many of a row's draws differ.
    """
    n_rows = max(1, MOST_PARTICLES // _n_particles(n_draws))
    drawn = []
    for part in cells.slices(n_rows):
        x = torch.from_numpy(model.likelihood.prepare(cells[part])).float()
        batch = Batch.of(x.to(model.device), has_missing=True)
        drawn.append(Annealing(model, batch, random)(n_draws))
    z, n_different = zip(*drawn, strict=True)
    return torch.cat(z, 1), torch.cat(n_different)


def _n_particles(n_draws: int) -> int:
    return max(LEAST_PARTICLES, math.ceil(SPARE * n_draws))


def _next_temperature(densities: Densities, temperature: Tensor) -> Tensor:
    """Return the highest temperature, (B,), at which enough particles have weight."""
    enough = LEAST_EFFECTIVE * len(densities.target)

    def is_enough(after: Tensor) -> Tensor:
        weights = densities.at(after) - densities.at(temperature)
        return n_effective(weights) >= enough

    low, high = temperature, torch.ones_like(temperature)
    reaches_end = is_enough(high)
    for _ in range(N_BISECTIONS):
        middle = 0.5 * (low + high)
        fits = is_enough(middle)
        low, high = torch.where(fits, middle, low), torch.where(fits, high, middle)
    return torch.where(reaches_end, 1.0, low)
