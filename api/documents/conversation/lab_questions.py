"""What clients send and are told of what a lab lacks, and of questions to labs about their evidence.

In: JSON bodies; near misses, questions and the labs' words. Out: checked values; documents for the expert, which name
the need, and for the lab, which name none; models for the description of the API.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from api.documents.answers import Answer
from api.documents.bodies import Note, Word
from indexer.vocabulary import Confidentiality
from indexer.wording import Bilingual, Text
from matcher.review.conversation.lab_questions import (
    ANSWERS,
    LabAnswer,
    LabQuestion,
    LabWord,
    sent_work,
    standing_word,
)
from matcher.teams.near_misses import NearMiss, Standing


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class LabQuestionBody(_Body):
    """A question to a lab about an ask that it does not cover; the text is all that the lab reads of it."""

    ask: int = Field(ge=1, le=200, description="The ask of the need, by number from 1.", examples=[1])
    words: list[Word] = Field(
        default=[],
        max_length=20,
        description="What the lab is asked for evidence on, as the ask has it.",
        examples=[[]],
    )
    text: Note = Field(examples=["請問貴實驗室是否有這方面的佐證？"])
    address: Word | None = Field(default=None, description="Somebody of the lab who has no account.", examples=[None])
    confirmed: bool = Field(
        default=False,
        description="You have read the text, and it gives nothing of the need away; needed unless the need is public.",
        examples=[True],
    )


class LabWordBody(_Body):
    """What the lab says: `evidence` with a title, `none`, or `text` with a note."""

    word: LabWord = Field(examples=["none"])
    note: Note = ""
    doi: Annotated[str, Field(max_length=300)] = ""
    title: Note = ""
    kind: Annotated[str, Field(max_length=40)] = "paper"
    year: Annotated[str, Field(max_length=20, description="2024, or 民國113年.")] = ""
    abstract: Note = ""


class StandingAnswer(Answer):
    """Where a lab stands."""

    rank: int
    band: str
    covered: str


class LabWordAnswer(Answer):
    """The lab's word that stands, and the evidence that it sent."""

    word: LabWord
    note: str
    title: str
    evidence_id: str | None
    at: datetime


class AskedAnswer(Answer):
    """A question that your alliance asked a lab for a need."""

    id: int
    ask: int
    words: list[str]
    text: str
    at: datetime
    by: str
    was_sent: bool = Field(description="Not where the lab had been asked the same before.")
    word: LabWordAnswer | None


class NearMissAnswer(Answer):
    """An ask that a lab does not cover, and the smallest statement that would lift it."""

    ask: int
    kind: str
    words: list[str] = Field(description="What nothing of the lab says.")
    enough: list[str] = Field(description="The fewest of them that would lift the lab; none if all are not enough.")
    said: Bilingual
    effect: Bilingual | None
    before: StandingAnswer
    after: StandingAnswer | None = Field(description="By the ranking itself, with that as one more piece of evidence.")
    question: str
    asked_at: datetime | None = Field(description="When the lab was asked the same before, by whomever.")


class NearMissesAnswer(Answer):
    """What would lift a lab for a need, what it was asked, and to whom a question would go."""

    need_id: str
    pairing_id: int
    lab_id: str
    near_misses: list[NearMissAnswer]
    questions: list[AskedAnswer]
    has_reader: bool = Field(description="Somebody of the lab has an account; without, an address is needed.")
    must_confirm: bool = Field(description="The need is not public: say that the text gives nothing of it away.")


class AskedOfLabAnswer(Answer):
    """A question as the lab has it: nothing of a need."""

    id: int
    lab_id: str
    text: str
    at: datetime
    alliance: str
    alliance_en: str
    expert: str
    word: LabWordAnswer | None
    work: dict[str, Any] | None = Field(description="The evidence that was sent and waits to be confirmed, or is.")
    words: list[LabWord] = Field(description="What can be answered now.")
    waits: bool = Field(description="Evidence waits to be confirmed.")


def near_miss_document(found: NearMiss, asked: LabQuestion | None) -> dict[str, Any]:
    """Return a near miss; `asked` is the question by which the lab was asked the same, if it was."""
    return {
        "ask": found.ask,
        "kind": found.kind,
        "words": list(found.words),
        "enough": list(found.enough),
        "said": _both(found.said),
        "effect": None if found.effect is None else _both(found.effect),
        "before": _standing(found.before),
        "after": None if found.after is None else _standing(found.after),
        "question": found.question,
        "asked_at": None if asked is None else asked.at.isoformat(),
    }


def _both(text: Text) -> dict[str, str]:
    return {"zh": text.zh, "en": text.en}


def _standing(one: Standing) -> dict[str, Any]:
    return {"rank": one.rank, "band": one.band.value, "covered": one.covered}


def must_confirm(confidentiality: str) -> bool:
    """Whether an expert has to say that a question gives nothing of a need away."""
    return confidentiality != Confidentiality.PUBLIC


def asked_document(question: LabQuestion, said: Sequence[LabAnswer], name: str) -> dict[str, Any]:
    """Return a question as its expert sees it, with what the lab says to it."""
    return {
        "id": question.id,
        "ask": question.ask,
        "words": question.words,
        "text": question.text,
        "at": question.at.isoformat(),
        "by": name,
        "was_sent": question.same_as is None,
        "word": _word(said),
    }


def _word(said: Sequence[LabAnswer]) -> dict[str, Any] | None:
    standing = standing_word(said)
    if standing is None:
        return None
    return {
        "word": standing.word,
        "note": standing.note,
        "title": (sent_work(said) or {}).get("title", ""),
        "evidence_id": standing.evidence_id,
        "at": standing.at.isoformat(),
    }


def asked_of_lab(
    question: LabQuestion, said: Sequence[LabAnswer], *, alliance: tuple[str, str], expert: str
) -> dict[str, Any]:
    """Return a question as the lab has it, with what it said itself."""
    standing = standing_word(said)
    return {
        "id": question.id,
        "lab_id": question.lab_id,
        "text": question.text,
        "at": question.at.isoformat(),
        "alliance": alliance[0],
        "alliance_en": alliance[1],
        "expert": expert,
        "word": _word(said),
        "work": sent_work(said),
        "words": [] if standing is not None else [one.value for one in ANSWERS],
        "waits": standing is not None and standing.word == LabWord.EVIDENCE,
    }


def work_of(body: LabWordBody) -> Mapping[str, str]:
    """Return the evidence that a lab's yes brings, as it was typed."""
    return {name: getattr(body, name) for name in ("doi", "title", "kind", "year", "abstract")}
