"""A company's own needs: submitted step by step, edited until one is taken up, and what became of each.

In: what somebody of a company types, step by step or in one form. Out: drafts, the need as it is sent, pages of the
company's own needs with the labs that were released to it. It exists because the fields of a need are the same in
every form, and nothing typed may be lost on the way.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Response
from sqlmodel import Session

from api.access.policy import Action, Resource
from api.documents.bodies import NeedBody, NeedMoveBody, NewNeedBody
from api.pages.companies import answered, asked_for
from api.pages.conversation.talk import ANSWER_LABELS
from api.pages.shell.form_fields import KINDS, NEED_FACTS, NEED_FIELDS, as_body, asked_fields, asks_wished, shown, typed
from api.pages.shell.record_names import names as names_of
from api.pages.shell.record_names import scope_names
from api.pages.shell.visiting import Visit, visiting
from api.pages.shell.wording import N_
from api.requests.capacity import ThreadedRoute
from api.requests.problems import Refusal, not_found
from api.routes.companies import read_company
from api.routes.needs import edit_need, excluded_of, list_needs, move_need, read_need, submit_need
from api.routes.pairings import list_released_labs
from indexer.instants import now
from indexer.records.exchange import NeedIn
from indexer.records.field_notes import DeclaredField
from indexer.records.mended.named_labs import ids_of, labs_called, named_labs
from indexer.records.record_tables import Lab
from matcher.ranking.elements import Question, elements_stated
from matcher.review.conversation.answers import REFUSING
from matcher.review.conversation.standing import TOLD, Stand, TalkState, furthest, stands_of
from matcher.review.conversation.thread import Side
from matcher.review.intake import NeedDraft, NeedState, begin_draft, delete_draft, draft_of, drafts_of, keep_draft
from matcher.review.people import Principal
from matcher.review.roles import Role

router = APIRouter(prefix="/company", include_in_schema=False, route_class=ThreadedRoute)

Create = Annotated[Visit, Depends(visiting(Resource.NEED, Action.CREATE))]


@dataclass(frozen=True)
class DraftStep:
    """One step: its name in the address, and what people call it; which fields it asks for is declared with them."""

    name: str
    label: str

    @property
    def fields(self) -> tuple[DeclaredField, ...]:
        """The fields of the need that it asks for."""
        return asked_fields(NeedIn, self.name)


STEPS = (
    DraftStep("about", N_("What it is about")),
    DraftStep("asks", N_("What you ask for")),
    DraftStep("limits", N_("Limits")),
    DraftStep("readers", N_("Who will read it")),
    DraftStep("check", N_("Check and send")),
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


_EXCLUDED = tuple(one for one in NEED_FIELDS if one.name == "excluded_labs")
_MOST_TYPED = 2_000


@router.get("/excluded")
def show_excluded(
    visit: Annotated[Visit, Depends(visiting(Resource.LAB_NAME, Action.LIST))],
    excluded_labs: Annotated[str, Query(max_length=_MOST_TYPED)] = "",
) -> Response:
    """Show whom the names that are being typed exclude, so that none excludes nobody."""
    typed_names = as_body(_EXCLUDED, {"excluded_labs": excluded_labs}).get("excluded_labs") or []

    def found(session: Session, _who: Principal) -> dict[str, Any]:
        named = named_labs(session, typed_names)
        return {"named": named, "names": names_of(session, Lab, ids_of(named))}

    return visit.show_part("my_company/_excluded.html", N_("Excluded labs"), "/company", **visit.look(found))


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
    template = "my_company/_asks.html" if visit.by_htmx and name == "asks" else "my_company/step.html"
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
        names=visit.look(lambda session, _: scope_names(session, [draft.company_id])),
        before=STEPS[number - 1].name if number else None,
        open_questions=_open_questions(as_body(NEED_FIELDS, draft.content)) if name == "check" else (),
        wrong_step=_step_of(refused),
        refused=refused,
    )


def _open_questions(need: Mapping[str, Any]) -> tuple[Question, ...]:
    """Return what an expert would ask about a need first: whoever answers it in the form is not called for it."""
    elements = elements_stated(need)
    return () if elements is None else elements.asked


def _step_of(refused: Refusal | None) -> DraftStep | None:
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
        visit.change(lambda session, who: delete_draft(session, _find(session, who, draft_id)))
        return visit.go("/company", N_("The draft is deleted."))
    changes = typed(visit.form, STEPS[_NAMES.index(step)].fields)
    asks = asks_wished(wish, changes.get("asks", []))
    if asks is not None:
        changes["asks"] = asks
    visit.change(lambda session, who: keep_draft(session, _find(session, who, draft_id), changes=changes, now=now()))
    if do == "keep":
        return visit.nothing()
    if do in ("add", "remove"):
        return _step_page(visit, draft_id, step) if visit.by_htmx else visit.go(f"/company/drafts/{draft_id}/{step}")
    if do == "leave":
        return visit.go("/company", N_("Your draft is kept. Only your company can see it."))
    refused = visit.attempt(lambda: _check(visit, draft_id)) if do == "next" else None
    # What other steps ask for may still be missing; what is wrong here is said here, and kept all the same.
    if isinstance(refused, Refusal) and _step_of(refused) == STEPS[_NAMES.index(step)]:
        return _step_page(visit, draft_id, step, refused)
    place = _NAMES.index(step) + (-1 if do == "back" else 1)
    return visit.go(f"/company/drafts/{draft_id}/{_NAMES[max(0, min(place, len(_NAMES) - 1))]}")


def _check(visit: Visit, draft_id: str) -> None:
    """Check a draft as it would be checked if it were sent now.

    Raises:
        Exception: one of `REFUSED`, what is wrong with it first.
    """
    draft = visit.look(lambda session, who: _find(session, who, draft_id))
    said = _said(draft)
    visit.body(NewNeedBody, {**said, "company": draft.company_id})
    visit.look(lambda session, _: excluded_of(session, said))


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
    visit.change(lambda session, who: delete_draft(session, _find(session, who, draft_id)))
    return visit.go(f"/company/needs/{need['id']}", N_("Your need is submitted. An expert will take it up."))


def _said(draft: NeedDraft) -> dict[str, Any]:
    given = as_body(NEED_FIELDS, draft.content)
    return {name: value for name, value in given.items() if value not in (None, "", [])}


NEXT = {
    "submitted": N_("An expert of your alliance will read it and take it up. Until then you can still change it."),
    "taken_up": N_("An expert looks for labs. The ones that fit appear here once the expert releases them to you."),
    "closed": N_("The work on this need is done."),
    "withdrawn": N_("You withdrew it. Nobody works on it any more."),
}
"""What a company is told about what happens next, by the state of its need, as long as no lab is further."""
_ENDED = (NeedState.CLOSED, NeedState.WITHDRAWN)
_ANSWERING = {
    TalkState.SHOWN: N_("Labs were suggested to you: say which interest you."),
    TalkState.ASKED: N_("You asked a question about a lab; your expert answers it."),
    TalkState.WANTED: N_("You are interested in a lab; your expert speaks to it next."),
}


@router.get("")
def show_needs(visit: Annotated[Visit, Depends(visiting(Resource.NEED, Action.CREATE))]) -> Response:
    """Show the own needs and drafts."""
    companies = visit.look(lambda _, who: sorted(who.scopes(Role.COMPANY)))
    needs = [need for need in visit.document(list_needs, limit=200)["items"] if need["company"] in companies]
    stands = visit.look(lambda session, _: _stands(session, [need["id"] for need in needs]))
    for need in needs:
        need["released"] = sum(one.released for one in stands[need["id"]])
        need["told"] = what_next(need["state"], stands[need["id"]])
    return visit.show(
        "my_company/needs.html",
        companies=[visit.document(read_company, company_id=one) for one in companies],
        alliances=visit.look(lambda session, _: scope_names(session, [need["alliance"] or "" for need in needs])),
        needs=sorted(needs, key=lambda need: str(need["submitted_at"]), reverse=True),
        drafts=visit.look(lambda session, _: drafts_of(session, companies)),
        **asked_for(visit),
    )


@router.post("/requests/{request_id}/answer")
def answer_request(
    request_id: int, visit: Annotated[Visit, Depends(visiting(Resource.CLIENT_REQUEST, Action.DECIDE))]
) -> Response:
    """Say as the company whether another alliance may look after it too."""
    return answered(visit, request_id, "/company")


def what_next(state: str, stands: Iterable[Stand]) -> str:
    """Return what a company is told about what happens next: how the furthest lab stands, else the need itself."""
    far = furthest(one.standing for one in stands)
    # Nobody may have taken a need up that was taken down on the telephone; what came of it is true all the same.
    if far is None or (state in _ENDED and far is not TalkState.SIGNED):
        return NEXT[state]
    if far in (TalkState.SHOWN, TalkState.ASKED, TalkState.WANTED):
        return _ANSWERING[far]
    return TOLD[far][Side.COMPANY] or NEXT[state]


def _stands(session: Session, need_ids: list[str]) -> dict[str, list[Stand]]:
    """Return by need where the labs stand that its company knows of."""
    found: dict[str, list[Stand]] = {need_id: [] for need_id in need_ids}
    for one in stands_of(session, need_ids):
        if one.company_knows:
            found[one.need_id].append(one)
    return found


@router.get("/needs/new")
def show_begin(visit: Annotated[Visit, Depends(visiting(Resource.NEED, Action.CREATE))]) -> Response:
    """Show what submitting a need takes, and the button that begins."""
    companies = visit.look(lambda session, who: scope_names(session, who.scopes(Role.COMPANY)))
    return visit.show("my_company/begin.html", companies=companies)


@router.get("/needs/{need_id}")
def show_need(need_id: str, visit: Annotated[Visit, Depends(visiting(Resource.NEED, Action.READ))]) -> Response:
    """Show a need, how far it has come, and the labs that were released."""
    return _need_page(visit, need_id)


def _need_page(visit: Visit, need_id: str, refused: Refusal | None = None) -> Response:
    need = _own(visit, visit.document(read_need, need_id=need_id))
    ids = [need["alliance"] or "", *(one["alliance"] or "" for one in need.get("openings", ()))]
    labs = visit.document(list_released_labs, need_id=need_id)["items"]
    stands = visit.look(lambda session, _: _stands(session, [need_id])[need_id])
    excluded = visit.look(lambda session, _: labs_called(session, need["excluded_labs"] or []))
    others = [one for one in stands if not one.released]
    return visit.show(
        "my_company/need.html",
        refused.status if refused else 200,
        need=need | {"excluded_labs": excluded},
        facts=NEED_FACTS,
        labs=[{**lab, "side": Side.COMPANY.value} for lab in labs],
        others=others,
        told_of=lambda one: TOLD[one.standing][Side.COMPANY],
        names=visit.look(lambda session, _: scope_names(session, [*ids, *(one.lab_id for one in others)])),
        what_next=what_next(need["state"], stands),
        open_questions=_open_questions(need) if need["state"] == NeedState.SUBMITTED and not labs else (),
        labels=ANSWER_LABELS,
        refusing=REFUSING,
        form="",
        given={},
        refused=refused,
    )


def _own(visit: Visit, need: dict[str, Any]) -> dict[str, Any]:
    """Return a need of the person's own company: for everybody else there are the pages of needs."""
    if need["company"] not in visit.who().scopes(Role.COMPANY):
        raise not_found("need")
    return need


@router.get("/needs/{need_id}/edit")
def show_edit(need_id: str, visit: Annotated[Visit, Depends(visiting(Resource.NEED, Action.EDIT))]) -> Response:
    """Show the form that changes a need."""
    return _edit_page(visit, need_id)


def _edit_page(visit: Visit, need_id: str, refused: Refusal | None = None, given: Any = None) -> Response:
    reply = visit.reply(read_need, need_id=need_id)
    _own(visit, reply.document)
    excluded = visit.look(lambda session, _: labs_called(session, reply.document["excluded_labs"] or []))
    return visit.show(
        "my_company/edit.html",
        refused.status if refused else 200,
        need=reply.document,
        asked=NEED_FIELDS,
        form=shown(NEED_FIELDS, reply.document | {"excluded_labs": excluded} if given is None else given),
        etag=reply.headers["ETag"],
        kinds=KINDS,
        refused=refused,
    )


@router.post("/needs/{need_id}/edit")
def change_need(need_id: str, visit: Annotated[Visit, Depends(visiting(Resource.NEED, Action.EDIT))]) -> Response:
    """Change a need that nobody has taken up."""
    given = typed(visit.form, NEED_FIELDS)
    asks = asks_wished(str(visit.form.get("do", "")), given["asks"])
    if asks is not None:
        return _edit_page(visit, need_id, given={**given, "asks": asks})
    body = as_body(NEED_FIELDS, given)
    refused = visit.attempt(lambda: visit.document(edit_need, need_id=need_id, body=visit.body(NeedBody, body)))
    if isinstance(refused, Refusal):
        return _edit_page(visit, need_id, refused, given)
    return visit.go(f"/company/needs/{need_id}", N_("Your need is changed."))


@router.post("/needs/{need_id}/withdraw")
def withdraw(need_id: str, visit: Annotated[Visit, Depends(visiting(Resource.NEED, Action.WITHDRAW))]) -> Response:
    """Withdraw a need."""
    given = {"state": "withdrawn", **visit.values("note")}
    refused = visit.attempt(lambda: visit.document(move_need, need_id=need_id, body=visit.body(NeedMoveBody, given)))
    if isinstance(refused, Refusal):
        return _need_page(visit, need_id, refused)
    return visit.go(f"/company/needs/{need_id}", N_("Your need is withdrawn."))
