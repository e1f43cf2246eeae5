"""Somebody is left in the programme office, whatever happens at the same time.

In: an account that is about to be shut out or to lose its role. Out: nothing,
or a refusal. It exists because only the office gives roles: were its last
account gone, nobody could let anybody in over HTTP any more.
"""

from __future__ import annotations

from sqlmodel import Session, col, select

from matcher.people import Account, Grant, PeopleError
from matcher.roles import Role


class LastOfficeError(PeopleError):
    """The programme office would be left without anybody."""

    def __init__(self) -> None:
        super().__init__("account", "nobody would be left in the programme office; give somebody else the role first")


def leave_an_office(session: Session, *, without: str) -> None:
    """Let a change go on only if the office has an enabled account beside `without`.

    All the office's rows are held until the transaction ends, in one order: of two that would shut each other out,
    the second waits for the first and then finds itself alone. Call it before anything else is held.

    Raises:
        LastOfficeError: there is no other.
    """
    held = (Grant.role == Role.OFFICE.value, col(Grant.revoked_at).is_(None), col(Account.disabled_at).is_(None))
    query = select(Account.id).join(Grant, col(Grant.account_id) == col(Account.id)).where(*held)
    found = session.exec(query.order_by(col(Account.id), col(Grant.id)).with_for_update(key_share=True)).all()
    if not set(found) - {without}:
        raise LastOfficeError
