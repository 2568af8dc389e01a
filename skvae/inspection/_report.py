"""Numbers about a fitted model: comparison with PCA, information per component."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.utils.validation import check_is_fitted

from skvae.inspection._encoded import Encoder
from skvae.inspection._maps import neighbor_recall, trustworthiness

MOST_ROWS = 1000
"""Rows whose neighbors are sought, at most."""


@dataclass(kw_only=True, eq=False, repr=False)
class FitReport:  # numpydoc ignore=PR02
    """Comparison of a fitted `VAETransformer` with PCA of as many components.

    `print` it. PCA is fitted to standardized columns of the same training rows; its
    log-likelihood is converted to the units of `X`. Neighbors are those by distance
    between standardized rows, 15 of them where there are enough rows, of at most 1,000
    of the rows that are measured. For PCA and for distances, each category becomes
    a column, and a missing cell is at the mean of its column, with a column that
    says that it is missing.

    Parameters
    ----------
    r2, r2_pca : float
        Fraction of the variance of standardized columns that is reconstructed; of
        observed numbers alone, and NaN where a table has only categories.
    log_likelihood, log_likelihood_pca : float
        Mean log-density per row in nats; NaN for PCA where it has no density for the
        kind of column, or not enough rows or columns.
    recall, recall_pca : float
        Fraction of the nearest neighbors of a row that are among its nearest in the
        latent space, too (`neighbor_recall`).
    trustworthiness, trustworthiness_pca : float
        How few of the nearest in the latent space are far away in fact.
    kl_per_component : ndarray of shape (n_components,) or None
        What each component carries, in nats; None where the prior has no divergence per
        component.
    n_active : int or None
        Number of components that carry more than noise would; None likewise.
    n_iter : int
        Epochs run.
    curve : list of float
        Held-out loss, or training loss, from first to last epoch.
    weights : dict of str to float
        Weight of each term of the loss at the end of the fit.

    See Also
    --------
    LossCurveDisplay : Draws the curves.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from skvae import FitReport, VAETransformer
    >>> X = load_iris().data
    >>> vae = VAETransformer(max_iter=50, tol=None, random_state=0).fit(X[::2])
    >>> report = FitReport.from_estimator(vae, X[::2], X[1::2])
    >>> report.n_active
    2
    >>> report.r2 > 0.9
    True
    """

    r2: float
    r2_pca: float
    log_likelihood: float
    log_likelihood_pca: float
    recall: float
    recall_pca: float
    trustworthiness: float
    trustworthiness_pca: float
    kl_per_component: np.ndarray | None
    n_active: int | None
    n_iter: int
    curve: list[float]
    weights: dict[str, float]

    @classmethod
    def from_estimator(cls, estimator: Any, X: Any, X_test: Any = None) -> "FitReport":
        """Measure a fitted `VAETransformer`.

        Parameters
        ----------
        estimator : VAETransformer
            A fitted estimator.
        X : DataFrame, array-like or sparse matrix of shape (n_samples, n_features)
            The rows it was fitted to.
        X_test : DataFrame, array-like or sparse matrix of shape \
                (n_test_samples, n_features), default=None
            Rows to measure on. None measures on `X`, which flatters both models.

        Returns
        -------
        report : FitReport

        Raises
        ------
        TypeError
            If the estimator has no density to report.
        """
        check_is_fitted(estimator)
        if not hasattr(estimator, "kl_per_component_"):
            raise TypeError(
                "FitReport requires a VAETransformer. Got "
                f"{type(estimator).__name__}, which has no density. For a plain "
                "autoencoder, compare score with PCA's reconstruction error."
            )
        tested = X if X_test is None else X_test
        Z = np.asarray(estimator.transform(tested))
        rows = _Points(X, X_test, estimator)
        pca = rows.pca(estimator.n_components_)
        maps = np.asarray(estimator.transform(X)), Z
        maps_pca = pca.transform(rows.train), pca.transform(rows.test)
        decoded = rows.points(rows.encoder(estimator.inverse_transform(Z)))
        recall, trust = rows.kept(*maps)
        recall_pca, trust_pca = rows.kept(*maps_pca)
        return cls(
            r2=rows.r2(decoded),
            r2_pca=rows.r2(pca.inverse_transform(maps_pca[1])),
            log_likelihood=estimator.score(tested),
            log_likelihood_pca=rows.log_likelihood(pca),
            recall=recall,
            recall_pca=recall_pca,
            trustworthiness=trust,
            trustworthiness_pca=trust_pca,
            kl_per_component=estimator.kl_per_component_,
            n_active=estimator.n_active_components_,
            n_iter=estimator.n_iter_,
            curve=estimator.validation_curve_ or estimator.loss_curve_,
            weights={k: w[-1] for k, w in estimator.term_weights_.items()},
        )

    def _components(self) -> str:
        kl = self.kl_per_component
        if kl is None:
            return "not known with this prior"
        carried = ", ".join(f"{nats:.2f}" for nats in kl[:10])
        carried += ", ..." * (len(kl) > 10)
        return f"{self.n_active} of {len(kl)}, carrying {carried} nats"

    def __str__(self) -> str:
        at = np.linspace(0, len(self.curve) - 1, 5).round().astype(int)
        losses = " ".join(f"{self.curve[i]:.4g}" for i in at)
        weights = ", ".join(f"{k} {weight:.3g}" for k, weight in self.weights.items())
        return "\n".join(
            (
                f"{'':22}{'VAE':>10}{'PCA':>10}",
                f"{'R2':22}{self.r2:10.3f}{self.r2_pca:10.3f}",
                f"{'log-likelihood, nats':22}{self.log_likelihood:10.2f}"
                f"{self.log_likelihood_pca:10.2f}",
                f"{'neighbors kept':22}{self.recall:10.3f}{self.recall_pca:10.3f}",
                f"{'trustworthiness':22}{self.trustworthiness:10.3f}"
                f"{self.trustworthiness_pca:10.3f}",
                f"active components: {self._components()}",
                f"loss over {self.n_iter} epochs: {losses}",
                *([f"weights of the terms: {weights}"] if weights else []),
            )
        )


def _r2(X: np.ndarray, decoded: np.ndarray, is_observed: np.ndarray) -> float:
    """Return the fraction of the variance of observed standardized cells decoded."""
    total = np.square(X)[is_observed].sum()
    error = np.square(X - decoded)[is_observed].sum()
    if not X.shape[1]:
        return np.nan
    return float(1.0 - error / total) if total else 1.0


class _Points:
    """Rows that a model was fitted to and others, as points.

    Columns of numbers are standardized and come first. Columns that are constant have
    no density, nor anything to reconstruct; they are left out.
    """

    def __init__(self, X: Any, X_test: Any, estimator: Any) -> None:
        self.encoder = Encoder(X)
        is_number = ~self.encoder.is_coded
        all_points = self.encoder.points(self.encoder.first).toarray()
        varies = np.ptp(all_points, axis=0) > 0.0
        self.varies = varies | (not varies.any())
        self.kept_numbers = np.flatnonzero(is_number)[self.varies[: is_number.sum()]]
        self.train = all_points[:, self.varies]
        self.has_others = X_test is not None
        tested = self.encoder(X_test) if self.has_others else self.encoder.first
        self.test = self.points(tested)
        self.is_observed = ~np.isnan(tested[:, self.kept_numbers])
        likelihood = estimator.module_.likelihood
        self.is_normal = (
            likelihood.linear_start_is_exact
            and likelihood.preparation_kind == "standard"
            and len(self.kept_numbers) == self.train.shape[1]
        )

    def points(self, rows: np.ndarray) -> np.ndarray:
        """Return encoded rows as points."""
        return self.encoder.points(rows).toarray()[:, self.varies]

    def r2(self, decoded: np.ndarray) -> float:
        """Return how much of the numbers of the rows that are measured is decoded."""
        numbers = slice(len(self.kept_numbers))
        return _r2(self.test[:, numbers], decoded[:, numbers], self.is_observed)

    def pca(self, n_components: int) -> Any:
        """Return PCA of as many components, or as there can be."""
        from sklearn.decomposition import PCA

        return PCA(min(n_components, *self.train.shape)).fit(self.train)

    def log_likelihood(self, pca: Any) -> float:
        """Return the mean log-density of PCA in the units of `X`; NaN without one."""
        has_density = pca.n_components_ < min(self.train.shape)
        if not (has_density and pca.noise_variance_ > 0 and self.is_normal):
            return np.nan
        log_scale = np.log(self.encoder.std[self.kept_numbers]).sum()
        return float(pca.score(self.test) - log_scale)

    def kept(self, Z_train: np.ndarray, Z: np.ndarray) -> tuple[float, float]:
        """Return recall and trustworthiness of a map of these rows."""
        step = slice(None, None, -(-len(self.test) // MOST_ROWS))
        pairs: Any = (self.train, Z_train, self.test[step], Z[step])
        if not self.has_others:
            pairs = self.train[step], Z_train[step]
        n_neighbors = min(15, (len(pairs[0]) - (not self.has_others)) // 2)
        if not n_neighbors:
            return np.nan, np.nan
        measures = (neighbor_recall, trustworthiness)
        recall, trust = (f(*pairs, n_neighbors=n_neighbors) for f in measures)
        return recall, trust
