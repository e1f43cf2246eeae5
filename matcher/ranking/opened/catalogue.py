"""The records that matching reads beside the index: labs, schools and companies of one moment.

In: a session. Out: a frozen `Catalogue`, and from it a newer one with only
those records read again that changed. It exists so that a request sees one
state of the records from start to end, and so that a lab's edit does not cost
the reading of a hundred thousand others.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TypeVar

from sqlmodel import Session

from indexer.records.passages import fingerprint, lab_passages
from indexer.records.profiles import Company, Lab, School
from indexer.records.record_tables import load_companies, load_labs, load_schools

Record = TypeVar("Record", Lab, School, Company)


@dataclass(frozen=True)
class Catalogue:
    """Records by id. Never changed: `reloaded` gives a new one."""

    labs: Mapping[str, Lab]
    schools: Mapping[str, School]
    companies: Mapping[str, Company]

    @classmethod
    def load(cls, session: Session) -> Catalogue:
        """Read all records."""
        return cls(
            labs={lab.id: lab for lab in load_labs(session)},
            schools={school.id: school for school in load_schools(session)},
            companies={company.id: company for company in load_companies(session)},
        )

    @cached_property
    def fingerprints(self) -> Mapping[str, str]:
        """For each lab a hash of its passages; it differs from the index's once the lab's texts changed."""
        return {lab_id: fingerprint(lab_passages(lab)) for lab_id, lab in self.labs.items()}

    def reloaded(
        self,
        session: Session,
        *,
        labs: Collection[str] = (),
        schools: Collection[str] = (),
        companies: Collection[str] = (),
    ) -> Catalogue:
        """Return a catalogue with the named records as they are now; those that are gone are left out."""
        found = load_labs(session, labs)
        newer = Catalogue(
            labs=_replaced(self.labs, labs, found),
            schools=_replaced(self.schools, schools, load_schools(session, schools)),
            companies=_replaced(self.companies, companies, load_companies(session, companies)),
        )
        if "fingerprints" in self.__dict__:
            gone = set(labs)
            kept = {lab_id: known for lab_id, known in self.fingerprints.items() if lab_id not in gone}
            newer.__dict__["fingerprints"] = kept | {lab.id: fingerprint(lab_passages(lab)) for lab in found}
        return newer


def _replaced(known: Mapping[str, Record], ids: Collection[str], found: Iterable[Record]) -> Mapping[str, Record]:
    """Return the records with `ids` taken out and `found` put in, ordered by id as a full load gives them."""
    if not ids:
        return known
    gone = set(ids)
    records = {id_: record for id_, record in known.items() if id_ not in gone}
    new = {record.id: record for record in found}
    return dict(sorted((records | new).items()))
