"""What people are told of, who it is for, and how soon unless they choose otherwise: one table of kinds and readers.

In: nothing. Out: the kinds with their words, the roles that get each, and how soon a mail tells of it by default. It
exists as the one list: the page of one's choices, the mails, the feeds and the webhooks all follow it, and a kind that
is not here can't be told. Who exactly gets a notice is decided where the thing happens (the owner of a case, the
company of a need); the roles here say only whose choice it may be.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from indexer.wording import P_, T_, Text
from matcher.review.roles import STAFF, Role


class Cadence(StrEnum):
    """How soon a mail tells somebody of something."""

    AT_ONCE = "at_once"
    DAILY = "daily"
    WEEKLY = "weekly"
    NEVER = "never"


CADENCE_LABELS: Mapping[Cadence, Text] = {
    Cadence.AT_ONCE: T_("at once"),
    Cadence.DAILY: T_("once a day"),
    Cadence.WEEKLY: T_("once a week"),
    Cadence.NEVER: T_("no mail"),
}


class NoticeKind(StrEnum):
    """What somebody is told of."""

    NEED_NEW = "need_new"
    NEED_TAKEN_UP = "need_taken_up"
    NEED_ENDED = "need_ended"
    HANDED_ON = "handed_on"
    NEED_OPENED = "need_opened"
    NEED_TO_CONFIRM = "need_to_confirm"
    NEED_ANSWERED = "need_answered"
    LAB_RELEASED = "lab_released"
    CASE_INTRODUCED = "case_introduced"
    CASE_MOVED = "case_moved"
    CASE_ANSWERED = "case_answered"
    CASE_ASKED = "case_asked"
    LINK_ANSWERED = "link_answered"
    LAB_ASKED = "lab_asked"
    LAB_SAID = "lab_said"
    MEETING = "meeting"
    NEXT_IN_CHAIN = "next_in_chain"
    FOLLOW_UP_DUE = "follow_up_due"
    RESULT_TO_REVIEW = "result_to_review"
    RESULT_RETURNED = "result_returned"
    RESULT_RECOGNISED = "result_recognised"
    MOTION_TO_SECOND = "motion_to_second"
    CLAIM_TO_DECIDE = "claim_to_decide"
    CLAIM_DECIDED = "claim_decided"
    CLIENT_ASKED = "client_asked"
    ADDRESS_REFUSED = "address_refused"
    ACCOUNT_CHANGED = "account_changed"
    PASSWORD_FORGOTTEN = "password_forgotten"  # noqa: S105 (a kind of notice)
    NIGHT_REPORT = "night_report"


@dataclass(frozen=True)
class KindFacts:
    """A kind in words, whose it may be, and how soon it is told unless somebody chooses otherwise.

    `roles` empty: everybody. `fixed`: nobody can turn it off, since it is about the safety of the own account.
    `on_page`: whether it stands in the list of notices, as all do but what is only a letter.
    """

    label: Text
    roles: tuple[Role, ...]
    cadence: Cadence
    fixed: bool = False
    on_page: bool = True


_SIDES = (*STAFF, Role.COMPANY, Role.RESEARCHER)
_DECIDING = (Role.COMMITTEE, Role.OFFICE)

KINDS: Mapping[NoticeKind, KindFacts] = {
    NoticeKind.NEED_NEW: KindFacts(T_("a need that is new for your alliance"), STAFF, Cadence.AT_ONCE),
    NoticeKind.NEED_TAKEN_UP: KindFacts(T_("an expert takes up your need"), (Role.COMPANY,), Cadence.AT_ONCE),
    NoticeKind.NEED_ENDED: KindFacts(
        T_("a need is closed, opened again or withdrawn"), (*STAFF, Role.COMPANY), Cadence.DAILY
    ),
    NoticeKind.HANDED_ON: KindFacts(T_("a colleague hands you a need or a case"), STAFF, Cadence.AT_ONCE),
    NoticeKind.NEED_OPENED: KindFacts(
        T_("who is let in to your need: another alliance, or the programme office"),
        (*STAFF, Role.COMPANY),
        Cadence.AT_ONCE,
    ),
    NoticeKind.NEED_TO_CONFIRM: KindFacts(
        T_("an expert asks whether your need was understood"), (Role.COMPANY,), Cadence.AT_ONCE
    ),
    NoticeKind.NEED_ANSWERED: KindFacts(T_("a company confirms or corrects its need"), STAFF, Cadence.AT_ONCE),
    NoticeKind.LAB_RELEASED: KindFacts(T_("a lab is suggested for your need"), (Role.COMPANY,), Cadence.AT_ONCE),
    NoticeKind.CASE_INTRODUCED: KindFacts(
        T_("your lab is introduced to a company"), (Role.RESEARCHER,), Cadence.AT_ONCE
    ),
    NoticeKind.CASE_MOVED: KindFacts(T_("a case goes on"), _SIDES, Cadence.DAILY),
    NoticeKind.CASE_ANSWERED: KindFacts(T_("a company or a lab answers"), _SIDES, Cadence.AT_ONCE),
    NoticeKind.CASE_ASKED: KindFacts(T_("a question, or a word to you, in a case"), _SIDES, Cadence.AT_ONCE),
    NoticeKind.LINK_ANSWERED: KindFacts(
        T_("a link of a mail to you is used"), (Role.COMPANY, Role.RESEARCHER), Cadence.AT_ONCE, fixed=True
    ),
    NoticeKind.LAB_ASKED: KindFacts(T_("an expert asks for evidence of your lab"), (Role.RESEARCHER,), Cadence.AT_ONCE),
    NoticeKind.LAB_SAID: KindFacts(T_("a lab answers a question about its evidence"), STAFF, Cadence.AT_ONCE),
    NoticeKind.MEETING: KindFacts(T_("a meeting is proposed, agreed or called off"), _SIDES, Cadence.AT_ONCE),
    NoticeKind.NEXT_IN_CHAIN: KindFacts(T_("a case is signed that a chain goes on from"), STAFF, Cadence.AT_ONCE),
    NoticeKind.FOLLOW_UP_DUE: KindFacts(T_("next steps of yours that are due"), STAFF, Cadence.DAILY),
    NoticeKind.RESULT_TO_REVIEW: KindFacts(T_("a result waits for its review"), _DECIDING, Cadence.DAILY),
    NoticeKind.RESULT_RETURNED: KindFacts(
        T_("a result of yours is returned, refused or reversed"), STAFF, Cadence.AT_ONCE
    ),
    NoticeKind.RESULT_RECOGNISED: KindFacts(T_("a result of yours is recognised"), STAFF, Cadence.AT_ONCE),
    NoticeKind.MOTION_TO_SECOND: KindFacts(T_("a motion waits for a second person"), _DECIDING, Cadence.AT_ONCE),
    NoticeKind.CLAIM_TO_DECIDE: KindFacts(
        T_("somebody says that a lab is theirs"), (Role.LEAD, Role.OFFICE), Cadence.AT_ONCE
    ),
    NoticeKind.CLAIM_DECIDED: KindFacts(T_("your claim of a lab is decided"), (), Cadence.AT_ONCE),
    NoticeKind.CLIENT_ASKED: KindFacts(
        T_("another alliance asks to look after a company, and what is answered"),
        (*STAFF, Role.COMPANY),
        Cadence.AT_ONCE,
    ),
    NoticeKind.ADDRESS_REFUSED: KindFacts(
        T_("mail to somebody in your care comes back"), (*STAFF, Role.OFFICE), Cadence.DAILY
    ),
    NoticeKind.ACCOUNT_CHANGED: KindFacts(
        T_("your password or your roles are changed"), (), Cadence.AT_ONCE, fixed=True
    ),
    NoticeKind.PASSWORD_FORGOTTEN: KindFacts(
        P_("kind of mail", "a new password that was asked for"), (), Cadence.AT_ONCE, fixed=True, on_page=False
    ),
    NoticeKind.NIGHT_REPORT: KindFacts(
        T_("the night's report"), (Role.OFFICE,), Cadence.AT_ONCE, fixed=True, on_page=False
    ),
}
"""Every kind of notice: kinds × readers."""


def kinds_for(roles: frozenset[Role]) -> list[NoticeKind]:
    """Return the kinds that somebody with these roles may choose about, in the order of the table."""
    return [
        kind
        for kind, facts in KINDS.items()
        if not facts.fixed and (not facts.roles or not roles.isdisjoint(facts.roles))
    ]
