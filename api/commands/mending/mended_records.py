"""`gloria retire`: taking records out of use and back.

In: what kind of record, its id, why. Out: what was done, in words or as JSON. It exists because a record that was
imported by mistake must go, and nothing that cases and results name may be deleted.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from api.commands.people import account_named, opened
from api.commands.refusals import RefusedError
from api.commands.screen import Screen, write_document
from api.home import note_command
from indexer.vocabulary import Mendable
from indexer.wording import T_, joined

if TYPE_CHECKING:
    from sqlmodel import Session

Json = Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")]


def retire_record(
    context: typer.Context,
    kind: Annotated[Mendable | None, typer.Argument(help="What it is; without any, what is retired is listed.")] = None,
    record_id: Annotated[str | None, typer.Argument(metavar="ID", help="Its id; a person's e-mail address.")] = None,
    *,
    reason: Annotated[str, typer.Option(help="Why; it is shown with the record from then on.")] = "",
    since: Annotated[datetime | None, typer.Option(formats=["%Y-%m-%d"], help="Since when; otherwise today.")] = None,
    evidence: Annotated[str, typer.Option(help="With kind evidence: its id; ID is the lab's.")] = "",
    undo: Annotated[bool, typer.Option("--undo", help="Take it back into use.")] = False,
    as_json: Json = False,
) -> None:
    """Retire a record: it leaves index, searches, rankings and exports; its history stays readable."""
    if kind is None:
        _list_retired(Screen.of(context), as_json=as_json)
        return
    if not record_id:
        raise RefusedError(T_("give the id of the record, as lists and exports show it"))
    _retire(Screen.of(context), kind, record_id, reason, since, evidence, undo=undo, as_json=as_json)


def _retire(
    screen: Screen,
    kind: Mendable,
    record_id: str,
    reason: str,
    since: datetime | None,
    part: str,
    *,
    undo: bool,
    as_json: bool,
) -> None:
    from api.access.credentials import let_in_or_shut_out
    from matcher.mending.retiring import reinstate, retire

    now = datetime.now(UTC)
    with opened(writes=True) as session:
        key = account_named(session, record_id).id if kind is Mendable.PERSON else record_id
        if undo:
            row = reinstate(session, kind=kind, record_id=key, part=part, by=None, now=now)
        else:
            day = None if since is None else since.date()
            row = retire(session, kind=kind, record_id=key, part=part, reason=reason, since=day, by=None, now=now)
            if kind is Mendable.PERSON:
                let_in_or_shut_out(session, account_id=key, disabled=True, now=now)
        document = row.model_dump(mode="json")
        note_command(session, "record", "end", "retire", [(_subject(kind), key)])
    if as_json:
        write_document(document)
    elif undo:
        screen.say(T_("%(id)s is in use again", id=record_id))
    else:
        screen.say(T_("%(id)s is retired since %(day)s", id=record_id, day=document["since"]))


def _list_retired(screen: Screen, *, as_json: bool) -> None:
    from matcher.mending.retiring import retirements

    with opened(writes=False) as session:
        rows = [row.model_dump(mode="json") for row in retirements(session)]
    if as_json:
        write_document({"items": rows})
        return
    if not rows:
        screen.say(T_("nothing is retired"))
    for row in rows:
        named = f"{row['kind']} {row['record_id']} {row['part']}".strip()
        screen.say(T_("%(named)s  since %(day)s: %(reason)s", named=named, day=row["since"], reason=row["reason"]))


def merge_records(
    context: typer.Context,
    kind: Annotated[Mendable | None, typer.Argument(help="What they are; without any, all are listed.")] = None,
    gone: Annotated[
        str | None, typer.Argument(metavar="ID", help="The record that goes; a person's e-mail address.")
    ] = None,
    kept: Annotated[str | None, typer.Argument(metavar="KEPT", help="The record that is kept.")] = None,
    *,
    reason: Annotated[str, typer.Option(help="Why they are one. Without any only what would move is said.")] = "",
    undo: Annotated[int | None, typer.Option(help="Number of a merging to take back, within thirty days.")] = None,
    as_json: Json = False,
) -> None:
    """Merge two records that are one; what refers to either refers to the one that is kept."""
    screen = Screen.of(context)
    if undo is not None:
        _undo(screen, undo, as_json=as_json)
    elif kind is None:
        _list_merges(screen, as_json=as_json)
    elif not gone or not kept:
        raise RefusedError(T_("give the id of the record that goes and of the one that is kept"))
    elif not reason:
        _say_plan(screen, kind, gone, kept, as_json=as_json)
    else:
        _merge(screen, kind, gone, kept, reason, as_json=as_json)


def _say_plan(screen: Screen, kind: Mendable, gone: str, kept: str, *, as_json: bool) -> None:
    from api.documents.mending.merges import plan_document
    from matcher.mending.merging import plan
    from matcher.mending.retiring import record_names

    with opened(writes=False) as session:
        ids = _ids(session, kind, gone, kept)
        found = plan(session, kind=kind, gone_id=ids[0], kept_id=ids[1])
        document = plan_document(found, record_names(session, kind, ids))
    if as_json:
        write_document(document)
        return
    for warning in found.warnings:
        screen.warn(warning)
    for what, rows in found.moved:
        screen.say(T_("would move: %(what)s (%(rows)s)", what=what, rows=rows))
    for what, rows in found.found_by_old_id:
        screen.say(T_("stays and is found by the old id: %(what)s (%(rows)s)", what=what, rows=rows))
    screen.say(T_("nothing is changed yet; add --reason to merge them"))


def _merge(screen: Screen, kind: Mendable, gone: str, kept: str, reason: str, *, as_json: bool) -> None:
    from api.access.credentials import let_in_or_shut_out
    from matcher.mending.merging import merge

    now = datetime.now(UTC)
    with opened(writes=True) as session:
        ids = _ids(session, kind, gone, kept)
        row = merge(session, kind=kind, gone_id=ids[0], kept_id=ids[1], reason=reason, by=None, now=now)
        if kind is Mendable.PERSON:
            let_in_or_shut_out(session, account_id=ids[0], disabled=True, now=now)
        document = row.model_dump(mode="json")
        note_command(session, "record", "edit", "merge", [(_subject(kind), one) for one in ids])
    if as_json:
        write_document(document)
    else:
        screen.say(
            T_(
                "%(gone)s is merged into %(kept)s; take it back within thirty days: gloria merge --undo %(id)s",
                gone=gone,
                kept=kept,
                id=document["id"],
            )
        )


def _ids(session: Session, kind: Mendable, *said: str) -> list[str]:
    """Return the ids of two records; people are named by their addresses, or by their ids."""
    if kind is not Mendable.PERSON:
        return [*said]
    return [account_named(session, one).id if "@" in one else one for one in said]


def _subject(kind: Mendable) -> str:
    """Return what a record of a kind is called in the trail."""
    return {Mendable.PERSON: "account", Mendable.EVIDENCE: "lab"}.get(kind, kind.value)


def _undo(screen: Screen, merge_id: int, *, as_json: bool) -> None:
    from matcher.mending.merging import undo_merge

    with opened(writes=True) as session:
        row = undo_merge(session, merge_id=merge_id, by=None, now=datetime.now(UTC))
        document = row.model_dump(mode="json")
        subject = _subject(Mendable(row.kind))
        note_command(session, "record", "edit", "merge", [(subject, row.gone_id), (subject, row.kept_id)])
    if as_json:
        write_document(document)
    else:
        screen.say(T_("%(gone)s and %(kept)s are two again", gone=document["gone_id"], kept=document["kept_id"]))


def _list_merges(screen: Screen, *, as_json: bool) -> None:
    from matcher.mending.merging import mergings

    with opened(writes=False) as session:
        rows = [row.model_dump(mode="json") for row in mergings(session)]
    if as_json:
        write_document({"items": rows})
        return
    if not rows:
        screen.say(T_("nothing is merged"))
    for row in rows:
        named = {"id": row["id"], "gone": row["gone_id"], "kept": row["kept_id"], "reason": row["reason"]}
        screen.say(T_("%(id)s  %(gone)s into %(kept)s: %(reason)s", **named))


def list_duplicates(
    context: typer.Context,
    kind: Annotated[Mendable, typer.Argument(help="lab, company, school or person.")] = Mendable.LAB,
    first: Annotated[str | None, typer.Argument(metavar="ID", help="With --two: one of both.")] = None,
    second: Annotated[str | None, typer.Argument(metavar="OTHER", help="With --two: the other one.")] = None,
    *,
    two: Annotated[bool, typer.Option("--two", help="Remember that these are two.")] = False,
    limit: Annotated[int, typer.Option(min=1, help="How many pairs at most.")] = 50,
    as_json: Json = False,
) -> None:
    """List records that are probably one, with the reasons; make one of two with `gloria merge`."""
    from matcher.mending.duplicates import likely_duplicates, tell_apart

    screen = Screen.of(context)
    if two:
        if not first or not second:
            raise RefusedError(T_("give the ids of both records that are two"))
        with opened(writes=True) as session:
            tell_apart(session, kind=kind, first=first, second=second, by=None, now=datetime.now(UTC))
            note_command(session, "record", "edit", "duplicates", [(_subject(kind), one) for one in (first, second)])
        if not as_json:
            screen.say(T_("%(first)s and %(second)s are two; they are proposed no more", first=first, second=second))
        return
    with opened(writes=False) as session:
        found = likely_duplicates(session, kind, limit=limit)
    if as_json:
        rows = [{"first": one.first, "second": one.second, "score": one.score, "reasons": one.reasons} for one in found]
        write_document({"kind": kind, "items": rows})
        return
    if not found:
        screen.say(T_("no two of them look like one"))
    for one in found:
        named = {"first": one.first, "second": one.second, "reasons": joined("; ", one.reasons)}
        screen.say(T_("%(first)s  %(second)s  %(reasons)s", **named))


school = typer.Typer(no_args_is_help=True, help="Schools over time: renamed from a day on, divided on one.")

Since = Annotated[datetime, typer.Option(formats=["%Y-%m-%d"], help="The first day; today or before.")]


@school.command("rename")
def rename(
    context: typer.Context,
    school_id: Annotated[str, typer.Argument(metavar="ID", help="The school.")],
    name: Annotated[str, typer.Option(help="The new Chinese name.")],
    since: Since,
    name_en: Annotated[str, typer.Option(help="The new English name.")] = "",
) -> None:
    """Give a school another name from a day on; reports of the time before call it what it was called then."""
    from matcher.mending.schools import rename_school

    now, day = datetime.now(UTC), since.date()
    with opened(writes=True) as session:
        rename_school(session, school_id=school_id, name=name, name_en=name_en, since=day, now=now)
        note_command(session, "record", "edit", "school rename", [("school", school_id)])
    Screen.of(context).say(
        T_("%(id)s is called %(name)s from %(day)s on", id=school_id, name=name, day=day.isoformat())
    )


@school.command("divide")
def divide(
    context: typer.Context,
    school_id: Annotated[str, typer.Argument(metavar="ID", help="The school that labs leave.")],
    to: Annotated[str, typer.Option(help="Id of the school that they go to.")],
    lab: Annotated[list[str], typer.Option(help="Id of a lab that goes; give it for each.")],
    since: Since,
) -> None:
    """Let labs of a school belong to another one from a day on."""
    from matcher.mending.schools import move_labs

    now, day = datetime.now(UTC), since.date()
    with opened(writes=True) as session:
        moved = move_labs(session, school_id=school_id, to=to, lab_ids=lab, since=day, now=now)
        subjects = [("school", school_id), ("school", to), *(("lab", one) for one in moved)]
        note_command(session, "record", "edit", "school divide", subjects)
    Screen.of(context).say(T_("%(n)s labs belong to %(to)s from %(day)s on", n=len(moved), to=to, day=day.isoformat()))
