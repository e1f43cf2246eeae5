"""How a list is looked at: sorted by which column, and the views of it that somebody keeps under a name.

In: a list's address, a column or a name. Out: the list again, the other way round, or with one view more or less over
it. Every list that keeps views shows them by `desk/views.html` with what `views_shown` returns, and every one that
can be sorted has the heads of `shell/sorting.html`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Annotated
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, Path, Response

from api.access.policy import Action, Resource
from api.documents.bodies import MAX_ROW_NUMBER, SavedViewBody
from api.pages.shell.visiting import Visit, visiting
from api.pages.shell.wording import N_
from api.requests.capacity import ThreadedRoute
from api.routes.desk.saved_views import keep_saved_view, remove_saved_view
from matcher.review.desk.saved_views import SavedView, ViewedList, ViewError, cleaned_query, views_of

router = APIRouter(prefix="/views", include_in_schema=False, route_class=ThreadedRoute)

_KEPT = N_("The view is kept: it stands over the list from now on.")
_REMOVED = N_("The view is removed; the list is as it was.")


@dataclass(frozen=True)
class ShownViews:
    """The views of one list: which list, what is chosen on it now, the person's views of it, which one it is if any."""

    page: ViewedList
    query: str | None
    views: Sequence[SavedView]

    @property
    def here(self) -> int | None:
        """The view that shows what is shown now."""
        return next((view.id for view in self.views if view.query == self.query), None)

    @property
    def can_keep(self) -> bool:
        """Whether something is chosen that no view keeps yet."""
        return bool(self.query) and self.here is None


@dataclass(frozen=True)
class Sorting:
    """By which column a list is sorted now, if by one; `path` and `kept` are its address and what is chosen on it."""

    path: str
    kept: Mapping[str, str]
    by: str = ""
    descending: bool = False

    @property
    def asked(self) -> dict[str, str]:
        """What the address says of the order."""
        return {"sort": self.by, **({"descending": "true"} if self.descending else {})} if self.by else {}

    def address(self, column: str) -> str:
        """Return where the list is sorted by a column; if it is already, the other way round."""
        turned = replace(self, by=column, descending=column == self.by and not self.descending)
        return f"{self.path}?{urlencode({**self.kept, **turned.asked})}"


def views_shown(visit: Visit, page: ViewedList, query: str) -> ShownViews:
    """Return the views of a list as they stand over it.

    Args:
        visit: who looks.
        page: at which list.
        query: what its address asks now.
    """
    own = visit.look(lambda session, who: views_of(session, who.id))
    try:
        asked = cleaned_query(query)
    except ViewError:
        # More is chosen than a view can keep: the list is shown all the same.
        asked = None
    return ShownViews(page, asked, [view for view in own if view.page == page.value])


@router.post("")
def keep(visit: Annotated[Visit, Depends(visiting(Resource.SAVED_VIEW, Action.CREATE))]) -> Response:
    """Keep the list that somebody looks at under a name."""
    visit.who()
    body = visit.body(SavedViewBody, visit.values("page", "name", "query"))
    view = visit.document(keep_saved_view, body=body)
    return visit.go(view["address"], _KEPT)


@router.post("/{view_id}/remove")
def remove(
    view_id: Annotated[int, Path(ge=1, le=MAX_ROW_NUMBER)],
    visit: Annotated[Visit, Depends(visiting(Resource.SAVED_VIEW, Action.END))],
) -> Response:
    """Remove a view."""
    visit.who()
    page = str(visit.form.get("page", ""))
    visit.reply(remove_saved_view, view_id=view_id)
    return visit.go(f"/{page}" if page in set(ViewedList) else "/desk", _REMOVED)
