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
from skvae.inspection._rules import ColumnRules, find_rules

__all__ = [
    "ColumnRules",
    "FitReport",
    "RowComparison",
    "compare_rows",
    "continuity",
    "find_rules",
    "neighbor_accuracy",
    "neighbor_recall",
    "neighbor_recall_samples",
    "rank_correlation",
    "trustworthiness",
]
