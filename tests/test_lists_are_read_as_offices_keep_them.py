"""The lists that offices really have come in at the first try: title rows, merged cells, 民國 years, totals, no ids."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openpyxl
import pytest
import xlwt
from sqlmodel import Session

from indexer.database import open_engine
from indexer.records.importing import ImportReport, import_file
from indexer.records.readers import ReadAs, Reading, read
from indexer.records.record_tables import load_companies, load_labs, load_needs
from indexer.settings import Settings
from indexer.vocabulary import Kind
from tests.rig.worlds.office_lists import LABS, NEEDS, SCHOOLS, company_association, research_office, school_office


@pytest.fixture
def session(tmp_path: Path) -> Iterator[Session]:
    engine = open_engine(Settings(home=tmp_path / "home"))
    with Session(engine) as opened:
        yield opened
    engine.dispose()


def csv(tmp_path: Path, text: str, name: str = "labs.csv", encoding: str = "utf-8") -> Path:
    path = tmp_path / name
    path.write_bytes(text.encode(encoding))
    return path


def by_name(reading: Reading) -> dict[str, Any]:
    return {record.name: record for record in reading.records.values()}


def told(reading: Reading) -> str:
    return "\n".join(map(str, reading.problems))


def errors(report: ImportReport) -> list[str]:
    return [str(problem) for one in report.all() for problem in one.errors]


def test_a_school_offices_workbook_comes_in_at_once(session: Session, tmp_path: Path) -> None:
    report = import_file(session, school_office(tmp_path / "一覽.xlsx"))
    assert [(one.kind, one.created, one.refused) for one in report.all()] == [(Kind.LABS, 12, 0), (Kind.NEEDS, 6, 0)]
    labs = {lab.name: lab for lab in load_labs(session)}
    assert {(lab.name, lab.school) for lab in labs.values()} == {
        (name, SCHOOLS[n // 4]) for n, (name, *_) in enumerate(LABS)
    }
    assert [labs[name].pi for name in ("葉片結冰實驗室", "水下聲學組", "齒科陶瓷室")] == [
        "藺若川、祝清和",
        "尤聞溪、閔安石",
        "卜以寧",
    ]
    assert [labs[name].conflicts for name, *_ in LABS[:4]] == [(), ("嶺風電力",), (), ()]
    assert [labs[name].capacity for name, *_ in LABS[:4]] == [2, 1, None, 0]
    # Prose keeps exponents, units and width as they were typed.
    assert labs["水下聲學組"].summary == "水下噪音源定位；頻帶 10⁻¹–10³ Hz"
    assert labs["高溫量測研究室"].summary == "爐內 1,500 ℃ 的非接觸量測，誤差 ±0.5 %"
    needs = {need.title: need for need in load_needs(session)}
    assert [(needs[one[1]].budget_ntd, str(needs[one[1]].deadline)) for one in NEEDS] == [
        (2_400_000, "2027-06-30"),
        (800_000, "2027-03-01"),
        (None, "2027-12-31"),
        (1_500_000, "2026-12-31"),
        (3_000_000, "2027-01-31"),
        (None, "None"),
    ]
    assert errors(report) == []


def test_a_research_offices_csv_and_an_associations_sheet_come_in_at_once(session: Session, tmp_path: Path) -> None:
    report = import_file(session, research_office(tmp_path / "調查.csv"))
    assert (report.kind, report.created, errors(report)) == (Kind.LABS, 5, [])
    assert {lab.links for lab in load_labs(session)} == {(f"https://lab.example/p.asp?n={n}",) for n in range(5)}
    report = import_file(session, company_association(tmp_path / "協會.xlsx"))
    assert [(one.kind, one.created) for one in report.all()] == [(Kind.COMPANIES, 2), (Kind.NEEDS, 2)]
    assert [(one.id, one.tax_id, one.tier) for one in load_companies(session)] == [
        ("M-01", "00000016", "domestic"),
        ("M-02", "00000022", "none"),
    ]
    assert {(need.budget_ntd, str(need.deadline)) for need in load_needs(session)} == {
        (1_200_000, "2027-05-01"),
        (355_000, "2027-07-01"),
    }


def test_made_ids_stay_however_a_list_is_sorted_and_likely_duplicates_are_told(
    session: Session, tmp_path: Path
) -> None:
    rows = [f"{name},{pi.replace('、', ';')},{SCHOOLS[0]}" for name, pi, *_ in LABS]
    first = import_file(session, csv(tmp_path, "\n".join(["名稱,主持人,學校", *rows])))
    random.Random(3).shuffle(rows)
    again = import_file(session, csv(tmp_path, "\n".join(["名稱,主持人,學校", *rows])))
    assert (first.created, again.created, again.unchanged) == (12, 0, 12)
    other = import_file(
        session, csv(tmp_path, f"名稱,主持人,學校\n茶葉感官室,麥 一禾,{SCHOOLS[1]}\n茶葉感官實驗室,麥一禾,\n")
    )
    assert other.created == 2
    assert sum("looks like" in str(problem) for problem in other.problems) == 1


@pytest.mark.parametrize(
    "text",
    [
        "某校名單\n更新：115/11/01\n\nid,name,pi\nl1,光電室,某甲\n",
        "sep=;\r\nid;name;pi\r\nl1;光電室;某甲\r\n",
        "sep=\t\nid\tname\tpi\nl1\t光電室\t某甲\n",
        "代號|實驗室名稱|負責人\nl1|光電室|某甲\n",
        "ID*,Lab name,Principal Investigator\nl1,光電室,某甲\n",
        "编号,实验室名称,负责人\nl1,光電室,某甲\n",
        "基本資料,,人員\n實驗室代號,實驗室,姓名\nl1,光電室,某甲\n",
        "id,name,pi\nid,name,pi\nl1,光電室,某甲\n",
        "代號,名稱,主持人\nid,name,pi\nl1,光電室,某甲\n",
    ],
)
def test_the_header_is_found(tmp_path: Path, text: str) -> None:
    (lab,) = read(csv(tmp_path, text), Kind.LABS).records.values()
    assert (lab.id, lab.name, lab.pi) == ("l1", "光電室", "某甲")


@pytest.mark.parametrize(
    "footer",
    [
        "合計,2,",
        "總計：,,2",
        "備註：由研發處提供,,",
        "Total,2,",
        "Note: not final,,",
        "※ 以上,,",
        "共 2 筆,,",
        "以下空白,,",
    ],
)
def test_totals_and_remarks_are_no_labs(tmp_path: Path, footer: str) -> None:
    reading = read(csv(tmp_path, f"id,name,pi\nz1,備註分析室,某甲\nz2,甲,某乙\n{footer}\n"))
    assert list(reading.records) == ["z1", "z2"]
    assert "left out" in told(reading)


@pytest.mark.parametrize("word", ["無", "N/A", "none", "－", "NULL", "nan", "—", "沒有", "從缺", "n.a."])
def test_words_for_nothing_are_empty_but_prose_is_not(tmp_path: Path, word: str) -> None:
    cells = ",".join([word] * 6)
    text = f"id,name,conflicts,will_not_do,keywords,links,capacity,summary\nw1,甲,{cells}\n"
    (lab,) = read(csv(tmp_path, text)).records.values()
    assert (lab.conflicts, lab.will_not_do, lab.keywords, lab.links, lab.capacity) == ([], [], [], [], None)
    assert lab.summary == word


@pytest.mark.parametrize(
    ("heading", "cell", "budget"),
    [
        ("預算", "$2,400,000", 2_400_000), ("預算", "2400000元整", 2_400_000),
        ("預算", "兩百四十萬元", 2_400_000),
        ("預算(千元)", "2,400", 2_400_000), ("預算（萬元）", "240", 2_400_000),
        ("經費 單位：億元", "0.024", 2_400_000),
        ("預算(千元)", "240萬", 2_400_000), ("預算", "240萬元以內", 2_400_000),
        ("Budget (NT$ thousand)", "2400", 2_400_000),
        ("預算", "２，４００，０００", 2_400_000), ("預算", "1,5萬", None),
        ("預算", "2,400,00", None), ("預算", "2.400.000", None),
        ("預算", "US$ 80,000", None), ("預算(美元)", "80000", None),
        ("預算", "80,000 EUR", None), ("預算", "¥80000", None),
        ("預算", "約三百萬", None), ("預算", "200~300萬", None), ("預算", "面議", None),
    ],
)  # fmt: skip
def test_amounts_are_read_in_their_unit_or_not_at_all(
    tmp_path: Path, heading: str, cell: str, budget: int | None
) -> None:
    reading = read(csv(tmp_path, f'id,title,"{heading}",confidentiality\nn1,甲,"{cell}",public\n', "needs.csv"))
    assert [need.budget_ntd for need in reading.records.values()] == [budget]
    assert any(problem.field == "budget_ntd" for problem in reading.problems) == (budget is None)


@pytest.mark.parametrize(
    "written",
    [
        "2027-06-30 23:59", "2027-06-30T00:00:00Z", "2027/6/30", "20270630", "116/06/30", "116.6.30", "1160630",
        "46568",
        "民國116年6月30日", "中華民國一百一十六年六月三十日", "一一六年六月三十日", "116年6月30日（三）",
        "30 June 2027", "June 30, 2027",
        "30-Jun-2027", "民國 116 / 6 / 30", "R.O.C. 116/06/30", "１１６／０６／３０",
    ],
)  # fmt: skip
def test_days_are_read_as_taiwan_writes_them(tmp_path: Path, written: str) -> None:
    reading = read(csv(tmp_path, f'id,title,期限\nn1,甲,"{written}"\n', "needs.csv"))
    assert [str(need.deadline) for need in reading.records.values()] == ["2027-06-30"], told(reading)


@pytest.mark.parametrize("written", ["06/07/27", "116年6月", "六月底", "31/06/2027", "99/06/30"])
def test_a_day_that_could_be_two_costs_its_cell(tmp_path: Path, written: str) -> None:
    reading = read(csv(tmp_path, f'id,title,期限\nn1,甲,"{written}"\n', "needs.csv"))
    assert [need.deadline for need in reading.records.values()] == [None]
    assert [(problem.field, problem.severity) for problem in reading.problems] == [("deadline", "warning")]


@pytest.mark.parametrize("cell", ["1.23E+11", "1.2E+05", "9E+20"])
def test_an_id_that_a_spreadsheet_shortened_is_refused(tmp_path: Path, cell: str) -> None:
    reading = read(csv(tmp_path, f"id,name\n{cell},甲\n007,乙\n"))
    assert list(reading.records) == ["007"]
    assert "shortened" in told(reading)


@pytest.mark.parametrize(
    ("good", "encoding"),
    [("量子實驗室", "latin-1"), ("高溫量測（爐）", "cp1252"), ("García López", "latin-1"), ("“Zitat” über", "cp1252")],
)
def test_text_once_read_in_a_wrong_encoding_is_repaired_whole(tmp_path: Path, good: str, encoding: str) -> None:
    spoilt = "".join(
        bytes([b]).decode(encoding) if encoding == "latin-1" or b not in _HOLES else chr(b) for b in good.encode()
    )
    reading = read(csv(tmp_path, f"id,name,summary\ny1,{spoilt},{good}\n"))
    assert [(lab.name, lab.summary) for lab in reading.records.values()] == [(good, good)]
    assert "repaired" in told(reading)


_HOLES = (0x81, 0x8D, 0x8F, 0x90, 0x9D)


@pytest.mark.parametrize("name", ["嚙踝蕭嚙踝蕭", "鍏夌數瀹為獙瀹\ufffd", "é‡�å", "锟斤拷锟斤拷"])
def test_text_that_can_not_be_repaired_is_refused(tmp_path: Path, name: str) -> None:
    reading = read(csv(tmp_path, f"id,name\ny1,{name}\ny2,乙\n"))
    assert list(reading.records) == ["y2"]
    assert [problem.severity for problem in reading.problems] == ["error"]


@pytest.mark.parametrize(
    ("written", "plain"),
    [
        ("Effects of &quot;fast&quot; pulses &amp;amp; noise", 'Effects of "fast" pulses & noise'),
        ("<jats:p>We study CO<jats:sub>2</jats:sub>.</jats:p>", "We study CO₂."),
        ("10<sup>-3</sup> m<sup>2</sup>", "10⁻³ m²"),
        ("<i>E. coli</i> &lt;i&gt;in vivo&lt;/i&gt;", "E. coli in vivo"),
        ("a < b and c > d, R&D, AT&T", "a < b and c > d, R&D, AT&T"),
        ("𠮷野；「１０⁻³」，Ω ㎡ ﬁ", "𠮷野；「１０⁻³」，Ω ㎡ ﬁ"),
    ],
)
def test_markup_becomes_text_and_text_stays(tmp_path: Path, written: str, plain: str) -> None:
    quoted = written.replace('"', '""')
    reading = read(csv(tmp_path, f'id,name,summary\nl1,甲,"{quoted}"\n'))
    assert [lab.summary for lab in reading.records.values()] == [plain]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "cp950", "gb18030", "utf-32"])
def test_usual_encodings_are_read(tmp_path: Path, encoding: str) -> None:
    path = csv(tmp_path, "代號,名稱,簡介\nl1,電池,研究電池材料與安全性的方法\n", encoding=encoding)
    assert [lab.summary for lab in read(path).records.values()] == ["研究電池材料與安全性的方法"]


def test_every_sheet_is_read_and_one_can_be_chosen(tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    book.worksheets[0].title = "labs 2025"
    for title, rows in {
        "labs 2025": [["id", "name"], ["t1", "甲"]],
        "labs 2026": [["id", "name"], ["t2", "乙"]],
        "廠商": [["公司名稱", "統編", "規模"], ["嶺風電力", "00000016", "中型"]],
        "讀我": [["本檔說明"], ["請勿修改"]],
    }.items():
        sheet = book[title] if title in book.sheetnames else book.create_sheet(title)
        for row in rows:
            sheet.append(row)
    book["labs 2026"].row_dimensions[2].hidden = True
    book.save(tmp_path / "labs.xlsx")
    reading = read(tmp_path / "labs.xlsx")
    assert [(one.kind, len(one.records)) for one in reading.all()] == [(Kind.COMPANIES, 1), (Kind.LABS, 2)]
    assert "hidden rows that were read too: 2" in "\n".join(map(told, reading.all()))
    chosen = read(tmp_path / "labs.xlsx", said=ReadAs(sheet="labs 2026"))
    assert [list(one.records) for one in chosen.all()] == [["t2"]]
    assert "its sheets are" in told(read(tmp_path / "labs.xlsx", said=ReadAs(sheet="2027")))


def test_old_excel_is_read_and_a_locked_workbook_is_called_so(tmp_path: Path) -> None:
    book = xlwt.Workbook()
    sheet = book.add_sheet("labs")
    for n, row in enumerate([["名單"], ["id", "name", "可承接件數"], ["l1", "光電室", 3]]):
        for k, value in enumerate(row):
            sheet.write(n, k, value)
    book.save(str(tmp_path / "labs.xls"))
    assert [(lab.name, lab.capacity) for lab in read(tmp_path / "labs.xls").records.values()] == [("光電室", 3)]
    locked = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 600 + "EncryptedPackage".encode("utf-16-le")
    (tmp_path / "labs.xlsx").write_bytes(locked)
    assert "is protected by a password" in told(read(tmp_path / "labs.xlsx"))


@pytest.mark.parametrize("name", ["alliance-2026.csv", "school.csv", "companies.csv"])
def test_a_file_with_another_kinds_columns_asks_for_the_kind(tmp_path: Path, name: str) -> None:
    text = "id,name,fields,pi,summary,keywords\nlab-x,光電室,半導體,某甲,研究雷射,雷射\n"
    reading = read(csv(tmp_path, text, name))
    assert reading.records == {}
    assert "--kind labs" in told(reading)
    assert list(read(csv(tmp_path, text, name), Kind.LABS).records) == ["lab-x"]


def test_what_is_guessed_is_told_and_what_is_not_ours_is_kept(tmp_path: Path) -> None:
    text = "id,名稱,主要研究方向說明文,Princpal Investigator,聯絡電話\nl1,光電室,雷射,某甲,049-1\n"
    reading = read(csv(tmp_path, text))
    (lab,) = reading.records.values()
    assert (lab.pi, lab.other) == ("某甲", {"主要研究方向說明文": "雷射", "聯絡電話": "049-1"})
    assert "Princpal Investigator: was taken for pi 主持人, which it is like" in told(reading)
    mapped = read(csv(tmp_path, text), said=ReadAs(mapping={"主要研究方向說明文": "summary", "聯絡電話": "-"}))
    (lab,) = mapped.records.values()
    assert (lab.summary, lab.other) == ("雷射", {})


def test_a_record_of_which_only_the_id_was_understood_is_refused(tmp_path: Path) -> None:
    for text in ("id,心情\nl1,好\n", "id,name,pi\nl1,,\n", "id,capacity\nl1,many\n"):
        assert read(csv(tmp_path, text)).records == {}, text


def test_wrapped_and_pretty_json_is_read(tmp_path: Path) -> None:
    for text in (
        '{\n "id": "j1",\n "name": "甲"\n}\n',
        '{"data": [{"id": "j1", "name": "甲"}]}',
        '{"meta": {"count": 1}, "results": [\n {"id": "j1", "name": "甲"}\n]}',
        '[{"id": "j1", "name": "甲"}]',
    ):
        path = csv(tmp_path, text, "labs.json")
        assert [lab.name for lab in read(path).records.values()] == ["甲"], text
    both = read(
        csv(tmp_path, '{"labs": [{"id": "a", "name": "甲"}], "needs": [{"id": "n", "title": "乙"}]}', "all.json")
    )
    assert [(one.kind, list(one.records)) for one in both.all()] == [(Kind.LABS, ["a"]), (Kind.NEEDS, ["n"])]


@pytest.mark.parametrize("titles", [("labs 2025", "labs 2026"), ("114年", "115年"), ("理學院", "工學院", "醫學院")])
def test_several_sheets_of_one_kind_are_all_read(tmp_path: Path, titles: tuple[str, ...]) -> None:
    book = openpyxl.Workbook()
    book.remove(book.worksheets[0])
    for n, title in enumerate(titles):
        sheet = book.create_sheet(title)
        sheet.append(["實驗室代號", "實驗室名稱", "主持人"])
        sheet.append([f"lab-{n}", f"第{n}室", "藺若川"])
    book.save(tmp_path / "師資.xlsx")
    for kind in (None, Kind.LABS):
        reading = read(tmp_path / "師資.xlsx", kind)
        assert list(reading.records) == [f"lab-{n}" for n in range(len(titles))]
        assert [one for one in reading.problems if one.severity == "error"] == []


@pytest.mark.parametrize("mark", ["\x0b", "\x0c", "\u2028", "\r\n"])
def test_a_break_within_a_text_is_a_line_break(tmp_path: Path, mark: str) -> None:
    (lab,) = read(csv(tmp_path, f'id,name,summary\nl1,甲,"\u202a量測{mark}除冰\u202c"\n')).records.values()
    assert lab.summary == "量測\n除冰"
    refused = read(csv(tmp_path, 'id,name,summary\nl1,甲,"量測\u202e除冰"\n'))
    assert [(one.row, one.field) for one in refused.problems] == [(2, "summary")]


@pytest.mark.parametrize(
    ("cell", "links"),
    [
        ("https://a.example/p?par=acc&amp;name=x", ["https://a.example/p?par=acc&name=x"]),
        ("https://a.example/x;jsessionid=1", ["https://a.example/x;jsessionid=1"]),
        ("https://a.example/?a=1;b=2；https://b.example", ["https://a.example/?a=1;b=2", "https://b.example"]),
        ("見系網", []),
    ],
)
def test_an_address_keeps_its_semicolons_and_a_bad_one_costs_itself(
    tmp_path: Path, cell: str, links: list[str]
) -> None:
    reading = read(csv(tmp_path, f'id,name,links\nl1,甲,"{cell}"\nl2,乙,\n'))
    assert [lab.links for lab in reading.records.values()] == [links, []]


@pytest.mark.parametrize("field", ["summary", "關鍵字", "網站"])
def test_a_formula_that_nobody_computed_is_told_with_its_place(tmp_path: Path, field: str) -> None:
    book = openpyxl.Workbook()
    sheet = book.worksheets[0]
    sheet.append(["id", "name", field])
    sheet.append(["l1", "甲", '=CONCAT("a","b")'])
    book.save(tmp_path / "labs.xlsx")
    reading = read(tmp_path / "labs.xlsx")
    assert list(reading.records) == ["l1"]
    (told_one,) = [one for one in reading.problems if "formula" in one.wrong]
    assert (told_one.row, told_one.severity) == (2, "warning")


@pytest.mark.parametrize(
    ("heads", "people"),
    [
        ("藺若川、祝清和", "藺若川、祝清和"), ("藺若川 祝清和", "藺若川、祝清和"),
        ("藺若川教授；祝清和博士", "藺若川教授、祝清和博士"), ("祝清和教授", "祝清和教授"),
        ("藺若川與祝清和", "藺若川、祝清和"), ("Ann Lee and Bob Wu", "Ann Lee、Bob Wu"), ("Lee, Ann", "Lee, Ann"),
        ("藺若川／祝清和；邵以恆", "藺若川、祝清和、邵以恆"), ("藺若川\n祝清和\n邵以恆", "藺若川、祝清和、邵以恆"),
        ("Lee, Ann; Wu, Bob", "Lee, Ann、Wu, Bob"), ("Ann Lee, Bob Wu; Cy Ho", "Ann Lee、Bob Wu、Cy Ho"),
        ("藺若川 教授 祝清和 助理教授", "藺若川 教授、祝清和 助理教授"), ("藺若川 教授", "藺若川 教授"),
        ("藺若川(主持人) 祝清和（共同）", "藺若川(主持人)、祝清和（共同）"), ("歐陽 若川", "歐陽 若川"),
        ("John Smith, Jr.", "John Smith, Jr."), ("藺 若川", "藺 若川"),
    ],
)  # fmt: skip
def test_several_heads_in_a_cell_are_several_people(tmp_path: Path, heads: str, people: str) -> None:
    (lab,) = read(csv(tmp_path, f'id,name,pi\nl1,甲,"{heads}"\n')).records.values()
    assert lab.pi == people


PACKED = b"\x1f\x8b\x08\x00" + bytes(40)
WEB_PAGE = "<html><meta charset=utf-8><table><tr><td>實驗室名稱</td></tr></table>".encode()
OLD_WORD = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(500) + "WordDocument".encode("utf-16-le") + bytes(500)
BIG5 = "id,name,summary\nl1,光電室,光學量測\nl2,".encode("cp950") + b"\x8f\xa8" + "室,量測\n".encode("cp950")


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("labs.csv", b"%PDF-1.7\n", "labs.csv: is PDF and holds no rows"),
        ("labs.xls", OLD_WORD, "labs.xls: is DOC and holds no rows"),
        ("labs.csv", PACKED, "labs.csv: is a packed file; unpack it"),
        ("labs.xls", WEB_PAGE, "labs.xls: is a web page"),
        ("labs.xml", b"<?xml version='1.0'?><labs/>", "labs.xml: is XML and no list"),
        ("labs.csv", BIG5, "labs.csv:3: has a character that Big5 has not (bytes 8F A8)"),
        ("labs.csv", b"id,name\n", "labs.csv:1: has headings and no rows below them"),
        ("labs.csv", b"", "labs.csv: has no rows"),
    ],
    ids=["pdf", "word", "packed", "web page", "xml", "big5", "headings only", "empty"],
)
def test_a_file_that_holds_no_rows_is_told_what_it_is(tmp_path: Path, name: str, content: bytes, said: str) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    reading = read(path, Kind.LABS)
    assert (reading.records, len(reading.problems)) == ({}, 1)
    assert str(reading.problems[0]).startswith(said)


@pytest.mark.parametrize("error", ["#REF!", "#VALUE!", "#DIV/0!", "#NAME?", "Err:502"])
def test_an_error_of_a_spreadsheet_is_no_value(tmp_path: Path, error: str) -> None:
    reading = read(csv(tmp_path, f"id,name,summary\nl1,{error},量測\nl2,乙,{error}\nl3,丙,見 {error}\n"))
    assert [(one.id, one.summary) for one in reading.records.values()] == [("l2", ""), ("l3", f"見 {error}")]
    told_at = [(one.row, one.field, one.severity) for one in reading.problems]
    assert told_at == [(2, "name", "error"), (3, "summary", "warning")]


def test_what_a_lab_works_on_is_kept_where_no_field_of_the_programme_is_named(tmp_path: Path) -> None:
    text = "代號,實驗室名稱,研究領域,合作方式\nl1,甲,光電量測；減振,面談\nl2,乙,水下聲學,電話\n"
    labs = read(csv(tmp_path, text)).records.values()
    assert [(lab.fields, lab.keywords, lab.offers, lab.other) for lab in labs] == [
        ([], ["光電量測", "減振"], [], {"合作方式": "面談"}), ([], ["水下聲學"], [], {"合作方式": "電話"}),
    ]  # fmt: skip
    # Where most name one, a word that is none is a mistake to be told.
    text = "代號,實驗室名稱,研究領域,合作方式\nl1,甲,半導體；綠能,技術諮詢\nl2,乙,鐘錶,委託檢測\nl3,丙,智慧製造,技轉\n"
    reading = read(csv(tmp_path, text))
    assert [(lab.fields, lab.keywords) for lab in reading.records.values()] == [
        (["半導體", "綠能科技"], []), ([], []), (["智慧製造"], []),
    ]  # fmt: skip
    assert [lab.offers for lab in reading.records.values()] == [["technology"], ["facility"], ["licensing"]]
    assert [(one.row, one.field) for one in reading.problems] == [(3, "fields[1]")]


@pytest.mark.parametrize(
    ("cell", "capacity"),
    [("3件", 3), ("兩案", 2), ("十二", 12), ("０", 0), ("2 projects", 2),
     ("真", None), ("TRUE", None), ("是", None), ("-1", None), ("2.5", None), ("2-3件", None)],
)  # fmt: skip
def test_a_count_is_a_number_and_never_a_yes(tmp_path: Path, cell: str, capacity: int | None) -> None:
    reading = read(csv(tmp_path, f"id,name,capacity\nl1,甲,{cell}\n"))
    (lab,) = reading.records.values()
    assert lab.capacity == capacity
    assert [(one.row, one.field) for one in reading.problems] == [] if capacity is not None else [(2, "capacity")]


def test_a_country_is_known_by_its_name_and_is_never_guessed(tmp_path: Path) -> None:
    rows = {
        "c1": "Germany",
        "c2": "德國",
        "c3": "美国",
        "c4": "Czech Republic",
        "c5": "",
        "c6": "Atlantis",
        "c7": "香港",
    }
    text = "".join(f"{key},某公司,{country}\n" for key, country in rows.items())
    reading = read(csv(tmp_path, f"id,name,country\n{text}", "companies.csv"))
    found = {one.id: one.country for one in reading.records.values()}
    assert found == {"c1": "DE", "c2": "DE", "c3": "US", "c4": "CZ", "c5": "TW", "c7": "HK"}
    assert [(one.row, one.field, one.severity) for one in reading.problems] == [(7, "country", "error")]


def test_a_lab_without_a_name_is_called_by_its_head(tmp_path: Path) -> None:
    reading = read(csv(tmp_path, "老師姓名,學校,專長\n藺若川、祝清和,霧社科技大學,結冰偵測\n"), Kind.LABS)
    (lab,) = reading.records.values()
    assert (lab.name, "name" in reading.given[lab.id]) == ("藺若川、祝清和", False)
