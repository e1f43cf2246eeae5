"""Links that a letter carries and that prove by themselves what they are for: sealed, for a time, for one purpose.

In: a purpose and a few claims, or a token as it comes back in an address. Out: the token, or its claims. It exists so
that nothing in the database opens a door: the seal is made with a key that is computed from the home's key file. It is
encrypted besides, since a token that could be read would give away the address that a forwarded link asks for. A token
says what may be done, never that it was: whoever takes one checks in the database whether it is still to be done, and
does nothing on a GET, since the scanners of mail servers open every link that they see.
"""

from __future__ import annotations

import hmac
from datetime import datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwe import JWERegistry
from joserfc.jwk import OctKey

from api.access.second_factor import factor_key

_HEADER = {"alg": "dir", "enc": "A256GCM"}
_REGISTRY = JWERegistry(algorithms=list(_HEADER.values()))
_MAX_CHARS = 2_000


class LinkError(ValueError):
    """A token is none of ours, of another purpose, or too old; `expired` tells the last from the others."""

    def __init__(self, *, expired: bool = False) -> None:
        super().__init__("expired" if expired else "unknown")
        self.expired = expired


class LinkSigner:
    """Seals and reads the tokens of one home."""

    def __init__(self, home: Path) -> None:
        self._key = OctKey.import_key(hmac.new(factor_key(home), b"links of letters", sha256).digest())

    def token(self, purpose: str, claims: dict[str, Any], *, now: datetime, holds_for: timedelta) -> str:
        """Return a token that says `claims` for one purpose and a time."""
        said = {**claims, "aud": purpose, "exp": int((now + holds_for).timestamp())}
        return jwt.encode(_HEADER, said, self._key, registry=_REGISTRY)

    def read(self, purpose: str, token: str, *, now: datetime) -> dict[str, Any]:
        """Return what a token says.

        Raises:
            LinkError: it is none of ours, of another purpose, or too old.
        """
        if len(token) > _MAX_CHARS:
            raise LinkError
        try:
            claims = jwt.decode(token, self._key, registry=_REGISTRY).claims
        except (JoseError, ValueError, TypeError) as error:
            raise LinkError from error
        if claims.get("aud") != purpose or not isinstance(claims.get("exp"), int):
            raise LinkError
        if claims["exp"] < now.timestamp():
            raise LinkError(expired=True)
        return {name: value for name, value in claims.items() if name not in ("aud", "exp")}

    def secret(self, what: str) -> bytes:
        """Return a secret that is computed and nowhere stored, such as a webhook's, by what it is for."""
        return hmac.new(self._key.raw_value, what.encode(), sha256).digest()
