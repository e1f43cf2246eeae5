"""A need that an expert typed: sent to its company to look at, what the company says, and what is taken over.

In: an address; by its link a word and perhaps another version; an expert's yes or no to that. Out: the words with both
versions, and the need as it stands.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Response
from pydantic import BaseModel, ConfigDict, Field
from sqlmodel import Session, col, select

from api.access.policy import Action, Resource
from api.documents.answers import Answer, Page
from api.documents.bodies import MAX_ROW_NUMBER, AskBody, Note, Word
from api.letters.caring import expert_of
from api.letters.conversation.confirming import NeedByLink
from api.requests.capacity import ThreadedRoute
from api.requests.idempotency import Reply
from api.requests.permitted_request import PermittedRequest, requires
from api.requests.problems import not_found
from api.routes.needs import checked_need, find_need, must_own, stored_need
from api.trail.request_trail import NeedReader
from indexer.records.exchange import NeedIn
from indexer.records.field_notes import declared
from indexer.records.record_tables import Alliance
from indexer.wording import T_
from matcher.notices.kinds import NoticeKind
from matcher.notices.outbox import Notice, notify
from matcher.review.conversation.corrections import (
    CorrectionError,
    NeedSaid,
    NeedWord,
    agree,
    changed_fields,
    say_of_need,
    settle,
    standing_word_of,
    words_of,
)
from matcher.review.intake import OPEN_STATES, NeedIntake, correct
from matcher.review.people import Account, Principal, mail_address

router = APIRouter(prefix="/api/needs", tags=["needs"], route_class=ThreadedRoute)

WordId = Annotated[int, Path(ge=1, le=MAX_ROW_NUMBER)]
FIELDS = ("title", "description", "asks", "budget_ntd", "deadline")
"""What a company reads and may correct by a link; how a need is handled is agreed with the expert."""
_MOST_ASKED = 20
assert set(FIELDS) <= {one.name for one in declared(NeedIn)}  # noqa: S101 (a field that is renamed is renamed here)


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ConfirmationBody(_Body):
    """Whom to ask whether a need was understood."""

    address: Word = Field(examples=["contact@example.org"])


class SettlementBody(_Body):
    """Whether a correction is taken over."""

    taken: bool


class AgreedVersionBody(_Body):
    """What a need is to say from now on, and how its company agreed to that; what is left out stays."""

    title: Word | None = Field(default=None, examples=["碳化矽基板拋光太慢"])
    description: Note | None = Field(default=None, examples=["矽面每小時只磨得到 0.6 微米。"])
    asks: list[AskBody] | None = Field(default=None, max_length=200, examples=[[]])
    budget_ntd: int | None = Field(default=None, ge=0, le=10**15, examples=[2_400_000])
    deadline: Word | None = Field(default=None, examples=["2027-06-30"])
    consent: Note = Field(examples=["2026-11-20 電話，林經理同意"])


class ConfirmationAnswer(Answer):
    """Whom the link was sent to."""

    need_id: str
    address: str


class NeedSaidAnswer(Answer):
    """What a company said of a need, with both versions of the fields that it changed."""

    id: int
    word: NeedWord
    before: dict[str, Any]
    after: dict[str, Any]
    at: datetime
    taken: bool | None
    settled_at: datetime | None
    waits: bool = Field(description="It is a correction that nobody has settled.")
    consent: str | None = Field(description="How the company agreed, where an expert changed the need for it.")


@router.post("/{need_id}/confirmations", status_code=201, response_model=ConfirmationAnswer)
def ask_for_confirmation(
    need_id: str,
    body: ConfirmationBody,
    ask: Annotated[PermittedRequest, Depends(requires(Resource.NEED, Action.CHECK))],
) -> Response:
    """Send somebody of the company a link by which they read the need and confirm or correct it."""

    def work(session: Session, who: Principal) -> Reply:
        find_need(session, who, need_id, Action.CHECK)
        must_own(session, who, need_id)
        _must_be_open(session, need_id)
        address = mail_address(body.address)
        notify(
            session,
            kind=NoticeKind.NEED_TO_CONFIRM,
            to=[address],
            key=_key_of(need_id) + ask.at.isoformat(),
            place=f"/company/needs/{need_id}",
            facts={"need": need_id},
            by=who.id,
            now=ask.at,
        )
        return Reply(201, {"need_id": need_id, "address": address}, {})

    return ask.write(work, body)


@router.get("/{need_id}/words", response_model=Page[NeedSaidAnswer])
def list_words(
    need_id: str, ask: Annotated[PermittedRequest, Depends(requires(Resource.NEED, Action.CHECK))]
) -> Response:
    """List what its company said of a need, the latest first, with both versions of what it changed."""

    def work(session: Session, who: Principal) -> Reply:
        find_need(session, who, need_id, Action.CHECK)
        must_own(session, who, need_id)
        return Reply(200, {"items": words_documents(session, need_id, to=ask), "next": None}, {})

    return ask.read(work)


def words_documents(session: Session, need_id: str, *, to: NeedReader) -> list[dict[str, Any]]:
    """Return what was said of a need, the latest first."""
    to.reads(need_id)
    said = words_of(session, need_id)
    standing = standing_word_of(said)
    return [_word(row, waits=standing is not None and standing.id == row.id) for row in reversed(said)]


def _word(row: NeedSaid, *, waits: bool) -> dict[str, Any]:
    after = row.after or {}
    changed = changed_fields(row.before, after)
    return {
        **row.model_dump(mode="json", include={"id", "word", "at", "taken", "settled_at", "consent"}),
        "before": {name: row.before.get(name) for name in changed},
        "after": {name: after[name] for name in changed},
        "waits": waits and row.word == NeedWord.CORRECTED and row.settled_at is None,
    }


@router.post("/{need_id}/words/{word_id}/settlement", response_model=Page[NeedSaidAnswer])
def settle_word(
    need_id: str,
    word_id: WordId,
    body: SettlementBody,
    ask: Annotated[PermittedRequest, Depends(requires(Resource.NEED, Action.SETTLE))],
) -> Response:
    """Take a correction over into the need, or leave the need as it is."""

    def work(session: Session, who: Principal) -> Reply:
        find_need(session, who, need_id, Action.SETTLE, lock=True)
        must_own(session, who, need_id)
        if not any(row.id == word_id for row in words_of(session, need_id)):
            raise not_found("word")
        row = settle(session, word_id=word_id, taken=body.taken, by=who.id, now=ask.at)
        if body.taken:
            # Only what was corrected: the expert may have changed something else meanwhile.
            after = row.after or {}
            changes = {name: after[name] for name in changed_fields(row.before, after)}
            need = checked_need({**stored_need(session, need_id), **changes, "id": need_id})
            correct(session, need=need, now=ask.at)
        return Reply(200, {"items": words_documents(session, need_id, to=ask), "next": None}, {})

    return ask.write(work, body)


@router.post("/{need_id}/agreed-version", status_code=201, response_model=Page[NeedSaidAnswer])
def change_by_agreement(
    need_id: str,
    body: AgreedVersionBody,
    ask: Annotated[PermittedRequest, Depends(requires(Resource.NEED, Action.SETTLE))],
) -> Response:
    """Change what a need says as you agreed with its company; how it agreed stands beside both versions."""

    def work(session: Session, who: Principal) -> Reply:
        find_need(session, who, need_id, Action.SETTLE, lock=True)
        must_own(session, who, need_id)
        _must_be_open(session, need_id)
        before = version_of(session, need_id)
        given = body.model_dump(mode="json", exclude={"consent"}, exclude_unset=True)
        need = checked_need({**stored_need(session, need_id), **given, "id": need_id})
        plain = need.model_dump(mode="json")
        after = {name: plain[name] for name in FIELDS}
        agree(session, need_id=need_id, before=before, after=after, consent=body.consent, by=who.id, now=ask.at)
        correct(session, need=need, now=ask.at)
        return Reply(201, {"items": words_documents(session, need_id, to=ask), "next": None}, {})

    return ask.write(work, body)


def _must_be_open(session: Session, need_id: str) -> None:
    if not is_open_need(session, need_id):
        raise CorrectionError(T_("nobody works on this need any more"))


def is_open_need(session: Session, need_id: str) -> bool:
    """Whether somebody works on a need, or may take it up."""
    intake = session.get(NeedIntake, need_id)
    return intake is not None and intake.state in OPEN_STATES


def asked_addresses(session: Session, need_id: str) -> list[tuple[str, datetime]]:
    """Return to whom links of a need were sent, with the moment, the latest first."""
    query = select(Notice.reader, Notice.at).where(
        Notice.kind == NoticeKind.NEED_TO_CONFIRM.value, col(Notice.key).startswith(_key_of(need_id), autoescape=True)
    )
    return [(reader, at) for reader, at in session.exec(query.order_by(col(Notice.id).desc()).limit(_MOST_ASKED)).all()]


def _key_of(need_id: str) -> str:
    return f"need {need_id} to confirm "


def who_wrote(session: Session, need_id: str) -> tuple[str, tuple[str, str]] | None:
    """Return who looks after a need that was written down, "" if nobody does, and both names of the alliance."""
    query = (
        select(Account.name, Alliance.name, Alliance.name_en)
        .select_from(NeedIntake)
        .join(Alliance, col(Alliance.id) == NeedIntake.alliance_id)
        .join(Account, col(Account.id) == NeedIntake.expert_id, isouter=True)
        .where(NeedIntake.need_id == need_id)
    )
    found = session.exec(query).first()
    return None if found is None else (found[0] or "", (found[1], found[2] or ""))


def version_of(session: Session, need_id: str) -> dict[str, Any]:
    """Return what a need says now, of the fields that its company reads by a link."""
    stored = stored_need(session, need_id)
    return {name: stored[name] for name in FIELDS}


def say_by_link(
    session: Session, link: NeedByLink, *, word: NeedWord, after: dict[str, Any] | None, now: datetime
) -> NeedSaid:
    """Note what a company says by the link of a mail, and tell the expert.

    Raises:
        CorrectionError: nobody works on the need any more, nothing is changed, or it can't be taken back.
        ProblemError: 422, a value is not right.
    """
    _must_be_open(session, link.need_id)
    before = version_of(session, link.need_id)
    if after is not None:
        need = checked_need({**stored_need(session, link.need_id), **after, "id": link.need_id})
        plain = need.model_dump(mode="json")
        after = {name: plain[name] for name in FIELDS}
    said = say_of_need(
        session,
        need_id=link.need_id,
        word=word,
        before=before,
        after=after,
        reader=link.reader,
        link=link.key,
        now=now,
    )
    notify(
        session,
        kind=NoticeKind.NEED_ANSWERED,
        to=expert_of(session, link.need_id),
        key=f"need word {said.id}",
        place=f"/needs/{link.need_id}/words",
        facts={"need": link.need_id, "word": word.value},
        now=now,
    )
    return said
