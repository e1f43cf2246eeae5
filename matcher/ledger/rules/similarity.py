"""Claims that may be the same though their keys differ: held until a person has looked.

In: a result about to be reported. Out: the entries and other programmes' claims that it resembles, with the grounds;
what the reporter is told. It exists because one exhibition or one contract can be written down in two ways; whether
they are the same is for a person to say, with both rows side by side.

Two claims of the same figure resemble each other, whatever they are called,

- if their parties' names are alike and their days near; money must be of nearly the same amount too. Names are compared
  without legal forms (股份有限公司, Ltd.), by rapidfuzz's ratio of the texts or of their sets of words, whichever is
  higher;
- if both name the same file of evidence, unless they are of one contract, or of two people on one list;
- if one company (by its 統一編號) pays nearly the same amount by two contracts, in one year or within the
  days of the rule;
- if their contracts' or references' numbers only look alike (0 and O, K1001 and K1-001), or are those of two schools
  while payer or amount are alike;
- if the same person is counted twice in a year, or two people share a student number;
- if the same post at the same employer begins on the same day and one of them names nobody.

Grounds quote the other claim, so they are for the committee and the office. The reporter's alliance is told only whose
entry it resembles, since whoever may ask a thousand times learns what every answer says.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from rapidfuzz import fuzz
from sqlalchemy import JSON, CheckConstraint, Column, String, cast
from sqlalchemy import select as select_columns
from sqlalchemy.orm import aliased
from sqlmodel import Field, Session, SQLModel, col, or_, select

from indexer.folding import for_keys, for_looks, tax_ids_in
from indexer.records.record_tables import Alliance
from matcher.ledger.rows.details import (
    CaseDetails,
    Details,
    JobDetails,
    ModelCaseDetails,
    MoneyDetails,
    TalentDetails,
    read_details,
)
from matcher.ledger.rows.entries import Entry
from matcher.ledger.rows.kpis import Kpi
from matcher.ledger.rows.pseudonyms import same_number
from matcher.ledger.rows.result_claims import ExternalClaim, LiveFact, tax_id_of
from matcher.ledger.rows.steps import State, Step
from matcher.ledger.rules.recognition import RecognitionRules

_LEGAL_FORMS = re.compile(
    r"股份有限公司|有限公司|公司|\b(?:co|company|corp|corporation|inc|ltd|limited|llc|gmbh|ag|plc)\b|[^\w\s]"
)
_NAMELESS = (Kpi.ALLIANCES, Kpi.TALENT, Kpi.ACCEPTANCES)
"""Figures whose parties say nothing: many people share a programme, an alliance is known by its id."""
_SURE = 100.0
"""The score of a resemblance that is no matter of degree."""


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
class Claim:
    """A result as it is compared: what is said of it, of which school and company, and what proves it."""

    kpi: Kpi
    details: Details
    amount: int | None
    day: date | None
    school_id: str | None = None
    company_id: str | None = None
    evidence: Sequence[Mapping[str, str]] = ()

    @property
    def files(self) -> set[str]:
        """The hashes of the files that prove it."""
        return {item["sha256"] for item in self.evidence if "sha256" in item}

    @property
    def person(self) -> str | None:
        """The pseudonym of whom it is about, if it is about somebody."""
        return self.details.person if isinstance(self.details, TalentDetails | JobDetails) else None


_Found = dict[str, tuple[float, list[str]]]
"""The best score and all grounds, by entry."""


def likenesses(session: Session, claim: Claim, *, rules: RecognitionRules) -> list[Likeness]:
    """Return what a result resembles, most alike first."""
    others: _Found = {}
    for entry_id, score, grounds in _among_entries(session, claim, rules):
        best, said = others.get(entry_id, (0.0, []))
        others[entry_id] = (max(best, score), [*said, *(one for one in grounds if one not in said)])
    found = [Likeness(score, tuple(said), other_entry=entry_id) for entry_id, (score, said) in others.items()]
    found += _among_external(session, claim, rules)
    return sorted(found, key=lambda likeness: -likeness.score)


def told_of(session: Session, entry_id: str) -> str:
    """Return what everybody may read of why an entry was held, in both languages: whose claims it resembles."""
    alike = session.exec(select(Similarity).where(Similarity.entry_id == entry_id)).all()
    others = [one.other_entry for one in alike if one.other_entry is not None]
    shares = session.exec(select(Entry.shares).where(col(Entry.id).in_(others))).all() if others else []
    ids = {alliance for one in shares for alliance in one}
    named = select(Alliance.name, Alliance.name_en).where(col(Alliance.id).in_(ids)).order_by(col(Alliance.id))
    names = session.exec(named).all() if ids else []
    told = []
    if names:
        zh = "、".join(name or name_en or "" for name, name_en in names)
        en = ", ".join(name_en or name for name, name_en in names)
        told.append(f"與{zh}的成果相似 · resembles an entry of {en}")
    if any(one.external_claim is not None for one in alike):
        told.append("與其他計畫的主張相似 · resembles a claim of another programme")
    return "; ".join(told)


@dataclass(frozen=True)
class HeldProbe:
    """A report that was held for what is not the reporter's: another alliance's entry, another programme's claim.

    `alliances` are those whose entries it resembled.
    """

    account_id: str
    entry_id: str
    at: datetime
    alliances: frozenset[str]
    is_withdrawn: bool


def held_probes(session: Session) -> list[HeldProbe]:
    """Return the reports that resembled what their alliances have no share in, in the order they were written."""
    other = aliased(Entry)
    query = (
        select_columns(col(Entry.id), col(Entry.reporter), col(Entry.reported_at), col(Entry.shares), col(other.shares))
        .join(Similarity, col(Similarity.entry_id) == col(Entry.id))
        .join(other, col(other.id) == col(Similarity.other_entry), isouter=True)
        .order_by(col(Entry.seq))
    )
    found: dict[str, tuple[str, datetime, set[str]]] = {}
    for entry_id, reporter, at, mine, theirs in session.execute(query).all():
        # A claim of another programme is nobody's here.
        whose = set() if theirs is None else set(theirs)
        if set(mine).isdisjoint(whose):
            found.setdefault(entry_id, (reporter, at, set()))[2].update(whose)
    ended = set(session.exec(select(Step.entry_id).where(Step.state == State.WITHDRAWN.value)).all())
    return [
        HeldProbe(reporter, entry_id, at, frozenset(alliances), entry_id in ended)
        for entry_id, (reporter, at, alliances) in found.items()
    ]


_Grounds = tuple[str, float, list[str]]


def _among_entries(session: Session, claim: Claim, rules: RecognitionRules) -> Iterator[_Grounds]:
    yield from _by_name(session, claim, rules)
    yield from _by_series(session, claim, rules)
    yield from _by_file(session, claim)
    yield from _by_company(session, claim, rules)
    yield from _by_person(session, claim)


def _live(kpi: Kpi) -> Any:
    return select(Entry).join(LiveFact, col(LiveFact.entry_id) == col(Entry.id)).where(Entry.kpi == kpi.value)


def _claimed(entry: Entry) -> Claim:
    kpi = Kpi(entry.kpi)
    said = read_details(kpi, entry.details)
    return Claim(kpi, said, entry.amount, entry.counts_on, entry.school_id, entry.company_id, entry.evidence)


def _by_name(session: Session, claim: Claim, rules: RecognitionRules) -> Iterator[_Grounds]:
    """Parties' names that are alike, days that are near, and of money nearly the same amount."""
    if claim.kpi in _NAMELESS or not claim.details.party() or claim.day is None:
        return
    near = timedelta(days=rules.similar_days)
    query = _live(claim.kpi).where(col(Entry.counts_on).between(claim.day - near, claim.day + near))
    if claim.kpi is Kpi.MONEY and claim.amount is not None:
        query = query.where(col(Entry.amount).between(*_amounts_near(claim.amount, rules.similar_amount_share)))
    for entry in session.exec(query).all():
        other = _claimed(entry)
        if _same_contract(claim, other) or _told_apart_by_people(claim, other):
            continue
        alike = _alike(claim, other.details.party(), other.amount, other.day, rules)
        if alike is not None:
            yield entry.id, *alike


def _by_series(session: Session, claim: Claim, rules: RecognitionRules) -> Iterator[_Grounds]:
    """Numbers that look alike, or are the same at two schools; posts that may be one."""
    series = claim.details.series()
    if not series or isinstance(claim.details, TalentDetails):
        return
    for entry in session.exec(_live(claim.kpi).where(LiveFact.series == series)).all():
        other = _claimed(entry)
        if isinstance(claim.details, JobDetails):
            if claim.person is None or other.person is None:
                yield entry.id, _SURE, [f"{other.details.party()}: {claim.details.post}, {claim.details.start_on}"]
            continue
        if _same_contract(claim, other):
            continue
        alike = _name_score(claim, other.details.party()) >= rules.similar_name_score
        near = claim.kpi is Kpi.MONEY and _near(claim.amount, other.amount, rules)
        if alike or near or claim.school_id == other.school_id:
            yield entry.id, _SURE, [f"{_number(claim.details)} / {_number(other.details)}"]


def _by_file(session: Session, claim: Claim) -> Iterator[_Grounds]:
    """The same file of evidence."""
    if not claim.files:
        return
    within = [cast(col(Entry.evidence), String).contains(digest) for digest in sorted(claim.files)]
    later = [cast(col(Step.evidence), String).contains(digest) for digest in sorted(claim.files)]
    steps = select(Step.entry_id).where(or_(*later))
    for entry in session.exec(_live(claim.kpi).where(or_(*within, col(Entry.id).in_(steps)))).all():
        other = _claimed(entry)
        if _same_contract(claim, other) or _told_apart_by_people(claim, other):
            continue
        more = session.exec(select(Step.evidence).where(Step.entry_id == entry.id)).all()
        named = other.files | {item["sha256"] for items in more for item in items if "sha256" in item}
        for digest in sorted(claim.files & named):
            yield entry.id, _SURE, [f"SHA-256 {digest[:16]}"]


def _by_company(session: Session, claim: Claim, rules: RecognitionRules) -> Iterator[_Grounds]:
    """Nearly the same money of one company in one year, or within the rule's days."""
    if claim.kpi is not Kpi.MONEY or claim.amount is None or claim.day is None:
        return
    mine = _payers(session, claim)
    if not mine:
        return
    near = timedelta(days=rules.similar_days)
    first = min(claim.day - near, date(claim.day.year, 1, 1))
    last = max(claim.day + near, date(claim.day.year, 12, 31))
    query = _live(claim.kpi).where(
        col(Entry.amount).between(*_amounts_near(claim.amount, rules.similar_amount_share)),
        col(Entry.counts_on).between(first, last),
    )
    for entry in session.exec(query).all():
        other = _claimed(entry)
        same = mine & _payers(session, other)
        if same and not _same_contract(claim, other) and _near(claim.amount, other.amount, rules):
            yield entry.id, _SURE, [min(same), f"NT$ {claim.amount:,} / {other.amount:,}"]


def _payers(session: Session, claim: Claim) -> set[str]:
    """Return by what the company that pays is known: the 統一編號 of its record, and one that stands in its name."""
    tax_id = tax_id_of(session, claim.company_id)
    return {f"統一編號 {one}" for one in (tax_id, *tax_ids_in(claim.details.party())) if one is not None}


def _by_person(session: Session, claim: Claim) -> Iterator[_Grounds]:
    """The same person in the same year, or two people with one student number."""
    if claim.person is None:
        return
    year = _year(claim.details)
    people = {claim.person, *same_number(session, claim.person)}
    among = col(Entry.details)["person"].as_string().in_(sorted(people))
    for entry in session.exec(_live(claim.kpi).where(among)).all():
        other = _claimed(entry)
        if _year(other.details) == year:
            yield entry.id, _SURE, [f"{claim.person} / {other.person}: {year}"]


def _year(details: Details) -> int | None:
    if isinstance(details, TalentDetails):
        return details.year
    return details.start_on.year if isinstance(details, JobDetails) else None


def _told_apart_by_people(one: Claim, other: Claim) -> bool:
    """Whether two results are about two people: many share an employer, and one list proves them all."""
    return one.person is not None and other.person is not None and one.person != other.person


def _same_contract(one: Claim, other: Claim) -> bool:
    """Whether two results are told apart by what they say of themselves: instalments of one contract, one employer."""
    if isinstance(one.details, JobDetails) and isinstance(other.details, JobDetails):
        return for_looks(one.details.employer) == for_looks(other.details.employer)
    if isinstance(one.details, MoneyDetails) and isinstance(other.details, MoneyDetails):
        same = for_keys(one.details.contract) == for_keys(other.details.contract)
        return same and one.school_id == other.school_id
    return False


def _number(details: Details) -> str:
    if isinstance(details, MoneyDetails):
        return details.contract
    return details.reference if isinstance(details, CaseDetails | ModelCaseDetails) else ""


def _amounts_near(amount: int, share: float) -> tuple[int, int]:
    """Return bounds that hold every amount which `_near` may call near, so that the others need not be read."""
    return int(amount * (1 - share)) - 1, 2**62 if share >= 1 else int(amount / (1 - share)) + 1


def _near(one: int | None, other: int | None, rules: RecognitionRules) -> bool:
    return one is not None and other is not None and abs(one - other) <= rules.similar_amount_share * max(one, other)


def _among_external(session: Session, claim: Claim, rules: RecognitionRules) -> Iterator[Likeness]:
    if claim.kpi in _NAMELESS or not claim.details.party():
        return
    query = select(ExternalClaim).where(ExternalClaim.kpi == claim.kpi.value, col(ExternalClaim.ended_at).is_(None))
    for other in session.exec(query).all():
        if other.natural_key == claim.details.natural_key():
            continue
        alike = _alike(claim, other.party, other.amount, other.occurred_on, rules)
        if alike is not None:
            yield Likeness(alike[0], tuple(alike[1]), external_claim=other.id)


def _core(name: str) -> str:
    """Return a name without case, marks and legal forms, in one script and alphabet."""
    plain = " ".join(for_keys(word) for word in name.split())
    return " ".join(_LEGAL_FORMS.sub(" ", plain).split()) or plain


def _name_score(claim: Claim, party: str) -> float:
    names = _core(claim.details.party()), _core(party)
    return float(max(fuzz.ratio(*names), fuzz.token_set_ratio(*names)))


def _alike(
    claim: Claim, party: str, amount: int | None, day: date | None, rules: RecognitionRules
) -> tuple[float, list[str]] | None:
    score = _name_score(claim, party)
    if score < rules.similar_name_score:
        return None
    grounds = [f"{claim.details.party()} / {party}: {score:.0f}"]
    if claim.day is not None and day is not None:
        apart = abs((claim.day - day).days)
        if apart > rules.similar_days:
            return None
        grounds.append(f"{claim.day} / {day}: {apart} d")
    if claim.kpi is Kpi.MONEY and claim.amount is not None and amount is not None:
        if not _near(claim.amount, amount, rules):
            return None
        grounds.append(f"NT$ {claim.amount:,} / {amount:,}")
    return score, grounds
