"""Submitting a need step by step: what it is about, its asks, its limits, who will read it, and a last look.

In: what somebody of a company types, step by step. Out: a draft that is kept
after every step, and in the end a need, submitted as the API takes it. Each
step is a plain form; with a script it is also stored while it is being typed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Response
from sqlmodel import Session

from api.bodies import NewNeedBody
from api.pages.form_fields import as_body, asked_fields, shown, typed
from api.pages.need_fields import KINDS, NEED_FACTS, NEED_FIELDS, asks_wished
from api.pages.scopes import names_of
from api.pages.visiting import Visit, visiting
from api.pages.wording import N_
from api.policy import Action, Resource
from api.problems import Refusal, not_found
from api.request_threads import ThreadedRoute
from api.routes.needs import submit_need
from indexer.exchange import NeedIn
from indexer.field_notes import DeclaredField
from indexer.instants import now
from matcher.drafts import NeedDraft, begin_draft, draft_of, keep, throw_away
from matcher.people import Principal
from matcher.roles import Role

router = APIRouter(prefix="/company", include_in_schema=False, route_class=ThreadedRoute)

Create = Annotated[Visit, Depends(visiting(Resource.NEED, Action.CREATE))]


@dataclass(frozen=True)
class Step:
    """One step: its name in the address, and what people call it; which fields it asks for is declared with them."""

    name: str
    label: str

    @property
    def fields(self) -> tuple[DeclaredField, ...]:
        """The fields of the need that it asks for."""
        return asked_fields(NeedIn, self.name)


STEPS = (
    Step("about", N_("What it is about")),
    Step("asks", N_("What you ask for")),
    Step("limits", N_("Limits")),
    Step("readers", N_("Who will read it")),
    Step("check", N_("Check and send")),
)
_NAMES = [step.name for step in STEPS]


@router.post("/drafts")
def begin(visit: Create) -> Response:
    """Begin a draft for the own company, or for the one that was chosen among several."""

    def work(session: Session, who: Principal) -> str:
        own = sorted(who.scopes(Role.COMPANY))
        chosen = str(visit.form.get("company") or (own[0] if len(own) == 1 else ""))
        if chosen not in own:
            raise not_found("company")
        return begin_draft(session, company_id=chosen, by=who.id, now=now()).id

    return visit.go(f"/company/drafts/{visit.change(work)}/about")


def _find(session: Session, who: Principal, draft_id: str) -> NeedDraft:
    draft = draft_of(session, draft_id, who.scopes(Role.COMPANY))
    if draft is None:
        raise not_found("draft")
    return draft


@router.get("/drafts/{draft_id}/{step}")
def show_step(draft_id: str, step: str, visit: Create) -> Response:
    """Show one step of a draft."""
    return _step_page(visit, draft_id, step)


def _step_page(visit: Visit, draft_id: str, name: str, refused: Refusal | None = None) -> Response:
    visit.who()
    if name not in _NAMES:
        raise not_found("step")
    number = _NAMES.index(name)
    draft = visit.look(lambda session, who: _find(session, who, draft_id))
    # With a script only the part with the asks is put in again, when one is added or taken away.
    template = "company/_asks.html" if visit.by_htmx and name == "asks" else "company/step.html"
    return visit.show(
        template,
        refused.status if refused else 200,
        draft=draft,
        asked=STEPS[number].fields,
        form=shown(NEED_FIELDS, draft.content),
        need=as_body(NEED_FIELDS, draft.content),
        facts=NEED_FACTS,
        step=STEPS[number],
        number=number + 1,
        steps=STEPS,
        kinds=KINDS,
        names=visit.look(lambda session, _: names_of(session, [draft.company_id])),
        before=STEPS[number - 1].name if number else None,
        wrong_step=_step_of(refused),
        refused=refused,
    )


def _step_of(refused: Refusal | None) -> Step | None:
    """Return the step that asks for the field to blame."""
    blamed = (refused.field or "").partition("[")[0].partition(".")[0] if refused else ""
    return next((step for step in STEPS if any(one.name == blamed for one in step.fields)), None)


@router.post("/drafts/{draft_id}/{step}")
def save_step(draft_id: str, step: str, visit: Create) -> Response:
    """Keep what was typed; then go on, back, leave, or stay to add or take away an ask."""
    visit.who()
    if step not in _NAMES:
        raise not_found("step")
    wish = str(visit.form.get("do", ""))
    do = wish.partition(":")[0]
    if do == "delete":
        visit.change(lambda session, who: throw_away(session, _find(session, who, draft_id)))
        return visit.go("/company", N_("The draft is deleted."))
    changes = typed(visit.form, STEPS[_NAMES.index(step)].fields)
    asks = asks_wished(wish, changes.get("asks", []))
    if asks is not None:
        changes["asks"] = asks
    visit.change(lambda session, who: keep(session, _find(session, who, draft_id), changes=changes, now=now()))
    if do == "keep":
        return visit.nothing()
    if do in ("add", "remove"):
        return _step_page(visit, draft_id, step) if visit.by_htmx else visit.go(f"/company/drafts/{draft_id}/{step}")
    if do == "leave":
        return visit.go("/company", N_("Your draft is kept. Only your company can see it."))
    place = _NAMES.index(step) + (-1 if do == "back" else 1)
    return visit.go(f"/company/drafts/{draft_id}/{_NAMES[max(0, min(place, len(_NAMES) - 1))]}")


@router.post("/drafts/{draft_id}")
def send(draft_id: str, visit: Create) -> Response:
    """Submit the need and delete its draft; sent twice, it is one need."""

    def work() -> Any:
        draft = visit.look(lambda session, who: _find(session, who, draft_id))
        body = visit.body(NewNeedBody, {**_said(draft), "company": draft.company_id})
        return visit.document(submit_need, body=body)

    need = visit.attempt(work)
    if isinstance(need, Refusal):
        return _step_page(visit, draft_id, "check", need)
    visit.change(lambda session, who: throw_away(session, _find(session, who, draft_id)))
    return visit.go(f"/company/needs/{need['id']}", N_("Your need is submitted. An expert will take it up."))


def _said(draft: NeedDraft) -> dict[str, Any]:
    given = as_body(NEED_FIELDS, draft.content)
    return {name: value for name, value in given.items() if value not in (None, "", [])}
