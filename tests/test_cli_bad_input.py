"""Whatever a user gets wrong ends in one clear message and the right exit code, never in a traceback."""

from __future__ import annotations

import subprocess
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from api.commands.refusals import TABLE

REFUSED, WRONG_USAGE = 1, 2
JUDGEMENTS = "need-1-01 0 lab-1-01 3\n"


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """A folder of things to trip over."""
    (tmp_path / "folder").mkdir()
    (tmp_path / "empty.txt").write_bytes(b"")
    (tmp_path / "words.txt").write_text("some words that are no records\n", encoding="utf-8")
    (tmp_path / "qrels.txt").write_text(JUDGEMENTS, encoding="utf-8")
    (tmp_path / "latin.txt").write_bytes(b"caf\xe9 0 lab 1\n")
    return tmp_path


@pytest.fixture
def homes(indexed_home: Path, files: Path) -> tuple[Path, Path]:
    """An indexed home, and the folder above."""
    return indexed_home, files


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        ("import {}/none.jsonl", REFUSED, "none.jsonl: No such file or directory"),
        ("import {}/folder", REFUSED, "folder: Is a directory"),
        ("import {}/empty.txt", REFUSED, "empty.txt"),
        ("import {}/words.txt", REFUSED, "words.txt"),
        ("import {}/words.txt --kind robots", WRONG_USAGE, "'robots'"),
        ("import", WRONG_USAGE, "--template"),
        ("import --template {}/labs.docx", REFUSED, "labs.docx: a template is an .xlsx or a .csv file, not .docx"),
        ("import --template {}/none/labs.csv", REFUSED, "No such file or directory"),
        ("match", WRONG_USAGE, "--lab"),
        ("match need-1-01 --lab lab-none", REFUSED, "lab 'lab-none' is not among the labs of this need"),
        ("match need-none", REFUSED, "there is no need 'need-none'; 12 needs are stored, such as need-1-01"),
        ("match --lab lab-none", REFUSED, "there is no lab 'lab-none'; 27 labs are stored, such as lab-1-01"),
        ("match need-1-01 --top 0", WRONG_USAGE, "--top"),
        ("match need-1-01 --top many", WRONG_USAGE, "--top"),
        ("match need-1-01 --lang fr", WRONG_USAGE, "--lang"),
        ("run --top 5", WRONG_USAGE, "--out"),
        ("run --top ²  --out {}/run.txt", WRONG_USAGE, "neither a number from 1 on nor all"),
        ("run --top 5 --out {}/folder", REFUSED, "Is a directory"),
        ("run --top 5 --out {}/none/run.txt", REFUSED, "No such file or directory"),
        ("evaluate --qrels {}/none.txt", REFUSED, "No such file or directory"),
        ("evaluate --qrels {}/folder", REFUSED, "Is a directory"),
        ("evaluate --qrels {}/empty.txt", REFUSED, "no lab is judged relevant"),
        ("evaluate --qrels {}/words.txt", REFUSED, "words.txt:1 expected `need 0 lab grade`"),
        ("evaluate --qrels {}/latin.txt", REFUSED, "is not UTF-8 text"),
        ("evaluate --qrels {}/qrels.txt --measures nDCG@ten", REFUSED, "unknown measure 'nDCG@ten'"),
        ("evaluate --qrels {}/qrels.txt --measures ,", REFUSED, "no measure is named"),
        ("evaluate --qrels {}/qrels.txt --run {}/empty.txt", REFUSED, "no usable line"),
        ("evaluate --qrels {}/qrels.txt --labs {}/words.txt", WRONG_USAGE, "--labs and --needs come together"),
        ("evaluate --qrels {}/qrels.txt --labs {}/words.txt --needs {}/words.txt", REFUSED, "no usable row of labs"),
        ("evaluate --qrels {}/qrels.txt --run-out {}/run.txt", WRONG_USAGE, "--run-out"),
        ("evaluate", WRONG_USAGE, "give either --qrels or --train and --test"),
        ("evaluate --train {}/qrels.txt", WRONG_USAGE, "--train and --test come together"),
        ("evaluate --qrels {}/qrels.txt --train {}/qrels.txt --test {}/qrels.txt", WRONG_USAGE, "either --qrels"),
        ("evaluate --train {}/qrels.txt --test {}/qrels.txt --run {}/qrels.txt", WRONG_USAGE, "leave out --run"),
        ("evaluate --train {}/words.txt --test {}/qrels.txt", REFUSED, "words.txt: no pair is graded"),
        ("evaluate --train {}/qrels.txt --test {}/qrels.txt", REFUSED, "nothing to learn from"),
        ("synth --labs 0 --needs 1 --out {}/synth", WRONG_USAGE, "--labs"),
        ("synth --labs 1 --needs 1 --out {}/words.txt", REFUSED, "words.txt"),
        ("nonsense", WRONG_USAGE, "nonsense"),
    ],
)
def test_bad_arguments(gloria: Any, homes: tuple[Path, Path], arguments: str, code: int, said: str) -> None:
    indexed_home, files = homes
    answer = gloria(*arguments.replace("{}", str(files)).split(), home=indexed_home, columns=1000, lang="en")
    assert (answer.code, answer.out) == (code, "")
    assert said in answer.err
    assert "Traceback" not in answer.err


@pytest.mark.parametrize(
    ("settings", "code", "said"),
    [
        ({"threads": "x"}, WRONG_USAGE, "GLORIA_THREADS=x: Input should be a valid integer"),
        ({"precision": "int8"}, WRONG_USAGE, "GLORIA_PRECISION=int8: "),
        ({"database_url": "nonsense"}, WRONG_USAGE, "GLORIA_DATABASE_URL: "),
        ({"database_url": "nosuch://host/db"}, WRONG_USAGE, "GLORIA_DATABASE_URL: "),
        ({"database_url": "sqlite:////none/at/all.db"}, REFUSED, "unable to open database file; run: gloria doctor"),
        ({"encoders": ""}, REFUSED, "GLORIA_ENCODERS is empty"),
        ({"encoders": "bundled-nonsense"}, REFUSED, "bundled-nonsense"),
        ({"lang": "fr"}, WRONG_USAGE, "'fr'"),
    ],
)
def test_bad_settings(gloria: Any, own_home: Path, settings: dict[str, str], code: int, said: str) -> None:
    answer = gloria("reindex", home=own_home, columns=1000, **{"lang": "en", **settings})
    assert (answer.code, answer.out) == (code, "")
    assert said in answer.err
    assert "Traceback" not in answer.err


def test_a_home_that_is_a_file(gloria: Any, files: Path) -> None:
    answer = gloria("reindex", home=files / "words.txt", lang="en")
    assert (answer.code, answer.out) == (REFUSED, "")
    assert "words.txt: File exists" in answer.err


def test_a_database_that_is_none(gloria: Any, own_home: Path) -> None:
    (own_home / "gloria.db").write_bytes(b"this is not a database " * 100)
    answer = gloria("match", "need-1-01", home=own_home, lang="en")
    assert (answer.code, answer.out) == (REFUSED, "")
    assert answer.err == "the database can't be used: file is not a database; run: gloria doctor\n"


def test_an_embedding_cache_that_is_no_database(gloria: Any, own_home: Path) -> None:
    assert gloria("match", "need-1-01", home=own_home).code == 0
    (own_home / "embeddings.db").write_bytes(b"this is not a database " * 100)
    answer = gloria("match", "need-1-01", home=own_home)
    assert (answer.code, answer.out) == (REFUSED, "")
    assert "embeddings.db" in answer.err
    assert "Traceback" not in answer.err


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no device that is always full")
def test_a_full_disk(gloria: Any, indexed_home: Path) -> None:
    answer = gloria("run", "--top", 3, "--out", "/dev/full", home=indexed_home, lang="en")
    assert (answer.code, answer.out) == (REFUSED, "")
    assert answer.err.endswith("No space left on device\n")


def test_json_is_one_document_even_when_refused(gloria: Any, indexed_home: Path) -> None:
    answer = gloria("match", "need-none", "--json", home=indexed_home, lang="en")
    assert answer.code == REFUSED
    assert answer.document == {"error": answer.err.removesuffix("\n")}


def test_arguments_that_are_no_text(gloria: Any, indexed_home: Path) -> None:
    answer = gloria("match", "need\udcff\x1b[31m", "--json", home=indexed_home)
    assert answer.code == REFUSED
    assert "\x1b" not in answer.err + answer.out


@pytest.mark.parametrize(
    "arguments", [["match", "need-1-04"], ["match", "need-1-04", "--json"], ["doctor"], ["--help"]]
)
def test_a_reader_that_goes_away_ends_it_quietly(indexed_home: Path, arguments: list[str]) -> None:
    environment = {"GLORIA_HOME": str(indexed_home), "GLORIA_ENCODERS": "bundled-use"}
    with subprocess.Popen(
        [sys.executable, "-m", "api.cli", *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment
    ) as process:
        assert process.stdout is not None
        process.stdout.close()
        assert process.stderr is not None
        assert process.stderr.read() == b""


def test_the_table_of_refusals_names_errors_that_exist() -> None:
    for place in TABLE:
        module, _, name = place.rpartition(".")
        found = getattr(import_module(module), name)
        assert issubclass(found, Exception), place
