"""Which part of the ledger a person may see: the reach of the policy as conditions on its tables.

In: a person and what they want to do. Out: SQL conditions, or the alliances
that they reach. It exists so that what is foreign is never loaded: an entry
belongs to the alliances that have a share in it, a motion to its entry, a file
of evidence to the entries that name it.
"""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import ColumnElement, String, and_, cast, exists, false, func, literal, or_, select, true
from sqlmodel import col

from api.policy import Action, Reach, Resource, reaches
from matcher.ledger.entries import Entry
from matcher.ledger.motions import Motion, MotionKind
from matcher.ledger.steps import Step
from matcher.people import Principal

Condition = ColumnElement[bool]


def reached_alliances(who: Principal, resource: Resource, action: Action) -> frozenset[str] | None:
    """Return the alliances in which a person may do this; None for all of them."""
    reach = reaches(who, resource, action)
    if Reach.ALL in reach.values():
        return None
    return who.scopes(*reach)


def shared_by(alliances: Iterable[str] | None) -> Condition:
    """Return the condition on `Entry` that one of some alliances has a share in it; None stands for any."""
    if alliances is None:
        return true()
    shares = func.json_each(col(Entry.shares)).table_valued("key", "value")
    return exists(select(literal(1)).select_from(shares).where(shares.c.key.in_(list(alliances))))


def entries(who: Principal, action: Action, resource: Resource = Resource.ENTRY) -> Condition:
    """Return the condition on `Entry` for what a person may do with it, or with what hangs on it."""
    return shared_by(reached_alliances(who, resource, action))


def motions(who: Principal, action: Action) -> Condition:
    """Return the condition on `Motion`: a committee member has a word on recognising what its alliances reported."""
    reached = reached_alliances(who, Resource.MOTION, action)
    if reached is None:
        return true()
    if not reached:
        return false()
    theirs = select(col(Entry.id)).where(shared_by(reached))
    return and_(col(Motion.kind) == MotionKind.RECOGNISE.value, col(Motion.subject).in_(theirs))


def naming(digest: str) -> Condition:
    """Return a condition on `Entry` that holds wherever the entry or one of its steps names a file.

    It looks for the hash in the text of the evidence, so it may hold where only a name mentions it: the caller looks
    at the items themselves.
    """
    steps = select(col(Step.entry_id)).where(cast(col(Step.evidence), String).contains(digest))
    return or_(cast(col(Entry.evidence), String).contains(digest), col(Entry.id).in_(steps))
