"""Self-sufficiency: an alliance's money, its statements, and what its income must become.

In: amounts with their day and source, or a plan. Out: a statement of a subsidy
year with the rows behind it, own-income shares year by year, and the income
that a plan needs.
"""

from __future__ import annotations

from datetime import date
from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query, Response
from sqlmodel import Session, col, select

from api.asking import Asking, asking
from api.bodies import MAX_ID
from api.filtering import chosen_alliances
from api.idempotency import Reply
from api.ledger_bodies import MAX_AMOUNT
from api.ledger_visibility import reached_alliances
from api.policy import Action, Resource
from api.problems import ProblemError, not_found
from api.request_threads import ThreadedRoute
from api.routes.entries import KpiYear
from api.routes.figures import AsOf
from api.routes.standing import ThisAlliance
from api.standing_answers import MoneyRowAnswer, NeededAnswer, SimulationAnswer, SufficiencyAnswer
from api.standing_bodies import MoneyRowBody, TakeBackBody
from api.standing_documents import needed_document, share_documents, simulation_document, statement_document
from indexer.instants import day_in_taipei
from indexer.vocabulary import MAX_NTD
from indexer.wording import T_
from matcher.ledger.configuration import current
from matcher.ledger.entries import WHOLE_BP
from matcher.ledger.figures import end_of
from matcher.ledger.periods import common_year, subsidy_days, subsidy_year
from matcher.ledger.simulation import (
    MAX_FEE_NTD,
    MAX_GROWTH_BP,
    MAX_NEW_MEMBERS,
    MAX_SIMULATED_YEARS,
    Assumptions,
    simulate,
)
from matcher.ledger.subsidy import MAX_YEARS, SubsidyPath, needed_income, own_shares
from matcher.ledger.sufficiency import SufficiencyRow, book, statements, take_back
from matcher.people import Principal

router = APIRouter(prefix="/api", tags=["alliances"], route_class=ThreadedRoute)

MoneyRowId = Annotated[int, Path(ge=1, le=MAX_ID)]
_FIRST_YEAR = 2000
PlannedNtd = Annotated[int, Query(ge=0, le=MAX_NTD)]


@router.post("/alliances/{alliance_id}/money-rows", status_code=201, response_model=MoneyRowAnswer)
def book_money_row(
    alliance_id: ThisAlliance,
    body: MoneyRowBody,
    ask: Annotated[Asking, Depends(asking(Resource.MONEY_ROW, Action.CREATE))],
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
    ask: Annotated[Asking, Depends(asking(Resource.MONEY_ROW, Action.REVERSE))],
) -> Response:
    """Take a row back, once; the right amount is booked as a new row."""

    def work(session: Session, who: Principal) -> Reply:
        row = session.get(SufficiencyRow, money_row_id)
        reached = reached_alliances(who, ask.resource, ask.action)
        if row is None or (reached is not None and row.alliance_id not in reached):
            raise not_found("row")
        reversal = take_back(session, row_id=money_row_id, reason=body.reason, by=who.id, now=ask.at)
        return Reply(201, reversal.model_dump(mode="json"), {})

    return ask.write(work, body)


@router.get("/alliances/{alliance_id}/sufficiency", response_model=SufficiencyAnswer)
def read_sufficiency(
    alliance_id: ThisAlliance,
    ask: Annotated[Asking, Depends(asking(Resource.SUFFICIENCY, Action.READ))],
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
    ask: Annotated[Asking, Depends(asking(Resource.SUFFICIENCY, Action.READ))],
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
        begin = running + 1 if first_year is None else common_year(first_year)
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
    ask: Annotated[Asking, Depends(asking(Resource.SUFFICIENCY, Action.READ))],
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
