"""The one list of an expert's day: everything that waits, whatever its kind, in the order in which it is best done.

In: what waits for an expert, kind by kind, as the queue finds it, and what they put off. Out: one document with a line
for each thing: what it is about, whose it is, by when it should be done and what is at stake. It exists because ten
lists by kind leave the ordering to whoever reads them, each morning again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from pydantic import Field
from sqlalchemy import select as select_columns
from sqlmodel import Session, col

from api.documents.answers import Answer
from indexer.instants import day_in_taipei
from indexer.records.record_tables import Company, Need
from indexer.vocabulary import Tier
from matcher.ledger.figures.waiting import WaitingEntry
from matcher.ledger.rows.kpis import KPI_FACTS, Kpi, Unit
from matcher.review.cases import OPEN_STAGES, Case
from matcher.review.clients import Client, ClientRequest
from matcher.review.conversation.answers import SideWord
from matcher.review.conversation.thread import Side
from matcher.review.desk.handing_on import carrier
from matcher.review.desk.putting_off import PutOff
from matcher.review.desk.saved_views import ViewedList
from matcher.review.desk.urgency import Task, When, urgency
from matcher.review.intake import NeedIntake
from matcher.review.joint.visits import VisitState
from matcher.review.people import Account, Principal
from matcher.review.roles import STAFF


class TodayItem(Answer):
    """One thing that waits; `task` and `subject` say which. What is not of its kind is null."""

    task: Task
    subject: str
    when: When
    due_on: date = Field(description="By when it should be done.")
    since: date = Field(description="Since when it waits.")
    stake: int = Field(description="What is at stake: 4 for an open case, and 1, 2, 3 for a company's membership.")
    expert_id: str | None = Field(description="Whose it is; null if it is nobody's yet.")
    expert: str | None
    is_mine: bool
    put_off_until: date | None
    need_id: str | None
    need_title: str | None
    lab_id: str | None
    lab_name: str | None
    lab_name_en: str | None
    company_id: str | None
    company_name: str | None
    company_name_en: str | None
    tier: Tier | None
    case_id: int | None
    pairing_id: int | None
    entry_id: str | None
    kpi: Kpi | None
    amount: int | None
    unit: Unit | None
    side: Side | None
    word: SideWord | None
    count: int | None = Field(description="How many labs wait for a word.")
    next_step: str | None
    note: str | None = Field(description="Why a result came back.")
    shared: bool | None = Field(description="The need is another alliance's, which takes it up.")
    visit_state: VisitState | None = Field(description="Whether a joint visit is still to be held, or to be reported.")
    alliance_id: str | None = Field(description="Which alliance asks to look after a company too.")


class TodayAnswer(Answer):
    """What waits for you, the most urgent first."""

    items: list[TodayItem]
    by_task: dict[Task, int] = Field(description="How many of each kind there are, put off or not shown ones left out.")
    mine: int = Field(description="How many are yours or nobody's yet.")
    team: int = Field(description="How many are your alliances'.")
    put_off: int = Field(description="How many of them you have put off.")


class SavedViewAnswer(Answer):
    """A list as somebody wants to see it again; `address` is where."""

    id: int
    page: ViewedList
    name: str
    query: str
    address: str


@dataclass(frozen=True)
class DayPart:
    """Which part of the list is asked for."""

    whole_team: bool = False
    put_off: bool = False
    task: Task | None = None
    limit: int = 50


def today_document(
    session: Session,
    who: Principal,
    today: date,
    waiting: Iterable[dict[str, Any]],
    put_off: Mapping[tuple[str, str], PutOff],
    asked: DayPart,
) -> dict[str, Any]:
    """Return the list.

    Args:
        session: one state of the database.
        who: whose list it is.
        today: the day in Taipei.
        waiting: what waits, as `waiting_items` gives it.
        put_off: what the person put off beyond today, by kind and subject.
        asked: which part of it.
    """
    lines = list(_with_what_is_known(session, who, today, list(waiting)))
    for line in lines:
        row = put_off.get((line["task"], line["subject"]))
        began = line.pop("began")
        # What happened after it was put off brings it back.
        rests = row is not None and (began <= row.at if isinstance(began, datetime) else began <= day_in_taipei(row.at))
        line["put_off_until"] = row.until.isoformat() if row is not None and rests else None
    lines.sort(key=lambda line: (*line.pop("order"), line["since"], line["task"], line["subject"]))
    active = [line for line in lines if line["put_off_until"] is None]
    resting = [line for line in lines if line["put_off_until"] is not None]
    mine = [line for line in active if line["is_mine"]]
    shown = resting if asked.put_off else active if asked.whole_team else mine
    listed = [line for line in shown if asked.task in (None, line["task"])]
    return {
        "items": listed[: asked.limit],
        "by_task": dict(Counter(line["task"] for line in shown)),
        "mine": len(mine),
        "team": len(active),
        "put_off": len(resting),
    }


def waiting_items(
    queue: Mapping[str, Sequence[dict[str, Any]]],
    returned: Iterable[WaitingEntry],
    requests: Iterable[ClientRequest],
) -> Iterator[dict[str, Any]]:
    """Yield each thing that waits as a line with the day since when, before what is known of needs and companies.

    Args:
        queue: what waits, kind by kind, as `api.routes.desk.queue.waiting_for` gives it.
        returned: the results that came back for more.
        requests: the requests of other alliances to look after a company too.
    """
    for task, kind, subject, since, named, also in _QUEUED:
        for one in queue[kind]:
            said = one | {ours: one[theirs] for ours, theirs in also.items()}
            began = next(one[name] for name in since if one[name] is not None)
            yield _line(task, one[subject], began, said, one[named] if named else None)
    for result in returned:
        yield _line(Task.RETURNED_RESULT, result.entry.id, result.since.isoformat(), _of_result(result))
    for request in requests:
        asked = {"company_id": request.company_id, "alliance_id": request.alliance_id}
        yield _line(Task.CLIENT_REQUEST, request.id, request.asked_at.isoformat(), asked)


_OF_NEED = {"need_id": "id", "need_title": "title", "company_id": "company"}
_QUEUED: tuple[tuple[Task, str, str, tuple[str, ...], str | None, Mapping[str, str]], ...] = (
    (Task.ANSWER, "answers", "pairing_id", ("at",), None, {}),
    (Task.FOLLOW_UP, "follow_ups_due", "contact_id", ("held_on",), "next_on", {}),
    (Task.NEW_NEED, "new_needs", "id", ("submitted_at",), None, _OF_NEED),
    (Task.TO_MATCH, "needs_to_match", "id", ("taken_up_at",), None, _OF_NEED),
    (
        Task.TO_REVIEW,
        "needs_to_review",
        "need_id",
        ("since",),
        None,
        _OF_NEED | {"need_id": "need_id", "count": "waiting"},
    ),
    (Task.DEFERRED, "deferred_due", "id", ("deferred_until",), "deferred_until", {"pairing_id": "id"}),
    (Task.SILENT_CASE, "silent_cases", "case_id", ("last_contact", "opened_at"), None, {}),
    (Task.SILENT_COMPANY, "silent_companies", "company_id", ("last_contact", "since"), None, {}),
    (Task.VISIT, "visits_due", "visit_id", ("held_on",), "due_on", {}),
)
"""Each list of the queue: its fields that say what waits, since when and for which day, and how others are called."""
_SAID = frozenset(TodayItem.model_fields) - {"task", "subject", "when", "due_on", "since", "stake", "put_off_until"}


def _line(task: Task, subject: Any, since: str, said: Mapping[str, Any], named: str | None = None) -> dict[str, Any]:
    began = datetime.fromisoformat(since) if "T" in since else date.fromisoformat(since)
    day = day_in_taipei(began) if isinstance(began, datetime) else began
    known = {name: said.get(name) for name in sorted(_SAID)}
    return {"task": task.value, "subject": str(subject), "since": day, "began": began, "named": named, **known}


def _of_result(one: WaitingEntry) -> dict[str, Any]:
    entry = one.entry
    facts = {"entry_id": entry.id, "kpi": entry.kpi, "amount": entry.amount, "unit": KPI_FACTS[Kpi(entry.kpi)].unit}
    return {**facts, "company_id": entry.company_id, "expert_id": entry.reporter, "note": one.reason or None}


@dataclass(frozen=True)
class _Known:
    """What is known of needs, cases and companies: deadline, company and expert; carrier and whether open; tier."""

    needs: Mapping[str, tuple[date | None, str | None, str | None]]
    cases: Mapping[int, tuple[str, bool]]
    companies: Mapping[str, tuple[str, str, str]]
    clients: Mapping[str, str | None]
    names: Mapping[str, str]


def _with_what_is_known(
    session: Session, who: Principal, today: date, lines: Sequence[dict[str, Any]]
) -> Iterator[dict[str, Any]]:
    known = _known(session, who, lines)
    for line in lines:
        deadline, company_id, need_expert = known.needs.get(line["need_id"] or "", (None, None, None))
        carried_by, is_open = known.cases.get(line["case_id"] or 0, (None, False))
        company_id = line["company_id"] or company_id
        name, name_en, tier = known.companies.get(company_id or "", (None, None, None))
        looked_after = known.clients.get(company_id or "") if line["need_id"] is None else None
        expert_id = line["expert_id"] or carried_by or need_expert or looked_after
        found = urgency(
            Task(line["task"]),
            today,
            since=line["since"],
            named=date.fromisoformat(line["named"]) if line["named"] else None,
            deadline=deadline,
            has_case=is_open,
            tier=Tier(tier or Tier.NONE),
        )
        del line["named"]
        yield line | {
            "when": found.when.value,
            "due_on": found.due_on.isoformat(),
            "stake": found.stake,
            "order": found.order,
            "since": line["since"].isoformat(),
            "expert_id": expert_id,
            "expert": known.names.get(expert_id or ""),
            "is_mine": expert_id in (None, who.id),
            "company_id": company_id,
            "company_name": name,
            "company_name_en": name_en,
            "tier": tier,
        }


def _known(session: Session, who: Principal, lines: Sequence[dict[str, Any]]) -> _Known:
    need_ids = {line["need_id"] for line in lines} - {None}
    case_ids = {line["case_id"] for line in lines} - {None}
    needs = select_columns(col(Need.id), col(Need.deadline), col(Need.company), col(NeedIntake.expert_id))
    needs = needs.join(NeedIntake, col(NeedIntake.need_id) == col(Need.id)).where(col(Need.id).in_(need_ids))
    about = {need_id: (deadline, company, expert) for need_id, deadline, company, expert in session.execute(needs)}
    cases = select_columns(col(Case.id), carrier(), col(Case.stage)).where(col(Case.id).in_(case_ids))
    carried = {number: (by, stage in OPEN_STAGES) for number, by, stage in session.execute(cases)}
    company_ids = {line["company_id"] for line in lines} | {company for _, company, _ in about.values()}
    companies = select_columns(
        col(Company.id), col(Company.name), col(Company.name_en), col(Company.tier), col(Client.expert_id)
    ).join(
        Client,
        (col(Client.company_id) == col(Company.id))
        & col(Client.until).is_(None)
        & col(Client.alliance_id).in_(who.scopes(*STAFF)),
        isouter=True,
    )
    found = session.execute(companies.where(col(Company.id).in_(company_ids - {None}))).all()
    people = {expert for _, _, expert in about.values()} | {by for by, _ in carried.values()}
    people |= {expert for *_, expert in found} | {line["expert_id"] for line in lines}
    others = people - {None, who.id}
    names = select_columns(col(Account.id), col(Account.name)).where(col(Account.id).in_(others))
    return _Known(
        needs=about,
        cases=carried,
        companies={company_id: (name, name_en, tier) for company_id, name, name_en, tier, _ in found},
        clients={company_id: expert for company_id, *_, expert in found},
        names={who.id: who.name} | ({row[0]: row[1] for row in session.execute(names)} if others else {}),
    )
