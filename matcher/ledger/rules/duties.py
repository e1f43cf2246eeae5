"""Who is a second person to whom: one table of acts that two people do, and every way in which two are one.

In: what was done about an entry and by whom, what somebody holds, and which accounts have a hand in each other. Out:
why somebody has no word on an entry or a motion, None if they have. It exists as the one place where separation of
duties is written down: the verbs ask it before they act, the database keeps the same in triggers, and a proof asks
the pure functions again of every step that was ever taken. Two accounts are not two people by being two: one that
made, granted or keyed the other may be the same human. And what somebody has a part in, they do not decide on by any
second way: as expert or lead of an alliance with a share, as the company, as the lab's researcher or claimant, by a
declared interest.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from sqlalchemy import BigInteger, CheckConstraint, ColumnElement, bindparam
from sqlmodel import Field, Session, SQLModel, col, select

from indexer.instants import Instant
from indexer.records.mended.merged import RecordMerge
from indexer.wording import T_
from matcher.ledger.rows.entries import Entry, entry_of
from matcher.ledger.rows.motions import Motion, MotionKind
from matcher.ledger.rows.steps import State, Step, steps_of
from matcher.review.cases import Case
from matcher.review.own_lab.researchers import ClaimVerdict, LabClaim
from matcher.review.people import Grant, Stake, of_person, tied_to
from matcher.review.roles import STAFF, Role


class Act(StrEnum):
    """What is done about an entry. `AGREE` seconds a reversal; `MOVE` moves that large money be recognised."""

    ACCEPT = "accept"
    REPORT = "report"
    SUPPLY = "supply"
    DECIDE = "decide"
    CHECK = "check"
    MOVE = "move"
    RECOGNISE = "recognise"
    SECOND = "second"
    REVERSE = "reverse"
    AGREE = "agree"


_INSIDE = (Act.ACCEPT, Act.REPORT, Act.SUPPLY)
APART: dict[Act, tuple[Act, ...]] = {
    Act.DECIDE: _INSIDE,
    Act.CHECK: (*_INSIDE, Act.MOVE),
    Act.MOVE: (*_INSIDE, Act.CHECK),
    Act.RECOGNISE: (*_INSIDE, Act.CHECK),
    Act.SECOND: (*_INSIDE, Act.CHECK),
    Act.REVERSE: _INSIDE,
    Act.AGREE: _INSIDE,
}
"""For each act the earlier ones about the same entry that somebody else must have done.

That a motion is seconded by somebody else than its mover holds for every motion: see `barred_second`.
"""


class Bar(StrEnum):
    """Why somebody has no word."""

    REPORTER = "reporter"
    SUPPLIER = "supplier"
    CHECKER = "checker"
    MOVER = "mover"
    TIED = "tied"
    STAKE = "stake"
    ALLIANCE = "alliance"
    PARTY = "party"
    CLAIMANT = "claimant"
    GRANTEE = "grantee"


BARRED: dict[Bar, str] = {
    Bar.REPORTER: T_("who reported a result can't decide on it"),
    Bar.SUPPLIER: T_("who supplied evidence for a result, or accepted its pairing, can't decide on it"),
    Bar.CHECKER: T_("who checked a result does not recognise it"),
    Bar.MOVER: T_("who moved it can't second it; another person has to"),
    Bar.TIED: T_("your account and that of somebody who acted before made, granted or keyed each other"),
    Bar.STAKE: T_("who has a stake in a party of a result can't decide on it"),
    Bar.ALLIANCE: T_("who is or was expert or lead of an alliance with a share can't decide on a result"),
    Bar.PARTY: T_("who acts for a company or a lab of a result can't decide on it"),
    Bar.CLAIMANT: T_("who claims a lab of a result can't decide on it"),
    Bar.GRANTEE: T_("nobody gives a role to the own account; ask a colleague"),
}
"""What is said of each."""
_BAR_OF = {
    Act.ACCEPT: Bar.SUPPLIER,
    Act.REPORT: Bar.REPORTER,
    Act.SUPPLY: Bar.SUPPLIER,
    Act.CHECK: Bar.CHECKER,
    Act.MOVE: Bar.MOVER,
    Act.REVERSE: Bar.MOVER,
}
PARTS = (Bar.STAKE, Bar.ALLIANCE, Bar.PARTY, Bar.CLAIMANT)
"""The bars that come of what somebody holds, and of nothing that they did."""


class DutiesStart(SQLModel, table=True):
    """From which step on these rules hold: one row, of the day on which this database learnt them."""

    __tablename__ = "ledger_duties_start"
    __table_args__ = (CheckConstraint("id = 1", name="one_start"),)

    id: int = Field(default=1, primary_key=True, sa_column_kwargs={"autoincrement": False})
    steps_n: int = Field(sa_type=BigInteger)
    at: datetime = Field(sa_type=Instant)


@dataclass(frozen=True)
class Deed:
    """What somebody did about an entry."""

    act: Act
    by: str


@dataclass(frozen=True)
class Facts:
    """What is known of an entry and of one person: what was done, to whom the person is tied, their own parts in it."""

    deeds: Sequence[Deed]
    tied_to: frozenset[str] = field(default=frozenset())
    parts: frozenset[Bar] = field(default=frozenset())


def barred(act: Act, by: str, facts: Facts) -> Bar | None:
    """Return why a person may not do this about an entry, None if they may. Reads nothing."""
    apart = [deed for deed in facts.deeds if deed.act in APART[act]]
    for deed in apart:
        if deed.by == by:
            return _BAR_OF[deed.act]
    for part in PARTS:
        if part in facts.parts:
            return part
    if any(deed.by in facts.tied_to for deed in apart):
        return Bar.TIED
    return None


def barred_second(moved_by: str, by: str, tied: Iterable[str], *, gets: str | None = None) -> Bar | None:
    """Return why a person may not second what another one moved, whatever it is about. Reads nothing.

    Args:
        moved_by: who moved it.
        by: who would second it.
        tied: the accounts that made, granted or keyed that of `by`, or the other way round.
        gets: the account that would get a role, if it is about one.
    """
    if by == moved_by:
        return Bar.MOVER
    if by == gets:
        return Bar.GRANTEE
    return Bar.TIED if moved_by in set(tied) else None


def bar_on_motion(session: Session, motion: Motion, by: str) -> Bar | None:
    """Return why a person may not second a motion now, None if they may."""
    gets = motion.payload["account"] if motion.kind == MotionKind.GRANT else None
    bar = barred_second(motion.moved_by, by, tied_to(session, by), gets=gets)
    acts = {MotionKind.RECOGNISE.value: Act.SECOND, MotionKind.REVERSE.value: Act.AGREE}
    if bar is not None or motion.kind not in acts:
        return bar
    return bar_on(session, entry_of(session, motion.subject), by, acts[motion.kind])


def strictest(limits: Iterable[tuple[datetime, int]], since: datetime, *, otherwise: int) -> int:
    """Return the lowest limit that held at any time since a moment. Reads nothing.

    Args:
        limits: each version's moment and limit, oldest first.
        since: the moment.
        otherwise: what held before the first version.
    """
    held = otherwise
    later: list[int] = []
    for at, limit in limits:
        if at <= since:
            held = limit
        else:
            later.append(limit)
    return min([held, *later])


def deeds_of(entry: Entry, steps: Sequence[Step], motions: Iterable[Motion], case: Case | None) -> list[Deed]:
    """Return what was done about an entry; `steps` are its own in their order, as far as they are to be looked at."""
    deeds = [Deed(Act.REPORT, entry.reporter)]
    if case is not None:
        deeds.append(Deed(Act.ACCEPT, case.owner_id))
    before: str | None = None
    for step in steps:
        if step.state == State.REPORTED and before == State.RETURNED:
            deeds.append(Deed(Act.SUPPLY, step.by))
        elif step.state == State.CHECKED:
            deeds.append(Deed(Act.CHECK, step.by))
        before = step.state
    acts = {MotionKind.RECOGNISE.value: Act.MOVE, MotionKind.REVERSE.value: Act.REVERSE}
    return deeds + [Deed(acts[motion.kind], motion.moved_by) for motion in motions if motion.kind in acts]


_NONE_MERGED: Mapping[tuple[str, str], str] = {}


def parts_of(
    entry: Entry,
    case: Case | None,
    *,
    grants: Iterable[Grant],
    stakes: Iterable[Stake],
    claims: Iterable[LabClaim],
    at: datetime | None = None,
    merged: Mapping[tuple[str, str], str] = _NONE_MERGED,
) -> frozenset[Bar]:
    """Return the parts that a person has in an entry at a moment, None for now, whatever a clock says. Reads nothing.

    `merged` gives for kind and old id of a company or lab the one that is kept: whoever acts for either acts for both.

    A role counts if it was held at any time since the entry was reported: taking it back makes nobody a stranger.
    """
    named = {one for one in (entry.company_id, None if case is None else case.company_id) if one is not None}
    # A small part is a part too.
    named |= set(entry.company_shares or {})
    companies = _with_same("company", named, merged)
    labs = set[str]() if case is None else _with_same("lab", {case.lab_id}, merged)
    found = set[Bar]()
    for held in grants:
        over = held.revoked_at is not None and held.revoked_at <= entry.reported_at
        if over or (at is not None and held.granted_at > at):
            continue
        if held.role in STAFF and held.scope_id in entry.shares:
            found.add(Bar.ALLIANCE)
        of_company = held.role == Role.COMPANY and held.scope_id in companies
        if of_company or (held.role == Role.RESEARCHER and held.scope_id in labs):
            found.add(Bar.PARTY)
    for stake in stakes:
        if _holds(stake, at) and stake.party_id in (companies if stake.party == "company" else labs):
            found.add(Bar.STAKE)
    if any(claim.lab_id in labs and _stands(claim, at) for claim in claims):
        found.add(Bar.CLAIMANT)
    return frozenset(found)


def _with_same(kind: str, ids: Iterable[str], merged: Mapping[tuple[str, str], str]) -> set[str]:
    """Return ids with all those that stand for the same record."""
    kept = {merged.get((kind, one), one) for one in ids}
    return {*ids, *kept, *(old for (of, old), one in merged.items() if of == kind and one in kept)}


def _holds(stake: Stake, at: datetime | None) -> bool:
    if at is None:
        return stake.ended_at is None
    return stake.declared_at <= at and (stake.ended_at is None or stake.ended_at > at)


def _stands(claim: LabClaim, at: datetime | None) -> bool:
    if at is None or claim.decided_at is None or claim.decided_at <= at:
        refused = claim.verdict == ClaimVerdict.REFUSED
        return not refused and (at is None or claim.asked_at <= at)
    return claim.asked_at <= at


# Built once: every decision on an entry asks them.
_MOTIONS = select(Motion).where(
    Motion.subject == bindparam("entry_id"),
    col(Motion.kind).in_([MotionKind.RECOGNISE.value, MotionKind.REVERSE.value]),
)
_WHO: ColumnElement[str] = bindparam("who")
_GRANTS = select(Grant).where(of_person(col(Grant.account_id), _WHO))
_STAKES = select(Stake).where(of_person(col(Stake.account_id), _WHO))
_MERGED = select(RecordMerge.kind, RecordMerge.gone_id, RecordMerge.kept_id).where(
    col(RecordMerge.undone_at).is_(None), col(RecordMerge.kind).in_(["company", "lab"])
)
_CLAIMS = select(LabClaim).where(of_person(col(LabClaim.account_id), _WHO))


def facts_about(session: Session, entry: Entry, by: str) -> Facts:
    """Return what is known now of an entry and a person."""
    case = None if entry.case_id is None else session.get(Case, entry.case_id)
    motions = session.execute(_MOTIONS, {"entry_id": entry.id}).scalars().all()
    who = {"who": by}
    return Facts(
        deeds=deeds_of(entry, steps_of(session, entry.id), motions, case),
        tied_to=tied_to(session, by),
        parts=parts_of(
            entry,
            case,
            grants=session.execute(_GRANTS, who).scalars().all(),
            stakes=session.execute(_STAKES, who).scalars().all(),
            claims=[] if case is None else session.execute(_CLAIMS, who).scalars().all(),
            merged={(row.kind, row.gone_id): row.kept_id for row in session.execute(_MERGED).all()},
        ),
    )


def bar_on(session: Session, entry: Entry, by: str, act: Act) -> Bar | None:
    """Return why a person may not do this about an entry now, None if they may."""
    return barred(act, by, facts_about(session, entry, by))


def duties_start(session: Session) -> int:
    """Return the number of the last step that was taken before these rules held; 0 if they always did."""
    return session.exec(select(DutiesStart.steps_n)).first() or 0
