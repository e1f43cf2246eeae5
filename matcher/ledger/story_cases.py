"""The story's cases: pairings that were accepted, and how far they came.

In: `fixtures/programme/cases.jsonl` and the demo world's needs and labs. Out:
actions of experts on their days. It exists apart from the results because cases
are what a forecast learns from; no result of the story refers to one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import date, datetime
from typing import Any

import orjson
from sqlmodel import Session

from fixtures import programme_path, world_path
from indexer.importing import import_rows
from indexer.profiles import Need
from indexer.wording import T_
from matcher.answers import MatchResult, Pairing
from matcher.cases import LostReason, Stage, move_case
from matcher.decisions import Verdict, decide
from matcher.explanation import Bilingual, Explanation
from matcher.facets import Facets
from matcher.intake import adopt
from matcher.ledger.acceptances import AcceptanceLedger
from matcher.proposals import record
from matcher.ranker import Band

Verb = Callable[[Session, datetime], object]
_WHY = Bilingual.of(T_("Its evidence fits the need."))


def case_rows() -> list[dict[str, Any]]:
    """Return the story's cases: need, lab, alliance, day of acceptance, steps."""
    return [orjson.loads(line) for line in (programme_path() / "cases.jsonl").read_bytes().splitlines()]


def import_parties(session: Session) -> None:
    """Import those labs and needs of the demo world that the story's cases are about."""
    for kind, name in (("labs", "lab"), ("needs", "need")):
        wanted = {row[name] for row in case_rows()}
        rows = (orjson.loads(line) for line in (world_path() / f"{kind}.jsonl").read_bytes().splitlines())
        import_rows(session, kind, [row for row in rows if row["id"] in wanted])


def case_actions(experts: Mapping[str, str]) -> Iterator[tuple[date, Verb]]:
    """Yield what experts do with cases, each with its day; `experts` are account ids by alliance."""
    for row in case_rows():
        opened: list[int] = []
        yield date.fromisoformat(row["accepted"]), _accepting(row, experts[row["alliance"]], opened)
        for step in row["steps"]:
            yield date.fromisoformat(step["on"]), _moving(step, experts[row["alliance"]], opened)


def _accepting(row: dict[str, Any], by: str, opened: list[int]) -> Verb:
    def accept(session: Session, now: datetime) -> None:
        adopt(session, need_ids=[row["need"]], alliance_id=row["alliance"], by=by, now=now)
        shown = record(session, result=_shown(row, now), shown_to=by, now=now)[row["lab"]]
        _, case = decide(
            session,
            pairing_id=shown.pairing_id,
            proposal_id=shown.proposal_id,
            verdict=Verdict.ACCEPT,
            by=by,
            alliance_id=row["alliance"],
            now=now,
            ledger=AcceptanceLedger(),
        )
        if case is not None:
            opened.append(case.id or 0)

    return accept


def _moving(step: dict[str, Any], by: str, opened: list[int]) -> Verb:
    def move(session: Session, now: datetime) -> None:
        reason = None if "reason" not in step else LostReason(step["reason"])
        move_case(session, case_id=opened[0], stage=Stage(step["stage"]), by=by, now=now, reason=reason)

    return move


def _shown(row: dict[str, Any], now: datetime) -> MatchResult:
    """Return what the expert saw: the one lab, as a match would have shown it."""
    need = Need(row["need"], None, None, "", "", (), (), None, None, "alliance", None, (), (), None)
    explanation = Explanation(asks=(), missing=(), for_company=_WHY, for_lab=_WHY)
    pairing = Pairing(need.id, row["lab"], 1, 1.0, Band.STRONG, {"story": 1.0}, explanation, False)
    return MatchResult(
        need=need,
        pairings=(pairing,),
        total=1,
        allowed=1,
        facets=Facets({}, {}, {}, {}, {}),
        set_aside={},
        n_labs=1,
        generation="story",
        created_at=now.isoformat(),
        ranker_version="story",
        warnings=(),
    )
