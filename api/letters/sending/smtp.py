"""The wire of mail: any SMTP server, or a folder of .eml files where none is set.

In: the settings, a message, an address. Out: the message handed over, or what the other side said, told apart by what
is to be done: nobody can be reached (all mail waits), this address is refused for good, this letter is refused or is to
be tried again. It exists so that who delivers needs to know no codes of SMTP. In the folder a letter's file is named by
its id, so that one that is put there twice is there once.
"""

from __future__ import annotations

import smtplib
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from email.message import EmailMessage
from email.policy import SMTP
from pathlib import Path
from typing import Protocol
from urllib.parse import unquote, urlsplit

from indexer.disk import write_whole
from indexer.settings import Settings
from indexer.wording import T_

TIMEOUT_S = 30.0
_PORTS = {"smtp": 587, "smtps": 465}
_THIS_MACHINE = ("127.0.0.1", "::1", "localhost")
_NEEDS_LOGIN = (530, 534, 535, 538)


class MailError(RuntimeError):
    """Mail can't be handed over now; the message names neither password nor recipient."""


class BrokenOffError(MailError):
    """The server went away in the middle of this letter: it may have taken it or not."""


class RefusedMailError(RuntimeError):
    """The server does not take this letter. `code` is what it said, `for_good` whether to try again is no use.

    `of_address` says that it is the address that it does not know, not this letter.
    """

    def __init__(self, code: int, *, of_address: bool) -> None:
        super().__init__(f"SMTP {code}")
        self.code, self.of_address = code, of_address
        self.for_good = of_address and 500 <= code < 600


class Mailer(Protocol):
    """Whoever takes mail."""

    def send(self, message: EmailMessage, *, to: str) -> None:
        """Hand a message over.

        Raises:
            MailError, RefusedMailError: as each says.
        """


class _Server:
    def __init__(self, server: smtplib.SMTP, sender: str, name: str) -> None:
        self._server, self._sender, self._name = server, sender, name

    def send(self, message: EmailMessage, *, to: str) -> None:
        """Hand a message over."""
        try:
            self._server.send_message(message, self._sender, [to])
        except smtplib.SMTPRecipientsRefused as error:
            code = next(iter(error.recipients.values()), (550, b""))[0]
            if code in _NEEDS_LOGIN:
                raise _unreachable(self._name, error) from error
            raise RefusedMailError(code, of_address=True) from error
        except smtplib.SMTPNotSupportedError as error:
            raise RefusedMailError(553, of_address=True) from error
        except smtplib.SMTPDataError as error:
            raise RefusedMailError(error.smtp_code, of_address=False) from error
        except (smtplib.SMTPServerDisconnected, OSError) as error:
            raise BrokenOffError(T_("%(server)s: %(error)s", server=self._name, error=why(error))) from error
        except smtplib.SMTPException as error:
            raise _unreachable(self._name, error) from error


class _Folder:
    def __init__(self, path: Path) -> None:
        self._path = path

    def send(self, message: EmailMessage, *, to: str) -> None:
        """Put a message into the folder."""
        del to
        name = str(message["Message-ID"]).strip("<>").partition("@")[0]
        try:
            self._path.mkdir(parents=True, exist_ok=True, mode=0o700)
            write_whole(self._path / f"{name}.eml", message.as_bytes(policy=SMTP))
        except OSError as error:
            raise MailError(T_("%(server)s: %(error)s", server=str(self._path), error=why(error))) from error


@contextmanager
def open_mailer(settings: Settings) -> Iterator[Mailer]:
    """Open whatever takes mail by the settings.

    Raises:
        MailError: it can't be reached or does not let in.
    """
    if not settings.smtp_url.get_secret_value():
        yield _Folder(settings.mail_path)
        return
    server = _connected(settings)
    try:
        yield _Server(server, settings.mail_from, _name(settings))
    finally:
        try:
            server.quit()
        except (smtplib.SMTPException, OSError):
            server.close()


def sender_of(settings: Settings) -> str:
    """Return the sender of all mail."""
    return settings.mail_from or "gloria@localhost"


def _name(settings: Settings) -> str:
    parts = urlsplit(settings.smtp_url.get_secret_value())
    return f"{parts.hostname or ''}:{parts.port or _PORTS[parts.scheme]}"


def _unreachable(name: str, error: Exception) -> MailError:
    return MailError(T_("%(server)s: %(error)s", server=name, error=why(error)))


def _connected(settings: Settings) -> smtplib.SMTP:
    parts = urlsplit(settings.smtp_url.get_secret_value())
    host, name = parts.hostname or "", _name(settings)
    server: smtplib.SMTP | None = None
    try:
        server = _greeted(parts.scheme, host, parts.port or _PORTS[parts.scheme], name)
        if parts.username:
            server.login(unquote(parts.username), unquote(parts.password or ""))
    except BaseException as error:
        if server is not None:
            server.close()
        if isinstance(error, smtplib.SMTPException | OSError | ValueError):
            raise _unreachable(name, error) from error
        raise
    return server


def _greeted(scheme: str, host: str, port: int, name: str) -> smtplib.SMTP:
    context = ssl.create_default_context()
    if scheme == "smtps":
        return smtplib.SMTP_SSL(host, port, timeout=TIMEOUT_S, context=context)
    server = smtplib.SMTP(host, port, timeout=TIMEOUT_S)
    try:
        server.ehlo()
        # In the open only to this machine's own server: mail and perhaps a password are on their way.
        if server.has_extn("starttls"):
            server.starttls(context=context)
            server.ehlo()
        elif host not in _THIS_MACHINE:
            raise MailError(T_("%(server)s: offers no STARTTLS; use smtps:// or another server", server=name))
    except BaseException:
        server.close()
        raise
    return server


def why(error: Exception) -> str:
    """Say what happened without what was sent: servers quote addresses."""
    code = getattr(error, "smtp_code", None)
    if code is not None:
        return f"{type(error).__name__}, code {code}"
    return getattr(error, "strerror", None) or type(error).__name__
