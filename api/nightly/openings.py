"""Telling companies and alliances who was let in to their needs: by mail, once a night.

In: shares of needs that began or ended, and needs whose seal the programme office broke, since the last night that
told of them. Out: a mail to each person of the company and to the experts and leads of the alliance, with the need's
id, the moment and what happened, and none of its text. It exists because "in confidence" is a promise that its owner
has to be able to look after without opening a page each day; the page of the need says the same. Without a mail server
it is counted and nothing else. A step that was cut off tells once more: twice is better than never.
"""

from __future__ import annotations

import smtplib
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from email.message import EmailMessage
from email.utils import formatdate, make_msgid

from sqlalchemy import and_, or_
from sqlmodel import Session, col, select

from api.home import open_reading
from api.nightly.report import MailError, connected_to
from api.nightly.step import StepOutcome, StepWork
from api.trail.audit_trail import BreakGlassRead
from api.trail.nights import Said, read_nights
from indexer.instants import TAIPEI
from indexer.records.mended.merged import same_ids
from indexer.records.record_tables import Alliance, Need
from indexer.settings import Settings
from indexer.vocabulary import Mendable
from indexer.wording import T_, Text, either
from matcher.review.intake import NeedIntake, NeedShare
from matcher.review.people import Account, Grant
from matcher.review.roles import STAFF, Role

STEP = "openings"
_AT_FIRST = timedelta(days=1)


@dataclass(frozen=True)
class _Opening:
    need_id: str
    at: datetime
    said: Text


def tell_of_openings(work: StepWork) -> StepOutcome:
    """Mail everybody concerned who was let in to their needs since the last night that did so."""
    since = _told_until(work)
    with open_reading(work.settings) as session:
        found = sorted(_openings(session, since, work.now), key=lambda one: (one.at, one.need_id))
        told: defaultdict[str, list[_Opening]] = defaultdict(list)
        for opening in found:
            for address in _concerned(session, opening.need_id):
                told[address].append(opening)
    details = {"until": work.now.isoformat()}
    if not (told and work.settings.smtp_url.get_secret_value() and work.settings.mail_from):
        return StepOutcome({"openings": len(found), "mailed_to": 0}, details=details)
    try:
        with connected_to(work.settings) as server:
            for address, openings in sorted(told.items()):
                server.send_message(_message(work.settings, address, openings))
    except (MailError, smtplib.SMTPException, OSError) as error:
        # Told again by the next night: what was not sent is not taken as told.
        said = Said.of(T_("not mailed: %(error)s", error=type(error).__name__))
        return StepOutcome({"openings": len(found), "mailed_to": 0}, said, {"until": since.isoformat()})
    return StepOutcome({"openings": len(found), "mailed_to": len(told)}, details=details)


def _told_until(work: StepWork) -> datetime:
    untils = [
        datetime.fromisoformat(step.details["until"])
        for night in read_nights(work.settings.home)
        for step in night.steps
        if step.name == STEP and "until" in step.details
    ]
    return max(untils, default=work.now - _AT_FIRST)


def _openings(session: Session, since: datetime, until: datetime) -> Iterator[_Opening]:
    changed = or_(col(NeedShare.shared_at) > since, col(NeedShare.ended_at) > since)
    shares = select(NeedShare, Alliance).join(Alliance, col(Alliance.id) == col(NeedShare.alliance_id)).where(changed)
    for share, alliance in session.exec(shares).all():
        name = either(alliance.name or alliance.name_en, alliance.name_en or alliance.name)
        if since < share.shared_at <= until:
            yield _Opening(share.need_id, share.shared_at, T_("shared with %(alliance)s", alliance=name))
        if share.ended_at is not None and since < share.ended_at <= until:
            yield _Opening(share.need_id, share.ended_at, T_("no longer shared with %(alliance)s", alliance=name))
    for read in session.exec(select(BreakGlassRead).where(BreakGlassRead.at > since, BreakGlassRead.at <= until)).all():
        yield _Opening(read.need_id, read.at, T_("read by the programme office, which broke the seal"))


def _concerned(session: Session, need_id: str) -> list[str]:
    """Return the addresses of the company's people and of the experts and leads of its alliance."""
    company = session.exec(select(Need.company).where(Need.id == need_id)).first()
    ours = same_ids(session, Mendable.COMPANY, company or "")
    alliance = session.exec(select(NeedIntake.alliance_id).where(NeedIntake.need_id == need_id)).first()
    theirs = or_(
        and_(col(Grant.role) == Role.COMPANY.value, col(Grant.scope_id).in_(ours)),
        and_(col(Grant.role).in_([role.value for role in STAFF]), col(Grant.scope_id) == alliance),
    )
    query = select(Account.email).join(Grant, col(Grant.account_id) == col(Account.id)).where(theirs)
    held = query.where(col(Grant.revoked_at).is_(None), col(Account.disabled_at).is_(None))
    return sorted(set(session.exec(held).all()))


def _message(settings: Settings, address: str, openings: list[_Opening]) -> EmailMessage:
    subject, end = T_("Who was let in to your needs"), T_("The page of each need says more, with the reason.")
    lines = [(one, f"{one.need_id}  {one.at.astimezone(TAIPEI):%Y-%m-%d %H:%M}") for one in openings]
    message = EmailMessage()
    message["Subject"] = f"GLORIA Match: {subject.zh} / {subject.en}"
    message["From"], message["To"] = settings.mail_from, address
    message["Date"] = formatdate(localtime=False)
    message["Message-ID"] = make_msgid("openings", settings.mail_from.rpartition("@")[2] or None)
    message["Auto-Submitted"] = "auto-generated"
    told = [f"{place}  {one.said.zh}\n    {one.said.en}" for one, place in lines]
    message.set_content("\n".join([*told, "", end.zh, end.en, ""]))
    return message
