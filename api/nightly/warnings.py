"""The step that says which warnings are due; a person gives them.

In: targets, their pace and the figures of the day. Out: a warning that is
proposed, a plan that is missing or overdue, a warning that may be lifted, for
each alliance and figure. It exists because nobody watches every alliance's pace
every day.
"""

from __future__ import annotations

from sqlmodel import col, select

from api.nightly.outcome import MOST_LISTED, Outcome, Work
from api.opening import open_reading
from indexer.records import Alliance
from matcher.ledger.figures import end_of
from matcher.ledger.standings import FINDING_LABELS, Finding, findings, readings_on, standings


def propose_warnings(work: Work) -> Outcome:
    """Read every alliance's targets against their pace."""
    with open_reading(work.settings) as session:
        alliances = list(session.exec(select(Alliance.id).order_by(col(Alliance.id))).all())
        book, read = readings_on(session, alliances, work.today)
        found = findings(read, standings(session, as_of=end_of(work.today), alliances=alliances), work.today)
    counts = {one.value: sum(item.finding is one for item in found) for one in Finding}
    listed = [
        {
            "alliance": one.alliance,
            "kpi": one.kpi.value,
            "finding": one.finding.value,
            "zh": FINDING_LABELS[one.finding].zh,
            "en": FINDING_LABELS[one.finding].en,
        }
        for one in found[:MOST_LISTED]
    ]
    return Outcome({"alliances": len(alliances), **counts}, details={"book": book, "findings": listed})
