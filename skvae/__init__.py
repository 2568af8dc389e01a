"""Variational autoencoders for scikit-learn users."""

from skvae._version import __version__
from skvae.callbacks import resume
from skvae.displays import (
    ComponentsDisplay,
    ExplanationDisplay,
    LatentDisplay,
    LoadingsDisplay,
    LossCurveDisplay,
    ManifoldDisplay,
    ReconstructionDisplay,
    RowComparisonDisplay,
    TraversalDisplay,
)
from skvae.estimators import (
    AutoencoderTransformer,
    UnsuitedSettingsWarning,
    VAEImputer,
    VAEOutlierDetector,
    VAETransformer,
)
from skvae.explorer import Explorer, explore
from skvae.files import ModelFileError, export_onnx, load
from skvae.inspection import FitReport
from skvae.likelihoods import suggest_likelihood

__all__ = [
    "AutoencoderTransformer",
    "ComponentsDisplay",
    "ExplanationDisplay",
    "Explorer",
    "FitReport",
    "LatentDisplay",
    "LoadingsDisplay",
    "LossCurveDisplay",
    "ManifoldDisplay",
    "ModelFileError",
    "ReconstructionDisplay",
    "RowComparisonDisplay",
    "TraversalDisplay",
    "UnsuitedSettingsWarning",
    "VAEImputer",
    "VAEOutlierDetector",
    "VAETransformer",
    "__version__",
    "explore",
    "export_onnx",
    "load",
    "resume",
    "suggest_likelihood",
]
