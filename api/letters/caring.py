"""Who looks after whom: the readers of what happens to a need, a company, a lab, a result or an address.

In: ids of what it is about. Out: ids of the accounts that are told, by the roles that hold at this moment. It exists so
that the routes and the night, which say that something happened, agree on who hears of it. Whether each may know is
asked once more when a letter leaves; here it is only whose business it is.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from sqlmodel import Session, col, or_, select

from indexer.records.mended.merged import with_same
from indexer.records.record_tables import Alliance, Need
from indexer.wording import T_, Text, either
from matcher.notices.outbox import Notice
from matcher.review.cases import Case
from matcher.review.clients import Client
from matcher.review.conversation.lab_questions import LabQuestion
from matcher.review.conversation.thread import Conversation, ThreadError, conversation_of
from matcher.review.desk.handing_on import carrier_of
from matcher.review.intake import NeedIntake
from matcher.review.people import Account, Grant
from matcher.review.proposals import Release, StoredPairing
from matcher.review.roles import STAFF, Role


def holders(session: Session, roles: Iterable[Role], scopes: Iterable[str | None] = ("",)) -> list[str]:
    """Return the accounts in use that hold one of the roles in one of the scopes."""
    query = (
        select(Grant.account_id)
        .join(Account, col(Account.id) == col(Grant.account_id))
        .where(
            col(Grant.role).in_([role.value for role in roles]),
            or_(*(col(Grant.scope_id).in_(some) for some in with_same([one for one in scopes if one is not None]))),
            col(Grant.revoked_at).is_(None),
            col(Account.disabled_at).is_(None),
        )
    )
    return sorted(set(session.exec(query).all()))


def company_of(session: Session, need_id: str) -> str | None:
    """Return the company that a need is of."""
    return session.exec(select(Need.company).where(Need.id == need_id)).first()


def expert_of(session: Session, need_id: str) -> list[str]:
    """Return the expert who took a need up, or all experts and leads of its alliance; the office if it has none."""
    intake = session.get(NeedIntake, need_id)
    if intake is None:
        return []
    if intake.expert_id is not None:
        return [intake.expert_id]
    if intake.alliance_id is None:
        return holders(session, [Role.OFFICE])
    return holders(session, STAFF, [intake.alliance_id])


def looking_after(session: Session, about: Conversation) -> list[str]:
    """Return who of the alliance looks after a case or its need, or showed the lab, and still works there."""
    theirs = holders(session, STAFF, [about.alliance_id])
    own = carrier_of(session, about.case) if about.case is not None else None
    taken = session.exec(select(NeedIntake.expert_id).where(NeedIntake.need_id == about.need_id)).first()
    shown = select(Release.released_by).where(Release.pairing_id == about.pairing_id).order_by(col(Release.id).desc())
    found = (own, taken, session.exec(shown).first())
    return list(dict.fromkeys(one for one in found if one is not None and one in theirs))


@dataclass(frozen=True)
class Writer:
    """Who writes to a company or a lab: the alliance, and the expert with how to reach them, if one looks after it."""

    alliance: Text
    expert: str = ""
    email: str = ""
    phone: str = ""

    @property
    def said(self) -> Text:
        """Who it is, in a sentence."""
        if not self.expert:
            return T_("%(alliance)s looks after this.", alliance=self.alliance)
        return T_("%(expert)s of %(alliance)s looks after this.", expert=self.expert, alliance=self.alliance)


def writer_of(session: Session, notice: Notice) -> Writer | None:
    """Return in whose name a side is told of something; None for what no alliance stands behind."""
    alliance_id, experts = _working(session, notice)
    if alliance_id is None:
        return None
    name, name_en = session.exec(select(Alliance.name, Alliance.name_en).where(Alliance.id == alliance_id)).one()
    alliance = either(name or name_en or "", name_en or name)
    if not experts:
        return Writer(alliance)
    expert = session.get_one(Account, experts[0])
    return Writer(alliance, "" if expert.name == expert.email else expert.name, expert.email, expert.phone)


def _working(session: Session, notice: Notice) -> tuple[str | None, list[str]]:
    """Return the alliance that works on what a notice is about, and who of it looks after that."""
    facts = notice.facts
    asked = session.get(LabQuestion, int(facts["question"])) if "question" in facts else None
    if asked is not None:
        return asked.alliance_id, [one for one in holders(session, STAFF, [asked.alliance_id]) if one == asked.by]
    case = session.get(Case, int(facts["case"])) if "case" in facts else None
    number = int(facts["pairing"]) if "pairing" in facts else None if case is None else case.pairing_id
    pairing = None if number is None else session.get(StoredPairing, number)
    if pairing is not None:
        try:
            about = conversation_of(session, pairing)
        except ThreadError:
            return None, []
        return about.alliance_id, looking_after(session, about)
    intake = session.get(NeedIntake, facts.get("need", ""))
    if intake is None or intake.alliance_id is None:
        return None, []
    return intake.alliance_id, [one for one in holders(session, STAFF, [intake.alliance_id]) if one == intake.expert_id]


def carers_of(session: Session, address: str) -> Iterator[tuple[str, str, str]]:
    """Yield who looks after the owner of an address, the owner's account, and the page where it is mended.

    For somebody of a company these are the experts that look after it, or who leads their alliance; for others the
    programme office.
    """
    account_id = session.exec(select(Account.id).where(Account.email == address)).first()
    if account_id is None:
        return
    companies = select(Grant.scope_id).where(
        Grant.account_id == account_id, Grant.role == Role.COMPANY.value, col(Grant.revoked_at).is_(None)
    )
    clients = session.exec(
        select(Client).where(
            or_(*(col(Client.company_id).in_(some) for some in with_same(companies))), col(Client.until).is_(None)
        )
    ).all()
    found: dict[str, str] = {}
    for client in clients:
        for one in [client.expert_id] if client.expert_id else holders(session, [Role.LEAD], [client.alliance_id]):
            found.setdefault(one, f"/companies/{client.company_id}")
    if not found:
        found = dict.fromkeys(holders(session, [Role.OFFICE]), f"/admin/accounts/{account_id}")
    for reader, place in sorted(found.items()):
        if reader != account_id:
            yield reader, account_id, place
