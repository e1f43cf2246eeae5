"""The link by which a lab answers what an expert asks of its evidence.

In: a notice that a lab was asked, or that its link was used; later a token. Out: the link, or what a token says. It
names the question and who it was sent to, and nothing else: not the need, since the lab knows of none.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from api.letters.signed_links import LinkSigner
from indexer.wording import T_, Text
from matcher.notices.kinds import NoticeKind
from matcher.notices.outbox import Notice

PURPOSE = "lab question"
HOLDS_FOR = timedelta(days=60)
"""For how long a link answers: whoever looks for a paper may take a while."""


@dataclass(frozen=True)
class QuestionByLink:
    """What a link is for: which question, an account or address that it was sent to, and the link itself."""

    question_id: int
    reader: str
    key: str

    def token(self, signer: LinkSigner, *, now: datetime) -> str:
        """Return the token of the link."""
        claims: dict[str, Any] = {"q": self.question_id, "r": self.reader, "k": self.key}
        return signer.token(PURPOSE, claims, now=now, holds_for=HOLDS_FOR)

    @classmethod
    def read(cls, signer: LinkSigner, token: str, *, now: datetime) -> QuestionByLink:
        """Return what a token says.

        Raises:
            LinkError: it is none of ours, of another purpose, or too old.
        """
        found = signer.read(PURPOSE, token, now=now)
        return cls(int(found["q"]), str(found["r"]), str(found["k"]))


def question_link(notice: Notice, signer: LinkSigner, now: datetime) -> tuple[Text, str]:
    """Return the link of a notice about a question, with its words; of one that tells of its use, the same again."""
    was_used = notice.kind == NoticeKind.LINK_ANSWERED
    key = notice.facts["link"] if was_used else str(notice.id)
    link = QuestionByLink(int(notice.facts["question"]), notice.reader, key)
    label = T_("Look at it, or undo it") if was_used else T_("Read the question and answer")
    return label, f"/lab-question/{link.token(signer, now=now)}"
