"""What the fields of a result are called, figure by figure, and what their codes mean.

In: the details of an entry. Out: pairs of a label and words, in the order in
which `matcher.ledger.details` asks for them. It exists as the one table of
these words; a test finds a field that has none.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from babel import Locale

from api.pages.wording import N_
from indexer.vocabulary import Tier
from indexer.wording import P_
from matcher.ledger.details import Aspect, Gender, InternationalBasis, PayerType, Purpose
from matcher.ledger.gender import GENDER_LABELS

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
class Said:
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


def said_of(details: Mapping[str, Any]) -> list[Said]:
    """Return the fields of a result that have a value, those of the six aspects one by one."""
    found: list[Said] = []
    for name, value in details.items():
        if name == "kpi" or value is None:
            continue
        if name == "aspects" and isinstance(value, Mapping):
            found += [Said(f"aspects.{a}", ASPECT_WORDS.get(str(a), str(a)), text) for a, text in value.items()]
            continue
        words = CODE_WORDS.get(name, {}).get(value) if isinstance(value, str) else None
        zh = _GENDER_ZH.get(value) if name == "gender" and isinstance(value, str) else None
        if name in _COUNTRY_FIELDS:
            zh, words = (locale.territories.get(value, value) for locale in (_ZH, _EN))
        found.append(Said(name, FIELD_WORDS.get(name, name), value, words, zh))
    return found
