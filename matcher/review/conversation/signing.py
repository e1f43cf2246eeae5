"""What a signed case says for the ledger: the contract's day, sum and instalments, who has which share, the document.

In: what the expert enters when a case is signed. Out: one row for each signed case, checked. It exists because the
contract lies open on the desk on the day of the signature and nowhere else: asked for then, the result is reported
weeks later without looking for it, and a lab is known to be at work until the contract ends, which its load shows. It
is no result: what counts is decided in the ledger alone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta
from typing import Any

from sqlalchemy import JSON, BigInteger, CheckConstraint, Column
from sqlmodel import Field, Session, SQLModel, and_, case, col, func, or_, select

from indexer.instants import TAIPEI, Instant
from indexer.records.profiles import Lab as LabProfile
from indexer.records.record_tables import Alliance, Ask, Need
from indexer.wording import T_
from matcher.review.cases import OPEN_STAGES, Case, LabLoad, Stage

WHOLE_BP = 10_000
"""All shares together, in basis points."""
MOST_INSTALMENTS = 60
MOST_NTD = 10**12


class SigningError(ValueError):
    """What is said of a signature does not fit together; the message says why and `field` what is to blame."""

    def __init__(self, message: str, field: str | None = None) -> None:
        super().__init__(message)
        self.field = field


class Signing(SQLModel, table=True):
    """What was signed in a case: never updated, never deleted. Amounts are whole NTD."""

    __tablename__ = "signing"
    __table_args__ = (
        CheckConstraint("amount_ntd IS NULL OR amount_ntd > 0", name="amount_positive"),
        CheckConstraint("ends_on IS NULL OR ends_on >= signed_on", name="ends_after_it_is_signed"),
    )

    case_id: int = Field(primary_key=True, foreign_key="case_file.id", sa_column_kwargs={"autoincrement": False})
    signed_on: date
    ends_on: date | None = None
    contract: str = ""
    amount_ntd: int | None = Field(default=None, sa_column=Column(BigInteger, nullable=True))
    purpose: str | None = None
    instalments: list[dict[str, Any]] = Field(sa_column=Column(JSON, nullable=False))
    shares: dict[str, int] = Field(sa_column=Column(JSON, nullable=False))
    document: dict[str, str] | None = Field(default=None, sa_column=Column(JSON, nullable=True))
    by: str = Field(foreign_key="account.id")
    at: datetime = Field(sa_type=Instant)


def sign(
    session: Session,
    *,
    case: Case,
    signed_on: date,
    by: str,
    now: datetime,
    today: date,
    ends_on: date | None = None,
    contract: str = "",
    amount_ntd: int | None = None,
    purpose: str | None = None,
    instalments: Collection[Mapping[str, Any]] = (),
    shares: Mapping[str, int] | None = None,
    document: Mapping[str, str] | None = None,
) -> Signing:
    """Note what was signed; the case stands at `signed` in the same transaction.

    Args:
        session: its transaction holds both.
        case: the signed case.
        signed_on: the day.
        by: the account.
        now: the moment.
        today: the day in Taipei; nothing is signed after it.
        ends_on: the day until which the lab is at work.
        contract: the contract's number.
        amount_ntd: its sum, None for a cooperation without money.
        purpose: what it is paid for, as the ledger names it.
        instalments: `due_on` and `amount_ntd` of each; together the sum.
        shares: basis points by alliance; all to the case's own if nothing is said.
        document: `sha256` and `name` of a stored file.

    Raises:
        SigningError: a part does not fit the others.
    """
    if case.stage != Stage.SIGNED:
        raise SigningError(T_("only of a signed case is said what was signed"))
    if signed_on > today:
        raise SigningError(T_("%(day)s has not come yet; give the day of the signature", day=signed_on), "signed_on")
    if ends_on is not None and ends_on < signed_on:
        raise SigningError(T_("the contract ends before it is signed; correct one of the days"), "ends_on")
    parts = [dict(one) for one in instalments]
    _check_money(amount_ntd, parts)
    row = Signing(
        case_id=case.id or 0,
        signed_on=signed_on,
        ends_on=ends_on,
        contract=contract,
        amount_ntd=amount_ntd,
        purpose=purpose,
        instalments=parts,
        shares=_shares(session, case, shares or {}),
        document=None if document is None else dict(document),
        by=by,
        at=now,
    )
    session.add(row)
    session.flush()
    return row


def _check_money(amount_ntd: int | None, parts: Collection[Mapping[str, Any]]) -> None:
    if amount_ntd is not None and not 0 < amount_ntd <= MOST_NTD:
        raise SigningError(T_("give the sum in whole NTD, or leave it out if no money is paid"), "amount_ntd")
    if len(parts) > MOST_INSTALMENTS:
        raise SigningError(T_("give at most %(most)s instalments", most=MOST_INSTALMENTS), "instalments")
    total = sum(int(one["amount_ntd"]) for one in parts)
    if parts and total != amount_ntd:
        raise SigningError(
            T_(
                "the instalments make %(total)s NTD together, the sum is %(amount)s",
                total=total,
                amount=amount_ntd or 0,
            ),
            "instalments",
        )


def _shares(session: Session, case: Case, given: Mapping[str, int]) -> dict[str, int]:
    if not given:
        return {case.alliance_id: WHOLE_BP}
    known = set(session.exec(select(Alliance.id).where(col(Alliance.id).in_(list(given)))).all())
    if known != set(given) or any(one <= 0 for one in given.values()) or sum(given.values()) != WHOLE_BP:
        raise SigningError(T_("shares are of known alliances and make 100 percent together"), "shares")
    return dict(given)


FEWEST_NAMED = 3
"""A field or kind of cooperation is told only if so many signed cases have it, or one need could be recognised."""


@dataclass(frozen=True)
class PastCooperation:
    """What was signed with a lab in all alliances, by number alone: no company, no need, no alliance is named.

    `fields` and `kinds` are those of the needs, with how many signed cases had each, the commonest first.
    """

    signed: int = 0
    alliances: int = 0
    first_year: int | None = None
    last_year: int | None = None
    fields: tuple[tuple[str, int], ...] = ()
    kinds: tuple[tuple[str, int], ...] = ()


def past_cooperation(session: Session, lab_ids: Collection[str]) -> PastCooperation:
    """Return what was signed with a lab, which may have been known under several ids."""
    query = (
        select(Case, col(Signing.signed_on), col(Need.fields))
        .join(Need, col(Need.id) == Case.need_id)
        .join(Signing, col(Signing.case_id) == Case.id, isouter=True)
        .where(col(Case.lab_id).in_(sorted(lab_ids)), Case.stage == Stage.SIGNED.value)
    )
    rows = session.exec(query).all()
    if not rows:
        return PastCooperation()
    years = [_year(case, signed_on) for case, signed_on, _ in rows]
    asked = select(Ask.need_id, Ask.kind).where(col(Ask.need_id).in_({case.need_id for case, *_ in rows})).distinct()
    kinds_of: dict[str, set[str]] = {}
    for need_id, kind in session.exec(asked).all():
        kinds_of.setdefault(need_id, set()).add(str(kind))
    return PastCooperation(
        signed=len(rows),
        alliances=len({case.alliance_id for case, *_ in rows}),
        first_year=min(years),
        last_year=max(years),
        fields=_named(one for _, _, fields in rows for one in set(fields or ())),
        kinds=_named(one for case, *_ in rows for one in kinds_of.get(case.need_id, ())),
    )


def _year(case: Case, signed_on: date | None) -> int:
    # Of a case that was signed before its day was asked for, the year in which it was opened stands in.
    return (case.opened_at.astimezone(TAIPEI) if signed_on is None else signed_on).year


def _named(words: Iterable[str]) -> tuple[tuple[str, int], ...]:
    return tuple((word, n) for word, n in Counter(words).most_common() if n >= FEWEST_NAMED)


RUNS_FOR = timedelta(days=365)
"""So long a signed cooperation is taken to run of which nobody said when it ends."""


def loads_of_labs(session: Session, lab_ids: Collection[str], today: date) -> dict[str, LabLoad]:
    """Return the load of each lab by its id: its open cases, and the signed ones that run on a day."""
    running = or_(
        col(Signing.ends_on) >= today,
        and_(col(Signing.ends_on).is_(None), col(Signing.signed_on) >= today - RUNS_FOR),
        and_(col(Signing.case_id).is_(None), col(Case.opened_at) >= datetime.combine(today - RUNS_FOR, time(), TAIPEI)),
    )
    open_ones = col(Case.stage).in_([stage.value for stage in OPEN_STAGES])
    # Asked by every page that ranks labs, so in one statement.
    query = (
        select(Case.lab_id, Case.stage, func.count())
        .join(Signing, col(Signing.case_id) == Case.id, isouter=True)
        .where(col(Case.lab_id).in_(sorted(lab_ids)), or_(open_ones, and_(Case.stage == Stage.SIGNED.value, running)))
        .group_by(col(Case.lab_id), col(Case.stage))
    )
    found = dict.fromkeys(lab_ids, LabLoad())
    for lab_id, stage, count in session.exec(query).all():
        had = found[lab_id]
        if stage == Stage.SIGNED:
            found[lab_id] = replace(had, signed=count)
        else:
            early = count if stage == Stage.ACCEPTED else 0
            found[lab_id] = replace(had, open_cases=had.open_cases + count, not_introduced=had.not_introduced + early)
    return found


def labs_at_limit(session: Session, labs: Mapping[str, LabProfile], need_id: str, today: date) -> frozenset[str]:
    """Return the labs that carry as many projects on a day as they say they can, or more, by id.

    A lab that has a case of the need is none of them: it carries that need already.

    Args:
        session: one state of the database.
        labs: all labs by id.
        need_id: the need that somebody looks for labs for.
        today: the day.
    """
    running = col(Case.stage).in_([stage.value for stage in (*OPEN_STAGES, Stage.SIGNED)])
    has_it = func.max(case((col(Case.need_id) == need_id, 1), else_=0))
    busy = session.exec(select(Case.lab_id, has_it).where(running).group_by(col(Case.lab_id))).all()
    stated = {
        lab_id: labs[lab_id].capacity
        for lab_id, carries_it in busy
        if not carries_it and lab_id in labs and labs[lab_id].capacity is not None
    }
    loads = loads_of_labs(session, stated.keys(), today) if stated else {}
    return frozenset(lab_id for lab_id, capacity in stated.items() if loads[lab_id].carried >= (capacity or 0))


def signing_of(session: Session, case_id: int) -> Signing | None:
    """Return what was signed in a case, None if nothing was said of it."""
    return session.get(Signing, case_id)
