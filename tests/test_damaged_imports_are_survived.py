"""Whatever damages a file, its import ends soon, takes little memory, and accounts for every row in words."""

from __future__ import annotations

import multiprocessing
import os
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import pytest
from sqlmodel import Session

from indexer.database import open_engine
from indexer.records.importing import import_file
from indexer.records.readers import read_bytes
from indexer.settings import Settings
from indexer.vocabulary import Kind
from tests.rig.faults.damaged_files import FORMATS, ROWS, good, packed
from tests.rig.faults.imports_apart import Outcome, attempt
from tests.rig.figures import figure


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with the labs that evidence belongs to."""
    home = tmp_path_factory.mktemp("template")
    engine = open_engine(Settings(home=home, database_url=""))
    labs = home / "labs.csv"
    labs.write_bytes(b"".join(good(Kind.LABS, "csv").lines))
    with Session(engine) as session:
        assert import_file(session, labs).created == ROWS
        session.commit()
    engine.dispose()
    return home / "gloria.db"


@pytest.fixture(scope="module")
def pool() -> Iterator[ProcessPoolExecutor]:
    """Processes that import; begun small, so that the memory they take is their own."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.rig.faults.imports_apart"])
    with ProcessPoolExecutor(min(4, os.cpu_count() or 1), mp_context=context) as opened:
        yield opened


def _attempts(pool: ProcessPoolExecutor, template: Path, numbers: range, reader: str = "") -> list[Outcome]:
    return list(pool.map(partial(attempt, template=template, reader=reader), numbers, chunksize=5, timeout=900))


@pytest.mark.parametrize("files", [120, pytest.param(2_000, marks=pytest.mark.long)])
def test_damaged_files(pool: ProcessPoolExecutor, template: Path, files: int) -> None:
    outcomes = _attempts(pool, template, range(files))
    assert [(outcome.number, outcome.damage, outcome.faults) for outcome in outcomes if outcome.faults] == []
    damages = Counter(outcome.damage for outcome in outcomes)
    # The proof is of many damages, of which many leave something to import and many leave nothing.
    assert len(damages) >= 35
    assert sum(outcome.imported > 0 for outcome in outcomes) > files / 4
    assert sum(outcome.whole_file for outcome in outcomes) > files / 20
    figure(
        "damaged imports",
        files=files,
        damages=len(damages),
        crashes=sum(fault.startswith("raised") for outcome in outcomes for fault in outcome.faults),
        rows_imported=sum(outcome.imported for outcome in outcomes),
        rows_refused=sum(outcome.refused for outcome in outcomes),
        files_refused_whole=sum(outcome.whole_file for outcome in outcomes),
        longest_s=round(max(outcome.seconds for outcome in outcomes), 2),
        most_mb=round(max(outcome.peak_mb for outcome in outcomes)),
    )


@pytest.mark.parametrize("reader", ["drops", "raises"])
def test_a_reader_with_a_fault_is_found(pool: ProcessPoolExecutor, template: Path, reader: str) -> None:
    outcomes = _attempts(pool, template, range(20), reader)
    told = {"drops": "rows came", "raises": "LookupError"}[reader]
    assert sum(any(told in fault for fault in outcome.faults) for outcome in outcomes) >= 6


@pytest.mark.parametrize(
    # Evidence comes in flat rows, or inside its lab.
    ("kind", "file_format"),
    [(kind, one) for kind in Kind for one in FORMATS if (kind, one) != (Kind.EVIDENCE, "jsonl")],
)
def test_the_files_are_good_before_they_are_damaged(kind: Kind, file_format: str) -> None:
    whole = good(kind, file_format)
    data = packed(list(whole.parts)) if whole.parts else b"".join(whole.lines)
    reading = read_bytes(data, f"{kind}.{file_format}")
    assert (reading.kind, reading.problems, len(reading.records) + len(reading.evidence)) == (kind, [], ROWS)
