"""The one place that opens the database.

In: `Settings`. Out: a SQLAlchemy engine whose tables exist. It exists because
SQLite keeps its promises only with the right pragmas: without them foreign
keys are not checked and an acknowledged commit can be lost in a power cut.
"""

from __future__ import annotations

import json
import sqlite3
from typing import Any

from sqlalchemy import Engine, create_engine, event
from sqlmodel import SQLModel

from indexer.settings import Settings

BUSY_TIMEOUT_MS = 10_000


def open_engine(settings: Settings) -> Engine:
    """Open the configured database, creating the home folder and the tables of all imported models.

    Args:
        settings: `database_url`, or else the SQLite file `gloria.db` in `home`.

    Returns:
        An engine; the caller disposes of it.

    Raises:
        OSError: the home folder cannot be created.
        sqlalchemy.exc.OperationalError: the database cannot be opened.
    """
    url = settings.database_url
    if not url:
        settings.home.mkdir(parents=True, exist_ok=True)
        url = f"sqlite:///{settings.database_path}"
    engine = create_engine(url, json_serializer=_to_json)
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _set_pragmas)
    SQLModel.metadata.create_all(engine)
    return engine


def wal_is_safe(version: tuple[int, ...] = sqlite3.sqlite_version_info) -> bool:
    """Say whether this SQLite has the fix of the WAL-reset bug (3.51.3; backports 3.44.6 and 3.50.7)."""
    return version >= (3, 51, 3) or (3, 50, 7) <= version < (3, 51) or (3, 44, 6) <= version < (3, 45)


def _to_json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _set_pragmas(connection: Any, _record: Any) -> None:
    journal = "WAL" if wal_is_safe() else "TRUNCATE"
    cursor = connection.cursor()
    for pragma in (
        f"busy_timeout={BUSY_TIMEOUT_MS}",
        f"journal_mode={journal}",
        "synchronous=FULL",
        "foreign_keys=ON",
        # Without it INSERT OR REPLACE would overwrite append-only rows past their triggers.
        "recursive_triggers=ON",
        "trusted_schema=OFF",
        "secure_delete=ON",
    ):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()
