"""Joint visits to companies: a team is proposed for what a company answers, the visit planned, held, and reported.

In: what a company of one's portfolio answered, changes, findings. Out: the visit with its team, why each lab is in it,
an agenda, and its report as PDF or DOCX. It exists apart from the needs because a visit comes before them: which needs
the company has is what it finds out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from enum import StrEnum
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query, Response
from sqlalchemy import ColumnElement, and_
from sqlmodel import Session, col, select

from api.access.policy import Action, Resource, reaches
from api.access.visibility import companies as visible_companies
from api.access.visibility import needs as visible_needs
from api.documents.answers import Page, file_of
from api.documents.bodies import MAX_ROW_NUMBER, NewVisitBody, VisitBody, VisitMoveBody
from api.documents.matching.visits import ListedVisitAnswer, VisitAnswer, listed_visit, visit_document
from api.requests.capacity import MATCHING, REPORTING, ThreadedRoute, takes
from api.requests.idempotency import Reply
from api.requests.permitted_request import PermittedRequest, etag_of, requires
from api.requests.problems import ProblemError, not_found
from api.requests.query_parameters import Cursor, Limit, decoded, page
from indexer.instants import day_in_taipei
from indexer.records.profiles import Company as CompanyProfile
from indexer.records.profiles import Need as NeedProfile
from indexer.records.record_tables import Alliance, Company, Lab, Need, School, load_companies, load_needs
from indexer.wording import T_, either
from matcher.handouts.handout import Handout
from matcher.handouts.pictures import Owner, picture_of
from matcher.handouts.visit_report import VisitorNames, visit_report
from matcher.ledger.rendering.report_texts import ReportLanguage
from matcher.ranking.pairings import Matcher
from matcher.review.conversation.signing import labs_at_limit
from matcher.review.joint.diagnosis import (
    AGENDA_LABELS,
    Diagnosis,
    DiagnosisError,
    Topic,
    TopicAnswer,
    agenda_of,
    diagnosis_of,
)
from matcher.review.joint.visits import DiagnosisVisit, change_visit, move_visit, plan_visit, steps_of
from matcher.review.people import Principal
from matcher.review.roles import STAFF

router = APIRouter(prefix="/api", tags=["joint"], route_class=ThreadedRoute)

VisitId = Annotated[int, Path(ge=1, le=MAX_ROW_NUMBER)]


class VisitFormat(StrEnum):
    """What kind of file a report is; the value is the end of its name."""

    PDF = "pdf"
    DOCX = "docx"


MEDIA_TYPES = {
    VisitFormat.PDF: "application/pdf",
    VisitFormat.DOCX: "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
}


def visible_visits(who: Principal, action: Action) -> ColumnElement[bool]:
    """Return the condition on `DiagnosisVisit`: the own alliance's, to companies in which nobody has an interest."""
    own = col(DiagnosisVisit.alliance_id).in_(who.scopes(*reaches(who, Resource.VISIT, action)))
    stakes = [party_id for party, party_id in who.stakes if party == "company"]
    return and_(own, col(DiagnosisVisit.company_id).not_in(stakes)) if stakes else own


@router.get("/companies/{company_id}/visits", response_model=Page[ListedVisitAnswer])
def list_visits(
    company_id: str,
    ask: Annotated[PermittedRequest, Depends(requires(Resource.VISIT, Action.LIST))],
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Response:
    """List your alliance's visits to a company of your portfolio, the newest first."""
    labs = ask.request.app.state.live.current().labs

    def work(session: Session, who: Principal) -> Reply:
        _company(session, who, company_id)
        query = select(DiagnosisVisit).where(DiagnosisVisit.company_id == company_id, visible_visits(who, Action.LIST))
        before = decoded(cursor, int)
        if before is not None:
            query = query.where(col(DiagnosisVisit.id) < before)
        rows = session.exec(query.order_by(col(DiagnosisVisit.id).desc()).limit(limit + 1)).all()
        return Reply(200, page([listed_visit(one, labs) for one in rows], limit, "id"), {})

    return ask.read(work)


@router.post("/companies/{company_id}/visits", status_code=201, response_model=VisitAnswer)
@takes(MATCHING)
def plan_company_visit(
    company_id: str,
    body: NewVisitBody,
    ask: Annotated[PermittedRequest, Depends(requires(Resource.VISIT, Action.CREATE))],
) -> Response:
    """Plan a visit: a team of several schools is proposed for what the company answered, and a half-day's agenda.

    Nobody is asked or told by it. With `labs` the team is these and nobody else.
    """
    answers = [TopicAnswer(one.topic, one.degree, one.line) for one in body.answers]
    with ask.reading() as session:
        who = ask.admitted(session)
        alliance_id = _alliance(who, body.alliance)
        company, past = _company(session, who, company_id), _past(session, who, company_id)
        full = _full(session, ask)
    ask.let_go()
    found = _proposed(ask, who, company, past, answers, body.held_on.year, body.labs, full)
    team, agenda = _team(found), _agenda(answers, found)

    def work(session: Session, who: Principal) -> Reply:
        _company(session, who, company_id)
        visit = plan_visit(
            session,
            company_id=company_id,
            alliance_id=_alliance(who, alliance_id),
            held_on=body.held_on,
            place=body.place,
            answers=[asdict(one) for one in answers],
            team=team,
            agenda=agenda,
            by=who.id,
            now=ask.at,
        )
        return _reply(session, ask, visit, 201)

    return ask.write(work, body)


@router.get("/visits/{visit_id}", response_model=VisitAnswer)
def read_visit(
    visit_id: VisitId, ask: Annotated[PermittedRequest, Depends(requires(Resource.VISIT, Action.READ))]
) -> Response:
    """Read a visit; its ETag is what a change sends as If-Match."""

    def work(session: Session, who: Principal) -> Reply:
        return _reply(session, ask, _find(session, who, visit_id, Action.READ), 200)

    return ask.read(work)


@router.patch("/visits/{visit_id}", response_model=VisitAnswer)
@takes(MATCHING)
def edit_visit(
    visit_id: VisitId,
    body: VisitBody,
    ask: Annotated[PermittedRequest, Depends(requires(Resource.VISIT, Action.EDIT))],
) -> Response:
    """Change a visit; send the ETag that you read as If-Match. With other labs the agenda is made anew, or send one."""
    changes: dict[str, Any] = body.model_dump(exclude_unset=True, exclude={"labs"}, mode="python")
    changes = {name: value for name, value in changes.items() if value is not None}
    if body.labs is not None:
        changes = _another_team(ask, visit_id, body) | changes
    _check_agenda(changes.get("agenda", ()))

    def work(session: Session, who: Principal) -> Reply:
        visit = _find(session, who, visit_id, Action.EDIT)
        ask.must_match(_etag(visit))
        findings = {str(topic): text for topic, text in changes.get("findings", {}).items()}
        given = {**changes, **({"findings": {**visit.findings, **findings}} if findings else {})}
        change_visit(session, visit, given, now=ask.at)
        return _reply(session, ask, visit, 200)

    return ask.write(work, body)


def _another_team(ask: PermittedRequest, visit_id: int, body: VisitBody) -> dict[str, Any]:
    with ask.reading() as session:
        who = ask.admitted(session)
        visit = _find(session, who, visit_id, Action.EDIT)
        company, past = _company(session, who, visit.company_id), _past(session, who, visit.company_id)
        full, answers = (
            _full(session, ask),
            [TopicAnswer(Topic(one["topic"]), one["degree"], one["line"]) for one in visit.answers],
        )
        year = (body.held_on or visit.held_on).year
    ask.let_go()
    found = _proposed(ask, who, company, past, answers, year, body.labs or (), full)
    return {"team": _team(found), "agenda": _agenda(answers, found)}


@router.post("/visits/{visit_id}/state", response_model=VisitAnswer)
def move_company_visit(
    visit_id: VisitId,
    body: VisitMoveBody,
    ask: Annotated[PermittedRequest, Depends(requires(Resource.VISIT, Action.MOVE))],
) -> Response:
    """Say that a visit was held, reported or called off; one that was held is noted as a contact with the company."""

    def work(session: Session, who: Principal) -> Reply:
        visit = _find(session, who, visit_id, Action.MOVE)
        move_visit(session, visit, body.state, by=who.id, now=ask.at, note=body.note)
        return _reply(session, ask, visit, 200)

    return ask.write(work, body)


@router.get("/visits/{visit_id}/report", response_class=Response, responses=file_of(MEDIA_TYPES.values()))
@takes(REPORTING)
def read_visit_report(
    visit_id: VisitId,
    ask: Annotated[PermittedRequest, Depends(requires(Resource.VISIT, Action.READ))],
    form: Annotated[VisitFormat, Query(alias="format", description="PDF or DOCX.")] = VisitFormat.DOCX,
    lang: Annotated[
        ReportLanguage, Query(description="The language of what the file itself says.")
    ] = ReportLanguage.ZH,
) -> Response:
    """Take the report of a visit out as a file: a draft with room to write in until it is reported."""
    with ask.reading() as session:
        who = ask.admitted(session)
        handout = handout_of_visit(session, _find(session, who, visit_id, Action.READ), ask)
    # Typesetting takes longer than reading: no transaction waits for it.
    ask.let_go()
    if form is VisitFormat.PDF:
        from matcher.handouts.paper import render_pdf as render
    else:
        from matcher.handouts.word_file import render_docx as render
    name = f'attachment; filename="visit-{visit_id}-{lang.value}.{form.value}"'
    headers = {"Cache-Control": "no-store", "Content-Disposition": name}
    return Response(render(handout, lang), 200, headers, MEDIA_TYPES[form])


def handout_of_visit(session: Session, visit: DiagnosisVisit, ask: PermittedRequest) -> Handout:
    """Return what the report of a visit says now."""
    ask.about("company", visit.company_id)
    company = session.get_one(Company, visit.company_id)
    alliance = session.get_one(Alliance, visit.alliance_id)
    ids = [one["lab_id"] for one in visit.team] + [one for item in visit.agenda for one in item["labs"]]
    rows: Sequence[tuple[Lab, School | None]] = session.exec(
        select(Lab, School).join(School, col(School.id) == col(Lab.school), isouter=True).where(col(Lab.id).in_(ids))
    ).all()
    names = {
        lab.id: VisitorNames(
            either(lab.name, lab.name_en or lab.name),
            either(lab.school or "", lab.school or "")
            if school is None
            else either(school.name, school.name_en or school.name),
            lab.pi,
        )
        for lab, school in rows
    }
    return visit_report(
        visit,
        company=either(company.name, company.name_en or company.name),
        alliance=either(alliance.name, alliance.name_en or alliance.name),
        visitors=names,
        made_on=day_in_taipei(ask.at),
        logo=picture_of(session, Owner.ALLIANCE, alliance.id),
    )


def _proposed(
    ask: PermittedRequest,
    who: Principal,
    company: CompanyProfile,
    past: Sequence[NeedProfile],
    answers: Sequence[TopicAnswer],
    year: int,
    labs: Sequence[str],
    full: frozenset[str],
) -> Diagnosis:
    matcher: Matcher = ask.request.app.state.live.current()
    barred = [one for one in matcher.labs if who.stakes and who.has_stake(company_id=company.id, lab_id=one)]
    return diagnosis_of(matcher, company, past, answers, year=year, labs=labs, full=full, barred=barred)


def _team(found: Diagnosis) -> list[dict[str, Any]]:
    return [
        {
            "lab_id": one.lab_id,
            "topics": [topic.value for topic in one.topics],
            "covers": [topic.value for topic in one.covers],
            "leads": one.leads,
            "evidence": [{"topic": topic.value, "speaking": asdict(said)} for topic, said in one.speaking],
            "stand_ins": list(one.stand_ins),
        }
        for one in found.visitors
    ]


def _agenda(answers: Sequence[TopicAnswer], found: Diagnosis) -> list[dict[str, Any]]:
    return [{**asdict(one), "labs": list(one.labs)} for one in agenda_of(answers, found.visitors)]


def _check_agenda(agenda: Sequence[dict[str, Any]]) -> None:
    for one in agenda:
        if one["part"] not in AGENDA_LABELS:
            known = ", ".join(AGENDA_LABELS)
            raise DiagnosisError(T_("an item of an agenda is one of: %(known)s", known=known), "agenda")


def _full(session: Session, ask: PermittedRequest) -> frozenset[str]:
    return labs_at_limit(session, ask.request.app.state.live.current().labs, "", day_in_taipei(ask.at))


def _alliance(who: Principal, named: str | None) -> str:
    own = sorted(who.scopes(*STAFF))
    chosen = named or (own[0] if len(own) == 1 else None)
    if chosen not in own:
        raise ProblemError(422, "invalid", T_("choose one of your own: %(own)s", own=", ".join(own)), "alliance")
    return str(chosen)


def _company(session: Session, who: Principal, company_id: str) -> CompanyProfile:
    """Return a company of the person's portfolio.

    Raises:
        ProblemError: 404, whether it does not exist or is not theirs.
    """
    mine = select(Company.id).where(Company.id == company_id, visible_companies(who, Action.CONTACT))
    if session.exec(mine).first() is None or ("company", company_id) in who.stakes:
        raise not_found("company")
    for found in load_companies(session, [company_id]):
        return found
    # A retired one is nobody's to visit.
    raise not_found("company")


def _past(session: Session, who: Principal, company_id: str) -> list[NeedProfile]:
    may = (Need.company == company_id, visible_needs(who, Action.READ, Resource.MATCH))
    return load_needs(session, session.exec(select(Need.id).where(*may)).all())


def _find(session: Session, who: Principal, visit_id: int, action: Action) -> DiagnosisVisit:
    query = select(DiagnosisVisit).where(DiagnosisVisit.id == visit_id, visible_visits(who, action))
    visit = session.exec(query if action is Action.READ else query.with_for_update()).first()
    if visit is None:
        raise not_found("visit")
    return visit


def _reply(session: Session, ask: PermittedRequest, visit: DiagnosisVisit, status: int) -> Reply:
    ask.about("company", visit.company_id)
    matcher: Matcher = ask.request.app.state.live.current()
    steps = steps_of(session, visit.id or 0)
    document = visit_document(visit, steps, matcher.labs, matcher.companies.get(visit.company_id))
    return Reply(status, document, {"ETag": _etag(visit), "Location": f"/api/visits/{visit.id}"})


def _etag(visit: DiagnosisVisit) -> str:
    return etag_of({"visit": visit.id, "version": visit.version})
