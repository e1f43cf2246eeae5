"""Small files that unfold into gigabytes, and paths without an end: refused in words, soon, in little memory."""

from __future__ import annotations

import gzip
import multiprocessing
import os
import time
import zipfile
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pytest

from indexer.database import open_engine
from indexer.settings import Settings
from indexer.vocabulary import Kind
from tests.damaged_files import SHEET, good
from tests.figures import figure
from tests.importing_apart import LIMIT_MB, LIMIT_S, Outcome, attempt_path
from tests.job_watching import job_of, upload
from tests.serving import Served, served

PATIENCE_S = 60.0
_NS = 'xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"'
Bomb = Callable[[Path], tuple[Path, str]]
"""Lays a bomb into a folder; returns its path and the words that refuse it."""


def _book(folder: Path, sheet: str = "", **parts: bytes | Iterator[bytes]) -> Path:
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


def _sheet_of(start: str, piece: str, times: int, end: str) -> Iterator[bytes]:
    yield f"<worksheet {_NS}><sheetData>{start}".encode()
    block, rest = divmod(times, 10_000)
    for _ in range(block):
        yield (piece * 10_000).encode()
    yield (piece * rest + end + "</sheetData></worksheet>").encode()


def _of_high_ratio(folder: Path) -> tuple[Path, str]:
    pieces = _sheet_of("", "<row><c><v>1</v></c></row>", 300_000_000 // 26, "")
    return _book(folder, xl__worksheets__sheet1_xml=pieces), "unpacks to 3"


def _of_empty_elements(folder: Path) -> tuple[Path, str]:
    return _book(folder, xl__worksheets__sheet1_xml=_sheet_of("", "<x/>", 45_000_000, "")), "8,000,000 elements"


def _of_far_cells(folder: Path) -> tuple[Path, str]:
    pieces = _sheet_of("", '<row><c r="XFD1"><v>1</v></c></row>', 1_000_000, "")
    return _book(folder, xl__worksheets__sheet1_xml=pieces), "1,500,000 cells"


def _of_a_claim(folder: Path) -> tuple[Path, str]:
    claim = f'<worksheet {_NS}><dimension ref="A1:XFD1048576"/><sheetData><row r="1048577"/></sheetData></worksheet>'
    return _book(folder, claim), "is not a readable XLSX workbook (MarkupError)"


def _of_laughs(folder: Path) -> tuple[Path, str]:
    entities = '<!ENTITY a0 "ha">' + "".join(f'<!ENTITY a{n} "{f"&a{n - 1};" * 10}">' for n in range(1, 12))
    text = f'<!DOCTYPE x [{entities}]><worksheet {_NS}><sheetData><row><c t="str"><v>&a11;</v></c></row></sheetData>'
    return _book(folder, text + "</worksheet>"), "is not a readable XLSX workbook (MarkupError)"


def _of_an_outside_entity(folder: Path) -> tuple[Path, str]:
    entity = '<!DOCTYPE x [<!ENTITY e SYSTEM "file:///dev/zero">]>'
    text = f'{entity}<sst {_NS}><si><t>&e;</t></si></sst>'
    relations = dict(good(Kind.COMPANIES, "xlsx").parts)["xl/_rels/workbook.xml.rels"].decode()
    kind = "http://schemas.openxmlformats.org/officeDocument/2006/relationships/sharedStrings"
    more = f'<Relationship Id="rIdS" Type="{kind}" Target="sharedStrings.xml"/></Relationships>'
    parts = {
        "xl__sharedStrings_xml": text.encode(),
        "xl___rels__workbook_xml.rels": relations.replace("</Relationships>", more).encode(),
    }
    return _book(folder, "", **parts), "is not a readable XLSX workbook (MarkupError)"


def _of_many_parts(folder: Path) -> tuple[Path, str]:
    path = _book(folder)
    with zipfile.ZipFile(path, "a") as archive:
        for n in range(100_000):
            archive.writestr(f"xl/media/{n}", b"")
    return path, "is packed from 100,0"


def _of_shared_texts(folder: Path) -> tuple[Path, str]:
    relations = dict(good(Kind.COMPANIES, "xlsx").parts)["xl/_rels/workbook.xml.rels"].decode()
    kind = "http://schemas.openxmlformats.org/officeDocument/2006/relationships/sharedStrings"
    more = f'<Relationship Id="rIdS" Type="{kind}" Target="sharedStrings.xml"/></Relationships>'
    text = f"<sst {_NS}><si><t>{'鋒' * 100_000}</t></si></sst>"
    parts: dict[str, bytes | Iterator[bytes]] = {
        "xl__sharedStrings_xml": text.encode(),
        "xl___rels__workbook_xml.rels": relations.replace("</Relationships>", more).encode(),
        "xl__worksheets__sheet1_xml": _sheet_of("", '<row><c t="s"><v>0</v></c></row>', 1_000_000, ""),
    }
    return _book(folder, "", **parts), "40,000,000 characters"


def _of_deep_json(folder: Path) -> tuple[Path, str]:
    path = folder / "companies.jsonl"
    path.write_bytes(b"[" * 100_000)
    return path, "is nested too deeply"


def _of_a_long_line(folder: Path) -> tuple[Path, str]:
    path = folder / "companies.jsonl"
    with path.open("wb") as file:
        file.write(b'{"id": "a", "name": "')
        file.truncate(300_000_000)
    return path, "has 300 MB"


def _of_empty_objects(folder: Path) -> tuple[Path, str]:
    path = folder / "companies.jsonl"
    path.write_bytes(b"[" + b"{}," * 20_000_000 + b"{}]")
    return path, "2,000,000 values"


def _of_unknown_fields(folder: Path) -> tuple[Path, str]:
    path = folder / "companies.jsonl"
    fields = ",".join(f'"k{n}":0' for n in range(600_000))
    path.write_text("{" + fields + "}", encoding="utf-8")
    return path, "id: is missing"


def _of_a_large_cell(folder: Path) -> tuple[Path, str]:
    path = folder / "companies.csv"
    with path.open("wb") as file:
        file.write(b'id,name\na,"')
        file.truncate(200_000_000)
    return path, "has 200 MB"


def _of_a_cell_within(folder: Path) -> tuple[Path, str]:
    path = folder / "companies.csv"
    path.write_bytes(b'id,name\na,"\xf0\x9f\x8e\x88' + b"x" * 60_000_000 + b'"\n')
    return path, "has a line of more than 4,000,000 characters"


def _of_columns(folder: Path) -> tuple[Path, str]:
    path = folder / "companies.csv"
    path.write_text("id,name," + ",".join(f"c{n}" for n in range(300_000)) + "\n" + "," * 1_000_000 + "a\n")
    return path, "the first row has 300,002 columns"


def _of_small_cells(folder: Path) -> tuple[Path, str]:
    path = folder / "companies.csv"
    path.write_bytes(b"id,name\n" + (b"ab,cd,ef,gh,ij,kl\n" * 3_000_000))
    return path, "1,500,000 cells"


def _of_faults(folder: Path) -> tuple[Path, str]:
    path = folder / "companies.csv"
    path.write_bytes(b"id,name,country\n" + b"a,b,Atlantis\n" * 480_000)
    return path, "rows from here on were not read"


def _zipped(folder: Path) -> tuple[Path, str]:
    path = folder / "companies.csv"
    path.write_bytes(gzip.compress(b"id,name\na,b\n" * 1_000))
    return path, "is neither UTF-8 nor UTF-16 nor Big5"


def _of_half_utf16(folder: Path) -> tuple[Path, str]:
    path = folder / "companies.csv"
    path.write_bytes("id,name\na,b\n".encode("utf-16")[:-1])
    return path, "is neither UTF-8 nor UTF-16 nor Big5"


def _pipe(folder: Path) -> tuple[Path, str]:
    os.mkfifo(folder / "companies.csv")
    return folder / "companies.csv", "is a pipe or a device"


def _zeros(folder: Path) -> tuple[Path, str]:
    (folder / "companies.csv").symlink_to("/dev/zero")
    return folder / "companies.csv", "is a pipe or a device"


def _endless_link(folder: Path) -> tuple[Path, str]:
    (folder / "companies.csv").symlink_to("companies.csv")
    return folder / "companies.csv", "Too many levels of symbolic links"


def _of_tried_again(folder: Path) -> tuple[Path, str]:
    """Texts at which a careless pattern tries every way to match them: blanks, brackets, digits, dots."""
    path = folder / "companies.csv"
    texts = (" " * 130_000, "(" * 130_000, "1 " * 60_000, ". " * 60_000, "-" * 130_000, "民國" + " " * 100_000)
    heading = ",".join(f"x{text}x" for text in texts)
    rows = "".join(f'c{n},"x{text}x","x{text}x"\n' for n, text in enumerate(texts * 5))
    path.write_text(f"id,name,description,{heading}\n{rows}", encoding="utf-8")
    return path, "give at most"


QUICK: tuple[Bomb, ...] = (
    *(_of_a_claim, _of_laughs, _of_an_outside_entity, _of_deep_json, _of_a_long_line, _of_a_large_cell),
    *(_of_columns, _zipped, _of_half_utf16, _pipe, _zeros, _endless_link, _of_tried_again, _of_unknown_fields),
)
SLOW: tuple[Bomb, ...] = (
    *(_of_high_ratio, _of_empty_elements, _of_far_cells, _of_many_parts, _of_shared_texts),
    *(_of_empty_objects, _of_a_cell_within, _of_small_cells, _of_faults),
)


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("template")
    open_engine(Settings(home=home, database_url="")).dispose()
    return home / "gloria.db"


def _imported(path: Path, template: Path) -> Outcome:
    """Import in a process of its own, begun small, so that its memory is what the import took."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.importing_apart"])
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        return pool.submit(attempt_path, path, template, Kind.COMPANIES).result(timeout=PATIENCE_S)


@pytest.mark.parametrize("bombs", [QUICK, pytest.param(QUICK + SLOW, marks=pytest.mark.long)], ids=["quick", "all"])
def test_bombs(bombs: tuple[Bomb, ...], template: Path, tmp_path: Path) -> None:
    outcomes: dict[str, Outcome] = {}
    for bomb in bombs:
        folder = tmp_path / bomb.__name__
        folder.mkdir()
        path, words = bomb(folder)
        outcomes[bomb.__name__] = outcome = _imported(path, template)
        if path.is_file():
            path.unlink()
        told = " ".join((*outcome.messages, *(fault for fault in outcome.faults if fault.startswith("raised OSError"))))
        assert words in told, (bomb.__name__, outcome)
        assert [fault for fault in outcome.faults if not fault.startswith("raised OSError")] == [], bomb.__name__
    assert len(outcomes) >= 12
    longest, most = max(o.seconds for o in outcomes.values()), max(o.peak_mb for o in outcomes.values())
    assert (longest < LIMIT_S, most < LIMIT_MB) == (True, True)
    figure("import bombs", bombs=len(outcomes), crashes=0, longest_cpu_s=round(longest, 1), most_mb=round(most))


def test_a_reader_without_its_limits_is_found(template: Path, tmp_path: Path) -> None:
    """The same measurement sees what a parser takes that builds the elements before it counts them."""
    path, _ = _book(tmp_path, xl__worksheets__sheet1_xml=_sheet_of("", "<x a=\"\"/>", 1_700_000, "")), ""
    context = multiprocessing.get_context("forkserver")
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        assert pool.submit(_peak_of_tree, path).result(timeout=PATIENCE_S) > LIMIT_MB


def _peak_of_tree(path: Path) -> float:
    from xml.etree import ElementTree

    from tests.importing_apart import peak_mb

    with zipfile.ZipFile(path) as archive, archive.open(SHEET) as file:
        ElementTree.parse(file)  # noqa: S314 (what must not be done with strangers' files, to see what it takes)
    return peak_mb()
