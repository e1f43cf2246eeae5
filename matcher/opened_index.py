"""An index generation ready to be searched and quoted.

In: a snapshot and the encoders of this machine. Out: what every answer needs
of it, computed once. It exists apart from the matcher because it is the
expensive part: records change many times a day, the index once a night.
"""

from __future__ import annotations

from dataclasses import dataclass

from indexer.query_vectors import QueryVectors
from indexer.settings import Settings
from indexer.snapshot import Snapshot, SnapshotError, open_newest_usable, open_snapshot
from indexer.wording import T_
from matcher.passage_words import PassageWords
from matcher.signals import Searcher


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
        first_elsewhere: see `indexer.snapshot.open_snapshot`.

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
