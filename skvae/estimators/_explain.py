"""Which cells make a row surprising."""

from typing import Any, NamedTuple

import numpy as np
from sklearn.utils.validation import check_is_fitted

from skvae._random import Stream, generator
from skvae.estimators._apply import own_modes
from skvae.estimators._cellwise import (
    HIDDEN_DRAWS,
    explain_rows,
    less_usual,
    surprise_rows,
)
from skvae.estimators._impute import impute_once, plan_of
from skvae.estimators._score import SCORE_DRAWS
from skvae.table import as_cells, values_of

BASELINES = (None, "usual")
"""What explanations of rows may be measured from."""

N_USUAL = 256
"""Number of rows drawn from a model that show what is usual."""


class Explanation(NamedTuple):
    """What there is to show of one row.

    Attributes
    ----------
    contributions : ndarray of shape (n_features + 1,)
        Those of cells beyond what is usual, and that of z.
    unit : str
    said : str
        What the row's surprise is, in words.
    """

    contributions: Any
    unit: str
    said: str


def shown_cells(model, X, columns):
    """Return cells of a row, and what the model expects given its others, as values.

    Parameters
    ----------
    model : VAETransformer
    X : array-like of shape (1, n_features)
    columns : sequence of int

    Returns
    -------
    own, expected : list
        None where the row has no cell.
    """
    own = model._read(X)[:][0].astype(np.float64)
    rows = np.tile(own, (len(columns), 1))
    rows[np.arange(len(columns)), columns] = np.nan
    plan, layout = plan_of("auto"), model._known.layout
    noise = model._fixed_noise(plan.most)
    filled = impute_once(model.module_, rows, noise, plan, "mean", layout.coded)
    expected = filled[np.arange(len(columns)), columns]
    missing = np.isnan(own[columns])
    pairs = np.stack((np.where(missing, expected, own[columns]), expected), axis=1)
    known = [layout.columns[j] for j in columns]
    shown = [_values(*each) for each in zip(pairs, known, strict=True)]
    gone = missing.tolist()
    found = [None if g else own for g, (own, _) in zip(gone, shown, strict=True)]
    return found, [other for _, other in shown]


def _values(numbers, column):
    """Return numbers or codes as a list of values."""
    found = values_of(numbers, column)
    if found.dtype.kind in "mM":
        # Of nanoseconds, NumPy would make integers.
        found = found.astype(f"{found.dtype.kind}8[us]")
    return found.tolist()


class ExplainMethods:
    """Mixin: `surprise` and `explain`, which say which cells of a row are unusual."""

    def surprise(self, X, *, baseline=None):
        r"""Return how surprising each cell is, given the others of its row.

        .. math:: -\log p(x_j \mid x_1, \ldots, x_{j-1}, x_{j+1}, \ldots, x_D)

        in nats: the log-density of the row without the cell, which is hidden from the
        encoder, less that of the row. Importance weights correct the posterior in both
        ([1]_, equation 5). These numbers need not add up to the surprise of the row:
        of two cells that contradict each other, both are surprising.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
        baseline : {"usual"}, default=None
            `"usual"`: less what is usual of the column, as in `explain`, so that
            columns can be compared. None: log-densities in the units of `X`.

        Returns
        -------
        surprises : ndarray or DataFrame of shape (n_samples, n_features)
            NaN where a cell is missing. A DataFrame, if `fit` was given one.

        See Also
        --------
        explain : The surprise of a row, divided among its cells.

        Notes
        -----
        Deterministic. A row is encoded once without each of its D cells and takes 64 to
        1,024 draws of z each time, until the standard error is at most 0.1 nats: as
        much work as D to 8 D times `score_samples`, which for hundreds of columns is
        seconds a row. Rows are taken in pieces, so that memory does not grow with the
        number of draws.

        Where components reconstruct all columns almost exactly, so few z fit the other
        cells that no draw may be among them. Surprises are then far below zero and mean
        nothing: compare cells with what `impute` gives if they are missing.

        References
        ----------
        .. [1] Mattei & Frellsen (2019). MIWAE: Deep generative modelling and imputation
           of incomplete data sets. ICML. https://arxiv.org/abs/1812.02633

        Examples
        --------
        >>> from sklearn.datasets import load_iris
        >>> from skvae import VAETransformer
        >>> X = load_iris().data
        >>> vae = VAETransformer(max_iter=20, tol=None, random_state=0).fit(X)
        >>> vae.surprise([[5.1, 3.5, 1.4, 6.0]]).argmax(axis=1)
        array([3])
        """
        cells = self._checked(X, baseline)
        whole = self._score_cells(cells, "importance", "auto")
        noise = self._fixed_noise(HIDDEN_DRAWS.most)
        surprises = surprise_rows(self.module_, cells, noise, whole)
        if baseline is not None:
            surprises = surprises - self._usual_of_cells().astype(surprises.dtype)
        return self._known.layout.decode_numbers(surprises, X)

    def explain(self, X, *, baseline=None):
        r"""Return what each cell contributes to the surprise of its row.

        The surprise of a row is minus its `score_samples`. With the importance weights
        w of its draws of z, which sum to one,

        .. math:: -\log p(x) = -\sum_j \sum_s w_s \log p(x_j \mid z_s)
            + \mathrm{KL}(p(z \mid x) \,\|\, p(z)).

        A cell contributes its term of the first sum: how badly it fits the z that the
        row has. The last column is the second term, estimated as what is left: how far
        the row's z are from those of most rows.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
        baseline : {"usual"}, default=None
            What cells are measured from. None: from zero, so that a column in small
            units contributes more than the same column in large ones. `"usual"`: from
            the median contribution of the column to rows that are drawn from the model,
            so that columns can be compared; the last column contains the difference.

        Returns
        -------
        contributions : ndarray or DataFrame of shape (n_samples, n_features + 1)
            In nats. The sum of a row is minus its `score_samples`, up to rounding in
            the floating-point type of `X`. A missing cell contributes 0. A DataFrame
            whose last column is "latent", if `fit` was given one.

        See Also
        --------
        surprise : How surprising each cell is, given the others of its row.

        Notes
        -----
        Deterministic; takes as long as `score_samples`. A flexible model moves z to
        meet an unusual cell, at the cost of others: `surprise`, which takes longer,
        finds a single wrong cell more often.

        References
        ----------
        .. [1] Burda, Grosse & Salakhutdinov (2016). Importance weighted autoencoders.
           ICLR. https://arxiv.org/abs/1509.00519

        Examples
        --------
        >>> import numpy as np
        >>> from sklearn.datasets import load_iris
        >>> from skvae import VAETransformer
        >>> X = load_iris().data
        >>> vae = VAETransformer(max_iter=20, tol=None, random_state=0).fit(X)
        >>> contributions = vae.explain(X)
        >>> bool(np.allclose(contributions.sum(axis=1), -vae.score_samples(X)))
        True
        """
        cells = self._checked(X, baseline)
        if baseline is None:
            contributions = self._explain_cells(cells)
        else:
            plain, less = self._beyond_usual(cells)
            rest = plain.sum(axis=1) - less.sum(axis=1)
            contributions = np.column_stack((less, rest))
        return self._known.layout.decode_numbers(contributions, X, "latent")

    def _checked(self, X, baseline):
        """Return the cells of rows to be explained."""
        check_is_fitted(self)
        if baseline not in BASELINES:
            raise ValueError(f"baseline must be 'usual' or None. Got {baseline!r}.")
        return self._read(X)

    def _explain_cells(self, cells, n_draws="auto"):
        plan = SCORE_DRAWS.of(n_draws)
        noise = self._fixed_noise(plan.most)
        return explain_rows(self.module_, cells, noise, plan)

    def _beyond_usual(self, cells, n_draws="auto"):
        """Return contributions (n, D + 1), and of cells what is beyond the usual."""
        plain = self._explain_cells(cells, n_draws)
        usual = self._usual_of_cells(SCORE_DRAWS.of(n_draws))
        return plain, less_usual(plain[:, :-1], usual)

    def _explanation(self, X):
        """Return what there is to show of the only row of X."""
        (plain,), (less,) = self._beyond_usual(self._read(X))
        usual = plain[:-1].sum() - less.sum()
        said = f"surprise {plain.sum():.4g} nats, of which {usual:.4g} are usual"
        return Explanation(np.append(less, plain[-1]), "nats", said)

    def _usual_of_cells(self, plan=SCORE_DRAWS):
        """Return the median contribution of each column to rows of the model, (D,)."""
        noise, rows = self._fixed_noise(plan.most), self._usual_rows()
        explained = explain_rows(self.module_, as_cells(rows), noise, plan)
        return np.median(explained[:, :-1], axis=0)

    @own_modes(inference=True)
    def _usual_rows(self):
        """Return the same rows at each call, drawn from the model, (n, D)."""
        model, device = self.module_, self.module_.device
        latent, noise = (
            generator(self._seed, stream, device=device)
            for stream in (Stream.LATENT, Stream.OBSERVATION)
        )
        z = model.fitted_prior.draw(N_USUAL, latent).to(model.center.dtype)
        rows = model.likelihood.draw(model.decoder(z), noise)
        return np.nan_to_num(rows.double().cpu().numpy())
