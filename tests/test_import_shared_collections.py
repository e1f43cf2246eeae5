"""The shared open collections import whole, fast, and a second time without a change."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from sqlmodel import Session

from indexer.database import open_engine
from indexer.records.importing import import_file
from indexer.records.record_tables import load_labs
from indexer.settings import Settings

DATA = Path(__file__).parents[2] / "shared" / "data"
SIZES = {
    "cordis_cleantech/labs.jsonl": 227,
    "cordis_cleantech/needs.jsonl": 109,
    "zh_en_titles/labs.jsonl": 5_223,
    "zh_en_titles/needs.jsonl": 223,
}

pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason="the shared collections are not here")


def test_collections_import_clean_and_fast(tmp_path: Path) -> None:
    engine = open_engine(Settings(home=tmp_path))
    with Session(engine) as session:
        for again in (False, True):
            for name, size in SIZES.items():
                start = time.perf_counter()
                report = import_file(session, DATA / name)
                assert time.perf_counter() - start < 10
                # Some texts of these registers were once read in a wrong encoding; that they were repaired is told.
                told = {problem.wrong for problem in report.problems}
                assert told - {"texts that were once read in a wrong encoding were repaired"} == set()
                assert (report.created, report.unchanged, report.errors) == ((0, size, []) if again else (size, 0, []))
        labs = load_labs(session)
    engine.dispose()
    assert (len(labs), sum(len(lab.evidence) for lab in labs)) == (5_450, 6_368)
