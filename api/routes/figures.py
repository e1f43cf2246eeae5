"""The programme's figures, and the entries behind each.

In: a day, perhaps a year and an alliance. Out: by figure and year what counts,
what is committed, what falls after the programme and what is in review, each
with the link that lists its entries.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import date
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, Path, Query, Response
from pydantic import AfterValidator
from sqlmodel import Session, col, select

from api.answers import Page
from api.asking import Asking, asking
from api.figure_answers import FiguresAnswer
from api.filtering import chosen_alliances
from api.idempotency import Reply
from api.ledger_answers import EntryAnswer
from api.ledger_documents import entry_rows
from api.ledger_visibility import shared_by
from api.paging import MAX_PAGE, Cursor, Limit, decoded, page
from api.policy import Action, Resource
from api.problems import not_found
from api.request_threads import ThreadedRoute
from api.routes.entries import AllianceId, KpiYear
from api.standing_documents import label
from indexer.instants import day_in_taipei
from indexer.wording import T_
from matcher.ledger.entries import WHOLE_BP, Entry
from matcher.ledger.figures import Figures, Status, YearBasis, end_of, entries_behind, figures
from matcher.ledger.heads import heads_of
from matcher.ledger.kpis import KPI_FACTS, Kpi
from matcher.ledger.periods import common_year, roc_year
from matcher.people import Principal

router = APIRouter(prefix="/api/kpi", tags=["figures"], route_class=ThreadedRoute)


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


@router.get("", response_model=FiguresAnswer)
def read_figures(
    ask: Annotated[Asking, Depends(asking(Resource.FIGURE, Action.READ))],
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
            "figures": [_figure(folded, kpi, years, alliances, alliance, links) for kpi in Kpi],
            "heads": [{"chain": h.chain, "n": h.n, "hash": h.hash} for h in heads_of(session, ask.at)],
        }
        return Reply(200, document, {})

    return ask.read(work)


def _figure(
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


@router.get("/{kpi}/entries", response_model=Page[EntryAnswer])
def list_entries_behind(
    kpi: Annotated[str, Path(max_length=50, description="The figure's code, such as L.")],
    ask: Annotated[Asking, Depends(asking(Resource.ENTRY, Action.LIST))],
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
