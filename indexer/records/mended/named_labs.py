"""Which labs somebody means by the names that they typed: what a need excludes must be somebody.

In: names or ids as they were typed. Out: the ids of the labs that they name, by any of their names, by their heads'
names and by old ids too, and for a name that is nobody's those that it may have been meant for. It exists because a lab
that a company wants kept out is kept out only if it is found: a name with a slip in it excluded nobody, and the lab was
proposed.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from rapidfuzz import fuzz, process
from sqlalchemy import select
from sqlmodel import Session, col
from sqlmodel import select as select_rows

from indexer.folding import for_names
from indexer.plain_text import shown
from indexer.records.exchange import Fault
from indexer.records.mended.merged import kept_ids
from indexer.records.readers import Reading
from indexer.records.record_tables import Lab
from indexer.vocabulary import Kind, Mendable
from indexer.wording import T_

_ALIKE = 60.0
_MEANT = 3


@dataclass(frozen=True)
class NamedLab:
    """A name as it was typed, with the ids of the labs that it names; if none, `meant` has names that are alike."""

    said: str
    ids: tuple[str, ...]
    meant: tuple[str, ...] = ()


def named_labs(session: Session, said: Iterable[str]) -> list[NamedLab]:
    """Return for each name that was typed the labs that it names, retired ones too."""
    wanted = list(said)
    if not wanted:
        return []
    kept = kept_ids(session, Mendable.LAB)
    ids: dict[str, set[str]] = defaultdict(set)
    called: dict[str, str] = {}
    columns = select(col(Lab.pi), col(Lab.id), col(Lab.name), col(Lab.name_en))
    for head, lab_id, *names in session.connection().execute(columns):
        for name in filter(None, (head, lab_id, *names)):
            ids[for_names(name)].add(kept.get(lab_id, lab_id))
        # Nobody is told names of people that they did not type.
        for name in filter(None, (lab_id, *names)):
            called.setdefault(for_names(name), name)
    return [_named(one, ids, called) for one in wanted]


def _named(said: str, ids: dict[str, set[str]], called: dict[str, str]) -> NamedLab:
    folded = for_names(said)
    if folded in ids:
        return NamedLab(said, tuple(sorted(ids[folded])))
    alike = process.extract(folded, list(called), scorer=fuzz.ratio, score_cutoff=_ALIKE, limit=_MEANT)
    return NamedLab(said, (), tuple(called[one] for one, _, _ in alike))


def labs_called(session: Session, ids: Sequence[str]) -> list[str]:
    """Return what labs are called, each by a name that finds it alone again; by its id where it has none such."""
    if not ids:
        return []
    rows = session.exec(select_rows(Lab).where(col(Lab.id).in_(ids))).all()
    names = {lab.id: [name for name in (lab.name, lab.name_en) if name] for lab in rows}
    found = {one.said: one.ids for one in named_labs(session, [name for several in names.values() for name in several])}
    return [next((name for name in names.get(one, ()) if found[name] == (one,)), one) for one in ids]


def ids_of(found: Sequence[NamedLab]) -> list[str]:
    """Return the ids of all labs that were named, each once."""
    return list(dict.fromkeys(one for named in found for one in named.ids))


def with_labs_found(session: Session, reading: Reading, name: str) -> Reading:
    """Return a reading of needs with the labs that each excludes by id; a need that excludes nobody's name is refused.

    A need whose exclusion would be lost is not stored without it: the lab that was meant would hear of it.
    """
    if reading.kind is not Kind.NEEDS:
        return reading
    listed = {key: record.excluded_labs for key, record in reading.records.items() if record.excluded_labs}
    if not listed:
        return reading
    every = list(dict.fromkeys(one for names in listed.values() for one in names))
    found = {one.said: one for one in named_labs(session, every)}
    checked = replace(reading, records=dict(reading.records), problems=list(reading.problems))
    for key, names in listed.items():
        unknown = [found[one] for one in names if not found[one].ids]
        if unknown:
            checked.refuse_record(reading.file_of(key) or name, key, fault_of(unknown[0]))
            continue
        ids = ids_of([found[one] for one in names])
        if ids != list(names):
            checked.records[key] = checked.records[key].model_copy(update={"excluded_labs": ids})
    return checked


def fault_of(unknown: NamedLab) -> Fault:
    """Return what is wrong with a name that is nobody's, and what would be right."""
    wrong = T_("no stored lab is called %(said)s", said=shown(unknown.said))
    if unknown.meant:
        right = T_("give the id or the whole name of a stored lab, such as %(meant)s", meant=", ".join(unknown.meant))
    else:
        right = T_("give the id or the whole name of a stored lab; import the labs before the needs")
    return Fault("excluded_labs", wrong, right)
