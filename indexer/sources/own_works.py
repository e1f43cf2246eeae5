"""Works that a researcher hands in for the own lab, in whatever form they lie at hand.

In: the bytes of a file, or what was pasted: BibTeX, RIS, a record of ORCID, works of Crossref, DataCite or OpenAlex, a
CSV of our own columns without the lab's. Out: works in the exchange format, and what could not be taken, by row. It
exists because a researcher has a reference manager and an ORCID iD, not our template; which format it is is told by
the content, since nobody should have to know. What such a file says of the person is left out: a profile is typed.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from indexer.plain_text import shown
from indexer.records.exchange import EvidenceIn
from indexer.records.lists.csv_text import read_csv
from indexer.records.readers import read_bytes
from indexer.sources import researchers, works
from indexer.sources.findings import Findings, SourceError, Work
from indexer.vocabulary import Kind
from indexer.wording import T_

MAX_BYTES = 3 * 2**20
_FEWEST_CELLS = 2
_PLACE = re.compile(r"(?:ris|bibtex|crossref|datacite|openalex):\d+|orcid-work:None|orcid-funding:None")


def works_in(content: bytes, name: str, lab_id: str) -> Findings:
    """Return the works that a file holds.

    Args:
        content: its bytes, or a pasted text in UTF-8.
        name: what the file is called, for what is said of it.
        lab_id: the lab that they are to be of, for works without an id of their own.
    """
    findings = Findings(name)
    if len(content) > MAX_BYTES:
        findings.refuse(0, "", T_("is larger than %(mb)s MB", mb=MAX_BYTES // 2**20), T_("split it"))
        return findings
    read = _reader_of(content)
    try:
        if read is None:
            _read_list(content, name, lab_id, findings)
        else:
            read(content, findings)
            findings.works = [replace(one, evidence=_without_place(one.evidence)) for one in findings.works]
    except SourceError as error:
        findings.refuse(0, "", error.wrong, error.right)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        findings.refuse(
            0,
            "",
            T_("is not of the shape that its source writes (%(error)s)", error=shown(str(error))),
            T_("give the file as it was downloaded"),
        )
    return findings


def _without_place(evidence: Mapping[str, Any]) -> dict[str, Any]:
    """Return a work without an id that is its place in the file: in the next file it is another's."""
    placed = _PLACE.fullmatch(str(evidence.get("id", "")))
    return {name: value for name, value in evidence.items() if name != "id" or not placed}


def _reader_of(content: bytes) -> Callable[[bytes, Findings], None] | None:
    """Return what reads such a content; None for a list in columns."""
    text = content.lstrip(b"\xef\xbb\xbf \t\r\n")
    if text.startswith(b"@") or (b"\n@" in text and b"{" in text):
        return works.bibtex
    if text.startswith(b"TY  -") or b"\nTY  -" in text:
        return works.ris
    if text.startswith((b"{", b"[")):
        marks = {b'"orcid-identifier"': researchers.orcid_record, b'"DOI"': works.crossref}
        marks |= {b'"authorships"': works.openalex_works, b'"attributes"': works.datacite}
        return next((reader for mark, reader in marks.items() if mark in text), works.crossref)
    return researchers.orcid_record if text.startswith(b"<") else None


def _read_list(content: bytes, name: str, lab_id: str, findings: Findings) -> None:
    """Read a CSV as one of evidence, with the lab put in before each row."""
    grid = read_csv(content, name)
    findings.problems += grid.problems
    begins = next((n for n, (_, cells) in enumerate(grid.rows) if _said(cells) >= _FEWEST_CELLS), None)
    if begins is None:
        raise SourceError(
            T_("is no list of works"), T_("give BibTeX, RIS, a record of ORCID, or a CSV with the columns title, year")
        )
    out = io.StringIO(newline="")
    writer = csv.writer(out)
    # A blank line where one was keeps the rows numbered as the person sees them.
    for _ in range(grid.rows[begins][0] - 1):
        out.write("\r\n")
    last = grid.rows[begins][0] - 1
    for n, (number, cells) in enumerate(grid.rows[begins:]):
        out.write("\r\n" * (number - last - 1))
        writer.writerow(["lab" if n == 0 else lab_id, *("" if cell is None else str(cell) for cell in cells)])
        last = number
    reading = read_bytes(out.getvalue().encode(), name, Kind.EVIDENCE)
    findings.problems += reading.problems
    for group in reading.evidence.values():
        findings.entries += group.rows
        for item in group.items:
            findings.works.append(Work(group.first.get(item.id, 0), _as_work(item, has_ids=group.has_ids)))


def _as_work(item: EvidenceIn, *, has_ids: bool) -> dict[str, object]:
    said = item.model_dump(mode="json")
    if not has_ids:
        del said["id"]
    return said


def _said(cells: list[object]) -> int:
    return sum(cell is not None and bool(str(cell).strip()) for cell in cells)
