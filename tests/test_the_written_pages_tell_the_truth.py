"""What README and the pages of the rooms say: their commands run, their links lead somewhere, the guide shows them."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from api.pages.guide.chapters import CHAPTERS, Chapter, read_chapter
from api.pages.shell.wording import Lang
from indexer.database import open_engine, writing
from indexer.settings import Settings
from matcher.review.intake import adopt
from tests.conftest import REPOSITORY, Gloria
from tests.rig.servers.forked_programs import command_for_shells
from tests.rig.servers.warmed_application import application

WRITTEN = sorted(
    {"README.md", "CHANGELOG.md", "fixtures/README.md"}
    | {chapter.path_in(lang) for chapter in CHAPTERS for lang in Lang}
)
_NOT_RUN = {
    "make demo": "makes an environment and is what a new user begins with; a fresh clone runs it",
    "make test": "would run this test",
    "source .venv/bin/activate": "the commands here are those of this environment already",
}
"""Commands of the pages that are not run here, and why."""
_PATH = re.compile(r"`((?:indexer|matcher|api|fixtures|tests|notebooks)/[\w./-]+\.\w+)`")


def _blocks(path: str) -> list[list[str]]:
    text = (REPOSITORY / path).read_text(encoding="utf-8")
    return [block.strip().splitlines() for block in re.findall(r"```sh\n(.*?)```", text, re.DOTALL)]


BLOCKS = {"\n".join(block): f"{path}-{n}" for path in reversed(WRITTEN) for n, block in enumerate(_blocks(path), 1)}
"""Each block of commands once, however many pages have it, with the first page that does."""


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _script(block: str, port: int) -> str:
    """Return the commands as one script, in which servers run behind and answer at a port of ours."""
    lines = ["set -euo pipefail", "trap 'kill $(jobs -p) 2>/dev/null || true' EXIT"]
    for line in block.splitlines():
        command = line.split("  #", maxsplit=1)[0].strip().replace("curl ", "curl -sSf ")
        if command in _NOT_RUN:
            continue
        if command == "gloria serve":
            ready = f"curl -sf --retry 60 --retry-connrefused --retry-delay 1 http://127.0.0.1:{port}/readyz"
            lines += [f"gloria serve --port {port} &", f"{ready} > ready.json"]
        else:
            lines.append(command.replace("127.0.0.1:8000", f"127.0.0.1:{port}"))
    return "\n".join(lines) + "\n"


@pytest.fixture(scope="module")
def shell(
    gloria: Gloria, indexed_home: Path, slice_of_world: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Path]:
    """A folder in which the pages' commands find what they name: a home with the demo world's first part, and files."""
    folder = tmp_path_factory.mktemp("shell")
    shutil.copytree(indexed_home, folder / "gloria-data")
    (folder / "bin").mkdir()
    (folder / "files").mkdir()
    (folder / "files" / "fixtures").symlink_to(REPOSITORY / "fixtures")
    shutil.copy(slice_of_world / "needs.jsonl", folder / "files")
    (folder / "files" / "schools.csv").write_text("id,name\nnew-school,新設科技大學\n", encoding="utf-8")
    done = gloria("import", REPOSITORY / "fixtures" / "world" / "alliances.jsonl", home=folder / "gloria-data")
    assert done.code == 0, done.err
    engine = open_engine(Settings(home=folder / "gloria-data", encoders="bundled-use"))
    with writing(engine) as session:
        adopt(session, need_ids=["need-1-01"], alliance_id="al-02", by=None, now=datetime.now(UTC))
    engine.dispose()
    with command_for_shells(folder / "bin" / "gloria"):
        yield folder


@pytest.mark.parametrize("block", BLOCKS, ids=BLOCKS.values())
def test_the_commands_of_a_page_run_as_they_stand(shell: Path, tmp_path: Path, block: str) -> None:
    files = shutil.copytree(shell / "files", tmp_path / "files", symlinks=True)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GLORIA_")}
    environment |= {
        "PATH": f"{shell / 'bin'}:{environment['PATH']}",
        "PYTHONPATH": str(REPOSITORY),
        "GLORIA_HOME": str(shell / "gloria-data"),
        "GLORIA_ENCODERS": "bundled-use",
        "GLORIA_THREADS": "1",
        "GLORIA_CACHE": str(REPOSITORY / ".test-home"),
    }
    script = _script(block, _free_port())
    done = subprocess.run(
        ["bash", "-c", script], cwd=files, env=environment, capture_output=True, text=True, timeout=240, check=False
    )
    assert done.returncode == 0, f"{script}\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}"


def test_what_is_not_run_is_named() -> None:
    """Control: every line that is left out is one of the list, and the rest is not empty."""
    lines = [line.split("  #", maxsplit=1)[0].strip() for block in BLOCKS for line in block.splitlines()]
    assert set(_NOT_RUN) <= set(lines)
    assert len(set(lines) - set(_NOT_RUN)) >= 15


def test_a_command_that_fails_is_seen(shell: Path) -> None:
    script = _script("gloria match need-that-is-not-there", _free_port())
    environment = {**os.environ, "PATH": f"{shell / 'bin'}:{os.environ['PATH']}", "PYTHONPATH": str(REPOSITORY)}
    environment |= {"GLORIA_HOME": str(shell / "gloria-data"), "GLORIA_ENCODERS": "bundled-use"}
    done = subprocess.run(["bash", "-c", script], cwd=shell, env=environment, capture_output=True, check=False)
    assert done.returncode == 1


@pytest.mark.parametrize("path", WRITTEN)
def test_links_and_files_that_a_page_names_are_there(path: str) -> None:
    text = (REPOSITORY / path).read_text(encoding="utf-8")
    links = re.findall(r"\]\(([^)#:]+)\)", text)
    here = (REPOSITORY / path).parent
    assert [link for link in links if not (here / link).exists()] == []
    assert [named for named in _PATH.findall(text) if not (REPOSITORY / named).exists()] == []


ASVS = {
    "2.1": 3, "2.2": 3, "2.3": 4, "2.4": 1, "5.1": 1, "5.2": 3, "5.3": 2, "5.4": 3, "6.1": 3, "6.2": 12, "6.3": 4,
    "6.4": 4, "6.5": 5, "6.6": 3, "6.8": 4, "7.1": 3, "7.2": 4, "7.3": 2, "7.4": 5, "7.5": 2, "7.6": 2, "8.1": 2,
    "8.2": 3, "8.3": 1, "8.4": 1, "14.1": 2, "14.2": 4, "14.3": 3, "16.1": 1, "16.2": 5, "16.3": 4, "16.4": 3,
    "16.5": 3,
}  # fmt: skip
"""How many requirements of levels 1 and 2 each section of ASVS 5.0.0 has; those of level 3 come after them."""


def test_every_requirement_of_asvs_stands_in_its_table_with_tests_that_are_there() -> None:
    table = (REPOSITORY / "api/SERVICE.md").read_text(encoding="utf-8").partition("## ASVS 5.0")[2]
    rows = [line.strip("| ").split(" | ", 1) for line in table.splitlines() if re.match(r"\| \d", line)]
    told: list[str] = []
    for said, _ in rows:
        for first, last in re.findall(r"(\d+\.\d+\.\d+)(?:–(\d+\.\d+\.\d+))?", said):
            section, n = first.rsplit(".", 1)
            told += [f"{section}.{one}" for one in range(int(n), int((last or first).rsplit(".", 1)[1]) + 1)]
    wanted = [f"{section}.{n}" for section, most in ASVS.items() for n in range(1, most + 1)]
    assert sorted(told) == sorted(wanted)
    # A name of a test is one word with at least two joints, which no other word of the table has.
    named = {name for _, by in rows for name in re.findall(r"(?<![`\w/.])[a-z]+(?:_[a-z]+){2,}(?![\w`.])", by)}
    assert len(named) > 30
    assert {name for name in named if not (REPOSITORY / f"tests/test_{name}.py").exists()} == set()


def test_the_readme_fits_a_page() -> None:
    assert len((REPOSITORY / "README.md").read_text(encoding="utf-8").splitlines()) <= 180


@pytest.mark.parametrize("lang", Lang, ids=lambda lang: lang.name)
@pytest.mark.parametrize("chapter", CHAPTERS, ids=lambda chapter: chapter.name)
def test_a_chapter_is_shown_whole(chapter: Chapter, lang: Lang) -> None:
    """Every heading of the file stands in the page, links lead to chapters, and none of its HTML is live."""
    read = read_chapter(chapter, lang)
    text = (REPOSITORY / chapter.path_in(lang)).read_text(encoding="utf-8")
    assert f"# {read.heading}" in text.splitlines()
    assert [title for _, title in read.sections] == [
        line.removeprefix("## ").replace("`", "") for line in text.splitlines() if line.startswith("## ")
    ]
    inside = [href for href in re.findall(r'href="([^"]+)"', read.content) if "://" not in href]
    assert set(inside) <= {f"/guide/{one.name}" for one in CHAPTERS}
    assert "<script" not in read.content


def test_users_chapters_are_written_in_both_languages() -> None:
    for chapter in (chapter for chapter in CHAPTERS if chapter.in_both_languages):
        chinese, english = (read_chapter(chapter, lang) for lang in (Lang.ZH, Lang.EN))
        assert len(chinese.sections) == len(english.sections)
        assert re.search(r"[\u4e00-\u9fff]", chinese.heading)
        assert not re.search(r"[\u4e00-\u9fff]", str(english.content))


@pytest.fixture(scope="module")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    app = application(Settings(home=tmp_path_factory.mktemp("guide"), encoders="bundled-use"))
    with TestClient(app, base_url="https://testserver", follow_redirects=False) as client:
        yield client


def test_a_stranger_is_asked_to_sign_in(stranger: TestClient) -> None:
    answer = stranger.get("/guide/experts", headers={"Accept": "text/html"})
    assert (answer.status_code, answer.headers["Location"]) == (303, "/sign-in?then=/guide/experts")
