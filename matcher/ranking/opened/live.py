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

from indexer.database import reading
from indexer.encoders.embeddings import CacheError, EmbeddingCache
from indexer.encoders.encoder import load_encoders
from indexer.encoders.query_vectors import DEADLINE_S, BatchedQueries
from indexer.index.building import on_disk
from indexer.index.generations import SnapshotError, verified_manifest
from indexer.records.record_tables import ChangeCounter, changes_since
from indexer.settings import Settings
from indexer.vocabulary import Kind
from indexer.wording import T_
from matcher.ranking.opened.catalogue import Catalogue
from matcher.ranking.opened.opened_index import IndexRenewal, OpenedIndex, Wanted
from matcher.ranking.pairings import Matcher
from matcher.ranking.ranker import WeightsError
from matcher.ranking.rankers import default_ranker, ranker_in_use, version_in_use
from matcher.ranking.reach.rule_in_use import stamp_of

CHECK_EVERY_S = 0.5
"""How often, at most, the database and the index are asked whether something is new."""
WATCH_EVERY_S = 1.0
"""How often a process looks by itself."""
FILES_EVERY_S = 24 * 3600.0
"""How often a process compares the files of the generation that it answers from with what they were."""
CLOSING_S = 5.0
"""How long closing waits for what goes on in the background, which would not hinder the process from ending."""
_FOLLOWED = {Kind.LABS: "labs", Kind.SCHOOLS: "schools", Kind.COMPANIES: "companies"}
"""The kinds of records that a catalogue holds, and what it calls them."""

_log = logging.getLogger(__name__)

Numbers = Mapping[Kind, int]
"""For each kind of record the number of its last change."""


@dataclass(frozen=True)
class LiveState:
    """What can be served.

    `generation` is the one that answers name, None if nothing can be matched;
    `on_disk` the one that it rests on, of `created_at`. `taken_in` counts the labs
    that are newer than that one and can be matched, `not_indexed` those that can't
    yet. `problem` None means that all is well; `newest_problem` says why a newer
    generation is not used, without folders.
    """

    generation: str | None
    on_disk: str | None
    created_at: str | None
    labs: int
    taken_in: int
    not_indexed: int
    models_ready: bool
    problem: str | None
    newest_problem: str | None


class LiveMatcher:
    """The matcher of a server process. Any number of threads may use it."""

    def __init__(
        self,
        settings: Settings,
        engine: Engine,
        *,
        check_every_s: float = CHECK_EVERY_S,
        encoding_deadline_s: float = DEADLINE_S,
        takes_in: bool = True,
        files_every_s: float = FILES_EVERY_S,
    ) -> None:
        """Open nothing yet: the first `current` or `warm` does.

        Args:
            settings: where the index is and which encoders it has.
            engine: the database; the caller disposes of it after `close`.
            check_every_s: see `CHECK_EVERY_S`.
            encoding_deadline_s: how long a request waits for its need to be encoded.
            takes_in: whether labs and own terms are taken in that changed since the index was built.
            files_every_s: see `FILES_EVERY_S`.
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
        self._takes_in = takes_in
        self._renewal = IndexRenewal(settings, engine, self._encoding, takes_in=takes_in)
        self._renewing: threading.Thread | None = None
        self._closing = False
        self._files_every_s = files_every_s
        self._files_problem: str | None = None
        self._records_problem: str | None = None
        self._ranker_problem: str | None = None
        self._promoted: str | None = None
        self._reach_stamp = 0
        self._ranker = default_ranker().with_depth(settings.depth)

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

        What the index lacks of the records is taken in afterwards, in the background: it may be a whole import, and
        everything else can be matched meanwhile.

        Raises:
            SnapshotError: there is no usable index yet; the encoders are loaded all the same.
            EncoderError: an encoder can't be loaded.
        """
        self._encoding().warm()
        self.current().index.passages.read_all()

    def watch(self, stopping: threading.Event) -> None:
        """Look for news until `stopping` is set, so that a process that nobody asks does not fall behind."""
        files_due = time.monotonic() + self._files_every_s
        while not stopping.wait(min(WATCH_EVERY_S, self._files_every_s)):
            if time.monotonic() >= files_due:
                self.check_files()
                files_due = time.monotonic() + self._files_every_s
            try:
                self.current()
            except Exception as error:
                # Whoever asks is told; here there is nobody to tell.
                _log.debug("nothing to serve yet: %s", error)

    def check_files(self) -> None:
        """Compare every byte of the generation that answers rest on with its manifest; `state` tells what is wrong.

        Requests go on: what was opened was whole. But the next start would not find it, and who changed it may go on.
        """
        matcher = self._matcher
        if matcher is None:
            return
        try:
            verified_manifest(self._settings.index_path / on_disk(matcher.snapshot.generation))
        except SnapshotError as error:
            _log.warning("the generation in use was changed on the disk: %s", error)
            self._files_problem = T_("the files of the index in use are no longer what they were; run: gloria doctor")
        else:
            self._files_problem = None

    def state(self) -> LiveState:
        """Return what can be served, without looking for news."""
        matcher, queries, renewal = self._matcher, self._queries, self._renewal
        problem = renewal.problem or renewal.overlay_problem or self._records_problem or self._ranker_problem
        problem = problem or self._files_problem
        ready = queries is not None and queries.ready
        if matcher is None:
            problem = problem or T_("nothing has been opened yet")
            return LiveState(None, None, None, 0, 0, 0, ready, problem, None)
        snapshot = matcher.snapshot
        return LiveState(
            generation=snapshot.generation,
            on_disk=on_disk(snapshot.generation),
            created_at=snapshot.created_at,
            labs=len(snapshot.lab_ids),
            taken_in=renewal.labs_taken_in(snapshot),
            not_indexed=len(matcher.not_indexed),
            models_ready=ready,
            problem=problem,
            newest_problem=matcher.index.problem,
        )

    def close(self) -> None:
        """Stop encoding and what goes on in the background; whoever waits for vectors gets `EncodingBusyError`."""
        with self._changing:
            self._closing = True
            if self._queries is not None:
                self._queries.close()
        if self._renewing is not None:
            self._renewing.join(CLOSING_S)

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
            if self._renewal.problem is not None and time.monotonic() < self._next_check:
                raise SnapshotError(self._renewal.problem)
            self._next_check = time.monotonic() + self._check_every_s
            index = self._renewal.open_first()
            with reading(self._engine) as session:
                numbers = numbers_of(session)
                catalogue = Catalogue.load(session)
            self._choose_ranker()
            matcher = self._put(index, catalogue, numbers)
            self._renew_if_due()
            return matcher

    def _put(self, index: OpenedIndex, catalogue: Catalogue, numbers: Numbers) -> Matcher:
        """Make the next matcher, with all that requests need of it computed, and swap it in."""
        # Before the rule is read: one that is put in use meanwhile is then seen as new.
        stamp = stamp_of(self._settings)
        matcher = Matcher(
            settings=self._settings,
            index=index,
            catalogue=catalogue,
            queries=self._encoding(),
            ranker=self._ranker,
            taken_in=self._takes_in and not self._renewal.is_holding,
            revision="-".join(str(numbers.get(kind, 0)) for kind in _FOLLOWED),
        )
        matcher.prepare()
        self._reach_stamp = stamp
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
        self._follow_ranker()
        self._renew_if_due()

    def _follow_ranker(self) -> None:
        matcher = self._matcher
        stamp = stamp_of(self._settings)
        if matcher is not None and (self._choose_ranker() or stamp != self._reach_stamp):
            self._put(matcher.index, matcher.catalogue, self._seen)

    def _choose_ranker(self) -> bool:
        """Take up the ranker that was promoted or restored; whether it is another one than before.

        Where it can't be read, requests go on with the one before.
        """
        before = self._ranker
        try:
            version = version_in_use(self._settings)
            if version != self._promoted or self._ranker_problem is not None:
                self._ranker = ranker_in_use(self._settings)
                self._promoted = version
            self._ranker_problem = None
        except WeightsError as error:
            if self._ranker_problem is None:
                _log.warning("the ranker in use can't be read: %s", error)
            self._ranker_problem = T_("the promoted ranker can't be read; the one before is used")
        return self._ranker != before

    def _renew_if_due(self) -> None:
        idle = self._renewing is None or not self._renewing.is_alive()
        if idle and not self._closing and self._renewal.is_due(self._wanted()):
            self._renewing = threading.Thread(target=self._renew, name="index-renewing", daemon=True)
            self._renewing.start()

    def _wanted(self) -> Wanted:
        return self._seen.get(Kind.LABS, 0), self._seen.get(Kind.TERMS, 0)

    def _renew(self) -> None:
        """Open a new generation if there is one, take in what changed since it was built, swap the outcome in whole."""
        with self._changing:
            matcher, wanted = self._matcher, self._wanted()
        if matcher is None:
            return
        had_more = self._renewal.has_taken_in(matcher.snapshot)
        index = self._renewal.newly_opened(matcher.index)
        if not had_more or index.snapshot is matcher.snapshot:
            # Nothing was taken in that would be missed, and taking in may take long.
            self._swap_in(index)
        self._swap_in(self._renewal.taken_in(index, matcher.catalogue, wanted))

    def _swap_in(self, index: OpenedIndex) -> None:
        with self._changing:
            if self._matcher is not None and index is not self._matcher.index and not self._closing:
                self._put(index, self._matcher.catalogue, self._seen)

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
    """Return the number of the last change of each kind that is followed, and of own terms, which the index knows."""
    rows = session.exec(select(ChangeCounter.kind, ChangeCounter.n)).all()
    known = {kind: int(n) for kind, n in rows}
    return {kind: known.get(kind.value, 0) for kind in (*_FOLLOWED, Kind.TERMS)}
