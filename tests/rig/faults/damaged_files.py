"""Files that an import must survive: good ones of every kind and format, damaged ones, and bombs.

In: a number that the damage is drawn from, or a folder. Out: a file's name and bytes, the kind of its damage and
which rows must survive it; or the path of a small file that unfolds into gigabytes, and the words that should
refuse it. It exists so that the command line and the server are tried with the same ones.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import os
import random
import re
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from pathlib import Path

import openpyxl

from indexer.records.columns import COLUMNS
from indexer.records.readers import read_bytes
from indexer.vocabulary import Kind

ROWS = 12
FORMATS = ("csv", "xlsx", "jsonl")
Chance = random.Random


@dataclass(frozen=True)
class Good:
    """A file as its rows: the header first where there is one."""

    kind: Kind
    format: str
    ids: tuple[str, ...]
    lines: tuple[bytes, ...] = ()
    parts: tuple[tuple[str, bytes], ...] = ()


@dataclass(frozen=True)
class Damaged:
    """A damaged file. `spared` are the ids that must be imported, None where that can't be known."""

    number: int
    kind: Kind
    name: str
    data: bytes
    damage: str
    spared: frozenset[str] | None = None


def id_of(kind: Kind, n: int) -> str:
    """An id that no flipped bit turns into another's."""
    return f"{kind.value}-{sha256(f'{kind}{n}'.encode()).hexdigest()[:12]}"


def _row(kind: Kind, n: int) -> list[str]:
    cells = []
    for column in COLUMNS[kind]:
        value = str(column.example)
        if column.field == "id":
            value = id_of(kind, n)
        elif column.field == "lab":
            value = id_of(Kind.LABS, n)
        elif column.field in ("merged_into", "links", "center"):
            value = ""
        cells.append(value)
    return cells


def _csv_line(cells: list[str]) -> bytes:
    line = io.StringIO(newline="")
    csv.writer(line).writerow(cells)
    return line.getvalue().encode()


@cache
def good(kind: Kind, file_format: str) -> Good:
    """Return a good file of a kind; the ids are of its records, of evidence those of its labs."""
    headings = [column.heading for column in COLUMNS[kind]]
    rows = [_row(kind, n) for n in range(ROWS)]
    lines = (_csv_line(headings), *map(_csv_line, rows))
    ids = tuple(id_of(Kind.LABS if kind is Kind.EVIDENCE else kind, n) for n in range(ROWS))
    if file_format == "csv":
        return Good(kind, "csv", ids, lines)
    if file_format == "jsonl":
        records = read_bytes(b"".join(lines), f"{kind}.csv").records.values()
        objects = tuple(json.dumps(record.model_dump(mode="json"), ensure_ascii=False).encode() for record in records)
        assert len(objects) == ROWS
        return Good(kind, "jsonl", ids, tuple(line + b"\n" for line in objects))
    book = openpyxl.Workbook()
    sheet = book.worksheets[0]
    sheet.title = kind.value
    for row in (headings, *rows):
        sheet.append([cell or None for cell in row])
    content = io.BytesIO()
    book.save(content)
    with zipfile.ZipFile(content) as archive:
        parts = tuple((entry.filename, archive.read(entry)) for entry in archive.infolist())
    return Good(kind, "xlsx", ids, parts=parts)


def damaged(number: int) -> Damaged:
    """Return the case of a number."""
    chance = random.Random(number)
    # A term may come without an id, so one whose id was damaged is a good term all the same.
    flat = [kind for kind in Kind if kind is not Kind.TERMS]
    kinds = [kind for kind in flat if kind is not Kind.EVIDENCE]
    file_format = FORMATS[number % len(FORMATS)]
    kind = chance.choice(kinds if file_format == "jsonl" else flat)
    whole = good(kind, file_format)
    if file_format == "xlsx":
        name, damage = chance.choice(list(_OF_BOOKS.items()))
        data, spared = damage(whole, chance)
    else:
        ways = {**_OF_LINES, **(_OF_JSON if file_format == "jsonl" else _OF_CSV)}
        name, change = chance.choice(list(ways.items()))
        data, spared = change(whole, chance)
    return Damaged(number, kind, f"{kind}.{file_format}", data, name, spared)


Outcome = tuple[bytes, frozenset[str] | None]
Damage = Callable[[Good, Chance], Outcome]


def _joined(lines: list[bytes]) -> bytes:
    return b"".join(lines)


def _all_but(whole: Good, *rows: int) -> frozenset[str]:
    return frozenset(key for n, key in enumerate(whole.ids) if n not in rows)


def _one_line(change: Callable[[bytes, Chance], bytes]) -> Damage:
    """Return a damage to one line (not the header) that its neighbours survive."""

    def damage(whole: Good, chance: Chance) -> Outcome:
        lines = list(whole.lines)
        n = chance.randrange(ROWS)
        at = n + len(lines) - ROWS
        lines[at] = change(lines[at].rstrip(b"\r\n"), chance) + b"\n"
        return _joined(lines), _all_but(whole, n)

    return damage


def _flip(data: bytes, chance: Chance, times: int) -> bytes:
    flipped = bytearray(data)
    for _ in range(times):
        flipped[chance.randrange(len(flipped))] ^= 1 << chance.randrange(8)
    return bytes(flipped)


def _flipped_line(line: bytes, chance: Chance) -> bytes:
    return _flip(line, chance, chance.randint(1, 4)).replace(b"\n", b"?")


def _flipped(whole: Good, chance: Chance) -> Outcome:
    return _flip(_joined(list(whole.lines)), chance, chance.choice([1, 5, 50])), None


def _cut(whole: Good, chance: Chance) -> Outcome:
    data = _joined(list(whole.lines))
    return data[: chance.randrange(len(data))], None


def _doubled(whole: Good, chance: Chance) -> Outcome:
    lines = list(whole.lines)
    at = len(lines) - ROWS + chance.randrange(ROWS)
    lines[at:at] = [lines[at]] * chance.randint(1, 5)
    return _joined(lines), frozenset(whole.ids)


def _swapped(whole: Good, chance: Chance) -> Outcome:
    rows = list(whole.lines[-ROWS:])
    chance.shuffle(rows)
    return _joined([*whole.lines[:-ROWS], *rows]), frozenset(whole.ids)


def _recoded(whole: Good, chance: Chance) -> Outcome:
    text = _joined(list(whole.lines)).decode()
    encoding, keeps = chance.choice([("utf-16", True), ("utf-8-sig", True), ("cp950", False), ("latin-1", False),
                                     ("utf-16-le", False), ("utf-32", False), ("utf-7", False)])  # fmt: skip
    data = text.encode(encoding, errors="replace")
    if encoding == "utf-16" and chance.random() < 0.5:
        return data[:-1], None
    return data, frozenset(whole.ids) if keeps else None


def _other_ends(whole: Good, chance: Chance) -> Outcome:
    ends = [b"\n", b"\r\n", b"\n\n", b" \r\n", b"\r\r\n", b"\n\r"]
    return _joined([line.rstrip(b"\r\n") + chance.choice(ends) for line in whole.lines]), None


def _zeros(whole: Good, chance: Chance) -> Outcome:
    data = bytearray(_joined(list(whole.lines)))
    at = chance.randrange(len(data))
    data[at : at + chance.randint(1, 600)] = bytes(chance.randint(1, 600))
    return bytes(data), None


def _mark_inside(line: bytes, chance: Chance) -> bytes:
    at = chance.randrange(len(line))
    while at and line[at] & 0xC0 == 0x80:
        at -= 1
    return line[:at] + b"\xef\xbb\xbf" + line[at:]


_OF_LINES: dict[str, Damage] = {
    "flipped bits": _flipped,
    "cut": _cut,
    "line doubled": _doubled,
    "lines swapped": _swapped,
    "another encoding": _recoded,
    "mixed line ends": _other_ends,
    "zeros": _zeros,
    "byte order mark inside": _one_line(_mark_inside),
}


def _with_value(raw: str) -> Damage:
    """Return a damage that puts raw JSON in the place of one value."""

    def change(line: bytes, chance: Chance) -> bytes:
        record = json.loads(line)
        key = chance.choice(list(record))
        record[key] = "\x01"
        return json.dumps(record, ensure_ascii=False).replace('"\\u0001"', raw).encode()

    return _one_line(change)


_OF_JSON: dict[str, Damage] = {
    "bits of a line": _one_line(_flipped_line),
    "half a line": _one_line(lambda line, chance: line[: chance.randrange(1, len(line))]),
    "no object": _one_line(lambda _, chance: chance.choice([b"[]", b"7", b"null", b'"x"', b"{}", b"\xff", b"{" * 9])),
    "open quote": _one_line(lambda line, _: line.replace(b'"', b"", 1)),
    "bad UTF-8": _one_line(lambda line, chance: line[: len(line) // 2] + chance.choice([b"\xc3", b"\xff", b"\xa4\xa4"])
                           + line[len(line) // 2 :]),
    "deep arrays": _with_value("[" * 100_000 + "]" * 100_000),
    "deep objects": _with_value('{"a":' * 5_000 + "1" + "}" * 5_000),
    "NaN": _with_value("NaN"),
    "Infinity": _with_value("-Infinity"),
    "digits": _with_value("9" * 400),
    "more digits": _with_value("-" + "9" * 5_000),
    "an overflow": _with_value("1e999"),
    "half a character": _with_value('"\\ud800"'),
    "half a character as a key": _with_value('{"\\udfff": "\\udc00"}'),
    "a zero": _with_value('"a\\u0000b"'),
    "a huge field": _with_value(json.dumps("鋒" * 300_000)),
    "a long list": _with_value(json.dumps(["x"] * 3_000)),
    "objects": _with_value('[{"title": {"a": []}}, {"kind": 7}, [[]], null, {"school": {}}]'),
    "dates out of range": _with_value('"9999-99-99"'),
    "year 0": _with_value('"0000-00-00"'),
}  # fmt: skip


def _with_cell(text: str) -> Damage:
    """Return a damage that puts a text in the place of one cell."""

    def change(line: bytes, chance: Chance) -> bytes:
        (cells,) = csv.reader([line.decode()], strict=True) if b"\n" not in line else _many(line)
        cells[chance.randrange(len(cells))] = text
        return _csv_line(cells).rstrip(b"\r\n")

    return _one_line(change)


def _many(line: bytes) -> list[list[str]]:
    return list(csv.reader(io.StringIO(line.decode(), newline=""), strict=True))


def _open_quote(whole: Good, chance: Chance) -> Outcome:
    lines = list(whole.lines)
    n = chance.randrange(ROWS)
    first, _, rest = lines[n + 1].partition(b",")
    lines[n + 1] = first + b',"' + rest.replace(b'"', b"")
    # What comes before it is kept; what comes after it may be swallowed.
    return _joined(lines), frozenset(whole.ids[:n])


_OF_CSV: dict[str, Damage] = {
    "open quote": _open_quote,
    "more cells": _one_line(lambda line, chance: line + b",x" * chance.randint(1, 50)),
    "a hundred thousand cells": _one_line(lambda line, _: line + b",x" * 100_000),
    "a huge field": _with_cell("鋒" * 140_000),
    "a large field": _with_cell("x" * 60_000),
    "digits": _with_cell("9" * 400),
    "not a number": _with_cell("NaN"),
    "a zero": _with_cell("a\x00b"),
    "half a list": _with_cell('["a", '),
    "a deep list": _with_cell('["' + "[" * 60_000),
    "dates out of range": _with_cell("9999-99-99"),
    "ROC year 999": _with_cell("民國999年13月40日"),
    "a writing direction": _with_cell("\u202eabc"),
    "accents": _with_cell("a" + "\u0301" * 500),
    "a formula": _with_cell("=1+1"),
    "a surrogate, escaped": _with_cell('["\\ud800"]'),
}


def packed(parts: list[tuple[str, bytes]]) -> bytes:
    """Return a workbook of these parts."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in parts:
            archive.writestr(name, data)
    return content.getvalue()


SHEET = "xl/worksheets/sheet1.xml"


def changed(whole: Good, name: str, change: Callable[[bytes], bytes | None]) -> bytes:
    """Return a workbook with one part changed, or left out."""
    parts = [(part, change(data) if part == name else data) for part, data in whole.parts]
    return packed([(part, data) for part, data in parts if data is not None])


def _one_cell(*cells: str) -> Damage:
    """Return a damage that puts one of these elements in the place of a cell of one row."""

    def damage(whole: Good, chance: Chance) -> Outcome:
        n = chance.randrange(ROWS)
        found = list(re.finditer(rf'<c r="([A-Z]+){n + 2}".*?</c>', dict(whole.parts)[SHEET].decode()))
        at = chance.choice(found)
        new = chance.choice(cells).replace("PLACE", f"{at[1]}{n + 2}")

        def change(data: bytes) -> bytes:
            text = data.decode()
            return (text[: at.start()] + new + text[at.end() :]).encode()

        return changed(whole, SHEET, change), _all_but(whole, n)

    return damage


def _any_part(change: Callable[[bytes, Chance], bytes | None]) -> Damage:
    def damage(whole: Good, chance: Chance) -> Outcome:
        name = chance.choice([*(part for part, _ in whole.parts), SHEET, SHEET])
        return changed(whole, name, lambda data: change(data, chance)), None

    return damage


def _archive(change: Callable[[bytes, Chance], bytes]) -> Damage:
    return lambda whole, chance: (change(packed(list(whole.parts)), chance), None)


def _sheet(old: str, new: str, *, keeps: bool = False) -> Damage:
    def damage(whole: Good, _: Chance) -> Outcome:
        data = changed(whole, SHEET, lambda part: part.decode().replace(old, new, 1).encode())
        return data, frozenset(whole.ids) if keeps else None

    return damage


def _torn(part: bytes, chance: Chance) -> bytes:
    start = chance.randrange(len(part))
    return part[:start] + part[start + chance.randint(1, 40) :]


_OF_BOOKS: dict[str, Damage] = {
    "archive: flipped bits": _archive(lambda data, chance: _flip(data, chance, chance.choice([1, 5, 50]))),
    "archive: cut": _archive(lambda data, chance: data[: chance.randrange(4, len(data))]),
    "archive: a piece missing": _archive(_torn),
    "archive: bytes before it": _archive(lambda data, chance: b"PK" + chance.randbytes(50) + data),
    "part missing": _any_part(lambda *_: None),
    "part: flipped bits": _any_part(lambda part, chance: _flip(part, chance, chance.choice([1, 3, 20]))),
    "part: cut": _any_part(lambda part, chance: part[: chance.randrange(len(part))]),
    "part: a piece missing": _any_part(_torn),
    "part: noise": _any_part(lambda _, chance: chance.randbytes(300)),
    "part: empty": _any_part(lambda *_: b""),
    "part: UTF-16": _any_part(lambda part, _: part.decode().encode("utf-16")),
    "part: twice": _any_part(lambda part, _: part + part),
    "part: numbers changed": _any_part(lambda part, chance: re.sub(
        rb'"\d+"', lambda found: b'"%d"' % chance.randint(-9, 10**9) if chance.random() < 0.1 else found[0], part)),
    "wrong content types": lambda whole, _: (changed(whole, "[Content_Types].xml", lambda part: part.replace(
        b"spreadsheetml.sheet.main", b"wordprocessingml.document.main")), frozenset(whole.ids)),
    "shared text that isn't there": _one_cell('<c r="PLACE" t="s"><v>99999</v></c>', '<c r="PLACE" t="s"><v>-1</v></c>',
                                              '<c r="PLACE" t="s"><v>x</v></c>'),
    "a number that is none": _one_cell('<c r="PLACE"><v>12 apples</v></c>', '<c r="PLACE" t="n"><v>NaN</v></c>',
                                       '<c r="PLACE"><v>1e999</v></c>', f'<c r="PLACE"><v>{"9" * 400}</v></c>',
                                       f'<c r="PLACE"><v>{"9" * 5_000}</v></c>'),
    "a date out of range": _one_cell('<c r="PLACE" t="d"><v>9999-99-99</v></c>', '<c r="PLACE" t="d"><v>soon</v></c>',
                                     '<c r="PLACE" t="d"><v>T25:61</v></c>'),
    "an error": _one_cell('<c r="PLACE" t="e"><v>#N/A</v></c>', '<c r="PLACE" t="b"><v>maybe</v></c>',
                          '<c r="PLACE" t="q"><v>1</v></c>'),
    "a formula": _one_cell('<c r="PLACE"><f>1/0</f></c>', '<c r="PLACE"><f>HYPERLINK("x")</f><v>3</v></c>',
                           '<c r="PLACE" t="str"><f>A1</f><v>=1+1</v></c>'),
    "a strange text": _one_cell('<c r="PLACE" t="inlineStr"><is><t>_x0000_</t></is></c>',
                                '<c r="PLACE" t="inlineStr"><is><r><t>a</t></r><r><t>b</t></r></is></c>',
                                '<c r="PLACE" t="inlineStr"><is><t>_xD800_</t></is></c>',
                                f'<c r="PLACE" t="inlineStr"><is><t>{"x" * 200_000}</t></is></c>'),
    "merged cells": _sheet("</sheetData>", '</sheetData><mergeCells count="1"><mergeCell ref="A1:XFD9"/></mergeCells>',
                           keeps=True),
    "row beyond the last": _sheet('<row r="3"', '<row r="99999999"'),
    "row 0": _sheet('<row r="3"', '<row r="0"'),
    "column beyond the last": _sheet('r="B3"', 'r="ZZZ3"'),
    "rows without numbers": _sheet('<row r="3"', "<row", keeps=True),
    "a false dimension": _sheet("<sheetData>", '<dimension ref="A1:A1"/><sheetData>', keeps=True),
}  # fmt: skip


_NS = 'xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"'
Bomb = Callable[[Path], tuple[Path, str]]
"""Lays a bomb into a folder; returns its path and the words that refuse it."""


def book(folder: Path, sheet: str = "", **parts: bytes | Iterator[bytes]) -> Path:
    """Write a workbook of companies with other parts; what an iterator yields is packed as it comes."""
    path = folder / "companies.xlsx"
    given = {name.replace("__", "/").replace("_xml", ".xml"): data for name, data in parts.items()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name, data in good(Kind.COMPANIES, "xlsx").parts:
            if name not in given:
                archive.writestr(name, sheet if sheet and name == SHEET else data)
        for name, data in given.items():
            with archive.open(name, "w") as file:
                for piece in [data] if isinstance(data, bytes) else data:
                    file.write(piece)
    return path


def sheet_of(start: str, piece: str, times: int, end: str) -> Iterator[bytes]:
    yield f"<worksheet {_NS}><sheetData>{start}".encode()
    block, rest = divmod(times, 10_000)
    for _ in range(block):
        yield (piece * 10_000).encode()
    yield (piece * rest + end + "</sheetData></worksheet>").encode()


def of_high_ratio(folder: Path) -> tuple[Path, str]:
    pieces = sheet_of("", "<row><c><v>1</v></c></row>", 300_000_000 // 26, "")
    return book(folder, xl__worksheets__sheet1_xml=pieces), "unpacks to 3"


def of_empty_elements(folder: Path) -> tuple[Path, str]:
    return book(folder, xl__worksheets__sheet1_xml=sheet_of("", "<x/>", 45_000_000, "")), "8,000,000 elements"


def of_far_cells(folder: Path) -> tuple[Path, str]:
    pieces = sheet_of("", '<row><c r="XFD1"><v>1</v></c></row>', 1_000_000, "")
    return book(folder, xl__worksheets__sheet1_xml=pieces), "1,500,000 cells"


def of_a_claim(folder: Path) -> tuple[Path, str]:
    claim = f'<worksheet {_NS}><dimension ref="A1:XFD1048576"/><sheetData><row r="1048577"/></sheetData></worksheet>'
    return book(folder, claim), "is not a readable XLSX workbook (MarkupError)"


def of_laughs(folder: Path) -> tuple[Path, str]:
    entities = '<!ENTITY a0 "ha">' + "".join(f'<!ENTITY a{n} "{f"&a{n - 1};" * 10}">' for n in range(1, 12))
    text = f'<!DOCTYPE x [{entities}]><worksheet {_NS}><sheetData><row><c t="str"><v>&a11;</v></c></row></sheetData>'
    return book(folder, text + "</worksheet>"), "is not a readable XLSX workbook (MarkupError)"


def of_an_outside_entity(folder: Path) -> tuple[Path, str]:
    entity = '<!DOCTYPE x [<!ENTITY e SYSTEM "file:///dev/zero">]>'
    text = f"{entity}<sst {_NS}><si><t>&e;</t></si></sst>"
    relations = dict(good(Kind.COMPANIES, "xlsx").parts)["xl/_rels/workbook.xml.rels"].decode()
    kind = "http://schemas.openxmlformats.org/officeDocument/2006/relationships/sharedStrings"
    more = f'<Relationship Id="rIdS" Type="{kind}" Target="sharedStrings.xml"/></Relationships>'
    parts = {
        "xl__sharedStrings_xml": text.encode(),
        "xl___rels__workbook_xml.rels": relations.replace("</Relationships>", more).encode(),
    }
    return book(folder, "", **parts), "is not a readable XLSX workbook (MarkupError)"


def of_many_parts(folder: Path) -> tuple[Path, str]:
    path = book(folder)
    with zipfile.ZipFile(path, "a") as archive:
        for n in range(100_000):
            archive.writestr(f"xl/media/{n}", b"")
    return path, "is packed from 100,0"


def of_shared_texts(folder: Path) -> tuple[Path, str]:
    relations = dict(good(Kind.COMPANIES, "xlsx").parts)["xl/_rels/workbook.xml.rels"].decode()
    kind = "http://schemas.openxmlformats.org/officeDocument/2006/relationships/sharedStrings"
    more = f'<Relationship Id="rIdS" Type="{kind}" Target="sharedStrings.xml"/></Relationships>'
    text = f"<sst {_NS}><si><t>{'鋒' * 100_000}</t></si></sst>"
    parts: dict[str, bytes | Iterator[bytes]] = {
        "xl__sharedStrings_xml": text.encode(),
        "xl___rels__workbook_xml.rels": relations.replace("</Relationships>", more).encode(),
        "xl__worksheets__sheet1_xml": sheet_of("", '<row><c t="s"><v>0</v></c></row>', 1_000_000, ""),
    }
    return book(folder, "", **parts), "40,000,000 characters"


def of_deep_json(folder: Path) -> tuple[Path, str]:
    path = folder / "companies.jsonl"
    path.write_bytes(b"[" * 100_000)
    return path, "is nested too deeply"


def of_a_long_line(folder: Path) -> tuple[Path, str]:
    path = folder / "companies.jsonl"
    with path.open("wb") as file:
        file.write(b'{"id": "a", "name": "')
        file.truncate(300_000_000)
    return path, "has 300 MB"


def of_empty_objects(folder: Path) -> tuple[Path, str]:
    path = folder / "companies.jsonl"
    path.write_bytes(b"[" + b"{}," * 20_000_000 + b"{}]")
    return path, "2,000,000 values"


def of_unknown_fields(folder: Path) -> tuple[Path, str]:
    path = folder / "companies.jsonl"
    fields = ",".join(f'"k{n}":0' for n in range(600_000))
    path.write_text("{" + fields + "}", encoding="utf-8")
    return path, "id: is missing"


def of_a_large_cell(folder: Path) -> tuple[Path, str]:
    path = folder / "companies.csv"
    with path.open("wb") as file:
        file.write(b'id,name\na,"')
        file.truncate(200_000_000)
    return path, "has 200 MB"


def of_a_cell_within(folder: Path) -> tuple[Path, str]:
    path = folder / "companies.csv"
    path.write_bytes(b'id,name\na,"\xf0\x9f\x8e\x88' + b"x" * 60_000_000 + b'"\n')
    return path, "has a line of more than 4,000,000 characters"


def of_columns(folder: Path) -> tuple[Path, str]:
    path = folder / "companies.csv"
    path.write_text("id,name," + ",".join(f"c{n}" for n in range(300_000)) + "\n" + "," * 1_000_000 + "a\n")
    return path, "the first row has 300,002 columns"


def of_small_cells(folder: Path) -> tuple[Path, str]:
    path = folder / "companies.csv"
    path.write_bytes(b"id,name\n" + (b"ab,cd,ef,gh,ij,kl\n" * 3_000_000))
    return path, "1,500,000 cells"


def of_faults(folder: Path) -> tuple[Path, str]:
    path = folder / "companies.csv"
    path.write_bytes(b"id,name,country\n" + b"a,b,Atlantis\n" * 480_000)
    return path, "rows from here on were not read"


def zipped(folder: Path) -> tuple[Path, str]:
    path = folder / "companies.csv"
    path.write_bytes(gzip.compress(b"id,name\na,b\n" * 1_000))
    return path, "is a packed file; unpack it and import the files in it"


def of_half_utf16(folder: Path) -> tuple[Path, str]:
    path = folder / "companies.csv"
    path.write_bytes("id,name\na,b\n".encode("utf-16")[:-1])
    return path, "is neither UTF-8 nor UTF-16 nor Big5"


def pipe(folder: Path) -> tuple[Path, str]:
    os.mkfifo(folder / "companies.csv")
    return folder / "companies.csv", "is a pipe or a device"


def zeros(folder: Path) -> tuple[Path, str]:
    (folder / "companies.csv").symlink_to("/dev/zero")
    return folder / "companies.csv", "is a pipe or a device"


def endless_link(folder: Path) -> tuple[Path, str]:
    (folder / "companies.csv").symlink_to("companies.csv")
    return folder / "companies.csv", "Too many levels of symbolic links"


def of_tried_again(folder: Path) -> tuple[Path, str]:
    """Texts at which a careless pattern tries every way to match them: blanks, brackets, digits, dots."""
    path = folder / "companies.csv"
    texts = (" " * 130_000, "(" * 130_000, "1 " * 60_000, ". " * 60_000, "-" * 130_000, "民國" + " " * 100_000)
    heading = ",".join(f"x{text}x" for text in texts)
    rows = "".join(f'c{n},"x{text}x","x{text}x"\n' for n, text in enumerate(texts * 5))
    path.write_text(f"id,name,description,{heading}\n{rows}", encoding="utf-8")
    return path, "give at most"


QUICK: tuple[Bomb, ...] = (
    *(of_a_claim, of_laughs, of_an_outside_entity, of_deep_json, of_a_long_line, of_a_large_cell),
    *(of_columns, zipped, of_half_utf16, pipe, zeros, endless_link, of_tried_again, of_unknown_fields),
)
SLOW: tuple[Bomb, ...] = (
    *(of_high_ratio, of_empty_elements, of_far_cells, of_many_parts, of_shared_texts),
    *(of_empty_objects, of_a_cell_within, of_small_cells, of_faults),
)
