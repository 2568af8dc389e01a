"""How much of the variance of rows the first components explain."""

from typing import Any

import numpy as np

from skvae.estimators._apply import sum_rows
from skvae.estimators._explained import Errors
from skvae.inspection._loadings import check_model


def cumulative_r2(estimator: Any, X: Any) -> np.ndarray:
    r"""Return how much of the rows the first k components reconstruct, for each k.

    .. math:: R^2_k = 1 - \frac{1}{D} \sum_j \frac{\sum_i r_{ij}(k)^2}
        {\sum_i r_{ij}(0)^2}

    with the residual :math:`r_{ij}(k)` of a cell that is decoded from the first k
    components of its row's posterior mean, the others at their mean over the training
    rows, as `inverse_transform` does with k columns; and :math:`r_{ij}(0)` that from
    what fits the column best without any component, such as its mean.

    Parameters
    ----------
    estimator : VAETransformer or AutoencoderTransformer
        A fitted estimator; of others, their `estimator_`.
    X : {array-like, sparse matrix} of shape (n_samples, n_features)
        Rows, best those that were held out: see `explained_variance_ratio_` of the
        estimator for the training rows.

    Returns
    -------
    r2 : ndarray of shape (n_components,)

    Raises
    ------
    TypeError
        If the estimator has no decoder of this package.

    See Also
    --------
    skvae.ComponentsDisplay : Draws it.

    Notes
    -----
    The sum is over the D columns that vary in `X`, each as important as another, and
    over observed cells. Residuals are in the units of the model, such as standard
    deviations; of a category, they are 1 less its probability. With more components
    R2 falls where these carry what does not hold for the rows of `X`, or where the
    decoder needs them together.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from skvae import VAETransformer
    >>> from skvae.inspection import cumulative_r2
    >>> X = load_iris().data
    >>> vae = VAETransformer(max_iter=20, tol=None, random_state=0).fit(X[::2])
    >>> cumulative_r2(vae, X[1::2]).round(1)
    array([0.7, 1. ])
    """
    model = check_model(estimator)
    return Errors.merged(sum_rows(model, Errors.of, estimator._read(X))).r2()
