"""Signing on at a provider (OpenID Connect, authorization code with PKCE), and checking its ID token.

In: the settings, and what the browser brings back. Out: the address to send a browser to, then who signed in there.
What belongs to one sign-in travels in a cookie of the browser, so that any server process can finish what another
began. An ID token is the lock of the door: signed by the provider, for us, now, for this sign-in. Only asymmetric
signatures count, so that nobody can sign with a key that is published, and the token's own word on its algorithm is
not asked.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote, urlsplit

import httpx
import orjson
from authlib.common.urls import add_params_to_uri
from authlib.oauth2.rfc7636 import create_s256_code_challenge
from authlib.oidc.core import CodeIDToken
from joserfc import jwt
from joserfc.errors import InvalidKeyIdError, JoseError
from joserfc.jwk import KeySet

from api.access.identities import MAX_SUBJECT, Identity
from indexer.settings import Settings
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


TIMEOUT_S = 5.0
MAX_BYTES = 2**20
KEPT_S = 3_600
"""How long metadata and keys are used before they are fetched anew."""
REFRESHED_EVERY_S = 30
"""How often at most keys are fetched anew because a token names an unknown one."""
SCOPE = "openid email profile"
_OURS = ("invalid_client", "unauthorized_client", "unsupported_grant_type", "invalid_scope")


class SignOnError(RuntimeError):
    """The sign-in can't be finished: it has to begin anew."""


class SignOnUnavailableError(RuntimeError):
    """The provider can't be reached, or does not answer as one."""


@dataclass(frozen=True)
class Attempt:
    """What belongs to one sign-in: known to the browser that began it and to nobody else."""

    state: str
    nonce: str
    verifier: str

    @classmethod
    def new(cls) -> Attempt:
        """Return one that nobody can guess."""
        return cls(*(secrets.token_urlsafe(32) for _ in range(3)))


class Provider:
    """The configured provider; its metadata and keys are kept for a while, in this process."""

    def __init__(self, settings: Settings) -> None:
        self.issuer = settings.oidc_issuer
        self.name = settings.oidc_name or urlsplit(settings.oidc_issuer).hostname or settings.oidc_issuer
        self._client_id = settings.oidc_client_id
        self._secret = settings.oidc_client_secret
        self._redirect_url = settings.oidc_redirect_url
        self._lock = threading.Lock()
        self._kept: dict[str, tuple[float, dict[str, Any]]] = {}

    def address(self, attempt: Attempt, *, anew: bool = False) -> str:
        """Return where a browser goes to sign in; with `anew` the provider asks even whom it knows already.

        Raises:
            SignOnUnavailableError: the provider can't be reached.
        """
        asked = {
            "response_type": "code",
            "client_id": self._client_id,
            "redirect_uri": self._redirect_url,
            "scope": SCOPE,
            "state": attempt.state,
            "nonce": attempt.nonce,
            "code_challenge": create_s256_code_challenge(attempt.verifier),
            "code_challenge_method": "S256",
        }
        if anew:
            asked |= {"prompt": "login", "max_age": "0"}
        return str(add_params_to_uri(self._endpoint("authorization_endpoint"), list(asked.items())))

    def check_issuer(self, given: str | None) -> None:
        """Refuse an answer that another provider gave (RFC 9207).

        Raises:
            SignOnError: the answer names another issuer, or none although the provider promises to.
        """
        promised = self._metadata().get("authorization_response_iss_parameter_supported") is True
        if (given is not None or promised) and given != self.issuer:
            raise SignOnError(T_("the answer is not from this sign-on provider; begin anew"))

    def who(self, code: str, attempt: Attempt) -> Identity:
        """Return who signed in, for the code that the browser brought back.

        Raises:
            SignOnError: the code is not good, was used before, or the token for it can't be trusted.
            SignOnUnavailableError: the provider can't be reached.
        """
        tokens = self._tokens(code, attempt)
        access_token, id_token = tokens.get("access_token"), tokens.get("id_token")
        if not isinstance(access_token, str) or not isinstance(id_token, str):
            raise SignOnUnavailableError(T_("the provider gave no ID token"))
        claims = self._claims(id_token, access_token, attempt)
        if "email" not in claims:
            # By default providers give the address only to who asks for it with the access token.
            told = self._user_info(access_token)
            if told.get("sub") != claims["sub"]:
                raise SignOnError(T_("the provider speaks of two people; begin anew"))
            claims = {**told, **claims}
        return _identity(self.issuer, claims)

    def _tokens(self, code: str, attempt: Attempt) -> dict[str, Any]:
        given = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self._redirect_url,
            "code_verifier": attempt.verifier,
        }
        # Both are form-encoded before they are joined (RFC 6749, 2.3.1).
        auth = httpx.BasicAuth(quote(self._client_id, safe=""), quote(self._secret.get_secret_value(), safe=""))
        status, document = _fetched("POST", self._endpoint("token_endpoint"), data=given, auth=auth)
        if status == 200:
            return document
        if status >= 500 or document.get("error") in _OURS or status in (401, 403, 404, 429):
            raise SignOnUnavailableError(T_("the provider refuses this server: status %(status)s", status=status))
        raise SignOnError(T_("the provider does not accept the code, or it was used before; begin anew"))

    def _claims(self, id_token: str, access_token: str, attempt: Attempt) -> dict[str, Any]:
        expected = Expected(self.issuer, self._client_id, attempt.nonce)
        try:
            try:
                keys = self._published("jwks_uri", KEPT_S)
                return verified(id_token, keys=keys, expected=expected, access_token=access_token)
            except UnknownKeyError:
                keys = self._published("jwks_uri", REFRESHED_EVERY_S)
                return verified(id_token, keys=keys, expected=expected, access_token=access_token)
        except IdTokenError as error:
            raise SignOnError(T_("the provider's token can't be trusted: %(error)s", error=error)) from error

    def _user_info(self, access_token: str) -> dict[str, Any]:
        headers = {"Authorization": f"Bearer {access_token}"}
        status, document = _fetched("GET", self._endpoint("userinfo_endpoint"), headers=headers)
        if status != 200:
            raise SignOnUnavailableError(
                T_("the provider does not say who signed in: status %(status)s", status=status)
            )
        return document

    def _endpoint(self, name: str) -> str:
        found = self._metadata().get(name)
        if not isinstance(found, str) or urlsplit(found).scheme not in ("https", urlsplit(self.issuer).scheme):
            raise SignOnUnavailableError(T_("the provider names no %(name)s", name=name))
        return found

    def _metadata(self) -> dict[str, Any]:
        url = self.issuer.rstrip("/") + "/.well-known/openid-configuration"
        document = self._cached(url, KEPT_S)
        if document.get("issuer") != self.issuer:
            raise SignOnUnavailableError(T_("the provider calls itself by another address than GLORIA_OIDC_ISSUER"))
        return document

    def _published(self, name: str, at_most_s: float) -> dict[str, Any]:
        return self._cached(self._endpoint(name), at_most_s)

    def _cached(self, url: str, at_most_s: float) -> dict[str, Any]:
        """Return a document that is at most so many seconds old."""
        with self._lock:
            kept = self._kept.get(url)
        if kept is not None and time.monotonic() - kept[0] < at_most_s:
            return kept[1]
        status, document = _fetched("GET", url)
        if status != 200:
            raise SignOnUnavailableError(T_("the provider answers with status %(status)s", status=status))
        with self._lock:
            # Two addresses at a time: what a provider moved away from is not kept.
            if len(self._kept) >= 2 and url not in self._kept:
                self._kept.pop(min(self._kept, key=lambda one: self._kept[one][0]))
            self._kept[url] = (time.monotonic(), document)
        return document


def _fetched(method: str, url: str, **more: Any) -> tuple[int, dict[str, Any]]:
    """Return status and JSON object of one request; never follows to another address."""
    headers = {"Accept": "application/json", **more.pop("headers", {})}
    try:
        with (
            httpx.Client(timeout=TIMEOUT_S, follow_redirects=False) as client,
            client.stream(method, url, headers=headers, **more) as response,
        ):
            content = b""
            for part in response.iter_bytes():
                content += part
                if len(content) > MAX_BYTES:
                    raise SignOnUnavailableError(T_("the provider answers with too much"))
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise SignOnUnavailableError(T_("the sign-on provider can't be reached")) from error
    try:
        document = orjson.loads(content)
    except ValueError:
        document = None
    if not isinstance(document, dict):
        if response.status_code == 200:
            raise SignOnUnavailableError(T_("the provider does not answer in JSON"))
        document = {}
    return response.status_code, document


def _identity(issuer: str, claims: Mapping[str, Any]) -> Identity:
    email, name = claims.get("email"), claims.get("name")
    if len(claims["sub"]) > MAX_SUBJECT:
        raise SignOnError(T_("the provider's name for you is too long"))
    return Identity(
        issuer=issuer,
        subject=claims["sub"],
        email=email if isinstance(email, str) else "",
        # Only a real true: some say "false".
        email_verified=claims.get("email_verified") is True,
        name=name if isinstance(name, str) else "",
        authenticated_at=_moment(claims.get("auth_time")),
    )


def _moment(given: Any) -> datetime | None:
    """Return a moment that the provider gives in seconds, None for what is none."""
    try:
        return datetime.fromtimestamp(given, UTC) if type(given) in (int, float) else None
    except (ValueError, OverflowError, OSError):
        return None
