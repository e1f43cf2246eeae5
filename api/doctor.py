"""`gloria doctor`: what this machine, its records and its index are like, and what to do about each problem.

In: the settings and what they point to. Out: a list of findings, and exit code
1 if one of them is a problem. It repairs nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from api.opening import read_settings
from api.screen import Screen, finish, write_document
from indexer.wording import T_

if TYPE_CHECKING:
    from api.machine_checks import Finding

_LABELS = {
    "python": "Python",
    "libraries": T_("libraries"),
    "cpu": T_("CPU"),
    "encoder": T_("encoder"),
    "sqlite": "SQLite",
    "disk": T_("disk"),
    "database": T_("database"),
    "index": T_("index"),
    "stale": T_("stale index"),
    "embeddings": T_("embeddings"),
    "exclusions": T_("exclusions"),
}
_LEVELS = {"fine": (T_("ok"), "green"), "note": (T_("note"), "yellow"), "problem": (T_("problem"), "red")}


def examine(
    context: typer.Context,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")] = False,
) -> None:
    """Check machine, records and index, and say what to do about each problem."""
    from api.machine_checks import Level, check_machine
    from api.record_checks import check_records

    screen = Screen.of(context)
    settings = read_settings()
    findings = [*check_machine(settings), *check_records(settings)]
    problems = [finding for finding in findings if finding.level is Level.PROBLEM]
    if as_json:
        write_document({"ok": not problems, "findings": [_document(screen, finding) for finding in findings]})
    else:
        for finding in findings:
            _print(screen, finding)
        said = T_("%(n_problems)s problems", n_problems=len(problems)) if problems else T_("no problem")
        screen.say(said, "bold red" if problems else "bold green")
    finish(problems)


def _document(screen: Screen, finding: Finding) -> dict[str, object]:
    return {
        "name": finding.name,
        "level": finding.level.value,
        "found": screen.text(finding.found),
        "remedy": screen.text(finding.remedy),
        "facts": finding.facts,
    }


def _print(screen: Screen, finding: Finding) -> None:
    from rich.text import Text

    from api.paragraph import Paragraph

    level, style = _LEVELS[finding.level]
    lead = Text(f"{screen.text(level)}  ", style) + Text(f"{screen.text(_LABELS[finding.name])}  ", "bold")
    screen.out.print(Paragraph(screen.text(finding.found), lead=lead))
    if finding.remedy:
        arrow = screen.text(T_("do: "))
        screen.out.print(Paragraph(screen.text(finding.remedy), indent=4, lead=Text(arrow, "bold")))
