"""Checks of the estimator and the axes that a display is given."""

from numbers import Integral

import numpy as np
from scipy.sparse import issparse
from sklearn.utils.validation import check_is_fitted

from skvae.displays._cells import check_image_shape

LATENT_NAMES = ("component 0", "component 1")
"""What the axes of a latent space are called if nothing else is said."""

LONGEST = 24
"""Characters of the name of a column, at most."""


def dense(rows):
    """Return the rows that an estimator gave, in whatever container, as an array."""
    return rows.toarray() if issparse(rows) else np.asarray(rows)


def indexable(X):
    """Return `X` in a form that a list of row numbers can index."""
    if issparse(X):
        return X.tocsr()
    return X if hasattr(X, "shape") else np.asarray(X)


def take_rows(X, chosen):
    """Return rows of what `indexable` gave, by number.

    A data frame stays one, so that the estimator can check its column names.
    """
    return X.iloc[chosen] if hasattr(X, "iloc") else X[chosen]


def check_decoder(estimator):
    """Raise unless `estimator` is fitted and can decode."""
    if not hasattr(estimator, "inverse_transform"):
        raise TypeError(
            "The estimator must have the method 'inverse_transform'. Got "
            f"{type(estimator).__name__}, which has none. Give a transformer that "
            "can decode, such as VAETransformer, AutoencoderTransformer or PCA."
        )
    check_is_fitted(estimator)


def decode(estimator, latent, image_shape):
    """Return decoded points of the latent space; each must hold an image."""
    decoded = estimator.inverse_transform(latent)
    check_image_shape(image_shape, decoded.shape[1])
    return decoded


def has_columns(rows):
    """Return whether rows are a data frame, whose cells may be of any kind."""
    return hasattr(rows, "columns")


def names_of(rows):
    """Return the names of columns, or None."""
    return [str(name) for name in rows.columns] if has_columns(rows) else None


def count_components(estimator):
    """Return the number of latent components, also of a pipeline."""
    if hasattr(estimator, "n_components_"):
        return estimator.n_components_
    return len(estimator.get_feature_names_out())


def choose_components(estimator, components, n_components):
    """Return the indices and the names of the one or two components to draw."""
    if n_components == 1 and list(np.ravel(components)) == [0, 1]:
        components = 0
    chosen = _indices(components, n_components, "two", 2)
    return chosen, component_names(estimator, chosen)


def choose_some(components, n_components, most):
    """Return the indices of the components to draw; None: so many at most."""
    if components is None:
        return list(range(min(n_components, most)))
    return _indices(components, n_components, "several", n_components)


def _indices(components, n_components, others, most):
    """Return the indices of at least one component, all different."""
    chosen = list(np.atleast_1d(np.asarray(components, dtype=object)))
    valid = all(isinstance(k, Integral) and 0 <= k < n_components for k in chosen)
    if not valid or not 1 <= len(chosen) <= most or len(set(chosen)) < len(chosen):
        raise ValueError(
            f"components must be one index, or {others} different ones, from 0 to "
            f"{n_components - 1}: the estimator has {n_components}. "
            f"Got {components!r}."
        )
    return [int(k) for k in chosen]


def component_names(estimator, chosen):
    """Return what the axes of components are called."""
    names = _given_names(estimator)
    return [names.get(k, f"component {k}") for k in chosen]


def _given_names(estimator):
    """Return the names of components by number, unless they say no more than that.

    scikit-learn's transformers make up names of their class and the number.
    """
    if not hasattr(estimator, "get_feature_names_out"):
        return {}
    names = dict(enumerate(map(str, estimator.get_feature_names_out())))
    stems = {name.removesuffix(str(k)) for k, name in names.items()}
    is_numbered = len(stems) == 1 and not stems & set(names.values())
    return {} if is_numbered else names


def shortened(name):
    """Return a name to stand beside a picture: not too long, one line, no formula."""
    name = " ".join(name.split())
    if len(name) > LONGEST:
        name = f"{name[: LONGEST - 1]}\N{HORIZONTAL ELLIPSIS}"
    return plain(name)


def plain(text):
    """Return a text that matplotlib writes as it is: dollar signs make no formula."""
    return text.replace("$", r"\$")


def check_count(name, value):
    """Raise unless `value` is a whole number of at least one."""
    if not isinstance(value, Integral) or value < 1:
        raise ValueError(f"{name} must be a whole number of at least 1. Got {value!r}.")


def check_ax(ax, **figure_options):
    """Return `ax`, or new axes in a new figure where it is None."""
    return check_axes(ax, 1, **figure_options)[0]


def check_axes(ax, *allowed, **figure_options):
    """Return an array of axes, whose length must be one of `allowed`.

    Where `ax` is None, the largest allowed number is made, in a new figure.
    """
    import matplotlib.pyplot as plt
    from matplotlib.axes import Axes

    if ax is None:
        options = {"layout": "constrained"} | figure_options
        _, axes = plt.subplots(1, max(allowed), squeeze=False, **options)
        return axes[0]
    axes = np.ravel(np.asarray(ax, dtype=object))
    if len(axes) not in allowed or not all(isinstance(a, Axes) for a in axes):
        first, *others = (("one", "two", "three")[n - 1] for n in allowed)
        wanted = f"{first} matplotlib Axes" + "".join(f", or {n}" for n in others)
        n_axes = f" of {len(axes)}" if isinstance(ax, (np.ndarray, list, tuple)) else ""
        raise ValueError(
            f"ax must be {wanted}. Got {type(ax).__name__}{n_axes}. Give axes such as "
            f"plt.subplots(1, {max(allowed)})[1], or None to have them made."
        )
    return axes
