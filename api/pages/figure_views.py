"""What every page of figures shares: whose figures, as of which day, and how amounts are worded.

In: a page's address and who asks. Out: the alliances to choose from, the chosen
one, day and year, and amounts, units and years in the reader's language. It
exists so that all these pages understand the same addresses and write the same
amount the same way.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Any
from urllib.parse import urlencode

from api.ledger_visibility import reached_alliances
from api.pages.finding_lang import lang_of
from api.pages.scopes import alliance_names
from api.pages.visiting import Visit
from api.pages.wording import N_, Lang, Wording
from api.policy import Action, Resource
from api.problems import ProblemError, not_found
from indexer.instants import day_in_taipei, now
from indexer.wording import T_
from matcher.ledger.comparisons import UNIT_LABELS
from matcher.ledger.kpis import KPI_FACTS, Kpi, Unit
from matcher.ledger.periods import common_year, roc_year

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
    """Return what a figure is called."""
    facts = KPI_FACTS[Kpi(kpi)]
    said = wording.text(facts.label)
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
