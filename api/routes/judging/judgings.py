"""Sessions of judging: begun, listed, read, given a third person, closed, and handed out as judgements.

In: what is to be judged and by whom; a session. Out: how far it is, how far its judges agree once both have finished,
the pairs on which they are far apart, and TREC judgements. It exists so that whether the ranking is good is found out
on the programme's own needs, by people who can't know what they confirm: until both have finished, nobody is told
what either said.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query, Response
from sqlmodel import Session, col, select

from api.access.policy import Action, Reach, Resource, reaches
from api.access.visibility import gradable
from api.documents.answers import Page, file_of
from api.documents.bodies import MAX_ROW_NUMBER, JudgingBody, SettlerBody
from api.documents.matching.matches import JudgingAnswer, JudgingDetailAnswer, standing_figures
from api.requests.capacity import MATCHING, ThreadedRoute, takes
from api.requests.idempotency import Reply
from api.requests.permitted_request import PermittedRequest, requires
from api.requests.problems import not_found
from api.requests.query_parameters import Cursor, Limit, decoded, page
from api.routes.judging.starting import Wanted, begun, chosen_needs, judge_of, pool_for
from indexer.records.record_tables import Need
from indexer.wording import T_
from matcher.judging.measures import Run
from matcher.judging.panel.agreement import qrels_text
from matcher.judging.panel.grades import (
    Judging,
    JudgingError,
    JudgingMember,
    PairStanding,
    Part,
    PoolError,
    Progress,
    Standing,
    Step,
    close,
    last_said,
    members_of,
    name_settler,
    progress_of,
    standing_of,
)
from matcher.judging.panel.pool import contributions
from matcher.review.people import Principal

router = APIRouter(prefix="/api/judgings", tags=["judging"], route_class=ThreadedRoute)

JudgingId = Annotated[int, Path(ge=1, le=MAX_ROW_NUMBER)]


@router.post("", status_code=201, response_model=JudgingDetailAnswer)
@takes(MATCHING)
def start_judging(
    body: JudgingBody, ask: Annotated[PermittedRequest, Depends(requires(Resource.JUDGING, Action.CREATE))]
) -> Response:
    """Begin a session: rank the needs in several ways and pool the first labs of each, for two people to grade.

    Both judges must be able to read every need. Ranking by the baselines takes seconds with a thousand labs.
    """
    wanted = Wanted(
        judges=tuple(body.judges),
        needs=None if body.needs is None else tuple(body.needs),
        count=body.count,
        depth=body.depth,
        rankers=tuple(dict.fromkeys(body.rankers)),
        runs={name: _scored(run) for name, run in body.runs.items()},
        seed=body.seed,
        name=body.name,
    )
    # Ranking takes most of the time and no database: it happens between two short transactions.
    with ask.reading() as session:
        ask.admitted(session)
        needs = chosen_needs(session, wanted)
    ask.let_go()
    pool = pool_for(ask.request.app.state.live.current(), needs, wanted)

    def work(session: Session, who: Principal) -> Reply:
        judging = begun(session, wanted, pool, by=who.id, now=ask.at)
        ask.about("need", *sorted({one.need_id for one in pool.pairs}))
        document = judging_document(session, who, judging.id or 0)
        return Reply(201, document, {"Location": f"/api/judgings/{judging.id}"})

    return ask.write(work, body)


def _scored(run: dict[str, list[str]]) -> Run:
    """Return a ranking that was sent as lists, best first, as scores that fall."""
    return {need_id: {lab_id: float(-rank) for rank, lab_id in enumerate(labs)} for need_id, labs in run.items()}


@router.get("", response_model=Page[JudgingAnswer])
def list_judgings(
    ask: Annotated[PermittedRequest, Depends(requires(Resource.JUDGING, Action.LIST))],
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Response:
    """List the sessions that you take part in, the newest first; the programme office sees all."""

    def work(session: Session, who: Principal) -> Reply:
        query = select(Judging).order_by(col(Judging.id).desc()).limit(limit + 1)
        if not _sees_all(who, Action.LIST):
            own = select(JudgingMember.judging_id).where(JudgingMember.account_id == who.id)
            query = query.where(col(Judging.id).in_(own))
        before = decoded(cursor, int)
        if before is not None:
            query = query.where(col(Judging.id) < before)
        items = _overviews(session, who, session.exec(query).all())
        return Reply(200, page(items, limit, "id"), {})

    return ask.read(work)


def _sees_all(who: Principal, action: Action) -> bool:
    return Reach.ALL in reaches(who, Resource.JUDGING, action).values()


def _overviews(session: Session, who: Principal, judgings: Sequence[Judging]) -> list[dict[str, Any]]:
    ids = [one.id or 0 for one in judgings]
    members, progress = members_of(session, ids), progress_of(session, ids)
    return [
        _overview(who, one, [member for member in members if member.judging_id == one.id], progress[one.id or 0])
        for one in judgings
    ]


def _overview(who: Principal, judging: Judging, members: Sequence[JudgingMember], far: Progress) -> dict[str, Any]:
    told = _sees_all(who, Action.READ) or Step.FINISHED in far.steps
    finished, closed = far.steps.get(Step.FINISHED), far.steps.get(Step.CLOSED)
    return {
        "id": judging.id,
        "name": judging.name,
        "started_at": judging.started_at.isoformat(),
        "started_by": judging.started_by,
        "depth": judging.depth,
        "pairs": far.pairs,
        "needs": far.needs,
        "finished_at": None if finished is None else finished.isoformat(),
        "closed_at": None if closed is None else closed.isoformat(),
        "members": [
            {
                "account_id": one.account_id,
                "part": one.part,
                "done": far.done.get(one.account_id, 0)
                if one.part == Part.JUDGE and (told or one.account_id == who.id)
                else None,
            }
            for one in members
        ],
    }


@router.get("/{judging_id}", response_model=JudgingDetailAnswer)
def read_judging(
    judging_id: JudgingId, ask: Annotated[PermittedRequest, Depends(requires(Resource.JUDGING, Action.READ))]
) -> Response:
    """Read how far a session is; once both judges have finished, how far they agree and where they are far apart."""

    def work(session: Session, who: Principal) -> Reply:
        return Reply(200, judging_document(session, who, judging_id), {})

    return ask.read(work)


def judging_document(session: Session, who: Principal, judging_id: int) -> dict[str, Any]:
    """Return a session as a person may see it.

    Raises:
        ProblemError: 404, whether it does not exist or is not theirs.
    """
    standing = find_judging(session, who, judging_id, Action.READ)
    office = _sees_all(who, Action.READ)
    seen = list(standing.pairs) if office else visible_pairs(session, who, standing)
    (overview,) = _overviews(session, who, [standing.judging])
    known = standing.finished is not None
    ranks = [one.pair.ranks for one in standing.pairs]
    return {
        **overview,
        "yours": _yours(standing, who, seen),
        **standing_figures(standing),
        "far_apart": [_far_apart(one) for one in seen if known and one.far_apart],
        "pooled": [asdict(one) for one in contributions(ranks)] if office else None,
        "seed": standing.judging.seed if office else None,
        "generation": standing.judging.generation if office else None,
        "ranker_version": standing.judging.ranker_version if office else None,
    }


def find_judging(session: Session, who: Principal, judging_id: int, action: Action) -> Standing:
    """Return a session that a person takes part in, or any for the programme office.

    Raises:
        ProblemError: 404, whether it does not exist or is not theirs.
    """
    standing = standing_of(session, judging_id)
    if standing is None or not (_sees_all(who, action) or any(one.account_id == who.id for one in standing.members)):
        raise not_found("judging")
    return standing


def visible_pairs(session: Session, who: Principal, standing: Standing) -> list[PairStanding]:
    """Return the pairs of a session that somebody may see now, in the order of grading."""
    known = set(session.exec(select(Need.id).where(gradable(who))).all())
    return [one for one in standing.pairs if one.pair.need_id in known and ("lab", one.pair.lab_id) not in who.stakes]


def open_pairs(standing: Standing, who: Principal, seen: Sequence[PairStanding]) -> list[PairStanding]:
    """Return the pairs that wait for a person's word: a judge's without one, a third person's that are not settled."""
    if who.id in standing.judges:
        return [one for one in seen if who.id not in one.words]
    if standing.finished is None:
        return []
    return [one for one in seen if one.far_apart and one.differ and one.settled is None]


def _yours(standing: Standing, who: Principal, seen: Sequence[PairStanding]) -> dict[str, Any] | None:
    own = next((one for one in standing.members if one.account_id == who.id), None)
    if own is None:
        return None
    left = open_pairs(standing, who, seen)
    return {
        "part": own.part,
        "done": standing.done(who.id),
        "first_open": left[0].pair.id if left else None,
        "last_said": spoken_last(standing, who, seen),
        "not_visible": len(standing.pairs) - len(seen),
    }


def spoken_last(standing: Standing, who: Principal, seen: Sequence[PairStanding]) -> int | None:
    """Return the number of the pair of which a judge spoke last, if they may still see it."""
    last = last_said(standing, who.id)
    return None if last is None or last not in seen else last.pair.id


def _far_apart(one: PairStanding) -> dict[str, Any]:
    return {
        "judged_pair_id": one.pair.id,
        "need_id": one.pair.need_id,
        "lab_id": one.pair.lab_id,
        "blind_grades": list(one.blind_grades),
        "grades": list(one.grades),
        "settled": None if one.settled is None else one.settled.grade,
        "final": one.final,
    }


@router.post("/{judging_id}/settlers", status_code=201, response_model=JudgingDetailAnswer)
def add_settler(
    judging_id: JudgingId,
    body: SettlerBody,
    ask: Annotated[PermittedRequest, Depends(requires(Resource.JUDGING, Action.ASSIGN))],
) -> Response:
    """Name a third person, who settles what the judges see far apart; it must be somebody who reads those needs."""

    def work(session: Session, who: Principal) -> Reply:
        standing = find_judging(session, who, judging_id, Action.ASSIGN)
        settler = judge_of(session, body.account, "account")
        if len(visible_pairs(session, settler, standing)) < len(standing.pairs):
            raise PoolError(T_("this person may not see all that is judged here; name another one"), "account")
        name_settler(session, judging_id=judging_id, account_id=settler.id, by=who.id, now=ask.at)
        return Reply(201, judging_document(session, who, judging_id), {})

    return ask.write(work, body)


@router.post("/{judging_id}/close", response_model=JudgingDetailAnswer)
def close_judging(
    judging_id: JudgingId, ask: Annotated[PermittedRequest, Depends(requires(Resource.JUDGING, Action.CLOSE))]
) -> Response:
    """Close a session for good: nobody can say anything more in it."""

    def work(session: Session, who: Principal) -> Reply:
        find_judging(session, who, judging_id, Action.CLOSE)
        close(session, judging_id=judging_id, by=who.id, now=ask.at)
        return Reply(200, judging_document(session, who, judging_id), {})

    return ask.write(work)


@router.get("/{judging_id}/qrels", response_class=Response, responses=file_of(["text/plain"]))
def read_qrels(
    judging_id: JudgingId,
    ask: Annotated[PermittedRequest, Depends(requires(Resource.JUDGING, Action.READ))],
    judge: Annotated[
        str | None, Query(max_length=200, description="Only what this judge says; your own at any time.")
    ] = None,
) -> Response:
    """Download the judgements, `need 0 lab grade`: agreed grades, else settled ones, else the lower of the two.

    Until both judges have finished, or the session is closed, a judge gets the own grades only.
    """
    with ask.reading() as session:
        who = ask.admitted(session)
        standing = find_judging(session, who, judging_id, Action.READ)
        rows = standing.qrels(judge)
        if judge is not None and judge not in standing.judges:
            raise not_found("judge")
        if not _sees_all(who, Action.READ):
            seen = {(one.pair.need_id, one.pair.lab_id) for one in visible_pairs(session, who, standing)}
            rows = [row for row in rows if row[:2] in seen]
    if judge != who.id and standing.finished is None and standing.closed is None:
        raise JudgingError(T_("both judges have to finish first"))
    ask.about("need", *{need_id for need_id, _, _ in rows})
    ask.note_view(None)
    file_name = f"judging-{judging_id}{'' if judge is None else f'-{standing.judges.index(judge) + 1}'}.qrels"
    headers = {"Cache-Control": "no-store", "Content-Disposition": f'attachment; filename="{file_name}"'}
    return Response(qrels_text(rows), 200, headers, "text/plain; charset=utf-8")
