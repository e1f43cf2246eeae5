"""By what two pieces of evidence are one work: a DOI, or a title of the same year.

In: a piece of evidence as a row or a document. Out: what it is known by; two that share one are the same. It exists
because a paper comes in under the id of each list that names it, and is one paper all the same: on a page, in a count,
in an export. A title that says too little, such as 計畫 or Report, tells nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

from indexer.folding import for_names

_TELLING = 8
"""Letters, digits and Chinese characters that a title must have, a Chinese one counted twice."""
_MARKS = re.compile(r"[\W_]+")
_HAN = re.compile("[\u3400-\u9fff]")

Row = TypeVar("Row", bound=Mapping[str, Any])


def work_keys(row: Mapping[str, Any]) -> frozenset[str]:
    """Return what a piece of evidence is known by: its DOI, and kind, title and year; empty if it tells too little."""
    keys = set()
    if row.get("doi"):
        keys.add(f"doi {str(row['doi']).lower()}")
    title = _MARKS.sub("", for_names(str(row.get("title") or "")))
    if len(title) + len(_HAN.findall(title)) >= _TELLING:
        keys.add(f"title {row.get('kind') or ''} {row.get('year') or ''} {title}")
    return frozenset(keys)


def each_once(rows: Iterable[Row]) -> list[Row]:
    """Return rows without those that are the same work as an earlier one."""
    return [row for row, first in with_first(rows) if first is None]


def with_first(rows: Iterable[Row]) -> list[tuple[Row, Row | None]]:
    """Return each row with the earlier one that is the same work, None for the first of its work."""
    known: dict[str, Row] = {}
    found: list[tuple[Row, Row | None]] = []
    for row in rows:
        keys = work_keys(row)
        first = next((known[key] for key in sorted(keys) if key in known), None)
        found.append((row, first))
        known |= {key: first or row for key in keys if key not in known}
    return found
