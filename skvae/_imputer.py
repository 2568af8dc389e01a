"""Imputation as a transformer, to stand where `IterativeImputer` stands."""

from numbers import Integral, Real

import numpy as np
from sklearn.base import BaseEstimator, OneToOneFeatureMixin, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from skvae._columns import BY_KIND
from skvae._density import DensityModel, parameters_shared
from skvae._frames import library_of, with_columns
from skvae._impute import STATISTICS
from skvae._sklearn import Interval, StrOptions
from skvae._vae import N_PROPOSALS
from skvae.likelihoods import LIKELIHOODS, Gaussian, Likelihood
from skvae.objectives import IWAE, OBJECTIVES

INDICATOR = "missingindicator_"
"""Prefix of the names of indicator columns, as in scikit-learn."""


MASK_FRACTION = 0.5
"""Part of the observed cells that training masks at most, by default."""


class _ImputationModel(DensityModel):
    """A model whose columns of numbers differ in how well they can be told."""

    _likelihood_by_kind = {**BY_KIND, "number": Gaussian(noise="column")}

    _parameter_constraints: dict = {
        **DensityModel._parameter_constraints,
        "n_components": [
            StrOptions({"auto"}),
            *DensityModel._parameter_constraints["n_components"],
        ],
    }

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        # Most cells of sparse rows are known to be zero: nothing to impute.
        tags.input_tags.sparse = False
        return tags

    def _number_of_components(self):
        if self.n_components == "auto":
            return max(1, self.n_features_in_ // 2)
        return super()._number_of_components()


class VAEImputer(OneToOneFeatureMixin, TransformerMixin, BaseEstimator):
    r"""Imputation of missing cells by a variational autoencoder.

    A missing cell gets its conditional mean given the observed cells of its row,

    .. math:: E[x_m \mid x_o] \approx \sum_s w_s E[x_m \mid z_s], \quad
        w_s \propto p(x_o \mid z_s)\, p(z_s) / q(z_s \mid x_o),

    which is MIWAE [1]_, equation 12. The model is trained on the observed cells alone.
    Columns may be of any kind, and cells missing in any pattern; they should be missing
    at random: whether a cell is missing may depend on observed cells only.

    Parameters
    ----------
    n_components : "auto" or int, default="auto"
        Number of latent components of the model. `"auto"`: half the number of columns.
    likelihood : str, Likelihood, dict or list, default="auto"
        What a column is; see :class:`VAETransformer`. `"auto"` goes by the types of
        columns; each column of numbers has normal noise of its own.
    objective : {"iwae", "elbo"} or IWAE, default="iwae"
        What fitting maximizes.
    statistic : {"mean", "median", "mode"}, default="mean"
        What to fill in; see :meth:`VAETransformer.impute`. Categories get
        the most likely one, levels the median, whatever the statistic.
    n_proposals : int, default=1024
        Number of draws of z per row from which a cell is averaged.
    add_indicator : bool, default=False
        Append a column for each column with missing cells in `fit`, which says where
        cells were missing.
    mask_fraction : "auto" or float, default="auto"
        Part of the observed cells, in [0, 1], that training masks at most, so that the
        model reads rows with any cells missing. `"auto"`: 0.5.
    hidden_layer_sizes : "auto", int or array-like of int, default="auto"
        Sizes of the encoder's hidden layers; the decoder's are the same, reversed.
    max_iter : "auto" or int, default="auto"
        Most epochs.
    tol : float or None, default=0.01
        Least improvement, in nats per row, that counts as one.
    early_stopping : bool, default=True
        Hold out rows, and stop when their loss no longer improves. Without it,
        imputations are given with too much confidence.
    validation_fraction : "auto" or float, default=0.1
        Part of the rows to hold out, in (0, 1). Rows held out are imputed worse than
        others, so that there should be few.
    handle_unknown : {"error", "missing"}, default="error"
        What becomes of a category that was not there in `fit`: an error, or a missing
        cell, which is imputed.
    device : str or torch.device, default="auto"
        Where to train and answer.
    random_state : int, RandomState instance or None, default=None
        Seed of all draws.
    verbose : bool, default=False
        Print the losses of each epoch.

    Attributes
    ----------
    estimator_ : VAETransformer
        The fitted model. Its `impute` gives multiple imputations.
    n_iter_ : int
        Number of epochs run.
    indicated_ : ndarray of int
        Positions of the columns that `add_indicator` appends an indicator of.
    n_features_in_ : int
        Number of columns seen in `fit`.
    feature_names_in_ : ndarray of shape (n_features,)
        Names of the columns, if they are all strings.

    See Also
    --------
    VAETransformer : The model itself.
    sklearn.impute.IterativeImputer : Regresses each column on the others.

    Notes
    -----
    After `fit`, everything is deterministic, observed cells are left as they are, and a
    row's imputation does not depend on the rows beside it. A DataFrame gives a
    DataFrame with the same columns, categories and types, whatever
    `set_output` says of arrays.

    References
    ----------
    .. [1] Mattei & Frellsen (2019). MIWAE: Deep generative modelling and imputation of
       incomplete data sets. ICML. https://arxiv.org/abs/1812.02633

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.datasets import load_iris
    >>> from skvae import VAEImputer
    >>> X = load_iris().data
    >>> X[::3, 2] = np.nan
    >>> imputer = VAEImputer(max_iter=20, tol=None, random_state=0)
    >>> imputer.fit_transform(X).shape
    (150, 4)
    """

    _parameter_constraints: dict = {
        "n_components": [
            StrOptions({"auto"}),
            Interval(Integral, 1, None, closed="left"),
        ],
        "likelihood": [StrOptions({"auto", *LIKELIHOODS}), Likelihood, dict, list],
        "objective": [StrOptions(set(OBJECTIVES)), IWAE],
        "statistic": [StrOptions(set(STATISTICS))],
        "n_proposals": [Interval(Integral, 1, None, closed="left")],
        "add_indicator": ["boolean"],
        "mask_fraction": [
            StrOptions({"auto"}),
            Interval(Real, 0, 1, closed="both"),
        ],
    }

    def __init__(
        self,
        n_components="auto",
        *,
        likelihood="auto",
        objective="iwae",
        statistic="mean",
        n_proposals=N_PROPOSALS,
        add_indicator=False,
        mask_fraction="auto",
        hidden_layer_sizes="auto",
        max_iter="auto",
        tol=0.01,
        early_stopping=True,
        validation_fraction=0.1,
        handle_unknown="error",
        device="auto",
        random_state=None,
        verbose=False,
    ):
        self.n_components = n_components
        self.likelihood = likelihood
        self.objective = objective
        self.statistic = statistic
        self.n_proposals = n_proposals
        self.add_indicator = add_indicator
        self.mask_fraction = mask_fraction
        self.hidden_layer_sizes = hidden_layer_sizes
        self.max_iter = max_iter
        self.tol = tol
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.handle_unknown = handle_unknown
        self.device = device
        self.random_state = random_state
        self.verbose = verbose

    def fit(self, X, y=None, sample_weight=None):
        """Fit the model to the observed cells of X.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows in any units; NaN, None and pandas.NA are missing cells.
        y : None
            Ignored, present for API consistency.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the rows.

        Returns
        -------
        self : object
            The fitted imputer.
        """
        self._validate_params()
        model = _ImputationModel()
        params = parameters_shared(self, model)
        if self.mask_fraction == "auto":
            params["mask_fraction"] = MASK_FRACTION
        model.set_params(**params)
        self.estimator_ = model.fit(X, sample_weight=sample_weight)
        self.n_features_in_ = self.estimator_.n_features_in_
        self.n_iter_ = self.estimator_.n_iter_
        missing = self.estimator_.missing_cells(X)
        self.indicated_ = np.flatnonzero(missing.any(axis=0))
        return self

    def transform(self, X):
        """Fill the missing cells of X.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows, seen in `fit` or not.

        Returns
        -------
        X : ndarray or DataFrame of shape (n_samples, n_features_out)
            A DataFrame if `fit` was given one.
        """
        check_is_fitted(self)
        filled = self.estimator_.impute(
            X, statistic=self.statistic, n_proposals=self.n_proposals
        )
        if not self.add_indicator:
            return filled
        missing = self.estimator_.missing_cells(X)[:, self.indicated_]
        if library_of(filled) is None:
            return np.hstack((filled, missing.astype(filled.dtype)))
        names = self.get_feature_names_out()[self.n_features_in_ :]
        return with_columns(filled, names, missing)

    def get_feature_names_out(self, input_features=None):
        """Return the names of the columns that `transform` gives.

        Parameters
        ----------
        input_features : array-like of str, default=None
            Names of the columns of `X`, if `fit` has not seen them.

        Returns
        -------
        names : ndarray of str objects
        """
        names = super().get_feature_names_out(input_features)
        if not self.add_indicator:
            return names
        return np.r_[names, INDICATOR + names[self.indicated_]]

    @property
    def feature_names_in_(self):
        """Column names, if they are all strings."""
        return self.estimator_.feature_names_in_

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags
