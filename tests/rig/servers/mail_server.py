"""A mail server of the test's own, which keeps what it is given."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, LoginPassword


@dataclass
class Inbox:
    """Keeps what it is given, or refuses it."""

    refuses: bool = False
    got: list[tuple[list[str], EmailMessage]] = field(default_factory=list)
    logins: list[tuple[str, str]] = field(default_factory=list)

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802 (the library's name)
        if self.refuses:
            return "554 go away"
        self.got.append((envelope.rcpt_tos, message_from_bytes(envelope.content, policy=policy.default)))
        return "250 kept"


@contextmanager
def listening(inbox: Inbox, hostname: str = "127.0.0.1", *, asks_for_login: bool = False) -> Iterator[str]:
    """Run a mail server; yield where it listens."""

    def login(_server: Any, _session: Any, _envelope: Any, _mechanism: str, given: LoginPassword) -> AuthResult:
        inbox.logins.append((given.login.decode(), given.password.decode()))
        return AuthResult(success=given.password == b"p@ss", handled=False)

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
    )
    controller.start()
    try:
        yield f"{hostname}:{port}"
    finally:
        controller.stop()
