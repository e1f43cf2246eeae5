"""The ladder: what is proposed with its arithmetic, what was given, plans and their dates, who did what when.

In: a day, a target book, an alliance; from the programme office a step with its
reason. Out: all alliances at a glance and one with its whole history. It exists
because an alliance may lose its subsidy at the end of the ladder: everybody
concerned sees the same numbers before anybody decides.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Response
from sqlmodel import Session, col, select

from api.pages.figure_views import View, view_of
from api.pages.kpi import DAY, ID, common, reports_of
from api.pages.visiting import Visit, visiting
from api.pages.wording import N_
from api.policy import Action, Resource
from api.problems import Refusal
from api.request_threads import ThreadedRoute
from api.routes.standing import list_warnings, read_standing, take_ladder_step
from api.standing_bodies import LadderBody
from matcher.ledger.kpis import KPI_FACTS, RECOGNISED_KPIS, Kpi
from matcher.ledger.ladder import ENDS, NEXT_RUNGS, RUNG_LABELS, Rung
from matcher.ledger.warnings import Level
from matcher.people import Account, Grant
from matcher.roles import Role

router = APIRouter(prefix="/warnings", include_in_schema=False, route_class=ThreadedRoute)

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
_Document = dict[str, Any]


@router.get("")
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
        "warnings.html", **_shown(view), found=found, reports=reports_of(visit, view), in_need=_in_need(found)
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


@router.get("/{alliance_id}")
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
        "warnings_alliance.html",
        refused.status if refused else 200,
        **_shown(view),
        found=found,
        books=books,
        findings={(one["kpi"], one["finding"]): one for one in found["findings"]},
        rungs={one["kpi"]: one for one in found["rungs"]},
        stands=stands,
        ended=ended,
        next_rungs={} if ended else _next(stands, found["readings"]),
        acts={rung.value: words for rung, words in ACTS.items()},
        names=visit.look(lambda session, _: _names(session, people)),
        owners=visit.look(lambda session, _: _owners(session, alliance_id)),
        refused=refused,
        typed=f"{visit.form.get('kpi') or 'whole'}-{visit.form.get('rung')}",
        kept={"reason": "", "owner": "", "due_on": "", **visit.values("reason", "owner", "due_on")},
        reports=reports_of(visit, view),
    )


def _next(stands: dict[str | None, _Document], readings: list[_Document]) -> dict[str, list[str]]:
    """Return for each figure what can follow; a warning only where the gap is one."""
    gaps = {one["kpi"] for one in readings if one["level"] == Level.WARNING}
    found = {}
    for kpi in RECOGNISED_KPIS:
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


@router.post("/{alliance_id}")
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
