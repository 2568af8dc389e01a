"""What a method that fails leaves behind: nothing."""

import functools
from collections.abc import Callable
from typing import Any

from torch.cuda import OutOfMemoryError as OutOfMemory


def unchanged_on_error(method: Callable[..., Any]) -> Callable[..., Any]:
    """Let a method that fails leave the estimator as it was before.

    If the memory of a GPU is full, it says what to lower.
    """

    @functools.wraps(method)
    def call(self: Any, *args: Any, **kwargs: Any) -> Any:
        before = dict(vars(self))
        try:
            return method(self, *args, **kwargs)
        except OutOfMemory as error:
            said = str(error)
            _restore(self, before)
        except BaseException:
            _restore(self, before)
            raise
        # Here, where nothing refers any more to what filled the memory.
        raise OutOfMemory(
            f"fit requires more memory of the GPU than is free. Got: {said} Lower "
            "batch_size or hidden_layer_sizes, or set device='cpu'."
        )

    return call


def _restore(estimator: Any, before: dict[str, Any]) -> None:
    vars(estimator).clear()
    vars(estimator).update(before)
