"""`gloria dossier`: what a lab says and shows of itself, on two pages.

In: the id of a lab, a file's name. Out: the dossier as PDF or DOCX. It exists for whoever prepares a fair or a visit
and wants thirty of them: a loop in a shell makes them.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from api.commands.refusals import RefusedError
from api.commands.screen import Screen
from api.home import open_reading, read_settings
from indexer.wording import T_


def dossier(
    context: typer.Context,
    lab: Annotated[str, typer.Argument(help="The id of the lab.")],
    *,
    out: Annotated[Path, typer.Option(help="The file; its end tells the format: pdf or docx.")],
    alliance: Annotated[str, typer.Option(help="The alliance in whose name it is issued. Default: the school's.")] = "",
    both: Annotated[bool, typer.Option("--both", help="In Chinese and English, instead of the one of --lang.")] = False,
) -> None:
    """Write a lab's dossier as PDF or DOCX: two pages of what it says and shows of itself."""
    from api.routes.shortlists.handed_out import lab_dossier
    from indexer.records.record_tables import Alliance, Lab
    from matcher.ledger.rendering.report_texts import ReportLanguage

    screen, form = Screen.of(context), out.suffix.removeprefix(".").lower()
    if form not in ("pdf", "docx"):
        raise RefusedError(T_("%(out)s: give a name that ends with .pdf or .docx", out=out))
    with open_reading(read_settings()) as session:
        if session.get(Lab, lab) is None:
            raise RefusedError(T_("there is no lab %(lab_id)r", lab_id=lab))
        issuer = session.get(Alliance, alliance) if alliance else None
        if alliance and issuer is None:
            raise RefusedError(T_("there is no alliance %(alliance)s", alliance=alliance))
        handout = lab_dossier(session, lab, issuer, datetime.now(UTC))
    language = ReportLanguage.BOTH if both else ReportLanguage(screen.language.value)
    if form == "pdf":
        from matcher.handouts.paper import render_pdf as render
    else:
        from matcher.handouts.word_file import render_docx as render
    content = render(handout, language)
    try:
        out.write_bytes(content)
    except OSError as error:
        raise RefusedError(T_("can't write %(out)s: %(error)s", out=out, error=error.strerror or "")) from error
    screen.say(T_("wrote %(out)s (%(n_content)s bytes)", out=out, n_content=f"{len(content):,}"))
