"""Lines that Python's parser would accept or choke on become one clear problem each."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from indexer.records.readers import read
from indexer.vocabulary import Kind

EXAMPLE = 'give one object a line, such as {"id": "lab-1"}'
BAD_LINES = {
    "nan": (b'{"id": "x", "capacity": NaN}', "labs.jsonl:2: NaN is not a JSON number; give a number or null"),
    "infinity": (
        b'{"id": "x", "capacity": -Infinity}',
        "labs.jsonl:2: -Infinity is not a JSON number; give a number or null",
    ),
    "overflow": (
        b'{"id": "x", "capacity": 1e999}',
        "labs.jsonl:2 capacity: inf is not a number of projects; give 0, 1, 2 \u2026 or leave it empty",
    ),
    "half a line": (
        b'{"id": "x", "name": "cut',
        f"labs.jsonl:2: is not JSON (Unterminated string starting at at character 21); {EXAMPLE}",
    ),
    "deep": (b"[" * 100_000, f"labs.jsonl:2: is nested too deeply; {EXAMPLE}"),
    "deep object": (b'{"id":' * 100_000, f"labs.jsonl:2: is nested too deeply; {EXAMPLE}"),
    "digits": (
        b'{"id": "x", "capacity": ' + b"9" * 5_000 + b"}",
        "labs.jsonl:2: holds a number with thousands of digits; give a shorter number",
    ),
    "long number": (
        b'{"id": "x", "capacity": ' + b"9" * 400 + b"}",
        (
            "labs.jsonl:2 capacity: a number of more than 60 digits is not a number of projects; "
            "give 0, 1, 2 \u2026 or leave it empty"
        ),
    ),
    "half a character": (
        b'{"id": "x", "name": "\\ud83d"}',
        "labs.jsonl:2 name: contains half a character (U+D83D at character 1); save the text again as UTF-8",
    ),
    "not utf-8": (b'{"id": "x\xff"}', "labs.jsonl:2: is not UTF-8 at byte 10; save it as UTF-8"),
    "a list": (b'["x"]', 'labs.jsonl:2: a list is not an object; give one such as {"id": "lab-1"}'),
    "a truth for a text": (b'{"id": "x", "pi": true}', "labs.jsonl:2 pi: true is not a text; give a text"),
    "a list for a text": (b'{"id": "x", "pi": ["a"]}', "labs.jsonl:2 pi: a list is not a text; give a text"),
    "a text for a list": (
        b'{"id": "x", "keywords": "a, b"}',
        'labs.jsonl:2 keywords: "a, b" is not a list; give a list such as ["a", "b"]',
    ),
}


@pytest.mark.parametrize("case", BAD_LINES)
def test_a_bad_line_is_reported_and_its_neighbours_are_kept(tmp_path: Path, case: str) -> None:
    line, message = BAD_LINES[case]
    path = tmp_path / "labs.jsonl"
    path.write_bytes(b'{"id": "first"}\n' + line + b'\n\n{"id": "last"}')
    reading = read(path)
    assert [str(problem) for problem in reading.problems] == [message]
    assert (list(reading.records), reading.refused) == (["first", "last"], 1)


def test_good_lines_in_every_wrapping_have_no_problems(tmp_path: Path) -> None:
    rows = [{"id": "first", "capacity": "2"}, {"id": "last", "name": 2049.0}]
    lines = "\r\n".join(json.dumps(row) for row in rows)
    for data in (
        lines.encode(),
        lines.encode("utf-8-sig"),
        lines.encode("utf-16"),
        json.dumps(rows, indent=1).encode(),
    ):
        path = tmp_path / "labs.json"
        path.write_bytes(data)
        reading = read(path)
        assert reading.problems == []
        assert [(lab.id, lab.name, lab.capacity) for lab in reading.records.values()] == [
            ("first", "first", 2),
            ("last", "2049", None),
        ]


def test_an_array_counts_its_elements(tmp_path: Path) -> None:
    path = tmp_path / "labs.json"
    path.write_text('[{"id": "a"},\n{"id": ""}, 3]', encoding="utf-8")
    assert [str(problem) for problem in read(path).problems] == [
        "labs.json:2 id: is missing; give one",
        'labs.json:3: 3 is not an object; give one such as {"id": "lab-1"}',
    ]
    path.write_text('[{"id": "a"},\n{"id": "b"', encoding="utf-8")
    assert [str(problem) for problem in read(path).problems] == [
        f"labs.json: is not JSON (Expecting ',' delimiter at line 2, character 11); {EXAMPLE}"
    ]


@pytest.mark.parametrize("kind", list(Kind))
def test_an_empty_file_has_nothing_to_import(tmp_path: Path, kind: Kind) -> None:
    path = tmp_path / "empty.jsonl"
    path.write_bytes(b"")
    reading = read(path, kind)
    assert (reading.records, reading.problems) == ({}, [])
