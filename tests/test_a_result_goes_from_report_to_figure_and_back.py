"""The ledger's story over HTTP: money reported with its contract, checked, recognised by two, traced, reversed."""

from __future__ import annotations

import io
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

import httpx
import openpyxl

from api.access.credentials import make_key
from indexer.database import open_engine, reading, writing
from indexer.instants import day_in_taipei
from indexer.settings import Settings
from matcher.ledger.proving.heads import key_of, public_key_of, read_kept
from matcher.ledger.proving.verification import verify
from matcher.ledger.rendering.formats import MEDIA_TYPES, ReportFormat
from matcher.ledger.rows.chain import LEDGER_CHAINS
from matcher.review.people import add_account, grant
from matcher.review.roles import Role
from tests.conftest import POSTGRESQL_AT_LENGTH
from tests.rig.servers.served import Served, served
from tests.rig.worlds.report_samples import text_of_pdf

CONTRACT = "合約全文".encode() * 100
ENTRIES = "/api/ledger/entries"


def _more_people(server: Served) -> None:
    """A second member of the programme office, and committee members of both groups."""
    engine, now = open_engine(server.settings), datetime.now(UTC)
    with writing(engine) as session:
        for name, role, scope in (
            ("second_office", Role.OFFICE, ""),
            ("other_committee", Role.COMMITTEE, "al-b"),
        ):
            account = add_account(session, email=f"{name}@example.org", name=name, now=now)
            grant(session, account_id=account.id, role=role, scope_id=scope, by=None, now=now)
            _, server.keys[name] = make_key(
                session, account_id=account.id, name="test", may_write=True, valid=timedelta(days=1), now=now
            )
            server.accounts[name] = account.id
    engine.dispose()


def _money(entry_id: str, case_id: int | None, digest: str, **more: Any) -> dict[str, Any]:
    details = {
        "contract": "C-108-001",
        "instalment": 1,
        "payer": "甲公司",
        "payer_country": "TW",
        "payer_type": "company",
        "purpose": "research",
    }
    return {
        "id": entry_id,
        "kpi": "L",
        "amount": 6_000_000,
        "shares": {"al-a": 7_500, "al-b": 2_500},
        "details": {**details, **more.pop("details", {})},
        "occurred_on": "2019-05-02",
        "school_id": "ysu",
        "company_id": "co-1-1",
        "case_id": case_id,
        "value_added": "聯盟專家促成合約",
        "evidence": [{"sha256": digest, "name": '合約 "原件".pdf'}],
        **more,
    }


def test_the_story(settings: Settings, indexed_home: Path, slice_of_world: Path) -> None:
    with served(settings, indexed_home, slice_of_world) as server:
        _more_people(server)
        case_id, explanation = _accepted(server)
        digest = _evidence_sent(server)
        _reported(server, case_id, digest)
        _evidence_read(server, digest)
        _checked_and_recognised_by_two(server)
        _figure_leads_to_the_explanation(server, explanation)
        _reports_in_all_formats(server, settings)
        _reversed_by_two(server)
        _quarter_closed(server)
        heads = server.ask("job", "GET", "/api/ledger/heads").json()["items"]
    engine = open_engine(settings)
    with reading(engine) as session:
        verdict = verify(session, home=settings.home)
    engine.dispose()
    # That the heads were read is noted, so the chain of links went on.
    told = {h["chain"]: f"{h['n']} {h['hash']}" for h in heads}
    assert (verdict.findings, told) == ([], {chain: verdict.heads[chain] for chain in LEDGER_CHAINS})


def _ok(answer: httpx.Response, status: int = 200) -> Any:
    assert answer.status_code == status, answer.text
    return answer.json()


def _accepted(server: Served) -> tuple[int, dict[str, Any]]:
    page = _ok(server.ask("expert", "GET", "/api/needs/need-1-01/matches?top=1"))
    (pairing,) = page["pairings"]
    word = {"verdict": "accept", "proposal_id": pairing["proposal_id"]}
    decided = _ok(server.ask("expert", "POST", f"/api/pairings/{pairing['pairing_id']}/decision", json=word), 201)
    figure = _figure(server, "expert", "acceptances")
    assert figure["total"]["actual"]["amount"] == 1
    return int(decided["case_id"]), pairing["explanation"]


def _evidence_sent(server: Served) -> str:
    assert server.ask("company", "POST", "/api/evidence", content=CONTRACT).status_code == 403
    sent = _ok(server.ask("expert", "POST", "/api/evidence", content=CONTRACT), 201)
    digest = sha256(CONTRACT).hexdigest()
    assert sent == {"sha256": digest, "size_bytes": len(CONTRACT), "sent_before": None}
    again = _ok(server.ask("expert", "POST", "/api/evidence", content=CONTRACT), 201)
    assert datetime.fromisoformat(again["sent_before"]) <= datetime.now(UTC)
    large = b"\0" * (5 * 2**20)
    assert _ok(server.ask("expert", "POST", "/api/evidence", content=large), 201)["size_bytes"] == len(large)
    assert server.ask("expert", "POST", "/api/evidence", content=b"").status_code == 422
    assert server.ask("expert", "POST", "/api/evidence", content=b"\0" * (32 * 2**20 + 1)).status_code == 413
    assert server.ask("expert", "POST", ENTRIES, content=large).status_code == 413
    # A file that no entry names is nobody's to read.
    assert server.ask("expert", "GET", f"/api/evidence/{digest}").status_code == 404
    return digest


def _reported(server: Served, case_id: int, digest: str) -> None:
    body, key = _money("money-0001", case_id, digest), {"Idempotency-Key": "report-1"}
    made = _ok(server.ask("expert", "POST", ENTRIES, json=body, headers=key), 201)
    assert [item["state"] for item in made["items"]] == ["reported"]
    again = server.ask("expert", "POST", ENTRIES, json=body, headers=key)
    assert (again.json(), again.headers["Idempotent-Replay"]) == (made, "true")
    one_file = [{"sha256": digest, "name": name} for name in ("a.pdf", "b.pdf")]
    same = server.ask("expert", "POST", ENTRIES, json={**body, "id": "money-0009", "evidence": one_file})
    assert (same.status_code, same.json()["field"], "a.pdf, b.pdf" in same.text) == (422, "evidence", True)
    twice = server.ask("expert", "POST", ENTRIES, json={**body, "id": "money-0002"})
    assert (twice.status_code, twice.json()["field"]) == (409, "natural_key")
    foreign = server.ask("stranger", "POST", ENTRIES, json=_money("money-0003", None, digest, shares={"al-a": 10_000}))
    assert (foreign.status_code, foreign.json()["field"]) == (422, "shares")
    # The same contract under another number is held, with the other claim beside it.
    twin = {"contract": "A-77", "payer": "甲公司股份有限公司"}
    held = _money("money-0004", None, digest, details=twin, occurred_on="2019-05-09")
    assert _ok(server.ask("expert", "POST", ENTRIES, json=held), 201)["items"][0]["state"] == "held"
    (alike,) = _ok(server.ask("office", "GET", f"{ENTRIES}/money-0004"))["similar"]
    assert (alike["entry"]["id"], alike["entry"]["state"]) == ("money-0001", "reported")
    _ok(server.ask("expert", "POST", f"{ENTRIES}/money-0004/withdraw", json={"reason": "重複"}))
    page = _ok(server.ask("expert", "GET", ENTRIES, params={"kpi": "L", "state": "withdrawn", "year": 108}))
    assert [item["id"] for item in page["items"]] == ["money-0004"]


def _evidence_read(server: Served, digest: str) -> None:
    path = f"/api/evidence/{digest}"
    for who in ("expert", "stranger", "committee", "other_committee", "office"):
        found = server.ask(who, "GET", path)
        assert (found.status_code, found.content) == (200, CONTRACT)
    assert found.headers["Content-Type"] == "application/octet-stream"
    assert found.headers["X-Content-Type-Options"] == "nosniff"
    assert found.headers["Content-Disposition"] == (
        "attachment; filename=\"__ ____.pdf\"; filename*=UTF-8''%E5%90%88%E7%B4%84%20_%E5%8E%9F%E4%BB%B6_.pdf"
    )
    assert [server.ask(who, "GET", path).status_code for who in ("company", "researcher", "job")] == [403] * 3


def _checked_and_recognised_by_two(server: Served) -> None:
    path = f"{ENTRIES}/money-0001"
    early = server.ask("office", "POST", f"{path}/recognise", json={})
    assert (early.status_code, early.json()["field"]) == (422, "state")
    returned = _ok(server.ask("committee", "POST", f"{path}/return", json={"reason": "請補說明"}))
    assert (returned["state"], returned["steps"][-1]["reason"]) == ("returned", "請補說明")
    _ok(server.ask("expert", "POST", f"{path}/supplement", json={"text": "說明如附件"}))
    assert _ok(server.ask("committee", "POST", f"{path}/check", json={}))["state"] == "checked"
    assert server.ask("committee", "POST", f"{path}/recognise", json={}).status_code == 403
    total = {"school_id": "ysu", "year": 108, "amount_ntd": 900_000_000, "source": "校務公開資訊"}
    assert _ok(server.ask("office", "POST", "/api/ledger/school-totals", json=total), 201)["year"] == 2019
    moved = _ok(server.ask("office", "POST", f"{path}/recognise", json={"note": "大額"}))
    assert (moved["state"], moved["motion"]["kind"]) == ("checked", "recognise")
    assert _figure(server, "office", "L")["total"]["actual"]["amount"] == 0
    motion = f"/api/ledger/motions/{moved['motion']['id']}"
    alone = server.ask("office", "POST", f"{motion}/second")
    assert (alone.status_code, alone.json()["field"]) == (422, "by")
    assert [m["id"] for m in _ok(server.ask("second_office", "GET", "/api/ledger/motions"))["items"]] == [
        moved["motion"]["id"]
    ]
    assert _ok(server.ask("second_office", "POST", f"{motion}/second"))["ended"]["seconded"] is True
    assert _ok(server.ask("second_office", "GET", "/api/ledger/motions"))["items"] == []


def _figure(server: Served, who: str, kpi: str, **parameters: Any) -> Any:
    page = _ok(server.ask(who, "GET", "/api/kpi", params=parameters))
    (figure,) = [item for item in page["figures"] if item["kpi"] == kpi]
    return figure


def _figure_leads_to_the_explanation(server: Served, explanation: dict[str, Any]) -> None:
    assert _figure(server, "office", "L")["total"]["actual"]["amount"] == 6_000_000
    assert _figure(server, "job", "L", year=108)["total"]["actual"]["amount"] == 6_000_000
    assert _figure(server, "stranger", "L")["total"]["actual"]["amount"] == 1_500_000
    assert server.ask("stranger", "GET", "/api/kpi", params={"alliance": "al-a"}).status_code == 404
    figure = _figure(server, "expert", "L", year=2019)
    assert figure["years"][0]["roc_year"] == 108
    assert figure["total"]["actual"]["amount"] == 4_500_000
    (row,) = _ok(server.ask("expert", "GET", figure["total"]["actual"]["entries"]))["items"]
    entry = _ok(server.ask("expert", "GET", row["href"]))
    came_from = entry["came_from"]
    assert came_from["decision"]["verdict"] == "accept"
    assert came_from["case"]["id"] == entry["case_id"]
    assert came_from["proposal"]["explanation"] == explanation
    assert _ok(server.ask("expert", "GET", came_from["case"]["href"]))["pairing_id"] == came_from["pairing"]["id"]
    # The office sees the case but not the explanation, which quotes the need; the other alliance sees neither.
    office = _ok(server.ask("office", "GET", row["href"]))["came_from"]
    assert (office["decision"]["verdict"], office["proposal"]) == ("accept", None)
    assert _ok(server.ask("stranger", "GET", row["href"]))["came_from"] is None
    assert _ok(server.ask("committee", "GET", row["href"]))["came_from"] is None


def _reports_in_all_formats(server: Served, settings: Settings) -> None:
    assert _ok(server.ask("office", "GET", "/api/reports"))["formats"] == [form.value for form in ReportFormat]
    for form in ReportFormat:
        parameters = {"format": form.value, "lang": "both", "as_of": day_in_taipei(datetime.now(UTC)).isoformat()}
        answer = server.ask("committee", "GET", "/api/reports/entries", params=parameters)
        assert (answer.status_code, answer.headers["Content-Type"]) == (200, MEDIA_TYPES[form])
        assert answer.headers["Content-Disposition"].startswith('attachment; filename="entries-20')
        if form is ReportFormat.XLSX:
            ids = [row[0].value for row in openpyxl.load_workbook(io.BytesIO(answer.content)).worksheets[0].iter_rows()]
            assert "money-0001" in ids
        elif form is ReportFormat.PDF:
            assert "6,000,000" in text_of_pdf(answer.content)
        elif form not in (ReportFormat.ODS, ReportFormat.ODT, ReportFormat.DOCX):
            assert "money-0001" in answer.text
        # Whatever leaves the machine carries the heads signed.
        (settings.home.parent / f"entries.{form.value}").write_bytes(answer.content)
        assert len(read_kept(settings.home.parent / f"entries.{form.value}", public_key_of(key_of(settings)))) == 2
    assert server.ask("job", "GET", "/api/reports/entries").status_code == 403
    assert server.ask("office", "GET", "/api/reports/none").status_code == 404


def _reversed_by_two(server: Served) -> None:
    path = f"{ENTRIES}/money-0001"
    moved = _ok(server.ask("office", "POST", f"{path}/reverse", json={"reason": "合約解除"}))
    motion = f"/api/ledger/motions/{moved['motion']['id']}"
    assert server.ask("committee", "POST", f"{motion}/second").status_code == 404
    assert server.ask("office", "POST", f"{motion}/second").status_code == 422
    assert server.ask("second_office", "POST", f"{motion}/second").status_code == 200
    entry = _ok(server.ask("expert", "GET", path))
    assert (entry["state"], entry["reversed_by"]) == ("reversed", "money-0001-reversal")
    figure = _figure(server, "office", "L")
    assert figure["total"]["actual"]["amount"] == 0
    behind = _ok(server.ask("office", "GET", figure["total"]["actual"]["entries"]))["items"]
    assert [item["id"] for item in behind] == ["money-0001", "money-0001-reversal"]


def _quarter_closed(server: Served) -> None:
    path = "/api/ledger/periods/2019Q2/close"
    assert server.ask("expert", "POST", path, json={"reason": "季結"}).status_code == 403
    motion = _ok(server.ask("office", "POST", path, json={"reason": "季結"}), 202)
    dropped = _ok(server.ask("office", "POST", f"/api/ledger/motions/{motion['id']}/drop", json={"reason": "再核"}))
    assert (dropped["ended"]["seconded"], dropped["ended"]["reason"]) == (False, "再核")
    motion = _ok(server.ask("office", "POST", path, json={"reason": "季結"}), 202)
    assert server.ask("second_office", "POST", f"/api/ledger/motions/{motion['id']}/second").status_code == 200
    quarters = {item["period"]: item for item in _ok(server.ask("expert", "GET", "/api/ledger/periods"))["items"]}
    assert quarters["2019Q2"]["closed"]["moved_by"] == server.accounts["office"]
    # An alliance reads its own totals, the office all.
    page = _ok(server.ask("office", "GET", "/api/ledger/periods"))["items"]
    (whole,) = [item["closed"]["totals"]["L"] for item in page if item["period"] == "2019Q2"]
    assert sorted(whole) == ["al-a", "al-b", "all"]
    assert quarters["2019Q2"]["closed"]["totals"]["L"] == {"al-a": whole["al-a"]}


@POSTGRESQL_AT_LENGTH
def test_a_file_is_not_read_by_who_only_knows_its_hash(
    settings: Settings, indexed_home: Path, slice_of_world: Path
) -> None:
    with served(settings, indexed_home, slice_of_world) as server:
        digest = _evidence_sent(server)
        own = _money("money-0001", None, digest, shares={"al-a": 10_000})
        _ok(server.ask("expert", "POST", ENTRIES, json=own), 201)
        path = f"/api/evidence/{digest}"
        theirs = _money("money-0009", None, digest, shares={"al-b": 10_000}, details={"contract": "Z", "payer": "丙"})
        refused = server.ask("stranger", "POST", ENTRIES, json=theirs)
        assert (refused.status_code, refused.json()["field"]) == (422, "evidence")
        # Nor by naming a link after it.
        theirs["evidence"] = [{"url": "https://example.org/x", "name": digest}]
        _ok(server.ask("stranger", "POST", ENTRIES, json=theirs), 201)
        assert server.ask("stranger", "GET", path).status_code == 404
        # The control: who sends the same file may.
        _ok(server.ask("stranger", "POST", "/api/evidence", content=CONTRACT), 201)
        theirs |= {
            "id": "money-0010",
            "evidence": [{"sha256": digest}],
            "details": {**theirs["details"], "contract": "Y"},
        }
        theirs["details"]["payer"] = "丁"
        _ok(server.ask("stranger", "POST", ENTRIES, json=theirs), 201)
        assert server.ask("stranger", "GET", path).content == CONTRACT
        # A damaged file is not handed out.
        stored = settings.home / "evidence" / digest[:2] / digest
        stored.write_bytes(b"exchanged")
        assert server.ask("expert", "GET", path).status_code == 503


@POSTGRESQL_AT_LENGTH
def test_contracts_are_split_and_people_have_pseudonyms(
    settings: Settings, indexed_home: Path, slice_of_world: Path
) -> None:
    with served(settings, indexed_home, slice_of_world) as server:
        link = [{"url": "https://example.org/c", "name": "合約"}]
        contract = _money("contract-0001", None, "", shares={"al-a": 10_000}, evidence=link, amount=20_000_000)
        del contract["details"]["instalment"]
        contract["instalments"] = [{"due_on": f"{year}-05-02", "amount_ntd": 4_000_000} for year in range(2019, 2024)]
        made = _ok(server.ask("expert", "POST", ENTRIES, json=contract), 201)
        assert [item["id"] for item in made["items"]] == [f"contract-0001-{n}" for n in range(1, 6)]
        assert [item["counts_on"][:4] for item in made["items"]] == ["2019", "2020", "2021", "2022", "2023"]
        wrong = {**contract, "id": "contract-0002", "amount": 1}
        assert server.ask("expert", "POST", ENTRIES, json=wrong).json()["field"] == "amount"

        for url in ("javascript:alert(1)", "http://[", "https://"):
            odd = _money("money-0006", None, "", evidence=[{"url": url}])
            assert server.ask("expert", "POST", ENTRIES, json=odd).json()["field"] == "evidence"

        person = {"name": "王小明", "identifier": "B0612345"}
        one = _ok(server.ask("expert", "POST", "/api/ledger/persons", json=person), 201)
        two = _ok(server.ask("stranger", "POST", "/api/ledger/persons", json=person), 201)
        assert one == two
        trained = {
            **_money("talent-0001", None, "", evidence=link),
            "kpi": "C",
            "amount": 1,
            "details": {"person": one["pseudonym"], "programme": "種子師資", "year": 2019},
        }
        _ok(server.ask("expert", "POST", ENTRIES, json=trained), 201)
        seen = server.ask("office", "GET", f"{ENTRIES}/talent-0001").text
        assert one["pseudonym"] in seen
        assert "王小明" not in seen

        claim = {"programme": "patent", "kpi": "L", "claimant": "三號大學", "reference": "P-1", "party": "戊公司"}
        noted = _ok(server.ask("office", "POST", "/api/ledger/external-claims", json=claim), 201)
        assert server.ask("office", "POST", "/api/ledger/external-claims", json=claim).status_code == 409
        alike = _money("money-0005", None, "", evidence=link, details={"contract": "W", "payer": "戊公司"})
        assert _ok(server.ask("expert", "POST", ENTRIES, json=alike), 201)["items"][0]["state"] == "held"
        (likeness,) = _ok(server.ask("expert", "GET", f"{ENTRIES}/money-0005"))["similar"]
        assert set(likeness["claim"]) == {"id", "programme", "claimant", "reference", "ended_at"}
        path = f"/api/ledger/external-claims/{noted['id']}/end"
        assert _ok(server.ask("office", "POST", path))["ended_by"] == server.accounts["office"]
        assert server.ask("office", "POST", path).status_code == 422
        apart = _ok(server.ask("office", "POST", f"{ENTRIES}/money-0005/tell-apart", json={"reason": "不同案"}))
        assert apart["state"] == "reported"
