"""The step that takes down the programme's figures, and what has changed of them since the night before.

In: the ledger as of the day. Out: for each alliance and figure what is
recognised and what is in review, and by how much that differs from the last
night that took them down. It exists because a figure that moved unexpectedly
should be seen the next morning and not in the quarterly report.
"""

from __future__ import annotations

from typing import Any

import orjson

from api.night_runs import night_ids, night_path
from api.nightly.outcome import Outcome, Work
from api.opening import open_reading
from indexer.durable_files import write_whole
from matcher.ledger.entries import WHOLE_BP
from matcher.ledger.figures import Figures, Status, end_of, figures
from matcher.ledger.kpis import KPI_FACTS, Kpi

FILE = "figures.json"
SHOWN = (Status.ACTUAL, Status.IN_REVIEW)

Amounts = dict[str, dict[str, dict[str, int]]]
"""Units × basis points by alliance, figure and status."""


def take_down_figures(work: Work) -> Outcome:
    """Fold the ledger, keep the sums with the night, and compare them with the last ones."""
    with open_reading(work.settings) as session:
        amounts = _amounts(figures(session, as_of=end_of(work.today)))
    write_whole(work.folder / FILE, orjson.dumps({"day": work.today, "amounts": amounts}))
    day, before = _earlier(work)
    rows = _rows(amounts, before)
    changed = sum(1 for row in rows if row["change"] not in (None, 0))
    return Outcome(
        {"alliances": len(amounts), "rows": len(rows), "changed": changed}, details={"since": day, "rows": rows}
    )


def _amounts(folded: Figures) -> Amounts:
    found: Amounts = {}
    for alliance in folded.alliances():
        of_alliance = {}
        for kpi in Kpi:
            sums = {status.value: folded.amount_bp(kpi, alliance=alliance, status=status) for status in Status}
            if any(sums.values()):
                of_alliance[kpi.value] = sums
        found[alliance] = of_alliance
    return found


def _earlier(work: Work) -> tuple[str | None, Amounts | None]:
    """Return the day and the sums of the last night that took them down."""
    for night_id in night_ids(work.settings.home):
        if night_id == work.night.id:
            continue
        try:
            kept = orjson.loads((night_path(work.settings.home, night_id) / FILE).read_bytes())
            return kept["day"], kept["amounts"]
        except (OSError, orjson.JSONDecodeError, KeyError, TypeError):
            continue
    return None, None


def _rows(amounts: Amounts, before: Amounts | None) -> list[dict[str, Any]]:
    """Return a row for each figure of each alliance that is there, or was."""
    rows = []
    for alliance in sorted({*amounts, *(before or {})}):
        now, then = amounts.get(alliance, {}), (before or {}).get(alliance, {})
        for kpi in Kpi:
            if kpi.value not in now and kpi.value not in then:
                continue
            sums, old = now.get(kpi.value, {}), then.get(kpi.value, {})
            zh, en = KPI_FACTS[kpi].label.both
            row: dict[str, Any] = {"alliance": alliance, "kpi": kpi.value, "zh": zh, "en": en}
            row |= {status.value: _units(sums.get(status.value, 0)) for status in SHOWN}
            actual = Status.ACTUAL.value
            row["change"] = None if before is None else _units(sums.get(actual, 0) - old.get(actual, 0))
            rows.append(row)
    return rows


def _units(amount_bp: int) -> int | float:
    """Return an amount in the figure's own unit; an alliance's share of one may be a fraction."""
    whole, rest = divmod(amount_bp, WHOLE_BP)
    return amount_bp / WHOLE_BP if rest else whole
