"""Work on a started server before a test looks: files imported as jobs, cases opened, results sent to reviewers.

In: a server of `tests.rig.servers.served`. Out: files of many records, waiting for a job's state and listening to its
events; cases of accepted pairings; committee members, a second office, and results as an alliance reports them.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any

import httpx

from api.access.credentials import make_key
from indexer.database import open_engine, writing
from matcher.review.people import add_account, declare_stake, grant
from matcher.review.roles import Role
from tests.rig.servers.served import Served

PATIENCE_S = 60.0


def companies(n: int, prefix: str = "new") -> bytes:
    """A JSONL file of so many companies."""
    rows = ({"id": f"{prefix}-{i:05}", "name": f"公司 {i}", "fields": ["智慧製造"]} for i in range(n))
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def upload(server: Served, who: str, name: str, content: bytes, **parameters: Any) -> httpx.Response:
    """Ask for an import."""
    return server.ask(who, "POST", "/api/imports", params={"name": name, **parameters}, content=content)


def job_of(answer: httpx.Response) -> str:
    """The id of the job that was accepted."""
    assert answer.status_code == 202, answer.text
    job_id = str(answer.json()["id"])
    assert answer.headers["Location"] == f"/api/jobs/{job_id}"
    return job_id


def until(server: Served, who: str, job_id: str, *states: str) -> dict[str, Any]:
    """Wait until a job is in one of the states."""
    last = time.monotonic() + PATIENCE_S
    while time.monotonic() < last:
        job: dict[str, Any] = server.ask(who, "GET", f"/api/jobs/{job_id}").json()
        if job["state"] in states:
            return job
        time.sleep(0.05)
    raise AssertionError(f"still {job}")


def ended(server: Served, who: str, job_id: str) -> dict[str, Any]:
    """Wait until a job is finished, as it should be."""
    job = until(server, who, job_id, "done", "failed", "cancelled")
    assert job["state"] == "done", job
    return job


def result_of(server: Served, who: str, job_id: str) -> dict[str, Any]:
    """Wait for a job's result."""
    ended(server, who, job_id)
    answer = server.ask(who, "GET", f"/api/jobs/{job_id}/result")
    assert answer.status_code == 200, answer.text
    document: dict[str, Any] = answer.json()
    return document


@contextmanager
def listening(server: Served, who: str, job_id: str, **headers: str) -> Iterator[Iterator[dict[str, str]]]:
    """Listen to a job's events; what comes over the wire is read as a browser would."""
    headers["Authorization"] = f"Bearer {server.keys[who]}"
    url = f"{server.url}/api/jobs/{job_id}/events"
    with httpx.stream("GET", url, headers=headers, timeout=60) as answer:
        assert answer.status_code == 200, answer.read()
        assert answer.headers["Content-Type"].startswith("text/event-stream")
        yield _events(answer)


def _events(answer: httpx.Response) -> Iterator[dict[str, str]]:
    event: dict[str, str] = {}
    for line in answer.iter_lines():
        if not line:
            if event:
                yield event
            event = {}
        elif not line.startswith(":"):
            name, _, value = line.partition(": ")
            event[name] = value


LIVE = "<img src=x onerror=document.title='xss'>\"'><script>document.title='xss'</script>"


def open_cases(server: Served, many: int) -> list[int]:
    """Let a company submit a need with live texts, and the expert accept so many pairings; return the cases."""
    need = {
        "title": f"拋光 {LIVE}",
        "description": f"碳化矽基板拋光太慢 {LIVE}",
        "asks": [{"kind": "technology", "text": f"提高移除率的拋光液 {LIVE}"}],
    }
    made = server.ask("company", "POST", "/api/needs", json=need)
    assert made.status_code == 201, made.text
    need_id = made.json()["id"]
    assert server.ask("expert", "POST", f"/api/needs/{need_id}/take-up").status_code == 200
    ranked = server.ask("expert", "GET", f"/api/needs/{need_id}/matches", params={"top": many})
    assert ranked.status_code == 200, ranked.text
    return [_accepted(server, pairing) for pairing in ranked.json()["pairings"]]


def _accepted(server: Served, pairing: dict[str, int]) -> int:
    word = {"verdict": "accept", "proposal_id": pairing["proposal_id"]}
    answer = server.ask("expert", "POST", f"/api/pairings/{pairing['pairing_id']}/decision", json=word)
    assert answer.status_code == 201, answer.text
    return int(answer.json()["case_id"])


ENTRIES = "/api/ledger/entries"
CONTRACT = "合約全文\n第一條 甲方委託乙方研究。".encode()
_PEOPLE: dict[str, tuple[Role, ...]] = {
    "second_office": (Role.OFFICE,),
    "second_committee": (Role.COMMITTEE,),
    "stakeholder": (Role.COMMITTEE,),
    "both": (Role.EXPERT, Role.COMMITTEE),
}


def add_reviewers(server: Served) -> None:
    """Let a second office, a second member of the committee, one with a stake and one who reports as well in."""
    engine, now = open_engine(server.settings), datetime.now(UTC)
    with writing(engine) as session:
        for name, roles in _PEOPLE.items():
            account = add_account(session, email=f"{name}@example.org", name=name, now=now)
            for role in roles:
                scope = "" if role is Role.OFFICE else "al-a"
                grant(session, account_id=account.id, role=role, scope_id=scope, by=None, now=now)
            _, server.keys[name] = make_key(
                session, account_id=account.id, name="test", may_write=True, valid=timedelta(days=1), now=now
            )
            server.accounts[name] = account.id
        declare_stake(session, account_id=server.accounts["stakeholder"], party="company", party_id="co-1-1", now=now)
    engine.dispose()
    total = {"school_id": "ysu", "year": 108, "amount_ntd": 900_000_000, "source": "校務公開資訊"}
    ok(server.ask("office", "POST", "/api/ledger/school-totals", json=total), 201)


def ok(answer: httpx.Response, status: int = 200) -> Any:
    """Return what was answered."""
    assert answer.status_code == status, answer.text
    return answer.json()


def send(server: Served, content: bytes = CONTRACT, who: str = "expert") -> str:
    """Send a file of evidence and return its hash."""
    ok(server.ask(who, "POST", "/api/evidence", content=content), 201)
    return sha256(content).hexdigest()


def report(server: Served, entry_id: str, payer: str, *, who: str = "expert", **more: Any) -> dict[str, Any]:
    """Report money from a payer, by default NT$ 1,000,000 with a text as evidence; return the first entry."""
    details = {
        "contract": f"C-{entry_id}",
        "instalment": 1,
        "payer": payer,
        "payer_country": "TW",
        "payer_type": "company",
        "purpose": "research",
    }
    body = {
        "id": entry_id,
        "kpi": "L",
        "amount": 1_000_000,
        "shares": {"al-a": 10_000},
        "details": {**details, **more.pop("details", {})},
        "occurred_on": "2019-05-02",
        "school_id": "ysu",
        "value_added": "聯盟專家促成合約",
        **more,
    }
    if "evidence" not in body:
        # Of its own, since the same file for two results holds the second one.
        proof = send(server, CONTRACT + f"\n{entry_id}".encode(), who)
        body["evidence"] = [{"sha256": proof, "name": "合約.txt"}]
    if body["kpi"] != "L":
        body["details"] = more["details_of"]
        body.pop("details_of")
    if "instalments" in body:
        del body["details"]["instalment"]
    found: dict[str, Any] = ok(server.ask(who, "POST", ENTRIES, json=body), 201)["items"][0]
    return found


def counted(server: Served, kpi: str = "L") -> int:
    """Return what a figure comes to now, of all years."""
    figures = ok(server.ask("office", "GET", "/api/kpi"))["figures"]
    (figure,) = [one for one in figures if one["kpi"] == kpi]
    return int(figure["total"]["actual"]["amount"])
