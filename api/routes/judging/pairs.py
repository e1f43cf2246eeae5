"""One pair at a time: a need and a lab to grade, without a word of who ranked it, and the grade itself.

In: a pair, and what its judge or the third person says of it. Out: where the pair stands for this person and where to
go on. It exists so that a judge meets nothing but texts: who else takes part, what they said and how any ranker
placed the lab is not in any answer until both judges have finished, and the last of it never.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Response
from sqlmodel import Session

from api.access.policy import Action, Resource
from api.documents.bodies import MAX_ROW_NUMBER, GradeBody, SettlementBody
from api.documents.matching.matches import JudgedPairAnswer
from api.requests.capacity import ThreadedRoute
from api.requests.idempotency import Reply
from api.requests.permitted_request import PermittedRequest, requires
from api.requests.problems import not_found
from api.routes.judging.judgings import JudgingId, find_judging, open_pairs, spoken_last, visible_pairs
from indexer.wording import T_
from matcher.judging.panel.grades import JudgedWord, JudgingError, PairStanding, Part, Standing, say, settle
from matcher.review.people import Principal

router = APIRouter(prefix="/api/judgings/{judging_id}/pairs", tags=["judging"], route_class=ThreadedRoute)

JudgedPairId = Annotated[int, Path(ge=1, le=MAX_ROW_NUMBER)]


@router.get("/{judged_pair_id}", response_model=JudgedPairAnswer)
def read_judged_pair(
    judging_id: JudgingId,
    judged_pair_id: JudgedPairId,
    ask: Annotated[PermittedRequest, Depends(requires(Resource.JUDGING, Action.GRADE))],
) -> Response:
    """Read a pair: which need and lab, what you said of it, and where to go on."""

    def work(session: Session, who: Principal) -> Reply:
        return Reply(200, _document(session, who, judging_id, judged_pair_id), {})

    return ask.read(work)


@router.post("/{judged_pair_id}/grade", status_code=201, response_model=JudgedPairAnswer)
def grade_pair(
    judging_id: JudgingId,
    judged_pair_id: JudgedPairId,
    body: GradeBody,
    ask: Annotated[PermittedRequest, Depends(requires(Resource.JUDGING, Action.GRADE))],
) -> Response:
    """Grade a pair from 0 to 3, say that you can't, or take your last word on it back.

    3: an expert would introduce the lab. 2: clearly suitable. 1: marginal. 0: not useful, or it must not be proposed. A
    later grade of yours takes the place of this one until the session is closed; both stay on record.
    """

    def work(session: Session, who: Principal) -> Reply:
        standing, one = _found(session, who, judging_id, judged_pair_id)
        if who.id not in standing.judges:
            raise JudgingError(T_("the two judges grade; you settle what they see far apart"))
        say(session, pair=one.pair, by=who.id, said=body.said, grade=body.grade, note=body.note, now=ask.at)
        return Reply(201, _document(session, who, judging_id, judged_pair_id), {})

    return ask.write(work, body)


@router.post("/{judged_pair_id}/settlement", status_code=201, response_model=JudgedPairAnswer)
def settle_pair(
    judging_id: JudgingId,
    judged_pair_id: JudgedPairId,
    body: SettlementBody,
    ask: Annotated[PermittedRequest, Depends(requires(Resource.JUDGING, Action.SETTLE))],
) -> Response:
    """Settle a pair on which the judges differ, as the third person of the session."""

    def work(session: Session, who: Principal) -> Reply:
        standing, one = _found(session, who, judging_id, judged_pair_id)
        if who.id not in standing.settlers:
            raise JudgingError(T_("a third person settles; the judges can change their own grades"))
        settle(session, pair=one.pair, by=who.id, grade=body.grade, note=body.note, now=ask.at)
        return Reply(201, _document(session, who, judging_id, judged_pair_id), {})

    return ask.write(work, body)


def _found(session: Session, who: Principal, judging_id: int, judged_pair_id: int) -> tuple[Standing, PairStanding]:
    standing = find_judging(session, who, judging_id, Action.GRADE)
    for one in _for(session, who, standing):
        if one.pair.id == judged_pair_id:
            return standing, one
    raise not_found("pair")


def _for(session: Session, who: Principal, standing: Standing) -> list[PairStanding]:
    """Return the pairs that a person goes through: all, or of a third person those that are far apart."""
    seen = visible_pairs(session, who, standing)
    if who.id in standing.judges:
        return seen
    return [one for one in seen if standing.finished is not None and one.far_apart]


def _document(session: Session, who: Principal, judging_id: int, judged_pair_id: int) -> dict[str, Any]:
    standing, here = _found(session, who, judging_id, judged_pair_id)
    pairs = _for(session, who, standing)
    at = pairs.index(here)
    judges = who.id in standing.judges
    told = standing.finished is not None
    own = here.words.get(who.id) if judges else here.settled
    return {
        "judging_id": judging_id,
        "judged_pair_id": judged_pair_id,
        "place": at + 1,
        "pairs": len(pairs),
        "done": len(pairs) - len(open_pairs(standing, who, pairs)),
        "need_id": here.pair.need_id,
        "lab_id": here.pair.lab_id,
        "previous": _number(pairs[:at][-1:]),
        "next": _number(pairs[at + 1 :]),
        "next_open": _next_open(standing, who, pairs, at),
        "last_said": spoken_last(standing, who, pairs),
        "part": Part.JUDGE if judges else Part.SETTLER,
        "own": _word(own),
        "words": [_word(here.words[judge]) for judge in standing.judges if judge in here.words] if told else None,
        "settled": _word(here.settled) if told else None,
        "is_open": standing.closed is None and (judges or here.differ),
    }


def _next_open(standing: Standing, who: Principal, pairs: Sequence[PairStanding], at: int) -> int | None:
    """Return the next pair that waits, from here on and then from the beginning; never this one."""
    waiting = open_pairs(standing, who, pairs)
    return _number([one for one in (*pairs[at + 1 :], *pairs[:at]) if one in waiting])


def _number(pairs: Sequence[PairStanding]) -> int | None:
    return pairs[0].pair.id if pairs else None


def _word(word: JudgedWord | None) -> dict[str, Any] | None:
    if word is None:
        return None
    return {"by": word.by, "said": word.said, "grade": word.grade, "note": word.note, "at": word.at.isoformat()}
