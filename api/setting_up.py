"""`gloria ledger configure` and `gloria ledger demo`: what a ledger starts from.

In: a document of rules, or nothing. Out: the document that holds; or the
programme's invented story in an empty database. It exists apart from the proofs
of the ledger because these two write.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from api.opening import note_command, open_reading, open_session, read_settings
from api.refusals import RefusedError
from api.screen import Screen, write_document
from indexer.wording import T_

if TYPE_CHECKING:
    from sqlmodel import Session


def configure(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="Which document, such as points; a wrong name lists all.")],
    *,
    new: Annotated[
        Path | None, typer.Option("--set", metavar="FILE", help="The document as it is to be from now on, as JSON.")
    ] = None,
    reason: Annotated[str, typer.Option(help="Why it is set.")] = "",
    by: Annotated[
        str, typer.Option(metavar="EMAIL", help="Who sets it. Default: the one account of the programme office.")
    ] = "",
) -> None:
    """Show the rules and values of the programme as JSON, or set them; what held before stays on record.

    To change one: gloria ledger configure points > points.json, edit the file, then
    gloria ledger configure points --set points.json --reason "..."
    """
    import orjson

    from matcher.ledger.configurable import DOCUMENTS
    from matcher.ledger.configuration import current, latest

    kind = DOCUMENTS.get(name)
    if kind is None:
        raise RefusedError(
            T_(
                "there is no document %(name)r; choose one of: %(documents)s",
                name=name,
                documents=", ".join(sorted(DOCUMENTS)),
            )
        )
    screen = Screen.of(context)
    if new is not None:
        version = _set(name, _read(new), reason, by)
        screen.say(T_("%(name)s is set, version %(version)s", name=name, version=version))
        return
    with open_reading(read_settings()) as session:
        document, stored = current(session, kind), latest(session, name)
        if stored is None:
            screen.note(T_("as it comes with the product; nobody changed it yet"))
        else:
            day = f"{stored.at:%Y-%m-%d}"
            screen.note(
                T_(
                    "version %(version)s, %(day)s, because: %(reason)s",
                    version=stored.version,
                    day=day,
                    reason=stored.reason,
                )
            )
        write_document(orjson.loads(document.model_dump_json()))


def load_demo(context: typer.Context) -> None:
    """Load the invented story of the years 106 to 109 into an empty database; takes half a minute."""
    from api import tables  # noqa: F401 (tables refer to each other, so all must be known)
    from indexer.database import open_engine
    from matcher.ledger.story import LAST_DAY, load_story

    screen, settings = Screen.of(context), read_settings()
    engine = open_engine(settings)
    try:
        load_story(engine, home=settings.home)
    finally:
        engine.dispose()
    screen.say(T_("the story of 106 to 109 is loaded (all invented)"))
    screen.say(T_("What to try next:"), "bold")
    day = LAST_DAY.isoformat()
    hints = (
        (f"gloria report b003 --as-of {day} --out b003.pdf", T_("the main indicators")),
        (f"gloria report kpi --as-of {day} --out kpi.html", T_("figures against targets")),
        ("gloria ledger verify", T_("proves every row")),
        ("gloria ledger configure target_books", T_("the targets")),
    )
    for command, what in hints:
        screen.say(T_("  %(command)s  %(what)s", command=f"{command:<56}", what=what))


def _read(path: Path) -> Any:
    import orjson

    try:
        return orjson.loads(path.read_bytes())
    except orjson.JSONDecodeError as error:
        raise RefusedError(T_("%(path)s: is not JSON: %(error)s", path=path, error=error)) from error


def _set(name: str, content: Any, reason: str, by: str) -> int:
    from indexer.plain_text import clean
    from matcher.ledger.configurable import DOCUMENTS, checked_document
    from matcher.ledger.configuration import change
    from matcher.ledger.entries import MAX_TEXT

    said = clean(reason, max_chars=MAX_TEXT, multiline=True)
    if not said:
        raise RefusedError(T_("--reason: say why it is set"))
    document = checked_document(DOCUMENTS[name], content)
    with open_session(read_settings(), writes=True) as session:
        version = change(session, document, reason=said, by=_author(session, by), now=datetime.now(UTC))
        note_command(session, "configuration", "edit", "ledger configure", [("configuration", name)])
        session.commit()
    return version


def _author(session: Session, email: str) -> str:
    """Return the id of the account that sets a document: the named one, or the only one there is."""
    from sqlmodel import col, select

    from matcher.people import Account, Grant, principal
    from matcher.roles import Role

    if email:
        named = session.exec(select(Account.id).where(Account.email == email.strip().lower())).first()
        who = None if named is None else principal(session, named)
        if who is None or not who.holds(Role.OFFICE):
            raise RefusedError(T_("--by %(email)s: there is no such account of the programme office", email=email))
        return who.id
    query = select(Grant.account_id).where(Grant.role == Role.OFFICE.value, col(Grant.revoked_at).is_(None))
    found = {account_id for account_id in session.exec(query).all() if principal(session, account_id) is not None}
    if len(found) != 1:
        raise RefusedError(T_("--by: say which account of the programme office sets it"))
    return found.pop()
