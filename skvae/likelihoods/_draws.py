"""Random numbers shaped as a tensor, from a generator."""

import numpy as np
import torch
from torch import Tensor


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
