"""The closed lists and bounds of the programme: kinds, fields, tiers, regions, languages, countries.

In: a word as a person wrote it, in Chinese or English. Out: the one code that
is stored. It exists so that tables, files, templates and the ranker name the
same thing the same way. Fields, member tiers and regions are those of the
Ministry's plan for the GLORIA alliances.
"""

from __future__ import annotations

import unicodedata
from enum import StrEnum
from functools import cache
from typing import TypeVar

Term = TypeVar("Term", bound=StrEnum)

ID_LENGTH_MAX = 200
EVIDENCE_ID_LENGTH_MAX = 220
FIRST_YEAR, LAST_YEAR = 1800, 2200
MAX_WEIGHT = 10
MAX_NTD = 10**15


class Kind(StrEnum):
    """What the rows of a file are."""

    LABS = "labs"
    EVIDENCE = "evidence"
    NEEDS = "needs"
    COMPANIES = "companies"
    SCHOOLS = "schools"
    ALLIANCES = "alliances"
    TERMS = "terms"


class Drafted(StrEnum):
    """What a document is a draft of."""

    NEED = "need"
    LAB = "lab"


class Mendable(StrEnum):
    """What can be retired; `evidence` is a piece of a lab's, `person` an account."""

    LAB = "lab"
    COMPANY = "company"
    NEED = "need"
    SCHOOL = "school"
    EVIDENCE = "evidence"
    PERSON = "person"


class AskKind(StrEnum):
    """What a need asks for and what a lab offers."""

    TECHNOLOGY = "technology"
    TALENT = "talent"
    FACILITY = "facility"
    LICENSING = "licensing"
    TRAINING = "training"
    INVESTMENT = "investment"


class EvidenceKind(StrEnum):
    """What shows that a lab can do something."""

    PAPER = "paper"
    PATENT = "patent"
    PROJECT = "project"
    TECHNOLOGY = "technology"
    THESIS = "thesis"


class ResearchField(StrEnum):
    """The fields that the plan names."""

    GENERAL = "綜合性"
    SEMICONDUCTORS = "半導體"
    FINTECH = "金融科技"
    BIOMEDICAL = "生技醫藥"
    AGRICULTURE = "新農業"
    GREEN_ENERGY = "綠能科技"
    SMART_MANUFACTURING = "智慧製造"


class Tier(StrEnum):
    """Membership of a company; it says nothing about nationality."""

    NONE = "none"
    DOMESTIC = "domestic"
    INTERNATIONAL = "international"
    GOLD = "gold"


class Size(StrEnum):
    """Size of a company."""

    MICRO = "micro"
    SMALL = "small"
    MEDIUM = "medium"
    LARGE = "large"


class Confidentiality(StrEnum):
    """Who may read a need."""

    PUBLIC = "public"
    ALLIANCE = "alliance"
    CONFIDENTIAL = "confidential"


class Region(StrEnum):
    """Part of Taiwan."""

    NORTH = "north"
    CENTRAL = "central"
    SOUTH = "south"
    EAST = "east"
    ISLANDS = "islands"


class Prominence(StrEnum):
    """How well known a school is; kept so that exposure of lesser-known schools can be reported."""

    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"


class SchoolType(StrEnum):
    """What sort of school it is, as far as the words that it states for itself tell."""

    PUBLIC = "public_university"
    PRIVATE = "private_university"
    TECHNOLOGICAL = "technological_university"
    MEDICAL = "medical_university"


class AllianceKind(StrEnum):
    """An alliance covers a region or a theme."""

    REGIONAL = "regional"
    THEME = "theme"


# The first word of each line is the label shown to people; all are accepted.
_WORDS: dict[type[StrEnum], dict[StrEnum, str]] = {
    Kind: {
        Kind.LABS: "實驗室 研究室 lab laboratories laboratory",
        Kind.EVIDENCE: "佐證 研究成果 成果 evidences",
        Kind.NEEDS: "需求 企業需求 need",
        Kind.COMPANIES: "企業 公司 廠商 company",
        Kind.SCHOOLS: "學校 school",
        Kind.ALLIANCES: "聯盟 alliance",
        Kind.TERMS: "術語 詞彙 名詞 學術名詞 詞彙表 對照表 term glossary",
    },
    AskKind: {
        AskKind.TECHNOLOGY: "研發 技術 技術研發 技術諮詢 技術服務 諮詢 委託研究 合作研究 共同研究 合作開發 共同開發 "
        "產學合作 research r&d consulting",
        AskKind.TALENT: "人才 實習 求才 人才培育 人才媒合 實習生 internship internships recruiting",
        AskKind.FACILITY: "設備 檢測 儀器 場域 測試 檢測服務 委託檢測 設備共用 testing facilities equipment",
        AskKind.LICENSING: "授權 技轉 技術移轉 技術授權 專利授權 license licence",
        AskKind.TRAINING: "訓練 培訓 教育訓練 課程 course",
        AskKind.INVESTMENT: "投資 新創 募資 startup",
    },
    EvidenceKind: {
        EvidenceKind.PAPER: "論文 期刊 期刊論文 會議論文 研討會 研討會論文 專書 專書論文 article publication journal "
        "journalarticle conference conferencepaper preprint report book",
        EvidenceKind.PATENT: "專利 發明專利 新型專利 設計專利 patents",
        EvidenceKind.PROJECT: "計畫 研究計畫 產學計畫 產學合作計畫 國科會計畫 科技部計畫 grant",
        EvidenceKind.TECHNOLOGY: "技術 技術成果 software dataset prototype",
        EvidenceKind.THESIS: "學位論文 碩士論文 博士論文 dissertation",
    },
    ResearchField: {
        ResearchField.GENERAL: "綜合性 綜合 general",
        ResearchField.SEMICONDUCTORS: "半導體 semiconductor semiconductors",
        ResearchField.FINTECH: "金融科技 fintech",
        ResearchField.BIOMEDICAL: "生技醫藥 生醫 biomedical biotech",
        ResearchField.AGRICULTURE: "新農業 農業 agriculture",
        ResearchField.GREEN_ENERGY: "綠能科技 綠能 greenenergy",
        ResearchField.SMART_MANUFACTURING: "智慧製造 智慧機械 smartmanufacturing",
    },
    Tier: {
        Tier.NONE: "非會員 無",
        Tier.DOMESTIC: "國內會員 國內",
        Tier.INTERNATIONAL: "國際會員 國際級會員 國際",
        Tier.GOLD: "國際金質會員 金質會員 金質",
    },
    Size: {
        Size.MICRO: "微型 微型企業",
        Size.SMALL: "小型 小型企業",
        Size.MEDIUM: "中型 中型企業",
        Size.LARGE: "大型 大型企業",
    },
    Confidentiality: {
        Confidentiality.PUBLIC: "公開",
        Confidentiality.ALLIANCE: "聯盟內 聯盟",
        Confidentiality.CONFIDENTIAL: "保密 機密",
    },
    Region: {
        Region.NORTH: "北部 北區 北",
        Region.CENTRAL: "中部 中區 中",
        Region.SOUTH: "南部 南區 南",
        Region.EAST: "東部 東區 東",
        Region.ISLANDS: "離島",
    },
    Prominence: {Prominence.HIGH: "高", Prominence.MEDIUM: "中", Prominence.LOW: "低"},
    SchoolType: {
        SchoolType.PUBLIC: "公立大學 公立 國立 國立大學 nationaluniversity",
        SchoolType.PRIVATE: "私立大學 私立 private",
        SchoolType.TECHNOLOGICAL: "科技大學 技專校院 技職 技術學院 universityoftechnology technological",
        SchoolType.MEDICAL: "醫學大學 醫學院 醫科大學 medicalschool medical",
    },
    AllianceKind: {AllianceKind.REGIONAL: "區域 區域型 region", AllianceKind.THEME: "主題 主題型 領域 領域型 thematic"},
}

LANGUAGE_WORDS = {
    "中文": "zh", "國語": "zh", "華語": "zh", "英文": "en", "英語": "en", "日文": "ja", "日語": "ja", "韓文": "ko",
    "韓語": "ko", "德文": "de", "德語": "de", "法文": "fr", "法語": "fr", "西班牙文": "es", "越南文": "vi",
    "泰文": "th", "印尼文": "id", "馬來文": "ms", "葡萄牙文": "pt", "義大利文": "it", "俄文": "ru", "荷蘭文": "nl",
    "chinese": "zh", "mandarin": "zh", "english": "en", "japanese": "ja", "korean": "ko", "german": "de",
    "french": "fr", "spanish": "es", "vietnamese": "vi", "thai": "th", "indonesian": "id", "malay": "ms",
    "portuguese": "pt", "italian": "it", "russian": "ru", "dutch": "nl",
}  # fmt: skip
COUNTRY_WORDS = {
    "臺灣": "TW", "台灣": "TW", "中華民國": "TW", "taiwan": "TW", "日本": "JP", "美國": "US", "德國": "DE",
    "荷蘭": "NL", "新加坡": "SG", "韓國": "KR", "英國": "GB", "法國": "FR", "越南": "VN", "泰國": "TH",
    "南韓": "KR", "korea": "KR", "香港": "HK", "hongkong": "HK", "澳門": "MO", "中國大陸": "CN", "大陸": "CN",
    "usa": "US", "uk": "GB", "england": "GB", "czechrepublic": "CZ", "捷克共和國": "CZ", "澳洲": "AU",
}  # fmt: skip

_CITIES = {
    "臺北市": "Taipei City", "新北市": "New Taipei City", "基隆市": "Keelung City", "桃園市": "Taoyuan City",
    "新竹市": "Hsinchu City", "新竹縣": "Hsinchu County", "苗栗縣": "Miaoli County", "臺中市": "Taichung City",
    "彰化縣": "Changhua County", "南投縣": "Nantou County", "雲林縣": "Yunlin County", "嘉義市": "Chiayi City",
    "嘉義縣": "Chiayi County", "臺南市": "Tainan City", "高雄市": "Kaohsiung City", "屏東縣": "Pingtung County",
    "宜蘭縣": "Yilan County", "花蓮縣": "Hualien County", "臺東縣": "Taitung County", "澎湖縣": "Penghu County",
    "金門縣": "Kinmen County", "連江縣": "Lienchiang County",
}  # fmt: skip


def city_in_english(city: str) -> str:
    """Return what a city or county of Taiwan is called in English; another place as it is written."""
    return _CITIES.get(city.strip().replace("台", "臺"), city)


# ISO 639-1.
LANGUAGES = frozenset(
    """aa ab ae af ak am an ar as av ay az ba be bg bi bm bn bo br bs ca ce ch co cr cs cu cv cy da de dv dz ee el en
    eo es et eu fa ff fi fj fo fr fy ga gd gl gn gu gv ha he hi ho hr ht hu hy hz ia id ie ig ii ik io is it iu ja jv
    ka kg ki kj kk kl km kn ko kr ks ku kv kw ky la lb lg li ln lo lt lu lv mg mh mi mk ml mn mr ms mt my na nb nd ne
    ng nl nn no nr nv ny oc oj om or os pa pi pl ps pt qu rm rn ro ru rw sa sc sd se sg si sk sl sm sn so sq sr ss st
    su sv sw ta te tg th ti tk tl tn to tr ts tt tw ty ug uk ur uz ve vi vo wa wo xh yi yo za zh zu""".split()  # noqa: SIM905 (183 quoted codes would hide a missing one)
)

# ISO 3166-1 alpha-2.
COUNTRIES = frozenset(
    """AD AE AF AG AI AL AM AO AQ AR AS AT AU AW AX AZ BA BB BD BE BF BG BH BI BJ BL BM BN BO BQ BR BS BT BV BW BY BZ
    CA CC CD CF CG CH CI CK CL CM CN CO CR CU CV CW CX CY CZ DE DJ DK DM DO DZ EC EE EG EH ER ES ET FI FJ FK FM FO FR
    GA GB GD GE GF GG GH GI GL GM GN GP GQ GR GS GT GU GW GY HK HM HN HR HT HU ID IE IL IM IN IO IQ IR IS IT JE JM JO
    JP KE KG KH KI KM KN KP KR KW KY KZ LA LB LC LI LK LR LS LT LU LV LY MA MC MD ME MF MG MH MK ML MM MN MO MP MQ MR
    MS MT MU MV MW MX MY MZ NA NC NE NF NG NI NL NO NP NR NU NZ OM PA PE PF PG PH PK PL PM PN PR PS PT PW PY QA RE RO
    RS RU RW SA SB SC SD SE SG SH SI SJ SK SL SM SN SO SR SS ST SV SX SY SZ TC TD TF TG TH TJ TK TL TM TN TO TR TT TV
    TW TZ UA UG UM US UY UZ VA VC VE VG VI VN VU WF WS YE YT ZA ZM ZW""".split()  # noqa: SIM905 (as above)
)


def folded(word: str) -> str:
    """Return the form in which words are compared: NFKC, no case, no blanks, underscores or hyphens."""
    return "".join(c for c in unicodedata.normalize("NFKC", word).casefold() if not c.isspace() and c not in "_-")


def label(term: StrEnum) -> str:
    """Return the Chinese label of a term."""
    return _WORDS[type(term)][term].split()[0]


def find(terms: type[Term], word: str) -> Term | None:
    """Return the term that a code or an accepted Chinese or English word stands for, or None."""
    found = _index(terms).get(folded(word))
    return None if found is None else terms(found)


@cache
def _index(terms: type[StrEnum]) -> dict[str, str]:
    index: dict[str, str] = {}
    for term in terms:
        for word in (term.value, *_WORDS[terms][term].split()):
            index[folded(word)] = term.value
    return index


def choices(terms: type[StrEnum]) -> str:
    """Return the accepted codes with their labels, for messages and templates."""
    return ", ".join(term.value if term.value == label(term) else f"{term.value} {label(term)}" for term in terms)
