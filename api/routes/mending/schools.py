"""Schools over time: renamed from a day on, divided on one, and as they were on any day.

In: a new name or labs that go, with the day. Out: what the school is called now; its name and its labs on a day.
"""

from __future__ import annotations

from datetime import date
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Response
from pydantic import BaseModel, ConfigDict, Field
from sqlmodel import Session

from api.access.policy import Action, Resource
from api.documents.answers import Answer
from api.documents.bodies import Word
from api.requests.capacity import ThreadedRoute
from api.requests.idempotency import Reply
from api.requests.permitted_request import PermittedRequest, requires
from api.requests.problems import not_found
from indexer.records.mended.schools import lab_schools_on, school_names_on
from matcher.mending.schools import MOST_LABS, move_labs, rename_school
from matcher.review.people import Principal

router = APIRouter(prefix="/api/schools", tags=["mending"], route_class=ThreadedRoute)
Editing = Annotated[PermittedRequest, Depends(requires(Resource.RECORD, Action.EDIT))]


class RenameBody(BaseModel):
    """What a school is called from a day on."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Word
    name_en: Word = ""
    since: date = Field(description="The first day of the new name; today or before.")


class DivideBody(BaseModel):
    """Which labs of a school go to another one from a day on."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    to: Word = Field(description="The id of the school that they go to.")
    labs: list[Word] = Field(max_length=MOST_LABS, description="Their ids.", examples=[["lab-07"]])
    since: date = Field(description="The first day at the other school; today or before.")


class SchoolThenAnswer(Answer):
    """A school on a day."""

    id: str
    day: date
    name: str
    name_en: str
    labs: list[str] = Field(description="The ids of its labs on that day.")


class MovedLabsAnswer(Answer):
    """The labs that went to another school."""

    labs: list[str]
    to: str
    since: date


@router.get("/{school_id}/on", response_model=SchoolThenAnswer)
def read_school_on(
    school_id: str,
    day: Annotated[date, Query(description="The day.")],
    ask: Annotated[PermittedRequest, Depends(requires(Resource.RECORD, Action.READ))],
) -> Response:
    """Read what a school was called on a day, and which labs were its own."""

    def work(session: Session, _who: Principal) -> Reply:
        names = school_names_on(session, day, [school_id])
        if school_id not in names:
            raise not_found("school")
        labs = sorted(lab_id for lab_id, school in lab_schools_on(session, day).items() if school == school_id)
        name, name_en = names[school_id]
        return Reply(200, {"id": school_id, "day": day.isoformat(), "name": name, "name_en": name_en, "labs": labs}, {})

    return ask.read(work)


@router.post("/{school_id}/rename", response_model=SchoolThenAnswer)
def rename(school_id: str, body: RenameBody, ask: Editing) -> Response:
    """Give a school another name from a day on; reports of the time before call it what it was called then."""

    def work(session: Session, _who: Principal) -> Reply:
        school = rename_school(
            session, school_id=school_id, name=body.name, name_en=body.name_en, since=body.since, now=ask.at
        )
        labs = sorted(lab for lab, its in lab_schools_on(session, body.since).items() if its == school_id)
        document = {"id": school.id, "day": body.since.isoformat(), "name": school.name, "name_en": school.name_en}
        return Reply(200, document | {"labs": labs}, {})

    return ask.write(work, body)


@router.post("/{school_id}/divide", response_model=MovedLabsAnswer)
def divide(school_id: str, body: DivideBody, ask: Editing) -> Response:
    """Let labs of a school belong to another one from a day on."""

    def work(session: Session, _who: Principal) -> Reply:
        moved = move_labs(session, school_id=school_id, to=body.to, lab_ids=body.labs, since=body.since, now=ask.at)
        ask.about("school", body.to)
        ask.about("lab", *moved)
        return Reply(200, {"labs": moved, "to": body.to, "since": body.since.isoformat()}, {})

    return ask.write(work, body)
