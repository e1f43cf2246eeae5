"""Records that mirror the plan's five pairings, all invented: few enough to import and index in seconds.

In: a folder. Out: four JSONL files in it. A bank with one need for one lab; a maker of warehouses that wants technology
and interns; a maker of chains toward Industry 4.0; clinicians with a need that a lab, a maker of wheelchairs and one of
carbon fibre answer one after the other; a lab whose result a maker of battery cells should hear of. Their ids are those
that `tests.rig.servers.served` gives to people.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

CLINIC, SEALED, PAST, BANK, WAREHOUSE, CELL = (
    *("need-1-01", "need-1-03", "need-1-04", "need-1-05", "need-1-06", "need-1-07"),
)
REHAB, COMPOSITES, VISION, SMART, ENERGY, INTERNS, VEHICLES, MONEY, BATTERY = (f"lab-1-0{n}" for n in range(1, 10))
AID, CARBON, CHAIN, STORES, CELLS, BANKERS, FOOD = (f"co-1-{n}" for n in range(1, 8))

_SCHOOLS: tuple[dict[str, Any], ...] = (
    {"id": "yltu", "name": "海岬大學", "region": "south", "prominence": "high"},
    {"id": "tech", "name": "鹽埕科技大學", "region": "south", "prominence": "low"},
    {"id": "med", "name": "鼓山醫學大學", "name_en": "Gushan Medical University", "region": "south"},
    {"id": "north", "name": "竹塹大學", "region": "north", "prominence": "high"},
)
_LABS: tuple[tuple[str, str, str, list[str], str, tuple[tuple[str, str, str], ...]], ...] = (
    (
        *(REHAB, "復健工程實驗室", "yltu", ["technology"], "為行動不便者設計輔具與步態量測，輪椅與助行器的人因設計。"),
        (
            ("technology", "可單手操作的輕量輪椅", "中風病人單手即可驅動並收折的輪椅結構，已完成三十名病人試用。"),
            ("paper", "輪椅座面壓力分布量測", "以壓力墊量測久坐病人的臀部壓力，預防褥瘡。"),
        ),
    ),
    (
        *(COMPOSITES, "複合材料成形實驗室", "tech", ["technology"], "碳纖維預浸布疊層、熱壓成形與疲勞測試。"),
        (("paper", "碳纖維管件的疊層設計", "以疊層角度最佳化減輕管件重量三成而剛性不變。"),),
    ),
    (
        *(VISION, "機器視覺與深度學習實驗室", "yltu", ["technology"]),
        "以深度學習做工業影像瑕疵辨識與製程資料分析，預測設備異常。",
        (
            ("paper", "以卷積神經網路辨識金屬表面瑕疵", "少量樣本下的鏈條與扣件表面瑕疵自動檢測。"),
            ("project", "產線資料的異常預測", "以機台感測資料與機器學習預測設備故障與品質異常。"),
        ),
    ),
    (
        *(SMART, "智慧製造實驗室", "tech", ["technology", "training"]),
        "產線自動化、機械手臂上下料、機台聯網與製造執行系統導入。",
        (
            ("project", "沖壓與組裝產線的機械手臂自動上下料", "協助金屬零件廠把人工上下料改為機械手臂。"),
            ("project", "機台聯網與製造執行系統", "舊機台加裝感測器，收集稼動率，導入工業四點零的戰情看板。"),
        ),
    ),
    (
        *(ENERGY, "節能與淨零實驗室", "north", ["technology"], "工廠能源管理、熱處理爐餘熱回收與碳盤查。"),
        (("project", "熱處理爐的餘熱回收", "以熱交換器回收熱處理爐廢熱，用電降低一成五，並完成溫室氣體盤查。"),),
    ),
    (
        *(INTERNS, "自動化人才培育實驗室", "tech", ["talent", "training"]),
        "培育機電整合實習生，學生進廠實習半年到一年，課程含機械手臂操作與可程式控制器。",
        (("project", "自動化設備產業學院", "每年二十名機電整合學生到自動化設備廠實習一年，結業後留用率六成。"),),
    ),
    (
        *(VEHICLES, "移動機器人實驗室", "north", ["technology"], "無人搬運車的路徑規劃與多車排程。"),
        (("paper", "多台無人搬運車的即時排程", "倉儲中多台無人搬運車避免壅塞的派車與路徑規劃演算法。"),),
    ),
    (
        *(MONEY, "金融科技實驗室", "north", ["technology"], "信用評分與洗錢偵測。"),
        (("paper", "以圖神經網路偵測洗錢帳戶", "交易網路中的異常帳戶偵測。"),),
    ),
    (
        *(BATTERY, "儲能材料實驗室", "north", ["technology"], "鋰電池矽負極材料與電解液添加劑。"),
        (("patent", "矽碳負極的包覆方法", "以碳包覆奈米矽，五百次循環容量維持八成五。"),),
    ),
)
_COMPANIES: tuple[tuple[str, str, str, str, str], ...] = (
    (AID, "康行輔具", "none", "生技醫藥", "製造輪椅、助行器與電動代步車等行動輔具，外銷歐洲與日本。"),
    (
        CARBON,
        "明岳複材",
        "domestic",
        "智慧製造",
        "以碳纖維複合材料製造高爾夫球桿頭、自行車架與管件，自有熱壓成形產線。",
    ),
    (CHAIN, "環鏈工業", "none", "智慧製造", "製造自行車與機車鏈條，沖壓、熱處理、組裝一貫作業，希望朝工業四點零轉型。"),
    (STORES, "立匯自動化", "domestic", "智慧製造", "自動化倉儲與搬運設備的系統整合商。"),
    (CELLS, "宏蓄電能", "domestic", "綠能科技", "製造電動機車用鋰電池芯，尋找高容量負極材料。"),
    (BANKERS, "銀山金控", "domestic", "金融科技", "商業銀行，辦理授信與帳戶監控。"),
    (FOOD, "田園食品", "domestic", "新農業", "生產冷凍蔬菜與即食調理包。"),
)
_NEEDS: tuple[dict[str, Any], ...] = (
    {
        "id": CLINIC,
        "school": "med",
        "title": "中風病人用的輕量輪椅",
        "description": "復健科醫師提出：中風病人只有一手能用，現有輪椅太重，單手推不動也收不起來。",
        "asks": [
            {"kind": "technology", "text": "單手可驅動與收折的輪椅結構"},
            {"kind": "technology", "text": "以碳纖維複合材料減輕車架重量"},
        ],
    },
    {
        "id": SEALED,
        "company": CARBON,
        "title": "輪椅車架的碳纖維複合材料",
        "description": "機密：開發碳纖維複合材料的輪椅車架，要減輕車架重量。",
        "asks": [{"kind": "technology", "text": "碳纖維複合材料輪椅車架減輕重量"}],
        "confidentiality": "confidential",
    },
    {
        "id": PAST,
        "company": AID,
        "title": "單手輪椅的座面",
        "description": "中風病人單手推輪椅時座面會滑，想要改善輪椅結構。",
        "asks": [{"kind": "technology", "text": "單手輪椅的座面結構"}],
    },
    {
        "id": BANK,
        "company": BANKERS,
        "title": "偵測人頭帳戶",
        "description": "想在帳戶被用來洗錢之前就發現異常交易。",
        "asks": [{"kind": "technology", "text": "洗錢帳戶的異常交易偵測模型"}],
    },
    {
        "id": WAREHOUSE,
        "company": STORES,
        "title": "無人搬運車整合服務",
        "description": "要新的派車技術，也要能進廠的實習生，一次滿足技術面與人才面。",
        "asks": [
            {"kind": "technology", "text": "多台無人搬運車的路徑規劃與即時排程"},
            {"kind": "talent", "text": "機電整合實習生，到自動化設備廠實習一年"},
        ],
    },
    {
        "id": CELL,
        "company": CELLS,
        "title": "高容量負極",
        "description": "電池芯要提高能量密度，尋找矽負極材料的包覆做法。",
        "asks": [{"kind": "technology", "text": "矽碳負極材料的包覆"}],
    },
)
_YEAR = 2017


def write_five_cases(folder: Path) -> None:
    """Write the records into a folder."""
    labs = [
        {
            "id": lab_id,
            "name": name,
            "pi": f"第{n}主持人",
            "school": school,
            "offers": offers,
            "summary": summary,
            "evidence": [
                {"id": f"e{m}", "kind": kind, "title": title, "abstract": abstract, "year": _YEAR - 1}
                for m, (kind, title, abstract) in enumerate(works)
            ],
        }
        for n, (lab_id, name, school, offers, summary, works) in enumerate(_LABS, start=1)
    ]
    companies = [
        {"id": one, "name": name, "tier": tier, "fields": [field], "description": description}
        for one, name, tier, field, description in _COMPANIES
    ]
    needs = [{"year": _YEAR, **one} for one in _NEEDS]
    for name, rows in (("schools", _SCHOOLS), ("companies", companies), ("labs", labs), ("needs", needs)):
        lines = [json.dumps(row, ensure_ascii=False) for row in rows]
        (folder / f"{name}.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
