"""Researchers ask for the labs that are theirs, and somebody who knows says yes or no.

In: who asks for which lab and why, then a verdict with its reason. Out: the
claim, and with an approval the role in the same transaction. It exists because
a lab's profile may be changed by its researcher only, and nobody but the people
on the spot can tell who that is.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from sqlalchemy import CheckConstraint, Index, text, update
from sqlalchemy.exc import IntegrityError
from sqlmodel import Field, Session, SQLModel, col, select

from indexer.instants import Instant
from indexer.wording import T_
from matcher.people import active_grants, grant
from matcher.roles import Role


class ClaimVerdict(StrEnum):
    """What became of a claim."""

    APPROVED = "approved"
    REFUSED = "refused"


_VERDICTS = ", ".join(f"'{verdict.value}'" for verdict in ClaimVerdict)


class ClaimError(ValueError):
    """A claim can't be made or decided; the message says why and `field` what is to blame."""

    def __init__(self, message: str, field: str | None = None) -> None:
        super().__init__(message)
        self.field = field


class LabClaim(SQLModel, table=True):
    """That a person says to be a lab's researcher. Once decided, the database refuses to change it; it never goes."""

    __tablename__ = "lab_claim"
    __table_args__ = (
        CheckConstraint("length(statement) > 0", name="says_why"),
        CheckConstraint(f"verdict IN ({_VERDICTS})", name="verdict_known"),
        CheckConstraint("verdict <> 'refused' OR length(reason) > 0", name="refused_for_a_reason"),
        CheckConstraint("(verdict IS NULL) = (decided_by IS NULL)", name="decided_by_somebody"),
        CheckConstraint("(verdict IS NULL) = (decided_at IS NULL)", name="decided_at_some_time"),
        CheckConstraint("decided_by <> account_id", name="decided_by_another"),
        Index(
            "ix_lab_claim_waiting",
            "account_id",
            "lab_id",
            unique=True,
            sqlite_where=text("verdict IS NULL"),
            postgresql_where=text("verdict IS NULL"),
        ),
    )

    id: int | None = Field(default=None, primary_key=True)
    account_id: str = Field(foreign_key="account.id", index=True)
    lab_id: str = Field(foreign_key="lab.id", index=True)
    statement: str
    asked_at: datetime = Field(sa_type=Instant)
    verdict: str | None = None
    reason: str = ""
    decided_by: str | None = Field(default=None, foreign_key="account.id")
    decided_at: datetime | None = Field(default=None, sa_type=Instant)


def claim(session: Session, *, account_id: str, lab_id: str, statement: str, now: datetime) -> LabClaim:
    """Ask for a lab, which exists.

    Raises:
        ClaimError: nothing is stated, the lab is the person's already, or an earlier claim still waits.
    """
    if not statement.strip():
        raise ClaimError(T_("say what makes you this lab's researcher"), "statement")
    held = {(grant.role, grant.scope_id) for grant in active_grants(session, account_id)}
    if (Role.RESEARCHER.value, lab_id) in held:
        raise ClaimError(T_("lab %(lab_id)s is yours already", lab_id=lab_id))
    asked = LabClaim(account_id=account_id, lab_id=lab_id, statement=statement, asked_at=now)
    try:
        with session.begin_nested():
            session.add(asked)
    except IntegrityError as error:
        raise ClaimError(T_("your claim of lab %(lab_id)s waits already", lab_id=lab_id)) from error
    return asked


def decide_claim(
    session: Session, *, claim_id: int, verdict: ClaimVerdict, reason: str, by: str, now: datetime
) -> LabClaim:
    """Approve or refuse a claim; an approval makes the claimant a researcher of the lab.

    Args:
        session: its transaction holds all writes.
        claim_id: the claim.
        verdict: the word.
        reason: why; needed with a refusal, and the claimant reads it.
        by: who decides; never the claimant.
        now: the moment.

    Raises:
        ClaimError: there is no such claim, it is the own one, it is decided already, or a reason is missing.
    """
    if verdict is ClaimVerdict.REFUSED and not reason.strip():
        raise ClaimError(T_("say why it is refused; the claimant reads it"), "reason")
    asked = session.exec(select(LabClaim).where(LabClaim.id == claim_id)).first()
    if asked is None:
        raise ClaimError(T_("there is no claim %(claim_id)s", claim_id=claim_id))
    if asked.account_id == by:
        raise ClaimError(T_("nobody decides the own claim; ask a colleague"))
    # The row decides which of several gets through.
    turned = session.connection().execute(
        update(LabClaim)
        .where(col(LabClaim.id) == claim_id, col(LabClaim.verdict).is_(None))
        .values(verdict=verdict.value, reason=reason, decided_by=by, decided_at=now)
    )
    session.refresh(asked)
    if turned.rowcount != 1:
        raise ClaimError(T_("claim %(claim_id)s is %(verdict)s already", claim_id=claim_id, verdict=asked.verdict))
    if verdict is ClaimVerdict.APPROVED:
        grant(session, account_id=asked.account_id, role=Role.RESEARCHER, scope_id=asked.lab_id, by=by, now=now)
    return asked
