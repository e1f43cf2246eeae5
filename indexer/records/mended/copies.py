"""What is said at an import of one work that a lab's list has under several ids.

In: labs with their evidence as a file has them. Out: the same with a word on each piece that is the same work as an
earlier one. It exists because both are stored, as the list is the lab's own, and only one of them counts.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from indexer.records.exchange import EvidenceIn, RowProblem
from indexer.records.mended.same_work import with_first
from indexer.records.readers import Reading
from indexer.wording import T_


def with_copies_said(reading: Reading, name: str) -> Reading:
    """Return a reading of labs that says which of a lab's pieces of evidence are one work; both are stored."""
    found = list(reading.problems)
    for lab, record in reading.records.items():
        place = (reading.file_of(lab) or name, reading.first_rows.get(lab, 0))
        found += _said(place, lab, getattr(record, "evidence", None) or ())
    for lab, group in reading.evidence.items():
        found += _said((group.file or name, group.row), lab, group.items)
    return replace(reading, problems=found) if len(found) > len(reading.problems) else reading


def _said(place: tuple[str, int], lab: str, items: Sequence[EvidenceIn]) -> Iterator[RowProblem]:
    for item, first in with_first([one.model_dump() for one in items]):
        if first is not None:
            wrong = T_("%(copy)s of %(lab)s is the same work as %(first)s", copy=item["id"], lab=lab, first=first["id"])
            right = T_("both are stored and count once; leave one out if you like")
            yield RowProblem(place[0], place[1], "evidence", wrong, right, "warning")
