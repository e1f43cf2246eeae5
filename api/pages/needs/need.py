"""Needs: the list of what waits, for whom, since when; and one need, who has it, and what is done with it.

In: filters by state and text; a need's id and who asks; forms to take it up, withdraw or close it, share it, give
it to an alliance or, for an urgent reason, read what is withheld. Out: the needs that this person may see, a page
at a time, and a need's page with what this person can do now.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, Query, Response
from sqlmodel import Session, col, func, select

from api.access.policy import Action, Resource
from api.access.visibility import unconflicted
from api.documents.bodies import AssignBody, NeedMoveBody, ShareBody
from api.pages.desk.views import Sorting, views_shown
from api.pages.desk.whose import colleagues
from api.pages.needs.cards import company_contacts
from api.pages.shell.form_fields import NEED_FACTS
from api.pages.shell.record_names import NeedNames, need_names
from api.pages.shell.visiting import Visit, first_place, visiting
from api.pages.shell.wording import N_
from api.requests.capacity import ThreadedRoute
from api.requests.problems import ProblemError, Refusal
from api.routes.needs import (
    NeedOrder,
    assign_need,
    break_glass,
    chosen_needs,
    end_need_share,
    list_needs,
    move_need,
    read_need,
    share_need,
    take_up_need,
)
from indexer.instants import day_in_taipei, now
from indexer.records.mended.named_labs import labs_called
from indexer.records.record_tables import Need
from indexer.wording import T_
from matcher.ranking.elements import ELEMENT_LABELS, elements_stated
from matcher.review.desk.saved_views import ViewedList
from matcher.review.intake import NeedState
from matcher.review.people import Principal
from matcher.review.proposals import PairingState, StoredPairing
from matcher.review.roles import STAFF, Role

_FACTS = tuple(one for one in NEED_FACTS if one.name != "confidentiality")


def need_context(
    visit: Visit,
    need_id: str,
    *,
    need: dict[str, Any] | None = None,
    refused: Refusal | None = None,
    form: str = "",
) -> dict[str, Any]:
    """Return what `need.html` shows.

    Args:
        visit: who asks.
        need_id: the need.
        need: its document if it was read already, such as with its text unlocked.
        refused: why a form of the page was refused.
        form: which one.

    Raises:
        ProblemError: 404, there is no such need, or it is not for this person.
    """
    need = need or visit.document(read_need, need_id=need_id)

    def read(session: Session, who: Principal) -> tuple[NeedNames, tuple[int, Any], list[str], Principal]:
        names = need_names(session, [need], with_every_alliance=True)
        excluded = labs_called(session, need.get("excluded_labs") or ())
        return names, company_contacts(session, who, need["company"]), excluded, who

    names, contacts, excluded, who = visit.look(read)
    ours = who.scopes(*STAFF)
    is_ours = need["alliance"] in ours
    state, office = need["state"], who.holds(Role.OFFICE)
    held = {need["alliance"], *need["shared_with"]}
    return {
        "need": need | {"excluded_labs": excluded},
        "facts": _FACTS,
        "names": names,
        "other_alliances": [(one, *both) for one, both in sorted(names.alliances.items()) if one not in held],
        "contacts": contacts,
        "colleagues": colleagues(visit) if is_ours and state == NeedState.TAKEN_UP else [],
        "elements": elements_stated(need),
        "element_labels": ELEMENT_LABELS,
        "days": days_waiting(need),
        "is_own": is_ours and need["company"] is not None,
        "can_match": is_ours or bool(ours & set(need["shared_with"])),
        "can_take_up": is_ours and state in (NeedState.SUBMITTED, NeedState.CLOSED),
        "can_close": is_ours and state == NeedState.TAKEN_UP,
        "can_withdraw": is_ours and state in (NeedState.SUBMITTED, NeedState.TAKEN_UP),
        "can_share": is_ours or office,
        "can_assign": office and state == NeedState.SUBMITTED,
        "refused": refused,
        "form": form,
    }


def days_waiting(need: dict[str, Any]) -> int | None:
    """Return for how many days a need that is not settled has been waiting; None if it is settled."""
    if need["submitted_at"] is None or need["state"] not in (NeedState.SUBMITTED, NeedState.TAKEN_UP):
        return None
    return max((now() - datetime.fromisoformat(need["submitted_at"])).days, 0)


router = APIRouter(prefix="/needs", include_in_schema=False, route_class=ThreadedRoute)

PER_PAGE = 25


@router.get("")
def show_needs(
    visit: Annotated[Visit, Depends(visiting(Resource.NEED, Action.LIST))],
    state: Annotated[str, Query(max_length=20)] = "",
    q: Annotated[str, Query(max_length=200)] = "",
    unassigned: Annotated[str, Query(max_length=10)] = "",
    sort: Annotated[str, Query(max_length=20)] = "",
    descending: Annotated[str, Query(max_length=10)] = "",
    cursor: Annotated[str | None, Query(max_length=500)] = None,
) -> Response:
    """Show the page."""
    who = visit.who()
    if not who.holds(*STAFF, Role.OFFICE):
        return visit.go(first_place(who))
    chosen = next((one for one in NeedState if one == state), None)
    of_nobody = unassigned == "true"
    these: dict[str, Any] = {"state": chosen, "unassigned": of_nobody}
    order = NeedOrder(sort) if sort in set(NeedOrder) else None
    by = {"sort": order, "descending": descending == "true"}
    found = visit.document(list_needs, **these, **by, q=q, limit=PER_PAGE, cursor=cursor or None)
    items: list[dict[str, Any]] = found["items"]

    def read(session: Session, who: Principal) -> tuple[NeedNames, dict[str, int], int]:
        every = chosen_needs(session, who, **these, words=q)
        total = session.exec(select(func.count()).select_from(every.subquery())).one()
        return need_names(session, items), _open_pairings(session, who, [item["id"] for item in items]), total

    names, waiting, total = visit.look(read)
    given = (("state", chosen), ("q", q), ("unassigned", "true" if of_nobody else ""))
    kept = {name: value for name, value in given if value}
    sorting = Sorting("/needs", kept, order.value if order else "", descending=descending == "true")
    kept |= sorting.asked
    return visit.show(
        "needs/list.html",
        needs=items,
        names=names,
        days={item["id"]: days_waiting(item) for item in items},
        waiting=waiting,
        states=list(NeedState),
        state=chosen or "",
        q=q,
        unassigned=of_nobody,
        colleagues=colleagues(visit),
        own_alliances=who.scopes(*STAFF),
        views=views_shown(visit, ViewedList.NEEDS, visit.request.url.query),
        total=total,
        is_first=cursor is None,
        sorting=sorting,
        first="/needs?" + urlencode(kept),
        further=None if found["next"] is None else "/needs?" + urlencode({**kept, "cursor": found["next"]}),
    )


def _open_pairings(session: Session, who: Principal, need_ids: list[str]) -> dict[str, int]:
    """Count the pairings that wait for a verdict now: never decided, or deferred until a day that has come."""
    state, until = col(StoredPairing.state), col(StoredPairing.deferred_until)
    due = (state == PairingState.DEFERRED.value) & (until <= day_in_taipei(now()))
    query = (
        select(StoredPairing.need_id, func.count())
        .join(Need, col(Need.id) == StoredPairing.need_id)
        .where(
            col(StoredPairing.need_id).in_(need_ids), unconflicted(who), (state == PairingState.PROPOSED.value) | due
        )
        .group_by(col(StoredPairing.need_id))
    )
    return dict(session.exec(query).all())


_MIN_REASON, _MAX_REASON = 10, 500
_MOVED = {
    "withdrawn": N_("The need is withdrawn."),
    "closed": N_("The need is closed."),
}


@router.get("/{need_id}")
def show_need(need_id: str, visit: Annotated[Visit, Depends(visiting(Resource.NEED, Action.READ))]) -> Response:
    """Show the need; the browser then asks for its labs."""
    who = visit.who()
    if not who.holds(*STAFF, Role.OFFICE):
        return visit.go(f"/company/needs/{need_id}" if who.holds(Role.COMPANY) else first_place(who))
    return visit.show("needs/need.html", **need_context(visit, need_id))


def _done(visit: Visit, need_id: str, form: str, work: Callable[[], Any], said: str) -> Response:
    refused = visit.attempt(work)
    if isinstance(refused, Refusal):
        if refused.status == 404:
            raise ProblemError(404, refused.name, refused.detail)
        return visit.show("needs/need.html", refused.status, **need_context(visit, need_id, refused=refused, form=form))
    return visit.go(f"/needs/{need_id}", said)


@router.post("/{need_id}/take-up")
def take_up(need_id: str, visit: Annotated[Visit, Depends(visiting(Resource.NEED, Action.TAKE_UP))]) -> Response:
    """Take the need up."""
    said = N_("You have taken up this need.")
    return _done(visit, need_id, "take-up", lambda: visit.document(take_up_need, need_id=need_id), said)


@router.post("/{need_id}/state")
def move_on(need_id: str, visit: Annotated[Visit, Depends(visiting(Resource.NEED, Action.WITHDRAW))]) -> Response:
    """Withdraw or close the need."""
    given = visit.values("state", "note")

    def work() -> None:
        visit.document(move_need, need_id=need_id, body=visit.body(NeedMoveBody, given))

    said = _MOVED.get(given.get("state", ""), _MOVED["closed"])
    return _done(visit, need_id, given.get("state", ""), work, said)


@router.post("/{need_id}/shares")
def share_it(need_id: str, visit: Annotated[Visit, Depends(visiting(Resource.NEED, Action.SHARE))]) -> Response:
    """Share the need with another alliance."""

    def work() -> None:
        visit.document(share_need, need_id=need_id, body=visit.body(ShareBody, visit.values("alliance", "consent")))

    return _done(visit, need_id, "share", work, N_("The need is shared."))


@router.post("/{need_id}/shares/{alliance_id}/end")
def end_sharing(
    need_id: str, alliance_id: str, visit: Annotated[Visit, Depends(visiting(Resource.NEED, Action.SHARE))]
) -> Response:
    """Stop sharing it."""

    def work() -> None:
        visit.reply(end_need_share, need_id=need_id, alliance_id=alliance_id)

    return _done(visit, need_id, "share", work, N_("The need is no longer shared with that alliance."))


@router.post("/{need_id}/alliance")
def give_to_alliance(
    need_id: str, visit: Annotated[Visit, Depends(visiting(Resource.NEED, Action.ASSIGN))]
) -> Response:
    """Give the need to an alliance."""

    def work() -> None:
        visit.document(assign_need, need_id=need_id, body=visit.body(AssignBody, visit.values("alliance")))

    return _done(visit, need_id, "assign", work, N_("The alliance has the need now."))


@router.post("/{need_id}/break-glass")
def read_withheld(
    need_id: str, visit: Annotated[Visit, Depends(visiting(Resource.NEED, Action.BREAK_GLASS))]
) -> Response:
    """Show the withheld text on this one page, for a reason that is kept."""
    reason = str(visit.form.get("reason", "")).strip()
    if not _MIN_REASON <= len(reason) <= _MAX_REASON:
        wrong = Refusal(
            422,
            "invalid",
            T_("give a reason of %(least)s to %(most)s characters", least=_MIN_REASON, most=_MAX_REASON),
            "reason",
        )
        return visit.show("needs/need.html", 422, **need_context(visit, need_id, refused=wrong, form="break-glass"))
    need = visit.document(break_glass, need_id=need_id, reason=reason)
    return visit.show("needs/need.html", **need_context(visit, need_id, need=need), unlocked=True)
