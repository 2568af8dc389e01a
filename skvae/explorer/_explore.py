"""A fitted model and rows → a page to explore them."""

import html
import os
from collections.abc import Sequence
from numbers import Integral
from typing import Any

import numpy as np
from sklearn.utils.validation import check_is_fitted

from skvae.displays._cells import check_image_shape
from skvae.displays._checks import component_names, indexable, take_rows
from skvae.estimators._apply import decode
from skvae.explorer._columns import add_columns, rows_that_travel
from skvae.explorer._contributions import add_contributions
from skvae.explorer._names import names_of
from skvae.explorer._pack import Pack
from skvae.explorer._page import page
from skvae.explorer._program import decoder_program
from skvae.explorer._rows import add_rows, draws_of
from skvae.files._container import replacing

MOST_DECODED = 500
"""Decoded rows that say what values a column has, where no row may."""

HEIGHT = 720
"""Of the page in a notebook, in pixels."""


class Explorer:
    """A page on which a fitted model and its rows are explored, made by `explore`.

    In Jupyter it is shown where it is the last value of a cell.

    Parameters
    ----------
    html : str
        The page.

    See Also
    --------
    explore : Makes it.
    """

    def __init__(self, html: str) -> None:
        self.html = html

    def save(self, path: str | os.PathLike) -> None:
        """Write the page to one file, which any browser opens, without a server.

        Parameters
        ----------
        path : str or path-like
            Name of the file, which is replaced at once or stays as it is.
        """
        with replacing(path) as file:
            file.write(self.html.encode())

    def __repr__(self) -> str:
        """Return what it is, and how many bytes it has."""
        return f"<Explorer: a page of {len(self.html) / 1e6:.1f} MB>"

    def _repr_html_(self) -> str:
        """Return a frame that shows the page in a notebook."""
        return (
            f'<iframe srcdoc="{html.escape(self.html)}" title="skvae explorer" '
            f'width="100%" height="{HEIGHT}" style="border: 0"></iframe>'
        )


def explore(
    estimator: Any,
    X: Any,
    y: Any = None,
    *,
    path: str | os.PathLike | None = None,
    max_cells: Any = 2_000_000,
    image_shape: Sequence[int] | None = None,
) -> Explorer:
    """Return a page with the map of rows, on which the decoder answers to clicks.

    A click anywhere in the map decodes that point, in the browser and without any
    connection: the page is one file. Points can be colored, marked with a lasso and
    exported. The rows that are passed travel with the page, see `max_cells`.

    Parameters
    ----------
    estimator : VAETransformer or AutoencoderTransformer
        Fitted; or a `VAEOutlierDetector` or `VAEImputer`, whose model is shown.
    X : {array-like, sparse matrix} of shape (n_samples, n_features)
        The rows of the map.
    y : array-like of shape (n_samples,), default=None
        Labels or values to color by, read as :class:`~skvae.LatentDisplay` does.
    path : str or path-like, default=None
        Where to save the page, if anywhere.
    max_cells : int, default=2_000_000
        Cells of `X` that may travel with the page: of all rows, if there are no more,
        else of a random subset that is the same at each call. Of the other rows only
        places, labels, log-densities and posterior widths travel. Contributions of
        cells, as in `explain`, travel for as many rows as fit into the rest. 0 leaves
        out all of these, but not names of columns and categories.
    image_shape : tuple of int, default=None
        `(height, width)`, or `(height, width, 3)`, where rows are images. None: that
        of a convolutional decoder, if it has one, else rows are shown as columns.

    Returns
    -------
    explorer : Explorer
        Has the method `save`, and is shown in Jupyter.

    Raises
    ------
    TypeError
        If the estimator is none of this package.
    ValueError
        If a parameter, `X` or `y` is invalid.

    See Also
    --------
    skvae.ManifoldDisplay : A picture of the decoded latent space.
    skvae.export_onnx : The decoder for other programs.

    Notes
    -----
    Numbers travel in 8 bits within a column: exactly if it has at most 255 different
    ones, else as the nearest of 255 levels; categories are exact. Places in the map
    have 16 bits, and contributions 8 bits within a row. Rows are called as in the index
    of a DataFrame, if their values travel, else numbered from 0. A decoder with layers
    that have no form in ONNX stays behind: the page then says so, and decodes nothing.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> import skvae
    >>> iris = load_iris()
    >>> vae = skvae.VAETransformer(max_iter=5, tol=None, random_state=0)
    >>> vae = vae.fit(iris.data)
    >>> skvae.explore(vae, iris.data, iris.target_names[iris.target])
    <Explorer: a page of 0.3 MB>
    """
    model = _model_of(estimator)
    if not isinstance(max_cells, Integral) or max_cells < 0:
        raise ValueError(
            f"max_cells must be a whole number of at least 0. Got {max_cells!r}."
        )
    explorer = Explorer(_page_of(model, X, y, int(max_cells), image_shape))
    if path is not None:
        explorer.save(path)
    return explorer


def _model_of(estimator: Any) -> Any:
    """Return the fitted transformer that an estimator is, or has."""
    check_is_fitted(estimator)
    model = getattr(estimator, "estimator_", estimator)
    if not hasattr(model, "module_"):
        raise TypeError(
            "The estimator must be a fitted VAETransformer, AutoencoderTransformer, "
            f"VAEOutlierDetector or VAEImputer. Got {type(estimator).__name__}. Of a "
            "pipeline pass the last step, and X as it reaches that step."
        )
    return model


def _page_of(model: Any, X: Any, y: Any, max_cells: int, image_shape: Any) -> str:
    pack, layout = Pack(), model._known.layout
    cells = model._read(X)
    n_rows, n_columns = cells.shape
    if not n_rows:
        raise ValueError("X must have at least one row. Got none.")
    shape = _shape_of(model) if image_shape is None else image_shape
    check_image_shape(shape, n_columns)
    travelling = rows_that_travel(n_rows, n_columns, max_cells)
    rows, notes = add_rows(pack, model, X, y)
    known = np.asarray(cells[travelling], dtype=np.float64)
    usual = known if len(known) else _decoded(model, X)
    # Of an image, a list of unusual pixels would say little.
    rest = 0 if shape else max_cells - known.size
    n_draws = draws_of(model, n_rows)
    unusual, explained = add_contributions(pack, model, known, rest, n_draws)
    program, said = _program(pack, model)
    header = {
        "title": f"{type(model).__name__}, {n_rows:,} rows",
        "n": n_rows,
        "components": component_names(model, [*range(model.n_components_)]),
        "rows": rows,
        "columns": add_columns(pack, layout.columns, known, usual),
        "travelling": pack.add(travelling.astype(np.uint32)),
        "names": names_of(X, travelling),
        "unusual": unusual,
        "shape": None if shape is None else [*map(int, shape)],
        "program": program,
        "notes": [*_notes_of(len(travelling), n_rows), *notes, *explained, *said],
    }
    return page(header["title"], pack.text(header))


def _shape_of(model: Any) -> tuple[int, ...] | None:
    """Return the shape of a decoder's images; None where there are no pictures."""
    shape = tuple(getattr(model.decoder_, "image_shape", None) or ())
    colors = shape[2:] or (1,)
    if not shape or colors not in ((1,), (3,)):
        return None
    return shape if colors == (3,) else shape[:2]


def _decoded(model: Any, X: Any) -> np.ndarray:
    """Return decoded numbers and codes of rows, in place of the rows' own."""
    some = take_rows(indexable(X), slice(MOST_DECODED))
    Z = np.asarray(model.transform(some), dtype=np.float64)
    return decode(
        model.module_, Z, lambda likelihood, outputs: likelihood.mean(outputs)
    )


def _program(pack: Pack, model: Any) -> tuple[dict | None, list[str]]:
    """Return the decoder, or else why there is none."""
    try:
        return decoder_program(model, pack), []
    except ValueError as error:
        return None, [f"This page cannot decode points. {error}"]


def _notes_of(n_travelling: int, n_rows: int) -> list[str]:
    """Return what a reader has to know of the values of rows."""
    if n_travelling == n_rows:
        which = "the values of all rows"
    elif n_travelling:
        which = f"the values of {n_travelling:,} of {n_rows:,} rows, drawn at random"
    else:
        return ["This file contains no values of rows, only their places in the map."]
    return [
        f"This file contains {which}: share it only with those who may see them. "
        "Numbers are rounded to one of 255 levels of their column."
    ]
