"""Variational autoencoders for scikit-learn users."""

from skvae._version import __version__
from skvae.displays import (
    LatentDisplay,
    LossCurveDisplay,
    ManifoldDisplay,
    ReconstructionDisplay,
    RowComparisonDisplay,
    TraversalDisplay,
)
from skvae.estimators import (
    AutoencoderTransformer,
    VAEImputer,
    VAEOutlierDetector,
    VAETransformer,
)
from skvae.files import ModelFileError, load
from skvae.inspection import FitReport

__all__ = [
    "AutoencoderTransformer",
    "FitReport",
    "LatentDisplay",
    "LossCurveDisplay",
    "ManifoldDisplay",
    "ModelFileError",
    "ReconstructionDisplay",
    "RowComparisonDisplay",
    "TraversalDisplay",
    "VAEImputer",
    "VAEOutlierDetector",
    "VAETransformer",
    "__version__",
    "load",
]
