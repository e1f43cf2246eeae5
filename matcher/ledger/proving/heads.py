"""Heads of the chains, written down outside of the database: in a file beside it, and signed for everywhere else.

In: the database, a key of this machine, and files of heads. Out: heads in a file that is only ever added to; signed
heads that may go by mail or lie on any disk; the heads that such a file holds. It exists because a chain whose last
rows were dropped still fits together, and so does a database that was rewritten as a whole: only who has kept its
heads elsewhere can tell, and a signature tells that these are the heads that were given out.

A signed head is one JSON object on one line: `heads`, `at`, `public_key`, `signature`, perhaps `stamp`. What is signed
(Ed25519) is the JSON of `at` and `heads` with sorted keys and no blanks, in UTF-8; keys and signatures are base64. The
key lies in a file of its own and is in no backup: who makes it anew gets another public key.

A report or an export carries its heads as a seal: `gloria-heads:` and that JSON in URL-safe base64. It stands in files
of every kind (in the parts of a workbook or a text document, in the metadata of a PDF) and is found in them again.
"""

from __future__ import annotations

import io
import os
import re
import secrets
import zipfile
import zlib
from base64 import b64decode, b64encode, urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any

import orjson
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from sqlmodel import Session

from indexer.disk import exclusive
from indexer.settings import Settings
from indexer.wording import T_
from matcher.ledger.rows.chain import GENESIS, LEDGER_CHAINS, Chain, ExportedHead, heads_of
from matcher.ledger.rows.entries import LedgerError

HEADS_FILE = "ledger-heads.jsonl"
KEY_FILE = "heads.key"
_KEY_BYTES = 32
_SEAL = "gloria-heads:"
_SEALED = re.compile(rb"gloria-heads:([A-Za-z0-9_-]{100,4000})")
_MOST_PART_BYTES = 64 * 2**20
"""Of a part of a file so much is searched: who hands a file in may have packed a huge one small."""


class HeadKeyError(LedgerError):
    """The file of the signing key holds none; whoever runs the machine brings the right one back."""


def export_heads(session: Session, path: Path, now: datetime) -> list[ExportedHead]:
    """Add the heads of all chains to a file durably and return them; what it holds already is not repeated."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with exclusive(path.with_name(path.name + ".lock")):
        known = {(one.chain, one.n, one.hash) for one in read_heads(path)}
        heads = heads_of(session, now, tuple(Chain))
        new = [one for one in heads if (one.chain, one.n, one.hash) not in known]
        with path.open("ab") as file:
            file.writelines(orjson.dumps(one) + b"\n" for one in new)
            file.flush()
            os.fsync(file.fileno())
    return heads


def read_heads(path: Path) -> list[ExportedHead]:
    """Return the heads that a file holds; none if there is no file.

    Raises:
        LedgerError: a line is not a head, so somebody changed the file.
    """
    if not path.exists():
        return []
    return [head for line in _lines(path) for head in line]


def read_kept(
    path: Path, public_key: str = "", check_stamp: Callable[[bytes, bytes], None] | None = None
) -> list[ExportedHead]:
    """Return the heads that somebody kept: plain ones, signed ones such as a night mails, or the seal of a report.

    Args:
        path: the file; a report or an export of any format, or lines of heads.
        public_key: whose signature every line must carry; empty leaves signatures unread, since a key that
            comes with what it signed proves nothing.
        check_stamp: raises ValueError if a stamp (the first) is not one over what was signed (the second).

    Raises:
        LedgerError: there is no such file or no head in it, a line is none, or its signature or stamp is wrong.
    """
    if not path.is_file():
        raise LedgerError(T_("%(path)s: there is no such file", path=path))
    wanted = _public_key(public_key) if public_key else None
    kept = [head for line in _lines(path, wanted, check_stamp) for head in line]
    if not any(one.n for one in kept):
        raise LedgerError(T_("%(path)s: holds no head", path=path))
    return kept


def _lines(
    path: Path, key: Ed25519PublicKey | None = None, check_stamp: Callable[[bytes, bytes], None] | None = None
) -> list[list[ExportedHead]]:
    found = []
    content = path.read_bytes()
    lines = list(_seals_in(content)) or content.splitlines()
    for number, line in enumerate(lines, start=1):
        try:
            said = orjson.loads(line)
            if "heads" in said:
                heads = _signed(said, key, check_stamp)
            elif key is not None:
                raise LedgerError(T_("%(name)s:%(number)s is not signed", name=path.name, number=number))
            else:
                heads = [ExportedHead(**said)]
            found.append([_checked_head(one) for one in heads])
        except InvalidSignature as error:
            said = T_("%(name)s:%(number)s is not signed by this key", name=path.name, number=number)
            raise LedgerError(said) from error
        except LedgerError:
            raise
        except (ValueError, TypeError, KeyError) as error:
            raise LedgerError(
                T_("%(name)s:%(number)s is not an exported head", name=path.name, number=number)
            ) from error
    return found


def _signed(
    said: Mapping[str, Any], key: Ed25519PublicKey | None, check_stamp: Callable[[bytes, bytes], None] | None
) -> list[ExportedHead]:
    message = _message(said["heads"], said["at"])
    if key is not None:
        key.verify(b64decode(said["signature"], validate=True), message)
    if check_stamp is not None and said.get("stamp"):
        check_stamp(b64decode(said["stamp"], validate=True), message)
    return [ExportedHead(**one, at=said["at"]) for one in said["heads"]]


def _checked_head(given: ExportedHead) -> ExportedHead:
    """Refuse what no export writes: a chain of another name would be compared with nothing, and so hide a change."""
    Chain(given.chain)
    if type(given.n) is not int or given.n < 0 or len(given.hash) != len(GENESIS):
        raise ValueError(given)
    return given


def signing_key(path: Path) -> Ed25519PrivateKey:
    """Return the key that signs heads, made at the first use; its file is readable by its owner only.

    Raises:
        HeadKeyError: the file holds no key.
    """
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
        made = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(made, "wb") as file:
            file.write(b64encode(secrets.token_bytes(_KEY_BYTES)) + b"\n")
            file.flush()
            os.fsync(file.fileno())
        try:
            # Whole or not at all, and never over one that another process made meanwhile.
            with suppress(FileExistsError):
                os.link(partial, path)
        finally:
            partial.unlink()
    try:
        return Ed25519PrivateKey.from_private_bytes(b64decode(path.read_bytes().strip(), validate=True))
    except ValueError as error:
        said = T_("%(path)s is not a key; bring it back, or move it away and a new one is made", path=path.name)
        raise HeadKeyError(said) from error


def key_of(settings: Settings) -> Ed25519PrivateKey:
    """Return the key that signs the heads of a home: where the setting says, or in the home.

    Raises:
        HeadKeyError: the file holds no key.
    """
    return signing_key(settings.head_key or settings.home / KEY_FILE)


def public_key_of(key: Ed25519PrivateKey) -> str:
    """Return what others check signatures with."""
    return b64encode(key.public_key().public_bytes_raw()).decode()


def _public_key(text: str) -> Ed25519PublicKey:
    try:
        return Ed25519PublicKey.from_public_bytes(b64decode(text.strip(), validate=True))
    except ValueError as error:
        raise LedgerError(T_("this is not a public key; gloria ledger key prints it")) from error


def signed_heads(
    session: Session,
    key: Ed25519PrivateKey,
    now: datetime,
    stamp: Callable[[bytes], bytes] | None = None,
    chains: Sequence[Chain] = tuple(Chain),
) -> dict[str, Any]:
    """Return the heads of all chains, or of some, signed; with `stamp` also stamped by who gives out times."""
    heads = [{"chain": one.chain, "n": one.n, "hash": one.hash} for one in heads_of(session, now, chains)]
    message = _message(heads, now.isoformat())
    signed = {
        "heads": heads,
        "at": now.isoformat(),
        "public_key": public_key_of(key),
        "signature": b64encode(key.sign(message)).decode(),
    }
    return signed if stamp is None else {**signed, "stamp": b64encode(stamp(message)).decode()}


def seal_of(session: Session, key: Ed25519PrivateKey, now: datetime) -> str:
    """Return the heads that a report prints, signed, as the one word in which they go along with it."""
    signed = signed_heads(session, key, now, chains=LEDGER_CHAINS)
    return _SEAL + urlsafe_b64encode(orjson.dumps(signed)).decode().rstrip("=")


def _seals_in(content: bytes) -> Iterator[bytes]:
    """Yield the signed heads that a file carries as seals, each once."""
    found = dict.fromkeys(seal for part in _parts(content) for seal in _SEALED.findall(part))
    for seal in found:
        yield urlsafe_b64decode(seal + b"=" * (-len(seal) % 4))


def _parts(content: bytes) -> Iterator[bytes]:
    """Yield a file, and where it is one of packed parts what lies in them."""
    yield content
    if not content.startswith(b"PK"):
        return
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as parts:
            for name in parts.namelist():
                with parts.open(name) as part:
                    yield part.read(_MOST_PART_BYTES)
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError, zlib.error):
        # Cut off or locked: then it carries nothing that could be read.
        return


def _message(heads: Any, at: str) -> bytes:
    return orjson.dumps({"at": at, "heads": heads}, option=orjson.OPT_SORT_KEYS)
