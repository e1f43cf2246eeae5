"""What a need states and what it leaves open: object, process, property, application and constraint.

In: the text of a need, Chinese or English. Out: for each of the five elements the pieces of the text that state it,
and for each that none states a question to the company in both languages. It exists because a need that
lacks them is matched by chance, and the one who can tell is the company, if somebody asks. Found by lists of words,
units and turns of phrase, never by a model: what is shown can be pointed at. What is doubtful is left out, since a
superfluous question costs a company a line, while a wrong statement costs the expert's trust. Pure: no database, no
model.

The lists are of whole fields of work, not of the needs at hand. A word inside a longer one says nothing of its own:
a cleaning agent is an object, not the process of cleaning.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import lru_cache
from typing import Any

from indexer.folding import for_reading
from indexer.records.passages import CHINESE, ENGLISH, joined, language_of
from indexer.vocabulary import ResearchField
from indexer.wording import P_, T_, Bilingual, Text, either

SPANS_SHOWN = 4
"""Pieces of a text that are kept for each element."""
LONGEST_CLAUSE = {CHINESE: 48, ENGLISH: 144}
"""Characters of a clause that is shown; a longer one is no statement but a story."""


class Element(StrEnum):
    """What a need has to state for a lab to be found by more than chance."""

    OBJECT = "object"
    METHOD = "method"
    PROPERTY = "property"
    APPLICATION = "application"
    CONSTRAINT = "constraint"


ELEMENT_LABELS: dict[Element, Text] = {
    Element.OBJECT: P_("element", "object"),
    Element.METHOD: P_("element", "process or method"),
    Element.PROPERTY: P_("element", "property or figure"),
    Element.APPLICATION: P_("element", "use"),
    Element.CONSTRAINT: P_("element", "constraint"),
}
"""What the elements are called on screen."""
QUESTIONS: dict[Element, Text] = {
    Element.OBJECT: T_("Which material, product or data is it about?"),
    Element.METHOD: T_("By which process or method is it made or done today, and what have you tried?"),
    Element.PROPERTY: T_("Which property has to become better, from which figure to which?"),
    Element.APPLICATION: T_("What is it used for, where and by whom?"),
    Element.CONSTRAINT: T_("Which limits are there, such as budget, date, size, or what must not be changed?"),
}
"""What to ask the company where nothing states an element."""
MOST_ASKED = 3
"""So many questions are asked at once; whoever is asked more answers none."""
_FEWEST_OF_A_FIELD = 2
_NAMED_FIELDS = frozenset(one.value for one in ResearchField)


@dataclass(frozen=True, slots=True)
class Stated:
    """A piece of a need's text, from `start` up to `end`, that states an element."""

    element: Element
    text: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Question:
    """What to ask the company: about an element that the need does not state, None about what tells labs apart."""

    element: Element | None
    ask: Bilingual


@dataclass(frozen=True, slots=True)
class NeedElements:
    """What a need states, in the order of the elements and of its text, and what to ask about the rest."""

    stated: tuple[Stated, ...]
    questions: tuple[Question, ...]

    def with_labs_told_apart(self, fields: Iterable[Sequence[str]]) -> NeedElements:
        """Return the same with a question about what the labs that a vague need could mean work in, if that differs.

        Args:
            fields: of each of these labs, its own most important one first.
        """
        firsts = Counter(of[0] for of in fields if of and of[0] in _NAMED_FIELDS)
        counted = [name for name, n in firsts.most_common() if n >= _FEWEST_OF_A_FIELD]
        known = [one for one in map(ResearchField, counted) if one is not ResearchField.GENERAL]
        if len(known) < _FEWEST_OF_A_FIELD:
            return self
        zh, en = "、".join(known), ", ".join(one.name.replace("_", " ").lower() for one in known)
        ask = T_("Which of these is it about: %(fields)s?", fields=either(zh, en))
        before, after = self.questions[: MOST_ASKED - 1], self.questions[MOST_ASKED - 1 :]
        return replace(self, questions=(*before, Question(None, Bilingual.of(ask)), *after))

    @property
    def asked(self) -> tuple[Question, ...]:
        """Those of the questions that are asked at once."""
        return self.questions[:MOST_ASKED]

    @property
    def by_element(self) -> dict[Element, tuple[Stated, ...]]:
        """What states each element, without those that nothing states."""
        found = {element: tuple(one for one in self.stated if one.element is element) for element in Element}
        return {element: stated for element, stated in found.items() if stated}


_OBJECTS_ZH = """
    研磨液 清洗液 顯影液 電解液 切削液 塗料 油漆 塗層 鍍層 薄膜 隔離膜 阻擋層 漿料 光阻 膠材 樹脂 複合材料 碳纖維
    玻璃纖維 碳化矽 氮化鎵 矽晶圓 晶圓 晶片 晶粒 基板 載板 面板 封裝 電路板 光罩 靶材 散熱膏 散熱片 導熱材料
    散熱模組 記憶體 處理器 感測器 麥克風 加速度計 攝影機 鏡頭 鏡片 雷射 光達 雷達 天線 衛星 無人機 機器人 機械手臂
    手臂 無人搬運車 自走車 馬達 主軸 軸承 齒輪 減速機 滾珠螺桿 渦輪 葉片 引擎 變速箱 幫浦 閥門 壓縮機 冰水主機 鍋爐
    熱處理爐 爐管 換熱器 車床 銑床 磨床 沖床 工具機 五軸機 加工機 射出機 注塑機 模具 模仁 夾具 刀具 刀片 端子座
    連接器 螺絲 螺帽 扣件 鏈條 彈簧 輪圈 車架 輪胎 自行車 機車 電動車 汽車 船舶 漁船 電池 電芯 鋰電池 燃料電池
    太陽能板 風機 基樁 水下基礎 變壓器 逆變器 充電器 充電樁 電源供應器 功率模組 超級電容 鋼材 不鏽鋼 鋁合金 鈦合金
    鎂合金 銅箔 合金 陶瓷 玻璃 水泥 混凝土 瀝青 塑膠 橡膠 泡棉 不織布 紗線 布料 織物 布捲 染料 紙漿 木材 皮革 黏著劑
    油墨 觸媒 溶劑 廢水 汙泥 污泥 廢液 廢棄物 沼氣 敷料 支架 輔具 植入物 骨釘 骨材 人工關節 導管 試片 檢測試劑 試劑
    疫苗 抗體 胜肽 蛋白質 酵素 菌株 益生菌 細胞 藥材 中藥 藥物 膠囊 面膜 化妝品 保健食品 乳酸菌 超音波 輪椅 假肢
    義肢 白蝦 石斑 魚苗 飼料 肥料 茶葉 烏龍 蘭花 稻米 咖啡 水果 蔬菜 牛奶 雞蛋 豬肉 雞糞 種子 種苗 作物 土壤 邊坡
    隧道 橋梁 管線 帳戶 錄音 通話 病歷 影像資料 交易資料 語料 保單 展示內容 觸控螢幕
"""
_METHODS_ZH = """
    研磨 拋光 清洗 蝕刻 黃光 微影 濺鍍 蒸鍍 電鍍 鍍膜 鍍銅 鍍鋅 沉積 磊晶 離子佈植 退火 回火 淬火 滲碳 熱處理 酸洗
    烘烤 燒結 焊接 銲接 接合 鍵合 貼合 點膠 封膠 塗布 塗佈 噴塗 烤漆 印刷 網印 鑄造 鍛造 壓鑄 擠壓 射出 射出成型
    熱壓 沖壓 沖孔 切削 車削 銑削 放電加工 雷射切割 積層製造 3D列印 三維列印 紡絲 染色 打色 編織 發酵 萃取 蒸餾 過濾
    離心 層析 結晶 乾燥 冷凍乾燥 噴霧乾燥 包覆 微膠囊 殺菌 滅菌 培養 育種 煎煮 消毒 冷泡 拚配 厭氧消化 堆肥 電解
    裂解 熱解 吸附 薄膜分離 逆滲透 混凝 有限元素分析 模擬 建模 數位分身 數位雙生 機器學習 深度學習 強化學習 聯邦學習
    語音辨識 語音轉文字 影像辨識 物件偵測 自然語言處理 排程 派車 統計計畫 統計分析 迴歸分析 人體試驗 臨床試驗
    動物試驗 光譜 質譜 顯微鏡 斷面分析 剖析 吊重 反覆彎折 加速老化 斷層掃描 遙測 測深 空拍 影像處理 逆向工程 反組譯
"""
_PROPERTIES_ZH = """
    抗拉強度 抗壓強度 強度 硬度 剛性 韌性 厚度 純度 黏度 濃度 精度 準確度 準確率 靈敏度 解析度 良率 不良率 轉換效率
    壽命 耐久性 誤差 均勻度 導熱係數 導電度 耗電 功耗 待命電流 漏電流 移除速度 回收率 誤殺 漏檢 翹曲 粗糙度 共面度
    公差 含水率 溶氧 可靠度 穩定性 呆帳率 賠付率 尺寸精度 亞硝酸 蒸汽壓 產能 誤判率 召回率 毒性 細裂紋 刮傷 脫落率
    滲液 厚薄不均
"""
_USES_ZH = """
    診所 廠房 病房 床邊 居家 門市 溫室 茶園 魚塭 蝦池 山區公路 工地 客服電話 常設展 港內 車廠 校園 離岸風場 車用
    軍用 醫療用途 航太 離岸風電 資料中心 智慧工廠 智慧農業 智慧醫療 長照機構 長照 居家照護 健康食品 助聽器 養殖場
    無塵室 淨水場 污水處理廠 冷凍倉 電動車用 行動裝置 穿戴裝置
"""
_OBJECTS_EN = """
    slurry|etchant|electrolyte|coating|clear coat|lacquer|paint|film|adhesive|resin|epoxy|carbon fibre|
    carbon fiber|composite|fibre|fabric|yarn|textile|foam|polymer|plastic|rubber|ceramic|steel|alloy|titanium|
    aluminium|aluminum|copper|magnesium|concrete|glass|wood|paper|leather|silicon carbide|gallium nitride|wafer|
    chip|die|substrate|interposer|circuit board|power module|thermal interface|memory|processor|sensor|microphone|
    diaphragm|camera|lens|lidar|radar|antenna|satellite|drone|robot|motor|spindle|bearing|gear|turbine|blade|
    engine|pump|valve|compressor|boiler|furnace|heat exchanger|machine tool|lathe|mould|mold|screw|bolt|fastener|
    spring|wheel|rim|tyre|tire|bicycle|scooter|vehicle|vessel|battery|battery cell|fuel cell|solar panel|
    photovoltaic module|transformer|inverter|converter|charger|supercapacitor|catalyst|solvent|wastewater|sludge|
    manure|biogas|waste|fertilizer|fertiliser|wound dressing|dressing|implant|spine cage|prosthesis|orthosis|
    catheter|test strip|reagent|vaccine|antibody|peptide|protein|enzyme|probiotic|cell line|drug|mask|cosmetic|
    ultrasound probe|mattress|shrimp|grouper|fish|feed|tea|coffee|orchid|rice|fruit|vegetable|egg|milk|seed|crop|
    soil|pile|pipeline|bank account|account|wallet|phone|handset|software|app|recording|medical record|dataset|
    data set
"""
_METHODS_EN = """
    polishing|grinding|etching|lithography|sputtering|evaporation|electroplating|plating|deposition|epitaxy|
    annealing|quenching|tempering|heat treatment|sintering|welding|soldering|bonding|copper joining|dispensing|
    spray coating|printing|casting|forging|die casting|extrusion|injection moulding|injection molding|stamping|
    milling|turning machine|laser cutting|additive manufacturing|3d printing|spinning|dyeing|weaving|fermentation|
    extraction|distillation|filtration|centrifugation|chromatography|crystallisation|crystallization|freeze drying|
    spray drying|encapsulation|sterilisation|sterilization|anaerobic digestion|composting|electrolysis|pyrolysis|
    adsorption|reverse osmosis|finite element|simulation|digital twin|machine learning|deep learning|
    reinforcement learning|federated learning|speech recognition|image recognition|scheduling|statistical analysis|
    clinical trial|clinical follow-up|spectroscopy|mass spectrometry|microscopy|tomography|power[- ]cycling|
    hard[- ]switching|run-to-failure|accelerated ageing|accelerated aging|emulator run|reverse engineering|
    surface preparation|rope access|lifetime modelling|lifetime modeling
"""
_PROPERTIES_EN = """
    tensile strength|strength|stiffness|hardness|toughness|thickness|purity|viscosity|accuracy|precision|
    sensitivity|resolution|conversion efficiency|efficiency|lifetime|service life|durability|conductivity|
    power consumption|leakage current|roughness|waviness|tolerance|porosity|flatness|error rate|false alarm|
    claim frequency|turn-on voltage|toxicity|throughput
"""
_USES_EN = """
    automotive|aerospace|data centre|data center|offshore wind|consumer electronics|hearing[- ]aid|hearing device|
    medical device|clinic|operating room|paint shop|at sea|warehouse|greenhouse|construction site|home care|
    nursing home|clean ?room|wearable device|smart factory|precision farming
"""

_N_ZH = (
    r"(?:\d[\d,]{0,9}(?:\.\d{1,6})?"
    r"|[零〇一二兩三四五六七八九十百千萬半]{1,8}(?:點[零一二三四五六七八九]{1,4})?)[多幾來]?"
)
_N_EN = (
    r"(?:\d[\d,]{0,9}(?:\.\d{1,6})?|(?:one|two|three|four|five|six|seven|eight|nine|ten|twelve|fifteen|twenty|thirty|forty"
    r"|fifty|sixty|eighty|ninety|hundred)(?:-(?:one|two|three|four|five|six|seven|eight|nine))?)"
)
_UNIT_ZH = (
    "微米|奈米|毫米|公分|公厘|公尺|公里|英寸|吋|微克|毫克|公克|公斤|公噸|噸|毫升|公升|微安|毫安|安培|毫伏|伏特|毫瓦|千瓦|瓦|度電"
    "|度(?![假過量日])|赫茲|分貝|帕|轉速|毫秒|微秒|流明|勒克斯|％|%"
)
_UNIT_LATIN = (
    r"percent|per cent|%|°C|℃|[µμun]m|mm|cm|km|kg|mg|[µμ]g|kW|MW|mW|kWh|kV|mV|mA|[µμ]A|dB|[kMG]?Hz|ppm|ppb|[MGk]Pa|bar"
    r"|rpm|ms|[µμ]s|[MGk]bit/s|[MG]bps|tonnes?|tons?|inch(?:es)?|metres?|meters?|litres?|watts?|volts?|W|V|degrees"
)
_FIGURES = (
    # A lone 一 is an article as often as a number: 一度 is once.
    rf"(?<![\d.])(?!一(?:{_UNIT_ZH}))(?:零下)?(?:{_N_ZH}[到至~-])?{_N_ZH}\s?(?:{_UNIT_ZH})(?:左右|以上|以下|以內)?",
    rf"百分之{_N_ZH}",
    (
        rf"(?<![\w.])(?:[\d.]{{1,6}} ?[x×] ?){{0,3}}{_N_EN}[ -]?"
        rf"(?:{_UNIT_LATIN})(?:/(?:m[23]|kg|cm[23]|h|L))?(?![A-Za-z0-9])"
    ),
)

_END_ZH = r"[^，,。．;；:：、!！?？\n()（）「」]"
_USES_SAID = (
    rf"(?:應用於|應用在|使用於|適用於|用於|用在|裝在|裝到|安裝於|安裝在){_END_ZH}{{2,20}}",
    (
        r"\b(?:for use (?:in|on|with|as)|used (?:in|on|near|for)|applied (?:to|in)|installed (?:in|on)|intended for"
        r"|worn (?:in|on|by)) [^.,;:()\n]{2,48}"
    ),
)
_WISH = "希望|要求|必須|目標|完成|導入|交出|需要|之內|以內"
_LIMITS_ZH = (
    r"(?<![能說])不能(?![看用再理確])",
    r"不得(?![不已])",
    r"(?<!可)不可(?![能以])",
    r"(?<!要)不要(?:含|用|使用|有|動|換|超過|從頭|塗|碰)",
    "必須|務必|不准|不超過|不影響|不靠|前提下|不傷|不維護|預算(?:有限|不多|不高)|只換",
    rf"(?:至少|最多|至多){_END_ZH}{{0,2}}{_N_ZH}",
    rf"{_N_ZH}{_END_ZH}{{0,4}}(?:以內|以下)",
    rf"(?:{_WISH}){_END_ZH}{{0,6}}{_N_ZH}(?:個月|年|天|週|日)內",
)
_LIMITS_EN = (
    r"\bmust(?: not)? (?!have been)",
    r"\b(?:cannot|can't|will not|won't) (?:accept|exceed|go inside|coat|have)\b",
    r"\b(?:do not want|not accept|no more than|not more than|at most|out of the question|has to)\b",
    rf"\b(?:less than|fewer than|below|at least) {_N_EN}\b",
    r"\bwithin (?:\d{1,4}|ten|five|twenty|thirty) (?:ms|milliseconds|seconds|minutes)\b",
    r"\bbudget (?:is|of|limit)\b",
)


def _listed_zh(words: str) -> str:
    return "|".join(re.escape(word) for word in sorted(words.split(), key=len, reverse=True))


def _listed_en(words: str) -> str:
    found = [word.strip() for word in words.split("|")]
    return rf"(?<![\w-])(?:{'|'.join(sorted(found, key=len, reverse=True))})(?:e?s)?(?![\w-])"


def _each(chinese: str, english: str) -> tuple[re.Pattern[str], ...]:
    # Apart, since letters of either case are sought much more slowly than Chinese characters.
    return re.compile(chinese), re.compile(english, re.IGNORECASE)


_WORDS = {
    Element.OBJECT: _each(_listed_zh(_OBJECTS_ZH), _listed_en(_OBJECTS_EN)),
    Element.METHOD: _each(_listed_zh(_METHODS_ZH), _listed_en(_METHODS_EN)),
    Element.PROPERTY: _each(_listed_zh(_PROPERTIES_ZH), _listed_en(_PROPERTIES_EN)),
    Element.APPLICATION: _each(_listed_zh(_USES_ZH), _listed_en(_USES_EN)),
}
_PHRASES = {Element.PROPERTY: (re.compile("|".join(_FIGURES)),), Element.APPLICATION: _each(*_USES_SAID)}
_LIMITS = dict(zip((CHINESE, ENGLISH), _each("|".join(_LIMITS_ZH), "|".join(_LIMITS_EN)), strict=True))
_CLAUSE = re.compile(r"(?:[^，,。;；、!！?？\n.]|[.,](?=\d)|(?<=\d)、(?=\d))+")


def _worded(text: str) -> list[Stated]:
    """Return what single words state; of words that overlap only the longest."""
    found = [
        Stated(element, match.group(), *match.span())
        for element, words in _WORDS.items()
        for pattern in words
        for match in pattern.finditer(text)
    ]
    kept: list[Stated] = []
    end = 0
    for one in sorted(found, key=lambda one: (one.start, -one.end)):
        if one.start >= end:
            kept.append(one)
            end = one.end
    return kept


def _phrased(text: str) -> Iterator[Stated]:
    """Yield what whole turns of phrase state: figures with units, what something is used for, limits."""
    for element, patterns in _PHRASES.items():
        for pattern in patterns:
            for match in pattern.finditer(text):
                yield Stated(element, match.group().strip(), *match.span())
    for clause in _CLAUSE.finditer(text):
        said = clause.group().strip()
        language = language_of(said)
        if len(said) <= LONGEST_CLAUSE[language] and _LIMITS[language].search(said):
            start = text.index(said, clause.start())
            yield Stated(Element.CONSTRAINT, said, start, start + len(said))


@lru_cache(maxsize=1024)
def elements_of(text: str, *, has_limits: bool = False) -> NeedElements:
    """Return what a need's text states, and what to ask about the rest.

    Args:
        text: all that the need says, see `indexer.records.passages.need_text`.
        has_limits: whether its form states a budget or a date, so that limits need not be asked for.
    """
    found = sorted((*_worded(text), *_phrased(text)), key=lambda one: (one.start, -one.end))
    stated: list[Stated] = []
    open_ones: list[Question] = []
    for element in Element:
        distinct: dict[str, Stated] = {}
        for one in found:
            if one.element is element:
                distinct.setdefault(one.text.casefold().rstrip("s"), one)
        stated += list(distinct.values())[:SPANS_SHOWN]
        if not distinct and not (element is Element.CONSTRAINT and has_limits):
            open_ones.append(Question(element, Bilingual.of(QUESTIONS[element])))
    return NeedElements(tuple(stated), tuple(open_ones))


def elements_stated(need: Mapping[str, Any]) -> NeedElements | None:
    """Return what a need, or a draft of one, states and leaves open; None if its text is withheld."""
    if need.get("redacted"):
        return None
    asks = (ask["text"] for ask in need.get("asks") or ())
    text = joined(need.get("title") or "", need.get("description") or "", *asks)
    return elements_of(for_reading(text), has_limits=bool(need.get("budget_ntd") or need.get("deadline")))
