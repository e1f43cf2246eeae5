"""What ORCID, OpenAlex, ROR, Crossref, funders and research systems write comes in by itself, and overwrites nobody."""

from __future__ import annotations

import csv
import gzip
import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine
from sqlmodel import Session

from indexer.records.exchange import RowProblem
from indexer.records.importing import import_rows
from indexer.records.record_tables import load_companies, load_labs, load_needs, load_schools
from indexer.records.values import FieldError, doi, orcid, ror
from indexer.sources import bringing_in
from indexer.sources.bringing_in import SOURCES, SourceReport, bring_in
from indexer.sources.bringing_in import _read as read_source
from indexer.sources.findings import Findings

FILES = Path(__file__).parent / "register_files"
"""A folder for each source: invented content in the shape in which it is downloaded."""
LIN: dict[str, Any] = {
    "id": "lab-rime",
    "name": "霧凇感測實驗室",
    "pi": "藺若川",
    "orcid": "0000-0002-1825-0097",
    "summary": "研究葉片結冰。",
    "conflicts": ["嶺風電力"],
    "evidence": [{"id": "own-1", "title": "Finding ice on blades", "year": 2021}],
}


@pytest.fixture
def session(engine: Engine) -> Iterator[Session]:
    with Session(engine) as session:
        yield session


@pytest.fixture
def bring(session: Session) -> Any:
    def bring(source: str, **options: Any) -> SourceReport:
        return bring_in(session, source, sorted((FILES / source).iterdir(), reverse=True), **options)

    return bring


def _findings(source: str, path: Path) -> Findings:
    return read_source(SOURCES[source], path)


def errors(report: SourceReport) -> list[RowProblem]:
    return [problem for problem in report.problems if problem.severity == "error"]


TAKEN: dict[str, tuple[int, dict[str, int], int]] = {
    "orcid": (2, {"labs": 2}, 4),
    "openalex-authors": (1, {"labs": 1}, 0),
    "openalex-institutions": (2, {"schools": 1}, 0),
    "ror": (3, {"schools": 2}, 0),
    "cordis": (3, {"companies": 1, "labs": 1}, 1),
    "nsf": (2, {"labs": 1}, 2),
    "sbir": (3, {"companies": 1, "needs": 1}, 0),
    "cerif": (5, {"schools": 1, "labs": 1}, 2),
    "vivo": (2, {"schools": 1, "labs": 1}, 1),
    "schema-org": (3, {"schools": 1, "labs": 1}, 1),
}
"""Entries of the sample files, records created in an empty home, works that became evidence."""


@pytest.mark.parametrize("source", TAKEN)
def test_a_source_fills_an_empty_home_once(bring: Any, source: str) -> None:
    report = bring(source)
    assert (
        report.entries,
        {str(one.kind): one.created for one in report.imports if one.created},
        report.works,
        errors(report),
    ) == (*TAKEN[source], [])
    again = bring(source)
    assert [(one.created, one.updated) for one in again.imports] == [(0, 0)] * len(again.imports)
    assert (again.works, again.known) == (0, report.works)


@pytest.mark.parametrize("source", ["openalex-works", "crossref", "datacite"])
def test_works_go_to_the_lab_whose_heads_orcid_id_they_name(bring: Any, session: Session, source: str) -> None:
    import_rows(session, "labs", [LIN])
    report = bring(source)
    assert (report.works, errors(report)) == (1, [])
    (lab,) = load_labs(session)
    added = lab.evidence[-1]
    assert [one.id for one in lab.evidence] == ["own-1", added.id]
    assert {
        "openalex-works": ("Ice thickness by sound", "Sound tells thickness", 2022, "paper"),
        "crossref": ("Ice & sound", "Abstract\nIce is heard.\nTwice.", 2020, "paper"),
        "datacite": ("Spectra of iced blades", "Code that hears ice.", 2023, "technology"),
    }[source] == (added.title, added.abstract, added.year, added.kind)


def test_a_name_alone_gives_a_work_to_nobody(bring: Any, session: Session) -> None:
    import_rows(session, "labs", [LIN])
    report = bring("openalex-works")
    assert report.nobodys == 1
    (told,) = report.problems
    assert (told.severity, told.row, "lab-rime" in told.right) == ("warning", 2, True)


@pytest.mark.parametrize(("source", "titles"), [
    ("bibtex", ["Anti-icing coatings", "Finding ice on Blades by Müller's method"]),
    ("ris", ["Blade heater", "Heat in blades"]),
])  # fmt: skip
def test_a_bibliography_is_the_lab_s_that_one_names(
    bring: Any, session: Session, source: str, titles: list[str]
) -> None:
    import_rows(session, "labs", [LIN])
    report = bring(source, lab_id="lab-rime")
    assert (errors(report), report.works) == ([], 2)
    (lab,) = load_labs(session)
    assert sorted(one.title for one in lab.evidence if one.id != "own-1") == titles


def test_what_people_wrote_stays_and_the_same_work_is_one(bring: Any, session: Session) -> None:
    import_rows(session, "labs", [LIN])
    report = bring("orcid")
    lab = next(one for one in load_labs(session) if one.id == "lab-rime")
    assert (lab.name, lab.pi, lab.summary, lab.conflicts) == (
        "霧凇感測實驗室",
        "藺若川",
        "研究葉片結冰。",
        ("嶺風電力",),
    )
    assert (lab.school, lab.keywords) == (
        "Hehuan University of Technology",
        ("icing", "acoustic emission", "de-icing"),
    )
    # Its own paper came back with a DOI under another id: the title and the year say that it is the same.
    assert [one.title for one in lab.evidence] == ["Finding ice on blades", "De-icing sheet", "Cold wind"]
    assert (report.known, report.kept) == (1, 3)


def test_a_dry_run_writes_nothing(bring: Any, session: Session) -> None:
    assert bring("orcid", dry_run=True).works == 4
    assert load_labs(session) == []


def test_names_and_places_arrive_whole(bring: Any, session: Session) -> None:
    for source in ("ror", "cordis", "sbir"):
        bring(source)
    schools = {one.id: one for one in load_schools(session)}
    assert (schools["ror:03yrm5c26"].name, schools["ror:03yrm5c26"].founded) == ("合歡科技大學", 1969)
    assert (schools["ror:00f54p054"].name, schools["ror:00f54p054"].city) == ("Kiln College", "Yilan")
    companies = {one.id: one for one in load_companies(session)}
    assert (companies["cordis:502"].country, companies["cordis:502"].city) == ("ES", "Soria")
    assert companies["sbir:HOAR00000001"].size == "small"
    assert companies["sbir:HOAR00000001"].description == ("Ice radar\nA radar for ice.\n\nIce sonar\nA sonar for ice.")
    assert [(one.id, one.title) for one in load_needs(session)] == [("sbir:N_1", "De-icing of drones")]
    (lab,) = load_labs(session)
    assert [(one.id, one.year, one.abstract) for one in lab.evidence] == [
        ("cordis:777", 2018, "Rotors ice; we hear it.\nTwo lines.")
    ]


BROKEN = [
    "",
    "null",
    "[1]",
    '{"a": ',
    "<a",
    "TY  - ",
    "@article{",
    "id;x\n1;2",
    "\x00\x01",
    '{"results": {"id": 3}}',
    "<r/>",
]


@pytest.mark.parametrize("source", SOURCES)
def test_no_content_ends_in_a_crash_and_each_refusal_names_the_file(
    session: Session, tmp_path: Path, source: str
) -> None:
    for number, content in enumerate(BROKEN):
        file = tmp_path / f"broken-{number}"
        file.write_text(content, encoding="utf-8")
        report = bring_in(session, source, [file])
        assert [one.created for one in report.imports if one.created] == []
        assert {problem.file for problem in report.problems} <= {file.name}
    latin = tmp_path / "latin"
    latin.write_bytes("@article{a, title={Müller}}".encode("latin-1"))
    assert errors(bring_in(session, source, [latin])) != []


def test_a_company_of_no_known_country_is_not_taken_for_taiwanese(session: Session, tmp_path: Path) -> None:
    file = tmp_path / "organization.csv"
    head = "projectID;organisationID;name;activityType;country\n"
    file.write_text(head + "1;9;Helada SL;PRC;\n1;8;Escarcha SL;PRC;ES\n", encoding="utf-8")
    assert [(one.row, one.field) for one in errors(bring_in(session, "cordis", [file]))] == [(2, "country")]
    assert [(one.id, one.country) for one in load_companies(session)] == [("cordis:8", "ES")]


def test_an_xml_bomb_is_refused(session: Session, tmp_path: Path) -> None:
    bomb = tmp_path / "bomb.xml"
    bomb.write_text('<!DOCTYPE r [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;">]><r>&b;</r>', encoding="utf-8")
    for source in ("orcid", "nsf", "cerif", "vivo"):
        assert len(errors(bring_in(session, source, [bomb]))) == 1


@pytest.mark.parametrize(
    ("read", "given", "right"),
    [
        (orcid, "https://orcid.org/0000-0002-1825-0097", "0000-0002-1825-0097"),
        (orcid, "000000021694233x", "0000-0002-1694-233X"),
        (orcid, "0000-0002-1825-0098", None),
        (ror, "https://ror.org/03yrm5c26", "03yrm5c26"),
        (ror, "03yrm5c27", None),
        (doi, "https://doi.org/10.5555%2FAbC", "10.5555/abc"),
        (doi, "doi: 10.5555/x", "10.5555/x"),
        (doi, "10.5/x", None),
    ],
)
def test_an_identifier_is_checked(read: Any, given: str, right: str | None) -> None:
    if right is not None:
        assert read(given) == right
    else:
        with pytest.raises(FieldError):
            read(given)


def _as_lines(data: bytes) -> bytes:
    """Return the entries of a page of OpenAlex as a dump has them: an object a line."""
    return b"".join(json.dumps(entry).encode() + b"\n" for entry in json.loads(data)["results"])


def _as_json(data: bytes) -> bytes:
    """Return a table of CORDIS as its JSON download has it."""
    return json.dumps(list(csv.DictReader(io.StringIO(data.decode("utf-8-sig")), delimiter=";"))).encode()


DUMPED: dict[tuple[str, str], Callable[[bytes], bytes]] = {
    ("openalex-authors", "authors.json"): _as_lines, ("openalex-works", "works.json"): _as_lines,
    ("cordis", "project.csv"): _as_json, ("cordis", "organization.csv"): _as_json,
}  # fmt: skip
"""What a source offers in a second form beside that of its sample."""
FORMS = {
    "orcid": {"json", "xml"}, "openalex-authors": {"json"}, "openalex-institutions": {"jsonl"},
    "openalex-works": {"json"}, "ror": {"json"}, "crossref": {"json"}, "datacite": {"json"}, "bibtex": {"bib"},
    "ris": {"ris"}, "cordis": {"csv"}, "nsf": {"json", "xml"}, "sbir": {"json"}, "cerif": {"xml"}, "vivo": {"ttl"},
    "schema-org": {"html"},
}  # fmt: skip


def test_every_source_has_a_sample_of_which_all_rows_are_told(tmp_path: Path) -> None:
    """Run with -s for the table: source, file, entries in, records and works out."""
    assert set(FORMS) == set(SOURCES)
    assert {name: {path.suffix[1:] for path in (FILES / name).iterdir()} for name in SOURCES} == FORMS
    for name in SOURCES:
        for path in sorted((FILES / name).iterdir()):
            plain = _findings(name, path)
            said = (plain.entries, len(plain.records), len(plain.works), len(plain.problems))
            print(f"{name:22} {path.name:20} {said[0]:3} in  {said[1]:3} records {said[2]:3} works {said[3]:3} remarks")
            assert plain.entries > 0
            other = DUMPED.get((name, path.name), lambda data: data)(path.read_bytes())
            packed = tmp_path / f"{path.name}.gz"
            packed.write_bytes(gzip.compress(other))
            again = _findings(name, packed)
            assert (again.entries, len(again.records), len(again.works), len(again.problems)) == said, path.name


def test_a_damaged_or_endless_dump_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, content in {"cut.gz": gzip.compress(b"x" * 9_999)[:30], "no.gz": b"\x1f\x8bno"}.items():
        (tmp_path / name).write_bytes(content)
        (problem,) = _findings("ror", tmp_path / name).problems
        assert str(problem) == f"{name}: is a damaged .gz file; download it again"
    monkeypatch.setattr(bringing_in, "MAX_SOURCE_BYTES", 2**20)
    (tmp_path / "endless.gz").write_bytes(gzip.compress(bytes(2**20 + 1), 9))
    (problem,) = _findings("ror", tmp_path / "endless.gz").problems
    assert "is larger than" in problem.wrong
