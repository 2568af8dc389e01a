"""How many threads torch and BLAS use: one where more would be no gain, or would hang.

Threads of OpenMP and of OpenBLAS wait for each other actively. Where other processes
keep the cores busy, a small step on two threads takes ten times as long as on one, or
longer, and twenty times its CPU time.
"""

import os
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import cache
from typing import Any

import torch
from threadpoolctl import ThreadpoolController

LEAST_WORK = 1 << 25
"""Rows times parameters of a step below which a second thread is no gain.

On two idle cores a step of 27 million takes 4.6 ms on one thread and 5.5 ms on two, one
of 48 million 6.9 ms on either, and one of 88 million 12.0 and 8.4 ms.
"""

LEAST_TOTAL = 1 << 32
"""That of all steps of a fit which take half a second or so on one thread."""

MOST_ON_ONE = 1000
"""Rows of a matrix whose eigenvectors one thread of BLAS finds in a tenth of a second.

With 784 rows it takes 0.05 s, and two threads of OpenBLAS 0.2 s, on idle cores too.
"""


class _Scope(threading.local):
    """What a Python thread found when it entered the innermost `own_threads`."""

    most = 1


_SCOPE = _Scope()
_BLAS = threading.Lock()


@contextmanager
def one_thread() -> Iterator[None]:
    """Run a block on one thread of torch."""
    with own_threads():
        threads_for(0.0)
        yield


@contextmanager
def own_threads() -> Iterator[None]:
    """Let `threads_for` lower the number of torch's threads up to the end of a block.

    That is the number for the calling Python thread: each has its own, so that calls in
    several neither wait for nor change each other.
    """
    outer, _SCOPE.most = _SCOPE.most, torch.get_num_threads()
    try:
        with _scikit_learn_too():
            yield
    finally:
        _set(_SCOPE.most)
        _SCOPE.most = outer


def threads_for(work: float, total: float | None = None) -> None:
    """Set the number of torch's threads, inside `own_threads`, which restores it.

    It is one, or what it was at the beginning of the block, and never more.

    Parameters
    ----------
    work : float
        Rows times parameters of a step.
    total : float, default=None
        That of all steps, if it is known.
    """
    is_small = work < LEAST_WORK or (total is not None and total < LEAST_TOTAL)
    _set(1 if is_small else _SCOPE.most)


def _set(n_threads: int) -> None:
    """Set the number of torch's threads for the calling Python thread.

    `torch.set_num_threads` would set that of Python threads to come, too. Where a user
    has called it in this one, MKL keeps to that number; oneDNN and torch do not.
    """
    if n_threads != torch.get_num_threads():
        for pool in _pools_of_torch():
            pool.set_num_threads(n_threads)


@cache
def _pools_of_torch() -> tuple[Any, ...]:
    """Return the OpenMP libraries that torch uses; it may be built without any.

    Others come with scikit-learn.
    """
    pools = ThreadpoolController().select(user_api="openmp").lib_controllers
    return tuple(pool for pool in pools if _is_of_torch(pool))


def _is_of_torch(pool: Any) -> bool:
    before, n_threads = pool.get_num_threads(), torch.get_num_threads()
    pool.set_num_threads(2 if n_threads == 1 else 1)
    try:
        return torch.get_num_threads() != n_threads
    finally:
        pool.set_num_threads(before)


@contextmanager
def blas_threads_for(size: int) -> Iterator[None]:
    """Decompose a small matrix on one thread of the BLAS of NumPy and SciPy.

    Their number is that of the whole process: where another Python thread has lowered
    it here, it is left alone.

    Parameters
    ----------
    size : int
        Number of rows.
    """
    if size > MOST_ON_ONE or not _BLAS.acquire(blocking=False):
        yield
        return
    try:
        with _blas().limit(limits=1):
            yield
    finally:
        _BLAS.release()


@cache
def _blas() -> Any:
    return ThreadpoolController().select(user_api="blas")


# After a fork


class _Process:
    """Whether this process was forked from one that had imported the package."""

    is_forked = False


def _after_fork() -> None:
    """Let a forked child run torch on one thread.

    The threads of its parent's OpenMP libraries do not exist in the child, which would
    wait for them forever.
    """
    _Process.is_forked = True
    torch.set_num_threads(1)
    _SCOPE.most = 1


def _scikit_learn_too() -> AbstractContextManager[Any]:
    """Return a context for a block in which a forked child uses no threads at all."""
    if not _Process.is_forked:
        return nullcontext()
    return ThreadpoolController().limit(limits=1, user_api="openmp")


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
