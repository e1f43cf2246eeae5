"""What made-up requests need to succeed: results in every state, jobs, claims, and people whom nobody misses.

In: a running server with everybody of `PEOPLE`. Out: the values that each route can succeed with, and those that
must not be met. It exists because a route that changes something uses it up: each gets rows of its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlmodel import Session, select

from api.credentials import ApiKey, make_key
from api.jobs import Job, JobKind, JobState, ask_for
from indexer.database import open_engine, writing
from indexer.importing import import_rows
from matcher.claims import claim
from matcher.ledger.claims import ExternalClaim, note_external
from matcher.ledger.configuration import default
from matcher.ledger.evidence import keep
from matcher.ledger.evidence_files import note_file
from matcher.ledger.kpis import Kpi
from matcher.ledger.persons import read_key, register
from matcher.ledger.points import PointRules
from matcher.ledger.recognition import check, give_back, recognise
from matcher.ledger.reporting import report
from matcher.people import active_grants, add_account, declare_stake, grant
from matcher.roles import Role
from tests.ledger_things import report_of, store_ledger_things
from tests.serving import Served

EACH = 5
LEASE_S = 3_600
"""So long that a job that another machine is at stays there while requests are made up."""
_SCHOOL = "ysu"
_ENTRIES = "/api/ledger/entries/{entry_id}"


@dataclass(frozen=True)
class Things:
    """Values by name that exist everywhere, for some routes only, for some people only, and those to keep away from."""

    known: dict[str, list[Any]]
    there: dict[str, dict[str, list[Any]]]
    own: dict[str, dict[str, Any]]
    shielded: dict[str, dict[Any, Any]]


def store_things(server: Served) -> Things:
    """Store them."""
    engine, now = open_engine(server.settings), datetime.now(UTC)
    with writing(engine) as session:
        there = _results(session, server, now) | _jobs(session, server, now)
        used = list(session.exec(select(ApiKey.prefix)).all())
        programs, guest = _spare(session, now)
        own = {}
        for who, account_id in server.accounts.items():
            own[who] = {"prefix": _key(session, account_id, now)}
        there |= _people(session, programs, guest, now) | _standing(session, server, now)
    engine.dispose()
    instead = there["DELETE /api/accounts/{account_id}/keys/{key_prefix}"]["key_prefix"][0]
    shielded: dict[str, dict[Any, Any]] = {
        "account_id": dict.fromkeys(server.accounts.values(), guest),
        "prefix": dict.fromkeys(used, instead),
        "key_prefix": dict.fromkeys(used, instead),
    }
    return Things({"prefix": [instead]}, there, own, shielded)


def _results(session: Session, server: Served, now: datetime) -> dict[str, dict[str, list[Any]]]:
    accounts = server.accounts
    reporters = {"al-a": accounts["expert"], "al-b": accounts["stranger"]}
    store_ledger_things(
        session, server.settings.home, school_id=_SCHOOL, accounts=accounts, reporters=reporters, now=now
    )
    content = b"evidence of all that is made up"
    digest = keep(server.settings.home, content)
    note_file(session, sha256=digest, size_bytes=len(content), by=accounts["expert"], now=now)
    steps: dict[str, list[str]] = {
        "check": [],
        "return": [],
        "refuse": [],
        "withdraw": [],
        "supplement": ["give_back"],
        "recognise": ["check"],
        "reverse": ["check", "recognise"],
        "second": ["check", "recognise"],
        "drop": ["check", "recognise"],
        "tell-apart": [],
    }
    there: dict[str, dict[str, list[Any]]] = {}
    amount = 1_000_000
    for verb, before in steps.items():
        ids: list[Any] = []
        for number in range(EACH):
            # Amounts apart by more than what looks alike; large money takes a second person.
            amount = amount + amount // 25
            whole = amount * 100 if verb in ("second", "drop") else amount
            given = report_of(f"for-{verb}-{number}", "al-a", _SCHOOL, digest, whole)
            report(session, given, by=accounts["expert"], now=now)
            if verb == "tell-apart":
                given = report_of(f"for-{verb}-again-{number}", "al-a", _SCHOOL, digest, whole)
                report(session, given, by=accounts["expert"], now=now)
            if "give_back" in before:
                give_back(session, entry_id=given.id, reason="補件", by=accounts["committee"], now=now)
            if "check" in before:
                check(session, entry_id=given.id, by=accounts["committee"], now=now)
            motion = recognise(session, entry_id=given.id, by=accounts["office"], now=now) if len(before) > 1 else None
            ids.append(given.id if motion is None else motion.id)
        if verb in ("second", "drop"):
            there[f"POST /api/ledger/motions/{{motion_id}}/{verb}"] = {"motion_id": ids}
        else:
            there[f"POST {_ENTRIES}/{verb}"] = {"entry_id": ids}
    there["GET /api/evidence/{sha256}"] = {"sha256": [digest]}
    there["GET " + _ENTRIES] = {"entry_id": ["for-check-0"]}
    there["POST /api/ledger/entries"] = {
        "kpi": ["L"],
        "shares": [{"al-a": 10_000}],
        "details": [{**given.details, "contract": f"C-new-{number}"} for number in range(100)],
        "school_id": [_SCHOOL],
        "case_id": [None],
        "company_id": ["co-1-1"],
        "occurred_on": ["2019-08-02"],
        "counts_on": [None],
    }
    claims = []
    for number in range(EACH):
        noted = ExternalClaim(
            programme="other",
            kpi=Kpi.STARTUPS.value,
            natural_key=f"claim-{number}",
            claimant="三號大學",
            reference="丙",
            party=f"新創{number}",
            noted_by=accounts["office"],
            noted_at=now,
        )
        note_external(session, noted)
        claims.append(noted.id)
    there["POST /api/ledger/external-claims/{claim_id}/end"] = {"claim_id": claims}
    there["POST /api/ledger/periods/{period}/close"] = {"period": ["2017Q4"]}
    return there


def _jobs(session: Session, server: Served, now: datetime) -> dict[str, dict[str, list[Any]]]:
    """A job that is done, and one that another machine is at, if the server's leases are as long as `LEASE_S`."""
    done, elsewhere = (
        ask_for(
            session,
            kind=JobKind.MATCH_BATCH,
            account_id=server.accounts["expert"],
            alliance_id=None,
            parameters={"needs": ["need-1-01"], "top": 1},
            now=now,
            total=1,
        )
        for _ in range(2)
    )
    done.state, done.finished_at, done.done = JobState.DONE.value, now, 1
    elsewhere.state, elsewhere.started_at = JobState.RUNNING.value, now
    elsewhere.worker, elsewhere.lease_until = "elsewhere", now + timedelta(seconds=LEASE_S)
    session.flush()
    jobs: list[Job] = [done, elsewhere]
    session.add_all(jobs)
    return {
        "GET /api/jobs/{job_id}": {"job_id": [done.id]},
        "GET /api/jobs/{job_id}/result": {"job_id": [done.id]},
        "GET /api/jobs/{job_id}/events": {"job_id": [done.id]},
        "POST /api/jobs/{job_id}/cancel": {"job_id": [elsewhere.id]},
    }


def _standing(session: Session, server: Served, now: datetime) -> dict[str, dict[str, list[Any]]]:
    """A person who earns points, alliances that may graduate, and rules as they could be set."""
    by = server.accounts["office"]
    person = register(
        session, key=read_key(server.settings.home), name="王大明", identifier="1", contact=None, by=by, now=now
    )
    alliances = [f"al-spare-{number}" for number in range(EACH)]
    import_rows(session, "alliances", [{"id": alliance, "name": alliance} for alliance in alliances])
    of_alliance = "/api/alliances/{alliance_id}"
    return {
        f"POST {of_alliance}/points": {
            "alliance_id": ["al-a"],
            "person": [person],
            "activity": ["company_visit"],
            "occurred_on": ["2019-05-02"],
        },
        f"POST {of_alliance}/ladder": {
            "alliance_id": alliances,
            "rung": ["graduated"],
            **{key: [None] for key in ("kpi", "owner", "due_on", "as_of", "book")},
        },
        "PUT /api/configuration/{configuration_name}": {
            "configuration_name": ["points"],
            "document": [default(PointRules).model_dump(mode="json")],
        },
    }


def _spare(session: Session, now: datetime) -> tuple[list[str], str]:
    """Make programs and a person whom nobody misses; return their account ids."""
    programs = [add_account(session, email=f"program-{n}@example.org", name="", now=now).id for n in range(EACH)]
    for program in programs:
        grant(session, account_id=program, role=Role.JOB, by=None, now=now)
    return programs, add_account(session, email="guest@example.org", name="", now=now).id


def _key(session: Session, account_id: str, now: datetime) -> str:
    made, _ = make_key(session, account_id=account_id, name="n", may_write=False, valid=timedelta(days=1), now=now)
    return made.prefix


def _people(session: Session, programs: list[str], guest: str, now: datetime) -> dict[str, dict[str, list[Any]]]:
    keys = [_key(session, programs[0], now) for _ in range(EACH)]
    for number in range(EACH):
        grant(session, account_id=guest, role=Role.RESEARCHER, scope_id=f"lab-1-1{number}", by=None, now=now)
    stakes = [
        declare_stake(session, account_id=guest, party="lab", party_id=f"lab-1-1{number}", now=now).id
        for number in range(EACH)
    ]
    claims = [
        claim(session, account_id=guest, lab_id=f"lab-1-0{number}", statement="mine", now=now).id
        for number in range(1, EACH)
    ]
    of_guest = [
        "GET /api/accounts/{account_id}",
        "PATCH /api/accounts/{account_id}",
        "POST /api/accounts/{account_id}/roles",
        "DELETE /api/accounts/{account_id}/roles/{grant_id}",
        "POST /api/accounts/{account_id}/stakes/{stake_id}/end",
    ]
    there: dict[str, dict[str, list[Any]]] = {label: {"account_id": [guest]} for label in of_guest}
    there[of_guest[3]]["grant_id"] = [held.id for held in active_grants(session, guest)]
    there[of_guest[4]]["stake_id"] = stakes
    there["POST /api/accounts/{account_id}/keys"] = {"account_id": programs}
    there["DELETE /api/accounts/{account_id}/keys/{key_prefix}"] = {"account_id": programs[:1], "key_prefix": keys}
    there["POST /api/claims/{claim_id}/verdict"] = {"claim_id": claims}
    return there
