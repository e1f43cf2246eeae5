"""The dashboard: every figure against every target of the plan, and from a figure to its entries.

In: a day, a year, and the programme or an alliance. Out: cards with actual, pace and what may still come, drawn and
in words; every amount that a figure adds up, by quarter. It exists apart from the API's figures because people read
amounts in words, and every page of figures asks whose and as of which day.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from itertools import accumulate, groupby
from typing import Annotated, Any
from urllib.parse import urlencode

import orjson
from fastapi import APIRouter, Depends, Query, Response
from markupsafe import Markup

from api.access.policy import Action, Resource
from api.access.visibility import reached_alliances
from api.documents.charts import range_chart, year_chart
from api.pages.figures.trends import league, spark, trend_words
from api.pages.shell.drawing import drawn
from api.pages.shell.record_names import alliance_names, scope_names
from api.pages.shell.visiting import Visit, visiting
from api.pages.shell.wording import N_, Lang, Wording, lang_of
from api.requests.capacity import ThreadedRoute
from api.requests.problems import ProblemError, not_found
from api.requests.query_parameters import MAX_PAGE
from api.routes.ledger.figures import list_entries_behind, list_reports, read_figures, read_targets
from indexer.instants import day_in_taipei, now
from indexer.wording import T_
from matcher.ledger.figures.folds import Status, YearBasis
from matcher.ledger.figures.self_operation import ladder_label, ladder_of
from matcher.ledger.reports.target_standings import UNIT_LABELS
from matcher.ledger.rows.entries import WHOLE_BP, EntryKind
from matcher.ledger.rows.kpis import KPI_FACTS, Kpi, Unit
from matcher.ledger.rows.periods import common_year, roc_year
from matcher.ledger.rules.targets import BASIS_LABELS, TargetBasis
from matcher.review.roles import Role

ALL_YEARS = "all"
_BILLIONS = {Lang.ZH: (100_000_000, "億元"), Lang.EN: (1_000_000, "NT$ million")}


@dataclass(frozen=True)
class View:
    """Whose figures a page shows (None: the programme's), as of which day, and who can be chosen instead."""

    wording: Wording
    as_of: date
    today: date
    alliance: str | None
    alliances: list[tuple[str, str]]
    may_see_all: bool

    @property
    def name(self) -> str | None:
        """Return the chosen alliance's name."""
        return dict(self.alliances).get(self.alliance or "")

    def query(self, **more: Any) -> str:
        """Return the part of an address that keeps day and alliance, with more of it; what is None is left out."""
        kept = {"as_of": None if self.as_of == self.today else self.as_of.isoformat(), "alliance": self.alliance}
        said = {name: value for name, value in {**kept, **more}.items() if value is not None}
        return f"?{urlencode(said)}" if said else ""


def view_of(visit: Visit, resource: Resource, as_of: str, alliance: str, *, one_alliance: bool = False) -> View:
    """Return what a page of figures is about.

    Args:
        visit: the request.
        resource: what is read; it says which alliances the person reaches.
        as_of: a day as the address has it; today where it has none.
        alliance: an alliance's id as the address has it; without one the programme, or the person's first alliance.
        one_alliance: whether the page is always about a single alliance.

    Raises:
        ProblemError: 404, the alliance is not the person's or does not exist; 422, the day is none.
    """
    wording = Wording(lang_of(visit.request))
    reached = visit.look(lambda _, who: reached_alliances(who, resource, Action.READ))
    known = visit.look(lambda session, _: alliance_names(session))
    named = [(one, str(wording.plain(zh, en))) for one, zh, en in known if reached is None or one in reached]
    chosen = alliance or None
    if chosen is None and named and (reached is not None or one_alliance):
        chosen = named[0][0]
    if chosen is not None and chosen not in dict(named):
        raise not_found("alliance")
    today = day_in_taipei(now())
    return View(wording, _day(as_of, today), today, chosen, named, reached is None and not one_alliance)


def _day(text: str, today: date) -> date:
    if not text:
        return today
    try:
        day = date.fromisoformat(text)
    except ValueError as error:
        raise ProblemError(422, "invalid", T_("give a day such as 2019-06-30"), "as_of") from error
    if not date(2000, 1, 1) <= day <= date(2200, 12, 31):
        raise ProblemError(422, "invalid", T_("give a day from 2000-01-01 to 2200-12-31"), "as_of")
    return day


def year_of_text(text: str, years: list[int], day: date) -> int | None:
    """Return the year that an address names in either count, None for the whole programme.

    Without one it is the year of the day, or the nearest one of the programme.

    Raises:
        ProblemError: 422, the programme has no such year.
    """
    if not text:
        return min(max(day.year, years[0]), years[-1])
    if text == ALL_YEARS:
        return None
    year = common_year(int(text)) if text.isdecimal() and len(text) <= 4 else 0
    if year not in years:
        raise ProblemError(
            422,
            "invalid",
            T_(
                "give a year from %(first)s to %(last)s, or %(all_years)s",
                first=years[0],
                last=years[-1],
                all_years=ALL_YEARS,
            ),
            "year",
        )
    return year


def year_words(wording: Wording, year: int | None) -> str:
    """Return a year as people call it, None as the whole programme."""
    if year is None:
        return wording.text(N_("the whole programme"))
    return f"{roc_year(year)} 年度" if wording.lang is Lang.ZH else f"{year} (ROC {roc_year(year)})"


def unit_words(wording: Wording, unit: str) -> str:
    """Return what a figure is counted in."""
    said = UNIT_LABELS[Unit(unit)]
    return said.zh if wording.lang is Lang.ZH else said.en


def kpi_words(wording: Wording, kpi: str) -> str:
    """Return what a figure, or what else has a ladder, is called."""
    said = wording.text(ladder_label(ladder_of(kpi)))
    return said[:1].upper() + said[1:]


def amount_words(wording: Wording, value: float | None, unit: str) -> str:
    """Return an amount of a figure: money with its sign, shares of alliances with their decimals."""
    if value is None:
        return "—"
    if unit == Unit.NTD:
        return wording.money(round(value))
    digits = 0 if value == int(value) else 2
    return wording.number(value, digits)


def chart_scale(wording: Wording, unit: str) -> tuple[int, str]:
    """Return by what a chart's axis divides amounts, and what it then counts."""
    return _BILLIONS[wording.lang] if unit == Unit.NTD else (1, unit_words(wording, unit))


_CHIPS = {"reached": "good", "open": "warn", "disputed": "warn"}
_SIGNS = {"reached": "✓", "open": "△", "disputed": "⚖"}
_Document = dict[str, Any]


def card_of(
    view: View, plan: _Document, year: int | None, every: _Document, of_year: _Document, restated: _Document
) -> _Document:
    """Return a figure's card.

    Args:
        view: whose figure it is, as of when.
        plan: the figure's targets, of all years.
        year: the year that is shown; None is the whole programme.
        every: the figure by year.
        of_year: the figure of the shown year.
        restated: the same by the days that results are about.
    """
    years = [one["year"] for one in plan["years"] if one["year"] is not None]
    in_year = {one["year"]: one["actual"]["amount"] for one in every["years"]}
    annual = [in_year.get(one, 0) for one in years]
    up_to = dict(zip(years, accumulate(annual), strict=True))
    shown = next(one for one in plan["years"] if one["year"] == year)
    actual = of_year["total"]["actual"]["amount"]
    by_day = restated["total"]["actual"]["amount"]
    rows = [_row(view, one, in_year, up_to, annual) for one in plan["years"]]
    begun = [one for one in years if one <= view.as_of.year]
    book = next(iter(shown["books"]), None)
    return {
        "kpi": plan["kpi"],
        "unit": plan["unit"],
        "actual": actual,
        "up_to": sum(annual) if year is None else up_to[year],
        "restated": None if by_day == actual else by_day,
        "trend": trend_words(
            view.wording,
            lambda value: amount_words(view.wording, value, plan["unit"]),
            as_of=view.as_of,
            year=year,
            in_year=in_year,
            target=(book["actual"], book["target"]) if book and book["target"] else None,
        ),
        "spark": spark([in_year.get(one, 0) for one in begun], begun.index(year) if year in begun else None),
        "shown": shown,
        "chip": _CHIPS.get(shown["standing"] or "", ""),
        "sign": _SIGNS.get(shown["standing"] or "", ""),
        "disputes": plan["disputes"] if shown["disputed"] or shown["standing"] == "disputed" else [],
        "beside": {
            "committed": of_year["total"]["committed"]["amount"],
            "after_programme": every["total"]["after_programme"]["amount"],
            "in_review": of_year["total"]["in_review"]["amount"],
        },
        "forecast": plan["forecast"],
        "rows": rows,
        "books": list(dict.fromkeys(book["book"] for one in plan["years"] for book in one["books"])),
        "drawing": _drawing(view, plan, years, annual, up_to),
        "forecast_drawing": _forecast_drawing(view, plan),
    }


def _row(
    view: View, one: _Document, in_year: dict[int, float], up_to: dict[int, float], annual: list[float]
) -> _Document:
    """Return a line of the table: a year that has not begun has targets only."""
    year = one["year"]
    begun = year is None or year <= view.as_of.year
    return {
        **one,
        "in_year": in_year.get(year, 0) if begun and year is not None else None,
        "up_to": (sum(annual) if year is None else up_to[year]) if begun else None,
    }


def _drawing(
    view: View, plan: _Document, years: list[int], annual: list[float], up_to: dict[int, float]
) -> Markup | None:
    """Return the figure by year; None where there is nothing to draw."""
    wording = view.wording
    scale, unit = chart_scale(wording, plan["unit"])
    pace = wording.text(N_("pace (expected by now)"))
    bases = {book["basis"] for one in plan["years"] if one["year"] for book in one["books"]} or {"cumulative"}
    panels = []
    for basis in (TargetBasis.ANNUAL, TargetBasis.CUMULATIVE):
        if basis.value not in bases:
            continue
        amounts = annual if basis is TargetBasis.ANNUAL else [up_to[year] for year in years]
        counted = _counted_by(plan, basis)
        title = f"{wording.text(BASIS_LABELS[basis])} ({unit})"
        if counted is not None:
            title = f"{title} · {wording.plain(counted['zh'], counted['en'])}"
        bars = [
            _point(view, plan, year, _drawn(plan, year, basis, amount), scale, wording.text(N_("actual")))
            for year, amount in zip(years, amounts, strict=True)
            if year <= view.as_of.year
        ]
        panels.append((title, bars, _marks(view, plan, basis, scale, pace)))
    if not any(marks or any(bar["amount"] for bar in bars) for _, bars, marks in panels):
        return None
    label = kpi_words(wording, plan["kpi"])
    said = wording.text(
        N_("Bars are actuals; marks are the targets of each book and the pace. The table below says the same.")
    )
    name = f"chart-{plan['kpi'].lower().replace('_', '-')}"
    return _year_drawing(orjson.dumps((panels, pace)), name, label, said)


def _first_book(plan: _Document, year: int, basis: TargetBasis) -> _Document | None:
    books = next(one["books"] for one in plan["years"] if one["year"] == year)
    return next((book for book in books if book["basis"] == basis.value and book["definition"]), None)


def _counted_by(plan: _Document, basis: TargetBasis) -> dict[str, str] | None:
    """Return the definition whose figure is drawn, None for a figure that has one meaning."""
    found = (_first_book(plan, one["year"], basis) for one in plan["years"] if one["year"] is not None)
    return next((book["definition"] for book in found if book is not None), None)


def _drawn(plan: _Document, year: int, basis: TargetBasis, amount: float) -> float:
    """Return what a bar shows: what stands against the first book's target, for a bar invites to compare them."""
    book = _first_book(plan, year, basis)
    return amount if book is None else float(book["actual"])


@lru_cache(maxsize=256)
def _year_drawing(shown: bytes, name: str, title: str, description: str) -> Markup:
    """Return a drawing; the same again costs nothing, for to state a chart takes longer than to draw it."""
    panels, pace = orjson.loads(shown)
    return drawn(year_chart(panels, pace), name=name, title=title, description=description)


def _marks(view: View, plan: _Document, basis: TargetBasis, scale: int, pace: str) -> list[_Document]:
    """Return the targets of one way to count, and their pace where it is less than the whole target."""
    found: dict[tuple[int, str], _Document] = {}
    for one in plan["years"]:
        for book in one["books"]:
            if one["year"] is None or book["basis"] != basis.value:
                continue
            title = view.wording.plain(book["title"]["zh"], book["title"]["en"])
            mark = _point(view, plan, one["year"], book["target"], scale, title)
            found[one["year"], title] = {**mark, "mark": title}
            if book["expected"] not in (None, book["target"]):
                mark = _point(view, plan, one["year"], book["expected"], scale, pace)
                found[one["year"], pace] = {**mark, "mark": pace}
    return list(found.values())


def _point(view: View, plan: _Document, year: int, amount: float, scale: int, what: str) -> _Document:
    label = str(year) if view.wording.lang is Lang.EN else str(roc_year(year))
    said = amount_words(view.wording, amount, plan["unit"])
    return {
        "year": label,
        "amount": amount / scale,
        "words": f"{year_words(view.wording, year)} · {what} · {said}",
    }


def _forecast_drawing(view: View, plan: _Document) -> Markup | None:
    found = plan["forecast"]
    if found is None:
        return None
    scale, unit = chart_scale(view.wording, plan["unit"])
    amounts = {name: found[name] for name in ("low", "expected", "high")}
    words = " – ".join(amount_words(view.wording, amount, plan["unit"]) for amount in amounts.values())
    chart = range_chart(**{name: amount / scale for name, amount in amounts.items()}, unit=unit, words=words)
    title = view.wording.text(N_("Forecast to the end of the year, on top of what is counted"))
    return drawn(chart, name=f"forecast-{plan['kpi'].lower()}", title=title, description=words)


router = APIRouter(prefix="/kpi", include_in_schema=False, route_class=ThreadedRoute)

DAY = Annotated[str, Query(max_length=20)]
ID = Annotated[str, Query(max_length=200)]
PROGRAMME_REPORTS = ("b003", "kpi")
"""Reports that are about the whole programme only."""


@router.get("")
def show_dashboard(
    visit: Annotated[Visit, Depends(visiting(Resource.REPORT, Action.READ))],
    as_of: DAY = "",
    year: DAY = "",
    alliance: ID = "",
    of: Kpi | None = None,
) -> Response:
    """Show the dashboard; `of` is the figure by which the alliances are put in order."""
    view = view_of(visit, Resource.FIGURE, as_of, alliance)
    asked: dict[str, Any] = {"as_of": view.as_of, "alliance": view.alliance}
    plan = visit.document(read_targets, **asked)
    chosen = year_of_text(year, plan["years"], view.as_of)
    every = visit.document(read_figures, **asked, year=None, basis=YearBasis.COUNTED)
    of_year = every if chosen is None else visit.document(read_figures, **asked, year=chosen, basis=YearBasis.COUNTED)
    restated = visit.document(read_figures, **asked, year=chosen, basis=YearBasis.OCCURRED)
    by_kpi = [{one["kpi"]: one for one in found["figures"]} for found in (every, of_year, restated)]
    cards = [card_of(view, figure, chosen, *(found[figure["kpi"]] for found in by_kpi)) for figure in plan["figures"]]
    shares = _shares(view, of_year) if view.alliance is None else []
    ordered_by = (of or Kpi.MONEY).value
    return visit.show(
        "figures/kpi.html",
        **common(view),
        league=league(shares, ordered_by),
        ordered_by=ordered_by,
        years=plan["years"],
        year=chosen,
        year_value=ALL_YEARS if chosen is None else chosen,
        quarter=plan["quarter"],
        cards=cards,
        shares=shares,
        unreviewed=[one for one in of_year["figures"] if one["kpi"] not in {card["kpi"] for card in cards}],
        reports=reports_of(visit, view),
        ALL_YEARS=ALL_YEARS,
    )


def common(view: View) -> dict[str, Any]:
    """Return what templates of figures need to word amounts and years."""
    wording = view.wording
    return {
        "view": view,
        "amount": lambda value, unit: amount_words(wording, value, unit),
        "unit": lambda unit: unit_words(wording, unit),
        "of_year": lambda year: year_words(wording, year),
        "called": lambda kpi: kpi_words(wording, kpi),
        "report_lang": "zh" if wording.lang is Lang.ZH else "en",
    }


def _shares(view: View, found: dict[str, Any]) -> list[dict[str, Any]]:
    """Return for each alliance its part in each figure."""
    rows = []
    for alliance, name in view.alliances:
        parts = {
            figure["kpi"]: next(
                (one["actual"]["amount"] for one in figure["by_alliance"] if one["alliance"] == alliance), 0
            )
            for figure in found["figures"]
        }
        rows.append({"alliance": alliance, "name": name, "parts": parts})
    return rows


def reports_of(visit: Visit, view: View) -> dict[str, Any]:
    """Return the reports that can be made of what the page is about, and their formats."""
    found: dict[str, Any] = visit.document(list_reports)
    whole = view.may_see_all and view.alliance is None
    items = [one for one in found["items"] if whole or one["name"] not in PROGRAMME_REPORTS]
    if whole and visit.who().holds(Role.OFFICE):
        items.append({"name": "gender", "title": _EXACT_GENDER, "href": "/api/reports/gender", "exact": True})
    return {"items": items, "formats": found["formats"]}


_EXACT_TEXT = T_("Gender statistics, exact, for the programme office only")
_EXACT_GENDER = {"zh": _EXACT_TEXT.zh, "en": str(_EXACT_TEXT)}
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
class _EntryLine:
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
        "figures/kpi_entries.html",
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
        names=visit.look(
            lambda session, _: scope_names(session, {one for line in shown for one in line.entry["shares"]})
        ),
        reports=reports_of(visit, view),
    )


def _lines(visit: Visit, view: View, kpi: str, year: int | None, status: Status) -> list[_EntryLine]:
    """Return every entry behind the figure, in the order in which they were counted."""
    lines: list[_EntryLine] = []
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


def _line(entry: dict[str, Any], alliance: str | None) -> _EntryLine:
    details = entry["details"]
    counted = entry["counted"]
    share_bp = WHOLE_BP if alliance is None else entry["shares"].get(alliance, 0)
    signed = -entry["amount"] if entry["kind"] == EntryKind.REVERSAL else entry["amount"]
    return _EntryLine(
        entry=entry,
        what=next((str(details[name]) for name in _NAMES if details.get(name)), ""),
        more=" · ".join(str(details[name]) for name in _MORE if details.get(name)),
        quarter=counted["period"] if counted else entry["period"],
        counts_bp=signed * share_bp,
    )


def _sum(lines: list[_EntryLine]) -> float:
    whole, rest = divmod(sum(line.counts_bp for line in lines), WHOLE_BP)
    return whole + rest / WHOLE_BP if rest else whole


def _quarters(lines: list[_EntryLine]) -> list[dict[str, Any]]:
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
