"""Shared base class of the estimators: validate, build, train, encode and decode."""

import copy
import warnings
from numbers import Integral, Real

import numpy as np
import torch
from sklearn.base import (
    BaseEstimator,
    ClassNamePrefixFeaturesOutMixin,
    TransformerMixin,
)
from sklearn.utils.validation import check_array, check_is_fitted

from skvae._model import Architecture
from skvae._random import seed_from
from skvae._sklearn import (
    FitSupport,
    Interval,
    StrOptions,
    epoch_tasks,
    identity,
    with_callbacks,
)
from skvae._threads import threads_for
from skvae._version import __version__
from skvae.estimators._apply import decode, map_rows, own_modes
from skvae.estimators._begin import batches_of, begin, shown_of, split_of, take_up
from skvae.estimators._errors import unchanged_on_error
from skvae.estimators._explained import ExplainedVariance, explained_ratio
from skvae.estimators._recipe import pace_of, resolve, resolve_networks
from skvae.estimators._running import Running
from skvae.estimators._saves import SaveMethod
from skvae.likelihoods import (
    BY_KIND,
    LIKELIHOODS,
    Likelihood,
    check_rows,
    fitted_likelihood,
    learn_columns,
)
from skvae.networks import ACTIVATIONS, Network, notes_for_pickle
from skvae.schedules import Schedule, as_weight
from skvae.table import (
    available_device,
    canonical_rows,
    plain,
    read_weights,
    refuse_sparse,
    resolve_device,
)
from skvae.training import SOLVERS, Plan, Training, end_fit, neighbors_of

AUTO, COUNT = StrOptions({"auto"}), Interval(Integral, 1, None, closed="left")
"""What a parameter may be: "auto", a positive integer."""


class LatentTransformer(
    SaveMethod,
    ExplainedVariance,
    ClassNamePrefixFeaturesOutMixin,
    FitSupport,
    TransformerMixin,
    BaseEstimator,
):
    """Base of the estimators; a subclass sets what is trained, and adds methods.

    A subclass may say what "auto" is for each kind of column (`_likelihood_by_kind`),
    and what it may be as well (`_other_likelihoods`). It defines `_prior` (a prior
    spec), `_objective` (unresolved), `_loss` (the objective and the weight of its KL
    term), `_information` (what each component carries about each row), and
    `_said_of_loss` and `_said_of_components` (what of these becomes a fitted
    attribute).
    """

    _likelihood_by_kind = BY_KIND
    _other_likelihoods = ()

    _parameter_constraints: dict = {
        "n_components": [COUNT],
        "likelihood": [StrOptions({"auto", *LIKELIHOODS}), Likelihood, dict, list],
        "encoder": [None, Network, callable],
        "decoder": [None, Network, callable],
        "hidden_layer_sizes": [AUTO, "array-like", COUNT],
        "activation": [StrOptions({"auto", *ACTIVATIONS})],
        "init": [StrOptions({"pca", "random"})],
        "solver": [StrOptions(set(SOLVERS))],
        "learning_rate": [AUTO, Interval(Real, 0, None, closed="neither"), Schedule],
        "batch_size": [AUTO, COUNT],
        "max_iter": [AUTO, COUNT],
        "max_time": [None, Interval(Real, 0, None, closed="neither")],
        "tol": [None, Interval(Real, 0, None, closed="left")],
        "early_stopping": ["boolean"],
        "validation_fraction": [AUTO, Interval(Real, 0, 1, closed="neither")],
        "n_iter_no_change": [AUTO, COUNT],
        "handle_unknown": [StrOptions({"error", "missing"})],
        "hidden_fraction": [AUTO, Interval(Real, 0, 1, closed="both")],
        "warm_start": ["boolean"],
        "device": [str, torch.device],
        "random_state": ["random_state"],
        "verbose": ["verbose"],
    }

    @unchanged_on_error
    def fit(self, X, y=None, sample_weight=None):
        """Fit the model to X.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Rows in any units; NaN, None, NA and NaT are missing cells.
        y : None
            Ignored, present for API consistency.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the rows. A weight of two is the same as a repeated row, a
            weight of zero the same as an absent row, whose cells are checked, and
            count for categories and for whether cells are missing.

        Returns
        -------
        self : object
            The fitted estimator.

        Raises
        ------
        ValueError
            If a parameter, `X` or `sample_weight` is invalid.
        RuntimeError
            If the device is not available, or has too little memory.
        OSError
            If `X` or `sample_weight` lies in a file that was cut off after it was
            mapped.
        KeyboardInterrupt
            After Ctrl-C, if the estimator is a clone that has not been fitted yet, as
            in a search; if no epoch has been completed; or after a second Ctrl-C within
            a minute. Otherwise Ctrl-C ends the fit, with a warning, at the last whole
            epoch.
        """
        self._validate_params()
        self._check_latent()
        cells, known = self._learn_columns(X)
        self._fit_cells(cells, known, read_weights(sample_weight, cells), X)
        self._warn_of_idle_components()
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

        def mean(model, batch):
            return model.to_user(model.posterior_mean(batch))

        return self._map(mean, X)

    def inverse_transform(self, Z):
        """Return the expected row at points of the latent space.

        Parameters
        ----------
        Z : array-like of shape (n_samples, k)
            The first k of the components, or all. The others are at their mean over
            the training rows.

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
        Z = check_array(plain(Z), dtype=[np.float64, np.float32], input_name="Z")
        if Z.shape[1] > self.n_components_:
            raise ValueError(
                f"Z must have at most {self.n_components_} columns, one per component. "
                f"Got {Z.shape[1]}. Pass what transform returns, or its first columns."
            )
        rest = self.module_.to_user(self.module_.center).cpu().numpy()[Z.shape[1] :]
        Z = np.hstack((Z, np.broadcast_to(rest.astype(Z.dtype), (len(Z), len(rest)))))
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
            sample_weight = read_weights(sample_weight, scores)
        return float(np.average(scores, weights=sample_weight))

    # The steps of a fit

    def _check_latent(self):
        """Raise ValueError where prior and other parameters do not go together."""
        self._prior.check(self.n_components)

    @property
    def _is_resumed(self):
        return self.warm_start and hasattr(self, "module_")

    def _learn_columns(self, X):
        """Return cells, and what is known of the columns."""
        if not self._is_resumed:
            by_kinds = self._likelihood_by_kind, *self._other_likelihoods
            return learn_columns(self, X, self.handle_unknown, *by_kinds)
        if identity(self.likelihood) != self._known.said:
            raise ValueError(
                "warm_start=True requires the likelihood of the fitted model. Got "
                f"{self.likelihood!r}, fitted was {self._known.said}. Set "
                "warm_start=False to start again."
            )
        return self._read(X), self._known

    @with_callbacks
    @own_modes(inference=False)
    def _fit_cells(self, cells, known, weights, X, owner=None):
        """Fit the model to cells that were read; callbacks are given `X`.

        The owner is the estimator whose `fit` was called, if that is another one.
        """
        owner = self if owner is None else owner
        unfinished = owner._unfinished
        device = resolve_device(self.device)
        rows = canonical_rows(cells, weights)
        params, missing = self.get_params(deep=False), rows.has_missing
        objective = self._objective(missing)
        objective.check()
        pace = pace_of(params, objective, rows.n_features, missing)
        settings = resolve(params, len(rows), missing, pace)
        split = split_of(rows, settings["validation_fraction"], self.early_stopping)
        train, held_out = split
        model, fitted = self._model(known, rows, split, settings, objective, unfinished)
        objective, beta = self._loss(objective, fitted["_start"], model, len(train))
        shown = shown_of(train, held_out, settings)
        k, size = objective.neighborhood, settings["batch_size"]
        neighbors = neighbors_of(model.cpu(), k, train, held_out, shown)
        model.to(device)
        plan = self._plan(
            settings, objective, beta, fitted["_seed"], known, rows, train
        )
        per_row = model.work * objective.n_draws
        threads_for(size * per_row, len(train) * settings["max_iter"] * per_row)
        training = Training(
            model,
            batches_of(model, train, size, neighbors[0]),
            batches_of(model, held_out, size, neighbors[1]),
            batches_of(model, shown, size, neighbors[2]),
            plan,
            fitted["_start"],
            self._saved if self._is_resumed else None,
            unfinished,
        )
        architecture = fitted["_architecture"]
        known = known._replace(likelihood=architecture.likelihood, others=())
        fitted |= {f"{name}_": value for name, value in settings.items()}
        fitted |= {"encoder_": architecture.encoder, "decoder_": architecture.decoder}
        fitted |= {"_known": known, "likelihood_": fitted_likelihood(known)}
        fitted |= self._said_of_loss(objective, beta)
        self._train(training, X, rows, fitted, owner)

    def _plan(self, settings, objective, beta, seed, known, *rows):
        weights = {**objective.weights(), "kl": as_weight(beta)}
        return Plan(
            objective=objective,
            weights={k: w for k, w in weights.items() if k in objective.names},
            solver=self.solver,
            learning_rate=settings["learning_rate"],
            max_iter=settings["max_iter"],
            tol=self.tol,
            n_iter_no_change=settings["n_iter_no_change"],
            seed=seed,
            hidden_fraction=settings["hidden_fraction"],
            rows=tuple(some.fingerprint() for some in rows),
            columns=known.layout.fingerprint(),
            max_time=self.max_time,
        )

    def _model(self, known, rows, split, settings, objective, unfinished):
        """Return the model to train, and fitted attributes that say how it was made."""
        sees_missing = rows.has_missing or settings["hidden_fraction"] > 0.0
        if self._is_resumed:
            sees_missing = sees_missing or self._architecture.sees_missing
        networks = resolve_networks(self.get_params(deep=False), rows.n_features)
        n_components = 0 if self.n_components == "auto" else int(self.n_components)
        architecture = Architecture(
            n_features=rows.n_features,
            n_components=n_components,
            encoder=networks[0],
            decoder=networks[1],
            has_path=self.init == "pca",
            likelihood=known.likelihood,
            prior=self._prior,
            sees_missing=sees_missing,
        )
        if self._is_resumed:
            return self._resumed_model(architecture)
        seed = seed_from(self.random_state) if unfinished is None else unfinished.seed
        likelihoods = known.likelihood, *known.others
        given = likelihoods, rows, split, objective.for_density()
        begun = take_up(begin(architecture, *given, seed), unfinished)
        said = {"_architecture": begun.architecture, "_start": begun.start}
        return begun.model, {**said, "_seed": seed}

    def _resumed_model(self, architecture):
        """Return a copy of the fitted model, to be trained on, and how it was made."""
        fitted = self._architecture._replace(sampler=None)
        if self.n_components == "auto":
            architecture = architecture._replace(n_components=fitted.n_components)
        if identity(architecture) != identity(fitted):
            raise ValueError(
                "warm_start=True requires the architecture of the fitted model. Got "
                f"{architecture}, fitted was {fitted}. Set "
                "warm_start=False to start again."
            )
        model, kept = copy.deepcopy(self.module_), ("_seed", "_start")
        model.sampler = None
        known = {name: vars(self)[name] for name in kept}
        return model, {"_architecture": fitted, **known}

    def _train(self, training, X, rows, fitted, owner):
        """Train, report to callbacks, and set all fitted attributes together."""
        self._running = Running(self, owner, training, rows, fitted)
        tasks = epoch_tasks(self, X, training.plan.max_iter)

        def snapshot():
            return {**fitted, **self._outcome(copy.deepcopy(training.model), training)}

        def end():
            if self.verbose:
                print(training.report(), flush=True)
            return tasks.end(snapshot)

        try:
            training.run(tasks.begin, end)
        except KeyboardInterrupt as interrupt:
            self._end_by(interrupt, training)
        saved = training.save(with_arrays=self.warm_start)
        self._running.stop()
        try:
            outcome = self._finish(training, rows, fitted)
        except KeyboardInterrupt as interrupt:
            self._end_by(interrupt, training)
            outcome = self._finish(training, rows, fitted)
        vars(self).update({**fitted, **outcome}, _saved=saved, _is_clone=False)
        tasks.finish(snapshot)
        del self._running

    def _end_by(self, interrupt, training):
        """Let Ctrl-C end the fit, if it is of a whole epoch and not that of a clone."""
        has_epochs = training.state.counters.n_epochs > 0
        end_fit(interrupt, may_end=has_epochs and not self._is_clone)

    def _finish(self, training, rows, fitted):
        """Return the result of the trained model; may be called again if cut off."""
        training.finish(rows)
        return self._result(training, rows, fitted)

    def _result(self, training, rows, fitted):
        outcome = self._outcome(training.model, training)
        return outcome | self._said_of_sampler(training, rows, fitted)

    def _said_of_sampler(self, training, rows, fitted):
        """Return fitted attributes about what samples are drawn from."""
        return {}

    def _outcome(self, model, training):
        """Return the result of training, as fitted attributes."""
        information, moments = self._describe_components(model, training.train)
        is_ordered = training.plan.objective.orders_components
        first = -torch.arange(len(information))
        model.order_components(first if is_ordered else information, moments)
        history = training.state.history.copy()
        return {
            "module_": model,
            "n_components_": len(information),
            "n_iter_": training.n_iter,
            "best_loss_": training.best_loss,
            "loss_curve_": history.loss,
            "term_curves_": history.terms,
            "term_weights_": history.weights,
            "validation_curve_": history.validation or None,
            "explained_variance_ratio_": explained_ratio(model, training.train),
            **self._said_of_components(information[model.order].cpu(), training),
        }

    def _warn_of_idle_components(self):
        """Warn of components without information, where that is known."""

    @torch.inference_mode()
    def _describe_components(self, model, batches):
        """Return (K,) information and (K, n_inputs) covariance with the inputs."""
        total = batches.weights.double().sum()
        center = h_center = moments = information = 0.0
        for batch in batches.in_order():
            weights = batch.weights.double() / total
            center = center + weights @ model.posterior_mean(batch).double()
            h_center = h_center + weights @ model.inputs(batch).double()
        model.center.copy_(center)
        for batch in batches.in_order():
            weights = batch.weights.double() / total
            mean = model.posterior_mean(batch)
            carried = self._information(model, batch, center.to(mean.dtype)).double()
            information = information + weights @ carried
            z = (mean.double() - center) * weights[:, None]
            moments = moments + z.T @ (model.inputs(batch) - h_center)
        return information, moments

    def _map(self, function, X):
        """Return function(model, batch) of all rows."""
        cells = self._read(X)
        return map_rows(self.module_, function, cells)

    def _read(self, X):
        """Return the cells of rows that were passed to the fitted model."""
        check_is_fitted(self)
        return check_rows(self, X, self._known, self.handle_unknown)

    def missing_cells(self, X):
        """Return which cells are missing; unknown categories may count as missing.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)

        Returns
        -------
        missing : ndarray of bool of shape (n_samples, n_features)
        """
        return np.isnan(self._read_dense(X)[:])

    def _read_dense(self, X):
        refuse_sparse(X)
        return self._read(X)

    def _as_in_fit(self, values, like=None):
        """Return rows of numbers and codes as what `fit` was given: array or table.

        The labels of the rows are those of `like`, if it is a pandas table.
        """
        return self._known.layout.decode(values, like)

    # scikit-learn's protocols

    @property
    def _n_features_out(self):
        return self.n_components_

    @property
    def device_(self):
        """Device that the fitted model is on."""
        check_is_fitted(self)
        return str(self.module_.device)

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

        A model fitted on a GPU can then be loaded on a machine without one.
        """
        state = {k: v for k, v in super().__getstate__().items() if k != "_running"}
        if "module_" in state:
            state["module_"] = {
                name: tensor.cpu().numpy()
                for name, tensor in state["module_"].state_dict().items()
            }
        notes = notes_for_pickle(self.encoder, self.decoder)
        return {"_notes": notes, **state, "_skvae_version": __version__}

    def __setstate__(self, state):
        state = dict(state)
        version = state.pop("_skvae_version", "unknown")
        state.pop("_notes", None)
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
            self.module_ = model.to(available_device(self.device))
