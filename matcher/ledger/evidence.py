"""What proves a result: files kept by their SHA-256, and links.

In: the bytes of a file, or an address. Out: an item of evidence that an entry
names. It exists so that a proof can't be exchanged after the fact: an entry
names the hash, and the file lies under it.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from urllib.parse import urlsplit

from indexer.database import storing_file
from indexer.durable_files import sync
from indexer.plain_text import clean
from indexer.vocabulary import MAX_ID
from indexer.wording import T_
from matcher.ledger.entries import LedgerError

FOLDER = "evidence"
MAX_BYTES = 32 * 2**20
MAX_ITEMS = 50
MAX_URL = 2_000


def keep(home: Path, content: bytes) -> str:
    """Store a file durably and return its SHA-256; a file that is there already is left alone.

    Raises:
        LedgerError: it is empty or too large.
        StorageFullError: the disk is full; nothing of it is left.
    """
    if not 0 < len(content) <= MAX_BYTES:
        raise LedgerError(T_("a file of evidence has 1 to %(max_bytes)s bytes", max_bytes=f"{MAX_BYTES:,}"), "evidence")
    digest = sha256(content).hexdigest()
    path = path_of(home, digest)
    with storing_file():
        if not path.exists():
            _write(path, content)
        # Every folder on the way may be new; and whoever stored a file that is there may have ended before this.
        for folder in (path.parent, path.parent.parent, home):
            sync(folder)
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


def path_of(home: Path, digest: str) -> Path:
    """Return where the file of a SHA-256 lies."""
    return home / FOLDER / digest[:2] / digest


def is_intact(home: Path, digest: str) -> bool:
    """Whether the file is there and is still the one that was stored."""
    path = path_of(home, digest)
    return path.is_file() and sha256(path.read_bytes()).hexdigest() == digest


def checked(home: Path, items: Sequence[dict[str, str]]) -> list[dict[str, str]]:
    """Return evidence as an entry may name it: `{"sha256", "name"}` of stored files, `{"url", "name"}` of links.

    Raises:
        LedgerError: an item is neither, its file was never stored, or there are too many.
    """
    if len(items) > MAX_ITEMS:
        raise LedgerError(T_("name at most %(max_items)s pieces of evidence", max_items=MAX_ITEMS), "evidence")
    return [_checked(home, item) for item in items]


def _checked(home: Path, item: dict[str, str]) -> dict[str, str]:
    name = clean(item.get("name", ""), max_chars=MAX_ID, multiline=False)
    digest, url = item.get("sha256"), item.get("url")
    if (digest is None) == (url is None) or not set(item) <= {"sha256", "url", "name"}:
        raise LedgerError(T_("a piece of evidence is a stored file (sha256) or a link (url), with a name"), "evidence")
    if digest is not None:
        if len(digest) != 64 or not set(digest) <= set("0123456789abcdef") or not path_of(home, digest).is_file():
            raise LedgerError(T_("no file with this sha256 was stored; send the file first"), "evidence")
        return {"sha256": digest, "name": name}
    link = clean(str(url), max_chars=MAX_URL, multiline=False)
    try:
        parts = urlsplit(link)
    except ValueError as error:
        raise LedgerError(T_("a link is an address such as https://example.org/contract"), "evidence") from error
    if parts.scheme not in ("http", "https") or not parts.netloc:
        raise LedgerError(T_("a link begins with https:// or http://"), "evidence")
    return {"url": link, "name": name}
