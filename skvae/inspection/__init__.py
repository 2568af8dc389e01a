"""Numbers about a fitted model and about maps."""

from skvae.inspection._maps import (
    continuity,
    neighbor_accuracy,
    neighbor_recall,
    neighbor_recall_samples,
    rank_correlation,
    trustworthiness,
)
from skvae.inspection._report import FitReport

__all__ = [
    "FitReport",
    "continuity",
    "neighbor_accuracy",
    "neighbor_recall",
    "neighbor_recall_samples",
    "rank_correlation",
    "trustworthiness",
]
