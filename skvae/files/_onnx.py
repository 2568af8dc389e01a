"""A fitted model as an ONNX graph, for runtimes without Python."""

import copy
import os
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from sklearn.utils.validation import check_is_fitted

from skvae._version import __version__
from skvae.files._container import replacing
from skvae.files._onnx_columns import (
    add_numbers,
    check_columns,
    read_cells,
    write_cells,
)
from skvae.files._onnx_graph import Graph
from skvae.files._onnx_operations import OPERATIONS
from skvae.table import Batch


def export_onnx(model: Any, path: str | os.PathLike, part: str = "encoder") -> None:
    r"""Write a part of a fitted model as an ONNX graph that takes raw rows.

    Scaling, masks of missing cells and categories are in the graph, which computes in
    float64 what the model answers to float64 rows, any number of them at a time.
    It is written from the formulas that the model itself computes by, not recorded
    from a run. Needs the package onnx: ``pip install 'skvae[onnx]'``.

    Parameters
    ----------
    model : VAETransformer or AutoencoderTransformer
        Fitted.
    path : str or path-like
        Name of the file, which is replaced at once or stays as it is.
    part : {"encoder", "decoder", "score"}, default="encoder"
        `"encoder"`: rows to what `transform` gives, the output `"Z"` (n, K).
        `"decoder"`: the input `"Z"` (n, K) to what `inverse_transform` gives.
        `"score"`: rows to what `score_samples` gives by default, the output `"score"`
        (n,); for a `VAETransformer` the importance-weighted bound, with the same draws.

    Raises
    ------
    ImportError
        If onnx is not installed.
    ValueError
        If the part has no form in ONNX: categories that are neither text nor numbers
        nor booleans, `prior="flow"` or `sampler=Flow()` where rows are scored, and
        networks of one's own with other layers than the graph knows.

    See Also
    --------
    VAETransformer.transform : What the encoder computes.

    Notes
    -----
    Where all columns are numbers or booleans, rows are one input `"X"` (n, D), or the
    decoder's output, of float64; NaN is a missing cell. A table with other columns is
    one input, or output, (n, 1) for each, under its name: text for categories that are
    text, of which any other, such as an empty one, is missing; else float64, where
    dates are days since 1970 in UTC and durations days. As outputs, whole numbers are
    int64 and booleans bool. An output with the name of an input gets a ``_`` at its
    end.

    A graph raises no errors: a cell outside the domain of its column is not noticed,
    and a category that was not seen in `fit` is a missing cell, whatever
    `handle_unknown` says.

    Opset 18. As no operators exist for them, log Gamma is Stirling's series and the
    normal distribution function a Chebyshev series, with errors of about 1e-14. A score
    takes 128 draws for each row where the model often takes fewer, with the same
    result; pass up to about 1,000 rows at a time.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from sklearn.datasets import load_iris
    >>> import skvae
    >>> X = load_iris().data
    >>> vae = skvae.VAETransformer(max_iter=5, tol=None, random_state=0).fit(X)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     skvae.export_onnx(vae, Path(folder, "encoder.onnx"))
    """
    proto = onnx_graph(model, part).to_model(part=part, skvae=__version__)
    with replacing(path) as file:
        file.write(proto.SerializeToString())


def onnx_graph(model: Any, part: str) -> Graph:
    """Return the graph of a part of a fitted model."""
    _check(model, part)
    graph = Graph(OPERATIONS)
    # On the CPU, in float64, as float64 rows are answered.
    module = copy.deepcopy(model.module_).cpu().double()
    _refuse_in_words(module, model, part)
    with torch.inference_mode():
        PARTS[part](graph, model, module)
    return graph


def cells_graph(model: Any) -> Graph:
    """Return the graph from `"Z"` (n, K) to `"cells"` (n, D): numbers and codes."""
    check_is_fitted(model)
    graph = Graph(OPERATIONS)
    module = copy.deepcopy(model.module_).cpu().double()
    _refuse_in_words(module, model, "decoder")
    with torch.inference_mode():
        cells: Any = _decoded(graph, module).double()
    graph.add_output("cells", np.float64, cells.name, cells.shape[-1])
    return graph


def _check(model: Any, part: str) -> None:
    check_is_fitted(model)
    if not hasattr(model, "module_"):
        raise ValueError(
            "model must be a fitted VAETransformer or AutoencoderTransformer. Got "
            f"{type(model).__name__}. Pass the one that it has fitted, as "
            "model.estimator_ or pipeline[-1]; for whole pipelines see "
            "skvae.files.register_onnx."
        )
    if part not in PARTS:
        raise ValueError(f"part must be one of {sorted(PARTS)}. Got {part!r}.")
    check_columns(model._known.layout)


def _refuse_in_words(module: Any, model: Any, part: str) -> None:
    """Let what a graph cannot hold, of the parts that may be a user's, say so."""
    built = model._architecture
    own = "a network of skvae.networks, or other layers"
    density = "sampler='mixture', prior='mixture' or prior='vamp'"
    likelihood = module.likelihood, f"likelihood={built.likelihood!r}"
    for (owner, said), remedy, methods in (
        ((module.encoder.body, f"encoder={built.encoder!r}"), own, ["forward"]),
        ((module.decoder.body, f"decoder={built.decoder!r}"), own, ["forward"]),
        (
            (module.fitted_prior, f"{built.sampler or built.prior!r}"),
            density,
            ["log_prob"],
        ),
        (likelihood, "one of skvae.likelihoods", ["prepare", "mean", "log_prob"]),
    ):
        for name in methods:
            method = getattr(owner, name)
            vars(owner)[name] = _guarded(method, part, said, remedy)


def _guarded(function: Callable, part: str, said: str, remedy: str) -> Callable:
    """Return a function that says in words what of it has no form in ONNX."""

    def guarded(*args: Any) -> Any:
        try:
            return function(*args)
        except Exception as error:
            raise ValueError(
                f"part={part!r} must be made of functions that have a form in ONNX. "
                f"Got {said}: {error}. Use {remedy}."
            ) from error

    return guarded


def _rows(graph: Graph, model: Any, module: Any) -> Batch:
    """Return rows whose cells are inputs of a graph."""
    cells = read_cells(graph, model._known.layout)
    return Batch.of(module.likelihood.prepare(cells), has_missing=True)


def _encode(graph: Graph, model: Any, module: Any) -> None:
    z: Any = module.to_user(module.posterior_mean(_rows(graph, model, module)))
    graph.add_output("Z", np.float64, z.name, module.n_components)


def _decoded(graph: Graph, module: Any) -> Any:
    """Return the expected cells (n, D) at points, an input that is added to a graph."""
    z: Any = add_numbers(graph, "Z", module.n_components)
    return module.likelihood.mean(module.decoder(module.to_network(z)))


def _decode(graph: Graph, model: Any, module: Any) -> None:
    write_cells(graph, _decoded(graph, module).double(), model._known.layout)


def _score(graph: Graph, model: Any, module: Any) -> None:
    scores: Any = model._row_scores()(module, _rows(graph, model, module))
    graph.add_output("score", np.float64, scores.name, None)


PARTS: dict[str, Callable[[Graph, Any, Any], None]] = {
    "encoder": _encode,
    "decoder": _decode,
    "score": _score,
}
