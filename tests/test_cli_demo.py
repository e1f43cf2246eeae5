"""`gloria demo` goes from an empty folder to explained matches, twice to the same, and never into real records."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

from sqlmodel import Session, col, func, select

from api.access.credentials import password_hash
from api.access.passwords import password_fits
from indexer.database import open_engine, reading
from indexer.instants import day_in_taipei, now
from indexer.settings import Settings
from matcher.ledger.rows.entries import Entry
from matcher.review.cases import OPEN_STAGES, Case, CaseStep, Contact
from matcher.review.clients import Client
from matcher.review.intake import NeedIntake
from matcher.review.people import Account

NEEDS = ("need-2-01", "need-1-10", "need-4-06")


def test_an_empty_folder_becomes_explained_matches(gloria: Any, tmp_path: Path) -> None:
    home = tmp_path / "home"
    first = gloria("demo", "--no-serve", home=home)
    assert first.code == 0, first.err
    lines = first.out.splitlines()
    assert [need for need in NEEDS if any(line.startswith(f"{need}  ") for line in lines)] == list(NEEDS)
    assert sum(line.startswith(" 1. ") for line in lines) == 3
    assert gloria("doctor", home=home).code == 0
    # Told up to today, the cases are booked in the order of their days.
    proved = gloria("ledger", "verify", home=home)
    assert proved.out.splitlines()[-1] == "全部相符", proved.out
    password = next(line.partition("：")[2] for line in lines if "只顯示這一次" in line)
    emails = [line.split()[0] for line in lines if "@gloria.example" in line and "gloria " not in line]
    assert len(emails) == 7
    engine = open_engine(Settings(home=home))
    with reading(engine) as session:
        stored = [password_hash(session, email) for email in emails]
        assert [one is not None and password_fits(password, one[1]) for one in stored] == [True] * 7
        assert session.exec(select(func.count()).select_from(Entry)).one() > 100
        _lives_today(session)
    engine.dispose()
    second = gloria("demo", home=home)
    assert second.code == 0
    assert password not in second.out
    start = next(n for n, line in enumerate(lines) if line.startswith(NEEDS[0]))
    again = second.out.splitlines()
    end = lines.index(next(line for line in lines if "只顯示這一次" in line))
    begin = again.index(lines[start])
    assert again[begin : begin + end - start] == lines[start:end]


def _lives_today(session: Session) -> None:
    """Check that what people do every day was done lately, by people with names; the ledger's years stay."""
    moment = now()
    today = day_in_taipei(moment)
    held = session.exec(select(Contact.held_on)).all()
    assert (max(held) > today - timedelta(days=4), max(held) <= today) == (True, True)
    assert min(held) < today - timedelta(days=365)
    submitted = session.exec(select(NeedIntake.submitted_at)).all()
    assert sum(moment - timedelta(days=100) < at <= moment for at in submitted) > 15
    assert max(submitted) <= moment
    states = set(session.exec(select(NeedIntake.state)).all())
    assert states == {"submitted", "taken_up", "closed"}
    open_ones = session.exec(select(Case).where(col(Case.stage).in_([stage.value for stage in OPEN_STAGES]))).all()
    assert {case.stage for case in open_ones} == {"accepted", "introduced", "meeting", "negotiating"}
    last = dict(session.exec(select(CaseStep.case_id, func.max(CaseStep.at)).group_by(col(CaseStep.case_id))).all())
    old = [case.need_id for case in open_ones if last.get(case.id or 0, case.opened_at) < moment - timedelta(days=120)]
    # Two that nobody followed up are there to be found.
    assert old == ["need-1-09", "need-2-02"]
    assert session.exec(select(Client.company_id).where(col(Client.expert_id).is_(None))).all() == []
    names = session.exec(select(Account.name)).all()
    assert len(names) == len(set(names)) > 20
    assert not any("al-" in name for name in names)
    years = {entry.occurred_on.year for entry in session.exec(select(Entry)).all() if entry.kpi != "acceptances"}
    assert years == {2017, 2018, 2019, 2020}


def test_real_records_are_never_mixed_with_invented_ones(gloria: Any, tmp_path: Path) -> None:
    path = tmp_path / "labs.jsonl"
    path.write_text(json.dumps({"id": "lab-own", "name": "自己的實驗室"}, ensure_ascii=False), encoding="utf-8")
    home = tmp_path / "home"
    assert gloria("import", path, home=home).code == 0
    answer = gloria("demo", home=home, lang="en")
    assert (answer.code, answer.out) == (1, "")
    assert "holds other records; choose an empty folder" in answer.err
    assert gloria("import", path, home=home).out == "labs.jsonl labs：新增 0、更新 0、不變 1、拒收 0\n"
    facts = {f["name"]: f["facts"] for f in gloria("doctor", "--json", home=home).document["findings"]}
    assert (facts["database"]["lab"], facts["database"]["need"]) == (1, 0)
