"""What one request sees of the database: one state, however many routes of the API it asks.

In: an engine, and whoever wants to read or write on the way through a request. Out: the session that they share. It
exists because a page asks several routes: if each read in a transaction of its own, a change committed between two of
them would be half seen. A state that is read is let go before anything is written and before the page is made of it.
What is read after a page's own write belongs to the state that the write leaves, so that where a page stores what it
shows, it reads in the transaction that stores it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from fastapi import Request
from sqlalchemy import Engine
from sqlmodel import Session

from indexer.database import BusyError, DatabaseGoneError, reading, told, writing


class OneState:
    """The state of the database that a request sees; used by one thread, the request's."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._open = ExitStack()
        self._session: Session | None = None
        self._stores = False
        self._writes = False
        self._broken: BusyError | DatabaseGoneError | None = None

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """Read in the state that this request sees; whoever comes first opens it.

        Raises:
            BusyError, DatabaseGoneError: it can't be read. Whoever reads next is told the same: a second state beside
                what was read before would be half of each.
        """
        if self._broken is not None:
            raise self._broken
        try:
            if self._session is None:
                self._session = self._open.enter_context(reading(self._engine))
            with told(self._engine):
                yield self._session
        except (BusyError, DatabaseGoneError) as error:
            self._broken = error
            raise

    @contextmanager
    def writing(self) -> Iterator[Session]:
        """Write in a transaction that is committed when the block ends, or, within `storing`, when that ends.

        Raises:
            BusyError, StorageFullError, DatabaseGoneError: nothing was stored.
        """
        if not self._writes:
            # Without a write-ahead log a reader would keep the writer, itself, from the commit.
            self.let_go()
        if not self._stores:
            with writing(self._engine) as session:
                yield session
            return
        if self._session is None:
            self._session = self._open.enter_context(writing(self._engine, one_state=True))
            self._writes = True
        try:
            with told(self._engine):
                yield self._session
        except BaseException as error:
            self._end(error)
            raise

    @contextmanager
    def storing(self) -> Iterator[None]:
        """Let everything that is read after a write inside belong to its transaction, committed when the block ends.

        Raises:
            BusyError, StorageFullError, DatabaseGoneError: nothing was stored.
        """
        self._stores = True
        try:
            yield
        except BaseException as error:
            self._end(error)
            raise
        else:
            self.let_go()
        finally:
            self._stores = False

    def let_go(self) -> None:
        """End the transaction that is open; what is read next is read in a later state."""
        self._end(None)

    def _end(self, error: BaseException | None) -> None:
        opened, self._open = self._open, ExitStack()
        self._session, self._writes, self._broken = None, False, None
        with opened:
            if error is not None:
                raise error


def state_of(request: Request) -> OneState | None:
    """Return the state that a request sees all through, None for one that asks a single route."""
    found: OneState | None = getattr(request.state, "one_state", None)
    return found


@contextmanager
def seeing_one_state(request: Request) -> Iterator[OneState]:
    """Let everything that this thread asks of a request's behalf be one state of the database."""
    state = request.state.one_state = OneState(request.app.state.engine)
    try:
        yield state
    finally:
        request.state.one_state = None
        state.let_go()
