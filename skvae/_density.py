"""The model inside an estimator that asks for densities, not for coordinates."""

from typing import Any

from skvae._vae import VAETransformer


class DensityModel(VAETransformer):
    """A `VAETransformer` whose components are not looked at, so may be idle."""

    def _warn_of_idle_components(self) -> None:
        """Say nothing."""


def parameters_shared(estimator: Any, model: VAETransformer) -> dict[str, Any]:
    """Return the parameters of an estimator that the model inside it has too."""
    params = estimator.get_params(deep=False)
    return {name: params[name] for name in params.keys() & model.get_params(deep=False)}
