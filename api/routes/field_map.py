"""The map of the field: labs and needs as points, as far as the person may see them.

In: the map that was drawn last, with its areas. Out: its points with what names them, read from
the records as they are now, so that who may see what, and under which name, is
never a matter of when the map was drawn.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import hypot
from statistics import median
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Response
from sqlalchemy import func
from sqlalchemy import select as select_columns
from sqlmodel import Session, col, select

from api.access.policy import Action, Resource
from api.access.visibility import labs as visible_labs
from api.access.visibility import needs as visible_needs
from api.access.visibility import readable
from api.documents.matching.matches import FieldMapAnswer
from api.requests.capacity import ThreadedRoute
from api.requests.idempotency import Reply
from api.requests.permitted_request import PermittedRequest, requires
from api.trail.request_trail import NeedReader
from indexer.records.record_tables import Lab, Need
from indexer.vocabulary import ResearchField
from matcher.ranking.ranker import Band
from matcher.review.intake import OPEN_STATES, NeedIntake, NeedState
from matcher.review.mapped.areas import Area, kept_areas
from matcher.review.mapped.field_map import FieldMap, MappedLab, MappedNeed, NeedStanding, last_map
from matcher.review.people import Principal

router = APIRouter(prefix="/api", tags=["map"], route_class=ThreadedRoute)


@router.get("/field-map", response_model=FieldMapAnswer)
def read_field_map(
    ask: Annotated[PermittedRequest, Depends(requires(Resource.FIELD_MAP, Action.READ))],
    field: Annotated[ResearchField | None, Query(description="Only labs and needs of this field.")] = None,
    unmet: Annotated[bool, Query(description="Of the needs only those that no lab is good for.")] = False,
) -> Response:
    """Read the map of labs and needs; places stay nearly the same from night to night."""

    def work(session: Session, who: Principal) -> Reply:
        drawn = last_map(session)
        labs, needs = (_labs(session, who, drawn), _needs(session, who, drawn)) if drawn else ([], [])
        kept = kept_areas(ask.request.app.state.home, drawn.inputs) if drawn else None
        areas = _areas(kept or (), labs, needs)
        document = {
            "drawn_at": None if drawn is None else drawn.drawn_at.isoformat(),
            "generation": None if drawn is None else drawn.generation,
            "ranker_version": None if drawn is None else drawn.ranker_version,
            "labs": [lab for lab in labs if field is None or field in lab["fields"]],
            "needs": _asked_for(needs, field, unmet, to=ask),
            "areas": areas,
            "labs_without_place": _count(session, Lab, visible_labs(who, Action.LIST)) - len(labs),
            "needs_without_place": _count(session, Need, visible_needs(who, Action.LIST)) - len(needs),
            "withheld": sum(who.has_stake(company_id=need["company"], lab_id=None) for need in needs),
        }
        return Reply(200, document, {})

    return ask.read(work)


def _count(session: Session, table: type[Lab] | type[Need], condition: Any) -> int:
    return session.exec(select(func.count()).select_from(table).where(condition)).one()


def _labs(session: Session, who: Principal, drawn: FieldMap) -> list[dict[str, Any]]:
    # Columns, not objects: of twenty thousand labs it makes the difference between a blink and a wait.
    columns = (col(Lab.id), col(Lab.name), col(Lab.name_en), col(Lab.school), col(Lab.fields))
    query = (
        select_columns(*columns, col(MappedLab.x), col(MappedLab.y))
        .join(MappedLab, col(MappedLab.lab_id) == col(Lab.id))
        .where(col(MappedLab.map_id) == drawn.id, visible_labs(who, Action.LIST))
        .order_by(col(Lab.id))
    )
    names = ("lab_id", "name", "name_en", "school", "fields", "x", "y")
    return [{**dict(zip(names, row, strict=True)), "area": None} for row in session.connection().execute(query)]


def _needs(session: Session, who: Principal, drawn: FieldMap) -> list[dict[str, Any]]:
    query = (
        select(Need, MappedNeed, NeedIntake.state, readable(who))
        .join(MappedNeed, col(MappedNeed.need_id) == col(Need.id))
        .join(NeedIntake, col(NeedIntake.need_id) == col(Need.id), isouter=True)
        .where(MappedNeed.map_id == drawn.id, visible_needs(who, Action.LIST))
        .order_by(col(Need.id))
    )
    return [_need(who, *row) for row in session.exec(query)]


def _areas(
    kept: Sequence[Area], labs: Sequence[dict[str, Any]], needs: Sequence[dict[str, Any]]
) -> list[dict[str, Any]]:
    """Return the areas in which somebody sees labs, each in the middle of those; say of labs and needs where they lie.

    Only places of labs that the person sees count, so that no area tells of others.
    """
    seen = {lab["lab_id"]: lab for lab in labs}
    found: list[dict[str, Any]] = []
    for area in kept:
        members = [seen[lab_id] for lab_id in area.labs if lab_id in seen]
        if not members:
            continue
        for lab in members:
            lab["area"] = len(found)
        x, y = (median(lab[axis] for lab in members) for axis in ("x", "y"))
        found.append({"words": area.words, "words_en": area.words_en, "field": area.field, "x": x, "y": y})
    for need in needs if found else ():
        far = [hypot(area["x"] - need["x"], area["y"] - need["y"]) for area in found]
        need["area"] = far.index(min(far))
    return found


def _asked_for(needs: list[dict[str, Any]], field: str | None, unmet: bool, *, to: NeedReader) -> list[dict[str, Any]]:
    """Return those of the needs that are shown."""
    found = [need for need in needs if (field is None or field in need["fields"]) and (need["is_unmet"] or not unmet)]
    for one in found:
        to.reads(one["need_id"], withheld=one["title"] is None)
    return found


def _need(who: Principal, need: Need, place: MappedNeed, state: str | None, is_readable: bool) -> dict[str, Any]:
    state = state or NeedState.SUBMITTED.value
    withheld = who.has_stake(company_id=need.company, lab_id=None)
    allowed, band = (None, None) if withheld else (place.labs_allowed, place.best_band)
    is_unmet = (
        state in OPEN_STATES
        and allowed is not None
        and NeedStanding(allowed, None if band is None else Band(band)).is_unmet
    )
    return {
        "need_id": need.id,
        "title": need.title if is_readable else None,
        "company": need.company,
        "fields": need.fields,
        "state": state,
        "x": place.x,
        "y": place.y,
        "labs_allowed": allowed,
        "best_band": band,
        "is_unmet": is_unmet,
        "area": None,
    }
