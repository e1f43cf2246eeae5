"""`gloria --help` answers at once: nothing heavy is imported before a command runs."""

from __future__ import annotations

import subprocess
import sys
import time
from typing import Any

import pytest

HEAVY = (
    "torch",
    "transformers",
    "faiss",
    "numba",
    "numpy",
    "scipy",
    "bm25s",
    "opencc",
    "openpyxl",
    "sqlmodel",
    "pandas",
    "typst",
    "odfdo",
    "jinja2",
)
COMMANDS = ["demo", "import", "reindex", "match", "run", "evaluate", "synth", "doctor", "report", "ledger", "backup"]


def modules_after(arguments: list[str]) -> set[str]:
    code = f"import sys; from api.cli import app; app({arguments!r}, standalone_mode=False); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


@pytest.mark.alone
def test_help_is_shown_in_under_half_a_second(gloria_from_cold: Any) -> None:
    durations = []
    for _ in range(3):
        started = time.perf_counter()
        answer = gloria_from_cold("--help")
        durations.append(time.perf_counter() - started)
        assert (answer.code, answer.err) == (0, "")
    assert min(durations) < 0.5


@pytest.mark.parametrize(
    "arguments", [["--help"], ["match", "--help"], ["doctor", "--help"], ["report", "--help"], ["ledger", "--help"]]
)
def test_help_imports_nothing_heavy(arguments: list[str]) -> None:
    assert modules_after(arguments) & set(HEAVY) == set()


def test_the_check_above_sees_heavy_imports() -> None:
    code = "import sys, numpy; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert set(done.stdout.split()) & set(HEAVY) == {"numpy"}


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(gloria: Any, command: str) -> None:
    answer = gloria(command, "--help")
    assert (answer.code, answer.err) == (0, "")
    assert f"{command} [OPTIONS]" in answer.out
