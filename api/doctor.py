"""`gloria doctor`: what this machine, its records and its index are like, and what to do about each problem.

In: the settings and what they point to. Out: a list of findings, and exit code
1 if one of them is a problem. It repairs nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from api.opening import read_settings
from api.screen import Screen, finish, write_document

if TYPE_CHECKING:
    from api.machine_checks import Finding

_LABELS = {
    "python": ("Python", "Python"),
    "libraries": ("套件", "libraries"),
    "cpu": ("處理器", "CPU"),
    "encoder": ("編碼器", "encoder"),
    "sqlite": ("SQLite", "SQLite"),
    "disk": ("磁碟", "disk"),
    "database": ("資料庫", "database"),
    "index": ("索引", "index"),
    "stale": ("索引過期", "stale index"),
    "embeddings": ("向量快取", "embeddings"),
    "exclusions": ("排除名單", "exclusions"),
}
_LEVELS = {"fine": ("正常", "ok", "green"), "note": ("提醒", "note", "yellow"), "problem": ("問題", "problem", "red")}


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
        zh, en = (f"{len(problems)} 個問題", f"{len(problems)} problems") if problems else ("沒有問題", "no problem")
        screen.say(zh, en, "bold red" if problems else "bold green")
    finish(problems)


def _document(screen: Screen, finding: Finding) -> dict[str, object]:
    return {
        "name": finding.name,
        "level": finding.level.value,
        "found": screen.text(*finding.found),
        "remedy": screen.text(*finding.remedy),
        "facts": finding.facts,
    }


def _print(screen: Screen, finding: Finding) -> None:
    from rich.text import Text

    from api.paragraph import Paragraph

    zh, en, style = _LEVELS[finding.level]
    lead = Text(f"{screen.text(zh, en)}  ", style) + Text(screen.text(*_LABELS[finding.name]) + "  ", "bold")
    screen.out.print(Paragraph(screen.text(*finding.found), lead=lead))
    if finding.remedy[0]:
        arrow = screen.text("處理：", "do: ")
        screen.out.print(Paragraph(screen.text(*finding.remedy), indent=4, lead=Text(arrow, "bold")))
