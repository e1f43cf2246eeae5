"""How a pairing stands, told in the words of each reader: one table of state × reader.

In: what was decided and answered about a pairing. Out: one state, and what the company, the lab and the expert are told
of it. It exists because a state is true for everybody but means something else to each: the company must never read
that labs are being looked for when its contract is signed, and nobody reads a word of the other side's reasons.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from sqlmodel import Session, col, select

from indexer.wording import T_, Text
from matcher.review.cases import INTRODUCED_STAGES, Case, Stage
from matcher.review.conversation.answers import SideWord, standing_answers
from matcher.review.conversation.thread import Side, waiting_messages
from matcher.review.proposals import Release


class TalkState(StrEnum):
    """Where a pairing stands, from the first word to the last."""

    CONSIDERED = "considered"
    SHOWN = "shown"
    ASKED = "asked"
    WANTED = "wanted"
    NOT_WANTED = "not_wanted"
    ACCEPTED = "accepted"
    INTRODUCED = "introduced"
    WILLING = "willing"
    LATER = "later"
    DECLINED = "declined"
    MEETING = "meeting"
    NEGOTIATING = "negotiating"
    SIGNED = "signed"
    LOST = "lost"


_LATE = {
    Stage.MEETING: TalkState.MEETING,
    Stage.NEGOTIATING: TalkState.NEGOTIATING,
    Stage.SIGNED: TalkState.SIGNED,
    Stage.LOST: TalkState.LOST,
}
_OF_LAB = {
    SideWord.WILLING: TalkState.WILLING,
    SideWord.NOT_NOW: TalkState.LATER,
    SideWord.DECLINED: TalkState.DECLINED,
}
_OF_COMPANY = {
    SideWord.INTERESTED: TalkState.WANTED,
    SideWord.NOT_THIS_ONE: TalkState.NOT_WANTED,
    SideWord.QUESTION: TalkState.ASKED,
}
TOLD: dict[TalkState, dict[Side, Text | None]] = {
    TalkState.CONSIDERED: {
        Side.COMPANY: None,
        Side.LAB: None,
        Side.EXPERT: T_("Neither side has heard of it."),
    },
    TalkState.SHOWN: {
        Side.COMPANY: T_("Your expert suggests this lab. Say whether you are interested."),
        Side.LAB: None,
        Side.EXPERT: T_("The company was shown this lab and has not answered."),
    },
    TalkState.ASKED: {
        Side.COMPANY: T_("You asked a question; your expert answers it here."),
        Side.LAB: None,
        Side.EXPERT: T_("The company has a question about this lab."),
    },
    TalkState.WANTED: {
        Side.COMPANY: T_("You are interested. Your expert speaks to the lab next."),
        Side.LAB: None,
        Side.EXPERT: T_("The company is interested: introduce the lab."),
    },
    TalkState.NOT_WANTED: {
        Side.COMPANY: T_("You do not want this lab. Your expert looks further."),
        Side.LAB: None,
        Side.EXPERT: T_("The company does not want this lab."),
    },
    TalkState.ACCEPTED: {
        Side.COMPANY: T_("Your expert prepares the introduction to this lab."),
        Side.LAB: None,
        Side.EXPERT: T_("Accepted: the lab does not know of the need yet."),
    },
    TalkState.INTRODUCED: {
        Side.COMPANY: T_("The lab was asked. Its answer appears here."),
        Side.LAB: T_("An expert introduced this need to you. Say whether you would take it up."),
        Side.EXPERT: T_("The lab was introduced and has not answered."),
    },
    TalkState.WILLING: {
        Side.COMPANY: T_("The lab is willing. Next you agree on a time to meet."),
        Side.LAB: T_("You are willing. Next a time to meet is agreed on."),
        Side.EXPERT: T_("The lab is willing: propose times to meet."),
    },
    TalkState.LATER: {
        Side.COMPANY: T_("The lab can't take it up at the moment. Your expert tells you what is possible."),
        Side.LAB: T_("You can't take it up at the moment. You can change your answer here."),
        Side.EXPERT: T_("The lab can't at the moment."),
    },
    TalkState.DECLINED: {
        Side.COMPANY: T_("The lab can't take it up. Your expert looks further."),
        Side.LAB: T_("You declined. Nothing more is asked of you."),
        Side.EXPERT: T_("The lab declined."),
    },
    TalkState.MEETING: {
        Side.COMPANY: T_("You and the lab are meeting."),
        Side.LAB: T_("You and the company are meeting."),
        Side.EXPERT: T_("Company and lab are meeting."),
    },
    TalkState.NEGOTIATING: {
        Side.COMPANY: T_("You and the lab are negotiating the terms."),
        Side.LAB: T_("You and the company are negotiating the terms."),
        Side.EXPERT: T_("The terms are being negotiated."),
    },
    TalkState.SIGNED: {
        Side.COMPANY: T_("Your cooperation with this lab is signed."),
        Side.LAB: T_("Your cooperation with this company is signed."),
        Side.EXPERT: T_("Signed: report what came of it."),
    },
    TalkState.LOST: {
        Side.COMPANY: T_("Nothing came of it with this lab. Your expert can tell you more."),
        Side.LAB: T_("Nothing came of it. Your alliance can tell you more."),
        Side.EXPERT: T_("Nothing came of it."),
    },
}
"""What each reader is told of each state; None where that side does not know of the pairing, and so is told nothing."""
_EARLY = (None, Stage.ACCEPTED)
_NEARER = (
    TalkState.SHOWN,
    TalkState.ASKED,
    TalkState.WANTED,
    TalkState.ACCEPTED,
    TalkState.INTRODUCED,
    TalkState.WILLING,
    TalkState.MEETING,
    TalkState.NEGOTIATING,
    TalkState.SIGNED,
)
"""The states in which something is on its way, the furthest last: they say how a need as a whole stands."""


def standing_of(
    *, stage: Stage | None, released: bool, company: SideWord | None = None, lab: SideWord | None = None
) -> TalkState:
    """Return where a pairing stands.

    Args:
        stage: its case's, None if it has none that is not undone.
        released: the company sees the lab.
        company: the word of the company that stands.
        lab: that of the lab.
    """
    if stage in _LATE:
        return _LATE[stage]
    if stage is Stage.INTRODUCED:
        return TalkState.INTRODUCED if lab is None else _OF_LAB[lab]
    if stage is Stage.ACCEPTED:
        return TalkState.ACCEPTED
    if not released:
        return TalkState.CONSIDERED
    return TalkState.SHOWN if company is None else _OF_COMPANY[company]


def furthest(standings: Iterable[TalkState]) -> TalkState | None:
    """Return the state of those on their way that is furthest, None if nothing is on its way."""
    on_their_way = [one for one in standings if one in _NEARER]
    return max(on_their_way, key=_NEARER.index, default=None)


@dataclass(frozen=True)
class Stand:
    """A pairing that at least one side may know of, and where it stands."""

    pairing_id: int
    need_id: str
    lab_id: str
    released: bool
    case_id: int | None
    stage: Stage | None
    company: SideWord | None
    lab: SideWord | None

    @property
    def standing(self) -> TalkState:
        """Where it stands."""
        return standing_of(stage=self.stage, released=self.released, company=self.company, lab=self.lab)

    @property
    def company_knows(self) -> bool:
        """Whether the company knows that this lab is spoken of."""
        return self.released or self.stage in INTRODUCED_STAGES


def stands_of(session: Session, need_ids: Collection[str]) -> list[Stand]:
    """Return where the pairings of some needs stand that were released or accepted, in the order of their numbers."""
    wanted = sorted(need_ids)
    shown = session.exec(
        select(Release.pairing_id, Release.need_id, Release.lab_id).where(
            col(Release.need_id).in_(wanted), col(Release.ended_at).is_(None)
        )
    ).all()
    cases = session.exec(
        select(Case).where(col(Case.need_id).in_(wanted), Case.stage != Stage.UNDONE.value).order_by(col(Case.id))
    ).all()
    released = {number: (need_id, lab_id) for number, need_id, lab_id in shown}
    case_of = {case.pairing_id: case for case in cases}
    parties = released | {case.pairing_id: (case.need_id, case.lab_id) for case in cases}
    words = standing_answers(session, parties)
    found = []
    for number, (need_id, lab_id) in sorted(parties.items()):
        case, said = case_of.get(number), {side: words.get((number, side)) for side in Side}
        company, lab = (None if one is None else SideWord(one.word) for one in (said[Side.COMPANY], said[Side.LAB]))
        stage = None if case is None else Stage(case.stage)
        found.append(Stand(number, need_id, lab_id, number in released, case.id if case else None, stage, company, lab))
    return found


@dataclass(frozen=True)
class WaitingWord:
    """A side's answer, or its message (`word` is None), that waits for the alliance."""

    pairing_id: int
    side: Side
    word: SideWord | None
    case_id: int | None
    at: datetime


def waiting_words(session: Session, pairing_ids: Collection[int], stands: Iterable[Stand]) -> list[WaitingWord]:
    """Return what the sides of some pairings said that the alliance has to act on.

    An answer waits while its case has not gone on: the company's until the lab is introduced, or the pairing is
    rejected, the lab's while the case stands at the introduction. A message waits until somebody of the alliance
    writes, and stands for an answer that came with it.
    """
    stand_of = {one.pairing_id: one for one in stands if one.pairing_id in pairing_ids}
    answers, messages = standing_answers(session, stand_of), waiting_messages(session, pairing_ids)
    found = []
    for (number, side), row in answers.items():
        stand = stand_of[number]
        waits = stand.stage is Stage.INTRODUCED if side is Side.LAB else stand.released and stand.stage in _EARLY
        if waits and row.word != SideWord.QUESTION:
            found.append(WaitingWord(number, side, SideWord(row.word), stand.case_id, row.at))
    told = {(one.pairing_id, one.side) for one in found}
    for number, message in messages.items():
        if (number, Side(message.side)) not in told:
            case_id = stand_of[number].case_id if number in stand_of else None
            found.append(WaitingWord(number, Side(message.side), None, case_id, message.at))
    return found
