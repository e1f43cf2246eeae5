"""`gloria audit verify`: prove that nobody rewrote who saw and did what.

In: the database. Out: how many rows there are, the last one's hash to keep elsewhere, and findings, with exit code 1 if
there are any. It exists because a trail is worth what its proof is worth.
"""

from __future__ import annotations

from typing import Annotated

import typer

from api.opening import open_reading, read_settings
from api.screen import Screen, finish, write_document
from indexer.wording import T_

audit = typer.Typer(no_args_is_help=True, help="The audit trail: who saw and did what.")


@audit.callback()
def group() -> None:
    """Look after the audit trail."""


@audit.command("verify")
def verify(
    context: typer.Context,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")] = False,
) -> None:
    """Recompute every row of the audit trail: numbers without a gap, hashes, subjects. Exit code 1 if one is wrong."""
    from api.audit_trail import verify as verify_trail

    with open_reading(read_settings()) as session:
        verdict = verify_trail(session)
    if as_json:
        write_document({"rows": verdict.rows, "head": verdict.head, "findings": list(verdict.findings)})
    else:
        screen = Screen.of(context)
        screen.say(T_("%(rows)s rows of the audit trail", rows=f"{verdict.rows:,}"))
        screen.out.print(f"audit {verdict.head}", soft_wrap=True)
        for finding in verdict.findings:
            screen.complain(finding)
        if not verdict.findings:
            screen.say(T_("everything fits"), "green")
    finish(verdict.findings)
