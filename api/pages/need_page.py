"""A need as its page shows it: what it says, who has it, and what this person can do with it now.

In: a need's id and who asks. Out: values for the template `need.html`. It exists
because several routes answer with that page: the need alone, with its ranked
labs, with one pairing, and with a form that was refused.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlmodel import Session, col, select

from api.pages.candidate_facts import company_contacts
from api.pages.need_fields import NEED_FACTS
from api.pages.need_names import NeedNames, names_of
from api.pages.visiting import Visit
from api.problems import Refusal
from api.routes.needs import read_need
from indexer.instants import now
from indexer.records import Alliance
from matcher.intake import NeedState
from matcher.people import Principal
from matcher.roles import Role

STAFF = (Role.EXPERT, Role.LEAD)
_FACTS = tuple(one for one in NEED_FACTS if one.name != "confidentiality")


def need_context(
    visit: Visit,
    need_id: str,
    *,
    need: dict[str, Any] | None = None,
    refused: Refusal | None = None,
    form: str = "",
) -> dict[str, Any]:
    """Return what `need.html` shows.

    Args:
        visit: who asks.
        need_id: the need.
        need: its document if it was read already, such as with its text unlocked.
        refused: why a form of the page was refused.
        form: which one.

    Raises:
        ProblemError: 404, there is no such need, or it is not for this person.
    """
    need = need or visit.document(read_need, need_id=need_id)

    def read(session: Session, who: Principal) -> tuple[NeedNames, list[Alliance], tuple[int, Any], Principal]:
        alliances = list(session.exec(select(Alliance).order_by(col(Alliance.id))).all())
        return names_of(session, [need]), alliances, company_contacts(session, who, need["company"]), who

    names, alliances, contacts, who = visit.look(read)
    ours = who.scopes(*STAFF)
    is_ours = need["alliance"] in ours
    state, office = need["state"], who.holds(Role.OFFICE)
    held = {need["alliance"], *need["shared_with"]}
    return {
        "need": need,
        "facts": _FACTS,
        "names": names,
        "other_alliances": [alliance for alliance in alliances if alliance.id not in held],
        "contacts": contacts,
        "days": days_waiting(need),
        "can_match": is_ours or bool(ours & set(need["shared_with"])),
        "can_take_up": is_ours and state in (NeedState.SUBMITTED, NeedState.CLOSED),
        "can_close": is_ours and state == NeedState.TAKEN_UP,
        "can_withdraw": is_ours and state in (NeedState.SUBMITTED, NeedState.TAKEN_UP),
        "can_share": is_ours or office,
        "can_assign": office and state == NeedState.SUBMITTED,
        "refused": refused,
        "form": form,
    }


def days_waiting(need: dict[str, Any]) -> int | None:
    """Return for how many days a need that is not settled has been waiting; None if it is settled."""
    if need["submitted_at"] is None or need["state"] not in (NeedState.SUBMITTED, NeedState.TAKEN_UP):
        return None
    return max((now() - datetime.fromisoformat(need["submitted_at"])).days, 0)
