"""Views of lists that somebody keeps, over HTTP.

In: which list, what was chosen on it, a name. Out: the person's own views. See `matcher.review.desk.saved_views`.
"""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Response
from sqlmodel import Session

from api.access.policy import Action, Resource
from api.documents.answers import Page
from api.documents.bodies import MAX_ROW_NUMBER, SavedViewBody
from api.documents.desk.today import SavedViewAnswer
from api.requests.capacity import ThreadedRoute
from api.requests.idempotency import Reply
from api.requests.permitted_request import PermittedRequest, requires
from api.requests.problems import not_found
from matcher.review.desk.saved_views import SavedView, drop_view, keep_view, views_of
from matcher.review.people import Principal

router = APIRouter(prefix="/api/saved-views", tags=["queue"], route_class=ThreadedRoute)


@router.get("", response_model=Page[SavedViewAnswer])
def list_saved_views(ask: Annotated[PermittedRequest, Depends(requires(Resource.SAVED_VIEW, Action.LIST))]) -> Response:
    """List the views that you keep, list by list."""

    def work(session: Session, who: Principal) -> Reply:
        return Reply(200, {"items": [_document(view) for view in views_of(session, who.id)], "next": None}, {})

    return ask.read(work)


@router.post("", status_code=201, response_model=SavedViewAnswer)
def keep_saved_view(
    body: SavedViewBody, ask: Annotated[PermittedRequest, Depends(requires(Resource.SAVED_VIEW, Action.CREATE))]
) -> Response:
    """Keep a list as you see it; one of the same name on the same list is replaced."""

    def work(session: Session, who: Principal) -> Reply:
        view = keep_view(session, account_id=who.id, page=body.page, name=body.name, query=body.query, now=ask.at)
        return Reply(201, _document(view), {"Location": view.address})

    return ask.write(work, body)


@router.delete("/{view_id}", status_code=204)
def remove_saved_view(
    view_id: Annotated[int, Path(ge=1, le=MAX_ROW_NUMBER)],
    ask: Annotated[PermittedRequest, Depends(requires(Resource.SAVED_VIEW, Action.END))],
) -> Response:
    """Remove a view of yours; the list and what is on it stay."""

    def work(session: Session, who: Principal) -> Reply:
        if not drop_view(session, account_id=who.id, view_id=view_id):
            raise not_found("view")
        return Reply(204, None, {})

    return ask.write(work)


def _document(view: SavedView) -> dict[str, Any]:
    return {**view.model_dump(mode="json", include={"id", "page", "name", "query"}), "address": view.address}
