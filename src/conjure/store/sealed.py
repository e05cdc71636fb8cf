"""Numbers as they are stored: with a checksum, so that damage is seen and not believed.

A blob is its numbers and 8 bytes after them: a hash of the numbers and of what they belong to.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np

from conjure.errors import DamagedError

CHECKSUM = 8
"""Bytes."""


def seal(numbers: np.ndarray, *owner: object) -> bytes:
    """Numbers as a blob, in the type and order of bytes that they have.

    Args:
        numbers: Any shape.
        owner: What they belong to: text, and numbers of samples.
    """
    data = numbers.tobytes()
    return data + _checksum(data, owner)


def is_whole(blob: object, *owner: object) -> bool:
    """Whether a blob is as it was sealed."""
    if not isinstance(blob, bytes) or len(blob) < CHECKSUM:
        return False
    return _checksum(blob[:-CHECKSUM], owner) == blob[-CHECKSUM:]


def unseal(blob: object, dtype: str, *owner: object, file: Path | None = None) -> np.ndarray:
    """The numbers of a blob, flat.

    Args:
        blob: From ``seal``.
        dtype: In which they were sealed.
        owner: What they belong to.
        file: That holds the blob, for messages.

    Raises:
        DamagedError: It is not as it was sealed.
    """
    if not isinstance(blob, bytes) or not is_whole(blob, *owner):
        what = " and ".join(repr(str(part)[:60]) for part in owner if isinstance(part, str))
        where = "" if file is None else f" in {str(file)!r}"
        raise DamagedError(
            f"What is stored of {what}{where} is damaged. 'conjure status FOLDER --repair' drops "
            "all that is damaged, to be computed again."
        )
    return np.frombuffer(blob[:-CHECKSUM], dtype=dtype)


def _checksum(data: bytes, owner: tuple[object, ...]) -> bytes:
    digest = hashlib.blake2b(data, digest_size=CHECKSUM)
    for part in owner:
        digest.update(f"{len(str(part))} {part}".encode("utf-8", "surrogatepass"))
    return digest.digest()
