"""`gloria import --from`: what registers and reference managers know, into a home.

In: the name of a source and its files as they were downloaded. Out: labs, schools, companies, needs and evidence in
the database, and of every file what was taken, what was known already, what is nobody's here. It exists so that a
school begins with what ORCID, OpenAlex or its own research system already has, and types nothing twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from api.commands.refusals import RefusedError, refusal
from api.commands.screen import Screen, finish, write_document
from api.home import note_command, open_session, read_settings
from indexer.wording import T_

if TYPE_CHECKING:
    from indexer.sources.bringing_in import SourceReport


def bring_in_files(
    screen: Screen, source: str, files: Sequence[Path], *, lab_id: str | None, dry_run: bool, as_json: bool
) -> None:
    """Bring files of a source in, as one transaction.

    Raises:
        typer.BadParameter: there is no such source.
        typer.Exit: with code 1 if a file or an entry was refused.
    """
    from api.trail.audit_trail import subjects_imported
    from indexer.sources.bringing_in import SOURCES, bring_in

    if source not in SOURCES:
        known = ", ".join(SOURCES)
        raise typer.BadParameter(T_("give one of %(known)s", known=known), param_hint="--from")
    with open_session(read_settings(), writes=not dry_run) as session:
        try:
            report = bring_in(session, source, files, lab_id=lab_id, dry_run=dry_run)
        except OSError as error:
            told = refusal(error)
            screen.complain(told.message if told else str(error))
            raise typer.Exit(1) from None
        subjects = [] if dry_run else [one for imported in report.imports for one in subjects_imported(imported)]
        if subjects:
            note_command(session, "import", "create", f"import from {source}", [(one.kind, one.id) for one in subjects])
        session.commit()
    _say(screen, report, dry_run, quiet=as_json)
    if as_json:
        write_document({"dry_run": dry_run, "at": datetime.now(UTC).isoformat(), **_document(report)})
    finish(any(problem.severity == "error" for problem in report.problems))


def fetched(screen: Screen, source: str, identifiers: Sequence[str], contact: str | None, *, quiet: bool) -> list[Path]:
    """Return the files of some identifiers, asked of their register or kept from an earlier visit.

    Raises:
        RefusedError: the register can't be asked, or does not answer.
    """
    from indexer.sources.fetching import FetchError, Fetching

    settings = read_settings()
    folder = settings.home / "fetched"
    try:
        visit = Fetching(contact or settings.mail_from, folder, settings.registers_url)
        found = visit.fetch(source, identifiers)
    except FetchError as error:
        raise RefusedError(str(error)) from error
    if not quiet:
        screen.say(T_("fetched %(n)s files into %(folder)s", n=len(found), folder=folder), "dim")
    return found


def _say(screen: Screen, report: SourceReport, dry_run: bool, *, quiet: bool) -> None:
    for problem in report.problems:
        screen.complain(str(problem), "yellow" if problem.severity == "warning" else "red")
    if quiet:
        return
    tried = T_(" (dry run, nothing written)") if dry_run else ""
    screen.say(T_("%(entries)s entries read%(tried)s", entries=f"{report.entries:,}", tried=tried))
    for imported in report.imports:
        screen.say(
            T_(
                "%(kind)s: %(created)s created, %(updated)s updated, %(unchanged)s unchanged, %(refused)s refused",
                kind=imported.kind,
                created=imported.created,
                updated=imported.updated,
                unchanged=imported.unchanged,
                refused=imported.refused,
            )
        )
    if report.works or report.known or report.nobodys:
        screen.say(
            T_(
                "works: %(works)s added as evidence, %(known)s known already, %(nobodys)s of no lab here",
                works=report.works,
                known=report.known,
                nobodys=report.nobodys,
            )
        )
    if report.kept:
        screen.say(T_("%(kept)s stored values differ from the source and stay as they are", kept=report.kept))


def _document(report: SourceReport) -> dict[str, object]:
    return {
        "source": report.source,
        "files": report.files,
        "entries": report.entries,
        "works": {"added": report.works, "known": report.known, "nobodys": report.nobodys},
        "kept": report.kept,
        "records": [
            {
                "kind": imported.kind,
                "created": imported.created,
                "updated": imported.updated,
                "unchanged": imported.unchanged,
                "refused": imported.refused,
            }
            for imported in report.imports
        ],
        "problems": [asdict(problem) for problem in report.problems],
    }
