"""numpy's arrays: one name for each type, and files of them opened only if what they announce is what they hold.

In: an `.npy` or `.npz` file. Out: its arrays. It exists because a header of a few bytes can announce an array of
gigabytes, which numpy allocates before it notices that the file ends; and so that single and double precision have
one name each.
"""

from __future__ import annotations

import hashlib
import math
import zipfile
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from indexer.wording import T_

FloatArray = npt.NDArray[np.float32]
"""Vectors and what is made of them, in single precision."""
DoubleArray = npt.NDArray[np.float64]
"""Scores and what they add up to, in double precision."""
BoolArray = npt.NDArray[np.bool_]
IntArray = npt.NDArray[np.int64]


class ArrayFileError(ValueError):
    """A file announces other arrays than it holds."""


def read_arrays(path: Path) -> dict[str, npt.NDArray[Any]]:
    """Return the arrays of an `.npz` file that `numpy.savez` wrote, by name.

    Raises:
        ArrayFileError: it is none, or announces more than it holds.
        OSError: it can't be read.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            for member in archive.infolist():
                if member.compress_type != zipfile.ZIP_STORED or member.file_size != member.compress_size:
                    raise ArrayFileError(
                        T_("%(name)s: %(filename)s is compressed", name=path.name, filename=member.filename)
                    )
                with archive.open(member) as file:
                    _check(file, member.file_size, f"{path.name}: {member.filename}")
        with np.load(path, allow_pickle=False) as stored:
            return {name: stored[name] for name in stored.files}
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError) as error:
        raise ArrayFileError(T_("%(name)s is no file of arrays (%(error)s)", name=path.name, error=error)) from error


def check_array(path: Path) -> None:
    """Raise `ArrayFileError` unless an `.npy` file holds what it announces."""
    with path.open("rb") as file:
        _check(file, path.stat().st_size, path.name)


def digest_of(*parts: bytes | npt.NDArray[Any]) -> str:
    """Return one hash of texts and arrays, of the arrays also types and shapes."""
    digest = hashlib.sha256()
    for part in parts:
        if isinstance(part, np.ndarray):
            digest.update(f"{part.dtype.str}{part.shape}".encode())
            digest.update(np.ascontiguousarray(part).data)
        else:
            digest.update(f"{len(part)}".encode())
            digest.update(part)
    return digest.hexdigest()


def _check(file: IO[bytes], size: int, name: str) -> None:
    try:
        version = np.lib.format.read_magic(file)
        read = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}[version]
        shape, _, dtype = read(file)
        announced = math.prod(shape) * dtype.itemsize
    except (ValueError, LookupError, SyntaxError, TypeError) as error:
        raise ArrayFileError(T_("%(name)s is no array (%(error)s)", name=name, error=error)) from error
    if dtype.hasobject or announced != size - file.tell():
        raise ArrayFileError(
            T_(
                "%(name)s announces %(announced)s bytes and holds %(size)s",
                name=name,
                announced=announced,
                size=size - file.tell(),
            )
        )
