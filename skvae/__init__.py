"""Variational autoencoders for scikit-learn users."""

from skvae._version import __version__
from skvae.callbacks import resume
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
    UnsuitedSettingsWarning,
    VAEImputer,
    VAEOutlierDetector,
    VAETransformer,
)
from skvae.files import ModelFileError, export_onnx, load
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
    "UnsuitedSettingsWarning",
    "VAEImputer",
    "VAEOutlierDetector",
    "VAETransformer",
    "__version__",
    "export_onnx",
    "load",
    "resume",
]
