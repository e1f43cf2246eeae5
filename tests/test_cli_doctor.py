"""`gloria doctor` says what is wrong and what to do, and changes nothing."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

from indexer.database import open_engine, writing
from indexer.records.importing import import_rows
from indexer.settings import Settings


def problems(answer: Any) -> list[str]:
    return [finding["name"] for finding in answer.document["findings"] if finding["level"] == "problem"]


def test_a_sound_home_has_no_problem(gloria: Any, indexed_home: Path) -> None:
    answer = gloria("doctor", "--json", home=indexed_home)
    assert (answer.code, answer.err, answer.document["ok"], problems(answer)) == (0, "", True, [])
    facts = {finding["name"]: finding["facts"] for finding in answer.document["findings"]}
    assert (facts["database"]["lab"], facts["database"]["need"]) == (27, 12)
    assert (facts["index"]["labs"], len(facts["index"]["encoders"])) == (27, 1)


def test_people_read_it_in_their_language(gloria: Any, indexed_home: Path) -> None:
    chinese, english = gloria("doctor", home=indexed_home), gloria("doctor", "--lang", "en", home=indexed_home)
    assert (chinese.code, chinese.out.splitlines()[-1]) == (0, "沒有問題")
    assert (english.code, english.out.splitlines()[-1]) == (0, "no problem")


def test_an_empty_home_is_not_created_by_looking(gloria: Any, tmp_path: Path) -> None:
    answer = gloria("doctor", "--json", home=tmp_path / "none")
    assert (answer.code, problems(answer)) == (1, ["database"])
    assert not (tmp_path / "none").exists()


def test_a_database_without_a_rule_of_the_ledger(gloria: Any, own_home: Path) -> None:
    with closing(sqlite3.connect(own_home / "gloria.db")) as database, database:
        name = database.execute("SELECT min(name) FROM sqlite_master WHERE type = 'trigger'").fetchone()[0]
        database.execute(f"DROP TRIGGER {name}")
    answer = gloria("doctor", "--json", home=own_home)
    assert (answer.code, problems(answer)) == (1, ["ledger"])


def test_a_damaged_index_and_what_to_do(gloria: Any, own_home: Path) -> None:
    next((own_home / "index").glob("*/labs.json")).unlink()
    answer = gloria("doctor", "--json", home=own_home)
    assert (answer.code, problems(answer)) == (1, ["index"])
    assert answer.document["findings"][-1]["remedy"] == "gloria reindex --full"


def test_a_stale_index(gloria: Any, own_home: Path) -> None:
    path = own_home / "labs.jsonl"
    path.write_text(json.dumps({"id": "lab-new", "name": "新實驗室"}), encoding="utf-8")
    assert gloria("import", path, home=own_home).code == 0
    answer = gloria("doctor", "--json", home=own_home)
    assert (answer.code, problems(answer)) == (1, ["stale"])


def test_a_mistyped_exclusion(gloria: Any, own_home: Path) -> None:
    need = {"id": "need-new", "title": "翹曲", "excluded_labs": ["lab-1-O8", "lab-1-08"]}
    # Stored before files were refused for it.
    engine = open_engine(Settings(home=own_home))
    with writing(engine) as session:
        import_rows(session, "needs", [need])
    engine.dispose()
    answer = gloria("doctor", "--json", home=own_home)
    assert (answer.code, problems(answer)) == (1, ["exclusions"])
    (found,) = [one for one in answer.document["findings"] if one["name"] == "exclusions"]
    assert found["facts"] == {"unknown": ["need-new → lab-1-O8"]}


def test_other_encoders_than_the_index_has(gloria: Any, indexed_home: Path) -> None:
    answer = gloria("doctor", "--json", home=indexed_home, encoders="bundled-use,bundled-minilm")
    assert (answer.code, problems(answer)) == (1, ["index"])


def test_a_database_that_is_none(gloria: Any, own_home: Path) -> None:
    (own_home / "gloria.db").write_bytes(b"this is not a database " * 100)
    answer = gloria("doctor", "--json", home=own_home)
    assert (answer.code, problems(answer)) == (1, ["database"])
