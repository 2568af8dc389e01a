"""What a method that fails leaves behind: nothing."""

import functools
from collections.abc import Callable
from typing import Any


def unchanged_on_error(method: Callable[..., Any]) -> Callable[..., Any]:
    """Let a method that fails leave the estimator as it was before."""

    @functools.wraps(method)
    def call(self: Any, *args: Any, **kwargs: Any) -> Any:
        before = dict(vars(self))
        try:
            return method(self, *args, **kwargs)
        except BaseException:
            vars(self).clear()
            vars(self).update(before)
            raise

    return call
