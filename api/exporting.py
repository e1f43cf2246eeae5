"""`gloria export`: all rows of a kind into a file, for operators.

In: a kind and a file. Out: the file with everything there is, nothing left out or hidden. It exists beside the
server's exports, which show each person what is theirs, because who runs the service holds the database anyway and
needs whole copies.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from enum import StrEnum
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from api.opening import note_command, read_settings
from api.refusals import RefusedError
from api.screen import Screen, write_document
from indexer.wording import P_, T_

if TYPE_CHECKING:
    from sqlalchemy import Engine
    from sqlmodel import Session

    from matcher.people import Principal


class Exported(StrEnum):
    """What can be exported."""

    LABS = "labs"
    NEEDS = "needs"
    COMPANIES = "companies"
    PAIRINGS = "pairings"
    CASES = "cases"


class FileFormat(StrEnum):
    """What kind of file."""

    JSONL = "jsonl"
    CSV = "csv"
    XLSX = "xlsx"


def export(
    context: typer.Context,
    kind: Annotated[Exported, typer.Argument(help="What to export.")],
    out: Annotated[Path, typer.Option(help="The file to write; it must not exist yet.")],
    *,
    file_format: Annotated[
        FileFormat | None, typer.Option("--format", help="Otherwise told from the file's name.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")] = False,
) -> None:
    """Export everything there is of a kind, confidential texts too."""
    screen = Screen.of(context)
    chosen = file_format or next((one for one in FileFormat if out.suffix.lower() == f".{one.value}"), None)
    if chosen is None:
        raise typer.BadParameter(
            T_("name a file that ends in .jsonl, .csv or .xlsx, or add --format"), param_hint="--out"
        )
    if out.exists():
        raise RefusedError(T_("%(out)s exists already; choose another name or remove it", out=out))
    rows = _write(kind, out, chosen)
    if as_json:
        write_document({"file": str(out), "kind": kind, "format": chosen, "rows": rows})
    else:
        screen.say(T_("exported %(rows)s %(kind)s to %(out)s", rows=rows, out=out, kind=_LABELS[kind]))


_LABELS = {
    Exported.LABS: P_("export", "labs"),
    Exported.NEEDS: P_("export", "needs"),
    Exported.COMPANIES: P_("export", "companies"),
    Exported.PAIRINGS: P_("export", "pairings"),
    Exported.CASES: P_("export", "cases"),
}


def _write(kind: Exported, out: Path, chosen: FileFormat) -> int:
    """Write the file beside its place and put it there once it is whole; return how many rows it has."""
    from api.routes.exports import KEPT_KINDS, SOURCES, text_chunks
    from indexer.database import open_engine, writing
    from indexer.writers import Format, TooMuchForSheetError, write_xlsx

    source, rows, part = SOURCES[kind], 0, out.with_name(f".{out.name}.part")
    ids: list[tuple[str, object]] = []
    engine = open_engine(read_settings())
    try:

        def counted(page: list[Any]) -> list[Any]:
            nonlocal rows
            rows += len(page)
            ids.extend((KEPT_KINDS.get(kind, ""), one["id"]) for one in page)
            return page

        pages = map(counted, source.pages(_reader(engine), all_rows=True))
        # Confidential texts: for the operator's eyes only.
        with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            if chosen is FileFormat.XLSX:
                write_xlsx(file, source.sheets, chain.from_iterable(pages))
            else:
                file.writelines(text_chunks(source, Format(chosen), pages))
        if kind in KEPT_KINDS:
            with writing(engine) as session:
                note_command(session, KEPT_KINDS[kind], "list", "export", ids, seen=True)
        part.rename(out)
    except TooMuchForSheetError as error:
        raise RefusedError(str(error)) from error
    finally:
        part.unlink(missing_ok=True)
        engine.dispose()
    return rows


def _reader(engine: Engine) -> Callable[[Callable[[Session, Principal], Any]], Any]:
    from sqlmodel import select

    from indexer.database import reading
    from indexer.records import Alliance
    from matcher.people import Principal
    from matcher.roles import Role

    def read(work: Callable[[Session, Principal], Any]) -> Any:
        with reading(engine) as session:
            # The operator sees what the lead of every alliance sees.
            grants = frozenset(
                (Role.LEAD, alliance_id) for alliance_id in ("", *session.exec(select(Alliance.id)).all())
            )
            return work(session, Principal("operator", "operator", grants, frozenset()))

    return read
