"""Templates to fill in: a file for each kind of record with headings in both languages, an example and explanations.

In: a kind and a format. Out: the file. It exists so that whoever has no list yet need not guess how one looks; what
it explains is the table that the readers use.
"""

from __future__ import annotations

import tempfile
from enum import StrEnum
from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Response

from api.access.policy import Action, Resource
from api.documents.answers import file_of
from api.requests.capacity import ThreadedRoute
from api.requests.permitted_request import PermittedRequest, requires
from indexer.database import reading
from indexer.records.writers import MEDIA_TYPES, Format, write_template
from indexer.vocabulary import Kind

router = APIRouter(prefix="/api", tags=["imports"], route_class=ThreadedRoute)


class TemplateFormat(StrEnum):
    """What kind of file."""

    XLSX = "xlsx"
    CSV = "csv"


_FILES = file_of(MEDIA_TYPES[Format(one.value)] for one in TemplateFormat)


@router.get("/import-templates", response_class=Response, responses=_FILES)
def read_template(
    ask: Annotated[PermittedRequest, Depends(requires(Resource.IMPORT_DRAFT, Action.LIST))],
    kind: Annotated[Kind, Query(description="What its rows will be.")],
    format: Annotated[TemplateFormat, Query(description="A workbook, or one table of text.")] = TemplateFormat.XLSX,  # noqa: A002
) -> Response:
    """Read a template that imports as it is; that of labs has a second sheet for their evidence."""
    with reading(ask.engine) as session:
        ask.admitted(session)
    return template_file(kind, format)


def template_file(kind: Kind, chosen: TemplateFormat) -> Response:
    """Return a template as a file to be saved."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"{kind}.{chosen}"
        write_template(path, kind)
        content = path.read_bytes()
    headers = {"Content-Disposition": f'attachment; filename="{kind}.{chosen}"', "Cache-Control": "no-store"}
    return Response(content, 200, headers, MEDIA_TYPES[Format(chosen.value)])
