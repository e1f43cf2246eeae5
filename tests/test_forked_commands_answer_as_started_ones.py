"""A command in the child of a warm process, as the other tests begin them, answers as one by a new interpreter."""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.conftest import Databases, Gloria


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["ledger", "--help"], 0),
        (["match", "need-1-01", "--json"], 0),
        (["match", "need-none"], 1),
        (["match", "need-1-01", "--top", "many"], 2),
    ],
)
def test_both_answer_alike(
    gloria: Gloria, gloria_from_cold: Gloria, indexed_home: Path, arguments: list[str], code: int
) -> None:
    forked = gloria(*arguments, home=indexed_home)
    assert forked == gloria_from_cold(*arguments, home=indexed_home)
    assert forked.code == code
    assert forked.out + forked.err


def test_what_is_given_on_stdin_is_read(gloria: Gloria, tmp_path: Path) -> None:
    arguments = ["user", "add", "lin@example.org", "--role", "office", "--password-stdin", "--lang", "en"]
    short = gloria(*arguments, home=tmp_path, given=b"short\n")
    assert short.code == 1
    assert "Traceback" not in short.err
    assert gloria(*arguments, home=tmp_path, given="長而好記的通關密語一二三\n".encode()).code == 0


MADE = r"20\d\d-\d\d-\d\d \d\d:\d\d:\d\d[.\d]*|(?!0{64})[0-9a-f]{64}"


def test_a_new_database_is_as_the_migrations_make_it(gloria: Gloria, databases: Databases, tmp_path: Path) -> None:
    assert gloria("user", "list", home=tmp_path / "forked").code == 0
    databases.at_head("sqlite", tmp_path / "migrated")
    found = []
    for name in ("forked", "migrated"):
        with closing(sqlite3.connect(tmp_path / name / "gloria.db")) as opened:
            # A table that a migration built anew has its clauses and indexes in any order; when it ran is noted, and
            # linked.
            lines = (re.sub(MADE, "made", line).removesuffix("\n);") for line in opened.iterdump())
            found.append(sorted(sorted(re.split(r",\s*", line)) for line in lines))
    assert found[0] == found[1]
    assert len(found[0]) > 100
