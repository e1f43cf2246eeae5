"""Official term sets and an office's glossary are imported as they come; words only they know cross languages."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import openpyxl
import pytest
from odfdo import Cell, Document, Row, Table
from sqlalchemy import Engine
from sqlmodel import Session, select

from indexer.database import open_engine, reading, writing
from indexer.encoders.embeddings import EmbeddingCache
from indexer.encoders.encoder import load_encoders
from indexer.index.building import overlaid, reindex
from indexer.index.dictionary import Dictionary
from indexer.index.mined_terms import MinedTerm, mined_terms
from indexer.index.opening import open_snapshot
from indexer.index.snapshot import Snapshot
from indexer.records.importing import ImportReport, import_file, import_rows
from indexer.records.passages import fingerprint, lab_passages
from indexer.records.profiles import Evidence, Lab
from indexer.records.record_tables import Term, changes_since, load_labs, load_terms
from indexer.records.writers import csv_header, csv_rows, sheets_of
from indexer.settings import Settings
from indexer.vocabulary import Kind
from matcher.ranking.opened.live import LiveMatcher
from tests.rig.servers.served_here import until, until_used

OFFICIAL = [
    ["系統編號", "英文名稱", "中文名稱", "縮寫", "學術領域"],
    ["7", "word segmentation", "斷詞；分詞", "", "計算語言學"],
    ["8", "Markov chain", "馬可夫鏈、馬氏鏈(機率)", "MC", "統計學"],
]
EXPECTED = {
    "斷詞": ("word segmentation",),
    "分詞": ("word segmentation",),
    "馬可夫鏈": ("Markov chain", "MC"),
    "馬氏鏈(機率)": ("Markov chain", "MC"),
}


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    opened = open_engine(Settings(home=tmp_path))
    yield opened
    opened.dispose()


def _csv(path: Path, rows: list[list[str]], encoding: str = "utf-8-sig") -> Path:
    text = io.StringIO(newline="")
    csv.writer(text).writerows(rows)
    path.write_bytes(text.getvalue().encode(encoding))
    return path


def _big5(path: Path, rows: list[list[str]]) -> Path:
    return _csv(path, rows, "cp950")


def _xlsx(path: Path, rows: list[list[str]]) -> Path:
    book = openpyxl.Workbook()
    for row in rows:
        book.worksheets[0].append(row)
    book.save(path)
    return path


def _ods(path: Path, rows: list[list[str]]) -> Path:
    document, table = Document("spreadsheet"), Table("Sheet1")
    document.body.clear()
    for row in rows:
        line = Row()
        for value in row:
            line.append_cell(Cell(value))
        table.append_row(line)
    document.body.append(table)
    document.save(path)
    return path


def _imported(engine: Engine, path: Path, kind: Kind | None = None) -> ImportReport:
    with writing(engine) as session:
        return import_file(session, path, kind)


def _own(engine: Engine) -> dict[str, tuple[str, ...]]:
    with reading(engine) as session:
        return load_terms(session)


def _counts(report: ImportReport) -> tuple[int, int, int, int]:
    return report.created, report.updated, report.unchanged, report.refused


@pytest.mark.parametrize(("suffix", "write"), [("csv", _csv), ("csv", _big5), ("xlsx", _xlsx), ("ods", _ods)])
def test_an_official_set_is_read_as_it_comes_in_any_format(
    engine: Engine, tmp_path: Path, suffix: str, write: object
) -> None:
    path = write(tmp_path / f"詞彙公告.{suffix}", OFFICIAL)  # type: ignore[operator]
    report = _imported(engine, path)
    assert (report.kind, _counts(report)) == (Kind.TERMS, (2, 0, 0, 0))
    assert [(one.field, one.severity) for one in report.problems] == [("系統編號", "warning")]
    assert _own(engine) == EXPECTED
    assert _counts(_imported(engine, path)) == (0, 0, 2, 0)


def test_a_glossary_needs_two_columns_only(engine: Engine, tmp_path: Path) -> None:
    report = _imported(engine, _csv(tmp_path / "glossary.csv", [["中文", "English"], ["斷詞", "word segmentation"]]))
    assert (report.kind, _counts(report), report.problems) == (Kind.TERMS, (1, 0, 0, 0), [])
    assert _own(engine) == {"斷詞": ("word segmentation",)}


def test_bad_rows_are_named_with_what_would_be_right_and_good_ones_kept(engine: Engine, tmp_path: Path) -> None:
    rows = [
        ["英文名稱", "中文名稱"],
        ["word segmentation", "斷詞"],
        ["馬可夫鏈", "Markov chain"],
        ["", "貝氏網路"],
        ["Bayesian network", ""],
        ["word segmentation", "斷詞"],
        ["word segmentation; tokenization", "斷詞"],
    ]
    report = _imported(engine, _csv(tmp_path / "terms.csv", rows))
    assert [str(problem) for problem in report.problems] == [
        'terms.csv:3 en[1]: "馬可夫鏈" is not English; give the English words, such as word segmentation',
        'terms.csv:3 zh[1]: "Markov chain" has no Chinese character; give the Chinese words, such as 斷詞',
        "terms.csv:4 en: is missing; give one",
        "terms.csv:5 zh: is missing; give one",
        'terms.csv:7 id: "斷詞=word_segmentation" is already the id of row 2; give each its own id',
    ]
    assert _counts(report) == (1, 0, 0, 4)
    assert _own(engine) == {"斷詞": ("word segmentation",)}


def test_a_file_without_one_of_the_columns_is_refused_as_a_whole(engine: Engine, tmp_path: Path) -> None:
    path = _csv(tmp_path / "terms.csv", [["英文名稱", "縮寫"], ["word segmentation", "WS"]])
    report = _imported(engine, path)
    assert [str(problem) for problem in report.errors] == [
        'terms.csv:1 zh: the first row has no such column; name it "zh 中文名稱", as the template does'
    ]


def test_what_is_exported_is_corrected_and_imported_again(engine: Engine, tmp_path: Path) -> None:
    _imported(engine, _csv(tmp_path / "詞彙公告.csv", OFFICIAL))
    (sheet,) = sheets_of(Kind.TERMS)
    with reading(engine) as session:
        documents = [term.model_dump(mode="json") for term in session.exec(select(Term).order_by(Term.id)).all()]  # type: ignore[arg-type]
    path = tmp_path / "terms.csv"
    path.write_bytes(csv_header(sheet) + csv_rows(sheet, documents))
    assert _counts(_imported(engine, path)) == (0, 0, 2, 0)
    path.write_bytes(path.read_bytes().replace(b"word segmentation,", b"tokenization,"))
    assert _counts(_imported(engine, path)) == (0, 1, 1, 0)
    assert _own(engine)["斷詞"] == ("tokenization",)


def test_brackets_behind_an_official_word_are_no_part_of_it() -> None:
    own = Dictionary(EXPECTED)
    assert [(word.word, word.senses) for word in own.plan("馬氏鏈與断词")] == [
        ("馬氏鏈", (("markov", "chain"), ("mc",))),
        ("断词", (("word", "segment"),)),
    ]


def _rebuilt(engine: Engine, settings: Settings) -> Snapshot:
    with reading(engine) as session:
        reindex(session, settings)
    return open_snapshot(settings.index_path)


def _take_in(engine: Engine, settings: Settings, base: Snapshot) -> Snapshot:
    with reading(engine) as session:
        labs, own = {lab.id: lab for lab in load_labs(session)}, load_terms(session)
    return overlaid(
        base,
        known=base,
        labs=labs,
        fingerprints={lab_id: fingerprint(lab_passages(lab)) for lab_id, lab in labs.items()},
        encoders=load_encoders(settings),
        cache=EmbeddingCache(settings.embeddings_path),
        watermark={},
        own_terms=own,
    )


def _give(engine: Engine, kind: Kind, row: dict[str, object]) -> None:
    with writing(engine) as session:
        assert import_rows(session, kind, [row]).errors == []


def test_a_changed_glossary_makes_a_new_index_at_night_and_at_once_in_a_server(engine: Engine, tmp_path: Path) -> None:
    settings = Settings(home=tmp_path, encoders="bundled-use")
    _give(engine, Kind.LABS, {"id": "lab-1", "name": "Word Lab", "summary_en": "Chinese word segmentation."})
    before = _rebuilt(engine, settings)
    assert (before.dictionary.plan("斷詞"), _take_in(engine, settings, before)) == ((), before)
    _give(engine, Kind.TERMS, {"zh": ["斷詞"], "en": ["word segmentation"]})
    served, after = _take_in(engine, settings, before), _rebuilt(engine, settings)
    assert after.generation != before.generation
    assert served.inputs == after.inputs != before.inputs
    for snapshot in (served, after, replace(after, generation="")):
        assert snapshot.dictionary.plan("斷詞")[0].senses == (("word", "segment"),)
    assert [one.word for one in before.dictionary.plan("斷詞")] == []


def test_a_server_that_runs_follows_the_glossary(engine: Engine, tmp_path: Path) -> None:
    settings = Settings(home=tmp_path, encoders="bundled-use")
    _give(engine, Kind.LABS, {"id": "lab-1", "name": "斷詞實驗室"})
    before = _rebuilt(engine, settings)
    live = LiveMatcher(settings, engine, check_every_s=0)
    live.warm()
    # The control: without the term nothing is taken in.
    until(lambda: live.current().snapshot.dictionary.plan("斷詞") == () and live._renewal.knows(live._wanted()))
    assert live.current().snapshot.generation == before.generation
    _give(engine, Kind.TERMS, {"zh": ["斷詞"], "en": ["word segmentation"]})
    until(lambda: live.current().snapshot.own_terms == {"斷詞": ("word segmentation",)})
    served = live.current().snapshot
    assert "word segment" in served.senses.vocabulary
    assert "word segment" not in before.senses.vocabulary
    until_used(live, _rebuilt(engine, settings).generation)
    assert served.inputs == live.current().snapshot.inputs != before.inputs
    live.close()


def _lab(lab_id: str, **texts: object) -> Lab:
    given: dict[str, object] = {"id": lab_id, "name": lab_id, "name_en": "", **texts}
    with_defaults = {
        "pi": "", "school": None, "fields": (), "summary": "", "summary_en": "", "keywords": (), "offers": (),
        "will_not_do": (), "capacity": None, "languages": (), "conflicts": (), "links": (), "evidence": (),
    } | given  # fmt: skip
    names = Lab.__dataclass_fields__
    return Lab(**{name: value for name, value in with_defaults.items() if name in names})  # type: ignore[arg-type]


def test_words_that_labs_translate_themselves_are_proposed() -> None:
    title = Evidence(
        id="e", kind="paper", title="Word segmentation（斷詞）的新方法", abstract="", year=None, weight=1.0
    )
    labs = [
        _lab("lab-1", summary="我們研究「斷詞」(word segmentation)與剖析。"),
        _lab("lab-2", evidence=(title,)),
        _lab("lab-3", keywords=("斷詞", "神經網路", "資料庫", "tokenization", "neural networks", "databases")),
    ]
    assert mined_terms(labs, Dictionary()) == (
        MinedTerm("斷詞", "Word segmentation", ("lab-2",)),
        MinedTerm("斷詞", "tokenization", ("lab-3",)),
        MinedTerm("斷詞", "word segmentation", ("lab-1",)),
    )


def test_what_is_uncertain_or_known_is_not_proposed() -> None:
    labs = [
        _lab("lab-1", summary="本實驗室長期投入於各種情境下的斷詞(word segmentation)研究。"),
        _lab("lab-2", summary="神經網路(neural network)"),
        _lab("lab-3", keywords=("斷詞", "神經網路", "資料庫", "ponds", "milkfish", "oxygen")),
        _lab("lab-4", keywords=("斷詞", "神經網路", "tokenization")),
    ]
    assert mined_terms(labs, Dictionary()) == ()


def test_the_change_is_in_the_feed(engine: Engine) -> None:
    _give(engine, Kind.TERMS, {"zh": ["斷詞"], "en": ["word segmentation"]})
    with Session(engine) as session:
        assert changes_since(session, Kind.TERMS, 0) == (1, ["斷詞=word_segmentation"])
