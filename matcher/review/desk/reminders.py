"""What waits for somebody, counted for each alliance and each expert: the desk's lists as the night sees them.

In: the records and a day. Out: counts for each alliance, and for needs that
belong to none; within alliances, for each of their people. It exists because
a desk shows what waits only to whoever opens it: the night's report says where
nobody does. Ids and numbers alone, no texts.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import Any

from sqlalchemy import exists, or_, select
from sqlmodel import Session, col, func

from indexer.instants import day_in_taipei
from indexer.records.mended.retired import in_use
from indexer.vocabulary import Mendable
from indexer.wording import T_
from matcher.review.cases import OPEN_STAGES, Case, Contact
from matcher.review.clients import Client
from matcher.review.desk.handing_on import HANDED
from matcher.review.intake import OPEN_STATES, NeedIntake, NeedState
from matcher.review.joint.visits import DiagnosisVisit, visit_is_due
from matcher.review.proposals import PairingState, StoredPairing

SILENT_DAYS = 60
"""After so many days without a contact a case or a company counts as silent, unless somebody asks otherwise."""
UNASSIGNED = ""
"""Stands for no alliance."""


class Reminder(StrEnum):
    """Something that waits."""

    NEW_NEEDS = "new_needs"
    NEEDS_TO_MATCH = "needs_to_match"
    NEEDS_TO_REVIEW = "needs_to_review"
    DEFERRED_DUE = "deferred_due"
    FOLLOW_UPS_DUE = "follow_ups_due"
    CASES_WITHOUT_CONTACT = "cases_without_contact"
    SILENT_COMPANIES = "silent_companies"
    VISITS_DUE = "visits_due"


REMINDER_LABELS = {
    Reminder.NEW_NEEDS: T_("needs that nobody took up"),
    Reminder.NEEDS_TO_MATCH: T_("needs taken up, not matched yet"),
    Reminder.NEEDS_TO_REVIEW: T_("needs whose pairings wait for a word"),
    Reminder.DEFERRED_DUE: T_("deferred pairings that are due again"),
    Reminder.FOLLOW_UPS_DUE: T_("next steps that are due"),
    Reminder.CASES_WITHOUT_CONTACT: T_("open cases without contact for long"),
    Reminder.SILENT_COMPANIES: T_("companies without contact for long"),
    Reminder.VISITS_DUE: T_("joint visits that are due or without a report"),
}
"""Each reminder in Chinese and English."""

Counts = dict[str, dict[Reminder, int]]
_OPEN = [state.value for state in OPEN_STATES]
_OPEN_CASES = [stage.value for stage in OPEN_STAGES]


def reminders(session: Session, *, now: datetime, silent_days: int = SILENT_DAYS) -> Counts:
    """Return for each alliance (`UNASSIGNED`: for none) how much waits; what does not wait is left out.

    Args:
        session: one state of the database.
        now: the moment; days are those of Taipei.
        silent_days: after so many days without a contact a case or a company counts as silent.
    """
    return _counted(session, _queries(now, silent_days, by_expert=False))


def loads(
    session: Session, alliances: Collection[str], *, now: datetime, silent_days: int = SILENT_DAYS
) -> dict[str, dict[Reminder, int]]:
    """Return for each expert of some alliances (`UNASSIGNED`: nobody's yet) how much waits, as `reminders` counts it.

    A need is whose who took it up or was given it, a case whose owner's or whose it was handed to, a company whose who
    calls it; a next step waits for whoever planned it.
    """
    queries = _queries(now, silent_days, by_expert=True)
    chosen = {one: query.where(_ALLIANCE[one].in_(alliances)) for one, query in queries.items()}
    return _counted(session, chosen)


_ALLIANCE: dict[Reminder, Any] = {
    Reminder.NEW_NEEDS: col(NeedIntake.alliance_id),
    Reminder.NEEDS_TO_MATCH: col(NeedIntake.alliance_id),
    Reminder.NEEDS_TO_REVIEW: col(NeedIntake.alliance_id),
    Reminder.DEFERRED_DUE: col(NeedIntake.alliance_id),
    Reminder.FOLLOW_UPS_DUE: col(Contact.alliance_id),
    Reminder.CASES_WITHOUT_CONTACT: col(Case.alliance_id),
    Reminder.SILENT_COMPANIES: col(Client.alliance_id),
    Reminder.VISITS_DUE: col(DiagnosisVisit.alliance_id),
}
"""Whose each is."""
_EXPERT: dict[Reminder, Any] = {
    Reminder.NEW_NEEDS: col(NeedIntake.expert_id),
    Reminder.NEEDS_TO_MATCH: col(NeedIntake.expert_id),
    Reminder.NEEDS_TO_REVIEW: col(NeedIntake.expert_id),
    Reminder.DEFERRED_DUE: col(NeedIntake.expert_id),
    Reminder.FOLLOW_UPS_DUE: col(Contact.by),
    Reminder.CASES_WITHOUT_CONTACT: func.coalesce(HANDED.c.given_to, col(Case.owner_id)),
    Reminder.SILENT_COMPANIES: col(Client.expert_id),
    Reminder.VISITS_DUE: col(DiagnosisVisit.by),
}
"""For whom of an alliance each waits."""


def _counted(session: Session, queries: Mapping[Reminder, Any]) -> Counts:
    found: defaultdict[str, dict[Reminder, int]] = defaultdict(dict)
    for reminder, query in queries.items():
        for whose, n in session.execute(query).all():
            if n:
                found[whose or UNASSIGNED][reminder] = int(n)
    return dict(sorted(found.items()))


def _queries(now: datetime, silent_days: int, *, by_expert: bool) -> dict[Reminder, Any]:
    """Return the query of each reminder: whose, and how much."""
    today = day_in_taipei(now)
    before, long_ago = today - timedelta(days=silent_days), now - timedelta(days=silent_days)
    whose = _EXPERT if by_expert else _ALLIANCE
    state, until = col(StoredPairing.state), col(StoredPairing.deferred_until)
    proposed = state == PairingState.PROPOSED.value
    is_due = (state == PairingState.DEFERRED.value) & (until <= today)
    found = {
        one: make(whose[one], *conditions)
        for one, make, conditions in (
            (Reminder.NEW_NEEDS, _needs, (NeedState.SUBMITTED,)),
            (Reminder.NEEDS_TO_MATCH, _needs, (NeedState.TAKEN_UP, ~_is_shown())),
            (Reminder.NEEDS_TO_REVIEW, _pairings, (func.count(col(StoredPairing.need_id).distinct()), proposed)),
            (Reminder.DEFERRED_DUE, _pairings, (func.count(), is_due)),
            (Reminder.FOLLOW_UPS_DUE, _follow_ups, (today,)),
            (Reminder.CASES_WITHOUT_CONTACT, _cases, (before, long_ago)),
            (Reminder.SILENT_COMPANIES, _companies, (before,)),
            (Reminder.VISITS_DUE, _visits, (today,)),
        )
    }
    return {one: query.group_by(whose[one]) for one, query in found.items()}


def totals(counts: Counts) -> dict[str, int]:
    """Return each reminder's sum over all alliances, 0 included."""
    return {one.value: sum(counts_of.get(one, 0) for counts_of in counts.values()) for one in Reminder}


def _needs(whose: Any, state: NeedState, *conditions: Any) -> Any:
    in_books = in_use(Mendable.NEED, col(NeedIntake.need_id))
    return select(whose, func.count()).where(col(NeedIntake.state) == state.value, in_books, *conditions)


def _is_shown() -> Any:
    return exists(select(1).where(col(StoredPairing.need_id) == col(NeedIntake.need_id)).correlate(NeedIntake))


def _pairings(whose: Any, counted: Any, *conditions: Any) -> Any:
    return (
        select(whose, counted)
        .select_from(StoredPairing)
        .join(NeedIntake, col(NeedIntake.need_id) == col(StoredPairing.need_id))
        .where(col(NeedIntake.state).in_(_OPEN), *conditions)
        .where(in_use(Mendable.NEED, col(StoredPairing.need_id)), in_use(Mendable.LAB, col(StoredPairing.lab_id)))
    )


def _newest(columns: Iterable[Any]) -> Any:
    """Return the query of the last contact of each alliance about each thing."""
    return select(func.max(col(Contact.id))).group_by(col(Contact.alliance_id), *columns)


def _follow_ups(whose: Any, today: date) -> Any:
    """Count the next steps whose day has come, each until the case or the company had a later contact."""
    newest = _newest((col(Contact.case_id), col(Contact.company_id)))
    return (
        select(whose, func.count())
        .select_from(Contact)
        .join(Case, col(Case.id) == col(Contact.case_id), isouter=True)
        .where(
            col(Contact.id).in_(newest),
            col(Contact.next_on) <= today,
            or_(col(Contact.case_id).is_(None), col(Case.stage).in_(_OPEN_CASES)),
        )
    )


def _cases(whose: Any, before: date, opened_before: datetime) -> Any:
    touched = exists(
        select(1).where(col(Contact.case_id) == col(Case.id), col(Contact.held_on) >= before).correlate(Case)
    )
    open_long = (col(Case.stage).in_(_OPEN_CASES), col(Case.opened_at) < opened_before)
    cases = select(whose, func.count()).select_from(Case).join(HANDED, HANDED.c.case_id == Case.id, isouter=True)
    return cases.where(*open_long, ~touched)


def _companies(whose: Any, before: date) -> Any:
    """Count the companies that nobody called for long, and those that were taken on and never called."""
    touched = exists(
        select(1)
        .where(
            col(Contact.company_id) == col(Client.company_id),
            col(Contact.alliance_id) == col(Client.alliance_id),
            col(Contact.held_on) >= before,
        )
        .correlate(Client)
    )
    return (
        select(whose, func.count())
        .where(col(Client.until).is_(None), ~touched)
        .where(in_use(Mendable.COMPANY, col(Client.company_id)))
    )


def _visits(whose: Any, today: date) -> Any:
    """Count the visits whose day has come, and those that were held and have no report yet."""
    counted = select(whose, func.count()).select_from(DiagnosisVisit).where(visit_is_due(today))
    return counted.where(in_use(Mendable.COMPANY, col(DiagnosisVisit.company_id)))
