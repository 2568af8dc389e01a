"""The error of a file that is not what it should be."""


class ModelFileError(ValueError):
    """A file is not a whole, valid file of a model, or one of a later version.

    Raised by :func:`skvae.load`, whatever is wrong: bytes that are missing or changed,
    something that the format does not allow, or parts that do not go together. Nothing
    of the file has been executed then. A file that cannot be opened is an `OSError`.

    Parameters
    ----------
    message : str
        What is wrong with the file.

    See Also
    --------
    skvae.load : Load a model from a file.

    Examples
    --------
    >>> import pathlib
    >>> import tempfile
    >>> import skvae
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "model.skvae")
    ...     _ = path.write_text("not a model")
    ...     try:
    ...         skvae.load(path)
    ...     except skvae.ModelFileError as error:
    ...         print("refused")
    refused
    """

    def __init__(self, message: str) -> None:
        super().__init__(message)
