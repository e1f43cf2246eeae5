"""Each report of the story comes in each format, with its day and heads; small counts only inside the alliance."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine
from sqlmodel import col, select

from indexer.database import open_engine, reading
from indexer.records.record_tables import Alliance
from indexer.settings import Settings
from matcher.ledger.rendering.formats import ReportFormat, render
from matcher.ledger.rendering.report_texts import ReportLanguage
from matcher.ledger.reports.document import ReportRequest
from matcher.ledger.reports.registry import REPORTS, make_report
from matcher.ledger.rows.chain import LEDGER_CHAINS, head
from matcher.ledger.story import LAST_DAY

NOW = datetime(2021, 1, 10, 4, 0, tzinfo=UTC)
NAMES = ["alliance", "b003", "entries", "gender", "kpi", "month", "review-pack", "sufficiency"]


@pytest.fixture(scope="module")
def story(story_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    home = shutil.copytree(story_home, tmp_path_factory.mktemp("story") / "home")
    engine = open_engine(Settings(home=home))
    yield engine
    engine.dispose()


def _made(engine: Engine, name: str, form: ReportFormat, **more: Any) -> bytes:
    with reading(engine) as session:
        document = make_report(session, name, ReportRequest(as_of=LAST_DAY, now=NOW, **more))
    return render(document, form, ReportLanguage.BOTH)


def test_these_are_the_reports() -> None:
    assert sorted(REPORTS) == NAMES


@pytest.mark.parametrize("form", ReportFormat)
@pytest.mark.parametrize("name", NAMES)
def test_a_report_is_made(story: Engine, name: str, form: ReportFormat) -> None:
    begins = {
        "xlsx": b"PK",
        "ods": b"PK",
        "docx": b"PK",
        "odt": b"PK",
        "pdf": b"%PDF-",
        "html": b"<!doctype html>",
        "csv": b"\xef\xbb\xbf",
    }
    content = _made(story, name, form)
    assert content.lower().startswith(begins.get(form.value, b"{").lower())


@pytest.mark.parametrize("name", NAMES)
def test_a_report_names_its_day_and_heads(story: Engine, name: str) -> None:
    document = json.loads(_made(story, name, ReportFormat.JSON))
    with reading(story) as session:
        # Those of the audit trail and of the links move with whatever anybody does; they leave in the night's mail.
        heads = {chain.value: head(session, chain) for chain in LEDGER_CHAINS}
    assert document["as_of"] == LAST_DAY.isoformat()
    assert sorted(heads) == ["entries", "steps"]
    assert {one["chain"]: (one["n"], one["hash"]) for one in document["heads"]} == heads
    assert document["tables"]


def test_small_counts_are_printed_only_inside_the_alliance(story: Engine) -> None:
    year = 2019
    with reading(story) as session:
        one = session.exec(select(Alliance.id).order_by(col(Alliance.id))).first()
    about = frozenset({str(one)})
    outside = _made(story, "gender", ReportFormat.JSON, alliances=about, year=year)
    inside = _made(story, "gender", ReportFormat.JSON, alliances=about, year=year, stays_inside=True)
    whole = _made(story, "gender", ReportFormat.JSON, year=year)
    assert outside == whole
    assert inside != outside
