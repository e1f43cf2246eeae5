"""Whether an ID token is what it says: signed by the provider, for us, now, for this sign-in.

In: a token, the provider's published keys, what was expected of it. Out: its
claims. It exists apart from fetching tokens because it is the lock of the door:
only asymmetric signatures count, so that nobody can sign with a key that is
published, and the token's own word on its algorithm is not asked.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

from authlib.oidc.core import CodeIDToken
from joserfc import jwt
from joserfc.errors import InvalidKeyIdError, JoseError
from joserfc.jwk import KeySet

from indexer.wording import T_

ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512")
LEEWAY_S = 60
"""How far the provider's clock may be from ours."""
MAX_TOKEN_CHARS = 100_000
_KINDS = ("RSA", "EC")


class IdTokenError(ValueError):
    """A token that can't be trusted; the message names the rule that it breaks."""


class UnknownKeyError(IdTokenError):
    """A token signed with a key that is not among the published ones, perhaps a new one."""


@dataclass(frozen=True)
class Expected:
    """What a token must say: who made it, for whom, and for which sign-in."""

    issuer: str
    client_id: str
    nonce: str


def verified(token: str, *, keys: dict[str, Any], expected: Expected, access_token: str) -> dict[str, Any]:
    """Return the claims of an ID token that passes every check.

    Args:
        token: as it came from the token endpoint.
        keys: the provider's key set (JWKS).
        expected: what it must say.
        access_token: what came with it; the token may name its hash.

    Raises:
        UnknownKeyError: none of the keys is the one it names.
        IdTokenError: any other check fails.
    """
    if len(token) > MAX_TOKEN_CHARS:
        raise IdTokenError(T_("the token is too long"))
    usable = _for_signatures(keys)
    try:
        opened = jwt.decode(token, KeySet.import_key_set({"keys": usable}), algorithms=list(ALGORITHMS))
        claims = CodeIDToken(
            opened.claims,
            opened.header,
            {
                "iss": {"essential": True, "value": expected.issuer},
                "aud": {"essential": True, "value": expected.client_id},
            },
            {"nonce": expected.nonce, "client_id": expected.client_id, "access_token": access_token},
        )
        claims.validate(now=int(time.time()), leeway=LEEWAY_S)
    except InvalidKeyIdError as error:
        raise UnknownKeyError(T_("it is signed with an unknown key")) from error
    except (JoseError, ValueError, TypeError, KeyError, AttributeError) as error:
        # Not its message: it may quote the token.
        raise IdTokenError(T_("it fails a check: %(name)s", name=type(error).__name__)) from error
    subject = claims.get("sub")
    if not isinstance(subject, str) or not subject:
        raise IdTokenError(T_("it names nobody"))
    return dict(claims)


def _for_signatures(keys: dict[str, Any]) -> list[Any]:
    """Return the keys for checking signatures; whatever else a provider publishes does not count."""
    published = keys.get("keys")
    usable = [
        key
        for key in (published if isinstance(published, list) else [])
        if isinstance(key, dict) and key.get("kty") in _KINDS and key.get("use", "sig") == "sig"
    ]
    if not usable:
        raise UnknownKeyError(T_("the provider publishes no key"))
    return usable
