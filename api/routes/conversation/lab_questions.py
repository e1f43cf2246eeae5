"""What a lab lacks for a need, and the questions that an expert puts to it about its evidence.

In: a pairing, for which the ranking says what would lift the lab; the expert's question, which goes to the lab without
the need; the lab's word, on its page or by the link of a mail. Out: near misses with what was asked and answered; for
the lab its questions; and evidence, once somebody of the lab confirms what was sent. A text that names the company or
the title of the need, or quotes one that is not public, is refused before it leaves.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Response
from sqlmodel import Session, col, select

from api.access.policy import Action, Resource
from api.access.visibility import needs as visible_needs
from api.access.visibility import unconflicted
from api.documents.answers import Page
from api.documents.bodies import MAX_ROW_NUMBER
from api.documents.conversation.lab_questions import (
    AskedAnswer,
    AskedOfLabAnswer,
    LabQuestionBody,
    LabWordBody,
    NearMissesAnswer,
    asked_document,
    asked_of_lab,
    must_confirm,
    near_miss_document,
    work_of,
)
from api.letters.caring import holders
from api.letters.conversation.lab_asking import QuestionByLink
from api.requests.capacity import MATCHING, ThreadedRoute, takes
from api.requests.idempotency import Reply
from api.requests.permitted_request import PermittedRequest, requires
from api.requests.problems import ProblemError, not_found
from api.routes.conversation.talks import must_be_answerable
from api.routes.conversation.telling import tell_asked_lab, tell_lab_said, tell_question_by_link
from api.routes.own_lab.works import WorkBody, checked_work, looked_up
from api.routes.pairings import alliance_for
from indexer.folding import for_reading
from indexer.records.mended.merged import kept_id, with_same
from indexer.records.passages import language_of
from indexer.records.record_tables import Alliance, Company, Evidence, Need, load_need
from indexer.vocabulary import EvidenceKind, Mendable
from indexer.wording import T_, listed
from matcher.ranking.pairings import UnknownRecordError
from matcher.review.conversation.lab_questions import (
    LabAnswer,
    LabQuestion,
    LabWord,
    QuestionError,
    QuestionLateError,
    about_of,
    answer_question,
    ask_lab,
    asked_before,
    confirm_evidence,
    given_away,
    questions_of_labs,
    questions_of_pairing,
    sent_work,
    standing_word,
    take_answer_back,
    words_on,
)
from matcher.review.own_lab.researchers import add_works
from matcher.review.people import Account, Principal, mail_address, principal
from matcher.review.proposals import StoredPairing
from matcher.review.roles import STAFF, Role
from matcher.teams.near_misses import LONGEST_WORD, near_misses

router = APIRouter(prefix="/api", tags=["conversations"], route_class=ThreadedRoute)

PairingId = Annotated[int, Path(ge=1, le=MAX_ROW_NUMBER)]
QuestionId = Annotated[int, Path(ge=1, le=MAX_ROW_NUMBER)]


@router.get("/pairings/{pairing_id}/near-misses", response_model=NearMissesAnswer)
@takes(MATCHING)
def read_near_misses(
    pairing_id: PairingId, ask: Annotated[PermittedRequest, Depends(requires(Resource.LAB_QUESTION, Action.READ))]
) -> Response:
    """Read for each ask that a lab does not cover the smallest statement that would lift it, and what it was asked.

    How far it would is computed by the ranking with that statement added to the lab as one more piece of evidence.
    """
    with ask.reading() as session:
        who = ask.admitted(session)
        pairing = find_pairing(session, who, pairing_id, Action.READ)
        need = load_need(session, pairing.need_id)
        if need is None:
            raise not_found("need")
    # Ranking takes most of the time; a program's request holds no transaction meanwhile.
    try:
        found = near_misses(ask.request.app.state.live.current(), need, pairing.lab_id)
    except UnknownRecordError:
        found = ()
    with ask.reading() as session:
        who = ask.admitted(session)
        abouts = {one.ask: about_of(one.enough or one.words, one.question) for one in found}
        before = asked_before(session, pairing.lab_id, set(abouts.values()))
        secrecy = session.exec(select(Need.confidentiality).where(Need.id == need.id)).one()
        document = {
            "need_id": need.id,
            "pairing_id": pairing_id,
            "lab_id": pairing.lab_id,
            "near_misses": [near_miss_document(one, before.get(abouts[one.ask])) for one in found],
            "questions": _asked(session, who, pairing_id),
            "has_reader": bool(holders(session, [Role.RESEARCHER], [pairing.lab_id])),
            "must_confirm": must_confirm(secrecy),
        }
    ask.reads(need.id)
    return ask.answered(Reply(200, document, {}))


@router.post("/pairings/{pairing_id}/lab-questions", status_code=201, response_model=Page[AskedAnswer])
def put_question(
    pairing_id: PairingId,
    body: LabQuestionBody,
    ask: Annotated[PermittedRequest, Depends(requires(Resource.LAB_QUESTION, Action.CREATE))],
) -> Response:
    """Ask a lab for evidence on what it lacks; it reads the text, your name and your alliance, and learns of no need.

    A text with the company, the title or, unless the need is public, a sentence of it is refused. What the lab was
    asked before is not sent again; you hear of the answer all the same.
    """

    def work(session: Session, who: Principal) -> Reply:
        pairing = find_pairing(session, who, pairing_id, Action.CREATE)
        ask.about("need", pairing.need_id)
        address = None if body.address is None else mail_address(body.address)
        if address is not None:
            must_be_answerable(ask)
        _must_give_nothing_away(session, pairing, body)
        asked = ask_lab(
            session,
            pairing=pairing,
            ask=body.ask,
            words=body.words,
            text=body.text,
            alliance_id=alliance_for(session, who, pairing.need_id),
            reader=address,
            by=who.id,
            now=ask.at,
        )
        if asked.same_as is None and not tell_asked_lab(session, asked, now=ask.at):
            raise QuestionError(T_("nobody of this lab has an account: give an address of its head"), "address")
        ask.reads(pairing.need_id)
        return Reply(201, {"items": _asked(session, who, pairing_id), "next": None}, {})

    return ask.write(work, body)


def _must_give_nothing_away(session: Session, pairing: StoredPairing, body: LabQuestionBody) -> None:
    """Let a question leave only if nothing of its need stands in it.

    Raises:
        QuestionError: it names the company or the title, quotes the need, or nobody confirmed it.
    """
    need = load_need(session, pairing.need_id)
    row = session.get_one(Need, pairing.need_id)
    if need is None or body.ask > len(need.asks):
        raise QuestionError(T_("the need has no such ask"), "ask")
    secret = must_confirm(row.confidentiality)
    if secret and not body.confirmed:
        raise QuestionError(
            T_("say that you have read the text and that it gives nothing of the need away"), "confirmed"
        )
    company = session.get(Company, need.company or "")
    names = [need.id, need.title, need.company or ""]
    if company is not None:
        names += [company.name, company.name_en or "", company.tax_id or "", company.contact or ""]
    asked = for_reading(need.asks[body.ask - 1].text)
    # What the ask does not have is the expert's own, what is long is a piece of the ask: neither excuses anything.
    words = [word for word in body.words if word in asked and len(word) <= LONGEST_WORD[language_of(word)]]
    texts = [need.description, *(one.text for one in need.asks)] if secret else []
    found = given_away(body.text, names=names, texts=texts, words=words)
    if found:
        raise QuestionError(T_("this gives the need away; leave it out: %(what)s", what=listed(found)), "text")


def _asked(session: Session, who: Principal, pairing_id: int) -> list[dict[str, Any]]:
    rows = questions_of_pairing(session, pairing_id, who.scopes(*STAFF))
    if not rows:
        return []
    said = words_on(session, {row.first for row in rows})
    names = _names(session, (row.by for row in rows))
    return [asked_document(row, said[row.first], names.get(row.by, "")) for row in rows]


def _names(session: Session, account_ids: Iterable[str]) -> dict[str, str]:
    return dict(session.exec(select(Account.id, Account.name).where(col(Account.id).in_(set(account_ids)))).all())


def find_pairing(session: Session, who: Principal, pairing_id: int, action: Action) -> StoredPairing:
    """Return a pairing of a need on which a person works.

    Raises:
        ProblemError: 404, there is none, or it is not for this person.
    """
    query = (
        select(StoredPairing)
        .join(Need, col(Need.id) == StoredPairing.need_id)
        .where(
            StoredPairing.id == pairing_id,
            visible_needs(who, action, Resource.LAB_QUESTION),
            unconflicted(who),
        )
    )
    found = session.exec(query).first()
    if found is None:
        raise not_found("pairing")
    return found


@router.get("/labs/{lab_id}/questions", response_model=Page[AskedOfLabAnswer])
def list_lab_questions(
    lab_id: str, ask: Annotated[PermittedRequest, Depends(requires(Resource.LAB_QUESTION, Action.LIST))]
) -> Response:
    """List what experts asked your lab about its evidence, the latest first; 50 at most."""

    def work(session: Session, who: Principal) -> Reply:
        if lab_id not in who.scopes(Role.RESEARCHER):
            raise not_found("lab")
        rows = questions_of_labs(session, with_same([lab_id]))
        return Reply(200, {"items": lab_documents(session, rows), "next": None}, {})

    return ask.read(work)


def lab_documents(session: Session, rows: list[LabQuestion]) -> list[dict[str, Any]]:
    """Return questions as their labs have them."""
    if not rows:
        return []
    said = words_on(session, [row.id or 0 for row in rows])
    names = _names(session, (row.by for row in rows))
    ids = {row.alliance_id for row in rows}
    query = select(Alliance.id, Alliance.name, Alliance.name_en).where(col(Alliance.id).in_(ids))
    alliances = {one: (name, name_en or "") for one, name, name_en in session.exec(query).all()}
    return [
        asked_of_lab(row, said[row.id or 0], alliance=alliances[row.alliance_id], expert=names.get(row.by, ""))
        for row in rows
    ]


@router.put("/lab-questions/{question_id}/answer", response_model=AskedOfLabAnswer)
def answer_lab_question(
    question_id: QuestionId,
    body: LabWordBody,
    ask: Annotated[PermittedRequest, Depends(requires(Resource.LAB_QUESTION, Action.ANSWER))],
) -> Response:
    """Answer what an expert asked your lab: with evidence, that there is none, or in a text.

    Evidence that you send becomes your lab's once you confirm it, and can be matched within seconds.
    """
    with ask.reading() as session:
        _question_of(session, ask.admitted(session), question_id)
    ask.let_go()
    elsewhere = looked_up(ask, _typed_work(body))

    def work(session: Session, who: Principal) -> Reply:
        asked = _question_of(session, who, question_id)
        ask.about("lab", asked.lab_id)
        said = _answered(session, asked, body, elsewhere, by=who.id, at=ask.at, link=None)
        tell_lab_said(session, said, now=ask.at)
        return Reply(200, lab_documents(session, [asked])[0], {})

    return ask.write(work, body)


@router.delete("/lab-questions/{question_id}/answer", response_model=AskedOfLabAnswer)
def take_lab_answer_back(
    question_id: QuestionId, ask: Annotated[PermittedRequest, Depends(requires(Resource.LAB_QUESTION, Action.ANSWER))]
) -> Response:
    """Take back what your lab answered, unless its evidence is confirmed."""

    def work(session: Session, who: Principal) -> Reply:
        asked = _question_of(session, who, question_id)
        ask.about("lab", asked.lab_id)
        said = take_answer_back(session, question_id=question_id, by=who.id, now=ask.at)
        tell_lab_said(session, said, now=ask.at)
        return Reply(200, lab_documents(session, [asked])[0], {})

    return ask.write(work)


@router.post("/lab-questions/{question_id}/confirmation", status_code=201, response_model=AskedOfLabAnswer)
def confirm_lab_evidence(
    question_id: QuestionId, ask: Annotated[PermittedRequest, Depends(requires(Resource.LAB_QUESTION, Action.ANSWER))]
) -> Response:
    """Confirm that what was sent is evidence of your lab: from now on everybody who sees the lab sees it."""

    def work(session: Session, who: Principal) -> Reply:
        asked = _question_of(session, who, question_id)
        ask.about("lab", asked.lab_id)
        given = sent_work(words_on(session, [question_id])[question_id])
        if given is None:
            raise QuestionLateError(T_("no evidence waits to be confirmed"))
        lab_id = _lab_of(session, asked)
        done = add_works(session, lab_id=lab_id, works=[given], by=who.id, now=ask.at)
        # The lab may have had it already: then that piece is what was confirmed.
        evidence_id = done.profile["evidence"][0]["id"] if done.added else _known(session, lab_id, given)
        said = confirm_evidence(session, question_id=question_id, evidence_id=evidence_id, by=who.id, now=ask.at)
        tell_lab_said(session, said, now=ask.at)
        return Reply(201, lab_documents(session, [asked])[0], {})

    return ask.write(work)


def _known(session: Session, lab_id: str, given: dict[str, Any]) -> str:
    """Return the piece of a lab's evidence that a work is, which it has already."""
    rows = session.exec(select(Evidence).where(Evidence.lab_id == lab_id).order_by(col(Evidence.position))).all()
    same = [one for one in rows if (given.get("doi") and one.doi == given["doi"]) or one.title == given["title"]]
    return (same or list(rows))[0].id


def _lab_of(session: Session, asked: LabQuestion) -> str:
    """Return the lab that was asked, as it is known now."""
    return kept_id(session, Mendable.LAB, asked.lab_id) or asked.lab_id


def _question_of(session: Session, who: Principal, question_id: int) -> LabQuestion:
    """Return a question that was sent to a person's own lab.

    Raises:
        ProblemError: 404, there is none.
    """
    asked = session.get(LabQuestion, question_id)
    if asked is None or asked.same_as is not None or _lab_of(session, asked) not in who.scopes(Role.RESEARCHER):
        raise not_found("question")
    return asked


def _typed_work(body: LabWordBody) -> WorkBody | None:
    if body.word is not LabWord.EVIDENCE:
        return None
    given = dict(work_of(body))
    if given["kind"] not in set(EvidenceKind):
        raise ProblemError(422, "invalid", T_("choose one of the kinds of evidence"), "kind")
    return WorkBody.model_validate(given)


def _answered(
    session: Session,
    asked: LabQuestion,
    body: LabWordBody,
    elsewhere: dict[str, Any] | None,
    *,
    by: str | None,
    at: datetime,
    link: str | None,
) -> LabAnswer:
    typed = _typed_work(body)
    return answer_question(
        session,
        question_id=asked.id or 0,
        word=body.word,
        note=body.note,
        work=None if typed is None else checked_work(session, typed, elsewhere),
        by=by,
        link=link,
        now=at,
    )


def linked_question(session: Session, link: QuestionByLink) -> LabQuestion | None:
    """Return the question that a link is for, None if it is no longer its reader's: an account has to hold the lab."""
    asked = session.get(LabQuestion, link.question_id)
    if asked is None or "@" in link.reader:
        return asked
    who = principal(session, link.reader)
    return asked if who is not None and _lab_of(session, asked) in who.scopes(Role.RESEARCHER) else None


def answer_by_question_link(session: Session, link: QuestionByLink, body: LabWordBody, *, now: datetime) -> LabAnswer:
    """Answer by the link of a mail; what is sent is confirmed by whoever is signed in.

    Raises:
        QuestionError, ProblemError: it is no answer, or lacks what it needs.
        QuestionLateError: an answer stands, or nothing is asked by the link any more.
    """
    asked = _asked_by(session, link)
    said = _answered(session, asked, body, None, by=_by(link), at=now, link=link.key)
    tell_lab_said(session, said, now=now)
    tell_question_by_link(session, said, lab_id=asked.lab_id, reader=link.reader, now=now)
    return said


def undo_by_question_link(session: Session, link: QuestionByLink, *, now: datetime) -> LabAnswer:
    """Take back by a link what was answered.

    Raises:
        QuestionLateError: nothing stands, it is confirmed, or nothing is asked by the link any more.
    """
    asked = _asked_by(session, link)
    standing = standing_word(words_on(session, [link.question_id])[link.question_id])
    if standing is None or standing.link != link.key:
        # Somebody answered otherwise since, on the page or by another link: that stands, and is not undone here.
        raise QuestionLateError(T_("this can no longer be undone here; write to your expert"))
    said = take_answer_back(session, question_id=asked.id or 0, by=_by(link), link=link.key, now=now)
    tell_lab_said(session, said, now=now)
    tell_question_by_link(session, said, lab_id=asked.lab_id, reader=link.reader, now=now)
    return said


def _asked_by(session: Session, link: QuestionByLink) -> LabQuestion:
    asked = linked_question(session, link)
    if asked is None:
        raise QuestionLateError(T_("nothing is asked by this link any more"))
    return asked


def _by(link: QuestionByLink) -> str | None:
    return None if "@" in link.reader else link.reader
