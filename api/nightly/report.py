"""The night's report: one page that needs nothing else, the same as a document, and its mail, as the last step.

In: a night as it stands, and the address of a mail server. Out: an HTML page in both languages, without script,
that a mail program shows too; JSON; one message, the page with a short text beside it. It exists so that one look
in the morning says whether somebody has to do something, and so that a night that went wrong reaches somebody who
is not looking. It holds ids, counts and names of files, no text of any record. A mail server that does not answer
is no reason for a night to fail; it is said in the report. It is a step like others, so that a night that was cut
off while it reported goes on with the report.
"""

from __future__ import annotations

import smtplib
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from email.message import EmailMessage
from email.utils import formatdate, make_msgid
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import orjson
from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template

from api.nightly.step import StepOutcome, StepWork
from api.trail.nights import (
    NIGHT_STATES,
    REPORT_DOCUMENT,
    REPORT_PAGE,
    STEP_FIGURE_LABELS,
    STEP_STATES,
    Night,
    Said,
    StepState,
    night_path,
)
from indexer.disk import write_whole
from indexer.instants import TAIPEI
from indexer.settings import Settings
from indexer.wording import T_, Bilingual

TEMPLATES = Path(__file__).parent.parent / "templates"


def report_document(night: Night) -> dict[str, Any]:
    """Return a night as plain values, with how it ended in front."""
    content = night.model_dump(mode="json")
    return {"id": content.pop("id"), "state": night.outcome.value, "total_s": night.total_s, **content}


def report_page(night: Night) -> str:
    """Return a night as a page."""
    return _template().render(
        night=night,
        document=report_document(night),
        said=NIGHT_STATES[night.outcome].both,
        states={state: words.both for state, words in STEP_STATES.items()},
        names={name: words.both for name, words in STEP_FIGURE_LABELS.items()},
        attention=[step for step in night.steps if step.state in (StepState.FAILED, StepState.HELD, StepState.SKIPPED)],
        of=lambda name: next((step.details for step in night.steps if step.name == name), {}),
        clock=lambda moment: "—" if moment is None else f"{moment.astimezone(TAIPEI):%Y-%m-%d %H:%M:%S}",
        number=_number,
    )


def write_report(home: Path, night: Night) -> None:
    """Write both forms beside the night's state.

    Raises:
        OSError: the disk is full or not writable.
    """
    folder = night_path(home, night.id)
    write_whole(folder / REPORT_DOCUMENT, orjson.dumps(report_document(night), option=orjson.OPT_INDENT_2))
    write_whole(folder / REPORT_PAGE, report_page(night).encode())


def _number(value: Any) -> str:
    if isinstance(value, bool) or value is None:
        return {True: "✓", False: "–", None: "—"}[value]
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:,.4f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)


@cache
def _template() -> Template:
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("nightly/report.html")


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
    signed = _signed_head(night)
    if signed:
        # A file and no text, so that no mail program wraps or quotes what was signed.
        message.add_attachment(
            orjson.dumps(signed) + b"\n",
            maintype="application",
            subtype="json",
            filename=f"ledger-head-{night.id}.json",
        )
    return message


def _signed_head(night: Night) -> dict[str, Any]:
    """Return the signed heads that a night wrote, empty if it wrote none."""
    details = next((step.details for step in night.steps if step.name == "heads"), {})
    return dict(details.get("signed") or {})


def send(settings: Settings, night: Night) -> int:
    """Mail a night's report and return to how many.

    Raises:
        MailError: the server can't be reached or does not take it.
    """
    parts = urlsplit(settings.smtp_url.get_secret_value())
    host, port = parts.hostname or "", parts.port or _PORTS[parts.scheme]
    try:
        with connected_to(settings) as server:
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


@contextmanager
def connected_to(settings: Settings) -> Iterator[smtplib.SMTP]:
    """Connect to the mail server of the settings, signed in where it asks for that.

    Raises:
        MailError: it would be in the open.
        SMTPException, OSError: it can't be reached or does not let in.
    """
    parts = urlsplit(settings.smtp_url.get_secret_value())
    with _connected(parts.scheme, parts.hostname or "", parts.port or _PORTS[parts.scheme]) as server:
        if parts.username:
            server.login(unquote(parts.username), unquote(parts.password or ""))
        yield server


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


_KEEP_IT = Bilingual.of(
    T_(
        "The ledger's rows fit together; that nobody rewrote it as a whole, only what lies elsewhere proves. Keep the "
        "signed head of this mail, and prove with: gloria ledger verify --head FILE"
    )
)


def _text(night: Night) -> str:
    lines = []
    for step in night.steps:
        zh, en = STEP_STATES[step.state].both
        lines.append(f"{step.title.zh} {step.title.en}: {zh} {en}")
        if step.message is not None and step.state is not StepState.DONE:
            lines += [f"    {step.message.zh}", f"    {step.message.en}"]
    if _signed_head(night):
        lines += ["", _KEEP_IT.zh, _KEEP_IT.en]
    return "\n".join(lines) + "\n"


def report_the_night(work: StepWork) -> StepOutcome:
    """Write the report and mail it."""
    write_report(work.settings.home, work.night)
    if not recipients(work.settings):
        return StepOutcome({"mailed_to": 0})
    try:
        return StepOutcome({"mailed_to": send(work.settings, work.night)})
    except MailError as error:
        said = Said.of(T_("the report could not be mailed: %(error)s", error=error))
        return StepOutcome({"mailed_to": 0}, said)
