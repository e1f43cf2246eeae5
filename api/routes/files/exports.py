"""Everything that a person may see of one kind, as a file.

In: a kind and a format. Out: the rows that the lists show, each as its own route shows it, in a stream. It exists
because alliances work on in spreadsheets. Rows are read page by page, each in a short transaction of its own, so
that neither memory nor the database feels how many there are.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from itertools import chain
from typing import IO, Annotated, Any

from fastapi import APIRouter, Depends, Query, Response
from fastapi.responses import StreamingResponse
from sqlalchemy import ColumnElement, and_, false, or_, true
from sqlmodel import Session, col, select

from api.access.policy import Action, Resource, admits
from api.access.visibility import cases as visible_cases
from api.access.visibility import companies as visible_companies
from api.access.visibility import labs as visible_labs
from api.access.visibility import needs as visible_needs
from api.access.visibility import unconflicted
from api.documents.answers import file_of
from api.documents.cases import case_documents
from api.requests.capacity import REPORTING, ThreadedRoute, takes
from api.requests.permitted_request import PermittedRequest, requires
from api.requests.problems import ProblemError
from api.routes.needs import need_documents
from api.routes.pairings import pairing_document
from api.trail.audit_trail import Subject
from api.trail.request_trail import APART
from indexer.database import reading
from indexer.index.dictionary import Dictionary
from indexer.index.mined_terms import mined_terms
from indexer.records.mended.retired import in_use
from indexer.records.record_tables import (
    Alliance,
    AlliancePartner,
    Company,
    Evidence,
    Lab,
    Need,
    School,
    Term,
    contact_of,
    load_labs,
    load_terms,
    other_of,
)
from indexer.records.writers import (
    BOOKS,
    MEDIA_TYPES,
    Document,
    Format,
    Sheet,
    TooMuchForSheetError,
    Value,
    csv_header,
    csv_rows,
    in_exchange_format,
    jsonl,
    sheets_of,
    write_book,
)
from indexer.vocabulary import Kind, Mendable
from indexer.wording import T_
from matcher.review.cases import Case
from matcher.review.clients import Client
from matcher.review.own_lab.researchers import profile_document
from matcher.review.people import Principal
from matcher.review.proposals import StoredPairing
from matcher.review.roles import STAFF, Role

router = APIRouter(prefix="/api/exports", tags=["exports"], route_class=ThreadedRoute)

ROWS_PER_PAGE = 200
_CHUNK_BYTES = 2**18

FileFormat = Annotated[
    Format, Query(alias="format", description="CSV, XLSX and ODS for spreadsheets, JSONL for programs.")
]
Page = Callable[[Session, Principal, Any, bool], list[tuple[Any, Document]]]
"""Rows after a key, each with its key; with True the last, all there are instead of those the person may see."""


@dataclass(frozen=True)
class Source:
    """Where the rows of an export come from, and the sheets that they fill in flat files.

    `whole` are the sheets where all there is is written; None if those are the same.
    """

    sheets: tuple[Sheet, ...]
    page: Page
    whole: tuple[Sheet, ...] | None = None

    def as_whole(self) -> Source:
        """Return the same with the sheets where all there is is written."""
        return self if self.whole is None else replace(self, sheets=self.whole)

    def pages(
        self, read: Callable[[Callable[[Session, Principal], Any]], Any], *, all_rows: bool
    ) -> Iterator[list[Document]]:
        """Yield the documents page by page, `read` opening a session for each."""
        after = None
        while True:

            def work(session: Session, who: Principal, after: Any = after) -> Any:
                return self.page(session, who, after, all_rows)

            rows = read(work)
            if not rows:
                return
            yield [document for _, document in rows]
            after = rows[-1][0]


def _allowed(condition: ColumnElement[bool], all_rows: bool) -> ColumnElement[bool]:
    return true() if all_rows else condition


def _after(key: Any, after: Any) -> ColumnElement[bool]:
    return true() if after is None else col(key) > after


def _labs(session: Session, who: Principal, after: Any, all_rows: bool) -> list[tuple[Any, Document]]:
    may = and_(_allowed(visible_labs(who, Action.LIST), all_rows), in_use(Mendable.LAB, col(Lab.id)))
    ids = session.exec(select(Lab.id).where(may, _after(Lab.id, after)).order_by(col(Lab.id)).limit(ROWS_PER_PAGE))
    found = {lab_id: profile_document(session, lab_id, in_use_only=True) or {} for lab_id in ids.all()}
    return [(lab_id, document | _other(session, Lab, lab_id, all_rows)) for lab_id, document in found.items()]


def _needs(session: Session, who: Principal, after: Any, all_rows: bool) -> list[tuple[Any, Document]]:
    may = and_(_allowed(visible_needs(who, Action.LIST), all_rows), in_use(Mendable.NEED, col(Need.id)))
    ids = session.exec(select(Need.id).where(may, _after(Need.id, after)).order_by(col(Need.id)).limit(ROWS_PER_PAGE))
    documents = need_documents(session, who, ids.all(), to=APART, unlocked=all_rows)
    return [
        (document["id"], in_exchange_format(Kind.NEEDS, document) | _other(session, Need, document["id"], all_rows))
        for document in documents
    ]


def _evidence(session: Session, who: Principal, after: Any, all_rows: bool) -> list[tuple[Any, Document]]:
    may = _allowed(visible_labs(who, Action.LIST), all_rows)
    lab, position = col(Evidence.lab_id), col(Evidence.position)
    usable = (in_use(Mendable.LAB, lab), in_use(Mendable.EVIDENCE, lab, col(Evidence.id)))
    query = select(Evidence).join(Lab, col(Lab.id) == lab).where(may, *usable)
    query = query.order_by(lab, position).limit(ROWS_PER_PAGE)
    if after is not None:
        query = query.where(or_(lab > after[0], and_(lab == after[0], position > after[1])))
    rows = session.exec(query).all()
    # A work that a lab has under several ids is exported once; the first of them may stand on an earlier page.
    labs = sorted({one.lab_id for one in rows})
    profiles = {lab_id: profile_document(session, lab_id, in_use_only=True) or {"evidence": []} for lab_id in labs}
    once = {(lab_id, piece["id"]) for lab_id in labs for piece in profiles[lab_id]["evidence"]}
    found: list[tuple[Any, Document]] = [
        (
            (one.lab_id, one.position),
            {"lab": one.lab_id} | one.model_dump(mode="json", exclude={"lab_id", "position"}),
        )
        for one in rows
        if (one.lab_id, one.id) in once
    ]
    if rows and not found:
        return _evidence(session, who, (rows[-1].lab_id, rows[-1].position), all_rows)
    return found


def _schools(session: Session, who: Principal, after: Any, all_rows: bool) -> list[tuple[Any, Document]]:
    may = _allowed(true() if admits(who, Resource.SCHOOL, Action.LIST) else false(), all_rows)
    may = and_(may, in_use(Mendable.SCHOOL, col(School.id)))
    query = select(School).where(may, _after(School.id, after)).order_by(col(School.id)).limit(ROWS_PER_PAGE)
    return [
        (school.id, school.model_dump(mode="json") | _other(session, School, school.id, all_rows))
        for school in session.exec(query).all()
    ]


def _alliances(session: Session, who: Principal, after: Any, all_rows: bool) -> list[tuple[Any, Document]]:
    may = _allowed(true() if admits(who, Resource.ALLIANCE, Action.LIST) else false(), all_rows)
    query = select(Alliance).where(may, _after(Alliance.id, after)).order_by(col(Alliance.id)).limit(ROWS_PER_PAGE)
    found = session.exec(query).all()
    partners: dict[str, list[dict[str, Any]]] = {}
    members = select(AlliancePartner).where(col(AlliancePartner.alliance_id).in_([one.id for one in found]))
    for one in session.exec(members.order_by(col(AlliancePartner.position))).all():
        said = one.model_dump(mode="json", include={"school", "since", "until"})
        partners.setdefault(one.alliance_id, []).append(said)
    return [
        (
            one.id,
            one.model_dump(mode="json")
            | {"partners": partners.get(one.id, [])}
            | _other(session, Alliance, one.id, all_rows),
        )
        for one in found
    ]


def _companies(session: Session, who: Principal, after: Any, all_rows: bool) -> list[tuple[Any, Document]]:
    may = and_(_allowed(visible_companies(who, Action.LIST), all_rows), in_use(Mendable.COMPANY, col(Company.id)))
    query = select(Company).where(may, _after(Company.id, after)).order_by(col(Company.id)).limit(ROWS_PER_PAGE)
    rows = session.exec(query).all()
    own = and_(col(Client.company_id).in_([one.id for one in rows]), col(Client.alliance_id).in_(who.scopes(*STAFF)))
    cared = set(session.exec(select(Client.company_id).where(own, col(Client.until).is_(None))).all())
    sees_all = all_rows or who.holds(Role.OFFICE)
    found: list[tuple[Any, Document]] = []
    for company in rows:
        # Whom to reach there is for who looks after it, and for who takes everything out.
        contact = contact_of(company) if sees_all or company.id in cared else {}
        document = company.model_dump(mode="json") | contact | _other(session, Company, company.id, all_rows)
        found.append((company.id, document))
    return found


def _other(
    session: Session, model: type[Lab | Company | Need | School | Alliance], record_id: str, all_rows: bool
) -> dict[str, Any]:
    """Return what files said beside our fields, for who takes everything out to bring it in elsewhere."""
    found = other_of(session, model, record_id) if all_rows else {}
    return {"other": found} if found else {}


def _terms(session: Session, who: Principal, after: Any, all_rows: bool) -> list[tuple[Any, Document]]:
    may = _allowed(false(), all_rows)
    query = select(Term).where(may, _after(Term.id, after)).order_by(col(Term.id)).limit(ROWS_PER_PAGE)
    return [(term.id, term.model_dump(mode="json")) for term in session.exec(query).all()]


def _mined_terms(session: Session, who: Principal, after: Any, all_rows: bool) -> list[tuple[Any, Document]]:
    """Return the pairs that labs' own texts hold, for an office to look through and import."""
    if after is not None or not all_rows:
        return []
    labs, dictionary = load_labs(session), Dictionary(load_terms(session))
    return [
        (one.id, {"id": one.id, "en": [one.en], "zh": [one.zh], "abbreviation": "", "subject": ", ".join(one.labs[:5])})
        for one in mined_terms(labs, dictionary)
    ]


def _pairings(session: Session, who: Principal, after: Any, all_rows: bool) -> list[tuple[Any, Document]]:
    may = _allowed(visible_needs(who, Action.READ, Resource.PAIRING), all_rows)
    query = (
        select(StoredPairing)
        .join(Need, col(Need.id) == StoredPairing.need_id)
        .where(may, unconflicted(who), _after(StoredPairing.id, after))
        .order_by(col(StoredPairing.id))
        .limit(ROWS_PER_PAGE)
    )
    return [(pairing.id, pairing_document(session, who, pairing, to=APART)) for pairing in session.exec(query).all()]


def _cases(session: Session, who: Principal, after: Any, all_rows: bool) -> list[tuple[Any, Document]]:
    may = _allowed(visible_cases(who, Action.LIST), all_rows)
    query = select(Case).where(may, _after(Case.id, after)).order_by(col(Case.id)).limit(ROWS_PER_PAGE)
    return [(case["id"], case) for case in case_documents(session, who, session.exec(query).all())]


_PAIRING = {
    "id": "代號",
    "need_id": "需求",
    "lab_id": "實驗室",
    "state": "狀態",
    "deferred_until": "暫緩至",
    "case_id": "案件",
}
_SHOWN = {"rank": "名次", "score": "分數", "band": "等級", "generation": "索引版本", "shown_at": "提案時間"}
_CASE = {
    "id": "代號",
    "pairing_id": "配對",
    "need_id": "需求",
    "lab_id": "實驗室",
    "company_id": "企業",
    "alliance_id": "聯盟",
    "owner_id": "負責人",
    "stage": "階段",
    "opened_at": "開案時間",
}


def _headings(*named: dict[str, str]) -> tuple[str, ...]:
    return tuple(f"{name} {label}" for names in named for name, label in names.items())


def _pairing_rows(pairing: Document) -> Iterator[list[Value]]:
    shown: Document = next(iter(pairing["proposals"]), {})
    verdicts = _lines(pairing["decisions"], "at", "verdict", "reason", "defer_until", "alliance_id", "by", "note")
    yield [*(pairing[name] for name in _PAIRING), *(shown.get(name) for name in _SHOWN), verdicts]


def _case_rows(case: Document) -> Iterator[list[Value]]:
    steps = _lines(case["steps"], "at", "old", "new", "reason", "by", "note")
    contacts = _lines(case["contacts"], "held_on", "kind", "by", "note", "next_on", "next_step")
    yield [*(case[name] for name in _CASE), steps, contacts]


def _lines(items: list[dict[str, Any]], *names: str) -> str:
    return "\n".join(" | ".join(str(item.get(name) or "") for name in names) for item in items)


_FILE = file_of(MEDIA_TYPES.values())

SOURCES: dict[str, Source] = {
    "labs": Source(sheets_of(Kind.LABS), _labs, sheets_of(Kind.LABS, with_other=True)),
    "needs": Source(sheets_of(Kind.NEEDS), _needs, sheets_of(Kind.NEEDS, with_other=True)),
    "evidence": Source(sheets_of(Kind.EVIDENCE), _evidence),
    "schools": Source(sheets_of(Kind.SCHOOLS), _schools, sheets_of(Kind.SCHOOLS, with_other=True)),
    "alliances": Source(sheets_of(Kind.ALLIANCES), _alliances, sheets_of(Kind.ALLIANCES, with_other=True)),
    "companies": Source(sheets_of(Kind.COMPANIES), _companies, sheets_of(Kind.COMPANIES, with_other=True)),
    "pairings": Source(
        (Sheet("pairings 配對", _headings(_PAIRING, _SHOWN, {"verdicts": "裁決"}), _pairing_rows),), _pairings
    ),
    "cases": Source(
        (Sheet("cases 案件", _headings(_CASE, {"steps": "進度", "contacts": "接觸紀錄"}), _case_rows),), _cases
    ),
    "terms": Source(sheets_of(Kind.TERMS), _terms),
    "mined-terms": Source(sheets_of(Kind.TERMS), _mined_terms),
}
"""What can be exported."""


@router.get("/labs", response_class=Response, responses=_FILE)
@takes(REPORTING)
def export_labs(
    ask: Annotated[PermittedRequest, Depends(requires(Resource.LAB, Action.LIST))],
    file_format: FileFormat = Format.JSONL,
) -> Response:
    """Export the labs that you may see; XLSX has their evidence on a second sheet, CSV leaves it out."""
    return exported(ask, "labs", SOURCES["labs"], file_format)


@router.get("/needs", response_class=Response, responses=_FILE)
@takes(REPORTING)
def export_needs(
    ask: Annotated[PermittedRequest, Depends(requires(Resource.NEED, Action.LIST))],
    file_format: FileFormat = Format.JSONL,
) -> Response:
    """Export the needs that you may see, what they say as far as you may read it."""
    return exported(ask, "needs", SOURCES["needs"], file_format)


@router.get("/companies", response_class=Response, responses=_FILE)
@takes(REPORTING)
def export_companies(
    ask: Annotated[PermittedRequest, Depends(requires(Resource.COMPANY, Action.LIST))],
    file_format: FileFormat = Format.JSONL,
) -> Response:
    """Export your portfolio."""
    return exported(ask, "companies", SOURCES["companies"], file_format)


@router.get("/evidence", response_class=Response, responses=_FILE)
@takes(REPORTING)
def export_evidence(
    ask: Annotated[PermittedRequest, Depends(requires(Resource.LAB, Action.LIST))],
    file_format: FileFormat = Format.JSONL,
) -> Response:
    """Export the evidence of the labs that you may see, each piece with its lab."""
    return exported(ask, "evidence", SOURCES["evidence"], file_format)


@router.get("/schools", response_class=Response, responses=_FILE)
@takes(REPORTING)
def export_schools(
    ask: Annotated[PermittedRequest, Depends(requires(Resource.SCHOOL, Action.LIST))],
    file_format: FileFormat = Format.JSONL,
) -> Response:
    """Export the schools."""
    return exported(ask, "schools", SOURCES["schools"], file_format)


@router.get("/alliances", response_class=Response, responses=_FILE)
@takes(REPORTING)
def export_alliances(
    ask: Annotated[PermittedRequest, Depends(requires(Resource.ALLIANCE, Action.LIST))],
    file_format: FileFormat = Format.JSONL,
) -> Response:
    """Export the alliances with their partners."""
    return exported(ask, "alliances", SOURCES["alliances"], file_format)


@router.get("/pairings", response_class=Response, responses=_FILE)
@takes(REPORTING)
def export_pairings(
    ask: Annotated[PermittedRequest, Depends(requires(Resource.PAIRING, Action.READ))],
    file_format: FileFormat = Format.JSONL,
) -> Response:
    """Export the pairings that were shown, with every verdict on them."""
    return exported(ask, "pairings", SOURCES["pairings"], file_format)


@router.get("/cases", response_class=Response, responses=_FILE)
@takes(REPORTING)
def export_cases(
    ask: Annotated[PermittedRequest, Depends(requires(Resource.CASE, Action.LIST))],
    file_format: FileFormat = Format.JSONL,
) -> Response:
    """Export your alliance's cases with their steps and contacts."""
    return exported(ask, "cases", SOURCES["cases"], file_format)


def exported(ask: PermittedRequest, name: str, source: Source, file_format: Format) -> Response:
    """Return the answer that streams a source's rows as a file."""
    headers = {
        "Cache-Control": "no-store",
        "Content-Disposition": f'attachment; filename="{name}-{ask.at:%Y-%m-%d}.{file_format.value}"',
    }
    # The first page is read before anything is answered, so that what is to be refused is refused.
    pages = _noted(ask, name, source.pages(reader_of(ask), all_rows=False))
    whole = chain([next(pages, [])], pages)
    if file_format in BOOKS:
        content = _of_file(_workbook(source, file_format, whole))
    else:
        content = text_chunks(source, file_format, whole)
    return StreamingResponse(content, 200, headers, MEDIA_TYPES[file_format])


KEPT_KINDS = {"needs": "need", "companies": "company", "pairings": "pairing", "cases": "case"}
"""The kinds of records whose export is kept in the audit trail; profiles of labs are public."""


def _noted(ask: PermittedRequest, name: str, pages: Iterator[list[Document]]) -> Iterator[list[Document]]:
    """Put every page into the audit trail as it is read: the answer may take long."""
    kind = KEPT_KINDS.get(name)
    for page in pages:
        if kind is not None:
            withheld = kind == "need"
            found = [Subject(kind, str(one["id"]), withheld and one.get("title") is None) for one in page]
            hang_on = [Subject("need", str(one["need_id"])) for one in page if one.get("need_id") is not None]
            ask.shown([*found, *hang_on])
        yield page


def reader_of(ask: PermittedRequest) -> Callable[[Callable[[Session, Principal], Any]], Any]:
    """Return what opens a session for each part of a long answer, for as long as the person may have it."""
    counted = False

    def read(work: Callable[[Session, Principal], Any]) -> Any:
        nonlocal counted
        if ask.request.app.state.stopping.is_set():
            raise ProblemError(503, "busy", T_("the server stops; send it again"))
        with reading(ask.engine) as session:
            # Who may no longer see the rows gets no further page.
            who = ask.still_admitted(session) if counted else ask.admitted(session)
            counted = True
            return work(session, who)

    return read


def text_chunks(source: Source, file_format: Format, pages: Iterable[list[Document]]) -> Iterator[bytes]:
    """Yield a JSONL or CSV file, a chunk for each page; in CSV the first sheet."""
    sheet = source.sheets[0]
    if file_format is Format.CSV:
        yield csv_header(sheet)
    for page in pages:
        yield jsonl(page) if file_format is Format.JSONL else csv_rows(sheet, page)


def _workbook(source: Source, file_format: Format, pages: Iterable[list[Document]]) -> IO[bytes]:
    """Write a workbook into a file without a name, which is gone once it is closed."""
    with ExitStack() as stack:
        file = stack.enter_context(tempfile.TemporaryFile())
        try:
            write_book(file, file_format, source.sheets, chain.from_iterable(pages))
        except TooMuchForSheetError as error:
            raise ProblemError(422, "invalid", str(error), "format") from error
        file.seek(0)
        stack.pop_all()
    return file


def _of_file(file: IO[bytes]) -> Iterator[bytes]:
    with file:
        while chunk := file.read(_CHUNK_BYTES):
            yield chunk
