"""Many matches as a job: every need of a list ranked, the proposals stored as a single match stores them.

In: ids of needs and how many labs each. Out: for each need its pairings by id, rank, score and band. It exists
because an expert prepares a week's needs at once. A result holds ids only, so that it can be read by whoever may
know of a need without reading it.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from sqlmodel import Session, col, select

from api.audit_trail import Subject
from api.job_steps import Running
from api.jobs import results
from api.policy import Action, Resource
from api.visibility import needs as visible_needs
from indexer.batching import EncodingBusyError
from indexer.database import reading
from indexer.instants import now
from indexer.loading import load_needs
from indexer.profiles import Need
from indexer.records import Need as StoredNeed
from matcher.answers import MatchResult
from matcher.live import LiveMatcher
from matcher.people import Principal
from matcher.proposals import record

NEEDS_PER_PART = 8
"""Needs whose texts are encoded together: few enough that nobody who asks for one match waits long behind them."""
_ENCODING_TRIES = 10
_PAUSE_S = 2.0


def run_match_batch(running: Running, live: LiveMatcher) -> None:
    """Carry out a batch of matches.

    Raises:
        SnapshotError, EncoderError: nothing can be matched; whatever `Running.step` raises.
    """
    ids, top = list(running.job.parameters["needs"]), int(running.job.parameters["top"])
    done_before = running.done_before()
    for n, start in enumerate(range(0, len(ids), NEEDS_PER_PART)):
        part = ids[start : start + NEEDS_PER_PART]
        if n in done_before:
            continue
        running.check()
        with reading(running.engine) as session:
            who = running.who(session)
            allowed = _allowed(session, who, part)
            needs = [
                need for need in load_needs(session, allowed) if not who.has_stake(company_id=need.company, lab_id=None)
            ]
        ranked = _ranked(running, live, needs, top)
        withheld = [need_id for need_id in part if need_id not in {need.id for need in needs}]

        def work(
            session: Session,
            who: Principal,
            ranked: list[MatchResult] = ranked,
            withheld: list[str] = withheld,
        ) -> dict[str, Any]:
            running.subjects.update(Subject("need", result.need.id) for result in ranked)
            return {"needs": [_stored(session, who, result) for result in ranked], "left_out": withheld}

        running.step(n, done=start + len(part), total=len(ids), work=work)


def _allowed(session: Session, who: Principal, ids: list[str]) -> list[str]:
    may = visible_needs(who, Action.READ, Resource.MATCH)
    return list(session.exec(select(StoredNeed.id).where(col(StoredNeed.id).in_(ids), may)).all())


def _ranked(running: Running, live: LiveMatcher, needs: list[Need], top: int) -> list[MatchResult]:
    for _ in range(_ENCODING_TRIES):
        running.check()
        try:
            return list(live.current().match_all(needs, top=top)) if needs else []
        except EncodingBusyError:
            # Those who wait for an answer come first.
            running.stopping.wait(_PAUSE_S)
    return list(live.current().match_all(needs, top=top))


def _stored(session: Session, who: Principal, result: MatchResult) -> dict[str, Any]:
    """Store the proposals of one need and return them by their ids."""
    need = result.need
    kept = tuple(p for p in result.pairings if not who.has_stake(company_id=need.company, lab_id=p.lab_id))
    numbers = record(session, result=replace(result, pairings=kept), shown_to=who.id, now=now())
    return {
        "need_id": need.id,
        "generation": result.generation,
        "total": result.total,
        "withheld": len(result.pairings) - len(kept),
        "pairings": [
            {
                "rank": pairing.rank,
                "lab_id": pairing.lab_id,
                "score": pairing.score,
                "band": pairing.band.value,
                "pairing_id": numbers[pairing.lab_id].pairing_id,
                "proposal_id": numbers[pairing.lab_id].proposal_id,
            }
            for pairing in kept
        ],
    }


def match_batch_result(session: Session, who: Principal, job_id: str) -> dict[str, Any]:
    """Return what a batch of matches came to, as far as the person may see its needs and pairings now."""
    parts = results(session, job_id)
    items = [item for part in parts for item in part["needs"]]
    ids = [item["need_id"] for item in items]
    may = visible_needs(who, Action.READ, Resource.PAIRING)
    companies: dict[str, str | None] = {}
    for start in range(0, len(ids), 500):
        some = col(StoredNeed.id).in_(ids[start : start + 500])
        companies.update(session.execute(select(StoredNeed.id, StoredNeed.company).where(some, may)).tuples().all())
    shown = []
    for item in items:
        if item["need_id"] not in companies:
            continue
        company_id = companies[item["need_id"]]
        free = [p for p in item["pairings"] if not who.has_stake(company_id=company_id, lab_id=p["lab_id"])]
        withheld = item["withheld"] + len(item["pairings"]) - len(free)
        shown.append({**item, "pairings": free, "withheld": withheld})
    left_out = sum(len(part["left_out"]) for part in parts) + len(items) - len(shown)
    return {"needs": shown, "left_out": left_out}
