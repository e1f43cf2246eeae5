"""What the server says of the audit trail, and which rows of it a person may see.

In: rows and who asks. Out: JSON documents and SQL conditions; models for the description of the API. It exists
apart from the trail because the trail only grows and knows nobody's rights: here the office sees the whole of it,
others what was seen and done of what is theirs.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Any

from pydantic import Field
from sqlalchemy import ColumnElement, and_, exists, or_, select, true
from sqlmodel import Session, col

from api.access.policy import Action, Reach, Resource, reaches
from api.documents.answers import Answer
from api.trail.audit_trail import AuditRow, AuditSubject, How, Outcome
from indexer.instants import TAIPEI, day_in_taipei
from matcher.review.intake import NeedIntake
from matcher.review.people import Account, Principal
from matcher.review.roles import Role


class SubjectAnswer(Answer):
    """A record that somebody saw or changed; `withheld` says that its text was not shown."""

    kind: str
    id: str
    withheld: bool


class AuditRowAnswer(Answer):
    """One row of the trail: who saw or did what, by which right, and what came of it."""

    seq: int
    at: datetime
    account_id: str | None = Field(
        description="Null: whoever runs the machine, the server itself, or somebody who was not signed in."
    )
    name: str | None = Field(description="What the account is called now.")
    key_id: int | None
    rights: str = Field(description="The roles by which it was allowed, with their scopes.", examples=["expert al-01"])
    resource: str = Field(description="With `action` a cell of the policy.", examples=["need"])
    action: str = Field(examples=["read"])
    how: How
    method: str
    operation: str = Field(description="The route's name, the command, or the kind of job.", examples=["read_need"])
    outcome: Outcome
    status: int | None
    request_id: str | None = Field(description="The same as in the server's log.")
    lost: int = Field(description="How many views could not be kept before this row.")
    subjects: list[SubjectAnswer]


class NeedSeenAnswer(Answer):
    """What one person saw and did of a need on one day."""

    day: date
    account_id: str | None
    name: str | None
    rights: str
    seen: int
    withheld: int = Field(description="How often without its text.")
    changed: int
    what: list[str] = Field(description="Cells of the policy.", examples=[["need.read", "match.read"]])
    last_at: datetime


class NeedSeenPageAnswer(Answer):
    """Who met a need, the newest day first; `since` is the first day that was asked for."""

    need_id: str
    since: date
    items: list[NeedSeenAnswer]


SEEN_DAYS = 90
"""How far back a need's own list goes unless it is asked for more."""
_CHANGES = (Outcome.DONE.value, Outcome.REPEATED.value)
_NAMED_TO_COMPANIES = (Role.EXPERT, Role.LEAD, Role.OFFICE, Role.COMPANY)


@dataclass(frozen=True)
class AuditFilter:
    """Which rows are looked for."""

    subject: str | None = None
    kind: str | None = None
    account: str | None = None
    resource: str | None = None
    action: str | None = None
    outcome: Outcome | None = None
    since: date | None = None
    until: date | None = None

    def condition(self) -> ColumnElement[bool]:
        """Return the condition on `AuditRow`."""
        same = ((AuditRow.account_id, self.account), (AuditRow.resource, self.resource), (AuditRow.action, self.action))
        found = [col(column) == value for column, value in same if value]
        if self.outcome is not None:
            found.append(col(AuditRow.outcome) == self.outcome.value)
        if self.since is not None:
            found.append(col(AuditRow.at) >= begin_of(self.since))
        if self.until is not None:
            found.append(col(AuditRow.at) < begin_of(self.until + timedelta(days=1)))
        about = [col(AuditSubject.subject_id) == self.subject] if self.subject else []
        about += [col(AuditSubject.kind) == self.kind] if self.kind else []
        if about:
            found.append(_about(*about))
        return and_(true(), *found)


def begin_of(day: date) -> datetime:
    """Return the moment at which a day begins in Taipei."""
    return datetime.combine(day, time(), TAIPEI)


def visible(who: Principal) -> ColumnElement[bool]:
    """Return the condition on `AuditRow` for what a person may see: all, or what concerns the own alliance's needs."""
    if _sees_all(who):
        return true()
    return _about(col(AuditSubject.kind) == "need", _own(who))


def _about(*conditions: ColumnElement[bool]) -> ColumnElement[bool]:
    return exists(select(1).where(col(AuditSubject.seq) == col(AuditRow.seq), *conditions).correlate(AuditRow))


def _sees_all(who: Principal) -> bool:
    return Reach.ALL in reaches(who, Resource.AUDIT, Action.LIST).values()


def _own(who: Principal) -> ColumnElement[bool]:
    alliances = who.scopes(*reaches(who, Resource.AUDIT, Action.LIST))
    return col(AuditSubject.subject_id).in_(
        select(col(NeedIntake.need_id)).where(col(NeedIntake.alliance_id).in_(alliances))
    )


def audit_documents(session: Session, who: Principal, rows: Sequence[AuditRow]) -> list[dict[str, Any]]:
    """Return rows as a person may see them: a lead sees of the subjects only needs of the own alliance."""
    query = select(AuditSubject).where(col(AuditSubject.seq).in_([row.seq for row in rows]))
    if not _sees_all(who):
        query = query.where(col(AuditSubject.kind) == "need", _own(who))
    subjects: defaultdict[int, list[dict[str, Any]]] = defaultdict(list)
    for one in session.execute(query.order_by(col(AuditSubject.kind), col(AuditSubject.subject_id))).scalars():
        subjects[one.seq].append({"kind": one.kind, "id": one.subject_id, "withheld": one.withheld})
    names = account_names(session, {row.account_id for row in rows})
    return [
        row.model_dump(mode="json", exclude={"hash", "prev_hash"})
        | {"name": names.get(row.account_id or ""), "subjects": subjects[row.seq]}
        for row in rows
    ]


def account_names(session: Session, ids: set[str | None]) -> dict[str, str]:
    """Return what accounts are called now; an erased one has no name of its own any more."""
    found = session.execute(select(col(Account.id), col(Account.name)).where(col(Account.id).in_(ids - {None})))
    return {str(account_id): str(name) for account_id, name in found.all()}


def need_seen(session: Session, who: Principal, need_id: str, since: date) -> list[dict[str, Any]]:
    """Return who met a need from a day on, by day and person, the newest first.

    A company learns the names of experts, the office and its own people, of researchers only that one looked.
    """
    columns = (AuditRow.at, AuditRow.account_id, AuditRow.rights, AuditRow.resource, AuditRow.action, AuditRow.outcome)
    query = (
        select(*(col(one) for one in columns), col(AuditSubject.withheld))
        .join(AuditSubject, col(AuditSubject.seq) == col(AuditRow.seq))
        .where(
            col(AuditSubject.kind) == "need",
            col(AuditSubject.subject_id) == need_id,
            col(AuditRow.at) >= begin_of(since),
            or_(col(AuditRow.outcome) == Outcome.SEEN.value, col(AuditRow.outcome).in_(_CHANGES)),
        )
        .order_by(col(AuditRow.seq).desc())
    )
    groups: dict[tuple[date, str | None, str], dict[str, Any]] = {}
    for at, account_id, rights, resource, action, outcome, withheld in session.execute(query).all():
        key = (day_in_taipei(at), account_id, rights)
        new = {"day": key[0].isoformat(), "account_id": account_id, "rights": rights, "what": set(), "last_at": at}
        group = groups.setdefault(key, new | dict.fromkeys(("seen", "withheld", "changed"), 0))
        group["changed" if outcome in _CHANGES else "withheld" if withheld else "seen"] += 1
        group["what"].add(f"{resource}.{action}")
    names = account_names(session, {account_id for _, account_id, _ in groups})
    inside = who.holds(Role.OFFICE, Role.EXPERT, Role.LEAD)
    return [_told(group, names, inside=inside) for group in groups.values()]


def _told(group: dict[str, Any], names: dict[str, str], *, inside: bool) -> dict[str, Any]:
    roles = {held.partition(" ")[0] for held in group["rights"].split(", ")}
    named = inside or bool(roles & {role.value for role in _NAMED_TO_COMPANIES})
    return group | {
        "account_id": group["account_id"] if named else None,
        "name": names.get(group["account_id"] or "") if named else None,
        "rights": group["rights"] if named else ", ".join(sorted(roles)),
        "what": sorted(group["what"]),
        "last_at": group["last_at"].isoformat(),
    }
