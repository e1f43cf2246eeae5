"""An index generation ready to be searched and quoted, and the index of a server, kept new.

In: a snapshot and the encoders of this machine; for a server also its settings, the database and the labs of a
moment. Out: what every answer needs of an index, computed once; the opened index to go on with, and what is wrong
with a newer one. It exists apart from the matcher because it is the expensive part: records change many times a
day, the index once a night; and apart from `live`, which answers requests meanwhile and swaps in what comes out
here.

A lab or a glossary that changed is taken in by composing in memory what the next generation will hold
(`indexer.index.building.overlaid`); once that generation is there, nothing is left to take in and it is used as it
is. While one is held back, nothing is taken in either: it would be the same in memory.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from sqlalchemy import Engine

from indexer.database import reading
from indexer.encoders.embeddings import CacheError, EmbeddingCache
from indexer.encoders.encoding import EncoderError
from indexer.encoders.query_vectors import BatchedQueries, QueryVectors
from indexer.index.building import overlaid, taken_in
from indexer.index.generations import POINTER, SnapshotError, holds, judged_worse
from indexer.index.opening import open_newest_usable, open_snapshot
from indexer.index.snapshot import Snapshot
from indexer.records.record_tables import last_changes, load_terms
from indexer.settings import Settings
from indexer.vocabulary import Kind
from indexer.wording import T_, replaced
from matcher.ranking.explanation import PassageWords
from matcher.ranking.opened.catalogue import Catalogue
from matcher.ranking.signals import Searcher


@dataclass(frozen=True)
class OpenedIndex:
    """A snapshot with its searcher and its passages as read.

    `problem` says why a newer generation is not used instead, None if this is the newest.
    """

    snapshot: Snapshot
    searcher: Searcher
    passages: PassageWords
    problem: str | None = None

    @classmethod
    def of(cls, snapshot: Snapshot, problem: str | None = None) -> OpenedIndex:
        """Return a snapshot with what every answer needs of it computed."""
        return cls(snapshot, Searcher(snapshot), PassageWords(snapshot), problem)


def open_index(settings: Settings, *, fall_back: bool = True, first_elsewhere: bool = False) -> OpenedIndex:
    """Open the current generation after checking every byte of it.

    Args:
        settings: where the index is and which encoders it has.
        fall_back: take the newest of the earlier generations if the current one can't be used.
        first_elsewhere: see `indexer.index.opening.open_snapshot`.

    Raises:
        SnapshotError: there is none, or it is damaged, or other encoders are configured.
    """
    problem = None
    if fall_back:
        snapshot, problem = open_newest_usable(settings.index_path, first_elsewhere=first_elsewhere)
    else:
        snapshot = open_snapshot(settings.index_path, first_elsewhere=first_elsewhere)
    built = [field.name for field in snapshot.fields]
    if built != settings.encoder_names():
        raise SnapshotError(
            T_(
                "the index has the encoders %(built)s, the settings name %(named)s; run: gloria reindex",
                built=", ".join(built),
                named=", ".join(settings.encoder_names()),
            )
        )
    return OpenedIndex.of(snapshot, problem)


def check_encoders(snapshot: Snapshot, queries: QueryVectors) -> None:
    """Refuse an index whose passages were encoded otherwise than this machine encodes queries.

    Raises:
        SnapshotError: an encoder's weights or arithmetic differ.
        EncoderError: an encoder can't be loaded.
    """
    for field in snapshot.fields:
        identity = queries.identity(field.name)
        if identity != field.identity:
            raise SnapshotError(
                T_(
                    "the index was built with %(identity)s, this machine has %(here)s; run: gloria reindex",
                    identity=field.identity,
                    here=identity,
                )
            )


REST_FACTOR = 2.0
"""What changed is taken in again only after a rest, so many times what it took of a core: at most a third of one."""
AGAIN_AFTER_S = 10.0
"""The rest after what changed could not be taken in."""

_log = logging.getLogger(__name__)

Wanted = tuple[int, int]
"""The numbers of the last changes of labs and of own terms."""


class IndexRenewal:
    """The index side of a live matcher. One thread at a time renews; any may ask what is wrong.

    `problem` says why the newest generation is not used, `overlay_problem` why what changed is not taken in;
    `is_holding` that it is not before somebody has decided on a generation that is held back.
    """

    def __init__(
        self, settings: Settings, engine: Engine, queries: Callable[[], BatchedQueries], *, takes_in: bool
    ) -> None:
        """Open nothing yet.

        Args:
            settings: where the index is and which encoders it has.
            engine: where an office's own terms are, which are part of the index.
            queries: gives the server's encoders.
            takes_in: whether what changed since a generation was built is taken in.
        """
        self._settings = settings
        self._engine = engine
        self._queries = queries
        self._takes_in = takes_in
        self._tried: tuple[object, ...] = ()
        self._base: OpenedIndex | None = None
        self._knows: Wanted | None = None
        self._holds: tuple[tuple[str, int], ...] = ()
        self._rest_until = 0.0
        self.is_holding = False
        self.problem: str | None = None
        self.overlay_problem: str | None = None

    def open_first(self) -> OpenedIndex:
        """Open the newest generation that can be used.

        Raises:
            SnapshotError: there is none.
        """
        self._tried = self._pointer()
        try:
            self._base = self._opened(fall_back=True)
        except SnapshotError as error:
            self.problem = str(error)
            raise
        self.problem = self._base.problem
        return self._base

    def is_due(self, wanted: Wanted) -> bool:
        """Whether there is another generation, or something to take in and the last time is long enough ago."""
        behind = not self.knows(wanted) and time.monotonic() >= self._rest_until
        return behind or self._pointer() != self._tried or holds(self._settings.index_path) != self._holds

    def knows(self, wanted: Wanted) -> bool:
        """Whether the index was last composed of records with these changes, or was found to hold them."""
        return self._knows == wanted

    def has_taken_in(self, snapshot: Snapshot) -> bool:
        """Whether a snapshot is more than the generation that was opened last."""
        return self._base is not None and snapshot is not self._base.snapshot

    def labs_taken_in(self, snapshot: Snapshot) -> int:
        """Return how many labs of a snapshot are newer than the generation that was opened last."""
        return 0 if self._base is None else taken_in(self._base.snapshot, snapshot)

    def newly_opened(self, current: OpenedIndex) -> OpenedIndex:
        """Return the newest generation if it was not tried before; if it can't be used the current one, marked."""
        pointer = self._pointer()
        if pointer == self._tried:
            return current
        self._tried = pointer
        try:
            self._base = self._opened(fall_back=False)
        except Exception as error:
            # The old generation stays, and its answers say that a newer one is not used.
            self.problem = self._relative(error)
            _log.warning("the newest index generation is not used: %s", error)
            if self._base is not None:
                self._base = replace(self._base, problem=self.problem)
            return replace(current, problem=self.problem)
        self.problem = None
        _log.info("index generation %s was opened", self._base.snapshot.generation)
        return self._base

    def taken_in(self, current: OpenedIndex, catalogue: Catalogue, wanted: Wanted) -> OpenedIndex:
        """Return an index that holds all labs of a catalogue: the current one if nothing is to be taken in, or can be.

        Args:
            current: the generation opened last, or what was returned here before.
            catalogue: the labs.
            wanted: the numbers of the last change of labs and of own terms.
        """
        base, started = self._base, time.thread_time()
        self._holds = holds(self._settings.index_path)
        if not self._takes_in or base is None:
            self._knows = wanted
            return current
        held = judged_worse(self._settings.index_path, since=base.snapshot.created_at)
        self.is_holding = held is not None
        if held is not None:
            # Composed in memory it would be what was found to be worse.
            self.overlay_problem = T_(
                "nothing is taken in while generation %(name)s is held back: %(held)s", name=held.name, held=held.held
            )
            _log.warning("%s", self.overlay_problem)
            self._knows = wanted
            return base
        try:
            snapshot, self._knows = self._composed(base.snapshot, current.snapshot, catalogue, wanted)
        except Exception as error:
            why = str(error) if isinstance(error, CacheError | EncoderError) else type(error).__name__
            self.overlay_problem = T_("what changed since the index was built can't be taken in: %(why)s", why=why)
            self._knows, self._rest_until = None, time.monotonic() + AGAIN_AFTER_S
            _log.warning("%s", self.overlay_problem)
            return current
        self.overlay_problem = None
        if snapshot is current.snapshot:
            return current
        self._rest_until = time.monotonic() + REST_FACTOR * (time.thread_time() - started)
        _log.info("index generation %s was composed", snapshot.generation)
        return base if snapshot is base.snapshot else OpenedIndex.of(snapshot, base.problem)

    def _composed(
        self, base: Snapshot, known: Snapshot, catalogue: Catalogue, wanted: Wanted
    ) -> tuple[Snapshot, Wanted]:
        with reading(self._engine) as session:
            watermark = {**last_changes(session), Kind.LABS.value: wanted[0]}
            own_terms = load_terms(session)
        snapshot = overlaid(
            base,
            known=known,
            labs=catalogue.labs,
            fingerprints=catalogue.fingerprints,
            encoders=self._queries().in_background(),
            cache=EmbeddingCache(self._settings.embeddings_path),
            watermark=watermark,
            own_terms=own_terms,
        )
        return snapshot, (wanted[0], watermark.get(Kind.TERMS.value, 0))

    def _opened(self, *, fall_back: bool) -> OpenedIndex:
        # A server must outlive what it opens, so another process opens it first.
        index = open_index(self._settings, fall_back=fall_back, first_elsewhere=True)
        check_encoders(index.snapshot, self._queries())
        return index

    def _pointer(self) -> tuple[object, ...]:
        """Return what changes whenever a generation is published, be it the same one mended."""
        try:
            path = self._settings.index_path / POINTER
            found = path.stat()
            return path.read_bytes(), found.st_mtime_ns, found.st_ino
        except OSError as error:
            return (error.errno,)

    def _relative(self, error: Exception) -> str:
        """Say what is wrong with a generation without the server's folders."""
        index_path = self._settings.index_path
        return replaced(str(error), str(index_path), index_path.name) or type(error).__name__
