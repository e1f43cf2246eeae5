"""From a figure to its entries: every amount that it adds up, by quarter, with what is late and what was reversed.

In: a figure, a year, a standing and perhaps an alliance. Out: the entries behind
it, each leading on to its own page, whose amounts add up to the figure. It
exists because a figure that nobody can take apart is nobody's to trust.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Response

from api.pages.figure_views import ALL_YEARS, View, view_of, year_of_text
from api.pages.kpi import DAY, ID, common, reports_of
from api.pages.scopes import names_of
from api.pages.visiting import Visit, visiting
from api.pages.wording import N_
from api.paging import MAX_PAGE
from api.policy import Action, Resource
from api.problems import ProblemError, not_found
from api.request_threads import ThreadedRoute
from api.routes.figures import list_entries_behind, read_figures
from api.routes.targets import read_targets
from indexer.wording import T_
from matcher.ledger.entries import WHOLE_BP, EntryKind
from matcher.ledger.figures import Status, YearBasis
from matcher.ledger.kpis import KPI_FACTS, Kpi

router = APIRouter(prefix="/kpi", include_in_schema=False, route_class=ThreadedRoute)

STATUS_WORDS = {
    Status.ACTUAL: N_("Actual"),
    Status.COMMITTED: N_("Committed"),
    Status.AFTER_PROGRAMME: N_("After the programme"),
    Status.IN_REVIEW: N_("In review"),
}
_MOST_SHOWN = 300
# What names a result for people, in the details of each figure.
_NAMES = ("company_name", "payer", "partner", "employer", "startup_name", "title", "programme")
_MORE = ("contract", "reference", "post", "tax_id")


@dataclass(frozen=True)
class _Line:
    entry: dict[str, Any]
    what: str
    more: str
    quarter: str
    # In the figure's unit, as it adds to the figure: a reversal subtracts, an alliance has its share.
    counts_bp: int

    @property
    def counts(self) -> float:
        whole, rest = divmod(self.counts_bp, WHOLE_BP)
        return self.counts_bp / WHOLE_BP if rest else whole


@router.get("/{kpi}")
def show_entries(
    visit: Annotated[Visit, Depends(visiting(Resource.ENTRY, Action.LIST))],
    kpi: str,
    as_of: DAY = "",
    year: DAY = "",
    alliance: ID = "",
    status: Status = Status.ACTUAL,
    quarter: Annotated[str, Query(max_length=10)] = "",
) -> Response:
    """Show the entries behind a figure."""
    visit.who()
    if kpi not in [one.value for one in Kpi]:
        raise not_found("figure")
    view = view_of(visit, Resource.FIGURE, as_of, alliance)
    asked: dict[str, Any] = {"as_of": view.as_of, "alliance": view.alliance}
    years = visit.document(read_targets, **asked)["years"]
    chosen = year_of_text(year, years, view.as_of)
    lines = _lines(visit, view, kpi, chosen, status)
    quarters = _quarters(lines)
    if quarter and quarter not in [one["quarter"] for one in quarters]:
        raise ProblemError(422, "invalid", T_("nothing of this figure was counted in that quarter"), "quarter")
    found = visit.document(read_figures, **asked, year=chosen, basis=YearBasis.COUNTED)
    figure = next(one for one in found["figures"] if one["kpi"] == kpi)["total"][status.value]["amount"]
    shown = [line for line in lines if quarter in ("", line.quarter)]
    reversed_ones = {line.entry["reverses"] for line in lines if line.entry["reverses"]}
    return visit.show(
        "kpi_entries.html",
        **common(view),
        kpi=kpi,
        unit_code=KPI_FACTS[Kpi(kpi)].unit.value,
        years=years,
        year=chosen,
        year_value=ALL_YEARS if chosen is None else chosen,
        ALL_YEARS=ALL_YEARS,
        status=status.value,
        status_words=STATUS_WORDS[status],
        statuses={one.value: words for one, words in STATUS_WORDS.items()},
        figure=figure,
        quarters=quarters,
        quarter=quarter,
        lines=shown[:_MOST_SHOWN],
        left_out=max(0, len(shown) - _MOST_SHOWN),
        total=_sum(shown),
        reversed_ones=reversed_ones,
        names=visit.look(lambda session, _: names_of(session, {one for line in shown for one in line.entry["shares"]})),
        reports=reports_of(visit, view),
    )


def _lines(visit: Visit, view: View, kpi: str, year: int | None, status: Status) -> list[_Line]:
    """Return every entry behind the figure, in the order in which they were counted."""
    lines: list[_Line] = []
    cursor: str | None = None
    while True:
        page = visit.document(
            list_entries_behind,
            kpi=kpi,
            as_of=view.as_of,
            year=year,
            alliance=view.alliance,
            status=status,
            basis=YearBasis.COUNTED,
            limit=MAX_PAGE,
            cursor=cursor,
        )
        lines += [_line(entry, view.alliance) for entry in page["items"]]
        cursor = page["next"]
        if cursor is None:
            return sorted(lines, key=lambda line: (line.quarter, line.entry["seq"]))


def _line(entry: dict[str, Any], alliance: str | None) -> _Line:
    details = entry["details"]
    counted = entry["counted"]
    share_bp = WHOLE_BP if alliance is None else entry["shares"].get(alliance, 0)
    signed = -entry["amount"] if entry["kind"] == EntryKind.REVERSAL else entry["amount"]
    return _Line(
        entry=entry,
        what=next((str(details[name]) for name in _NAMES if details.get(name)), ""),
        more=" · ".join(str(details[name]) for name in _MORE if details.get(name)),
        quarter=counted["period"] if counted else entry["period"],
        counts_bp=signed * share_bp,
    )


def _sum(lines: list[_Line]) -> float:
    whole, rest = divmod(sum(line.counts_bp for line in lines), WHOLE_BP)
    return whole + rest / WHOLE_BP if rest else whole


def _quarters(lines: list[_Line]) -> list[dict[str, Any]]:
    """Return by quarter what was counted, and of that what came late and what was taken back."""
    found = []
    for quarter, some in groupby(lines, key=lambda line: line.quarter):
        these = list(some)
        found.append(
            {
                "quarter": quarter,
                "entries": len(these),
                "counts": _sum(these),
                "late": [line for line in these if line.entry["late_for"]],
                "late_counts": _sum([line for line in these if line.entry["late_for"]]),
                "reversed_counts": _sum([line for line in these if line.entry["kind"] == EntryKind.REVERSAL]),
            }
        )
    return found
