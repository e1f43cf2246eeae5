"""The queue: what waits for an expert, and who to turn to next.

In: who asks. Out: new needs, needs to match, pairings to say a word on, next
steps whose day has come, companies that nobody was in touch with for long.
Liaison staff are few: what is due must find them.
"""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Response
from sqlalchemy import and_, exists, select, union
from sqlmodel import Session, col, func

from api.access.policy import Action, Resource
from api.access.visibility import Condition, conversations, own_needs, readable, unconflicted
from api.access.visibility import cases as visible_cases
from api.access.visibility import companies as visible_companies
from api.access.visibility import needs as visible_needs
from api.documents.cases import QueueAnswer
from api.requests.capacity import ThreadedRoute
from api.requests.idempotency import Reply
from api.requests.permitted_request import PermittedRequest, requires
from api.requests.query_parameters import Limit
from api.trail.request_trail import NeedReader
from indexer.instants import day_in_taipei
from indexer.records.mended.retired import in_use
from indexer.records.record_tables import Company, Lab, Need
from indexer.vocabulary import Mendable
from matcher.review.cases import OPEN_STAGES, Case, Contact
from matcher.review.clients import Client
from matcher.review.conversation.answers import SideAnswer
from matcher.review.conversation.standing import stands_of, waiting_words
from matcher.review.conversation.thread import Message, Side
from matcher.review.desk.reminders import SILENT_DAYS
from matcher.review.intake import OPEN_STATES, NeedIntake, NeedState
from matcher.review.joint.visits import DiagnosisVisit, VisitState, visit_is_due
from matcher.review.people import Account, Principal
from matcher.review.proposals import PairingState, Proposal, StoredPairing
from matcher.review.roles import STAFF

router = APIRouter(prefix="/api", tags=["queue"], route_class=ThreadedRoute)

_OPEN = [state.value for state in OPEN_STATES]
_OPEN_CASES = [stage.value for stage in OPEN_STAGES]


@router.get("/queue", response_model=QueueAnswer)
def read_queue(
    ask: Annotated[PermittedRequest, Depends(requires(Resource.QUEUE, Action.READ))],
    silent_days: Annotated[
        int, Query(ge=1, le=3_650, description="A company is silent after so many days.")
    ] = SILENT_DAYS,
    limit: Limit = 50,
) -> Response:
    """Show what waits for you: new needs, pairings to review, follow-ups due, companies not contacted for long."""

    def work(session: Session, who: Principal) -> Reply:
        found = waiting_for(session, who, ask.at, limit, silent_days=silent_days, to=ask)
        pairings = _pairings(session, who, day_in_taipei(ask.at), limit, to=ask)
        return Reply(200, {**found, "pairings_to_review": pairings}, {})

    return ask.read(work)


def waiting_for(
    session: Session, who: Principal, at: datetime, limit: int, *, silent_days: int = SILENT_DAYS, to: NeedReader
) -> dict[str, list[dict[str, Any]]]:
    """Return what waits for an expert, each kind by itself: at most so many of it, the longest waiting first.

    Args:
        session: one state of the database.
        who: whose queue it is; what they may not see, or have an interest in, is not in it.
        at: the moment; days are those of Taipei.
        limit: at most so many of each kind.
        silent_days: a case or a company is silent after so many days without a contact.
        to: to whom it is shown, for the trail.
    """
    today = day_in_taipei(at)
    long_ago = today - timedelta(days=silent_days)
    return {
        "answers": _answers(session, who, limit, to=to),
        "new_needs": _new_needs(session, who, limit, to=to),
        "needs_to_match": _needs_to_match(session, who, limit, to=to),
        "needs_to_review": _needs_to_review(session, who, limit, to=to),
        "deferred_due": _pairings(session, who, today, limit, only_due=True, to=to),
        "follow_ups_due": _due(session, who, today, limit, to=to),
        "silent_cases": _silent_cases(session, who, long_ago, at - timedelta(days=silent_days), limit, to=to),
        "silent_companies": _silent(session, who, long_ago, limit),
        "visits_due": _visits(session, who, today, limit),
    }


def _answers(session: Session, who: Principal, limit: int, *, to: NeedReader) -> list[dict[str, Any]]:
    """Answers and questions of both sides that wait for the alliance, the oldest first."""
    heard = union(
        select(col(SideAnswer.pairing_id)),
        select(col(Message.pairing_id)).where(col(Message.alliance_id).in_(who.scopes(*STAFF))),
    )
    rows = session.execute(
        select(col(StoredPairing.id), col(Need.id), col(Need.title), col(Lab.id), col(Lab.name), col(Lab.name_en))
        .select_from(StoredPairing)
        .join(Need, col(Need.id) == StoredPairing.need_id)
        .join(Lab, col(Lab.id) == StoredPairing.lab_id)
        .where(conversations(who, Action.READ, Side.EXPERT), col(StoredPairing.id).in_(heard))
    ).all()
    named = {number: rest for number, *rest in rows}
    if not named:
        return []
    found = []
    for one in waiting_words(session, named, stands_of(session, {rest[0] for rest in named.values()})):
        need_id, title, lab_id, name, name_en = named[one.pairing_id]
        found.append(
            {
                "pairing_id": one.pairing_id,
                "need_id": need_id,
                "need_title": title,
                "lab_id": lab_id,
                "lab_name": name,
                "lab_name_en": name_en,
                "side": one.side.value,
                "word": one.word,
                "case_id": one.case_id,
                "at": one.at.isoformat(),
            }
        )
    found = sorted(found, key=lambda one: (str(one["at"]), int(one["pairing_id"])))[:limit]
    for row in found:
        to.reads(row["need_id"])
    return found


def _new_needs(session: Session, who: Principal, limit: int, *, to: NeedReader) -> list[dict[str, Any]]:
    rows = session.execute(
        select(
            col(Need.id),
            col(Need.title),
            col(Need.company),
            col(Company.name),
            col(NeedIntake.submitted_at),
            own_needs(who),
        )
        .join(NeedIntake, col(NeedIntake.need_id) == Need.id)
        .join(Company, col(Company.id) == Need.company, isouter=True)
        .where(visible_needs(who, Action.LIST), readable(who), col(NeedIntake.state) == NeedState.SUBMITTED.value)
        .order_by(col(NeedIntake.submitted_at), col(Need.id))
        .limit(limit)
    ).all()
    found = [
        {
            "id": need_id,
            "title": title,
            "company": company,
            "company_name": name,
            "submitted_at": at.isoformat(),
            "shared": not own,
        }
        for need_id, title, company, name, at, own in rows
    ]
    for one in found:
        to.reads(one["id"])
    return found


def _needs_to_match(session: Session, who: Principal, limit: int, *, to: NeedReader) -> list[dict[str, Any]]:
    """The own needs that were taken up and that nobody has been shown a lab for; each waits for whoever took it up."""
    shown = exists(select(1).where(col(StoredPairing.need_id) == col(Need.id)).correlate(Need))
    rows = session.execute(
        select(
            col(Need.id),
            col(Need.title),
            col(Need.company),
            col(Company.name),
            col(NeedIntake.changed_at),
            col(Account.name),
        )
        .join(NeedIntake, col(NeedIntake.need_id) == Need.id)
        .join(Company, col(Company.id) == Need.company, isouter=True)
        .join(Account, col(Account.id) == NeedIntake.expert_id, isouter=True)
        .where(own_needs(who), readable(who), col(NeedIntake.state) == NeedState.TAKEN_UP.value, ~shown)
        .where(in_use(Mendable.NEED, col(Need.id)))
        .order_by(col(NeedIntake.changed_at), col(Need.id))
        .limit(limit)
    ).all()
    found = [
        {
            "id": need_id,
            "title": title,
            "company": company,
            "company_name": name,
            "taken_up_at": at.isoformat(),
            "expert": expert,
        }
        for need_id, title, company, name, at, expert in rows
        if not who.has_stake(company_id=company, lab_id=None)
    ]
    for one in found:
        to.reads(one["id"])
    return found


def _waiting(who: Principal) -> tuple[Condition, ...]:
    """Conditions on a pairing joined with its need and the need's way in: one that a word may still be said on."""
    return (
        visible_needs(who, Action.LIST),
        readable(who),
        unconflicted(who),
        col(NeedIntake.state).in_(_OPEN),
        in_use(Mendable.LAB, col(StoredPairing.lab_id)),
    )


def _needs_to_review(session: Session, who: Principal, limit: int, *, to: NeedReader) -> list[dict[str, Any]]:
    since = func.min(Proposal.shown_at).label("since")
    rows = session.execute(
        select(
            col(Need.id),
            col(Need.title),
            col(Need.company),
            col(Company.name),
            func.count(col(StoredPairing.id).distinct()),
            since,
        )
        .join(StoredPairing, col(StoredPairing.need_id) == Need.id)
        .join(NeedIntake, col(NeedIntake.need_id) == Need.id)
        .join(Proposal, col(Proposal.pairing_id) == StoredPairing.id)
        .join(Company, col(Company.id) == Need.company, isouter=True)
        .where(*_waiting(who), col(StoredPairing.state) == PairingState.PROPOSED.value)
        .group_by(col(Need.id), col(Need.title), col(Need.company), col(Company.name))
        .order_by(since, col(Need.id))
        .limit(limit)
    ).all()
    found = [
        {
            "need_id": need_id,
            "title": title,
            "company": company,
            "company_name": name,
            "waiting": waiting,
            "since": at.isoformat(),
        }
        for need_id, title, company, name, waiting, at in rows
    ]
    for one in found:
        to.reads(one["need_id"])
    return found


def _pairings(
    session: Session, who: Principal, today: date, limit: int, *, only_due: bool = False, to: NeedReader
) -> list[dict[str, Any]]:
    """Those that were deferred until a day that has come go first, or alone."""
    due = (col(StoredPairing.state) == PairingState.DEFERRED.value) & (col(StoredPairing.deferred_until) <= today)
    waits = due if only_due else (col(StoredPairing.state) == PairingState.PROPOSED.value) | due
    rows = session.execute(
        select(StoredPairing, col(Need.title), col(Lab.name), col(Lab.name_en))
        .join(Need, col(Need.id) == StoredPairing.need_id)
        .join(NeedIntake, col(NeedIntake.need_id) == Need.id)
        .join(Lab, col(Lab.id) == StoredPairing.lab_id)
        .where(*_waiting(who), waits)
        .order_by(col(StoredPairing.deferred_until).is_(None), col(StoredPairing.deferred_until), col(StoredPairing.id))
        .limit(limit)
    ).all()
    found = [
        {
            **pairing.model_dump(mode="json", include={"id", "need_id", "lab_id", "deferred_until"}),
            "need_title": title,
            "lab_name": name,
            "lab_name_en": name_en,
        }
        for pairing, title, name, name_en in rows
    ]
    for one in found:
        to.reads(one["need_id"])
    return found


def _due(session: Session, who: Principal, today: date, limit: int, *, to: NeedReader) -> list[dict[str, Any]]:
    """The next steps whose day has come, each until the case or the company had a later contact."""
    newest = (
        select(func.max(col(Contact.id)))
        .where(col(Contact.alliance_id).in_(who.scopes(*STAFF)))
        .group_by(col(Contact.case_id), col(Contact.company_id))
    )
    rows = session.execute(
        select(Contact, col(Case.stage), col(Case.lab_id), col(Company.name), col(Need.id), col(Need.title))
        .join(Case, col(Case.id) == Contact.case_id, isouter=True)
        .join(Company, col(Company.id) == Contact.company_id, isouter=True)
        .join(Need, and_(col(Need.id) == Case.need_id, readable(who)), isouter=True)
        .where(col(Contact.id).in_(newest), col(Contact.next_on) <= today)
        .order_by(col(Contact.next_on), col(Contact.id))
        .limit(limit)
    ).all()
    found = [
        {
            "contact_id": contact.id,
            "case_id": contact.case_id,
            "company_id": contact.company_id,
            "company_name": name,
            "need_id": need_id,
            "need_title": title,
            "held_on": contact.held_on.isoformat(),
            "next_step": contact.next_step,
            "next_on": contact.next_on.isoformat() if contact.next_on else None,
        }
        for contact, stage, lab_id, name, need_id, title in rows
        if (contact.case_id is None or stage in OPEN_STAGES)
        and not who.has_stake(company_id=contact.company_id, lab_id=lab_id)
    ]
    for one in found:
        if one["need_id"] is not None:
            to.reads(one["need_id"])
    return found


def _silent_cases(
    session: Session, who: Principal, before: date, opened_before: datetime, limit: int, *, to: NeedReader
) -> list[dict[str, Any]]:
    """Return the open cases in which nobody was in touch for long."""
    last = (
        select(col(Contact.case_id), func.max(col(Contact.held_on)).label("last"))
        .where(col(Contact.case_id).is_not(None))
        .group_by(col(Contact.case_id))
        .subquery()
    )
    rows = session.execute(
        select(Case, col(Need.title), col(Lab.name), col(Lab.name_en), last.c.last)
        .join(Lab, col(Lab.id) == Case.lab_id)
        .join(Need, and_(col(Need.id) == Case.need_id, readable(who)), isouter=True)
        .join(last, last.c.case_id == Case.id, isouter=True)
        .where(col(Case.alliance_id).in_(who.scopes(*STAFF)), visible_cases(who, Action.LIST))
        .where(col(Case.stage).in_(_OPEN_CASES), col(Case.opened_at) < opened_before)
        .where(last.c.last.is_(None) | (last.c.last < before))
        .order_by(last.c.last.is_not(None), last.c.last, col(Case.id))
        .limit(limit)
    ).all()
    found = [
        {
            "case_id": case.id,
            "need_id": case.need_id,
            "need_title": title,
            "lab_id": case.lab_id,
            "lab_name": name,
            "lab_name_en": name_en,
            "company_id": case.company_id,
            "last_contact": day and day.isoformat(),
            "opened_at": case.opened_at.isoformat(),
        }
        for case, title, name, name_en, day in rows
        if not who.has_stake(company_id=case.company_id, lab_id=case.lab_id)
    ]
    for one in found:
        if one["need_title"] is not None:
            to.reads(one["need_id"])
    return found


def _silent(session: Session, who: Principal, before: date, limit: int) -> list[dict[str, Any]]:
    own = who.scopes(*STAFF)
    last = (
        select(col(Contact.company_id), func.max(col(Contact.held_on)).label("last"))
        .where(col(Contact.alliance_id).in_(own))
        .group_by(col(Contact.company_id))
        .subquery()
    )
    held = (
        select(
            col(Client.company_id),
            func.min(col(Client.since)).label("since"),
            func.min(col(Client.expert_id)).label("expert_id"),
        )
        .where(col(Client.alliance_id).in_(own), col(Client.until).is_(None))
        .group_by(col(Client.company_id))
        .subquery()
    )
    rows = session.execute(
        select(col(Company.id), col(Company.name), col(Company.name_en), last.c.last, held.c.since, col(Account.name))
        .join(held, held.c.company_id == Company.id)
        .join(last, last.c.company_id == Company.id, isouter=True)
        .join(Account, col(Account.id) == held.c.expert_id, isouter=True)
        .where(visible_companies(who, Action.CONTACT), last.c.last.is_(None) | (last.c.last < before))
        .where(in_use(Mendable.COMPANY, col(Company.id)))
        # With a declared interest somebody else turns to the company.
        .where(col(Company.id).not_in([party_id for party, party_id in who.stakes if party == "company"]))
        .order_by(last.c.last.is_not(None), last.c.last, col(Company.id))
        .limit(limit)
    ).all()
    return [
        {
            "company_id": company_id,
            "name": name,
            "name_en": name_en,
            "last_contact": day and day.isoformat(),
            "since": since.isoformat(),
            "expert": expert,
        }
        for company_id, name, name_en, day, since, expert in rows
    ]


def _visits(session: Session, who: Principal, today: date, limit: int) -> list[dict[str, Any]]:
    """Return the joint visits whose day has come, or that wait for their report."""
    rows = session.execute(
        select(DiagnosisVisit, col(Company.name), col(Company.name_en))
        .join(Company, col(Company.id) == DiagnosisVisit.company_id)
        .where(col(DiagnosisVisit.alliance_id).in_(who.scopes(*STAFF)), visit_is_due(today))
        .where(in_use(Mendable.COMPANY, col(DiagnosisVisit.company_id)))
        .order_by(col(DiagnosisVisit.held_on), col(DiagnosisVisit.id))
        .limit(limit)
    ).all()
    return [
        {
            "visit_id": visit.id,
            "visit_state": visit.state,
            "company_id": visit.company_id,
            "name": name,
            "name_en": name_en,
            "held_on": visit.held_on.isoformat(),
            # A visit is due on its day, its report within the time that things of its kind have.
            "due_on": visit.held_on.isoformat() if visit.state == VisitState.PLANNED.value else None,
            "expert_id": visit.by,
        }
        for visit, name, name_en in rows
        if not who.has_stake(company_id=visit.company_id, lab_id=None)
    ]
