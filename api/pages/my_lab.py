"""A researcher's own lab: claimed, its profile, what represents it, how an expert sees it, how much it is asked for.

In: a part of a lab's name and what shows whose it is; the researcher's changes; from somebody who knows, yes or no
to a claim. Out: the same as the API's `/api/labs` and `/api/claims` in pages, with a preview that no expert sees.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Query, Response
from sqlmodel import Session, col, select

from api.access.policy import Action, Resource
from api.documents.bodies import ClaimBody, ClaimVerdictBody, LabBody
from api.pages.shell.form_fields import as_body, asked_fields, shown, typed
from api.pages.shell.record_names import scope_names
from api.pages.shell.templating import marked
from api.pages.shell.visiting import Visit, visiting
from api.pages.shell.wording import N_
from api.requests.capacity import MATCHING, ThreadedRoute, takes
from api.requests.problems import ProblemError, Refusal
from api.routes.conversation.lab_questions import list_lab_questions
from api.routes.labs import (
    claim_lab,
    decide_on_claim,
    edit_lab,
    find_lab_names,
    list_own_claims,
    list_waiting_claims,
    read_demand,
    read_lab,
)
from api.routes.needs import list_needs
from api.routes.own_lab.works import WorksBody, add_lab_works, try_finding
from api.routes.shortlists.pictures import end_photo, picture_body, put_photo
from indexer.records.exchange import LabIn
from indexer.records.lists.csv_text import in_any_encoding
from indexer.vocabulary import AskKind, EvidenceKind
from matcher.handouts.pictures import MAX_SENT_BYTES
from matcher.review.cases import INTRODUCED_STAGES, Case
from matcher.review.conversation.standing import TOLD, Stand, stands_of
from matcher.review.conversation.thread import Side
from matcher.review.roles import Role

router = APIRouter(include_in_schema=False, route_class=ThreadedRoute)

_FEWEST_LETTERS = 2


@router.get("/claims/new")
def show_claim_form(
    visit: Annotated[Visit, Depends(visiting(Resource.CLAIM, Action.LIST))],
    q: Annotated[str, Query(max_length=100)] = "",
) -> Response:
    """Show the search for a lab, and the own claims with what became of them."""
    return _new_page(visit, q)


def _new_page(visit: Visit, q: str, refused: Refusal | None = None) -> Response:
    long_enough = len(q.strip()) >= _FEWEST_LETTERS
    found = visit.document(find_lab_names, q=q.strip(), limit=20)["items"] if long_enough else []
    claims = visit.document(list_own_claims)["items"]
    ids = [one["lab_id"] for one in claims]
    return visit.show(
        "my_lab/claim.html",
        refused.status if refused else 200,
        q=q,
        found=found,
        searched=long_enough,
        claims=claims,
        names=visit.look(lambda session, _: scope_names(session, ids)),
        refused=refused,
        chosen=str(visit.form.get("lab_id", "")),
        statement=str(visit.form.get("statement", "")),
    )


@router.post("/claims")
def ask_for_lab(visit: Annotated[Visit, Depends(visiting(Resource.CLAIM, Action.CREATE))]) -> Response:
    """Claim a lab."""
    lab_id = str(visit.form.get("lab_id", ""))

    def work() -> Any:
        body = visit.body(ClaimBody, {"statement": visit.form.get("statement", "")})
        return visit.document(claim_lab, lab_id=lab_id, body=body)

    refused = visit.attempt(work)
    if isinstance(refused, Refusal):
        return _new_page(visit, str(visit.form.get("q", "")), refused)
    return visit.go("/claims/new", N_("Your claim is sent. The alliance on the spot or the programme office decides."))


@router.get("/claims")
def show_waiting(visit: Annotated[Visit, Depends(visiting(Resource.CLAIM, Action.DECIDE))]) -> Response:
    """Show the claims that wait for a word."""
    return _waiting_page(visit)


def _waiting_page(visit: Visit, refused: Refusal | None = None, blamed: int = 0) -> Response:
    return visit.show(
        "my_lab/claims_waiting.html",
        refused.status if refused else 200,
        claims=visit.document(list_waiting_claims)["items"],
        refused=refused,
        blamed=blamed,
    )


@router.post("/claims/{claim_id}/verdict")
def decide(claim_id: int, visit: Annotated[Visit, Depends(visiting(Resource.CLAIM, Action.DECIDE))]) -> Response:
    """Approve or refuse a claim."""

    def work() -> Any:
        given = {"verdict": visit.form.get("verdict", ""), "reason": visit.form.get("reason", "")}
        return visit.document(decide_on_claim, claim_id=claim_id, body=visit.body(ClaimVerdictBody, given))

    refused = visit.attempt(work)
    if isinstance(refused, Refusal):
        return _waiting_page(visit, refused, claim_id)
    return visit.go("/claims", N_("The claim is decided, and who made it can see so."))


Edit = Annotated[Visit, Depends(visiting(Resource.LAB, Action.EDIT))]
_FIELDS = asked_fields(LabIn)
_BY_ITSELF = ("name", "name_en", "summary", "summary_en")
_FACTS = tuple(one for one in _FIELDS if one.name not in _BY_ITSELF)
"""What the preview lists of a lab below its text."""
RETIRED, REPRESENTS = 0.0, 1.0
"""Weights of evidence that is kept but no longer speaks for the lab, and of evidence that does."""


@router.get("/my-lab")
def show_labs(visit: Edit) -> Response:
    """Show the only lab, or the labs to choose from."""
    ids = visit.look(lambda _, who: sorted(who.scopes(Role.RESEARCHER)))
    if len(ids) == 1:
        return visit.go(f"/my-lab/{ids[0]}")
    return visit.show("my_lab/choose.html", names=visit.look(lambda session, _: scope_names(session, ids)))


@router.get("/my-lab/{lab_id}")
def show_lab(lab_id: str, visit: Edit) -> Response:
    """Show the page of a lab."""
    return _page(visit, lab_id)


def _page(
    visit: Visit, lab_id: str, refused: Refusal | None = None, *, form: str = "", done: dict[str, Any] | None = None
) -> Response:
    reply = visit.reply(read_lab, lab_id=lab_id)
    lab = reply.document
    return visit.show(
        "my_lab/lab.html",
        refused.status if refused else 200,
        lab=lab,
        asked=_FIELDS,
        form=shown(_FIELDS, {**lab, **typed(visit.form, _FIELDS)} if refused and "name" in visit.form else lab),
        etag=reply.headers["ETag"],
        demand=visit.document(read_demand, lab_id=lab_id),
        needs=visit.document(list_needs, limit=20)["items"],
        questions=visit.document(list_lab_questions, lab_id=lab_id)["items"],
        talks=visit.look(lambda session, _: _talks(session, lab_id)),
        told_of=lambda one: TOLD[one.standing][Side.LAB],
        state=visit.request.app.state.live.state(),
        refused=refused,
        refused_form=form,
        done=done,
        kinds=list(EvidenceKind),
        ask_kinds=list(AskKind),
        looks_up=visit.request.app.state.settings.look_up_dois,
        typed_work=visit.values("doi", "title", "kind", "year", "abstract", "content") if form == "works" else {},
    )


def _talks(session: Session, lab_id: str) -> dict[str, Stand]:
    """Return where the needs stand that a lab was introduced to, by need."""
    known = select(Case.need_id).where(
        Case.lab_id == lab_id, col(Case.stage).in_([stage.value for stage in INTRODUCED_STAGES])
    )
    stands = stands_of(session, session.exec(known).all())
    return {one.need_id: one for one in stands if one.lab_id == lab_id and one.stage in INTRODUCED_STAGES}


def _changes(visit: Visit) -> dict[str, Any]:
    """Return what the form says, as the API takes it; an empty capacity means that none is stated."""
    return as_body(_FIELDS, typed(visit.form, _FIELDS))


@router.post("/my-lab/{lab_id}")
def save_profile(lab_id: str, visit: Edit) -> Response:
    """Store the profile as the form says."""
    refused = visit.attempt(lambda: visit.document(edit_lab, lab_id=lab_id, body=visit.body(LabBody, _changes(visit))))
    if isinstance(refused, Refusal):
        return _page(visit, lab_id, refused)
    return visit.go(f"/my-lab/{lab_id}", N_("Your profile is stored. Rankings follow it with the next index."))


@router.post("/my-lab/{lab_id}/preview")
def preview(lab_id: str, visit: Edit) -> Response:
    """Show what an expert would see of the profile as it is typed, without storing it."""
    lab = visit.document(read_lab, lab_id=lab_id)
    body = visit.attempt(lambda: visit.body(LabBody, _changes(visit)))
    if isinstance(body, Refusal):
        return _page(visit, lab_id, body)
    as_typed = {**lab, **body.model_dump(exclude_unset=True, mode="json", exclude={"evidence"})}
    return _preview(visit, as_typed, stored=False)


@router.get("/my-lab/{lab_id}/preview")
def preview_stored(lab_id: str, visit: Edit) -> Response:
    """Show what an expert sees of the profile as it is stored."""
    return _preview(visit, visit.document(read_lab, lab_id=lab_id), stored=True)


def _preview(visit: Visit, lab: dict[str, Any], *, stored: bool) -> Response:
    speaks = [item for item in lab["evidence"] if item["weight"] > 0]
    return visit.show("my_lab/preview.html", lab=lab, facts=_FACTS, speaks=speaks, stored=stored)


@router.post("/my-lab/{lab_id}/evidence")
def arrange_evidence(lab_id: str, visit: Edit) -> Response:
    """Move a piece of evidence up or down, retire it, or bring it back; `wish` is what, a colon, and its id."""
    lab = visit.document(read_lab, lab_id=lab_id)
    wish, _, evidence_id = str(visit.form.get("wish", "")).partition(":")
    arranged = _arranged(lab["evidence"], wish, evidence_id)
    refused = visit.attempt(
        lambda: visit.reply(edit_lab, lab_id=lab_id, body=visit.body(LabBody, {"evidence": arranged}))
    )
    if isinstance(refused, Refusal):
        return _page(visit, lab_id, refused)
    if not visit.by_htmx:
        return visit.go(f"/my-lab/{lab_id}#evidence")
    return visit.show(
        "my_lab/_evidence.html", lab=refused.document, etag=refused.headers["ETag"], moved=evidence_id, wish=wish
    )


@router.post("/my-lab/{lab_id}/works")
def add_works(lab_id: str, visit: Edit) -> Response:
    """Add one work as it is typed, or all of a file or of what was pasted."""
    given: dict[str, Any] = {"work": visit.values("doi", "title", "kind", "year", "abstract")}
    file = visit.form.get("file")
    pasted = str(visit.form.get("content", ""))
    if visit.form.get("how") == "file":
        given = {"content": pasted}
        if not isinstance(file, str) and file is not None and file.filename:
            content = file.file.read()
            # A list from an office may be in any encoding, which is told from its bytes.
            given = {"content": in_any_encoding(content), "name": file.filename[:200]}

    def work() -> Any:
        return visit.document(add_lab_works, lab_id=lab_id, body=visit.body(WorksBody, given))

    done = visit.attempt(work)
    if isinstance(done, Refusal):
        return _page(visit, lab_id, done, form="works")
    if done["problems"]:
        return _page(visit, lab_id, done=done)
    said = N_("Added: experts see it at once, rankings within seconds.")
    return visit.go(
        f"/my-lab/{lab_id}#evidence", said if done["added"] else N_("Nothing is new: the lab has it already.")
    )


@router.get("/my-lab/{lab_id}/finding")
@takes(MATCHING)
def try_words(
    lab_id: str,
    visit: Annotated[Visit, Depends(visiting(Resource.DEMAND, Action.READ))],
    q: Annotated[str, Query(max_length=1_000)] = "",
    kind: Annotated[AskKind | Literal[""], Query()] = "",
) -> Response:
    """Show whether the lab would be found for some words, as a part of its page or as one of its own."""
    found = None
    if len(q.strip()) >= _FEWEST_LETTERS:
        found = visit.attempt(lambda: visit.document(try_finding, lab_id=lab_id, q=q.strip(), kind=kind))
    refused = found if isinstance(found, Refusal) else None
    if refused is not None and refused.status == 404:
        raise ProblemError(404, refused.name, refused.detail)
    context = {"lab_id": lab_id, "q": q.strip(), "kind": kind, "found": None if refused else found, "refused": refused}
    return visit.show_part(
        "my_lab/_finding.html", N_("Would you be found?"), f"/my-lab/{lab_id}", marked=marked, **context
    )


@router.post("/my-lab/{lab_id}/photo")
def change_photo(lab_id: str, visit: Edit) -> Response:
    """Give the lab a photo, or take it away."""
    file = visit.form.get("picture")
    takes_away = visit.form.get("wish") == "remove"

    def work() -> Any:
        if takes_away:
            return visit.document(end_photo, lab_id=lab_id)
        content = b"" if file is None or isinstance(file, str) else file.file.read(MAX_SENT_BYTES + 1)
        return visit.document(put_photo, lab_id=lab_id, body=picture_body(content))

    refused = visit.attempt(work)
    if isinstance(refused, Refusal):
        return _page(visit, lab_id, refused, form="photo")
    return visit.go(f"/my-lab/{lab_id}", N_("The photo is taken away.") if takes_away else N_("The photo is stored."))


def _arranged(evidence: list[dict[str, Any]], wish: str, evidence_id: str) -> list[dict[str, Any]]:
    ids = [item["id"] for item in evidence]
    weights = {item["id"]: item["weight"] for item in evidence}
    if evidence_id in weights:
        place = ids.index(evidence_id)
        to = {"up": place - 1, "down": place + 1, "first": 0}.get(wish, place)
        ids.insert(max(0, min(to, len(ids) - 1)), ids.pop(place))
        if wish in ("retire", "return"):
            weights[evidence_id] = RETIRED if wish == "retire" else REPRESENTS
    return [{"id": one, "weight": weights[one]} for one in ids]
