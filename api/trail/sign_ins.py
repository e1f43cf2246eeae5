"""Signing in, in the audit trail: what succeeded, what failed, who was kept waiting, and which factors were shown.

In: an account that proved to be somebody's, or what somebody tried at its door. Out: acts of the trail, by ids alone:
no address, no browser, nothing that was typed. It exists because who got in, and who tried to, is the first question
after anything went wrong. Anybody can fail in anybody's name, and the trail keeps every row for ever; so of failures
only so many of an account are kept in a quarter of an hour, the last of them as one that was held off, and of
addresses that no account has so many in all. How many there were besides says the log.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import datetime, timedelta

from fastapi import Request
from sqlmodel import Session

from api.access.policy import Action, Resource
from api.trail.audit_trail import Act, Outcome, Subject, write_down
from api.trail.request_trail import how_of, operation_of, request_id_of

WINDOW = timedelta(minutes=15)
MOST_FAILURES = 10
"""So many failures of one account, or of all unknown addresses together, are kept of each window."""
_HELD_OFF = 429
_UNKNOWN = ""


class SignInFailures:
    """Puts failed sign-ins into the trail, so many and no more; one for each server process."""

    def __init__(self, put: Callable[[Act], None]) -> None:
        self._put = put
        self._lock = threading.Lock()
        # By account: when its window began, and how many of it were kept. There are as many as accounts at most.
        self._kept: dict[str, tuple[datetime, int]] = {}

    def note(
        self,
        request: Request,
        *,
        at: datetime,
        status: int,
        account_id: str | None,
        second: bool = False,
        is_in: bool = False,
    ) -> None:
        """Keep that somebody failed at an account's door.

        Args:
            request: what was asked.
            at: the moment.
            status: what was answered.
            account_id: whose door; None: that of an address that no account has.
            second: whether it was the second factor that failed.
            is_in: whether they are signed in there, and failed to prove once more that it is they.
        """
        n = self._count(account_id or _UNKNOWN, at)
        if n > MOST_FAILURES:
            return
        resource, action = (Resource.SECOND_FACTOR, Action.CHECK) if second else (Resource.SESSION, Action.CREATE)
        subjects = () if account_id is None else (Subject("account", account_id),)
        # The last that is kept stands for all that come until the window's end.
        said = _HELD_OFF if n == MOST_FAILURES else status
        self._put(_act(request, at, resource, action, account_id if is_in else None, said, subjects, Outcome.REFUSED))

    def _count(self, door: str, at: datetime) -> int:
        with self._lock:
            begun, kept = self._kept.get(door, (at, 0))
            if at - begun >= WINDOW:
                begun, kept = at, 0
            self._kept[door] = (begun, kept + 1)
            return kept + 1


def note_sign_in(session: Session, request: Request, account_id: str, *, at: datetime, two_factors: bool) -> None:
    """Write down, in its own transaction and as the last thing of it, that somebody signed in, and by which factors."""
    own = (Subject("account", account_id),)
    acts = [_act(request, at, Resource.SESSION, Action.CREATE, account_id, 201, own)]
    if two_factors:
        acts.append(_act(request, at, Resource.SECOND_FACTOR, Action.CHECK, account_id, 201, own))
    write_down(session, acts)


def note_sign_out(session: Session, request: Request, account_id: str, at: datetime) -> None:
    """Write down that somebody signed this browser out."""
    own = (Subject("account", account_id),)
    write_down(session, [_act(request, at, Resource.SESSION, Action.END, account_id, 204, own)])


def note_renewal(session: Session, request: Request, account_id: str, at: datetime) -> None:
    """Write down that a password was set by the link of a letter: by whoever had it."""
    subjects = (Subject("account", account_id),)
    write_down(session, [_act(request, at, Resource.PROFILE, Action.EDIT, None, 204, subjects, rights="link")])


def _act(
    request: Request,
    at: datetime,
    resource: Resource,
    action: Action,
    account_id: str | None,
    status: int,
    subjects: tuple[Subject, ...],
    outcome: Outcome = Outcome.DONE,
    rights: str = "",
) -> Act:
    return Act(
        at=at,
        account_id=account_id,
        rights=rights,
        resource=resource.value,
        action=action.value,
        how=how_of(request),
        method=request.method,
        operation=operation_of(request),
        outcome=outcome,
        status=status,
        request_id=request_id_of(request),
        subjects=subjects,
    )
