"""Pictures over HTTP: an alliance's logo and a lab's photo, put, shown and taken away.

In: a PNG, JPEG or SVG within a JSON document. Out: the PNG that was drawn of it. It exists so that a shortlist looks
like its alliance's letters and a lab like the people in it; whoever sent a file, others get only the drawing.
"""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Response
from pydantic import Base64Bytes, BaseModel, ConfigDict, Field
from sqlmodel import Session, select

from api.access.policy import Action, Resource
from api.access.visibility import labs as visible_labs
from api.access.visibility import reached_alliances
from api.documents.answers import Answer, file_of
from api.requests.capacity import ThreadedRoute
from api.requests.idempotency import Reply
from api.requests.permitted_request import PermittedRequest, requires
from api.requests.problems import not_found
from indexer.records.record_tables import Alliance, Lab
from indexer.wording import either
from matcher.handouts.handout import initials_of
from matcher.handouts.pictures import (
    MAX_SENT_BYTES,
    Owner,
    drawn_from,
    letters,
    picture_of,
    put_picture,
    remove_picture,
)
from matcher.review.people import Principal

router = APIRouter(prefix="/api", tags=["pictures"], route_class=ThreadedRoute)
PNG, SVG = "image/png", "image/svg+xml"
_PICTURE = file_of([PNG, SVG])


class PictureBody(BaseModel):
    """A picture, as it lies in a file."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    content: Annotated[Base64Bytes, Field(max_length=MAX_SENT_BYTES, description="PNG, JPEG or SVG, in base 64.")]


def picture_body(content: bytes) -> PictureBody:
    """Return the body for a file that came with a form."""
    return PictureBody.model_construct(content=content)


class PictureAnswer(Answer):
    """What is stored of a picture."""

    size_bytes: int = Field(description="Of the PNG that was drawn; 0 if there is none.")


@router.put("/alliances/{alliance_id}/logo", response_model=PictureAnswer)
def put_logo(
    alliance_id: str, body: PictureBody, ask: Annotated[PermittedRequest, Depends(requires(Resource.LOGO, Action.EDIT))]
) -> Response:
    """Give your alliance a logo: on its shortlists it stands in the place of its first letter."""
    return _put(ask, Owner.ALLIANCE, alliance_id, body)


@router.delete("/alliances/{alliance_id}/logo", response_model=PictureAnswer)
def end_logo(
    alliance_id: str, ask: Annotated[PermittedRequest, Depends(requires(Resource.LOGO, Action.EDIT))]
) -> Response:
    """Take the logo away."""
    return _put(ask, Owner.ALLIANCE, alliance_id, None)


@router.get("/alliances/{alliance_id}/logo", response_class=Response, responses=_PICTURE)
def read_logo(
    alliance_id: str, ask: Annotated[PermittedRequest, Depends(requires(Resource.LOGO, Action.READ))]
) -> Response:
    """Show an alliance's logo, or the first letter of its name."""
    return _shown(ask, Owner.ALLIANCE, alliance_id, Action.READ)


@router.put("/labs/{lab_id}/photo", response_model=PictureAnswer)
def put_photo(
    lab_id: str, body: PictureBody, ask: Annotated[PermittedRequest, Depends(requires(Resource.LAB, Action.EDIT))]
) -> Response:
    """Give your lab a photo."""
    return _put(ask, Owner.LAB, lab_id, body)


@router.delete("/labs/{lab_id}/photo", response_model=PictureAnswer)
def end_photo(lab_id: str, ask: Annotated[PermittedRequest, Depends(requires(Resource.LAB, Action.EDIT))]) -> Response:
    """Take the photo away."""
    return _put(ask, Owner.LAB, lab_id, None)


@router.get("/labs/{lab_id}/photo", response_class=Response, responses=_PICTURE)
def read_photo(lab_id: str, ask: Annotated[PermittedRequest, Depends(requires(Resource.LAB, Action.READ))]) -> Response:
    """Show a lab's photo, or the first letter of its name."""
    return _shown(ask, Owner.LAB, lab_id, Action.READ)


def _put(ask: PermittedRequest, owner: Owner, owner_id: str, body: PictureBody | None) -> Response:
    with ask.reading() as session:
        _find(session, ask.admitted(session), owner, owner_id, Action.EDIT)
    ask.let_go()
    # Drawing takes longer than storing: no writer waits for it.
    drawing = b"" if body is None else drawn_from(body.content)

    def work(session: Session, who: Principal) -> Reply:
        _find(session, who, owner, owner_id, Action.EDIT)
        if drawing:
            put_picture(session, owner=owner, owner_id=owner_id, content=drawing, by=who.id, now=ask.at)
        else:
            remove_picture(session, owner=owner, owner_id=owner_id)
        return Reply(200, {"size_bytes": len(drawing)}, {})

    return ask.write(work, drawing)


def _shown(ask: PermittedRequest, owner: Owner, owner_id: str, action: Action) -> Response:
    """Return the picture, or the first letters of the name drawn as one: a page need not know which there is."""
    with ask.reading() as session:
        _find(session, ask.admitted(session), owner, owner_id, action)
        content = picture_of(session, owner, owner_id)
        model: type[Any] = Alliance if owner is Owner.ALLIANCE else Lab
        record = session.get_one(model, owner_id)
        name = either(record.name, record.name_en or record.name)
    headers = {"Cache-Control": "private, max-age=60"}
    if not content:
        return Response(letters(initials_of(name)), 200, headers, SVG)
    return Response(content, 200, headers, PNG)


def _find(session: Session, who: Principal, owner: Owner, owner_id: str, action: Action) -> None:
    query: Any = select(Lab.id).where(Lab.id == owner_id, visible_labs(who, action))
    if owner is Owner.ALLIANCE:
        reached = None if action is Action.READ else reached_alliances(who, Resource.LOGO, action)
        query = select(Alliance.id).where(Alliance.id == owner_id)
        if reached is not None and owner_id not in reached:
            raise not_found("alliance")
    if session.exec(query).first() is None:
        raise not_found("alliance") if owner is Owner.ALLIANCE else not_found("lab")
