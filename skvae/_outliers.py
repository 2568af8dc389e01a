"""Outlier detection: rows of low density."""

from numbers import Integral, Real

import numpy as np
from sklearn.base import BaseEstimator, OutlierMixin
from sklearn.utils.validation import check_is_fitted

from skvae._batches import canonical_rows
from skvae._checks import learn_columns
from skvae._density import DensityModel, parameters_shared
from skvae._marginal import Marginal
from skvae._sklearn import Interval, StrOptions, check_sample_weight
from skvae.likelihoods import LIKELIHOODS, Likelihood

LARGE = 0.99
"""Part of the training rows whose surprises are below one, in scores."""

CONTAMINATION = 0.1
"""Part of the training rows that are taken for outliers by default."""


class VAEOutlierDetector(OutlierMixin, BaseEstimator):
    r"""Outliers as rows that are improbable, as a whole or cell by cell.

    A row has two surprises: that of the whole row under a variational autoencoder, and
    that of its cells if columns were independent,

    .. math:: s_1(x) = -\log p(x), \qquad s_2(x) = -\sum_j \log p_j(x_j).

    Each is brought to a scale on which the median of the training rows is 0 and their
    99 % quantile is 1, which a few outliers among them hardly move, and the score of a
    row is minus the larger one: the maximum of an ensemble [1]_. The first finds rows
    that go against how columns belong together; the second, rows with extreme values,
    which a flexible model may have learned to expect. Since training rows may hold
    outliers, those whose cells are the most surprising are left out when the model is
    fitted, as in trimmed likelihood [2]_.

    Surprises are summed over columns of any kind, log-densities and log-masses alike,
    and over observed cells only.

    Parameters
    ----------
    n_components : int, default=2
        Number of latent components of the model.
    contamination : "auto" or float, default="auto"
        Part of the training rows that are outliers, in (0, 0.5]; it sets where
        `predict` draws the line. `"auto"`: 0.1. Scores do not depend on it.
    trim : float, default=0.1
        Part of the training rows, those with the most surprising cells, that the model
        is not fitted to, in [0, 0.5].
    likelihood : str, Likelihood, dict or list, default="auto"
        What a column is; see :class:`VAETransformer`.
    hidden_layer_sizes : "auto", int or array-like of int, default="auto"
        Sizes of the encoder's hidden layers; the decoder's are the same, reversed.
    max_iter : "auto" or int, default="auto"
        Most epochs.
    tol : float or None, default=0.01
        Least improvement, in nats per row, that counts as one.
    n_draws : int, default=128
        Number of draws of z from which a density is estimated, the same for all rows.
    handle_unknown : {"error", "missing"}, default="error"
        What becomes of a category that was not there in `fit`.
    device : str or torch.device, default="auto"
        Where to train and answer.
    random_state : int, RandomState instance or None, default=None
        Seed of all draws.
    verbose : bool, default=False
        Print the losses of each epoch.

    Attributes
    ----------
    estimator_ : VAETransformer
        The fitted model. Its `score_samples` gives log-densities.
    offset_ : float
        The score below which a row is an outlier.
    n_iter_ : int
        Number of epochs run.
    n_features_in_ : int
        Number of columns seen in `fit`.
    feature_names_in_ : ndarray of shape (n_features,)
        Names of the columns, if they are all strings.

    See Also
    --------
    VAETransformer : The model itself.
    sklearn.ensemble.IsolationForest : Outliers as rows that are easy to isolate.

    Notes
    -----
    After `fit`, everything is deterministic, and a row's score does not depend on the
    rows scored beside it.

    References
    ----------
    .. [1] Aggarwal & Sathe (2017). Outlier ensembles: An introduction. Springer.
    .. [2] Rousseeuw & Leroy (1987). Robust regression and outlier detection. Wiley.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from skvae import VAEOutlierDetector
    >>> X = load_iris().data
    >>> detector = VAEOutlierDetector(max_iter=50, tol=None, random_state=0).fit(X)
    >>> detector.predict([[5.1, 3.5, 1.4, 0.2], [5.1, 3.5, 1.4, 6.0]])
    array([ 1, -1])
    """

    _parameter_constraints: dict = {
        "n_components": [Interval(Integral, 1, None, closed="left")],
        "contamination": [
            StrOptions({"auto"}),
            Interval(Real, 0, 0.5, closed="right"),
        ],
        "trim": [Interval(Real, 0, 0.5, closed="both")],
        "likelihood": [StrOptions({"auto", *LIKELIHOODS}), Likelihood, dict, list],
        "n_draws": [Interval(Integral, 1, None, closed="left")],
    }

    def __init__(
        self,
        n_components=2,
        *,
        contamination="auto",
        trim=0.1,
        likelihood="auto",
        hidden_layer_sizes="auto",
        max_iter="auto",
        tol=0.01,
        n_draws=128,
        handle_unknown="error",
        device="auto",
        random_state=None,
        verbose=False,
    ):
        self.n_components = n_components
        self.contamination = contamination
        self.trim = trim
        self.likelihood = likelihood
        self.hidden_layer_sizes = hidden_layer_sizes
        self.max_iter = max_iter
        self.tol = tol
        self.n_draws = n_draws
        self.handle_unknown = handle_unknown
        self.device = device
        self.random_state = random_state
        self.verbose = verbose

    def fit(self, X, y=None, sample_weight=None):
        """Fit the model to X and set the threshold.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Rows in any units; NaN, None and pandas.NA are missing cells.
        y : None
            Ignored, present for API consistency.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the rows, in the model and in the threshold.

        Returns
        -------
        self : object
            The fitted detector.
        """
        self._validate_params()
        model = DensityModel()
        model.set_params(**parameters_shared(self, model))
        rows, known = learn_columns(model, X, self.handle_unknown)
        weights = check_sample_weight(sample_weight, rows)
        self._marginal = Marginal(known.likelihood, canonical_rows(rows, weights))
        usual = self._marginal.log_prob(rows)
        kept = weights * (usual > _threshold(usual, weights, self.trim))
        self.estimator_ = model.fit(X, sample_weight=kept)
        self.n_features_in_ = self.estimator_.n_features_in_
        self.n_iter_ = self.estimator_.n_iter_
        surprises = self._surprises(X)
        usual, large = (
            np.array([_threshold(s, weights, part) for s in surprises.T])
            for part in (0.5, LARGE)
        )
        self._usual, self._span = usual, np.where(large > usual, large - usual, 1.0)
        part = CONTAMINATION if self.contamination == "auto" else self.contamination
        self.offset_ = _threshold(self._scores(surprises), weights, part)
        return self

    def _surprises(self, X):
        """Return the surprise of whole rows and that of their cells, (n, 2)."""
        rows = self.estimator_._check_fitted_X(X)
        whole = self.estimator_.score_samples(X, n_draws=self.n_draws)
        return -np.stack((whole, self._marginal.log_prob(rows)), axis=1)

    def _scores(self, surprises):
        """Return minus the larger of two surprises (n, 2), on the scores' scale."""
        return -((surprises - self._usual) / self._span).max(axis=1)

    def score_samples(self, X):
        """Return minus the larger of a row's two surprises: greater is more normal.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)

        Returns
        -------
        scores : ndarray of shape (n_samples,)
            0 for a row as usual as the median of the training rows, -1 for one as
            surprising as their 99 % quantile; for log-densities see `estimator_`.
        """
        check_is_fitted(self)
        return self._scores(self._surprises(X))

    def decision_function(self, X):
        """Return `score_samples` minus the threshold: negative for outliers.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)

        Returns
        -------
        decision : ndarray of shape (n_samples,)
        """
        return self.score_samples(X) - self.offset_

    def predict(self, X):
        """Return -1 for outliers and 1 for other rows.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)

        Returns
        -------
        labels : ndarray of shape (n_samples,)
        """
        return np.where(self.decision_function(X) < 0.0, -1, 1)

    @property
    def feature_names_in_(self):
        """Column names, if they are all strings."""
        return self.estimator_.feature_names_in_

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.input_tags.sparse = True
        return tags


def _threshold(scores, weights, part):
    """Return a number above scores with at most this part of the weight.

    It lies halfway between two scores, so that rounding moves no row across it; scores
    that are equal but for rounding stay on one side, as repeated rows must.
    """
    # Rows without weight are as good as absent.
    scores, weights = scores[weights > 0.0], weights[weights > 0.0]
    order = np.argsort(scores)
    scores, weights = scores[order], weights[order]
    is_new = np.diff(scores) > 1e-9 * (1.0 + np.abs(scores[1:]))
    begins = np.flatnonzero(np.r_[True, is_new])
    ends = np.r_[begins[1:], len(scores)] - 1
    cumulated = np.add.reduceat(weights, begins).cumsum()
    n_below = np.searchsorted(cumulated, part * cumulated[-1] * (1.0 + 1e-9), "right")
    if n_below == 0:
        return float(scores[0] - 1e-6 * (1.0 + abs(scores[0])))
    return float(0.5 * (scores[ends[n_below - 1]] + scores[begins[n_below]]))
