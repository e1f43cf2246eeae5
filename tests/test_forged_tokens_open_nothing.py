"""ID tokens: only one that the provider signed, for us, now and for this sign-in, is believed; keys are kept."""

from __future__ import annotations

import hmac
import json
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from joserfc import jwt
from joserfc.jwk import ECKey, KeySet, OctKey, RSAKey
from joserfc.util import urlsafe_b64encode

from api.access.sign_on import (
    Attempt,
    Expected,
    IdTokenError,
    Provider,
    SignOnError,
    SignOnUnavailableError,
    UnknownKeyError,
    verified,
)
from indexer.settings import Settings

ISSUER, CLIENT, NONCE = "https://id.example.org", "gloria", "n" * 43
EXPECTED = Expected(ISSUER, CLIENT, NONCE)
KEY = RSAKey.generate_key(2048, {"kid": "k1", "use": "sig"}, auto_kid=False)
OTHER = RSAKey.generate_key(2048, {"kid": "k1", "use": "sig"}, auto_kid=False)
CURVE = ECKey.generate_key("P-256", {"kid": "k2", "use": "sig"}, auto_kid=False)
KEYS: dict[str, Any] = dict(KeySet([KEY, CURVE]).as_dict(private=False))
HASH = "77QmUPtjPfzWtF2AnpK9RQ"
ACCESS = "jHkWEdUXMU1BwAsC4vtUsZwnNvTIxEl0z9K3vx5KF0Y"


def _claims(**changed: Any) -> dict[str, Any]:
    now = int(time.time())
    claims = {"iss": ISSUER, "aud": CLIENT, "sub": "s", "iat": now, "exp": now + 300, "nonce": NONCE, **changed}
    return {name: value for name, value in claims.items() if value is not None}


def _signed(claims: dict[str, Any], key: Any = KEY, **header: Any) -> str:
    return jwt.encode({"alg": "RS256", "kid": "k1", **header}, claims, key, algorithms=["RS256", "ES256", "HS256"])


def _open(token: str, keys: dict[str, Any] = KEYS) -> dict[str, Any]:
    return verified(token, keys=keys, expected=EXPECTED, access_token=ACCESS)


def test_a_true_token_is_believed() -> None:
    for claims in (_claims(), _claims(aud=[CLIENT]), _claims(at_hash=HASH), _claims(aud=[CLIENT, "x"], azp=CLIENT)):
        assert _open(_signed(claims)) == claims
    claims = _claims(email="a@example.org")
    assert _open(_signed(claims, CURVE, alg="ES256", kid="k2")) == claims


@pytest.mark.parametrize(
    "changed",
    [
        {"nonce": "m" * 43},
        {"nonce": None},
        {"aud": "another"},
        {"aud": None},
        {"aud": [CLIENT, "another"]},
        {"azp": "another"},
        {"iss": "https://id.example.org/"},
        {"iss": None},
        {"exp": int(time.time()) - 120},
        {"exp": None},
        {"exp": "tomorrow"},
        {"iat": int(time.time()) + 3_600},
        {"nbf": int(time.time()) + 3_600},
        {"sub": None},
        {"sub": ""},
        {"sub": 7},
        {"at_hash": "x" * 22},
    ],
)
def test_a_token_for_something_else_is_not(changed: dict[str, Any]) -> None:
    with pytest.raises(IdTokenError):
        _open(_signed(_claims(**changed)))


def _forged() -> dict[str, str]:
    head, body, signature = _signed(_claims()).split(".")
    as_password = f"{_part({'alg': 'HS256', 'kid': 'k1'})}.{body}"
    by_password = hmac.digest(KEY.as_pem(private=False), as_password.encode(), "sha256")
    none = _part({"alg": "none", "kid": "k1"})
    embedded = {"jwk": dict(OTHER.as_dict(private=False))}
    return {
        "another key": _signed(_claims(), OTHER),
        "another key, brought along": _signed(_claims(), OTHER, **embedded),
        "published key as a password": f"{as_password}.{urlsafe_b64encode(by_password).decode()}",
        "no signature": f"{none}.{body}.",
        "signature left out": f"{head}.{body}.",
        "other words": f"{head}.{_part(_claims(sub='office'))}.{signature}",
        "half": f"{head}.{body}",
        "nothing": "",
        "noise": "\x00.é.長",
        "too long": "a" * 200_000,
    }


def _part(value: dict[str, Any]) -> str:
    return urlsafe_b64encode(json.dumps(value).encode()).decode()


@pytest.mark.parametrize("name", sorted(_forged()))
def test_a_forged_token_is_not(name: str) -> None:
    with pytest.raises(IdTokenError):
        _open(_forged()[name])


def test_only_published_keys_for_signatures_count() -> None:
    token = _signed(_claims())
    secret = OctKey.generate_key(256, {"kid": "k1"}, auto_kid=False)
    for keys in (
        {"keys": []},
        {},
        {"keys": "k"},
        {"keys": [secret.as_dict()]},
        {"keys": [{"kty": "RSA", "use": "enc"}]},
    ):
        with pytest.raises(UnknownKeyError):
            _open(token, keys)
    with pytest.raises(IdTokenError):
        _open(_signed(_claims(), secret, alg="HS256"), {"keys": [secret.as_dict(), *KEYS["keys"]]})
    with pytest.raises(UnknownKeyError):
        _open(_signed(_claims(), kid="k9"))
    with pytest.raises(IdTokenError):
        _open(token, {"keys": [{"kty": "RSA", "kid": "k1", "n": "!", "e": "AQAB"}]})


@dataclass
class Odd:
    """An HTTP server that answers as a provider, as oddly as a test wants."""

    url: str = ""
    answers: dict[str, tuple[int, bytes]] = field(default_factory=dict)
    asked: Counter[str] = field(default_factory=Counter)

    def tell(self, path: str, document: Any, status: int = 200) -> None:
        """Answer at a path with a document."""
        self.answers[path] = (status, document if isinstance(document, bytes) else json.dumps(document).encode())


@pytest.fixture
def odd() -> Iterator[Odd]:
    """A provider that is right until a test makes it odd."""
    told = Odd()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            told.asked[self.path] += 1
            self.rfile.read(int(self.headers.get("Content-Length", "0")))
            status, content = told.answers.get(self.path, (404, b"{}"))
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def do_POST(self) -> None:
            self.do_GET()

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    told.url = f"http://127.0.0.1:{server.server_port}"
    names = ("authorization_endpoint", "token_endpoint", "userinfo_endpoint", "jwks_uri")
    metadata = {"issuer": told.url, **{name: f"{told.url}/{name}" for name in names}}
    told.tell("/.well-known/openid-configuration", metadata)
    told.tell("/jwks_uri", KEYS)
    told.tell("/token_endpoint", {"access_token": ACCESS, "id_token": _signed(_claims(iss=told.url))})
    told.tell("/userinfo_endpoint", {"sub": "s", "email": "a@example.org", "email_verified": True})
    yield told
    server.shutdown()
    server.server_close()


ATTEMPT = Attempt("s" * 43, NONCE, "v" * 43)


def _provider(odd: Odd) -> Provider:
    given = {"oidc_issuer": odd.url, "oidc_client_id": CLIENT, "oidc_client_secret": "secret"}
    return Provider(Settings(**given, oidc_redirect_url="https://gloria.example.org/api/oidc/callback"))  # type: ignore[arg-type]


def test_metadata_and_keys_are_fetched_once(odd: Odd) -> None:
    provider = _provider(odd)
    assert "code_challenge_method=S256" in provider.address(ATTEMPT)
    people = {provider.who("code", ATTEMPT).email for _ in range(5)}
    assert people == {"a@example.org"}
    assert odd.asked == {
        "/.well-known/openid-configuration": 1,
        "/jwks_uri": 1,
        "/token_endpoint": 5,
        "/userinfo_endpoint": 5,
    }


def test_new_keys_are_fetched_but_not_for_every_unknown_one(odd: Odd, monkeypatch: pytest.MonkeyPatch) -> None:
    provider = _provider(odd)
    provider.who("code", ATTEMPT)
    new = RSAKey.generate_key(2048, {"kid": "new"}, auto_kid=False)
    odd.tell("/token_endpoint", {"access_token": ACCESS, "id_token": _signed(_claims(iss=odd.url), new, kid="new")})
    for _ in range(5):
        with pytest.raises(SignOnError, match="unknown key"):
            provider.who("code", ATTEMPT)
    assert odd.asked["/jwks_uri"] == 1
    odd.tell("/jwks_uri", dict(KeySet([new]).as_dict(private=False)))
    monkeypatch.setattr("api.access.sign_on.REFRESHED_EVERY_S", 0)
    assert provider.who("code", ATTEMPT).subject == "s"
    assert odd.asked["/jwks_uri"] == 2


@pytest.mark.parametrize(
    ("path", "document", "status"),
    [
        ("/.well-known/openid-configuration", {"issuer": "https://evil.example"}, 200),
        ("/.well-known/openid-configuration", b"<html>", 200),
        ("/.well-known/openid-configuration", b"{" * 2_000_000, 200),
        ("/.well-known/openid-configuration", [], 200),
        ("/.well-known/openid-configuration", {}, 302),
        ("/token_endpoint", {"error": "invalid_client"}, 401),
        ("/token_endpoint", {}, 500),
        ("/token_endpoint", {}, 429),
        ("/token_endpoint", {"access_token": ACCESS}, 200),
        ("/token_endpoint", {"access_token": 1, "id_token": 2}, 200),
        ("/jwks_uri", {}, 500),
        ("/userinfo_endpoint", {}, 401),
    ],
)
def test_a_provider_that_does_not_answer_as_one_is_come_back_later(
    odd: Odd, path: str, document: Any, status: int
) -> None:
    odd.tell(path, document, status)
    with pytest.raises(SignOnUnavailableError):
        _provider(odd).who("code", ATTEMPT)


@pytest.mark.parametrize(
    ("path", "document", "status"),
    [
        ("/token_endpoint", {"error": "invalid_grant"}, 400),
        ("/token_endpoint", b"no", 400),
        ("/token_endpoint", {"access_token": ACCESS, "id_token": _signed(_claims())}, 200),
        ("/jwks_uri", {"keys": [OTHER.as_dict(private=False)]}, 200),
        ("/userinfo_endpoint", {"sub": "another", "email": "a@example.org", "email_verified": True}, 200),
    ],
)
def test_what_can_not_be_trusted_begins_anew(odd: Odd, path: str, document: Any, status: int) -> None:
    odd.tell(path, document, status)
    with pytest.raises(SignOnError):
        _provider(odd).who("code", ATTEMPT)
