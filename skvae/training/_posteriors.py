"""A model and batches → the posteriors of their rows together."""

import torch

from skvae._model import Model
from skvae.priors import Aggregate
from skvae.table import Batches

N_ROWS = 16_384
"""Most rows whose posteriors are taken."""


@torch.inference_mode()
def posteriors_of(model: Model, batches: Batches) -> Aggregate:
    """Return the posteriors of the first rows, or of all, on the CPU."""
    outputs = [model.encode(batch).cpu() for batch in batches.in_order(N_ROWS)]
    stacked = torch.cat(outputs)
    return Aggregate(model.posterior, stacked, batches.weights[: len(stacked)].cpu())
