"""Links that a letter carries and that prove by themselves what they are for: sealed, for a time, for one purpose.

In: a purpose and a few claims, or a token as it comes back in an address. Out: the token, or its claims. It exists so
that nothing in the database opens a door: the seal is made with a key that is computed from the home's key file. It is
encrypted besides, since a token that could be read would give away the address that a forwarded link asks for; and the
same claims are the same token, so that the address of a calendar is one each time its owner looks it up. A token says
what may be done, never that it was: whoever takes one checks in the database whether it is still to be done, and does
nothing on a GET, since the scanners of mail servers open every link that they see.
"""

from __future__ import annotations

import hmac
import json
from base64 import b64decode, urlsafe_b64encode
from datetime import datetime, timedelta
from hashlib import sha256, sha512
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESSIV

from api.access.second_factor import factor_key

_MAX_CHARS = 2_000
_EXPIRES = "exp"


class LinkError(ValueError):
    """A token is none of ours, of another purpose, or too old; `expired` tells the last from the others."""

    def __init__(self, *, expired: bool = False) -> None:
        super().__init__("expired" if expired else "unknown")
        self.expired = expired


class LinkSigner:
    """Seals and reads the tokens of one home (AES-SIV, RFC 5297: the purpose is sealed along, but not in the token)."""

    def __init__(self, home: Path) -> None:
        key = factor_key(home)
        self._seal = AESSIV(hmac.new(key, b"links of letters, sealed", sha512).digest())
        self._secrets = hmac.new(key, b"links of letters", sha256).digest()

    def token(self, purpose: str, claims: dict[str, Any], *, now: datetime, holds_for: timedelta) -> str:
        """Return a token that says `claims` for one purpose and a time."""
        said = json.dumps({**claims, _EXPIRES: int((now + holds_for).timestamp())}, separators=(",", ":"))
        return urlsafe_b64encode(self._seal.encrypt(said.encode(), [purpose.encode()])).rstrip(b"=").decode()

    def read(self, purpose: str, token: str, *, now: datetime) -> dict[str, Any]:
        """Return what a token says.

        Raises:
            LinkError: it is none of ours, of another purpose, or too old.
        """
        if len(token) > _MAX_CHARS:
            raise LinkError
        try:
            sealed = b64decode(token + "=" * (-len(token) % 4), altchars="-_", validate=True)
            claims: dict[str, Any] = json.loads(self._seal.decrypt(sealed, [purpose.encode()]))
        except (InvalidTag, ValueError) as error:
            raise LinkError from error
        if claims.pop(_EXPIRES) < now.timestamp():
            raise LinkError(expired=True)
        return claims

    def secret(self, what: str) -> bytes:
        """Return a secret that is computed and nowhere stored, such as a webhook's, by what it is for."""
        return hmac.new(self._secrets, what.encode(), sha256).digest()
