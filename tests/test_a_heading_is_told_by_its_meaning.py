"""A heading that nobody knows and that is spelled like none is told by its meaning, or kept as what it is.

The limits were chosen on another table; this one was written after them, and none of its headings was tried before.
"""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest

from indexer.encoders import heading_meanings
from indexer.encoders.encoding import EncoderError
from indexer.encoders.heading_meanings import HeadingMeanings
from indexer.records.lists.headings import Meaning
from indexer.records.readers import ReadAs, read_bytes
from indexer.settings import Settings
from indexer.vocabulary import Kind
from tests.conftest import Gloria

OURS: dict[Kind, dict[str, tuple[str, str]]] = {
    Kind.LABS: {
        "帶領實驗室之教授": ("pi", "林大仁"), "所在大學": ("school", "霧社科技大學"),
        "研究重心": ("summary", "薄膜太陽電池之製程"),
        "可以協助廠商的服務": ("offers", "研發"), "不接受之案件": ("will_not_do", "軍事用途"),
        "需迴避的廠商": ("conflicts", "某某公司"), "網站的網址": ("links", "https://a.example"),
        "可用來溝通的語言": ("languages", "中文"), "研究關鍵用語": ("keywords", "薄膜、電池"),
        "Leader of the laboratory": ("pi", "Lin Da-Ren"), "University it belongs to": ("school", "Wushe University"),
        "Companies with a conflict": ("conflicts", "Some Company"), "Languages they speak": ("languages", "en"),
        "Address of the website": ("links", "https://a.example"),
    },
    Kind.NEEDS: {
        "需求由哪家企業提出": ("company", "東方精密"), "需求的內容與說明": ("description", "葉片在冬天結冰"),
        "公司可負擔的經費": ("budget_ntd", "1,200,000"), "希望完成的日子": ("deadline", "115/12/31"),
        "請勿通知的實驗室": ("excluded_labs", "某某實驗室"), "保密的程度": ("confidentiality", "公開"),
        "Details of the request": ("description", "blades ice over"), "Funds they have": ("budget_ntd", "1200000"),
        "Must be done by": ("deadline", "2026-12-31"),
    },
    Kind.COMPANIES: {
        "公司之名稱(全)": ("name", "東方精密"), "主要產製的產品": ("description", "工具機"),
        "屬於哪個產業": ("fields", "製造"), "公司設於哪一縣市": ("city", "臺中市"),
        "What the company produces": ("description", "tools"),
        "Country it is based in": ("country", "TW"),
    },
}  # fmt: skip
"""By kind: headings, each with its field and what stands below it."""
FOREIGN: dict[Kind, dict[str, str]] = {
    Kind.LABS: {
        "教室代碼": "B203", "婚姻狀況": "已婚", "體重": "62", "退休年月": "120/07", "研究生姓名": "陳小華",
        "授課科目": "熱力學",
        "開會時間": "每週三", "實驗室坪數": "35", "儀器數量": "12", "經費執行率": "85%", "通過與否": "是",
        "推薦函": "有",
        "Course taught": "Heat", "Weight (kg)": "62", "Passed": "yes", "Square metres": "110", "Married": "no",
        "Time of meeting": "Wednesdays", "Instruments owned": "12", "Publications per year": "8",
    },
    Kind.NEEDS: {
        "追蹤者": "王小姐", "結案": "否", "公文號碼": "1150001", "建議書": "有", "出口比例": "40%", "工會": "無意見",
        "專利件數": "3", "員工旅遊": "有", "ISO 認證": "9001", "產線數": "4", "轉介日": "115/03/02",
        "Followed up by": "Ms Wang", "Closed": "no", "Export share": "40%", "Patents held": "3", "Certificate": "ISO",
        "Number of lines": "4", "Union": "yes",
    },
    Kind.COMPANIES: {
        "總經理特助": "李先生", "公會編號": "A12", "停業": "否", "發言人": "張經理", "年度捐款": "30000",
        "入會介紹": "理事長",
        "活動偏好": "演講", "繳費方式": "轉帳", "Spokesperson": "Mr Chang", "Donation": "30000", "Closed down": "no",
        "Preferred event": "talks", "Way of paying": "transfer",
    },
}  # fmt: skip
_NAMED = {Kind.LABS: "實驗室名稱", Kind.NEEDS: "需求代號", Kind.COMPANIES: "統一編號"}


@pytest.fixture(scope="module")
def meaning(tmp_path_factory: pytest.TempPathFactory) -> HeadingMeanings:
    return HeadingMeanings(Settings(home=tmp_path_factory.mktemp("home")))


def _read_with(kind: Kind, heading: str, cell: str, meaning: Meaning | None) -> str | None:
    """Return what a column was taken for in a list of which nothing else is in doubt."""
    file = io.StringIO()
    rows = csv.writer(file)
    rows.writerow([_NAMED[kind], heading])
    rows.writerows([[f"no-{n}", cell] for n in range(3)])
    (table,) = read_bytes(file.getvalue().encode(), "list.csv", kind, ReadAs(meaning=meaning)).tables
    return table.columns[1].field


def test_most_are_told_and_none_wrongly(meaning: HeadingMeanings) -> None:
    told: dict[str, str | None] = {}
    of = 0
    for kind, given in OURS.items():
        ours = {heading: _read_with(kind, heading, cell, meaning) for heading, (_, cell) in given.items()}
        own = {heading: field for heading, field in ours.items() if field is not None}
        assert own == {heading: given[heading][0] for heading in own}
        foreign = {heading: _read_with(kind, heading, cell, meaning) for heading, cell in FOREIGN[kind].items()}
        assert foreign == dict.fromkeys(FOREIGN[kind])
        told, of = told | own, of + len(ours)
    print(len(told), "of", of, "told")
    assert (len(told) / of) > 0.6
    # Words and spelling alone tell three of them.
    by_words = [_read_with(kind, one, cell, None) for kind, given in OURS.items() for one, (_, cell) in given.items()]
    assert len(by_words) - by_words.count(None) == 3


def test_cells_that_are_none_of_the_field_speak_against_it(meaning: HeadingMeanings) -> None:
    assert _read_with(Kind.NEEDS, "希望完成的日子", "115/12/31", meaning) == "deadline"
    assert _read_with(Kind.NEEDS, "希望完成的日子", "是", meaning) is None
    assert _read_with(Kind.LABS, "所在大學", "霧社科技大學", meaning) == "school"
    assert _read_with(Kind.LABS, "所在大學", "12", meaning) is None
    # The same holds for what is only spelled like a field: 30,000 is no country.
    assert _read_with(Kind.COMPANIES, "Donation", "30000", None) is None


def test_what_is_guessed_is_told_and_a_named_column_is_not_taken(meaning: HeadingMeanings) -> None:
    data = "實驗室名稱,需迴避的廠商,學校,所在大學\n甲研究室,東方精密,霧社科技大學,北方大學\n".encode()
    reading = read_bytes(data, "labs.csv", Kind.LABS, ReadAs(meaning=meaning))
    (lab,) = reading.records.values()
    assert (lab.conflicts, lab.school, lab.other) == (["東方精密"], "霧社科技大學", {"所在大學": "北方大學"})
    guessed = [(one.field, one.wrong) for one in reading.problems if "taken for" in one.wrong]
    assert guessed == [("需迴避的廠商", "was taken for conflicts 利益衝突, which it is like")]


def test_the_encoder_is_asked_for_unknown_headings_only_and_missed_by_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def loaded(name: str, settings: Settings) -> object:
        asked.append(name)
        raise EncoderError("no weights")

    monkeypatch.setattr(heading_meanings, "load_encoder", loaded)
    meaning = HeadingMeanings(Settings())
    known = "id,實驗室名稱,主持人,電話,序號,備註\nlab-1,甲研究室,王大明,04-1,1,好\n".encode()
    assert set(read_bytes(known, "labs.csv", Kind.LABS, ReadAs(meaning=meaning)).records) == {"lab-1"}
    assert asked == []
    unknown = "id,實驗室名稱,需迴避的廠商,獨角獸\nlab-1,甲研究室,東方精密,有\n".encode()
    for _ in range(2):
        (lab,) = read_bytes(unknown, "labs.csv", Kind.LABS, ReadAs(meaning=meaning)).records.values()
        assert lab.other == {"需迴避的廠商": "東方精密", "獨角獸": "有"}
    # It is looked for once, not with every table.
    assert asked == ["bundled-use"]


def test_by_command(gloria: Gloria, tmp_path: Path) -> None:
    (tmp_path / "labs.csv").write_text("實驗室名稱,主持人,需迴避的廠商\n甲研究室,王大明,東方精密\n", encoding="utf-8")
    answer = gloria("import", tmp_path / "labs.csv", "--json", home=tmp_path / "home", lang="en")
    told = [one["field"] for one in answer.document["files"][0]["problems"] if "was taken for" in one["wrong"]]
    assert (answer.code, told) == (0, ["需迴避的廠商"])
