"""A likelihood around the outputs that fit best without any z."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor


class Linearization(NamedTuple):
    r"""A likelihood around the outputs that fit best without any z.

    To first order, moving output :math:`o` by :math:`\epsilon` moves the expectation of
    the encoder's input ``source[o]`` by :math:`\epsilon` ``slope[o] / scale[o]``.

    Attributes
    ----------
    inputs : Tensor of shape (n_inputs,)
        The usual encoder inputs, those expected at `outputs`.
    outputs : Tensor of shape (n_outputs,)
        The outputs that fit best without any z.
    slope : Tensor of shape (n_outputs,), or float
        Infinite where z should not move the output.
    scale : Tensor of shape (n_outputs,), or float
        What the inputs are standardized by.
    curvature : Tensor of shape (n_outputs,), or float
        What to add to outputs, over their variance, to keep expectations where outputs
        vary; zero where the link is the identity, or nearly.
    source : Tensor of shape (n_outputs,), default=None
        The input that each output moves; None where they are in the same order.
    least_noise : float
        Lower bound on the variance of the noise of inputs; zero if none is known.
    """

    inputs: Tensor
    outputs: Tensor
    slope: Any = 1.0
    scale: Any = 1.0
    curvature: Any = 0.0
    source: Tensor | None = None
    least_noise: float = 0.0

    def with_outputs_apart(self, outputs: Tensor) -> "Linearization":
        """Return this with as many more outputs, which z does not move."""
        zeros = torch.zeros_like(outputs)
        column = torch.arange(len(outputs), device=outputs.device)
        return self._replace(
            outputs=torch.cat((self.outputs, outputs)),
            slope=torch.cat((self.slope + zeros, zeros + torch.inf)),
            scale=(self.scale + zeros).repeat(2),
            source=column.repeat(2),
        )

    def directions(self, loadings: Tensor) -> Tensor:
        """Return directions of the inputs (K, n_inputs) as ones of the outputs."""
        moved = loadings if self.source is None else loadings[..., self.source]
        return moved * self.scale / self.slope

    def offset(self, variances: Tensor) -> Tensor:
        """Return what to add to outputs with variances (n_outputs,) around these."""
        return self.curvature * variances


def side_by_side(parts: Sequence[Linearization]) -> Linearization:
    """Return the linearization of columns side by side."""

    def each(name: str) -> Tensor:
        zeros = torch.zeros_like
        return torch.cat([getattr(part, name) + zeros(part.outputs) for part in parts])

    inputs = torch.cat([part.inputs for part in parts])
    positions = torch.arange(len(inputs), device=inputs.device)
    owned = positions.split([len(part.inputs) for part in parts])
    sources = [
        own if part.source is None else own[part.source]
        for part, own in zip(parts, owned, strict=True)
    ]
    # Parts without a lower bound do not change it.
    bounds = (part.least_noise for part in parts if part.least_noise > 0.0)
    return Linearization(
        inputs,
        **{name: each(name) for name in ("outputs", "slope", "scale", "curvature")},
        source=torch.cat(sources),
        least_noise=min(bounds, default=0.0),
    )
