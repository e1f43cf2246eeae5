"""From query texts to their vectors: one caller at a time, or the texts of many threads encoded together.

In: texts and the configured encoders. Out: for each text the vector of every encoder that covers its language,
taken from the embedding cache where it is known there. It exists twice: a command or a notebook (`DirectQueries`)
must not pay for a thread, and what it encodes once should be there the next time; a server's requests
(`BatchedQueries`) each bring two or three short texts, and one worker thread takes whatever is waiting, encodes it
as one batch per encoder and wakes those who asked, so that encoders are loaded once, are never called by two
threads, and one batch of sixteen requests costs less than sixteen calls. What is encoded beside requests lets those
go first who wait for an answer.

A server keeps new vectors in memory only. Writing them to the disk would buy little: a need is encoded again by the
next re-index anyway, and what is stored there is read here.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Protocol

import numpy as np

from indexer.arrays import FloatArray
from indexer.encoders.embeddings import CacheError, EmbeddingCache
from indexer.encoders.encoder import Encoder, load_encoder
from indexer.encoders.encoding import EncoderError, Progress, Role, covered
from indexer.records.passages import language_of
from indexer.settings import Settings
from indexer.wording import T_

Vectors = Mapping[str, FloatArray]
"""The vectors of one text under the names of the encoders; those that do not cover its language are missing."""


class QueryVectors(Protocol):
    """Turns query texts into vectors."""

    def identity(self, name: str) -> str:
        """Return the identity of a configured encoder (see `Encoder.identity`)."""

    def vectors(self, texts: Sequence[str]) -> list[Vectors]:
        """Return the vectors of each text, in order; texts may repeat.

        Raises:
            EncoderError: an encoder can't be loaded or gave something that is not a vector.
        """

    def known(self, texts: Sequence[str]) -> set[str]:
        """Return those of the texts that `vectors` answers without encoding anything."""

    def as_passages(self, texts: Sequence[str]) -> list[Vectors]:
        """Return the vectors that each text would have as a lab's passage, in order; nothing is kept of them.

        Raises:
            EncoderError: as for `vectors`.
        """


def _encoded_as_passages(encoders: Iterable[Encoder], texts: Sequence[str]) -> list[Vectors]:
    found: list[dict[str, FloatArray]] = [{} for _ in texts]
    for encoder in encoders:
        places = [i for i, text in enumerate(texts) if covered(language_of(text), encoder.languages)]
        if places:
            rows = encoder.encode([texts[i] for i in places], role="passage")
            for i, row in zip(places, rows, strict=True):
                found[i][encoder.name] = row
    return list(found)


def _held(
    texts: Sequence[str],
    encoders: Iterable[Encoder],
    stored: Callable[[Sequence[str], Encoder], Mapping[str, FloatArray]],
) -> dict[str, Vectors]:
    """Return the vectors of those texts for which every encoder that covers one has its vector stored."""
    found: dict[str, dict[str, FloatArray]] = {text: {} for text in texts}
    for encoder in encoders:
        asked = [text for text in found if covered(language_of(text), encoder.languages)]
        there = stored(asked, encoder)
        for text in asked:
            if text in there:
                found[text][encoder.name] = there[text]
            else:
                del found[text]
    return dict(found)


class DirectQueries:
    """Encodes in the calling thread; an encoder is loaded when it is first asked for. Not for several threads."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._encoders: dict[str, Encoder] = {}

    def _encoder(self, name: str) -> Encoder:
        if name not in self._encoders:
            self._encoders[name] = load_encoder(name, self._settings)
        return self._encoders[name]

    def identity(self, name: str) -> str:
        """See `QueryVectors.identity`."""
        return self._encoder(name).identity

    def vectors(self, texts: Sequence[str]) -> list[Vectors]:
        """See `QueryVectors.vectors`.

        Raises:
            CacheError: the embedding cache can't be used.
        """
        found: dict[str, dict[str, FloatArray]] = {text: {} for text in texts}
        cache = EmbeddingCache(self._settings.embeddings_path)
        for name in self._settings.encoder_names():
            encoder = self._encoder(name)
            asked = [text for text in found if covered(language_of(text), encoder.languages)]
            if not asked:
                continue
            for text, vector in zip(asked, cache.embed(asked, role="query", encoder=encoder).vectors, strict=True):
                found[text][name] = vector
        return [found[text] for text in texts]

    def known(self, texts: Sequence[str]) -> set[str]:
        """See `QueryVectors.known`.

        Raises:
            CacheError: the embedding cache can't be used.
        """
        cache = EmbeddingCache(self._settings.embeddings_path)
        encoders = [self._encoder(name) for name in self._settings.encoder_names()]
        return set(_held(texts, encoders, lambda some, encoder: cache.known(some, role="query", encoder=encoder)))

    def as_passages(self, texts: Sequence[str]) -> list[Vectors]:
        """See `QueryVectors.as_passages`."""
        return _encoded_as_passages(map(self._encoder, self._settings.encoder_names()), texts)


AT_ONCE = 8
"""Texts encoded between two looks at who waits."""
LONGEST_PAUSE_S = 0.5
"""How long, before each few texts, those who wait go first: under constant load the background gets on all the same."""
_LOOK_EVERY_S = 0.01


class BackgroundEncoder:
    """An `Encoder` for threads that nobody waits for."""

    def __init__(
        self, encoder: Encoder, turn: threading.Lock, *, busy: Callable[[], bool], closed: Callable[[], bool]
    ) -> None:
        """Share an encoder.

        Args:
            encoder: the shared one.
            turn: held by whoever uses it.
            busy: whether somebody waits for it.
            closed: whether to give up.
        """
        self._encoder = encoder
        self._turn = turn
        self._busy = busy
        self._closed = closed
        self.name = encoder.name
        self.languages = encoder.languages

    @property
    def identity(self) -> str:
        """See `Encoder.identity`."""
        return self._encoder.identity

    @property
    def weights(self) -> str:
        """See `Encoder.weights`."""
        return self._encoder.weights

    @property
    def dims(self) -> int:
        """See `Encoder.dims`."""
        return self._encoder.dims

    def encode(self, texts: Sequence[str], *, role: Role, progress: Progress | None = None) -> FloatArray:
        """See `Encoder.encode`.

        Raises:
            EncoderError: as there, or the server is closing.
        """
        parts = []
        for start in range(0, len(texts), AT_ONCE):
            self._let_others_go_first()
            with self._turn:
                parts.append(self._encoder.encode(texts[start : start + AT_ONCE], role=role, progress=progress))
        return np.concatenate(parts) if parts else self._encoder.encode([], role=role)

    def _let_others_go_first(self) -> None:
        until = time.monotonic() + LONGEST_PAUSE_S
        while self._busy() and not self._closed() and time.monotonic() < until:
            time.sleep(_LOOK_EVERY_S)
        if self._closed():
            raise EncoderError(T_("the server is closing"))


BATCH_TEXTS = 64
"""Texts encoded at a time: enough to fill the encoders' own batches, few enough that nobody waits long for others."""
WAITING_TEXTS = 2048
"""Texts that may wait; beyond them an answer within any sensible deadline is out of reach."""
KEPT_TEXTS = 8192
"""Texts whose vectors stay in memory, about 5 KB each with the default encoders."""
DEADLINE_S = 20.0
RETRY_AFTER_S = 5
_CACHE_PAUSE_S = 60
_WARMING_S = 600.0
_WARMING_TEXTS = ("暖機用的一句話", "one sentence to warm up with")

_log = logging.getLogger(__name__)


class EncodingBusyError(RuntimeError):
    """No vectors within the deadline; the same request may succeed `retry_after_s` seconds later."""

    def __init__(self, message: str, retry_after_s: int = RETRY_AFTER_S) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class _Asked:
    """A text that is waiting for its vectors, and how many threads wait for it."""

    __slots__ = ("done", "error", "text", "vectors", "waiting")

    def __init__(self, text: str) -> None:
        self.text = text
        self.waiting = 0
        self.done = threading.Event()
        self.vectors: Vectors = {}
        self.error: str = ""


class BatchedQueries:
    """The query vectors of a server. All methods may be called from any thread."""

    def __init__(
        self, encoders: Sequence[Encoder], cache: EmbeddingCache | None = None, *, deadline_s: float = DEADLINE_S
    ) -> None:
        """Take encoders, loaded or not; the worker thread starts with the first text.

        Args:
            encoders: used by one thread at a time, the worker or who has them `in_background`.
            cache: read for texts that a re-index has encoded; never written.
            deadline_s: how long `vectors` waits unless told otherwise.
        """
        self._encoders = {encoder.name: encoder for encoder in encoders}
        self._cache = cache
        self._cache_from = 0.0
        self._deadline_s = deadline_s
        self._changed = threading.Condition()
        self._kept: OrderedDict[str, Vectors] = OrderedDict()
        self._queue: deque[_Asked] = deque()
        self._open: dict[str, _Asked] = {}
        self._worker: threading.Thread | None = None
        self._closed = False
        self._proven: set[str] = set()
        self._turn = threading.Lock()

    @property
    def ready(self) -> bool:
        """Whether every encoder has encoded something, so that no request will wait for a model to load."""
        return len(self._proven) == len(self._encoders)

    @property
    def waiting(self) -> int:
        """How many texts wait for the worker to take them."""
        return len(self._queue)

    def identity(self, name: str) -> str:
        """See `QueryVectors.identity`."""
        return self._encoders[name].identity

    def in_background(self) -> list[Encoder]:
        """Return the same encoders for work that nobody waits for: texts that wait here are encoded first."""
        return [
            BackgroundEncoder(encoder, self._turn, busy=lambda: bool(self._open), closed=lambda: self._closed)
            for encoder in self._encoders.values()
        ]

    def as_passages(self, texts: Sequence[str]) -> list[Vectors]:
        """See `QueryVectors.as_passages`; whoever waits for query vectors goes first."""
        return _encoded_as_passages(self.in_background(), texts)

    def warm(self) -> None:
        """Load every encoder, in the calling thread's time.

        Raises:
            EncoderError: one can't be loaded.
        """
        self.vectors(_WARMING_TEXTS, deadline_s=_WARMING_S)

    def vectors(self, texts: Sequence[str], deadline_s: float | None = None) -> list[Vectors]:
        """See `QueryVectors.vectors`.

        Raises:
            EncodingBusyError: too many texts are waiting, the deadline passed, or the server is closing.
        """
        until = time.monotonic() + (self._deadline_s if deadline_s is None else deadline_s)
        found, asked = self._taken(list(dict.fromkeys(texts)))
        try:
            for item in asked:
                if not item.done.wait(max(0.0, until - time.monotonic())):
                    raise EncodingBusyError(T_("%(texts)s texts are waiting to be encoded", texts=len(self._open)))
                if item.error:
                    raise EncodingBusyError(item.error) if self._closed else EncoderError(item.error)
                found[item.text] = item.vectors
        finally:
            self._leave(asked)
        return [found[text] for text in texts]

    def known(self, texts: Sequence[str]) -> set[str]:
        """See `QueryVectors.known`; what was on the disk only is in memory afterwards."""
        with self._changed:
            found = {text for text in texts if text in self._kept}
        read = _held([text for text in texts if text not in found], self._encoders.values(), self._stored)
        for vectors in read.values():
            for vector in vectors.values():
                vector.flags.writeable = False
        with self._changed:
            self._kept.update(read)
            self._forget()
        return found | read.keys()

    def _forget(self) -> None:
        while len(self._kept) > KEPT_TEXTS:
            self._kept.popitem(last=False)

    def close(self) -> None:
        """End the worker; whoever still waits gets `EncodingBusyError`."""
        with self._changed:
            self._closed = True
            left = list(self._open.values())
            self._queue.clear()
            self._open.clear()
            self._changed.notify_all()
        for item in left:
            item.error = T_("the server is closing")
            item.done.set()

    def _taken(self, texts: Sequence[str]) -> tuple[dict[str, Vectors], list[_Asked]]:
        found: dict[str, Vectors] = {}
        asked: list[_Asked] = []
        with self._changed:
            if self._closed:
                raise EncodingBusyError(T_("the server is closing"))
            missing = []
            for text in texts:
                kept = self._kept.get(text)
                if kept is None:
                    missing.append(text)
                else:
                    self._kept.move_to_end(text)
                    found[text] = kept
            if missing and len(self._queue) + len(missing) > WAITING_TEXTS:
                raise EncodingBusyError(T_("%(texts)s texts are waiting to be encoded", texts=len(self._queue)))
            for text in missing:
                item = self._open.get(text)
                if item is None:
                    item = self._open[text] = _Asked(text)
                    self._queue.append(item)
                item.waiting += 1
                asked.append(item)
            if missing:
                self._started()
                self._changed.notify()
        return found, asked

    def _started(self) -> None:
        if self._worker is None:
            self._worker = threading.Thread(target=self._work, name="query-encoding", daemon=True)
            self._worker.start()

    def _leave(self, asked: Sequence[_Asked]) -> None:
        with self._changed:
            for item in asked:
                item.waiting -= 1

    def _work(self) -> None:
        while True:
            with self._changed:
                while not self._queue and not self._closed:
                    self._changed.wait()
                if self._closed:
                    return
                batch = [self._queue.popleft() for _ in range(min(BATCH_TEXTS, len(self._queue)))]
                # Nobody waits any more for those whose deadline passed.
                for item in batch:
                    if not item.waiting:
                        self._open.pop(item.text, None)
                batch = [item for item in batch if item.waiting]
            self._answer(batch)

    def _answer(self, batch: Sequence[_Asked]) -> None:
        try:
            vectors = self._encoded([item.text for item in batch])
        except Exception as error:
            if len(batch) > 1 and self.ready:
                # The models work: one of the texts is at fault, and the others must not suffer for it.
                for item in batch:
                    self._answer([item])
                return
            _log.warning("encoding %d texts failed: %s", len(batch), type(error).__name__)
            told = (
                str(error)
                if isinstance(error, EncoderError)
                else T_("encoding failed: %(name)s", name=type(error).__name__)
            )
            vectors = None
        with self._changed:
            for i, item in enumerate(batch):
                self._open.pop(item.text, None)
                if vectors is None:
                    item.error = told
                    continue
                item.vectors = self._kept[item.text] = vectors[i]
            self._forget()
        for item in batch:
            item.done.set()

    def _encoded(self, texts: Sequence[str]) -> list[Vectors]:
        found: list[dict[str, FloatArray]] = [{} for _ in texts]
        languages = [language_of(text) for text in texts]
        for name, encoder in self._encoders.items():
            places = [i for i, language in enumerate(languages) if covered(language, encoder.languages)]
            known = self._stored([texts[i] for i in places], encoder)
            missing = [i for i in places if texts[i] not in known]
            if missing:
                with self._turn:
                    fresh = encoder.encode([texts[i] for i in missing], role="query")
                self._proven.add(name)
                known = {**known, **{texts[i]: vector for i, vector in zip(missing, fresh, strict=True)}}
            for i in places:
                vector = known[texts[i]]
                vector.flags.writeable = False
                found[i][name] = vector
        return list(found)

    def _stored(self, texts: Sequence[str], encoder: Encoder) -> Mapping[str, FloatArray]:
        if self._cache is None or not texts or time.monotonic() < self._cache_from:
            return {}
        try:
            return self._cache.known(texts, role="query", encoder=encoder)
        except CacheError as error:
            _log.warning("the embedding cache is not read for %d s: %s", _CACHE_PAUSE_S, error)
            self._cache_from = time.monotonic() + _CACHE_PAUSE_S
            return {}
