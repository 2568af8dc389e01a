"""Modules of the sizes that a file names, but no larger than its arrays."""

from collections.abc import Callable, Iterator
from itertools import chain, zip_longest
from math import prod
from numbers import Real
from typing import Any

import numpy as np
import torch
from sklearn.base import BaseEstimator
from torch import Tensor
from torch.overrides import TorchFunctionMode

from skvae.files._errors import ModelFileError

MAKERS = frozenset(
    getattr(torch, name)
    for name in (
        "arange empty eye full linspace ones rand randint randn randperm tensor zeros"
    ).split()
)
"""Functions whose results are as large as numbers say."""

SIZED = frozenset((torch.empty, torch.ones, torch.zeros))
"""Those of them whose numbers are the shape."""

DRAWS = frozenset((Tensor.normal_, Tensor.uniform_))
"""Methods whose results only the arrays of a file replace."""

REPEATS = frozenset((torch.repeat_interleave, Tensor.repeat_interleave))

MOST_BYTES = 16 << 20
"""Memory that building a module may use besides three times that of its arrays."""

MOST_CALLS, CALLS_PER_ARRAY = 4000, 50
"""Calls of torch that building a module may take."""

MOST_NUMBER = 1 << 16
"""Numbers of specs up to this are fine however small the module is."""


class Bounded(TorchFunctionMode):
    """Let torch make no more than fits, in this context.

    Sizes are known before memory is taken: those of functions that make tensors from a
    run without memory, and those of others from their arguments.

    Parameters
    ----------
    n_bytes : int
        Size of the arrays that the file has for the module.
    n_arrays : int
        Their number.

    Raises
    ------
    ModelFileError
        From the call that asks for too much.
    """

    def __init__(self, n_bytes: int, n_arrays: int) -> None:
        super().__init__()
        self.n_bytes = 3 * n_bytes + MOST_BYTES
        self.n_left = self.n_bytes
        self.n_calls = MOST_CALLS + CALLS_PER_ARRAY * n_arrays

    def __torch_function__(
        self, func: Callable, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        self.n_calls -= 1
        if self.n_calls < 0:
            raise ModelFileError("The file describes a model of too many layers.")
        if func in MAKERS:
            kwargs = {"device": "cpu", **kwargs}
            self.n_left -= _n_bytes(func, args, kwargs)
            self._check(self.n_bytes - self.n_left)
        else:
            self._check(8 * _size(func, args))
        result = self.call(func, args, kwargs)
        if isinstance(result, Tensor):
            # Of a view too, since a copy of it may follow.
            self._check(result.numel() * result.element_size())
        return result

    def call(self, func: Callable, args: Any, kwargs: Any) -> Any:
        """Return what the function gives."""
        return func(*args, **kwargs)

    def _check(self, n_bytes: int) -> None:
        if n_bytes > self.n_bytes:
            raise ModelFileError(
                "The file describes a model that is larger than its arrays."
            )


class Undrawn(Bounded):
    """Also leave parameters as zeros, where building would draw them.

    The arrays of the file replace them. Drawing takes longer than all else.
    """

    def call(self, func: Callable, args: Any, kwargs: Any) -> Any:
        """Return what the function gives, or zeros in place of draws."""
        if func in DRAWS:
            return args[0].zero_()
        if func is torch.linalg.qr:
            return args[0], args[0][..., : args[0].shape[-1], :]
        return func(*args, **kwargs)


class Roomy(Bounded):
    """Let a network of the user's own take more: its code is trusted."""

    def __init__(self, n_bytes: int, n_arrays: int) -> None:
        super().__init__(4 * n_bytes + 16 * MOST_BYTES, n_arrays + MOST_CALLS)


def _n_bytes(func: Callable, args: Any, kwargs: Any) -> int:
    """Return how many bytes a function of numbers gives."""
    dtype = kwargs.get("dtype") or torch.float32
    sizes = args[0] if len(args) == 1 and isinstance(args[0], tuple) else args
    if func in SIZED and sizes and all(isinstance(size, int) for size in sizes):
        return prod(sizes) * int(dtype.itemsize)
    options = {**kwargs, "device": "meta"}
    options.pop("generator", None)
    made = func(*args, **options)
    return int(made.numel() * made.element_size())


def _size(func: Callable, args: Any) -> int:
    """Return about how many numbers a function of several tensors gives."""
    if func in REPEATS and len(args) > 1:
        repeats = args[1]
        is_list = isinstance(repeats, Tensor) and repeats.dim() > 0
        return int(repeats.sum()) if is_list else int(repeats) * args[0].numel()
    shapes = [value.shape[::-1] for value in args if isinstance(value, Tensor)]
    if len(shapes) < 2 or shapes[1:] == shapes[:-1]:
        return 0
    n = 1
    for sizes in zip_longest(*shapes, fillvalue=1):
        if len(set(sizes) - {1}) > 1:  # The function does not go number by number.
            return 0
        n *= max(sizes)
    return n


def check_numbers(value: Any, n_numbers: int) -> None:
    """Raise ModelFileError if a spec has a number that no module so small can have.

    Parameters
    ----------
    value : spec, or lists, tuples and dicts of them
    n_numbers : int
        How many numbers the arrays of the module hold.
    """
    most = n_numbers + MOST_NUMBER
    if any(number > most for number in _integers(value)):
        raise ModelFileError(
            f"The file describes a model with a size above {most:,}, which its arrays "
            "cannot have."
        )


def _integers(value: Any) -> Iterator[int]:
    """Yield all integers within a value."""
    if isinstance(value, int | np.integer):
        yield int(value)
    elif isinstance(value, np.ndarray):
        yield from _integers(value.tolist())
    elif isinstance(value, BaseEstimator):
        known = getattr(value, "_parameter_constraints", {})
        yield from _integers(
            {k: v for k, v in vars(value).items() if not _is_real(known.get(k, ()))}
        )
    elif isinstance(value, dict):
        yield from chain.from_iterable(map(_integers, value.values()))
    elif isinstance(value, list | tuple):
        yield from chain.from_iterable(map(_integers, value))


def _is_real(constraints: Any) -> bool:
    """Return whether a parameter is a real number, and so no size."""
    return any(getattr(one, "type", None) is Real for one in constraints)
