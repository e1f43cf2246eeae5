"""Sessions of judging in pages: which there are, a new one, how far one is, and how far its judges agree.

In: who asks; forms to begin a session, to name a third person, to close one. Out: for judges their own progress and
the way on; for the programme office everybody's, the agreement with who said what, and the pairs to look at again.
It shows what the API says and adds names: titles of needs only to who reads them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Response
from sqlmodel import Session, col, select

from api.access.policy import Action, Resource
from api.documents.bodies import JudgingBody, SettlerBody
from api.pages.shell.record_names import called, titles
from api.pages.shell.visiting import Visit, visiting, what_to_do
from api.pages.shell.wording import N_
from api.requests.capacity import MATCHING, ThreadedRoute, takes
from api.requests.problems import Refusal
from api.routes.judging.judgings import (
    JudgingId,
    add_settler,
    close_judging,
    list_judgings,
    read_judging,
    start_judging,
)
from indexer.records.record_tables import Alliance, Lab
from matcher.judging.panel.grades import Part
from matcher.judging.panel.pool import RANKERS
from matcher.review.people import Account, Grant, Principal
from matcher.review.roles import STAFF

router = APIRouter(prefix="/judging", include_in_schema=False, route_class=ThreadedRoute)

RANKER_NAMES: dict[str, str] = {
    "gloria": N_("Our own order"),
    "tfidf": N_("Words (TF-IDF)"),
    "bm25": N_("Words (BM25)"),
    "dense": N_("Meaning (vectors)"),
}
"""What our rankers are called."""
_BETWEEN_IDS = re.compile(r"[\s,，、;；]+")
PER_PAGE = 25


@router.get("")
def show_sessions(
    visit: Annotated[Visit, Depends(visiting(Resource.JUDGING, Action.LIST))],
    cursor: Annotated[str | None, Query(max_length=500)] = None,
) -> Response:
    """List the sessions of this person, or all for the office."""
    page = visit.document(list_judgings, limit=PER_PAGE, cursor=cursor or None)
    people = visit.look(lambda session, _: _people(session, page["items"]))
    return visit.show("judging/list.html", page=page, people=people)


def _people(session: Session, judgings: Iterable[Mapping[str, Any]]) -> Mapping[str, str]:
    ids = {member["account_id"] for one in judgings for member in one["members"]}
    ids |= {one["started_by"] for one in judgings if one["started_by"]}
    return {key: name for key, (name, _) in called(session, {Account: ids})[Account].items()}


@router.get("/start")
def show_start(visit: Annotated[Visit, Depends(visiting(Resource.JUDGING, Action.CREATE))]) -> Response:
    """Show the form of a new session."""
    return _start_page(visit)


def _start_page(visit: Visit, refused: Refusal | None = None) -> Response:
    typed = {name: value for name, value in visit.form.items() if isinstance(value, str)}
    chosen = visit.form.getlist("rankers") if visit.form else list(RANKERS)
    return visit.show(
        "judging/start.html",
        refused.status if refused else 200,
        people=visit.look(lambda session, _: _experts(session)),
        rankers=[(name, RANKER_NAMES[name], name in chosen) for name in RANKERS],
        typed=typed,
        refused=refused,
    )


def _experts(session: Session, but: Iterable[str] = ()) -> list[tuple[str, str, tuple[str, str]]]:
    """Return id, name and alliance of everybody who may judge."""
    roles = [role.value for role in STAFF]
    query = (
        select(Account.id, Account.name, Alliance.name, Alliance.name_en)
        .join(Grant, col(Grant.account_id) == col(Account.id))
        .join(Alliance, col(Alliance.id) == col(Grant.scope_id))
        .where(col(Grant.role).in_(roles), col(Grant.revoked_at).is_(None), col(Account.disabled_at).is_(None))
        .where(col(Account.id).not_in(list(but)))
        .order_by(col(Account.name), col(Account.id), col(Alliance.id))
    )
    found: dict[str, tuple[str, str, tuple[str, str]]] = {}
    for account_id, name, zh, en in session.exec(query).all():
        found.setdefault(account_id, (account_id, name, (zh, en or "")))
    return list(found.values())


@router.post("/start")
@takes(MATCHING)
def begin(visit: Annotated[Visit, Depends(visiting(Resource.JUDGING, Action.CREATE))]) -> Response:
    """Begin a session."""
    ids = [one for one in _BETWEEN_IDS.split(str(visit.form.get("needs", ""))) if one]
    given: dict[str, Any] = {
        **visit.values("name", "depth", "seed"),
        "judges": [str(visit.form.get(name, "")) for name in ("first", "second")],
        "rankers": [str(one) for one in visit.form.getlist("rankers")],
        **({"needs": ids} if ids else visit.values("count")),
    }
    begun = visit.attempt(lambda: visit.document(start_judging, body=visit.body(JudgingBody, given)))
    if isinstance(begun, Refusal):
        return _start_page(visit, replace(begun, field="first" if begun.field == "judges" else begun.field))
    return visit.go(f"/judging/{begun['id']}", N_("The session has begun. Both judges find it under Judging."))


@router.get("/{judging_id}")
def show_session(
    judging_id: JudgingId, visit: Annotated[Visit, Depends(visiting(Resource.JUDGING, Action.READ))]
) -> Response:
    """Show how far a session is."""
    return _session_page(visit, judging_id)


def _session_page(visit: Visit, judging_id: int, refused: Refusal | None = None) -> Response:
    judging = visit.document(read_judging, judging_id=judging_id)
    far = judging["far_apart"]

    def named(session: Session, who: Principal) -> dict[str, Any]:
        inside = [one["account_id"] for one in judging["members"]]
        return {
            "people": _people(session, [judging]),
            "titles": titles(session, who, [one["need_id"] for one in far], to=visit),
            "labs": called(session, {Lab: [one["lab_id"] for one in far]})[Lab],
            "experts": _experts(session, inside),
        }

    return visit.show(
        "judging/session.html",
        refused.status if refused else 200,
        judging=judging,
        judges=[one["account_id"] for one in judging["members"] if one["part"] == Part.JUDGE],
        settlers=[one["account_id"] for one in judging["members"] if one["part"] == Part.SETTLER],
        ranker_names=RANKER_NAMES,
        refused=refused,
        what_to_do=None if refused is None else what_to_do(refused.name),
        **visit.look(named),
    )


@router.post("/{judging_id}/settlers")
def name_third(
    judging_id: JudgingId, visit: Annotated[Visit, Depends(visiting(Resource.JUDGING, Action.ASSIGN))]
) -> Response:
    """Name a third person."""
    body = {"account": str(visit.form.get("account", ""))}
    named = visit.attempt(
        lambda: visit.document(add_settler, judging_id=judging_id, body=visit.body(SettlerBody, body))
    )
    if isinstance(named, Refusal):
        return _session_page(visit, judging_id, named)
    return visit.go(f"/judging/{judging_id}", N_("The third person finds the session under Judging."))


@router.post("/{judging_id}/close")
def close(
    judging_id: JudgingId, visit: Annotated[Visit, Depends(visiting(Resource.JUDGING, Action.CLOSE))]
) -> Response:
    """Close a session."""
    closed = visit.attempt(lambda: visit.document(close_judging, judging_id=judging_id))
    if isinstance(closed, Refusal):
        return _session_page(visit, judging_id, replace(closed, field=None))
    return visit.go(f"/judging/{judging_id}", N_("The session is closed. Its judgements can be downloaded."))
