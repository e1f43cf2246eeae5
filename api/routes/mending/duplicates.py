"""Likely duplicates: pairs with their reasons, and the word that two are two.

In: a kind of record; a pair. Out: pairs that may be one, the surest first. To make one of two is `merge`.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Response
from pydantic import BaseModel, ConfigDict, Field
from sqlmodel import Session

from api.access.policy import Action, Resource
from api.documents.answers import Answer
from api.documents.bodies import Word
from api.requests.capacity import REPORTING, ThreadedRoute, takes
from api.requests.idempotency import Reply
from api.requests.permitted_request import PermittedRequest, requires
from indexer.vocabulary import Mendable
from matcher.mending.duplicates import likely_duplicates, tell_apart
from matcher.mending.retiring import RecordName, record_names
from matcher.review.people import Principal

router = APIRouter(prefix="/api", tags=["mending"], route_class=ThreadedRoute)


class Doubled(StrEnum):
    """Of what duplicates are looked for."""

    LAB = "lab"
    COMPANY = "company"
    SCHOOL = "school"
    PERSON = "person"


class LikelyAnswer(Answer):
    """Two records that may be one, and why."""

    kind: Doubled
    first: str
    first_name: str
    first_name_en: str
    second: str
    second_name: str
    second_name_en: str
    score: int = Field(description="How sure, 100 where an identifier is the same.")
    reasons: list[str]


class LikelyPageAnswer(Answer):
    """Pairs, the surest first."""

    items: list[LikelyAnswer]


class ApartBody(BaseModel):
    """Two records that are two."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Doubled
    first: Word
    second: Word


class ApartAnswer(Answer):
    """That two records are two."""

    kind: Doubled
    first: str
    second: str


@router.get("/duplicates", response_model=LikelyPageAnswer)
@takes(REPORTING)
def list_duplicates(
    ask: Annotated[PermittedRequest, Depends(requires(Resource.RECORD, Action.LIST))],
    kind: Annotated[Doubled, Query(description="Of what.")] = Doubled.LAB,
    limit: Annotated[int, Query(ge=1, le=1_000)] = 200,
) -> Response:
    """List pairs of records that are probably one, the surest first, with the reasons; none is merged by itself."""

    def work(session: Session, _who: Principal) -> Reply:
        found = likely_duplicates(session, Mendable(kind), limit=limit)
        names = record_names(session, Mendable(kind), {one for pair in found for one in (pair.first, pair.second)})
        nobody = RecordName()
        items = [
            {
                "kind": one.kind.value,
                "first": one.first,
                "first_name": names.get(one.first, nobody).name,
                "first_name_en": names.get(one.first, nobody).name_en,
                "second": one.second,
                "second_name": names.get(one.second, nobody).name,
                "second_name_en": names.get(one.second, nobody).name_en,
                "score": one.score,
                "reasons": list(one.reasons),
            }
            for one in found
        ]
        return Reply(200, {"items": items}, {})

    return ask.read(work)


@router.post("/duplicates/apart", response_model=ApartAnswer)
def say_apart(
    body: ApartBody, ask: Annotated[PermittedRequest, Depends(requires(Resource.RECORD, Action.EDIT))]
) -> Response:
    """Say that two records are two: they are proposed no more."""

    def work(session: Session, who: Principal) -> Reply:
        kind = Mendable(body.kind)
        said = tell_apart(session, kind=kind, first=body.first, second=body.second, by=who.id, now=ask.at)
        ask.about("account" if kind is Mendable.PERSON else kind.value, said.first_id, said.second_id)
        return Reply(200, {"kind": said.kind, "first": said.first_id, "second": said.second_id}, {})

    return ask.write(work, body)
