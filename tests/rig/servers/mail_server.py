"""A mail server of the test's own, which keeps what it is given."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy
from email.message import EmailMessage
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, LoginPassword
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID


@dataclass
class Inbox:
    """Keeps what it is given, or refuses it: all of it, addresses that it does not know, or for now."""

    refuses: bool = False
    unknown: set[str] = field(default_factory=set)
    busy_for: int = 0
    """So many letters are put off before one is taken."""
    takes_s: float = 0.0
    got: list[tuple[list[str], EmailMessage]] = field(default_factory=list)
    logins: list[tuple[str, str]] = field(default_factory=list)

    async def handle_RCPT(  # noqa: N802 (the library's name)
        self, server: Any, session: Any, envelope: Any, address: str, options: list[str]
    ) -> str:
        del server, session, options
        if address in self.unknown:
            return "550 5.1.1 no such person here"
        envelope.rcpt_tos.append(address)
        return "250 known"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802 (the library's name)
        if self.refuses:
            return "554 go away"
        if self.busy_for:
            self.busy_for -= 1
            return "451 come back later"
        if self.takes_s:
            await asyncio.sleep(self.takes_s)
        self.got.append((envelope.rcpt_tos, message_from_bytes(envelope.content, policy=policy.default)))
        return "250 kept"


@contextmanager
def listening(
    inbox: Inbox,
    hostname: str = "127.0.0.1",
    *,
    asks_for_login: bool = False,
    starttls: ssl.SSLContext | None = None,
    smtps: ssl.SSLContext | None = None,
    port: int = 0,
) -> Iterator[str]:
    """Run a mail server, with TLS from the start (`smtps`) or once it is asked for; yield where it listens."""

    def login(_server: Any, _session: Any, _envelope: Any, _mechanism: str, given: LoginPassword) -> AuthResult:
        inbox.logins.append((given.login.decode(), given.password.decode()))
        return AuthResult(success=given.password == b"p@ss", handled=False)

    if not port:
        with socket.socket() as free:
            free.bind((hostname, 0))
            port = free.getsockname()[1]
    controller = Controller(
        inbox,
        hostname=hostname,
        port=port,
        authenticator=login,
        auth_require_tls=False,
        auth_required=asks_for_login,
        tls_context=starttls,
        require_starttls=starttls is not None,
        ssl_context=smtps,
    )
    controller.start()
    try:
        yield f"{hostname}:{port}"
    finally:
        controller.stop()


def certified(folder: Path, host: str = "127.0.0.1") -> tuple[ssl.SSLContext, Path]:
    """Return what a server with a certificate of its own shows, and the file with that certificate, to be trusted."""
    key = ed25519.Ed25519PrivateKey.generate()
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "mail of a test")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address(host))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, None)
    )
    pem, secret = folder / "certificate.pem", folder / "key.pem"
    pem.write_bytes(made.public_bytes(Encoding.PEM))
    secret.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(pem, secret)
    return context, pem
