"""Files kept by their SHA-256, each written whole or not at all, and what one is as its own first bytes tell.

In: the bytes of a file, and the folder of the home that it belongs in. Out: the hash that names it from then on; the
file again; its kind. It exists because evidence of the ledger and what people attach to their talks are kept the same
way, so that a file can't be exchanged after the fact. Neither a name nor a sender says truly what a file is: only its
bytes are believed, nothing here interprets them, and what is shown of one is plain text.
"""

from __future__ import annotations

import codecs
import io
import os
import secrets
import zipfile
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from hashlib import sha256
from pathlib import Path

from indexer.database import storing_file
from indexer.disk import sync


def keep_file(home: Path, folder: str, content: bytes) -> str:
    """Store a file durably and return its SHA-256; a file that is there already is left alone.

    Raises:
        StorageFullError: the disk is full; nothing of it is left.
    """
    digest = sha256(content).hexdigest()
    path = kept_path(home, folder, digest)
    with storing_file():
        if not path.exists():
            _write(path, content)
        # Every folder on the way may be new; and whoever stored a file that is there may have ended before this.
        for parent in (path.parent, path.parent.parent, home):
            sync(parent)
    return digest


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.{secrets.token_hex(4)}.partial")
    try:
        with partial.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def kept_path(home: Path, folder: str, digest: str) -> Path:
    """Return where the file of a SHA-256 lies."""
    return home / folder / digest[:2] / digest


def is_kept(home: Path, folder: str, digest: str) -> bool:
    """Whether the file is there and is still the one that was stored."""
    path = kept_path(home, folder, digest)
    return path.is_file() and sha256(path.read_bytes()).hexdigest() == digest


def kept_before(home: Path, folder: str, before: datetime) -> Iterator[Path]:
    """Yield the files that were written before a moment, also those of somebody who was cut off."""
    for path in (home / folder).glob("??/*"):
        with suppress(FileNotFoundError):
            if path.is_file() and path.stat().st_mtime < before.timestamp():
                yield path


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


def kind_of(first: bytes) -> FileKind:
    """Return what the beginning of a file says that it is."""
    kind = next((kind for beginning, kind in _BEGINNINGS if first.startswith(beginning)), None)
    if kind is None and first.startswith(b"RIFF") and first[8:12] == b"WEBP":
        kind = FileKind.WEBP
    if kind is None:
        kind = FileKind.OTHER if text_of(first) is None else FileKind.TEXT
    return kind


@dataclass(frozen=True)
class FileFacts:
    """A stored file: what it is, how large, and, of a text, how it begins. `whole` says that nothing was cut off."""

    kind: FileKind
    size_bytes: int
    excerpt: str | None = None
    whole: bool = True


def facts_of(path: Path) -> FileFacts:
    """Return what is known of a stored file; its kind is `missing` if it is not there."""
    try:
        with path.open("rb") as file:
            first = file.read(EXCERPT_BYTES)
            size_bytes = path.stat().st_size
    except FileNotFoundError:
        return FileFacts(FileKind.MISSING, 0)
    kind = kind_of(first)
    if kind is not FileKind.TEXT:
        return FileFacts(kind, size_bytes)
    return FileFacts(kind, size_bytes, text_of(first), whole=size_bytes <= EXCERPT_BYTES)


def text_of(first: bytes) -> str | None:
    """Return the beginning of a file as text, None if it is none; the last character may be cut off in its middle."""
    try:
        text = codecs.getincrementaldecoder("utf-8-sig")().decode(first)
    except UnicodeDecodeError:
        return None
    return None if any(ord(c) < 32 and c not in "\t\r\n\f" for c in text) else text


_OFFICE = {"docx": "word/document.xml", "xlsx": "xl/workbook.xml", "pptx": "ppt/presentation.xml"}
"""The part that makes a packed file the document that its ending says."""
_OPEN_DOCUMENTS = {
    "odt": "application/vnd.oasis.opendocument.text",
    "ods": "application/vnd.oasis.opendocument.spreadsheet",
    "odp": "application/vnd.oasis.opendocument.presentation",
}
_BY_BYTES = {
    "pdf": FileKind.PDF,
    "png": FileKind.PNG,
    "jpg": FileKind.JPEG,
    "jpeg": FileKind.JPEG,
    "gif": FileKind.GIF,
    "webp": FileKind.WEBP,
}
_TEXTS = ("txt", "csv")
_STEP = b"ISO-10303-21;"
_DRAWING = (b"AC10", b"AC1.")
ENDINGS = (*_BY_BYTES, *_OFFICE, *_OPEN_DOCUMENTS, *_TEXTS, "stp", "step", "dwg")
"""The endings of names whose files can be told by their own bytes, and so are taken from people."""


def is_what_it_is_called(name: str, content: bytes) -> bool:
    """Whether a file is, by its own bytes, what the ending of its name says; one of `ENDINGS`.

    A document that carries macros is none of these, whatever it is called.
    """
    ending = name.rpartition(".")[2].lower()
    if ending in _BY_BYTES:
        return kind_of(content[:EXCERPT_BYTES]) is _BY_BYTES[ending]
    if ending in _OFFICE or ending in _OPEN_DOCUMENTS:
        return _is_document(ending, content)
    if ending in _TEXTS:
        return _is_text(content)
    if ending in ("stp", "step"):
        return content.lstrip()[: len(_STEP)] == _STEP
    return ending == "dwg" and content.startswith(_DRAWING)


def _is_text(content: bytes) -> bool:
    # Excel's "Unicode text" begins with its mark; Taiwan's older programs write Big5.
    marked = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    for encoding in ("utf-16",) if marked else ("utf-8-sig", "big5"):
        with suppress(UnicodeDecodeError):
            text = content.decode(encoding)
            return not any(ord(c) < 32 and c not in "\t\r\n\f" for c in text)
    return False


def _is_document(ending: str, content: bytes) -> bool:
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as packed:
            names = set(packed.namelist())
            if any(name.rpartition("/")[2].lower() == "vbaproject.bin" for name in names):
                return False
            if ending in _OFFICE:
                return {"[Content_Types].xml", _OFFICE[ending]} <= names
            # The one part that an open document must hold unpacked, and short: nothing is unpacked to look at it.
            if packed.getinfo("mimetype").file_size > 100:
                return False
            return packed.read("mimetype").decode("ascii").strip() == _OPEN_DOCUMENTS[ending]
    except (zipfile.BadZipFile, KeyError, UnicodeDecodeError, NotImplementedError, RuntimeError, OSError):
        return False
