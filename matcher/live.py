"""A matcher that stays up to date while a server answers from it.

In: settings and a database engine. Out: `current()`, the matcher of this
moment, which a request takes once and uses to its end. It exists because the
night replaces the index and people edit records under those who are working:
a new generation is opened in the background and swapped in whole, records are
read again one by one as the change feed names them, and what they change in
the index is taken in within seconds, in the background too. Whatever is wrong
with the new leaves the old in place with the reason told.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import Engine
from sqlmodel import Session, select

from indexer.batching import DEADLINE_S, BatchedQueries
from indexer.changes import ChangeCounter, changes_since
from indexer.database import reading
from indexer.embeddings import CacheError, EmbeddingCache
from indexer.encoder import EncoderError, load_encoders
from indexer.generation import POINTER
from indexer.overlay import on_disk, taken_in
from indexer.settings import Settings
from indexer.snapshot import SnapshotError
from indexer.vocabulary import Kind
from matcher.catalogue import Catalogue
from matcher.opened_index import OpenedIndex, check_encoders, open_index
from matcher.pairings import Matcher
from matcher.taking_in import brought_up_to_date

CHECK_EVERY_S = 0.5
"""How often, at most, the database and the index are asked whether something is new."""
WATCH_EVERY_S = 1.0
"""How often the same is done though nobody asks for anything, once the server has warmed up."""
REST_FACTOR = 2.0
"""What changed is taken in again only after a rest, so many times as long as it took: at most a third of one core."""
AGAIN_AFTER_S = 10.0
"""The rest after what changed could not be taken in."""
CLOSING_S = 5.0
"""How long closing waits for each thread; none of them would hinder the process from ending."""
_FOLLOWED = {Kind.LABS: "labs", Kind.SCHOOLS: "schools", Kind.COMPANIES: "companies"}
"""The kinds of records that a catalogue holds, and what it calls them."""

_log = logging.getLogger(__name__)

Numbers = Mapping[Kind, int]
"""For each kind of record the number of its last change."""


@dataclass(frozen=True)
class LiveState:
    """What can be served: `generation` None means that nothing can be matched, `problem` None that all is well.

    `generation` is the one that answers name, `on_disk` the one that it rests on, of `created_at`; `taken_in` counts
    the labs that are newer than that and can be matched, `not_indexed` those that can't yet.
    """

    generation: str | None
    on_disk: str | None
    created_at: str | None
    labs: int
    taken_in: int
    not_indexed: int
    models_ready: bool
    problem: str | None


class LiveMatcher:
    """The matcher of a server process. Any number of threads may use it."""

    def __init__(
        self,
        settings: Settings,
        engine: Engine,
        *,
        check_every_s: float = CHECK_EVERY_S,
        encoding_deadline_s: float = DEADLINE_S,
    ) -> None:
        """Open nothing yet: the first `current` or `warm` does.

        Args:
            settings: where the index is and which encoders it has.
            engine: the database; the caller disposes of it after `close`.
            check_every_s: see `CHECK_EVERY_S`.
            encoding_deadline_s: how long a request waits for its need to be encoded.
        """
        self._settings = settings
        self._engine = engine
        self._check_every_s = check_every_s
        self._encoding_deadline_s = encoding_deadline_s
        self._changing = threading.RLock()
        self._matcher: Matcher | None = None
        self._queries: BatchedQueries | None = None
        self._seen: Numbers = {}
        self._next_check = 0.0
        self._tried: tuple[object, ...] = ()
        self._base: OpenedIndex | None = None
        self._knows: tuple[int, int] | None = None
        self._rest_until = 0.0
        self._renewing: threading.Thread | None = None
        self._watching: threading.Thread | None = None
        self._closing = threading.Event()
        self._index_problem: str | None = None
        self._overlay_problem: str | None = None
        self._records_problem: str | None = None

    def current(self) -> Matcher:
        """Return the matcher of this moment; it stays as it is however long it is used.

        Raises:
            SnapshotError: there is no usable index yet; a later call finds it once there is one.
            EncoderError: an encoder can't be loaded.
            BusyError: the records could not be read for the first time.
            DatabaseGoneError: the same.
        """
        matcher = self._matcher
        if matcher is None:
            return self._first()
        if time.monotonic() >= self._next_check and self._changing.acquire(blocking=False):
            # Whoever comes while one looks goes on with what there is.
            try:
                self._look()
            finally:
                self._next_check = time.monotonic() + self._check_every_s
                self._changing.release()
        return self._matcher or matcher

    def warm(self) -> None:
        """Open the index, load the encoders and read the passages, so that no request has to wait for it.

        From now on news are looked for without anybody asking. What the index lacks of the records is taken in
        afterwards, in the background: it may be a whole import, and everything else can be matched meanwhile.

        Raises:
            SnapshotError: there is no usable index yet; the encoders are loaded all the same.
            EncoderError: an encoder can't be loaded.
        """
        with self._changing:
            if self._watching is None and not self._closing.is_set():
                self._watching = threading.Thread(target=self._watch, name="watching", daemon=True)
                self._watching.start()
        self._encoding().warm()
        self.current().index.passages.read_all()

    def state(self) -> LiveState:
        """Return what can be served, without looking for news."""
        matcher, base, queries = self._matcher, self._base, self._queries
        problem = self._index_problem or self._overlay_problem or self._records_problem
        snapshot = None if matcher is None else matcher.snapshot
        return LiveState(
            generation=None if snapshot is None else snapshot.generation,
            on_disk=None if snapshot is None else on_disk(snapshot.generation),
            created_at=None if snapshot is None else snapshot.created_at,
            labs=0 if snapshot is None else len(snapshot.lab_ids),
            taken_in=0 if snapshot is None or base is None else taken_in(base.snapshot, snapshot),
            not_indexed=0 if matcher is None else len(matcher.not_indexed),
            models_ready=queries is not None and queries.ready,
            problem=problem or ("nothing has been opened yet" if matcher is None else None),
        )

    def close(self) -> None:
        """Stop encoding and what goes on in the background; whoever waits for vectors gets `EncodingBusyError`."""
        self._closing.set()
        with self._changing:
            if self._queries is not None:
                self._queries.close()
        for thread in (self._watching, self._renewing):
            if thread is not None:
                thread.join(CLOSING_S)

    def _watch(self) -> None:
        while not self._closing.wait(WATCH_EVERY_S):
            try:
                self.current()
            except Exception as error:
                # Whoever asks for a match is told; what is wrong with the index stands in `state`.
                _log.debug("there is nothing to match with: %s", type(error).__name__)

    def _encoding(self) -> BatchedQueries:
        with self._changing:
            if self._queries is None:
                try:
                    cache = EmbeddingCache(self._settings.embeddings_path)
                except CacheError as error:
                    _log.warning("the embedding cache is not read: %s", error)
                    cache = None
                encoders = load_encoders(self._settings)
                self._queries = BatchedQueries(encoders, cache, deadline_s=self._encoding_deadline_s)
            return self._queries

    def _first(self) -> Matcher:
        with self._changing:
            if self._matcher is not None:
                return self._matcher
            if self._index_problem is not None and time.monotonic() < self._next_check:
                raise SnapshotError(self._index_problem)
            self._next_check = time.monotonic() + self._check_every_s
            try:
                self._tried = self._pointer()
                index = self._opened()
            except SnapshotError as error:
                self._index_problem = str(error)
                raise
            with reading(self._engine) as session:
                numbers = numbers_of(session)
                catalogue = Catalogue.load(session)
            self._index_problem = None
            self._base = index
            matcher = self._put(index, catalogue, numbers)
            self._renew_if_due()
            return matcher

    def _opened(self) -> OpenedIndex:
        index = open_index(self._settings)
        check_encoders(index.snapshot, self._encoding())
        return index

    def _put(self, index: OpenedIndex, catalogue: Catalogue, numbers: Numbers) -> Matcher:
        """Make the next matcher, with all that requests need of it computed, and swap it in."""
        matcher = Matcher(
            settings=self._settings,
            index=index,
            catalogue=catalogue,
            queries=self._encoding(),
            revision="-".join(str(numbers.get(kind, 0)) for kind in _FOLLOWED),
        )
        matcher.prepare()
        self._seen = numbers
        self._matcher = matcher
        return matcher

    def _look(self) -> None:
        try:
            self._follow_records()
        except Exception as error:
            # Whatever it is, requests go on with the records that were read before.
            self._records_problem = f"the records can't be read again ({type(error).__name__})"
            _log.warning("%s", self._records_problem)
        else:
            self._records_problem = None
        self._renew_if_due()

    def _renew_if_due(self) -> None:
        news = self._pointer() != self._tried
        behind = self._knows != self._wanted() and time.monotonic() >= self._rest_until
        idle = self._renewing is None or not self._renewing.is_alive()
        if (news or behind) and idle and not self._closing.is_set():
            self._renewing = threading.Thread(target=self._renew, name="index-renewing", daemon=True)
            self._renewing.start()

    def _wanted(self) -> tuple[int, int]:
        """Return the last changes of labs and of needs that are known of; `_knows` has those that the index knows."""
        return self._seen.get(Kind.LABS, 0), self._seen.get(Kind.NEEDS, 0)

    def _pointer(self) -> tuple[object, ...]:
        """Return what changes whenever a generation is published, be it the same one mended."""
        try:
            path = self._settings.index_path / POINTER
            found = path.stat()
            return path.read_bytes(), found.st_mtime_ns, found.st_ino
        except OSError as error:
            return (error.errno,)

    def _renew(self) -> None:
        """Open a new generation if there is one, take in what changed since it was built, swap the outcome in whole."""
        opened = self._newly_opened()
        with self._changing:
            matcher, (labs, _), base = self._matcher, self._wanted(), opened or self._base
            if matcher is None or base is None:
                return
            if opened is not None and matcher.index is self._base:
                # Nothing was taken in that would be missed, and taking in may take long.
                matcher = self._put(opened, matcher.catalogue, self._seen)
            self._base = base
        started, index, knows = time.monotonic(), opened, None
        try:
            index, needs = brought_up_to_date(
                base,
                opened or matcher.index,
                catalogue=matcher.catalogue,
                settings=self._settings,
                engine=self._engine,
                queries=self._encoding(),
            )
        except Exception as error:
            # What answers now goes on; a generation from the disk is used though it lacks what changed.
            why = str(error) if isinstance(error, CacheError | EncoderError) else type(error).__name__
            self._overlay_problem = f"what changed since the index was built can't be taken in: {why}"
            self._rest_until = time.monotonic() + AGAIN_AFTER_S
            if not self._closing.is_set():
                _log.warning("%s", self._overlay_problem)
        else:
            self._overlay_problem, knows = None, (labs, needs)
            self._rest_until = time.monotonic() + REST_FACTOR * (time.monotonic() - started)
        with self._changing:
            self._knows = knows
            if index is not None and self._matcher is not None and index is not self._matcher.index:
                self._put(index, self._matcher.catalogue, self._seen)
                _log.info("index generation %s is used from now on", index.snapshot.generation)

    def _newly_opened(self) -> OpenedIndex | None:
        """Return the newest generation if it was not tried yet and can be used."""
        pointer = self._pointer()
        if pointer == self._tried:
            return None
        self._tried = pointer
        try:
            index = self._opened()
        except Exception as error:
            # The old generation stays; what is wrong with the new one must not reach a request.
            self._index_problem = str(error) or type(error).__name__
            _log.warning("the newest index generation is not used: %s", self._index_problem)
            return None
        self._index_problem = None
        return index

    def _follow_records(self) -> None:
        matcher = self._matcher
        if matcher is None:
            return
        with reading(self._engine) as session:
            numbers = numbers_of(session)
            if all(numbers.get(kind, 0) == self._seen.get(kind, 0) for kind in _FOLLOWED):
                self._seen = numbers
                return
            changed: dict[str, list[str]] = {}
            for kind, name in _FOLLOWED.items():
                seen = self._seen.get(kind, 0)
                newest, ids = changes_since(session, kind, seen)
                if newest < numbers.get(kind, 0) or numbers.get(kind, 0) < seen:
                    # The feed was shortened, or the database was put back to an earlier state: all of it anew.
                    self._put(matcher.index, Catalogue.load(session), numbers)
                    return
                numbers = {**numbers, kind: max(newest, numbers.get(kind, 0))}
                changed[name] = ids
            self._put(matcher.index, matcher.catalogue.reloaded(session, **changed), numbers)


def numbers_of(session: Session) -> Numbers:
    """Return the number of the last change of each kind that is followed, and of needs, which the index knows."""
    rows = session.exec(select(ChangeCounter.kind, ChangeCounter.n)).all()
    known = {kind: int(n) for kind, n in rows}
    return {kind: known.get(kind.value, 0) for kind in (*_FOLLOWED, Kind.NEEDS)}
