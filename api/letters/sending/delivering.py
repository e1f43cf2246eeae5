"""Delivering what is in the outbox: by mail and to webhooks, by whichever process comes to it, and what came of it.

In: the database, the settings, a moment. Out: letters handed over one by one, each noted before the next; how many were
sent, and why the rest waits. It exists as the one loop behind the server's thread, `gloria mail deliver` and the night.
No transaction is open while a server is spoken to. Where the server of mail can't be reached everything waits as it is;
where it refuses an address for good, the address is marked and whoever looks after its owner is told.
"""

from __future__ import annotations

import os
import secrets
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

import structlog
from sqlalchemy import Engine
from sqlmodel import Session

from api.access.second_factor import SecondFactorError
from api.letters.caring import carers_of
from api.letters.renewal import is_waiting, look_up_renewals
from api.letters.sending.calling import CallError, called
from api.letters.sending.composing import Composed, composed
from api.letters.sending.smtp import BrokenOffError, Mailer, MailError, RefusedMailError, open_mailer
from api.letters.signed_links import LinkSigner
from api.trail.audit_trail import Act, How, Outcome, write_down
from indexer.database import BusyError, DatabaseGoneError, reading, writing
from indexer.instants import now as this_moment
from indexer.settings import Settings
from matcher.notices.kinds import NoticeKind
from matcher.notices.outbox import Channel, SendingState, notify
from matcher.notices.sending import (
    Claim,
    claim,
    end_letter,
    gather,
    give_back,
    is_anything_due,
    note_refused,
    try_again,
)

AT_ONCE = 10
"""Letters of one claim: what a deliverer that is killed leaves for the next, which comes when the claim has run out."""
PATIENCE_S = 60.0
"""How long noting that a letter was sent waits for its turn: not noted it would be sent again."""
LOOKS_EVERY_S, LONGEST_PAUSE_S = 5.0, 300.0
_RESOURCE, _ACTION = "need", "read"


@dataclass
class Delivered:
    """What came of a delivery; `problem` is why what is left has to wait, None if nothing has to."""

    sent: int = 0
    dropped: int = 0
    refused: int = 0
    waiting: int = 0
    problem: str | None = None


class Deliverer:
    """One deliverer of a process; another one, of any process, is never given the same letter at a time."""

    def __init__(self, engine: Engine, settings: Settings, clock: Callable[[], datetime] = this_moment) -> None:
        self._engine, self._settings, self._clock = engine, settings, clock
        self._name = f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"

    def is_due(self) -> bool:
        """Whether there is anything to do."""
        with reading(self._engine) as session:
            return is_waiting(session) or is_anything_due(session, self._clock())

    def deliver(self, stopping: threading.Event | None = None) -> Delivered:
        """Deliver all that is due.

        Raises:
            BusyError, DatabaseGoneError: the database can't be used; what was claimed waits until its claim runs out.
            SecondFactorError: the key of the home is damaged, so no link could be signed.
        """
        done, signer = Delivered(), LinkSigner(self._settings.home)
        with writing(self._engine, PATIENCE_S) as session:
            look_up_renewals(session, now=self._clock())
            gather(session, self._clock())
        self._mails(done, signer, stopping)
        self._calls(done, signer, stopping)
        return done

    def _claimed(self, channel: Channel) -> list[Claim]:
        with writing(self._engine, PATIENCE_S) as session:
            return claim(session, channel=channel, by=self._name, now=self._clock(), most=AT_ONCE)

    def _mails(self, done: Delivered, signer: LinkSigner, stopping: threading.Event | None) -> None:
        claims = self._claimed(Channel.MAIL)
        if not claims:
            return
        left = claims
        try:
            with open_mailer(self._settings) as mailer:
                while left and not (stopping is not None and stopping.is_set()):
                    while left:
                        # Taken from the list before it is handed over: what then goes wrong is this letter's own.
                        one, left = left[0], left[1:]
                        self._mail(one, mailer, signer, done)
                    left = self._claimed(Channel.MAIL)
        except MailError as error:
            done.problem = str(error)
            done.waiting += len(left)
        with writing(self._engine, PATIENCE_S) as session:
            give_back(session, [one.letter for one in left], by=self._name, said=done.problem and "unreachable")

    def _mail(self, one: Claim, mailer: Mailer, signer: LinkSigner, done: Delivered) -> None:
        with reading(self._engine) as session:
            made = composed(session, one, settings=self._settings, signer=signer, now=self._clock())
        if made is None:
            self._end(one, SendingState.DROPPED)
            done.dropped += 1
            return
        try:
            mailer.send(made.message, to=made.to)
        except RefusedMailError as error:
            self._refused(one, made, error, done)
        except BrokenOffError:
            # Perhaps this very letter makes the server hang up: it counts as tried, or it would stop all others.
            self._wait(one, "broken off", done)
            raise
        except MailError:
            with writing(self._engine, PATIENCE_S) as session:
                give_back(session, [one.letter], by=self._name, said="unreachable")
            done.waiting += 1
            raise
        else:
            self._end(one, SendingState.SENT, made)
            done.sent += 1

    def _end(self, one: Claim, state: SendingState, made: Composed | None = None, said: str | None = None) -> None:
        at = self._clock()
        with writing(self._engine, PATIENCE_S) as session:
            end_letter(session, one.letter, by=self._name, state=state, now=at, said=said)
            if made is not None and made.shown:
                # Whoever chose titles in mails was shown a need: the trail has it as it has a page.
                write_down(session, [_shown(one, made, at)])

    def _wait(self, one: Claim, said: str, done: Delivered) -> None:
        with writing(self._engine, PATIENCE_S) as session:
            state = try_again(session, one.letter, by=self._name, now=self._clock(), said=said)
        if state is SendingState.REFUSED:
            done.refused += 1
        else:
            done.waiting += 1

    def _refused(self, one: Claim, made: Composed, error: RefusedMailError, done: Delivered) -> None:
        if not error.for_good:
            self._wait(one, f"SMTP {error.code}", done)
            return
        at = self._clock()
        with writing(self._engine, PATIENCE_S) as session:
            end_letter(
                session, one.letter, by=self._name, state=SendingState.REFUSED, now=at, said=f"SMTP {error.code}"
            )
            mark_refused(session, address=made.to, said=f"SMTP {error.code}", now=at)
        done.refused += 1

    def _calls(self, done: Delivered, signer: LinkSigner, stopping: threading.Event | None) -> None:
        while not (stopping is not None and stopping.is_set()):
            claims = self._claimed(Channel.WEBHOOK)
            if not claims:
                return
            for one in claims:
                self._call(one, signer, done)

    def _call(self, one: Claim, signer: LinkSigner, done: Delivered) -> None:
        with reading(self._engine) as session:
            call = called(session, one, settings=self._settings, signer=signer, now=self._clock())
        if call is None:
            self._end(one, SendingState.DROPPED)
            done.dropped += 1
            return
        try:
            call.send()
        except CallError as error:
            self._wait(one, error.said, done)
            return
        self._end(one, SendingState.SENT)
        done.sent += 1


def mark_refused(session: Session, *, address: str, said: str, now: datetime) -> None:
    """Mark an address that its server refuses, and tell whoever looks after its owner, once."""
    if not note_refused(session, address=address, said=said, now=now):
        return
    for reader, account_id, place in carers_of(session, address):
        notify(
            session,
            kind=NoticeKind.ADDRESS_REFUSED,
            to=[reader],
            key=f"refused {account_id} {now:%Y%m%d%H%M%S}",
            place=place,
            facts={"account": account_id},
            now=now,
        )


def _shown(one: Claim, made: Composed, at: datetime) -> Act:
    return Act(
        at=at,
        resource=_RESOURCE,
        action=_ACTION,
        how=How.SERVER,
        operation="mail",
        account_id=one.letter.reader,
        outcome=Outcome.SEEN,
        subjects=tuple(sorted(made.shown, key=str)),
    )


class Postman:
    """The thread of a server that delivers: it looks now and then, and longer apart while nobody can be reached."""

    def __init__(self, engine: Engine, settings: Settings, stopping: threading.Event) -> None:
        self._deliverer, self._stopping = Deliverer(engine, settings), stopping
        self._thread = threading.Thread(target=self._run, name="postman", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self, timeout_s: float = 5.0) -> None:
        """Wait until it has ended, which it does after the letter that it is about; `stopping` is set before."""
        self._thread.join(timeout_s)

    def _run(self) -> None:
        pause_s = LOOKS_EVERY_S
        while not self._stopping.wait(pause_s):
            try:
                done = self._deliverer.deliver(self._stopping) if self._deliverer.is_due() else Delivered()
                problem = done.problem
            except (BusyError, DatabaseGoneError, SecondFactorError, OSError) as error:
                problem = type(error).__name__
            pause_s = LOOKS_EVERY_S if problem is None else min(pause_s * 2, LONGEST_PAUSE_S)
            if problem is not None:
                structlog.get_logger("gloria").warning("mail waits", reason=problem, next_try_s=pause_s)
