"""`gloria report`: a report of the ledger as a file.

In: a report's name, a day, perhaps a year and alliances. Out: a file whose
format its name tells. It exists for who hands reports on: everything that a
report says is as of the end of the given day in Taipei.
"""

from __future__ import annotations

import secrets
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from api.opening import open_reading, read_settings
from api.refusals import RefusedError
from api.screen import Screen
from indexer.wording import T_

if TYPE_CHECKING:
    from sqlmodel import Session

    from matcher.ledger.rendering.formats import ReportFormat


def report(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="Which report, such as entries; a wrong name lists all.")],
    *,
    out: Annotated[Path, typer.Option(help="The file; its end tells the format: xlsx, ods, csv, pdf, html or json.")],
    as_of: Annotated[str, typer.Option(help="The day, such as 2019-06-30. Default: today in Taipei.")] = "",
    year: Annotated[int | None, typer.Option(help="A KPI year, such as 108 or 2019. Default: all.")] = None,
    alliance: Annotated[list[str] | None, typer.Option(help="Only of this alliance; may be given again.")] = None,
    inside: Annotated[
        bool, typer.Option("--inside", help="It stays in the one alliance it is about: small counts are printed too.")
    ] = False,
    both: Annotated[bool, typer.Option("--both", help="In Chinese and English, instead of the one of --lang.")] = False,
) -> None:
    """Write a report of the ledger as XLSX, ODS, CSV, PDF, HTML or JSON."""
    from indexer.instants import day_in_taipei
    from matcher.ledger.periods import common_year
    from matcher.ledger.rendering.formats import render
    from matcher.ledger.rendering.wording import ReportLanguage
    from matcher.ledger.report_request import ReportRequest
    from matcher.ledger.reports import make_report

    screen, now = Screen.of(context), datetime.now(UTC)
    form = _format(out)
    day = _day(as_of) if as_of else day_in_taipei(now)
    with open_reading(read_settings()) as session:
        request = ReportRequest(
            as_of=day,
            now=now,
            year=None if year is None else common_year(year),
            alliances=_known(session, alliance) if alliance else None,
            stays_inside=inside,
        )
        document = make_report(session, name, request)
    language = ReportLanguage.BOTH if both else ReportLanguage(screen.language.value)
    content = render(document, form, language)
    _write(out, content)
    screen.say(T_("wrote %(out)s (%(n_content)s bytes)", out=out, n_content=f"{len(content):,}"))


def _format(out: Path) -> ReportFormat:
    from matcher.ledger.rendering.formats import ReportFormat

    ending = out.suffix.lower().removeprefix(".")
    if ending not in [form.value for form in ReportFormat]:
        raise RefusedError(
            T_(
                "--out %(out)s: the name has to end in %(suffixes)s",
                out=out,
                suffixes=", ".join("." + form for form in ReportFormat),
            )
        )
    return ReportFormat(ending)


def _day(given: str) -> date:
    try:
        return date.fromisoformat(given)
    except ValueError as error:
        raise RefusedError(T_("--as-of %(given)s: give a day such as 2019-06-30", given=given)) from error


def _known(session: Session, alliances: list[str]) -> frozenset[str]:
    from sqlmodel import col, select

    from indexer.records import Alliance

    known = set(session.exec(select(Alliance.id).where(col(Alliance.id).in_(alliances))).all())
    missing = sorted(set(alliances) - known)
    if missing:
        raise RefusedError(T_("--alliance %(missing)s: there is no such alliance", missing=missing[0]))
    return frozenset(known)


def _write(path: Path, content: bytes) -> None:
    """Write a file as a whole or not at all."""
    partial = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        partial.write_bytes(content)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
