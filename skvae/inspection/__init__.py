"""Numbers about a fitted model, about maps and about generated rows."""

from skvae.inspection._comparison import RowComparison, compare_rows
from skvae.inspection._components import cumulative_r2
from skvae.inspection._factors import InformationGap, mutual_information_gap
from skvae.inspection._latent import draw_posterior
from skvae.inspection._loadings import ComponentLoadings, loadings
from skvae.inspection._maps import (
    continuity,
    neighbor_accuracy,
    neighbor_recall,
    neighbor_recall_samples,
    rank_correlation,
    trustworthiness,
)
from skvae.inspection._paths import (
    interpolate,
    interpolation_points,
    traversal_points,
    traverse,
)
from skvae.inspection._priors import (
    LatentDistance,
    PosteriorComparison,
    compare_posterior_to_prior,
)
from skvae.inspection._report import FitReport
from skvae.inspection._rules import ColumnRules, find_rules

__all__ = [
    "ColumnRules",
    "ComponentLoadings",
    "FitReport",
    "InformationGap",
    "LatentDistance",
    "PosteriorComparison",
    "RowComparison",
    "compare_posterior_to_prior",
    "compare_rows",
    "continuity",
    "cumulative_r2",
    "draw_posterior",
    "find_rules",
    "interpolate",
    "interpolation_points",
    "loadings",
    "mutual_information_gap",
    "neighbor_accuracy",
    "neighbor_recall",
    "neighbor_recall_samples",
    "rank_correlation",
    "traversal_points",
    "traverse",
    "trustworthiness",
]
