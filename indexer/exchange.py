"""The exchange format: what one record of each kind may hold, declared once.

In: one JSON object, or one flat row already split into values. Out: a typed,
checked record, or pydantic's `ValidationError` around `FieldError`s. It exists so that JSON Lines, CSV, XLSX and
the web all accept the same things and complain in the same words. The note that a field carries says the rest of it:
columns and templates of files, bodies and answers of the API, forms and pages are made of these declarations.

Only `id` is required. Null, an empty text and a missing field are the same. A
bad evidence item or ask costs only that item; any other bad field costs the row.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from enum import StrEnum
from typing import Annotated, Any, Self, TypeAlias

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator
from pydantic.fields import FieldInfo
from stdnum.tw import ubn

from indexer import values as v
from indexer.field_notes import Audience, Cell, FieldNote, Question, Shape, Widget
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
    choices,
)
from indexer.wording import T_


def _evidence_id(value: object) -> str:
    return v.identifier(value, MAX_EVIDENCE_ID)


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
Languages: TypeAlias = Annotated[list[Annotated[str, BeforeValidator(v.language)]], _list, _once, _words]
Offers: TypeAlias = Annotated[list[AskKindTerm], _list, _once, Shape(Cell.WORDS, AskKind)]
Fields: TypeAlias = Annotated[list[FieldTerm], _list, _once, Shape(Cell.WORDS, ResearchField)]

_SEPARATE = ("以；或換行分隔。", "Separate with ; or line breaks.")
_DATE = ("2019-08-31 或民國108年8月31日。", "2019-08-31 or 民國108年8月31日.")
_LONG = ("至多 50,000 字。", "Up to 50,000 characters.")
_CODES = ("語言代碼，如 zh、en，以逗號分隔。", "Codes such as zh, en; separated by commas.")
_ASK_KINDS, _FIELDS = choices(AskKind), choices(ResearchField)
_EVERYBODY, _INTRODUCED, _INSIDE = Audience.EVERYBODY, Audience.INTRODUCED, Audience.INSIDE


def _separated(zh: str, en: str) -> tuple[str, str]:
    return f"{zh}{_SEPARATE[0]}", f"{en} {_SEPARATE[1]}"


def _one_of(terms: type[StrEnum], zh: str = "", en: str = "") -> tuple[str, str]:
    known = choices(terms)
    return f"{known}。{zh}" if zh else known, f"{known}. {en}" if en else known


def _id(example: str) -> FieldNote:
    write = ("必填。1 至 200 字元，不含空白。", "Required. 1 to 200 characters, no blanks.")
    return FieldNote(("代號", "Id"), write, example, _EVERYBODY)


def _name(example: str, body: FieldInfo | None = None, question: Question | None = None) -> FieldNote:
    write = ("未填則用英文名稱或代號。", "Falls back to name_en, then id.")
    return FieldNote(("名稱", "Name"), write, example, body=body, question=question)


def _name_en(example: str, body: FieldInfo | None = None, question: Question | None = None) -> FieldNote:
    return FieldNote(
        ("英文名稱", "English name"), ("英文名稱。", "Name in English."), example, body=body, question=question
    )


def _research_fields(example: str, body: FieldInfo | None = None, question: Question | None = None) -> FieldNote:
    write = _separated(f"{_FIELDS}。", f"{_FIELDS}.")
    return FieldNote(("領域", "Research field"), write, example, _EVERYBODY, body, question)


def _languages(example: str, body: FieldInfo, question: Question) -> FieldNote:
    write = _separated("zh、en、ja……", "zh, en, ja …")
    return FieldNote(("語言", "Working language"), write, example, _EVERYBODY, body, question)


def _region(body: FieldInfo | None = None, question: Question | None = None) -> FieldNote:
    return FieldNote(("區域", "Region"), _one_of(Region), "central", _EVERYBODY, body, question)


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
        FieldNote(("代號", "Id"), ("留空則為「實驗室代號#序號」。", "Empty: lab#n."), "ev-example-1"),
    ]
    kind: Annotated[
        EvidenceKindTerm,
        FieldNote(("類型", "Kind"), _one_of(EvidenceKind, "留空為論文。", "Empty: paper."), "patent"),
    ] = EvidenceKind.PAPER.value
    title: Annotated[
        Title,
        FieldNote(
            ("題目", "Title"),
            ("題目與摘要至少填一項。", "Title or abstract is required."),
            "以聲射頻譜判別葉片結冰之裝置",
        ),
    ] = ""
    abstract: Annotated[
        Prose, FieldNote(("摘要", "Abstract"), _LONG, "於葉根貼附三枚感測片，由頻譜重心位移判別結冰厚度。")
    ] = ""
    year: Annotated[
        Year | None,
        FieldNote(
            ("年份", "Year"),
            ("西元四位數如 2018，或民國107年。", "Four digits such as 2018, or 民國107年."),
            2023,
        ),
    ] = None
    weight: Annotated[
        Weight,
        FieldNote(
            ("權重", "Weight"),
            ("0 至 10；一般為 1，代表作可提高。", "0 to 10; 1 is usual, more for what represents the lab."),
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
            question=Question("profile", Widget.LINE, ("實驗室名稱", "Name of the lab"), max_chars=200),
        ),
    ] = ""
    name_en: Annotated[
        Name,
        _name_en(
            "Rime Sensing Laboratory",
            body=Field(default=None, examples=["Surface Engineering Lab"]),
            question=Question(
                "profile", Widget.LINE, ("英文名稱（若不同）", "English name, if that is another"), max_chars=200
            ),
        ),
    ] = ""
    pi: Annotated[Short, FieldNote(("主持人", "Head"), ("計畫主持人姓名。", "Principal investigator."), "藺若川")] = ""
    school: Annotated[
        Name | None,
        FieldNote(("學校", "School"), ("學校代號或校名。", "School id or name."), "school-example-1"),
    ] = None
    fields: Annotated[Fields, _research_fields("綠能科技；智慧製造")] = Field(default_factory=list)
    summary: Annotated[
        Prose,
        FieldNote(
            ("簡介", "Summary"),
            _LONG,
            "研究風機葉片結冰的早期偵測與除冰。",
            body=Field(default=None, examples=["研究碳化矽基板的化學機械拋光。"]),
            question=Question(
                "profile",
                Widget.PROSE,
                ("簡介全文", "Summary"),
                hint=(
                    "以自己的話說明實驗室能為企業做什麼；此欄供閱讀與搜尋。",
                    "What the lab can do for a company, in its own words. This is read and searched.",
                ),
                rows=5,
            ),
        ),
    ] = ""
    summary_en: Annotated[
        Prose,
        FieldNote(
            ("英文簡介", "English summary"),
            _LONG,
            "Early detection of ice on wind blades.",
            body=Field(default=None, examples=["Chemical mechanical polishing of silicon carbide wafers."]),
            question=Question(
                "profile",
                Widget.PROSE,
                ("英文簡介（若上方為中文）", "English summary, if the summary is in Chinese"),
                rows=5,
            ),
        ),
    ] = ""
    keywords: Annotated[
        Keywords,
        FieldNote(
            ("關鍵詞", "Keywords"),
            _SEPARATE,
            "葉片結冰；聲射；除冰",
            body=Field(default=None, max_length=1_000, examples=[["碳化矽", "CMP"]]),
            question=Question(
                "profile", Widget.WORDS, ("關鍵詞", "Keywords"), hint=("以逗號分隔。", "Separated by commas.")
            ),
        ),
    ] = Field(default_factory=list)
    offers: Annotated[
        Offers,
        FieldNote(
            ("可提供", "Offers"),
            _separated(f"{_ASK_KINDS}。留空表示未說明。", f"{_ASK_KINDS}. Empty: not stated."),
            "technology；facility",
            body=Field(default=None, max_length=20, examples=[["technology"]]),
            question=Question("profile", Widget.CHECKBOXES, ("您提供的合作類型", "What you offer")),
        ),
    ] = Field(default_factory=list)
    will_not_do: Annotated[
        Names,
        FieldNote(
            ("不承接", "Will not do"),
            _separated("簡短說明。", "Short texts."),
            "不接受獨家買斷",
            body=Field(default=None, max_length=1_000, examples=[["軍事用途"]]),
            question=Question(
                "profile",
                Widget.LINES,
                ("不承接的項目", "What you will not do"),
                hint=(
                    "每行一項。專家看得到，企業看不到。",
                    "One thing on each line. Experts see it, companies do not.",
                ),
                rows=3,
            ),
        ),
    ] = Field(default_factory=list)
    capacity: Annotated[
        Capacity | None,
        FieldNote(
            ("可承接件數", "Capacity"),
            (
                "還能承接幾案；0 為不再承接，留空為未說明。",
                "How many more projects; 0 is none, empty is not stated.",
            ),
            2,
            body=Field(default=None, ge=0, le=1_000, examples=[2]),
            question=Question(
                "profile",
                Widget.COUNT,
                ("還能承接幾件合作", "How many more cooperations you can take on"),
                hint=(
                    "填 0 則不列入任何排序；留空表示不說明。",
                    "0 takes the lab out of all rankings; empty means that you do not say.",
                ),
            ),
        ),
    ] = None
    languages: Annotated[
        Languages,
        _languages(
            "zh；en",
            body=Field(default=None, max_length=50, examples=[["zh", "en"]]),
            question=Question("profile", Widget.WORDS, ("工作語言", "Working languages"), hint=_CODES),
        ),
    ] = Field(default_factory=list)
    conflicts: Annotated[
        Names,
        FieldNote(
            ("利益衝突", "Conflicts of interest"),
            _separated("不可媒合之企業代號或名稱。", "Company ids or names never to be matched."),
        ),
    ] = Field(default_factory=list)
    links: Annotated[
        Links,
        FieldNote(
            ("網址", "Links"), _separated("https:// 網址。", "https:// addresses."), "https://rime.example.edu.tw"
        ),
    ] = Field(default_factory=list)
    evidence: list[EvidenceIn] | None = None


class AskIn(_Record):
    """One thing that a need asks for."""

    kind: AskKindTerm
    text: Prose


class NeedIn(_Record):
    """What a company, or a school, looks for; confidential unless it says otherwise."""

    id: Annotated[Id, _id("need-example-1")]
    company: Annotated[
        Name | None,
        FieldNote(("企業", "Company"), ("企業代號或名稱。", "Company id or name."), "company-example-1", _EVERYBODY),
    ] = None
    school: Annotated[
        Name | None,
        FieldNote(
            ("學校", "School"),
            ("需求出自學校時，填學校代號。", "School id, when the need comes from a school."),
            audience=_EVERYBODY,
        ),
    ] = None
    title: Annotated[
        Title,
        FieldNote(
            ("題目", "Title"),
            ("題目與說明至少填一項。", "Title or description is required."),
            "冬季風機因葉片結冰停機",
            _INTRODUCED,
            body=Field(default=None, examples=["碳化矽基板拋光太慢"]),
            question=Question(
                "about",
                Widget.LINE,
                ("標題", "Title"),
                hint=(
                    "一句話，專家不看其他內容也能理解。",
                    "One line that an expert understands without the rest.",
                ),
                max_chars=500,
                required=True,
            ),
        ),
    ] = ""
    description: Annotated[
        Prose,
        FieldNote(
            ("說明", "Description"),
            ("現況、試過的作法與數據。", "Situation, what was tried, figures."),
            "高山風場每年因結冰停機約二十天，希望提早半小時知道。",
            _INTRODUCED,
            body=Field(default=None, examples=["矽面每小時只磨得到 0.6 微米,客戶要求 1.5。"]),
            question=Question(
                "about",
                Widget.PROSE,
                ("說明", "Description"),
                hint=(
                    "目前的狀況、希望達成的結果、已嘗試的做法；有數字更好。",
                    "What happens today, what should happen instead, what you have tried. Numbers help.",
                ),
                rows=8,
                max_chars=20_000,
            ),
        ),
    ] = ""
    asks: Annotated[
        list[AskIn],
        Shape(Cell.ASKS, wide=True),
        FieldNote(
            ("請求項目", "Asks"),
            (
                f"每行一項，寫成「類型：內容」。類型：{_ASK_KINDS}。",
                f"One a line, as kind: text. Kinds: {_ASK_KINDS}.",
            ),
            "technology: 能裝在現有葉片上的結冰偵測\n人才：兩名實習生協助現場量測",
            _INTRODUCED,
            body=Field(
                default=None,
                max_length=200,
                examples=[[{"kind": "technology", "text": "提高移除率又不留刮傷的拋光液配方"}]],
            ),
            question=Question("asks", Widget.ASKS, ("所需項目", "What you ask for")),
        ),
    ] = Field(default_factory=list)
    fields: Annotated[
        Fields,
        _research_fields(
            "綠能科技",
            body=Field(default=None, max_length=20, examples=[["半導體"]]),
            question=Question("limits", Widget.CHECKBOXES, ("領域", "Research fields")),
        ),
    ] = Field(default_factory=list)
    budget_ntd: Annotated[
        Money | None,
        FieldNote(
            ("預算", "Budget"),
            ("新臺幣元。", "NTD, whole dollars."),
            2400000,
            _INSIDE,
            body=Field(default=None, ge=0, le=10**15, examples=[2_400_000]),
            question=Question(
                "limits",
                Widget.AMOUNT,
                ("預算（新臺幣元）", "Budget in New Taiwan dollars"),
                hint=("實驗室看不到。", "Labs do not see it."),
            ),
        ),
    ] = None
    deadline: Annotated[
        Day | None,
        FieldNote(
            ("期限", "Deadline"),
            _DATE,
            "2027-06-30",
            _INTRODUCED,
            body=Field(default=None, examples=["2027-06-30"]),
            question=Question("limits", Widget.DAY, ("期限", "Needed by")),
        ),
    ] = None
    confidentiality: Annotated[
        ConfidentialityTerm,
        FieldNote(
            ("保密程度", "Confidentiality"),
            _one_of(Confidentiality, "留空為保密。", "Empty: confidential."),
            "alliance",
            _EVERYBODY,
            body=Field(default=None, examples=["confidential"]),
            question=Question("readers", Widget.RADIO, ("閱讀對象", "Who will read it")),
        ),
    ] = Confidentiality.CONFIDENTIAL.value
    confidential_reason: Annotated[
        Remark | None,
        FieldNote(
            ("保密原因", "Reason for confidentiality"),
            ("為何保密；至多 1,000 字。", "Why it is confidential; up to 1,000 characters."),
            "涉及尚未公告的機組",
            _INSIDE,
            body=Field(default=None, max_length=1_000, examples=["與現有客戶簽有保密協定"]),
            question=Question(
                "readers",
                Widget.PROSE,
                ("保密原因（選填）", "Why it is confidential, if you want to say so"),
                hint=(
                    "供處理此需求的專家參考；實驗室看不到。",
                    "For the experts who work on it. Labs do not see it.",
                ),
                rows=3,
                max_chars=1_000,
            ),
        ),
    ] = None
    region: Annotated[
        RegionTerm | None,
        _region(
            body=Field(default=None, examples=["central"]),
            question=Question(
                "limits", Widget.CHOICE, ("希望實驗室位於", "Labs preferably from"), empty=("不限", "anywhere")
            ),
        ),
    ] = None
    languages: Annotated[
        Languages,
        _languages(
            "zh",
            body=Field(default=None, max_length=20, examples=[["zh"]]),
            question=Question("limits", Widget.WORDS, ("可使用的語言", "Languages you can work in"), hint=_CODES),
        ),
    ] = Field(default_factory=list)
    excluded_labs: Annotated[
        Ids,
        FieldNote(
            ("排除實驗室", "Excluded labs"),
            _separated("不得列出之實驗室代號。", "Lab ids never to be shown."),
            audience=_INSIDE,
            body=Field(default=None, max_length=1_000, examples=[["lab-1-02"]]),
            question=Question(
                "limits",
                Widget.WORDS,
                ("不得知悉的實驗室", "Labs that must not hear of it"),
                hint=(
                    "請填代碼，以逗號分隔，可洽您的專家。這些實驗室不會出現在候選名單。",
                    "Their ids, separated by commas; ask your expert. They never appear among the candidates.",
                ),
            ),
        ),
    ] = Field(default_factory=list)
    year: Annotated[Year | None, FieldNote(("年份", "Year"), ("提出年份。", "Year of the need."), 2026, _EVERYBODY)] = (
        None
    )

    @model_validator(mode="after")
    def _says_something(self) -> NeedIn:
        if not self.title and not self.description:
            raise FieldError(T_("neither title nor description is given"), T_("give at least one"), "title")
        return self


class CompanyIn(_Named):
    """A firm. A Taiwanese tax_id (統一編號) must have a right check digit; lost leading zeros come back."""

    id: Annotated[Id, _id("company-example-1")]
    name: Annotated[Name, _name("嶺風電力股份有限公司")] = ""
    name_en: Annotated[Name, _name_en("Ridgewind Power Co., Ltd.")] = ""
    tax_id: Annotated[
        Short | None,
        FieldNote(("統一編號", "Tax id"), ("國別為 TW 時檢查。", "Checked when the country is TW."), "00000016"),
    ] = None
    country: Annotated[
        Country, FieldNote(("國別", "Country"), ("兩碼；留空為 TW。", "Two letters; empty: TW."), "TW")
    ] = "TW"
    size: Annotated[SizeTerm | None, FieldNote(("規模", "Size"), _one_of(Size), "medium")] = None
    tier: Annotated[
        TierTerm,
        FieldNote(("會員級別", "Membership"), _one_of(Tier, "留空為非會員。", "Empty: none."), "domestic"),
    ] = Tier.NONE.value
    fields: Annotated[Fields, _research_fields("綠能科技")] = Field(default_factory=list)
    city: Annotated[Short, FieldNote(("縣市", "City"), ("縣市。", "City or county."), "南投縣")] = ""
    description: Annotated[
        Prose, FieldNote(("說明", "Description"), ("公司業務。", "What the firm does."), "經營三座高山風場。")
    ] = ""

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

    id: Annotated[Id, _id("school-example-1")]
    name: Annotated[Name, _name("合歡科技大學")] = ""
    name_en: Annotated[Name, _name_en("Hehuan University of Technology")] = ""
    city: Annotated[Short, FieldNote(("縣市", "City"), ("縣市。", "City or county."), "南投縣")] = ""
    region: Annotated[RegionTerm | None, _region()] = None
    prominence: Annotated[ProminenceTerm | None, FieldNote(("知名度", "Prominence"), _one_of(Prominence), "low")] = None
    kind: Annotated[
        Short,
        FieldNote(
            ("學校類型", "Kind"),
            ("如 public university。", "Such as public university."),
            "technological university",
        ),
    ] = ""
    founded: Annotated[
        Year | None,
        FieldNote(("創校年", "Founded"), ("西元四位數，或民國58年。", "Four digits, or 民國58年."), 1969),
    ] = None
    merged_into: Annotated[
        Id | None,
        FieldNote(("併入學校", "Merged into"), ("併入之學校代號。", "Id of the school that took it in.")),
    ] = None
    merged_on: Annotated[Day | None, FieldNote(("合併日", "Merged on"), _DATE)] = None


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
    kind: Annotated[AllianceKindTerm | None, FieldNote(("聯盟類型", "Kind"), _one_of(AllianceKind), "regional")] = None
    center: Annotated[
        Name | None,
        FieldNote(("中心學校", "Center"), ("學校代號或校名。", "School id or name."), "school-example-1"),
    ] = None
    since: Annotated[Day | None, FieldNote(("起始日", "Since"), _DATE, "2017-08-01")] = None
    until: Annotated[
        Day | None,
        FieldNote(("結束日", "Until"), (f"仍持續則留空。{_DATE[0]}", f"Empty while it lasts. {_DATE[1]}")),
    ] = None
    partners: Annotated[
        list[PartnerIn],
        _list,
        Shape(Cell.PARTNERS, wide=True),
        FieldNote(
            ("夥伴學校", "Partners"),
            (
                "每行一校：學校 起始日 結束日；日期可省略。",
                "One a line: school, since, until; the dates may be left out.",
            ),
            "school-example-1 2017-08-01",
        ),
    ] = Field(default_factory=list)

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
