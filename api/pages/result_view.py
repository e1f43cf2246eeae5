"""One entry of the ledger as people read it: details in words, evidence with its facts, history, neighbours.

In: an entry's document from the API. Out: what the templates of results and of
the review show of it. It exists because both show the same entry, the one to
read and the other to decide.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

from sqlmodel import Session

from api.pages.mentioned_names import Names, names_in
from api.pages.result_words import CHAIN_LABELS, Said, field_label, said_of
from api.pages.visiting import Visit
from api.routes.entries import list_entries, read_entry
from api.routes.ledger import read_heads
from matcher.ledger.claims import PROGRAMME_LABELS
from matcher.ledger.comparisons import UNIT_LABELS
from matcher.ledger.details import read_details
from matcher.ledger.evidence_kinds import FileFacts, facts_of
from matcher.ledger.kpis import KPI_FACTS, Kpi
from matcher.ledger.steps import ENDED, STATE_LABELS
from matcher.people import Principal

LABELS: Mapping[str, Mapping[str, tuple[str, str]]] = {
    "kpi": {kpi.value: facts.label.both for kpi, facts in KPI_FACTS.items()},
    "unit": {unit.value: label.both for unit, label in UNIT_LABELS.items()},
    "state": {state.value: label.both for state, label in STATE_LABELS.items()},
    "programme": {programme.value: label.both for programme, label in PROGRAMME_LABELS.items()},
    "chain": {chain: label.both for chain, label in CHAIN_LABELS.items()},
}
"""What codes of the ledger are called, in Chinese and English."""


@dataclass(frozen=True)
class Proof:
    """A piece of evidence: a stored file with its facts, or a link."""

    name: str
    url: str | None
    sha256: str | None
    facts: FileFacts | None
    added: bool


@dataclass(frozen=True)
class Event:
    """What somebody did with an entry: a step of it, or a word on a motion."""

    kind: str
    at: str
    by: str
    reason: str
    document: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Compared:
    """One thing that two claims say, side by side."""

    label: str
    mine: Said | None
    theirs: Said | None

    @property
    def same(self) -> bool:
        """Whether both say the same; what only one says differs."""
        if self.mine is None or self.theirs is None:
            return False
        return bool(self.mine.value == self.theirs.value)


@dataclass(frozen=True)
class Likeness:
    """A claim that an entry resembles, with what both say."""

    document: Mapping[str, Any]
    rows: list[Compared]


def entry_view(visit: Visit, entry_id: str) -> dict[str, Any]:
    """Return what a page shows of an entry, as far as the reader may see it."""
    entry = visit.document(read_entry, entry_id=entry_id)
    parts = _instalments(visit, entry)
    home = visit.request.app.state.home

    def named(session: Session, who: Principal) -> Names:
        return names_in(session, entry, parts)

    return {
        "entry": entry,
        "labels": LABELS,
        "fields": said_of(entry["details"]),
        "proofs": [_proof(home, item, added) for item, added in _items(entry)],
        "events": sorted(_events(entry), key=lambda event: event.at),
        "likenesses": [_likeness(entry, one) for one in entry["similar"]],
        "instalments": [(year, list(of)) for year, of in groupby(parts, lambda part: part["counts_on"][:4])],
        "names": visit.look(named),
        "holds_key": entry["kind"] == "fact" and entry["state"] not in [state.value for state in ENDED],
        "heads": visit.document(read_heads)["items"],
    }


def _instalments(visit: Visit, entry: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return all instalments of an entry's contract by the day they count on, none if it is the only one."""
    contract = entry["details"].get("contract")
    if entry["kpi"] != Kpi.MONEY or not contract:
        return []
    found = visit.document(list_entries, kpi=Kpi.MONEY, contract=contract, limit=100)["items"]
    parts = [one for one in found if one["kind"] == "fact"]
    return sorted(parts, key=lambda part: (part["counts_on"], part["seq"])) if len(parts) > 1 else []


def _items(entry: Mapping[str, Any]) -> Iterator[tuple[dict[str, str], bool]]:
    """Yield the evidence of an entry, and what was added to it later."""
    yield from ((item, False) for item in entry["evidence"])
    for step in entry["steps"]:
        yield from ((item, True) for item in step["evidence"])


def _proof(home: Any, item: Mapping[str, str], added: bool) -> Proof:
    digest = item.get("sha256")
    facts = None if digest is None else facts_of(home, digest)
    return Proof(item.get("name", ""), item.get("url"), digest, facts, added)


def _events(entry: Mapping[str, Any]) -> Iterator[Event]:
    for step in entry["steps"]:
        yield Event("step", step["at"], step["by"], step["reason"], step)
    for motion in entry["motions"]:
        yield Event("moved", motion["moved_at"], motion["moved_by"], motion["reason"], motion)
        if motion["ended"] is not None:
            ended = motion["ended"]
            yield Event(
                "seconded" if ended["seconded"] else "dropped", ended["at"], ended["by"], ended["reason"], motion
            )


def _likeness(entry: Mapping[str, Any], one: Mapping[str, Any]) -> Likeness:
    other, claim = one["entry"], one["claim"]
    if other is not None and "details" in other:
        return Likeness(one, list(_compared(_claims_of(entry), _claims_of(other))))
    if claim is not None and "party" in claim:
        mine = [Said("party", field_label("party"), read_details(Kpi(entry["kpi"]), entry["details"]).party())]
        theirs = [Said("party", field_label("party"), claim["party"])]
        mine += [Said(name, field_label(name), entry[name]) for name in ("amount", "occurred_on")]
        theirs += [Said(name, field_label(name), claim[name]) for name in ("amount", "occurred_on") if claim[name]]
        return Likeness(one, list(_compared(mine, theirs)))
    return Likeness(one, [])


def _claims_of(entry: Mapping[str, Any]) -> list[Said]:
    plain = [
        Said(name, field_label(name), entry[name])
        for name in ("amount", "occurred_on", "counts_on", "school_id", "shares", "value_added")
    ]
    return [*said_of(entry["details"]), *plain]


def _compared(mine: list[Said], theirs: list[Said]) -> Iterator[Compared]:
    own = {said.field: said for said in mine}
    other = {said.field: said for said in theirs}
    for name in dict.fromkeys([*own, *other]):
        label = (own.get(name) or other[name]).label
        yield Compared(label, own.get(name), other.get(name))
