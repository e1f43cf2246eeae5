"""What a notice says, in one sentence of both languages, made of its kind and its facts alone.

In: a notice. Out: its sentence. It exists as the one place for these words: the list of notices, mails, feeds and
webhooks say the same. No record is read for it, so that nothing of a need, a company or a person can stand in it; what
somebody may see of those stands on the page that the notice leads to.
"""

from __future__ import annotations

from collections.abc import Mapping

from indexer.wording import P_, T_, Text
from matcher.notices.kinds import KINDS, NoticeKind
from matcher.notices.outbox import Notice

_STAGES: Mapping[str, Text] = {
    "accepted": P_("how a case goes on", "the pairing was accepted"),
    "introduced": P_("how a case goes on", "both sides were introduced"),
    "meeting": P_("how a case goes on", "there is a meeting"),
    "negotiating": P_("how a case goes on", "terms are being negotiated"),
    "signed": P_("how a case goes on", "it was signed"),
    "lost": P_("how a case goes on", "it ended without an agreement"),
    "undone": P_("how a case goes on", "the acceptance was taken back"),
}
_BY_FACT: Mapping[NoticeKind, tuple[str, Mapping[str, Text]]] = {
    NoticeKind.NEED_ENDED: (
        "state",
        {
            "closed": T_("A need was closed."),
            "taken_up": T_("A need was opened again."),
            "withdrawn": T_("A need was withdrawn by its company."),
        },
    ),
    NoticeKind.NEED_OPENED: (
        "how",
        {
            "shared": T_("Another alliance was let in to a need."),
            "share_ended": T_("A need is no longer shared with another alliance."),
            "glass": T_("The programme office broke a need's seal and read it; the page of the need says why."),
        },
    ),
    NoticeKind.MEETING: (
        "how",
        {
            "proposed": T_("Times for a meeting were proposed: choose one."),
            "agreed": T_("A meeting is agreed; its file is for your calendar."),
            "moved": T_("A meeting is held elsewhere; its file is for your calendar."),
            "reopened": T_("The time of a meeting was taken back: it is open again."),
            "called_off": T_("A meeting was called off."),
        },
    ),
    NoticeKind.CASE_ANSWERED: (
        "word",
        {
            "interested": T_("A company is interested in a lab that you suggested."),
            "not_this_one": T_("A company does not want a lab that you suggested."),
            "willing": T_("A lab is willing to take up a need."),
            "not_now": T_("A lab can't take up a need at the moment."),
            "declined": T_("A lab declined a need."),
            "retracted": T_("An answer was taken back."),
        },
    ),
    NoticeKind.LINK_ANSWERED: (
        "word",
        {
            "interested": T_("The link of a mail to you answered: you are interested. If it was not you, undo it."),
            "not_this_one": T_("The link of a mail to you answered: not this lab. If it was not you, undo it."),
            "has_a_question": T_("The link of a mail to you sent a question. If it was not you, tell your expert."),
            "willing": T_("The link of a mail to you answered: you are willing. If it was not you, undo it."),
            "not_now": T_("The link of a mail to you answered: not now. If it was not you, undo it."),
            "declined": T_("The link of a mail to you answered: you decline. If it was not you, undo it."),
            "retracted": T_("The link of a mail to you took your answer back. If it was not you, answer anew."),
            "evidence": T_("The link of a mail to you sent evidence to an expert. If it was not you, undo it."),
            "none": T_("The link of a mail to you answered: no such evidence. If it was not you, undo it."),
            "text": T_("The link of a mail to you answered a question of an expert. If it was not you, undo it."),
        },
    ),
    NoticeKind.LAB_SAID: (
        "word",
        {
            "evidence": T_("A lab that you asked has evidence; it becomes the lab's once somebody of it confirms it."),
            "none": T_("A lab that you asked has no such evidence."),
            "text": T_("A lab that you asked has answered."),
            "confirmed": T_("A lab that you asked confirmed its evidence: rankings follow within seconds."),
            "retracted": T_("A lab that you asked took its answer back."),
        },
    ),
    NoticeKind.CASE_ASKED: (
        "how",
        {
            "": T_("There is a question or a word to you in a case."),
            "file": T_("A file was attached for you in a case."),
        },
    ),
    NoticeKind.RESULT_RETURNED: (
        "how",
        {
            "return": T_("A result of yours was returned for more evidence."),
            "refuse": T_("A result of yours was refused."),
            "reverse": T_("A recognised result of yours was reversed."),
        },
    ),
    NoticeKind.CLAIM_DECIDED: (
        "verdict",
        {
            "approved": T_("Your claim of a lab was approved: you keep its profile from now on."),
            "refused": T_("Your claim of a lab was refused; the reason stands on the page."),
        },
    ),
    NoticeKind.CLIENT_ASKED: (
        "how",
        {
            "asked": T_("Another alliance asks to look after a company too; somebody has to answer."),
            "agreed": T_("It was agreed that your alliance looks after the company too."),
            "refused": T_("It was refused that your alliance looks after the company too."),
        },
    ),
    NoticeKind.HANDED_ON: (
        "how",
        {
            "need": T_("A colleague handed you a need: it is yours now."),
            "case": T_("A colleague handed you a case: it is yours now."),
        },
    ),
    NoticeKind.ACCOUNT_CHANGED: (
        "how",
        {
            "password": T_("Your password was changed. If it was not you, ask for a new one at once."),
            "role_given": T_("You were given a role."),
            "role_taken": T_("A role of yours was taken back."),
        },
    ),
}
_SENTENCES: Mapping[NoticeKind, Text] = {
    NoticeKind.NEED_NEW: T_("A need is new for your alliance."),
    NoticeKind.NEED_TAKEN_UP: T_("An expert took up your need."),
    NoticeKind.NEED_TO_CONFIRM: T_(
        "An expert wrote down what your company needs. Please look whether it is right; the link asks for your address."
    ),
    NoticeKind.NEED_ANSWERED: T_("A company says whether its need was understood."),
    NoticeKind.LAB_RELEASED: T_("A lab was suggested for your need."),
    NoticeKind.CASE_INTRODUCED: T_("Your lab was introduced to a company."),
    NoticeKind.LAB_ASKED: T_(
        "An expert asks whether your lab has evidence for something; the link shows the question."
    ),
    NoticeKind.NEXT_IN_CHAIN: T_(
        "A case is signed that a chain goes on from: its page says whom to show it to next. Nobody has been asked yet."
    ),
    NoticeKind.FOLLOW_UP_DUE: T_("A next step of yours is due."),
    NoticeKind.RESULT_TO_REVIEW: T_("A result waits for its review."),
    NoticeKind.RESULT_RECOGNISED: T_("A result of yours was recognised: it counts from now on."),
    NoticeKind.MOTION_TO_SECOND: T_("A motion waits for a second person."),
    NoticeKind.CLAIM_TO_DECIDE: T_("Somebody says that a lab is theirs; somebody has to decide."),
    NoticeKind.ADDRESS_REFUSED: T_("Mail to somebody in your care came back: the address is not in order."),
    NoticeKind.PASSWORD_FORGOTTEN: T_(
        "Somebody asked for a new password for this address. The link opens once, within the hour. If it was not you, "
        "do nothing: your password stays."
    ),
}


def sentence(notice: Notice) -> Text:
    """Return what a notice says."""
    kind = NoticeKind(notice.kind)
    if kind is NoticeKind.CASE_MOVED:
        stage = notice.facts.get("stage", "")
        return T_("A case goes on: %(how)s.", how=_STAGES.get(stage, KINDS[kind].label))
    if kind in _BY_FACT:
        fact, said = _BY_FACT[kind]
        return said.get(notice.facts.get(fact, ""), KINDS[kind].label)
    return _SENTENCES.get(kind, KINDS[kind].label)
