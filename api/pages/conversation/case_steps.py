"""The steps of a case that are not made by one press: introducing what is confidential, and signing.

In: a press on the board or on a case's page. Out: a page that names what the lab will read and who there reads it, with
the button that does it, and the way back as long as nobody has opened it; the form of a signature, with what the ledger
will need. It exists because these two can't be mended later: what was read is read, and a contract that is not at hand
is not looked for.
"""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Response
from sqlmodel import Session

from api.access.policy import Action, Resource
from api.documents.bodies import TransitionBody
from api.letters.caring import holders
from api.pages.results.forms import FIELDS, instalments_of, plain_number, shares_of, store_files
from api.pages.shell.form_fields import NEED_FACTS
from api.pages.shell.receiving import MAX_FILES, receiving
from api.pages.shell.record_names import every, people, scope_names
from api.pages.shell.visiting import Visit, visiting
from api.pages.shell.wording import N_
from api.requests.capacity import ThreadedRoute
from api.requests.problems import Refusal
from api.routes.cases import CaseId, move_case_on, read_case, take_introduction_back
from api.routes.needs import read_need
from indexer.instants import day_in_taipei, now
from indexer.records.field_notes import Audience
from indexer.records.record_tables import Alliance
from indexer.vocabulary import Confidentiality
from matcher.ledger.rows.kpis import Kpi
from matcher.review.cases import Stage
from matcher.review.roles import Role

router = APIRouter(prefix="/cases", include_in_schema=False, route_class=ThreadedRoute)

SHARE_ROWS, PART_ROWS = 3, 6
SIGNATURES = "/cases/signatures"
"""Where the form of a signature goes: it brings a file, and is received only from who may send one."""
_SHOWN = tuple(one for one in NEED_FACTS if one.note.audience in (Audience.EVERYBODY, Audience.INTRODUCED))


def ask_before_introducing(visit: Visit, case_id: int) -> Response | None:
    """Return the page that asks before a lab is introduced to a need that is not public; None if nothing is asked."""
    answered = visit.reply(read_case, case_id=case_id)
    case = answered.document
    need: Any = visit.attempt(lambda: visit.document(read_need, need_id=case["need_id"]))
    if isinstance(need, Refusal) or need["confidentiality"] == Confidentiality.PUBLIC:
        return None
    if Stage(case["stage"]) is not Stage.ACCEPTED:
        return None

    def read(session: Session, _: object) -> tuple[dict[str, tuple[str, str]], list[str]]:
        who = people(session, holders(session, [Role.RESEARCHER], [case["lab_id"]]))
        return scope_names(session, [case["lab_id"]]), sorted(who.values())

    names, readers = visit.look(read)
    return visit.show(
        "conversation/introduce.html",
        case=case,
        need=need,
        shown=_SHOWN,
        lab=names.get(case["lab_id"], ("", "")),
        readers=readers,
        etag=answered.headers["ETag"],
        back=visit.values("back", "mine", "overdue"),
    )


@router.post("/{case_id}/introduction/take-back")
def take_back(case_id: CaseId, visit: Annotated[Visit, Depends(visiting(Resource.CASE, Action.MOVE))]) -> Response:
    """Take an introduction back."""
    refused = visit.attempt(lambda: visit.reply(take_introduction_back, case_id=case_id))
    if isinstance(refused, Refusal):
        return visit.show("conversation/not_taken_back.html", refused.status, case_id=case_id, refused=refused)
    return visit.go(f"/cases/{case_id}", N_("The introduction is taken back; the lab knows nothing of the need."))


@router.get("/{case_id}/signature")
def show_signature(case_id: CaseId, visit: Annotated[Visit, Depends(visiting(Resource.CASE, Action.MOVE))]) -> Response:
    """Show the form of a signature."""
    return _form(visit, case_id)


def _form(visit: Visit, case_id: int, refused: Refusal | None = None) -> Response:
    answered = visit.reply(read_case, case_id=case_id)
    case = answered.document
    if Stage(case["stage"]) is not Stage.NEGOTIATING:
        return visit.go(f"/cases/{case_id}")
    purpose = next(one for one in FIELDS[Kpi.MONEY] if one.name == "purpose")
    given: dict[str, Any] = (
        dict(visit.form)
        if refused is not None
        else {
            "signed_on": day_in_taipei(now()).isoformat(),
            "alliance-1": case["alliance_id"],
            "percent-1": "100",
        }
    )
    return visit.show(
        "conversation/signature.html",
        refused.status if refused else 200,
        case=case,
        etag=answered.headers["ETag"],
        lab=visit.look(lambda session, _: scope_names(session, [case["lab_id"]])).get(case["lab_id"], ("", "")),
        alliances=visit.look(lambda session, _: every(session, Alliance)),
        purposes=purpose.options,
        share_rows=range(1, SHARE_ROWS + 1),
        part_rows=range(1, PART_ROWS + 1),
        given=given,
        refused=refused,
        most_files=MAX_FILES,
    )


@router.post("/signatures")
def sign(visit: Annotated[Visit, Depends(receiving(Resource.CASE, Action.MOVE))]) -> Response:
    """Move a case to signed, with what was signed."""
    number = str(visit.form.get("case_id", ""))
    case_id = int(number) if number.isdigit() and len(number) < 10 else 0

    def work() -> None:
        signing: dict[str, Any] = visit.values("signed_on", "ends_on", "contract", "purpose")
        amount = visit.values("amount_ntd").get("amount_ntd")
        if amount is not None:
            signing["amount_ntd"] = plain_number(amount)
        signing |= {"instalments": instalments_of(visit, PART_ROWS), "shares": shares_of(visit, SHARE_ROWS)}
        document = next(store_files(visit), None)
        if document is not None:
            signing["document"] = document
        body = visit.body(TransitionBody, {"stage": "signed", "signing": signing})
        visit.reply(move_case_on, case_id=case_id, body=body)

    refused = visit.attempt(work)
    if isinstance(refused, Refusal):
        blamed = (refused.field or "").removeprefix("signing.")
        shown = Refusal(refused.status, refused.name, refused.detail, blamed or None)
        return _form(visit, case_id, shown)
    return visit.go(f"/cases/{case_id}", N_("The case is signed. The result is pre-filled from what you entered."))
