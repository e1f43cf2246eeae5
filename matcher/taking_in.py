"""Taking in what changed since the index was built: from the records of this moment to an index that knows them.

In: the opened generation, the labs of a catalogue, the needs of the database, a server's encoders. Out: an opened
index ready to be swapped in; the very same one if there was nothing to take in. It exists apart from `live`, which
decides when this is done and what becomes of it.
"""

from __future__ import annotations

from sqlalchemy import Engine

from indexer.batching import BatchedQueries
from indexer.changes import last_change
from indexer.database import reading
from indexer.embeddings import EmbeddingCache
from indexer.loading import load_needs
from indexer.overlay import overlaid
from indexer.settings import Settings
from indexer.vocabulary import Kind
from matcher.catalogue import Catalogue
from matcher.opened_index import OpenedIndex


def brought_up_to_date(
    base: OpenedIndex,
    known: OpenedIndex,
    *,
    catalogue: Catalogue,
    settings: Settings,
    engine: Engine,
    queries: BatchedQueries,
) -> tuple[OpenedIndex, int]:
    """Return an index that holds all labs of a catalogue, and the number of the last change of a need that it knows.

    Args:
        base: the generation on disk.
        known: the index that answers now: what it has read is not read again.
        catalogue: the labs.
        settings: where vectors are kept.
        engine: where the needs are, whose texts have a part in how needs are compared with labs.
        queries: has the encoders.

    Raises:
        EncoderError: an encoder can't be loaded, or the server is closing.
        CacheError: the embedding cache can't be used.
        BusyError: the needs can't be read.
        DatabaseGoneError: the same.
    """
    with reading(engine) as session:
        number = last_change(session, Kind.NEEDS)
        needs = load_needs(session)
    snapshot = overlaid(
        base.snapshot,
        known=known.snapshot,
        labs=catalogue.labs,
        fingerprints=catalogue.fingerprints,
        needs=needs,
        encoders=queries.in_background(),
        cache=EmbeddingCache(settings.embeddings_path),
    )
    for index in (base, known):
        if index.snapshot is snapshot:
            return index, number
    return OpenedIndex.of(snapshot), number
