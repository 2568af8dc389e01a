"""Random numbers shaped as a tensor, from a generator."""

import numpy as np
import torch
from torch import Tensor

LARGE_RATE = 1e6
"""Beyond it, Poisson draws are normal to second order, which is to rounding."""


def uniform(like: Tensor, generator: torch.Generator) -> Tensor:
    """Return uniform numbers in [0, 1)."""
    return like.new_empty(like.shape).uniform_(generator=generator)


def normal(like: Tensor, generator: torch.Generator) -> Tensor:
    """Return standard normal numbers."""
    return like.new_empty(like.shape).normal_(generator=generator)


def gamma(shape: Tensor, generator: torch.Generator) -> Tensor:
    """Return draws from gamma distributions of scale one.

    Drawn by NumPy, since torch's sampler takes no generator.
    """
    seed = torch.randint(2**62, (1,), generator=generator, device=generator.device)
    draws = np.random.default_rng(int(seed)).standard_gamma(shape.cpu().numpy())
    return torch.from_numpy(np.asarray(draws)).to(shape)


def poisson(rate: Tensor, generator: torch.Generator) -> Tensor:
    """Return draws from Poisson distributions, float64.

    Large ones by the expansion of Cornish & Fisher (1938): torch's sampler has too few
    digits beyond 1e15, and on a GPU none beyond 2^32.
    """
    rate = rate.double()
    is_large = rate > LARGE_RATE
    small = torch.poisson(rate.clamp_max(LARGE_RATE), generator=generator)
    if not is_large.any():
        return small
    z = normal(rate, generator)
    large = rate + rate.sqrt() * z + (z.square() - 1.0) / 6.0
    return torch.where(is_large, large.round(), small)


def draw(
    distribution: torch.distributions.Distribution, generator: torch.Generator
) -> Tensor:
    """Return a draw from any distribution.

    Drawn from torch's global generators, which are restored: its samplers take no
    others.
    """
    seed = torch.randint(2**62, (1,), generator=generator, device=generator.device)
    with torch.random.fork_rng():
        torch.manual_seed(int(seed))
        return distribution.sample()
