"""Clusters of rows, where the prior has clusters."""

from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted

N_DRAWS = 32
"""Draws of z for each row, over which the probabilities of clusters are averaged."""


def _has_clusters(estimator):
    fitted = vars(estimator).get("_architecture")
    prior = estimator._prior if fitted is None else fitted.prior
    if prior.has_clusters:
        return True
    raise AttributeError(
        "predict and predict_proba require a prior with clusters. Got "
        f"prior={prior!r}. Use prior='mixture'."
    )


class ClusterMethods:
    """Mixin: `predict` and `predict_proba`, where the prior has clusters."""

    @available_if(_has_clusters)
    def predict(self, X):
        """Return the most probable cluster of each row.

        Available where the prior has clusters, as with `prior="mixture"`.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)

        Returns
        -------
        labels : ndarray of int of shape (n_samples,)
            Numbers of the clusters, from 0 to C - 1.
        """
        return self.predict_proba(X).argmax(axis=1)

    @available_if(_has_clusters)
    def predict_proba(self, X):
        r"""Return the probability of each cluster given a row.

        .. math:: p(c \mid x) \approx \mathbb{E}_{q(z \mid x)} [p(c \mid z)]

        ([1]_, equation 16), the mean over draws of z that are the same for every row.
        Available where the prior has clusters, as with `prior="mixture"`.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)

        Returns
        -------
        probabilities : ndarray of shape (n_samples, C)
            In the floating-point type of `X`.

        References
        ----------
        .. [1] Jiang, Zheng, Tan, Tang & Zhou (2017). Variational deep embedding: an
           unsupervised and generative approach to clustering. IJCAI.
           https://arxiv.org/abs/1611.05148
        """
        check_is_fitted(self)
        noise = self._fixed_noise(N_DRAWS)

        def probabilities(model, batch):
            outputs = model.encode(batch)
            draws = noise.to(outputs)
            return model.prior.cluster_probabilities(model.posterior, outputs, draws)

        return self._map(probabilities, X)
