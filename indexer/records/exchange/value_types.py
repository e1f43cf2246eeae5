"""What a value of a record may be, as a type for each sort of value: ids, names, prose, days, money, terms, lists.

In: a value as JSON, a form or a cell gave it. Out: the value as it is stored, or what would be right. It exists so
that the same sort of value is read the same way in every kind of record.
"""

from __future__ import annotations

from datetime import date
from functools import partial
from typing import Annotated, Any, TypeAlias

from pydantic import AfterValidator, BeforeValidator

from indexer.records import values as v
from indexer.records.field_notes import Cell, Shape
from indexer.vocabulary import (
    EVIDENCE_ID_LENGTH_MAX,
    AllianceKind,
    AskKind,
    Confidentiality,
    EvidenceKind,
    Prominence,
    Region,
    ResearchField,
    Size,
    Tier,
)
from indexer.wording import T_


def _without_repeats(words: list[Any]) -> list[Any]:
    return list(dict.fromkeys(words))


Listed = BeforeValidator(v.items)
Once = AfterValidator(_without_repeats)

AsWords, AsTexts = Shape(Cell.WORDS), Shape(Cell.TEXTS)

Id: TypeAlias = Annotated[str, BeforeValidator(v.identifier)]
EvidenceId: TypeAlias = Annotated[str, BeforeValidator(partial(v.identifier, max_chars=EVIDENCE_ID_LENGTH_MAX))]
Name: TypeAlias = Annotated[str, BeforeValidator(v.text(1_000))]
Title: TypeAlias = Annotated[Name, Shape(wide=True)]
Short: TypeAlias = Annotated[str, BeforeValidator(v.text(200))]
Prose: TypeAlias = Annotated[str, BeforeValidator(v.text(50_000, multiline=True)), Shape(wide=True)]
Remark: TypeAlias = Annotated[str, BeforeValidator(v.text(1_000, multiline=True)), Shape(wide=True)]
Year: TypeAlias = Annotated[int, BeforeValidator(v.year)]
Day: TypeAlias = Annotated[date, BeforeValidator(v.day)]
Money: TypeAlias = Annotated[int, BeforeValidator(v.money)]
Capacity: TypeAlias = Annotated[int, BeforeValidator(v.capacity)]
Weight: TypeAlias = Annotated[float, BeforeValidator(v.weight)]
Country: TypeAlias = Annotated[str, BeforeValidator(v.country)]
RegionTerm: TypeAlias = Annotated[str, BeforeValidator(v.term(Region, T_("a region"))), Shape(terms=Region)]
SizeTerm: TypeAlias = Annotated[str, BeforeValidator(v.term(Size, T_("a size"))), Shape(terms=Size)]
TierTerm: TypeAlias = Annotated[str, BeforeValidator(v.term(Tier, T_("a tier"))), Shape(terms=Tier)]
ProminenceTerm: TypeAlias = Annotated[
    str, BeforeValidator(v.term(Prominence, T_("a prominence"))), Shape(terms=Prominence)
]
ConfidentialityTerm: TypeAlias = Annotated[
    str, BeforeValidator(v.term(Confidentiality, T_("a degree of confidentiality"))), Shape(terms=Confidentiality)
]
AllianceKindTerm: TypeAlias = Annotated[
    str, BeforeValidator(v.term(AllianceKind, T_("a kind of alliance"))), Shape(terms=AllianceKind)
]
EvidenceKindTerm: TypeAlias = Annotated[
    str, BeforeValidator(v.term(EvidenceKind, T_("an evidence kind"))), Shape(terms=EvidenceKind)
]
AskKindTerm: TypeAlias = Annotated[str, BeforeValidator(v.term(AskKind, T_("an ask kind"))), Shape(terms=AskKind)]
FieldTerm: TypeAlias = Annotated[str, BeforeValidator(v.term(ResearchField, T_("a field"))), Shape(terms=ResearchField)]
Names: TypeAlias = Annotated[list[Name], Listed, Once, AsTexts]
Keywords: TypeAlias = Annotated[list[Short], Listed, Once, AsWords]
Ids: TypeAlias = Annotated[list[Id], Listed, Once, AsWords]
Links: TypeAlias = Annotated[list[Annotated[str, BeforeValidator(v.link)]], Listed, Once, AsTexts]
MailAddress: TypeAlias = Annotated[str, BeforeValidator(v.mail_address)]
Phone: TypeAlias = Annotated[str, BeforeValidator(v.phone)]
Other: TypeAlias = Annotated[dict[str, str], BeforeValidator(v.other)]
"""What a file says of a record beside our fields, by its own headings."""
Languages: TypeAlias = Annotated[list[Annotated[str, BeforeValidator(v.language)]], Listed, Once, AsWords]
Offers: TypeAlias = Annotated[list[AskKindTerm], Listed, Once, Shape(Cell.WORDS, AskKind)]
Fields: TypeAlias = Annotated[list[FieldTerm], Listed, Once, Shape(Cell.WORDS, ResearchField)]
