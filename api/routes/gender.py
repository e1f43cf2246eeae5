"""Gender statistics: what alliances supply once a subsidy year has closed, and what of it may be passed on.

In: counts by group and gender, and analyses of causes. Out: an alliance's own
figures, exact and for itself only; the programme's, without small cells. The
programme's are of closed years as a whole: two tables of different days would
tell of the person between them.
"""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Response
from sqlmodel import Session

from api.asking import Asking, asking
from api.filtering import chosen_alliances
from api.gender_answers import AllianceGenderAnswer, GenderAnalysisAnswer, GenderCountsAnswer, ProgrammeGenderAnswer
from api.idempotency import Reply
from api.policy import Action, Resource
from api.problems import ProblemError
from api.request_threads import ThreadedRoute
from api.routes.entries import KpiYear
from api.routes.standing import ThisAlliance
from api.routes.sufficiency import chosen_subsidy_year
from api.standing_bodies import GenderAnalysisBody, GenderCountsBody
from api.standing_documents import label
from indexer.instants import day_in_taipei
from indexer.wording import T_
from matcher.ledger.configuration import current
from matcher.ledger.details import Gender
from matcher.ledger.gender import GROUP_LABELS, GenderRules, Group, analyse, is_closed, supply_counts
from matcher.ledger.gender_figures import Imbalance, Published, counts, imbalances, published
from matcher.ledger.periods import roc_year, subsidy_days, subsidy_year
from matcher.people import Principal

router = APIRouter(prefix="/api", tags=["alliances"], route_class=ThreadedRoute)


@router.post("/alliances/{alliance_id}/gender-counts", status_code=201, response_model=GenderCountsAnswer)
def supply_gender_counts(
    alliance_id: ThisAlliance,
    body: GenderCountsBody,
    ask: Annotated[Asking, Depends(asking(Resource.GENDER_FIGURE, Action.CREATE))],
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
    ask: Annotated[Asking, Depends(asking(Resource.GENDER_FIGURE, Action.CREATE))],
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
    ask: Annotated[Asking, Depends(asking(Resource.GENDER_FIGURE, Action.READ))],
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
        for group in Group:
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
    ask: Annotated[Asking, Depends(asking(Resource.PROGRAMME_GENDER, Action.READ))], year: KpiYear = None
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
        tables = [published(group, counts(session, year=chosen, group=group, as_of=ask.at), rules) for group in Group]
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


def _year(year: int | None, ask: Asking) -> int:
    today = day_in_taipei(ask.at)
    return subsidy_year(today) - 1 if year is None else chosen_subsidy_year(year, today)


def _group(group: Group) -> dict[str, Any]:
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
