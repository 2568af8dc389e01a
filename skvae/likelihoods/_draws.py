"""Random numbers shaped as a tensor, from a generator."""

import numpy as np
import torch
from torch import Tensor


def uniform(like: Tensor, generator: torch.Generator) -> Tensor:
    """Return uniform numbers in [0, 1)."""
    return torch.rand(
        like.shape, generator=generator, dtype=like.dtype, device=like.device
    )


def normal(like: Tensor, generator: torch.Generator) -> Tensor:
    """Return standard normal numbers."""
    return torch.randn(
        like.shape, generator=generator, dtype=like.dtype, device=like.device
    )


def gamma(shape: Tensor, generator: torch.Generator) -> Tensor:
    """Return draws from gamma distributions of scale one.

    From NumPy: torch's own takes no generator.
    """
    seed = torch.randint(2**62, (1,), generator=generator, device=generator.device)
    draws = np.random.default_rng(int(seed)).standard_gamma(shape.cpu().numpy())
    return torch.from_numpy(np.asarray(draws)).to(shape)
