"""Numbers about a fitted model, about maps and about generated rows."""

from skvae.inspection._comparison import RowComparison, compare_rows
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
    "RowComparison",
    "compare_rows",
    "continuity",
    "neighbor_accuracy",
    "neighbor_recall",
    "neighbor_recall_samples",
    "rank_correlation",
    "trustworthiness",
]
