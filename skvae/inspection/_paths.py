"""Paths through the latent space, decoded."""

from collections.abc import Callable
from numbers import Integral
from typing import Any

import numpy as np
from sklearn.utils import check_consistent_length
from sklearn.utils.validation import check_is_fitted

from skvae.inspection._latent import draw_from

N_DRAWS = 10_000
"""Draws of z whose quantiles are the limits of a traversal."""

CENTRAL = (0.025, 0.975)
"""The central 95 %."""


def traverse(
    estimator: Any,
    X: Any,
    component: int,
    *,
    n_steps: int = 9,
    limits: Any = None,
    train: Any = None,
) -> Any:
    """Return rows as they are decoded while one component of z changes.

    The other components stay at the posterior mean of the row.

    Parameters
    ----------
    estimator : VAETransformer or AutoencoderTransformer
        Fitted; or any transformer with `inverse_transform`.
    X : {array-like, sparse matrix} of shape (n_samples, n_features)
        Rows to start from, as `transform` takes them.
    component : int
        The component that changes, from 0.
    n_steps : int, default=9
        Values of the component, evenly spaced from limit to limit.
    limits : (float, float), default=None
        Least and greatest value. None: the central 95 % of the posterior means of
        `train` or, without it, of what the model draws z from, its sampler.
    train : {array-like, sparse matrix} of shape (n_train, n_features), default=None
        Rows that the model was fitted to. They are needed only where there is
        nothing to draw z from, as in an `AutoencoderTransformer`, and no `limits`.

    Returns
    -------
    X : ndarray or DataFrame of shape (n_samples * n_steps, n_features)
        Decoded rows in the units of the training data, as `inverse_transform` returns
        them. The steps of one row follow each other.

    Raises
    ------
    TypeError
        If the estimator cannot decode.
    ValueError
        If a parameter is invalid, or nothing says what the limits are.

    See Also
    --------
    traversal_points : The values of z.
    interpolate : From one row to another one.
    skvae.TraversalDisplay : Draws traversals.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from skvae import VAETransformer
    >>> from skvae.inspection import traverse
    >>> X = load_iris().data
    >>> vae = VAETransformer(max_iter=20, tol=None, random_state=0).fit(X)
    >>> traverse(vae, X[:1], 0, n_steps=5).shape
    (5, 4)
    """
    steps = {"n_steps": n_steps, "limits": limits, "train": train}
    Z = traversal_points(estimator, X, component, **steps)
    return estimator.inverse_transform(Z)


def traversal_points(
    estimator: Any,
    X: Any,
    component: int,
    *,
    n_steps: int = 9,
    limits: Any = None,
    train: Any = None,
) -> np.ndarray:
    """Return the points of the latent space that `traverse` decodes.

    Parameters
    ----------
    estimator, X, component, n_steps, limits, train : as in `traverse`

    Returns
    -------
    Z : ndarray of shape (n_samples * n_steps, n_components)
        The steps of one row follow each other.

    Raises
    ------
    TypeError
        If the estimator cannot decode.
    ValueError
        If a parameter is invalid, or nothing says what the limits are.

    See Also
    --------
    traverse : Decodes them.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from skvae import VAETransformer
    >>> from skvae.inspection import traversal_points
    >>> X = load_iris().data
    >>> vae = VAETransformer(max_iter=20, tol=None, random_state=0).fit(X)
    >>> Z = traversal_points(vae, X[:1], 1, n_steps=3, limits=(-2, 2))
    >>> Z[:, 1].tolist()
    [-2.0, 0.0, 2.0]
    """
    _check_n_steps(n_steps)
    mean = _encode(estimator, X)
    _check_component(component, mean.shape[1])
    if limits is None:
        limits = _central_range(estimator, train)[:, component]
    low, high = _check_limits(limits)
    Z = np.repeat(mean, n_steps, axis=0)
    Z[:, component] = np.tile(np.linspace(low, high, n_steps), len(mean))
    return Z


def interpolate(
    estimator: Any, X_from: Any, X_to: Any, *, n_steps: int = 9, path: str = "linear"
) -> Any:
    r"""Return rows as they are decoded on the way from one row to another.

    Between the posterior means u and v of the two rows, at t from 0 to 1, lies the
    point :math:`(1 - t) u + t v` or, on a spherical path [1]_, for means of length 1,

    .. math:: \frac{\sin((1 - t)\Omega)}{\sin\Omega} u
        + \frac{\sin(t\Omega)}{\sin\Omega} v

    with the angle :math:`\Omega` between them. Far from the origin, where most of a
    normal prior with many components lies, a spherical path stays there while a linear
    one passes through an improbable middle [2]_.

    Parameters
    ----------
    estimator : VAETransformer or AutoencoderTransformer
        Fitted; or any transformer with `inverse_transform`.
    X_from, X_to : {array-like, sparse matrix} of shape (n_samples, n_features)
        Rows at the beginning and, as many, at the end.
    n_steps : int, default=9
        Points on each path, both ends included.
    path : {"linear", "spherical"}, default="linear"
        A straight line, or an arc around the origin.

    Returns
    -------
    X : ndarray or DataFrame of shape (n_samples * n_steps, n_features)
        Decoded rows in the units of the training data, as `inverse_transform` returns
        them. The steps of one path follow each other.

    Raises
    ------
    TypeError
        If the estimator cannot decode.
    ValueError
        If a parameter is invalid, or the numbers of rows differ.

    See Also
    --------
    interpolation_points : The points between given ones.
    traverse : Changes one component.

    References
    ----------
    .. [1] Shoemake (1985). Animating rotation with quaternion curves. SIGGRAPH,
       section 3.3. https://doi.org/10.1145/325165.325242
    .. [2] White (2016). Sampling generative networks, section 2.1.
       https://arxiv.org/abs/1609.04468

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from skvae import VAETransformer
    >>> from skvae.inspection import interpolate
    >>> X = load_iris().data
    >>> vae = VAETransformer(max_iter=20, tol=None, random_state=0).fit(X)
    >>> interpolate(vae, X[:1], X[100:101], n_steps=5, path="spherical").shape
    (5, 4)
    """
    ends = (_encode(estimator, X) for X in (X_from, X_to))
    Z = interpolation_points(*ends, n_steps=n_steps, path=path)
    return estimator.inverse_transform(Z)


def interpolation_points(
    Z_from: Any, Z_to: Any, *, n_steps: int = 9, path: str = "linear"
) -> np.ndarray:
    """Return points on the way from some points of the latent space to others.

    A spherical path turns from the one direction to the other at a constant rate,
    while its length changes at a constant rate, too. A point at the origin has the
    direction of the other one. Between opposite directions every arc is as short; the
    one taken passes the axis that is most nearly at a right angle to both. With a
    single component there is none, and the path is linear.

    Parameters
    ----------
    Z_from, Z_to : array-like of shape (n_samples, n_components)
        Points at the beginning and at the end.
    n_steps : int, default=9
        Points on each path, both ends included.
    path : {"linear", "spherical"}, default="linear"
        A straight line, or an arc around the origin.

    Returns
    -------
    Z : ndarray of shape (n_samples * n_steps, n_components)
        The steps of one path follow each other.

    Raises
    ------
    ValueError
        If a parameter is invalid, or shapes differ.

    See Also
    --------
    interpolate : Decodes points between two rows.

    Examples
    --------
    >>> from skvae.inspection import interpolation_points
    >>> Z = interpolation_points([[1, 0]], [[0, 3]], n_steps=3, path="spherical")
    >>> Z.round(2).tolist()
    [[1.0, 0.0], [1.41, 1.41], [0.0, 3.0]]
    """
    _check_n_steps(n_steps)
    if path not in PATHS:
        raise ValueError(f"path must be one of {sorted(PATHS)}. Got {path!r}.")
    u, v = (np.asarray(Z, dtype=float) for Z in (Z_from, Z_to))
    check_consistent_length(u, v)
    if u.ndim != 2 or u.shape != v.shape:
        raise ValueError(
            "Both ends must have the shape (n_samples, n_components). Got "
            f"{u.shape} and {v.shape}. Pass what transform returns."
        )
    t = np.linspace(0.0, 1.0, n_steps)[None, :, None]
    Z = PATHS[path](u[:, None], v[:, None], t)
    # Exactly, where sines and lengths round.
    Z[:, 0], Z[:, -1] = u, v
    return Z.reshape(-1, u.shape[1])


def _line(u: np.ndarray, v: np.ndarray, t: np.ndarray) -> np.ndarray:
    """Return points (n, n_steps, K) of a line from u to v, (n, 1, K) each."""
    return (1.0 - t) * u + t * v


def _arc(u: np.ndarray, v: np.ndarray, t: np.ndarray) -> np.ndarray:
    """Return points of an arc, in the plane of u and a direction perpendicular to it.

    The angle follows from the two coordinates of v in that plane, which are accurate
    also where vectors are nearly parallel or opposite.
    """
    if u.shape[-1] == 1:
        return _line(u, v, t)
    n_u, n_v = (np.linalg.norm(w, axis=-1, keepdims=True) for w in (u, v))
    start, end = _direction(u, n_u, v, n_v), _direction(v, n_v, u, n_u)
    along = (start * end).sum(-1, keepdims=True)
    across = np.linalg.norm(end - along * start, axis=-1, keepdims=True)
    # What is left of rounding has no direction.
    is_turn = across > 16.0 * np.finfo(float).eps
    aside = np.where(is_turn, end / np.where(is_turn, across, 1.0), _axis(start))
    aside = _perpendicular(_perpendicular(aside, start), start)
    angle = t * np.arctan2(across, along)
    return _line(n_u, n_v, t) * (np.cos(angle) * start + np.sin(angle) * aside)


def _direction(
    u: np.ndarray, n_u: np.ndarray, v: np.ndarray, n_v: np.ndarray
) -> np.ndarray:
    """Return u at length 1, given lengths; the direction of v where u is zero."""
    w, length = np.where(n_u > 0.0, u, v), np.where(n_u > 0.0, n_u, n_v)
    return w / np.where(length > 0.0, length, 1.0)


def _axis(start: np.ndarray) -> np.ndarray:
    """Return for each direction the axis that is most nearly at a right angle to it."""
    return np.eye(start.shape[-1])[np.abs(start).argmin(-1)]


def _perpendicular(w: np.ndarray, start: np.ndarray) -> np.ndarray:
    """Return the direction of w perpendicular to another direction; rounded."""
    aside = w - (w * start).sum(-1, keepdims=True) * start
    length = np.linalg.norm(aside, axis=-1, keepdims=True)
    return aside / np.where(length > 0.0, length, 1.0)


PATHS: dict[str, Callable[..., np.ndarray]] = {"linear": _line, "spherical": _arc}


def _encode(estimator: Any, X: Any) -> np.ndarray:
    """Return posterior means of rows, (n, K), float64."""
    for method in ("transform", "inverse_transform"):
        if not hasattr(estimator, method):
            raise TypeError(
                f"The estimator must have the method {method!r}. Got "
                f"{type(estimator).__name__}, which has none. Pass a fitted "
                "VAETransformer or AutoencoderTransformer."
            )
    check_is_fitted(estimator)
    return np.array(estimator.transform(X), dtype=float)


def _central_range(estimator: Any, train: Any) -> np.ndarray:
    """Return the central 95 % of each component, (2, K)."""
    if train is not None:
        return np.quantile(_encode(estimator, train), CENTRAL, axis=0)
    Z = None
    if hasattr(estimator, "module_"):
        Z = draw_from(estimator, estimator.module_.fitted_prior, N_DRAWS, seed=0)
    if Z is None:
        raise ValueError(
            f"limits or train must be given: {type(estimator).__name__} has no "
            "distribution of z that would say how far a component reaches. Got "
            "neither. Pass limits=(low, high), or the rows that it was fitted to as "
            "train."
        )
    return np.quantile(Z, CENTRAL, axis=0)


def _check_limits(limits: Any) -> tuple[float, float]:
    found = np.ravel(np.asarray(limits, dtype=float))
    if len(found) != 2 or not np.isfinite(found).all() or found[0] > found[1]:
        raise ValueError(
            f"limits must be two finite numbers, (low, high). Got {limits!r}."
        )
    return float(found[0]), float(found[1])


def _check_n_steps(n_steps: Any) -> None:
    if not isinstance(n_steps, Integral) or n_steps < 2:
        raise ValueError(
            f"n_steps must be a whole number of at least 2. Got {n_steps!r}."
        )


def _check_component(component: Any, n_components: int) -> None:
    is_index = isinstance(component, Integral) and not isinstance(component, bool)
    if not is_index or not 0 <= component < n_components:
        raise ValueError(
            f"component must be a whole number from 0 to {n_components - 1}: the "
            f"estimator has {n_components}. Got {component!r}."
        )
