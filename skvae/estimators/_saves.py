"""Fitted estimators → files."""

from typing import Any


class SaveMethod:
    """Mixin: `save`."""

    def save(self, path: Any) -> None:
        """Save the fitted estimator to a file that :func:`skvae.load` reads.

        The file holds parameters and fitted attributes, and no code: unlike a pickle it
        is safe to load from anybody. It is there as a whole or not at all: an older
        file of the name stays as it was until the new one is complete.

        Parameters
        ----------
        path : str or path-like
            By convention it ends in `.skvae`.

        Raises
        ------
        TypeError
            If a parameter is of a class that is not this package's. A function or a
            network of your own as `encoder` or `decoder` is left out, and is given to
            :func:`skvae.load` again; callbacks and metadata requests are left out
            too.
        ValueError
            If columns with categories and parameters take more than the 1 MiB of a
            file's header.
        OSError
            If the file cannot be written.
        """
        from skvae.files import save

        save(self, path)
