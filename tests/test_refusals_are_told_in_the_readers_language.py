"""Who reads Chinese is refused in Chinese: by the API if it is asked to, on pages, and on the command line."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from api import cli
from api.cli import chosen_language
from indexer.settings import Settings
from indexer.wording import Language
from tests.rig.servers.served import fill
from tests.rig.servers.served_here import Near, near

_CJK = re.compile(r"[\u4e00-\u9fff]")
_SENTENCE = re.compile(r"\b[A-Za-z']+ [a-z']+ [a-z']+\b")
"""Three English words in a row; names, codes and commands have fewer."""
_COMMAND = re.compile(r"gloria [a-z]+ [\w.@/ -]+")
"""What to type is the same in every language."""
TAIWAN = {"Accept-Language": "zh-TW,zh;q=0.9,en-US;q=0.8,en;q=0.7"}
NEED = "/api/needs/need-1-01"
REQUESTS: list[tuple[str | None, str, str, dict[str, Any]]] = [
    (None, "GET", "/api/me", {}),
    (None, "DELETE", "/api/session", {}),
    (None, "POST", "/api/session", {"json": {"email": "nobody@example.org", "password": "x" * 20}}),
    (None, "GET", "/api/nothing-here", {}),
    (None, "DELETE", "/api/needs", {}),
    ("expert", "GET", "/api/needs/none", {}),
    ("expert", "GET", "/api/cases/999999", {}),
    ("expert", "GET", "/api/needs?limit=0", {}),
    ("expert", "GET", "/api/needs?limit=x", {}),
    ("expert", "GET", "/api/needs?state=asleep", {}),
    ("expert", "GET", "/api/needs?cursor=%25%25", {}),
    ("expert", "GET", "/api/accounts", {}),
    ("expert", "POST", "/api/needs", {"json": {"description": "x" * 60_000}}),
    ("expert", "POST", "/api/needs", {"json": {"description": "x", "company": "none"}}),
    ("expert", "POST", "/api/needs", {"content": b"{", "headers": {"Content-Type": "application/json"}}),
    ("expert", "POST", "/api/jobs/imports?name=a/b.csv", {"content": b"x"}),
    ("office", "GET", "/api/reports/none", {}),
    ("office", "POST", "/api/accounts", {"json": {"email": "nonsense", "name": "n"}}),
    ("office", "GET", "/api/figures?as_of=1900-01-01", {}),
]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, slice_of_world: Path) -> Iterator[Near]:
    settings = Settings(home=tmp_path_factory.mktemp("home"), encoders="bundled-use", database_url="")
    keys, _ = fill(settings, slice_of_world)
    with near(settings, keys, matching=False) as found:
        yield found


@pytest.mark.parametrize(("who", "method", "path", "more"), REQUESTS, ids=[f"{r[1]} {r[2]}" for r in REQUESTS])
def test_a_program_is_told_in_the_language_that_it_asks_for(
    server: Near, who: str | None, method: str, path: str, more: dict[str, Any]
) -> None:
    headers = more.get("headers", {})
    english = server.ask(who, method, path, **more)
    chinese = server.ask(who, method, path, **{**more, "headers": {**headers, **TAIWAN}})
    assert english.status_code == chinese.status_code
    assert english.status_code >= 400
    assert (english.headers["Content-Language"], chinese.headers["Content-Language"]) == ("en", "zh-Hant")
    first, second = english.json(), chinese.json()
    assert (first["type"], first["field"]) == (second["type"], second["field"])
    assert not _CJK.search(first["title"] + first["detail"])
    assert _CJK.search(second["title"])
    assert _CJK.search(second["detail"]), second
    assert not _SENTENCE.search(second["detail"]), second


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ("", "en"),
        ("en", "en"),
        ("zh", "zh-Hant"),
        ("zh-Hant-TW", "zh-Hant"),
        ("en-GB,en;q=0.9,zh;q=0.8", "en"),
        ("en;q=0.5,zh-TW", "zh-Hant"),
        ("ja,zh;q=0.1", "zh-Hant"),
        ("zh;q=0", "en"),
        ("zh;q=x", "en"),
        ("*", "en"),
        (";;,,=q", "en"),
    ],
)
def test_languages_are_weighed(server: Near, asked: str, told: str) -> None:
    answer = server.ask(None, "GET", "/api/me", headers={"Accept-Language": asked})
    assert (answer.headers["Content-Language"], answer.headers["Vary"]) == (told, "Accept-Language")


def test_a_page_tells_in_its_own_language(server: Near) -> None:
    """What is wrong with a form is said in the language of the page, whatever the browser prefers."""
    answers = {}
    for lang in ("zh-Hant", "en"):
        cookies = {"Cookie": f"gloria-lang={lang}"}
        answers[lang] = server.ask("expert", "GET", "/needs/need-1-01/compare?lab=lab-1-01", headers=cookies)
    assert [answer.status_code for answer in answers.values()] == [422, 422]
    assert "請選兩個實驗室比較" in answers["zh-Hant"].text
    assert "choose two labs to compare" not in answers["zh-Hant"].text
    assert "choose two labs to compare" in answers["en"].text


COMMANDS = [
    "import none.jsonl",
    "import .",
    "import words.txt",
    "import words.txt --kind robots",
    "import",
    "import --template labs.docx",
    "import labs.jsonl",
    "match",
    "match need-none",
    "match need-1-01 --top many",
    "match need-1-01 --top",
    "run --top 5 --out run.txt",
    "reindex",
    "evaluate --qrels none.txt",
    "synth --labs 0 --needs 1 --out synth",
    "serve --port 99999999",
    "report none --out r.csv",
    "report entries --out r.doc",
    "ledger configure none",
    "user key nobody@example.org --name laptop",
    "restore newest --check",
    "backup",
    "nonsense",
    "doctor --nonsense",
]


def _told(arguments: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    monkeypatch.setattr(sys, "argv", ["gloria", *arguments])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    return int(ended.value.code or 0), capsys.readouterr().err


@pytest.mark.parametrize("command", COMMANDS)
def test_the_command_line_tells_in_the_chosen_language(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "1000")
    monkeypatch.setenv("GLORIA_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("GLORIA_ENCODERS", "bundled-use")
    monkeypatch.delenv("GLORIA_LANG", raising=False)
    (tmp_path / "words.txt").write_text("some words that are no records\n", encoding="utf-8")
    (tmp_path / "labs.jsonl").write_text('{"id": "a b", "capacity": -1, "links": 3}\n{"id"', encoding="utf-8")
    code, told = _told(command.split(), monkeypatch, capsys)
    assert code in (1, 2)
    # The framework's own lines above and around the message name the command's usage.
    said = [line for line in told.splitlines() if line.strip() and not line.startswith((" ", "Usage", "Try", "╭", "╰"))]
    assert said
    for line in said:
        assert _CJK.search(line), line
        assert not _SENTENCE.search(_COMMAND.sub("", line)), line
    english, told = _told(["--lang", "en", *command.split()], monkeypatch, capsys)
    assert english == code
    assert not _CJK.search(told.replace("統一編號", "")), told


def test_the_language_is_known_before_the_command_is() -> None:
    assert chosen_language(["match", "--lang", "en"], {}) is Language.EN
    assert chosen_language(["--lang=en", "match"], {"GLORIA_LANG": "zh"}) is Language.EN
    assert chosen_language(["match", "--", "--lang", "en"], {}) is Language.ZH
    assert chosen_language(["match", "--lang"], {"GLORIA_LANG": "en"}) is Language.ZH
    assert chosen_language(["match"], {"GLORIA_LANG": "en"}) is Language.EN
