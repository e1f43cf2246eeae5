"""Who asked what others have: by reports that were held or refused, by lists, by registering people.

In: the ledger, the audit trail, and who works for which alliance. Out: by account how often it was told that something
is there which is not its alliances'. It exists because a refusal has to say why, and whoever may ask a thousand times
learns what a thousand refusals say: the programme office sees who does.

What tells an outsider something, and is counted:

- a report that is held, for it resembles another alliance's entry or another programme's claim;
- a report that is refused (409), for the same result, the same claim of another programme or the same id is there;
- a row of a list, imported or only looked through, whose id a need or a company of another alliance has;
- a person whose number another alliance registered under another name.

Whoever is told that there is no such record (404) learns nothing: it is answered for what is there and not theirs too.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sqlmodel import Session, col, select

from api.access.policy import Action, Resource
from api.trail.audit_trail import TOLD_STATUS, AuditRow, AuditSubject, Outcome
from matcher.ledger.rows.entries import Entry
from matcher.ledger.rows.pseudonyms import numbers_shared
from matcher.ledger.rules.similarity import held_probes
from matcher.review.people import Grant
from matcher.review.roles import STAFF

LOOKED_BACK = timedelta(days=365)
"""Refusals older than this are not counted: the trail keeps them, and grows without end."""
_TELLING = {
    Resource.ENTRY: ("entry", "external_claim"),
    Resource.IMPORT: ("need", "company"),
    Resource.IMPORT_DRAFT: ("need", "company"),
}
"""By what was asked for: the kinds of records that its refusals tell of."""


@dataclass
class Probes:
    """How often an account was told of something that is not its alliances'.

    `held` are reports, of which `withdrawn` were taken back; `refused` reports that were not stored; `rows` records of
    others whose ids its lists hit; `people` those it registered whose number was known under another name.
    """

    account_id: str
    last_at: datetime
    held: int = 0
    withdrawn: int = 0
    refused: int = 0
    rows: int = 0
    people: int = 0
    alliances: set[str] = field(default_factory=set)

    @property
    def in_all(self) -> int:
        """How often, by whatever way."""
        return self.held + self.refused + self.rows + self.people


def probes(session: Session, now: datetime) -> list[Probes]:
    """Return the accounts that were told of what is others', those that were so most often first."""
    found: dict[str, Probes] = {}

    def of(account_id: str, at: datetime) -> Probes:
        one = found.setdefault(account_id, Probes(account_id, at))
        one.last_at = max(one.last_at, at)
        return one

    for held in held_probes(session):
        one = of(held.account_id, held.at)
        one.held += 1
        one.withdrawn += held.is_withdrawn
        one.alliances |= held.alliances
    own = _alliances_ever(session)
    for account_id, at, alliances in _refused_reports(session, own, now - LOOKED_BACK):
        one = of(account_id, at)
        one.refused += 1
        one.alliances |= alliances
    for account_id, at in _rows_of_others(session, now - LOOKED_BACK):
        of(account_id, at).rows += 1
    for by, others, at in numbers_shared(session):
        if by != others and own[by].isdisjoint(own[others]):
            of(by, at).people += 1
    return sorted(found.values(), key=lambda one: (-one.in_all, one.account_id))


def _alliances_ever(session: Session) -> defaultdict[str, set[str]]:
    """Return for which alliances each account works or worked: what is its own was no secret to it."""
    query = select(Grant.account_id, Grant.scope_id).where(col(Grant.role).in_([role.value for role in STAFF]))
    own: defaultdict[str, set[str]] = defaultdict(set)
    for account_id, alliance in session.exec(query).all():
        own[account_id].add(alliance)
    return own


def _told(session: Session, resources: tuple[Resource, ...], since: datetime) -> Iterator[tuple[AuditRow, str, str]]:
    """Yield the refusals that told of a record, with its kind and id."""
    query = (
        select(AuditRow, AuditSubject.kind, AuditSubject.subject_id)
        .join(AuditSubject, col(AuditSubject.seq) == col(AuditRow.seq))
        .where(
            col(AuditRow.at) >= since,
            AuditRow.outcome == Outcome.REFUSED.value,
            AuditRow.status == TOLD_STATUS,
            col(AuditRow.resource).in_([one.value for one in resources]),
            col(AuditRow.account_id).is_not(None),
        )
        .order_by(col(AuditRow.seq))
    )
    for row, kind, subject_id in session.exec(query).all():
        if kind in _TELLING[Resource(row.resource)]:
            yield row, kind, subject_id


def _refused_reports(
    session: Session, own: defaultdict[str, set[str]], since: datetime
) -> Iterator[tuple[str, datetime, set[str]]]:
    told = [one for one in _told(session, (Resource.ENTRY,), since) if one[0].action == Action.CREATE.value]
    ids = sorted({subject_id for _, kind, subject_id in told if kind == "entry"})
    shares = dict(session.exec(select(Entry.id, Entry.shares).where(col(Entry.id).in_(ids))).all())
    for row, kind, subject_id in told:
        whose = set(shares.get(subject_id, ())) if kind == "entry" else set()
        account_id = row.account_id or ""
        if own[account_id].isdisjoint(whose):
            yield account_id, row.at, whose


def _rows_of_others(session: Session, since: datetime) -> Iterator[tuple[str, datetime]]:
    """Yield each record of others that an account's lists hit once: a list is looked through again and again."""
    hit: dict[tuple[str, str, str], datetime] = {}
    for row, kind, subject_id in _told(session, (Resource.IMPORT, Resource.IMPORT_DRAFT), since):
        hit.setdefault((row.account_id or "", kind, subject_id), row.at)
    for (account_id, _, _), at in hit.items():
        yield account_id, at
