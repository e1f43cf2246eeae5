"""Small files that unfold into gigabytes, and paths without an end.

In: a folder. Out: the path of a bomb in it, and the words that should refuse it. It exists so that the command line
and the server are tried with the same ones.
"""

from __future__ import annotations

import gzip
import os
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

from indexer.vocabulary import Kind
from tests.damaged_files import SHEET, good

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
    return path, "is neither UTF-8 nor UTF-16 nor Big5"


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
