"""How well each row's neighbor is told from other rows, by where they lie."""

from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

LEAST_SIZE = 1e-12
"""Least standard deviation of points that are told from each other."""

MOST_PAIRS = 256
"""Pairs that are told from each other; more are taken apart into such groups."""


class Contrast:
    r"""The noise-contrastive loss of pairs of points, and its gradient.

    With the kernel :math:`q_{ij} = 1 / (1 + d_{ij}^2 / (w s)^2)`, the term of a pair
    (i, j) among n points of standard deviation s is

    .. math:: -\log q_{ij} + \tfrac12 \log \sum_{l \ne i} q_{il}
        + \tfrac12 \log \sum_{l \ne j} q_{jl}.

    It stays the same if all points are moved, turned or stretched. Only squared
    distances enter: the gradient is finite where points coincide.

    Parameters
    ----------
    points : Tensor of shape (2 B, K)
        The first points of B pairs, then the second ones.
    width : float
        Distance w at which the kernel is one half, over the standard deviation.

    Attributes
    ----------
    terms : Tensor of shape (B,)
    """

    def __init__(self, points: Tensor, width: float) -> None:
        centered = points - points.mean(0)
        self.size = centered.square().mean().sqrt().clamp_min(LEAST_SIZE) * width
        self.width, self.points = width, centered / self.size
        first, second = self.points.chunk(2)
        self.apart = first - second
        distances = self.apart.square().sum(-1)
        self.of_pairs = 1.0 / (1.0 + distances)
        self.kernel = self._kernel()
        self.sums = self.kernel.sum(1)
        logs = 0.5 * self.sums.log()
        self.terms = torch.log1p(distances) + sum(logs.chunk(2))

    def _kernel(self) -> Tensor:
        # From differences: products of points would cancel where points are close.
        distances = torch.cdist(
            self.points, self.points, compute_mode="donot_use_mm_for_euclid_dist"
        )
        kernel = distances.square_().add_(1.0).reciprocal_()
        return kernel.fill_diagonal_(0.0)

    def gradient(self, weights: Tensor) -> Tensor:
        """Return the gradient of the weighted sum of the terms, (2 B, K).

        Parameters
        ----------
        weights : Tensor of shape (B,)
        """
        shares = weights.repeat(2) / self.sums
        # Half of what the terms lose with each squared distance, from both its ends.
        repelled = self.kernel.square().mul_(shares[:, None])
        repelled = repelled + repelled.T
        attracted = (2.0 * weights * self.of_pairs)[:, None] * self.apart
        gradient = torch.cat((attracted, -attracted))
        gradient.addcmul_(repelled.sum(1)[:, None], self.points, value=-1.0)
        gradient.addmm_(repelled, self.points)
        # Points that are stretched are divided by as much more.
        stretch = (gradient * self.points).mean() * self.width**2
        return gradient.addcmul_(self.points, stretch, value=-1.0).div_(self.size)


def groups(n_pairs: int) -> list[slice]:
    """Return which pairs are told from each other, in groups of equal sizes to one."""
    n_groups = -(-n_pairs // MOST_PAIRS)
    ends = [n_pairs * i // n_groups for i in range(n_groups + 1)]
    return [slice(*some) for some in pairwise(ends)]


def contrasts(points: Tensor, width: float) -> list[Contrast]:
    """Return the contrast of each group of the pairs of points (2 B, K)."""
    first, second = points.chunk(2)
    parts = groups(len(first))
    both = (torch.cat((first[part], second[part])) for part in parts)
    return [Contrast(some, width) for some in both]


def gradient_of(found: list[Contrast], weights: Tensor) -> Tensor:
    """Return the gradient of the weighted sum of all terms, (2 B, K)."""
    parts = zip(found, groups(len(weights)), strict=True)
    halves = [one.gradient(weights[part]).chunk(2) for one, part in parts]
    return torch.cat([half for pair in zip(*halves, strict=True) for half in pair])


class Contrasted(torch.autograd.Function):
    """The terms (B,) of pairs of points (2 B, K), for torch to differentiate."""

    @staticmethod
    def forward(ctx: Any, points: Tensor, width: float) -> Tensor:
        """Return the terms, (B,)."""
        ctx.found = contrasts(points, width)
        return torch.cat([one.terms for one in ctx.found])

    @staticmethod
    def backward(ctx: Any, weights: Any) -> Any:
        """Return the gradient of their weighted sum, (2 B, K)."""
        return gradient_of(ctx.found, weights), None
