"""Numbers about a fitted model: how it does beside PCA, what its components carry."""

from typing import Any

import numpy as np
from sklearn.utils.validation import check_is_fitted

from skvae.likelihoods import Gaussian

__all__ = ["FitReport"]


class FitReport:
    """A fitted `VAETransformer` beside PCA with as many components.

    `print` it. PCA is fitted to standardized columns of the same training rows; its
    log-likelihood is brought to the units of `X`.

    Parameters
    ----------
    r2, r2_pca : float
        Part of the variance of standardized columns that is reconstructed.
    log_likelihood, log_likelihood_pca : float
        Mean log-density per row in nats; NaN for PCA where it has no density for the
        kind of column, or not enough rows or columns.
    kl_per_component : ndarray of shape (n_components,)
        What each component carries, in nats.
    n_active : int
        Number of components that carry more than noise would.
    n_iter : int
        Epochs run.
    curve : list of float
        Held-out loss, or training loss, from first to last epoch.

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

    def __init__(
        self,
        *,
        r2: float,
        r2_pca: float,
        log_likelihood: float,
        log_likelihood_pca: float,
        kl_per_component: np.ndarray,
        n_active: int,
        n_iter: int,
        curve: list[float],
    ) -> None:
        self.r2 = r2
        self.r2_pca = r2_pca
        self.log_likelihood = log_likelihood
        self.log_likelihood_pca = log_likelihood_pca
        self.kl_per_component = kl_per_component
        self.n_active = n_active
        self.n_iter = n_iter
        self.curve = curve

    @classmethod
    def from_estimator(cls, estimator: Any, X: Any, X_test: Any = None) -> "FitReport":
        """Measure a fitted `VAETransformer`.

        Parameters
        ----------
        estimator : VAETransformer
            A fitted estimator.
        X : array-like of shape (n_samples, n_features)
            The rows it was fitted to.
        X_test : array-like of shape (n_test_samples, n_features), default=None
            Rows to measure on. None measures on `X`, which flatters both models.

        Returns
        -------
        report : FitReport

        Raises
        ------
        TypeError
            If the estimator has no density to report.
        """
        # A tenth of a second to import, which not everyone who fits a model needs.
        from sklearn.decomposition import PCA
        from sklearn.preprocessing import StandardScaler

        check_is_fitted(estimator)
        if not hasattr(estimator, "kl_per_component_"):
            raise TypeError(
                "FitReport requires a VAETransformer. Got "
                f"{type(estimator).__name__}, which has no density. For a plain "
                "autoencoder, compare score with PCA's reconstruction error."
            )
        X_test = X if X_test is None else X_test
        decoded = estimator.inverse_transform(estimator.transform(X_test))
        scaler = StandardScaler().fit(X)
        train, test = scaler.transform(X), scaler.transform(X_test)
        pca = PCA(min(estimator.n_components_, *train.shape)).fit(train)
        projected = pca.inverse_transform(pca.transform(test))
        has_density = pca.n_components_ < min(train.shape) and pca.noise_variance_ > 0
        gaussian = isinstance(estimator._architecture.likelihood, Gaussian)
        log_likelihood_pca = np.nan
        if has_density and gaussian:
            log_likelihood_pca = pca.score(test) - np.log(scaler.scale_).sum()
        return cls(
            r2=_r2(test, scaler.transform(decoded)),
            r2_pca=_r2(test, projected),
            log_likelihood=estimator.score(X_test),
            log_likelihood_pca=float(log_likelihood_pca),
            kl_per_component=estimator.kl_per_component_,
            n_active=estimator.n_active_components_,
            n_iter=estimator.n_iter_,
            curve=estimator.validation_curve_ or estimator.loss_curve_,
        )

    def __str__(self) -> str:
        carried = ", ".join(f"{kl:.2f}" for kl in self.kl_per_component[:10])
        if len(self.kl_per_component) > 10:
            carried += ", ..."
        at = np.linspace(0, len(self.curve) - 1, 5).round().astype(int)
        losses = " ".join(f"{self.curve[i]:.4g}" for i in at)
        return "\n".join(
            (
                f"{'':22}{'VAE':>10}{'PCA':>10}",
                f"{'R2':22}{self.r2:10.3f}{self.r2_pca:10.3f}",
                f"{'log-likelihood, nats':22}{self.log_likelihood:10.2f}"
                f"{self.log_likelihood_pca:10.2f}",
                f"active components: {self.n_active} of {len(self.kl_per_component)}, "
                f"carrying {carried} nats",
                f"loss over {self.n_iter} epochs: {losses}",
            )
        )


def _r2(X: np.ndarray, decoded: np.ndarray) -> float:
    """Return the part of the variance of standardized columns that is decoded."""
    total = np.square(X).sum()
    return float(1.0 - np.square(X - decoded).sum() / total) if total else 1.0
