"""How an alliance stands: its own income against what is required, what if, and the ladder of warnings.

In: an alliance, a day, a subsidy year, a target book, assumptions that can be moved; from the programme office and
the alliance steps, plans and their dates. Out: the statement and its simulation; what is proposed with its
arithmetic, what was given, who did what when.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Depends, Query, Response
from markupsafe import Markup
from sqlmodel import Session, col, select

from api.access.policy import Action, Resource
from api.documents.charts import money_chart, own_share_chart
from api.documents.ledger_bodies import LadderBody
from api.pages.figures.kpi import DAY, ID, View, common, reports_of, view_of, year_words
from api.pages.shell.drawing import drawn
from api.pages.shell.visiting import Visit, visiting
from api.pages.shell.wording import N_, Lang
from api.requests.capacity import ThreadedRoute
from api.requests.problems import ProblemError, Refusal
from api.routes.ledger.alliances import (
    list_warnings,
    read_simulation,
    read_standing,
    read_sufficiency,
    take_ladder_step,
)
from indexer.wording import T_
from matcher.ledger.figures.ladder import ENDS, NEXT_RUNGS, RUNG_LABELS, Rung
from matcher.ledger.figures.self_operation import Matter
from matcher.ledger.figures.subsidy import MAX_FEE_NTD, MAX_GROWTH_BP, MAX_NEW_MEMBERS, MAX_SIMULATED_YEARS, Assumptions
from matcher.ledger.figures.warnings import Level
from matcher.ledger.rows.entries import WHOLE_BP
from matcher.ledger.rows.kpis import KPI_FACTS, RECOGNISED_KPIS, Kpi
from matcher.ledger.rows.periods import common_year, roc_year, subsidy_year
from matcher.review.people import Account, Grant
from matcher.review.roles import Role

router = APIRouter(include_in_schema=False, route_class=ThreadedRoute)

_Document = dict[str, Any]
_BP_OF_PERCENT = 100
_MILLION = 1_000_000


@dataclass(frozen=True)
class Dial:
    """One assumption: its name in the address, its words, its bounds, and by what it is multiplied for the API."""

    name: str
    field: str
    words: str
    least: int
    most: int
    times: int = 1


_GROWN = (-WHOLE_BP // _BP_OF_PERCENT, MAX_GROWTH_BP // _BP_OF_PERCENT, _BP_OF_PERCENT)
DIALS = (
    Dial("fees", "fees_growth_bp", N_("Member fees grow a year, in percent"), *_GROWN),
    Dial("members", "new_members", N_("New members a year"), 0, MAX_NEW_MEMBERS),
    Dial("fee", "fee_ntd", N_("Yearly fee of a new member (NT$)"), 0, MAX_FEE_NTD),
    Dial("overhead", "overhead_growth_bp", N_("Overhead from cooperation grows a year, in percent"), *_GROWN),
    Dial("other", "other_growth_bp", N_("Other income grows a year, in percent"), *_GROWN),
    Dial("expenses", "expenses_growth_bp", N_("Expenses grow a year, in percent"), *_GROWN),
    Dial("subsidy", "subsidy_change_bp", N_("Subsidy's share beside the path (percentage points)"), -100, 100, 100),
    Dial("years", "years", N_("How many years"), 1, MAX_SIMULATED_YEARS),
)
"""What a person can change."""
Typed = Annotated[str, Query(max_length=20)]


async def _typed(
    fees: Typed = "",
    members: Typed = "",
    fee: Typed = "",
    overhead: Typed = "",
    other: Typed = "",
    expenses: Typed = "",
    subsidy: Typed = "",
    years: Typed = "",
) -> dict[str, str]:
    return {
        "fees": fees,
        "members": members,
        "fee": fee,
        "overhead": overhead,
        "other": other,
        "expenses": expenses,
        "subsidy": subsidy,
        "years": years,
    }


@router.get("/sufficiency")
def show_sufficiency(
    visit: Annotated[Visit, Depends(visiting(Resource.SUFFICIENCY, Action.READ))],
    typed: Annotated[dict[str, str], Depends(_typed)],
    as_of: DAY = "",
    year: DAY = "",
    alliance: ID = "",
) -> Response:
    """Show an alliance's self-sufficiency, or only the simulation where that is asked for by htmx."""
    view = view_of(visit, Resource.SUFFICIENCY, as_of, alliance, one_alliance=True)
    if view.alliance is None:
        return visit.show("figures/sufficiency_none.html")
    running = subsidy_year(view.as_of)
    asked: _Document = {"alliance_id": view.alliance, "as_of": view.as_of}
    every = visit.document(read_sufficiency, **asked, year=running)
    past = [one for one in every["years"] if one["own_income_ntd"] or one["share"] is not None]
    chosen = _chosen(year, past[-1]["year"] if past else running)
    booked = every if chosen == running else visit.document(read_sufficiency, **asked, year=chosen)
    refused = visit.attempt(lambda: _simulated(visit, view, typed))
    simulation = None if isinstance(refused, Refusal) else refused
    known = {one["year"] for one in every["years"]} | {chosen}
    context: _Document = {
        **common(view),
        "booked": booked,
        "years": sorted(known, reverse=True),
        "past": past,
        "year": chosen,
        "simulation": simulation,
        "refused": refused if isinstance(refused, Refusal) else None,
        "dials": DIALS,
        "typed": typed,
        "curve": _curve(view, past, simulation),
        "money": None if simulation is None else _money(view, simulation),
        "reports": reports_of(visit, view),
        "income": [one for one in booked["items"] if one["item"] in ("member_fees", "overhead", "other_income")],
        "spent": [one for one in booked["items"] if one["item"] in ("personnel", "operation", "other_expense")],
    }
    status = context["refused"].status if context["refused"] else 200
    return visit.show(
        "figures/sufficiency_simulation.html" if visit.by_htmx else "figures/sufficiency.html", status, **context
    )


def _chosen(text: str, otherwise: int) -> int:
    if not text:
        return otherwise
    if not text.isdecimal() or len(text) > 4:
        raise ProblemError(422, "invalid", T_("give a subsidy year such as 109 or 2020"), "year")
    return common_year(int(text))


def _simulated(visit: Visit, view: View, typed: dict[str, str]) -> _Document:
    assumed = Assumptions(**{dial.field: _number(dial, typed[dial.name]) for dial in DIALS if typed[dial.name]})
    found: _Document = visit.document(read_simulation, alliance_id=view.alliance, assumed=assumed, as_of=view.as_of)
    return found


def _number(dial: Dial, text: str) -> int:
    """Return what somebody typed, in the API's unit.

    Raises:
        ProblemError: 422, it is no number within the bounds.
    """
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not dial.least <= value <= dial.most:
        raise ProblemError(
            422,
            "invalid",
            T_("give a number from %(least)s to %(most)s", least=f"{dial.least:,}", most=f"{dial.most:,}"),
            dial.name,
        )
    return round(value * dial.times)


def _curve(view: View, past: list[_Document], simulation: _Document | None) -> Markup:
    begin = None if simulation is None else simulation["years"][0]["year"]
    rows = [_share_row(view, one, simulated=False) for one in past if begin is None or one["year"] < begin]
    rows += [_share_row(view, one, simulated=True) for one in (simulation or {"years": []})["years"]]
    title = view.wording.text(N_("Own income's share of the expenses, and the share that is required"))
    said = view.wording.text(
        N_("Bars with a full edge are booked, with a dashed edge simulated. The tables beside say the same.")
    )
    return _share_drawing(orjson.dumps(rows), view.wording.lang.value, title, said)


@lru_cache(maxsize=128)
def _share_drawing(rows: bytes, lang: str, title: str, said: str) -> Markup:
    return drawn(own_share_chart(orjson.loads(rows), lang), name="chart-shares", title=title, description=said)


def _share_row(view: View, one: _Document, *, simulated: bool) -> _Document:
    wording = view.wording
    share, required = one["share"], one["required"]
    said = "—" if share is None else wording.percent(share, 1)
    needed = "—" if required is None else wording.percent(required, 1)
    what = wording.text(N_("simulated")) if simulated else wording.text(N_("booked"))
    return {
        "year": _axis(view, one["year"]),
        "share": share,
        "required": required,
        "simulated": simulated,
        "words": f"{year_words(wording, one['year'])} ({what}): {said} / {needed}",
    }


def _axis(view: View, year: int) -> str:
    return str(year) if view.wording.lang is Lang.EN else str(roc_year(year))


def _money(view: View, simulation: _Document) -> Markup:
    wording = view.wording
    kinds = (
        ("fees_ntd", N_("member fees")),
        ("overhead_ntd", N_("overhead from cooperation")),
        ("other_ntd", N_("other income")),
        ("subsidy_ntd", N_("subsidy allowed")),
        ("expenses_ntd", N_("expenses")),
    )
    rows = [
        {
            "year": _axis(view, one["year"]),
            "what": wording.text(words),
            "amount": one[field] / _MILLION,
            "order": order,
            "is_expense": field == "expenses_ntd",
            "words": f"{year_words(wording, one['year'])} · {wording.text(words)} · {wording.money(one[field])}",
        }
        for one in simulation["years"]
        for order, (field, words) in enumerate(kinds)
    ]
    title = wording.text(N_("Simulated income and expenses"))
    return _money_drawing(orjson.dumps(rows), wording.text(N_("NT$ million")), wording.lang.value, title)


@lru_cache(maxsize=128)
def _money_drawing(rows: bytes, unit: str, lang: str, title: str) -> Markup:
    return drawn(money_chart(orjson.loads(rows), unit, lang), name="chart-money", title=title)


RUNG_CHIPS = {
    Rung.WARNING: "warn",
    Rung.PLAN: "warn",
    Rung.HELP: "bad",
    Rung.EXIT: "bad",
    Rung.LIFTED: "good",
    Rung.GRADUATED: "good",
}
ACTS = {
    Rung.WARNING: N_("Give the warning"),
    Rung.PLAN: N_("Note the improvement plan"),
    Rung.HELP: N_("Begin the ministry's help"),
    Rung.EXIT: N_("Let the alliance exit"),
    Rung.LIFTED: N_("Lift it"),
    Rung.GRADUATED: N_("Let the alliance graduate"),
}
_SAID = {
    Rung.WARNING: N_("The warning is given."),
    Rung.PLAN: N_("The improvement plan is noted."),
    Rung.HELP: N_("The ministry's help is noted."),
    Rung.EXIT: N_("The exit is noted."),
    Rung.LIFTED: N_("It is lifted."),
    Rung.GRADUATED: N_("The graduation is noted."),
}


@router.get("/warnings")
def show_warnings(
    visit: Annotated[Visit, Depends(visiting(Resource.STANDING, Action.READ))],
    as_of: DAY = "",
    book: ID = "",
    alliance: ID = "",
) -> Response:
    """Show where all alliances stand that the person may see."""
    if alliance:
        return visit.go(f"/warnings/{alliance}")
    view = view_of(visit, Resource.STANDING, as_of, "")
    found = visit.document(list_warnings, as_of=view.as_of, book=book or None)
    return visit.show(
        "figures/warnings.html", **_shown(view), found=found, reports=reports_of(visit, view), in_need=_in_need(found)
    )


def _shown(view: View) -> _Document:
    labels = {rung.value: {"zh": label.zh, "en": label.en} for rung, label in RUNG_LABELS.items()}
    chips = {rung.value: chip for rung, chip in RUNG_CHIPS.items()}
    return {
        **common(view),
        "rung_labels": labels,
        "rung_chips": chips,
        "reading_unit": lambda kpi: KPI_FACTS[Kpi(kpi)].unit.value,
    }


def _in_need(found: _Document) -> dict[str, int]:
    """Return how many proposals there are of each kind."""
    counts: dict[str, int] = {}
    for one in found["alliances"]:
        for finding in one["findings"]:
            counts[finding["finding"]] = counts.get(finding["finding"], 0) + 1
    return counts


@router.get("/warnings/{alliance_id}")
def show_ladder(
    visit: Annotated[Visit, Depends(visiting(Resource.STANDING, Action.READ))],
    alliance_id: str,
    as_of: DAY = "",
    book: ID = "",
) -> Response:
    """Show an alliance's targets against their pace, its ladders, and every step that was taken."""
    return _ladder_page(visit, alliance_id, as_of, book)


def _ladder_page(
    visit: Visit, alliance_id: str, as_of: str = "", book: str = "", refused: Refusal | None = None
) -> Response:
    view = view_of(visit, Resource.STANDING, as_of, alliance_id)
    found = visit.document(read_standing, alliance_id=alliance_id, as_of=view.as_of, book=book or None)
    books = visit.document(list_warnings, as_of=view.as_of, book=None)["books"]
    # A gap may be of the past; which step can follow is what stands today.
    now = visit.document(read_standing, alliance_id=alliance_id, as_of=view.today, book=None)
    stands = {one["kpi"]: one for one in now["rungs"]}
    ended = any(one["rung"] in ENDS for one in now["rungs"])
    people = {one["by"] for one in found["steps"]} | {one["owner"] for one in found["steps"] if one["owner"]}
    return visit.show(
        "figures/warnings_alliance.html",
        refused.status if refused else 200,
        **_shown(view),
        found=found,
        books=books,
        findings={(one["kpi"], one["finding"]): one for one in found["findings"]},
        rungs={one["kpi"]: one for one in found["rungs"]},
        stands=stands,
        ended=ended,
        next_rungs={} if ended else _next(stands, _short(found)),
        acts={rung.value: words for rung, words in ACTS.items()},
        names=visit.look(lambda session, _: _names(session, people)),
        owners=visit.look(lambda session, _: _owners(session, alliance_id)),
        refused=refused,
        typed=f"{visit.form.get('kpi') or 'whole'}-{visit.form.get('rung')}",
        kept={"reason": "", "owner": "", "due_on": "", **visit.values("reason", "owner", "due_on")},
        reports=reports_of(visit, view),
    )


def _short(found: _Document) -> set[str]:
    """Return the figures, and self-operation, whose gap is a warning."""
    gaps = {one["kpi"] for one in found["readings"] if one["level"] == Level.WARNING}
    own = found["self_operation"]
    return gaps | {Matter.SELF_OPERATION.value} if own is not None and own["level"] == Level.WARNING else gaps


def _next(stands: dict[str | None, _Document], gaps: set[str]) -> dict[str, list[str]]:
    """Return for each ladder what can follow; a warning only where the gap is one."""
    found = {}
    for kpi in (*Matter, *RECOGNISED_KPIS):
        rung = Rung(stands[kpi.value]["rung"]) if kpi.value in stands else None
        possible = [one.value for one in NEXT_RUNGS[rung] if one is not Rung.WARNING or kpi.value in gaps]
        if possible:
            found[kpi.value] = possible
    return found


def _names(session: Session, ids: Iterable[str]) -> dict[str, str]:
    rows = session.exec(select(Account).where(col(Account.id).in_(sorted(ids)))).all()
    return {one.id: one.name for one in rows}


def _owners(session: Session, alliance_id: str) -> list[tuple[str, str]]:
    """Return who works in an alliance and can carry a plan out, those who lead it first."""
    roles = (Role.LEAD.value, Role.EXPERT.value)
    query = (
        select(Account, Grant.role)
        .join(Grant, col(Grant.account_id) == Account.id)
        .where(Grant.scope_id == alliance_id, col(Grant.role).in_(roles), col(Grant.revoked_at).is_(None))
        .where(col(Account.disabled_at).is_(None))
    )
    found = sorted(session.exec(query).all(), key=lambda row: (roles.index(row[1]), row[0].name))
    return list({account.id: account.name for account, _ in found}.items())


@router.post("/warnings/{alliance_id}")
def take_step(visit: Annotated[Visit, Depends(visiting(Resource.LADDER, Action.CREATE))], alliance_id: str) -> Response:
    """Take a step on an alliance's ladder."""

    def work() -> Rung:
        body = visit.body(LadderBody, visit.values("rung", "reason", "kpi", "owner", "due_on", "book", "as_of"))
        visit.reply(take_ladder_step, alliance_id=alliance_id, body=body)
        return body.rung

    taken = visit.attempt(work)
    if isinstance(taken, Refusal):
        kept = visit.values("as_of", "book")
        return _ladder_page(visit, alliance_id, kept.get("as_of", ""), kept.get("book", ""), refused=taken)
    return visit.go(f"/warnings/{alliance_id}", _SAID[taken])
