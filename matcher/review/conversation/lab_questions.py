"""What an expert asks a lab about its evidence, and what the lab says: yes with the evidence, no, or a text.

In: a question to a lab, made of words and not of a need; the lab's word, by the link of a mail or on its page. Out: one
row for each question and one for each word, of which the last stands; and whether a text would give a need away. It
exists because a lab that lacks a line in its profile is left out for that line alone: asked, it can show what it has.
The lab learns of no need by it. One lab is asked the same once: whoever asks it again is told what was answered, and
nothing is sent. Evidence that a lab sends is evidence only when somebody of the lab confirms it, signed in.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import JSON, CheckConstraint, Column, Index
from sqlalchemy import text as sql
from sqlalchemy.exc import IntegrityError
from sqlmodel import Field, Session, SQLModel, col, or_, select

from indexer.database import insert_fact, is_duplicate
from indexer.folding import for_search
from indexer.instants import Instant
from indexer.records.passages import CHINESE, language_of
from indexer.wording import T_
from matcher.review.proposals import StoredPairing

MAX_QUESTION = 1_000
MOST_ANSWERS = 50
"""So many words of a lab are kept on one question."""
_OWN_TEXT = {CHINESE: 10, "en": 32}
"""So many characters in a row that the need has too are its text, not words that anybody would use."""


class LabWord(StrEnum):
    """What a lab says to a question, that its evidence is confirmed, or that the last word is taken back."""

    EVIDENCE = "evidence"
    NONE = "none"
    TEXT = "text"
    CONFIRMED = "confirmed"
    RETRACTED = "retracted"


ANSWERS = (LabWord.EVIDENCE, LabWord.NONE, LabWord.TEXT)
"""The words that answer."""
_WORDS = ", ".join(f"'{one.value}'" for one in LabWord)


class QuestionError(ValueError):
    """Nothing can be asked or answered that way; the message says why and `field` what is to blame."""

    def __init__(self, message: str, field: str | None = None) -> None:
        super().__init__(message)
        self.field = field


class QuestionLateError(QuestionError):
    """It was asked or settled already."""


class LabQuestion(SQLModel, table=True):
    """One question to a lab; only the erasure of a name changes it. With `same_as` it was asked before: not sent again.

    `about` is what it asks for, as it is compared; `reader` the address that it goes to, None for the lab's accounts.
    """

    __tablename__ = "lab_question"
    __table_args__ = (
        CheckConstraint("length(text) > 0", name="asks_something"),
        CheckConstraint("ask > 0", name="ask_counted"),
        Index(
            "ix_lab_question_once",
            "lab_id",
            "about",
            unique=True,
            sqlite_where=sql("same_as IS NULL"),
            postgresql_where=sql("same_as IS NULL"),
        ),
    )

    id: int | None = Field(default=None, primary_key=True)
    pairing_id: int = Field(foreign_key="pairing.id", index=True)
    lab_id: str = Field(foreign_key="lab.id")
    ask: int
    words: list[str] = Field(sa_column=Column(JSON, nullable=False))
    about: str
    text: str
    alliance_id: str = Field(foreign_key="alliance.id")
    reader: str | None = None
    same_as: int | None = Field(default=None, foreign_key="lab_question.id", index=True)
    by: str = Field(foreign_key="account.id")
    at: datetime = Field(sa_type=Instant)

    @property
    def first(self) -> int:
        """The number of the question that was sent, under which the lab's words stand."""
        return self.same_as or self.id or 0


class LabAnswer(SQLModel, table=True):
    """One word of a lab on a question; only the erasure of a name changes it. `work` is the evidence as sent."""

    __tablename__ = "lab_answer"
    __table_args__ = (
        CheckConstraint(f"word IN ({_WORDS})", name="word_known"),
        CheckConstraint("(word = 'evidence') = (work IS NOT NULL)", name="evidence_is_sent"),
        CheckConstraint("(word = 'confirmed') = (evidence_id IS NOT NULL)", name="confirmed_is_evidence"),
        CheckConstraint("word <> 'text' OR length(note) > 0", name="text_says_something"),
        CheckConstraint("word <> 'confirmed' OR by IS NOT NULL", name="confirmed_by_somebody"),
    )

    id: int | None = Field(default=None, primary_key=True)
    question_id: int = Field(foreign_key="lab_question.id", index=True)
    word: str
    note: str = ""
    work: dict[str, Any] | None = Field(default=None, sa_column=Column(JSON(none_as_null=True), nullable=True))
    evidence_id: str | None = None
    by: str | None = Field(default=None, foreign_key="account.id")
    link: str | None = None
    """The link of a mail by which it was said, as its letter names it."""
    at: datetime = Field(sa_type=Instant)


def about_of(words: Collection[str], text: str) -> str:
    """Return what a question asks for, as it is compared: its words in any order; its text where it has none."""
    return "\n".join(sorted({for_search(word) for word in words})) or for_search(text)


def ask_lab(
    session: Session,
    *,
    pairing: StoredPairing,
    ask: int,
    words: Sequence[str],
    text: str,
    alliance_id: str,
    reader: str | None,
    by: str,
    now: datetime,
) -> LabQuestion:
    """Ask a lab; what it was asked before is not asked again, and the row says so.

    Args:
        session: its transaction holds the question.
        pairing: the need and the lab.
        ask: the ask of the need that is not covered, from 1.
        words: what the lab is asked for evidence on.
        text: the question as the lab reads it.
        alliance_id: in whose name.
        reader: the address that it goes to; None for the lab's accounts.
        by: the expert.
        now: the moment.

    Raises:
        QuestionError: it says nothing, or too much.
        QuestionLateError: it was asked for this need already.
    """
    said = text.strip()
    if not said:
        raise QuestionError(T_("write what you want to ask"), "text")
    if len(said) > MAX_QUESTION:
        raise QuestionError(T_("a question has at most %(most)s characters", most=MAX_QUESTION), "text")
    about = about_of(words, said)
    row: dict[str, Any] = {
        "pairing_id": pairing.id or 0,
        "lab_id": pairing.lab_id,
        "ask": ask,
        "words": list(words),
        "about": about,
        "text": said,
        "alliance_id": alliance_id,
        "reader": reader,
        "by": by,
        "at": now,
    }
    if (before := _first(session, pairing.lab_id, about)) is None:
        try:
            with session.begin_nested():
                return insert_fact(session, LabQuestion(**row))
        except IntegrityError as error:
            # Somebody else asked the lab the same at this moment.
            if not is_duplicate(error) or (before := _first(session, pairing.lab_id, about)) is None:
                raise
    asked = select(LabQuestion.id).where(LabQuestion.pairing_id == pairing.id, LabQuestion.about == about)
    if session.exec(asked.where(LabQuestion.alliance_id == alliance_id)).first() is not None:
        raise QuestionLateError(T_("your alliance has asked the lab this already"), "text")
    return insert_fact(session, LabQuestion(**row, same_as=before.id))


def _first(session: Session, lab_id: str, about: str) -> LabQuestion | None:
    this = (LabQuestion.lab_id == lab_id, LabQuestion.about == about, col(LabQuestion.same_as).is_(None))
    return session.exec(select(LabQuestion).where(*this)).first()


def answer_question(
    session: Session,
    *,
    question_id: int,
    word: LabWord,
    note: str,
    work: Mapping[str, Any] | None,
    by: str | None,
    now: datetime,
    link: str | None = None,
) -> LabAnswer:
    """Say a lab's word on a question that was sent; its last word stands.

    Args:
        session: its transaction holds the word.
        question_id: the question.
        word: one of `ANSWERS`.
        note: what is said besides; needed with a text.
        work: the evidence in the exchange format, checked, with a yes and only there.
        by: the account that says it; None where a mere address does, by a link.
        now: the moment.
        link: the link by which it is said, if it is.

    Raises:
        QuestionError: it is no answer, or it lacks what it needs.
        QuestionLateError: an answer stands already, or too much was said.
    """
    if word not in ANSWERS:
        raise QuestionError(T_("answer with yes, no or a text"), "word")
    if (word is LabWord.EVIDENCE) != (work is not None):
        raise QuestionError(T_("evidence is sent with a yes, and only there"), "title")
    if word is LabWord.TEXT and not note.strip():
        raise QuestionError(T_("write your answer"), "note")
    said = _held(session, question_id)
    if standing_word(said) is not None:
        raise QuestionLateError(T_("this was answered already; take that back first"))
    row = LabAnswer(
        question_id=question_id,
        word=word.value,
        note=note.strip(),
        work=None if work is None else dict(work),
        by=by,
        link=link,
        at=now,
    )
    return insert_fact(session, row)


def confirm_evidence(session: Session, *, question_id: int, evidence_id: str, by: str, now: datetime) -> LabAnswer:
    """Note that the evidence which was sent is the lab's from now on; who confirms it also stores it.

    Raises:
        QuestionLateError: no evidence waits for it.
    """
    standing = standing_word(_held(session, question_id))
    if standing is None or standing.word != LabWord.EVIDENCE:
        raise QuestionLateError(T_("no evidence waits to be confirmed"))
    row = LabAnswer(question_id=question_id, word=LabWord.CONFIRMED.value, evidence_id=evidence_id, by=by, at=now)
    return insert_fact(session, row)


def take_answer_back(
    session: Session, *, question_id: int, by: str | None, now: datetime, link: str | None = None
) -> LabAnswer:
    """Take back what a lab said last; what was confirmed is evidence, and is retired with the lab's other evidence.

    Raises:
        QuestionLateError: nothing stands, or it is confirmed.
    """
    standing = standing_word(_held(session, question_id))
    if standing is None:
        raise QuestionLateError(T_("there is no answer to take back"))
    if standing.word == LabWord.CONFIRMED:
        raise QuestionLateError(T_("the evidence is your lab's already; retire it on the page of your lab"))
    row = LabAnswer(question_id=question_id, word=LabWord.RETRACTED.value, by=by, link=link, at=now)
    return insert_fact(session, row)


def _held(session: Session, question_id: int) -> list[LabAnswer]:
    """Return what was said of a question, with the question held: of two words at once the second sees the first."""
    held = select(LabQuestion.id).where(LabQuestion.id == question_id, col(LabQuestion.same_as).is_(None))
    if session.exec(held.with_for_update()).first() is None:
        raise QuestionError(T_("there is no such question"))
    said = words_on(session, [question_id])[question_id]
    if len(said) >= MOST_ANSWERS:
        raise QuestionLateError(T_("too much was said of this question already; write to your expert"))
    return said


def words_on(session: Session, question_ids: Iterable[int]) -> dict[int, list[LabAnswer]]:
    """Return all that was said of some questions, oldest first, by question."""
    found: dict[int, list[LabAnswer]] = {number: [] for number in question_ids}
    query = select(LabAnswer).where(col(LabAnswer.question_id).in_(list(found))).order_by(col(LabAnswer.id))
    for row in session.exec(query).all():
        found[row.question_id].append(row)
    return found


def standing_word(said: Sequence[LabAnswer]) -> LabAnswer | None:
    """Return the word that stands among all that was said of a question."""
    return said[-1] if said and said[-1].word != LabWord.RETRACTED else None


def sent_work(said: Sequence[LabAnswer]) -> dict[str, Any] | None:
    """Return the evidence that was sent with the last yes; None if there was none, or it was taken back."""
    if standing_word(said) is None:
        return None
    return next((row.work for row in reversed(said) if row.word == LabWord.EVIDENCE), None)


def questions_of_pairing(session: Session, pairing_id: int, alliances: Collection[str]) -> list[LabQuestion]:
    """Return what some alliances asked a lab for a need, the latest first."""
    theirs = (LabQuestion.pairing_id == pairing_id, col(LabQuestion.alliance_id).in_(list(alliances)))
    return list(session.exec(select(LabQuestion).where(*theirs).order_by(col(LabQuestion.id).desc())).all())


def asked_before(session: Session, lab_id: str, abouts: Collection[str]) -> dict[str, LabQuestion]:
    """Return which of some things a lab was asked before, by whomever."""
    these = (LabQuestion.lab_id == lab_id, col(LabQuestion.about).in_(list(abouts)))
    rows = session.exec(select(LabQuestion).where(*these, col(LabQuestion.same_as).is_(None))).all()
    return {row.about: row for row in rows}


def questions_of_labs(session: Session, lab_ids: Any, *, limit: int = 50) -> list[LabQuestion]:
    """Return the questions that were sent to some labs, the latest first.

    Args:
        session: to read from.
        lab_ids: their ids, in any of the ways that a condition takes them.
        limit: how many at most.
    """
    theirs = or_(*(col(LabQuestion.lab_id).in_(some) for some in lab_ids))
    query = select(LabQuestion).where(theirs, col(LabQuestion.same_as).is_(None))
    return list(session.exec(query.order_by(col(LabQuestion.id).desc()).limit(limit)).all())


def askers_of(session: Session, question_id: int) -> list[LabQuestion]:
    """Return the question that was sent and those that asked the same later, oldest first."""
    same = or_(col(LabQuestion.id) == question_id, col(LabQuestion.same_as) == question_id)
    return list(session.exec(select(LabQuestion).where(same).order_by(col(LabQuestion.id))).all())


def _stands_in(name: str, text: str) -> bool:
    """Whether a name stands in a text, both folded; one of Latin letters as words of its own."""
    if not name.isascii():
        return name in text
    return re.search(rf"(?<![a-z0-9]){re.escape(name)}(?![a-z0-9])", text) is not None


def given_away(text: str, *, names: Iterable[str], texts: Iterable[str], words: Iterable[str]) -> list[str]:
    """Return what a question would give away: names of the need's parties, and runs of the need's own text.

    Args:
        text: the question.
        names: what must not stand in it: company, title, ids.
        texts: the need's texts; empty where they are public.
        words: the words that may stand in it.
    """
    asked = for_search(text)
    found = [name for name in dict.fromkeys(names) if len(name.strip()) > 1 and _stands_in(for_search(name), asked)]
    for word in map(for_search, words):
        asked = asked.replace(word, "\n" * len(word))
    for one in texts:
        run, own = _OWN_TEXT[language_of(one)], for_search(one)
        windows = {own[at : at + run] for at in range(len(own) - run + 1)}
        hit = next((at for at in range(len(asked) - run + 1) if asked[at : at + run] in windows), None)
        if hit is not None:
            # As it was typed, where folding took no character away.
            found.append((text if len(text) == len(asked) else asked)[hit : hit + run])
    return list(dict.fromkeys(found))
