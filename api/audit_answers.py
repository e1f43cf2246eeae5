"""What the server answers about the audit trail.

In: nothing. Out: models for the description of the API. It exists apart from `answers` because the trail uses the words
of the policy.
"""

from __future__ import annotations

from datetime import date, datetime

from pydantic import Field

from api.answers import Answer
from api.audit_trail import How, Outcome


class SubjectAnswer(Answer):
    """A record that somebody saw or changed; `withheld` says that its text was not shown."""

    kind: str
    id: str
    withheld: bool


class AuditRowAnswer(Answer):
    """One row of the trail: who saw or did what, by which right, and what came of it."""

    seq: int
    at: datetime
    account_id: str | None = Field(description="Null: whoever runs the machine, or the server itself.")
    name: str | None = Field(description="What the account is called now.")
    key_id: int | None
    rights: str = Field(description="The roles by which it was allowed, with their scopes.", examples=["expert al-01"])
    resource: str = Field(description="With `action` a cell of the policy.", examples=["need"])
    action: str = Field(examples=["read"])
    how: How
    method: str
    operation: str = Field(description="The route's name, the command, or the kind of job.", examples=["read_need"])
    outcome: Outcome
    status: int | None
    request_id: str | None = Field(description="The same as in the server's log.")
    lost: int = Field(description="How many views could not be kept before this row.")
    subjects: list[SubjectAnswer]


class NeedSeenAnswer(Answer):
    """What one person saw and did of a need on one day."""

    day: date
    account_id: str | None
    name: str | None
    rights: str
    seen: int
    withheld: int = Field(description="How often without its text.")
    changed: int
    what: list[str] = Field(description="Cells of the policy.", examples=[["need.read", "match.read"]])
    last_at: datetime


class NeedSeenPageAnswer(Answer):
    """Who met a need, the newest day first; `since` is the first day that was asked for."""

    need_id: str
    since: date
    items: list[NeedSeenAnswer]
