"""Bringing what registers say into the database, beside what people wrote.

In: the name of a source and its files. Out: records and evidence written, and a report of what came of each entry. It
exists because a register must never overwrite a person: what is stored stays, a register fills what is empty and adds
works. What it brought before is known again by its id, its DOI or its title and year, so that the same file, or a
newer one, can be brought in any number of times.
"""

from __future__ import annotations

import gzip
import io
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy import select
from sqlmodel import Session, col

from indexer.folding import for_names
from indexer.plain_text import shown
from indexer.records.exchange import MODELS, RowProblem
from indexer.records.importing import ImportReport, import_reading
from indexer.records.readers import check_rows
from indexer.records.record_tables import Company, Evidence, Lab, Need, School
from indexer.records.values import is_blank
from indexer.sources import linked_data, projects, researchers, works
from indexer.sources.findings import Author, Findings, Found, SourceError, Work
from indexer.vocabulary import Kind
from indexer.wording import T_, Text

MAX_SOURCE_BYTES = 512 * 2**20


@dataclass(frozen=True)
class Source:
    """A register or format: what people call it, which files it takes, and how one of them is read."""

    says: Text
    read: Callable[[bytes, Findings], None]


SOURCES: Mapping[str, Source] = {
    "orcid": Source(T_("ORCID records, JSON or XML"), researchers.orcid_record),
    "openalex-authors": Source(T_("OpenAlex authors"), researchers.openalex_authors),
    "openalex-institutions": Source(T_("OpenAlex institutions"), researchers.openalex_institutions),
    "openalex-works": Source(T_("OpenAlex works"), works.openalex_works),
    "ror": Source(T_("Research Organization Registry, schema 1 or 2"), researchers.ror_organisations),
    "crossref": Source(T_("Crossref works"), works.crossref),
    "datacite": Source(T_("DataCite works"), works.datacite),
    "bibtex": Source(T_("BibTeX"), works.bibtex),
    "ris": Source(T_("RIS of a reference manager"), works.ris),
    "cordis": Source(T_("CORDIS projects and organisations, CSV or JSON"), projects.cordis),
    "nsf": Source(T_("NSF awards, JSON or XML"), projects.nsf_awards),
    "sbir": Source(T_("SBIR awards and solicitations, JSON or CSV"), projects.sbir),
    "cerif": Source(T_("CERIF-XML of a research information system"), linked_data.cerif),
    "vivo": Source(T_("RDF of VIVO"), linked_data.vivo),
    "schema-org": Source(T_("schema.org as JSON-LD, or in a web page"), linked_data.schema_org),
}
"""Every source, by the word that names it on the command line."""


@dataclass
class SourceReport:
    """What came of a source's files.

    `entries` counts what the files hold; `works` those taken as evidence of a lab, `known` those that a lab has
    already, `nobodys` those whose authors are no lab here; `kept` counts values that somebody wrote and that the
    source would have changed.
    """

    source: str
    files: list[str]
    entries: int = 0
    works: int = 0
    known: int = 0
    nobodys: int = 0
    kept: int = 0
    imports: list[ImportReport] = field(default_factory=list)
    problems: list[RowProblem] = field(default_factory=list)


def bring_in(
    session: Session, source: str, files: Sequence[Path], *, lab_id: str | None = None, dry_run: bool = False
) -> SourceReport:
    """Read files of a source and write what they say; the caller commits.

    Args:
        session: its transaction holds all writes.
        source: one of `SOURCES`.
        files: of the source; what one says may need another (CORDIS).
        lab_id: whose evidence all works are; otherwise that of every lab whose head or register id is an author.
        dry_run: report what would happen and write nothing.

    Raises:
        KeyError: there is no such source.
        OSError: a file can't be read.
    """
    reader = SOURCES[source]
    report = SourceReport(source, [path.name for path in files])
    read = [_read(reader, path) for path in files]
    for findings in read:
        report.entries += findings.entries
        report.problems += findings.problems
    name = ", ".join(report.files)
    evidence = _evidence_by_lab(session, read, lab_id, name, report)
    for kind in (Kind.SCHOOLS, Kind.COMPANIES, Kind.LABS, Kind.NEEDS):
        found = [one for findings in read for one in findings.records if one.kind is kind]
        rows = _merged(session, kind, found, evidence if kind is Kind.LABS else {}, report)
        if rows:
            imported = import_reading(session, check_rows(kind, rows, name), dry_run)
            report.imports.append(imported)
            report.problems += imported.problems
    return report


def _unpacked(data: bytes) -> bytes:
    """Return the content of a file, or of what it packs: OpenAlex's dumps come as .gz, part by part."""
    if not data.startswith(b"\x1f\x8b"):
        return data
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(data)) as packed:
            content = packed.read(MAX_SOURCE_BYTES + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise SourceError(T_("is a damaged .gz file"), T_("download it again")) from error
    if len(content) > MAX_SOURCE_BYTES:
        raise SourceError(T_("is larger than %(mb)s MB", mb=MAX_SOURCE_BYTES // 2**20), T_("split it"))
    return content


def _read(source: Source, path: Path) -> Findings:
    findings = Findings(path.name)
    if path.stat().st_size > MAX_SOURCE_BYTES:
        findings.refuse(0, "", T_("is larger than %(mb)s MB", mb=MAX_SOURCE_BYTES // 2**20), T_("split it"))
        return findings
    try:
        source.read(_unpacked(path.read_bytes()), findings)
    except SourceError as error:
        findings.refuse(0, "", error.wrong, error.right)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        # A register's own file never ends here; one that was changed by hand may be of any shape.
        findings.refuse(
            0,
            "",
            T_("is not of the shape that its source writes (%(error)s)", error=shown(str(error))),
            T_("give the file as it was downloaded"),
        )
    return findings


def _evidence_by_lab(
    session: Session, read: Iterable[Findings], lab_id: str | None, name: str, report: SourceReport
) -> dict[str, list[Mapping[str, Any]]]:
    labs = _Labs(session, read)
    given: dict[str, list[Mapping[str, Any]]] = {}
    if lab_id is not None and lab_id not in labs.stored:
        wrong = T_("there is no lab %(lab)s in this file or in the database", lab=shown(lab_id))
        report.problems.append(RowProblem(name, 0, "lab", wrong, T_("import the lab first or correct the id")))
        return given
    for findings in read:
        for work in findings.works:
            authors = [*work.authors, *_owners(read, work)]
            owners = [lab_id] if lab_id is not None else labs.of(authors)
            if not owners:
                report.nobodys += 1
                _tell_nobodys(findings.file, work, labs.namesakes(authors), report)
            for owner in owners:
                given.setdefault(owner, []).append(work.evidence)
    return given


def _owners(read: Iterable[Findings], work: Work) -> list[Author]:
    """Return who took part in a work by what another file of the source says."""
    return [author for findings in read for author in findings.owners.get(str(work.evidence["id"]), [])]


class _Labs:
    """The labs that authors may be: by the ORCID iD of the head, by the register's own id; names only suggest."""

    def __init__(self, session: Session, read: Iterable[Findings]) -> None:
        rows = session.connection().execute(select(col(Lab.id), col(Lab.orcid), col(Lab.pi))).all()
        self.stored = {row.id for row in rows}
        self._orcids: dict[str, set[str]] = {}
        self._names: dict[str, set[str]] = {}
        for row in rows:
            if row.orcid:
                self._orcids.setdefault(row.orcid, set()).add(row.id)
            if row.pi:
                self._names.setdefault(for_names(row.pi), set()).add(row.id)
        self._new = {
            str(one.values["id"]): one.values.get("orcid")
            for findings in read
            for one in findings.records
            if one.kind is Kind.LABS
        }

    def of(self, authors: Iterable[Author]) -> list[str]:
        """Return the labs whose head one of the authors is."""
        found: dict[str, None] = {}
        for author in authors:
            found.update(dict.fromkeys(sorted(self._orcids.get(author.orcid or "", ()))))
            if author.key and (author.key in self.stored or author.key in self._new):
                same = self._orcids.get(str(self._new.get(author.key) or ""), set())
                found.update(dict.fromkeys(sorted(same) or [author.key]))
        return list(found)

    def namesakes(self, authors: Iterable[Author]) -> list[str]:
        """Return the labs whose head has the name of one of the authors."""
        return sorted({lab for author in authors for lab in self._names.get(for_names(author.name), ())})

    def same(self, values: Mapping[str, Any]) -> str:
        """Return the id of the stored lab that a register's record is, or its own id."""
        if values["id"] in self.stored:
            return str(values["id"])
        return next(iter(sorted(self._orcids.get(str(values.get("orcid") or ""), ()))), str(values["id"]))


_NAMESAKES_TOLD = 5


def _tell_nobodys(file: str, work: Work, namesakes: Sequence[str], report: SourceReport) -> None:
    right = T_("give --lab, or write the ORCID iD of its head into the lab")
    if namesakes:
        labs = ", ".join(namesakes[:_NAMESAKES_TOLD])
        right = T_("a head of the same name has %(labs)s: if that is the person, give --lab or the ORCID iD", labs=labs)
    wrong = T_("%(title)s is the work of no lab here", title=shown(str(work.evidence["title"])))
    report.problems.append(RowProblem(file, work.row, "author", wrong, right, "warning"))


_TABLES: Mapping[Kind, type[Lab] | type[School] | type[Company] | type[Need]] = {
    Kind.LABS: Lab,
    Kind.SCHOOLS: School,
    Kind.COMPANIES: Company,
    Kind.NEEDS: Need,
}


def _merged(
    session: Session,
    kind: Kind,
    found: Sequence[Found],
    evidence: Mapping[str, Sequence[Mapping[str, Any]]],
    report: SourceReport,
) -> list[tuple[int, object]]:
    """Return the rows to import: what is stored, with its gaps filled."""
    same = {Kind.LABS: _Labs(session, []).same, Kind.SCHOOLS: _Schools(session).same}.get(kind, _own_id)
    wanted: dict[str, tuple[int, dict[str, Any]]] = {}
    for one in found:
        key = same(one.values)
        _, values = wanted.setdefault(key, (one.row, {"id": key}))
        for name, value in one.values.items():
            values.setdefault(name, value)
    for lab in evidence:
        wanted.setdefault(lab, (0, {"id": lab}))
    stored = _stored(session, kind, list(wanted))
    rows: list[tuple[int, object]] = []
    for key, (row, values) in wanted.items():
        before = {name: value for name, value in stored.get(key, {}).items() if not is_blank(value) and value != []}
        report.kept += sum(name != "id" and before.get(name, value) != value for name, value in values.items())
        merged = {**values, **before}
        if kind is Kind.LABS and (key in evidence or key not in stored):
            merged["evidence"] = _with_evidence(session, key, evidence.get(key, ()), report)
        rows.append((row, merged))
    return rows


def _stored(session: Session, kind: Kind, ids: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Return what is stored under these ids, as far as it is of the exchange format."""
    table, fields = _TABLES[kind], set(MODELS[kind].model_fields)
    found: dict[str, dict[str, Any]] = {}
    for begin in range(0, len(ids), _IDS_PER_QUERY):
        query = select(table).where(col(table.id).in_(ids[begin : begin + _IDS_PER_QUERY]))
        found.update(
            (str(row["id"]), row) for row in (one.model_dump(include=fields) for one in session.scalars(query))
        )
    return found


_IDS_PER_QUERY = 500


class _Schools:
    """The stored schools, by ROR id and by either name."""

    def __init__(self, session: Session) -> None:
        columns = select(col(School.id), col(School.ror), col(School.name), col(School.name_en))
        self._known: dict[str, str] = {}
        for row in session.connection().execute(columns):
            for mark in (row.id, row.ror, for_names(row.name), for_names(row.name_en)):
                if mark:
                    self._known.setdefault(mark, row.id)

    def same(self, values: Mapping[str, Any]) -> str:
        """Return the id of the stored school that a register's record is, or its own id."""
        names = (for_names(str(values.get(name) or "")) for name in ("name", "name_en"))
        marks = (values["id"], values.get("ror"), *names)
        return next((self._known[mark] for mark in marks if mark and mark in self._known), str(values["id"]))


def _own_id(values: Mapping[str, Any]) -> str:
    return str(values["id"])


def _with_evidence(
    session: Session, lab_id: str, given: Sequence[Mapping[str, Any]], report: SourceReport
) -> list[Mapping[str, Any]]:
    """Return a lab's evidence with the works that it does not have yet, in whatever register they stand."""
    query = select(Evidence).where(col(Evidence.lab_id) == lab_id).order_by(col(Evidence.position))
    stored = [one.model_dump(exclude={"lab_id", "position"}) for one in session.scalars(query)]
    every, known = with_new_works(stored, given)
    report.known += known
    report.works += len(every) - len(stored)
    return every


def with_new_works(
    stored: Sequence[Mapping[str, Any]], given: Iterable[Mapping[str, Any]]
) -> tuple[list[Mapping[str, Any]], int]:
    """Return evidence with the works added that it does not have yet, and how many it has already."""
    has = {mark for one in stored for mark in _marks(one)}
    every, known = list(stored), 0
    for one in given:
        marks = _marks(one)
        if marks & has:
            known += 1
            continue
        has |= marks
        every.append(one)
    return every, known


def _marks(evidence: Mapping[str, Any]) -> set[tuple[str, ...]]:
    """Return all by which a work is known again: its id, its DOI, its title in its year."""
    marks: set[tuple[str, ...]] = {("id", str(evidence["id"]))} if evidence.get("id") else set()
    if evidence.get("doi"):
        marks.add(("doi", str(evidence["doi"])))
    if evidence.get("title"):
        marks.add(("title", for_names(str(evidence["title"])), str(evidence.get("year") or "")))
    return marks
