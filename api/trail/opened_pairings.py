"""Which pairings somebody opened, and of which needs the ranking was looked at, as the trail of views tells it.

In: the audit trail and a time. Out: when each pairing was last opened, and how many needs had their ranking looked at.
It exists apart from the trail because it asks what was seen, not who saw it: no account leaves this module.
"""

from __future__ import annotations

from datetime import datetime

from sqlmodel import Session, col, func, select

from api.access.policy import Resource
from api.trail.audit_trail import AuditRow, AuditSubject, Outcome

_OPENING = (Resource.PAIRING.value, Resource.LAB_QUESTION.value)
"""What is asked for where one lab is looked at for a need: its card, its comparison, what it lacks."""


def opened_pairings(session: Session, since: datetime, until: datetime) -> dict[int, datetime]:
    """Return when each pairing that was opened in a time was opened last, by its number."""
    query = (
        select(AuditSubject.subject_id, func.max(AuditRow.at))
        .join(AuditRow, col(AuditRow.seq) == col(AuditSubject.seq))
        .where(
            AuditSubject.kind == "pairing",
            col(AuditRow.resource).in_(_OPENING),
            AuditRow.outcome == Outcome.SEEN.value,
            AuditRow.at >= since,
            AuditRow.at < until,
        )
        .group_by(col(AuditSubject.subject_id))
    )
    return {int(pairing): at for pairing, at in session.execute(query).all()}


def needs_looked_at(session: Session, since: datetime, until: datetime) -> int:
    """Return of how many needs somebody looked at the ranking in a time."""
    query = (
        select(func.count(func.distinct(AuditSubject.subject_id)))
        .join(AuditRow, col(AuditRow.seq) == col(AuditSubject.seq))
        .where(
            AuditSubject.kind == "need",
            AuditRow.resource == Resource.MATCH.value,
            AuditRow.outcome == Outcome.SEEN.value,
            AuditRow.at >= since,
            AuditRow.at < until,
        )
    )
    return int(session.execute(query).scalar_one())
