"""A form with a result in it, made the body of a report.

In: the fields of the form, as text. Out: the body that the API takes, with shares in basis points, instalments and
details as the figure has them. It exists apart from the page because every rule of typing (thousands separators,
percentages, rows left empty) is settled here, and everything else by the ledger.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal, InvalidOperation
from typing import Any

from sqlmodel import Session, col, select

from api.ledger_bodies import EntryBody, PersonBody
from api.pages.record_names import every
from api.pages.result_fields import FIELDS, Input
from api.pages.visiting import Visit
from api.policy import Action
from api.problems import ProblemError
from api.routes.entries import register_person
from api.visibility import companies as visible_companies
from indexer.records import Company, School
from indexer.wording import T_
from matcher.ledger.entries import WHOLE_BP
from matcher.ledger.kpis import Kpi
from matcher.people import Principal

SHARE_ROWS, FEWEST_PARTS, MOST_PARTS = 4, 4, 60
MORE_PARTS = 8


def body_of(visit: Visit, kpi: Kpi, evidence: list[dict[str, str]]) -> EntryBody:
    """Return what a form reports.

    Raises:
        Exception: one of `REFUSED`: something is not what it must be, or the person can't be registered.
    """
    given: dict[str, Any] = visit.values(
        "id", "amount", "occurred_on", "school_id", "counts_on", "company_id", "case_id", "restates", "value_added"
    )
    given["amount"] = _plain(given.get("amount", "1"))
    given |= {"kpi": kpi, "shares": _shares(visit), "details": _details(visit, kpi)}
    given["evidence"] = [*evidence, *({"url": line} for line in _lines(visit.form.get("links")))]
    parts = _instalments(visit)
    if parts:
        given["instalments"] = parts
    return visit.body(EntryBody, given)


def _plain(number: str) -> str:
    """Return a number without the marks that people put between its thousands."""
    return number.translate(dict.fromkeys(map(ord, ",， _"), None))


def _lines(text: object) -> Iterable[str]:
    return [line.strip() for line in str(text or "").splitlines() if line.strip()]


def _shares(visit: Visit) -> dict[str, int]:
    found: dict[str, int] = {}
    for row in range(1, SHARE_ROWS + 1):
        given = visit.values(f"alliance-{row}", f"percent-{row}")
        alliance, percent = given.get(f"alliance-{row}"), given.get(f"percent-{row}")
        if alliance is None and percent is None:
            continue
        if alliance is None or percent is None or alliance in found:
            raise ProblemError(422, "invalid", T_("give each alliance once, with its percentage"), "shares")
        found[alliance] = _basis_points(percent)
    return found


def _basis_points(percent: str) -> int:
    try:
        exact = Decimal(percent.strip().removesuffix("%").strip()) * 100
    except InvalidOperation:
        exact = Decimal(0)
    if not exact.is_finite() or exact != exact.to_integral_value() or not 0 < exact <= WHOLE_BP:
        raise ProblemError(422, "invalid", T_("give percentages from 0.01 to 100, with two decimals at most"), "shares")
    return int(exact)


def _instalments(visit: Visit) -> list[dict[str, Any]]:
    found = []
    for row in range(1, MOST_PARTS + 1):
        given = visit.values(f"due_on-{row}", f"part_ntd-{row}")
        if not given:
            continue
        if len(given) < 2:
            raise ProblemError(422, "invalid", T_("give each instalment its day and its amount"), "instalments")
        found.append({"due_on": given[f"due_on-{row}"], "amount_ntd": _plain(given[f"part_ntd-{row}"])})
    return found


def _details(visit: Visit, kpi: Kpi) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for asked in FIELDS[kpi]:
        name = f"details_{asked.name}"
        if asked.input is Input.ASPECTS:
            aspects = visit.values(*(f"{name}_{one}" for one, _ in asked.options))
            found[asked.name] = {key.removeprefix(f"{name}_"): text for key, text in aspects.items()}
        else:
            text = visit.values(name).get(name)
            if text is not None:
                found[asked.name] = text
    if kpi is Kpi.MEMBERS and "company" in found:
        found["company_name"] = visit.look(lambda session, _: _company_name(session, found["company"]))
    return found


def _company_name(session: Session, company_id: str) -> str:
    return session.exec(select(Company.name).where(Company.id == company_id)).first() or company_id


def registered(visit: Visit) -> str | None:
    """Register the person that a form names; return the pseudonym, None if it names nobody.

    Raises:
        Exception: one of `REFUSED`: name or identifier is missing.
    """
    given = visit.values("person_name", "person_identifier")
    if not given:
        return None
    for name in ("person_name", "person_identifier"):
        if name not in given:
            raise ProblemError(422, "invalid", T_("give the name and what tells people of one name apart"), name)
    body = visit.body(PersonBody, {"name": given["person_name"], "identifier": given["person_identifier"]})
    pseudonym: str = visit.document(register_person, body=body)["pseudonym"]
    return pseudonym


def choices(session: Session, who: Principal) -> dict[str, Any]:
    """Return what a form chooses from: schools, and companies that the person may see."""
    companies = session.execute(
        select(Company.id, Company.name, Company.name_en, Company.country)
        .where(visible_companies(who, Action.LIST))
        .order_by(col(Company.name))
        .limit(2_000)
    ).all()
    return {
        "schools": every(session, School),
        "companies": {row[0]: (row[1], row[2]) for row in companies},
    }
