"""The base of estimators with a model inside that needs densities, not coordinates."""

import inspect

from sklearn.base import BaseEstimator, clone
from sklearn.utils.validation import check_is_fitted

from skvae._sklearn import FitSupport, shared_callbacks
from skvae.estimators._base import COUNT
from skvae.estimators._saves import SaveMethod
from skvae.estimators._vae import VAETransformer
from skvae.objectives import as_objective

SHORT_FORM = ("n_components", "likelihood", "max_iter", "handle_unknown")
"""Parameters of such an estimator that configure its default model."""


class DensityEstimator(SaveMethod, FitSupport, BaseEstimator):
    """Base: has the parameters `estimator`, those of the short form, and two more.

    These two are `random_state` and `verbose`, which concern any model.
    """

    _parameter_constraints: dict = {
        name: VAETransformer._parameter_constraints[name]
        for name in (*SHORT_FORM, "random_state", "verbose")
    } | {"n_components": [COUNT], "estimator": [None, VAETransformer]}

    def _inner_model(self, **defaults):
        """Return the model to fit.

        It is a clone of `estimator`, or the default model, with an objective that does
        not trade density for reconstructions.

        Parameters
        ----------
        **defaults : dict
            Parameters of the default model that differ from those of `VAETransformer`.
        """
        given = self.estimator
        if given is None:
            short = {name: getattr(self, name) for name in SHORT_FORM}
            model = VAETransformer(sampler="prior", **{**defaults, **short})
        else:
            self._refuse_short_form(given)
            model = clone(given)
            model._validate_params()
        if given is None or self.random_state is not None:
            model.set_params(random_state=self.random_state)
        if given is None or self.verbose:
            model.set_params(verbose=self.verbose)
        # A map is not asked for.
        is_auto = isinstance(model.objective, str) and model.objective == "auto"
        objective = as_objective("elbo" if is_auto else model.objective)
        objective.check()
        return model.set_params(objective=objective.for_density())

    def _refuse_short_form(self, given):
        """Raise ValueError where a parameter contradicts the given model."""
        parameters = inspect.signature(type(self)).parameters
        for name in SHORT_FORM:
            default = parameters[name].default
            value, own = (getattr(instance, name) for instance in (self, given))
            if value != default and repr(value) != repr(own):
                raise ValueError(
                    f"{name} must be {default!r} where estimator is given. Got "
                    f"{value!r}, and estimator has {own!r}. Set estimator__{name} "
                    "instead."
                )

    def _fit_model(self, model, cells, known, weights, X):
        """Fit the model to cells that were read from X, followed by callbacks."""
        model._is_clone = self._is_clone
        with shared_callbacks(self, model):
            model._fit_cells(cells, known, weights, X)
        self.estimator_, self._is_clone = model, False
        self.n_features_in_, self.n_iter_ = model.n_features_in_, model.n_iter_

    @property
    def feature_names_in_(self):
        """Column names, if they are all strings."""
        check_is_fitted(self)
        return self.estimator_.feature_names_in_

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        return tags
