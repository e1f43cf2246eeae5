"""A letter, a form, an e-mail or a telephone note becomes a draft, each field with the words it was taken from."""

from __future__ import annotations

import io
import json
import zipfile
from datetime import date
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import docx
import pytest
import typst
from pylopdf_fonts_zh_tw import sans_path

from api.jobs.drafting_apart import drafted, values_of
from indexer.settings import Settings
from indexer.sources.drafts.documents import DocumentError, text_of
from indexer.sources.drafts.needs import amount_of, date_of, draft_need
from indexer.sources.drafts.researchers import draft_lab
from indexer.vocabulary import Drafted
from tests.conftest import Gloria

TODAY = date(2026, 11, 30)
CALL = """老師您好：
我是嶺風電力股份有限公司的林經理，我們高山風場的風機葉片每年冬天都會結冰停機。
希望找到能提早半小時預測結冰的感測技術，另外想請兩位實習生協助現場量測。
預算大約九十萬元，希望在民國116年6月底前完成。資料請保密。
聯絡電話 049-2345678 分機 12，email: lin@ridgewind.example"""
FORM = """公司名稱：嶺風電力股份有限公司
統一編號：00000016
聯絡人：林若川
電話：0912-345-678
需求名稱：風機葉片結冰偵測
需求說明：
高山風場每年因結冰停機約二十天。
需求項目：
1. 能裝在現有葉片上的結冰偵測
2. 兩名實習生
預算：50萬
期限：2027/6/30
技術領域：綠能科技、智慧製造
溝通語言：中文、英文"""
LETTER = """Dear Professor,
we are Ridgewind Power Co., Ltd. and our blades ice up every winter.
We are looking for a sensor that warns half an hour before. We would like to hire two interns as well.
Our budget is NT$1.5 million. We need it by June 30, 2027. Working languages: English and Japanese.
Best regards
Ann"""
WANTED: dict[str, tuple[str, dict[str, Any]]] = {
    "call": (
        CALL,
        {
            "company": "嶺風電力股份有限公司",
            "contact": "林經理",
            "phone": "049-2345678 分機 12",
            "email": "lin@ridgewind.example",
            "title": "能提早半小時預測結冰的感測技術",
            "asks": [
                {"kind": "technology", "text": "希望找到能提早半小時預測結冰的感測技術"},
                {"kind": "talent", "text": "想請兩位實習生協助現場量測"},
            ],
            "budget_ntd": 900_000,
            "deadline": "2027-06-30",
            "confidentiality": "confidential",
        },
    ),
    "form": (
        FORM,
        {
            "company": "嶺風電力股份有限公司",
            "tax_id": "00000016",
            "contact": "林若川",
            "phone": "0912-345-678",
            "title": "風機葉片結冰偵測",
            "description": "高山風場每年因結冰停機約二十天。",
            "asks": [
                {"kind": "technology", "text": "能裝在現有葉片上的結冰偵測"},
                {"kind": "talent", "text": "兩名實習生"},
            ],
            "budget_ntd": 500_000,
            "deadline": "2027-06-30",
            "fields": ["綠能科技", "智慧製造"],
            "languages": ["zh", "en"],
        },
    ),
    "letter": (
        LETTER,
        {
            "company": "Ridgewind Power Co., Ltd.",
            "title": "sensor that warns half an hour before.",
            "asks": [
                {"kind": "technology", "text": "We are looking for a sensor that warns half an hour before."},
                {"kind": "talent", "text": "We would like to hire two interns as well."},
            ],
            "budget_ntd": 1_500_000,
            "deadline": "2027-06-30",
            "languages": ["en", "ja"],
        },
    ),
}


@pytest.mark.parametrize("name", WANTED)
def test_each_field_is_read_with_its_passage(name: str) -> None:
    text, wanted = WANTED[name]
    draft = draft_need(text, received=TODAY)
    found = draft.values()
    # Of prose the description is all but greeting, signature and the sentence on money.
    description = found.pop("description") if "description" not in wanted else None
    assert found == wanted
    assert description is None or ("九十萬" not in description and "1.5 million" not in description)
    for one in draft.fields:
        assert one.passages, one.name
        words = " ".join(place.of(text) for place in one.passages)
        assert words.strip(), one.name
        if isinstance(one.value, str) and one.name not in ("deadline", "confidentiality", "description"):
            assert one.value in words or one.value.replace("\n", "") in words.replace("\n", "")


CALLS = {
    "zh": (
        """您好，我是嶺風電力的林經理，電話 049-234-5678 分機 12，我們的葉片結冰太快。
希望找到預測結冰的感測技術，預算大約九十萬。""",
        {
            "company": "嶺風電力",
            "contact": "林經理",
            "phone": "049-234-5678 分機 12",
            "budget_ntd": 900_000,
            "title": "預測結冰的感測技術",
            "description": "我們的葉片結冰太快。\n希望找到預測結冰的感測技術",
            "asks": [{"kind": "technology", "text": "希望找到預測結冰的感測技術"}],
        },
    ),
    "en": (
        """This is Mr Lin of Ridgewind Power, phone 049-234-5678. Our blades ice up.
We need a sensor. It may cost a lot.""",
        {
            "company": "Ridgewind Power",
            "contact": "Mr Lin",
            "phone": "049-234-5678",
            "title": "sensor.",
            "description": "Our blades ice up.\nWe need a sensor. It may cost a lot.",
            "asks": [{"kind": "technology", "text": "We need a sensor."}],
        },
    ),
}


@pytest.mark.parametrize("lang", CALLS)
def test_who_called_and_from_where_is_kept_out_of_what_labs_read(lang: str) -> None:
    text, wanted = CALLS[lang]
    assert draft_need(text, received=TODAY).values() == wanted
    # A telephone number is no amount.
    assert "budget_ntd" not in draft_need("費用可以談，電話 02-2345-6789", received=TODAY).values()


def test_an_orcid_id_is_no_telephone_number() -> None:
    said = draft_need("姓名：藺若川\nORCID 0000-0002-1825-0097\n電話 04-23456789#12", received=TODAY).values()
    assert said["phone"] == "04-23456789#12"


def test_what_is_not_said_is_left_out() -> None:
    assert draft_need("切削液回收", received=TODAY).values() == {"title": "切削液回收", "description": "切削液回收"}
    foreign = draft_need("預算：USD 30,000\n期限：越快越好", received=TODAY)
    assert ("budget_ntd" in foreign.values(), "deadline" in foreign.values(), len(foreign.notes)) == (False, False, 2)


@pytest.mark.parametrize(("words", "amount"), [
    ("50萬", 500_000), ("九十萬", 900_000), ("９００，０００", 900_000),
    ("NT$1,200,000元", 1_200_000), ("兩百萬元", 2_000_000),
    ("1.5億", 150_000_000), ("NT$ 1.5 million", 1_500_000), ("300k", 300_000),
    ("十二", 12), ("1,5", None), ("面議", None),
])  # fmt: skip
def test_amounts_are_read_as_people_write_them(words: str, amount: int | None) -> None:
    assert amount_of(words) == amount


@pytest.mark.parametrize(("words", "day"), [
    ("民國116年6月底", "2027-06-30"), ("116/6/30", "2027-06-30"), ("2027.2.28", "2027-02-28"), ("8月底", "2027-08-31"),
    ("12月25日", "2026-12-25"), ("十二月底", "2026-12-31"), ("30 June 2027", "2027-06-30"), ("13月1日", None),
])  # fmt: skip
def test_dates_are_read_as_people_write_them(words: str, day: str | None) -> None:
    found = date_of(words, TODAY)
    assert (None if found is None else found.isoformat()) == day


CV = """個人履歷
姓名：藺若川
職稱：副教授
現職：合歡科技大學機械工程系
研究專長：葉片結冰、聲射、除冰
ORCID 0000-0002-1825-0097
期刊論文
1. 藺若川, 王小明 (2021). "Finding ice on blades by sound," Cold Letters, 3(2), 1-9. doi:10.5555/rime.2021.
2. 藺若川 (2019). Anti-icing coatings for wind turbines. J. Ice, 4.
專利
- 以聲射頻譜判別葉片結冰之裝置，I123456，2020
學歷
某大學博士"""


def test_a_cv_becomes_a_lab() -> None:
    draft = draft_lab(CV)
    assert draft.values() == {
        "pi": "藺若川",
        "name": "藺若川",
        "school": "合歡科技大學",
        "position": "副教授",
        "keywords": ["葉片結冰", "聲射", "除冰"],
        "orcid": "0000-0002-1825-0097",
        "evidence": [
            {"kind": "paper", "title": "Finding ice on blades by sound", "year": 2021, "doi": "10.5555/rime.2021"},
            {"kind": "paper", "title": "Anti-icing coatings for wind turbines", "year": 2019},
            {"kind": "patent", "title": "以聲射頻譜判別葉片結冰之裝置，I123456，2020", "year": 2020},
        ],
    }
    english = draft_lab("Curriculum Vitae\nRuochuan Lin\nAssociate Professor, Hehuan University of Technology\n"
                        "Research interests: blade icing, acoustic emission\nPublications\n"
                        "Lin R. (2020). Hearing ice. Cold Letters.\nAwards\nBest teacher 2021")  # fmt: skip
    found = english.values()
    assert (found["pi"], found["school"]) == ("Ruochuan Lin", "Hehuan University of Technology")
    assert found["evidence"] == [{"kind": "paper", "title": "Hearing ice", "year": 2020}]


def as_docx(text: str) -> bytes:
    """A form: a table of two columns."""
    document, file = docx.Document(), io.BytesIO()
    table = document.add_table(rows=0, cols=2)
    label, said = "", list[str]()
    for line in [*text.split("\n"), "："]:
        before, colon, after = line.partition("：")
        if not colon:
            said.append(line)
            continue
        if label:
            cells = table.add_row().cells
            cells[0].text, cells[1].text = label, "\n".join(said)
        label, said = before, [after] if after else []
    document.save(file)
    return file.getvalue()


def as_paragraphs(text: str) -> bytes:
    document, file = docx.Document(), io.BytesIO()
    for line in text.split("\n"):
        document.add_paragraph(line)
    document.save(file)
    return file.getvalue()


def as_pdf(text: str) -> bytes:
    lines = ", ".join(json.dumps(line, ensure_ascii=False) for line in text.split("\n"))
    source = f'#set text(font: "Noto Sans TC", size: 10pt)\n#for line in ({lines},) [#line #linebreak()]'
    fonts = typst.Fonts(include_system_fonts=False, include_embedded_fonts=False, font_paths=[sans_path().parent])
    return bytes(typst.compile(source.encode(), font_paths=fonts))


def as_mail(text: str, *, html: bool = False, attached: bytes | None = None) -> bytes:
    message = EmailMessage()
    message["From"] = "林若川 <lin@ridgewind.example>"
    message["Subject"] = "Fwd: 風機葉片結冰偵測"
    message["Date"] = "Mon, 30 Nov 2026 10:00:00 +0800"
    message["To"] = "office@gloria.example"
    if html:
        message.set_content(text.replace("\n", "<br>"), subtype="html", cte="base64")
    else:
        message.set_content(text, cte="base64")
    if attached is not None:
        kind = "vnd.openxmlformats-officedocument.wordprocessingml.document"
        message.add_attachment(attached, maintype="application", subtype=kind, filename="需求.docx")
    return message.as_bytes()


WRAPPED = {
    "form.docx": as_docx(FORM),
    "form-in-lines.docx": as_paragraphs(FORM),
    "form.pdf": as_pdf(FORM),
    "form.txt": FORM.encode("cp950"),
}
MAILS = {
    "text.eml": as_mail(FORM),
    "html.eml": as_mail(FORM, html=True),
    "attached.eml": as_mail("請見附件。", attached=as_paragraphs(FORM)),
}


@pytest.mark.parametrize("name", [*WRAPPED, *MAILS])
def test_every_kind_of_document_says_the_same(name: str) -> None:
    content = {**WRAPPED, **MAILS}[name]
    found = draft_need(text_of(content, name), received=TODAY).values()
    wanted = dict(WANTED["form"][1])
    if name in MAILS:
        # An e-mail's subject stands first, and who sent it says the address.
        assert found.pop("email") == "lin@ridgewind.example"
    assert {key: found.get(key) for key in wanted} == wanted


def _bomb() -> bytes:
    file = io.BytesIO(as_paragraphs("x"))
    with zipfile.ZipFile(file, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("word/media/a.xml", b"0" * (201 * 2**20))
    return file.getvalue()


BAD = {
    "empty.txt": b"   ",
    "picture.bin": bytes(range(256)) * 40,
    "old.doc": b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"x" * 100,
    "cut.docx": as_paragraphs(FORM)[:2_000],
    "cut.pdf": as_pdf(FORM)[:900],
    "workbook.docx": b"PK\x05\x06" + bytes(18),
    "large.txt": b"a" * (20 * 2**20 + 1),
    "long.txt": "字".encode() * 200_001,
}


@pytest.mark.parametrize("name", BAD)
def test_what_is_no_readable_document_is_refused_in_words(name: str) -> None:
    with pytest.raises(DocumentError) as refused:
        text_of(BAD[name], name)
    assert refused.value.wrong
    assert refused.value.right


def test_a_bomb_is_refused_before_it_unfolds() -> None:
    with pytest.raises(DocumentError, match="unpacks to more"):
        text_of(_bomb(), "bomb.docx")
    # The control: without it the document is read.
    assert text_of(as_paragraphs("x"), "bomb.docx") == "x"


def test_a_document_is_read_in_a_process_of_its_own() -> None:
    found = drafted(CALL.encode(), "call.txt", Drafted.NEED, TODAY)
    assert values_of(found)["budget_ntd"] == 900_000
    text = found["text"]
    for one in found["fields"]:
        assert [text[place["start"] : place["end"]] for place in one["passages"]] == [
            place["text"] for place in one["passages"]
        ]
    with pytest.raises(DocumentError, match="no text"):
        drafted(b" ", "x.txt", Drafted.NEED, TODAY)


UNITS = ("1,", "Aa ", "A.", "十", "公司", "希望", "預算", "- 1.", "(2020) ", '"', "0-", "大學", "， ", "x@")


def test_no_text_takes_long_to_draft() -> None:
    import time

    begun = time.process_time()
    for unit in UNITS:
        draft_need((unit * 20_000)[:20_000], received=TODAY)
        draft_lab((unit * 20_000)[:20_000])
    assert time.process_time() - begun < 20


def test_a_confirmed_draft_is_a_need_of_a_new_company(settings: Settings, gloria: Gloria, tmp_path: Path) -> None:
    path = tmp_path / "letter.txt"
    path.write_text(FORM)
    where = {"home": settings.home, "database_url": settings.database_url}
    answer = gloria("draft", "need", path, "--json", **where)
    assert (answer.code, "stored" in answer.document["drafts"][0]) == (0, False)
    answer = gloria("draft", "need", path, "--confirm", "--json", **where)
    assert answer.code == 0, answer.err
    assert answer.document["drafts"][0]["stored"].startswith("need-")
    assert gloria("export", "needs", "--out", tmp_path / "needs.jsonl", **where).code == 0
    (need,) = [json.loads(line) for line in (tmp_path / "needs.jsonl").read_text().splitlines()]
    assert (need["title"], need["budget_ntd"], need["confidentiality"]) == ("風機葉片結冰偵測", 500_000, "confidential")
    assert gloria("export", "companies", "--out", tmp_path / "companies.jsonl", **where).code == 0
    (company,) = [json.loads(line) for line in (tmp_path / "companies.jsonl").read_text().splitlines()]
    assert (company["id"], company["tax_id"]) == (need["company"], "00000016")
    again = gloria("draft", "need", path, "--confirm", **where)
    assert again.code == 1
    cv = tmp_path / "cv.txt"
    cv.write_text(CV)
    assert gloria("draft", "lab", cv, "--confirm", **where).code == 0
    assert gloria("draft", "need", tmp_path / "nothing.txt", **where).code == 1
