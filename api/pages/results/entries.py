"""One entry of the ledger as people read it: details in words, evidence with its facts, history, neighbours.

In: an entry's document from the API. Out: values for the templates of everybody who has to do with it, alliance,
committee and programme office, in pairs of a label and words.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import groupby
from typing import Annotated, Any

from babel import Locale
from fastapi import APIRouter, Depends, Response
from sqlmodel import Session

from api.access.policy import Action, Resource
from api.pages.shell.record_names import MentionedNames, mentioned_names
from api.pages.shell.visiting import Visit, visiting
from api.pages.shell.wording import N_
from api.requests.capacity import ThreadedRoute
from api.routes.ledger.entries import EntryId, list_entries, read_entry
from api.routes.ledger.programme import read_heads
from indexer.kept_files import FileFacts, facts_of
from indexer.vocabulary import Tier
from indexer.wording import P_
from matcher.ledger.figures.gender import GENDER_LABELS
from matcher.ledger.figures.self_operation import Matter, ladder_label
from matcher.ledger.reports.target_standings import UNIT_LABELS
from matcher.ledger.rows.details import (
    Aspect,
    Gender,
    InternationalBasis,
    PayerType,
    ProofKind,
    Purpose,
    read_details,
)
from matcher.ledger.rows.evidence import path_of
from matcher.ledger.rows.kpis import KPI_FACTS, Kpi
from matcher.ledger.rows.result_claims import OTHER_PROGRAMME_LABELS
from matcher.ledger.rows.steps import ENDED, STATE_LABELS
from matcher.review.people import Principal

FIELD_WORDS: dict[str, str] = {
    "alliance": N_("Alliance"),
    "aspects": N_("Six aspects"),
    "basis": N_("Why it is international"),
    "case": N_("Case"),
    "company": N_("Company's id"),
    "company_name": N_("Company"),
    "contract": N_("Contract"),
    "country": N_("Country"),
    "employer": N_("Employer"),
    "gender": N_("Gender"),
    "instalment": N_("Instalment"),
    "pairing": N_("Pairing"),
    "partner": N_("Partner"),
    "partner_country": N_("Partner's country"),
    "payer": N_("Payer"),
    "payer_country": N_("Payer's country"),
    "payer_type": N_("Kind of payer"),
    "person": N_("Person (pseudonym)"),
    "post": N_("Post"),
    "programme": N_("Programme"),
    "purpose": N_("Paid for"),
    "reference": N_("Reference"),
    "start_on": N_("Starts on"),
    "proof_kind": N_("What was measured"),
    "proof_ntd": N_("Measured amount (NT$)"),
    "proof_of": N_("Of what, by whom and when"),
    "startup_name": N_("Startup"),
    "tax_id": N_("Tax id (統一編號)"),
    "tier": N_("Membership"),
    "title": N_("Name of the case"),
    "year": N_("Year"),
}
"""The label of every field that details of any figure have, but `kpi`."""
_ENTRY_WORDS: dict[str, str] = {
    "amount": N_("Amount"),
    "counts_on": N_("Falls due on"),
    "occurred_on": N_("Happened on"),
    "party": N_("Other party"),
    "school_id": N_("School"),
    "shares": N_("Shares"),
    "value_added": N_("What GLORIA added"),
}
CHAIN_LABELS = {"entries": P_("result words", "entries"), "steps": P_("result words", "steps")}
"""The chains of the ledger in Chinese and English."""
PROOF_WORDS: dict[str, str] = {
    ProofKind.SALES: N_("sales"),
    ProofKind.PROFIT: N_("profit"),
    ProofKind.SAVED_COST: N_("saved cost"),
    ProofKind.NEW_INDUSTRY: N_("a new industry"),
    ProofKind.NEW_MARKET: N_("a new market"),
}
"""What a model case may be measured by."""
CODE_WORDS: dict[str, dict[str, str]] = {
    "payer_type": {
        PayerType.COMPANY: N_("company"),
        PayerType.INDUSTRY_BODY: N_("industry association"),
        PayerType.PUBLIC_BODY: N_("public body"),
        PayerType.OTHER: N_("other"),
    },
    "purpose": {
        Purpose.RESEARCH: N_("research and development"),
        Purpose.LICENSING: N_("licensing"),
        Purpose.FACILITY: N_("facility"),
        Purpose.TRAINING: N_("training"),
        Purpose.MEMBERSHIP: N_("membership fee"),
        Purpose.DONATION: N_("donation"),
        Purpose.OTHER: N_("other"),
    },
    "basis": {
        InternationalBasis.FOREIGN_PARTNER: N_("the partner is foreign"),
        InternationalBasis.DOMESTIC_AT_INTERNATIONAL_EVENT: N_("a domestic case born at an international event"),
    },
    "gender": {gender.value: GENDER_LABELS[gender].en for gender in Gender},
    "proof_kind": PROOF_WORDS,
    "tier": {
        Tier.NONE: N_("no member"),
        Tier.DOMESTIC: N_("domestic member"),
        Tier.INTERNATIONAL: N_("international member"),
        Tier.GOLD: N_("international gold member"),
    },
}
"""What the codes of closed lists mean, by field."""
ASPECT_WORDS: dict[str, str] = {
    Aspect.COMMERCIAL_USE: N_("Research put to commercial use"),
    Aspect.INTERNATIONAL: N_("International ties"),
    Aspect.CAPACITY: N_("Capacity and progress"),
    Aspect.SELF_OPERATION: N_("Plan and progress of self-operation"),
    Aspect.INDUSTRY_LEAD: N_("Breakthroughs that lead industry"),
    Aspect.INTEGRATION: N_("Cooperation and founding in one mechanism"),
}
"""The six aspects of a model case, in the plan's words."""
_COUNTRY_FIELDS = ("country", "partner_country", "payer_country")
_ZH, _EN = Locale("zh", territory="TW", script="Hant"), Locale("en")
_GENDER_ZH = {gender.value: GENDER_LABELS[gender].zh for gender in Gender}


@dataclass(frozen=True)
class DetailInWords:
    """One field of a result: its label, and its value as it is written, as a code's words, or as a day.

    `field` is the field's own name; `words` is a text of the catalogue if the value is a code.
    """

    field: str
    label: str
    value: Any
    words: str | None = None
    zh: str | None = None


def field_label(field: str) -> str:
    """Return the label of a field of an entry or of its details; of another one, its name."""
    return _ENTRY_WORDS.get(field) or FIELD_WORDS.get(field, field)


def said_of(details: Mapping[str, Any]) -> list[DetailInWords]:
    """Return the fields of a result that have a value, those of the six aspects one by one."""
    found: list[DetailInWords] = []
    for name, value in details.items():
        if name == "kpi" or value is None:
            continue
        if name == "aspects" and isinstance(value, Mapping):
            found += [
                DetailInWords(f"aspects.{a}", ASPECT_WORDS.get(str(a), str(a)), text) for a, text in value.items()
            ]
            continue
        words = CODE_WORDS.get(name, {}).get(value) if isinstance(value, str) else None
        zh = _GENDER_ZH.get(value) if name == "gender" and isinstance(value, str) else None
        if name in _COUNTRY_FIELDS:
            zh, words = (locale.territories.get(value, value) for locale in (_ZH, _EN))
        found.append(DetailInWords(name, FIELD_WORDS.get(name, name), value, words, zh))
    return found


LABELS: Mapping[str, Mapping[str, tuple[str, str]]] = {
    "kpi": {one.value: ladder_label(one).both for one in (*KPI_FACTS, *Matter)},
    "unit": {unit.value: label.both for unit, label in UNIT_LABELS.items()},
    "state": {state.value: label.both for state, label in STATE_LABELS.items()},
    "programme": {programme.value: label.both for programme, label in OTHER_PROGRAMME_LABELS.items()},
    "chain": {chain: label.both for chain, label in CHAIN_LABELS.items()},
}
"""What codes of the ledger are called, in Chinese and English."""


@dataclass(frozen=True)
class EvidenceItem:
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
class ComparedDetail:
    """One thing that two claims say, side by side."""

    label: str
    mine: DetailInWords | None
    theirs: DetailInWords | None

    @property
    def same(self) -> bool:
        """Whether both say the same; what only one says differs."""
        if self.mine is None or self.theirs is None:
            return False
        return bool(self.mine.value == self.theirs.value)


@dataclass(frozen=True)
class SimilarEntry:
    """A claim that an entry resembles, with what both say."""

    document: Mapping[str, Any]
    rows: list[ComparedDetail]


def entry_view(visit: Visit, entry_id: str) -> dict[str, Any]:
    """Return what a page shows of an entry, as far as the reader may see it."""
    entry = visit.document(read_entry, entry_id=entry_id)
    parts = _instalments(visit, entry)
    home = visit.request.app.state.home

    def named(session: Session, who: Principal) -> MentionedNames:
        return mentioned_names(session, entry, parts)

    return {
        "entry": entry,
        "labels": LABELS,
        "aspects": ASPECT_WORDS,
        "fields": said_of(entry["details"]),
        "proofs": [_evidence_item(home, item, added) for item, added in _items(entry)],
        "events": sorted(_events(entry), key=lambda event: event.at),
        "likenesses": [_similar_entry(entry, one) for one in entry["similar"]],
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


def _evidence_item(home: Any, item: Mapping[str, str], added: bool) -> EvidenceItem:
    digest = item.get("sha256")
    facts = None if digest is None else facts_of(path_of(home, digest))
    return EvidenceItem(item.get("name", ""), item.get("url"), digest, facts, added)


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


def _similar_entry(entry: Mapping[str, Any], one: Mapping[str, Any]) -> SimilarEntry:
    other, claim = one["entry"], one["claim"]
    if other is not None and "details" in other:
        return SimilarEntry(one, list(_compared(_claims_of(entry), _claims_of(other))))
    if claim is not None and "party" in claim:
        mine = [DetailInWords("party", field_label("party"), read_details(Kpi(entry["kpi"]), entry["details"]).party())]
        theirs = [DetailInWords("party", field_label("party"), claim["party"])]
        mine += [DetailInWords(name, field_label(name), entry[name]) for name in ("amount", "occurred_on")]
        theirs += [
            DetailInWords(name, field_label(name), claim[name]) for name in ("amount", "occurred_on") if claim[name]
        ]
        return SimilarEntry(one, list(_compared(mine, theirs)))
    return SimilarEntry(one, [])


def _claims_of(entry: Mapping[str, Any]) -> list[DetailInWords]:
    plain = [
        DetailInWords(name, field_label(name), entry[name])
        for name in ("amount", "occurred_on", "counts_on", "school_id", "shares", "value_added")
    ]
    return [*said_of(entry["details"]), *plain]


def _compared(mine: list[DetailInWords], theirs: list[DetailInWords]) -> Iterator[ComparedDetail]:
    own = {said.field: said for said in mine}
    other = {said.field: said for said in theirs}
    for name in dict.fromkeys([*own, *other]):
        label = (own.get(name) or other[name]).label
        yield ComparedDetail(label, own.get(name), other.get(name))


router = APIRouter(prefix="/results", include_in_schema=False, route_class=ThreadedRoute)


@router.get("/{entry_id}")
def show_result(entry_id: EntryId, visit: Annotated[Visit, Depends(visiting(Resource.ENTRY, Action.READ))]) -> Response:
    """Show the page of an entry."""
    return visit.show("results/entry.html", **entry_view(visit, entry_id))
