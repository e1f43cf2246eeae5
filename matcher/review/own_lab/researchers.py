"""What researchers do: ask for their labs, keep their profiles true, learn how many needs ask for such.

In: who asks for which lab and why, then a verdict with its reason; the fields that a researcher changes. Out: the
claim, and with an approval the role in the same transaction; the lab's record, checked as an import would check it,
and a row that says who changed which fields when; counts of open needs, told only where they are not so small that
a single need could be recognised. It exists because a lab's profile may be changed by its researcher only, and
nobody but the people on the spot can tell who that is; because the ranking is only as good as the profiles; and
because a researcher should know whether a profile is worth the work without learning of a need before being
introduced.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import JSON, CheckConstraint, Column, Index, text, update
from sqlalchemy.exc import IntegrityError
from sqlmodel import Field, Session, SQLModel, col, select

from indexer.database import note_written
from indexer.instants import Instant
from indexer.records.exchange import LabIn, check, fallback_id
from indexer.records.importing import import_rows
from indexer.records.mended.retired import in_use, retirement_of
from indexer.records.mended.same_work import each_once
from indexer.records.record_tables import Ask, Evidence, Lab, Need
from indexer.vocabulary import Kind, Mendable
from indexer.wording import T_
from matcher.review import people  # noqa: F401 (its table is referred to)
from matcher.review.intake import NeedIntake, NeedState
from matcher.review.people import active_grants, grant
from matcher.review.roles import Role


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
        ClaimError: nothing is stated, the lab is retired or is the person's already, or an earlier claim still waits.
    """
    if not statement.strip():
        raise ClaimError(T_("say what makes you this lab's researcher"), "statement")
    if retirement_of(session, Mendable.LAB, lab_id) is not None:
        raise ClaimError(T_("lab %(lab_id)s is retired and can't be claimed; ask the programme office", lab_id=lab_id))
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
    note_written(session, "lab_claim", claim_id)
    session.refresh(asked)
    if turned.rowcount != 1:
        raise ClaimError(T_("claim %(claim_id)s is %(verdict)s already", claim_id=claim_id, verdict=asked.verdict))
    if verdict is ClaimVerdict.APPROVED:
        grant(session, account_id=asked.account_id, role=Role.RESEARCHER, scope_id=asked.lab_id, by=by, now=now)
    return asked


class ProfileError(ValueError):
    """A profile can't say that; `field` is to blame."""

    def __init__(self, message: str, field: str | None = None) -> None:
        super().__init__(message)
        self.field = field


class LabEdit(SQLModel, table=True):
    """One change of a lab's profile by its researcher; the names of the fields only."""

    __tablename__ = "lab_edit"

    id: int | None = Field(default=None, primary_key=True)
    lab_id: str = Field(foreign_key="lab.id", index=True)
    fields: list[str] = Field(sa_column=Column(JSON, nullable=False))
    by: str = Field(foreign_key="account.id")
    at: datetime = Field(sa_type=Instant)


def profile_document(session: Session, lab_id: str, *, in_use_only: bool = False) -> dict[str, Any] | None:
    """Return a lab with its evidence in the exchange format, None if there is no such lab.

    With `in_use_only` evidence that the programme office has retired is left out, and each work is there once.
    """
    lab = session.get(Lab, lab_id)
    if lab is None:
        return None
    query = select(Evidence).where(Evidence.lab_id == lab_id).order_by(col(Evidence.position))
    if in_use_only:
        query = query.where(in_use(Mendable.EVIDENCE, col(Evidence.lab_id), col(Evidence.id)))
    rows = session.exec(query).all()
    evidence = [row.model_dump(mode="json", exclude={"lab_id", "position"}) for row in rows]
    evidence = each_once(evidence) if in_use_only else evidence
    return {**lab.model_dump(mode="json"), "evidence": evidence}


def edit_profile(
    session: Session, *, lab_id: str, changes: Mapping[str, Any], by: str, now: datetime
) -> dict[str, Any]:
    """Change fields of a lab's profile.

    Args:
        session: its transaction holds all writes.
        lab_id: the lab, which exists.
        changes: fields of the exchange format with their new values; `evidence` is a list of `{"id", "weight"}`: those
            named come first in this order, weight 0 retires one, all others keep place and weight.
        by: the researcher.
        now: the moment.

    Returns:
        The profile as it is now.

    Raises:
        ProfileError: there is no such lab or evidence, or a value is not right.
    """
    before = profile_document(session, lab_id)
    if before is None:
        raise ProfileError(T_("there is no lab %(lab_id)r", lab_id=lab_id))
    after = {**before, **changes}
    if "evidence" in changes:
        after["evidence"] = _arranged(before["evidence"], changes["evidence"] or [])
    found = check(Kind.LABS, after)
    if found.faults or not isinstance(found.record, LabIn):
        fault = found.faults[0]
        # What is wrong with it would quote it; the field and what would be right say enough.
        raise ProfileError(fault.right, fault.field)
    import_rows(session, Kind.LABS, [after], "profile")
    stored = profile_document(session, lab_id) or {}
    changed = sorted(name for name in before if before[name] != stored.get(name))
    if changed:
        session.add(LabEdit(lab_id=lab_id, fields=changed, by=by, at=now))
        session.flush()
    return stored


def _arranged(evidence: Sequence[dict[str, Any]], wanted: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    known = {item["id"]: item for item in evidence}
    named: dict[str, dict[str, Any]] = {}
    for item in wanted:
        if item["id"] not in known:
            raise ProfileError(T_("there is no such piece of evidence in this lab"), "evidence")
        named[item["id"]] = {**known[item["id"]], "weight": item["weight"]}
    return [*named.values(), *(item for item in evidence if item["id"] not in named)]


@dataclass(frozen=True)
class AddedWorks:
    """What came of works that were handed in: the profile as it is now, how many are new, how many were there."""

    profile: dict[str, Any]
    added: int
    known: int


def add_works(
    session: Session, *, lab_id: str, works: Sequence[Mapping[str, Any]], by: str, now: datetime
) -> AddedWorks:
    """Add works to a lab's evidence, first those that were given last; what it has already stays as it is.

    Args:
        session: its transaction holds all writes.
        lab_id: the lab, which exists.
        works: evidence of the exchange format, with or without ids.
        by: the researcher.
        now: the moment.

    Raises:
        ProfileError: a work is not right, or the lab would have too many.
    """
    # What reads registers takes a while to load; who changes no evidence does without.
    from indexer.sources.bringing_in import with_new_works

    before = profile_document(session, lab_id) or {}
    stored = before["evidence"]
    every, known = with_new_works(stored, works)
    added = every[len(stored) :]
    if not added:
        return AddedWorks(before, 0, known)
    used = {str(one["id"]) for one in every if one.get("id")}
    number = len(stored)
    given = []
    for one in added:
        while not one.get("id") and fallback_id(lab_id, number + 1) in used:
            number += 1
        given.append(one if one.get("id") else {**one, "id": fallback_id(lab_id, number + 1)})
        used.add(str(given[-1]["id"]))
    after = {**before, "evidence": [*given, *stored]}
    found = check(Kind.LABS, after)
    if found.faults or not isinstance(found.record, LabIn):
        fault = found.faults[0]
        raise ProfileError(fault.right, fault.field)
    import_rows(session, Kind.LABS, [after], "profile")
    session.add(LabEdit(lab_id=lab_id, fields=["evidence"], by=by, at=now))
    session.flush()
    return AddedWorks(profile_document(session, lab_id) or {}, len(given), known)


def known_work(session: Session, doi: str) -> dict[str, Any] | None:
    """Return what is known of a work by its DOI, from any lab that has it; None if none has."""
    row = session.exec(select(Evidence).where(Evidence.doi == doi).order_by(col(Evidence.lab_id))).first()
    return (
        None if row is None else row.model_dump(mode="json", include={"id", "kind", "title", "abstract", "year", "doi"})
    )


FEWEST_TOLD = 3
"""Counts below this, but not none, are told as "fewer than" this."""
_OPEN = (NeedState.SUBMITTED.value, NeedState.TAKEN_UP.value)


@dataclass(frozen=True)
class Demand:
    """Open needs for one field or kind of cooperation; `needs` None where there are fewer than `FEWEST_TOLD`."""

    name: str
    needs: int | None


def demand_by_field(session: Session, fields: Sequence[str]) -> list[Demand]:
    """Return the demand for each of some research fields, in their order."""
    query = select(Need.fields).join(NeedIntake, col(NeedIntake.need_id) == Need.id)
    query = query.where(in_use(Mendable.NEED, col(Need.id)))
    counted: Counter[str] = Counter()
    for named in session.exec(query.where(col(NeedIntake.state).in_(_OPEN))).all():
        counted.update(set(named))
    return [_told(field, counted[field]) for field in fields]


def demand_by_kind(session: Session, kinds: Sequence[str]) -> list[Demand]:
    """Return the demand for each of some kinds of cooperation, in their order."""
    query = (
        select(Ask.need_id, Ask.kind)
        .join(NeedIntake, col(NeedIntake.need_id) == Ask.need_id)
        .where(col(NeedIntake.state).in_(_OPEN), in_use(Mendable.NEED, col(Ask.need_id)))
        .distinct()
    )
    counted = Counter(str(kind) for _, kind in session.exec(query).all())
    return [_told(kind, counted[kind]) for kind in kinds]


def _told(name: str, needs: int) -> Demand:
    return Demand(name, needs if needs == 0 or needs >= FEWEST_TOLD else None)
