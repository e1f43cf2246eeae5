"""What a file of evidence is, told from its own first bytes.

In: a stored file. Out: its kind, its size, and the beginning of a text. It
exists because neither the name nor the sender says truly what a file is, and a
reviewer wants to know before it is opened. Nothing here interprets a file: what
is shown of one is plain text.
"""

from __future__ import annotations

import codecs
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from matcher.ledger.evidence import path_of

EXCERPT_BYTES = 16_384
"""So much of a text is shown; the rest is in the file."""


class FileKind(StrEnum):
    """What a file is, as far as its first bytes tell."""

    PDF = "pdf"
    PNG = "png"
    JPEG = "jpeg"
    GIF = "gif"
    WEBP = "webp"
    ZIP = "zip"
    TEXT = "text"
    OTHER = "other"
    MISSING = "missing"


_BEGINNINGS = (
    (b"%PDF-", FileKind.PDF),
    (b"\x89PNG\r\n\x1a\n", FileKind.PNG),
    (b"\xff\xd8\xff", FileKind.JPEG),
    (b"GIF8", FileKind.GIF),
    (b"PK\x03\x04", FileKind.ZIP),
)


@dataclass(frozen=True)
class FileFacts:
    """A stored file: what it is, how large, and, of a text, how it begins. `whole` says that nothing was cut off."""

    kind: FileKind
    size_bytes: int
    excerpt: str | None = None
    whole: bool = True


def facts_of(home: Path, digest: str) -> FileFacts:
    """Return what is known of a stored file; its kind is `missing` if it is not there."""
    path = path_of(home, digest)
    try:
        with path.open("rb") as file:
            first = file.read(EXCERPT_BYTES)
            size_bytes = path.stat().st_size
    except FileNotFoundError:
        return FileFacts(FileKind.MISSING, 0)
    kind = next((kind for beginning, kind in _BEGINNINGS if first.startswith(beginning)), None)
    if kind is None and first.startswith(b"RIFF") and first[8:12] == b"WEBP":
        kind = FileKind.WEBP
    text = None if kind is not None else _text(first)
    if text is None:
        return FileFacts(kind or FileKind.OTHER, size_bytes)
    return FileFacts(FileKind.TEXT, size_bytes, text, whole=size_bytes <= EXCERPT_BYTES)


def _text(first: bytes) -> str | None:
    """Return the beginning of a file as text, None if it is none; the last character may be cut off in its middle."""
    try:
        text = codecs.getincrementaldecoder("utf-8-sig")().decode(first)
    except UnicodeDecodeError:
        return None
    return None if any(ord(c) < 32 and c not in "\t\r\n\f" for c in text) else text
