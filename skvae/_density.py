"""The model inside an estimator that asks for densities, not for coordinates."""

from typing import Any

from skvae._vae import VAETransformer


class DensityModel(VAETransformer):
    """A `VAETransformer` whose components are not looked at, so may be idle."""

    def _warn_of_idle_components(self) -> None:
        """Say nothing."""


def fit_density(
    estimator: Any, X: Any, sample_weight: Any = None, **params: Any
) -> DensityModel:
    """Return a model fitted with the parameters that an estimator shares with it.

    Parameters
    ----------
    estimator : estimator
    X : array-like of shape (n_samples, n_features)
    sample_weight : array-like of shape (n_samples,), default=None
    **params : dict
        Parameters to use in place of the estimator's.
    """
    model = DensityModel()
    known = model.get_params(deep=False)
    shared = {
        name: value
        for name, value in estimator.get_params(deep=False).items()
        if name in known
    }
    return model.set_params(**{**shared, **params}).fit(X, sample_weight=sample_weight)
