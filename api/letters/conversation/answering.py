"""One click in a mail: links by which a side answers, each for one person, one question and a time.

In: a notice that asks something, and later a token as it comes back. Out: the links of the letter, made when it is
sent; the claims of a token. It exists so that a busy person answers without looking for a password. A token names who
it was sent to and what exactly it answers (this release, this introduction): taken back and made anew, the old one is
dead. It holds nothing of a need, and nothing happens when it is opened, since scanners of mail open every link: the
page that it leads to shows a button, and only that answers.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from api.letters.signed_links import LinkSigner
from indexer.wording import P_, T_, Text
from matcher.notices.kinds import NoticeKind
from matcher.notices.outbox import Notice
from matcher.review.conversation.answers import SideWord
from matcher.review.conversation.thread import Side

PURPOSE = "answer"
HOLDS_FOR = timedelta(days=30)
"""For how long a link answers: as long as a question may reasonably wait."""
_WORDS = {
    Side.COMPANY: (
        (SideWord.INTERESTED, P_("link in a mail", "We are interested")),
        (SideWord.NOT_THIS_ONE, P_("link in a mail", "Not this one")),
        (SideWord.QUESTION, P_("link in a mail", "We have a question")),
    ),
    Side.LAB: (
        (SideWord.WILLING, P_("link in a mail", "Yes, I would take it up")),
        (SideWord.NOT_NOW, P_("link in a mail", "Not now")),
        (SideWord.DECLINED, P_("link in a mail", "No")),
    ),
}


@dataclass(frozen=True)
class AskedByLink:
    """What a link answers: for which side of which pairing, for whom, and what exactly was asked.

    `reader` is an account or a mail address; `asked` the release, or the case with its step; `key` the link itself.
    """

    pairing_id: int
    side: Side
    reader: str
    asked: str
    key: str

    def claims(self) -> dict[str, Any]:
        """Return it as a token says it."""
        return {"p": self.pairing_id, "s": self.side.value, "r": self.reader, "q": self.asked, "k": self.key}

    @classmethod
    def read(cls, signer: LinkSigner, token: str, *, now: datetime) -> AskedByLink:
        """Return what a token says.

        Raises:
            LinkError: it is none of ours, of another purpose, or too old.
        """
        said = signer.read(PURPOSE, token, now=now)
        return cls(int(said["p"]), Side(said["s"]), str(said["r"]), str(said["q"]), str(said["k"]))


def answer_token(signer: LinkSigner, asked: AskedByLink, *, now: datetime) -> str:
    """Return the token of a link."""
    return signer.token(PURPOSE, asked.claims(), now=now, holds_for=HOLDS_FOR)


def asked_of_company(release_id: int | str) -> str:
    """Return what a company is asked by a release."""
    return f"release {release_id}"


def asked_of_lab(case_id: int | str, step: int | str) -> str:
    """Return what a lab is asked by an introduction."""
    return f"case {case_id} {step}"


def links_of(notice: Notice, signer: LinkSigner, now: datetime) -> list[tuple[Text, str]]:
    """Return the links of a notice that asks something, each with its words; none for notices that ask nothing."""
    facts = notice.facts
    if notice.kind == NoticeKind.LINK_ANSWERED:
        # The same question by the same link, so that what it did can be undone by it.
        given = AskedByLink(int(facts["pairing"]), Side(facts["side"]), notice.reader, facts["asked"], facts["link"])
        return [(T_("Look at it, or undo it"), f"/answer/{answer_token(signer, given, now=now)}")]
    if notice.kind == NoticeKind.LAB_RELEASED and "release" in facts:
        side, what = Side.COMPANY, asked_of_company(facts["release"])
    elif notice.kind == NoticeKind.CASE_INTRODUCED and "step" in facts:
        side, what = Side.LAB, asked_of_lab(facts["case"], facts["step"])
    else:
        return []
    asked = AskedByLink(int(facts["pairing"]), side, notice.reader, what, str(notice.id))
    token = answer_token(signer, asked, now=now)
    return [(label, f"/answer/{token}?word={word.value}") for word, label in _WORDS[side]]
