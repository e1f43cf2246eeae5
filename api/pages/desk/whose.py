"""Whose a need, a case or a company is: told in a cell of its list, and changed there.

In: which record, and to which colleague it goes. Out: the list or the page that somebody came from. It exists so that
work is shared out where it is listed, by one press and one choice, and in one form wherever it stands.
"""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Annotated, Any
from urllib.parse import urlsplit

from fastapi import APIRouter, Depends, Path, Response

from api.access.policy import Action, Resource
from api.documents.bodies import MAX_ROW_NUMBER, ClientBody, HandOverBody
from api.pages.shell.visiting import Visit, visiting
from api.pages.shell.wording import N_
from api.requests.capacity import ThreadedRoute
from api.requests.problems import Refusal, not_found
from api.routes.companies import list_experts, look_after
from api.routes.desk.handing_on import hand_case_on, hand_need_on

router = APIRouter(prefix="/desk/whose", include_in_schema=False, route_class=ThreadedRoute)

_HANDED = N_("Handed on; your colleague is told.")
_NUMBER = re.compile(r"[1-9][0-9]{0,9}")
_BACK = re.compile(r"/(?:desk|needs|cases|companies)(?:/[^/?#]+)?(?:\?[^#]*)?")


class Handed(StrEnum):
    """What is handed to a colleague."""

    NEED = "need"
    CASE = "case"
    COMPANY = "company"


def colleagues(visit: Visit) -> list[dict[str, Any]]:
    """Return who works in the person's alliances, for the choice of one; nobody for whoever hands nothing on."""
    found = visit.attempt(lambda: visit.document(list_experts))
    if isinstance(found, Refusal):
        return []
    return list(found["items"])


def hand(visit: Visit, handed: Handed, record_id: str) -> None:
    """Hand a record to the colleague whom the form names.

    Raises:
        Exception: whatever the API refuses.
    """
    if handed is Handed.COMPANY:
        # The alliance is the colleague's: whoever works in several would have to name it else.
        named = (one["alliance"] for one in colleagues(visit) if one["id"] == visit.form.get("expert"))
        body = visit.body(ClientBody, visit.values("expert") | {"alliance": min(named, default="")})
        visit.reply(look_after, company_id=record_id, body=body)
        return
    given = visit.body(HandOverBody, visit.values("expert", "note"))
    if handed is Handed.NEED:
        visit.reply(hand_need_on, need_id=record_id, body=given)
        return
    if not _NUMBER.fullmatch(record_id) or int(record_id) > MAX_ROW_NUMBER:
        raise not_found("case")
    visit.reply(hand_case_on, case_id=int(record_id), body=given)


@router.post("/{handed}/{record_id}")
def change_whose(
    handed: Annotated[str, Path(max_length=20)],
    record_id: Annotated[str, Path(max_length=200)],
    visit: Annotated[Visit, Depends(visiting(Resource.QUEUE, Action.EDIT))],
) -> Response:
    """Hand a record to a colleague from its list or its page, and go back there."""
    visit.who()
    if handed not in set(Handed):
        raise not_found("record")
    hand(visit, Handed(handed), record_id)
    back = str(visit.form.get("back", ""))
    is_ours = _BACK.fullmatch(back) is not None and not urlsplit(back).netloc
    return visit.go(back if is_ours else "/desk", _HANDED)
