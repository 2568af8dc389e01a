"""Numbers about a fitted model: comparison with PCA, information per component."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.utils.validation import check_is_fitted

__all__ = ["FitReport"]


@dataclass(kw_only=True, eq=False, repr=False)
class FitReport:  # numpydoc ignore=PR02
    """Comparison of a fitted `VAETransformer` with PCA of as many components.

    `print` it. PCA is fitted to standardized columns of the same training rows; its
    log-likelihood is converted to the units of `X`.

    Parameters
    ----------
    r2, r2_pca : float
        Fraction of the variance of standardized columns that is reconstructed.
    log_likelihood, log_likelihood_pca : float
        Mean log-density per row in nats; NaN for PCA where it has no density for the
        kind of column, or not enough rows or columns.
    kl_per_component : ndarray of shape (n_components,) or None
        What each component carries, in nats; None where the prior has no divergence per
        component.
    n_active : int or None
        Number of components that carry more than noise would; None likewise.
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

    r2: float
    r2_pca: float
    log_likelihood: float
    log_likelihood_pca: float
    kl_per_component: np.ndarray | None
    n_active: int | None
    n_iter: int
    curve: list[float]

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
        # Imported here because it takes a tenth of a second and few fits need it.
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
        # Constant columns have no density, nor anything to reconstruct.
        varying = (scaler.var_ > 0.0) | (scaler.var_.max() == 0.0)
        train, test = train[:, varying], test[:, varying]
        pca = PCA(min(estimator.n_components_, *train.shape)).fit(train)
        projected = pca.inverse_transform(pca.transform(test))
        has_density = pca.n_components_ < min(train.shape) and pca.noise_variance_ > 0
        likelihood = estimator.module_.likelihood
        is_normal = likelihood.linear_start_is_exact
        is_normal = is_normal and likelihood.preparation_kind == "standard"
        log_likelihood_pca = np.nan
        if has_density and is_normal:
            log_likelihood_pca = pca.score(test) - np.log(scaler.scale_[varying]).sum()
        return cls(
            r2=_r2(test, scaler.transform(decoded)[:, varying]),
            r2_pca=_r2(test, projected),
            log_likelihood=estimator.score(X_test),
            log_likelihood_pca=float(log_likelihood_pca),
            kl_per_component=estimator.kl_per_component_,
            n_active=estimator.n_active_components_,
            n_iter=estimator.n_iter_,
            curve=estimator.validation_curve_ or estimator.loss_curve_,
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
        return "\n".join(
            (
                f"{'':22}{'VAE':>10}{'PCA':>10}",
                f"{'R2':22}{self.r2:10.3f}{self.r2_pca:10.3f}",
                f"{'log-likelihood, nats':22}{self.log_likelihood:10.2f}"
                f"{self.log_likelihood_pca:10.2f}",
                f"active components: {self._components()}",
                f"loss over {self.n_iter} epochs: {losses}",
            )
        )


def _r2(X: np.ndarray, decoded: np.ndarray) -> float:
    """Return the fraction of the variance of standardized columns that is decoded."""
    total = np.square(X).sum()
    return float(1.0 - np.square(X - decoded).sum() / total) if total else 1.0
