"""What tests of the review share: committee members and a second office, and results as an alliance reports them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any

import httpx

from api.credentials import make_key
from indexer.database import open_engine, writing
from matcher.people import add_account, declare_stake, grant
from matcher.roles import Role
from tests.serving import Served

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
        body["evidence"] = [{"sha256": send(server, who=who), "name": "合約.txt"}]
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
