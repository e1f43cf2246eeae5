"""Opening what a command works on: settings, database, matcher.

In: the environment. Out: the settings, or an open session whose engine is
disposed of afterwards. It exists so that commands import the heavy modules
only when they run.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sqlmodel import Session

    from indexer.settings import Settings


def read_settings() -> Settings:
    """Return the settings of the environment.

    Raises:
        pydantic.ValidationError: a GLORIA_* variable has an impossible value.
    """
    from indexer.settings import Settings

    return Settings()


@contextmanager
def open_session(settings: Settings) -> Iterator[Session]:
    """Open the database; the caller commits."""
    from sqlmodel import Session

    from indexer import records  # noqa: F401 (its tables are created when the database is opened)
    from indexer.database import open_engine

    engine = open_engine(settings)
    try:
        with Session(engine) as session:
            yield session
    finally:
        engine.dispose()
