"""Pictures of a fitted transformer and its rows, by scikit-learn's display convention.

``from_estimator`` or ``from_rows`` computes, ``plot`` draws, and what was drawn is kept
in ``ax_`` or ``axes_``, ``figure_`` and the artists. Nothing is shown and no matplotlib
setting is changed. matplotlib is imported only when something is drawn.
"""

from skvae.displays._comparison import RowComparisonDisplay
from skvae.displays._components import ComponentsDisplay
from skvae.displays._explanation import ExplanationDisplay
from skvae.displays._latent import LatentDisplay
from skvae.displays._loadings import LoadingsDisplay
from skvae.displays._losses import LossCurveDisplay
from skvae.displays._manifold import ManifoldDisplay
from skvae.displays._reconstruction import ReconstructionDisplay
from skvae.displays._traversal import TraversalDisplay

__all__ = [
    "ComponentsDisplay",
    "ExplanationDisplay",
    "LatentDisplay",
    "LoadingsDisplay",
    "LossCurveDisplay",
    "ManifoldDisplay",
    "ReconstructionDisplay",
    "RowComparisonDisplay",
    "TraversalDisplay",
]
