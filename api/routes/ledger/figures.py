"""The programme's figures: what counts, the entries behind it, the plan's targets beside it, and reports as files.

In: a day, perhaps a year and an alliance; a report's name and format. Out: by figure and year what counts, what is
committed and what was aimed for; files that say what the person may see.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import date
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, Path, Query, Response
from pydantic import AfterValidator
from sqlmodel import Session, col, select

from api.access.policy import Action, Resource
from api.access.visibility import shared_by
from api.documents.answers import Page, file_of
from api.documents.figures import FiguresAnswer, ReportsAnswer, TargetsAnswer
from api.documents.ledger import EntryAnswer, entry_rows
from api.documents.standing import label, units
from api.requests.capacity import REPORTING, ThreadedRoute, takes
from api.requests.idempotency import Reply
from api.requests.permitted_request import PermittedRequest, requires
from api.requests.problems import ProblemError, not_found
from api.requests.query_parameters import MAX_PAGE, Cursor, Limit, chosen_alliances, decoded, page
from api.routes.ledger.entries import AllianceId, KpiYear
from indexer.database import reading
from indexer.instants import day_in_taipei
from indexer.wording import T_, either
from matcher.ledger.figures.folds import Figures, Status, YearBasis, end_of, entries_behind, figures
from matcher.ledger.figures.forecast import Forecast, Measure, forecast
from matcher.ledger.proving.heads import key_of, seal_of
from matcher.ledger.rendering.formats import MEDIA_TYPES, ReportFormat, render
from matcher.ledger.rendering.report_texts import ReportLanguage
from matcher.ledger.rendering.workbooks import ReportTooLargeError
from matcher.ledger.reports.document import ReportRequest
from matcher.ledger.reports.registry import REPORTS, make_report
from matcher.ledger.reports.target_standings import BookStanding, TargetStandings, YearStanding, target_standings
from matcher.ledger.rows.chain import heads_of
from matcher.ledger.rows.entries import WHOLE_BP, Entry
from matcher.ledger.rows.kpis import KPI_FACTS, RECOGNISED_KPIS, Kpi
from matcher.ledger.rows.periods import common_year, roc_year
from matcher.ledger.rules.targets import BASIS_LABELS, STANDING_LABELS
from matcher.review.people import Principal
from matcher.review.roles import STAFF, Role

router = APIRouter(prefix="/api", tags=["figures"], route_class=ThreadedRoute)


def _in_range(day: date) -> date:
    if not date(2000, 1, 1) <= day <= date(2200, 12, 31):
        raise ValueError(T_("give a day from 2000-01-01 to 2200-12-31"))
    return day


AsOf = Annotated[
    date | None,
    AfterValidator(lambda day: None if day is None else _in_range(day)),
    Query(description="As of the end of this day in Taipei; today if left out.", examples=["2019-06-30"]),
]
Basis = Annotated[
    YearBasis, Query(description="counted: the year that was shown; occurred: restated by the day it is about.")
]


@router.get("/kpi", response_model=FiguresAnswer)
def read_figures(
    ask: Annotated[PermittedRequest, Depends(requires(Resource.FIGURE, Action.READ))],
    as_of: AsOf = None,
    year: KpiYear = None,
    alliance: AllianceId = None,
    basis: Basis = YearBasis.COUNTED,
) -> Response:
    """Read the figures of your alliances, or of the programme; shares of alliances are exact."""

    def work(session: Session, who: Principal) -> Reply:
        day = as_of or day_in_taipei(ask.at)
        alliances = chosen_alliances(session, who, Resource.FIGURE, Action.READ, alliance)
        folded = figures(session, as_of=end_of(day), basis=basis)
        years = folded.years() if year is None else [common_year(year)]
        links = {"as_of": day.isoformat(), "basis": basis.value}
        document = {
            "as_of": day.isoformat(),
            "basis": basis.value,
            "year": None if year is None else common_year(year),
            "alliances": None if alliances is None else sorted(alliances),
            "figures": [_figure_row(folded, kpi, years, alliances, alliance, links) for kpi in Kpi],
            "heads": [{"chain": h.chain, "n": h.n, "hash": h.hash} for h in heads_of(session, ask.at)],
        }
        return Reply(200, document, {})

    return ask.read(work)


def _figure_row(
    folded: Figures,
    kpi: Kpi,
    years: list[int],
    alliances: frozenset[str] | None,
    alliance: str | None,
    links: dict[str, str],
) -> dict[str, Any]:
    facts = KPI_FACTS[kpi]
    shown = folded.alliances() if alliances is None else sorted(alliances)
    chosen = {} if alliance is None else {"alliance": alliance}
    return {
        "kpi": kpi.value,
        "label": label(facts.label),
        "unit": facts.unit.value,
        "total": _amounts(folded, kpi, years, alliances, {**links, **chosen}),
        "years": [
            {"year": one, "roc_year": roc_year(one)}
            | _amounts(folded, kpi, [one], alliances, {**links, **chosen, "year": str(one)})
            for one in years
        ],
        "by_alliance": [
            {"alliance": name} | _amounts(folded, kpi, years, [name], {**links, "alliance": name}) for name in shown
        ],
    }


def _amounts(
    folded: Figures, kpi: Kpi, years: list[int], alliances: Iterable[str] | None, links: dict[str, str]
) -> dict[str, Any]:
    """Return for each status the amount in whole units and where its entries are listed."""
    found: dict[str, Any] = {}
    for status in Status:
        parts: list[str | None] = [None] if alliances is None else [*alliances]
        amount_bp = sum(folded.amount_bp(kpi, years=years, alliance=part, status=status) for part in parts)
        query = urlencode({**links, "status": status.value})
        whole = amount_bp // WHOLE_BP if amount_bp % WHOLE_BP == 0 else amount_bp / WHOLE_BP
        found[status.value] = {"amount": whole, "entries": f"/api/kpi/{kpi.value}/entries?{query}"}
    return found


@router.get("/kpi/{kpi}/entries", response_model=Page[EntryAnswer])
def list_entries_behind(
    kpi: Annotated[str, Path(max_length=50, description="The figure's code, such as L.")],
    ask: Annotated[PermittedRequest, Depends(requires(Resource.ENTRY, Action.LIST))],
    as_of: AsOf = None,
    year: KpiYear = None,
    alliance: AllianceId = None,
    status: Annotated[Status, Query(description="How the amount stands.")] = Status.ACTUAL,
    basis: Basis = YearBasis.COUNTED,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Response:
    """List the entries that a figure adds up, reversals among them, in the order they were written."""

    def work(session: Session, who: Principal) -> Reply:
        if kpi not in [one.value for one in Kpi]:
            raise not_found("figure")
        alliances = chosen_alliances(session, who, Resource.ENTRY, Action.LIST, alliance)
        day = as_of or day_in_taipei(ask.at)
        years = None if year is None else [common_year(year)]
        ids = entries_behind(session, Kpi(kpi), as_of=end_of(day), years=years, status=status, basis=basis)
        found: list[Entry] = []
        for some in _after(ids, decoded(cursor, str)):
            query = select(Entry).where(shared_by(alliances), col(Entry.id).in_(some)).order_by(col(Entry.seq))
            found += session.exec(query.limit(limit + 1 - len(found))).all()
            if len(found) > limit:
                break
        return Reply(200, page(entry_rows(session, found), limit, "id"), {})

    return ask.read(work)


def _after(ids: list[str], after: str | None) -> Iterator[list[str]]:
    """Yield the ids after one, some at a time."""
    first = ids.index(after) + 1 if after in ids else 0
    for start in range(first, len(ids), 10 * MAX_PAGE):
        yield ids[start : start + 10 * MAX_PAGE]


MEASURES = {Kpi.MONEY: Measure.MONEY, Kpi.INTERNATIONAL_CASES: Measure.INTERNATIONAL_CASES}
"""What is forecast of which figure."""


@router.get("/kpi/targets", response_model=TargetsAnswer)
def read_targets(
    ask: Annotated[PermittedRequest, Depends(requires(Resource.FIGURE, Action.READ))],
    as_of: AsOf = None,
    alliance: AllianceId = None,
) -> Response:
    """Read every target of the plan, of all its books, beside its actual.

    Who sees single alliances only gets their own; with several of them, name one. An alliance has its share of each
    target, or the amount that was set for itself.
    """

    def work(session: Session, who: Principal) -> Reply:
        day = as_of or day_in_taipei(ask.at)
        about = chosen_alliances(session, who, ask.resource, ask.action, alliance)
        if about is not None and len(about) != 1:
            raise ProblemError(422, "invalid", T_("name one of your alliances"), "alliance")
        (chosen,) = (None,) if about is None else about
        found = target_standings(session, as_of=day, alliance=chosen)
        ahead = _ahead(session, found) if chosen is None else None
        return Reply(200, targets_document(found, ahead), {})

    return ask.read(work)


def _ahead(session: Session, found: TargetStandings) -> Forecast | None:
    """Return the forecast to the end of the running year, as long as days of it are left."""
    day = found.as_of
    return forecast(session, as_of=day) if day.year in found.years and day < date(day.year, 12, 31) else None


def targets_document(found: TargetStandings, ahead: Forecast | None) -> dict[str, Any]:
    """Return all figures against the plan."""
    return {
        "as_of": found.as_of.isoformat(),
        "alliance": found.alliance,
        "quarter": found.quarter,
        "years": list(found.years),
        "figures": [_target_row(found, kpi, ahead) for kpi in RECOGNISED_KPIS],
    }


def _target_row(found: TargetStandings, kpi: Kpi, ahead: Forecast | None) -> dict[str, Any]:
    facts = KPI_FACTS[kpi]
    return {
        "kpi": kpi.value,
        "label": label(facts.label),
        "unit": facts.unit.value,
        "years": [_year(one) for one in found.of(kpi)],
        "disputes": [label(either(one.zh, one.en)) for one in found.books.disputes if one.kpi is kpi],
        "forecast": _range(ahead, kpi),
    }


def _year(one: YearStanding) -> dict[str, Any]:
    return {
        "year": one.year,
        "roc_year": None if one.year is None else roc_year(one.year),
        "books": [_book(book) for book in one.books],
        "disputed": one.disputed,
        "standing": None if one.standing is None else one.standing.value,
        "standing_label": None if one.standing is None else label(STANDING_LABELS[one.standing]),
    }


def _book(one: BookStanding) -> dict[str, Any]:
    return {
        "book": one.book.code,
        "title": label(either(one.book.title_zh, one.book.title_en)),
        "basis": one.basis.value,
        "basis_label": label(BASIS_LABELS[one.basis]),
        "source": one.source,
        "own": one.own,
        "definition": None
        if one.definition is None
        else label(either(one.definition.title_zh, one.definition.title_en)),
        "target": units(one.target_bp),
        "actual": units(one.actual_bp),
        "expected": None if one.expected_bp is None else units(one.expected_bp),
        "standing": one.standing.value,
    }


def _range(ahead: Forecast | None, kpi: Kpi) -> dict[str, Any] | None:
    measure = MEASURES.get(kpi)
    if ahead is None or measure is None:
        return None
    found = ahead.ranges[measure]
    return {
        "expected": round(found.expected, 2),
        "low": found.low,
        "high": found.high,
        "interval": ahead.interval,
        "open_cases": ahead.open_cases,
        "until": ahead.until.date().isoformat(),
    }


@router.get("/reports", response_model=ReportsAnswer)
def list_reports(ask: Annotated[PermittedRequest, Depends(requires(Resource.REPORT, Action.LIST))]) -> Response:
    """List the reports that there are, and their formats."""

    def work(_session: Session, _who: Principal) -> Reply:
        items = [
            {"name": name, "title": {"zh": report.title.zh, "en": report.title.en}, "href": f"/api/reports/{name}"}
            for name, report in sorted(REPORTS.items())
        ]
        return Reply(200, {"items": items, "next": None, "formats": [form.value for form in ReportFormat]}, {})

    return ask.read(work)


@router.get("/reports/{name}", response_class=Response, responses=file_of(MEDIA_TYPES.values()))
@takes(REPORTING)
def read_report(
    name: Annotated[str, Path(max_length=100)],
    ask: Annotated[PermittedRequest, Depends(requires(Resource.REPORT, Action.READ))],
    form: Annotated[ReportFormat, Query(alias="format", description="What kind of file.")] = ReportFormat.JSON,
    as_of: AsOf = None,
    year: KpiYear = None,
    alliance: AllianceId = None,
    lang: Annotated[ReportLanguage, Query(description="The language of what the report itself says.")] = (
        ReportLanguage.ZH
    ),
    exact: Annotated[bool, Query(description="Small counts of people too; for the programme office.")] = False,
) -> Response:
    """Download a report; without `alliance` it is about all that you may see. It carries the ledger's heads, signed.

    With `exact` the programme office reads gender statistics with their small counts, which are not to be passed on.
    """
    with reading(ask.engine) as session:
        who = ask.admitted(session)
        if name not in REPORTS:
            raise not_found("report")
        inside = exact and who.holds(Role.OFFICE)
        if exact and not inside:
            raise ProblemError(403, "forbidden", T_("exact counts of people are for the programme office"), "exact")
        about = chosen_alliances(session, who, Resource.REPORT, Action.READ, alliance)
        request = ReportRequest(
            as_of=as_of or day_in_taipei(ask.at),
            now=ask.at,
            year=None if year is None else common_year(year),
            alliances=about,
            stays_inside=inside if about is None else about <= who.scopes(*STAFF),
        )
        document = make_report(session, name, request)
        seal = seal_of(session, key_of(ask.request.app.state.settings), ask.at)
        document = replace(document, seal=seal)
    # Typesetting takes longer than reading: no transaction waits for it.
    try:
        content = render(document, form, lang)
    except ReportTooLargeError as error:
        raise ProblemError(422, "invalid", str(error), "format") from error
    file_name = f"{name}-{request.as_of.isoformat()}.{form.value}"
    headers = {"Cache-Control": "no-store", "Content-Disposition": f'attachment; filename="{file_name}"'}
    return Response(content, 200, headers, MEDIA_TYPES[form])
