"""Training rows → what a prior that is learned with the model starts from."""

from typing import Any

import numpy as np
import torch

from skvae.priors._aggregate import Aggregate
from skvae.table import Batch, Rows

N_ROWS = 4096
"""Most rows that a mixture starts at."""


def some_rows(model: Any, rows: Rows, n: int) -> Batch:
    """Return at most n rows that stand for all, as a model reads them."""
    some = rows.take(rows.spread(min(n, len(rows))))
    x = torch.from_numpy(model.likelihood.prepare(some[np.arange(len(some))]))
    weights = torch.from_numpy(some.weights)
    return Batch.of(x.to(torch.float32), rows.has_missing, weights=weights)


def aggregate_of(model: Any, rows: Rows) -> Aggregate:
    """Return the posteriors of rows that stand for all."""
    batch = some_rows(model, rows, N_ROWS)
    return Aggregate(model.posterior, model.encode(batch), batch.weights)
