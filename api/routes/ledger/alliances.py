"""Where an alliance stands: warnings, money and self-sufficiency, points for its people, and gender statistics.

In: a day; amounts with their day and source, activities of people by pseudonym, counts by group; from the programme
office a step of the ladder. Out: the standing with its arithmetic, statements and what income must become, rows of
points and their pay, and what of the counts may be passed on. It exists because all of it is judged alliance by
alliance, by rules that are read in the answer.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from typing import Annotated, Any, TypeVar

from fastapi import APIRouter, Depends, Path, Query, Response
from sqlmodel import Session, col, select

from api.access.policy import Action, Resource
from api.access.visibility import reached_alliances
from api.documents.bodies import MAX_ROW_NUMBER
from api.documents.figures import AllianceGenderAnswer, GenderAnalysisAnswer, GenderCountsAnswer, ProgrammeGenderAnswer
from api.documents.ledger_bodies import (
    MAX_AMOUNT,
    GenderAnalysisBody,
    GenderCountsBody,
    LadderBody,
    MoneyRowBody,
    PointBody,
    TakeBackBody,
)
from api.documents.standing import (
    LadderStepAnswer,
    MoneyRowAnswer,
    NeededAnswer,
    PointRowAnswer,
    PointsAnswer,
    SimulationAnswer,
    StandingAnswer,
    SufficiencyAnswer,
    WarningsAnswer,
    finding_document,
    label,
    needed_document,
    operation_document,
    reading_document,
    rung_document,
    share_documents,
    simulation_document,
    statement_document,
)
from api.requests.capacity import ThreadedRoute
from api.requests.idempotency import Reply
from api.requests.permitted_request import PermittedRequest, requires
from api.requests.problems import ProblemError, not_found
from api.requests.query_parameters import chosen_alliances
from api.routes.ledger.entries import KpiYear
from api.routes.ledger.figures import AsOf
from indexer.instants import day_in_taipei
from indexer.records.record_tables import Alliance
from indexer.vocabulary import MAX_NTD
from indexer.wording import T_, either
from matcher.ledger.figures.folds import end_of
from matcher.ledger.figures.gender import (
    GROUP_LABELS,
    GenderGroup,
    GenderRules,
    Imbalance,
    Published,
    analyse,
    counts,
    imbalances,
    is_closed,
    published,
    supply_counts,
)
from matcher.ledger.figures.ladder import (
    LadderStep,
    Rung,
    agree_plan,
    findings,
    graduate,
    readings_on,
    standings,
    step,
    steps_of,
    warn,
)
from matcher.ledger.figures.self_operation import Ladder, Matter, OperationReading, operation_readings
from matcher.ledger.figures.subsidy import (
    MAX_FEE_NTD,
    MAX_GROWTH_BP,
    MAX_NEW_MEMBERS,
    MAX_SIMULATED_YEARS,
    MAX_YEARS,
    Assumptions,
    SubsidyPath,
    needed_income,
    own_shares,
    simulate,
)
from matcher.ledger.figures.sufficiency import (
    PointRow,
    SufficiencyRow,
    book,
    earn,
    payout,
    statements,
    take_back,
    take_points_back,
)
from matcher.ledger.figures.warnings import Level, PaceReading
from matcher.ledger.rows.details import Gender
from matcher.ledger.rows.entries import WHOLE_BP
from matcher.ledger.rows.periods import common_year, roc_year, subsidy_days, subsidy_year
from matcher.ledger.rules.configuration import current
from matcher.ledger.rules.targets import TargetBooks
from matcher.review.people import Principal

router = APIRouter(prefix="/api", tags=["alliances"], route_class=ThreadedRoute)

ThisAlliance = Annotated[str, Path(max_length=200)]
Book = Annotated[
    str | None, Query(max_length=100, description="The target book; the first if left out.", examples=["schedule"])
]
_FIELDS_OF = {"owner": Rung.PLAN, "due_on": Rung.PLAN, "as_of": Rung.WARNING, "book": Rung.WARNING}


@router.get("/alliances/{alliance_id}/standing", response_model=StandingAnswer)
def read_standing(
    alliance_id: ThisAlliance,
    ask: Annotated[PermittedRequest, Depends(requires(Resource.STANDING, Action.READ))],
    as_of: AsOf = None,
    book: Book = None,
) -> Response:
    """Read how an alliance stands: targets against pace with the entries behind, findings, rungs with their reasons."""

    def work(session: Session, who: Principal) -> Reply:
        chosen_alliances(session, who, ask.resource, ask.action, alliance_id)
        day = as_of or day_in_taipei(ask.at)
        code, read = readings_on(session, [alliance_id], day, book)
        moment = end_of(day)
        standing = standings(session, as_of=moment, alliances=[alliance_id])
        operating = operation_readings(session, [alliance_id], day)
        document = {
            "alliance": alliance_id,
            "as_of": day.isoformat(),
            "book": code,
            "readings": [reading_document(one) for one in read],
            "self_operation": operation_document(operating[0]) if operating else None,
            "findings": [finding_document(one) for one in findings(read, standing, day, operating)],
            "rungs": [rung_document(one) for one in standing],
            "steps": [row.model_dump(mode="json") for row in steps_of(session, alliance_id) if row.at <= moment],
        }
        return Reply(200, document, {})

    return ask.read(work)


@router.get("/warnings", response_model=WarningsAnswer)
def list_warnings(
    ask: Annotated[PermittedRequest, Depends(requires(Resource.STANDING, Action.READ))],
    as_of: AsOf = None,
    book: Book = None,
) -> Response:
    """List your alliances with the targets that are behind, the steps that are proposed, and where each stands."""

    def work(session: Session, who: Principal) -> Reply:
        reached = reached_alliances(who, ask.resource, ask.action)
        known = session.exec(select(Alliance).order_by(col(Alliance.id))).all()
        shown = [one for one in known if reached is None or one.id in reached]
        day = as_of or day_in_taipei(ask.at)
        code, read = readings_on(session, [one.id for one in shown], day, book)
        standing = standings(session, as_of=end_of(day), alliances=[one.id for one in shown])
        operating = operation_readings(session, [one.id for one in shown], day)
        found = findings(read, standing, day, operating)
        books = current(session, TargetBooks, at=end_of(day)).books
        document = {
            "as_of": day.isoformat(),
            "book": code,
            "books": {one.code: label(either(one.title_zh, one.title_en)) for one in books},
            "alliances": [
                {
                    "alliance": one.id,
                    "name": label(either(one.name, one.name_en or one.name)),
                    "behind": [
                        reading_document(reading)
                        for reading in read
                        if reading.alliance == one.id and reading.level is not Level.ON_PACE
                    ],
                    "self_operation": next(
                        (operation_document(own) for own in operating if own.alliance == one.id), None
                    ),
                    "findings": [finding_document(finding) for finding in found if finding.alliance == one.id],
                    "rungs": [rung_document(rung) for rung in standing if rung.alliance == one.id],
                }
                for one in shown
            ],
        }
        return Reply(200, document, {})

    return ask.read(work)


@router.post("/alliances/{alliance_id}/ladder", status_code=201, response_model=LadderStepAnswer)
def take_ladder_step(
    alliance_id: ThisAlliance,
    body: LadderBody,
    ask: Annotated[PermittedRequest, Depends(requires(Resource.LADDER, Action.CREATE))],
) -> Response:
    """Warn an alliance, agree a plan, help, let it exit, lift what stands, or let it graduate early.

    Every step is about a figure or about self-operation, but for graduation. A warning is for a gap that the rules
    call one; a plan names who carries it out and by when.
    """

    def work(session: Session, who: Principal) -> Reply:
        chosen_alliances(session, who, ask.resource, ask.action, alliance_id)
        _check_fields(body)
        taken = _taken(session, ask, alliance_id, body, who.id)
        return Reply(201, taken.model_dump(mode="json"), {})

    return ask.write(work, body)


def _check_fields(body: LadderBody) -> None:
    if (body.kpi is None) != (body.rung is Rung.GRADUATED):
        raise ProblemError(
            422, "invalid", T_("every step but graduation is about a figure, such as L, or about self_operation"), "kpi"
        )
    for name, rung in _FIELDS_OF.items():
        if getattr(body, name) is not None and body.rung is not rung:
            raise ProblemError(422, "invalid", T_("only a %(rung)s has this", rung=rung), name)
    for name in ("owner", "due_on"):
        if body.rung is Rung.PLAN and getattr(body, name) is None:
            raise ProblemError(422, "invalid", T_("a plan names who carries it out and by which day"), name)


def _taken(session: Session, ask: PermittedRequest, alliance_id: str, body: LadderBody, by: str) -> LadderStep:
    said: dict[str, Any] = {"reason": body.reason, "by": by, "now": ask.at}
    if body.kpi is None:
        return graduate(session, alliance_id=alliance_id, **said)
    if body.rung is Rung.WARNING:
        return warn(session, gap=_gap(session, ask, alliance_id, body, body.kpi), **said)
    if body.owner is not None and body.due_on is not None:
        said |= {"owner": body.owner, "due_on": body.due_on}
        return agree_plan(session, alliance_id=alliance_id, kpi=body.kpi, **said)
    return step(session, alliance_id=alliance_id, kpi=body.kpi, rung=body.rung, **said)


def _gap(
    session: Session, ask: PermittedRequest, alliance_id: str, body: LadderBody, kpi: Ladder
) -> PaceReading | OperationReading:
    today = day_in_taipei(ask.at)
    day = body.as_of or today
    if not date(2000, 1, 1) <= day <= today:
        raise ProblemError(422, "invalid", T_("give a day from 2000-01-01 to today in Taipei"), "as_of")
    if isinstance(kpi, Matter):
        own = operation_readings(session, [alliance_id], day)
        if not own:
            raise ProblemError(422, "ledger", T_("no subsidy year of this alliance has closed yet"), "kpi")
        return own[0]
    code, read = readings_on(session, [alliance_id], day, body.book)
    found = next((one for one in read if one.kpi is kpi), None)
    if found is None:
        raise ProblemError(
            422, "ledger", T_("the book %(code)s has no target of this figure for that year", code=code), "kpi"
        )
    return found


MoneyRowId = Annotated[int, Path(ge=1, le=MAX_ROW_NUMBER)]
_FIRST_YEAR = 2000
PlannedNtd = Annotated[int, Query(ge=0, le=MAX_NTD)]


@router.post("/alliances/{alliance_id}/money-rows", status_code=201, response_model=MoneyRowAnswer)
def book_money_row(
    alliance_id: ThisAlliance,
    body: MoneyRowBody,
    ask: Annotated[PermittedRequest, Depends(requires(Resource.MONEY_ROW, Action.CREATE))],
) -> Response:
    """Book an income, an expense or the subsidy of an alliance. A row is never changed: take it back instead."""

    def work(session: Session, who: Principal) -> Reply:
        chosen_alliances(session, who, ask.resource, ask.action, alliance_id)
        row = book(session, alliance_id=alliance_id, by=who.id, now=ask.at, **dict(body))
        return Reply(201, row.model_dump(mode="json"), {})

    return ask.write(work, body)


@router.post("/money-rows/{money_row_id}/reverse", status_code=201, response_model=MoneyRowAnswer)
def reverse_money_row(
    money_row_id: MoneyRowId,
    body: TakeBackBody,
    ask: Annotated[PermittedRequest, Depends(requires(Resource.MONEY_ROW, Action.REVERSE))],
) -> Response:
    """Take a row back, once; the right amount is booked as a new row."""
    return _taken_back(ask, body, SufficiencyRow, money_row_id, take_back)


_Row = TypeVar("_Row", SufficiencyRow, PointRow)


def _taken_back(
    ask: PermittedRequest,
    body: TakeBackBody,
    rows: type[_Row],
    row_id: int,
    verb: Callable[..., _Row],
) -> Response:
    """Take a row of an alliance that is reached back, and answer with what takes it back."""

    def work(session: Session, who: Principal) -> Reply:
        row = session.get(rows, row_id)
        reached = reached_alliances(who, ask.resource, ask.action)
        if row is None or (reached is not None and row.alliance_id not in reached):
            raise not_found("row")
        reversal = verb(session, row_id=row_id, reason=body.reason, by=who.id, now=ask.at)
        return Reply(201, reversal.model_dump(mode="json"), {})

    return ask.write(work, body)


@router.get("/alliances/{alliance_id}/sufficiency", response_model=SufficiencyAnswer)
def read_sufficiency(
    alliance_id: ThisAlliance,
    ask: Annotated[PermittedRequest, Depends(requires(Resource.SUFFICIENCY, Action.READ))],
    year: KpiYear = None,
    as_of: AsOf = None,
) -> Response:
    """Read an alliance's statement of a subsidy year (closing 31 August) and its own-income share year by year.

    Without `year` it is about the one that is running on the day.
    """

    def work(session: Session, who: Principal) -> Reply:
        chosen_alliances(session, who, ask.resource, ask.action, alliance_id)
        day = as_of or day_in_taipei(ask.at)
        until = chosen_subsidy_year(year, day)
        years = statements(session, alliance_id=alliance_id, until=until, as_of=end_of(day))
        path = current(session, SubsidyPath, at=end_of(day))
        first, last = subsidy_days(until)
        these = (SufficiencyRow.alliance_id == alliance_id, col(SufficiencyRow.occurred_on).between(first, last))
        query = select(SufficiencyRow).where(*these, SufficiencyRow.at <= end_of(day)).order_by(col(SufficiencyRow.id))
        document = {
            **statement_document(years[-1]),
            "as_of": day.isoformat(),
            "rows": [row.model_dump(mode="json") for row in session.exec(query).all()],
            "years": share_documents(own_shares(path, years)),
        }
        return Reply(200, document, {})

    return ask.read(work)


def chosen_subsidy_year(year: int | None, day: date) -> int:
    """Return the subsidy year that is asked for, in the common era; without one that of a day.

    Raises:
        ProblemError: 422, the year begins after that day, or is impossible.
    """
    running = subsidy_year(day)
    chosen = running if year is None else common_year(year)
    if not _FIRST_YEAR <= chosen <= running:
        raise ProblemError(
            422,
            "invalid",
            T_("give a subsidy year from %(first_year)s to %(running)s", first_year=_FIRST_YEAR, running=running),
            "year",
        )
    return chosen


@router.get("/alliances/{alliance_id}/sufficiency/needed", response_model=NeededAnswer)
def read_needed_income(
    alliance_id: ThisAlliance,
    ask: Annotated[PermittedRequest, Depends(requires(Resource.SUFFICIENCY, Action.READ))],
    expenses_ntd: Annotated[
        list[PlannedNtd],
        Query(
            min_length=1,
            max_length=MAX_YEARS,
            description="The planned expenses of each subsidy year, one after the other.",
            examples=[[10_000_000, 12_000_000]],
        ),
    ],
    first_year: Annotated[
        int | None, Query(ge=1, le=3_000, description="The first planned year; the next one if left out.")
    ] = None,
    growth_bp: Annotated[
        int, Query(ge=-WHOLE_BP, le=WHOLE_BP, description="How much own income is assumed to grow a year.")
    ] = 0,
    own_income_ntd: Annotated[
        int | None, Query(ge=0, le=MAX_NTD, description="Of the year before; what is booked if left out.")
    ] = None,
) -> Response:
    """Read what own income must be in planned years, what it is projected to be, and which growth would suffice."""

    def work(session: Session, who: Principal) -> Reply:
        chosen_alliances(session, who, ask.resource, ask.action, alliance_id)
        running = subsidy_year(day_in_taipei(ask.at))
        begin = _first_planned_year(first_year, running)
        booked = statements(session, alliance_id=alliance_id, until=min(begin - 1, running), as_of=ask.at)
        own = booked[-1].own_income_ntd if own_income_ntd is None else own_income_ntd
        needed = needed_income(
            current(session, SubsidyPath),
            expenses_ntd=dict(enumerate(expenses_ntd, start=begin)),
            own_income_ntd=own,
            growth_bp=growth_bp,
            first_year_ntd=booked[0].subsidy_ntd,
        )
        if needed.years[-1].projected_ntd > MAX_AMOUNT:
            raise ProblemError(422, "invalid", T_("with that growth own income gets beyond all bounds"), "growth_bp")
        document = {
            "alliance": alliance_id,
            "own_income_ntd": own,
            "first_year_subsidy_ntd": booked[0].subsidy_ntd,
            "years": [needed_document(one) for one in needed.years],
            "growth_bp": needed.growth_bp,
        }
        return Reply(200, document, {})

    return ask.read(work)


def _first_planned_year(asked: int | None, running: int) -> int:
    begin = running + 1 if asked is None else common_year(asked)
    if not _FIRST_YEAR < begin <= running + MAX_YEARS:
        raise ProblemError(
            422,
            "invalid",
            T_(
                "give a year from %(first_year)s to %(running)s",
                first_year=_FIRST_YEAR + 1,
                running=running + MAX_YEARS,
            ),
            "year",
        )
    return begin


Growth = Annotated[int, Query(ge=-WHOLE_BP, le=MAX_GROWTH_BP, description="Of one year, in basis points.")]


async def _assumed(
    years: Annotated[int, Query(ge=1, le=MAX_SIMULATED_YEARS)] = 5,
    fees_growth_bp: Growth = 0,
    overhead_growth_bp: Growth = 0,
    other_growth_bp: Growth = 0,
    expenses_growth_bp: Growth = 0,
    new_members: Annotated[int, Query(ge=0, le=MAX_NEW_MEMBERS, description="Who join every year, and stay.")] = 0,
    fee_ntd: Annotated[int, Query(ge=0, le=MAX_FEE_NTD, description="What each new member pays a year.")] = 0,
    subsidy_change_bp: Annotated[
        int, Query(ge=-WHOLE_BP, le=WHOLE_BP, description="Added to the share that the path allows.")
    ] = 0,
) -> Assumptions:
    return Assumptions(
        years=years,
        fees_growth_bp=fees_growth_bp,
        overhead_growth_bp=overhead_growth_bp,
        other_growth_bp=other_growth_bp,
        expenses_growth_bp=expenses_growth_bp,
        new_members=new_members,
        fee_ntd=fee_ntd,
        subsidy_change_bp=subsidy_change_bp,
    )


@router.get("/alliances/{alliance_id}/sufficiency/simulation", response_model=SimulationAnswer)
def read_simulation(
    alliance_id: ThisAlliance,
    ask: Annotated[PermittedRequest, Depends(requires(Resource.SUFFICIENCY, Action.READ))],
    assumed: Annotated[Assumptions, Depends(_assumed)],
    as_of: AsOf = None,
) -> Response:
    """Read what the years after the last closed one would be under assumptions; nothing of it is stored."""

    def work(session: Session, who: Principal) -> Reply:
        chosen_alliances(session, who, ask.resource, ask.action, alliance_id)
        day = as_of or day_in_taipei(ask.at)
        past = statements(session, alliance_id=alliance_id, until=subsidy_year(day), as_of=end_of(day))
        simulated = simulate(current(session, SubsidyPath, at=end_of(day)), past, assumed)
        return Reply(200, simulation_document(alliance_id, day, simulated, assumed), {})

    return ask.read(work)


PointRowId = Annotated[int, Path(ge=1, le=MAX_ROW_NUMBER)]


@router.post("/alliances/{alliance_id}/points", status_code=201, response_model=PointRowAnswer)
def earn_points(
    alliance_id: ThisAlliance,
    body: PointBody,
    ask: Annotated[PermittedRequest, Depends(requires(Resource.POINT, Action.CREATE))],
) -> Response:
    """Note an activity of a registered person; it earns what the document `points` gives for it now."""

    def work(session: Session, who: Principal) -> Reply:
        chosen_alliances(session, who, ask.resource, ask.action, alliance_id)
        row = earn(session, alliance_id=alliance_id, by=who.id, now=ask.at, **dict(body))
        return Reply(201, row.model_dump(mode="json"), {})

    return ask.write(work, body)


@router.get("/alliances/{alliance_id}/points", response_model=PointsAnswer)
def read_points(
    alliance_id: ThisAlliance,
    ask: Annotated[PermittedRequest, Depends(requires(Resource.POINT, Action.READ))],
    year: KpiYear = None,
) -> Response:
    """Read the points of a subsidy year, the running one if none is named, and what each person is paid for them."""

    def work(session: Session, who: Principal) -> Reply:
        chosen_alliances(session, who, ask.resource, ask.action, alliance_id)
        chosen = chosen_subsidy_year(year, day_in_taipei(ask.at))
        paid = payout(session, alliance_id=alliance_id, year=chosen, as_of=ask.at)
        these = (PointRow.alliance_id == alliance_id, col(PointRow.occurred_on).between(*subsidy_days(chosen)))
        rows = session.exec(select(PointRow).where(*these).order_by(col(PointRow.id))).all()
        document = {
            "alliance": alliance_id,
            "year": chosen,
            "roc_year": roc_year(chosen),
            "closed": paid.closed,
            "pot_ntd": paid.pot_ntd,
            "payout": [
                {"person": person, "points": points, "ntd": paid.ntd[person]} for person, points in paid.points.items()
            ],
            "rows": [row.model_dump(mode="json") for row in rows],
        }
        return Reply(200, document, {})

    return ask.read(work)


@router.post("/point-rows/{point_row_id}/reverse", status_code=201, response_model=PointRowAnswer)
def reverse_point_row(
    point_row_id: PointRowId,
    body: TakeBackBody,
    ask: Annotated[PermittedRequest, Depends(requires(Resource.POINT, Action.REVERSE))],
) -> Response:
    """Take points back, once."""
    return _taken_back(ask, body, PointRow, point_row_id, take_points_back)


@router.post("/alliances/{alliance_id}/gender-counts", status_code=201, response_model=GenderCountsAnswer)
def supply_gender_counts(
    alliance_id: ThisAlliance,
    body: GenderCountsBody,
    ask: Annotated[PermittedRequest, Depends(requires(Resource.GENDER_FIGURE, Action.CREATE))],
) -> Response:
    """Supply how many people of each gender a group had when a subsidy year closed; the newest counts hold."""

    def work(session: Session, who: Principal) -> Reply:
        chosen_alliances(session, who, ask.resource, ask.action, alliance_id)
        rows = supply_counts(session, alliance_id=alliance_id, by=who.id, now=ask.at, **dict(body))
        return Reply(201, {"items": [row.model_dump(mode="json") for row in rows]}, {})

    return ask.write(work, body)


@router.post("/alliances/{alliance_id}/gender-analyses", status_code=201, response_model=GenderAnalysisAnswer)
def analyse_gender(
    alliance_id: ThisAlliance,
    body: GenderAnalysisBody,
    ask: Annotated[PermittedRequest, Depends(requires(Resource.GENDER_FIGURE, Action.CREATE))],
) -> Response:
    """Say what the causes of a low share are; a later analysis replaces it."""

    def work(session: Session, who: Principal) -> Reply:
        chosen_alliances(session, who, ask.resource, ask.action, alliance_id)
        row = analyse(session, alliance_id=alliance_id, by=who.id, now=ask.at, **dict(body))
        return Reply(201, row.model_dump(mode="json"), {})

    return ask.write(work, body)


@router.get("/alliances/{alliance_id}/gender", response_model=AllianceGenderAnswer)
def read_alliance_gender(
    alliance_id: ThisAlliance,
    ask: Annotated[PermittedRequest, Depends(requires(Resource.GENDER_FIGURE, Action.READ))],
    year: KpiYear = None,
) -> Response:
    """Read your own alliance's figures, exact: they are internal and not to be passed on.

    Without `year` they are of the last subsidy year that has closed.
    """

    def work(session: Session, who: Principal) -> Reply:
        chosen_alliances(session, who, ask.resource, ask.action, alliance_id)
        chosen = _year(year, ask)
        rules = current(session, GenderRules)
        found = imbalances(session, year=chosen, rules=rules, as_of=ask.at)
        own = [one for one in found if one.alliance == alliance_id]
        groups = []
        for group in GenderGroup:
            people = counts(session, year=chosen, group=group, as_of=ask.at).get(alliance_id)
            low = [_low_share(one) for one in own if one.group is group]
            groups.append({**_group(group), "people": None if people is None else _people(people), "low_shares": low})
        document = {
            "alliance": alliance_id,
            "year": chosen,
            "roc_year": roc_year(chosen),
            "closed": is_closed(chosen, ask.at),
            "internal": True,
            "groups": groups,
        }
        return Reply(200, document, {})

    return ask.read(work)


@router.get("/gender", response_model=ProgrammeGenderAnswer)
def read_programme_gender(
    ask: Annotated[PermittedRequest, Depends(requires(Resource.PROGRAMME_GENDER, Action.READ))], year: KpiYear = None
) -> Response:
    """Read the programme's figures of a closed subsidy year, the last one if none is named, without small cells."""

    def work(session: Session, _who: Principal) -> Reply:
        chosen = _year(year, ask)
        first, last = subsidy_days(chosen)
        if not is_closed(chosen, ask.at):
            raise ProblemError(
                422,
                "invalid",
                T_("the subsidy year %(chosen)s closes on %(last)s; read it after", chosen=chosen, last=last),
                "year",
            )
        rules = current(session, GenderRules)
        tables = [
            published(group, counts(session, year=chosen, group=group, as_of=ask.at), rules) for group in GenderGroup
        ]
        document = {
            "year": chosen,
            "roc_year": roc_year(chosen),
            "first_day": first.isoformat(),
            "last_day": last.isoformat(),
            "small_below": rules.small_below,
            "groups": [{**_group(table.group), "rows": _published_rows(table)} for table in tables],
        }
        return Reply(200, document, {})

    return ask.read(work)


def _year(year: int | None, ask: PermittedRequest) -> int:
    today = day_in_taipei(ask.at)
    return subsidy_year(today) - 1 if year is None else chosen_subsidy_year(year, today)


def _group(group: GenderGroup) -> dict[str, Any]:
    return {"group": group.value, "label": label(GROUP_LABELS[group])}


def _people(people: Any) -> dict[str, int]:
    return {gender.value: people.get(gender, 0) for gender in Gender}


def _low_share(one: Imbalance) -> dict[str, Any]:
    analysis = None if one.analysis is None else one.analysis.model_dump(mode="json")
    return {"gender": one.gender.value, "share": float(one.share), "analysis": analysis}


def _published_rows(table: Published) -> list[dict[str, Any]]:
    names = (*table.alliances, None)
    return [
        {"alliance": name, "people": dict(zip([one.value for one in Gender], row, strict=False)), "total": row[-1]}
        for name, row in zip(names, table.rows, strict=False)
    ]
