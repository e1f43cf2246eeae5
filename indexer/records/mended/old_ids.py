"""Rows of a file that name a record by an id it no longer has, because two records were made one.

In: what a file was read into, and the mergings that hold. Out: the same with the ids of the records that are kept, and
a word on each row whose record goes under another id now. It exists because schools send the same list each year: an id
that was merged away must not come back as a second lab.

What a row of an old id says is said of the kept record, where the file says nothing of that one itself. Its evidence is
added to the kept lab's, never put in its place: an old id's list speaks of a part only.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from sqlmodel import Session, col, select

from indexer.plain_text import shown
from indexer.records.exchange import EvidenceIn, RowProblem
from indexer.records.mended.merged import kept_ids
from indexer.records.mended.same_work import work_keys
from indexer.records.readers import EvidenceGroup, Reading
from indexer.records.record_tables import Evidence
from indexer.vocabulary import Kind, Mendable
from indexer.wording import T_

_OWN = {Kind.LABS: Mendable.LAB, Kind.COMPANIES: Mendable.COMPANY, Kind.SCHOOLS: Mendable.SCHOOL}
_NAMES: dict[Kind, tuple[tuple[str, Mendable], ...]] = {
    Kind.LABS: (("school", Mendable.SCHOOL), ("conflicts", Mendable.COMPANY)),
    Kind.NEEDS: (("company", Mendable.COMPANY), ("school", Mendable.SCHOOL), ("excluded_labs", Mendable.LAB)),
    Kind.SCHOOLS: (("merged_into", Mendable.SCHOOL),),
    Kind.ALLIANCES: (("center", Mendable.SCHOOL), ("partners", Mendable.SCHOOL)),
}
"""Fields by which a record names others, by the kind of record."""


def with_kept_ids(session: Session, reading: Reading) -> Reading:
    """Return a reading in which every id that leads to another record is that record's."""
    kind = Kind.LABS if reading.kind is Kind.EVIDENCE else reading.kind
    if kind is None:
        return reading
    wanted = {_OWN[kind]} if kind in _OWN else set()
    wanted |= {of for _, of in _NAMES.get(kind, ())}
    kept = {one: kept_ids(session, one) for one in sorted(wanted)}
    if not any(kept.values()):
        return reading
    reading = _with_names(reading, kind, kept)
    return _with_own_ids(session, reading, kept[_OWN[kind]]) if kind in _OWN else reading


def _with_names(reading: Reading, kind: Kind, kept: Mapping[Mendable, Mapping[str, str]]) -> Reading:
    """Return it with what records name."""
    records = {}
    for key, record in reading.records.items():
        changes: dict[str, Any] = {}
        for name, of in _NAMES.get(kind, ()):
            said = getattr(record, name)
            if name == "partners":
                led: Any = [_partner(one, kept[of]) for one in said or ()]
            elif isinstance(said, list):
                led = list(dict.fromkeys(kept[of].get(one, one) for one in said))
            else:
                led = kept[of].get(said, said)
            if led != said and said is not None:
                changes[name] = led
        records[key] = record.model_copy(update=changes) if changes else record
    return replace(reading, records=records)


def _partner(one: Any, kept: Mapping[str, str]) -> Any:
    return one.model_copy(update={"school": kept.get(one.school, one.school)})


def _with_own_ids(session: Session, reading: Reading, kept: Mapping[str, str]) -> Reading:
    old = [key for key in dict.fromkeys([*reading.records, *reading.evidence]) if key in kept]
    if not old:
        return reading
    records, evidence, given = dict(reading.records), dict(reading.evidence), dict(reading.given)
    problems, first_rows, files = list(reading.problems), dict(reading.first_rows), dict(reading.files)
    for key in old:
        new = kept[key]
        row = first_rows.get(key) or (evidence[key].row if key in evidence else 0)
        file = reading.file_of(key) or (evidence[key].file if key in evidence else "")
        record = records.pop(key, None)
        both = record is not None and new in records
        said = T_("%(old)s was merged into %(new)s: the row is taken for that one", old=shown(key), new=shown(new))
        lost = T_("%(old)s was merged into %(new)s, which has a row of its own", old=shown(key), new=shown(new))
        right = T_("give the row the id %(new)s", new=shown(new))
        problems.append(RowProblem(file, row, "id", lost if both else said, right, "warning"))
        items = [*(getattr(record, "evidence", None) or ()), *(evidence.pop(key).items if key in evidence else ())]
        if record is not None and not both:
            changes = {"id": new} | ({"evidence": None} if hasattr(record, "evidence") else {})
            records[new] = record.model_copy(update=changes)
            first_rows[new], files[new] = row, file
            if key in given:
                given[new] = given[key]
        if items:
            _add(session, records, evidence, new, items, (file, row))
    return replace(
        reading, records=records, evidence=evidence, given=given, problems=problems, first_rows=first_rows, files=files
    )


def _add(
    session: Session,
    records: dict[str, Any],
    evidence: dict[str, EvidenceGroup],
    lab_id: str,
    items: Sequence[EvidenceIn],
    place: tuple[str, int],
) -> None:
    """Add evidence to what is wanted of a lab: to what the file says of it, otherwise to what is stored."""
    said = getattr(records.get(lab_id), "evidence", None)
    if lab_id in evidence:
        held = list(evidence[lab_id].items)
    elif said is not None:
        held = list(said)
    else:
        query = select(Evidence).where(Evidence.lab_id == lab_id).order_by(col(Evidence.position))
        rows = session.exec(query).all()
        held = [EvidenceIn.model_validate(row.model_dump(exclude={"lab_id", "position"})) for row in rows]
    known, ids = {key for one in held for key in work_keys(one.model_dump())}, {one.id for one in held}
    for item in items:
        keys = work_keys(item.model_dump())
        if item.id not in ids and not keys & known:
            held.append(item)
            ids.add(item.id)
            known |= keys
    if said is not None and lab_id not in evidence:
        records[lab_id] = records[lab_id].model_copy(update={"evidence": held})
    else:
        group = evidence.get(lab_id) or EvidenceGroup(lab_id, *place)
        evidence[lab_id] = replace(group, items=held, has_ids=True)
