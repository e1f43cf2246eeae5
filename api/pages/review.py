"""The committee's review: the queue of results that wait, and one result with everything that decides about it.

In: filters, and a person's word on a result. Out: the queue, the evidence beside
the claim with the rules of recognition met or not met, and after a verdict the
next result of the same queue. Which words are offered is what the API says that
this person may say; why none is, is said.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, Response
from pydantic import BaseModel
from sqlmodel import Session

from api.ledger_bodies import NoteBody, ReasonBody
from api.ledger_visibility import reached_alliances
from api.pages.mentioned_names import alliances_of, names_in
from api.pages.refused import what_to_do
from api.pages.result_view import LABELS, entry_view
from api.pages.visiting import Visit, visiting
from api.pages.wording import N_
from api.policy import Action, Resource
from api.problems import Refusal
from api.request_threads import ThreadedRoute
from api.routes.entries import EntryId
from api.routes.ledger import read_heads
from api.routes.recognition import (
    check_entry,
    recognise_entry,
    refuse_entry,
    return_entry,
    reverse_entry,
    tell_entry_apart,
)
from api.routes.review import WAITING, list_waiting, read_review
from matcher.ledger.kpis import RECOGNISED_KPIS, Kpi
from matcher.ledger.steps import State
from matcher.people import Principal

router = APIRouter(prefix="/review", include_in_schema=False, route_class=ThreadedRoute)

AGES_DAYS = (0, 30, 60, 90)
"""The ages that the queue can be filtered by."""
_PAGE = 50


@dataclass(frozen=True)
class QueueFilters:
    """Which part of the queue somebody is in."""

    alliance: str | None = None
    kpi: Kpi | None = None
    state: State | None = None
    older_than_days: int = 0

    @property
    def query(self) -> str:
        """The filters as the end of an address; empty without any."""
        given = {name: value for name, value in asdict(self).items() if value}
        return f"?{urlencode(given)}" if given else ""


def _filters(visit: Visit) -> QueueFilters:
    """Return the filters of an address; what is no filter is left out, as an empty choice of a form is."""
    given = visit.request.query_params
    kpi, state, days = given.get("kpi"), given.get("state"), given.get("older_than_days", "")
    return QueueFilters(
        given.get("alliance") or None,
        Kpi(kpi) if kpi in list(Kpi) else None,
        State(state) if state in list(WAITING) else None,
        int(days) if days.isascii() and days.isdigit() and int(days) in AGES_DAYS else 0,
    )


@router.get("")
def show_queue(visit: Annotated[Visit, Depends(visiting(Resource.ENTRY, Action.CHECK))]) -> Response:
    """Show what waits for this person's committee, or for the office."""
    filters = _filters(visit)
    cursor = visit.request.query_params.get("cursor") or None
    page = visit.document(list_waiting, **vars(filters), limit=_PAGE, cursor=cursor)

    def named(session: Session, who: Principal) -> dict[str, Any]:
        reached = reached_alliances(who, Resource.ENTRY, Action.CHECK)
        return {"names": names_in(session, page["items"]), "alliances": alliances_of(session, reached)}

    context = {
        "page": page,
        "filters": filters,
        "labels": LABELS,
        "kpis": [kpi.value for kpi in RECOGNISED_KPIS],
        "ages": AGES_DAYS,
        "states": [state.value for state in WAITING],
        "after": None if page["next"] is None else urlencode({**_given(filters), "cursor": page["next"]}),
        "heads": visit.document(read_heads)["items"],
    }
    return visit.show("review_queue.html", **context, **visit.look(named))


def _given(filters: QueueFilters) -> dict[str, Any]:
    return {name: value for name, value in asdict(filters).items() if value}


@router.get("/{entry_id}")
def show_review(
    entry_id: EntryId, visit: Annotated[Visit, Depends(visiting(Resource.ENTRY, Action.CHECK))]
) -> Response:
    """Show a result to decide on."""
    return _page(visit, entry_id)


def _page(visit: Visit, entry_id: str, refused: Refusal | None = None, form: str = "") -> Response:
    filters = _filters(visit)
    review = visit.document(read_review, entry_id=entry_id, **vars(filters))
    context = {
        **entry_view(visit, entry_id),
        "review": review,
        "unmet": {one["requirement"]: one["detail"] for one in review["unmet"]},
        "filters": filters,
        "refused": refused,
        "form": form,
        "typed": visit.form.get(_TYPED.get(form, ""), "") if refused else "",
        "what_to_do": None if refused is None else what_to_do(refused.name),
    }
    context["school_names"] = context["names"].of("school", (review["school"] or {}).get("school_id"))
    return visit.show("review_entry.html", refused.status if refused else 200, **context)


_TYPED = {
    "check": "check_note",
    "recognise": "recognise_note",
    "return": "missing",
    "refuse": "why",
    "tell_apart": "apart",
    "reverse": "wrong",
}
"""The field of each form: each has a name of its own, since all stand on one page."""


def _said(
    visit: Visit, entry_id: str, form: str, endpoint: Callable[..., Response], said: str, *, goes_on: bool = True
) -> Response:
    """Carry out a word on an entry; show the entry again if it is refused, else go on in the queue."""
    filters = _filters(visit)
    queue = visit.document(read_review, entry_id=entry_id, **vars(filters))["queue"]
    model: type[BaseModel] = NoteBody if form in ("check", "recognise") else ReasonBody
    (name,) = model.model_fields
    typed = str(visit.form.get(_TYPED[form], ""))

    def work() -> Any:
        return visit.document(endpoint, entry_id=entry_id, body=visit.body(model, {name: typed}))

    done = visit.attempt(work)
    if isinstance(done, Refusal):
        mine = _TYPED[form] if done.field == name else None
        return _page(visit, entry_id, replace(done, field=mine), form)
    if done["motion"] is not None:
        said = N_("Moved. It takes effect once a second person agrees.")
    following = entry_id if not goes_on else queue["next"] or queue["previous"]
    return visit.go(f"/review/{following}{filters.query}" if following else f"/review{filters.query}", said)


@router.post("/{entry_id}/check")
def check(entry_id: EntryId, visit: Annotated[Visit, Depends(visiting(Resource.ENTRY, Action.CHECK))]) -> Response:
    """Say that the evidence bears the claim out; the same result can be recognised next."""
    said = N_("Checked. It counts once it is recognised.")
    return _said(visit, entry_id, "check", check_entry, said, goes_on=False)


@router.post("/{entry_id}/recognise")
def recognise(
    entry_id: EntryId, visit: Annotated[Visit, Depends(visiting(Resource.ENTRY, Action.RECOGNISE))]
) -> Response:
    """Recognise a result, or move it where that takes two."""
    return _said(
        visit, entry_id, "recognise", recognise_entry, N_("Recognised: the result before this one counts now.")
    )


@router.post("/{entry_id}/return")
def give_back(entry_id: EntryId, visit: Annotated[Visit, Depends(visiting(Resource.ENTRY, Action.RETURN))]) -> Response:
    """Return a result to its alliance."""
    return _said(visit, entry_id, "return", return_entry, N_("Returned to the alliance with what is missing."))


@router.post("/{entry_id}/refuse")
def refuse(entry_id: EntryId, visit: Annotated[Visit, Depends(visiting(Resource.ENTRY, Action.REFUSE))]) -> Response:
    """Refuse a result."""
    return _said(visit, entry_id, "refuse", refuse_entry, N_("Refused. The alliance may report the result anew."))


@router.post("/{entry_id}/tell-apart")
def tell_apart(
    entry_id: EntryId, visit: Annotated[Visit, Depends(visiting(Resource.ENTRY, Action.TELL_APART))]
) -> Response:
    """Say that a held result is not the one it resembles."""
    said = N_("Told apart: it is reported now and can be checked.")
    return _said(visit, entry_id, "tell_apart", tell_entry_apart, said, goes_on=False)


@router.post("/{entry_id}/reverse")
def reverse(entry_id: EntryId, visit: Annotated[Visit, Depends(visiting(Resource.ENTRY, Action.REVERSE))]) -> Response:
    """Move that a recognised result be reversed."""
    said = N_("Moved. It takes effect once a second person agrees.")
    return _said(visit, entry_id, "reverse", reverse_entry, said, goes_on=False)
