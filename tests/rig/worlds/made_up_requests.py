"""Requests made up from the API's own description, what they need to succeed, and every answer held against it.

In: a running server with everybody of `PEOPLE`, its description and who may do what. Out: results in every state,
jobs, claims, and people whom nobody misses; what was sent, and everything that was wrong with the answers.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from itertools import count, cycle
from typing import Any

import hypothesis
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed
from hypothesis import strategies as st
from hypothesis.errors import Flaky
from schemathesis import Case, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.failures import Failure, FailureGroup
from schemathesis.generation.stateful.state_machine import APIStateMachine
from schemathesis.schemas import APIOperation, BaseSchema
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from sqlmodel import Session, select

from api.access.credentials import ApiKey, make_key
from api.access.ownership import Sender, import_portion
from api.jobs.import_drafts import begin, opened
from api.jobs.job_queue import Job, JobKind, JobState, ask_for
from indexer.database import open_engine, writing
from indexer.records.import_log import keep_own_mapping
from indexer.records.importing import import_rows
from indexer.records.readers import check_rows
from indexer.vocabulary import Kind
from matcher.judging.panel.grades import PooledPair, Said, name_settler, say, standing_of, start
from matcher.ledger.figures.sufficiency import PointRules
from matcher.ledger.rows.details import Aspect
from matcher.ledger.rows.evidence import keep, note_file
from matcher.ledger.rows.kpis import Kpi
from matcher.ledger.rows.pseudonyms import make_key as make_persons_key
from matcher.ledger.rows.pseudonyms import register
from matcher.ledger.rows.result_claims import ExternalClaim, note_external
from matcher.ledger.rules.configuration import default
from matcher.ledger.rules.recognition import check, give_back, recognise
from matcher.ledger.rules.reporting import NewResult, report
from matcher.portfolio.kept_plans import keep_plan
from matcher.portfolio.plans import Plan
from matcher.review.own_lab.researchers import claim
from matcher.review.people import active_grants, add_account, declare_stake, grant
from matcher.review.roles import Role
from tests.rig.servers.served import Served
from tests.rig.servers.signed_in import takes_a_person
from tests.rig.worlds.ledger_world import carry_itself, report_of, store_ledger_things
from tests.rig.worlds.spare_things import spare_things, talks

PROBLEM = ["detail", "field", "title", "type"]
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
STEPS_PER_SCENARIO, SCENARIOS_PER_ROUND = 20, 5


@dataclass
class Sent:
    """What was sent so far, and what was wrong with the answers."""

    by_role: Counter[str] = field(default_factory=Counter)
    done_by_role: Counter[str] = field(default_factory=Counter)
    """Changes that were carried out."""
    statuses: Counter[int] = field(default_factory=Counter)
    succeeded: Counter[str] = field(default_factory=Counter)
    """Successes by route."""
    wrong: list[str] = field(default_factory=list)
    answered: list[tuple[str, str]] = field(default_factory=list)
    """Successes: the route and the request's id."""


RESTED_ON = {"co-1-1", *(f"lab-1-{number:02}" for number in range(1, 10))}
"""The company of all talks, labs of researchers and of shortlists: whoever retires one or merges it away leaves nothing
to ask for."""
LET_GO = "DELETE /api/companies/{company_id}/client"
"""Sent for itself alone: after a sequence in which the alliance let the company go nobody could plan a visit to it."""


@dataclass
class Run:
    """Sends requests to one server; whose turn it is comes from fixed circles, everything else from the seed."""

    url: str
    headers: dict[str, Callable[[], dict[str, str]]]
    """For everybody what proves who they are; made anew for each request, since a browser may sign out."""
    persons: dict[str, Callable[[], dict[str, str]]]
    """The same for what no key may do: a browser in which they have just signed in."""
    allowed: dict[str, list[str]]
    """By route the people whose roles may use it."""
    known: dict[str, list[Any]]
    """Values that exist, by the name of a parameter or a field."""
    seed: int
    own: dict[str, dict[str, str]] = field(default_factory=dict)
    """For everybody the values that are theirs, by name."""
    there: dict[str, dict[str, list[Any]]] = field(default_factory=dict)
    """By route the values that it can succeed with, by name; they go before those that are known everywhere."""
    shielded: dict[str, dict[Any, Any]] = field(default_factory=dict)
    """By name of a path's parameter values that no change may meet, since the run needs them, and what is sent for
    each instead."""
    proposals: dict[int, int] = field(default_factory=dict)
    """The last proposal of each pairing."""
    sent: Sent = field(default_factory=Sent)
    session: requests.Session = field(default_factory=requests.Session)

    def __post_init__(self) -> None:
        self._everybody = cycle(self.headers)
        self._entitled = {label: cycle(people or list(self.headers)) for label, people in self.allowed.items()}

    def explore(self, operation: APIOperation, cases: int, turn: int = 0) -> None:
        """Send cases of one route: of three, two that can succeed, by those who may; one made up, by everybody.

        Another `turn` has other cases.
        """
        valid, invalid = (operation.as_strategy(kind) for kind in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE))
        # The number makes cases differ of which there would be only one, so that everybody sends it.
        number = st.integers(0, 2**31)

        @seed(self.seed + turn)
        @_settings(cases - cases // 3)
        @given(valid, self._values(operation), number)
        def sensible(case: Case, values: dict[str, Any], number: int) -> None:
            who = next(self._entitled[operation.label])
            own = _without(self.own.get(who, {}), self.there.get(operation.label, {})) if number % 2 else {}
            _make_sensible(case, {**values, **own}, self.proposals, number // 2)
            self.send(case, who)

        @seed(self.seed + turn)
        @_settings(cases // 3)
        @given(valid | invalid, number)
        def made_up(case: Case, number: int) -> None:
            self.send(case, next(self._everybody))

        sensible()
        made_up()

    def walk(self, schema: BaseSchema, steps: int) -> None:
        """Send sequences in which a request takes its ids from the answers before it, so many steps in all."""
        run = self

        class Walk(schema.as_state_machine()):  # type: ignore[misc]
            def setup(self) -> None:
                self.who = next(run._everybody)
                self.turns, self.turns_of_fields = cycle([self.who, self.who, None]), count()

            def call(self, case: Case, **_: Any) -> Any:
                return run.call(case, self.by)

            def before_call(self, case: Case) -> None:
                label = case.operation.label
                self.by = next(self.turns) or next(run._entitled[label])
                # What links put into a path or a body stays.
                known = run.known_of(label)
                ids = {name: values[0] for name, values in known.items() if name not in (case.path_parameters or {})}
                if not (isinstance(case.body, dict) and "proposal_id" in case.body):
                    _make_sensible(case, {**_examples(case.operation), **ids}, {}, next(self.turns_of_fields))
                if label == LET_GO:
                    case.path_parameters["company_id"] = "none"

            def validate_response(self, response: Any, case: Case, *_: Any, **__: Any) -> None:
                run.note(case, response, self.by)

        machine: type[APIStateMachine] = Walk
        for number in range(steps):
            if self.sent.by_role.total() >= steps:
                break
            # The same steps twice may lead elsewhere, since the server remembers: then the next round begins.
            with suppress(Flaky):
                seed(self.seed * 1_000 + number)(machine).run(
                    settings=_settings(SCENARIOS_PER_ROUND, stateful_step_count=STEPS_PER_SCENARIO)
                )

    def send(self, case: Case, who: str) -> None:
        """Send one case and note what came of it."""
        self.note(case, self.call(case, who), who)

    def call(self, case: Case, who: str) -> Any:
        """Send one case as somebody."""
        for name, instead in self.shielded.items() if case.method != "GET" else ():
            given = (case.path_parameters or {}).get(name)
            if given in instead:
                case.path_parameters[name] = instead[given]
        for name in ("lab_id", "company_id"):
            if (
                case.operation.label.endswith(("/retire", "/merge"))
                and (case.path_parameters or {}).get(name) in RESTED_ON
            ):
                case.path_parameters[name] = "none"
        proofs = self.persons if takes_a_person(case.method, case.formatted_path) else self.headers
        return case.call(base_url=self.url, session=self.session, headers=proofs[who](), timeout=60)

    def note(self, case: Case, response: Any, who: str) -> None:
        """Count an answer, and keep what is wrong with it."""
        sent, label = self.sent, case.operation.label
        sent.by_role[who] += 1
        sent.statuses[response.status_code] += 1
        if 200 <= response.status_code < 300:
            sent.succeeded[label] += 1
            sent.answered.append((label, response.headers["x-request-id"][0]))
            sent.done_by_role[who] += case.method != "GET"
        fault = wrong_with(case, response)
        if fault:
            sent.wrong.append(f"{who} {label}: {fault}"[:1_500])

    def known_of(self, label: str) -> dict[str, list[Any]]:
        """Return the values that exist for a route; none without any."""
        return {name: values for name, values in {**self.known, **self.there.get(label, {})}.items() if values}

    def _values(self, operation: APIOperation) -> st.SearchStrategy[dict[str, Any]]:
        known, examples = self.known_of(operation.label), _examples(operation)
        # What is said of one route may also be a list or an object.
        special = self.there.get(operation.label, {}).keys() & _body(operation).get("properties", {}).keys()
        names = sorted((set(names_of(operation)) | special) & known.keys())
        return st.fixed_dictionaries(
            {name: st.sampled_from(known[name]) for name in names},
            optional={name: st.just(value) for name, value in examples.items() if name not in names},
        )


def _settings(cases: int, **more: Any) -> hypothesis.settings:
    return hypothesis.settings(
        max_examples=cases,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
        **more,
    )


def loaded(description: dict[str, Any]) -> BaseSchema:
    """Return a description as something to make requests from."""
    schema = schemathesis.openapi.from_dict(description)
    # Who asks is said by the run, not made up.
    schema.config.generation.update(with_security_parameters=False)
    return schema


def names_of(operation: APIOperation) -> Iterator[str]:
    """Yield the names of a route's parameters and of those fields of its bodies that hold one value."""
    yield from (one.name for one in (*operation.path_parameters, *operation.query))
    for name, value in _body(operation).get("properties", {}).items():
        if not {"array", "object"} & {kind.get("type") for kind in (value, *value.get("anyOf", ()))}:
            yield name


def _body(operation: APIOperation) -> dict[str, Any]:
    """Return the schema of a route's JSON body; empty if it takes none."""
    content = operation.definition.raw.get("requestBody", {}).get("content", {})
    name = content.get("application/json", {}).get("schema", {}).get("$ref", "").rpartition("/")[2]
    found: dict[str, Any] = operation.schema.raw_schema["components"]["schemas"].get(name, {})
    return found


def _examples(operation: APIOperation) -> dict[str, Any]:
    fields = _body(operation).get("properties", {})
    return {name: field["examples"][0] for name, field in fields.items() if field.get("examples")}


def _make_sensible(case: Case, values: dict[str, Any], proposals: dict[int, int], number: int) -> None:
    """Make a case likely to succeed: values that exist, one made-up field beyond what is required, plain headers."""
    values = dict(values)
    if values.get("pairing_id") in proposals:
        values["proposal_id"] = proposals[values["pairing_id"]]
    case.path_parameters = {**(case.path_parameters or {}), **_only(values, case.path_parameters)}
    case.query = {**(case.query or {}), **_only(values, case.query)}
    if isinstance(case.body, dict):
        body = _body(case.operation)
        kept = [name for name in case.body if name in body.get("required", ())]
        others = [name for name in case.body if name not in kept]
        kept += others[number % len(others) :][:1] if others else []
        fields = {*names_of(case.operation), *_examples(case.operation)} & body.get("properties", {}).keys()
        case.body = {name: case.body[name] for name in kept} | _only(values, fields)
    for name in [name for name in case.headers or {} if name.lower() == "idempotency-key"]:
        del case.headers[name]
    if case.method == "PATCH" or "If-Match" in (case.headers or {}):
        case.headers["If-Match"] = "*"


def _without(values: dict[str, Any], others: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if name not in others}


def _only(values: dict[str, Any], names: Any) -> dict[str, Any]:
    return {name: value for name, value in values.items() if name in (names or {})}


def wrong_with(case: Case, response: Any) -> str:
    """Return what is wrong with an answer by the description and by the server's own promises; "" if nothing."""
    try:
        case.validate_response(response, checks=CHECKS)
    except (Failure, FailureGroup) as failure:
        parts = failure.exceptions if isinstance(failure, FailureGroup) else [failure]
        said = "; ".join(f"{type(part).__name__} {part}" for part in parts)
        return f"{response.status_code}: {said}; sent {case.formatted_path} {case.query} {case.body!r}"
    refused = response.status_code >= 400 and "problem" in str(response.headers.get("content-type"))
    if response.status_code >= 400 and response.status_code != 503 and not refused:
        return f"{response.status_code} is no problem document: {response.text[:200]}"
    if refused and sorted(response.json()) != PROBLEM:
        return f"{response.status_code} is no problem: {response.text[:200]}"
    return ""


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
    judged = server.ask("company", "POST", "/api/needs", json={"title": "拋光"}).json()["id"]
    # Taken up, so that no alliance loses it.
    assert server.ask("expert", "POST", f"/api/needs/{judged}/take-up").is_success
    engine, now = open_engine(server.settings), datetime.now(UTC)
    with writing(engine) as session:
        there = _results(session, server, now) | _jobs(session, server, now) | _lists(session, server, now)
        used = list(session.exec(select(ApiKey.prefix)).all())
        programs, guest = _spare(session, now)
        own = {}
        for who, account_id in server.accounts.items():
            own[who] = {"prefix": _key(session, account_id, now)}
        there |= _people(session, programs, guest, now) | _standing(session, server, now)
        there |= _judgings(session, server, judged, now)
        there |= spare_things(session, server, guest, EACH, now)
        keys = [_key(session, server.accounts["expert"], now, sleeps=True) for _ in range(EACH)]
        there["POST /api/me/keys/{prefix}/awakening"] = {"prefix": keys}
    engine.dispose()
    there |= talks(server)
    instead = there["DELETE /api/accounts/{account_id}/keys/{key_prefix}"]["key_prefix"][0]
    shielded: dict[str, dict[Any, Any]] = {
        "account_id": dict.fromkeys(server.accounts.values(), guest),
        "prefix": dict.fromkeys(used, instead),
        "key_prefix": dict.fromkeys(used, instead),
    }
    listed = {name: there[_MAPPING][name] for name in ("import_id", "mapping_name")}
    opened = {
        "token": there["POST /api/mail/unsubscribe/{token}"]["token"],
        "secret": there["GET /feed/{secret}.atom"]["secret"],
    }
    tomorrow = (now + timedelta(days=2)).date().isoformat()
    line = {"task": ["new_need"], "subject": [judged]}
    there["PUT /api/today/{task}/{subject}/put-off"] = {**line, "until": [tomorrow]}
    views = {"view_id": there["DELETE /api/saved-views/{view_id}"]["view_id"]}
    return Things({"prefix": [instead], **listed, **opened, **line, **views}, there, own, shielded)


def _results(session: Session, server: Served, now: datetime) -> dict[str, dict[str, list[Any]]]:
    accounts = server.accounts
    reporters = {"al-a": accounts["expert"], "al-b": accounts["stranger"]}
    store_ledger_things(
        session, server.settings.home, school_id=_SCHOOL, accounts=accounts, reporters=reporters, now=now
    )
    # Who checked does not second: somebody else checked what the committee's person here may second.
    checker = add_account(session, email="checker@example.org", name="", now=now).id
    grant(session, account_id=checker, role=Role.COMMITTEE, scope_id="al-a", by=None, now=now)
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
            # Each with a file of its own: what has the same evidence is held.
            own = _file(session, server, f"of {verb} {number}", now)
            given = report_of(f"for-{verb}-{number}", "al-a", _SCHOOL, own, whole)
            report(session, given, by=accounts["expert"], now=now)
            if verb == "tell-apart":
                given = report_of(f"for-{verb}-again-{number}", "al-a", _SCHOOL, own, whole)
                report(session, given, by=accounts["expert"], now=now)
            if "give_back" in before:
                give_back(session, entry_id=given.id, reason="補件", by=accounts["committee"], now=now)
            if "check" in before:
                by = checker if verb == "second" else accounts["committee"]
                check(session, entry_id=given.id, by=by, now=now)
            motion = recognise(session, entry_id=given.id, by=accounts["office"], now=now) if len(before) > 1 else None
            ids.append(given.id if motion is None else motion.id)
        if verb in ("second", "drop"):
            there[f"POST /api/ledger/motions/{{motion_id}}/{verb}"] = {"motion_id": ids}
        else:
            there[f"POST {_ENTRIES}/{verb}"] = {"entry_id": ids}
    there["GET /api/evidence/{sha256}"] = {"sha256": [own]}
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
        **{key: [None] for key in ("school_shares", "company_shares")},
    }
    there["POST /api/ledger/school-totals"] = {"kpi": ["L"], "count": [None]}
    there[f"POST {_ENTRIES}/scores"] = _model_case(session, server, now)
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


def _file(session: Session, server: Served, content: str, now: datetime) -> str:
    digest = keep(server.settings.home, content.encode())
    note_file(session, sha256=digest, size_bytes=len(content), by=server.accounts["expert"], now=now)
    return digest


def _jobs(session: Session, server: Served, now: datetime) -> dict[str, dict[str, list[Any]]]:
    """Jobs that are done, and one that another machine is at, if the server's leases are as long as `LEASE_S`."""
    rest: dict[str, Any] = {"left_out": {}, "prospects": [], "words": [], "rests_on": "r", "generation": "g"}
    plan = keep_plan(session, plan=Plan((), 0), alliance_id="al-a", by=server.accounts["lead"], now=now, **rest)
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
        "POST /api/portfolio": {"alliance": [None], "words": [["silent:2"]], "based_on": [None]},
        "GET /api/portfolio/{plan_id}": {"plan_id": [plan.id], "against": [None]},
        "GET /api/jobs/{job_id}": {"job_id": [done.id]},
        "GET /api/jobs/{job_id}/result": {"job_id": [done.id]},
        "GET /api/jobs/{job_id}/events": {"job_id": [done.id]},
        "POST /api/jobs/{job_id}/cancel": {"job_id": [elsewhere.id]},
        "POST /api/jobs/{job_id}/undo": {"job_id": [_import(session, server, n, now) for n in range(EACH)]},
    }


_LIST = "/api/import-drafts/{import_id}"
_MAPPING = "DELETE /api/import-mappings/{mapping_name}"


def _lists(session: Session, server: Served, now: datetime) -> dict[str, dict[str, list[Any]]]:
    """Lists of al-a's expert that are looked through, one of which stays, and columns kept of them."""
    file, expert = opened("需求名稱,預算\n拋光,一百\n除冰,\n".encode(), "needs.csv"), server.accounts["expert"]
    ids = [
        begin(session, account_id=expert, alliance_id="al-a", name="needs.csv", file=file, now=now).id
        for _ in range(EACH)
    ]
    names = [f"source {number}" for number in range(EACH)]
    for name in names:
        keep_own_mapping(session, name, account_id=expert, kind=Kind.NEEDS, fields={"需求名稱": "title"}, now=now)
    stays: dict[str, list[Any]] = {"import_id": ids[:1]}
    cell: dict[str, list[Any]] = {"table": ["0-1"], "row": [2], "column": [2]}
    return {
        f"GET {_LIST}": stays,
        f"GET {_LIST}/rows": {**stays, "table": ["0-1"]},
        f"PATCH {_LIST}": stays,
        f"POST {_LIST}/fill-down": {**stays, **cell},
        f"POST {_LIST}/mappings": {**stays, "table": ["0-1"], "name": ["kept"]},
        f"POST {_LIST}/import": stays,
        f"DELETE {_LIST}": {"import_id": ids[1:]},
        _MAPPING: {"mapping_name": names, **stays},
    }


def _model_case(session: Session, server: Served, now: datetime) -> dict[str, list[Any]]:
    """Report a model case that waits for the committee's scores."""
    given = NewResult(
        id="for-scores-0",
        kpi=Kpi.MODEL_CASES,
        amount=1,
        shares={"al-a": 10_000},
        details={"reference": "典範-1", "title": "甲聯盟自主營運", "aspects": {one.value: "成果" for one in Aspect}},
        occurred_on=date(2019, 5, 2),
        school_id=_SCHOOL,
    )
    report(session, given, by=server.accounts["expert"], now=now)
    return {"entry_id": [given.id], "scores": [{one.value: {"score": 4, "reason": "佐證相符"}} for one in Aspect]}


def _import(session: Session, server: Served, number: int, now: datetime) -> str:
    """Import a company of its own as a job of al-a's expert does, so that nothing rests on it; return the job."""
    expert, name = server.accounts["expert"], f"companies-{number}.jsonl"
    parameters = {"name": name, "kind": Kind.COMPANIES.value, "dry_run": False, "bytes": 0}
    job = ask_for(
        session, kind=JobKind.IMPORT, account_id=expert, alliance_id="al-a", parameters=parameters, now=now, total=1
    )
    # In the middle of all ids: the first and the last are those that anybody may meet.
    row = {"id": f"co-1-5-of-import-{number}", "name": f"匯入公司{number}"}
    portion = check_rows(Kind.COMPANIES, [(1, row)], name)
    sender = Sender(anything=False, alliance_id="al-a", by=expert, expert_id=expert)
    made, left_out = import_portion(session, portion, sender, name=name, now=now, batch_id=job.id)
    assert (made.created, left_out) == (1, [])
    job.state, job.finished_at, job.done = JobState.DONE.value, now, 1
    session.add(job)
    session.flush()
    return job.id


def _standing(session: Session, server: Served, now: datetime) -> dict[str, dict[str, list[Any]]]:
    """A person who earns points, alliances that may graduate, and rules as they could be set."""
    by = server.accounts["office"]
    person = register(
        session, key=make_persons_key(server.settings.home), name="王大明", identifier="1", contact=None, by=by, now=now
    )
    alliances = [f"al-spare-{number}" for number in range(EACH)]
    import_rows(session, "alliances", [{"id": alliance, "name": alliance} for alliance in alliances])
    for alliance in alliances:
        carry_itself(session, alliance_id=alliance, by=by, now=now)
    of_alliance = "/api/alliances/{alliance_id}"
    return {
        f"POST {of_alliance}/points": {
            "alliance_id": ["al-a"],
            "person": [person],
            "activity": ["company_visit"],
            "occurred_on": ["2019-05-02"],
        },
        **{
            key: {"alliance_id": ["al-a"], "month": ["2019-05"]}
            for key in (f"GET {of_alliance}/month", f"POST {of_alliance}/month")
        },
        "GET /api/months": {"month": ["2019-05", None]},
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


def _judgings(session: Session, server: Served, need_id: str, now: datetime) -> dict[str, dict[str, list[Any]]]:
    """Sessions of judging that are finished, with judges far apart, and others that nobody has begun to grade."""
    judges = [server.accounts["expert"], server.accounts["colleague"]]
    # Nobody is signed in as these, so that neither declares a stake in a lab meanwhile.
    others = [add_account(session, email=f"judge-{n}@example.org", name="", now=now).id for n in range(2)]
    for judge in others:
        grant(session, account_id=judge, role=Role.EXPERT, scope_id="al-a", by=None, now=now)
    # The first and the last of all are those that anybody may meet: what is needed stands between them.
    fresh = [_judging(session, judges, need_id, now)[0] for _ in range(2 * EACH)]
    finished, graded = _judging(session, judges, need_id, now)
    for judge, value in zip(judges, (3, 0), strict=True):
        say(session, pair=graded, by=judge, said=Said.GRADE, grade=value, now=now)
    name_settler(session, judging_id=finished, account_id=server.accounts["lead"], by=None, now=now)
    # Of its own, since a word on the other would leave nothing to settle.
    number, pair = _judging(session, judges, need_id, now)
    for _ in range(EACH):
        _judging(session, judges, need_id, now)
    path = "/api/judgings/{judging_id}"
    one = {"judging_id": [finished], "judged_pair_id": [graded.id]}
    return {
        "POST /api/judgings": {"judges": [others], "needs": [[need_id]], "count": [None], "depth": [2]},
        f"GET {path}/pairs/{{judged_pair_id}}": one,
        f"POST {path}/pairs/{{judged_pair_id}}/grade": {
            "judging_id": [number],
            "judged_pair_id": [pair.id],
            "said": ["cannot_say"],
            "grade": [None],
        },
        f"POST {path}/pairs/{{judged_pair_id}}/settlement": {**one, "grade": [1], "note": ["談過了"]},
        f"POST {path}/settlers": {"judging_id": fresh[:EACH], "account": [server.accounts["lead"]]},
        f"POST {path}/close": {"judging_id": fresh[EACH:]},
        f"GET {path}/qrels": {"judging_id": [finished], "judge": judges},
    }


def _judging(session: Session, judges: list[str], need_id: str, now: datetime) -> tuple[int, Any]:
    rest: dict[str, Any] = {"depth": 1, "seed": 1, "rankers": ["gloria"], "generation": "g", "ranker_version": "1"}
    pair = PooledPair(need_id, "lab-1-05", {"gloria": 1})
    judging = start(session, name="", pairs=[pair], judges=judges, by=None, now=now, **rest)
    standing = standing_of(session, judging.id or 0)
    assert standing is not None
    return judging.id or 0, standing.pairs[0].pair


def _spare(session: Session, now: datetime) -> tuple[list[str], str]:
    """Make programs and a person whom nobody misses; return their account ids."""
    programs = [add_account(session, email=f"program-{n}@example.org", name="", now=now).id for n in range(EACH)]
    for program in programs:
        grant(session, account_id=program, role=Role.JOB, by=None, now=now)
    return programs, add_account(session, email="guest@example.org", name="", now=now).id


def _key(session: Session, account_id: str, now: datetime, sleeps: bool = False) -> str:
    day = timedelta(days=1)
    made, _ = make_key(session, account_id=account_id, name="n", may_write=False, valid=day, now=now, sleeps=sleeps)
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
