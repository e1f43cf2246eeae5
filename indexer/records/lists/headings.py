"""What people write above a column, and which field of ours that is.

In: the text of a heading, in Chinese, English or both, perhaps with a unit behind it. Out: the field, in which unit its
numbers are, and whether that was known or guessed; None for a column that is not ours. It exists because no two
offices call a column the same, and a list of which only the id was understood is worth nothing: first the declared
names, then a table of what is usual in Taiwanese and English lists, then likeness, which is always told.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache

from rapidfuzz import fuzz, process

from indexer.folding import simplified
from indexer.records.columns import COLUMNS, field_of
from indexer.vocabulary import Kind, folded

ROC_YEARS = "民國"
"""The unit of a column of years that count from 1912."""
ROW_NUMBER = "row number"
"""What a column holds that only counts rows: no id, since it changes with every sorting."""
_LIKE_ENOUGH = 82.0
_MAX_HEADING_CHARS = 200
_MIN_GUESSED_CHARS = 3
_MAX_MEANT_CHARS = 60

_COMMON = {
    "id": "識別碼 唯一碼 流水編號 identifier code key recordid uniqueid",
    "name_en": "英文名 英文全名 englishname nameen nameenglish nameinenglish",
    "languages": "工作語言 使用語言 可用語言 語系 溝通語言 language workinglanguage workinglanguages",
    "fields": "研究領域 領域別 技術領域 專業領域 學門 學門領域 產業領域 產業別 產業類別 所屬領域 應用領域 "
    "重點領域 field researchfield researchfields area areas researcharea researchareas discipline industry "
    "sector domain",
    "region": "地區 區域別 所在區域 所在地區 希望地區 希望區域 area location regionname",
    "city": "城市 所在縣市 所在地 縣市別 所在城市 citycounty county",
    "school": "學校名稱 校名 所屬學校 服務學校 任職學校 大學 大學名稱 大專校院 學校單位 學校全名 學校(全名) "
    "所屬大學 服務機關 服務單位 執行機構 執行機關 執行單位 機構 機構名稱 所屬機構 所屬單位 任職機構 任職單位 "
    "university universityname institution institutionname institute affiliation organisation organization "
    "school(s) schoolname college hostinstitution",
}  # fmt: skip
_LISTED: dict[Kind, dict[str, str]] = {
    Kind.LABS: {
        "id": "實驗室代號 實驗室編號 研究室編號 研究室代號 labid labcode labno 教師代號 教師編號 團隊編號 "
        "中心代號",
        "name": "實驗室名稱 實驗室 研究室 研究室名稱 實驗室中文名稱 中文名稱 實驗室(中文) 研究室(實驗室)名稱 "
        "實驗室/研究室 研究團隊 團隊名稱 研究中心 中心名稱 研究群 研究單位 單位名稱 實驗室/中心 "
        "實驗室或中心名稱 lab labname laboratory laboratoryname group groupname researchgroup "
        "researchgroupname team teamname center centername centre researchcenter",
        "name_en": "實驗室英文名稱 研究室英文名稱 英文實驗室名稱 labnameen labnameenglish englishlabname",
        "pi": "計畫主持人 實驗室主持人 研究室主持人 主持教授 主持老師 負責人 負責教授 負責老師 負責教師 "
        "指導教授 指導老師 教授 教授姓名 教師 教師姓名 老師 老師姓名 研究人員 研究者 研究人員姓名 姓名 主任 "
        "召集人 團隊主持人 中心主任 主持人姓名 主持人中文姓名 專家 專家姓名 pi's piname principalinvestigator "
        "head headoflab labhead director professor faculty facultyname investigator researcher researchername "
        "supervisor leader advisor contactpi",
        "summary": "摘要 研究摘要 實驗室簡介 研究室簡介 研究簡介 中文簡介 中文摘要 研究內容 研究方向 研究主題 "
        "研究專長 專長 專長領域 專長簡介 學術專長 研究專長領域 專業專長 技術專長 技術簡介 技術說明 研究概要 "
        "研究概述 介紹 實驗室介紹 說明 概述 核心技術 主要技術 技術能量 研發能量 研究成果簡介 abstract "
        "description expertise researchinterest researchinterests interests researchtopic researchtopics "
        "researchdescription specialty specialties overview profile about introduction researchsummary "
        "researchfocus capabilities",
        "summary_en": "英文摘要 英文說明 英文介紹 研究簡介(英文) summaryen summaryenglish englishabstract "
        "abstracten descriptionen englishdescription",
        "keywords": "關鍵字 關鍵字詞 中文關鍵字 中文關鍵詞 研究關鍵字 研究關鍵詞 技術關鍵字 技術關鍵詞 "
        "關鍵技術 標籤 主題詞 keyword keywordszh tags tag terms researchkeywords subjectterms",
        "offers": "可提供項目 提供項目 可提供服務 提供服務 服務項目 合作方式 合作項目 可合作項目 可合作方式 "
        "合作類型 offer services service cooperation collaboration collaborationtypes canoffer",
        "will_not_do": "不承接項目 不接受 不接項目 不合作項目 不做 限制 合作限制 willnot notaccepted "
        "exclusions restrictions",
        "capacity": "可承接量 可接案數 可承接案數 可接件數 承接件數 承接量 餘裕 可再承接件數 名額 "
        "availablecapacity slots availableslots openslots",
        "conflicts": "迴避 迴避廠商 迴避企業 迴避名單 迴避對象 應迴避廠商 利益迴避 利益衝突廠商 利益衝突企業 "
        "利益衝突說明 conflict conflictsofinterest conflictofinterest coi",
        "links": "連結 網站 網頁 官網 個人網頁 實驗室網址 實驗室網頁 實驗室網站 網站連結 相關連結 網頁連結 "
        "首頁 homepage website webpage url urls link web websiteurl homepageurl labwebsite",
    },
    Kind.EVIDENCE: {
        "lab": "實驗室 所屬實驗室 研究室 實驗室編號 實驗室名稱 實驗室id labid labname labcode laboratory",
        "id": "成果編號 佐證編號 論文編號 專利號 專利編號 專利證號 計畫編號 doi patentno patentnumber "
        "evidenceid",
        "kind": "類別 種類 成果類型 成果類別 佐證類型 佐證類別 著作類別 type category evidencetype "
        "evidencekind publicationtype",
        "title": "標題 名稱 成果名稱 論文題目 論文名稱 論文標題 著作名稱 專利名稱 計畫名稱 技術名稱 篇名 "
        "發明名稱 研究題目 papertitle patenttitle projecttitle publication publicationtitle articletitle",
        "abstract": "論文摘要 專利摘要 計畫摘要 成果摘要 內容 說明 簡介 內容摘要 summary description "
        "abstracttext",
        "year": "年度 西元年 發表年 發表年度 發表年份 出版年 出版年份 公告年 公告年度 計畫年度 "
        "publicationyear pubyear yearpublished publishedyear",
        "weight": "比重 重要性 代表性",
    },
    Kind.NEEDS: {
        "id": "需求代號 需求編號 案號 案件編號 needid needno needcode requestid caseid",
        "company": "公司 公司名稱 廠商 廠商名稱 企業名稱 企業單位 提案廠商 提案企業 提案單位 提出廠商 "
        "提出單位 需求廠商 需求企業 需求單位 客戶 客戶名稱 會員 會員名稱 會員廠商 會員企業 合作廠商 單位名稱 "
        "companyname firm firmname client clientname customer organisation organization organizationname "
        "member membername",
        "title": "標題 需求 需求名稱 需求題目 需求標題 需求主題 需求項目 主題 議題 技術需求 技術需求名稱 "
        "合作需求 合作議題 研發需求 問題 題名 案名 名稱 項目 項目名稱 subject topic need needtitle needname "
        "name headline requesttitle challenge",
        "description": "需求說明 需求內容 需求描述 需求簡述 詳細說明 內容 描述 內容說明 簡述 問題描述 "
        "問題說明 現況 現況說明 痛點 背景 背景說明 技術需求說明 技術需求內容 規格 規格需求 desc details "
        "detail needdescription problem problemstatement background requirement requirements abstract summary "
        "text",
        "asks": "徵求 徵求項目 請求 希望協助 希望協助項目 需要協助 協助項目 需求類型 需求類別 合作需求項目 "
        "合作方式 ask needtype requests wanted lookingfor",
        "budget_ntd": "經費 金額 預算金額 經費預算 預算經費 預算上限 預估經費 預估預算 可投入經費 投入經費 "
        "可用經費 計畫經費 預算額度 總經費 合作經費 經費規模 預算(新臺幣) budget amount funding cost price "
        "budgetamount estimatedbudget maxbudget budgetntd budgettwd",
        "deadline": "截止日 截止日期 截止 需求期限 期限日期 完成期限 完成日期 預計完成日 預計完成日期 "
        "希望完成日 希望完成日期 希望時程 交期 到期日 有效期限 due duedate neededby enddate until "
        "completiondate targetdate",
        "confidentiality": "保密 機密等級 機密程度 保密等級 保密級別 公開程度 公開等級 公開範圍 揭露程度 密等 "
        "是否公開 可否公開 visibility confidential secrecy disclosure",
        "confidential_reason": "保密理由 保密說明 機密原因 不公開原因 reasonforconfidentiality",
        "excluded_labs": "排除 排除名單 排除對象 排除實驗室名單 不合作實驗室 迴避實驗室 迴避名單 exclude "
        "excluded excludelabs excludedlaboratories",
        "year": "年度 需求年度 西元年 提出年度 提案年度 needyear fiscalyear",
    },
    Kind.COMPANIES: {
        "id": "公司代號 企業代號 廠商代號 公司編號 企業編號 廠商編號 會員編號 會員代號 companyid companycode "
        "memberid memberno vendorid customerid",
        "name": "公司 公司名稱 企業 企業名稱 廠商 廠商名稱 公司中文名稱 中文名稱 公司全名 企業全名 會員名稱 "
        "會員廠商 會員企業 事業名稱 單位名稱 公司行號 營業人名稱 company companyname firm firmname "
        "organisation organization organizationname member membername vendor customer enterprise",
        "name_en": "公司英文名稱 企業英文名稱 英文公司名稱 英文公司名 companynameen englishcompanyname",
        "tax_id": "統編 營利事業統一編號 公司統編 統一編號(統編) 稅籍編號 taxid taxnumber vat vatnumber vatid "
        "ubn unifiedbusinessno uniformnumber businessid businessnumber guinumber",
        "country": "國家 國籍 所屬國家 所在國家 國家別 countrycode nation nationality",
        "size": "企業規模 公司規模 規模別 companysize",
        "tier": "會員 會員等級 會員類別 會員類型 會員別 會員資格 級別 membership membershiptier "
        "membershiplevel memberlevel membertype",
        "description": "簡介 公司簡介 企業簡介 公司介紹 主要產品 主要產品或服務 產品 產品服務 營業項目 "
        "主要業務 業務 業務內容 營業內容 經營項目 主力產品 摘要 summary about overview products product "
        "mainproducts business businessdescription activities profile",
        "fields": "產業 主要產業 行業 行業別 industries",
        "contact": "聯絡人 聯絡窗口 窗口 承辦人 聯繫人 聯絡人姓名 窗口姓名 contactperson contactname contact",
        "contact_email": "聯絡信箱 電子郵件 電子信箱 信箱 聯絡人信箱 聯絡人電子郵件 email e-mail mail contactemail "
        "emailaddress",
        "contact_phone": "電話 手機 行動電話 聯絡電話 公司電話 聯絡人電話 聯絡手機 電話分機 電話/手機 phone tel "
        "telephone mobile cell phonenumber contactphone",
    },
    Kind.SCHOOLS: {
        "id": "學校代碼 學校編號 校代碼 schoolid schoolcode universityid institutioncode",
        "name": "學校 學校名稱 校名 大學 大學名稱 學校中文名稱 中文校名 中文名稱 學校全名 機構名稱 機構 "
        "school schoolname university universityname institution institutionname",
        "name_en": "學校英文名稱 英文校名 universitynameen schoolnameen",
        "prominence": "名氣 聲望 reputation",
        "kind": "類型 類別 體系 體系別 學制 公私立 公/私立 設立別 性質 type category schooltype "
        "institutiontype",
        "founded": "創校 成立年 成立年份 成立年度 創立年 設立年 創校年份 創校年度 established foundedyear "
        "yearfounded",
        "merged_into": "併入 合併後學校 整併至 mergedinto",
        "merged_on": "併校日 合併日期 整併日期 mergeddate mergerdate",
    },
    Kind.ALLIANCES: {
        "id": "聯盟代號 聯盟編號 allianceid alliancecode",
        "name": "聯盟 聯盟名稱 聯盟全名 中文名稱 alliance alliancename",
        "name_en": "聯盟英文名稱 alliancenameen",
        "kind": "類型 類別 type alliancetype",
        "center": "中心 主導學校 主辦學校 核心學校 領頭學校 centre centerschool leadschool leaduniversity hub "
        "host",
        "since": "成立日 成立日期 起日 起始日期 開始日期 start startdate begin from founded",
        "until": "終止日 結束日期 迄日 終止日期 end enddate to",
        "partners": "夥伴 夥伴學校名單 合作學校 參與學校 成員學校 partner partnerschools members "
        "memberschools",
    },
    Kind.TERMS: {
        "en": "英文 英文詞 英文詞彙 外文名稱 原文 english",
        "zh": "中文 中文詞 中文詞彙 中文譯名 譯名 chinese",
        "abbreviation": "英文縮寫 簡稱",
        "subject": "領域 名詞類別 類別 出處 詞彙名稱 來源",
    },
}  # fmt: skip
_ROW_NUMBERS_WRITTEN = (
    *("序號", "項次", "項目編號", "次序", "順序", "流水號", "列號", "序", "號次", "no", "no.", "#", "seq", "seq."),
    *("index", "rowno", "rownumber", "sn", "s/n", "serialno", "sno"),
)
_PERHAPS_NUMBERS_WRITTEN = frozenset("編號 號碼 代碼 number num".split())  # noqa: SIM905
"""An id, or a row number where they count up from one."""
_PERSONS_WRITTEN = frozenset("姓名 name 全名 fullname 中文姓名".split())  # noqa: SIM905
EXTENSION = "extension"
"""What a column of extensions counts in: its numbers stand behind the telephone number of the same row."""
_EXTENSIONS_WRITTEN = frozenset("分機 分機號碼 電話分機號碼 ext extension".split())  # noqa: SIM905
_TELLING: dict[Kind, frozenset[str]] = {
    Kind.LABS: frozenset({"pi", "summary", "keywords", "offers", "capacity", "will_not_do", "summary_en"}),
    Kind.EVIDENCE: frozenset({"lab", "abstract", "weight"}),
    Kind.NEEDS: frozenset(
        {"company", "description", "asks", "budget_ntd", "deadline", "confidentiality", "excluded_labs"}
    ),
    Kind.COMPANIES: frozenset({"tax_id", "tier", "size", "country"}),
    Kind.SCHOOLS: frozenset({"founded", "prominence", "merged_into", "merged_on"}),
    Kind.ALLIANCES: frozenset({"partners", "center", "since"}),
    Kind.TERMS: frozenset({"en", "zh", "abbreviation"}),
}
"""Fields that hardly another kind of list has."""

_UNITS: tuple[tuple[str, str], ...] = (
    ("百萬元", "百萬"), ("百萬", "百萬"), ("million", "百萬"), ("千元", "千"), ("仟元", "千"), ("仟", "千"),
    ("thousand", "千"), ("千", "千"), ("萬元", "萬"), ("万元", "萬"), ("萬", "萬"), ("万", "萬"), ("億元", "億"),
    ("億", "億"), ("亿", "億"), ("%", "%"), ("％", "%"),
)  # fmt: skip
_CURRENCIES: tuple[tuple[str, str], ...] = (
    (r"\busd?\b|us\$|美元|美金|美圓", "USD"),
    (r"\bjpy\b|日圓|日元|日幣|円|¥", "JPY"), (r"\beur\b|\beuros?\b|€|歐元", "EUR"),
    (r"\brmb\b|\bcny\b|人民幣|人民币", "CNY"), (r"\bhkd\b|\bhk\$|港幣|港元", "HKD"), (r"\bgbp\b|£|英鎊", "GBP"),
    (r"\bkrw\b|₩|韓元|韓圜", "KRW"), (r"\bsgd\b|\bs\$|新加坡幣|新幣", "SGD"), (r"\baud\b|\ba\$|澳幣", "AUD"),
    (r"\bvnd\b|越南盾", "VND"), (r"\bchf\b|瑞士法郎", "CHF"), (r"\bcad\b|\bc\$|加幣", "CAD"), (r"\bthb\b|泰銖", "THB"),
    (r"\binr\b|₹", "INR"), (r"\bmyr\b|馬幣", "MYR"),
)  # fmt: skip
_BESIDE = re.compile(
    "電話|手機|傳真|信箱|郵件|mail|phone|fax|職稱|地址|address|系所|科系|系級|備註|備注|remark|note|聯絡|窗口|助理|人數|日期|時間"
)
"""What stands beside a thing of ours, and is no other word for it."""
_WEAK_BEGINNING = re.compile("^(?:主要|目前|本|相关|其他|现有|the)")


def _key(text: str) -> str:
    """Return the form in which headings are compared: Simplified characters, no blanks, marks or case."""
    return re.sub(r"[\s_\-:.,/'()&*]+", "", simplified(folded(text)))


_ROW_NUMBERS = frozenset(map(_key, _ROW_NUMBERS_WRITTEN)) | {"#"}
_PERHAPS_NUMBERS = frozenset(map(_key, _PERHAPS_NUMBERS_WRITTEN))
_PERSONS = frozenset(map(_key, _PERSONS_WRITTEN))
_EXTENSIONS = frozenset(map(_key, _EXTENSIONS_WRITTEN))


Meaning = Callable[[Kind, Sequence[str]], Mapping[str, str]]
"""Tells of headings of a kind that nobody knows which field they mean, of those that it can tell."""


@dataclass(frozen=True, slots=True)
class Heading:
    """What a heading was taken for; `unit` is what its numbers count in, `guessed` that it was told by likeness."""

    field: str
    unit: str = ""
    guessed: bool = False


def heading_of(kind: Kind, text: str, *, guess: bool = False) -> Heading | None:
    """Return the field that a heading names, None if it names none of this kind.

    Args:
        kind: what the rows are.
        text: the heading as it stands there.
        guess: also take the field whose usual headings are most like this one.
    """
    return _heading_of(kind, text, guess) if len(text) <= _MAX_HEADING_CHARS else None


@lru_cache(maxsize=2**14)
def _heading_of(kind: Kind, text: str, guess: bool) -> Heading | None:
    whole = unicodedata.normalize("NFKC", text).strip().strip("*:：＊ \n")
    unit = unit_in(whole)
    outside = re.sub(r"[(\[【〔][^)\]】〕]*[)\]】〕]|單位\s*[::]?\s*\S+", "", whole).strip() or whole
    spelled = dict.fromkeys([whole, outside, *_halves(outside)])
    for one in spelled:
        if (found := field_of(kind, one)) is not None or (found := _known(kind).get(_key(one))) is not None:
            return Heading(found, _roc(one, unit))
    if kind is Kind.COMPANIES and _key(outside) in _EXTENSIONS:
        return Heading("contact_phone", EXTENSION)
    if _key(outside) in _ROW_NUMBERS or _key(whole) in _ROW_NUMBERS:
        return Heading(ROW_NUMBER)
    if _key(outside) in _PERHAPS_NUMBERS:
        return Heading("id", ROW_NUMBER)
    if not guess or len(_key(outside)) < _MIN_GUESSED_CHARS or _BESIDE.search(outside.casefold()):
        return None
    plain = _WEAK_BEGINNING.sub("", _key(outside))
    found = _known(kind).get(plain) or _likest(kind, _key(outside))
    return None if found is None else Heading(found, _roc(outside, unit), guessed=True)


def _halves(text: str) -> list[str]:
    """Return the Chinese and the Latin part of a heading in both languages, the parts beside a slash or a break."""
    parts = [part.strip() for part in re.split(r"[/／|\n]", text) if part.strip()]
    chinese = "".join(c for c in text if not c.isascii()).strip()
    latin = "".join(c for c in text if c.isascii()).strip(" /-_")
    both = [chinese, latin] if chinese and latin else []
    return [*both, *(parts if len(parts) > 1 else [])]


def _roc(text: str, unit: str) -> str:
    return ROC_YEARS if ROC_YEARS in text or "學年度" in text else unit


@cache
def _known(kind: Kind) -> Mapping[str, str]:
    fields = {column.field for column in COLUMNS[kind]}
    found: dict[str, str] = {}
    for column in COLUMNS[kind]:
        found[_key(column.label)] = found[_key(column.field)] = column.field
    for table in (_LISTED[kind], _COMMON):
        for field, words in table.items():
            if field in fields:
                for word in words.split():
                    found.setdefault(_key(word), field)
    return found


@cache
def _written() -> frozenset[str]:
    """Return every usual heading of any kind, as it is written and in the form in which headings are compared."""
    words = {word for kind in Kind if kind is not Kind.TERMS for word, _ in usual_headings(kind)}
    return frozenset(form for word in words for form in (folded(word), _key(word)))


def is_usual(text: str) -> bool:
    """Whether a text, or its Chinese part, is a usual heading; a quick look that needs no dictionary."""
    plain = folded(text)
    return plain in _written() or "".join(c for c in plain if not c.isascii()) in _written()


@cache
def _choices(kind: Kind) -> dict[str, str]:
    return {key: field for key, field in _known(kind).items() if len(key) >= _MIN_GUESSED_CHARS}


def _likest(kind: Kind, key: str) -> str | None:
    choices = _choices(kind)
    found = process.extract(key, list(choices), scorer=fuzz.ratio, score_cutoff=_LIKE_ENOUGH, limit=4)
    fields = {choices[one[0]] for one in found}
    return fields.pop() if len(fields) == 1 else None


def unit_in(text: str) -> str:
    """Return in what the numbers under a heading, or of a table that says `單位：千元`, are counted; "" if in ones.

    A currency other than New Taiwan dollars is its code.
    """
    low = unicodedata.normalize("NFKC", text).casefold()
    if (code := currency_in(low)) is not None:
        return code
    brackets = re.findall(r"[(\[【〔]([^)\]】〕]*)[)\]】〕]", low)
    after = re.findall(r"單位\s*[::]?\s*(\S+)", low)
    for said in [*brackets, *after]:
        plain = re.sub(r"單位|新[臺台]幣|ntd?\$?|twd|[::\s$]", "", said)
        if re.fullmatch(r"1[,.]?000|k", plain):
            return "千"
        for word, unit in _UNITS:
            if plain.startswith(word):
                return unit
        if "民國" in said:
            return ROC_YEARS
    return ""


def currency_in(text: str) -> str | None:
    """Return the code of a currency other than New Taiwan dollars that a text names, else None."""
    low = unicodedata.normalize("NFKC", text).casefold()
    return next((code for words, code in _CURRENCIES if re.search(words, low)), None)


def usual_headings(kind: Kind) -> list[tuple[str, str]]:
    """Return what the columns of a kind are usually called, each with its field."""
    columns = COLUMNS[kind]
    found = [(name, column.field) for column in columns for name in (column.label, column.field.replace("_", " "))]
    fields = {column.field for column in columns}
    for table in (_LISTED[kind], _COMMON):
        found += [(word, field) for field, words in table.items() if field in fields for word in words.split()]
    return found


def asks_for_meaning(text: str) -> bool:
    """Whether the meaning of a heading that nothing is like is worth asking for: words, and of something of ours."""
    key = _key(text)
    is_word = len(key) >= _MIN_GUESSED_CHARS - 1 and not key.isdigit() and len(text) <= _MAX_MEANT_CHARS
    return is_word and not is_beside(text) and key not in _ROW_NUMBERS and key not in _PERHAPS_NUMBERS


def is_person_heading(text: str) -> bool:
    """Whether a heading only says that persons' names stand below it; a heading above it says whose."""
    return _key(text) in _PERSONS


def is_beside(text: str) -> bool:
    """Whether a heading speaks of what stands beside a thing of ours, such as somebody to call."""
    return _BESIDE.search(text.casefold()) is not None


def known_fields(kind: Kind, texts: Sequence[str]) -> set[str]:
    """Return the fields that the headings of a row name, without guessing."""
    found = {heading.field for text in texts if text and (heading := heading_of(kind, text)) is not None}
    return found - {ROW_NUMBER}


def telling_score(kind: Kind, texts: Sequence[str]) -> int:
    """Return how much headings speak for a kind: a point for each field, one more for what few others have."""
    fields = known_fields(kind, texts)
    return len(fields) + len(fields & _TELLING[kind])
