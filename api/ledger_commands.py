"""`gloria ledger`: prove the ledger, hand it over, keep its heads.

In: the database, or a file that was exported from one. Out: findings, with exit
code 1 if there are any; files. It exists so that nobody has to believe the
figures: who runs the machine verifies every row, and who has only a file
recomputes it.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from api.opening import open_reading, read_settings
from api.refusals import RefusedError
from api.screen import Screen, finish, write_document
from indexer.wording import T_

ledger = typer.Typer(no_args_is_help=True, help="The ledger of results: prove it, export it, keep its heads.")

AsJson = Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")]


@ledger.command("verify")
def verify(context: typer.Context, *, as_json: AsJson = False) -> None:
    """Look at every row: chains, shares, keys, steps, totals of closed quarters, exported heads, files of evidence.

    Ends with exit code 1 if anything is not as it must be.
    """
    from matcher.ledger.heads import FILE, read_heads
    from matcher.ledger.verification import verify as verify_ledger

    settings = read_settings()
    exported = read_heads(settings.home / FILE)
    with open_reading(settings) as session:
        verdict = verify_ledger(session, home=settings.home, exported=exported)
    findings = [{"check": one.check, "place": one.place, "message": one.message} for one in verdict.findings]
    if as_json:
        said = {"entries": verdict.entries, "steps": verdict.steps, "heads": dict(verdict.heads), "findings": findings}
        write_document({**said, "exported_heads": len(exported)})
    else:
        _tell(context, {"entries": verdict.entries, "steps": verdict.steps}, dict(verdict.heads), len(exported))
        _complain(context, [_finding(f"{one['check']}: {one['place']}", one["message"]) for one in findings])
    finish(findings)


@ledger.command("export")
def export(
    context: typer.Context, *, out: Annotated[Path, typer.Option(help="The file, such as ledger.jsonl.")]
) -> None:
    """Write every row in its canonical form, so that an outsider can recompute both chains.

    Each line is {"chain": "entries" or "steps", "row": {...}}, by chain and number; the last two are {"head": {...}}.
    A row's hash is the SHA-256, in hexadecimal, over the row without "hash", as JSON in UTF-8 with sorted keys and
    no blanks. "prev_hash" is the hash of the row before it, 64 zeros for the first. "seq" counts from 1 without a gap.
    Moments are in UTC with microseconds, shares in basis points, amounts in whole units. Names of people are not part
    of it. Check it with: gloria ledger check FILE
    """
    from matcher.ledger.exporting import export_lines

    rows = 0
    with open_reading(read_settings()) as session, out.open("wb") as file:
        for line in export_lines(session, datetime.now(UTC)):
            file.write(line)
            rows += 1
    Screen.of(context).say(T_("wrote %(out)s (%(rows)s lines)", out=out, rows=f"{rows:,}"))


@ledger.command("check")
def check(
    context: typer.Context,
    path: Annotated[Path, typer.Argument(metavar="FILE", help="A file that gloria ledger export wrote.")],
    *,
    heads: Annotated[
        Path | None, typer.Option(help="Heads that were kept, one JSON object a line, such as ledger-heads.jsonl.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Recompute an exported ledger; needs no database. Ends with exit code 1 if it does not fit together."""
    from matcher.ledger.export_check import check_export

    kept = [] if heads is None else _read_kept(heads)
    with path.open("rb") as file:
        checked = check_export(file, kept=kept)
    if as_json:
        findings = [{"line": one.line, "message": one.message} for one in checked.findings]
        write_document({**checked.rows, "heads": checked.heads, "findings": findings, "kept_heads": len(kept)})
    else:
        _tell(context, checked.rows, checked.heads, len(kept))
        _complain(context, [_finding(f"{path.name}:{one.line}", one.message) for one in checked.findings])
    finish(checked.findings)


@ledger.command("heads")
def export_the_heads(context: typer.Context, *, as_json: AsJson = False) -> None:
    """Write the heads of both chains down in GLORIA_HOME/ledger-heads.jsonl; keep copies of it elsewhere.

    A ledger that was cut off or rewritten no longer contains them: gloria ledger verify says so.
    """
    from dataclasses import asdict

    from matcher.ledger.heads import FILE, export_heads

    settings = read_settings()
    with open_reading(settings) as session:
        heads = export_heads(session, settings.home / FILE, datetime.now(UTC))
    if as_json:
        write_document({"file": str(settings.home / FILE), "heads": [asdict(head) for head in heads]})
        return
    screen = Screen.of(context)
    for head in heads:
        screen.out.print(f"{head.chain} {head.n} {head.hash}", soft_wrap=True)
    screen.note(T_("written down in %(home)s", home=settings.home / FILE))


def _read_kept(path: Path) -> list[dict[str, Any]]:
    import orjson

    kept = []
    for number, line in enumerate(path.read_bytes().splitlines(), start=1):
        try:
            head = orjson.loads(line)
            kept.append({"chain": str(head["chain"]), "n": int(head["n"]), "hash": str(head["hash"])})
        except (ValueError, TypeError, KeyError) as error:
            raise RefusedError(
                T_("%(name)s:%(number)s is not a head; give chain, n and hash", name=path.name, number=number)
            ) from error
    return kept


def _tell(context: typer.Context, rows: dict[str, int], heads: dict[str, str], kept: int) -> None:
    screen = Screen.of(context)
    screen.say(
        T_(
            "%(entries)s entries, %(steps)s steps, compared with %(kept)s heads that were kept",
            entries=f"{rows['entries']:,}",
            steps=f"{rows['steps']:,}",
            kept=f"{kept:,}",
        ),
    )
    for chain, head in heads.items():
        screen.out.print(f"{chain} {head}", soft_wrap=True)


def _finding(place: str, message: str) -> str:
    return T_("%(place)s: %(msg)s", place=place, msg=message)


def _complain(context: typer.Context, findings: list[str]) -> None:
    screen = Screen.of(context)
    for finding in findings:
        screen.complain(finding)
    if findings:
        screen.complain(screen.text(T_("%(n_findings)s findings", n_findings=len(findings))))
    else:
        screen.say(T_("everything fits"), "green")
