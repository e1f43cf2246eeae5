"""In which order what waits is done: what is late, then what is due, and of two of a day the one with more at stake.

In: a thing that waits for an expert, since when, the day that somebody named for it if any, whether a case hangs on it
and what member its company is. Out: the day by which it should be done, how that day lies to today, and its place in
the one list. It exists as the one place that says how long an alliance lets people wait: the desk, its counts and what
the guide promises all read `WITHIN_DAYS`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum

from indexer.vocabulary import Tier
from indexer.wording import T_, Text


class Task(StrEnum):
    """A kind of thing that waits for an expert."""

    ANSWER = "answer"
    FOLLOW_UP = "follow_up"
    VISIT = "visit"
    RETURNED_RESULT = "returned_result"
    NEW_NEED = "new_need"
    CLIENT_REQUEST = "client_request"
    TO_MATCH = "to_match"
    DEFERRED = "deferred"
    TO_REVIEW = "to_review"
    SILENT_CASE = "silent_case"
    SILENT_COMPANY = "silent_company"


TASK_LABELS: Mapping[Task, Text] = {
    Task.ANSWER: T_("answers and questions"),
    Task.FOLLOW_UP: T_("next steps"),
    Task.VISIT: T_("joint visits"),
    Task.RETURNED_RESULT: T_("returned results"),
    Task.NEW_NEED: T_("new needs"),
    Task.CLIENT_REQUEST: T_("requests of other alliances"),
    Task.TO_MATCH: T_("needs without labs"),
    Task.DEFERRED: T_("deferred pairings"),
    Task.TO_REVIEW: T_("pairings to decide"),
    Task.SILENT_CASE: T_("silent cases"),
    Task.SILENT_COMPANY: T_("silent companies"),
}
"""Each kind in Chinese and English."""

WITHIN_DAYS: Mapping[Task, int] = {
    Task.ANSWER: 2,
    Task.FOLLOW_UP: 0,
    Task.VISIT: 7,
    Task.RETURNED_RESULT: 7,
    Task.NEW_NEED: 3,
    Task.CLIENT_REQUEST: 3,
    Task.TO_MATCH: 7,
    Task.DEFERRED: 0,
    Task.TO_REVIEW: 7,
    Task.SILENT_CASE: 0,
    Task.SILENT_COMPANY: 0,
}
"""By how many days after it began to wait each should be done; 0 where a day is named or what waits is late already."""
SOON_DAYS = 7


class When(StrEnum):
    """How the day by which something should be done lies to today."""

    OVERDUE = "overdue"
    TODAY = "today"
    SOON = "soon"
    LATER = "later"


WHEN_LABELS: Mapping[When, Text] = {
    When.OVERDUE: T_("Overdue"),
    When.TODAY: T_("Due today"),
    When.SOON: T_("Within seven days"),
    When.LATER: T_("Later"),
}
"""Each in Chinese and English."""

_CASE_STAKE = 4
_TIER_STAKE: Mapping[Tier, int] = {Tier.NONE: 0, Tier.DOMESTIC: 1, Tier.INTERNATIONAL: 2, Tier.GOLD: 3}


@dataclass(frozen=True)
class Urgency:
    """By when something should be done, how that lies to today, and what is at stake: more is more."""

    due_on: date
    when: When
    stake: int

    @property
    def order(self) -> tuple[int, int, date]:
        """Return what things are sorted by, the most urgent first."""
        return list(When).index(self.when), -self.stake, self.due_on


def urgency(
    task: Task,
    today: date,
    *,
    since: date,
    named: date | None = None,
    deadline: date | None = None,
    has_case: bool = False,
    tier: Tier = Tier.NONE,
) -> Urgency:
    """Return how urgent something is.

    Args:
        task: what waits.
        today: the day in Taipei.
        since: the day on which it began to wait.
        named: the day that somebody named for it: of a next step, of a deferred pairing.
        deadline: the company's own deadline; nothing about a need is due later than that.
        has_case: whether an open case hangs on it.
        tier: what member its company is.
    """
    due_on = named or since + timedelta(days=WITHIN_DAYS[task])
    if deadline is not None:
        due_on = min(due_on, max(deadline, since))
    return Urgency(due_on, _when(due_on, today), has_case * _CASE_STAKE + _TIER_STAKE[tier])


def _when(due_on: date, today: date) -> When:
    if due_on < today:
        return When.OVERDUE
    if due_on == today:
        return When.TODAY
    return When.SOON if due_on <= today + timedelta(days=SOON_DAYS) else When.LATER
