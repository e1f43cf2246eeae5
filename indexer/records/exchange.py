"""The exchange format: what one record of each kind may hold, and what was wrong with a row that does not.

In: one JSON object, or one flat row already split into values. Out: a typed, checked record (or None) and the
faults, as values. It exists so that JSON Lines, CSV, XLSX and the web all accept the same things and complain in
the same words, and because a file with one bad row must neither stop the import nor lose its good rows: a fault is
something to report, not an exception.

Only `id` is required. Null and an empty text are the same; a missing field is one that the record says nothing of. A
bad evidence item or ask costs only that item. Of a form or a body every other bad field costs the whole; of a file
(`lenient`) it costs itself, as a warning, unless the record would be another one, or less protected, without it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from enum import StrEnum
from hashlib import sha256
from typing import Annotated, Any, Literal, Self, TypeAlias

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    model_validator,
)
from pydantic.fields import FieldInfo
from stdnum.tw import ubn

from indexer.plain_text import TextError, printable, shown
from indexer.records import values as v
from indexer.records.field_notes import Audience, Cell, FieldNote, Question, Shape, Widget
from indexer.records.values import FieldError, identifier, is_blank
from indexer.vocabulary import (
    EVIDENCE_ID_LENGTH_MAX,
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
    choices,
)
from indexer.wording import P_, T_, Text, either, recognised


def _evidence_id(value: object) -> str:
    return v.identifier(value, EVIDENCE_ID_LENGTH_MAX)


def _unique(words: list[Any]) -> list[Any]:
    return list(dict.fromkeys(words))


_list = BeforeValidator(v.items)
_once = AfterValidator(_unique)

_words, _texts = Shape(Cell.WORDS), Shape(Cell.TEXTS)

Id: TypeAlias = Annotated[str, BeforeValidator(v.identifier)]
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
Names: TypeAlias = Annotated[list[Name], _list, _once, _texts]
Keywords: TypeAlias = Annotated[list[Short], _list, _once, _words]
Ids: TypeAlias = Annotated[list[Id], _list, _once, _words]
Links: TypeAlias = Annotated[list[Annotated[str, BeforeValidator(v.link)]], _list, _once, _texts]
Other: TypeAlias = Annotated[dict[str, str], BeforeValidator(v.other)]
"""What a file says of a record beside our fields, by its own headings."""
Languages: TypeAlias = Annotated[list[Annotated[str, BeforeValidator(v.language)]], _list, _once, _words]
Offers: TypeAlias = Annotated[list[AskKindTerm], _list, _once, Shape(Cell.WORDS, AskKind)]
Fields: TypeAlias = Annotated[list[FieldTerm], _list, _once, Shape(Cell.WORDS, ResearchField)]

_SEPARATE = T_("Separate with ; or line breaks.")
_DATE = T_("2019-08-31 or 民國108年8月31日.")
_LONG = T_("Up to 50,000 characters.")
_CODES = T_("Codes such as zh, en; separated by commas.")
_ASK_KINDS, _FIELDS = choices(AskKind), choices(ResearchField)
_EVERYBODY, _INTRODUCED, _INSIDE = Audience.EVERYBODY, Audience.INTRODUCED, Audience.INSIDE


def _separated(text: Text) -> Text:
    return T_("%(text)s %(separate)s", text=text, separate=_SEPARATE)


def _one_of(terms: type[StrEnum], empty: Text | None = None) -> Text:
    known = choices(terms)
    return T_("%(known)s. %(empty)s", known=known, empty=empty) if empty else either(known, known)


def _id(example: str) -> FieldNote:
    write = T_("Required. 1 to 200 characters, no blanks.")
    return FieldNote(T_("Id"), write, example, _EVERYBODY)


def _name(example: str, body: FieldInfo | None = None, question: Question | None = None) -> FieldNote:
    write = T_("Falls back to name_en, then id.")
    return FieldNote(P_("field", "Name"), write, example, body=body, question=question)


def _name_en(example: str, body: FieldInfo | None = None, question: Question | None = None) -> FieldNote:
    return FieldNote(T_("English name"), T_("Name in English."), example, body=body, question=question)


def _research_fields(example: str, body: FieldInfo | None = None, question: Question | None = None) -> FieldNote:
    write = _separated(T_("%(fields)s.", fields=_FIELDS))
    return FieldNote(P_("field", "Research field"), write, example, _EVERYBODY, body, question)


def _languages(example: str, body: FieldInfo, question: Question) -> FieldNote:
    write = _separated(T_("zh, en, ja …"))
    return FieldNote(P_("field", "Working language"), write, example, _EVERYBODY, body, question)


def _region(body: FieldInfo | None = None, question: Question | None = None) -> FieldNote:
    return FieldNote(T_("Region"), _one_of(Region), "central", _EVERYBODY, body, question)


def _waits(info: ValidationInfo, *names: str) -> bool:
    """Whether a rule over several fields waits: not all of these are given, and something may be stored."""
    given = info.context.get("given") if info.context else None
    return given is not None and not all(name in given for name in names)


class _Record(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)

    @model_validator(mode="before")
    @classmethod
    def _without_blanks(cls, given: Any) -> Any:
        if not isinstance(given, Mapping):
            raise FieldError(T_("%(given)s is not an object", given=shown(given)), T_('give one such as {"id": …}'))
        return {key: value for key, value in given.items() if not v.is_blank(value)}


class _Named(_Record):
    """A record whose name falls back to its English name, then to its id; each kind declares the three."""

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

    id: Annotated[
        str,
        BeforeValidator(_evidence_id),
        FieldNote(T_("Id"), T_("Empty: lab#n."), "ev-example-1"),
    ]
    kind: Annotated[
        EvidenceKindTerm,
        FieldNote(T_("Kind"), _one_of(EvidenceKind, T_("Empty: paper.")), "patent"),
    ] = EvidenceKind.PAPER.value
    title: Annotated[
        Title,
        FieldNote(
            P_("field", "Title"),
            T_("Title or abstract is required."),
            "以聲射頻譜判別葉片結冰之裝置",
        ),
    ] = ""
    abstract: Annotated[
        Prose, FieldNote(T_("Abstract"), _LONG, "於葉根貼附三枚感測片，由頻譜重心位移判別結冰厚度。")
    ] = ""
    year: Annotated[
        Year | None,
        FieldNote(
            P_("field", "Year"),
            T_("Four digits such as 2018, or 民國107年."),
            2023,
        ),
    ] = None
    doi: Annotated[
        Annotated[str, BeforeValidator(v.doi)] | None,
        FieldNote(T_("DOI"), T_("Such as 10.1000/182: whether two are one work."), "10.5555/rime.2023.14"),
    ] = None
    weight: Annotated[
        Weight,
        FieldNote(
            T_("Weight"),
            T_("0 to 10; 1 is usual, more for what represents the lab."),
            2,
        ),
    ] = 1.0

    @model_validator(mode="after")
    def _says_something(self) -> EvidenceIn:
        if not self.title and not self.abstract:
            raise FieldError(T_("neither title nor abstract is given"), T_("give at least one"), "title")
        return self


class LabIn(_Named):
    """A researcher's profile; `evidence` None leaves what is stored as it is, a list replaces it."""

    id: Annotated[Id, _id("lab-example-1")]
    name: Annotated[
        Name,
        _name(
            "霧凇感測實驗室",
            body=Field(default=None, examples=["表面工程實驗室"]),
            question=Question("profile", Widget.LINE, T_("Name of the lab"), max_chars=200),
        ),
    ] = ""
    name_en: Annotated[
        Name,
        _name_en(
            "Rime Sensing Laboratory",
            body=Field(default=None, examples=["Surface Engineering Lab"]),
            question=Question("profile", Widget.LINE, T_("English name, if that is another"), max_chars=200),
        ),
    ] = ""
    pi: Annotated[Short, FieldNote(T_("Head"), T_("Principal investigator."), "藺若川")] = ""
    orcid: Annotated[
        Annotated[str, BeforeValidator(v.orcid)] | None,
        FieldNote(T_("ORCID iD"), T_("Of the head; its check digit is checked."), "0000-0001-2345-6789"),
    ] = None
    school: Annotated[
        Name | None,
        FieldNote(T_("School"), T_("School id or name."), "school-example-1"),
    ] = None
    fields: Annotated[Fields, _research_fields("綠能科技；智慧製造")] = Field(default_factory=list)
    summary: Annotated[
        Prose,
        FieldNote(
            T_("Summary"),
            _LONG,
            "研究風機葉片結冰的早期偵測與除冰。",
            body=Field(default=None, examples=["研究碳化矽基板的化學機械拋光。"]),
            question=Question(
                "profile",
                Widget.PROSE,
                P_("field", "Summary"),
                hint=T_("What the lab can do for a company, in its own words. This is read and searched."),
                rows=5,
            ),
        ),
    ] = ""
    summary_en: Annotated[
        Prose,
        FieldNote(
            T_("English summary"),
            _LONG,
            "Early detection of ice on wind blades.",
            body=Field(default=None, examples=["Chemical mechanical polishing of silicon carbide wafers."]),
            question=Question(
                "profile",
                Widget.PROSE,
                T_("English summary, if the summary is in Chinese"),
                rows=5,
            ),
        ),
    ] = ""
    keywords: Annotated[
        Keywords,
        FieldNote(
            T_("Keywords"),
            _SEPARATE,
            "葉片結冰；聲射；除冰",
            body=Field(default=None, max_length=1_000, examples=[["碳化矽", "CMP"]]),
            question=Question("profile", Widget.WORDS, T_("Keywords"), hint=T_("Separated by commas.")),
        ),
    ] = Field(default_factory=list)
    offers: Annotated[
        Offers,
        FieldNote(
            P_("field", "Offers"),
            _separated(T_("%(kinds)s. Empty: not stated.", kinds=_ASK_KINDS)),
            "technology；facility",
            body=Field(default=None, max_length=20, examples=[["technology"]]),
            question=Question("profile", Widget.CHECKBOXES, T_("What you offer")),
        ),
    ] = Field(default_factory=list)
    will_not_do: Annotated[
        Names,
        FieldNote(
            T_("Will not do"),
            _separated(T_("Short texts.")),
            "不接受獨家買斷",
            body=Field(default=None, max_length=1_000, examples=[["軍事用途"]]),
            question=Question(
                "profile",
                Widget.LINES,
                T_("What you will not do"),
                hint=T_("One thing on each line. Experts see it, companies do not."),
                rows=3,
            ),
        ),
    ] = Field(default_factory=list)
    capacity: Annotated[
        Capacity | None,
        FieldNote(
            P_("field", "Capacity"),
            T_("How many more projects; 0 is none, empty is not stated."),
            2,
            body=Field(default=None, ge=0, le=1_000, examples=[2]),
            question=Question(
                "profile",
                Widget.COUNT,
                T_("How many more cooperations you can take on"),
                hint=T_("0 takes the lab out of all rankings; empty means that you do not say."),
            ),
        ),
    ] = None
    languages: Annotated[
        Languages,
        _languages(
            "zh；en",
            body=Field(default=None, max_length=50, examples=[["zh", "en"]]),
            question=Question("profile", Widget.WORDS, T_("Working languages"), hint=_CODES),
        ),
    ] = Field(default_factory=list)
    conflicts: Annotated[
        Names,
        FieldNote(
            T_("Conflicts of interest"),
            _separated(T_("Company ids or names never to be matched.")),
        ),
    ] = Field(default_factory=list)
    links: Annotated[
        Links,
        FieldNote(P_("field", "Links"), _separated(T_("https:// addresses.")), "https://rime.example.edu.tw"),
    ] = Field(default_factory=list)
    evidence: list[EvidenceIn] | None = None
    other: Other = Field(default_factory=dict)


class AskIn(_Record):
    """One thing that a need asks for."""

    kind: AskKindTerm
    text: Prose


class NeedIn(_Record):
    """What a company, or a school, looks for; confidential unless it says otherwise."""

    id: Annotated[Id, _id("need-example-1")]
    company: Annotated[
        Name | None,
        FieldNote(T_("Company"), T_("Company id or name."), "company-example-1", _EVERYBODY),
    ] = None
    school: Annotated[
        Name | None,
        FieldNote(
            T_("School"),
            T_("School id, when the need comes from a school."),
            audience=_EVERYBODY,
        ),
    ] = None
    title: Annotated[
        Title,
        FieldNote(
            P_("field", "Title"),
            T_("Title or description is required."),
            "冬季風機因葉片結冰停機",
            _INTRODUCED,
            body=Field(default=None, examples=["碳化矽基板拋光太慢"]),
            question=Question(
                "about",
                Widget.LINE,
                T_("Title"),
                hint=T_("One line that an expert understands without the rest."),
                max_chars=500,
                required=True,
            ),
        ),
    ] = ""
    description: Annotated[
        Prose,
        FieldNote(
            T_("Description"),
            T_("Situation, what was tried, figures."),
            "高山風場每年因結冰停機約二十天，希望提早半小時知道。",
            _INTRODUCED,
            body=Field(default=None, examples=["矽面每小時只磨得到 0.6 微米,客戶要求 1.5。"]),
            question=Question(
                "about",
                Widget.PROSE,
                T_("Description"),
                hint=T_("What happens today, what should happen instead, what you have tried. Numbers help."),
                rows=8,
                max_chars=20_000,
            ),
        ),
    ] = ""
    asks: Annotated[
        list[AskIn],
        Shape(Cell.ASKS, wide=True),
        FieldNote(
            T_("Asks"),
            T_("One a line, as kind: text. Kinds: %(kinds)s.", kinds=_ASK_KINDS),
            "technology: 能裝在現有葉片上的結冰偵測\n人才：兩名實習生協助現場量測",
            _INTRODUCED,
            body=Field(
                default=None,
                max_length=200,
                examples=[[{"kind": "technology", "text": "提高移除率又不留刮傷的拋光液配方"}]],
            ),
            question=Question("asks", Widget.ASKS, T_("What you ask for")),
        ),
    ] = Field(default_factory=list)
    fields: Annotated[
        Fields,
        _research_fields(
            "綠能科技",
            body=Field(default=None, max_length=20, examples=[["半導體"]]),
            question=Question("limits", Widget.CHECKBOXES, T_("Research fields")),
        ),
    ] = Field(default_factory=list)
    budget_ntd: Annotated[
        Money | None,
        FieldNote(
            T_("Budget"),
            T_("NTD, whole dollars."),
            2400000,
            _INSIDE,
            body=Field(default=None, ge=0, le=10**15, examples=[2_400_000]),
            question=Question(
                "limits",
                Widget.AMOUNT,
                T_("Budget in New Taiwan dollars"),
                hint=T_("Labs do not see it."),
            ),
        ),
    ] = None
    deadline: Annotated[
        Day | None,
        FieldNote(
            T_("Deadline"),
            _DATE,
            "2027-06-30",
            _INTRODUCED,
            body=Field(default=None, examples=["2027-06-30"]),
            question=Question("limits", Widget.DAY, T_("Needed by")),
        ),
    ] = None
    confidentiality: Annotated[
        ConfidentialityTerm,
        FieldNote(
            T_("Confidentiality"),
            _one_of(Confidentiality, T_("Empty: confidential.")),
            "alliance",
            _EVERYBODY,
            body=Field(default=None, examples=["confidential"]),
            question=Question("readers", Widget.RADIO, T_("Who will read it")),
        ),
    ] = Confidentiality.CONFIDENTIAL.value
    confidential_reason: Annotated[
        Remark | None,
        FieldNote(
            T_("Reason for confidentiality"),
            T_("Why it is confidential; up to 1,000 characters."),
            "涉及尚未公告的機組",
            _INSIDE,
            body=Field(default=None, max_length=1_000, examples=["與現有客戶簽有保密協定"]),
            question=Question(
                "readers",
                Widget.PROSE,
                T_("Why it is confidential, if you want to say so"),
                hint=T_("For the experts who work on it. Labs do not see it."),
                rows=3,
                max_chars=1_000,
            ),
        ),
    ] = None
    region: Annotated[
        RegionTerm | None,
        _region(
            body=Field(default=None, examples=["central"]),
            question=Question("limits", Widget.CHOICE, T_("Labs preferably from"), empty=T_("anywhere")),
        ),
    ] = None
    languages: Annotated[
        Languages,
        _languages(
            "zh",
            body=Field(default=None, max_length=20, examples=[["zh"]]),
            question=Question("limits", Widget.WORDS, T_("Languages you can work in"), hint=_CODES),
        ),
    ] = Field(default_factory=list)
    excluded_labs: Annotated[
        Ids,
        FieldNote(
            T_("Excluded labs"),
            _separated(T_("Lab ids never to be shown.")),
            audience=_INSIDE,
            body=Field(default=None, max_length=1_000, examples=[["lab-1-02"]]),
            question=Question(
                "limits",
                Widget.WORDS,
                T_("Labs that must not hear of it"),
                hint=T_("Their names or ids, separated by commas. They never appear among the candidates."),
            ),
        ),
    ] = Field(default_factory=list)
    year: Annotated[Year | None, FieldNote(P_("field", "Year"), T_("Year of the need."), 2026, _EVERYBODY)] = None
    other: Other = Field(default_factory=dict)

    @model_validator(mode="after")
    def _says_something(self, info: ValidationInfo) -> NeedIn:
        if not self.title and not self.description and not _waits(info, "title", "description"):
            raise FieldError(T_("neither title nor description is given"), T_("give at least one"), "title")
        return self


class CompanyIn(_Named):
    """A firm. A Taiwanese tax_id (統一編號) must have a right check digit; lost leading zeros come back."""

    id: Annotated[Id, _id("company-example-1")]
    name: Annotated[Name, _name("嶺風電力股份有限公司")] = ""
    name_en: Annotated[Name, _name_en("Ridgewind Power Co., Ltd.")] = ""
    tax_id: Annotated[
        Short | None,
        FieldNote(T_("Tax id"), T_("Checked when the country is TW."), "00000016"),
    ] = None
    country: Annotated[Country, FieldNote(T_("Country"), T_("Two letters; empty: TW."), "TW")] = "TW"
    size: Annotated[SizeTerm | None, FieldNote(T_("Size"), _one_of(Size), "medium")] = None
    tier: Annotated[
        TierTerm,
        FieldNote(T_("Membership"), _one_of(Tier, T_("Empty: none.")), "domestic"),
    ] = Tier.NONE.value
    fields: Annotated[Fields, _research_fields("綠能科技")] = Field(default_factory=list)
    city: Annotated[Short, FieldNote(T_("City"), T_("City or county."), "南投縣")] = ""
    description: Annotated[Prose, FieldNote(T_("Description"), T_("What the firm does."), "經營三座高山風場。")] = ""
    other: Other = Field(default_factory=dict)

    @model_validator(mode="after")
    def _tax_id_checked(self, info: ValidationInfo) -> CompanyIn:
        if self.tax_id is None or self.country != "TW" or _waits(info, "country"):
            return self
        digits = self.tax_id.zfill(8)
        if not ubn.is_valid(digits):
            right = T_("give the 8 digits of the 統一編號, or the country of a foreign company")
            raise FieldError(T_("%(tax_id)s is not a valid 統一編號", tax_id=shown(self.tax_id)), right, "tax_id")
        return self if digits == self.tax_id else self.model_copy(update={"tax_id": digits})


class SchoolIn(_Named):
    """A university; after a merger `merged_into` is the id of the school that took it in."""

    id: Annotated[Id, _id("school-example-1")]
    name: Annotated[Name, _name("合歡科技大學")] = ""
    name_en: Annotated[Name, _name_en("Hehuan University of Technology")] = ""
    city: Annotated[Short, FieldNote(T_("City"), T_("City or county."), "南投縣")] = ""
    region: Annotated[RegionTerm | None, _region()] = None
    prominence: Annotated[ProminenceTerm | None, FieldNote(T_("Prominence"), _one_of(Prominence), "low")] = None
    kind: Annotated[
        Short,
        FieldNote(
            P_("field", "Kind"),
            T_("Such as public university."),
            "technological university",
        ),
    ] = ""
    founded: Annotated[
        Year | None,
        FieldNote(T_("Founded"), T_("Four digits, or 民國58年."), 1969),
    ] = None
    ror: Annotated[
        Annotated[str, BeforeValidator(v.ror)] | None,
        FieldNote(T_("ROR id"), T_("The school's id in the Research Organization Registry."), "03yrm5c26"),
    ] = None
    merged_into: Annotated[
        Id | None,
        FieldNote(T_("Merged into"), T_("Id of the school that took it in.")),
    ] = None
    merged_on: Annotated[Day | None, FieldNote(T_("Merged on"), _DATE)] = None
    other: Other = Field(default_factory=dict)


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

    id: Annotated[Id, _id("alliance-example-1")]
    name: Annotated[Name, _name("中部風能聯盟")] = ""
    name_en: Annotated[Name, _name_en("Central Wind Alliance")] = ""
    fields: Annotated[Fields, _research_fields("綠能科技")] = Field(default_factory=list)
    kind: Annotated[AllianceKindTerm | None, FieldNote(P_("alliance", "Kind"), _one_of(AllianceKind), "regional")] = (
        None
    )
    center: Annotated[
        Name | None,
        FieldNote(T_("Center"), T_("School id or name."), "school-example-1"),
    ] = None
    since: Annotated[Day | None, FieldNote(T_("Since"), _DATE, "2017-08-01")] = None
    until: Annotated[
        Day | None,
        FieldNote(P_("field", "Until"), T_("Empty while it lasts. %(date)s", date=_DATE)),
    ] = None
    partners: Annotated[
        list[PartnerIn],
        _list,
        Shape(Cell.PARTNERS, wide=True),
        FieldNote(
            T_("Partners"),
            T_("One a line: school, since, until; the dates may be left out."),
            "school-example-1 2017-08-01",
        ),
    ] = Field(default_factory=list)
    other: Other = Field(default_factory=dict)

    @model_validator(mode="after")
    def _in_order(self) -> AllianceIn:
        _ordered(self.since, self.until)
        return self


def _chinese(word: str) -> str:
    if not _HAN.search(word):
        raise FieldError(
            T_("%(word)s has no Chinese character", word=shown(word)), T_("give the Chinese words, such as 斷詞")
        )
    return word


def _english(word: str) -> str:
    if not _LATIN.search(word) or _HAN.search(word):
        raise FieldError(
            T_("%(word)s is not English", word=shown(word)),
            T_("give the English words, such as word segmentation"),
        )
    return word


_HAN, _LATIN = re.compile("[\u3400-\u9fff]"), re.compile("[A-Za-z]{2}")
_TERM_ID_LENGTH = 180


class TermIn(_Record):
    """Words that mean the same in both languages; without an id it is known by its first words and its subject."""

    id: Annotated[
        Id,
        FieldNote(T_("Id"), T_("Empty: made of the words. Keep it to correct a term."), "term-example-1", _EVERYBODY),
    ]
    en: Annotated[
        list[Annotated[Name, AfterValidator(_english)]],
        _list,
        _once,
        _texts,
        FieldNote(T_("English term"), _separated(T_("Required.")), "icing detection；ice detection"),
    ]
    zh: Annotated[
        list[Annotated[Name, AfterValidator(_chinese)]],
        _list,
        _once,
        _words,
        FieldNote(T_("Chinese term"), _separated(T_("Required, in Taiwan's words.")), "結冰偵測；結冰檢知"),
    ]
    abbreviation: Annotated[Short, FieldNote(T_("Abbreviation"), T_("Of the English term."), "IDS")] = ""
    subject: Annotated[
        Name, FieldNote(T_("Subject"), T_("Which field or which set of terms it is from."), "機械工程")
    ] = ""

    @model_validator(mode="before")
    @classmethod
    def _with_id(cls, given: Any) -> Any:
        # Sets of terms come without ids; a row's first words say best which term it is when it comes again.
        if not isinstance(given, Mapping) or not v.is_blank(given.get("id")):
            return given
        first = [_first(given.get("zh")), _first(given.get("en")), _first(given.get("subject"))]
        said = "=".join("_".join(word.split()) for word in first if word)
        if len(said) > _TERM_ID_LENGTH:
            said = said[: _TERM_ID_LENGTH - 16] + sha256(said.encode()).hexdigest()[:16]
        return {**given, "id": said} if said else given


def _first(words: object) -> str:
    one = next((word for word in words if not is_blank(word)), "") if isinstance(words, list | tuple) else words
    return printable(one) if isinstance(one, str) else ""


Record: TypeAlias = LabIn | EvidenceIn | NeedIn | CompanyIn | SchoolIn | AllianceIn | TermIn

MODELS: dict[Kind, type[_Record]] = {
    Kind.LABS: LabIn,
    Kind.EVIDENCE: EvidenceIn,
    Kind.NEEDS: NeedIn,
    Kind.COMPANIES: CompanyIn,
    Kind.SCHOOLS: SchoolIn,
    Kind.ALLIANCES: AllianceIn,
    Kind.TERMS: TermIn,
}


Severity = Literal["error", "warning"]

MAX_EVIDENCE = 5_000
MAX_ASKS = 200
_UNKNOWN_TOLD = 50
"""Names of fields nobody knows that one row is told."""
_ITEMS: dict[Kind, tuple[str, type[EvidenceIn] | type[AskIn], int]] = {
    Kind.LABS: ("evidence", EvidenceIn, MAX_EVIDENCE),
    Kind.NEEDS: ("asks", AskIn, MAX_ASKS),
}


@dataclass(frozen=True, slots=True)
class RowProblem:
    """Something to tell the user about one row; an error means that the row or an item of it was refused.

    `row` is what the user sees in an editor or a spreadsheet, 0 for the file as a whole. Elements
    of lists in `field` count from 1.
    """

    file: str
    row: int
    field: str
    wrong: str
    right: str
    severity: Severity = "error"

    def __str__(self) -> str:
        place = f"{self.file}:{self.row}" if self.row else self.file
        field = f" {self.field}" if self.field else ""
        return T_("%(place)s: %(wrong)s; %(right)s", place=place + field, wrong=self.wrong, right=self.right)


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with one field, and what would be right."""

    field: str
    wrong: str
    right: str
    severity: Severity = "error"

    def at(self, file: str, row: int) -> RowProblem:
        """Return the fault as a problem of one row of a file."""
        return RowProblem(file, row, self.field, self.wrong, self.right, self.severity)


@dataclass(slots=True)
class Checked:
    """A record, or None if the row is refused; its faults; the names of fields nobody knows.

    `given` are the fields that the record says something of, if only that they are empty.
    """

    record: Record | None = None
    faults: list[Fault] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)
    given: frozenset[str] = frozenset()


_NEEDED_WHOLE = frozenset({"id", "name", "conflicts", "excluded_labs", "will_not_do", "en", "zh"})
"""Fields whose bad value costs the record: it would be another one without it, or would protect somebody less."""


def costs_record(name: str) -> bool:
    """Whether a bad value of a field costs the whole record."""
    return name in _NEEDED_WHOLE or name == "lab"


_NARROWEST = {"confidentiality": Confidentiality.CONFIDENTIAL.value}
"""What stands in for a bad value that says who may read."""
_MOST_MENDED = 60
"""Bad values of one record that are put aside one by one; who has more has another list in mind."""


def check(kind: Kind, given: object, *, lenient: bool = False, whole: bool = True) -> Checked:
    """Check one record of the exchange format.

    Args:
        kind: what the row is; evidence rows have their `lab` taken off before.
        given: the row's values, as JSON or a flat row gave them.
        lenient: a bad value of an optional field is put aside with a warning.
        whole: otherwise rules over several fields wait until what is stored of the record is known.

    Returns:
        The record without its bad evidence items or asks, if the rest is right.
    """
    result = Checked()
    if not isinstance(given, Mapping):
        result.faults.append(
            Fault("", T_("%(given)s is not an object", given=shown(given)), T_('give one such as {"id": "lab-1"}'))
        )
        return result
    values: dict[str, Any] = dict(given)
    _note_unknown(MODELS[kind], values, "", result.unknown)
    if lenient and result.unknown and "other" in MODELS[kind].model_fields:
        _keep_unknown(MODELS[kind], values)
    if kind in _ITEMS:
        _check_items(kind, values, result, lenient=lenient)
    given_names = None if whole else frozenset(values)
    record, faults = _validated(MODELS[kind], values, "", lenient=lenient, given=given_names)
    result.faults.extend(faults)
    if record is not None and not any(fault.field == _item_field(kind) for fault in result.faults):
        result.record = record  # type: ignore[assignment]
    result.given = frozenset(values.keys() & MODELS[kind].model_fields.keys())
    return result


def _validated(
    model: type[_Record], values: Any, prefix: str, *, lenient: bool, given: frozenset[str] | None = None
) -> tuple[_Record | None, list[Fault]]:
    """Return the record and its faults; bad values that may be put aside leave `values`."""
    warned: list[Fault] = []
    for _ in range(_MOST_MENDED):
        try:
            return model.model_validate(values, context={"given": given}), warned
        except ValidationError as error:
            faults = list(_faults(error, prefix))
            details = error.errors(include_url=False, include_input=False)
        if not lenient or not isinstance(values, dict):
            return None, [*warned, *faults]
        # From the last one on, so that the places of elements before it stay.
        aside = [_put_aside(values, detail) for detail in reversed(details)][::-1]
        if not all(aside):
            return None, [*warned, *(fault for fault, done in zip(faults, aside, strict=True) if not done)]
        warned += [replace(fault, severity="warning") for fault in faults]
    return None, [*warned, *faults]


def _put_aside(values: dict[str, Any], detail: Mapping[str, Any]) -> bool:
    """Take a bad value, or a bad element of a list, out of the values; say whether that may be done."""
    loc = tuple(detail["loc"]) or (getattr(detail.get("ctx", {}).get("error"), "field", ""),)
    name = str(loc[0])
    if name in _NEEDED_WHOLE or is_blank(values.get(name)):
        return False
    if name in _NARROWEST:
        values[name] = _NARROWEST[name]
        return True
    if len(loc) > 1 and isinstance(loc[1], int) and isinstance(values[name], list | tuple):
        kept = [element for element in values[name] if not is_blank(element)]
        values[name] = kept[: loc[1]] + kept[loc[1] + 1 :]
        return True
    del values[name]
    return True


def _item_field(kind: Kind) -> str | None:
    return _ITEMS[kind][0] if kind in _ITEMS else None


def _check_items(kind: Kind, values: dict[str, Any], result: Checked, *, lenient: bool) -> None:
    """Replace the raw evidence or asks in `values` by the good ones among them."""
    name, model, most = _ITEMS[kind]
    given = values.get(name)
    if is_blank(given):
        return
    values[name] = []
    if not isinstance(given, list):
        result.faults.append(
            Fault(name, T_("%(given)s is not a list", given=shown(given)), T_("give a list of objects"))
        )
        return
    if len(given) > most:
        result.faults.append(
            Fault(
                name,
                T_("has %(elements)s elements", elements=f"{len(given):,}"),
                T_("give at most %(most)s", most=f"{most:,}"),
            )
        )
        return
    seen: dict[str, int] = {}
    for n, item in enumerate(given, start=1):
        place = f"{name}[{n}]"
        if isinstance(item, Mapping):
            _note_unknown(model, item, f"{name}.", result.unknown)
        raw = _with_id(item, values.get("id"), n) if model is EvidenceIn else item
        raw = dict(raw) if isinstance(raw, Mapping) else raw
        good, faults = _validated(model, raw, place, lenient=lenient and model is EvidenceIn)
        result.faults.extend(faults)
        if good is None:
            continue
        if isinstance(good, EvidenceIn) and (first := seen.setdefault(good.id, n)) != n:
            wrong = T_("%(id)s is already the id of %(name)s[%(first)s]", id=shown(good.id), name=name, first=first)
            result.faults.append(Fault(f"{place}.id", wrong, T_("give each its own id")))
            continue
        values[name].append(good)


def _with_id(item: object, lab: object, n: int) -> object:
    return {**item, "id": fallback_id(lab, n)} if isinstance(item, Mapping) and is_blank(item.get("id")) else item


def fallback_id(lab: object, n: int) -> str:
    """Return the id of a lab's n-th evidence item (from 1) that was given without one."""
    try:
        return f"{identifier(lab)}#{n}"
    except TextError:
        return f"#{n}"


def _note_unknown(model: type[BaseModel], given: Mapping[Any, Any], prefix: str, unknown: list[str]) -> None:
    for key in given:
        if len(unknown) >= _UNKNOWN_TOLD:
            return
        if key not in model.model_fields:
            name = prefix + printable(str(key)[:60])
            if name not in unknown:
                unknown.append(name)


def _keep_unknown(model: type[BaseModel], values: dict[str, Any]) -> None:
    """Move what is not ours under `other`, so that it is shown and not lost."""
    foreign = {str(key): values.pop(key) for key in list(values) if key not in model.model_fields}
    kept = {key: _as_other(value) for key, value in foreign.items() if not is_blank(value) and value not in ([], {})}
    if kept:
        before = values.get("other")
        values["other"] = {**(before if isinstance(before, dict) else {}), **kept}


def _as_other(value: object) -> str:
    if isinstance(value, str):
        return value
    try:
        return json.dumps(value, ensure_ascii=False, default=str)
    except (ValueError, RecursionError):
        return printable(str(type(value).__name__))


def _faults(error: ValidationError, prefix: str = "") -> Iterator[Fault]:
    for detail in error.errors(include_url=False, include_input=False):
        cause = detail.get("ctx", {}).get("error")
        place = _path(prefix, detail["loc"])
        if isinstance(cause, TextError):
            name = getattr(cause, "field", "")
            yield Fault(f"{place}.{name}".strip(".") if name else place, cause.wrong, cause.right)
        elif detail["type"] == "missing":
            yield Fault(place, T_("is missing"), T_("give one"))
        else:
            yield Fault(
                place, T_("is not accepted (%(msg)s)", msg=recognised(printable(detail["msg"]))), T_("see the template")
            )


def _path(prefix: str, loc: tuple[int | str, ...]) -> str:
    path = prefix
    for part in loc:
        path += f"[{part + 1}]" if isinstance(part, int) else f".{part}"
    return path.strip(".")
