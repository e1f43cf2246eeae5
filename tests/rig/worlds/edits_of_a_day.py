"""Edits of labs and needs as an office makes them in a day, drawn by a seed: new, changed, merged, retired, deleted."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, delete
from sqlmodel import Session, col

from indexer.database import writing
from indexer.records.importing import import_rows
from indexer.records.record_tables import Ask, Evidence, Lab, Need, note_changes
from indexer.vocabulary import Kind

Record = dict[str, Any]


class Office:
    """Edits the labs and needs of a database, which holds those of `folder`."""

    def __init__(self, engine: Engine, folder: Path, seed: int) -> None:
        self.chance = random.Random(seed)
        self._engine = engine
        self.labs = {one["id"]: one for one in map(json.loads, _lines(folder / "labs.jsonl"))}
        self.needs = {one["id"]: one for one in map(json.loads, _lines(folder / "needs.jsonl"))}
        self._source = list(self.labs.values())
        self.made = 0

    def edit(self, times: int) -> None:
        """Make so many edits, each committed for itself."""
        kinds: list[Callable[[Session], None]] = [
            self._new_lab,
            self._said_otherwise,
            self._more_evidence,
            self._evidence_retired,
            self._deleted_lab,
            self._new_need,
            self._need_said_otherwise,
            self._deleted_need,
        ]
        for _ in range(times):
            with writing(self._engine) as session:
                self.chance.choice(kinds)(session)
            self.made += 1

    def store_lab(self, session: Session, lab: Record) -> None:
        """Store a lab as an import does."""
        report = import_rows(session, Kind.LABS, [lab])
        assert (report.refused, report.problems) == (0, [])
        self.labs[lab["id"]] = lab

    def _any(self, records: dict[str, Record]) -> Record:
        return dict(records[self.chance.choice(sorted(records))])

    def _text(self) -> str:
        """A sentence or two of some lab, in either language."""
        lab = self.chance.choice(self._source)
        texts = [lab.get("summary"), lab.get("summary_en"), *(one.get("abstract") for one in lab.get("evidence", []))]
        return self.chance.choice([text for text in texts if text] or [lab["name"]])[: self.chance.randint(20, 400)]

    def _new_lab(self, session: Session) -> None:
        lab = self._any(self.labs) | {"id": f"lab-new-{self.made:04}", "summary": self._text()}
        evidence = [one | {"id": f"{lab['id']}-{i}"} for i, one in enumerate(lab.get("evidence", []))]
        self.store_lab(session, lab | {"evidence": evidence[: self.chance.randint(0, 3)]})

    def _said_otherwise(self, session: Session) -> None:
        self.store_lab(session, self._any(self.labs) | {self.chance.choice(["summary", "summary_en"]): self._text()})

    def _more_evidence(self, session: Session) -> None:
        lab, text = self._any(self.labs), self._text()
        new = {"id": f"ev-new-{self.made:04}", "kind": "paper", "title": text[:40], "abstract": text, "year": 2024}
        self.store_lab(session, lab | {"evidence": [*lab.get("evidence", []), new]})

    def _evidence_retired(self, session: Session) -> None:
        lab = self._any(self.labs)
        weights = [self.chance.choice([0, 0.5, 1]) for _ in lab.get("evidence", [])]
        evidence = [one | {"weight": weight} for one, weight in zip(lab.get("evidence", []), weights, strict=True)]
        self.store_lab(session, lab | {"evidence": evidence})

    def _deleted_lab(self, session: Session) -> None:
        if len(self.labs) > 3:
            delete_lab(session, self.labs.pop(self.chance.choice(sorted(self.labs)))["id"])

    def _store_need(self, session: Session, need: Record) -> None:
        report = import_rows(session, Kind.NEEDS, [need])
        assert (report.refused, report.problems) == (0, [])
        self.needs[need["id"]] = need

    def _new_need(self, session: Session) -> None:
        need = self._any(self.needs) | {"id": f"need-new-{self.made:04}", "title": self._text()[:80]}
        self._store_need(session, need | {"asks": [{"kind": "technology", "text": self._text()[:120]}]})

    def _need_said_otherwise(self, session: Session) -> None:
        self._store_need(session, self._any(self.needs) | {"description": self._text()})

    def _deleted_need(self, session: Session) -> None:
        if len(self.needs) > 3:
            gone = self.needs.pop(self.chance.choice(sorted(self.needs)))["id"]
            session.connection().execute(delete(Ask).where(col(Ask.need_id) == gone))
            session.connection().execute(delete(Need).where(col(Need.id) == gone))
            note_changes(session, Kind.NEEDS, [gone])


def delete_lab(session: Session, lab_id: str) -> None:
    """Delete a lab as an operator does."""
    session.connection().execute(delete(Evidence).where(col(Evidence.lab_id) == lab_id))
    session.connection().execute(delete(Lab).where(col(Lab.id) == lab_id))
    note_changes(session, Kind.LABS, [lab_id])


def _lines(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8").splitlines()
