"""Claims that look alike though their keys differ: held until a person has looked.

In: a result about to be reported. Out: the entries and other programmes' claims
that it resembles, with the grounds. It exists because one exhibition or one
contract can be written down in two ways; whether they are the same is for a
person to say, with both rows side by side.

Two claims of the same figure are alike if their parties' names are and their
days are near; money must be of nearly the same amount too. Names are compared
without legal forms (股份有限公司, Ltd.), by rapidfuzz's ratio of the texts or of
their sets of words, whichever is higher.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta

from rapidfuzz import fuzz
from sqlalchemy import JSON, CheckConstraint, Column
from sqlmodel import Field, Session, SQLModel, col, select

from indexer.vocabulary import folded
from matcher.ledger.rows.details import Details, read_details
from matcher.ledger.rows.entries import Entry
from matcher.ledger.rows.kpis import Kpi
from matcher.ledger.rows.result_claims import ExternalClaim, LiveFact
from matcher.ledger.rules.recognition import RecognitionRules

_LEGAL_FORMS = re.compile(
    r"股份有限公司|有限公司|公司|\b(?:co|company|corp|corporation|inc|ltd|limited|llc|gmbh|ag|plc)\b|[^\w\s]"
)
_NAMELESS = (Kpi.ALLIANCES, Kpi.TALENT, Kpi.ACCEPTANCES)
"""Figures whose parties say nothing: many people share a programme, an alliance is known by its id."""


class Similarity(SQLModel, table=True):
    """That an entry resembled another one, or another programme's claim, when it was reported: never updated."""

    __tablename__ = "ledger_similarity"
    __table_args__ = (
        CheckConstraint("(other_entry IS NULL) <> (external_claim IS NULL)", name="resembles_one_thing"),
        CheckConstraint("score BETWEEN 0 AND 100", name="score_bounded"),
    )

    id: int | None = Field(default=None, primary_key=True)
    entry_id: str = Field(foreign_key="ledger_entry.id", index=True)
    other_entry: str | None = Field(default=None, foreign_key="ledger_entry.id")
    external_claim: int | None = Field(default=None, foreign_key="external_claim.id")
    score: float
    grounds: list[str] = Field(sa_column=Column(JSON, nullable=False))


@dataclass(frozen=True)
class Likeness:
    """What a result resembles, and why. Exactly one of the two is set."""

    score: float
    grounds: tuple[str, ...]
    other_entry: str | None = None
    external_claim: int | None = None


@dataclass(frozen=True)
class _Claimed:
    party: str
    amount: int | None
    day: date | None


def likenesses(
    session: Session, *, kpi: Kpi, details: Details, amount: int, day: date, rules: RecognitionRules
) -> list[Likeness]:
    """Return what a result resembles, most alike first."""
    if kpi in _NAMELESS or not details.party():
        return []
    mine = _Claimed(details.party(), amount, day)
    found = [*_among_entries(session, kpi, details, mine, rules), *_among_external(session, kpi, details, mine, rules)]
    return sorted(found, key=lambda likeness: -likeness.score)


def _among_entries(
    session: Session, kpi: Kpi, details: Details, mine: _Claimed, rules: RecognitionRules
) -> Iterator[Likeness]:
    near = timedelta(days=rules.similar_days)
    day = mine.day or date.min
    query = (
        select(col(Entry.id), col(Entry.details), col(Entry.amount), col(Entry.counts_on))
        .join(LiveFact, col(LiveFact.entry_id) == col(Entry.id))
        .where(Entry.kpi == kpi.value, col(Entry.counts_on).between(day - near, day + near))
    )
    if kpi is Kpi.MONEY and mine.amount is not None:
        query = query.where(col(Entry.amount).between(*_amounts_near(mine.amount, rules.similar_amount_share)))
    for entry_id, said, amount, counts_on in session.execute(query).all():
        other = read_details(kpi, said)
        if _same_series(details, other):
            continue
        alike = _alike(kpi, mine, _Claimed(other.party(), amount, counts_on), rules)
        if alike is not None:
            yield Likeness(*alike, other_entry=entry_id)


def _amounts_near(amount: int, share: float) -> tuple[int, int]:
    """Return bounds that hold every amount which `_alike` may call near, so that the others need not be read."""
    return int(amount * (1 - share)) - 1, 2**62 if share >= 1 else int(amount / (1 - share)) + 1


def _among_external(
    session: Session, kpi: Kpi, details: Details, mine: _Claimed, rules: RecognitionRules
) -> Iterator[Likeness]:
    query = select(ExternalClaim).where(ExternalClaim.kpi == kpi.value, col(ExternalClaim.ended_at).is_(None))
    for claim in session.exec(query).all():
        if claim.natural_key == details.natural_key():
            continue
        alike = _alike(kpi, mine, _Claimed(claim.party, claim.amount, claim.occurred_on), rules)
        if alike is not None:
            yield Likeness(*alike, external_claim=claim.id)


def _same_series(one: Details, other: Details) -> bool:
    """Whether two results are told apart by what they say of themselves, such as instalments of one contract."""
    same = {"contract", "employer"} & set(type(one).model_fields)
    return any(folded(getattr(one, name)) == folded(getattr(other, name)) for name in same)


def _core(name: str) -> str:
    """Return a name without case, marks and legal forms; 台 is written 臺."""
    plain = unicodedata.normalize("NFKC", name).casefold().replace("台", "臺")
    return " ".join(_LEGAL_FORMS.sub(" ", plain).split()) or plain


def _alike(kpi: Kpi, mine: _Claimed, other: _Claimed, rules: RecognitionRules) -> tuple[float, tuple[str, ...]] | None:
    names = _core(mine.party), _core(other.party)
    score = max(fuzz.ratio(*names), fuzz.token_set_ratio(*names))
    if score < rules.similar_name_score:
        return None
    grounds = [f"{mine.party} / {other.party}: {score:.0f}"]
    if mine.day is not None and other.day is not None:
        apart = abs((mine.day - other.day).days)
        if apart > rules.similar_days:
            return None
        grounds.append(f"{mine.day} / {other.day}: {apart} d")
    if kpi is Kpi.MONEY and mine.amount is not None and other.amount is not None:
        if abs(mine.amount - other.amount) > rules.similar_amount_share * max(mine.amount, other.amount):
            return None
        grounds.append(f"NT$ {mine.amount:,} / {other.amount:,}")
    return float(score), tuple(grounds)
