"""`gloria report` and `gloria ledger`: reports as files, proofs with an exit code, an export anybody recomputes."""

from __future__ import annotations

import json
import subprocess
import sys
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, text

from indexer.database import open_engine, writing
from indexer.settings import Settings
from matcher.ledger.rows.evidence import keep
from matcher.ledger.rules.recognition import check
from matcher.ledger.rules.reporting import report
from tests.conftest import Databases, Gloria
from tests.rig.worlds.ledger_world import NOON, build_ledger_world, money, recognised
from tests.rig.worlds.report_samples import text_of_pdf


@pytest.fixture
def home(engine: Engine, settings: Settings) -> dict[str, Any]:
    """What `gloria` needs to find a ledger with a recognised result, one in review, and a file of evidence."""
    return _filled(engine, settings)


@pytest.fixture
def one_home(databases: Databases, tmp_path: Path) -> dict[str, Any]:
    """The same on SQLite only, for what does not depend on the database."""
    settings = Settings(home=tmp_path / "home", database_url=databases.at_head("sqlite", tmp_path / "home"))
    engine = open_engine(settings)
    filled = _filled(engine, settings)
    engine.dispose()
    return filled


def _filled(engine: Engine, settings: Settings) -> dict[str, Any]:
    world = build_ledger_world(engine)
    with writing(engine) as session:
        recognised(session, world, money())
        digest = keep(settings.home, b"contract")
        two = money("money-0002", details={"instalment": 2}, shares={"al-b": 10_000}, evidence=[{"sha256": digest}])
        report(session, two, by=world.people["other_reporter"], now=NOON)
        check(session, entry_id="money-0002", by=world.people["office"], now=NOON)
    return {"home": settings.home, "database_url": settings.database_url}


def _tampered(engine: Engine, statement: str) -> None:
    """Change rows as who owns the database can: without its triggers."""
    with engine.begin() as connection:
        if connection.dialect.name == "sqlite":
            names = connection.execute(
                text("SELECT name FROM sqlite_master WHERE type = 'trigger' AND tbl_name LIKE 'ledger%'")
            )
            for (name,) in names.all():
                connection.execute(text(f"DROP TRIGGER {name}"))
        else:
            connection.execute(text("SET session_replication_role = replica"))
        connection.execute(text(statement))


@pytest.mark.parametrize("ending", ["xlsx", "ods", "csv", "pdf", "html", "json"])
def test_a_report_is_written_in_the_format_of_its_name(
    gloria: Gloria, one_home: dict[str, Any], tmp_path: Path, ending: str
) -> None:
    out = tmp_path / f"r.{ending}"
    options = ["--as-of", "2019-06-30", "--year", "108", "--alliance", "al-a", "--lang", "en", "--out", out]
    answer = gloria("report", "entries", *options, **one_home)
    assert (answer.code, answer.err) == (0, "")
    size = out.stat().st_size
    assert answer.out.replace("\n", "").endswith(f"({size:,} bytes)")
    content = out.read_bytes()
    magic = {"xlsx": b"PK", "ods": b"PK", "csv": b"\xef\xbb\xbf", "pdf": b"%PDF", "html": b"<!DOCTYPE", "json": b"{"}
    assert content.startswith(magic[ending])
    if ending in ("csv", "html", "json"):
        assert (b"money-0001" in content, b"money-0002" in content) == (True, False)
    elif ending == "pdf":
        assert "ROC 108" in text_of_pdf(content)


def test_a_report_is_as_of_its_day(gloria: Gloria, home: dict[str, Any], tmp_path: Path) -> None:
    out = tmp_path / "r.json"
    rows = {}
    for day in ("2019-05-14", "2019-05-15"):
        assert gloria("report", "entries", "--as-of", day, "--out", out, **home).code == 0
        rows[day] = [row[0]["value"] for row in json.loads(out.read_text())["tables"][0]["rows"]]
    assert rows == {"2019-05-14": [], "2019-05-15": ["money-0001", "money-0002"]}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["none", "--out", "r.csv"], "choose one of: alliance, b003, entries"),
        (["entries", "--out", "r.doc"], "has to end in .xlsx, .ods, .docx, .odt, .csv, .pdf, .html, .json"),
        (["entries", "--out", "r.csv", "--as-of", "30.6."], "give a day such as 2019-06-30"),
        (["entries", "--out", "r.csv", "--alliance", "al-z"], "--alliance al-z: there is no such alliance"),
        (["entries", "--out", "/nowhere/r.csv"], "No such file or directory"),
    ],
    ids=["name", "ending", "day", "alliance", "folder"],
)
def test_a_report_that_cannot_be_made_is_refused(
    gloria: Gloria, one_home: dict[str, Any], arguments: list[str], message: str
) -> None:
    answer = gloria("report", *arguments, lang="en", **one_home)
    assert answer.code == 1
    assert message in answer.err


def test_what_is_whole_is_proven_by_a_head_from_elsewhere(
    gloria: Gloria, home: dict[str, Any], tmp_path_factory: pytest.TempPathFactory
) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere") / "heads.jsonl"
    heads = gloria("ledger", "heads", "--json", "--out", elsewhere, **home).document["heads"]
    key = gloria("ledger", "key", **home).out.strip()
    answer = gloria("ledger", "verify", "--json", "--head", elsewhere, "--public-key", key, **home)
    assert (answer.code, answer.err) == (0, "")
    assert answer.document == {
        "entries": 2,
        "steps": 5,
        "heads": {head["chain"]: f"{head['n']} {head['hash']}" for head in heads if head["chain"] != "audit"},
        "findings": [],
        "exported_heads": 4,
        "outside_heads": 4,
        "proven": True,
    }
    said = gloria("ledger", "verify", "--head", elsewhere, **home, lang="zh")
    assert (said.code, "全部相符" in said.out) == (0, True)
    # A report and an export carry them along, so who was handed one can have the ledger proven by it.
    paper, export = elsewhere.with_name("entries.pdf"), elsewhere.with_name("export.jsonl")
    gloria("report", "entries", "--out", paper, **home)
    gloria("ledger", "export", "--out", export, **home)
    handed_over = ["--head", paper, "--head", export]
    answer = gloria("ledger", "verify", "--json", *handed_over, "--public-key", key, **home)
    assert (answer.code, answer.document["outside_heads"], answer.document["proven"]) == (0, 4, True)


def test_without_a_head_from_elsewhere_nothing_is_proven(
    gloria: Gloria, home: dict[str, Any], tmp_path_factory: pytest.TempPathFactory
) -> None:
    said = gloria("ledger", "verify", **home, lang="zh")
    assert (said.code, "全部相符" in said.out, "未獲證明" in said.err) == (1, True, True)
    gloria("ledger", "heads", **home)
    inside = gloria("ledger", "verify", "--head", home["home"] / "ledger-heads.jsonl", **home, lang="en")
    assert (inside.code, "lies in the home, beside what it is to prove" in inside.err) == (1, True)
    elsewhere = tmp_path_factory.mktemp("elsewhere") / "heads.jsonl"
    gloria("ledger", "heads", "--out", elsewhere, **home)
    another = gloria("ledger", "key", home=tmp_path_factory.mktemp("another")).out.strip()
    strange = gloria("ledger", "verify", "--head", elsewhere, "--public-key", another, **home, lang="en")
    assert (strange.code, "heads.jsonl:1 is not signed by this key" in strange.err) == (1, True)


@pytest.mark.parametrize(
    ("statement", "check_name"),
    [
        ("UPDATE ledger_entry SET amount = amount + 1 WHERE id = 'money-0001'", "chain"),
        ("DELETE FROM ledger_step WHERE seq = 5", "head"),
    ],
    ids=["changed cell", "dropped tail"],
)
def test_what_was_changed_is_found(
    gloria: Gloria, engine: Engine, home: dict[str, Any], statement: str, check_name: str
) -> None:
    assert gloria("ledger", "heads", **home).code == 0
    _tampered(engine, statement)
    answer = gloria("ledger", "verify", "--json", **home)
    assert answer.code == 1
    assert check_name in {one["check"] for one in answer.document["findings"]}
    said = gloria("ledger", "verify", **home)
    assert (said.code, f"{check_name}: " in said.err) == (1, True)


def test_an_exchanged_file_of_evidence_is_found(gloria: Gloria, home: dict[str, Any]) -> None:
    digest = sha256(b"contract").hexdigest()
    (home["home"] / "evidence" / digest[:2] / digest).write_bytes(b"another")
    answer = gloria("ledger", "verify", "--json", **home)
    assert [(one["check"], one["place"]) for one in answer.document["findings"]] == [("evidence", digest)]
    assert answer.code == 1


def test_an_export_is_recomputed_by_an_outsider(gloria: Gloria, home: dict[str, Any], tmp_path: Path) -> None:
    out = tmp_path / "ledger.jsonl"
    gloria("ledger", "heads", **home)
    assert gloria("ledger", "export", "--out", out, **home).code == 0
    # As the help says, with nothing but a JSON library and SHA-256.
    lines = [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]
    before = {"entries": "0" * 64, "steps": "0" * 64}
    for line in lines[:-3]:
        row = line["row"]
        plain = {name: value for name, value in row.items() if name != "hash"}
        canonical = json.dumps(plain, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        assert row["prev_hash"] == before[line["chain"]]
        assert row["hash"] == sha256(canonical.encode()).hexdigest()
        before[line["chain"]] = row["hash"]
    assert {line["head"]["chain"]: line["head"]["hash"] for line in lines[-3:-1]} == before
    assert list(lines[-1]) == ["signed_heads"]
    kept = home["home"] / "ledger-heads.jsonl"
    answer = gloria("ledger", "check", out, "--heads", kept, "--json")
    assert (answer.code, answer.document["findings"], answer.document["kept_heads"]) == (0, [], 2)
    assert (answer.document["entries"], answer.document["steps"]) == (2, 5)
    signed = tmp_path / "signed.jsonl"
    gloria("ledger", "heads", "--out", signed, **home)
    again = gloria("ledger", "check", out, "--heads", signed, "--json")
    assert (again.code, again.document["findings"], again.document["kept_heads"]) == (0, [], 2)


def _changed(lines: list[str]) -> list[str]:
    return [line.replace('"amount":1000000', '"amount":1000001') for line in lines]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_changed, "its hash does not fit its content"),
        (lambda lines: lines[1:], "a row is missing or was inserted"),
        (lambda lines: lines[:-3], "the file was cut off"),
        (lambda lines: [*lines[:-4], *lines[-3:]], "steps does not end where its head says"),
        (lambda lines: ["nonsense", *lines], "is not a line of an export"),
        (lambda lines: [line for line in lines if "money-0002" not in line or '"entries"' not in line], "of an entry"),
    ],
    ids=["changed", "first gone", "heads gone", "last step gone", "nonsense", "an entry gone"],
)
def test_an_export_that_was_changed_is_found(
    gloria: Gloria, one_home: dict[str, Any], tmp_path: Path, change: Any, message: str
) -> None:
    out = tmp_path / "ledger.jsonl"
    assert gloria("ledger", "export", "--out", out, **one_home).code == 0
    out.write_text("\n".join(change(out.read_text(encoding="utf-8").splitlines())) + "\n", encoding="utf-8")
    answer = gloria("ledger", "check", out, lang="en")
    assert answer.code == 1
    assert message in answer.err


def test_a_rewritten_export_does_not_have_the_heads_that_were_kept(
    gloria: Gloria, one_home: dict[str, Any], tmp_path: Path
) -> None:
    out, kept = tmp_path / "ledger.jsonl", tmp_path / "kept.jsonl"
    assert gloria("ledger", "export", "--out", out, **one_home).code == 0
    kept.write_text(json.dumps({"chain": "entries", "n": 2, "hash": "f" * 64}) + "\n")
    checked = gloria("ledger", "check", out, "--heads", kept, lang="en")
    assert "has another hash than the head that was kept" in checked.err
    kept.write_text(json.dumps({"chain": "entries", "n": 3, "hash": "f" * 64}) + "\n")
    assert "was kept as a head and is gone" in gloria("ledger", "check", out, "--heads", kept, lang="en").err
    # A chain that there is not would be compared with nothing, and so hide a change.
    kept.write_text(json.dumps({"chain": "entriess", "n": 2, "hash": "f" * 64}) + "\n")
    assert "was kept as a head and is gone" in gloria("ledger", "check", out, "--heads", kept, lang="en").err


def test_checking_an_export_needs_no_database() -> None:
    code = "import sys, matcher.ledger.export_check; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert {"sqlmodel", "sqlalchemy", "psycopg"} & set(done.stdout.split()) == set()
