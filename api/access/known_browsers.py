"""Browsers in which somebody signed in before: a signed cookie that lets its account past a stranger's wrong guesses.

In: the cookie as a browser sends it; who just signed in. Out: the accounts that this browser is known to, and the
cookie with one more. It exists because failed sign-ins are counted by account, and anybody can fail at anybody's:
whoever has signed in here before is not to wait for that. It opens nothing by itself: the password is still asked, and
wrong ones from such a browser are counted for the browser.
"""

from __future__ import annotations

import os
import secrets
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import OctKey

KEY_FILE = "browsers.key"
KNOWN_COOKIE = "__Host-gloria-known"
KNOWN_FOR = timedelta(days=180)
MOST_ACCOUNTS = 5
"""Accounts of one browser; the one that was not used for longest goes."""
_ALGORITHM = "HS256"
_KEY_BYTES = 32
_MAX_CHARS = 4_000


@dataclass(frozen=True)
class KnownBrowser:
    """A browser, by an id of chance, and the accounts that it is known to, each with the second it was last used."""

    id: str
    accounts: dict[str, int]


class KnownBrowsers:
    """Reads and signs the cookies, with a key of this home; if that is lost, all browsers are merely new again."""

    def __init__(self, home: Path) -> None:
        self._key = OctKey.import_key(_key(home))

    def read(self, cookie: str | None, now: datetime) -> KnownBrowser | None:
        """Return the browser that a cookie of ours names, None if it is none or too old."""
        if not cookie or len(cookie) > _MAX_CHARS:
            return None
        try:
            claims = jwt.decode(cookie, self._key, algorithms=[_ALGORITHM]).claims
        except (JoseError, ValueError, TypeError):
            return None
        return _browser(claims, int((now - KNOWN_FOR).timestamp()))

    def signed(self, browser: KnownBrowser | None, account_id: str, now: datetime) -> str:
        """Return the cookie of a browser in which somebody just signed in."""
        at = int(now.timestamp())
        before = {} if browser is None else browser.accounts
        accounts = {**{name: used for name, used in before.items() if name != account_id}, account_id: at}
        kept = dict(sorted(accounts.items(), key=lambda item: item[1])[-MOST_ACCOUNTS:])
        browser_id = secrets.token_urlsafe(16) if browser is None else browser.id
        return jwt.encode({"alg": _ALGORITHM}, {"jti": browser_id, "accounts": kept}, self._key)


def _browser(claims: dict[str, Any], since: int) -> KnownBrowser | None:
    browser_id, accounts = claims.get("jti"), claims.get("accounts")
    if not isinstance(browser_id, str) or not isinstance(accounts, dict):
        return None
    good = {name: used for name, used in accounts.items() if isinstance(used, int) and used > since}
    return KnownBrowser(browser_id, good) if good else None


def _key(home: Path) -> bytes:
    """Return the key in the home, made if there is none; one that lasts as long as this process if that fails."""
    path = home / KEY_FILE
    with suppress(OSError):
        found = _read(path)
        if found is None:
            partial = path.with_name(f"{KEY_FILE}.{secrets.token_hex(4)}.partial")
            try:
                descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
                with os.fdopen(descriptor, "wb") as file:
                    file.write(secrets.token_bytes(_KEY_BYTES))
                    file.flush()
                    os.fsync(file.fileno())
                # Of several processes that begin together one is first, and all use its key.
                with suppress(FileExistsError):
                    os.link(partial, path)
            finally:
                partial.unlink(missing_ok=True)
            found = _read(path)
        if found is not None:
            return found
    return secrets.token_bytes(_KEY_BYTES)


def _read(path: Path) -> bytes | None:
    try:
        found = path.read_bytes()
    except FileNotFoundError:
        return None
    if len(found) == _KEY_BYTES:
        return found
    # Cut off on a full disk: nobody holds a cookie that it signed.
    path.unlink(missing_ok=True)
    return None
