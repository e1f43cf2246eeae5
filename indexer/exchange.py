"""The exchange format: what one record of each kind may hold.

In: one JSON object, or one flat row already split into values. Out: a typed,
checked record, or pydantic's `ValidationError` around `FieldError`s. It exists so that JSON Lines, CSV, XLSX and
the web all accept the same things and complain in the same words.

Only `id` is required. Null, an empty text and a missing field are the same. A
bad evidence item or ask costs only that item; any other bad field costs the row.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Annotated, Any, Self, TypeAlias

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator
from stdnum.tw import ubn

from indexer import values as v
from indexer.plain_text import shown
from indexer.values import FieldError
from indexer.vocabulary import (
    MAX_EVIDENCE_ID,
    AllianceKind,
    AskKind,
    Confidentiality,
    EvidenceKind,
    Kind,
    Prominence,
    Region,
    ResearchField,
    Size,
    Tier,
)
from indexer.wording import T_


def _evidence_id(value: object) -> str:
    return v.identifier(value, MAX_EVIDENCE_ID)


def _unique(words: list[Any]) -> list[Any]:
    return list(dict.fromkeys(words))


_list = BeforeValidator(v.items)
_once = AfterValidator(_unique)

Id: TypeAlias = Annotated[str, BeforeValidator(v.identifier)]
Name: TypeAlias = Annotated[str, BeforeValidator(v.text(1_000))]
Short: TypeAlias = Annotated[str, BeforeValidator(v.text(200))]
Prose: TypeAlias = Annotated[str, BeforeValidator(v.text(50_000, multiline=True))]
Year: TypeAlias = Annotated[int, BeforeValidator(v.year)]
Day: TypeAlias = Annotated[date, BeforeValidator(v.day)]
RegionTerm: TypeAlias = Annotated[str, BeforeValidator(v.term(Region, T_("a region")))]
Names: TypeAlias = Annotated[list[Name], _list, _once]
Keywords: TypeAlias = Annotated[list[Short], _list, _once]
Ids: TypeAlias = Annotated[list[Id], _list, _once]
Links: TypeAlias = Annotated[list[Annotated[str, BeforeValidator(v.link)]], _list, _once]
Languages: TypeAlias = Annotated[list[Annotated[str, BeforeValidator(v.language)]], _list, _once]
AskKindTerm: TypeAlias = Annotated[str, BeforeValidator(v.term(AskKind, T_("an ask kind")))]
Offers: TypeAlias = Annotated[list[AskKindTerm], _list, _once]
Fields: TypeAlias = Annotated[list[Annotated[str, BeforeValidator(v.term(ResearchField, T_("a field")))]], _list, _once]


class _Record(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)

    @model_validator(mode="before")
    @classmethod
    def _without_blanks(cls, given: Any) -> Any:
        if not isinstance(given, Mapping):
            raise FieldError(T_("%(given)s is not an object", given=shown(given)), T_('give one such as {"id": …}'))
        return {key: value for key, value in given.items() if not v.is_blank(value)}


class _Named(_Record):
    """A record whose name falls back to its English name, then to its id."""

    id: Id
    name: Name = ""
    name_en: Name = ""

    @model_validator(mode="after")
    def _with_name(self) -> Self:
        return self if self.name else self.model_copy(update={"name": self.name_en or self.id})


def _ordered(since: date | None, until: date | None) -> None:
    if since and until and until < since:
        raise FieldError(
            T_("%(until)s is before %(since)s", until=until, since=since),
            T_("give an end on or after the beginning"),
            "until",
        )


class EvidenceIn(_Record):
    """A paper, patent, project, technology or thesis. `id` falls back to `<lab>#<n>`, n from 1."""

    id: Annotated[str, BeforeValidator(_evidence_id)]
    kind: Annotated[str, BeforeValidator(v.term(EvidenceKind, T_("an evidence kind")))] = EvidenceKind.PAPER.value
    title: Name = ""
    abstract: Prose = ""
    year: Year | None = None
    weight: Annotated[float, BeforeValidator(v.weight)] = 1.0

    @model_validator(mode="after")
    def _says_something(self) -> EvidenceIn:
        if not self.title and not self.abstract:
            raise FieldError(T_("neither title nor abstract is given"), T_("give at least one"), "title")
        return self


class LabIn(_Named):
    """A researcher's profile; `evidence` None leaves what is stored as it is, a list replaces it."""

    pi: Short = ""
    school: Name | None = None
    fields: Fields = Field(default_factory=list)
    summary: Prose = ""
    summary_en: Prose = ""
    keywords: Keywords = Field(default_factory=list)
    offers: Offers = Field(default_factory=list)
    will_not_do: Names = Field(default_factory=list)
    capacity: Annotated[int, BeforeValidator(v.capacity)] | None = None
    languages: Languages = Field(default_factory=list)
    conflicts: Names = Field(default_factory=list)
    links: Links = Field(default_factory=list)
    evidence: list[EvidenceIn] | None = None


class AskIn(_Record):
    """One thing that a need asks for."""

    kind: AskKindTerm
    text: Prose


class NeedIn(_Record):
    """What a company, or a school, looks for; confidential unless it says otherwise."""

    id: Id
    company: Name | None = None
    school: Name | None = None
    title: Name = ""
    description: Prose = ""
    asks: list[AskIn] = Field(default_factory=list)
    fields: Fields = Field(default_factory=list)
    budget_ntd: Annotated[int, BeforeValidator(v.money)] | None = None
    deadline: Day | None = None
    confidentiality: Annotated[str, BeforeValidator(v.term(Confidentiality, T_("a degree of confidentiality")))] = (
        Confidentiality.CONFIDENTIAL.value
    )
    region: RegionTerm | None = None
    languages: Languages = Field(default_factory=list)
    excluded_labs: Ids = Field(default_factory=list)
    year: Year | None = None

    @model_validator(mode="after")
    def _says_something(self) -> NeedIn:
        if not self.title and not self.description:
            raise FieldError(T_("neither title nor description is given"), T_("give at least one"), "title")
        return self


class CompanyIn(_Named):
    """A firm. A Taiwanese tax_id (統一編號) must have a right check digit; lost leading zeros come back."""

    tax_id: Short | None = None
    country: Annotated[str, BeforeValidator(v.country)] = "TW"
    size: Annotated[str, BeforeValidator(v.term(Size, T_("a size")))] | None = None
    tier: Annotated[str, BeforeValidator(v.term(Tier, T_("a tier")))] = Tier.NONE.value
    fields: Fields = Field(default_factory=list)
    city: Short = ""
    description: Prose = ""

    @model_validator(mode="after")
    def _tax_id_checked(self) -> CompanyIn:
        if self.tax_id is None or self.country != "TW":
            return self
        digits = self.tax_id.zfill(8)
        if not ubn.is_valid(digits):
            right = T_("give the 8 digits of the 統一編號, or the country of a foreign company")
            raise FieldError(T_("%(tax_id)s is not a valid 統一編號", tax_id=shown(self.tax_id)), right, "tax_id")
        return self if digits == self.tax_id else self.model_copy(update={"tax_id": digits})


class SchoolIn(_Named):
    """A university; after a merger `merged_into` is the id of the school that took it in."""

    city: Short = ""
    region: RegionTerm | None = None
    prominence: Annotated[str, BeforeValidator(v.term(Prominence, T_("a prominence")))] | None = None
    kind: Short = ""
    founded: Year | None = None
    merged_into: Id | None = None
    merged_on: Day | None = None


class PartnerIn(_Record):
    """A school's time in an alliance."""

    school: Name
    since: Day | None = None
    until: Day | None = None

    @model_validator(mode="after")
    def _in_order(self) -> PartnerIn:
        _ordered(self.since, self.until)
        return self


class AllianceIn(_Named):
    """A group of schools around a center university."""

    fields: Fields = Field(default_factory=list)
    kind: Annotated[str, BeforeValidator(v.term(AllianceKind, T_("a kind of alliance")))] | None = None
    center: Name | None = None
    since: Day | None = None
    until: Day | None = None
    partners: Annotated[list[PartnerIn], _list] = Field(default_factory=list)

    @model_validator(mode="after")
    def _in_order(self) -> AllianceIn:
        _ordered(self.since, self.until)
        return self


Record: TypeAlias = LabIn | EvidenceIn | NeedIn | CompanyIn | SchoolIn | AllianceIn

MODELS: dict[Kind, type[_Record]] = {
    Kind.LABS: LabIn,
    Kind.EVIDENCE: EvidenceIn,
    Kind.NEEDS: NeedIn,
    Kind.COMPANIES: CompanyIn,
    Kind.SCHOOLS: SchoolIn,
    Kind.ALLIANCES: AllianceIn,
}
