"""What a method that fails leaves behind: nothing."""

import functools


def unchanged_on_error(method):
    """Let a method that fails leave the estimator as it was before."""

    @functools.wraps(method)
    def call(self, *args, **kwargs):
        before = dict(vars(self))
        try:
            return method(self, *args, **kwargs)
        except BaseException:
            vars(self).clear()
            vars(self).update(before)
            raise

    return call
