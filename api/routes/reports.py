"""Reports of the ledger as files.

In: a report's name, a format, a day. Out: a file that says what the person may
see: the programme office all, an alliance or a committee member their own.
"""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query, Response
from sqlmodel import Session

from api.asking import Asking, asking
from api.figure_answers import ReportsAnswer
from api.file_answers import file_of
from api.filtering import chosen_alliances
from api.idempotency import Reply
from api.policy import Action, Resource
from api.problems import ProblemError, not_found
from api.request_threads import ThreadedRoute
from api.routes.entries import AllianceId, KpiYear
from api.routes.figures import AsOf
from indexer.database import reading
from indexer.instants import day_in_taipei
from matcher.ledger.periods import common_year
from matcher.ledger.rendering.formats import MEDIA_TYPES, ReportFormat, render
from matcher.ledger.rendering.sheets import ReportTooLargeError
from matcher.ledger.rendering.wording import ReportLanguage
from matcher.ledger.report_request import ReportRequest
from matcher.ledger.reports import REPORTS, make_report
from matcher.people import Principal
from matcher.roles import Role

router = APIRouter(prefix="/api/reports", tags=["figures"], route_class=ThreadedRoute)


@router.get("", response_model=ReportsAnswer)
def list_reports(ask: Annotated[Asking, Depends(asking(Resource.REPORT, Action.LIST))]) -> Response:
    """List the reports that there are, and their formats."""

    def work(_session: Session, _who: Principal) -> Reply:
        items = [
            {"name": name, "title": {"zh": report.title.zh, "en": report.title.en}, "href": f"/api/reports/{name}"}
            for name, report in sorted(REPORTS.items())
        ]
        return Reply(200, {"items": items, "next": None, "formats": [form.value for form in ReportFormat]}, {})

    return ask.read(work)


@router.get("/{name}", response_class=Response, responses=file_of(MEDIA_TYPES.values()))
def read_report(
    name: Annotated[str, Path(max_length=100)],
    ask: Annotated[Asking, Depends(asking(Resource.REPORT, Action.READ))],
    form: Annotated[ReportFormat, Query(alias="format", description="What kind of file.")] = ReportFormat.JSON,
    as_of: AsOf = None,
    year: KpiYear = None,
    alliance: AllianceId = None,
    lang: Annotated[ReportLanguage, Query(description="The language of what the report itself says.")] = (
        ReportLanguage.ZH
    ),
) -> Response:
    """Download a report; without `alliance` it is about all that you may see."""
    with reading(ask.engine) as session:
        who = ask.admitted(session)
        if name not in REPORTS:
            raise not_found("report")
        about = chosen_alliances(session, who, Resource.REPORT, Action.READ, alliance)
        request = ReportRequest(
            as_of=as_of or day_in_taipei(ask.at),
            now=ask.at,
            year=None if year is None else common_year(year),
            alliances=about,
            stays_inside=about is not None and about <= who.scopes(Role.EXPERT, Role.LEAD),
        )
        document = make_report(session, name, request)
    # Typesetting takes longer than reading: no transaction waits for it.
    try:
        content = render(document, form, lang)
    except ReportTooLargeError as error:
        raise ProblemError(422, "invalid", str(error), "format") from error
    file_name = f"{name}-{request.as_of.isoformat()}.{form.value}"
    headers = {"Cache-Control": "no-store", "Content-Disposition": f'attachment; filename="{file_name}"'}
    return Response(content, 200, headers, MEDIA_TYPES[form])
