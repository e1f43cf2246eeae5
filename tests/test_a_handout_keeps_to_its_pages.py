"""A lab has one page of a shortlist and two of a dossier, however much it says; rare characters are never boxes."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import Any

import pytest
from pypdfium2 import PdfDocument

from indexer.records.record_tables import Ask, Evidence, Lab, School
from indexer.vocabulary import AskKind, EvidenceKind
from indexer.wording import either
from matcher.handouts.handout import Handout, initials_of
from matcher.handouts.lab_sections import ShownLab, fitting_section, profile_section
from matcher.handouts.paper import render_pdf
from matcher.handouts.pictures import drawn_from
from matcher.handouts.word_file import render_docx
from matcher.ledger.rendering.report_texts import ReportLanguage
from tests.conftest import Gloria

SCHOOL = School(
    id="s",
    name="國立澎南科技大學",
    name_en="National Pengnan University of Technology",
    city="高雄市",
    region=None,
    prominence=None,
    kind="",
    founded=None,
    ror=None,
    merged_into=None,
    merged_on=None,
)
LOGO = b'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 20 10"><path d="M0 0H20V10H0Z" fill="#0b4f6c"/></svg>'


def lab_of(times: int) -> ShownLab:
    """Return a lab that says everything so many times."""
    kept: dict[str, Any] = {"fields": ["半導體"], "offers": ["technology", "facility"], "conflicts": [], "capacity": 1}
    lab = Lab(
        id="lab-x",
        name="表面工程實驗室" * min(times, 20),
        name_en="Surface Engineering Laboratory " * min(times, 20),
        pi="藺若川" * min(times, 60),
        orcid="0000-0001-2345-6789",
        school="s",
        summary="研究碳化矽基板的化學機械拋光。" * 30 * times,
        summary_en="Chemical mechanical polishing of silicon carbide wafers. " * 20 * times,
        keywords=[f"關鍵詞{n}" * min(times, 40) for n in range(5 * times)],
        members=[f"成員{n}" * min(times, 40) for n in range(3 * times)],
        equipment=[f"設備{n}" * min(times, 40) for n in range(3 * times)],
        will_not_do=["祕密的事"],
        languages=["zh"],
        links=[f"https://lab.example.edu.tw/{'x' * times}{n}" for n in range(times)],
        **kept,
    )
    works = [
        Evidence(
            lab_id="lab-x",
            id=f"{kind}{n}",
            position=n,
            kind=kind.value,
            title=f"成果 {n} " * 5 * min(times, 30),
            abstract="",
            year=2020,
            doi=f"10.5555/{'a' * times}{n}",
            weight=1.0,
        )
        for kind in EvidenceKind
        for n in range(2 * times)
    ]
    return ShownLab(lab, SCHOOL, tuple(works), drawn_from(LOGO))


def explained(shown: ShownLab, asks: int) -> dict[str, Any]:
    """Return an explanation as it is stored."""
    passages = [
        {"source": one.id, "kind": one.kind, "year": one.year, "title": one.title[:160], "excerpt": "摘" * 160}
        for one in shown.evidence[: 2 * asks]
    ]
    return {
        "asks": [
            {"kind": "technology", "text": "要" * 2_000, "covered": "yes", "passages": passages[2 * n : 2 * n + 2]}
            for n in range(asks)
        ],
        "history": {"zh": "祕密的事", "en": "a secret"},
    }


ASKS = [Ask(need_id="n", position=n, kind=kind.value, text="要") for n, kind in enumerate(AskKind)]


def handout_of(*sections: Any, words: tuple[str, ...] = ()) -> Handout:
    """Return a handout of some sections."""
    day = either("民國115年11月30日", "30 November 2026")
    return Handout(either("推薦實驗室", "Labs"), either("南區聯盟", "South Alliance"), day, sections, words=words)


@pytest.mark.parametrize("language", ReportLanguage)
@pytest.mark.parametrize("times", [1, 60])
def test_a_lab_has_one_page_of_a_shortlist_and_two_of_a_dossier(times: int, language: ReportLanguage) -> None:
    shown = lab_of(times)
    page = fitting_section(shown, explained(shown, min(times, 12)), ASKS, names_need=True)
    shortlist = PdfDocument(render_pdf(handout_of(page, page, page, words=("請參考。",)), language))
    dossier = PdfDocument(render_pdf(handout_of(profile_section(shown)), language))
    assert (len(shortlist), len(dossier) <= 2) == (4, True)
    texts = [one.get_textpage().get_text_bounded() for pdf in (shortlist, dossier) for one in pdf]
    # What a lab will not do and what was decided before are not a company's to read.
    assert [text for text in texts if "祕密" in text or "secret" in text] == []
    assert "https://doi.org/10.5555/" in texts[1]


def test_a_document_of_word_breaks_before_each_lab_and_has_its_headings() -> None:
    shown = lab_of(1)
    section = fitting_section(shown, explained(shown, 1), ASKS, names_need=False)
    content = render_docx(handout_of(section, section, words=("請參考。",)), ReportLanguage.BOTH)
    with zipfile.ZipFile(io.BytesIO(content)) as packed:
        body = packed.read("word/document.xml").decode()
        core = packed.read("docProps/core.xml").decode()
        links = packed.read("word/_rels/document.xml.rels").decode()
    assert (body.count("<w:pageBreakBefore/>"), body.count('w:val="Heading1"')) == (2, 2)
    assert "https://doi.org/10.5555/a0" in links
    assert "要要" not in body
    # No clock, no name of who made the file beyond what it says itself.
    assert ("2020-01-01" in core, "python-docx" in core) == (True, False)


def test_a_character_that_the_font_lacks_is_told_by_its_number() -> None:
    shown = lab_of(1)
    shown.lab.name = "𠮷野研究室"
    section = fitting_section(shown, explained(shown, 1), ASKS, names_need=False)
    text = PdfDocument(render_pdf(handout_of(section), ReportLanguage.ZH))[0].get_textpage().get_text_bounded()
    assert "〔U+20BB7〕野研究室" in text
    assert "U+20BB7" in text.partition("Unicode")[2]


def test_initials_stand_for_who_has_no_picture() -> None:
    names = {("表面工程實驗室", "Surface Lab"): "表", ("Rime Sensing Lab", "Rime Sensing Lab"): "RS", ("", ""): "?"}
    assert {name: initials_of(either(*name)) for name in names} == names


def test_a_dossier_is_written_by_command(gloria: Gloria, own_home: Path, tmp_path: Path) -> None:
    for end, begins in (("pdf", b"%PDF"), ("docx", b"PK")):
        out = tmp_path / f"dossier.{end}"
        answer = gloria("dossier", "lab-1-01", "--out", out, "--both", home=own_home)
        assert (answer.code, out.read_bytes()[: len(begins)]) == (0, begins)
    wrong = {"lab-none": "d.pdf", "lab-1-01": "d.txt"}
    refused = [gloria("dossier", lab, "--out", tmp_path / name, home=own_home) for lab, name in wrong.items()]
    assert [(one.code, len(one.err.strip().splitlines())) for one in refused] == [(1, 1), (1, 1)]
