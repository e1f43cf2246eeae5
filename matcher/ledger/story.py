"""The programme's story: the invented years 106 to 109, replayed through the ledger's own verbs.

In: an empty database and the events of `fixtures/programme`, with the demo world's needs and labs. Out: a ledger
with four years of results, closed quarters, a late fact, a reversal, look-alikes, a claim of another programme and
a contract that outlives the programme; and cases, from which a forecast learns (no result of the story refers to
one). It exists so that tests, the notebook and `gloria ledger demo` show the same figures, and obeys every rule
because it has no other way in than a person has.

Whoever tries the product out meets it on some day, and what people do every day would be years old by then. So the
cases can be told up to a day instead, with contacts along their steps, and `settle` spreads needs, portfolios and
contacts over the months before it. The ledger's four years stay where the plan has them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from itertools import groupby
from pathlib import Path
from typing import Any

import orjson
from sqlalchemy import Engine
from sqlmodel import Session, col, select

from fixtures import programme_path, world_path
from indexer.database import writing
from indexer.records.importing import import_rows
from indexer.records.profiles import Need
from indexer.records.record_tables import Alliance, Company
from indexer.records.record_tables import Need as StoredNeed
from indexer.vocabulary import Tier
from indexer.wording import T_, Bilingual
from matcher.ledger.figures.ladder import graduate
from matcher.ledger.figures.sufficiency import SufficiencyItem, book
from matcher.ledger.rows.details import Aspect
from matcher.ledger.rows.entries import Entry, LedgerError
from matcher.ledger.rows.kpis import Kpi
from matcher.ledger.rows.periods import move_close, quarter_of, second_close
from matcher.ledger.rows.pseudonyms import read_key, register
from matcher.ledger.rows.result_claims import ClaimedElsewhereError, ExternalClaim, note_external
from matcher.ledger.rows.school_totals import supply
from matcher.ledger.rules.model_cases import Scored
from matcher.ledger.rules.recognition import (
    check,
    give_back,
    move_reversal,
    recognise,
    refuse,
    score,
    second_recognition,
    second_reversal,
    supplement,
    tell_apart,
    withdraw,
)
from matcher.ledger.rules.reporting import AcceptanceLedger, NewResult, checked_details, report
from matcher.ranking.elements import NeedElements
from matcher.ranking.explanation import Explanation
from matcher.ranking.lab_table import Facets
from matcher.ranking.pairings import MatchResult, Pairing
from matcher.ranking.ranker import Band
from matcher.ranking.wishes import UNSTEERED
from matcher.review.cases import ContactKind, LostReason, Stage, add_contact, move_case
from matcher.review.clients import alliances_of, take_on
from matcher.review.decisions import Verdict, decide
from matcher.review.intake import NeedState, adopt, move
from matcher.review.people import Account, add_account, grant
from matcher.review.proposals import StoredPairing, record, release
from matcher.review.roles import Role

_Verb = Callable[[Session, datetime], object]
_WHY = Bilingual.of(T_("Its evidence fits the need."))


def _case_rows(until: date | None = None) -> list[dict[str, Any]]:
    """Return the story's cases: need, lab, alliance, day of acceptance, steps.

    Args:
        until: the day up to which they are told, with those of the last weeks, whose days are counted back from it, and
            whose companies see the labs; None: within the programme's years.
    """
    rows = _rows(programme_path() / "cases.jsonl")
    if until is None:
        return rows
    last = max(date.fromisoformat(step["on"]) for row in rows for step in row["steps"])
    told = [_with_days(row, lambda day: date.fromisoformat(day) + (until - last)) for row in rows]
    recent = _rows(programme_path() / "recent_cases.jsonl")
    return told + [{**_with_days(row, lambda ago: until - timedelta(days=ago)), "released": True} for row in recent]


def _with_days(row: dict[str, Any], day_of: Callable[[Any], date]) -> dict[str, Any]:
    steps = [{**step, "on": day_of(step["on"]).isoformat()} for step in row["steps"]]
    return {**row, "accepted": day_of(row["accepted"]).isoformat(), "steps": steps}


def name_of(account: str) -> str:
    """Return what somebody of the story is called, by the account's name."""
    return str(next(row["name"] for row in _rows(programme_path() / "people.jsonl") if row["account"] == account))


def _said_of(stage: str) -> list[dict[str, Any]]:
    """Return what contacts at a stage, or with companies looked after, come to."""
    return [row for row in _rows(programme_path() / "contacts.jsonl") if row["stage"] == stage]


def _import_parties(session: Session, until: date | None) -> None:
    """Import those labs and needs of the demo world that the story's cases are about."""
    for kind, name in (("labs", "lab"), ("needs", "need")):
        wanted = {row[name] for row in _case_rows(until)}
        rows = (orjson.loads(line) for line in (world_path() / f"{kind}.jsonl").read_bytes().splitlines())
        import_rows(session, kind, [row for row in rows if row["id"] in wanted])


def _case_actions(experts: Mapping[str, str], until: date | None) -> Iterator[tuple[date, _Verb]]:
    """Yield what experts do with cases, each with its day.

    Args:
        experts: account ids by alliance.
        until: the day up to which they are told, with contacts; None: as they are written, without any.
    """
    for row in _case_rows(until):
        opened: list[int] = []
        by = experts[row["alliance"]]
        yield date.fromisoformat(row["accepted"]), _accepting(row, by, opened, until)
        for step in row["steps"]:
            day = date.fromisoformat(step["on"])
            is_last = step is row["steps"][-1]
            yield day, _moving(step, by, opened, _Told(day, is_last) if until else None)


@dataclass(frozen=True)
class _Told:
    """A day on which a case moved and a contact is told of, and whether it is where the case stands now."""

    day: date
    is_last: bool


def _accepting(row: dict[str, Any], by: str, opened: list[int], until: date | None) -> _Verb:
    def accept(session: Session, now: datetime) -> None:
        if until is None:
            adopt(session, need_ids=[row["need"]], alliance_id=row["alliance"], by=by, now=now)
        else:
            _taken_up(session, row["need"], row["alliance"], by, now)
        shown = record(session, result=_shown(row, now), shown_to=by, now=now)[row["lab"]]
        _, case = decide(
            session,
            pairing_id=shown.pairing_id,
            proposal_id=shown.proposal_id,
            verdict=Verdict.ACCEPT,
            by=by,
            alliance_id=row["alliance"],
            now=now,
            ledger=AcceptanceLedger(),
        )
        if case is not None:
            opened.append(case.id or 0)
        if row.get("released") and row["steps"]:
            release(session, pairing=session.get_one(StoredPairing, shown.pairing_id), by=by, now=now)

    return accept


def _taken_up(session: Session, need_id: str, alliance_id: str, by: str, now: datetime) -> None:
    """Let a need come in some days before it is taken up."""
    adopt(session, need_ids=[need_id], alliance_id=alliance_id, by=None, now=now - timedelta(days=6))
    move(session, need_id=need_id, state=NeedState.TAKEN_UP, by=by, expert_id=by, now=now - timedelta(days=4))


def _moving(step: dict[str, Any], by: str, opened: list[int], told: _Told | None) -> _Verb:
    def move_on(session: Session, now: datetime) -> None:
        reason = None if "reason" not in step else LostReason(step["reason"])
        case = move_case(session, case_id=opened[0], stage=Stage(step["stage"]), by=by, now=now, reason=reason)
        if told is None:
            return
        for row in _said_of(case.stage):
            ahead = {"next_step": row["next_step"], "next_on": told.day + _NEXT_IN} if told.is_last else {}
            _contact(session, row, case.alliance_id, case.company_id, told.day, by, now, case=case, **ahead)
        if case.stage == Stage.SIGNED:
            move(session, need_id=case.need_id, state=NeedState.CLOSED, by=by, now=now)

    return move_on


def _contact(
    session: Session,
    row: Mapping[str, Any],
    alliance_id: str,
    company_id: str | None,
    day: date,
    by: str,
    now: datetime,
    **more: Any,
) -> None:
    add_contact(
        session,
        **{"case": None, **more},
        alliance_id=alliance_id,
        company_id=company_id,
        kind=ContactKind(row["kind"]),
        held_on=day,
        note=row["note"],
        by=by,
        now=now,
    )


def _shown(row: dict[str, Any], now: datetime) -> MatchResult:
    """Return what the expert saw: the one lab, as a match would have shown it."""
    need = Need(row["need"], None, None, "", "", (), (), None, None, "alliance", None, (), (), None)
    explanation = Explanation(asks=(), missing=(), for_company=_WHY, for_lab=_WHY)
    pairing = Pairing(need.id, row["lab"], 1, 1.0, Band.STRONG, {"story": 1.0}, explanation, False)
    return MatchResult(
        need=need,
        pairings=(pairing,),
        total=1,
        allowed=1,
        facets=Facets({}, {}, {}, {}, {}, {}),
        set_aside={},
        n_labs=1,
        generation="story",
        created_at=now.isoformat(),
        ranker_version="story",
        wishes={},
        warnings=(),
        elements=NeedElements((), ()),
        is_clear=True,
        steering=UNSTEERED,
        moves=(),
    )


FIRST_DAY = date(2017, 9, 4)
LAST_DAY = date(2020, 12, 31)
"""The day as of which the whole story is told."""
PROOF = ({"url": "https://example.org/evidence", "name": "佐證"},)
_LOOKED_AT, _RETURNED, _SUPPLEMENTED, _CHECKED, _RECOGNISED = (timedelta(days=n) for n in (3, 4, 8, 10, 12))
"""How long after a report each step is taken."""

_NEXT_IN = timedelta(days=14)
_STILL_TO_COME = timedelta(days=40)
_LOOKED_AFTER = (1_010, 640, 380, 820, 290, 510)
"""For how many days companies have been in a portfolio, in turn."""
_HEARD_OF = (3, 11, 19, 27, 8, 34, 55, 15, 96, 22, 41, 140)
"""How many days ago somebody was last in touch with a company, in turn: with a few of them for long nobody was."""
_CAME_IN = (1, 2, 4, 9, 16, 23, 31, 44, 58, 75)
"""How many days ago needs came in, in turn; those of the last days nobody has taken up."""
_NOT_TAKEN_UP_DAYS = 4

_Event = dict[str, Any]


@dataclass(frozen=True)
class Cast:
    """Who acts: account ids of one expert for each alliance, a committee member and two people of the office."""

    experts: dict[str, str]
    committee: str
    office: str
    second_office: str


@dataclass(frozen=True)
class _Action:
    day: date
    do: Callable[[Session, datetime], object]


def load_story(engine: Engine, *, home: Path, cases_until: date | None = None) -> Cast:
    """Replay the story into a database without entries.

    Args:
        engine: the database; one transaction for each quarter.
        home: where the key of the pseudonyms lies or will lie.
        cases_until: the day up to which the cases are told, see the module; None: within the programme's years.

    Raises:
        LedgerError: the ledger has entries already.
    """
    with writing(engine) as session:
        if session.exec(select(Entry.seq).limit(1)).first() is not None:
            raise LedgerError(T_("the story is loaded into a ledger without entries; this one has some"))
        _import(session, cases_until)
        cast = _cast(session, _noon(FIRST_DAY))
        centers = {one.id: one.center or "" for one in session.exec(select(Alliance)).all()}
        key = read_key(session, home)
    replay = _Replay(cast, centers, key)
    events = _rows(programme_path() / "events.jsonl")
    told = [action for event in events for action in replay.actions(event)]
    told += [_Action(day, verb) for day, verb in _case_actions(cast.experts, cases_until)]
    # Stable, so that what happens on one day happens in the order in which it is told.
    actions = sorted(told, key=lambda action: action.day)
    for _, of_quarter in groupby(actions, key=lambda action: quarter_of(action.day)):
        with writing(engine) as session:
            for action in of_quarter:
                action.do(session, _noon(action.day))
    return cast


def _noon(day: date) -> datetime:
    """Return noon of a day in Taipei."""
    return datetime.combine(day, time(4), UTC)


def _rows(path: Path) -> list[dict[str, Any]]:
    return [orjson.loads(line) for line in path.read_bytes().splitlines()]


def _import(session: Session, cases_until: date | None) -> None:
    files = [(kind, world_path() / f"{kind}.jsonl") for kind in ("schools", "alliances", "companies")]
    for kind, path in (*files, ("companies", programme_path() / "companies.jsonl")):
        import_rows(session, kind, _rows(path))
    _import_parties(session, cases_until)


def _cast(session: Session, now: datetime) -> Cast:
    alliances = session.exec(select(Alliance.id).order_by(col(Alliance.id))).all()

    def person(name: str, shown: str, role: Role, scopes: Iterable[str]) -> str:
        account = add_account(session, email=f"{name}@gloria.example", name=shown, now=now)
        for scope in scopes:
            grant(session, account_id=account.id, role=role, scope_id=scope, by=None, now=now)
        return account.id

    experts = {one: person(f"expert-{one}", name_of(f"expert-{one}"), Role.EXPERT, [one]) for one in alliances}
    committee = person("committee", name_of("committee"), Role.COMMITTEE, alliances)
    office = person("office", name_of("office"), Role.OFFICE, [""])
    return Cast(experts, committee, office, person("second-office", name_of("second-office"), Role.OFFICE, [""]))


def settle(session: Session, *, today: date) -> None:
    """Give every company and need of the demo world to an alliance of its field, as if that had gone on for months.

    Companies come into an expert's portfolio and are heard of now and then, some not for long; needs that nobody has
    come in until the day before, and most of them are taken up.

    Args:
        session: its transaction holds all writes; what was settled before stays as it is.
        today: the last day of those months.
    """
    alliances = session.exec(select(Alliance).order_by(col(Alliance.id))).all()
    emails = session.exec(select(Account.email, Account.id)).all()
    experts = {email.partition("@")[0].removeprefix("expert-"): account_id for email, account_id in emails}
    talks = _said_of("portfolio")
    for number, company in enumerate(session.exec(select(Company).order_by(col(Company.id))).all()):
        if alliances_of(session, company.id):
            continue
        theirs = [alliance.id for alliance in alliances if set(alliance.fields) & set(company.fields)]
        alliance_id = theirs[0] if theirs else alliances[0].id
        expert = experts[alliance_id]
        since = _noon(today - timedelta(days=_LOOKED_AFTER[number % len(_LOOKED_AFTER)]))
        take_on(session, company_id=company.id, alliance_id=alliance_id, expert_id=expert, by=None, now=since)
        ago = _HEARD_OF[number % len(_HEARD_OF)]
        row, day = talks[number % len(talks)], today - timedelta(days=ago)
        is_open = row["next_step"] and ago < _STILL_TO_COME.days
        ahead = {"next_step": row["next_step"], "next_on": day + _NEXT_IN} if is_open else {}
        _contact(session, row, alliance_id, company.id, day, expert, _noon(day), **ahead)
    for number, need in enumerate(session.exec(select(StoredNeed).order_by(col(StoredNeed.id))).all()):
        owner = (alliances_of(session, need.company or "") or [alliances[0].id])[0]
        came = _noon(today - timedelta(days=_CAME_IN[number % len(_CAME_IN)]))
        new = adopt(session, need_ids=[need.id], alliance_id=owner, by=None, now=came)
        if new and _CAME_IN[number % len(_CAME_IN)] > _NOT_TAKEN_UP_DAYS:
            by = experts[owner]
            taken = came + timedelta(days=2)
            move(session, need_id=need.id, state=NeedState.TAKEN_UP, by=by, expert_id=by, now=taken)


class _Replay:
    """Turns events into actions of people on days."""

    def __init__(self, cast: Cast, centers: dict[str, str], key: bytes) -> None:
        self._cast, self._centers, self._key = cast, centers, key

    def actions(self, event: _Event) -> Iterator[_Action]:
        """Yield what is done because of an event, each on its day."""
        day = date.fromisoformat(event.get("reported") or event["on"])
        if event["do"] == "report":
            yield from self._report_actions(event, day)
            return
        verbs: dict[str, Callable[[Session, datetime, _Event], object]] = {
            "school_total": self._school_total,
            "claim": self._claim,
            "reverse": self._reverse,
            "close": self._close,
            "book": self._book,
            "graduate": self._graduate,
        }
        verb = verbs[event["do"]]
        yield _Action(day, lambda session, now: verb(session, now, event))

    def _report_actions(self, event: _Event, day: date) -> Iterator[_Action]:
        entry_id, reason, office = event["id"], event.get("reason", ""), self._cast.office
        yield _Action(day, lambda session, now: self._report(session, now, event))
        looked_at = {"refused": refuse, "told_apart": tell_apart}.get(event.get("held", ""))
        if looked_at is not None:
            yield _Action(
                day + _LOOKED_AT,
                lambda session, now: looked_at(session, entry_id=entry_id, reason=reason, by=office, now=now),
            )
        if event.get("leave") == "withdrawn":
            by = self._expert(event)
            yield _Action(
                day + _LOOKED_AT,
                lambda session, now: withdraw(session, entry_id=entry_id, reason=reason, by=by, now=now),
            )
        if "leave" in event or event.get("held") in ("refused", "left"):
            return
        yield from self._returned(event, day)
        if event["kpi"] == Kpi.MODEL_CASES:
            yield _Action(day + _CHECKED, lambda session, now: self._score(session, now, event))
        yield _Action(
            day + _CHECKED, lambda session, now: check(session, entry_id=entry_id, by=self._cast.committee, now=now)
        )
        yield _Action(day + _RECOGNISED, lambda session, now: self._recognise(session, now, entry_id))

    def _returned(self, event: _Event, day: date) -> Iterator[_Action]:
        if "returned" not in event:
            return
        entry_id, committee, by = event["id"], self._cast.committee, self._expert(event)
        why, answer = event["returned"], event["supplement"]
        yield _Action(
            day + _RETURNED,
            lambda session, now: give_back(session, entry_id=entry_id, reason=why, by=committee, now=now),
        )
        yield _Action(
            day + _SUPPLEMENTED,
            lambda session, now: supplement(session, entry_id=entry_id, text=answer, evidence=PROOF, by=by, now=now),
        )

    def _expert(self, event: _Event) -> str:
        return self._cast.experts[next(iter(event["shares"]))]

    def _report(self, session: Session, now: datetime, event: _Event) -> None:
        """Report, and make sure that the ledger took it as the story says: at once, held, or not at all."""
        by = self._expert(event)
        details = dict(event["details"])
        if "person" in event:
            details["person"] = register(session, key=self._key, contact=None, by=by, now=now, **event["person"])
        counts_on = event.get("counts_on")
        given = NewResult(
            id=event["id"],
            kpi=Kpi(event["kpi"]),
            amount=event["amount"],
            shares=event["shares"],
            details=details,
            occurred_on=date.fromisoformat(event["on"]),
            counts_on=None if counts_on is None else date.fromisoformat(counts_on),
            school_id=event.get("school") or self._centers[next(iter(event["shares"]))],
            company_id=event.get("company"),
            restates=event.get("restates"),
            value_added=event["value_added"],
            evidence=event.get("evidence", list(PROOF)),
        )
        wanted = "claimed" if event.get("leave") == "refused_at_once" else "held" if "held" in event else "reported"
        try:
            state = report(session, given, by=by, now=now)[1].value
        except ClaimedElsewhereError:
            state = "claimed"
        if state != wanted:
            raise LedgerError(
                T_("event %(id)s was to be %(wanted)s and is %(state)s", id=event["id"], wanted=wanted, state=state)
            )

    def _score(self, session: Session, now: datetime, event: _Event) -> None:
        said = event["details"]["aspects"]
        scores = {one: Scored(4, f"{said[one.value]}，與佐證相符") for one in Aspect}
        score(session, entry_id=event["id"], scores=scores, by=self._cast.committee, now=now)

    def _recognise(self, session: Session, now: datetime, entry_id: str) -> None:
        motion = recognise(session, entry_id=entry_id, by=self._cast.office, now=now)
        if motion is not None:
            second_recognition(session, motion_id=motion.id or 0, by=self._cast.second_office, now=now)

    def _school_total(self, session: Session, now: datetime, event: _Event) -> None:
        supply(
            session,
            school_id=event["school"],
            year=event["year"],
            amount_ntd=event["amount_ntd"],
            source=event["source"],
            by=self._cast.office,
            now=now,
        )

    def _book(self, session: Session, now: datetime, event: _Event) -> None:
        tier = event.get("tier")
        book(
            session,
            alliance_id=event["alliance"],
            item=SufficiencyItem(event["item"]),
            tier=None if tier is None else Tier(tier),
            occurred_on=date.fromisoformat(event["on"]),
            amount_ntd=event["amount_ntd"],
            source=event["source"],
            by=self._cast.office,
            now=now,
        )

    def _graduate(self, session: Session, now: datetime, event: _Event) -> None:
        graduate(session, alliance_id=event["alliance"], reason=event["reason"], by=self._cast.office, now=now)

    def _claim(self, session: Session, now: datetime, event: _Event) -> None:
        said = {name: event[name] for name in ("programme", "kpi", "claimant", "reference", "party")}
        key = checked_details(Kpi(event["kpi"]), event["details"]).natural_key()
        note_external(session, ExternalClaim(**said, natural_key=key, noted_by=self._cast.office, noted_at=now))

    def _reverse(self, session: Session, now: datetime, event: _Event) -> None:
        motion = move_reversal(session, entry_id=event["id"], reason=event["reason"], by=self._cast.office, now=now)
        second_reversal(session, motion_id=motion.id or 0, by=self._cast.second_office, now=now)

    def _close(self, session: Session, now: datetime, event: _Event) -> None:
        motion = move_close(session, period=event["period"], reason="季結", by=self._cast.office, now=now)
        second_close(session, motion_id=motion.id or 0, by=self._cast.second_office, now=now)
