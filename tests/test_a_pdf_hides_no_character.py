"""A character that the PDF's font does not have stands as its number, and the report and the command say so."""

from __future__ import annotations

from pathlib import Path

import pytest

from matcher.ledger.rendering.printed_pages import not_in_the_font, render_html, render_pdf
from matcher.ledger.rendering.report_texts import ReportLanguage
from tests.conftest import Gloria
from tests.rig.worlds.report_samples import full_report, report_with, text_of_pdf

ZH = ReportLanguage.ZH


@pytest.mark.parametrize("shown", ["喆堃峯塩〇𣛮", "臺北市（甲）", "Café – “quoted” €", "ﬁ ①Ⅷ㊣", "a\u200bb\u00a0c"])
def test_what_the_font_has_stays(shown: str) -> None:
    assert not_in_the_font(report_with(shown), ZH) == []
    assert "U+" not in text_of_pdf(render_pdf(report_with(shown), ZH))


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ("𠮷野聯盟", "〔U+20BB7〕野聯盟"),
        ("研究😀組", "研究〔U+1F600〕組"),
        ("𪚥氏", "〔U+2A6A5〕氏"),
        ("ไทย", "〔U+0E44〕〔U+0E17〕〔U+0E22〕"),
        ("葛\U000e0100城", "葛城"),
    ],
)
def test_what_it_has_not_stands_as_its_number(given: str, told: str) -> None:
    text = text_of_pdf(render_pdf(report_with(given), ZH)).replace(" ", "")
    assert told in text
    assert ("編號代替：U+" in text) == ("U+" in told)
    # A page has the reader's own fonts.
    assert given in render_html(report_with(given), ZH).decode()


def test_the_command_says_so(tmp_path: Path, gloria: Gloria) -> None:
    home = tmp_path / "home"
    assert gloria("ledger", "demo", home=home).code == 0
    (tmp_path / "alliances.jsonl").write_text(
        '{"id": "al-01", "name": "𠮷野聯盟", "kind": "regional"}\n', encoding="utf-8"
    )
    assert gloria("import", tmp_path / "alliances.jsonl", "--kind", "alliances", home=home).code == 0
    asked = ("report", "alliance", "--alliance", "al-01", "--as-of", "2020-12-31", "--out")
    as_pdf = gloria(*asked, tmp_path / "a.pdf", home=home)
    as_page = gloria(*asked, tmp_path / "a.html", home=home)
    assert (as_pdf.code, as_page.code) == (0, 0)
    assert "𠮷 (U+20BB7)" in as_pdf.err
    assert "20BB7" not in as_page.err
    assert "〔U+20BB7〕野聯盟" in text_of_pdf((tmp_path / "a.pdf").read_bytes())


def test_a_usual_report_needs_no_such_word() -> None:
    assert not_in_the_font(full_report(), ReportLanguage.BOTH) == []
