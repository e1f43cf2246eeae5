"""Results on their way through the ledger: listed with what they lack, supplemented, withdrawn.

In: who asks, and the word of the alliance on what it reported. Out: the same as the API's `/api/ledger/entries`, in
pages. A form that is refused comes back with what was typed and the files that were stored: nothing is sent twice.
"""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Response

from api.ledger_bodies import ReasonBody, SupplementBody
from api.pages.new_result import MOST_PARTS
from api.pages.receiving import receiving
from api.pages.result_parts import kept_files, on_the_form, stored, words
from api.pages.visiting import Visit, visiting
from api.pages.wording import N_
from api.policy import Action, Resource
from api.problems import Refusal, not_found
from api.request_threads import ThreadedRoute
from api.routes.entries import EntryId, list_entries, read_entry
from api.routes.recognition import supplement_entry, withdraw_entry
from matcher.ledger.kpis import Kpi
from matcher.ledger.requirements import Requirement
from matcher.ledger.steps import State
from matcher.roles import Role

router = APIRouter(prefix="/results", include_in_schema=False, route_class=ThreadedRoute)


@router.get("")
def show_results(
    visit: Annotated[Visit, Depends(visiting(Resource.ENTRY, Action.LIST))],
    kpi: str = "",
    state: str = "",
    alliance: Annotated[str, Query(max_length=200)] = "",
    period: Annotated[str, Query(max_length=20)] = "",
    year: str = "",
    reported: Annotated[list[str] | None, Query(max_length=MOST_PARTS)] = None,
    cursor: Annotated[str | None, Query(max_length=500)] = None,
) -> Response:
    """Show the entries that a person may see, the latest first, and what the last report became."""
    chosen = {
        "kpi": Kpi(kpi) if kpi in set(Kpi) else None,
        "state": State(state) if state in set(State) else None,
        "alliance": alliance or None,
        "period": period.strip() or None,
        "year": int(year) if year.isascii() and year.isdigit() and 1 <= int(year[:5]) <= 3_000 else None,
    }
    found = visit.document(list_entries, case=None, newest=True, limit=50, cursor=cursor, **chosen)
    fresh = (_read(visit, entry_id) for entry_id in reported or [])
    kept = {name: str(value) for name, value in chosen.items() if value is not None}
    return visit.show(
        "results/list.html",
        entries=found,
        new=[entry for entry in fresh if entry is not None],
        **words(visit),
        lacks=_LACKS,
        chosen=kept,
        several=visit.look(lambda _, who: who.holds(Role.OFFICE) or len(who.scopes(*Role)) > 1),
    )


def _read(visit: Visit, entry_id: str) -> dict[str, Any] | None:
    found = visit.attempt(lambda: visit.document(read_entry, entry_id=entry_id[:200]))
    return None if isinstance(found, Refusal) else found


_LACKS = {
    Requirement.VALUE_ADDED.value: N_("needs what GLORIA added"),
    Requirement.EVIDENCE.value: N_("needs evidence"),
    Requirement.SCHOOL_TOTAL.value: N_("needs the school's total"),
    Requirement.UNCLAIMED.value: N_("claimed by another programme"),
}


@router.get("/{entry_id}/supplement")
def show_supplement(
    entry_id: EntryId, visit: Annotated[Visit, Depends(visiting(Resource.ENTRY, Action.SUPPLEMENT))]
) -> Response:
    """Show what the committee asks for, and the form that answers it."""
    return _about(visit, "results/supplement.html", entry_id)


@router.post("/supplements")
def supplement(visit: Annotated[Visit, Depends(receiving(Resource.ENTRY, Action.SUPPLEMENT))]) -> Response:
    """Answer a returned entry with a statement and more evidence."""
    entry_id = str(visit.form.get("entry_id", ""))[:200]
    kept = kept_files(visit.form)
    refused = stored(visit, kept)
    if refused is None:
        links = [{"url": line.strip()} for line in str(visit.form.get("links", "")).splitlines() if line.strip()]
        said = visit.attempt(
            lambda: visit.document(
                supplement_entry,
                entry_id=entry_id,
                body=visit.body(SupplementBody, {**visit.values("text"), "evidence": [*kept, *links]}),
            )
        )
        if not isinstance(said, Refusal):
            return visit.go(f"/results?reported={said['id']}", N_("The result is supplemented and reported again."))
        refused = said
    return _about(visit, "results/supplement.html", entry_id, refused, kept)


@router.get("/{entry_id}/withdraw")
def show_withdraw(
    entry_id: EntryId, visit: Annotated[Visit, Depends(visiting(Resource.ENTRY, Action.WITHDRAW))]
) -> Response:
    """Show the form that takes a result back."""
    return _about(visit, "results/withdraw.html", entry_id)


@router.post("/{entry_id}/withdraw")
def withdraw(
    entry_id: EntryId, visit: Annotated[Visit, Depends(visiting(Resource.ENTRY, Action.WITHDRAW))]
) -> Response:
    """Take a result back before it is checked."""
    said = visit.attempt(
        lambda: visit.document(withdraw_entry, entry_id=entry_id, body=visit.body(ReasonBody, visit.values("reason")))
    )
    if isinstance(said, Refusal):
        return _about(visit, "results/withdraw.html", entry_id, said)
    return visit.go("/results", N_("The result is withdrawn. It may be reported anew."))


def _about(
    visit: Visit, template: str, entry_id: str, refused: Refusal | None = None, kept: list[dict[str, str]] | None = None
) -> Response:
    if refused is not None and refused.status == 404:
        raise not_found("entry")
    # Who may read an entry need not be one who may change it.
    visit.who()
    entry = visit.document(read_entry, entry_id=entry_id)
    return visit.show(
        template,
        refused.status if refused else 200,
        entry=entry,
        refused=None if refused is None else on_the_form(refused),
        kept=kept or [],
        given=visit.form,
        lacks=_LACKS,
        **words(visit),
    )
