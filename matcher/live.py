"""A matcher that stays up to date while a server answers from it.

In: settings and a database engine. Out: `current()`, the matcher of this
moment, which a request takes once and uses to its end. It exists because the
night replaces the index and people edit records under those who are working:
a new generation is opened in the background and swapped in whole, records are
read again one by one as the change feed names them, and whatever is wrong
with the new leaves the old in place with the reason told.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace

from sqlalchemy import Engine
from sqlmodel import Session, select

from indexer.batching import DEADLINE_S, BatchedQueries
from indexer.changes import ChangeCounter, changes_since
from indexer.database import reading
from indexer.embeddings import CacheError, EmbeddingCache
from indexer.encoder import load_encoders
from indexer.generation import POINTER
from indexer.settings import Settings
from indexer.snapshot import SnapshotError
from indexer.vocabulary import Kind
from matcher.catalogue import Catalogue
from matcher.opened_index import OpenedIndex, check_encoders, open_index
from matcher.pairings import Matcher

CHECK_EVERY_S = 0.5
"""How often, at most, the database and the index are asked whether something is new."""
WATCH_EVERY_S = 1.0
"""How often a process looks by itself."""
_FOLLOWED = {Kind.LABS: "labs", Kind.SCHOOLS: "schools", Kind.COMPANIES: "companies"}
"""The kinds of records that a catalogue holds, and what it calls them."""

_log = logging.getLogger(__name__)

Numbers = Mapping[Kind, int]
"""For each kind of record the number of its last change."""


@dataclass(frozen=True)
class LiveState:
    """What can be served.

    `generation` None means that nothing can be matched, `problem` None that all is
    well; `newest_problem` says why a newer generation is not used, without folders.
    """

    generation: str | None
    created_at: str | None
    labs: int
    not_indexed: int
    models_ready: bool
    problem: str | None
    newest_problem: str | None = None


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
        self._opening: threading.Thread | None = None
        self._index_problem: str | None = None
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

        Raises:
            SnapshotError: there is no usable index yet; the encoders are loaded all the same.
            EncoderError: an encoder can't be loaded.
        """
        self._encoding().warm()
        self.current().index.passages.read_all()

    def watch(self, stopping: threading.Event) -> None:
        """Look for news until `stopping` is set, so that a process that nobody asks does not fall behind."""
        while not stopping.wait(WATCH_EVERY_S):
            try:
                self.current()
            except Exception as error:
                # Whoever asks is told; here there is nobody to tell.
                _log.debug("nothing to serve yet: %s", error)

    def state(self) -> LiveState:
        """Return what can be served, without looking for news."""
        matcher, queries = self._matcher, self._queries
        problem = self._index_problem or self._records_problem
        ready = queries is not None and queries.ready
        if matcher is None:
            return LiveState(None, None, 0, 0, ready, problem or "nothing has been opened yet")
        snapshot = matcher.snapshot
        missing = len(matcher.not_indexed)
        return LiveState(
            snapshot.generation,
            snapshot.created_at,
            len(snapshot.lab_ids),
            missing,
            ready,
            problem,
            matcher.index.problem,
        )

    def close(self) -> None:
        """Stop encoding; whoever waits for it gets `EncodingBusyError`."""
        with self._changing:
            if self._queries is not None:
                self._queries.close()

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
                index = self._opened(fall_back=True)
            except SnapshotError as error:
                self._index_problem = str(error)
                raise
            with reading(self._engine) as session:
                numbers = numbers_of(session)
                catalogue = Catalogue.load(session)
            self._index_problem = index.problem
            return self._put(index, catalogue, numbers)

    def _opened(self, *, fall_back: bool) -> OpenedIndex:
        # A server must outlive what it opens, so another process opens it first.
        index = open_index(self._settings, fall_back=fall_back, first_elsewhere=True)
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
        pointer = self._pointer()
        if pointer != self._tried and (self._opening is None or not self._opening.is_alive()):
            self._tried = pointer
            self._opening = threading.Thread(target=self._open_next, name="index-opening", daemon=True)
            self._opening.start()

    def _pointer(self) -> tuple[object, ...]:
        """Return what changes whenever a generation is published, be it the same one mended."""
        try:
            path = self._settings.index_path / POINTER
            found = path.stat()
            return path.read_bytes(), found.st_mtime_ns, found.st_ino
        except OSError as error:
            return (error.errno,)

    def _open_next(self) -> None:
        try:
            index = self._opened(fall_back=False)
            with self._changing:
                if self._matcher is not None:
                    self._put(index, self._matcher.catalogue, self._seen)
        except Exception as error:
            # The old generation stays, and its answers say that a newer one is not used.
            self._index_problem = self._relative(error)
            _log.warning("the newest index generation is not used: %s", error)
            with self._changing:
                if self._matcher is not None:
                    index = replace(self._matcher.index, problem=self._index_problem)
                    self._put(index, self._matcher.catalogue, self._seen)
        else:
            self._index_problem = None
            _log.info("index generation %s is used from now on", index.snapshot.generation)

    def _relative(self, error: Exception) -> str:
        """Say what is wrong with a generation without the server's folders."""
        index_path = self._settings.index_path
        return str(error).replace(str(index_path), index_path.name) or type(error).__name__

    def _follow_records(self) -> None:
        matcher = self._matcher
        if matcher is None:
            return
        with reading(self._engine) as session:
            numbers = numbers_of(session)
            if numbers == self._seen:
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
    """Return the number of the last change of each kind that is followed."""
    rows = session.exec(select(ChangeCounter.kind, ChangeCounter.n)).all()
    known = {kind: int(n) for kind, n in rows}
    return {kind: known.get(kind.value, 0) for kind in _FOLLOWED}
