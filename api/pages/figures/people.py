"""What an alliance says of its people in pages: points that they earn, and how many of each gender there are.

In: an alliance and a subsidy year; an activity of somebody, who is registered on the way and from then on stands there
by a pseudonym alone; counts of a group, or why a share is low. Out: the year's points with what each is paid, and the
year's counts, what changes shown beside what holds before anything is stored. It exists because both are facts that
nobody changes afterwards: a later count takes an earlier one's place, and points are taken back in the open.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Response
from sqlmodel import Session

from api.access.policy import Action, Resource
from api.documents.ledger_bodies import GenderAnalysisBody, GenderCountsBody, PersonBody, PointBody, TakeBackBody
from api.pages.figures.kpi import DAY, view_of
from api.pages.shell.visiting import Visit, visiting
from api.pages.shell.wording import N_
from api.requests.capacity import ThreadedRoute
from api.requests.problems import Refusal
from api.routes.ledger.alliances import (
    PointRowId,
    ThisAlliance,
    analyse_gender,
    earn_points,
    read_alliance_gender,
    read_points,
    reverse_point_row,
    supply_gender_counts,
)
from api.routes.ledger.entries import register_person
from matcher.ledger.figures.gender import COUNTED_FROM, GENDER_LABELS, GROUP_LABELS, GenderGroup
from matcher.ledger.figures.sufficiency import ActivityType, PointRules
from matcher.ledger.rows.details import Gender
from matcher.ledger.rows.periods import common_year, roc_year, subsidy_year
from matcher.ledger.rules.configuration import current
from matcher.review.people import Principal

router = APIRouter(include_in_schema=False, route_class=ThreadedRoute)

_YEARS_SHOWN = 5
_POINT_FIELDS = ("person_name", "person_identifier", "activity", "occurred_on", "source")
_COUNT_FIELDS = tuple(gender.value for gender in Gender)


@dataclass(frozen=True)
class CountChange:
    """Counts of a group that are about to be stored: what holds (None: nothing was supplied), and what would."""

    group: GenderGroup
    before: Mapping[str, int] | None
    after: Mapping[str, int]
    source: str


def _years(running: int, *, with_running: bool) -> list[tuple[int, int]]:
    """Return the subsidy years that can be chosen, the latest first, each with how it is called."""
    last = running if with_running else running - 1
    return [(year, roc_year(year)) for year in range(last, last - _YEARS_SHOWN, -1)]


def _chosen(year: str, otherwise: int) -> int:
    return common_year(int(year)) if year.isdecimal() and len(year) <= 4 else otherwise


@router.get("/sufficiency/{alliance_id}/points")
def show_points(
    visit: Annotated[Visit, Depends(visiting(Resource.POINT, Action.READ))], alliance_id: str, year: DAY = ""
) -> Response:
    """Show a year's points, what each person is paid for them, and the form for one more activity."""
    return _points_page(visit, alliance_id, year)


@router.post("/sufficiency/{alliance_id}/points")
def note_activity(
    visit: Annotated[Visit, Depends(visiting(Resource.POINT, Action.CREATE))], alliance_id: str
) -> Response:
    """Register the person, and note what was done."""
    given = visit.values(*_POINT_FIELDS)

    def work() -> None:
        named = {"name": given.get("person_name", ""), "identifier": given.get("person_identifier", "")}
        person = visit.document(register_person, body=visit.body(PersonBody, named))["pseudonym"]
        told = {name: given.get(name, "") for name in ("activity", "occurred_on", "source")}
        visit.reply(earn_points, alliance_id=alliance_id, body=visit.body(PointBody, {**told, "person": person}))

    done = visit.attempt(work)
    if isinstance(done, Refusal):
        return _points_page(visit, alliance_id, refused=done)
    return visit.go(f"/sufficiency/{alliance_id}/points", N_("The points are noted."))


@router.post("/sufficiency/{alliance_id}/points/{point_row_id}/reverse")
def take_points_back(
    visit: Annotated[Visit, Depends(visiting(Resource.POINT, Action.REVERSE))],
    alliance_id: ThisAlliance,
    point_row_id: PointRowId,
) -> Response:
    """Take points back, once."""

    def work() -> None:
        body = visit.body(TakeBackBody, {"reason": visit.form.get("reason") or ""})
        visit.reply(reverse_point_row, point_row_id=point_row_id, body=body)

    done = visit.attempt(work)
    if isinstance(done, Refusal):
        return _points_page(visit, alliance_id, refused=done)
    return visit.go(f"/sufficiency/{alliance_id}/points", N_("The points are taken back."))


def _activities(session: Session, _: Principal) -> dict[str, ActivityType]:
    return dict(current(session, PointRules).activities)


def _points_page(visit: Visit, alliance_id: str, year: str = "", *, refused: Refusal | None = None) -> Response:
    view = view_of(visit, Resource.POINT, "", alliance_id, one_alliance=True)
    running = subsidy_year(view.today)
    chosen = min(_chosen(year, running), running)
    found = visit.document(read_points, alliance_id=alliance_id, year=chosen)
    return visit.show(
        "figures/points.html",
        refused.status if refused else 200,
        view=view,
        found=found,
        year=chosen,
        years=_years(running, with_running=True),
        activities=visit.look(_activities),
        taken_back={row["reverses"] for row in found["rows"] if row["reverses"]},
        typed={name: str(visit.form.get(name, "")) if refused else "" for name in _POINT_FIELDS},
        refused=refused,
    )


@router.get("/gender/{alliance_id}")
def show_gender(
    visit: Annotated[Visit, Depends(visiting(Resource.GENDER_FIGURE, Action.READ))], alliance_id: str, year: DAY = ""
) -> Response:
    """Show an alliance's own counts of a closed subsidy year, and the forms to supply and to explain them."""
    return _gender_page(visit, alliance_id, year)


@router.post("/gender/{alliance_id}")
def supply(
    visit: Annotated[Visit, Depends(visiting(Resource.GENDER_FIGURE, Action.CREATE))], alliance_id: str
) -> Response:
    """Show what counts would change, and once that was seen, store them; or store why a share is low."""
    given = visit.values("year", "group", "source", "text", *_COUNT_FIELDS)
    about = {name: given.get(name, "") for name in ("year", "group")}
    if "text" in visit.form:
        done = visit.attempt(
            lambda: visit.reply(
                analyse_gender,
                alliance_id=alliance_id,
                body=visit.body(GenderAnalysisBody, {**about, "text": given.get("text", "")}),
            )
        )
        said = N_("The analysis is stored.")
    else:
        people = {name: given[name] for name in _COUNT_FIELDS if given.get(name)}
        told = {**about, "people": people, "source": given.get("source", "")}
        body = visit.attempt(lambda: visit.body(GenderCountsBody, told))
        if not isinstance(body, Refusal) and "store" not in visit.form:
            return _gender_page(visit, alliance_id, about["year"], changed=body)
        done = body if isinstance(body, Refusal) else visit.attempt(
            lambda: visit.reply(supply_gender_counts, alliance_id=alliance_id, body=body)
        )  # fmt: skip
        said = N_("The counts are stored.")
    if isinstance(done, Refusal):
        return _gender_page(visit, alliance_id, about["year"], refused=done)
    return visit.go(f"/gender/{alliance_id}?year={about['year']}", said)


def _gender_page(
    visit: Visit,
    alliance_id: str,
    year: str,
    *,
    changed: GenderCountsBody | None = None,
    refused: Refusal | None = None,
) -> Response:
    view = view_of(visit, Resource.GENDER_FIGURE, "", alliance_id, one_alliance=True)
    last = subsidy_year(view.today) - 1
    chosen = min(_chosen(year, last), last)
    found = visit.document(read_alliance_gender, alliance_id=alliance_id, year=chosen)
    typed: dict[str, Any] = {name: str(visit.form.get(name, "")) for name in ("group", "source", *_COUNT_FIELDS)}
    return visit.show(
        "figures/gender.html",
        refused.status if refused else 200,
        view=view,
        found=found,
        year=chosen,
        years=_years(last + 1, with_running=False),
        genders=[(gender.value, GENDER_LABELS[gender]) for gender in Gender],
        supplied=[(group.value, GROUP_LABELS[group]) for group in GenderGroup if group not in COUNTED_FROM],
        change=None if changed is None else _change(found, changed),
        typed=typed if refused or changed else dict.fromkeys(typed, ""),
        refused=refused,
    )


def _change(found: Mapping[str, Any], body: GenderCountsBody) -> CountChange:
    before = next(one["people"] for one in found["groups"] if one["group"] == body.group)
    after = {gender.value: body.people.get(gender, 0) for gender in Gender}
    return CountChange(body.group, before, after, body.source)
