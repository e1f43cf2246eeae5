"""Evidence that no result names has bounds and goes after days; an almost full disk is kept for sign-in and ledger."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy.exc import IntegrityError
from sqlmodel import col, delete, select

from api.access.credentials import set_password_hash
from api.access.passwords import hash_password
from api.access.policy import Action, Resource
from api.requests.permitted_request import _may_use_the_reserve
from indexer.database import reading, writing
from indexer.disk import DiskReserve
from indexer.records.importing import import_rows
from indexer.settings import Settings
from matcher.ledger.rows.evidence import (
    ALL_TOGETHER,
    EvidenceFile,
    WaitingMost,
    forget_waiting,
    keep,
    path_of,
    waiting_files,
)
from matcher.review.people import add_account, grant
from matcher.review.roles import Role
from tests.rig.faults.full_disk import small_disk
from tests.rig.worlds.nights import carried_out, only
from tests.rig.worlds.small_world import Asked, asked

PASSWORD = "correct horse 電池 staple"
KB = 1_000
LATE = timedelta(days=8)


@pytest.fixture
def here(settings: Settings) -> Iterator[Asked]:
    with asked(settings) as made:
        _add_school(made)
        made.client.app.state.evidence_waiting = WaitingMost(files=4, size_bytes=100 * KB, days=7)  # type: ignore[attr-defined]
        yield made


def _add_school(here: Asked) -> None:
    with writing(here.engine) as session:
        import_rows(session, "schools", [{"id": "sc-1", "name": "一號大學"}])


def _send(here: Asked, who: str, content: bytes) -> tuple[int, str]:
    answer = here.ask(who, "POST", "/api/evidence", content=content)
    return answer.status_code, str(answer.json().get("sha256", answer.json().get("type")))


def _sent(here: Asked, who: str, size: int = 10) -> str:
    status, digest = _send(here, who, secrets.token_bytes(size))
    assert status == 201, digest
    return digest


def _result(digest: str | None) -> dict[str, Any]:
    """A report of money that names a file, or a link."""
    proof = {"url": "https://example.org/x"} if digest is None else {"sha256": digest}
    details = {"contract": f"C-{uuid4().hex}", "instalment": 1, "payer": "晨星公司", "payer_country": "TW"}
    return {
        "id": uuid4().hex,
        "kpi": "L",
        "amount": 1_000,
        "shares": {"al-a": 10_000},
        "details": {**details, "payer_type": "company", "purpose": "research"},
        "occurred_on": "2019-03-01",
        "school_id": "sc-1",
        "value_added": "聯盟促成",
        "evidence": [{**proof, "name": "合約"}],
    }


WAITING = (409, "urn:gloria:problem:evidence-waiting")


def test_each_account_has_its_bounds(here: Asked) -> None:
    first = [_sent(here, "expert") for _ in range(4)]
    # By number, by bytes, and for each account apart.
    assert _send(here, "expert", b"one more") == WAITING
    assert _send(here, "stranger", bytes(101 * KB)) == WAITING
    _sent(here, "stranger", 99 * KB)
    assert _send(here, "stranger", bytes(2 * KB)) == WAITING
    # What a result names no longer counts; a link in a result changes nothing.
    here.done("expert", "POST", "/api/ledger/entries", json=_result(None))
    assert _send(here, "expert", b"one more") == WAITING
    here.done("expert", "POST", "/api/ledger/entries", json=_result(first[0]))
    assert _send(here, "expert", b"one more")[0] == 201
    detail = here.ask("expert", "POST", "/api/evidence", content=b"x").json()["detail"]
    assert (
        detail
        == "4 of your files (0 MB) stand in no result yet: report with them, or wait 7 days until they are deleted"
    )


def test_all_accounts_together_have_theirs(here: Asked) -> None:
    with writing(here.engine) as session:
        people = {
            f"p{n}": add_account(session, email=f"p{n}@example.org", name="p", now=datetime.now(UTC)).id
            for n in range(ALL_TOGETHER + 1)
        }
        for account_id in people.values():
            grant(session, account_id=account_id, role=Role.EXPERT, scope_id="al-a", by=None, now=datetime.now(UTC))
    for name, account_id in people.items():
        here.add_key(name, account_id)
    for n in range(ALL_TOGETHER):
        _sent(here, f"p{n}", 100 * KB)
    assert _send(here, f"p{ALL_TOGETHER}", b"x") == WAITING


def test_the_night_deletes_what_is_named_by_nothing(here: Asked, settings: Settings) -> None:
    named, late, young = (_sent(here, "expert") for _ in range(3))
    both = b"two people sent it"
    digest = _send(here, "expert", both)[1]
    here.done("expert", "POST", "/api/ledger/entries", json=_result(named))
    stray = keep(settings.home, b"whose row was never stored")
    fresh_stray = keep(settings.home, b"whose row is about to be stored")
    with writing(here.engine) as session:
        _age(here, settings, session, {named, late, digest, stray})
    # Sent again by another in the meantime: it stays for both.
    assert _send(here, "stranger", both) == (201, digest)
    night = carried_out(settings, only("expired"))
    assert night.step("expired").figures["evidence"] == 2
    lies = {one: path_of(settings.home, one).is_file() for one in (named, late, young, digest, stray, fresh_stray)}
    assert lies == {named: True, late: False, young: True, digest: True, stray: False, fresh_stray: True}
    # What is gone is told as never sent, and can be sent again.
    refused = here.ask("expert", "POST", "/api/ledger/entries", json=_result(late))
    assert (refused.status_code, refused.json()["field"]) == (422, "evidence")
    assert carried_out(settings, only("expired")).step("expired").figures["evidence"] == 0


def _age(here: Asked, settings: Settings, session: Any, digests: set[str]) -> None:
    """Let files have been sent eight days ago."""
    then = datetime.now(UTC) - LATE
    rows = session.exec(select(EvidenceFile).where(col(EvidenceFile.sha256).in_(digests))).all()
    old = [{**row.model_dump(), "sent_at": then} for row in rows]
    named = {row.sha256 for row in rows} - {digest for digest, *_ in waiting_files(session).rows}
    for one in old:
        if one["sha256"] not in named:
            session.connection().execute(delete(EvidenceFile).where(col(EvidenceFile.sha256) == one["sha256"]))
            session.connection().execute(EvidenceFile.__table__.insert(), one)  # type: ignore[attr-defined]
    for digest in digests:
        os.utime(path_of(settings.home, digest), (then.timestamp(), then.timestamp()))


def test_the_database_keeps_the_row_of_a_named_file(here: Asked) -> None:
    named, unnamed = _sent(here, "expert"), _sent(here, "expert")
    here.done("expert", "POST", "/api/ledger/entries", json=_result(named))
    with pytest.raises(IntegrityError, match="append-only"), writing(here.engine) as session:
        session.connection().execute(delete(EvidenceFile).where(col(EvidenceFile.sha256) == named))
    with writing(here.engine) as session:
        session.connection().execute(delete(EvidenceFile).where(col(EvidenceFile.sha256) == unnamed))
    with reading(here.engine) as session:
        assert set(session.exec(select(EvidenceFile.sha256)).all()) == {named}


def test_a_file_deleted_while_it_is_sent_again_lies_there(here: Asked, settings: Settings) -> None:
    content = b"sent again in the moment of its deletion"
    digest = _send(here, "expert", content)[1]
    with writing(here.engine) as session:
        assert forget_waiting(session, settings.home, before=datetime.now(UTC) + LATE) == 1
    assert _send(here, "expert", content) == (201, digest)
    assert path_of(settings.home, digest).read_bytes() == content


LOW = (507, "urn:gloria:problem:storage-low")


def test_an_almost_full_disk_is_kept_for_sign_in_and_ledger() -> None:
    with small_disk(40) as disk:
        settings = Settings(home=disk.place / "home", database_url="", encoders="bundled-use")
        with asked(settings) as here:
            _add_school(here)
            with writing(here.engine) as session:
                set_password_hash(
                    session,
                    account_id=here.accounts["expert"],
                    stored=hash_password(PASSWORD),
                    now=datetime.now(UTC),
                )
            need = {"title": "量測", "company": "co-1"}
            assert here.ask("company", "POST", "/api/needs", json=need).status_code == 201
            # One account alone can't fill it: of 40 MiB a tenth stays.
            sizes = (8_000_000,) * 6 + (500_000,) * 20 + (20_000,) * 40 + (1_000,) * 40
            answers = {_send(here, "expert", secrets.token_bytes(size))[0] for size in sizes}
            assert (answers, disk.free > 3_500_000) == ({201, 507}, True)
            # And whoever else fills the rest leaves it to these.
            disk.fill(2_000_000)
            here.client.app.state.reserve = DiskReserve(settings.home, 512)  # type: ignore[attr-defined]
            refused = {
                (path, *_status(here.ask(who, "POST", path, **more)))
                for who, path, more in (
                    ("company", "/api/needs", {"json": need}),
                    ("expert", "/api/evidence", {"content": b"x"}),
                    ("expert", "/api/imports?name=companies.jsonl", {"content": b"{}"}),
                    ("expert", "/api/match-batches", {"json": {}}),
                )
            }
            paths = ("/api/needs", "/api/evidence", "/api/imports?name=companies.jsonl", "/api/match-batches")
            assert refused == {(path, *LOW) for path in paths}
            given = {"email": "expert@example.org", "password": PASSWORD}
            assert here.ask(None, "POST", "/api/session", json=given).status_code == 201
            here.done("expert", "POST", "/api/ledger/entries", json=_result(None))
            assert here.ask("expert", "GET", "/api/queue").status_code == 200
            # The control: with room again all of it goes on.
            disk.make_room()
            here.client.app.state.reserve = DiskReserve(settings.home, 512)  # type: ignore[attr-defined]
            for file in (settings.home / "evidence").glob("??/*"):
                file.unlink()
            assert here.ask("company", "POST", "/api/needs", json=need).status_code == 201


def _status(answer: Any) -> tuple[int, str]:
    return answer.status_code, str(answer.json().get("type"))


def test_what_a_small_disk_keeps_is_a_tenth(tmp_path: Path) -> None:
    disk = os.statvfs(tmp_path)
    large = DiskReserve(tmp_path, 10**9)
    assert large.holds() == (disk.f_bavail >= disk.f_blocks // 10)
    assert large.kept_mb == round(disk.f_blocks * disk.f_frsize / 1e7)
    assert not large.holds(disk.f_blocks * disk.f_frsize)
    assert DiskReserve(tmp_path, 0).holds(disk.f_blocks * disk.f_frsize)


@pytest.mark.parametrize(
    ("resource", "action", "may"),
    [
        (Resource.ENTRY, Action.CREATE, True),
        (Resource.KEY, Action.CANCEL, True),
        (Resource.JOB, Action.CANCEL, True),
        (Resource.ACCOUNT, Action.EDIT, True),
        (Resource.EVIDENCE, Action.CREATE, False),
        (Resource.IMPORT, Action.CREATE, False),
        (Resource.NEED, Action.CREATE, False),
        (Resource.MATCH, Action.READ, False),
    ],
)
def test_who_may_use_the_reserve(resource: Resource, action: Action, *, may: bool) -> None:
    assert _may_use_the_reserve(resource, action) is may
