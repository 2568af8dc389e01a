"""Imputation as a transformer, with the interface of `IterativeImputer`."""

import numpy as np
from sklearn.base import OneToOneFeatureMixin, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from skvae._sklearn import StrOptions
from skvae.estimators._base import AUTO, COUNT
from skvae.estimators._errors import unchanged_on_error
from skvae.estimators._impute import STATISTICS
from skvae.estimators._inner import DensityEstimator
from skvae.estimators._recipe import GAPS_OBJECTIVE, GAPS_PACE, n_epochs
from skvae.estimators._vae import with_numbers
from skvae.likelihoods import Gaussian, learn_columns
from skvae.table import library_of, read_weights, refuse_sparse, with_columns
from skvae.training import NUMBERS

INDICATOR = "missingindicator_"
"""Prefix of the names of indicator columns, as in scikit-learn."""


def default_model():
    """Return what the default model has other than `VAETransformer`."""
    return {
        "objective": GAPS_OBJECTIVE,
        "hidden_fraction": GAPS_PACE.hidden_fraction,
        "validation_fraction": 0.1,
        "batch_size": GAPS_PACE.batch_size,
        "learning_rate": GAPS_PACE.learning_rate,
    }


class VAEImputer(OneToOneFeatureMixin, TransformerMixin, DensityEstimator):
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
        Number of latent components of the default model. `"auto"`: half the number of
        columns, or if that is at most 32 the better number from there to 32, as
        :class:`VAETransformer` finds it.
    estimator : VAETransformer, default=None
        The model to fit. None: a :class:`VAETransformer` with `objective=IWAE(8)`,
        `hidden_fraction=0.5`, few held-out rows (`validation_fraction=0.1`: they are
        imputed worse than others), large steps (`batch_size=256`,
        `learning_rate=0.006`), `sampler="prior"`, and this estimator's `n_components`,
        `likelihood`, `max_iter` and `handle_unknown`. If an estimator is given, these
        must have their defaults, or its values: set its own parameters instead, such as
        `estimator__n_components`.
        Settings of its objective that are "auto" do not trade density for
        reconstructions here.
    likelihood : str, Likelihood, dict or list, default="auto"
        What a column is; see :class:`VAETransformer`. `"auto"` goes by the types of
        columns; numbers are normal, with noise given by the decoder.
    statistic : {"mean", "median", "mode"}, default="mean"
        What to fill in; see :meth:`VAETransformer.impute`. Categories get
        the most likely one, levels the median, whatever the statistic.
    n_proposals : "auto" or int, default="auto"
        Number of draws of z per row over which a missing cell is averaged. `"auto"`: as
        in :meth:`VAETransformer.impute`, 64 to 1,024, as many as a row needs.
    add_indicator : bool, default=False
        Append a column for each column with missing cells in `fit`, which says where
        cells were missing.
    max_iter : "auto" or int, default="auto"
        Largest number of epochs. `"auto"`: of the default model, as many as take 2,000
        steps, at least 10 and at most 150; of a model that is given, its own.
    handle_unknown : {"error", "missing"}, default="error"
        Whether a category that was not seen in `fit` is an error or a missing cell,
        which is imputed.
    random_state : int, RandomState instance or None, default=None
        Seed of all draws. If an estimator is given, None keeps the estimator's own.
    verbose : bool, default=False
        Print the losses of each epoch, and how long the others take at most.

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
    After `fit`, everything is deterministic, observed cells are left unchanged, and a
    row's imputation does not depend on the rows beside it. A DataFrame gives a
    DataFrame with the same columns and types, regardless of `set_output`.

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
    >>> imputer = VAEImputer(random_state=0)
    >>> imputer.fit_transform(X).shape
    (150, 4)
    """

    _parameter_constraints: dict = {
        **DensityEstimator._parameter_constraints,
        "n_components": [AUTO, COUNT],
        "statistic": [StrOptions(set(STATISTICS))],
        "n_proposals": [AUTO, COUNT],
        "add_indicator": ["boolean"],
    }

    def __init__(
        self,
        n_components="auto",
        *,
        estimator=None,
        likelihood="auto",
        statistic="mean",
        n_proposals="auto",
        add_indicator=False,
        max_iter="auto",
        handle_unknown="error",
        random_state=None,
        verbose=False,
    ):
        self.n_components = n_components
        self.estimator = estimator
        self.likelihood = likelihood
        self.statistic = statistic
        self.n_proposals = n_proposals
        self.add_indicator = add_indicator
        self.max_iter = max_iter
        self.handle_unknown = handle_unknown
        self.random_state = random_state
        self.verbose = verbose

    @unchanged_on_error
    def fit(self, X, y=None, sample_weight=None):
        """Fit the model to the observed cells of X.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows in any units; NaN, None, NA and NaT are missing cells.
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
        refuse_sparse(X)
        model = self._inner_model(**default_model())
        by_kind = model._likelihood_by_kind
        if self.estimator is None:
            # Some cells can be predicted better than others.
            by_kind = with_numbers(Gaussian(noise="decoder"))
        cells, known = learn_columns(model, X, model.handle_unknown, by_kind)
        if self.estimator is None and model.n_components == "auto":
            half = cells.shape[1] // 2
            model.n_components = half if half > max(NUMBERS) else "auto"
        if self.estimator is None and model.max_iter == "auto":
            pace = GAPS_PACE
            limits = pace.batch_size, pace.n_steps, pace.most_epochs
            model.max_iter = n_epochs(cells.shape[0], *limits)
        weights = read_weights(sample_weight, cells)
        self._fit_model(model, cells, known, weights, X)
        self.indicated_ = np.flatnonzero(np.isnan(cells[:]).any(axis=0))
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
            A DataFrame if `X` is one, with its types.

        Raises
        ------
        ValueError
            If `X` is invalid, or an array of dates, which cannot hold indicators.
        """
        check_is_fitted(self)
        model = self.estimator_
        cells = model._read_dense(X)
        filled = model._impute_cells(cells, X, self.statistic, self.n_proposals)
        if not self.add_indicator:
            return filled
        missing = np.isnan(cells[:])[:, self.indicated_]
        if library_of(filled) is None:
            if filled.dtype.kind in "mM":
                raise ValueError(
                    "add_indicator=True requires an X that can hold indicators. Got an "
                    f"array of {filled.dtype}. Pass a DataFrame."
                )
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

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags
