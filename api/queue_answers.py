"""What the server answers about the queue: what waits for an expert.

In: nothing. Out: models for the description of the API. It exists apart from
`answers` because the queue names what it points to: needs, labs and companies.
"""

from __future__ import annotations

from datetime import date, datetime

from pydantic import Field

from api.answers import Answer


class WaitingNeedAnswer(Answer):
    """A need that nobody has taken up."""

    id: str
    title: str
    company: str | None
    company_name: str | None
    submitted_at: datetime
    shared: bool = Field(description="It is another alliance's, which takes it up; you may match it.")


class UnmatchedNeedAnswer(Answer):
    """A need of yours that was taken up and for which no lab was looked for yet."""

    id: str
    title: str
    company: str | None
    company_name: str | None
    taken_up_at: datetime
    expert: str | None


class NeedToReviewAnswer(Answer):
    """A need for which labs were proposed that nobody has said a word on; `since` is when the first was shown."""

    need_id: str
    title: str
    company: str | None
    company_name: str | None
    waiting: int
    since: datetime


class WaitingPairingAnswer(Answer):
    """A pairing that waits for a verdict."""

    id: int
    need_id: str
    need_title: str
    lab_id: str
    lab_name: str
    lab_name_en: str
    deferred_until: date | None


class FollowUpAnswer(Answer):
    """A next step whose day has come; `held_on` is when somebody was last in touch."""

    contact_id: int
    case_id: int | None
    company_id: str | None
    company_name: str | None
    need_title: str | None
    held_on: date
    next_step: str
    next_on: date | None


class SilentCompanyAnswer(Answer):
    """A company of the portfolio, looked after since a moment, that was not contacted for long."""

    company_id: str
    name: str
    name_en: str
    last_contact: date | None
    since: datetime
    expert: str | None


class QueueAnswer(Answer):
    """What waits for you."""

    new_needs: list[WaitingNeedAnswer]
    needs_to_match: list[UnmatchedNeedAnswer]
    needs_to_review: list[NeedToReviewAnswer]
    pairings_to_review: list[WaitingPairingAnswer]
    follow_ups_due: list[FollowUpAnswer]
    silent_companies: list[SilentCompanyAnswer]
