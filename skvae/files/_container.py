"""Arrays and facts ↔ one file, which is always whole."""

import hashlib
import os
import secrets
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from itertools import accumulate
from typing import Any, BinaryIO

import numpy as np

from skvae.files._errors import ModelFileError
from skvae.files._layout import (
    BEGIN,
    MOST_BYTES,
    NO_SUM,
    Entry,
    header_of,
    little,
    read_header,
)

Path = str | os.PathLike[str]


def write(path: Path, arrays: Mapping[str, np.ndarray], facts: dict[str, Any]) -> None:
    """Write a file that replaces an older one at once, or not at all.

    Parameters
    ----------
    path : str or path-like
    arrays : mapping of str to ndarray
        Of floats, integers or booleans.
    facts : dict of str to JSON values
        Without NaN and infinite numbers.

    Raises
    ------
    OSError
        If the file cannot be written; an older one is as it was before.
    """
    # The largest numbers first, so that every array begins at a multiple of its size.
    named = {name: little(array) for name, array in arrays.items()}
    ordered = dict(sorted(named.items(), key=lambda e: (-e[1].itemsize, e[0])))
    entries = [Entry(name, a.dtype, a.shape) for name, a in ordered.items()]
    header = header_of(entries, facts)
    length = len(header).to_bytes(8, "little")
    parts = [_bytes_of(array) for array in ordered.values()]
    total = hashlib.sha256(length + header)
    for part in parts:
        total.update(part)
    place = header.index(NO_SUM)
    end = place + len(NO_SUM)
    header = header[:place] + total.hexdigest().encode() + header[end:]
    with replacing(path) as file:
        file.write(length + header)
        for part in parts:
            file.write(part)


def read(path: Path) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Return the arrays and the facts of a file that `write` has written.

    Parameters
    ----------
    path : str or path-like

    Raises
    ------
    ModelFileError
        If the file is not, bit for bit, such a file.
    OSError
        If it cannot be opened.
    """
    with Source(path) as source:
        return {name: source.array(name) for name in source.entries}, source.facts


class Source:
    """A file that `write` has written, whose sum is right, and its arrays one by one.

    Parameters
    ----------
    path : str or path-like

    Attributes
    ----------
    facts : dict of str to JSON values
    entries : dict of str to Entry
        What is known of the arrays before they are read.
    """

    def __init__(self, path: Path) -> None:
        # Opening a pipe would wait for somebody to write into it.
        if not stat.S_ISREG(os.stat(path).st_mode):
            raise ModelFileError(
                f"A model is in a file. Got {os.fspath(path)!r}, which is none."
            )
        self._file: BinaryIO = open(path, "rb")
        try:
            self._open()
        except BaseException:
            self._file.close()
            raise

    def _open(self) -> None:
        n_bytes = os.fstat(self._file.fileno()).st_size
        length = self._file.read(8)
        n_header = int.from_bytes(length, "little")
        if n_header > min(MOST_BYTES, n_bytes - 8):
            raise ModelFileError("The file is too short for a model, or is none.")
        header = self._file.read(n_header)
        entries, self.facts = read_header(header, n_bytes - 8 - n_header)
        said = header[len(BEGIN) : len(BEGIN) + len(NO_SUM)]
        total = hashlib.sha256(length + header.replace(said, NO_SUM, 1))
        if self._sum_of_rest(total) != said.decode():
            raise ModelFileError(
                "The file has been damaged or changed: its sum is not the one that it "
                "names. Copy or save it again."
            )
        self.entries = {entry.name: entry for entry in entries}
        ends = accumulate((entry.n_bytes for entry in entries), initial=8 + n_header)
        self._begins = dict(zip(self.entries, ends, strict=False))

    def _sum_of_rest(self, total: Any) -> str:
        """Return the sum after the rest of the file, without keeping it."""
        some = bytearray(1 << 20)
        while n := self._file.readinto(some):  # type: ignore[attr-defined]
            total.update(memoryview(some)[:n])
        return str(total.hexdigest())

    def array(self, name: str) -> np.ndarray:
        """Return an array."""
        entry = self.entries[name]
        array = np.empty(entry.shape, entry.dtype)
        self.read_into(name, array)
        return array

    def read_into(self, name: str, array: np.ndarray) -> None:
        """Read an array into a contiguous one of its type and shape.

        Raises
        ------
        ModelFileError
            If the file ends, or a boolean is neither true nor false.
        """
        part = _bytes_of(array)
        self._file.seek(self._begins[name])
        if self._file.readinto(part) != part.nbytes:  # type: ignore[attr-defined]
            raise ModelFileError("The file ends too early.")
        if array.dtype == np.bool_ and (array.view(np.uint8) > 1).any():
            raise ModelFileError(f"The array {name!r} has a boolean that is neither.")

    def __enter__(self) -> "Source":
        return self

    def __exit__(self, *error: object) -> None:
        self._file.close()


def _bytes_of(array: np.ndarray) -> Any:
    """Return the bytes of a contiguous array, not a copy of them."""
    return array.reshape(-1).view(np.uint8).data


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """Give a file that takes the place of another at the end, if there is no error.

    It is on the disk before it has the name, with the permissions of the one that it
    replaces. A process that is killed may leave a
    file of the same name with a random ending, never a part of one under the name.
    """
    target = os.path.realpath(path)
    if os.path.exists(target) and not os.path.isfile(target):
        raise OSError(f"{os.fspath(path)!r} must be a file. Got something else there.")
    folder, name = os.path.split(target)
    beside = os.path.join(folder, f".{name}.{secrets.token_hex(8)}.part")
    is_there = os.path.exists(target)
    try:
        with open(beside, "xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        if is_there:
            os.chmod(beside, stat.S_IMODE(os.stat(target).st_mode))
        os.replace(beside, target)
    except OSError as error:
        end = "; the older file is as it was before" if is_there else ""
        text = f"{error.strerror}{end}"
        raise OSError(error.errno, text, os.fspath(path)) from error
    finally:
        with suppress(FileNotFoundError):
            os.unlink(beside)
    _sync_folder(folder)


def _sync_folder(folder: str) -> None:
    """Bring the names in a folder to the disk, where the system can do that."""
    with suppress(OSError):
        number = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(number)
        finally:
            os.close(number)
