"""A team for a need: the fewest labs that cover what it asks, who of them covers what, and who could stand in.

In: a need, what an expert picked of a team (how many, whom, from where), which labs have no room just now. Out: the
members as pairings with their explanations, for each ask who answers it, for each member what would be left uncovered
without it and who could take its place, what stays uncovered by all, and how good the choice surely is. It exists
because many needs ask for more than one lab can do, and the best lab for each ask is no team: two of them may do the
same, sit in one room or be in conflict. What a team "covers" is what the labs' own answers call covered, no chance is
added up over members: two labs that each half answer an ask do not answer it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from indexer.arrays import BoolArray, DoubleArray
from indexer.folding import for_names
from indexer.records.profiles import Lab, Need
from indexer.vocabulary import Prominence
from indexer.wording import T_, listed
from matcher.ranking.explanation import PARTLY_FROM
from matcher.ranking.lab_table import ALL, conflicting_names, names_of
from matcher.ranking.pairings import Matcher, MatchResult
from matcher.ranking.ranker import Ranking
from matcher.ranking.wishes import COVERED_FROM, FACTORS, UNSTEERED, Steering, Stress
from matcher.teams.covering import Candidates, Covering, NoTeamError, TeamRule, TeamRules, best_team, stand_ins

MOST_MEMBERS = 4
STAND_INS = 3
_JUST_BELOW = 1e-6
_MOST_DIGITS = 13
_WORDS = {"schools:different": "different_schools", "region:one": "one_region", "lesser-known": "lesser_known"}

RULE_NAMES = {
    TeamRule.SIZE: T_("how many members there may be"),
    TeamRule.INCLUDED: T_("whom the team must have"),
    TeamRule.APART: T_("who can't be in one team"),
    TeamRule.DIFFERENT_SCHOOLS: T_("each from another school"),
    TeamRule.ONE_REGION: T_("all from one region"),
    TeamRule.LESSER_KNOWN: T_("one from a lesser-known school"),
    TeamRule.MUST_PARTS: T_("asks that must be covered"),
}
"""What the rules of a team are called, in Chinese and English."""


class TeamError(ValueError):
    """What was picked makes no team; the message says why and `field` what is to blame."""

    def __init__(self, message: str, field: str | None = None) -> None:
        super().__init__(message)
        self.field = field


@dataclass(frozen=True)
class TeamPicks:
    """What an expert picks of a team: how many members, labs that it has, pairs of labs that it never has together.

    `least_share_ntd` is what each member has to get of the need's budget; it bounds how many there can be.
    """

    most: int = MOST_MEMBERS
    least: int = 1
    included: tuple[str, ...] = ()
    apart: tuple[tuple[str, str], ...] = ()
    different_schools: bool = False
    one_region: bool = False
    lesser_known: bool = False
    least_share_ntd: int | None = None

    @classmethod
    def read(cls, words: Iterable[str]) -> TeamPicks:
        """Return the picks that words ask for: `most:3`, `least:2`, `with:LAB`, `apart:LAB,LAB`, `share:500000`.

        And `schools:different`, `region:one`, `lesser-known`; the last of several counts, labs and pairs add up.

        Raises:
            ValueError: a word picks nothing; the message says which.
        """
        changes: dict[str, Any] = {}
        for word in words:
            name, _, value = (part.strip() for part in word.partition(":"))
            number = int(value) if value.isascii() and value.isdigit() and len(value) < _MOST_DIGITS else 0
            if name in ("most", "least") and 1 <= number <= MOST_MEMBERS:
                changes[name] = number
            elif name == "with" and value:
                changes["included"] = (*changes.get("included", ()), value)
            elif name == "apart" and len(pair := [one.strip() for one in value.split(",")]) == 2 and all(pair):
                changes["apart"] = (*changes.get("apart", ()), (pair[0], pair[1]))
            elif name == "share" and number:
                changes["least_share_ntd"] = number
            elif word.strip() in _WORDS:
                changes[_WORDS[word.strip()]] = True
            else:
                raise ValueError(T_("%(word)r picks nothing of a team", word=word))
        found = cls(**changes)
        if found.least > found.most:
            raise ValueError(T_("at least %(least)s and at most %(most)s", least=found.least, most=found.most))
        return found


@dataclass(frozen=True)
class TeamAsk:
    """An ask of the need, by number from 1: whether the team covers it, and by which member best (None: by nobody)."""

    number: int
    kind: str | None
    text: str
    covered: str
    lab_id: str | None


@dataclass(frozen=True)
class StandIn:
    """A lab that could take a member's place, and the asks that would not be covered any more."""

    lab_id: str
    loses: tuple[int, ...]


@dataclass(frozen=True)
class Member:
    """A lab of a team: the asks that it answers best, all that it covers, and those that nobody else of it does.

    `strengthens` are asks that it answers best without covering them.
    """

    lab_id: str
    answers: tuple[int, ...]
    covers: tuple[int, ...]
    alone: tuple[int, ...]
    strengthens: tuple[int, ...]
    could_lead: bool
    stand_ins: tuple[StandIn, ...]


@dataclass(frozen=True)
class Team:
    """The team for a need; no members where nobody answers any part of it even partly.

    `result` explains the members as any ranking explains labs. No team of as many members has more than
    1 / `surely` of its worth; `is_exact` says that it is the best of all `candidates`. `without_room` are the labs
    that would have come into question and carry as many cases as they can.
    """

    result: MatchResult
    picks: TeamPicks
    asks: tuple[TeamAsk, ...]
    members: tuple[Member, ...]
    surely: float
    is_exact: bool
    candidates: int
    without_room: tuple[str, ...]

    @property
    def uncovered(self) -> tuple[TeamAsk, ...]:
        """The asks that no member covers."""
        return tuple(ask for ask in self.asks if ask.covered != "yes")


def team_for(
    matcher: Matcher,
    need: Need,
    picks: TeamPicks = TeamPicks(),
    *,
    steering: Steering = UNSTEERED,
    full: Collection[str] = (),
    barred: Collection[str] = (),
) -> Team:
    """Return the team for a need.

    Args:
        matcher: the labs.
        need: any need.
        picks: what the expert wants of the team.
        steering: as for the ranking; an ask that is a *must* has to be covered by a member, not by each.
        full: labs that carry as many cases as they can; only one that is included by name is a member.
        barred: labs that this reader may not be shown.

    Raises:
        TeamError: a pick names no lab that may be proposed, or contradicts another, or no team keeps to all of them;
            the message names those that clash.
    """
    musts = tuple(ask - 1 for ask, stress in steering.asks if stress is Stress.MUST and ask <= len(need.asks))
    weighed = tuple((ask, stress) for ask, stress in steering.asks if stress is not Stress.MUST)
    ranking = matcher.ranking(need, None, replace(steering, asks=weighed), second_look=True)
    hidden = {matcher.searcher.lab_rows[lab_id] for lab_id in barred if lab_id in matcher.searcher.lab_rows}
    included = _included(matcher, ranking, picks, hidden)
    chances = _chances(ranking, need)
    rows, without_room = _pool(ranking, chances, included, {*full} - {*picks.included}, hidden)
    if not rows:
        return _nobody(matcher, ranking, picks, without_room)
    _check_enough(rows, picks)
    candidates = _candidates(matcher, ranking, chances, rows, _weights(weighed, need))
    rules = _rules(matcher, ranking, need, picks, rows, musts)
    found = _best(candidates, rules)
    members = _members(candidates, rules, found.rows, [ranking.labs.ids[row] for row in rows])
    return Team(
        result=matcher.explained(ranking, [rows[place] for place in found.rows], total=len(found.rows)),
        picks=picks,
        asks=_asks(need, candidates, found.rows, members),
        members=members,
        surely=found.value / found.bound if found.bound else 1.0,
        is_exact=found.is_exact,
        candidates=len(rows),
        without_room=without_room,
    )


def _check_enough(rows: Sequence[int], picks: TeamPicks) -> None:
    if len(rows) < picks.least:
        raise TeamError(
            T_(
                "only %(n)s labs answer any part of this need, and %(least)s are to be in the team",
                n=len(rows),
                least=picks.least,
            ),
            "least",
        )


def _best(candidates: Candidates, rules: TeamRules) -> Covering:
    """Return the best team; where there is none, say in words which rules clash."""
    try:
        return best_team(candidates, rules)
    except NoTeamError as error:
        names = listed([RULE_NAMES[rule] for rule in error.clashing])
        raise TeamError(
            T_("no team keeps to all of these; let go of one: %(names)s", names=names), _FIELDS[error.clashing[0]]
        ) from error


_FIELDS = {
    TeamRule.SIZE: "most",
    TeamRule.INCLUDED: "included",
    TeamRule.APART: "apart",
    TeamRule.DIFFERENT_SCHOOLS: "different_schools",
    TeamRule.ONE_REGION: "one_region",
    TeamRule.LESSER_KNOWN: "lesser_known",
    TeamRule.MUST_PARTS: "wish",
}


def _row(matcher: Matcher, lab_id: str, field: str) -> int:
    row = matcher.searcher.lab_rows.get(lab_id)
    if row is None or lab_id not in matcher.labs:
        raise TeamError(T_("there is no lab %(lab_id)r in the index", lab_id=lab_id), field)
    return row


def _included(matcher: Matcher, ranking: Ranking, picks: TeamPicks, hidden: Collection[int]) -> list[int]:
    """Return the rows of the labs that the team must have, each of which may be proposed."""
    found = [_row(matcher, lab_id, "included") for lab_id in dict.fromkeys(picks.included)]
    for row in found:
        if not ranking.ranks[row] or row in hidden:
            name = ranking.labs.profiles[row].name
            raise TeamError(T_("%(name)s may not be proposed for this need", name=name), "included")
    if len(found) > picks.most:
        raise TeamError(
            T_("%(n)s labs are picked for a team of at most %(most)s", n=len(found), most=picks.most), "included"
        )
    return found


def _chances(ranking: Ranking, need: Need) -> DoubleArray:
    """Return the chance that each lab answers each ask, (n labs, n asks or 1), as its explanation calls it covered.

    A lab that offers other kinds of cooperation than the ask's covers it in part at most.
    """
    chances = ranking.covering().T.copy()
    for number, ask in enumerate(need.asks):
        others = ~ranking.labs.any_of("offers", (ask.kind, ""))
        chances[others, number] = np.minimum(chances[others, number], COVERED_FROM - _JUST_BELOW)
    return chances


def _pool(
    ranking: Ranking,
    chances: DoubleArray,
    included: Sequence[int],
    full: Collection[str],
    hidden: Collection[int],
) -> tuple[list[int], tuple[str, ...]]:
    """Return the rows of those who answer some ask at least partly, and the labs left out since they have no room."""
    speaks = chances.max(axis=1) >= PARTLY_FROM
    rows = [row for row in ranking.passing(ALL) if speaks[row] and row not in hidden]
    left = tuple(ranking.labs.ids[row] for row in rows if ranking.labs.ids[row] in full)
    kept = [row for row in rows if ranking.labs.ids[row] not in full]
    return list(dict.fromkeys([*included, *kept])), left


def _weights(weighed: Sequence[tuple[int, Stress]], need: Need) -> DoubleArray:
    """Return how much each ask counts, as the ranking is steered; a need without asks is one."""
    found = np.ones(max(len(need.asks), 1))
    for ask, stress in weighed:
        if ask <= len(need.asks):
            found[ask - 1] = FACTORS[stress]
    return found


def _candidates(
    matcher: Matcher, ranking: Ranking, chances: DoubleArray, rows: Sequence[int], weights: DoubleArray
) -> Candidates:
    labs = [ranking.labs.profiles[row] for row in rows]
    schools = [matcher.schools.get(lab.school or "") for lab in labs]
    numbers: dict[str, int] = {}
    regions: dict[str, int] = {}
    return Candidates(
        chances=chances[list(rows)],
        weights=weights,
        school=np.array([numbers.setdefault(lab.school, len(numbers)) if lab.school else -1 for lab in labs]),
        region=np.array(
            [regions.setdefault(one.region, len(regions)) if one and one.region else -1 for one in schools]
        ),
        lesser_known=np.array([one is not None and one.prominence == Prominence.LOW for one in schools]),
        fit=ranking.scores[list(rows)],
        covered_from=COVERED_FROM,
    )


def _rules(
    matcher: Matcher, ranking: Ranking, need: Need, picks: TeamPicks, rows: Sequence[int], musts: tuple[int, ...]
) -> TeamRules:
    """Return what the team keeps to, by places among the candidates.

    Raises:
        TeamError: the budget is not stated, or too small for one member's share.
    """
    place = {row: number for number, row in enumerate(rows)}
    most = picks.most
    if picks.least_share_ntd is not None:
        if need.budget_ntd is None:
            raise TeamError(T_("the need states no budget that could be shared"), "least_share_ntd")
        most = min(most, need.budget_ntd // picks.least_share_ntd)
        if most < picks.least:
            raise TeamError(
                T_(
                    "the need's budget of %(budget)s NT$ is enough for %(n)s shares of that size",
                    budget=f"{need.budget_ntd:,}",
                    n=most,
                ),
                "least_share_ntd",
            )
    pairs = [(_row(matcher, a, "apart"), _row(matcher, b, "apart")) for a, b in picks.apart]
    labs = [ranking.labs.profiles[row] for row in rows]
    return TeamRules(
        most=most,
        least=picks.least,
        included=tuple(place[_row(matcher, lab_id, "included")] for lab_id in dict.fromkeys(picks.included)),
        apart=tuple(
            dict.fromkeys(
                [
                    *((place[a], place[b]) for a, b in pairs if a in place and b in place),
                    *_never_together(labs),
                ]
            )
        ),
        must_parts=musts,
        different_schools=picks.different_schools,
        one_region=picks.one_region,
        lesser_known=picks.lesser_known,
    )


def _never_together(labs: Sequence[Lab]) -> Iterator[tuple[int, int]]:
    """Yield the places of two labs of one head at one school, and of two of which one states a conflict."""
    heads: dict[tuple[str, str], list[int]] = {}
    named: dict[str, list[int]] = {}
    for place, lab in enumerate(labs):
        if lab.pi and lab.school:
            heads.setdefault((lab.school, for_names(lab.pi)), []).append(place)
        for name in names_of(lab):
            named.setdefault(name, []).append(place)
    for places in heads.values():
        yield from ((a, b) for number, a in enumerate(places) for b in places[number + 1 :])
    for place, lab in enumerate(labs):
        for name in conflicting_names(lab) if lab.conflicts else ():
            yield from ((min(place, other), max(place, other)) for other in named.get(name, ()) if other != place)


def _members(
    candidates: Candidates, rules: TeamRules, team: Sequence[int], lab_ids: Sequence[str]
) -> tuple[Member, ...]:
    """Return the members, those who cover most first; the first could lead."""
    covers, best = candidates.covers, _best_of(candidates, team)
    found = []
    for row in team:
        others = [other for other in team if other != row]
        answers = [part for part, who in enumerate(best) if who == row]
        without = covers[others].any(axis=0)
        replacing = (
            StandIn(lab_ids[other], _parts(covers[row] & ~without & ~covers[other]))
            for other in stand_ins(candidates, rules, team, row, STAND_INS)
            if (candidates.chances[other, answers] >= PARTLY_FROM).any()
        )
        found.append(
            Member(
                lab_id=lab_ids[row],
                answers=tuple(part + 1 for part in answers),
                covers=_parts(covers[row]),
                alone=_parts(covers[row] & ~without),
                strengthens=tuple(part + 1 for part in answers if not covers[row, part]),
                could_lead=row == team[0] and len(team) > 1,
                stand_ins=tuple(replacing),
            )
        )
    return tuple(found)


def _parts(which: BoolArray) -> tuple[int, ...]:
    """Return the asks, by number from 1, that a mask of them names."""
    return tuple(int(part) + 1 for part in np.flatnonzero(which))


def _best_of(candidates: Candidates, team: Sequence[int]) -> list[int | None]:
    """Return for each part the member that answers it best, None where nobody does even partly."""
    chances = candidates.chances[list(team)]
    first = chances.argmax(axis=0)
    return [team[int(who)] if chances[who, part] >= PARTLY_FROM else None for part, who in enumerate(first.tolist())]


def _asks(need: Need, candidates: Candidates, team: Sequence[int], members: Sequence[Member]) -> tuple[TeamAsk, ...]:
    by_row = {row: member.lab_id for row, member in zip(team, members, strict=True)}
    found = []
    for part, (who, (kind, text)) in enumerate(zip(_best_of(candidates, team), _texts(need), strict=True)):
        covered = "no" if who is None else "yes" if candidates.covers[who, part] else "partly"
        found.append(TeamAsk(part + 1, kind, text, covered, None if who is None else by_row[who]))
    return tuple(found)


def _nobody(matcher: Matcher, ranking: Ranking, picks: TeamPicks, without_room: tuple[str, ...]) -> Team:
    need = ranking.query.need
    asks = tuple(TeamAsk(number, kind, text, "no", None) for number, (kind, text) in enumerate(_texts(need), start=1))
    return Team(matcher.explained(ranking, [], total=0), picks, asks, (), 1.0, True, 0, without_room)


def _texts(need: Need) -> list[tuple[str | None, str]]:
    """Return the kind and text of each ask; a need without asks is one."""
    return [(ask.kind, ask.text) for ask in need.asks] or [(None, need.title)]
