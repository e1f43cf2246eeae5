"""Views on their way into the audit trail: kept in memory for a moment, stored together.

In: acts that changed nothing, one after the other, from any thread. Out: rows of the trail, a transaction at most
every second. It exists because to look must not cost a write, nor wait for one, nor fail when the database can't be
written: then what was seen is kept here as far as there is room, and how much was not is itself written down as soon
as writing is possible again. A server that is killed loses the views of its last second; changes never wait here.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import structlog
from sqlalchemy import Engine
from sqlalchemy.exc import DataError, IntegrityError
from sqlmodel import Session, SQLModel, select

from api.trail.audit_trail import Act, How, Outcome, write_down
from indexer.database import writing

EVERY_S = 1.0
ROOM = 50_000
"""Acts and subjects that are kept while nothing can be written: some 10 MB."""
PER_TRANSACTION = 5_000
STOP_WITHIN_S = 5.0
_AGAIN_S = 1.0
_IN_ONE_QUERY = 500
_BIGGEST_ID = 2**63 - 1

COLUMNS = {
    "account": "account.id",
    "alliance": "alliance.id",
    "case": "case_file.id",
    "client_request": "client_request.id",
    "company": "company.id",
    "entry": "ledger_entry.id",
    "evidence": "evidence_file.sha256",
    "external_claim": "external_claim.id",
    "lab": "lab.id",
    "need": "need.id",
    "pairing": "pairing.id",
}
"""Where a record stands that a refused request may name; of other kinds it names none."""


@dataclass(frozen=True)
class ViewState:
    """How many views wait to be written down, and how many never were since the server started."""

    waiting: int
    lost: int


class ViewBuffer:
    """The views of one server process, written down by a thread of its own.

    Args:
        engine: where they are stored.
        room: how many acts and subjects are kept while nothing can be stored.
        count_lost: told how many are lost, whenever some are.
    """

    def __init__(
        self, engine: Engine, *, room: int = ROOM, count_lost: Callable[[int], None] = lambda _n: None
    ) -> None:
        self._engine = engine
        self._count_lost = count_lost
        self._room = room
        self._lock = threading.Lock()
        self._waiting: deque[Act] = deque()
        self._weight = 0
        self._at_work = 0
        self._lost = 0
        self._lost_untold = 0
        self._stopping = threading.Event()
        self._some = threading.Event()
        self._troubled = False
        self._log = structlog.get_logger("gloria")
        self._thread = threading.Thread(target=self._loop, name="views", daemon=True)

    def put(self, act: Act) -> None:
        """Keep an act until it is stored; it waits for nothing."""
        with self._lock:
            if self._weight + _weight(act) > self._room:
                self._lose(1)
            else:
                self._weight += _weight(act)
                self._waiting.append(act)
        self._some.set()

    def state(self) -> ViewState:
        """Return how it stands now."""
        with self._lock:
            return ViewState(len(self._waiting) + self._at_work, self._lost)

    def settle(self, patience_s: float = 2.0) -> bool:
        """Wait until what was seen in this process up to now is stored; False if it is not within the time."""
        until = time.monotonic() + patience_s
        while self.state().waiting:
            if time.monotonic() > until:
                return False
            self._some.set()
            time.sleep(0.01)
        return True

    def start(self) -> None:
        """Begin to store."""
        self._thread.start()

    def stop(self) -> None:
        """Store what is left and end; what can't be stored in time is lost."""
        self._stopping.set()
        self._some.set()
        self._thread.join(2 * STOP_WITHIN_S)

    def _loop(self) -> None:
        while not self._stopping.is_set():
            self._some.wait()
            # What comes within the same moment is stored together.
            self._stopping.wait(EVERY_S)
            self._some.clear()
            if not self._store_all():
                self._some.set()
                self._stopping.wait(_AGAIN_S)
        if not self._store_all():
            self._log.error("views lost", n=self.state().waiting)

    def _store_all(self) -> bool:
        """Store all that waits; return False if it could not be."""
        while True:
            acts, lost = self._taken()
            if not acts and not lost:
                return True
            try:
                self._store(acts, lost)
            except Exception as error:
                self._put_back(acts, lost)
                if not self._troubled:
                    self._log.warning("views not stored", error=type(error).__name__, n=len(acts))
                self._troubled = True
                return False
            self._done(acts)

    def _taken(self) -> tuple[list[Act], int]:
        with self._lock:
            acts: list[Act] = []
            weight = 0
            while self._waiting and weight < PER_TRANSACTION:
                acts.append(self._waiting.popleft())
                weight += _weight(acts[-1])
            lost, self._lost_untold = self._lost_untold, 0
            self._at_work = len(acts)
            return acts, lost

    def _put_back(self, acts: list[Act], lost: int) -> None:
        with self._lock:
            self._waiting.extendleft(reversed(acts))
            self._lost_untold += lost
            self._at_work = 0

    def _done(self, acts: list[Act]) -> None:
        with self._lock:
            self._weight -= sum(map(_weight, acts))
            self._at_work = 0
        if self._troubled:
            self._log.info("views are stored again")
        self._troubled = False

    def _store(self, acts: list[Act], lost: int) -> None:
        told = [_gap(lost)] if lost else []
        try:
            self._write([*acts, *told])
        except (IntegrityError, DataError):
            # One that can't be stored at all must not keep the others from it.
            for act in [*acts, *told]:
                try:
                    self._write([act])
                except (IntegrityError, DataError) as error:
                    self._log.error("view can't be stored", operation=act.operation, error=type(error).__name__)
                    with self._lock:
                        self._lose(1)

    def _write(self, acts: list[Act]) -> None:
        with writing(self._engine, STOP_WITHIN_S) as session:
            write_down(session, _without_inventions(session, acts))

    def _lose(self, n: int) -> None:
        self._lost += n
        self._lost_untold += n
        self._count_lost(n)


def _weight(act: Act) -> int:
    return 1 + len(act.subjects)


def _gap(lost: int) -> Act:
    return Act(
        at=datetime.now(UTC),
        resource="audit",
        action="create",
        how=How.SERVER,
        operation="views_lost",
        outcome=Outcome.LOST,
        lost=lost,
    )


def _without_inventions(session: Session, acts: list[Act]) -> list[Act]:
    """Leave out of refused acts what does not exist: an address may hold any text, and the trail holds ids only."""
    named: dict[str, set[str]] = {}
    for act in acts:
        if act.outcome is Outcome.REFUSED:
            for one in act.subjects:
                named.setdefault(one.kind, set()).add(one.id)
    there = {(kind, found) for kind, ids in named.items() for found in _existing(session, kind, sorted(ids))}
    return [
        replace(act, subjects=tuple(one for one in act.subjects if (one.kind, one.id) in there))
        if act.outcome is Outcome.REFUSED
        else act
        for act in acts
    ]


def _existing(session: Session, kind: str, ids: list[str]) -> set[str]:
    table_name, _, column_name = COLUMNS.get(kind, "").partition(".")
    if not column_name:
        return set()
    column: Any = SQLModel.metadata.tables[table_name].c[column_name]
    asked: list[Any] = list(ids)
    if column.type.python_type is int:
        asked = [int(one) for one in ids if one.isascii() and one.isdigit() and int(one) <= _BIGGEST_ID]
    found: set[str] = set()
    for start in range(0, len(asked), _IN_ONE_QUERY):
        rows = session.execute(select(column).where(column.in_(asked[start : start + _IN_ONE_QUERY]))).all()
        found |= {str(row[0]) for row in rows}
    return found
