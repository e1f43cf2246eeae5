"""What a lab lacks and what it is asked: for the expert beside the card, for the lab behind a link and on its page.

In: an expert who wants to know what would lift a lab, and the question as they leave it; a token of a mail, or somebody
of the lab signed in; yes with evidence, no, a text. Out: the near misses with the question ready to be read and
changed, and in plain words who will see what of it; for the lab the question alone, three ways to answer, the way back,
and the press by which evidence becomes its own. Opening a link changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError
from sqlmodel import Session, select

from api.access.policy import Action, Resource
from api.documents.bodies import MAX_ROW_NUMBER
from api.documents.conversation.lab_questions import LabQuestionBody, LabWordBody
from api.letters.conversation.lab_asking import QuestionByLink
from api.letters.signed_links import LinkError
from api.pages.conversation.link import (
    GONE,
    Form,
    SignInFirstError,
    is_answerable,
    must_be_signed_in,
    must_press_here,
    shown_link,
    signer_of,
)
from api.pages.shell.visiting import Visit, visiting
from api.pages.shell.wording import N_
from api.requests.capacity import MATCHING, ThreadedRoute, takes
from api.requests.problems import ProblemError, Refusal, not_found, refusal_of
from api.routes.conversation.lab_questions import (
    answer_by_question_link,
    answer_lab_question,
    confirm_lab_evidence,
    lab_documents,
    linked_question,
    list_lab_questions,
    put_question,
    read_near_misses,
    take_lab_answer_back,
    undo_by_question_link,
)
from api.routes.conversation.links import note_by_link, reader_named
from api.trail.audit_trail import Subject
from indexer.database import reading, writing
from indexer.instants import now
from indexer.records.record_tables import Lab
from indexer.vocabulary import EvidenceKind
from matcher.review.conversation.lab_questions import LabAnswer, LabQuestion, LabWord, QuestionError, words_on
from matcher.review.people import Principal

router = APIRouter(include_in_schema=False, route_class=ThreadedRoute)

PairingId = Annotated[int, Path(ge=1, le=MAX_ROW_NUMBER)]
QuestionId = Annotated[int, Path(ge=1, le=MAX_ROW_NUMBER)]
WORD_LABELS = {
    LabWord.EVIDENCE: N_("Yes, and here is the evidence"),
    LabWord.NONE: N_("No, we have none"),
    LabWord.TEXT: N_("Something else"),
    LabWord.CONFIRMED: N_("Yes, and the lab has confirmed it"),
}
"""What a lab's word is called, on its button and beside it."""
_GIVEN = ("word", "note", "doi", "title", "kind", "year", "abstract")
Asking = Annotated[Visit, Depends(visiting(Resource.LAB_QUESTION, Action.READ))]
Answering = Annotated[Visit, Depends(visiting(Resource.LAB_QUESTION, Action.ANSWER))]


def _admitted(_: Session, who: Principal) -> Principal:
    """Look at nothing: whoever may not enter the page at all is told so before anything is looked for."""
    return who


@router.get("/needs/{need_id}/pairings/{pairing_id}/missing")
@takes(MATCHING)
def show_missing(need_id: str, pairing_id: PairingId, visit: Asking) -> Response:
    """Show what would lift a lab, and what it was asked; as a part of its card or as a page."""
    return _missing_page(visit, need_id, pairing_id)


def _missing_page(visit: Visit, need_id: str, pairing_id: int, refused: Refusal | None = None) -> Response:
    visit.look(_admitted)
    found = visit.document(read_near_misses, pairing_id=pairing_id)
    if found["need_id"] != need_id:
        raise not_found("pairing")
    names = visit.look(
        lambda session, _: session.exec(select(Lab.name, Lab.name_en).where(Lab.id == found["lab_id"])).one()
    )
    context = {
        "found": found,
        "lab": (names[0], names[1] or ""),
        "need_id": need_id,
        "labels": WORD_LABELS,
        "refused": refused,
        "typed": visit.form if refused is not None else {},
    }
    if visit.by_htmx:
        return visit.show("conversation/missing_part.html", **context)
    return visit.show("conversation/missing.html", refused.status if refused else 200, **context)


@router.post("/needs/{need_id}/pairings/{pairing_id}/missing")
def ask_question(
    need_id: str,
    pairing_id: PairingId,
    visit: Annotated[Visit, Depends(visiting(Resource.LAB_QUESTION, Action.CREATE))],
) -> Response:
    """Send the question."""
    visit.look(_admitted)

    def work() -> Any:
        given: dict[str, Any] = dict(visit.values("ask", "text", "address"))
        given["words"] = [str(one) for one in visit.form.getlist("word")]
        given["confirmed"] = visit.form.get("confirmed") == "yes"
        return visit.document(put_question, pairing_id=pairing_id, body=visit.body(LabQuestionBody, given))

    done = visit.attempt(work)
    if isinstance(done, Refusal):
        if done.status not in (409, 422):
            raise ProblemError(done.status, done.name, done.detail, done.field, dict(done.headers))
        return _missing_page(visit, need_id, pairing_id, done)
    said = N_("The question is on its way to the lab. You are told when it answers.")
    if not done["items"][0]["was_sent"]:
        said = N_("The lab was asked the same before, so nothing was sent. You are told of its answer all the same.")
    return visit.go(f"/needs/{need_id}/pairings/{pairing_id}/missing", said)


@router.get("/my-lab/{lab_id}/questions/{question_id}")
def show_question(lab_id: str, question_id: QuestionId, visit: Answering) -> Response:
    """Show a question to the own lab, with the ways to answer it."""
    return _question_page(visit, lab_id, question_id)


def _question_page(visit: Visit, lab_id: str, question_id: int, refused: Refusal | None = None) -> Response:
    visit.look(_admitted)
    found = visit.document(list_lab_questions, lab_id=lab_id)["items"]
    asked = next((one for one in found if one["id"] == question_id), None)
    if asked is None:
        raise not_found("question")
    return visit.show(
        "conversation/lab_question.html",
        refused.status if refused else 200,
        asked=asked,
        place=f"/my-lab/{lab_id}/questions/{question_id}",
        lab_id=lab_id,
        **_forms(refused, visit.form if refused else {}),
    )


def _forms(refused: Refusal | None, typed: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the forms of an answer are made of."""
    return {"labels": WORD_LABELS, "kinds": list(EvidenceKind), "refused": refused, "typed": typed}


@router.post("/my-lab/{lab_id}/questions/{question_id}")
def answer_question(lab_id: str, question_id: QuestionId, visit: Answering) -> Response:
    """Answer, take the answer back, or confirm the evidence."""
    visit.look(_admitted)
    do = str(visit.form.get("do", ""))

    def work() -> str:
        if do == "confirm":
            visit.document(confirm_lab_evidence, question_id=question_id)
            return N_("It is evidence of your lab now: experts see it at once, rankings within seconds.")
        if do == "take-back":
            visit.document(take_lab_answer_back, question_id=question_id)
            return N_("Your answer is taken back.")
        body = visit.body(LabWordBody, visit.values(*_GIVEN))
        visit.document(answer_lab_question, question_id=question_id, body=body)
        if body.word is LabWord.EVIDENCE:
            return N_("The expert is told. Confirm below that it is evidence of your lab.")
        return N_("The expert is told.")

    said = visit.attempt(work)
    if isinstance(said, Refusal):
        if said.status not in (409, 422):
            raise ProblemError(said.status, said.name, said.detail, said.field, dict(said.headers))
        return _question_page(visit, lab_id, question_id, said)
    return visit.go(f"/my-lab/{lab_id}/questions/{question_id}", said)


@router.get("/lab-question/{token}")
def show_link(request: Request, token: str) -> Response:
    """Show the question; nothing is changed."""
    return _link_page(request, token)


@router.post("/lab-question/{token}")
def answer_link(request: Request, token: str, form: Form) -> Response:
    """Answer by the link."""

    def work(session: Session, link: QuestionByLink, at: datetime) -> LabAnswer:
        given = {name: value for name in _GIVEN if isinstance(value := form.get(name), str) and value}
        try:
            body = LabWordBody.model_validate(given)
        except ValidationError as error:
            raise RequestValidationError(error.errors()) from error
        return answer_by_question_link(session, link, body, now=at)

    return _done(request, token, work, dict(form))


@router.post("/lab-question/{token}/undo")
def undo_link(request: Request, token: str, form: Form) -> Response:
    """Take the answer back."""
    return _done(request, token, lambda session, link, at: undo_by_question_link(session, link, now=at), dict(form))


def _done(
    request: Request,
    token: str,
    work: Callable[[Session, QuestionByLink, datetime], LabAnswer],
    typed: Mapping[str, Any],
) -> Response:
    at = now()
    try:
        must_press_here(request)
        link = QuestionByLink.read(signer_of(request), token, now=at)
        with writing(request.app.state.engine) as session:
            must_be_signed_in(session, request, link.reader, at)
            said = work(session, link, at)
            lab_id = session.get_one(LabQuestion, said.question_id).lab_id
            subject = Subject("lab", lab_id)
            note_by_link(session, request, subject, Resource.LAB_QUESTION, Action.ANSWER, by=said.by, at=at)
    except LinkError:
        return _link_page(request, token)
    except SignInFirstError:
        return _link_page(request, token, status=403)
    except (QuestionError, ProblemError, RequestValidationError) as error:
        return _link_page(request, token, refused=refusal_of(error), typed=typed)
    headers = {"Cache-Control": "no-store", "X-Robots-Tag": "noindex", "Location": f"/lab-question/{token}"}
    return Response(b"", 303, headers)


def _link_page(
    request: Request,
    token: str,
    *,
    refused: Refusal | None = None,
    typed: Mapping[str, Any] | None = None,
    status: int = 200,
) -> Response:
    at = now()
    context: dict[str, Any] = {"here": f"/lab-question/{token}", "token": token, "expired": None}
    try:
        link = QuestionByLink.read(signer_of(request), token, now=at)
    except LinkError as error:
        context |= {"expired": error.expired, "refused": refused}
        return shown_link(request, "conversation/link.html", context, GONE if error.expired else 404)
    with reading(request.app.state.engine) as session:
        row = linked_question(session, link)
        asked = None if row is None else lab_documents(session, [row])[0]
        said = [] if row is None else words_on(session, [row.id or 0])[row.id or 0]
        context |= {
            "asked": asked,
            "answers_as": reader_named(session, link.reader),
            "sign_in": None if is_answerable(session, request, link.reader, at) else context["here"],
            "can_undo": bool(said) and said[-1].link == link.key and said[-1].word != LabWord.RETRACTED,
            "place": context["here"],
            **_forms(refused, typed or {}),
        }
    status = GONE if asked is None else refused.status if refused else status
    return shown_link(request, "conversation/lab_question_link.html", context, status)
