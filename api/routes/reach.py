"""Fair reach over HTTP: the audit of a quarter, what the rule would do, and both as a file.

In: a quarter, and whether to simulate. Out: counts of groups and schools, never a need or an expert. It exists apart
from the pairings because it is about all of them at once, for the programme office that sets the rule; the rule itself
is a document among the others (`/api/configuration/reach_rule`).
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Response

from api.access.policy import Action, Resource
from api.documents.answers import file_of
from api.documents.matching.reach import (
    MOST_NEEDS,
    ReachAnswer,
    reach_document,
    reach_report,
    rule_as_set,
    simulation_document,
    simulation_of,
)
from api.requests.capacity import MATCHING, REPORTING, ThreadedRoute, takes
from api.requests.idempotency import Reply
from api.requests.permitted_request import PermittedRequest, requires
from indexer.instants import day_in_taipei
from indexer.records.record_tables import load_needs
from matcher.ledger.rendering.formats import MEDIA_TYPES, ReportFormat, render
from matcher.ledger.rendering.report_texts import ReportLanguage
from matcher.ledger.rows.periods import quarter_of

router = APIRouter(prefix="/api", tags=["reach"], route_class=ThreadedRoute)

Quarter = Annotated[
    str | None, Query(pattern=r"^20\d\d[Qq][1-4]$", description="Such as 2026Q4; default: the one that runs.")
]
Simulate = Annotated[bool, Query(description="Rank the newest needs as it is, and as the rule would have it.")]


class ReachFormat(StrEnum):
    """As what file the audit is taken out."""

    XLSX = "xlsx"
    PDF = "pdf"


@router.get("/reach", response_model=ReachAnswer)
@takes(MATCHING)
def read_reach(
    ask: Annotated[PermittedRequest, Depends(requires(Resource.REACH, Action.READ))],
    quarter: Quarter = None,
    simulate: Simulate = False,
) -> Response:
    """Read who was shown, opened and accepted in a quarter, and who was seen beside what they deserve."""
    return ask.answered(Reply(200, _document(ask, quarter, simulate=simulate), {}))


@router.get("/reach/report", response_class=Response, responses=file_of(MEDIA_TYPES.values()))
@takes(REPORTING)
def read_reach_report(
    ask: Annotated[PermittedRequest, Depends(requires(Resource.REACH, Action.READ))],
    form: Annotated[ReachFormat, Query(alias="format", description="XLSX or PDF.")] = ReachFormat.XLSX,
    quarter: Quarter = None,
    simulate: Simulate = False,
    lang: Annotated[ReportLanguage, Query(description="The language of the file.")] = ReportLanguage.ZH,
) -> Response:
    """Take the audit of a quarter out as a file."""
    document = _document(ask, quarter, simulate=simulate)
    # Typesetting takes longer than reading: no transaction waits for it.
    ask.let_go()
    kind = ReportFormat(form.value)
    content = render(reach_report(document, day_in_taipei(ask.at)), kind, lang)
    name = f'attachment; filename="reach-{document["quarter"]}.{form.value}"'
    return Response(content, 200, {"Cache-Control": "no-store", "Content-Disposition": name}, MEDIA_TYPES[kind])


def _document(ask: PermittedRequest, quarter: str | None, *, simulate: bool) -> dict[str, Any]:
    settings = ask.request.app.state.settings
    with ask.reading() as session:
        ask.admitted(session)
        chosen = quarter.upper() if quarter else quarter_of(day_in_taipei(ask.at))
        document = reach_document(session, settings, chosen)
        if not simulate:
            return document
        rule = rule_as_set(session, settings, ask.at)
        matcher = ask.request.app.state.live.current()
        needs = sorted(load_needs(session), key=lambda one: one.id)[-MOST_NEEDS:]
    ask.let_go()
    document["simulation"] = simulation_document(simulation_of(matcher, rule, needs))
    return document
