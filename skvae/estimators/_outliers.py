"""Outlier detection: rows of low density."""

from numbers import Real

import numpy as np
from sklearn.base import OutlierMixin
from sklearn.utils.validation import check_is_fitted

from skvae._random import Stream, generator
from skvae._sklearn import Interval
from skvae.estimators._base import AUTO, COUNT
from skvae.estimators._cellwise import less_usual
from skvae.estimators._errors import unchanged_on_error
from skvae.estimators._explain import N_USUAL, Explanation
from skvae.estimators._inner import DensityEstimator
from skvae.estimators._marginal import Marginal
from skvae.likelihoods import learn_columns
from skvae.table import canonical_rows, read_weights

LARGE = 0.99
"""Fraction of the training rows whose surprises are below one, in scores."""

CONTAMINATION = 0.1
"""Fraction of the training rows that are labeled outliers by default."""


class VAEOutlierDetector(OutlierMixin, DensityEstimator):
    r"""Outliers as rows that are improbable, as a whole or cell by cell.

    A row has two surprises: that of the whole row under a variational autoencoder, and
    that of its cells if columns were independent,

    .. math:: s_1(x) = -\log p(x), \qquad s_2(x) = -\sum_j \log p_j(x_j).

    Each is scaled so that the median of the training rows is 0 and their 99 % quantile
    is 1; a few outliers among them hardly move these two. The score of a row is minus
    the larger surprise: the maximum of an ensemble [1]_. The first surprise finds rows
    whose cells do not fit together; the second finds rows with extreme cells, which a
    flexible model may have learned. Since training rows may contain outliers, the model
    is not fitted to those with the most surprising cells, as in trimmed likelihood
    [2]_.

    Surprises are summed over columns of any kind, log-densities and log-masses alike,
    and over observed cells only.

    Parameters
    ----------
    n_components : int, default=2
        Number of latent components of the default model.
    estimator : VAETransformer, default=None
        The model to fit. None: a :class:`VAETransformer` with `sampler="prior"` and
        default settings apart from this detector's `n_components`, `likelihood`,
        `max_iter` and `handle_unknown`. If an estimator is given, these must have their
        defaults, or its values: set its own parameters instead, such as
        `estimator__n_components`.
        Settings of its objective that are "auto" do not trade density for
        reconstructions here.
    contamination : "auto" or float, default="auto"
        Fraction of the training rows that are outliers, in (0, 0.5]; it sets the
        threshold of `predict`. `"auto"`: 0.1. Scores do not depend on it.
    trim : float, default=0.1
        Fraction of the training rows, those with the most surprising cells, that the
        model is not fitted to, in [0, 0.5].
    likelihood : str, Likelihood, dict or list, default="auto"
        What a column is; see :class:`VAETransformer`.
    max_iter : "auto" or int, default="auto"
        Largest number of epochs.
    n_draws : "auto" or int, default="auto"
        Number of draws of z from which a density is estimated. `"auto"`: as in
        :meth:`VAETransformer.score_samples`, 16 to 128, as many as a row needs.
    handle_unknown : {"error", "missing"}, default="error"
        Whether a category that was not seen in `fit` is an error or a missing cell.
    random_state : int, RandomState instance or None, default=None
        Seed of all draws. If an estimator is given, None keeps the estimator's own.
    verbose : bool, default=False
        Print the losses of each epoch, and how long the others take at most.

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
    >>> detector = VAEOutlierDetector(random_state=0).fit(X)
    >>> detector.predict([[5.1, 3.5, 1.4, 0.2], [5.1, 3.5, 1.4, 6.0]])
    array([ 1, -1])
    """

    _parameter_constraints: dict = {
        **DensityEstimator._parameter_constraints,
        "contamination": [AUTO, Interval(Real, 0, 0.5, closed="right")],
        "trim": [Interval(Real, 0, 0.5, closed="both")],
        "n_draws": [AUTO, COUNT],
    }

    def __init__(
        self,
        n_components=2,
        *,
        estimator=None,
        contamination="auto",
        trim=0.1,
        likelihood="auto",
        max_iter="auto",
        n_draws="auto",
        handle_unknown="error",
        random_state=None,
        verbose=False,
    ):
        self.n_components = n_components
        self.estimator = estimator
        self.contamination = contamination
        self.trim = trim
        self.likelihood = likelihood
        self.max_iter = max_iter
        self.n_draws = n_draws
        self.handle_unknown = handle_unknown
        self.random_state = random_state
        self.verbose = verbose

    @unchanged_on_error
    def fit(self, X, y=None, sample_weight=None):
        """Fit the model to X and set the threshold.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Rows in any units; NaN, None, NA and NaT are missing cells.
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
        model = self._inner_model()
        cells, known = learn_columns(
            model, X, model.handle_unknown, model._likelihood_by_kind
        )
        weights = read_weights(sample_weight, cells)
        self._marginal = Marginal(known.likelihood, canonical_rows(cells, weights))
        usual = self._marginal.log_prob(cells)
        kept = weights * (usual > _threshold(usual, weights, self.trim))
        self._fit_model(model, cells, known, kept, X)
        surprises = self._surprises(cells)
        usual, large = (
            np.array([_threshold(s, weights, fraction) for s in surprises.T])
            for fraction in (0.5, LARGE)
        )
        self._usual, self._span = usual, np.where(large > usual, large - usual, 1.0)
        is_auto = self.contamination == "auto"
        fraction = CONTAMINATION if is_auto else self.contamination
        self.offset_ = _threshold(self._scores(surprises), weights, fraction)
        return self

    def _surprises(self, cells):
        """Return the surprise of whole rows and that of their cells, (n, 2)."""
        whole = self.estimator_._score_cells(cells, "importance", self.n_draws)
        return -np.stack((whole, self._marginal.log_prob(cells)), axis=1)

    def _scores(self, surprises):
        """Return minus the larger of two surprises (n, 2), on the scores' scale."""
        return -self._scaled(surprises).max(axis=1)

    def _scaled(self, surprises):
        return (surprises - self._usual) / self._span

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
        return self._scores(self._surprises(self.estimator_._read(X)))

    def row_surprises(self, X):
        """Return the two surprises of each row, on the scale of scores.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)

        Returns
        -------
        surprises : ndarray of shape (n_samples, 2)
            That of the whole row, and that of its cells if columns were independent.
            Minus the larger is the row's score.
        """
        check_is_fitted(self)
        return self._scaled(self._surprises(self.estimator_._read(X)))

    def explain(self, X):
        """Return what each cell contributes to the larger of a row's two surprises.

        Cells are measured from what is usual of their column in rows drawn from the
        model, so that columns can be compared, and on the scale of scores. Which
        surprise is the larger one is `row_surprises(X).argmax(axis=1)`: 0 explains by
        :meth:`VAETransformer.explain` how badly each cell fits the z of its row, 1 by
        how rare each cell is by itself.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)

        Returns
        -------
        contributions : ndarray or DataFrame of shape (n_samples, n_features + 1)
            The sum of a row is minus its `score_samples`, up to rounding in the
            floating-point type of `X`. A missing cell contributes 0. The last column
            is what belongs to no cell: the latent term of the first surprise, less the
            surprise of a usual row. A DataFrame whose last column is "latent", if `fit`
            was given one.

        See Also
        --------
        VAETransformer.surprise : How surprising a cell is, given the others of its row.

        Examples
        --------
        >>> from sklearn.datasets import load_iris
        >>> from skvae import VAEOutlierDetector
        >>> X = load_iris().data
        >>> detector = VAEOutlierDetector(max_iter=20, random_state=0).fit(X)
        >>> detector.explain([[5.1, 3.5, 1.4, 9.0]]).argmax(axis=1)
        array([3])
        """
        check_is_fitted(self)
        explained = self._contributions(self.estimator_._read(X))[0]
        return self.estimator_._known.layout.decode_numbers(explained, X, "latent")

    def _contributions(self, cells):
        """Return contributions (n, D + 1), and which surprise they are of, (n,)."""
        model, marginal = self.estimator_, self._marginal
        plain, whole = model._beyond_usual(cells, self.n_draws)
        both = plain.sum(axis=1), -marginal.log_prob(cells)
        surprises = self._scaled(np.stack(both, axis=1))
        larger = surprises.argmax(axis=1)
        usual = marginal.usual(N_USUAL, generator(model._seed, Stream.OBSERVATION))
        alone = less_usual(-marginal.cell_log_prob(cells), usual)
        each = np.where(larger[:, None] == 0, whole, alone) / self._span[larger, None]
        rest = surprises.max(axis=1) - each.sum(axis=1)
        return np.column_stack((each, rest)), larger

    def _explanation(self, X):
        """Return what there is to show of the only row of X."""
        contributions, larger = self._contributions(self.estimator_._read(X))
        of = ("of the whole row", "of its cells, one by one")[larger[0]]
        said = f"score {-contributions.sum():.3g}, minus the surprise {of}"
        return Explanation(contributions[0], "scale of scores", said)

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

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags


def _threshold(scores, weights, fraction):
    """Return a number above scores with at most this fraction of the weight.

    It lies halfway between two scores, so that rounding moves no row across it; scores
    that are equal but for rounding stay on one side, as repeated rows must.
    """
    # Rows of weight zero count as absent.
    scores, weights = scores[weights > 0.0], weights[weights > 0.0]
    order = np.argsort(scores)
    scores, weights = scores[order], weights[order]
    is_new = np.diff(scores) > 1e-9 * (1.0 + np.abs(scores[1:]))
    begins = np.flatnonzero(np.r_[True, is_new])
    ends = np.r_[begins[1:], len(scores)] - 1
    cumulated = np.add.reduceat(weights, begins).cumsum()
    most = fraction * cumulated[-1] * (1.0 + 1e-9)
    n_below = np.searchsorted(cumulated, most, "right")
    if n_below == 0:
        return float(scores[0] - 1e-6 * (1.0 + abs(scores[0])))
    return float(0.5 * (scores[ends[n_below - 1]] + scores[begins[n_below]]))
