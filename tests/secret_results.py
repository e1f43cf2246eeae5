"""The part of the history of secrets that is about results, jobs, claims of labs and accounts.

In: a running server and the words to plant. Out: the rows that it left. It exists apart from `secret_history`
because these are other fields with other readers.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from api.credentials import make_key
from indexer.database import open_engine, writing
from matcher.people import add_account, declare_stake, grant
from matcher.roles import Role
from tests.job_watching import ended, job_of, upload
from tests.serving import Served

NONE: frozenset[str] = frozenset()
OWN = frozenset({"expert", "colleague", "lead"})
"""The staff of al-a, whose need it is; "stranger" is of al-b."""
_READERS = OWN | {"committee", "office"}
"""Who reads an entry of al-a."""
_ENTRIES = "/api/ledger/entries"


@dataclass(frozen=True)
class Secret:
    """Who reads a secret with the routes there are (`must`), and who else might (`may`)."""

    must: frozenset[str] = NONE
    may: frozenset[str] = NONE


RESULT_SECRETS = {
    # What is wrong with a file, only who sent it reads, as what it is called.
    "jobfile": Secret(frozenset({"expert"})),
    "rowproblem": Secret(frozenset({"expert"})),
    "madekey": Secret(),
    # A claim that waits is read by those who decide on it, the word on one by the claimant.
    "claimstatement": Secret(frozenset({"newcomer", "lead", "office"})),
    "claimreason": Secret(frozenset({"newcomer"})),
    "claimaddress": Secret(frozenset({"lead", "office"})),
    "stakereason": Secret(frozenset({"office"})),
    "keyname": Secret(frozenset({"expert"}), frozenset({"office"})),
    # A result of al-a.
    "evidencefile": Secret(_READERS),
    "evidencename": Secret(_READERS),
    "valueadded": Secret(_READERS),
    "payer": Secret(_READERS),
    "supplement": Secret(_READERS),
    "returnreason": Secret(_READERS),
    "motionreason": Secret(_READERS),
    "dropreason": Secret(_READERS),
    # One of al-b.
    "foreignvalue": Secret(frozenset({"stranger", "office"})),
    # Nobody is told who a pseudonym is; what tells people apart is not even stored.
    "personname": Secret(),
    "personcontact": Secret(),
    "personidentifier": Secret(),
    # The programme's own: what a school cooperates in is there for comparison, other programmes' claims are not.
    "totalsource": Secret(_READERS | {"stranger"}),
    "claimedparty": Secret(frozenset({"office"})),
    "closereason": Secret(frozenset({"office"})),
}
NOT_STORED = ("madekey", "personidentifier")
"""What is not even in the database."""


def results_told(server: Served, planted: dict[str, str], words: dict[str, list[str]]) -> dict[str, list[str]]:
    """Let this part of the history happen; add the words that can't be chosen, return rows by parameter."""
    ids = _files_and_keys(server, planted, words)
    ids |= _people_told(server, planted, words)
    ids |= _entries_told(server, planted)
    return ids


def _done(server: Served, who: str, method: str, path: str, **more: Any) -> dict[str, Any]:
    answer = server.ask(who, method, path, **more)
    assert answer.status_code in (200, 201, 202), f"{method} {path}: {answer.text}"
    document: dict[str, Any] = answer.json()
    return document


def _files_and_keys(server: Served, planted: dict[str, str], words: dict[str, list[str]]) -> dict[str, list[str]]:
    name = f"{planted['jobfile']}.csv"
    content = f"id,title,budget_ntd\nneed-new,拋光,{planted['rowproblem']}\n".encode()
    job_id = job_of(upload(server, "expert", name, content, kind="needs"))
    ended(server, "expert", job_id)
    made = _done(server, "expert", "POST", "/api/me/keys", json={"name": planted["keyname"]})
    words["madekey"] = [made["key"]]
    return {"job_id": [job_id]}


def _people_told(server: Served, planted: dict[str, str], words: dict[str, list[str]]) -> dict[str, list[str]]:
    engine, now, valid = open_engine(server.settings), datetime.now(UTC), timedelta(days=1)
    words["claimaddress"] = ["newcomer@example.org"]
    with writing(engine) as session:
        spare = add_account(session, email="spare@example.org", name="", now=now).id
        given = grant(session, account_id=spare, role=Role.JOB, by=None, now=now)
        stakes = [declare_stake(session, account_id=spare, party="company", party_id="co-1-4", now=now).id]
        keys = [
            make_key(session, account_id=spare, name="n", may_write=False, valid=valid, now=now)[0].prefix
            for _ in range(2)
        ]
    engine.dispose()
    reason = {"reason": planted["stakereason"]}
    _done(server, "office", "POST", f"/api/accounts/{spare}/stakes/{stakes[0]}/end", json=reason)
    refused = _done(server, "newcomer", "POST", "/api/labs/lab-1-01/claims", json={"statement": "mine"})
    word = {"verdict": "refused", "reason": planted["claimreason"]}
    _done(server, "lead", "POST", f"/api/claims/{refused['id']}/verdict", json=word)
    statement = {"statement": planted["claimstatement"]}
    _done(server, "newcomer", "POST", "/api/labs/lab-1-01/claims", json=statement)
    ids = {"account_id": [spare], "grant_id": [str(given.id)], "stake_id": [str(stakes[0])]}
    return {**ids, "claim_id": [str(refused["id"])], "prefix": keys, "key_prefix": keys}


def _entries_told(server: Served, planted: dict[str, str]) -> dict[str, list[str]]:
    person = {
        "name": planted["personname"],
        "identifier": planted["personidentifier"],
        "contact": planted["personcontact"],
    }
    _done(server, "expert", "POST", "/api/ledger/persons", json=person)
    sent = [
        _done(server, who, "POST", "/api/evidence", content=f"contract {text}".encode())["sha256"]
        for who, text in (("expert", planted["evidencefile"]), ("stranger", "of al-b"))
    ]
    total = {"school_id": "ysu", "year": 108, "amount_ntd": 900_000_000, "source": planted["totalsource"]}
    _done(server, "office", "POST", "/api/ledger/school-totals", json=total)
    claim = {"programme": "patent", "kpi": "P", "claimant": "三號大學", "reference": "專-1"}
    _done(server, "office", "POST", "/api/ledger/external-claims", json={**claim, "party": planted["claimedparty"]})
    _report(server, "expert", "money-own-0001", planted, sent[0], {"value_added": planted["valueadded"]})
    _report(server, "stranger", "money-foreign-0001", planted, sent[1], {"value_added": planted["foreignvalue"]})
    own = f"{_ENTRIES}/money-own-0001"
    _done(server, "committee", "POST", f"{own}/return", json={"reason": planted["returnreason"]})
    _done(server, "expert", "POST", f"{own}/supplement", json={"text": planted["supplement"]})
    _done(server, "committee", "POST", f"{own}/check", json={})
    motion = _done(server, "office", "POST", f"{own}/recognise", json={"note": planted["motionreason"]})["motion"]
    drop = {"reason": planted["dropreason"]}
    _done(server, "committee", "POST", f"/api/ledger/motions/{motion['id']}/drop", json=drop)
    reason = {"reason": planted["closereason"]}
    close = _done(server, "office", "POST", "/api/ledger/periods/2019Q2/close", json=reason)
    return {
        "entry_id": ["money-own-0001", "money-foreign-0001"],
        "sha256": sent,
        "motion_id": [str(motion["id"]), str(close["id"])],
        "period": ["2019Q2"],
    }


def _report(
    server: Served, who: str, entry_id: str, planted: dict[str, str], digest: str, more: dict[str, Any]
) -> None:
    own = who == "expert"
    details = {
        "contract": entry_id,
        "instalment": 1,
        "payer": planted["payer"] if own else "某公司",
        "payer_country": "TW",
        "payer_type": "company",
        "purpose": "research",
    }
    entry = {
        "id": entry_id,
        "kpi": "L",
        "amount": 6_000_000 if own else 7_000_000,
        "shares": {"al-a" if own else "al-b": 10_000},
        "details": details,
        "occurred_on": "2019-05-02",
        "school_id": "ysu",
        "evidence": [{"sha256": digest, "name": planted["evidencename"] if own else "合約"}],
        **more,
    }
    _done(server, who, "POST", _ENTRIES, json=entry)
