"""The step that proves the audit trail, and that it only grew since the nights before.

In: the trail, and the heads that earlier nights noted. Out: findings, none if all is well, and tonight's head. It
exists because a chain whose end was cut off fits together as well as before: only a head that was noted elsewhere
shows that rows are gone, and the folders of nights are such a place.
"""

from __future__ import annotations

from api.audit_trail import AuditRow, verify
from api.night_runs import Said, StepState, read_nights
from api.nightly.outcome import MOST_LISTED, Outcome, Work
from api.opening import open_reading
from indexer.wording import T_

STEP = "audit"


def prove_audit_trail(work: Work) -> Outcome:
    """Recompute every row, and look for the last rows of all nights before."""
    noted = _noted_heads(work)
    with open_reading(work.settings) as session:
        verdict = verify(session)
        kept = {n: row.hash for n in noted if (row := session.get(AuditRow, n)) is not None}
    gone = [n for n, value in sorted(noted.items()) if kept.get(n) != value]
    findings = [*verdict.findings, *(f"row {n} is not the one that an earlier night noted" for n in gone)]
    figures = {"rows": verdict.rows, "heads_compared": len(noted), "findings": len(findings)}
    if not findings:
        return Outcome(figures, details={"head": {"n": verdict.rows, "hash": verdict.head}})
    said = Said.of(T_("the audit trail does not fit together: %(n_findings)s findings", n_findings=len(findings)))
    return Outcome(figures, said, {"findings": findings[:MOST_LISTED]}, StepState.FAILED)


def _noted_heads(work: Work) -> dict[int, str]:
    """Return number and hash of the last row of each night that is kept; nights of an empty trail noted none."""
    heads = [
        step.details["head"]
        for night in read_nights(work.settings.home)
        for step in night.steps
        if step.name == STEP and "head" in step.details
    ]
    return {head["n"]: head["hash"] for head in heads if head["n"]}
