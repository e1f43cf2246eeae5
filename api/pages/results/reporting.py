"""The alliance's results: the way into the ledger, and on through it, with what each lacks.

In: what an alliance says came of its work, with files, and its word on what it reported. Out: the form that reports
a result for what it counts for, the list of results, each supplemented or withdrawn.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Any
from uuid import uuid4

from babel import Locale
from fastapi import APIRouter, Depends, Query, Response
from sqlmodel import Session
from starlette.datastructures import FormData

from api.access.policy import Action, Resource
from api.documents.ledger import claims_on
from api.documents.ledger_bodies import ReasonBody, SupplementBody
from api.pages.desk.views import Sorting, views_shown
from api.pages.results.forms import (
    FEWEST_PARTS,
    FIELDS,
    MEANINGS,
    MORE_PARTS,
    MOST_PARTS,
    PARTY_ROWS,
    SHARE_ROWS,
    Input,
    body_of,
    choices,
    kept_files,
    on_the_form,
    registered,
    stored,
    words,
)
from api.pages.shell.receiving import receiving
from api.pages.shell.record_names import CaseNames, case_names
from api.pages.shell.visiting import Visit, visiting
from api.pages.shell.wording import N_, Lang, lang_of
from api.requests.capacity import ThreadedRoute
from api.requests.problems import ProblemError, Refusal, not_found
from api.routes.cases import read_case
from api.routes.ledger.entries import EntryId, EntryOrder, list_entries, read_entry, report_result
from api.routes.ledger.review import supplement_entry, withdraw_entry
from indexer.instants import day_in_taipei, now
from indexer.vocabulary import COUNTRIES
from indexer.wording import T_
from matcher.ledger.rows.details import Circumstances, MemberDetails, PayerType
from matcher.ledger.rows.kpis import KPI_FACTS, RECOGNISED_KPIS, Kpi
from matcher.ledger.rows.periods import quarter_after, quarter_of, year_of
from matcher.ledger.rows.result_claims import tax_id_of
from matcher.ledger.rows.steps import State
from matcher.ledger.rules.configuration import current
from matcher.ledger.rules.recognition import RecognitionRules
from matcher.ledger.rules.reporting import checked_details
from matcher.ledger.rules.requirements import Requirement
from matcher.review.conversation.signing import Signing, signing_of
from matcher.review.desk.saved_views import ViewedList
from matcher.review.people import Principal
from matcher.review.roles import STAFF, Role

router = APIRouter(prefix="/results", include_in_schema=False, route_class=ThreadedRoute)

_CLAIMED = ("already-reported", "claimed-elsewhere")
CaseOrNone = Annotated[int | None, Query(ge=1, le=2**31 - 1)]
Reporting = Annotated[Visit, Depends(visiting(Resource.ENTRY, Action.CREATE))]


@router.get("/new")
def show_new(visit: Reporting, case: CaseOrNone = None, kpi: str = "") -> Response:
    """Show the figures to choose from, or the form of the chosen one."""
    if kpi not in FIELDS:
        about = None if case is None else visit.document(read_case, case_id=case)
        return visit.show(
            "results/choose.html",
            case=about,
            names=None if about is None else _names_of(visit, about),
            kpis=[(one, KPI_FACTS[one], MEANINGS[one]) for one in RECOGNISED_KPIS],
        )
    kept = [] if case is None else visit.look(lambda session, _: _document_of(session, case))
    return _form(visit, Kpi(kpi), _defaults(visit, Kpi(kpi), case), kept)


def _document_of(session: Session, case_id: int) -> list[dict[str, str]]:
    signing = signing_of(session, case_id)
    document = None if signing is None else signing.document
    return [] if document is None else [{"sha256": document["sha256"], "name": document.get("name") or "file"}]


def _defaults(visit: Visit, kpi: Kpi, case_id: int | None) -> dict[str, str]:
    """What a form begins with: the alliance alone, and what the case says already."""
    found = {"id": f"r-{uuid4().hex}", "percent-1": "100"}
    own = visit.look(lambda _, who: sorted(who.scopes(*STAFF)))
    found |= {"alliance-1": own[0]} if len(own) == 1 else {}
    found |= {f"details_{asked.name}": asked.default for asked in FIELDS[kpi] if asked.default}
    if case_id is None:
        return found
    case = visit.document(read_case, case_id=case_id)
    names = _names_of(visit, case)
    found |= {"case_id": str(case_id), "alliance-1": case["alliance_id"]}
    found["school_id"] = names.schools.get(case["lab_id"]) or ""
    if case["company_id"]:
        company = names.companies.get(case["company_id"], ("", ""))[0]
        found |= {"company_id": case["company_id"], "details_company": case["company_id"]}
        found |= {f"details_{name}": company for name in ("payer", "partner", "employer")}
    signing = visit.look(lambda session, _: signing_of(session, case_id))
    return found if signing is None else found | _of_signing(kpi, signing)


def _of_signing(kpi: Kpi, signing: Signing) -> dict[str, str]:
    """Return what a form takes over from what was entered when the case was signed."""
    found = {"occurred_on": signing.signed_on.isoformat()}
    for row, (alliance, share) in enumerate(sorted(signing.shares.items(), key=lambda one: -one[1]), start=1):
        found |= {f"alliance-{row}": alliance, f"percent-{row}": f"{share / 100:g}"}
    if kpi is Kpi.MONEY:
        if signing.amount_ntd is not None:
            found["amount"] = str(signing.amount_ntd)
        found |= {"details_contract": signing.contract, "details_purpose": signing.purpose or ""}
        # A need is a company's, and so is its contract; a form that says otherwise is changed.
        found["details_payer_type"] = PayerType.COMPANY.value
        for row, part in enumerate(signing.instalments, start=1):
            found |= {f"due_on-{row}": str(part["due_on"]), f"part_ntd-{row}": str(part["amount_ntd"])}
    return found


def _form(
    visit: Visit,
    kpi: Kpi,
    given: Mapping[str, Any],
    kept: list[dict[str, str]],
    refused: Refusal | None = None,
    taken: Mapping[str, Any] | None = None,
) -> Response:
    case_id = str(given.get("case_id") or "")
    found = None
    if case_id.isdigit():
        found = visit.attempt(lambda: visit.document(read_case, case_id=int(case_id)))
    case = None if isinstance(found, Refusal) else found
    parts = [row for row in range(1, MOST_PARTS + 1) if given.get(f"due_on-{row}") or given.get(f"part_ntd-{row}")]
    rows = max(FEWEST_PARTS, *parts, 0)
    rows = min(MOST_PARTS, rows + MORE_PARTS) if "more" in given else rows
    return visit.show(
        "results/new.html",
        refused.status if refused else 200,
        kpi=kpi,
        facts=KPI_FACTS[kpi],
        meaning=MEANINGS[kpi],
        fields=FIELDS[kpi],
        given=given,
        kept=kept,
        case=case,
        names=None if case is None else _names_of(visit, case),
        countries=_countries(lang_of(visit.request)),
        share_rows=range(1, SHARE_ROWS + 1),
        party_rows=range(2, PARTY_ROWS + 2),
        part_rows=range(1, rows + 1),
        later=bool(parts or given.get("counts_on") or "more" in given),
        refused=None if refused is None else on_the_form(refused),
        taken=taken,
        **words(visit),
        **visit.look(choices),
    )


def _countries(lang: Lang) -> list[tuple[str, str]]:
    locale = Locale("zh", territory="TW", script="Hant") if lang is Lang.ZH else Locale("en")
    names = {**locale.territories, **({"TW": "臺灣"} if lang is Lang.ZH else {})}
    named_so = [(code, f"{names.get(code, code)} ({code})") for code in sorted(COUNTRIES)]
    return sorted(named_so, key=lambda row: (row[0] != "TW", row[1]))


@router.post("/new")
def report(visit: Annotated[Visit, Depends(receiving(Resource.ENTRY, Action.CREATE))]) -> Response:
    """Store the files of the form, register the person it names, and report the result."""
    kpi = str(visit.form.get("kpi"))
    if kpi not in FIELDS:
        raise ProblemError(422, "invalid", T_("choose what the result counts for"), "kpi")
    figure = Kpi(kpi)
    given = {name: value for name, value in visit.form.items() if isinstance(value, str)}
    kept = kept_files(visit.form)
    if "more" in given:
        return _form(visit, figure, given, kept, stored(visit, kept))
    refused = stored(visit, kept) or _person(visit, figure, given)
    if refused is None:
        made = visit.attempt(lambda: visit.document(report_result, body=body_of(_with(visit, given), figure, kept)))
        if not isinstance(made, Refusal):
            ids = "&".join(f"reported={entry['id']}" for entry in made["items"])
            return visit.go(f"/results?{ids}")
        refused = made
    taken = _taken(visit, figure, given) if refused.name in _CLAIMED else None
    return _form(visit, figure, given, kept, refused, taken)


def _with(visit: Visit, given: Mapping[str, str]) -> Visit:
    return Visit(visit.request, visit.resource, visit.action, FormData(given))


def _person(visit: Visit, kpi: Kpi, given: dict[str, str]) -> Refusal | None:
    """Put the pseudonym of the person that a form names into it; the name goes no further."""
    asked = next((one for one in FIELDS[kpi] if one.input is Input.PERSON), None)
    if asked is None:
        return None
    made = visit.attempt(lambda: registered(visit))
    if isinstance(made, Refusal):
        return made
    if made is not None:
        given[f"details_{asked.name}"] = made
        for name in ("person_name", "person_identifier"):
            given.pop(name, None)
    return None


def _taken(visit: Visit, kpi: Kpi, given: Mapping[str, str]) -> dict[str, Any] | None:
    """Who has the result already, to be shown beside what was typed."""

    def work() -> dict[str, Any]:
        body = body_of(_with(visit, given), kpi, [])
        details = checked_details(kpi, body.details)

        def held(session: Session, who: Principal) -> dict[str, Any]:
            company = details.company if isinstance(details, MemberDetails) else None
            about = Circumstances(body.id, body.school_id, tax_id_of(session, company))
            return claims_on(session, who, kpi, details.natural_key(), details.skeleton(about))

        return visit.look(held)

    found = visit.attempt(work)
    return None if isinstance(found, Refusal) else found


@router.get("")
def show_results(
    visit: Annotated[Visit, Depends(visiting(Resource.ENTRY, Action.LIST))],
    kpi: str = "",
    state: str = "",
    alliance: Annotated[str, Query(max_length=200)] = "",
    period: Annotated[str, Query(max_length=20)] = "",
    year: str = "",
    reported: Annotated[list[str] | None, Query(max_length=MOST_PARTS)] = None,
    sort: Annotated[str, Query(max_length=20)] = "",
    descending: Annotated[str, Query(max_length=10)] = "",
    cursor: Annotated[str | None, Query(max_length=500)] = None,
) -> Response:
    """Show the entries that a person may see, the latest first or by a column, and what the last report became."""
    chosen: dict[str, Any] = {
        "kpi": Kpi(kpi) if kpi in set(Kpi) else None,
        "state": State(state) if state in set(State) else None,
        "alliance": alliance or None,
        "period": period.strip() or None,
        "year": int(year) if year.isascii() and year.isdigit() and 1 <= int(year[:5]) <= 3_000 else None,
    }
    kept = {name: str(value) for name, value in chosen.items() if value is not None}
    order = sort if sort == "seq" or sort in set(EntryOrder) else ""
    sorting = Sorting("/results", kept, order, descending=descending == "true")
    by = {"sort": EntryOrder(order) if order in set(EntryOrder) else None, "newest": not order or sorting.descending}
    found = visit.document(list_entries, case=None, limit=50, cursor=cursor, **by, **chosen)
    fresh = (_read(visit, entry_id) for entry_id in reported or [])
    return visit.show(
        "results/list.html",
        entries=found,
        new=[entry for entry in fresh if entry is not None],
        **words(visit),
        lacks=_LACKS,
        chosen=kept,
        sorting=sorting,
        **visit.look(_when(chosen["period"], chosen["year"])),
        views=views_shown(visit, ViewedList.RESULTS, visit.request.url.query),
        several=visit.look(lambda _, who: who.holds(Role.OFFICE) or len(who.scopes(*Role)) > 1),
    )


def _when(period: str | None, year: int | None) -> Callable[[Session, Principal], dict[str, Any]]:
    """Return what gives the quarters and years that results may be of, the latest first, and those that are asked."""

    def work(session: Session, _: Principal) -> dict[str, Any]:
        quarter, until = (
            quarter_of(current(session, RecognitionRules).programme_start),
            quarter_of(day_in_taipei(now())),
        )
        quarters = [quarter]
        while quarters[-1] < until:
            quarters.append(quarter_after(quarters[-1]))
        years = {year_of(one) for one in quarters} | ({year} if year else set())
        return {
            "quarters": sorted({*quarters, *([period] if period else [])}, reverse=True),
            "years": sorted(years, reverse=True),
        }

    return work


def _read(visit: Visit, entry_id: str) -> dict[str, Any] | None:
    found = visit.attempt(lambda: visit.document(read_entry, entry_id=entry_id[:200]))
    return None if isinstance(found, Refusal) else found


_LACKS = {
    Requirement.VALUE_ADDED.value: N_("needs what GLORIA added"),
    Requirement.EVIDENCE.value: N_("needs evidence"),
    Requirement.SCHOOL_TOTAL.value: N_("needs the school's total"),
    Requirement.UNCLAIMED.value: N_("claimed by another programme"),
    Requirement.MODEL_CASE.value: N_("no model case yet"),
}


@router.get("/{entry_id}/supplement")
def show_supplement(
    entry_id: EntryId, visit: Annotated[Visit, Depends(visiting(Resource.ENTRY, Action.SUPPLEMENT))]
) -> Response:
    """Show what the committee asks for, and the form that answers it."""
    return _about(visit, "results/supplement.html", entry_id)


@router.post("/supplements")
def supplement(
    visit: Annotated[Visit, Depends(receiving(Resource.ENTRY, Action.SUPPLEMENT))],
) -> Response:
    """Answer a returned entry with a statement and more evidence."""
    entry_id = str(visit.form.get("entry_id", ""))[:200]
    kept = kept_files(visit.form)
    there = _read(visit, entry_id)
    earlier = (
        [] if there is None else [*there["evidence"], *(one for step in there["steps"] for one in step["evidence"])]
    )
    refused = stored(visit, kept, earlier)
    if refused is None:
        links = [{"url": line.strip()} for line in str(visit.form.get("links", "")).splitlines() if line.strip()]
        said = visit.attempt(
            lambda: visit.document(
                supplement_entry,
                entry_id=entry_id,
                body=visit.body(SupplementBody, {**visit.values("text"), "evidence": [*kept, *links]}),
            )
        )
        if not isinstance(said, Refusal):
            return visit.go(f"/results?reported={said['id']}", N_("The result is supplemented and reported again."))
        refused = said
    return _about(visit, "results/supplement.html", entry_id, refused, kept)


@router.get("/{entry_id}/withdraw")
def show_withdraw(
    entry_id: EntryId, visit: Annotated[Visit, Depends(visiting(Resource.ENTRY, Action.WITHDRAW))]
) -> Response:
    """Show the form that takes a result back."""
    return _about(visit, "results/withdraw.html", entry_id)


@router.post("/{entry_id}/withdraw")
def withdraw(
    entry_id: EntryId, visit: Annotated[Visit, Depends(visiting(Resource.ENTRY, Action.WITHDRAW))]
) -> Response:
    """Take a result back before it is checked."""
    said = visit.attempt(
        lambda: visit.document(withdraw_entry, entry_id=entry_id, body=visit.body(ReasonBody, visit.values("reason")))
    )
    if isinstance(said, Refusal):
        return _about(visit, "results/withdraw.html", entry_id, said)
    return visit.go("/results", N_("The result is withdrawn. It may be reported anew."))


def _about(
    visit: Visit, template: str, entry_id: str, refused: Refusal | None = None, kept: list[dict[str, str]] | None = None
) -> Response:
    if refused is not None and refused.status == 404:
        raise not_found("entry")
    # Who may read an entry need not be one who may change it.
    visit.who()
    entry = visit.document(read_entry, entry_id=entry_id)
    return visit.show(
        template,
        refused.status if refused else 200,
        entry=entry,
        refused=None if refused is None else on_the_form(refused),
        kept=kept or [],
        given=visit.form,
        lacks=_LACKS,
        **words(visit),
    )


def _names_of(visit: Visit, case: dict[str, Any]) -> CaseNames:
    return visit.look(lambda session, who: case_names(session, who, [case], to=visit))
