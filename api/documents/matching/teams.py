"""What the server and the command line say of a team for a need.

In: a team as it was found. Out: a dictionary of texts, numbers and lists, and the models that describe it to programs.
It exists apart from the matches because a team is another answer to the same need: who covers what together.
"""

from __future__ import annotations

from typing import Any

from pydantic import Field

from api.documents.answers import Answer
from api.documents.matching.matches import RankedAnswer, match_document
from api.trail.request_trail import NeedReader
from indexer.wording import Bilingual
from matcher.ranking.pairings import Matcher
from matcher.teams.teams import Member, Team


class TeamPicksAnswer(Answer):
    """What was picked of the team."""

    most: int
    least: int
    included: list[str]
    apart: list[tuple[str, str]]
    different_schools: bool
    one_region: bool
    lesser_known: bool
    least_share_ntd: int | None


class TeamAskAnswer(Answer):
    """An ask, by number from 1, and who of the team answers it best; null if nobody does even partly."""

    number: int
    kind: str | None
    text: str
    covered: str = Field(description="`yes`, `partly` or `no`, as the member's own explanation says.")
    lab_id: str | None


class StandInAnswer(Answer):
    """A lab that could take a member's place, and the asks that nobody would cover then."""

    lab_id: str
    name: str
    name_en: str
    school: str | None
    loses: list[int]


class MemberAnswer(RankedAnswer):
    """A lab of the team, explained as in a ranking, and what it is in for; asks by number from 1."""

    answers: list[int] = Field(description="What it answers better than the others.")
    covers: list[int] = Field(description="All that it covers.")
    alone: list[int] = Field(description="What nobody else of the team covers.")
    strengthens: list[int] = Field(description="What it answers best without covering it.")
    could_lead: bool = Field(description="It covers most; a proposal, no more.")
    stand_ins: list[StandInAnswer]


class LeftAnswer(Answer):
    """A lab that would have come into question and carries as many cases as it can."""

    lab_id: str
    name: str
    name_en: str


class TeamAnswer(Answer):
    """The fewest labs that cover what a need asks, and what the answer rests on."""

    need_id: str
    generation: str
    created_at: str
    index_is_old: bool = Field(description="It was not renewed for 48 hours.")
    ranker_version: str
    warnings: list[Bilingual]
    picks: TeamPicksAnswer
    steering: list[str] = Field(description="How the ranking below it was steered, in words.")
    asks: list[TeamAskAnswer]
    members: list[MemberAnswer]
    surely: float = Field(
        description="At least so much of what any team of as many members could be worth, from 0 to 1; worth is what "
        "is covered and, of each ask, the best member's chance to answer it."
    )
    is_exact: bool = Field(description="No team of the candidates is better.")
    candidates: int = Field(description="How many labs answer some ask at least partly and may be proposed.")
    without_room: list[LeftAnswer]
    withheld: int = Field(description="How many labs were left out because of interests that you declared.")


class FormedTeamAnswer(Answer):
    """Cases that are carried together from now on, in the order in which they were given."""

    id: int
    need_id: str
    lead_case_id: int
    case_ids: list[int]


def team_document(matcher: Matcher, team: Team, *, to: NeedReader) -> dict[str, Any]:
    """Return the answer for one need."""
    matched: dict[str, Any] = match_document(matcher, team.result, to=to)
    kept = ("need_id", "generation", "created_at", "index_is_old", "ranker_version", "warnings")
    return {
        **{name: matched[name] for name in kept},
        "picks": _picks(team),
        "steering": matched["steering"]["words"],
        "asks": [
            {
                "number": ask.number,
                "kind": ask.kind,
                "text": ask.text,
                "covered": ask.covered,
                "lab_id": ask.lab_id,
            }
            for ask in team.asks
        ],
        "members": [
            pairing | _member(matcher, member)
            for pairing, member in zip(matched["pairings"], team.members, strict=True)
        ],
        "surely": team.surely,
        "is_exact": team.is_exact,
        "candidates": team.candidates,
        "without_room": [_called(matcher, lab_id) for lab_id in team.without_room],
        "withheld": 0,
    }


def _picks(team: Team) -> dict[str, Any]:
    picks = team.picks
    return {
        "most": picks.most,
        "least": picks.least,
        "included": list(picks.included),
        "apart": [list(pair) for pair in picks.apart],
        "different_schools": picks.different_schools,
        "one_region": picks.one_region,
        "lesser_known": picks.lesser_known,
        "least_share_ntd": picks.least_share_ntd,
    }


def _member(matcher: Matcher, member: Member) -> dict[str, Any]:
    return {
        "answers": list(member.answers),
        "covers": list(member.covers),
        "alone": list(member.alone),
        "strengthens": list(member.strengthens),
        "could_lead": member.could_lead,
        "stand_ins": [
            {**_called(matcher, one.lab_id), "school": matcher.labs[one.lab_id].school, "loses": list(one.loses)}
            for one in member.stand_ins
        ],
    }


def _called(matcher: Matcher, lab_id: str) -> dict[str, str]:
    lab = matcher.labs[lab_id]
    return {"lab_id": lab_id, "name": lab.name, "name_en": lab.name_en}
