"""Records → text → vectors → index: everything up to what a search reads.

The functions here are the package's documented surface for notebooks and other
programs; the command line calls the same code. Heavy libraries are imported
when a function is called, not with the package.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from indexer.index.building import ReindexReport
    from indexer.index.snapshot import Snapshot
    from indexer.records.importing import ImportReport
    from indexer.settings import Settings

__all__ = ["build_index", "import_files", "open_index"]


def import_files(paths: Iterable[Path | str], settings: Settings) -> list[ImportReport]:
    """Import JSONL, CSV, XLSX or ODS files in the order given, in one transaction, and return a report per file.

    Bad rows are in the reports; good rows are kept.

    Raises:
        OSError: a file can't be read; then nothing is stored.
    """
    from sqlmodel import Session

    from indexer.database import as_writer, open_engine
    from indexer.records.importing import import_file

    engine = open_engine(settings)
    try:
        with Session(as_writer(engine)) as session:
            reports = [import_file(session, Path(path)) for path in paths]
            session.commit()
    finally:
        engine.dispose()
    return reports


def build_index(settings: Settings, *, full: bool = False) -> ReindexReport:
    """Bring the index up to date with the records; see `indexer.index.building.reindex`."""
    from sqlmodel import Session

    from indexer.database import open_engine
    from indexer.index.building import reindex

    engine = open_engine(settings)
    try:
        with Session(engine) as session:
            return reindex(session, settings, full=full)
    finally:
        engine.dispose()


def open_index(settings: Settings) -> Snapshot:
    """Open the current index generation after checking every byte of it.

    Raises:
        SnapshotError: there is none, or it is damaged.
    """
    from indexer.index.opening import open_snapshot

    return open_snapshot(settings.index_path)
