"""What the server answers about accounts, keys, claims of labs, and companies with those who look after them.

In: nothing. Out: models for the description of the API. It exists apart from the other answers because the office
sees of an account what nobody else does.
"""

from __future__ import annotations

from datetime import date, datetime
from enum import StrEnum
from typing import Literal

from pydantic import Field

from api.documents.answers import Answer, RetiredAnswer, answer_of
from api.documents.ledger import MotionAnswer
from indexer.records.exchange import CompanyIn
from matcher.review.own_lab.researchers import ClaimVerdict
from matcher.review.roles import Role


class KeyAnswer(Answer):
    """A key by its prefix."""

    prefix: str
    name: str
    may_write: bool
    created_at: datetime
    expires_at: datetime
    revoked_at: datetime | None
    awake_at: datetime | None = Field(
        description="Null while it sleeps: it opens nothing before the password is given."
    )


class NewKeyAnswer(KeyAnswer):
    """A key just made; `key` is null if the request was sent before."""

    key: str | None


class KeysAnswer(Answer):
    """All keys of an account, oldest first."""

    items: list[KeyAnswer]


class OwnSessionAnswer(Answer):
    """A browser in which you are signed in."""

    id: str
    agent: str | None = Field(description="What the browser calls itself.")
    created_at: datetime
    seen_at: datetime
    is_this: bool
    two_factors: bool


class OwnSessionsAnswer(Answer):
    """All of them, the one seen last first."""

    items: list[OwnSessionAnswer]


class SecondFactorAnswer(Answer):
    """Your second factor."""

    enrolled_at: datetime | None
    is_required: bool = Field(description="A role of yours needs one here.")
    recovery_codes_left: int
    awaits: Literal["code", "enrol"] | None = Field(description="What this session has to show before it opens more.")


class BegunFactorAnswer(Answer):
    """What an authenticator takes in, shown this once; nothing is set up before a first code is right."""

    secret: str
    address: str


class RecoveryCodesAnswer(Answer):
    """Each stands in for the authenticator once; shown this once."""

    recovery_codes: list[str]


class EnrolledFactorAnswer(RecoveryCodesAnswer):
    """The recovery codes, and the token of the session that takes this one's place."""

    csrf_token: str


class HeldRoleAnswer(Answer):
    """A role that an account holds now."""

    id: int
    role: Role
    scope: str


class GrantAnswer(HeldRoleAnswer):
    """A role with its dates."""

    granted_at: datetime
    granted_by: str | None
    motion_id: int | None = Field(description="The motion of two people by which it was given, where it took one.")
    revoked_at: datetime | None
    revoked_by: str | None


class DatedStakeAnswer(Answer):
    """A declared interest with its dates."""

    id: int
    party: str
    party_id: str
    declared_at: datetime
    ended_at: datetime | None
    ended_by: str | None
    end_reason: str | None


class IdentityAnswer(Answer):
    """How somebody signs in at the sign-on provider."""

    issuer: str
    subject: str
    linked_at: datetime


class ListedAccountAnswer(Answer):
    """An account as lists show it."""

    id: str
    email: str
    name: str
    disabled: bool
    roles: list[HeldRoleAnswer]


class AccountAnswer(Answer):
    """An account with all that was ever given to it."""

    id: str
    email: str
    name: str
    created_at: datetime
    disabled_at: datetime | None
    disabled: bool
    roles: list[GrantAnswer]
    stakes: list[DatedStakeAnswer]
    keys: list[KeyAnswer]
    motions: list[MotionAnswer] = Field(description="Roles that are moved and wait for a second person.")
    has_password: bool
    identities: list[IdentityAnswer]


class ClaimState(StrEnum):
    """How a claim stands."""

    WAITING = "waiting"
    APPROVED = "approved"
    REFUSED = "refused"


class ClaimAnswer(Answer):
    """A claim of a lab and what became of it."""

    id: int
    account_id: str
    lab_id: str
    statement: str
    asked_at: datetime
    verdict: ClaimVerdict | None
    reason: str
    decided_at: datetime | None
    state: ClaimState


class ClaimantAnswer(Answer):
    """Who claims a lab."""

    name: str
    email: str


class WaitingClaimAnswer(ClaimAnswer):
    """A claim as those see it who decide on it."""

    lab_name: str
    school: str | None
    claimant: ClaimantAnswer


class LabNameAnswer(Answer):
    """A lab by its name, head and school only."""

    id: str
    name: str
    name_en: str
    head: str
    school: str | None


class CountedAnswer(Answer):
    """A field or kind, and how many signed cases had it."""

    name: str
    cases: int


class CooperationAnswer(Answer):
    """What was signed with a lab in all alliances, by number alone; what few cases have is not named."""

    signed: int
    alliances: int
    first_year: int | None
    last_year: int | None
    fields: list[CountedAnswer]
    kinds: list[CountedAnswer]


class ClientRequestAnswer(Answer):
    """That an alliance asks to look after a company too; `may_answer` and `may_take_back` say what you can do."""

    id: int
    company: str
    company_name: str
    company_name_en: str
    alliance: str
    asked_by: str
    asked_by_name: str
    reason: str
    asked_at: datetime
    answer: str | None
    note: str
    answered_at: datetime | None
    may_answer: bool
    may_take_back: bool


class CompanyNameAnswer(Answer):
    """A company by its name only, and whether one of your alliances looks after it."""

    id: str
    name: str
    name_en: str
    in_portfolio: bool


class ColleagueAnswer(Answer):
    """Somebody of an alliance's liaison center."""

    id: str
    name: str
    alliance: str


class ExpertAnswer(Answer):
    """Who looks after a company."""

    id: str
    name: str | None


class ClientAnswer(Answer):
    """Which alliance a company is looked after by."""

    alliance: str
    expert: ExpertAnswer | None
    since: datetime


class ListedCompanyAnswer(Answer):
    """A company as lists show it; what an alliance does for it is missing for the company itself."""

    id: str
    name: str
    name_en: str
    tier: str
    open_needs: int
    clients: list[ClientAnswer]
    open_cases: int | None = None
    last_contact: date | None = None


class ContactPersonAnswer(Answer):
    """Who speaks for a company here."""

    id: str
    name: str
    email: str
    phone: str
    mail_comes_back: bool = Field(description="The address is not in order: nothing is sent there for now.")


@answer_of(CompanyIn)
class CompanyAnswer(ListedCompanyAnswer):
    """A company; its contact persons are missing for who does not look after it."""

    contact_persons: list[ContactPersonAnswer] = Field(default=[])
    retired: RetiredAnswer | None = Field(default=None, description="Only if it is no longer used.")


class SignOnAnswer(Answer):
    """The sign-on provider."""

    name: str
    login: str
