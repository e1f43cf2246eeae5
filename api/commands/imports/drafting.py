"""`gloria draft`: a letter, a form or a CV as a draft, and with `--confirm` as a record.

In: documents. Out: what each seems to say, field by field with the words that it was taken from; with `--confirm` the
need, its company if nobody knew it, or the lab. It exists beside the page so that a folder of letters can be gone
through at once.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from api.commands.refusals import RefusedError
from api.commands.screen import Screen, finish, write_document
from api.home import note_command, open_session, read_settings
from indexer.vocabulary import Drafted, Kind
from indexer.wording import T_, recognised

if TYPE_CHECKING:
    from sqlmodel import Session

    from indexer.records.importing import ImportReport


def draft(
    context: typer.Context,
    kind: Annotated[Drafted, typer.Argument(help="A company's need, or a researcher's CV.")],
    files: Annotated[list[Path], typer.Argument(help="DOCX, PDF, e-mail (.eml) or text.")],
    *,
    confirm: Annotated[bool, typer.Option("--confirm", help="Store it as it was read.")] = False,
    alliance: Annotated[str | None, typer.Option(help="Id of an alliance: the need comes in to it.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")] = False,
) -> None:
    """Read documents into drafts, each field with the words it was taken from."""
    from api.jobs.drafting_apart import drafted
    from indexer.instants import day_in_taipei
    from indexer.sources.drafts.documents import DocumentError

    screen, documents, refused = Screen.of(context), [], False
    now = datetime.now(UTC)
    for path in files:
        try:
            found = drafted(path.read_bytes(), path.name, kind, day_in_taipei(now))
        except OSError as error:
            raise RefusedError(T_("%(file)s: %(error)s", file=path.name, error=error.strerror or str(error))) from error
        except DocumentError as error:
            refused = True
            screen.complain(T_("%(file)s: %(wrong)s; %(right)s", file=path.name, wrong=error.wrong, right=error.right))
            continue
        document: dict[str, Any] = {"file": path.name, **found}
        if not as_json:
            _say(screen, document)
        if confirm:
            document["stored"] = _stored(screen, document, kind, alliance, now, quiet=as_json)
            refused = refused or document["stored"] is None
        documents.append(document)
    if as_json:
        write_document({"drafts": documents})
    finish(refused)


def _say(screen: Screen, document: dict[str, Any]) -> None:
    from indexer.plain_text import printable

    screen.say(T_("%(file)s: %(n)s fields", file=document["file"], n=len(document["fields"])), "bold")
    for one in document["fields"]:
        places = " … ".join(place["text"] for place in one["passages"])
        screen.out.print(f"  {one['name']:<16} {printable(str(one['value']))[:160]}", soft_wrap=True, markup=False)
        screen.out.print(f"  {'':<16} « {printable(places)[:160]} »", soft_wrap=True, markup=False, style="dim")
    for note in document["notes"]:
        screen.complain(T_("  note: %(note)s", note=recognised(note)))


def _stored(
    screen: Screen, document: dict[str, Any], kind: Drafted, alliance: str | None, now: datetime, *, quiet: bool
) -> str | None:
    """Store a draft; return the record's id, or None if it was refused."""
    from api.jobs.drafting_apart import values_of

    values = values_of(document)
    with open_session(read_settings(), writes=True) as session:
        if kind is Drafted.NEED:
            values["company"] = _company(session, values)
        report = _imported(session, Kind.NEEDS if kind is Drafted.NEED else Kind.LABS, values)
        for problem in report.problems:
            screen.complain(str(problem))
        if not report.created_ids:
            known = report.unchanged + report.updated
            screen.complain(T_("it is stored already") if known else T_("nothing was stored"))
            return None
        if kind is Drafted.NEED and alliance is not None:
            from matcher.review.intake import hand_over

            hand_over(session, report, alliance_id=alliance, by=None, expert_id=None, now=now)
        note_command(session, "import", "create", "draft", [(kind.value, one) for one in report.created_ids])
        session.commit()
    if not quiet:
        screen.say(T_("stored as %(id)s", id=report.created_ids[0]))
    return str(report.created_ids[0])


def _imported(session: Session, kind: Kind, values: dict[str, Any]) -> ImportReport:
    from indexer.records.exchange import MODELS
    from indexer.records.importing import import_rows
    from indexer.records.lists.made_ids import made_id

    row = {name: value for name, value in values.items() if name in MODELS[kind].model_fields}
    return import_rows(session, kind, [{**row, "id": made_id(kind, row)}], "draft")


def _company(session: Session, values: dict[str, Any]) -> str | None:
    """Return the id of the company that a draft names, registered if nobody knows it."""
    from api.routes.files.drafts import same_companies

    name = str(values.get("company") or "")
    if not name:
        return None
    known = same_companies(session, name, values.get("tax_id"))
    if len(known) > 1:
        raise RefusedError(T_("several companies have this name; give the tax id"))
    if known:
        return str(known[0].id)
    report = _imported(session, Kind.COMPANIES, {"name": name, "tax_id": values.get("tax_id")})
    return str(report.created_ids[0])
