"""An index generation ready to be searched and quoted.

In: a snapshot and the encoders of this machine. Out: what every answer needs
of it, computed once. It exists apart from the matcher because it is the
expensive part: records change many times a day, the index once a night.
"""

from __future__ import annotations

from dataclasses import dataclass

from indexer.query_vectors import QueryVectors
from indexer.settings import Settings
from indexer.snapshot import Snapshot, SnapshotError, open_snapshot
from matcher.passage_words import PassageWords
from matcher.signals import Searcher


@dataclass(frozen=True)
class OpenedIndex:
    """A snapshot with its searcher and its passages as read."""

    snapshot: Snapshot
    searcher: Searcher
    passages: PassageWords

    @classmethod
    def of(cls, snapshot: Snapshot) -> OpenedIndex:
        """Return a snapshot with what every answer needs of it computed."""
        return cls(snapshot, Searcher(snapshot), PassageWords(snapshot))


def open_index(settings: Settings) -> OpenedIndex:
    """Open the current generation after checking every byte of it.

    Raises:
        SnapshotError: there is none, or it is damaged, or other encoders are configured.
    """
    snapshot = open_snapshot(settings.index_path)
    built = [field.name for field in snapshot.fields]
    if built != settings.encoder_names():
        raise SnapshotError(
            f"the index has the encoders {', '.join(built)}, the settings name "
            f"{', '.join(settings.encoder_names())}; run: gloria reindex"
        )
    return OpenedIndex.of(snapshot)


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
                f"the index was built with {field.identity}, this machine has {identity}; run: gloria reindex"
            )
