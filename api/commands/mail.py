"""`gloria mail`: what waits to be sent, sending it now, and addresses whose mail comes back.

In: the outbox; messages that a mail server sent back, as files. Out: counts, letters handed over, addresses that are
marked or cleared. It exists for whoever runs the machine: the server's own thread delivers by itself, and where no
server runs a timer calls `gloria mail deliver`.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from api.commands.refusals import RefusedError
from api.commands.screen import Screen, write_document
from api.home import note_command, open_database, open_session, read_settings
from indexer.wording import T_

if TYPE_CHECKING:
    from sqlmodel import Session

mail = typer.Typer(no_args_is_help=True, help="Mail that leaves, and addresses that it comes back from.")
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
_MAX_BYTES = 10 * 2**20


@mail.command("show")
def show(context: typer.Context, *, as_json: Json = False) -> None:
    """Say how much waits and was sent, and which addresses refuse mail."""
    from sqlmodel import col, select

    from matcher.notices.readers import MailAddress
    from matcher.notices.sending import counts

    settings = read_settings()
    with open_session(settings) as session:
        found = counts(session)
        query = select(MailAddress).where(col(MailAddress.refused_at).is_not(None)).order_by(MailAddress.address)
        refused = [{"address": one.address, "said": one.said} for one in session.exec(query).all()]
    if as_json:
        write_document({"letters": found, "addresses_refused": refused})
        return
    screen = Screen.of(context)
    screen.say(T_("waiting %(waiting)s, sent %(sent)s, dropped %(dropped)s, refused %(refused)s", **found))
    if not settings.smtp_url.get_secret_value():
        screen.say(T_("no SMTP server is set: mail is put into %(folder)s", folder=settings.mail_path))
    for one in refused:
        screen.say(T_("refuses mail: %(address)s (%(said)s)", **one))


@mail.command("deliver")
def deliver(context: typer.Context, *, as_json: Json = False) -> None:
    """Send all that is due now; exit code 1 if some of it has to wait because nobody takes it."""
    from dataclasses import asdict

    from api.letters.sending.delivering import Deliverer

    settings = read_settings()
    with open_database(settings) as engine:
        done = Deliverer(engine, settings).deliver()
    if as_json:
        write_document(asdict(done))
    else:
        counted: dict[str, Any] = asdict(done)
        Screen.of(context).say(
            T_("sent %(sent)s, dropped %(dropped)s, refused %(refused)s, waiting %(waiting)s", **counted)
        )
    if done.problem is not None:
        raise RefusedError(T_("mail waits: %(problem)s", problem=done.problem))


@mail.command("bounces")
def bounces(
    context: typer.Context,
    files: Annotated[list[Path], typer.Argument(help="Messages that came back (.eml); - reads one from stdin.")],
) -> None:
    """Note letters that came back, mark addresses that are unknown for good, and tell who looks after their owners.

    A message counts only if it names the Message-ID of a letter that was sent from here.
    """
    from datetime import UTC, datetime

    from api.letters.sending.bounced import note_returned

    contents = [_read(path) for path in files]
    settings = read_settings()
    with open_session(settings, writes=True) as session:
        done = note_returned(session, contents, now=datetime.now(UTC))
        note_command(session, "account", "edit", "mail bounces", _accounts(session, done.addresses))
        session.commit()
    screen = Screen.of(context)
    screen.say(T_("marked %(n)s addresses", n=len(done.addresses)))
    if done.others:
        screen.say(
            T_("%(n)s messages name no letter that was sent from here, or nobody that it did not reach", n=done.others)
        )


@mail.command("clear")
def clear(
    context: typer.Context, address: Annotated[str, typer.Argument(help="The address that is in order.")]
) -> None:
    """Take the mark from an address: mail goes there again."""
    from matcher.notices.readers import MailAddress

    with open_session(read_settings(), writes=True) as session:
        known = session.get(MailAddress, address.strip().lower())
        if known is None:
            raise RefusedError(T_("%(address)s is not marked", address=address))
        known.refused_at = known.said = None
        session.add(known)
        note_command(session, "account", "edit", "mail clear", _accounts(session, [known.address]))
        session.commit()
    Screen.of(context).say(T_("mail goes to %(address)s again", address=address))


def _accounts(session: Session, addresses: list[str]) -> list[tuple[str, object]]:
    from sqlmodel import col, select

    from matcher.review.people import Account

    ids = session.exec(select(Account.id).where(col(Account.email).in_(sorted(addresses)))).all()
    return [("account", one) for one in ids]


def _read(path: Path) -> bytes:
    try:
        content = sys.stdin.buffer.read(_MAX_BYTES + 1) if str(path) == "-" else path.read_bytes()
    except OSError as error:
        raise RefusedError(T_("%(path)s can't be read: %(error)s", path=path, error=error.strerror or "?")) from error
    if len(content) > _MAX_BYTES:
        raise RefusedError(T_("%(path)s is no mail: it is too large", path=path))
    return content
