"""Draws of z: from the posteriors of rows, and from a fitted model's priors."""

from typing import Any

import numpy as np
import torch
from sklearn.utils.validation import check_is_fitted

from skvae._random import Stream, generator, seed_from


def draw_posterior(estimator: Any, X: Any, *, random_state: Any = 0) -> np.ndarray:
    """Return one draw of z from the posterior of each row.

    A component that carries nothing about a row is noise in the draws, while its
    posterior mean still is a function of the row.

    Parameters
    ----------
    estimator : VAETransformer
        Fitted. The draws of an `AutoencoderTransformer` are its points.
    X : {array-like, sparse matrix} of shape (n_samples, n_features)
        Rows, as `transform` takes them.
    random_state : int, RandomState instance or None, default=0
        Seed of the draws.

    Returns
    -------
    Z : ndarray of shape (n_samples, n_components)

    Raises
    ------
    TypeError
        If the estimator has no posterior.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from skvae import VAETransformer
    >>> from skvae.inspection import draw_posterior
    >>> X = load_iris().data
    >>> vae = VAETransformer(max_iter=20, tol=None, random_state=0).fit(X)
    >>> draw_posterior(vae, X).shape
    (150, 2)
    """
    _check_module(estimator)
    random = generator(seed_from(random_state), Stream.LATENT)

    def draw(model: Any, batch: Any) -> torch.Tensor:
        outputs = model.encode(batch)
        shape = len(outputs), model.n_components
        noise = torch.randn(shape, generator=random, dtype=torch.float64).to(outputs)
        return model.to_user(model.posterior.draw(outputs, noise))

    return estimator._map(draw, X)


@torch.inference_mode()
def draw_from(estimator: Any, prior: Any, n: int, seed: int) -> np.ndarray | None:
    """Return n draws of z from a built prior, (n, K), in the user's coordinates.

    None where there is no distribution to draw from.
    """
    if not prior.has_density:
        return None
    model = estimator.module_
    z = prior.draw(n, generator(seed, Stream.SAMPLER, n, device=model.device))
    return model.to_user(z).double().cpu().numpy()


def _check_module(estimator: Any) -> None:
    """Raise unless the estimator is fitted and encodes rows as distributions."""
    check_is_fitted(estimator)
    if not hasattr(estimator, "module_"):
        raise TypeError(
            "The estimator must encode rows as distributions. Got "
            f"{type(estimator).__name__}. Pass a fitted VAETransformer."
        )
