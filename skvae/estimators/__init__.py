"""The public classes."""

from skvae.estimators._autoencoder import AutoencoderTransformer
from skvae.estimators._imputer import VAEImputer
from skvae.estimators._outliers import VAEOutlierDetector
from skvae.estimators._unsuited import UnsuitedSettingsWarning
from skvae.estimators._vae import VAETransformer

__all__ = [
    "AutoencoderTransformer",
    "UnsuitedSettingsWarning",
    "VAEImputer",
    "VAEOutlierDetector",
    "VAETransformer",
]
