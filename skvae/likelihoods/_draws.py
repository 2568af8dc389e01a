"""Random numbers shaped as a tensor, from a generator."""

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
