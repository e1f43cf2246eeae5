"""The night's report by mail.

In: the report and the address of a mail server. Out: one message, the page with
a short text beside it. It exists so that a night that went wrong reaches somebody
who is not looking. A mail server that does not answer is no reason for a night
to fail; it is said in the report.
"""

from __future__ import annotations

import smtplib
import ssl
from email.message import EmailMessage
from email.utils import formatdate, make_msgid
from urllib.parse import unquote, urlsplit

from api.night_runs import Night, StepState
from api.night_words import NIGHT_STATES, STEP_STATES
from api.nightly.report_page import report_page
from indexer.settings import Settings
from indexer.wording import T_

TIMEOUT_S = 30.0
_PORTS = {"smtp": 587, "smtps": 465}
_THIS_MACHINE = ("127.0.0.1", "::1", "localhost")


class MailError(RuntimeError):
    """The report could not be mailed; the message names neither password nor recipient."""


def recipients(settings: Settings) -> list[str]:
    """Return who gets the report."""
    return [one.strip() for one in settings.mail_to.split(",") if one.strip()]


def message_of(settings: Settings, night: Night) -> EmailMessage:
    """Return the mail of a night."""
    zh, en = NIGHT_STATES[night.outcome].both
    message = EmailMessage()
    message["Subject"] = f"GLORIA Match {night.id}: {zh} / {en}"
    message["From"] = settings.mail_from
    message["To"] = ", ".join(recipients(settings))
    message["Date"] = formatdate(localtime=False)
    message["Message-ID"] = make_msgid("night", settings.mail_from.rpartition("@")[2] or None)
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(_text(night))
    message.add_alternative(report_page(night), subtype="html")
    return message


def send(settings: Settings, night: Night) -> int:
    """Mail a night's report and return to how many.

    Raises:
        MailError: the server can't be reached or does not take it.
    """
    parts = urlsplit(settings.smtp_url.get_secret_value())
    host, port = parts.hostname or "", parts.port or _PORTS[parts.scheme]
    try:
        with _connected(parts.scheme, host, port) as server:
            if parts.username:
                server.login(unquote(parts.username), unquote(parts.password or ""))
            refused = server.send_message(message_of(settings, night))
    except (smtplib.SMTPException, OSError, ValueError) as error:
        raise MailError(T_("%(host)s:%(port)s: %(error)s", host=host, port=port, error=_why(error))) from error
    if refused:
        raise MailError(
            T_(
                "%(host)s:%(port)s: %(refused)s of the addresses were refused",
                host=host,
                port=port,
                refused=len(refused),
            )
        )
    return len(recipients(settings))


def _connected(scheme: str, host: str, port: int) -> smtplib.SMTP:
    context = ssl.create_default_context()
    if scheme == "smtps":
        return smtplib.SMTP_SSL(host, port, timeout=TIMEOUT_S, context=context)
    server = smtplib.SMTP(host, port, timeout=TIMEOUT_S)
    try:
        server.ehlo()
        # In the open only to this machine's own server: the report and perhaps a password are on their way.
        if server.has_extn("starttls"):
            server.starttls(context=context)
            server.ehlo()
        elif host not in _THIS_MACHINE:
            raise MailError(
                T_("%(host)s:%(port)s: offers no STARTTLS; use smtps:// or another server", host=host, port=port)
            )
    except BaseException:
        server.close()
        raise
    return server


def _why(error: Exception) -> str:
    """Say what happened without what was sent: servers quote addresses."""
    code = getattr(error, "smtp_code", None)
    if code is not None:
        return f"{type(error).__name__}, code {code}"
    return getattr(error, "strerror", None) or type(error).__name__


def _text(night: Night) -> str:
    lines = []
    for step in night.steps:
        zh, en = STEP_STATES[step.state].both
        lines.append(f"{step.title.zh} {step.title.en}: {zh} {en}")
        if step.message is not None and step.state is not StepState.DONE:
            lines += [f"    {step.message.zh}", f"    {step.message.en}"]
    return "\n".join(lines) + "\n"
