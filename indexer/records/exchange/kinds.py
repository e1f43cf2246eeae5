"""The kinds of records, each field declared once: its type, its words, who reads it and the question a form asks.

In: nothing. Out: a class for each kind, and which class a kind has. It exists so that files, forms, bodies and pages
say the same of a field.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from hashlib import sha256
from typing import Annotated, Any, TypeAlias

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    ValidationInfo,
    model_validator,
)
from stdnum.tw import ubn

from indexer.plain_text import printable, shown
from indexer.records import values as v
from indexer.records.exchange.declaring import (
    ASK_KINDS,
    DATE,
    EVERYBODY,
    INSIDE,
    INTRODUCED,
    LONG,
    SEPARATE,
    SPOKEN,
    NamedIn,
    RecordIn,
    id_note,
    languages_note,
    name_en_note,
    name_note,
    one_of,
    ordered,
    region_note,
    research_fields_note,
    separated,
    waits,
)
from indexer.records.exchange.value_types import (
    AllianceKindTerm,
    AskKindTerm,
    AsTexts,
    AsWords,
    Capacity,
    ConfidentialityTerm,
    Country,
    Day,
    EvidenceId,
    EvidenceKindTerm,
    Fields,
    Id,
    Ids,
    Keywords,
    Languages,
    Links,
    Listed,
    MailAddress,
    Money,
    Name,
    Names,
    Offers,
    Once,
    Other,
    Phone,
    ProminenceTerm,
    Prose,
    RegionTerm,
    Remark,
    Short,
    SizeTerm,
    TierTerm,
    Title,
    Weight,
    Year,
)
from indexer.records.field_notes import Cell, FieldNote, Question, Shape, Widget
from indexer.records.values import FieldError, is_blank
from indexer.vocabulary import (
    AllianceKind,
    Confidentiality,
    EvidenceKind,
    Kind,
    Prominence,
    Size,
    Tier,
)
from indexer.wording import P_, T_


class EvidenceIn(RecordIn):
    """A paper, patent, project, technology or thesis. `id` falls back to `<lab>#<n>`, n from 1."""

    id: Annotated[
        EvidenceId,
        FieldNote(T_("Id"), T_("Empty: lab#n."), "ev-example-1"),
    ]
    kind: Annotated[
        EvidenceKindTerm,
        FieldNote(T_("Kind"), one_of(EvidenceKind, T_("Empty: paper.")), "patent"),
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
        Prose, FieldNote(T_("Abstract"), LONG, "於葉根貼附三枚感測片，由頻譜重心位移判別結冰厚度。")
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


class LabIn(NamedIn):
    """A researcher's profile; `evidence` None leaves what is stored as it is, a list replaces it."""

    # Lists of researchers name no labs; a lab that is called by its head is found, one called by a made id is not.
    NAMED_ELSE = ("name_en", "pi")
    id: Annotated[Id, id_note("lab-example-1")]
    name: Annotated[
        Name,
        name_note(
            "霧凇感測實驗室",
            write=T_("Falls back to name_en, then pi, then id."),
            body=Field(default=None, examples=["表面工程實驗室"]),
            question=Question("profile", Widget.LINE, T_("Name of the lab"), max_chars=200),
        ),
    ] = ""
    name_en: Annotated[
        Name,
        name_en_note(
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
    members: Annotated[
        Names,
        FieldNote(
            T_("Members"),
            separated(T_("Names, each with what the person does there if you like.")),
            "鄔令儀（博士後研究員）；Ilse Brandt (PhD student)",
            body=Field(default=None, max_length=200, examples=[["鄔令儀（博士後研究員）"]]),
            question=Question(
                "profile",
                Widget.LINES,
                T_("Members of the lab"),
                hint=T_("One person on each line. They are shown to experts and in shortlists: name whom you asked."),
                rows=4,
            ),
        ),
    ] = Field(default_factory=list)
    school: Annotated[
        Name | None,
        FieldNote(T_("School"), T_("School id or name."), "school-example-1"),
    ] = None
    fields: Annotated[Fields, research_fields_note("綠能科技；智慧製造")] = Field(default_factory=list)
    summary: Annotated[
        Prose,
        FieldNote(
            T_("Summary"),
            LONG,
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
            LONG,
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
            SEPARATE,
            SPOKEN,
            "葉片結冰；聲射；除冰",
            body=Field(default=None, max_length=1_000, examples=[["碳化矽", "CMP"]]),
            question=Question("profile", Widget.WORDS, T_("Keywords"), hint=T_("Separated by commas.")),
        ),
    ] = Field(default_factory=list)
    offers: Annotated[
        Offers,
        FieldNote(
            P_("field", "Offers"),
            separated(T_("%(kinds)s. Empty: not stated.", kinds=ASK_KINDS)),
            "technology；facility",
            body=Field(default=None, max_length=20, examples=[["technology"]]),
            question=Question("profile", Widget.CHECKBOXES, T_("What you offer")),
        ),
    ] = Field(default_factory=list)
    equipment: Annotated[
        Names,
        FieldNote(
            T_("Equipment"),
            separated(T_("What others may use, or have measured with.")),
            "結冰風洞（-25 °C，40 m/s）；聲射量測系統",
            body=Field(default=None, max_length=200, examples=[["化學機械拋光機（8 吋）"]]),
            question=Question(
                "profile",
                Widget.LINES,
                T_("Equipment that others may use or have measured with"),
                hint=T_("One piece on each line."),
                rows=4,
            ),
        ),
    ] = Field(default_factory=list)
    will_not_do: Annotated[
        Names,
        FieldNote(
            T_("Will not do"),
            separated(T_("Short texts.")),
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
        languages_note(
            "zh；en",
            body=Field(default=None, max_length=50, examples=[["zh", "en"]]),
            question=Question("profile", Widget.LANGUAGES, T_("Working languages"), hint=SPOKEN),
        ),
    ] = Field(default_factory=list)
    conflicts: Annotated[
        Names,
        FieldNote(
            T_("Conflicts of interest"),
            separated(T_("Company ids or names never to be matched.")),
        ),
    ] = Field(default_factory=list)
    links: Annotated[
        Links,
        FieldNote(P_("field", "Links"), separated(T_("https:// addresses.")), "https://rime.example.edu.tw"),
    ] = Field(default_factory=list)
    evidence: list[EvidenceIn] | None = None
    other: Other = Field(default_factory=dict)


class AskIn(RecordIn):
    """One thing that a need asks for."""

    kind: AskKindTerm
    text: Prose


class NeedIn(RecordIn):
    """What a company, or a school, looks for; confidential unless it says otherwise."""

    id: Annotated[Id, id_note("need-example-1")]
    company: Annotated[
        Name | None,
        FieldNote(T_("Company"), T_("Company id or name."), "company-example-1", EVERYBODY),
    ] = None
    school: Annotated[
        Name | None,
        FieldNote(
            T_("School"),
            T_("School id, when the need comes from a school."),
            audience=EVERYBODY,
        ),
    ] = None
    title: Annotated[
        Title,
        FieldNote(
            P_("field", "Title"),
            T_("Title or description is required."),
            "冬季風機因葉片結冰停機",
            INTRODUCED,
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
            INTRODUCED,
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
            T_("One a line, as kind: text. Kinds: %(kinds)s.", kinds=ASK_KINDS),
            "technology: 能裝在現有葉片上的結冰偵測\n人才：兩名實習生協助現場量測",
            INTRODUCED,
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
        research_fields_note(
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
            INSIDE,
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
            DATE,
            "2027-06-30",
            INTRODUCED,
            body=Field(default=None, examples=["2027-06-30"]),
            question=Question("limits", Widget.DAY, T_("Needed by")),
        ),
    ] = None
    confidentiality: Annotated[
        ConfidentialityTerm,
        FieldNote(
            T_("Confidentiality"),
            one_of(Confidentiality, T_("Empty: confidential.")),
            "alliance",
            EVERYBODY,
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
            INSIDE,
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
        region_note(
            body=Field(default=None, examples=["central"]),
            question=Question("limits", Widget.CHOICE, T_("Labs preferably from"), empty=T_("anywhere")),
        ),
    ] = None
    languages: Annotated[
        Languages,
        languages_note(
            "zh",
            body=Field(default=None, max_length=20, examples=[["zh"]]),
            question=Question("limits", Widget.LANGUAGES, T_("Languages you can work in"), hint=SPOKEN),
        ),
    ] = Field(default_factory=list)
    excluded_labs: Annotated[
        Ids,
        FieldNote(
            T_("Excluded labs"),
            separated(T_("Lab ids never to be shown.")),
            audience=INSIDE,
            body=Field(default=None, max_length=1_000, examples=[["lab-1-02"]]),
            question=Question(
                "limits",
                Widget.WORDS,
                T_("Labs that must not hear of it"),
                hint=T_("Their names or their heads', separated by commas. They never appear among the candidates."),
            ),
        ),
    ] = Field(default_factory=list)
    year: Annotated[Year | None, FieldNote(P_("field", "Year"), T_("Year of the need."), 2026, EVERYBODY)] = None
    other: Other = Field(default_factory=dict)

    @model_validator(mode="after")
    def _says_something(self, info: ValidationInfo) -> NeedIn:
        if not self.title and not self.description and not waits(info, "title", "description"):
            raise FieldError(T_("neither title nor description is given"), T_("give at least one"), "title")
        return self


class CompanyIn(NamedIn):
    """A firm. A Taiwanese tax_id (統一編號) must have a right check digit; lost leading zeros come back."""

    id: Annotated[Id, id_note("company-example-1")]
    name: Annotated[Name, name_note("嶺風電力股份有限公司")] = ""
    name_en: Annotated[Name, name_en_note("Ridgewind Power Co., Ltd.")] = ""
    tax_id: Annotated[
        Short | None,
        FieldNote(T_("Tax id"), T_("Checked when the country is TW."), "00000016"),
    ] = None
    country: Annotated[Country, FieldNote(T_("Country"), T_("Two letters; empty: TW."), "TW")] = "TW"
    size: Annotated[SizeTerm | None, FieldNote(T_("Size"), one_of(Size), "medium")] = None
    tier: Annotated[
        TierTerm,
        FieldNote(T_("Membership"), one_of(Tier, T_("Empty: none.")), "domestic"),
    ] = Tier.NONE.value
    fields: Annotated[Fields, research_fields_note("綠能科技")] = Field(default_factory=list)
    city: Annotated[Short, FieldNote(T_("City"), T_("City or county."), "南投縣")] = ""
    description: Annotated[Prose, FieldNote(T_("Description"), T_("What the firm does."), "經營三座高山風場。")] = ""
    contact: Annotated[Short, FieldNote(T_("Contact person"), T_("Whom to reach there."), "林若川 經理")] = ""
    contact_email: Annotated[
        MailAddress, FieldNote(T_("Contact's mail"), T_("One address."), "lin@ridgewind.example")
    ] = ""
    contact_phone: Annotated[
        Phone, FieldNote(T_("Contact's phone"), T_("One number, with its extension."), "049-2345678 #12")
    ] = ""
    other: Other = Field(default_factory=dict)

    @model_validator(mode="after")
    def _tax_id_checked(self, info: ValidationInfo) -> CompanyIn:
        if self.tax_id is None or self.country != "TW" or waits(info, "country"):
            return self
        digits = self.tax_id.zfill(8)
        if not ubn.is_valid(digits):
            right = T_("give the 8 digits of the 統一編號, or the country of a foreign company")
            raise FieldError(T_("%(tax_id)s is not a valid 統一編號", tax_id=shown(self.tax_id)), right, "tax_id")
        return self if digits == self.tax_id else self.model_copy(update={"tax_id": digits})


class SchoolIn(NamedIn):
    """A university; after a merger `merged_into` is the id of the school that took it in."""

    id: Annotated[Id, id_note("school-example-1")]
    name: Annotated[Name, name_note("合歡科技大學")] = ""
    name_en: Annotated[Name, name_en_note("Hehuan University of Technology")] = ""
    city: Annotated[Short, FieldNote(T_("City"), T_("City or county."), "南投縣")] = ""
    region: Annotated[RegionTerm | None, region_note()] = None
    prominence: Annotated[ProminenceTerm | None, FieldNote(T_("Prominence"), one_of(Prominence), "low")] = None
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
    merged_on: Annotated[Day | None, FieldNote(T_("Merged on"), DATE)] = None
    other: Other = Field(default_factory=dict)


class PartnerIn(RecordIn):
    """A school's time in an alliance."""

    school: Name
    since: Day | None = None
    until: Day | None = None

    @model_validator(mode="after")
    def _in_order(self) -> PartnerIn:
        ordered(self.since, self.until)
        return self


class AllianceIn(NamedIn):
    """A group of schools around a center university."""

    id: Annotated[Id, id_note("alliance-example-1")]
    name: Annotated[Name, name_note("中部風能聯盟")] = ""
    name_en: Annotated[Name, name_en_note("Central Wind Alliance")] = ""
    fields: Annotated[Fields, research_fields_note("綠能科技")] = Field(default_factory=list)
    kind: Annotated[AllianceKindTerm | None, FieldNote(P_("alliance", "Kind"), one_of(AllianceKind), "regional")] = None
    center: Annotated[
        Name | None,
        FieldNote(T_("Center"), T_("School id or name."), "school-example-1"),
    ] = None
    since: Annotated[Day | None, FieldNote(T_("Since"), DATE, "2017-08-01")] = None
    until: Annotated[
        Day | None,
        FieldNote(P_("field", "Until"), T_("Empty while it lasts. %(date)s", date=DATE)),
    ] = None
    partners: Annotated[
        list[PartnerIn],
        Listed,
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
        ordered(self.since, self.until)
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


class TermIn(RecordIn):
    """Words that mean the same in both languages; without an id it is known by its first words and its subject."""

    id: Annotated[
        Id,
        FieldNote(T_("Id"), T_("Empty: made of the words. Keep it to correct a term."), "term-example-1", EVERYBODY),
    ]
    en: Annotated[
        list[Annotated[Name, AfterValidator(_english)]],
        Listed,
        Once,
        AsTexts,
        FieldNote(T_("English term"), separated(T_("Required.")), "icing detection；ice detection"),
    ]
    zh: Annotated[
        list[Annotated[Name, AfterValidator(_chinese)]],
        Listed,
        Once,
        AsWords,
        FieldNote(T_("Chinese term"), separated(T_("Required, in Taiwan's words.")), "結冰偵測；結冰檢知"),
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

MODELS: dict[Kind, type[RecordIn]] = {
    Kind.LABS: LabIn,
    Kind.EVIDENCE: EvidenceIn,
    Kind.NEEDS: NeedIn,
    Kind.COMPANIES: CompanyIn,
    Kind.SCHOOLS: SchoolIn,
    Kind.ALLIANCES: AllianceIn,
    Kind.TERMS: TermIn,
}
