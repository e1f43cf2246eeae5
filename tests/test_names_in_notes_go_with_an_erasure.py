"""Who is erased is gone from notes, file names and statements too; where a name can't go, whoever erases is told."""

from __future__ import annotations

import json
import subprocess
import sys
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import Text, cast, inspect, or_, select
from sqlmodel import SQLModel

from api.backups.erased_people import FILE, erase_for_good, repeat_erasures
from api.backups.named_texts import FREED
from api.jobs.job_queue import JobKind, ask_for
from api.routes.ledger.entries import must_not_name_oneself
from indexer.database import reading, writing
from indexer.records.importing import import_rows
from indexer.settings import Settings
from matcher.erasure import ErasedKind
from matcher.ledger.rows.kpis import Kpi
from matcher.ledger.rules.reporting import NewResult, report
from matcher.review.cases import Contact
from matcher.review.own_lab.researchers import claim
from matcher.review.people import declare_stake, end_stake, principal, rename
from tests.conftest import Gloria
from tests.rig.worlds.small_world import Asked, asked

NAME, ADDRESS = "Ouyang 雲帆", "expert@example.org"
NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)


@pytest.fixture
def here(settings: Settings) -> Iterator[Asked]:
    with asked(settings) as made:
        yield made


def _named_everywhere(here: Asked, *, claims: bool = True) -> None:
    """Write the expert's name and address wherever people write something."""
    who, elses = here.accounts["expert"], here.accounts["newcomer"]
    with writing(here.engine) as session:
        rename(session, account_id=who, name=NAME).email = ADDRESS
        session.add(
            Contact(
                company_id="co-1", alliance_id="al-a", kind="call", held_on=NOW.date(), by=who, at=NOW,
                note=f"called by {NAME}, with a colleague", next_step=f"write to {ADDRESS.upper()}",
            )
        )  # fmt: skip
        for account, statement in ((elses, f"ask {NAME} who I am"), (who, f"I am {NAME}")) if claims else ():
            claim(session, account_id=account, lab_id="lab-1", statement=statement, now=NOW)
        parameters = {"name": f"{NAME}-needs.jsonl", "kind": "needs", "files": [{"of": f"by {ADDRESS}"}]}
        ask_for(session, kind=JobKind.IMPORT, account_id=who, alliance_id="al-a", parameters=parameters, now=NOW)
        stake = declare_stake(session, account_id=elses, party="lab", party_id="lab-2", now=NOW)
        end_stake(session, stake_id=stake.id or 0, by=who, reason=f"{NAME} asked", now=NOW)
        # Other people's own records are theirs to change.
        import_rows(session, "needs", [{"id": "n-2", "title": f"如 {NAME} 所述", "company": "co-1"}])


def _where(here: Asked) -> set[str]:
    """Return every column that holds the name or the address."""
    found = set()
    with reading(here.engine) as session:
        for table in SQLModel.metadata.sorted_tables:
            for column in table.columns:
                text = cast(column, Text)
                has = or_(text.icontains(NAME), text.icontains(ADDRESS))
                if session.connection().execute(select(column).where(has).limit(1)).first() is not None:
                    found.add(f"{table.name}.{column.name}")
    return found


def test_names_go_from_what_people_wrote_and_the_rest_is_listed(here: Asked, settings: Settings) -> None:
    _named_everywhere(here)
    written = {"contact.note", "contact.next_step", "job.parameters", "lab_claim.statement", "stake.end_reason"}
    # The control: the same search finds every one of them before.
    assert _where(here) == written | {"account.name", "account.email", "need.title"}
    erased = erase_for_good(
        settings, kind=ErasedKind.ACCOUNT, subject=here.accounts["expert"], reason="離職", by="office"
    )
    assert _where(here) == {"need.title", "lab_claim.statement"}
    assert [(one.table, one.column, one.rows, one.kept) for one in erased.standing] == [
        ("need", "title", ("n-2",), False),
        ("lab_claim", "statement", ("1", "2"), True),
    ]
    with reading(here.engine) as session:
        contact = session.execute(select(Contact.note, Contact.next_step)).one()
        assert tuple(contact) == ("called by erased, with a colleague", "write to erased")
    assert json.loads((settings.home / FILE).read_bytes())["subject"] == here.accounts["expert"]
    # After an older copy was restored it is done again.
    _named_everywhere(here, claims=False)
    assert repeat_erasures(settings) == 1
    assert _where(here) == {"need.title", "lab_claim.statement"}


def _result(here: Asked, **more: Any) -> NewResult:
    details = {"contract": "C-1", "instalment": 1, "payer": "甲公司", "payer_country": "TW", "payer_type": "company"}
    given: dict[str, Any] = {
        "id": str(uuid.uuid4()), "kpi": Kpi("L"), "amount": 1_000,
        "shares": {"al-a": 10_000}, "details": {**details, "purpose": "research"}, "occurred_on": NOW.date(),
        "school_id": "sc-1", "value_added": "聯盟促成", "evidence": [{"url": "https://example.org/x", "name": "x"}],
    }  # fmt: skip
    return NewResult(**{**given, **more})


def test_what_the_ledger_keeps_is_listed_for_a_person(here: Asked, settings: Settings, gloria: Gloria) -> None:
    _named_everywhere(here)
    with writing(here.engine) as session:
        import_rows(session, "schools", [{"id": "sc-1", "name": "一號大學"}])
        named = [{"url": "https://example.org/x", "name": f"signed by {NAME}"}]
        report(session, _result(here, id="entry-0001", evidence=named), by=here.accounts["lead"], now=NOW)
    told = gloria(
        "--lang", "en", "erase", "account", here.accounts["expert"], "--reason", "on request",
        home=settings.home, database_url=settings.database_url,
    )  # fmt: skip
    assert told.code == 0, told.err
    said = [line for line in told.err.splitlines() if "still stands" in line]
    assert said == [
        "Warning: the name still stands in need.title, for its owner to change: n-2",
        "Warning: the name still stands in lab_claim.statement, kept for ever: 1, 2",
        "Warning: the name still stands in ledger_entry.evidence, kept for ever: 1",
    ]
    assert _where(here) == {"need.title", "ledger_entry.evidence", "lab_claim.statement"}


@pytest.mark.parametrize(
    "text",
    [{"name": f"signed by {NAME}"}, {"url": "https://example.org/OUYANG%20"}, f"send it to {ADDRESS}", [NAME.upper()]],
    ids=["a file's name", "half of it only", "an address", "in capitals"],
)
def test_nobody_writes_the_own_name_into_the_ledger(here: Asked, text: Any) -> None:
    with writing(here.engine) as session:
        rename(session, account_id=here.accounts["expert"], name=NAME)
    with reading(here.engine) as session:
        who, other = (principal(session, here.accounts[one]) for one in ("expert", "lead"))
        assert who is not None
        assert other is not None
        # Somebody else of that name is not known to be the same, and a part of a name is part of many words.
        must_not_name_oneself(session, other, [text])
        if "%20" in str(text):
            must_not_name_oneself(session, who, [text])
            return
        with pytest.raises(Exception, match="leave your own name"):
            must_not_name_oneself(session, who, [text])


def test_a_report_with_the_own_name_is_refused(here: Asked) -> None:
    here.done("office", "PATCH", f"/api/accounts/{here.accounts['expert']}", json={"name": NAME},
              headers={"If-Match": "*"})  # fmt: skip
    body = {
        "id": "entry-0002", "kpi": "L", "amount": 1, "shares": {"al-a": 10_000}, "occurred_on": "2026-03-02",
        "school_id": "none", "details": {"contract": f"ER-{NAME}"},
    }  # fmt: skip
    answer = here.ask("expert", "POST", "/api/ledger/entries", json=body)
    assert (answer.status_code, answer.json()["field"]) == (422, "evidence")
    assert NAME not in answer.text


def test_every_table_whose_texts_are_freed_is_there() -> None:
    known = {table.name: {column.name for column in table.columns} for table in SQLModel.metadata.sorted_tables}
    assert [f"{table}.{name}" for table, some in FREED.items() for name in some if name not in known[table]] == []


def test_the_command_searches_every_table_though_it_imports_little(here: Asked) -> None:
    code = "from api.backups import named_texts; print(*named_texts.SQLModel.metadata.tables)"
    known = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert sorted(known) == sorted(set(inspect(here.engine).get_table_names()) - {"alembic_version"})
