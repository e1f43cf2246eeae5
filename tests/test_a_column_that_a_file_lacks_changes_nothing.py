"""A list with two columns changes these two; what it would change is said first; and the whole of it can be undone."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlmodel import Session

from indexer.database import open_engine
from indexer.records.import_log import UndoError, begin_batch, undo
from indexer.records.importing import import_file, import_reading
from indexer.records.readers import read
from indexer.records.record_tables import load_companies, load_labs, load_needs
from indexer.settings import Settings

NOW = datetime(2026, 11, 30, tzinfo=UTC)


@pytest.fixture
def session(tmp_path: Path) -> Iterator[Session]:
    from api import tables  # noqa: F401 (what rests on a record is looked for in all of them)

    engine = open_engine(Settings(home=tmp_path / "home"))
    with Session(engine) as opened:
        yield opened
    engine.dispose()


def written(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


FULL = "id,name,pi,capacity,conflicts,keywords\nl1,光電室,某甲,3,嶺風電力,雷射\nl2,聲學室,某乙,1,,水聲\n"


def test_two_columns_change_two_fields(session: Session, tmp_path: Path) -> None:
    import_file(session, written(tmp_path, "labs.csv", FULL))
    report = import_file(session, written(tmp_path, "capacity-labs.csv", "代號,可承接件數\nl1,5\nl2,1\n"), "labs")
    assert (report.updated, report.unchanged) == (1, 1)
    assert [(one.record_id, one.field, one.before, one.after) for one in report.changes] == [("l1", "capacity", 3, 5)]
    first, _ = load_labs(session)
    assert (first.name, first.pi, first.capacity, first.conflicts, first.keywords) == (
        "光電室",
        "某甲",
        5,
        ("嶺風電力",),
        ("雷射",),
    )


def test_an_empty_cell_empties_where_the_column_is_there_and_that_is_counted(session: Session, tmp_path: Path) -> None:
    import_file(session, written(tmp_path, "labs.csv", FULL))
    path = written(tmp_path, "later-labs.csv", "id,conflicts,capacity\nl1,,4\nl2,無,x\n")
    planned = import_file(session, path, "labs", dry_run=True)
    assert [(one.record_id, one.field, one.empties) for one in planned.changes] == [
        ("l1", "capacity", False),
        ("l1", "conflicts", True),
    ]
    assert [lab.conflicts for lab in load_labs(session)] == [("嶺風電力",), ()]
    import_file(session, path, "labs")
    # A cell that can't be read changes nothing either.
    assert [(lab.conflicts, lab.capacity) for lab in load_labs(session)] == [((), 4), ((), 1)]


def test_rules_over_several_fields_hold_for_the_whole(session: Session, tmp_path: Path) -> None:
    import_file(session, written(tmp_path, "needs.csv", "id,title,budget_ntd\nn1,甲,5\n"))
    report = import_file(session, written(tmp_path, "b-needs.csv", "id,budget_ntd\nn1,7\nn2,9\n"), "needs")
    assert (report.updated, report.created, report.refused) == (1, 0, 1)
    assert [(need.title, need.budget_ntd) for need in load_needs(session)] == [("甲", 7)]
    import_file(session, written(tmp_path, "companies.csv", "id,name,country\nc1,Alpha,DE\n"))
    report = import_file(session, written(tmp_path, "t-companies.csv", "id,tax_id\nc1,HRB 9\n"), "companies")
    assert (report.updated, [one.tax_id for one in load_companies(session)]) == (1, ["HRB 9"])


def test_evidence_rows_keep_what_they_have_no_column_for(session: Session, tmp_path: Path) -> None:
    import_file(session, written(tmp_path, "labs.csv", FULL))
    import_file(session, written(tmp_path, "evidence.csv", "lab,title,abstract,year\nl1,A,一,2020\nl1,B,二,2021\n"))
    import_file(session, written(tmp_path, "later-evidence.csv", "lab,title,year\nl1,B,2022\nl1,C,2023\n"), "evidence")
    assert [(one.title, one.abstract, one.year) for one in load_labs(session)[0].evidence] == [
        ("B", "二", 2022),
        ("C", "", 2023),
    ]


def stored(session: Session) -> list[Any]:
    session.expire_all()
    return [load_labs(session), load_needs(session), load_companies(session)]


def imported(session: Session, path: Path, job: str) -> None:
    begin_batch(session, job, path.name, NOW)
    for one in read(path).all():
        import_reading(session, one, batch_id=job)


def test_a_whole_import_is_undone_while_nothing_rests_on_it(session: Session, tmp_path: Path) -> None:
    import_file(session, written(tmp_path, "labs.csv", FULL))
    before = stored(session)
    text = "id,name,capacity,keywords\nl1,光電研究室,9,\nl3,新室,2,光\n"
    imported(session, written(tmp_path, "new-labs.csv", text), "job-1")
    assert stored(session) != before
    done = undo(session, "job-1", NOW)
    assert (done.removed, done.restored) == (1, 1)
    assert stored(session) == before
    with pytest.raises(UndoError, match="already"):
        undo(session, "job-1", NOW)


def test_an_import_is_not_undone_over_later_changes_or_what_rests_on_it(session: Session, tmp_path: Path) -> None:
    companies = written(tmp_path, "companies.csv", "id,name\nc1,嶺風電力\n")
    imported(session, companies, "job-2")
    import_file(session, written(tmp_path, "needs.csv", "id,title,company\nn1,葉片,c1\n"))
    with pytest.raises(UndoError, match="need"):
        undo(session, "job-2", NOW)
    imported(session, written(tmp_path, "labs.csv", FULL), "job-3")
    import_file(session, written(tmp_path, "c-labs.csv", "id,capacity\nl1,8\n"), "labs")
    with pytest.raises(UndoError, match="光電室"):
        undo(session, "job-3", NOW)


def test_the_command_says_what_it_would_change_lists_it_and_takes_it_back(gloria: Any, tmp_path: Path) -> None:
    home = tmp_path / "home"
    gloria("--lang", "en", "import", written(tmp_path, "labs.csv", FULL), home=home)
    path = written(tmp_path, "l-labs.csv", "id,conflicts,capacity\nl1,,4\n")
    tried = gloria("--lang", "en", "import", path, "--kind", "labs", "--dry-run", home=home)
    assert tried.out.splitlines()[:3] == [
        "changes 1 stored values and empties 1",
        "  l1 capacity: 3 → 4",
        "  l1 conflicts: ['嶺風電力'] → –",
    ]
    done = gloria("--lang", "en", "import", path, "--kind", "labs", home=home)
    job = re.findall(r"--undo (\S+)", done.out)[0]
    back = gloria("--lang", "en", "import", "--undo", job, home=home)
    assert back.out == "the import of l-labs.csv was taken back: 0 records removed, 1 as they were before\n"
    again = gloria("--lang", "en", "import", path, "--kind", "labs", "--dry-run", home=home)
    assert again.out == tried.out
    assert gloria("--lang", "en", "import", "--undo", job, home=home).code == 1


def test_a_mapping_is_saved_by_name_and_used_again(gloria: Any, tmp_path: Path) -> None:
    home = tmp_path / "home"
    path = written(tmp_path, "list.csv", "代碼欄,團隊全稱欄\nk1,光電室\n")
    first = gloria(
        "import",
        path,
        "--kind",
        "labs",
        "--map",
        "代碼欄=id",
        "--map",
        "團隊全稱欄=name",
        "--mapping",
        "某校",
        home=home,
    )
    assert first.code == 0
    again = gloria("import", path, "--mapping", "某校", "--json", home=home)
    assert [(one["kind"], one["unchanged"]) for one in again.document["files"]] == [("labs", 1)]
    assert gloria("import", path, "--mapping", "他校", home=home).code == 1
