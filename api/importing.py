"""`gloria import` and `gloria synth`: files of records in, and files of invented records out.

In: files as people have them. Out: what was created, updated, left alone and
refused, each refused row with its place in the file. A file is one
transaction; a file that can't be read does not stop the others.
"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from api.opening import note_command, open_session, read_settings
from api.refusals import RefusedError, refusal
from api.screen import Screen, finish, write_document
from indexer.vocabulary import Kind
from indexer.wording import T_

if TYPE_CHECKING:
    from sqlmodel import Session

    from indexer.importing import ImportReport


def import_records(
    context: typer.Context,
    files: Annotated[list[Path] | None, typer.Argument(help="JSONL, CSV or XLSX files.")] = None,
    *,
    kind: Annotated[Kind | None, typer.Option(help="What the rows are; otherwise told from the file.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would happen; write nothing.")] = False,
    alliance: Annotated[
        str | None, typer.Option(help="Id of an alliance: new needs come in to it, new companies join its portfolio.")
    ] = None,
    template: Annotated[Path | None, typer.Option(help="Write a template (.xlsx or .csv) to fill in instead.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")] = False,
) -> None:
    """Import records; a second import of the same file changes nothing."""
    screen = Screen.of(context)
    if bool(files) == bool(template):
        raise typer.BadParameter(T_("give files to import, or --template with a file to write"), param_hint="FILE")
    if template is not None:
        _write_template(screen, template, kind, as_json)
        return
    documents = []
    with open_session(read_settings(), writes=not dry_run) as session:
        for path in files or []:
            documents.append(_import_one(screen, session, path, kind, dry_run, alliance, quiet=as_json))
    if as_json:
        write_document({"dry_run": dry_run, "files": documents})
    finish(any(document["refused"] or document["errors"] for document in documents))


def _import_one(
    screen: Screen, session: Session, path: Path, kind: Kind | None, dry_run: bool, alliance: str | None, *, quiet: bool
) -> dict[str, object]:
    from datetime import UTC, datetime

    from api.audit_trail import subjects_imported
    from indexer.importing import import_file
    from matcher.arrivals import hand_over

    try:
        report = import_file(session, path, kind, dry_run)
    except OSError as error:
        told = refusal(error)
        screen.complain(told.message if told else str(error))
        return {"file": str(path), "error": told.message if told else str(error), "refused": 0, "errors": 1}
    if alliance is not None and not dry_run:
        hand_over(session, report, alliance_id=alliance, by=None, expert_id=None, now=datetime.now(UTC))
    subjects = [] if dry_run else subjects_imported(report)
    if subjects:
        note_command(session, "import", "create", "import", [(one.kind, one.id) for one in subjects])
    session.commit()
    return _reported(screen, path, report, dry_run, quiet=quiet)


def _reported(screen: Screen, path: Path, report: ImportReport, dry_run: bool, *, quiet: bool) -> dict[str, object]:
    for problem in report.problems:
        screen.complain(str(problem), "yellow" if problem.severity == "warning" else "red")
    if not quiet and report.kind is not None:
        counts = T_(
            "%(created)s created, %(updated)s updated, %(unchanged)s unchanged, %(refused)s refused",
            created=report.created,
            updated=report.updated,
            unchanged=report.unchanged,
            refused=report.refused,
        )
        tried = T_(" (dry run, nothing written)") if dry_run else ""
        screen.say(
            T_("%(name)s %(kind)s: %(counts)s%(tried)s", name=path.name, kind=report.kind, counts=counts, tried=tried)
        )
    return {
        "file": str(path),
        "kind": report.kind,
        "created": report.created,
        "updated": report.updated,
        "unchanged": report.unchanged,
        "refused": report.refused,
        "errors": len(report.errors),
        "problems": [asdict(problem) for problem in report.problems],
    }


def _write_template(screen: Screen, path: Path, kind: Kind | None, as_json: bool) -> None:
    from indexer.readers import kind_in_name
    from indexer.templates import write_template

    kind = kind or kind_in_name(path.stem)
    if kind is None:
        raise RefusedError(
            T_("%(name)s does not name a kind; add --kind, one of %(kind)s", name=path.name, kind=", ".join(Kind))
        )
    if path.exists():
        raise RefusedError(
            T_("%(path)s exists already and may be filled in; choose another name or remove it", path=path)
        )
    try:
        write_template(path, kind)
    except ValueError as error:
        raise RefusedError(T_("%(name)s: %(error)s", name=path.name, error=error)) from error
    if as_json:
        write_document({"template": str(path), "kind": kind})
    else:
        screen.say(T_("wrote the template %(path)s (%(kind)s)", path=path, kind=kind))


def synthesise(
    context: typer.Context,
    labs: Annotated[int, typer.Option(min=1, help="How many labs.")],
    needs: Annotated[int, typer.Option(min=1, help="How many needs.")],
    out: Annotated[Path, typer.Option(help="Folder to write to.")],
    seed: Annotated[int, typer.Option(help="The same seed gives the same files.")] = 106,
) -> None:
    """Write synthetic records for load tests; they say nothing about quality."""
    from fixtures.synthetic import generate

    screen = Screen.of(context)
    for path in generate(labs=labs, needs=needs, out=out, seed=seed):
        screen.out.print(str(path), soft_wrap=True)
