"""Letting somebody in who decides: the roles of the office and the committees are given by two people.

In: an account and a role of those that decide what counts. Out: a motion, and with a second person's word the grant,
in the name of who moved it. It exists apart from the other roles because whoever holds one of these is a second
person to others: were one person enough to give it, that person would be two.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlmodel import Session, col, select

from indexer.wording import T_
from matcher.ledger.rows.chain import lock_heads
from matcher.ledger.rows.entries import LedgerError
from matcher.ledger.rows.motions import Motion, MotionEnd, MotionKind, end, move, open_motion
from matcher.review.people import FOR_TWO, Grant, PeopleError, SamePersonError, active_grants, grant, must_be_grantable
from matcher.review.roles import Role


def subject_of(account_id: str, role: Role, scope_id: str) -> str:
    """Return what a motion on a role is about; the database compares the grant with it."""
    return f"{account_id} {role.value} {scope_id}"


def move_grant(
    session: Session, *, account_id: str, role: Role, scope_id: str, reason: str, by: str, now: datetime
) -> Motion:
    """Move that an account gets a role of those that two people give.

    Raises:
        PeopleError: there is no such account or alliance, or the account holds the role already.
        SamePersonError: it is the own account, or a program's.
        LedgerError: no reason is given.
        AlreadyReportedError: the same is moved already and waits for a second.
    """
    lock_heads(session)
    if role not in FOR_TWO:
        raise PeopleError("role", T_("one person gives the role %(role)s; no motion is needed", role=role))
    must_be_grantable(session, account_id=account_id, role=role, scope_id=scope_id, by=by)
    if any((held.role, held.scope_id) == (role.value, scope_id) for held in active_grants(session, account_id)):
        raise PeopleError("role", T_("the account holds this role already"))
    return move(
        session,
        kind=MotionKind.GRANT,
        subject=subject_of(account_id, role, scope_id),
        payload={"account": account_id, "role": role.value, "scope": scope_id},
        reason=reason,
        by=by,
        now=now,
    )


def motions_on(session: Session, account_id: str) -> Sequence[Motion]:
    """Return the motions on an account's roles that wait for a second person, oldest first."""
    ended = select(MotionEnd.motion_id)
    waits = (Motion.kind == MotionKind.GRANT.value, col(Motion.id).not_in(ended))
    of_account = col(Motion.subject).startswith(f"{account_id} ", autoescape=True)
    return session.exec(select(Motion).where(*waits, of_account).order_by(col(Motion.id))).all()


def second_grant(session: Session, *, motion_id: int, by: str, now: datetime) -> Grant:
    """Give the role that another person moved.

    Raises:
        LedgerError: the motion is not on a role or has ended, or the mover seconds.
        SamePersonError: the role is for who seconds, or the account may not have it any more.
        TiedError: the second person made, granted or keyed the account of the first, or the other way round.
    """
    lock_heads(session)
    motion = open_motion(session, motion_id)
    if motion.kind != MotionKind.GRANT:
        raise LedgerError(T_("motion %(motion_id)s is not on a role", motion_id=motion_id), "motion")
    payload = motion.payload
    if payload["account"] == by:
        raise SamePersonError("account", T_("nobody gives a role to the own account; ask a colleague"))
    end(session, motion, seconded=True, by=by, now=now)
    return grant(
        session,
        account_id=payload["account"],
        role=Role(payload["role"]),
        scope_id=payload["scope"],
        by=motion.moved_by,
        now=now,
        motion_id=motion.id,
    )
