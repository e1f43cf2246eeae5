"""Lists as three offices would send them: a school office's workbook, a research office's CSV, an association's sheet.

In: a folder. Out: files with title rows, merged cells, headings over two lines, 民國 years, two heads in a cell, words
for nothing, totals and remarks. They exist to be imported at the first try. People, schools and companies are invented.
"""

from __future__ import annotations

from pathlib import Path

import openpyxl
from openpyxl.worksheet.worksheet import Worksheet

SCHOOLS = ("霧社科技大學", "合歡大學", "奇萊醫學院")
LABS = (
    ("葉片結冰實驗室", "藺若川、祝清和", "教授", "風機葉片結冰的早期偵測與除冰", "結冰；聲射；除冰", 2, "無"),
    ("高溫量測研究室", "邵以恆", "副教授", "爐內 1,500 ℃ 的非接觸量測，誤差 ±0.5 %", "高溫量測、輻射", "1", "嶺風電力"),
    ("碳化矽加工室", "宓雲開", "教授", "碳化矽晶圓的化學機械拋光（CMP）", "碳化矽；拋光", "無", "－"),
    ("水下聲學組", "尤聞溪／閔安石", "教授", "水下噪音源定位；頻帶 10⁻¹–10³ Hz", "水聲；定位", 0, "N/A"),
    ("釀酵工程室", "岑曉嵐", "助理教授", "乳酸菌發酵製程放大", "發酵", 3, ""),
    ("茶葉感官室", "麥一禾", "教授", "茶湯香氣的儀器與感官對照", "茶；香氣", "", "無"),
    ("果實採後室", "賁長風", "教授", "果實採後失水與包裝", "採後", 1, "無"),
    ("再生膜實驗室", "單若谷", "副教授", "膜蒸餾與海水淡化，通量 30 L/m²·h", "膜；淡化", 2, "無"),
    ("骨材影像室", "鄔靜言", "教授", "骨質影像的量化分析", "影像", 1, "康陵輔具"),
    ("復健感測室", "那思齊", "教授", "步態感測與復健回饋", "步態；復健", 4, "無"),
    ("藥物遞輸室", "翁百川", "教授", "微針與口服遞輸", "微針", "無", "無"),
    ("齒科陶瓷室", "卜以寧", "助理教授", "氧化鋯陶瓷的燒結", "氧化鋯；燒結", 1, "無"),
)
NEEDS = (
    ("嶺風電力", "冬季葉片結冰停機", "高山風場每年因結冰停機約二十天", 2400, "116年6月30日"),
    ("康陵輔具", "輪椅坐墊壓力量測", "要在一分鐘內知道壓力分布", 800, "民國116/3/1"),
    ("霧峰製茶", "茶湯香氣不穩", "同一批茶的香氣每週不同", "面議", "116.12.31"),
    ("合歡精密", "晶圓邊緣崩裂", "研磨後邊緣崩裂超過 20 µm", 1500, 46387),
    ("奇萊水務", "淡化膜結垢", "三個月就要酸洗一次", "300萬元", "2027-01-31"),
    ("嶺風電力", "海纜埋深", "想知道海纜露出的地方", "無", "無"),
)


def school_office(path: Path) -> Path:
    """Write a school office's workbook: a sheet of 12 labs and one of 6 needs, as offices keep them."""
    book = openpyxl.Workbook()
    labs = book.worksheets[0]
    labs.title = "115年師資一覽"
    labs.append(["產學合作實驗室一覽表"])
    labs.merge_cells("A1:I1")
    labs.append(["更新日期：115/11/01（請勿外流）"])
    labs.append(["序號", "學校", "實驗室名稱", "計畫主持人", None, "研究專長", "關鍵字", "可承接件數", "迴避廠商"])
    labs.append([None, None, None, "姓名", "職稱", None, None, None, None])
    labs.merge_cells("D3:E3")
    for n, (name, pi, rank, expertise, words, capacity, conflicts) in enumerate(LABS):
        school = SCHOOLS[n // 4] if n % 4 == 0 else None
        labs.append([n + 1, school, name, pi, rank, expertise, words, capacity, conflicts])
    for first in (5, 9, 13):
        labs.merge_cells(start_row=first, end_row=first + 3, start_column=2, end_column=2)
    labs.append(["合計", None, len(LABS)])
    labs.append(["備註：本表由各校研發處提供，如有異動請洽承辦人。"])
    _needs(book.create_sheet("企業需求"))
    book.save(path)
    return path


def _needs(sheet: Worksheet) -> None:
    sheet.append(["廠商需求彙整表"])
    sheet.append([None, None, None, "單位：新臺幣千元"])
    sheet.append([])
    sheet.append(["項次", "廠商名稱", "需求名稱", "預算", "希望完成日期", "需求說明"])
    for n, (company, title, description, budget, deadline) in enumerate(NEEDS, start=1):
        sheet.append([n, company, title, budget, deadline, description])
    sheet.append(["總計", None, "6 件"])


def research_office(path: Path) -> Path:
    """Write a research office's CSV in Big5 with `sep=;`: bilingual headings, semicolons, no ids."""
    lines = ["sep=;", "研究能量調查;;;;", "教師姓名 PI;所屬學校 University;研究室 Lab;專長 Expertise;網址 Homepage"]
    for n, (name, pi, _, expertise, _, _, _) in enumerate(LABS[:5]):
        plain = expertise.encode("cp950", errors="ignore").decode("cp950")
        lines.append(f'{pi};{SCHOOLS[n // 4]};{name};"{plain}";https://lab.example/p.asp?n={n}')
    lines.append("※ 以上為自願填報;;;;")
    path.write_bytes(("\r\n".join(lines) + "\r\n").encode("cp950"))
    return path


def company_association(path: Path) -> Path:
    """Write a company association's member list: two tables in one sheet, tax ids that lost their zeros."""
    book = openpyxl.Workbook()
    sheet = book.worksheets[0]
    sheet.title = "會員"
    sheet.append(["中部產業協會會員名冊"])
    sheet.append(["會員編號", "公司名稱", "統一編號", "會員等級", "所在縣市", "主要產品", "聯絡人"])
    sheet.append(["M-01", "嶺風電力股份有限公司", 16, "國內會員", "南投縣", "高山風場", "某先生"])
    sheet.append(["M-02", "康陵輔具有限公司", "00000022", "無", "臺中市", "輪椅與坐墊", "某小姐"])
    sheet.append([])
    sheet.append(["會員提出之需求"])
    sheet.append(["公司名稱", "需求主題", "需求內容", "預算（萬元）", "截止日"])
    sheet.append(["嶺風電力股份有限公司", "葉片巡檢", "無人機影像判讀裂紋", 120, "民國一一六年五月一日"])
    sheet.append(["康陵輔具有限公司", "坐墊材料", "透氣又不塌的泡棉", 35.5, "116/07/01"])
    book.save(path)
    return path
