"""The wire of webhooks: one signed request to one program, and never to where the office does not want it.

In: a letter to a webhook. Out: the request sent and answered with 2xx, or why not. It exists because a program that is
told by the server makes the server call an address that somebody typed: so only hosts that the programme office allowed
are called, a host's addresses are looked up once and connected to as they were checked (a name that changes its mind in
between changes nothing), an address inside is never called unless whoever runs the server allows it, and no redirect is
followed. The form is that of Standard Webhooks: `webhook-id`, `webhook-timestamp`, `webhook-signature`. What is said is
what a mail says: a sentence, ids, a link; never a text of a record.
"""

from __future__ import annotations

import base64
import hmac
import http.client
import ipaddress
import socket
import ssl
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from urllib.parse import urlsplit

import orjson
from sqlmodel import Session

from api.letters.knowing import knowable
from api.letters.sentences import sentence
from api.letters.signed_links import LinkSigner
from indexer.settings import Settings
from indexer.wording import T_
from matcher.notices.readers import ReaderError, Webhook, allowed_hosts
from matcher.notices.sending import Claim
from matcher.review.people import principal

TIMEOUT_S = 10.0
SECRET_MARK = "whsec_"  # noqa: S105 (what a secret begins with)
_MAX_URL = 500


class CallError(RuntimeError):
    """A program was not reached or did not take it; `said` is a word for the list of letters."""

    def __init__(self, said: str) -> None:
        super().__init__(said)
        self.said = said


@dataclass(frozen=True)
class Call:
    """One request, ready to be sent."""

    url: str
    body: bytes
    headers: dict[str, str]
    inside: bool

    def send(self) -> None:
        """Send it.

        Raises:
            CallError: it was not reached, or answered with anything but 2xx.
        """
        parts = urlsplit(self.url)
        port = parts.port or (443 if parts.scheme == "https" else 80)
        address = _address(parts.hostname or "", port, inside=self.inside)
        connection = _Pinned(parts.hostname or "", port, address, is_safe=parts.scheme == "https")
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        try:
            connection.request("POST", path, self.body, self.headers)
            status = connection.getresponse().status
        except (OSError, http.client.HTTPException) as error:
            raise CallError(type(error).__name__) from error
        finally:
            connection.close()
        if not 200 <= status < 300:
            raise CallError(f"HTTP {status}")


class _Pinned(http.client.HTTPConnection):
    """A connection to an address that was checked, under the host's name."""

    def __init__(self, host: str, port: int, address: str, *, is_safe: bool) -> None:
        super().__init__(host, port, timeout=TIMEOUT_S)
        self._address, self._is_safe = address, is_safe

    def connect(self) -> None:
        """Connect to the address, not to what the name means by now."""
        sock = socket.create_connection((self._address, self.port), self.timeout)
        self.sock = ssl.create_default_context().wrap_socket(sock, server_hostname=self.host) if self._is_safe else sock


def _address(host: str, port: int, *, inside: bool) -> str:
    """Return an address of a host that may be called: all that it has must be outside.

    Raises:
        CallError: it has none, or one inside.
    """
    try:
        found = [str(one[4][0]) for one in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]
    except (OSError, UnicodeError) as error:
        raise CallError("no such host") from error
    if not found:
        raise CallError("no such host")
    if not inside and not all(is_outside(one) for one in found):
        raise CallError("address inside")
    return found[0]


def is_outside(address: str) -> bool:
    """Whether an address belongs to the public internet; what wraps another address is judged by that one too."""
    one = ipaddress.ip_address(address.partition("%")[0])
    wrapped = [one]
    if isinstance(one, ipaddress.IPv6Address):
        embedded = [one.ipv4_mapped, one.sixtofour, *(one.teredo or ())]
        wrapped += [found for found in embedded if found is not None]
        # NAT64 (64:ff9b::/96) leads to the IPv4 address in its last four bytes.
        if one in ipaddress.ip_network("64:ff9b::/96"):
            wrapped.append(ipaddress.IPv4Address(int(one) & 0xFFFFFFFF))
    return all(each.is_global and not each.is_multicast for each in wrapped)


def host_of(url: str, settings: Settings) -> str:
    """Return the host of an address that a webhook may have.

    Raises:
        ReaderError: it is not such an address.
    """
    wrong = ReaderError(T_("give an address such as https://hooks.example.org/gloria"), "url")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise wrong from error
    schemes = ("https", "http") if settings.webhooks_inside else ("https",)
    is_plain = parts.username is None and parts.password is None and not parts.fragment
    is_short = len(url) <= _MAX_URL and url.isascii() and url.isprintable() and " " not in url
    if parts.scheme not in schemes or not parts.hostname or not is_plain or not is_short or port == 0:
        raise wrong
    return parts.hostname.lower()


def secret_of(hook: Webhook, signer: LinkSigner) -> str:
    """Return the secret that a webhook's requests are signed with; it is computed, and stored nowhere."""
    return SECRET_MARK + base64.b64encode(_key(hook, signer)).decode()


def _key(hook: Webhook, signer: LinkSigner) -> bytes:
    return signer.secret(f"webhook {hook.id} {hook.nonce}")


def called(session: Session, claim: Claim, *, settings: Settings, signer: LinkSigner, now: datetime) -> Call | None:
    """Return the request of a letter, None if nobody listens any more or nothing is left that may be told."""
    hook = session.get(Webhook, claim.letter.webhook_id)
    if hook is None or hook.ended_at is not None:
        return None
    who = principal(session, hook.account_id)
    told = [] if who is None else knowable(session, who, claim.notices)
    host = (urlsplit(hook.url).hostname or "").lower()
    if not told or host not in {one.host for one in allowed_hosts(session)}:
        return None
    (notice,) = told
    said = sentence(notice)
    body = orjson.dumps(
        {
            "type": notice.kind,
            "timestamp": notice.at.isoformat(),
            "data": {
                "said": {"zh": said.zh, "en": said.en},
                "about": dict(notice.facts),
                "url": settings.address_of(notice.place),
            },
        }
    )
    return Call(hook.url, body, _headers(claim.letter.uid, body, _key(hook, signer), now), settings.webhooks_inside)


def _headers(uid: str, body: bytes, key: bytes, now: datetime) -> dict[str, str]:
    at = str(int(now.timestamp()))
    signed = hmac.new(key, b".".join([uid.encode(), at.encode(), body]), sha256).digest()
    return {
        "Content-Type": "application/json",
        "User-Agent": "GLORIA-Match",
        "webhook-id": uid,
        "webhook-timestamp": at,
        "webhook-signature": f"v1,{base64.b64encode(signed).decode()}",
    }
