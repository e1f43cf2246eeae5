"""An alliance reports a result.

In: what happened, with its details, shares, evidence and what GLORIA added.
Out: an entry that is reported, or held because it resembles another claim. It
exists as the one way by which facts come into the ledger: here a result takes
its key, so that nobody can report it again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

from pydantic import ValidationError
from sqlmodel import Session, col, select

from indexer.instants import day_in_taipei
from indexer.plain_text import clean
from indexer.records import Alliance, Company, School
from indexer.wording import T_, recognised
from matcher.cases import Case
from matcher.ledger.chain import lock_heads
from matcher.ledger.claims import refuse_claimed_elsewhere, take_key
from matcher.ledger.closing import booking_period
from matcher.ledger.configuration import current
from matcher.ledger.details import Details, MemberDetails, MoneyDetails, TalentDetails, read_details
from matcher.ledger.entries import (
    ACCEPTANCE_PREFIX,
    MAX_REPORTED_ID,
    MAX_TEXT,
    REVERSAL_SUFFIX,
    Entry,
    EntryKind,
    LedgerError,
    NewEntry,
    append,
    entry_of,
)
from matcher.ledger.kpis import KPI_FACTS, Kpi, Unit
from matcher.ledger.persons import Person
from matcher.ledger.rules import RecognitionRules
from matcher.ledger.similar import Likeness, Similarity, likenesses
from matcher.ledger.steps import NewStep, State, take

_SINGLE = (Unit.ALLIANCES, Unit.COMPANIES, Unit.CASES)
"""Units of which one entry is always one; persons and money have amounts."""


@dataclass(frozen=True)
class Report:
    """A result as an alliance reports it. `id` is made by the client; see `Entry` for the other fields."""

    id: str
    kpi: Kpi
    amount: int
    shares: Mapping[str, int]
    details: Mapping[str, Any]
    occurred_on: date
    school_id: str
    counts_on: date | None = None
    company_id: str | None = None
    case_id: int | None = None
    restates: str | None = None
    value_added: str = ""
    evidence: list[dict[str, str]] = field(default_factory=list)


def report(session: Session, given: Report, *, by: str, now: datetime) -> tuple[Entry, State]:
    """Report a result; the caller commits.

    Args:
        session: its transaction holds all writes.
        given: the result; its evidence was checked by `matcher.ledger.evidence.checked`.
        by: the reporter.
        now: the moment.

    Returns:
        The entry, and whether it is reported or held.

    Raises:
        LedgerError: something about the result is not what it must be.
        AlreadyReportedError: the same result is counted already.
        ClaimedElsewhereError: another programme claims it.
    """
    details = checked_details(given.kpi, given.details)
    lock_heads(session)
    rules = current(session, RecognitionRules)
    _check(session, given, details, rules, now)
    key = details.natural_key()
    refuse_claimed_elsewhere(session, given.kpi, key)
    counts_on = given.counts_on or given.occurred_on
    alike = likenesses(session, kpi=given.kpi, details=details, amount=given.amount, day=counts_on, rules=rules)
    period, late_for = booking_period(session, given.occurred_on)
    decision_id = None if given.case_id is None else _case(session, given).decision_id
    row = append(
        session,
        NewEntry(
            id=given.id,
            kind=EntryKind.FACT,
            kpi=given.kpi,
            amount=given.amount,
            shares=given.shares,
            natural_key=key,
            details=details.model_dump(mode="json"),
            occurred_on=given.occurred_on,
            counts_on=counts_on,
            period=period,
            late_for=late_for,
            school_id=given.school_id,
            company_id=_company(given, details),
            case_id=given.case_id,
            decision_id=decision_id,
            restates=given.restates,
            value_added=clean(given.value_added, max_chars=MAX_TEXT, multiline=True),
            evidence=given.evidence,
            reporter=by,
            reported_at=now,
        ),
    )
    take_key(session, kpi=given.kpi, natural_key=key, entry_id=row["id"])
    state = State.HELD if alike else State.REPORTED
    take(session, NewStep(row["id"], 0, state, by, now, reason=_grounds(alike)))
    session.add_all([_similarity(row["id"], likeness) for likeness in alike])
    session.flush()
    return entry_of(session, row["id"]), state


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


def _check(session: Session, given: Report, details: Details, rules: RecognitionRules, now: datetime) -> None:
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


def _check_references(session: Session, given: Report, details: Details) -> None:
    missing = set(given.shares) - set(session.exec(select(Alliance.id).where(col(Alliance.id).in_(given.shares))).all())
    if missing:
        raise LedgerError(T_("there is no alliance %(missing)r", missing=min(missing)), "shares")
    if session.get(School, given.school_id) is None:
        raise LedgerError(
            T_("there is no school %(school_id)r; import it first", school_id=given.school_id), "school_id"
        )
    company_id = _company(given, details)
    if company_id is not None and session.get(Company, company_id) is None:
        raise LedgerError(
            T_("there is no company %(company_id)r; import it first", company_id=company_id), "company_id"
        )
    person = getattr(details, "person", None)
    if person is not None and session.get(Person, person) is None:
        raise LedgerError(T_("there is no such person; register the person first"), "details.person")
    if given.restates is not None:
        entry_of(session, given.restates)


def _company(given: Report, details: Details) -> str | None:
    """A member is the party of its own membership, so that a stake in it bars whoever holds it."""
    return details.company if isinstance(details, MemberDetails) else given.company_id


def _case(session: Session, given: Report) -> Case:
    case = session.get(Case, given.case_id)
    if case is None or case.alliance_id not in given.shares:
        raise LedgerError(T_("there is no such case of an alliance that has a share"), "case_id")
    return case


def _grounds(alike: list[Likeness]) -> str:
    return "; ".join(f"{one.other_entry or f'claim {one.external_claim}'}: {', '.join(one.grounds)}" for one in alike)


def _similarity(entry_id: str, likeness: Likeness) -> Similarity:
    return Similarity(
        entry_id=entry_id,
        other_entry=likeness.other_entry,
        external_claim=likeness.external_claim,
        score=likeness.score,
        grounds=list(likeness.grounds),
    )
