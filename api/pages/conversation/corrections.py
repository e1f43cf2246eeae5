"""A need that an expert typed, before its company: the page behind the link, and what the expert sees of the answer.

In: a token and the address that it was sent to; then a press on "that is right", or the need as it should be. Out: the
need, shown only to who gives that address; for the expert both versions side by side, with what changed marked, and the
choice to take it over. Opening the link shows nothing of the need and changes nothing.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from difflib import SequenceMatcher
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Request, Response
from markupsafe import Markup
from sqlmodel import Session
from starlette.datastructures import FormData

from api.access.policy import Action, Resource
from api.documents.bodies import MAX_ROW_NUMBER
from api.letters.conversation.confirming import NeedByLink
from api.letters.signed_links import LinkError
from api.pages.conversation.link import GONE, Form, must_press_here, shown_link, signer_of
from api.pages.shell.form_fields import KINDS, NEED_FIELDS, as_body, asks_wished, shown, typed
from api.pages.shell.visiting import Visit, visiting
from api.pages.shell.wording import N_
from api.requests.capacity import ThreadedRoute
from api.requests.problems import ProblemError, Refusal, refusal_of
from api.routes.conversation.corrections import (
    FIELDS,
    AgreedVersionBody,
    ConfirmationBody,
    SettlementBody,
    ask_for_confirmation,
    asked_addresses,
    change_by_agreement,
    is_open_need,
    list_words,
    say_by_link,
    settle_word,
    version_of,
    who_wrote,
)
from api.routes.conversation.links import note_by_link
from api.routes.needs import read_need
from api.trail.audit_trail import Outcome, Subject
from api.trail.request_trail import trail_of
from indexer.database import reading, writing
from indexer.folding import for_logins
from indexer.instants import now
from matcher.ranking.elements import elements_stated
from matcher.review.conversation.corrections import CorrectionError, NeedWord, standing_word_of, words_of
from matcher.review.intake import OPEN_STATES

router = APIRouter(include_in_schema=False, route_class=ThreadedRoute)

WordId = Annotated[int, Path(ge=1, le=MAX_ROW_NUMBER)]
_ASKED = tuple(one for one in NEED_FIELDS if one.name in FIELDS)
_TOKENS = re.compile(r"[A-Za-z0-9]+|\s+|.", re.DOTALL)
_MOST_TOKENS = 4_000
"""Longer texts are shown beside each other without marks: to compare them word by word takes too long."""


@router.get("/confirm-need/{token}")
def show_door(request: Request, token: str) -> Response:
    """Ask for the address that the link was sent to; nothing of the need is shown."""
    return _page(request, token)


@router.post("/confirm-need/{token}")
def show_need(request: Request, token: str, form: Form) -> Response:
    """Show the need to who gives the address that the link was sent to."""
    return _page(request, token, form)


@router.post("/confirm-need/{token}/word")
def say_word(request: Request, token: str, form: Form) -> Response:
    """Confirm the need, correct it, or take the last word back."""
    do = str(form.get("do", ""))
    given = typed(form, _ASKED)
    asks = asks_wished(do, given["asks"])
    if asks is not None:
        return _page(request, token, form, given={**given, "asks": asks})

    def work(session: Session, link: NeedByLink, at: datetime) -> None:
        after = as_body(_ASKED, given) if do == NeedWord.CORRECTED else None
        word = NeedWord(do) if do in set(NeedWord) else NeedWord.CONFIRMED
        said = say_by_link(session, link, word=word, after=after, now=at)
        subject = Subject("need", said.need_id)
        note_by_link(session, request, subject, Resource.NEED, Action.EDIT, by=None, at=at)

    refused = _carried_out(request, token, form, work)
    return _page(request, token, form, given=given if refused else None, refused=refused, corrects=bool(refused))


def _carried_out(
    request: Request, token: str, form: FormData, work: Callable[[Session, NeedByLink, datetime], None]
) -> Refusal | None:
    at = now()
    try:
        must_press_here(request)
        link = NeedByLink.read(signer_of(request), token, now=at)
        if not _is_reader(request, link, form):
            return None
        with writing(request.app.state.engine) as session:
            work(session, link, at)
    except LinkError:
        return None
    except (CorrectionError, ProblemError) as error:
        return refusal_of(error)
    return None


def _is_reader(request: Request, link: NeedByLink, form: FormData) -> bool:
    """Whether who has the link gives the address that it was sent to.

    Raises:
        ProblemError: 429; addresses are few enough to be guessed by who may try for ever.
    """
    request.app.state.strangers.count(f"need {link.need_id} {link.reader}")
    return for_logins(str(form.get("address", "")).strip()) == for_logins(link.reader)


def _page(
    request: Request,
    token: str,
    form: FormData | None = None,
    *,
    given: dict[str, Any] | None = None,
    refused: Refusal | None = None,
    corrects: bool = False,
) -> Response:
    context: dict[str, Any] = {"here": f"/confirm-need/{token}", "token": token, "refused": refused, "expired": None}
    try:
        link = NeedByLink.read(signer_of(request), token, now=now())
    except LinkError as error:
        context["expired"] = error.expired
        return shown_link(request, "conversation/link.html", context, GONE if error.expired else 404)
    is_reader = form is not None and _is_reader(request, link, form)
    context |= {"is_wrong": form is not None and not is_reader, "need": None, "corrects": corrects or given is not None}
    with reading(request.app.state.engine) as session:
        context["closed"] = not is_open_need(session, link.need_id)
        context["written_by"] = who_wrote(session, link.need_id)
        if is_reader and not context["closed"]:
            need, elements = version_of(session, link.need_id), None
            last_word = None if refused else _standing(session, link.need_id)
            if last_word is None or last_word["settled_at"] is None:
                elements = elements_stated(need)
            context |= {
                "need": need,
                "open_questions": () if elements is None else elements.asked,
                "asked": _ASKED,
                "form": shown(_ASKED, need if given is None else given),
                "kinds": KINDS,
                "last_word": last_word,
                "address": link.reader,
            }
    if context["need"] is not None:
        _note_shown(request, link)
    status = 403 if context["is_wrong"] else GONE if context["closed"] else refused.status if refused else 200
    return shown_link(request, "conversation/confirm_need.html", context, status)


def _standing(session: Session, need_id: str) -> dict[str, Any] | None:
    said = standing_word_of(words_of(session, need_id))
    return None if said is None else said.model_dump(include={"word", "settled_at", "after"})


def _note_shown(request: Request, link: NeedByLink) -> None:
    """Put into the trail that the need was shown to who has the link and the address."""
    subject = Subject("need", link.need_id)
    act = trail_of(request).act(request, now(), outcome=Outcome.SEEN, status=200, subjects=[subject])
    resource, action = Resource.NEED.value, Action.READ.value
    act = replace(act, account_id=None, resource=resource, action=action, rights="link of a mail to an address")
    request.app.state.views.put(act)


@router.get("/needs/{need_id}/words")
def show_words(need_id: str, visit: Annotated[Visit, Depends(visiting(Resource.NEED, Action.CHECK))]) -> Response:
    """Show what the company said of a need, version beside version."""
    return _words_page(visit, need_id)


def _words_page(
    visit: Visit, need_id: str, refused: Refusal | None = None, typed_version: dict[str, Any] | None = None
) -> Response:
    found = visit.document(list_words, need_id=need_id)["items"]
    need = visit.document(read_need, need_id=need_id)
    return visit.show(
        "conversation/need_words.html",
        refused.status if refused else 200,
        need=need,
        fields=_ASKED,
        form=shown(_ASKED, need if typed_version is None else typed_version),
        kinds=KINDS,
        changes=typed_version is not None,
        is_open=need["state"] in OPEN_STATES,
        words=[{**one, "changes": _changes(one)} for one in found],
        asked=visit.look(lambda session, _: asked_addresses(session, need_id)),
        refused=refused,
        given=visit.form if refused is not None else {},
    )


def _changes(word: dict[str, Any]) -> list[tuple[Any, Markup, Markup]]:
    """Return the fields that a correction changes, each with its label and both versions, what differs marked."""
    found = []
    for one in _ASKED:
        if one.name in word["after"]:
            before, after = (shown((one,), word[side])[one.name] for side in ("before", "after"))
            found.append((one.note.label, *_marked(_text(before), _text(after))))
    return found


def _text(value: Any) -> str:
    if isinstance(value, list):
        return "\n".join(str(ask["text"]) for ask in value)
    return "" if value is None else str(value)


def _marked(before: str, after: str) -> tuple[Markup, Markup]:
    old, new = _TOKENS.findall(before), _TOKENS.findall(after)
    if len(old) + len(new) > _MOST_TOKENS:
        return Markup.escape(before), Markup.escape(after)
    left, right = Markup(), Markup()
    for what, a, b, c, d in SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        gone, come = "".join(old[a:b]), "".join(new[c:d])
        left += gone if what == "equal" else Markup("<del>{}</del>").format(gone) if gone else ""
        right += come if what == "equal" else Markup("<ins>{}</ins>").format(come) if come else ""
    return left, right


@router.post("/needs/{need_id}/words")
def ask_company(need_id: str, visit: Annotated[Visit, Depends(visiting(Resource.NEED, Action.CHECK))]) -> Response:
    """Send the link."""
    refused = visit.attempt(
        lambda: visit.reply(
            ask_for_confirmation, need_id=need_id, body=visit.body(ConfirmationBody, visit.values("address"))
        )
    )
    if isinstance(refused, Refusal):
        return _words_page(visit, need_id, refused)
    return visit.go(f"/needs/{need_id}/words", N_("A mail with the link is on its way; it says nothing of the need."))


@router.post("/needs/{need_id}/agreed")
def change_agreed(need_id: str, visit: Annotated[Visit, Depends(visiting(Resource.NEED, Action.SETTLE))]) -> Response:
    """Change the need as it was agreed with its company; or add or take away an ask."""
    given = typed(visit.form, _ASKED)
    asks = asks_wished(str(visit.form.get("do", "")), given["asks"])
    if asks is not None:
        return _words_page(visit, need_id, typed_version={**given, "asks": asks})

    def work() -> None:
        body = visit.body(AgreedVersionBody, {**as_body(_ASKED, given), "consent": visit.form.get("consent", "")})
        visit.reply(change_by_agreement, need_id=need_id, body=body)

    refused = visit.attempt(work)
    if isinstance(refused, Refusal):
        return _words_page(visit, need_id, refused, typed_version=given)
    return visit.go(f"/needs/{need_id}/words", N_("The need is changed; both versions stay here."))


@router.post("/needs/{need_id}/words/{word_id}")
def settle(
    need_id: str, word_id: WordId, visit: Annotated[Visit, Depends(visiting(Resource.NEED, Action.SETTLE))]
) -> Response:
    """Take a correction over, or leave the need as it is."""
    taken = visit.form.get("taken") == "yes"
    body = SettlementBody(taken=taken)
    refused = visit.attempt(lambda: visit.reply(settle_word, need_id=need_id, word_id=word_id, body=body))
    if isinstance(refused, Refusal):
        return _words_page(visit, need_id, refused)
    done = N_("The need says now what its company says.") if taken else N_("The need stays as it is.")
    return visit.go(f"/needs/{need_id}/words", done)
