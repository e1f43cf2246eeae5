"""What the tests of the command line share: the command itself, and an indexed home with a slice of the demo world."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from fixtures import world_path

REPOSITORY = Path(__file__).parent.parent


@dataclass(frozen=True)
class Answer:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        """All of stdout as one JSON document."""
        return json.loads(self.out)


Gloria = Callable[..., Answer]


@pytest.fixture(scope="session")
def gloria() -> Gloria:
    """Run `gloria ARGUMENTS...` as a user would; `home` and other GLORIA_* settings by keyword."""

    def run(*arguments: object, home: Path | None = None, columns: int = 100, **settings: str) -> Answer:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("GLORIA_")}
        # USE needs no torch, so that a command takes seconds.
        environment |= {"GLORIA_ENCODERS": "bundled-use", "PYTHONWARNINGS": "error", "HF_HUB_OFFLINE": "1"}
        environment["COLUMNS"] = str(columns)
        environment |= {f"GLORIA_{name.upper()}": value for name, value in settings.items()}
        if home is not None:
            environment["GLORIA_HOME"] = str(home)
        done = subprocess.run(
            [sys.executable, "-m", "api.cli", *map(str, arguments)],
            cwd=REPOSITORY,
            env=environment,
            capture_output=True,
            timeout=300,
            check=False,
        )
        return Answer(done.returncode, done.stdout.decode(), done.stderr.decode())

    return run


@pytest.fixture(scope="session")
def slice_of_world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the records of the demo world's first cluster."""
    folder = tmp_path_factory.mktemp("slice")
    for name, prefix in (("schools", ""), ("companies", "co-1-"), ("labs", "lab-1-"), ("needs", "need-1-")):
        lines = (world_path() / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()
        kept = [line for line in lines if json.loads(line)["id"].startswith(prefix)]
        (folder / f"{name}.jsonl").write_text("\n".join(kept) + "\n", encoding="utf-8")
    return folder


@pytest.fixture(scope="session")
def indexed_home(gloria: Gloria, slice_of_world: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with that slice imported and indexed. Shared: never write to it, take `own_home` for that."""
    home = tmp_path_factory.mktemp("homes") / "indexed"
    files = [slice_of_world / f"{name}.jsonl" for name in ("schools", "companies", "labs", "needs")]
    for arguments in (["import", *files], ["reindex"]):
        answer = gloria(*arguments, home=home)
        assert answer.code == 0, answer.err
    return home


@pytest.fixture
def own_home(indexed_home: Path, tmp_path: Path) -> Path:
    """A copy of the indexed home that a test may change."""
    return Path(shutil.copytree(indexed_home, tmp_path / "home"))
