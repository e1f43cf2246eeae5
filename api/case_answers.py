"""What the server answers about cases and contacts.

In: nothing. Out: models for the description of the API. It exists apart from
`answers` because cases have a vocabulary of their own.
"""

from __future__ import annotations

from datetime import date, datetime

from api.answers import Answer
from matcher.cases import ContactKind, LostReason, Stage


class CaseStepAnswer(Answer):
    """One move of a case; the note is missing outside of its alliance."""

    id: int
    case_id: int
    version: int
    old: Stage
    new: Stage
    reason: LostReason | None
    note: str = ""
    by: str
    at: datetime


class ContactAnswer(Answer):
    """One time that an expert was in touch; note and next step are missing outside of the alliance."""

    id: int
    case_id: int | None
    company_id: str | None
    alliance_id: str
    kind: ContactKind
    held_on: date
    note: str = ""
    next_step: str = ""
    next_on: date | None
    by: str
    at: datetime


class CaseFileAnswer(Answer):
    """A case without its history."""

    id: int
    pairing_id: int
    decision_id: int
    need_id: str
    lab_id: str
    company_id: str | None
    alliance_id: str
    owner_id: str
    stage: Stage
    version: int
    opened_at: datetime


class CaseAnswer(CaseFileAnswer):
    """A case with its steps and contacts."""

    steps: list[CaseStepAnswer]
    contacts: list[ContactAnswer]
