"""What rows are called, where a table has names for them."""

from typing import Any

import numpy as np

MOST_CHARACTERS = 1_000_000
"""In names of rows, beyond which rows are only numbered."""


def names_of(X: Any, travelling: np.ndarray) -> dict[str, Any] | None:
    """Return the labels of a table's index as texts, or None if it only counts rows.

    Parameters
    ----------
    X : object
        A DataFrame of pandas, or a table without an index.
    travelling : ndarray of shape (n_travelling,)
        Which rows have names that may travel.
    """
    if not hasattr(X, "iloc") or [*X.index] == [*range(len(X))]:
        return None
    index = X.index[travelling]
    levels = [
        map(str, index.get_level_values(j).astype(str)) for j in range(index.nlevels)
    ]
    texts = [" / ".join(parts) for parts in zip(*levels, strict=True)]
    if not 0 < sum(map(len, texts)) <= MOST_CHARACTERS:
        return None
    name = " / ".join(str(name) for name in index.names if name is not None)
    return {"name": name or "index", "texts": texts}
