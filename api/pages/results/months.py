"""Alliances' months in pages: what was reported, what the lead says of it, and who confirmed it.

In: a month, and the lead's words. Out: the months of all alliances that somebody may see, and one of them with the
form by which its lead confirms it. It exists beside the committee's pages because the month is the alliance's word:
the committee sees a result once the lead stands by its month.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Response
from sqlmodel import Session, col, select

from api.access.policy import Action, Resource
from api.documents.ledger import entry_rows
from api.documents.ledger_bodies import MonthBody
from api.pages.results.entries import LABELS
from api.pages.shell.record_names import MentionedNames, mentioned_names
from api.pages.shell.visiting import Visit, visiting
from api.pages.shell.wording import N_
from api.requests.capacity import ThreadedRoute
from api.requests.problems import Refusal
from api.routes.ledger.months import confirm_alliance_month, list_months, read_month
from matcher.ledger.rows.entries import Entry, LedgerError
from matcher.ledger.rules.months import first_day
from matcher.review.people import Principal
from matcher.review.roles import Role

router = APIRouter(prefix="/months", include_in_schema=False, route_class=ThreadedRoute)

WORDS = (
    ("achievements", N_("Results of the month (成果)")),
    ("highlights", N_("Highlights (亮點)")),
    ("gap", N_("What is missing (落差)")),
    ("measures", N_("What is done about it (改善措施)")),
    ("help", N_("What help is needed (需協助)")),
)
"""What a lead says of a month, in the order of the paper."""
_Month = Annotated[str, Query(max_length=20)]


@router.get("")
def show_months(
    visit: Annotated[Visit, Depends(visiting(Resource.MONTH, Action.LIST))], month: _Month = ""
) -> Response:
    """Show a month of all alliances."""
    found = visit.document(list_months, month=_known(month))
    return visit.show("results/months.html", found=found, names=_names(visit, found), **_around(found["month"]))


@router.get("/{alliance_id}")
def show_month(
    alliance_id: str, visit: Annotated[Visit, Depends(visiting(Resource.MONTH, Action.READ))], month: _Month = ""
) -> Response:
    """Show an alliance's month, and to its lead the form that confirms it."""
    return _page(visit, alliance_id, month)


@router.post("/{alliance_id}")
def confirm(alliance_id: str, visit: Annotated[Visit, Depends(visiting(Resource.MONTH, Action.CREATE))]) -> Response:
    """Confirm a month."""
    month = str(visit.form.get("month", ""))[:20]
    given = {"month": month, **visit.values(*(name for name, _ in WORDS))}
    done = visit.attempt(
        lambda: visit.document(confirm_alliance_month, alliance_id=alliance_id, body=visit.body(MonthBody, given))
    )
    if isinstance(done, Refusal):
        return _page(visit, alliance_id, month, done)
    said = N_("The month is confirmed: what was reported in it lies before the committee.")
    return visit.go(f"/months/{alliance_id}?month={done['month']}", said)


def _page(visit: Visit, alliance_id: str, month: str, refused: Refusal | None = None) -> Response:
    found = visit.document(read_month, alliance_id=alliance_id, month=_known(month))
    entries = visit.look(lambda session, _: _entries(session, found["reported"]))
    leads = visit.look(lambda _, who: alliance_id in who.scopes(Role.LEAD))
    typed = {name: str(visit.form.get(name, "")) for name, _ in WORDS} if refused else found["report"] or {}
    return visit.show(
        "results/month.html",
        refused.status if refused else 200,
        found=found,
        entries=entries,
        names=_names(visit, [found, entries]),
        labels=LABELS,
        words=WORDS,
        leads=leads,
        given=typed,
        refused=refused,
        **_around(found["month"]),
    )


def _entries(session: Session, ids: Sequence[str]) -> list[dict[str, Any]]:
    rows = session.exec(select(Entry).where(col(Entry.id).in_(ids)).order_by(col(Entry.seq))).all()
    return entry_rows(session, rows)


def _known(month: str) -> str | None:
    """Return a month as it was asked for; what is none stands for the one that runs."""
    try:
        first_day(month)
    except LedgerError:
        return None
    return month


def _around(month: str) -> dict[str, Any]:
    """Return a month in parts, and the months before and after it."""
    first = first_day(month)
    before = date(first.year - (first.month == 1), (first.month - 2) % 12 + 1, 1)
    after = date(first.year + (first.month == 12), first.month % 12 + 1, 1)
    return {"month": first, "before": before.isoformat()[:7], "after": after.isoformat()[:7]}


def _names(visit: Visit, documents: Any) -> MentionedNames:
    def named(session: Session, who: Principal) -> MentionedNames:
        return mentioned_names(session, documents)

    return visit.look(named)
