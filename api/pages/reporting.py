"""The way into the ledger: what a result counts for, then the form that reports it.

In: what an alliance says came of its work, with files. Out: the same as the API's `POST /api/ledger/entries`, in a
page. A form that is refused comes back with everything that was typed, with the files that were stored and, where the
result is claimed already, with the other claim beside it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any
from uuid import uuid4

from babel import Locale
from fastapi import APIRouter, Depends, Query, Response
from starlette.datastructures import FormData

from api.ledger_documents import claims_on
from api.pages.case_names import names_in
from api.pages.finding_lang import lang_of
from api.pages.new_result import FEWEST_PARTS, MORE_PARTS, MOST_PARTS, SHARE_ROWS, body_of, choices, registered
from api.pages.receiving import receiving
from api.pages.result_fields import FIELDS, MEANINGS, Input
from api.pages.result_parts import kept_files, on_the_form, stored, words
from api.pages.visiting import Visit, visiting
from api.pages.wording import Lang
from api.policy import Action, Resource
from api.problems import ProblemError, Refusal
from api.request_threads import ThreadedRoute
from api.routes.cases import read_case
from api.routes.entries import report_result
from indexer.vocabulary import COUNTRIES
from indexer.wording import T_
from matcher.ledger.kpis import KPI_FACTS, RECOGNISED_KPIS, Kpi
from matcher.ledger.reporting import checked_details
from matcher.roles import Role

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
            names=None if about is None else visit.look(lambda session, who: names_in(session, who, [about])),
            kpis=[(one, KPI_FACTS[one], MEANINGS[one]) for one in RECOGNISED_KPIS],
        )
    return _form(visit, Kpi(kpi), _defaults(visit, Kpi(kpi), case), [])


def _defaults(visit: Visit, kpi: Kpi, case_id: int | None) -> dict[str, str]:
    """What a form begins with: the alliance alone, and what the case says already."""
    found = {"id": f"r-{uuid4().hex}", "percent-1": "100"}
    own = visit.look(lambda _, who: sorted(who.scopes(Role.EXPERT, Role.LEAD)))
    found |= {"alliance-1": own[0]} if len(own) == 1 else {}
    found |= {f"details_{asked.name}": asked.default for asked in FIELDS[kpi] if asked.default}
    if case_id is None:
        return found
    case = visit.document(read_case, case_id=case_id)
    names = visit.look(lambda session, who: names_in(session, who, [case]))
    found |= {"case_id": str(case_id), "alliance-1": case["alliance_id"]}
    found["school_id"] = names.schools.get(case["lab_id"]) or ""
    if case["company_id"]:
        company = names.companies.get(case["company_id"], ("", ""))[0]
        found |= {"company_id": case["company_id"], "details_company": case["company_id"]}
        found |= {f"details_{name}": company for name in ("payer", "partner", "employer")}
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
        names=None if case is None else visit.look(lambda session, who: names_in(session, who, [case])),
        countries=_countries(lang_of(visit.request)),
        share_rows=range(1, SHARE_ROWS + 1),
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
        details = checked_details(kpi, body_of(_with(visit, given), kpi, []).details)
        return visit.look(lambda session, who: claims_on(session, who, kpi, details.natural_key()))

    found = visit.attempt(work)
    return None if isinstance(found, Refusal) else found
