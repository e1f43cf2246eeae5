"""Whoever is told by a refusal that something of others is there is counted, by whatever way; the office sees it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from api.jobs.job_queue import claim
from api.jobs.worker import JobRunner
from indexer.database import writing
from indexer.instants import now
from indexer.records.importing import import_rows
from indexer.settings import Settings
from matcher.ledger.rows.result_claims import ExternalClaim, note_external
from matcher.ledger.rules.reporting import checked_details
from tests.rig.worlds.small_world import Asked, asked

pytestmark = pytest.mark.postgresql_at_length

CONTRACT = {
    "contract": "C-1",
    "instalment": 1,
    "payer": "甲公司",
    "payer_country": "TW",
    "payer_type": "company",
    "purpose": "research",
}


@pytest.fixture
def here(settings: Settings) -> Iterator[Asked]:
    with asked(settings) as made:
        with writing(made.engine) as session:
            import_rows(session, "schools", [{"id": "s-1", "name": "一號大學"}])
            import_rows(session, "needs", [{"id": "n-9", "title": "沒有聯盟的"}])
        yield made


def _report(here: Asked, who: str, entry_id: str, alliance: str, **details: Any) -> Any:
    body = {
        "id": entry_id,
        "kpi": "L",
        "amount": 1_000_000,
        "shares": {alliance: 10_000},
        "details": {**CONTRACT, **details},
        "occurred_on": "2019-05-02",
        "school_id": "s-1",
        "value_added": "促成",
        "evidence": [{"url": "https://example.org/x", "name": "x"}],
    }
    return here.ask(who, "POST", "/api/ledger/entries", json=body)


def _probes(here: Asked) -> dict[str, dict[str, Any]]:
    views: Any = here.client.app.state.views  # type: ignore[attr-defined]
    assert views._store_all()
    names = {account_id: name for name, account_id in here.accounts.items()}
    found = here.done("office", "GET", "/api/ledger/probes")["items"]
    counts = ("held", "withdrawn", "refused", "rows", "people", "alliances")
    return {names[one["account_id"]]: {name: one[name] for name in counts} for one in found}


NONE = {"held": 0, "withdrawn": 0, "refused": 0, "rows": 0, "people": 0, "alliances": []}


def test_refused_reports_are_counted(here: Asked) -> None:
    details = checked_details("L", {**CONTRACT, "contract": "P-1"})  # type: ignore[arg-type]
    claim = ExternalClaim(
        programme="patent", kpi="L", natural_key=details.natural_key(), claimant="三號大學", reference="p", party="丙",
        noted_by=here.accounts["office"], noted_at=datetime.now(UTC),
    )  # fmt: skip
    with writing(here.engine) as session:
        note_external(session, claim)
    assert _report(here, "expert", "money-0001", "al-a").status_code == 201
    assert _probes(here) == {}
    same = _report(here, "stranger", "probe-0001", "al-b")
    assert (same.status_code, "al-a" in same.json()["detail"], "money-0001" in same.text) == (409, True, False)
    taken = _report(here, "stranger", "money-0001", "al-b", contract="X-1", payer="無關工業")
    elsewhere = _report(here, "stranger", "probe-0002", "al-b", contract="P-1", payer="無關工業")
    assert [one.status_code for one in (taken, elsewhere)] == [409, 409]
    # The controls: an own alliance's result told nobody anything, nor does what is refused for its form.
    assert _report(here, "colleague", "money-0002", "al-a").status_code == 409
    assert _report(here, "colleague", "money-0003", "al-a", payer_country="??").status_code == 422
    assert _report(here, "stranger", "probe-0003", "al-a").json()["field"] == "shares"
    assert _probes(here) == {"stranger": {**NONE, "refused": 3, "alliances": ["al-a"]}}


@pytest.mark.postgresql_too
def test_rows_of_lists_that_hit_others_records_are_counted_once(here: Asked) -> None:
    list_ = "需求代號 id,需求名稱\nn-1,搶來的\nn-9,也搶\nn-new,新的\n".encode()
    sent = here.done("stranger", "POST", "/api/import-drafts", params={"name": "needs.csv"}, content=list_)["id"]
    for path in ("", "/rows?table=0-1", ""):
        here.done("stranger", "GET", f"/api/import-drafts/{sent}{path}")
    companies = b"id,name\nco-1,x\n"
    sent = here.done("stranger", "POST", "/api/import-drafts", params={"name": "companies.csv"}, content=companies)
    # By the import itself too, though nobody looked at the list.
    here.done("stranger", "POST", f"/api/import-drafts/{sent['id']}/import")
    with writing(here.engine) as session:
        job = claim(session, worker="test", lease_s=60, now=now())
    assert job is not None
    runner: JobRunner = here.client.app.state.jobs  # type: ignore[attr-defined]
    runner._run(job)
    # The controls: one's own need, and who may bring in anything.
    for who in ("expert", "office"):
        sent = here.done(who, "POST", "/api/import-drafts", params={"name": "needs.csv"}, content=list_)["id"]
        here.done(who, "GET", f"/api/import-drafts/{sent}")
    assert _probes(here) == {"stranger": {**NONE, "rows": 3}, "expert": {**NONE, "rows": 1}}


@pytest.mark.parametrize("lang", ["zh", "en"])
def test_the_office_reads_it_in_its_pages(here: Asked, lang: str) -> None:
    assert _report(here, "expert", "money-0001", "al-a").status_code == 201
    assert _report(here, "stranger", "probe-0001", "al-b").status_code == 409
    assert _probes(here)["stranger"]["refused"] == 1
    page = here.ask("office", "GET", "/review/claims", headers={"Accept-Language": lang})
    assert page.status_code == 200
    row = page.text.partition('aria-labelledby="h-probes"')[2]
    assert ("stranger" in row, "甲聯盟" in row) == (True, True)
