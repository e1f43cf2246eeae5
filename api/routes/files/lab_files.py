"""Labs as other systems read them: CERIF-XML, schema.org's JSON-LD and BibTeX, of one lab or of all one may see.

In: a lab or none, and a format. Out: the file. It exists because a research information system, a web page and a
reference manager want what is kept here. It is written whole before it is answered: what can't be written is refused.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterable, Iterator
from typing import IO, Annotated, Any

from fastapi import APIRouter, Depends, Query, Response
from fastapi.responses import StreamingResponse
from sqlmodel import Session, select

from api.access.policy import Action, Resource
from api.access.visibility import labs as visible
from api.documents.answers import file_of
from api.requests.capacity import REPORTING, ThreadedRoute, takes
from api.requests.permitted_request import PermittedRequest, requires
from api.requests.problems import ProblemError, not_found
from api.routes.files.exports import SOURCES, reader_of
from indexer.records.open_document import NotXmlError
from indexer.records.record_tables import Lab, School
from indexer.sources.giving_out import MEDIA_TYPES, SUFFIXES, LabFormat, given_out
from matcher.review.own_lab.researchers import profile_document
from matcher.review.people import Principal

router = APIRouter(prefix="/api/exports/labs", tags=["exports"], route_class=ThreadedRoute)

LabFileFormat = Annotated[
    LabFormat,
    Query(alias="format", description="CERIF-XML of the OpenAIRE profile, JSON-LD of schema.org, or BibTeX."),
]
_FILE = file_of(MEDIA_TYPES.values())
_CHUNK_BYTES = 2**18
_IN_MEMORY_BYTES = 2**20
_NO_FILE_NAME = re.compile(r"[^A-Za-z0-9._-]+")


@router.get("/published", response_class=Response, responses=_FILE)
@takes(REPORTING)
def export_labs_as(
    ask: Annotated[PermittedRequest, Depends(requires(Resource.LAB, Action.LIST))],
    form: LabFileFormat = LabFormat.CERIF,
) -> Response:
    """Export the labs that you may see for a research information system, a web page or a reference manager."""
    read = reader_of(ask)
    pages = SOURCES["labs"].pages(read, all_rows=False)
    return _answered(ask, form, "labs", pages, read(lambda session, _: schools_by_id(session)))


@router.get("/{lab_id}/published", response_class=Response, responses=_FILE)
@takes(REPORTING)
def export_lab(
    lab_id: str,
    ask: Annotated[PermittedRequest, Depends(requires(Resource.LAB, Action.READ))],
    form: LabFileFormat = LabFormat.BIBTEX,
) -> Response:
    """Export one lab for a research information system or a web page, or its publications as BibTeX."""

    def work(session: Session, who: Principal) -> tuple[list[dict[str, Any]], dict[str, dict[str, Any]]]:
        query = select(Lab.id).where(Lab.id == lab_id, visible(who, Action.READ))
        profile = (
            profile_document(session, lab_id, in_use_only=True) if session.exec(query).first() is not None else None
        )
        if profile is None:
            raise not_found("lab")
        return [profile], schools_by_id(session)

    with ask.reading() as session:
        labs, schools = work(session, ask.admitted(session))
    return _answered(ask, form, _NO_FILE_NAME.sub("-", lab_id), [labs], schools)


def schools_by_id(session: Session) -> dict[str, dict[str, Any]]:
    """Return every school in the exchange format, by its id."""
    return {school.id: school.model_dump(mode="json") for school in session.exec(select(School)).all()}


def _answered(
    ask: PermittedRequest,
    form: LabFormat,
    name: str,
    labs: Iterable[list[Any]],
    schools: dict[str, dict[str, Any]],
) -> Response:
    headers = {
        "Cache-Control": "no-store",
        "Content-Disposition": f'attachment; filename="{name}-{ask.at:%Y-%m-%d}.{SUFFIXES[form]}"',
    }
    file = tempfile.SpooledTemporaryFile(_IN_MEMORY_BYTES)  # noqa: SIM115 - it is closed once it is sent
    try:
        file.writelines(given_out(form, labs, schools))
    except NotXmlError as error:
        file.close()
        raise ProblemError(422, "invalid", str(error), "format") from error
    except BaseException:
        file.close()
        raise
    file.seek(0)
    return StreamingResponse(_chunks(file), 200, headers, MEDIA_TYPES[form])


def _chunks(file: IO[bytes]) -> Iterator[bytes]:
    with file:
        while chunk := file.read(_CHUNK_BYTES):
            yield chunk
