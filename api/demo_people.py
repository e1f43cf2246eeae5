"""People of the demo world: one of each role, so that a newcomer can sign in and look around.

In: a database with the demo world and the programme's story. Out: accounts with
one password made up on the spot, told once. It exists only for the demo world:
a home with other records never gets here.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from matcher.roles import Role

if TYPE_CHECKING:
    from sqlmodel import Session

ALLIANCE, NEED, LAB = "al-02", "need-2-03", "lab-2-05"
"""Whose expert, company and researcher they are."""


@dataclass(frozen=True)
class DemoPerson:
    """Somebody to sign in as."""

    email: str
    role: Role


def let_people_in(session: Session, now: datetime) -> tuple[list[DemoPerson], str | None]:
    """Make the accounts, or find those made before; return them with their password, None if it was told before."""
    from sqlmodel import select

    from api.credentials import password_hash, set_password_hash
    from api.passwords import hashed
    from indexer.records import Need
    from matcher.people import Account, add_account, grant

    company = session.exec(select(Need.company).where(Need.id == NEED)).one() or ""
    wanted = (
        (f"expert-{ALLIANCE}", "聯絡專家 al-02", Role.EXPERT, ALLIANCE),
        ("lead", "聯盟負責人", Role.LEAD, ALLIANCE),
        ("company", "企業窗口", Role.COMPANY, company),
        ("researcher", "實驗室主持人", Role.RESEARCHER, LAB),
        ("committee", "分組委員", Role.COMMITTEE, ALLIANCE),
        ("office", "總辦公室", Role.OFFICE, ""),
        ("second-office", "總辦公室二", Role.OFFICE, ""),
    )
    people = [DemoPerson(f"{name}@gloria.example", role) for name, _, role, _ in wanted]
    if password_hash(session, people[0].email) is not None:
        return people, None
    password = secrets.token_urlsafe(9)
    stored = hashed(password)
    for person, (_, shown, role, scope) in zip(people, wanted, strict=True):
        account = session.exec(select(Account).where(Account.email == person.email)).first()
        if account is None:
            account = add_account(session, email=person.email, name=shown, now=now)
        grant(session, account_id=account.id, role=role, scope_id=scope, by=None, now=now)
        set_password_hash(session, account_id=account.id, stored=stored, now=now)
    return people, password
