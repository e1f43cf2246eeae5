"""What clients send and are answered about notices and how they are told: models of requests and answers.

In: JSON bodies. Out: checked values, and models for the description of the API. It exists beside the other documents as
the room of what leaves the product.
"""

from __future__ import annotations

from datetime import datetime

from pydantic import BaseModel, ConfigDict, Field

from api.documents.answers import Answer
from api.documents.bodies import Number
from matcher.notices.kinds import Cadence, NoticeKind
from matcher.notices.readers import MailLanguage
from matcher.review.people import MAX_EMAIL


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ReadNoticesBody(_Body):
    """Which notices were read; all of them if none is named."""

    ids: list[Number] | None = Field(default=None, max_length=500)


class NoticeChoicesBody(_Body):
    """How you want to be told; what is left out stays."""

    cadences: dict[NoticeKind, Cadence] = Field(default_factory=dict)
    language: MailLanguage | None = None
    names_needs: bool | None = Field(
        default=None, description="Whether mails may have the title of a need that you may read."
    )


class WebhookBody(_Body):
    """An address of a program; `kinds` empty: it is told of everything that you are told of."""

    url: str = Field(max_length=500)
    kinds: list[NoticeKind] = Field(default_factory=list, max_length=50)


class WebhookHostBody(_Body):
    """A host that webhooks may call."""

    host: str = Field(min_length=1, max_length=253, pattern=r"^[A-Za-z0-9.-]+$")


class RenewalBody(_Body):
    """The address of the account whose password was forgotten."""

    email: str = Field(min_length=1, max_length=MAX_EMAIL)


class NewPasswordBody(_Body):
    """A new password."""

    new: str = Field(max_length=1_000)


class SaidAnswer(Answer):
    """A sentence in both languages."""

    zh: str
    en: str


class NoticeAnswer(Answer):
    """One thing that you are told of; `about` are ids and codes."""

    id: int
    kind: NoticeKind
    at: datetime
    read: bool
    said: SaidAnswer
    about: dict[str, str]
    place: str = Field(description="The page that says more.")
    title: str | None = Field(description="The title of the need that it is about, if you may read it.")


class NoticesAnswer(Answer):
    """Notices, the newest first."""

    items: list[NoticeAnswer]
    next: str | None
    unread: int


class UnreadAnswer(Answer):
    """How many notices you have not read."""

    unread: int


class ChoiceAnswer(Answer):
    """How soon you are told of a kind by mail."""

    kind: NoticeKind
    label: SaidAnswer
    cadence: Cadence


class NoticeChoicesAnswer(Answer):
    """How you are told."""

    kinds: list[ChoiceAnswer]
    language: MailLanguage
    names_needs: bool
    feed_made_at: datetime | None = Field(description="Since when your feed has its address; null: it has none.")
    address_refused: bool = Field(description="Mail to your address came back: nothing is sent there for now.")


class FeedAnswer(Answer):
    """The secret address of your feed; `url` is null if the request was sent before."""

    url: str | None


class WebhookAnswer(Answer):
    """A program's address that is told of what you are told of."""

    id: int
    url: str
    kinds: list[NoticeKind]
    made_at: datetime
    waiting: int = Field(description="How many messages wait for it to answer.")
    last_said: str | None = Field(description="Why the last message that waits was not taken.")


class NewWebhookAnswer(WebhookAnswer):
    """A webhook just made; `secret`, by which its messages are signed, is null if the request was sent before."""

    secret: str | None


class WebhooksAnswer(Answer):
    """Your webhooks, oldest first."""

    items: list[WebhookAnswer]


class WebhookHostAnswer(Answer):
    """A host that webhooks may call."""

    host: str
    allowed_at: datetime


class WebhookHostsAnswer(Answer):
    """All of them, by name."""

    items: list[WebhookHostAnswer]


class RefusedAddressAnswer(Answer):
    """An address from which mail comes back."""

    address: str
    account_id: str | None
    said: str | None
    refused_at: datetime


class MailAnswer(Answer):
    """How the mail stands."""

    waiting: int
    sent: int
    dropped: int
    refused: int
    refused_addresses: list[RefusedAddressAnswer]
