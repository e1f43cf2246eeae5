"""Whatever kind goes out in whatever format, what is imported again changes nothing, and an empty home gets it all."""

from __future__ import annotations

import io
import re
import zipfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, delete
from sqlmodel import Session

from api.routes.files.lab_files import schools_by_id
from indexer.database import writing
from indexer.records.importing import import_file, import_rows
from indexer.records.readers import read_bytes
from indexer.records.record_tables import Evidence, Lab, School
from indexer.records.writers import Format, TooMuchForSheetError, sheets_of, write_book
from indexer.settings import Settings
from indexer.sources.bringing_in import SOURCES as REGISTERS
from indexer.sources.bringing_in import bring_in
from indexer.sources.findings import Findings
from indexer.sources.giving_out import LabFormat, given_out
from indexer.vocabulary import Kind
from matcher.review.own_lab.researchers import profile_document
from tests.conftest import Gloria

SCHOOLS: list[dict[str, Any]] = [
    {"id": "s-1", "name": "合歡科技大學", "name_en": "Hehuan Tech", "ror": "03yrm5c26", "founded": 1969},
    {"id": "s-2", "name": "'=舊校", "merged_into": "s-1", "merged_on": "2020-08-01", "region": "central",
     "other": {"電話": "049"}},
]  # fmt: skip
ALLIANCES: list[dict[str, Any]] = [
    {
        "id": "a-1",
        "name": "中部風能聯盟",
        "kind": "regional",
        "since": "2017-08-01",
        "center": "s-1",
        "fields": ["綠能科技"],
        "partners": [
            {"school": "s-1", "since": "2017-08-01", "until": "2019-07-31"},
            {"school": "Two Words 2019-01", "since": "2018-01-01"},
            {"school": "s-2", "until": "2020-07-31"},
        ],
    },
    {"id": "a-2", "partners": [{"school": "s-2"}, {"school": "s-1", "since": "2021-01-01"}]},
]
LABS: list[dict[str, Any]] = [
    {
        "id": "lab-x",
        "name": "'=霧凇 & <感測>",
        "name_en": "Rime \\ Sensing {Lab}",
        "pi": "藺若川",
        "orcid": "0000-0002-1825-0097",
        "school": "s-1",
        "summary": "  line 1\n\nline 2 {x} <y> & 10⁻³ -- ``q''",
        "summary_en": "In English & more",
        "keywords": ["a;b", "c、d", "=1+1"],
        "fields": ["綠能科技"],
        "languages": ["zh", "en"],
        "links": ["https://example.org/?a=1;b=2"],
        "capacity": 2,
        "conflicts": ["嶺風電力"],
        "will_not_do": ["不接受獨家"],
        "evidence": [
            {"id": "e-1", "title": "Ice, <sound> & 50% {more} a_b ~ ^ \\x --- 'q' `r`", "year": 2020},
            {"id": "10.1/x", "kind": "patent", "title": "葉片 結冰", "abstract": "l1\nl2 & <y>", "doi": "10.5555/r"},
            {"id": "t", "kind": "thesis", "title": "T", "year": 2019},
            {"id": "p", "kind": "project", "title": "P", "year": 2018, "weight": 2.5},
            {"id": "o", "kind": "technology", "abstract": "only this"},
        ],
    },
    {"id": "lab-y", "name": "同上", "school": "外校", "evidence": [{"id": "e-1", "title": "of another lab"}]},
    {"id": "lab/z", "name": "Z", "pi": "Ann and Bob"},
]  # fmt: skip
COMPANIES: list[dict[str, Any]] = [
    {"id": "co-1", "name": "嶺風電力股份有限公司", "tax_id": "00000016", "tier": "gold", "size": "medium",
     "fields": ["綠能科技"], "city": "南投縣", "description": "'=風場\n第二行", "other": {"電話": "049", "#REF!": "1"}},
    {"id": "co-2", "name": "Acme & <Söhne>", "tax_id": "DE-1", "country": "DE"},
]  # fmt: skip
NEEDS: list[dict[str, Any]] = [
    {"id": "n-1", "company": "co-1", "title": "葉片結冰", "description": "  10⁻³ mol/L\n「夜間」",
     "budget_ntd": 2_400_000, "deadline": "2027-06-30", "confidentiality": "confidential",
     "excluded_labs": ["lab-x"], "languages": ["zh", "en"],
     "asks": [{"kind": "technology", "text": "偵測；除冰"}, {"kind": "talent", "text": "研發：一名實習生"}],
     "region": "central", "fields": ["綠能科技"], "other": {"承辦": "某甲"}},
    {"id": "n-2", "title": "無", "description": "#VALUE!"},
]  # fmt: skip
TERMS: list[dict[str, Any]] = [
    {"en": ["blade icing", "icing; of blades"], "zh": ["葉片結冰"], "abbreviation": "BI", "subject": "風能"},
    {"en": ["de-icing (active)"], "zh": ["主動除冰"]},
]
RECORDS: dict[str, list[dict[str, Any]]] = {
    "schools": SCHOOLS, "alliances": ALLIANCES, "companies": COMPANIES, "labs": LABS, "needs": NEEDS, "terms": TERMS,
}  # fmt: skip


@pytest.fixture
def filled(engine: Engine) -> Engine:
    with writing(engine) as session:
        for kind, rows in RECORDS.items():
            report = import_rows(session, kind, rows)
            assert (report.created, report.problems) == (len(rows), []), report.problems
    return engine


@pytest.mark.parametrize("file_format", list(Format))
@pytest.mark.parametrize("kind", [kind.value for kind in Kind])
def test_an_export_imported_again_changes_nothing(
    settings: Settings, filled: Engine, kind: str, file_format: Format, gloria: Gloria, tmp_path: Path
) -> None:
    path = tmp_path / f"{kind}.{file_format}"
    answer = gloria("export", kind, "--out", path, "--json", home=settings.home, database_url=settings.database_url)
    rows = 6 if kind == "evidence" else len(RECORDS[kind])
    assert (answer.code, answer.document["rows"]) == (0, rows), answer.err
    with writing(filled) as session:
        report = import_file(session, path)
    unchanged = 2 if kind == "evidence" else rows
    assert (report.unchanged, report.updated, report.created, report.problems) == (unchanged, 0, 0, [])
    # The control: an import of another value is seen, and what was read is all there was.
    found = read_bytes(path.read_bytes(), path.name)
    if kind == "terms":
        with writing(filled) as session:
            assert import_rows(session, kind, [{"en": ["rime"], "zh": ["霧凇"]}]).created == 1
    elif kind in RECORDS:
        given = {row["id"]: row for row in RECORDS[kind]}
        assert set(found.records) == set(given)
        for key, record in found.records.items():
            said = record.model_dump(mode="json", exclude_unset=True)
            assert {name: said.get(name) for name in ("name", "other") if name in given[key]} == {
                name: given[key][name] for name in ("name", "other") if name in given[key]
            }
        key = next(iter(found.records))
        with writing(filled) as session:
            changed = "title" if kind == "needs" else "name"
            assert import_rows(session, kind, [{"id": key, changed: "another"}]).updated == 1


CARRIED = {
    LabFormat.CERIF: ("name", "name_en", "pi", "orcid", "school", "links"),
    LabFormat.SCHEMA_ORG: (
        *("name", "name_en", "pi", "orcid", "school", "links"),
        *("summary", "summary_en", "keywords", "fields", "languages"),
    ),
    LabFormat.BIBTEX: (),
}
"""The fields of a lab that a format has a place for; all have one for evidence but its weight."""
PRIVATE = ("嶺風電力", "不接受獨家", "conflicts", "capacity")


def _lab(session: Session, lab_id: str, fields: tuple[str, ...]) -> dict[str, Any]:
    document = profile_document(session, lab_id)
    assert document is not None
    works = [{name: said for name, said in item.items() if name != "weight"} for item in document["evidence"]]
    return {name: document[name] for name in fields} | {"evidence": works}


@pytest.mark.parametrize("form", list(LabFormat))
def test_labs_for_other_systems_come_back_as_they_went(
    settings: Settings, filled: Engine, form: LabFormat, gloria: Gloria, tmp_path: Path
) -> None:
    where = {"home": settings.home, "database_url": settings.database_url}
    path = tmp_path / f"labs.{form}"
    assert gloria("export", "labs", "--out", path, "--format", form.value, **where).code == 0
    text = path.read_text()
    assert [word for word in PRIVATE if word in text] == []
    with writing(filled) as session:
        before = {lab["id"]: _lab(session, lab["id"], CARRIED[form]) for lab in LABS}
        report = bring_in(session, form.value, [path])
        errors = [str(one) for one in report.problems if one.severity == "error"]
        assert (errors, report.works, report.known) == ([], 0, 6)
        assert [(one.created, one.updated) for one in report.imports] == [(0, 0)] * len(report.imports)
        session.rollback()
    # Whoever has none of it gets all that the format carries.
    with writing(filled) as session:
        _emptied(session)
        if form is LabFormat.BIBTEX:
            import_rows(session, "labs", [{"id": lab["id"]} for lab in LABS])
        report = bring_in(session, form.value, [path])
        assert [str(one) for one in report.problems if one.severity == "error"] == []
        assert report.works == 6
        ids = [lab["id"] for lab in LABS]
        after = {lab_id: _lab(session, lab_id, CARRIED[form]) for lab_id in ids}
        assert after == before
        if form is not LabFormat.BIBTEX:
            assert schools_by_id(session)["s-1"]["name_en"] == "Hehuan Tech"
            assert schools_by_id(session)["s-1"]["ror"] == "03yrm5c26"


def _emptied(session: Session) -> None:
    for model in (Evidence, Lab, School):
        session.connection().execute(delete(model))


def test_one_lab_goes_out_alone(settings: Settings, filled: Engine, gloria: Gloria, tmp_path: Path) -> None:
    where = {"home": settings.home, "database_url": settings.database_url}
    path = tmp_path / "one.bib"
    answer = gloria("export", "labs", "--lab", "lab-y", "--out", path, "--json", **where)
    assert (answer.code, answer.document["rows"]) == (0, 1)
    assert re.findall(r"^@(\w+)\{(.*),", path.read_text(), re.MULTILINE) == [("article", "lab-y:e-1")]
    assert gloria("export", "labs", "--lab", "nobody", "--out", tmp_path / "n.bib", **where).code == 1
    assert gloria("export", "needs", "--out", tmp_path / "n.xml", **where).code == 2


def test_what_a_format_cannot_hold_is_refused() -> None:
    lab = {"id": "x", "name": "a\ufffeb", "evidence": []}
    with pytest.raises(TooMuchForSheetError, match="U\\+FFFE"):
        write_book(io.BytesIO(), Format.ODS, sheets_of(Kind.LABS), [lab])
    with pytest.raises(ValueError, match="U\\+FFFE"):
        b"".join(given_out(LabFormat.CERIF, iter([[lab]]), {}))
    # The control: JSON can.
    assert "\ufffe" in b"".join(given_out(LabFormat.SCHEMA_ORG, iter([[lab]]), {})).decode()


def test_an_ods_is_a_package_as_programs_expect_it() -> None:
    file = io.BytesIO()
    write_book(file, Format.ODS, sheets_of(Kind.SCHOOLS), SCHOOLS)
    with zipfile.ZipFile(file) as archive:
        assert archive.namelist() == ["mimetype", "META-INF/manifest.xml", "content.xml"]
        assert archive.infolist()[0].compress_type == zipfile.ZIP_STORED
    from odfdo import Document

    file.seek(0)
    (table,) = Document(file).body.tables
    assert [row.cells[0].value for row in table.rows] == ["id 代號", "s-1", "s-2"]


WORDS = st.text(st.characters(codec="utf-8", exclude_characters="\r\ufffe\uffff", exclude_categories=("Cc", "Cs", "Cf"))
                | st.sampled_from("{}\\&%$#_~^'\"`-,<>=@\n;、 "), min_size=1, max_size=40)  # fmt: skip


@given(title=WORDS, abstract=WORDS)
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_any_text_of_a_work_comes_back(title: str, abstract: str) -> None:
    from indexer.records.exchange import check

    found = check(Kind.LABS, {"id": "l", "pi": "P", "evidence": [{"id": "e", "title": title, "abstract": abstract}]})
    if found.record is None or found.faults or not getattr(found.record, "evidence", None):
        return
    lab = found.record.model_dump(mode="json")
    for form in LabFormat:
        data = b"".join(given_out(form, iter([[lab]]), {}))
        findings = Findings("x")
        REGISTERS[form.value].read(data, findings)
        assert findings.problems == []
        (work,) = findings.works
        item = lab["evidence"][0]
        said = {name: work.evidence.get(name, "") for name in ("id", "title", "abstract")}
        assert said == {"id": "e", "title": item["title"], "abstract": item["abstract"]}, form
