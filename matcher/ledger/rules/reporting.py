"""How facts come into the ledger: an alliance reports a result, or an expert accepts a pairing.

In: what happened, with its details, shares, evidence and what GLORIA added; a contract with the schedule of its
instalments; a case that an acceptance opened, or whose acceptance was undone. Out: an entry that is reported, or
held because it resembles another claim. It exists as the one way by which facts come in: here a result takes its
key, so that nobody can report it again.

A contract that spans years has one entry for each instalment: each counts in its year, and what falls due after the
programme's end is shown apart. An acceptance is booked by the decision that makes it, in its transaction, so that none
is without its entry and none is counted twice; it is what `matcher.review.decisions.Ledger` asks for, is the product's
own figure and needs no recognition.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from typing import Any

from pydantic import ValidationError
from sqlmodel import Session, col, select

from indexer.instants import day_in_taipei
from indexer.plain_text import clean
from indexer.records.record_tables import Alliance, Company, School
from indexer.vocabulary import Tier
from indexer.wording import T_, recognised
from matcher.ledger.rows.chain import lock_heads
from matcher.ledger.rows.details import (
    AcceptanceDetails,
    Aspect,
    Circumstances,
    Details,
    MemberDetails,
    ModelCaseDetails,
    MoneyDetails,
    TalentDetails,
    read_details,
)
from matcher.ledger.rows.entries import (
    ACCEPTANCE_PREFIX,
    MAX_REPORTED_ID,
    MAX_TEXT,
    REVERSAL_SUFFIX,
    WHOLE_BP,
    Entry,
    EntryKind,
    LedgerError,
    NewEntry,
    append,
    entry_of,
)
from matcher.ledger.rows.kpis import KPI_FACTS, Kpi, Unit
from matcher.ledger.rows.periods import booking_period
from matcher.ledger.rows.pseudonyms import Person
from matcher.ledger.rows.result_claims import free_key, refuse_claimed_elsewhere, take_key, tax_id_of
from matcher.ledger.rows.steps import NewStep, State, take
from matcher.ledger.rules.configuration import current
from matcher.ledger.rules.recognition import RecognitionRules, write_reversal
from matcher.ledger.rules.similarity import Claim, Likeness, Similarity, likenesses, told_of
from matcher.review.cases import Case
from matcher.review.people import principal
from matcher.review.roles import STAFF

_MEMBER_TIERS = (Tier.DOMESTIC.value, Tier.INTERNATIONAL.value, Tier.GOLD.value)
_SINGLE = (Unit.ALLIANCES, Unit.COMPANIES, Unit.CASES)
"""Units of which one entry is always one; persons and money have amounts."""


@dataclass(frozen=True)
class NewResult:
    """A result as an alliance reports it. `id` is made by the client; see `Entry` for the other fields."""

    id: str
    kpi: Kpi
    amount: int
    shares: Mapping[str, int]
    details: Mapping[str, Any]
    occurred_on: date
    school_id: str
    school_shares: Mapping[str, int] | None = None
    counts_on: date | None = None
    company_id: str | None = None
    company_shares: Mapping[str, int] | None = None
    case_id: int | None = None
    restates: str | None = None
    value_added: str = ""
    evidence: list[dict[str, str]] = field(default_factory=list)


def report(session: Session, given: NewResult, *, by: str, now: datetime) -> tuple[Entry, State]:
    """Report a result; the caller commits.

    Args:
        session: its transaction holds all writes.
        given: the result; its evidence was checked by `matcher.ledger.rows.evidence.checked_items`.
        by: the reporter.
        now: the moment.

    Returns:
        The entry, and whether it is reported or held.

    Raises:
        LedgerError: something about the result is not what it must be, or the reporter's alliances have no share.
        AlreadyReportedError: the same result is counted already.
        ClaimedElsewhereError: another programme claims it.
    """
    own = must_have_a_share(session, by, given.shares)
    details = checked_details(given.kpi, given.details)
    lock_heads(session)
    rules = current(session, RecognitionRules)
    _check(session, given, details, rules, now)
    refuse_claimed_elsewhere(session, given.kpi, details.natural_key())
    claim = Claim(
        kpi=given.kpi,
        details=details,
        amount=given.amount,
        day=given.counts_on or given.occurred_on,
        school_id=given.school_id,
        company_id=_company(given, details),
        evidence=given.evidence,
    )
    about = Circumstances(given.id, given.school_id, tax_id_of(session, claim.company_id))
    alike = likenesses(session, claim, rules=rules)
    row = append(session, _new_entry(session, given, claim, by=by, now=now))
    take_key(session, kpi=given.kpi, details=details, about=about, by=own)
    state = State.HELD if alike else State.REPORTED
    session.add_all([_similarity(row["id"], likeness) for likeness in alike])
    session.flush()
    take(session, NewStep(row["id"], 0, state, by, now, reason=told_of(session, row["id"])))
    return entry_of(session, row["id"]), state


def _new_entry(session: Session, given: NewResult, claim: Claim, *, by: str, now: datetime) -> NewEntry:
    """Return the row that a result becomes, in the quarter that is open for it and with the decision of its case."""
    period, late_for = booking_period(session, given.occurred_on)
    decision_id = None if given.case_id is None else _case(session, given).decision_id
    return NewEntry(
        id=given.id,
        kind=EntryKind.FACT,
        kpi=given.kpi,
        amount=given.amount,
        shares=given.shares,
        natural_key=claim.details.natural_key(),
        details=claim.details.model_dump(mode="json"),
        occurred_on=given.occurred_on,
        counts_on=given.counts_on or given.occurred_on,
        period=period,
        late_for=late_for,
        school_id=given.school_id,
        school_shares=given.school_shares,
        company_id=claim.company_id,
        company_shares=given.company_shares,
        case_id=given.case_id,
        decision_id=decision_id,
        restates=given.restates,
        value_added=clean(given.value_added, max_chars=MAX_TEXT, multiline=True),
        evidence=given.evidence,
        reporter=by,
        reported_at=now,
    )


def must_have_a_share(session: Session, by: str, shares: Iterable[str]) -> frozenset[str]:
    """Let somebody report only what an alliance has a share in that they work for; return those they work for.

    Raises:
        LedgerError: they work for none of these.
    """
    who = principal(session, by)
    own = frozenset[str]() if who is None else who.scopes(*STAFF)
    if own.isdisjoint(shares):
        raise LedgerError(T_("give one of your own a share: %(own)s", own=", ".join(sorted(own))), "shares")
    return own


def checked_details(kpi: Kpi, given: Mapping[str, Any]) -> Details:
    """Return details, checked.

    Raises:
        LedgerError: the first thing that is missing, misspelt or impossible.
    """
    try:
        return read_details(kpi, dict(given))
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(part) for part in first["loc"] if part != kpi.value)
        raise LedgerError(recognised(first["msg"]), f"details.{place}" if place else "details") from error


def _check(session: Session, given: NewResult, details: Details, rules: RecognitionRules, now: datetime) -> None:
    if len(given.id) > MAX_REPORTED_ID or given.id.startswith(ACCEPTANCE_PREFIX) or given.id.endswith(REVERSAL_SUFFIX):
        raise LedgerError(
            T_(
                "give an id of at most %(max_reported_id)s characters that neither begins with "
                "%(acceptance_prefix)r nor ends with %(reversal_suffix)r: such ids are the ledger's own",
                max_reported_id=MAX_REPORTED_ID,
                acceptance_prefix=ACCEPTANCE_PREFIX,
                reversal_suffix=REVERSAL_SUFFIX,
            ),
            "id",
        )
    if not KPI_FACTS[given.kpi].needs_recognition:
        raise LedgerError(T_("%(kpi)s is booked by decisions, not reported", kpi=given.kpi), "kpi")
    if given.amount != 1 and KPI_FACTS[given.kpi].unit in _SINGLE:
        raise LedgerError(T_("one entry is one of these: the amount is 1"), "amount")
    if isinstance(details, TalentDetails) and given.amount != 1:
        raise LedgerError(T_("one entry is one person: the amount is 1"), "amount")
    if isinstance(details, MemberDetails) and details.tier not in _MEMBER_TIERS:
        raise LedgerError(T_("choose a tier, one of: %(tiers)s", tiers=", ".join(_MEMBER_TIERS)), "details.tier")
    if isinstance(details, ModelCaseDetails) and set(details.aspects) != set(Aspect):
        raise LedgerError(T_("say something of each of the six aspects"), "details.aspects")
    if not rules.programme_start <= given.occurred_on <= day_in_taipei(now):
        raise LedgerError(
            T_(
                "a result has happened, between %(programme_start)s and today in Taipei",
                programme_start=rules.programme_start,
            ),
            "occurred_on",
        )
    if given.counts_on is not None and given.counts_on != given.occurred_on and not isinstance(details, MoneyDetails):
        raise LedgerError(T_("only an instalment counts on another day than that of its contract"), "counts_on")
    if given.counts_on is not None and given.counts_on < given.occurred_on:
        raise LedgerError(T_("an instalment falls due on the day of its contract or later"), "counts_on")
    _check_references(session, given, details)


def _check_references(session: Session, given: NewResult, details: Details) -> None:
    missing = set(given.shares) - set(session.exec(select(Alliance.id).where(col(Alliance.id).in_(given.shares))).all())
    if missing:
        raise LedgerError(T_("there is no alliance %(missing)r", missing=min(missing)), "shares")
    _check_parties(session, given, details)
    person = getattr(details, "person", None)
    if person is not None and session.get(Person, person) is None:
        raise LedgerError(T_("there is no such person; register the person first"), "details.person")
    if given.restates is not None:
        entry_of(session, given.restates)


def _check_parties(session: Session, given: NewResult, details: Details) -> None:
    """Refuse schools and companies that there are not, be they the first or sharing."""
    if given.company_shares is not None and isinstance(details, MemberDetails):
        raise LedgerError(T_("a membership is that of one company"), "company_shares")
    for place, school_ids in (("school_id", [given.school_id]), ("school_shares", sorted(given.school_shares or {}))):
        for school_id in school_ids:
            if session.get(School, school_id) is None:
                raise LedgerError(T_("there is no school %(school_id)r; import it first", school_id=school_id), place)
    first = _company(given, details)
    named = [] if first is None else [first]
    for place, company_ids in (("company_id", named), ("company_shares", sorted(given.company_shares or {}))):
        for company_id in company_ids:
            if session.get(Company, company_id) is None:
                raise LedgerError(
                    T_("there is no company %(company_id)r; import it first", company_id=company_id), place
                )


def _company(given: NewResult, details: Details) -> str | None:
    """A member is the party of its own membership, so that a stake in it bars whoever holds it."""
    return details.company if isinstance(details, MemberDetails) else given.company_id


def _case(session: Session, given: NewResult) -> Case:
    case = session.get(Case, given.case_id)
    if case is None or case.alliance_id not in given.shares:
        raise LedgerError(T_("there is no such case of an alliance that has a share"), "case_id")
    return case


def _similarity(entry_id: str, likeness: Likeness) -> Similarity:
    return Similarity(
        entry_id=entry_id,
        other_entry=likeness.other_entry,
        external_claim=likeness.external_claim,
        score=likeness.score,
        grounds=list(likeness.grounds),
    )


@dataclass(frozen=True)
class Instalment:
    """What falls due on a day, in NTD."""

    due_on: date
    amount_ntd: int


def instalments_of(contract: NewResult, schedule: Sequence[Instalment]) -> list[NewResult]:
    """Return one report for each instalment of a contract.

    Args:
        contract: the whole contract; its amount is the total, its details lack `instalment`.
        schedule: the instalments; they must sum to the total.

    Raises:
        LedgerError: the contract is not about money, or the instalments do not sum to its total.
    """
    if contract.kpi is not Kpi.MONEY:
        raise LedgerError(T_("only money is paid in instalments"), "kpi")
    if sum(part.amount_ntd for part in schedule) != contract.amount:
        raise LedgerError(T_("the instalments do not sum to the contract's total"), "amount")
    ordered = sorted(schedule, key=lambda part: part.due_on)
    return [_instalment(contract, number, part) for number, part in enumerate(ordered, start=1)]


def _instalment(contract: NewResult, number: int, part: Instalment) -> NewResult:
    details: dict[str, Any] = {**contract.details, "instalment": number}
    return replace(
        contract, id=f"{contract.id}-{number}", amount=part.amount_ntd, details=details, counts_on=part.due_on
    )


class AcceptanceLedger:
    """Books acceptances; see `matcher.review.decisions.Ledger`."""

    def accepted(self, session: Session, case: Case) -> None:
        """Book the acceptance that opened a case."""
        lock_heads(session)
        day = day_in_taipei(case.opened_at)
        period, late_for = booking_period(session, day)
        details = AcceptanceDetails(case=case.id or 0, pairing=case.pairing_id)
        entry_id, key = f"{ACCEPTANCE_PREFIX}{case.id}", details.natural_key()
        append(
            session,
            NewEntry(
                id=entry_id,
                kind=EntryKind.FACT,
                kpi=Kpi.ACCEPTANCES,
                amount=1,
                shares={case.alliance_id: WHOLE_BP},
                natural_key=key,
                details=details.model_dump(mode="json"),
                occurred_on=day,
                counts_on=day,
                period=period,
                late_for=late_for,
                company_id=case.company_id,
                case_id=case.id,
                decision_id=case.decision_id,
                reporter=case.owner_id,
                reported_at=case.opened_at,
            ),
        )
        take_key(session, kpi=Kpi.ACCEPTANCES, details=details, about=Circumstances(entry_id))

    def undone(self, session: Session, case: Case, *, by: str, now: datetime) -> None:
        """Reverse what was booked for a case; nothing is done for one that an older release opened."""
        lock_heads(session)
        entry = session.exec(select(Entry).where(Entry.id == f"{ACCEPTANCE_PREFIX}{case.id}")).first()
        if entry is not None:
            write_reversal(session, entry, reason="undone on the same day", by=by, now=now)
            free_key(session, entry.id)
