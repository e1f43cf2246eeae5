"""Opening the home that a command or a step of the night works on: settings, database, audit trail.

In: the environment. Out: the settings, or an open session whose engine is disposed of afterwards; a row of the
trail for what a command did. It exists so that commands import the heavy modules only when they run.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sqlalchemy import Engine
    from sqlmodel import Session

    from indexer.settings import Settings


def read_settings() -> Settings:
    """Return the settings of the environment.

    Raises:
        pydantic.ValidationError: a GLORIA_* variable has an impossible value.
    """
    from indexer.settings import Settings

    return Settings()


def note_command(
    session: Session,
    resource: str,
    action: str,
    command: str,
    subjects: Iterable[tuple[str, object]],
    *,
    seen: bool = False,
    refused: bool = False,
    by: str | None = None,
) -> None:
    """Write into the audit trail what a command changes or hands out, as the last thing before it is committed.

    Args:
        session: the transaction of the change.
        resource: what is touched, in the words of the policy.
        action: what is done to it.
        command: what was called, without its arguments, which may be names.
        subjects: kind and id of each record.
        seen: whether it hands them out and changes nothing.
        refused: whether it was not done, since who asked could not prove to be who they said.
        by: the account of who says so, where a command is told; None: whoever runs the machine.
    """
    from datetime import UTC, datetime

    from api.trail.audit_trail import Act, How, Outcome, Subject, write_down

    act = Act(
        at=datetime.now(UTC),
        resource=resource,
        action=action,
        how=How.COMMAND,
        operation=command,
        account_id=by,
        outcome=Outcome.REFUSED if refused else Outcome.SEEN if seen else Outcome.DONE,
        subjects=tuple(Subject(kind, str(one)) for kind, one in subjects),
    )
    write_down(session, [act])


@contextmanager
def open_database(settings: Settings) -> Iterator[Engine]:
    """Open the database for several transactions, and leave no connection behind."""
    from api import tables  # noqa: F401 (tables refer to each other, so all must be known)
    from indexer.database import open_engine

    engine = open_engine(settings)
    try:
        yield engine
    finally:
        engine.dispose()


@contextmanager
def open_reading(settings: Settings) -> Iterator[Session]:
    """Open one state of the database, which nothing changes meanwhile, and leave no connection behind."""
    from api import tables  # noqa: F401 (tables refer to each other, so all must be known)
    from indexer.database import open_engine, reading

    engine = open_engine(settings)
    try:
        with reading(engine) as session:
            yield session
    finally:
        engine.dispose()


@contextmanager
def open_session(settings: Settings, *, writes: bool = False) -> Iterator[Session]:
    """Open the database; the caller commits. With `writes` its transactions begin as a writer's."""
    from sqlmodel import Session

    from api import tables  # noqa: F401 (tables refer to each other, so all must be known)
    from indexer.database import as_writer, open_engine

    engine = open_engine(settings)
    try:
        with Session(as_writer(engine) if writes else engine) as session:
            yield session
    finally:
        engine.dispose()
