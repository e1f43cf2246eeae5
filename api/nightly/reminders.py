"""The step that counts what waits for somebody.

In: needs, pairings, cases and contacts. Out: for each alliance how much waits,
ids and numbers alone. It exists because a desk shows it only to whoever opens
the desk.
"""

from __future__ import annotations

from api.nightly.outcome import Outcome, Work
from api.opening import open_reading
from matcher.reminders import REMINDER_LABELS, reminders, totals


def count_reminders(work: Work) -> Outcome:
    """Count what waits, by alliance."""
    with open_reading(work.settings) as session:
        counts = reminders(session, now=work.now)
    rows = [
        {
            "alliance": alliance,
            "reminder": one.value,
            "zh": REMINDER_LABELS[one].zh,
            "en": REMINDER_LABELS[one].en,
            "n": n,
        }
        for alliance, of_alliance in counts.items()
        for one, n in of_alliance.items()
    ]
    return Outcome(totals(counts), details={"rows": rows})
