"""Variational autoencoders for scikit-learn users."""

from skvae._version import __version__
from skvae.callbacks import resume
from skvae.displays import (
    ExplanationDisplay,
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
from skvae.files import ModelFileError, export_onnx, load
from skvae.inspection import FitReport
from skvae.likelihoods import suggest_likelihood

__all__ = [
    "AutoencoderTransformer",
    "ExplanationDisplay",
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
    "export_onnx",
    "load",
    "resume",
    "suggest_likelihood",
]
