"""Each bad row is named as file:row field, with what is wrong and what would be right; good rows are kept."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlmodel import Session

from indexer.database import open_engine
from indexer.records.importing import import_file
from indexer.records.record_tables import load_labs, load_needs
from indexer.settings import Settings


@pytest.fixture
def session(tmp_path: Path) -> Iterator[Session]:
    engine = open_engine(Settings(home=tmp_path / "home"))
    with Session(engine) as opened:
        yield opened
    engine.dispose()


def test_a_table_with_every_kind_of_fault(session: Session, tmp_path: Path) -> None:
    path = tmp_path / "labs.csv"
    path.write_text(
        "id,name,fields,offers,capacity,languages,links,mood\n"
        "lab-1,Good,半導體;綠能科技,研發、檢測,2,zh-TW;英文,https://a.example,calm\n"
        "lab 2,Blank in id,,,,,,\n"
        ",No id,,,,,,\n"
        "lab-3,Field,鐘錶,,,,,glad\n"
        "lab-4,Capacity,,,two,,,\n"
        "lab-5,Language,,,,klingon,,\n"
        "lab-6,Link,,,,,javascript:alert(1),\n"
        "lab-1,Again,,,,,,\n"
        "lab-7,Shifted,,,,,,, by a comma\n"
        '"lab-8","Two\nlines",,wizardry,1.5,,,\n'
        "lab-9,Also good,,,0,,,\n",
        encoding="utf-8",
    )
    report = import_file(session, path)
    kinds = "technology 研發, talent 人才, facility 設備, licensing 授權, training 訓練, investment 投資"
    assert [str(problem) for problem in report.problems] == [
        (
            "labs.csv:1 mood: is not a known column; its cells are kept as other information; "
            "see the template for the columns there are"
        ),
        'labs.csv:3 id: "lab 2" has a blank in it; give an id without blanks, such as "lab-17"',
        "labs.csv:4 id: is missing; give one",
        (
            'labs.csv:5 fields[1]: "鐘錶" is not a field; '
            "use one of 綜合性, 半導體, 金融科技, 生技醫藥, 新農業, 綠能科技, 智慧製造"
        ),
        'labs.csv:6 capacity: "two" is not a number of projects; give 0, 1, 2 … or leave it empty',
        'labs.csv:7 languages[1]: "klingon" is not a language; give a two-letter code such as zh, en or ja',
        (
            'labs.csv:8 links[1]: "javascript:alert(1)" is not a web address; '
            "give one that starts with https:// or http://"
        ),
        'labs.csv:9 id: "lab-1" is already the id of row 2; give each its own id',
        (
            'labs.csv:10: has 9 cells, the header has 8 (the first beyond it: " by a comma"); '
            "put a text that holds the delimiter in double quotes"
        ),
        'labs.csv:11 offers[1]: "wizardry" is not an ask kind; use one of ' + kinds,
        'labs.csv:11 capacity: "1.5" is not a number of projects; give 0, 1, 2 … or leave it empty',
    ]
    # An optional cell that can't be read costs itself; a row that is none, or says who it is, costs the row.
    assert (report.created, report.refused, len(report.errors)) == (7, 4, 4)
    assert [(lab.id, lab.capacity, lab.links) for lab in load_labs(session)] == [
        ("lab-1", 2, ("https://a.example",)),
        *[(f"lab-{n}", None, ()) for n in (3, 4, 5, 6, 8)],
        ("lab-9", 0, ()),
    ]


def test_a_bad_item_costs_only_that_item(session: Session, tmp_path: Path) -> None:
    path = tmp_path / "labs.jsonl"
    path.write_text(
        '{"id": "lab-1", "evidence": [{"title": "Good", "year": 2018}, {"title": "Bad", "year": "20x8"},'
        ' {"year": 2019}, 7, {"id": "lab-1#1", "title": "Same id"}, {"id": "e", "abstract": "Good too", "page": 3}]}\n'
        '{"id": "lab-2", "evidence": {"title": "not in a list"}}\n',
        encoding="utf-8",
    )
    report = import_file(session, path)
    assert [str(problem) for problem in report.problems] == [
        "labs.jsonl:1 evidence.page: is not a known field and was ignored; see the template for the fields there are",
        'labs.jsonl:1 evidence[2].year: "20x8" is not a year; give four digits such as 2018',
        "labs.jsonl:1 evidence[3].title: neither title nor abstract is given; give at least one",
        'labs.jsonl:1 evidence[4]: 7 is not an object; give one such as {"id": …}',
        'labs.jsonl:1 evidence[5].id: "lab-1#1" is already the id of evidence[1]; give each its own id',
        "labs.jsonl:2 evidence: an object is not a list; give a list of objects",
    ]
    assert (report.created, report.refused) == (1, 1)
    assert [[(item.id, item.year) for item in lab.evidence] for lab in load_labs(session)] == [
        [("lab-1#1", 2018), ("lab-1#2", None), ("e", None)]
    ]


def test_a_bad_ask_costs_only_that_ask_but_a_bad_exclusion_costs_the_need(session: Session, tmp_path: Path) -> None:
    path = tmp_path / "needs.jsonl"
    path.write_text(
        '{"id": "n-1", "title": "t", "asks": [{"kind": "magic", "text": "x"}, {"kind": "talent", "text": "y"}]}\n'
        '{"id": "n-2", "title": "t", "excluded_labs": "lab-1; lab-2"}\n'
        '{"id": "n-3", "asks": [{"kind": "talent", "text": "y"}]}\n',
        encoding="utf-8",
    )
    report = import_file(session, path)
    kinds = "technology 研發, talent 人才, facility 設備, licensing 授權, training 訓練, investment 投資"
    assert [str(problem) for problem in report.problems] == [
        f'needs.jsonl:1 asks[1].kind: "magic" is not an ask kind; use one of {kinds}',
        'needs.jsonl:2 excluded_labs: "lab-1; lab-2" is not a list; give a list such as ["a", "b"]',
        "needs.jsonl:3 title: neither title nor description is given; give at least one",
    ]
    assert [(need.id, [ask.text for ask in need.asks]) for need in load_needs(session)] == [("n-1", ["y"])]


def test_evidence_of_an_unknown_lab_is_refused(session: Session, tmp_path: Path) -> None:
    path = tmp_path / "evidence.csv"
    path.write_text("lab,title\nlab-x,One\nlab-x,Two\n,Three\n", encoding="utf-8")
    report = import_file(session, path)
    assert [str(problem) for problem in report.problems] == [
        (
            'evidence.csv:2 lab: there is no lab "lab-x" in this file or in the database; '
            "import the lab first or correct the id"
        ),
        "evidence.csv:4 lab: is empty; give the id of the lab",
    ]
    assert (report.created, report.updated, report.unchanged, report.refused) == (0, 0, 0, 3)


def test_companies_schools_and_alliances_say_what_is_wrong(session: Session, tmp_path: Path) -> None:
    companies = tmp_path / "companies.jsonl"
    companies.write_text(
        '{"id": "c-1", "tax_id": "00000017"}\n{"id": "c-2", "tax_id": "HRB 9", "country": "DE"}\n'
        '{"id": "c-3", "country": "Atlantis", "tier": "國際金質會員"}\n',
        encoding="utf-8",
    )
    alliances = tmp_path / "alliances.jsonl"
    alliances.write_text(
        '{"id": "a-1", "partners": [{"school": "s", "since": "108/08/31", "until": "2018-01-01"}]}\n'
        '{"id": "a-2", "since": "31/08/2019"}\n'
        '{"id": "a-3", "partners": [{"school": "s"}, {"school": "s", "since": "2020-02-30"}]}\n',
        encoding="utf-8",
    )
    problems = [*import_file(session, companies).problems, *import_file(session, alliances).problems]
    assert [str(problem) for problem in problems] == [
        (
            'companies.jsonl:1 tax_id: "00000017" is not a valid 統一編號; '
            "give the 8 digits of the 統一編號, or the country of a foreign company"
        ),
        'companies.jsonl:3 country: "Atlantis" is not a country; give a two-letter code such as TW, JP or DE',
        "alliances.jsonl:1 partners[1].until: 2018-01-01 is before 2019-08-31; give an end on or after the beginning",
        'alliances.jsonl:2 since: "31/08/2019" is not a date; give one such as 2019-08-31 or 民國108年8月31日',
        (
            'alliances.jsonl:3 partners[2].since: "2020-02-30" is not a date; '
            "give one such as 2019-08-31 or 民國108年8月31日"
        ),
    ]


def test_a_file_that_does_not_show_its_kind_asks_for_it(session: Session, tmp_path: Path) -> None:
    path = tmp_path / "list.csv"
    path.write_text("id,name\nx,y\n", encoding="utf-8")
    assert [str(problem) for problem in import_file(session, path).problems] == [
        (
            "list.csv: does not show what its rows are; "
            "name the kind: one of labs, needs, companies, schools, alliances, terms, evidence"
        )
    ]
    assert import_file(session, path, kind="schools").created == 1


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.jsonl", '{"id": "x", "title": "t", "budget_ntd": 5}'),
        ("a.csv", "id,title,budget_ntd\nx,t,5\n"),
        ("needs_2026.jsonl", '{"id": "x", "title": "t"}'),
        ("需求.csv", "代號,題目\nx,t\n"),
    ],
)
def test_the_kind_is_told_from_the_name_or_the_fields(session: Session, tmp_path: Path, name: str, text: str) -> None:
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    report = import_file(session, path)
    assert (report.kind, report.created, report.problems) == ("needs", 1, [])
