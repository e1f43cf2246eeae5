"""What happened, told to whom it concerns: one function for each kind of event, called within its transaction.

In: the transaction of an act, what it was done to, who did it. Out: notices in the outbox for those who look after it
or wait for it, each with the page that says more for that reader. It exists so that routes and the night say only that
something happened, and who hears of it stands in one place. Readers get ids and codes; whether each may still know of
it is asked again when it leaves.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from sqlmodel import Session, col, func, select

from api.access.policy import Action
from api.access.visibility import claims as visible_claims
from api.letters.caring import company_of, expert_of, holders
from indexer.instants import day_in_taipei
from indexer.records.record_tables import Lab
from matcher.ledger.rows.entries import Entry
from matcher.ledger.rows.motions import Motion, MotionKind
from matcher.notices.kinds import NoticeKind
from matcher.notices.outbox import notify
from matcher.review.cases import OPEN_STAGES, Case, CaseStep, Contact, Stage
from matcher.review.clients import Client, ClientRequest
from matcher.review.decisions import Decision
from matcher.review.desk.handing_on import carrier_of
from matcher.review.intake import NeedIntake, NeedState
from matcher.review.joint.kept_chains import next_in_chain
from matcher.review.own_lab.researchers import LabClaim
from matcher.review.people import Account, Grant, principal
from matcher.review.proposals import PairingState, Release, StoredPairing
from matcher.review.roles import STAFF, Role

_DUE_FOR = timedelta(days=7)
"""So far back a day that was due is told of, by a night that was left out."""


def _people_of(session: Session, company_id: str | None) -> list[str]:
    return [] if company_id is None else holders(session, [Role.COMPANY], [company_id])


def tell_of_new_need(session: Session, need_id: str, *, by: str | None, now: datetime) -> None:
    """Tell the alliance that a need is for, or the office if it is for none yet."""
    intake = session.get(NeedIntake, need_id)
    alliance = None if intake is None else intake.alliance_id
    readers = holders(session, [Role.OFFICE]) if alliance is None else holders(session, STAFF, [alliance])
    notify(
        session,
        kind=NoticeKind.NEED_NEW,
        to=readers,
        key=f"need {need_id} new for {alliance or 'nobody'}",
        place=f"/needs/{need_id}",
        facts={"need": need_id},
        by=by,
        now=now,
    )


def tell_of_moved_need(session: Session, need_id: str, state: NeedState, *, by: str, now: datetime) -> None:
    """Tell the company and the expert that a need was taken up, closed or withdrawn."""
    kind = NoticeKind.NEED_TAKEN_UP if state is NeedState.TAKEN_UP else NoticeKind.NEED_ENDED
    said: dict[str, Any] = {
        "kind": kind,
        "key": f"need {need_id} {state.value} {now.isoformat()}",
        "facts": {"need": need_id, "state": state.value},
        "by": by,
        "now": now,
    }
    company = company_of(session, need_id)
    notify(session, to=_people_of(session, company), place=f"/company/needs/{need_id}", **said)
    if kind is NoticeKind.NEED_ENDED:
        notify(session, to=expert_of(session, need_id), place=f"/needs/{need_id}", **said)


def tell_of_handed_on(session: Session, *, need_id: str, case_id: int | None, to: str, by: str, now: datetime) -> None:
    """Tell a colleague that a need, or a case of it, is theirs now."""
    place = f"/needs/{need_id}" if case_id is None else f"/cases/{case_id}"
    notify(
        session,
        kind=NoticeKind.HANDED_ON,
        to=[to],
        key=f"{place} handed to {to} {now.isoformat()}",
        place=place,
        facts={"need": need_id, "how": "need" if case_id is None else "case"},
        by=by,
        now=now,
    )


def tell_of_opened_need(
    session: Session, need_id: str, how: str, *, by: str, now: datetime, alliance: str | None = None
) -> None:
    """Tell the company and its alliance who was let in to a need, or no longer is.

    Args:
        session: the transaction.
        need_id: the need.
        how: `shared`, `share_ended`, or `glass` where the office broke the seal.
        by: who did it.
        now: the moment.
        alliance: with which alliance it was shared; its people hear of a need that is new to them.
    """
    said: dict[str, Any] = {
        "kind": NoticeKind.NEED_OPENED,
        "key": f"need {need_id} {how} {alliance or ''} {now.isoformat()}",
        "facts": {"need": need_id, "how": how},
        "by": by,
        "now": now,
    }
    intake = session.get(NeedIntake, need_id)
    own = holders(session, STAFF, [None if intake is None else intake.alliance_id])
    company = company_of(session, need_id)
    notify(session, to=_people_of(session, company), place=f"/company/needs/{need_id}", **said)
    notify(session, to=own, place=f"/needs/{need_id}", **said)
    if alliance is not None and how == "shared":
        notify(
            session,
            kind=NoticeKind.NEED_NEW,
            to=holders(session, STAFF, [alliance]),
            key=f"need {need_id} new for {alliance} {now.isoformat()}",
            place=f"/needs/{need_id}",
            facts={"need": need_id},
            by=by,
            now=now,
        )


def tell_of_released_lab(session: Session, pairing: StoredPairing, *, by: str, now: datetime) -> None:
    """Tell the company that a lab is suggested for its need; the letter asks whether it is interested."""
    shown = (Release.pairing_id == pairing.id, col(Release.ended_at).is_(None))
    release_id = session.exec(select(Release.id).where(*shown)).first()
    notify(
        session,
        kind=NoticeKind.LAB_RELEASED,
        to=_people_of(session, company_of(session, pairing.need_id)),
        key=f"release {release_id}",
        place=f"/company/needs/{pairing.need_id}",
        facts={"need": pairing.need_id, "pairing": str(pairing.id), "release": str(release_id)},
        by=by,
        now=now,
    )


def tell_of_moved_case(session: Session, case: Case, *, by: str, now: datetime) -> None:
    """Tell the expert whose case it is, the company, and the lab once it was introduced."""
    stage = Stage(case.stage)
    said: dict[str, Any] = {"key": f"case {case.id} step {case.version}", "by": by, "now": now}
    facts = {"case": str(case.id), "need": case.need_id, "stage": stage.value}
    moved: dict[str, Any] = {"kind": NoticeKind.CASE_MOVED, "facts": facts, **said}
    notify(session, to=[carrier_of(session, case)], place=f"/cases/{case.id}", **moved)
    was_introduced = stage not in (Stage.ACCEPTED, Stage.UNDONE, Stage.LOST) or _was_introduced(session, case)
    if not was_introduced:
        return
    notify(session, to=_people_of(session, case.company_id), place=f"/company/needs/{case.need_id}", **moved)
    researchers = holders(session, [Role.RESEARCHER], [case.lab_id])
    if stage is Stage.INTRODUCED:
        # What the lab is asked: the links of the letter answer this introduction and no other.
        asked = {"pairing": str(case.pairing_id), "step": str(case.version)}
        facts = {"case": str(case.id), "need": case.need_id, **asked}
        moved = {"kind": NoticeKind.CASE_INTRODUCED, "facts": facts, **said}
    notify(session, to=researchers, place=f"/conversations/{case.pairing_id}", **moved)


def tell_of_next_in_chain(session: Session, case: Case, *, now: datetime) -> None:
    """Tell whoever looks after a case that is signed now whom a chain goes on to; by it nobody is asked."""
    coming = next_in_chain(session, case) if case.stage == Stage.SIGNED else None
    if coming is None:
        return
    notify(
        session,
        kind=NoticeKind.NEXT_IN_CHAIN,
        to=[carrier_of(session, case)],
        key=f"case {case.id} signed, next {coming.company_id}",
        place=f"/needs/{coming.need_id}/chain",
        facts={"need": coming.need_id, "case": str(case.id)},
        # Whoever signed is told too: it is a thing to do, not news.
        by=None,
        now=now,
    )


def _was_introduced(session: Session, case: Case) -> bool:
    steps = select(CaseStep.id).where(CaseStep.case_id == case.id, CaseStep.new == Stage.INTRODUCED.value)
    return session.exec(steps).first() is not None


def tell_of_results(session: Session, entries: Iterable[Entry], *, by: str, now: datetime, again: bool = False) -> None:
    """Tell the committees of the alliances that have a share that a result waits; `again` after more evidence came."""
    for entry in entries:
        notify(
            session,
            kind=NoticeKind.RESULT_TO_REVIEW,
            to=holders(session, [Role.COMMITTEE], entry.shares),
            key=f"entry {entry.id} waits {now.isoformat() if again else ''}".strip(),
            place=f"/review/{entry.id}",
            facts={"entry": entry.id},
            by=by,
            now=now,
        )


def tell_of_said_result(session: Session, entry: Entry, how: str, *, by: str, now: datetime) -> None:
    """Tell who reported a result what was said of it: `return`, `refuse`, `recognise` or `reverse`."""
    kind = NoticeKind.RESULT_RECOGNISED if how == "recognise" else NoticeKind.RESULT_RETURNED
    notify(
        session,
        kind=kind,
        to=[entry.reporter],
        key=f"entry {entry.id} {how} {now.isoformat()}",
        place=f"/results/{entry.id}",
        facts={"entry": entry.id, "how": how},
        by=by,
        now=now,
    )


def tell_of_motion(session: Session, motion: Motion, *, now: datetime) -> None:
    """Tell those who may be the second person."""
    entry = _entry_of(session, motion)
    scopes = None if entry is None or motion.kind != MotionKind.RECOGNISE.value else list(entry.shares)
    committees = _all_holders(session, Role.COMMITTEE) if scopes is None else holders(session, [Role.COMMITTEE], scopes)
    notify(
        session,
        kind=NoticeKind.MOTION_TO_SECOND,
        to=[*holders(session, [Role.OFFICE]), *committees],
        key=f"motion {motion.id}",
        place="/review/motions",
        facts={"motion": str(motion.id)},
        by=motion.moved_by,
        now=now,
    )


def tell_of_seconded(session: Session, motion: Motion, *, by: str, now: datetime) -> None:
    """Tell who reported a result, or was given a role, that a second person agreed."""
    if motion.kind == MotionKind.GRANT.value:
        tell_of_account(session, str(motion.payload["account"]), "role_given", by=by, now=now)
        return
    entry = _entry_of(session, motion)
    if entry is not None:
        how = "recognise" if motion.kind == MotionKind.RECOGNISE.value else "reverse"
        tell_of_said_result(session, entry, how, by=by, now=now)


def _entry_of(session: Session, motion: Motion) -> Entry | None:
    if motion.kind not in (MotionKind.RECOGNISE.value, MotionKind.REVERSE.value):
        return None
    return session.exec(select(Entry).where(Entry.id == motion.subject)).first()


def _all_holders(session: Session, role: Role) -> list[str]:
    query = select(Grant.account_id).join(Account, col(Account.id) == col(Grant.account_id))
    held = query.where(Grant.role == role.value, col(Grant.revoked_at).is_(None), col(Account.disabled_at).is_(None))
    return sorted(set(session.exec(held).all()))


def tell_of_claim(session: Session, claim: LabClaim, *, now: datetime) -> None:
    """Tell the office, and who leads an alliance of the lab's school, that somebody claims a lab."""
    today, readers = day_in_taipei(now), holders(session, [Role.OFFICE])
    for lead in _all_holders(session, Role.LEAD):
        who = principal(session, lead)
        theirs = select(LabClaim.id).join(Lab, col(Lab.id) == col(LabClaim.lab_id)).where(LabClaim.id == claim.id)
        if who is not None and session.exec(theirs.where(visible_claims(who, Action.DECIDE, today))).first():
            readers.append(lead)
    notify(
        session,
        kind=NoticeKind.CLAIM_TO_DECIDE,
        to=readers,
        key=f"claim {claim.id}",
        place="/claims",
        facts={"lab": claim.lab_id},
        by=claim.account_id,
        now=now,
    )


def tell_of_decided_claim(session: Session, claim: LabClaim, *, now: datetime) -> None:
    """Tell who claimed a lab what came of it."""
    notify(
        session,
        kind=NoticeKind.CLAIM_DECIDED,
        to=[claim.account_id],
        key=f"claim {claim.id} decided",
        place="/my-lab" if claim.verdict == "approved" else "/claims/new",
        facts={"verdict": claim.verdict or ""},
        by=claim.decided_by,
        now=now,
    )


def tell_of_client_request(session: Session, asked: ClientRequest, *, now: datetime) -> None:
    """Tell the company, and who looks after it, that another alliance asks to do so too."""
    said: dict[str, Any] = {
        "kind": NoticeKind.CLIENT_ASKED,
        "key": f"client request {asked.id}",
        "facts": {"how": "asked"},
        "by": asked.asked_by,
        "now": now,
    }
    clients = session.exec(
        select(Client).where(Client.company_id == asked.company_id, col(Client.until).is_(None))
    ).all()
    experts = [client.expert_id for client in clients if client.expert_id is not None]
    leads = holders(session, [Role.LEAD], [client.alliance_id for client in clients])
    notify(session, to=[*experts, *leads], place="/companies", **said)
    notify(session, to=_people_of(session, asked.company_id), place="/company", **said)


def tell_of_answered_request(session: Session, asked: ClientRequest, *, by: str, now: datetime) -> None:
    """Tell who asked to look after a company what was answered."""
    notify(
        session,
        kind=NoticeKind.CLIENT_ASKED,
        to=[asked.asked_by, asked.expert_id],
        key=f"client request {asked.id} answered",
        place="/companies",
        facts={"how": str(asked.answer)},
        by=by,
        now=now,
    )


def tell_of_account(session: Session, account_id: str, how: str, *, by: str | None, now: datetime) -> None:
    """Tell somebody what was changed about the own account: `password`, `role_given` or `role_taken`.

    Of the password they hear even if it was changed in their own session: whose session it was is the question.
    """
    notify(
        session,
        kind=NoticeKind.ACCOUNT_CHANGED,
        to=[account_id],
        key=f"account {how} {now.isoformat()}",
        place="/account",
        facts={"how": how},
        by=None if how == "password" else by,
        now=now,
    )


def tell_of_due(session: Session, *, now: datetime) -> int:
    """Tell experts of next steps and deferred pairings whose day has come; each is told once. Return how many."""
    today = day_in_taipei(now)
    newest = select(func.max(col(Contact.id))).group_by(
        col(Contact.alliance_id), col(Contact.case_id), col(Contact.company_id)
    )
    days = (col(Contact.next_on) <= today, col(Contact.next_on) > today - _DUE_FOR)
    told = 0
    for contact in session.exec(select(Contact).where(col(Contact.id).in_(newest), *days)).all():
        case = None if contact.case_id is None else session.get(Case, contact.case_id)
        if case is not None and Stage(case.stage) not in OPEN_STAGES:
            continue
        place = f"/companies/{contact.company_id}" if case is None else f"/cases/{case.id}"
        facts = {} if case is None else {"case": str(case.id)}
        told += _due(session, contact.by, f"contact {contact.id} due", place, facts, now)
    deferred = (
        select(StoredPairing)
        .where(
            StoredPairing.state == PairingState.DEFERRED.value,
            col(StoredPairing.deferred_until) <= today,
            col(StoredPairing.deferred_until) > today - _DUE_FOR,
        )
        .order_by(col(StoredPairing.id))
    )
    for pairing in session.exec(deferred).all():
        last = select(Decision).where(Decision.pairing_id == pairing.id).order_by(col(Decision.id).desc()).limit(1)
        decision = session.exec(last).first()
        if decision is not None:
            key = f"pairing {pairing.id} due {pairing.deferred_until}"
            told += _due(session, decision.by, key, f"/needs/{pairing.need_id}", {"need": pairing.need_id}, now)
    return told


def _due(session: Session, reader: str, key: str, place: str, facts: dict[str, str], now: datetime) -> int:
    return len(notify(session, kind=NoticeKind.FOLLOW_UP_DUE, to=[reader], key=key, place=place, facts=facts, now=now))
