"""The face that the estimators share: validate → build → train → encode and decode."""

import copy
import warnings
from numbers import Integral, Real

import numpy as np
import scipy.sparse
import torch
from sklearn.base import (
    BaseEstimator,
    ClassNamePrefixFeaturesOutMixin,
    TransformerMixin,
)
from sklearn.utils.validation import check_array, check_is_fitted

from skvae._apply import decode, map_rows, own_modes
from skvae._batches import Batches, canonical_rows, has_missing, resolve_device
from skvae._checks import check_rows, learn_columns
from skvae._columns import BY_KIND
from skvae._frames import library_of
from skvae._model import Architecture
from skvae._random import seed_from
from skvae._recipe import resolve, resolve_mask_fraction
from skvae._sklearn import (
    CallbackSupportMixin,
    Interval,
    StrOptions,
    check_sample_weight,
    epoch_tasks,
    with_callbacks,
)
from skvae._start import start
from skvae._state import Resumed
from skvae._training import Plan, Training
from skvae._version import __version__
from skvae.likelihoods import LIKELIHOODS, Likelihood
from skvae.networks import ACTIVATIONS
from skvae.schedules import LEARNING_RATES, Schedule

LEAST_ROWS_TO_HOLD_OUT = 10
"""Fewer distinct rows than this are all trained on."""


class LatentTransformer(
    ClassNamePrefixFeaturesOutMixin,
    CallbackSupportMixin,
    TransformerMixin,
    BaseEstimator,
):
    """Base of the estimators; a subclass says what is trained and what is answered.

    A subclass defines `_prior` (a prior spec, or None for a deterministic code),
    `_objective`, `_weights_for` (the schedule of the KL term, and the share of code
    rows), `_information` (what each component carries about each row) and
    `_information_name` (the attribute that keeps its mean).
    """

    _likelihood_by_kind = BY_KIND

    _parameter_constraints: dict = {
        "n_components": [Interval(Integral, 1, None, closed="left")],
        "likelihood": [StrOptions({"auto", *LIKELIHOODS}), Likelihood, dict, list],
        "hidden_layer_sizes": [
            StrOptions({"auto"}),
            "array-like",
            Interval(Integral, 1, None, closed="left"),
        ],
        "activation": [StrOptions({"auto", *ACTIVATIONS})],
        "init": [StrOptions({"pca", "random"})],
        "solver": [StrOptions({"adam", "adamw", "rmsprop", "sgd"})],
        "learning_rate": [StrOptions({"auto", *LEARNING_RATES}), Schedule],
        "learning_rate_init": [
            StrOptions({"auto"}),
            Interval(Real, 0, None, closed="neither"),
        ],
        "alpha": [Interval(Real, 0, None, closed="left")],
        "batch_size": [
            StrOptions({"auto"}),
            Interval(Integral, 1, None, closed="left"),
        ],
        "max_iter": [StrOptions({"auto"}), Interval(Integral, 1, None, closed="left")],
        "tol": [None, Interval(Real, 0, None, closed="left")],
        "early_stopping": ["boolean"],
        "validation_fraction": [
            StrOptions({"auto"}),
            Interval(Real, 0, 1, closed="neither"),
        ],
        "n_iter_no_change": [
            StrOptions({"auto"}),
            Interval(Integral, 1, None, closed="left"),
        ],
        "average": ["boolean"],
        "handle_unknown": [StrOptions({"error", "missing"})],
        "mask_fraction": [
            StrOptions({"auto"}),
            Interval(Real, 0, 1, closed="both"),
        ],
        "precision": [StrOptions({"float32", "bfloat16"})],
        "warm_start": ["boolean"],
        "device": [str, torch.device],
        "random_state": ["random_state"],
        "verbose": ["verbose"],
    }

    @with_callbacks
    def fit(self, X, y=None, sample_weight=None):
        """Fit the model to X.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Rows in any units; NaN, None and pandas.NA are missing cells.
        y : None
            Ignored, present for API consistency.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the rows. A weight of two is the same as a repeated row, a
            weight of zero the same as an absent row.

        Returns
        -------
        self : object
            The fitted estimator.

        Raises
        ------
        ValueError
            If a parameter, `X` or `sample_weight` is invalid.
        RuntimeError
            If the device asked for is not there.
        """
        self._validate_params()
        columns = {
            name: vars(self)[name]
            for name in ("n_features_in_", "feature_names_in_")
            if name in vars(self)
        }
        try:
            with own_modes(inference=False):
                self._fit(X, sample_weight)
        except BaseException:
            vars(self).update(columns)
            raise
        return self

    def transform(self, X):
        """Return the coordinates of rows in the latent space.

        For a variational autoencoder that is the posterior mean. A row's answer
        depends on that row alone.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)

        Returns
        -------
        Z : ndarray of shape (n_samples, n_components)
            In the floating-point type of `X`.
        """
        X = self._check_fitted_X(X)
        return map_rows(self.module_, lambda model, x: model.encode(x)[0], X)

    def inverse_transform(self, Z):
        """Return the expected row at points of the latent space.

        Parameters
        ----------
        Z : array-like of shape (n_samples, n_components)

        Returns
        -------
        X : ndarray or DataFrame of shape (n_samples, n_features)
            Mean of p(x given z), in the units of the training data and the
            floating-point type of `Z`; the most likely category. A DataFrame with the
            columns and types of the one that `fit` was given, if it was one: whole
            numbers are rounded.
        """
        check_is_fitted(self)
        like = Z
        Z = check_array(Z, dtype=[np.float64, np.float32], input_name="Z")
        if Z.shape[1] != self.n_components_:
            raise ValueError(
                f"Z must have {self.n_components_} columns, one per component. Got "
                f"{Z.shape[1]}. Pass what transform returns."
            )
        rows = decode(self.module_, Z, lambda p, outputs: p.mean(outputs))
        return self._as_in_fit(rows, like)

    def score(self, X, y=None, sample_weight=None):
        """Return the mean of `score_samples`, so that greater is better.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
        y : None
            Ignored, present for API consistency.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the rows in the mean.

        Returns
        -------
        score : float
        """
        scores = self.score_samples(X)
        if sample_weight is not None:
            sample_weight = check_sample_weight(sample_weight, scores)
        return float(np.average(scores, weights=sample_weight))

    # The steps of a fit

    def _fit(self, X, sample_weight):
        resumes = self.warm_start and hasattr(self, "module_")
        device = resolve_device(self.device)
        X, known = self._learn_columns(X, resumes)
        rows = canonical_rows(X, check_sample_weight(sample_weight, X))
        settings = resolve(self.get_params(deep=False), len(rows), X.shape[1])
        misses = has_missing(X)
        settings["mask_fraction"] = resolve_mask_fraction(self.mask_fraction, misses)
        masks = self._architecture.masks if resumes else misses
        masks = masks or settings["mask_fraction"] > 0.0
        architecture = self._architecture_for(settings, known.likelihood, masks)
        seed = self._seed if resumes else seed_from(self.random_state)
        train, held_out = self._split(rows, settings["validation_fraction"])
        if resumes:
            model, weights = self._resumed_model(architecture), self._weights
        else:
            model = architecture.build(seed)
            model.likelihood.fit_statistics(rows)
            weights = self._weights_for(model, start(model, train, self._objective))
        model.may_miss = masks or misses
        training = Training(
            model.to(device),
            self._objective,
            self._batches(model, train, settings),
            self._batches(model, held_out, settings),
            self._plan(settings, weights, seed),
            self._resumed if resumes else None,
        )
        static = {f"{name}_": value for name, value in settings.items()}
        static |= {"_architecture": architecture, "_known": known}
        static |= {"_seed": seed, "_weights": weights}
        self._train(training, X, rows, static)

    def _number_of_components(self):
        return int(self.n_components)

    def _learn_columns(self, X, resumes):
        """Return rows as numbers and codes, and what is known of the columns."""
        if not resumes:
            return learn_columns(self, X, self.handle_unknown)
        if repr(self.likelihood) != self._known.said:
            raise ValueError(
                "warm_start=True requires the likelihood of the fitted model. Got "
                f"{self.likelihood!r}, fitted was {self._known.said}. Set "
                "warm_start=False to start again."
            )
        return check_rows(self, X, self._known, self.handle_unknown), self._known

    def _architecture_for(self, settings, likelihood, masks):
        return Architecture(
            n_features=self.n_features_in_,
            n_components=self._number_of_components(),
            hidden_layer_sizes=settings["hidden_layer_sizes"],
            activation=settings["activation"],
            linear_path=self.init == "pca",
            likelihood=likelihood,
            prior=self._prior,
            masks=masks,
        )

    def _resumed_model(self, architecture):
        """Return a copy of the fitted model, to be trained on."""
        if repr(architecture) != repr(self._architecture):
            raise ValueError(
                "warm_start=True requires the architecture of the fitted model. Got "
                f"{architecture}, fitted was {self._architecture}. Set "
                "warm_start=False to start again."
            )
        return copy.deepcopy(self.module_)

    def _split(self, rows, fraction):
        """Return (training rows, held-out rows or None)."""
        if not self.early_stopping or len(rows) < LEAST_ROWS_TO_HOLD_OUT:
            return rows, None
        n_held_out = max(1, round(fraction * len(rows)))
        return rows.split(min(n_held_out, len(rows) - 1))

    @staticmethod
    def _batches(model, rows, settings):
        if rows is None:
            return None
        device = next(model.parameters()).device
        likelihood = model.likelihood
        prepare = None if likelihood.keeps_units else likelihood.prepare
        return Batches.from_rows(rows, prepare, device, settings["batch_size"])

    def _plan(self, settings, weights, seed):
        beta, code_share = weights
        return Plan(
            solver=self.solver,
            learning_rate_init=settings["learning_rate_init"],
            learning_rate=settings["learning_rate"],
            alpha=self.alpha,
            beta=beta,
            code_share=code_share,
            max_iter=settings["max_iter"],
            tol=self.tol,
            n_iter_no_change=settings["n_iter_no_change"],
            seed=seed,
            mask_fraction=settings["mask_fraction"],
            average=self.average,
            precision=self.precision,
        )

    def _train(self, training, X, rows, static):
        """Run a training, telling callbacks, and set the fitted attributes at once."""
        tasks = epoch_tasks(self, X, training.plan.max_iter)

        def snapshot():
            outcome = self._outcome(copy.deepcopy(training.model), training)
            return {**static, **outcome}

        def end():
            if self.verbose:
                print(training.history.report())
            return tasks.end(snapshot)

        training.run(tasks.begin, end)
        last = training.snapshot().to_arrays() if self.warm_start else None
        training.finish()
        if training.stays_linear:
            # The start needs no rows held out.
            start(training.model, rows, self._objective)
        outcome = self._outcome(training.model, training)
        outcome["_resumed"] = Resumed(
            last,
            self.solver,
            outcome["n_iter_"],
            training.history,
        )
        vars(self).update(static, **outcome)
        tasks.finish(snapshot)
        self._warn_of_idle_components()

    def _outcome(self, model, training):
        """Return what a training has led to, as fitted attributes."""
        information, moments = self._describe_components(model, training.train)
        model.order_components(information, moments)
        history = training.history.copy()
        return {
            "module_": model,
            "n_components_": len(information),
            self._information_name: information[model.order].cpu().numpy(),
            "n_iter_": training.first_epoch + training.n_epochs,
            "best_loss_": training.best.loss,
            "loss_curve_": history.loss,
            "reconstruction_curve_": history.reconstruction,
            "validation_curve_": history.validation or None,
        }

    def _warn_of_idle_components(self):
        """Warn of components without information, where that is known."""

    @torch.inference_mode()
    def _describe_components(self, model, batches):
        """Return (K,) information and (K, D) covariance with the encoder's inputs."""
        total = batches.weights.double().sum()
        center = h_center = moments = information = 0.0
        for x, weights in batches.in_order():
            weights = weights.double() / total
            center = center + weights @ model.posterior(x)[0].double()
            h_center = h_center + weights @ model.inputs(x).double()
        for x, weights in batches.in_order():
            weights = weights.double() / total
            carried = self._information(model, x, center.to(x.dtype)).double()
            information = information + weights @ carried
            z = (model.posterior(x)[0].double() - center) * weights[:, None]
            moments = moments + z.T @ (model.inputs(x) - h_center)
        return information, moments

    def _check_fitted_X(self, X):
        check_is_fitted(self)
        return check_rows(self, X, self._known, self.handle_unknown)

    def missing_cells(self, X):
        """Return which cells are missing, among them unknown categories if asked.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)

        Returns
        -------
        missing : ndarray of bool of shape (n_samples, n_features)
        """
        return np.isnan(self._check_dense_X(X))

    def _check_dense_X(self, X):
        if scipy.sparse.issparse(X):
            raise TypeError(
                "Filling cells requires dense rows. Got a sparse matrix, whose cells "
                "are known to be zero where none is stored. Pass X.toarray()."
            )
        return self._check_fitted_X(X)

    def _as_in_fit(self, values, like=None):
        """Return rows of numbers and codes as what `fit` was given: array or table.

        The labels of the rows are those of `like`, if it is a pandas table.
        """
        layout = self._known.layout
        index = like.index if library_of(like) == "pandas" else None
        return layout.decode(layout.rounded(values), index)

    # scikit-learn's protocols

    @property
    def _n_features_out(self):
        return self.n_components_

    @property
    def device_(self):
        """Device that the fitted model is on."""
        return str(self.module_.sign.device)

    def __sklearn_is_fitted__(self):
        return hasattr(self, "module_")

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.input_tags.sparse = True
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags

    def __getstate__(self):
        """Return the state with NumPy arrays in place of tensors.

        What was fitted on a GPU then loads on a machine without one.
        """
        state = dict(super().__getstate__())
        if "module_" in state:
            state["module_"] = {
                name: tensor.cpu().numpy()
                for name, tensor in state["module_"].state_dict().items()
            }
        return {**state, "_skvae_version": __version__}

    def __setstate__(self, state):
        state = dict(state)
        version = state.pop("_skvae_version", "unknown")
        if version != __version__:
            warnings.warn(
                f"This {type(self).__name__} was pickled by skvae {version} and is "
                f"loaded by {__version__}, which may give other answers. Fit it again, "
                "or load it with the version that wrote it.",
                stacklevel=2,
            )
        arrays = state.pop("module_", None)
        super().__setstate__(state)
        if arrays is not None:
            model = self._architecture.build(seed=0)
            model.load_state_dict(
                {name: torch.tensor(array) for name, array in arrays.items()}
            )
            self.module_ = model.to(_available(self.device))


def _available(device):
    """Return the device asked for, or the CPU where it is not there."""
    try:
        return resolve_device(device)
    except (RuntimeError, ValueError):
        return torch.device("cpu")
