"""The steps that prove the ledger and write its heads down.

In: the ledger, its evidence, and the heads that were written down before. Out:
findings, none if all is well; then one more line of heads. It exists as two
steps, because a ledger that does not fit together must not be vouched for: its
heads are written down only after it was proved.
"""

from __future__ import annotations

from dataclasses import asdict

from api.night_runs import Said, StepState
from api.nightly.outcome import MOST_LISTED, Outcome, Work
from api.opening import open_reading
from indexer.wording import T_
from matcher.ledger.heads import FILE, export_heads, read_heads
from matcher.ledger.verification import verify


def prove_ledger(work: Work) -> Outcome:
    """Look at every row, and compare the chains with the heads of all nights before."""
    home = work.settings.home
    exported = read_heads(home / FILE)
    with open_reading(work.settings) as session:
        verdict = verify(session, home=home, exported=exported)
    found = len(verdict.findings)
    figures = {"entries": verdict.entries, "steps": verdict.steps, "heads_compared": len(exported), "findings": found}
    if not found:
        return Outcome(figures)
    listed = [{"check": one.check, "place": one.place, "message": _short(one.message)} for one in verdict.findings]
    said = Said.of(T_("the ledger does not fit together: %(found)s findings", found=found))
    return Outcome(figures, said, {"findings": listed[:MOST_LISTED]}, StepState.FAILED)


def _short(message: str) -> str:
    """Leave out what a driver says of a value that can't be read: it quotes it."""
    return message.partition("(")[0].strip() if "can't be read" in message else message


def write_heads(work: Work) -> Outcome:
    """Write the heads of both chains down beside the database."""
    with open_reading(work.settings) as session:
        heads = export_heads(session, work.settings.home / FILE, work.now)
    return Outcome({one.chain: one.n for one in heads}, details={"heads": [asdict(one) for one in heads]})
