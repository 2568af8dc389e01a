"""Variational autoencoders for scikit-learn users."""

from skvae._autoencoder import AutoencoderTransformer
from skvae._imputer import VAEImputer
from skvae._outliers import VAEOutlierDetector
from skvae._vae import VAETransformer
from skvae._version import __version__
from skvae.displays import (
    LatentDisplay,
    LossCurveDisplay,
    ManifoldDisplay,
    ReconstructionDisplay,
)
from skvae.inspection import FitReport

__all__ = [
    "AutoencoderTransformer",
    "FitReport",
    "LatentDisplay",
    "LossCurveDisplay",
    "ManifoldDisplay",
    "ReconstructionDisplay",
    "VAEImputer",
    "VAEOutlierDetector",
    "VAETransformer",
    "__version__",
]
