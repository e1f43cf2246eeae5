"""Every cell of role × route × object over HTTP: own things can be done, foreign and missing ones are not found."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from fastapi import APIRouter
from sqlmodel import Session, select

import api.app
from api.access.credentials import make_key, open_session, open_sessions
from api.access.policy import POLICY, Action, Reach, Resource
from api.app import RouteWithoutPolicyError, create_app
from api.jobs.import_drafts import begin, opened
from api.jobs.job_queue import JobKind, JobState, ask_for
from api.trail.nights import night_ids
from indexer.database import open_engine, writing
from indexer.kept_files import keep_file
from indexer.records.import_log import keep_own_mapping
from indexer.records.importing import import_rows
from indexer.settings import Settings
from indexer.vocabulary import Kind, Mendable
from matcher.handouts.shortlists import make_link, make_shortlist
from matcher.judging.panel.grades import PooledPair, Said, name_settler, say, standing_of, start
from matcher.ledger.rendering.report_texts import ReportLanguage
from matcher.mending.merging import merge, undo_merge
from matcher.notices.readers import MailAddress, Webhook, WebhookHost
from matcher.portfolio.kept_plans import keep_plan
from matcher.portfolio.plans import Plan
from matcher.review.clients import ClientRequest, take_on, take_on_or_ask
from matcher.review.conversation.attachments import FOLDER, Attachment
from matcher.review.conversation.corrections import NeedSaid
from matcher.review.conversation.lab_questions import LabQuestion
from matcher.review.conversation.meetings import Meeting
from matcher.review.decisions import Verdict, decide
from matcher.review.desk.saved_views import SavedView
from matcher.review.joint.visits import plan_visit
from matcher.review.own_lab.researchers import claim
from matcher.review.people import active_grants, add_account, declare_stake, grant, revoke, set_disabled
from matcher.review.proposals import Proposal, pairing_of, release
from matcher.review.roles import Role
from tests.conftest import POSTGRESQL_AT_LENGTH
from tests.rig.servers.served import PEOPLE, Served, holder, routes_of, served
from tests.rig.worlds.ledger_world import MISSING, store_ledger_things

Permission = tuple[Resource, Action]

# Whose the "own" objects are: need-1-01 of company co-1-1 is alliance al-a's, and lab-1-01 was introduced to it.
OWN_ALLIANCE, OWN_COMPANY, OWN_LAB = "al-a", "co-1-1", "lab-1-01"
# The own key is the newcomer's, who comes last: whoever else could end it would be seen.
OWN_KEY_OF = "newcomer"


_REASON = {"reason": "r"}
_NO_MEMBER = {"pairing_id": 999_999, "proposal_id": 1}
_NO_CLAIM = {"programme": "patent", "kpi": "acceptances"}
_ENTRY = {
    "id": "nobody-0001",
    "kpi": "L",
    "amount": 1,
    "shares": {"none": 10_000},
    "details": {},
    "occurred_on": "2019-05-02",
    "school_id": "none",
}


@dataclass(frozen=True)
class Things:
    """The objects that paths name, by parameter: one of `al-a`, one of `al-b`, one that does not exist.

    `files` are attachments of `al-a` and `al-b`, one for each who may take it away.
    """

    own: dict[str, str]
    foreign: dict[str, str]
    missing: dict[str, str]
    files: dict[str, list[str]]


def _fill(server: Served) -> Things:
    """Open a case for a need of each alliance; only the first has been introduced to its lab."""
    engine, now = open_engine(server.settings), datetime.now(UTC)
    found, spare = [], []
    with writing(engine) as session:
        for need_id, lab_id, by, alliance_id in (
            ("need-1-01", "lab-1-01", "expert", "al-a"),
            ("need-1-03", "lab-1-02", "stranger", "al-b"),
        ):
            pairing = pairing_of(session, need_id=need_id, lab_id=lab_id)
            shown = {"rank": 1, "score": 1.0, "band": "strong", "contributions": {}, "explanation": {"for_company": {}}}
            proposal = Proposal(
                pairing_id=pairing.id or 0,
                digest="d",
                **shown,
                generation="g",
                ranker_version="1",
                shown_at=now,
                shown_to=server.accounts[by],
            )
            session.add(proposal)
            session.flush()
            _, case = decide(
                session,
                pairing_id=pairing.id or 0,
                proposal_id=session.exec(select(Proposal.id).where(Proposal.pairing_id == pairing.id)).one() or 0,
                verdict=Verdict.ACCEPT,
                by=server.accounts[by],
                alliance_id=alliance_id,
                now=now,
            )
            assert case is not None
            release(session, pairing=pairing, by=server.accounts[by], now=now)
            times = [(now + timedelta(days=3)).isoformat()]
            meeting = Meeting(pairing_id=pairing.id or 0, case_id=case.id or 0, uid=need_id, minutes=60, times=times)
            meeting.proposed_side = "expert"
            session.add(meeting)
            session.flush()
            ids = {"need_id": need_id, "pairing_id": str(pairing.id), "case_id": str(case.id), "lab_id": lab_id}
            version = {"title": "拋光"}
            said = NeedSaid(need_id=need_id, word="corrected", before={}, after=version, reader="r", link="1", at=now)
            session.add(said)
            question = LabQuestion(
                pairing_id=pairing.id or 0,
                lab_id=lab_id,
                ask=1,
                words=[],
                about=need_id,
                text="請問",
                alliance_id=alliance_id,
                by=server.accounts[by],
                at=now,
            )
            session.add(question)
            session.flush()
            attached = [_attachment(session, server, need_id, by, now) for _ in range(len(PEOPLE) + 2)]
            spare.append(attached[1:])
            ids |= {"meeting_id": str(meeting.id), "word_id": str(said.id), "attachment_id": attached[0]}
            ids["question_id"] = str(question.id)
            job_id = _done_job(session, server.accounts[by], need_id)
            people = _people(session, server, lab_id, alliance_id, now)
            judged = _judging(session, server, alliance_id, people["account_id"], PooledPair(need_id, lab_id, {}), now)
            shortlisted = _shortlist(session, server.accounts[by], alliance_id, need_id, lab_id, now)
            listed = _list(session, server.accounts[by], alliance_id, now)
            planned = _plan(session, server.accounts[by], alliance_id, now)
            planned |= _visit(session, server.accounts[by], alliance_id, now)
            found.append({**ids, "job_id": job_id, **people, **judged, **listed, **shortlisted, **planned})
        reporters = {"al-a": server.accounts["expert"], "al-b": server.accounts["stranger"]}
        ledger = store_ledger_things(
            session, server.settings.home, school_id="ysu", accounts=server.accounts, reporters=reporters, now=now
        )
        asked_for = _requests(session, server, now)
        mended = {"school_id": "ysu", "merge_id": _undone_merge(session, now)}
    engine.dispose()
    introduced = {"stage": "introduced"}
    path = f"/api/cases/{found[0]['case_id']}/transition"
    assert server.ask("expert", "POST", path, json=introduced).status_code == 200
    (night_id,) = night_ids(server.settings.home)
    none = (
        "night_id",
        "need_id",
        "lab_id",
        "company_id",
        "job_id",
        "import_id",
        "mapping_name",
        "account_id",
        "alliance_id",
        "prefix",
        "key_prefix",
        "session_id",
        "school_id",
        "mail_address",
        "webhook_host",
    )
    numbers = (
        "merge_id",
        "plan_id",
        "request_id",
        "pairing_id",
        "case_id",
        "meeting_id",
        "attachment_id",
        "word_id",
        "question_id",
        "claim_id",
        "grant_id",
        "stake_id",
        "judging_id",
        "judged_pair_id",
        "shortlist_id",
        "link_id",
        "webhook_id",
        "view_id",
        "visit_id",
    )
    line = {"task": "new_need", "subject": "none"}
    return Things(
        own={
            **line,
            **found[0],
            **ledger[0],
            **asked_for[0],
            **mended,
            "company_id": OWN_COMPANY,
            "alliance_id": "none",
            "night_id": night_id,
        },
        foreign={
            **line,
            **found[1],
            **ledger[1],
            **asked_for[1],
            **mended,
            "company_id": "co-1-3",
            "alliance_id": "none",
            "night_id": night_id,
        },
        missing=line | dict.fromkeys(none, "none") | dict.fromkeys(numbers, "999") | MISSING,
        files=dict(zip(("own", "foreign"), spare, strict=True)),
    )


def _attachment(session: Session, server: Served, need_id: str, by: str, now: datetime) -> str:
    """Attach a file to a need; return its number."""
    digest = keep_file(server.settings.home, FOLDER, b"%PDF-1.7")
    row = Attachment(need_id=need_id, side="expert", name="plan.pdf", sha256=digest, size_bytes=8, at=now)
    row.by = server.accounts[by]
    session.add(row)
    session.flush()
    return str(row.id)


def _shortlist(session: Session, by: str, alliance_id: str, need_id: str, lab_id: str, now: datetime) -> dict[str, str]:
    """Put the lab on a shortlist for the need, with a link to it."""
    made = make_shortlist(
        session,
        need_id=need_id,
        alliance_id=alliance_id,
        labs=[lab_id],
        words="",
        names_need=False,
        by=by,
        now=now,
    )
    link = make_link(session, shortlist_id=made.id or 0, language=ReportLanguage.ZH, days=7, by=by, now=now).link
    return {"shortlist_id": str(made.id), "link_id": str(link.id)}


def _requests(session: Session, server: Served, now: datetime) -> list[dict[str, str]]:
    """One alliance asks for the other's company, and the other way round."""
    asking = {OWN_COMPANY: ("al-b", "stranger"), "co-1-4": (OWN_ALLIANCE, "expert")}
    take_on(session, company_id="co-1-4", alliance_id="al-b", expert_id=None, now=now)
    found = []
    for company_id, (alliance_id, name) in asking.items():
        by = server.accounts[name]
        made = take_on_or_ask(
            session, company_id=company_id, alliance_id=alliance_id, expert_id=by, reason="", by=by, now=now
        )
        assert isinstance(made, ClientRequest)
        found.append({"request_id": str(made.id)})
    return found


def _undone_merge(session: Session, now: datetime) -> str:
    """Two schools that were one for a moment."""
    import_rows(session, "schools", [{"id": "twice-1", "name": "重複大學"}, {"id": "twice-2", "name": "重複大學"}])
    made = merge(session, kind=Mendable.SCHOOL, gone_id="twice-1", kept_id="twice-2", reason="r", by=None, now=now)
    return str(undo_merge(session, merge_id=made.id or 0, by=None, now=now).id)


def _plan(session: Session, account_id: str, alliance_id: str, now: datetime) -> dict[str, str]:
    """Keep a plan of no needs for an alliance."""
    rest: dict[str, Any] = {"left_out": {}, "prospects": [], "words": [], "rests_on": "r", "generation": "g"}
    row = keep_plan(session, plan=Plan((), 0), alliance_id=alliance_id, by=account_id, now=now, **rest)
    return {"plan_id": str(row.id)}


def _visit(session: Session, account_id: str, alliance_id: str, now: datetime) -> dict[str, str]:
    """Plan a visit of an alliance."""
    rest: dict[str, Any] = {"place": "", "answers": [], "team": [], "agenda": []}
    company_id, day = OWN_COMPANY if alliance_id == OWN_ALLIANCE else "co-1-4", now.date()
    row = plan_visit(
        session, company_id=company_id, alliance_id=alliance_id, held_on=day, by=account_id, now=now, **rest
    )
    return {"visit_id": str(row.id)}


def _done_job(session: Session, account_id: str, need_id: str) -> str:
    """A job that is done, so that following it ends at once."""
    job = ask_for(
        session,
        kind=JobKind.MATCH_BATCH,
        account_id=account_id,
        alliance_id=None,
        parameters={"needs": [need_id], "top": 1},
        now=datetime.now(UTC),
    )
    job.state, job.finished_at = JobState.DONE.value, job.created_at
    session.flush()
    return job.id


def _list(session: Session, account_id: str, alliance_id: str, now: datetime) -> dict[str, str]:
    """A list that is looked through, and columns that were kept of one."""
    file = opened("需求名稱,預算\n拋光,100\n".encode(), "needs.csv")
    draft = begin(session, account_id=account_id, alliance_id=alliance_id, name="needs.csv", file=file, now=now)
    name = f"source of {alliance_id}"
    keep_own_mapping(session, name, account_id=account_id, kind=Kind.NEEDS, fields={"需求名稱": "title"}, now=now)
    return {"import_id": draft.id, "mapping_name": name}


def _judging(
    session: Session, server: Served, alliance_id: str, spare: str, pair: PooledPair, now: datetime
) -> dict[str, str]:
    """Store a session of judging: in the own alliance all take part, and the two judges are far apart."""
    own = alliance_id == OWN_ALLIANCE
    judges = (server.accounts["expert"], server.accounts["colleague"]) if own else (server.accounts["stranger"], spare)
    rest: dict[str, Any] = {"depth": 1, "seed": 1, "rankers": ["gloria"], "generation": "g", "ranker_version": "1"}
    judging = start(session, name="", pairs=[pair], judges=judges, by=None, now=now, **rest)
    number = judging.id or 0
    standing = standing_of(session, number)
    assert standing is not None
    (judged,) = (one.pair for one in standing.pairs)
    if own:
        name_settler(session, judging_id=number, account_id=server.accounts["lead"], by=None, now=now)
        for judge, grade in zip(judges, (3, 0), strict=True):
            say(session, pair=judged, by=judge, said=Said.GRADE, grade=grade, now=now)
    return {"judging_id": str(number), "judged_pair_id": str(judged.id)}


def _people(session: Session, server: Served, lab_id: str, alliance_id: str, now: datetime) -> dict[str, str]:
    """Make a program with everything that the office may end, a claim of the lab, and a key that is ended."""
    account = add_account(session, email=f"spare-{alliance_id}@example.org", name="", now=now)
    given = grant(session, account_id=account.id, role=Role.JOB, by=None, now=now)
    stake = declare_stake(session, account_id=account.id, party="company", party_id="co-1-4", now=now)
    asked = claim(session, account_id=account.id, lab_id=lab_id, statement="mine", now=now)
    owner = server.accounts[OWN_KEY_OF] if alliance_id == OWN_ALLIANCE else account.id
    valid = timedelta(days=1)
    prefixes = [
        make_key(session, account_id=whose, name="n", may_write=False, valid=valid, now=now)[0].prefix
        for whose in (owner, account.id)
    ]
    open_session(session, account_id=owner, now=now)
    handles = {"session_id": open_sessions(session, account_id=owner, now=now)[0].handle}
    hook = Webhook(account_id=owner, url="https://hooks.example.org/", kinds=[], nonce="n", made_at=now)
    host = WebhookHost(host=f"{alliance_id}.example.org", allowed_by=account.id, allowed_at=now)
    address = MailAddress(address=account.email, refused_at=now)
    view = SavedView(account_id=owner, page="needs", name="n", query="", at=now)
    session.add_all([hook, host, address, view])
    session.flush()
    handles |= {
        "view_id": str(view.id),
        "webhook_id": str(hook.id),
        "webhook_host": host.host,
        "mail_address": address.address,
    }
    numbers = {**handles, "grant_id": str(given.id), "stake_id": str(stake.id), "claim_id": str(asked.id)}
    return {"account_id": account.id, "prefix": prefixes[0], "key_prefix": prefixes[1], **numbers}


def _reached(who: str, permission: Permission, parameter: str, thing: str) -> bool:
    """Whether the policy lets somebody reach the own or foreign object, by how far their role reaches."""
    role, scope = PEOPLE[who]
    reach = POLICY[permission].get(holder(who))
    # What somebody puts off is a line of their own list, whatever it is called.
    if reach is None or parameter == "task" or thing == "missing":
        return reach is not None and parameter == "task"
    if parameter in ("prefix", "session_id", "webhook_id", "view_id"):
        return who == OWN_KEY_OF and thing == "own"
    # Sharing the labs' records is the product's purpose: an expert asks of any lab which needs it should hear of.
    # Figures and reports have one name for everybody, who sees in them what is theirs.
    any_lab = parameter == "lab_id" and permission == (Resource.MATCH, Action.READ)
    if reach is Reach.ALL or any_lab or parameter in ("kpi", "name", "configuration_name"):
        return True
    if permission == (Resource.CLIENT_REQUEST, Action.END):
        # Who asked takes it back, not who is asked.
        thing = "foreign" if thing == "own" else "own"
    if role in (Role.EXPERT, Role.LEAD, Role.COMMITTEE):
        return scope == (OWN_ALLIANCE if thing == "own" else "al-b") and not (
            (parameter == "company_id" and thing == "foreign")
            # A job, a list and what was kept of one are their person's, not the alliance's.
            or (parameter in ("job_id", "import_id", "mapping_name") and who not in ("expert", "stranger"))
        )
    if role is Role.COMPANY or (role is Role.RESEARCHER and reach is Reach.OWN):
        own = (OWN_COMPANY, OWN_LAB)
        return scope in (own if thing == "own" else ("lab-1-02",))
    return role is Role.RESEARCHER and thing == "own" and scope == OWN_LAB


def _cells(
    routes: list[tuple[str, str, Permission]], *, whole: bool
) -> Iterator[tuple[str, str, str, Permission, str, str]]:
    """Yield who asks for what: everybody for each thing; who may not ask at all for one, another each time.

    They are refused before anything is looked for, so that the `whole`, each of them for each thing, says it thrice.
    """
    for number, (method, path, permission) in enumerate(routes):
        parameter = path.partition("{")[2].partition("}")[0]
        for place, who in enumerate(PEOPLE):
            things = ("own", "foreign", "missing") if parameter else ("none",)
            if not whole and holder(who) not in POLICY[permission]:
                things = (things[(number + place) % len(things)],)
            for thing in things:
                yield who, method, path, permission, parameter, thing


def _wrong(status: int, who: str, permission: Permission, parameter: str, thing: str) -> bool:
    """Whether an answer is not what the policy says. What is allowed may still be refused for its content."""
    if holder(who) not in POLICY[permission]:
        return status != 403
    if thing == "none" or _reached(who, permission, parameter, thing):
        return status in (401, 403, 404) or status >= 500
    return status != 404


def _asked(server: Served, things: Things, who: str | None, method: str, path: str, thing: str) -> int:
    ids = {"own": things.own, "foreign": things.foreign, "missing": things.missing}.get(thing, {})
    if path.startswith("/api/alliances/"):
        ids = {**ids, "alliance_id": {"own": OWN_ALLIANCE, "foreign": "al-b"}.get(thing, "none")}
    if (method, path) == ("DELETE", "/api/attachments/{attachment_id}") and thing in things.files:
        ids = {**ids, "attachment_id": things.files[thing].pop()}
    # Bodies that validation lets through but that change nothing, so that cells do not disturb each other.
    bodies: dict[str, Any] = {
        "{word_id}/settlement": {"taken": False},
        "/lab-questions": {"ask": 200, "text": "t"},
        "{question_id}/answer": {"word": "none"},
        "/agreed-version": {"consent": "x"},
        "/decision": {"verdict": "accept", "proposal_id": 999_999},
        "/transition": {"stage": "accepted"},
        "/contacts": {"kind": "call", "held_on": "2026-11-20", "next_on": "2026-11-01"},
        "/shares": {"alliance": "none"},
        "/steering": {"words": []},
        "/expert": {"expert": "none"},
        "/put-off": {"until": "2020-01-01"},
        "/saved-views": {"page": "needs", "name": " "},
        "/team": {"members": [{"pairing_id": 999_998, "proposal_id": 1}, _NO_MEMBER], "lead": 999_999},
        "/chain": {"companies": ["none"]},
        "/visits": {"held_on": "2026-12-15", "answers": [{"topic": "data", "degree": 1}], "labs": ["none"]},
        "/alliance": {"alliance": "none"},
        # A visit that is planned can't be reported.
        "{visit_id}/state": {"state": "reported"},
        "/state": {"state": "submitted"},
        "/stakes": {"party": "none", "party_id": "none"},
        "/break-glass": None,
        "/ledger/entries": _ENTRY,
        "/persons": {"name": "n", "identifier": "i"},
        "/supplement": {"text": "more"},
        "/school-totals": {"school_id": "none", "year": 108, "amount_ntd": 1, "source": "s"},
        "/external-claims": {**dict.fromkeys(("claimant", "reference", "party"), "x"), **_NO_CLAIM},
        **dict.fromkeys(("/return", "/refuse", "/tell-apart", "/withdraw", "/reverse", "/drop", "/close"), _REASON),
        "/month": {"month": "2098-01", "achievements": "a"},
        "/scores": {"scores": {"capacity": {"score": 1, "reason": "r"}}},
        "/ladder": {"rung": "help", "kpi": "L", "reason": "r"},
        "/money-rows": {
            "item": "overhead",
            "tier": "gold",
            "occurred_on": "2019-05-02",
            "amount_ntd": 1,
            "source": "s",
        },
        "/points": {"person": "none", "activity": "none", "occurred_on": "2019-05-02", "source": "s"},
        "/gender-counts": {"year": 3_000, "group": "pi", "people": {}, "source": "s"},
        "/gender-analyses": {"year": 3_000, "group": "pi", "text": "t"},
        "/{configuration_name}": {"document": {}, "reason": "r"},
        "/match-batches": {"needs": ["none"]},
        "/accounts": {"email": "none"},
        "/retire": {"reason": "r", "since": "2199-01-01"},
        "/merge": {"kept": "nobody", "reason": "r"},
        "/rename": {"name": "n", "since": "2199-01-01"},
        "/divide": {"to": "none", "labs": ["none"], "since": "2199-01-01"},
        "/apart": {"kind": "lab", "first": "none", "second": "nobody"},
        "/claims": {"statement": "mine"},
        "/verdict": {"verdict": "refused"},
        "/client": {"alliance": "none"},
        "/keys": {"name": "n"},
        "/roles": {"role": "expert"},
        "/second-factor/end": {"code": "1"},
        "/end": {"reason": " "},
        "/grade": {"said": "grade"},
        "/settlement": {"grade": 1},
        "/settlers": {"account": "none"},
        "/judgings": {"judges": ["none", "nobody"], "needs": ["none"]},
        "/password": {"new": "short"},
        "/me/phone": {"phone": "none"},
        "/awakening": {"password": "wrong"},
        "/enrolment": {"code": "1"},
        "/webhook-hosts": {"host": "hooks.example.org"},
        "/me/webhooks": {"url": "https://nobody.example.org/"},
        "/recovery-codes": {"code": "1"},
        "/session/second-factor": {"code": "1"},
        "/confirm": {"password": "none"},
        "{pairing_id}/answer": {"word": "interested"},
        "/meetings": {"times": []},
        "/acceptance": {"starts_at": "2020-01-02T03:04:05+08:00"},
        "/place": {"place": ""},
        "/confirmations": {"address": "nobody"},
        "/messages": {"text": " ", "audience": "company"},
        "/invitations": {"side": "company", "address": "nobody"},
        "/answer": {"agreed": False},
        "/shortlists": {"labs": ["none"]},
        "/links": {"days": 1},
        "/works": {"work": {"year": "x"}},
        "/logo": {"content": "AAAA"},
        "/photo": {"content": "AAAA"},
        "/fill-down": {"table": "none", "row": 1, "column": 1},
        "/mappings": {"name": "n", "table": "none"},
    }
    body = next((value for end, value in bodies.items() if path.endswith(end)), {})
    queries = {
        "/break-glass": {"reason": "to see who may"},
        "/client": {"alliance": "none"},
        "-names": {"q": "實驗室"},
        "/finding": {"q": "實驗室"},
        "/imports": {"name": "needs.jsonl"},
        "/api/attachments": {"name": "plan.pdf"},
        "/import-drafts": {"name": "needs.csv"},
        "/import-templates": {"kind": "needs"},
        "/rows": {"table": "0-1"},
        "/needed": {"expenses_ntd": 1},
        "/merge": {"kept": "nobody"},
        "/on": {"day": "2020-01-01"},
        "/evidence/retire": {"piece": "none"},
        "/evidence/reinstate": {"piece": "none"},
    }
    parameters = next((value for end, value in queries.items() if path.endswith(end)), None)
    json = {"json": body} if method in ("POST", "PATCH", "PUT") and body is not None else {}
    return server.ask(who, method, path.format(**ids), params=parameters, **json).status_code


@pytest.mark.parametrize("whole", [False, pytest.param(True, marks=pytest.mark.long)])
@POSTGRESQL_AT_LENGTH
def test_every_cell(
    settings: Settings, indexed_home: Path, slice_of_world: Path, monkeypatch: pytest.MonkeyPatch, *, whole: bool
) -> None:
    routes = [(m, p, permission) for m, p, permission in routes_of() if permission is not None]
    # To end all of one's sessions would leave none to end by itself.
    routes.sort(key=lambda route: (route[1] == "/api/me/sessions" or "/import-" in route[1]) and route[0] == "DELETE")
    assert len(routes) > 20
    wrong, cells = [], 0
    with served(settings, indexed_home, slice_of_world) as server:
        things = _fill(server)
        for who, method, path, permission, parameter, thing in _cells(routes, whole=whole):
            status = _asked(server, things, who, method, path, thing)
            cells += 1
            if _wrong(status, who, permission, parameter, thing):
                wrong.append(f"{who} {method} {path} {thing}: {status}")
        for method, path, _ in routes:
            assert _asked(server, things, None, method, path, "own") == 401
        # The control: were one row of the policy another, the comparison would see it.
        read = (Resource.NEED, Action.READ)
        seen = _asked(server, things, "rival", "GET", "/api/needs/{need_id}", "own")
        assert not _wrong(seen, "rival", read, "need_id", "own")
        assert _wrong(200, "rival", read, "need_id", "own")
        own = _asked(server, things, "company", "GET", "/api/needs/{need_id}", "own")
        assert not _wrong(own, "company", read, "need_id", "own")
        monkeypatch.setitem(POLICY, read, {role: far for role, far in POLICY[read].items() if role is not Role.COMPANY})
        assert _wrong(own, "company", read, "need_id", "own")
    print(f"{cells} cells of {len(routes)} routes")
    assert wrong == []


def test_a_route_without_permission_is_not_built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    router = APIRouter()

    @router.get("/api/forgotten")
    def forgotten() -> None:
        """Name no permission."""

    monkeypatch.setattr(api.app.cases, "router", router)
    with pytest.raises(RouteWithoutPolicyError, match="GET /api/forgotten names no permission"):
        create_app(Settings(home=tmp_path / "home", database_url=""))
    monkeypatch.undo()
    # The control: as it is, the same application is built.
    assert len(routes_of()) > 20


@POSTGRESQL_AT_LENGTH
def test_what_is_taken_away_bites_at_the_next_request(
    settings: Settings, indexed_home: Path, slice_of_world: Path
) -> None:
    with served(settings, indexed_home, slice_of_world) as server:
        things, now = _fill(server), datetime.now(UTC)
        engine = open_engine(settings)
        paths = [f"/api/pairings/{things.own['pairing_id']}", f"/api/cases/{things.own['case_id']}"]
        assert [server.ask("lead", "GET", path).status_code for path in paths] == [200, 200]
        step = {"kind": "call", "held_on": "2020-01-02", "next_step": "call again", "next_on": "2020-01-03"}
        assert server.ask("expert", "POST", f"{paths[1]}/contacts", json=step).status_code == 201
        assert len(server.ask("lead", "GET", "/api/queue").json()["follow_ups_due"]) == 1
        with writing(engine) as session:
            declare_stake(session, account_id=server.accounts["lead"], party="lab", party_id=OWN_LAB, now=now)
        assert [server.ask("lead", "GET", path).status_code for path in paths] == [404, 404]
        assert server.ask("lead", "GET", "/api/queue").json()["follow_ups_due"] == []
        page = server.ask("lead", "GET", "/api/needs/need-1-01/matches", params={"top": 100}).json()
        assert page["withheld"] == 1
        assert OWN_LAB not in [item["lab_id"] for item in page["pairings"]]

        with writing(engine) as session:
            (held,) = active_grants(session, server.accounts["colleague"])
            revoke(session, grant_id=held.id or 0, by=server.accounts["office"], now=now)
        assert server.ask("colleague", "GET", paths[0]).status_code == 403
        with writing(engine) as session:
            set_disabled(session, account_id=server.accounts["expert"], disabled=True, now=now)
        assert server.ask("expert", "GET", paths[0]).status_code == 401
        engine.dispose()


@POSTGRESQL_AT_LENGTH
def test_a_key_for_reading_changes_nothing(settings: Settings, indexed_home: Path, slice_of_world: Path) -> None:
    routes = [(m, p, permission) for m, p, permission in routes_of() if permission is not None and m != "GET"]
    with served(settings, indexed_home, slice_of_world) as server:
        things, now = _fill(server), datetime.now(UTC)
        engine = open_engine(settings)
        with writing(engine) as session:
            account_id, valid = server.accounts["expert"], timedelta(days=1)
            _, server.keys["reader"] = make_key(
                session, account_id=account_id, name="reads", may_write=False, valid=valid, now=now
            )
        engine.dispose()
        # The control: what can be read with it is read.
        assert server.ask("reader", "GET", "/api/needs/need-1-01").status_code == 200
        assert {_asked(server, things, "reader", method, path, "own") for method, path, _ in routes} == {403}
        assert server.ask("reader", "POST", "/api/needs/need-1-01/take-up").json()["detail"] == "this key may only read"
        assert server.ask("expert", "POST", "/api/needs/need-1-01/take-up").status_code == 200
