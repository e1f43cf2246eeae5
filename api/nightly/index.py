"""The step that brings the index up to date, unless it would get worse.

In: the records and the current generation. Out: a new generation that was held
against the current one before it took its place, or one that is kept aside with
the reason. It exists because nobody looks at what the night publishes.
"""

from __future__ import annotations

from typing import Any

from api.night_runs import Said, StepState
from api.nightly.outcome import MOST_LISTED, Outcome, Work
from api.opening import open_session
from indexer.reindex import reindex
from indexer.wording import T_
from matcher.quality_check import Comparison, QualityCheck


def update_index(work: Work) -> Outcome:
    """Encode what changed and publish, if the new generation is no worse than the current one."""
    with open_session(work.settings) as session:
        check = QualityCheck(session, work.settings)
        report = reindex(session, work.settings, progress=work.tell, judge=check)
    names = ("changed", "labs", "needs", "passages", "reused", "encoded", "dropped", "encoding_s", "peak_memory_mb")
    said = report.as_dict()
    figures = {name: said[name] for name in names}
    details = {
        "generation": report.generation,
        "comparison": None if check.comparison is None else _told(check.comparison),
    }
    if report.held_back is None:
        return Outcome(figures, details=details)
    message = Said.of(
        T_(
            "the new generation %(generation)s is held back: %(held_back)s",
            generation=report.generation,
            held_back=report.held_back,
        )
    )
    return Outcome(figures, message, details, StepState.HELD)


def _told(found: Comparison) -> dict[str, Any]:
    changed = {need_id: round(change, 4) for need_id, change in found.differences.items() if abs(change) > 1e-9}
    return {
        "basis": found.basis,
        "not_compared": found.not_compared,
        "needs": found.needs,
        "ndcg_before": found.before,
        "ndcg_now": found.now,
        "upper_end": found.upper,
        "canaries": found.canaries,
        "lost": [
            {"need": one.need_id, "lab": one.lab_id, "before": one.before, "now": one.now}
            for one in found.lost[:MOST_LISTED]
        ],
        "missing_labs": list(found.missing[:MOST_LISTED]),
        "differences": dict(list(changed.items())[:MOST_LISTED]),
    }
