"""A researcher's own lab: its profile, what represents it, how an expert sees it, and how much it is asked for.

In: the researcher's changes. Out: the profile as the API keeps it. Everything
works as plain forms: evidence is moved by a button that sends the whole form's
one wish, so that a list can be ordered without a script and by keyboard alone.
"""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Response

from api.bodies import LabBody
from api.pages.form_fields import as_body, asked_fields, shown, typed
from api.pages.scopes import names_of
from api.pages.visiting import Visit, visiting
from api.pages.wording import N_
from api.policy import Action, Resource
from api.problems import Refusal
from api.request_threads import ThreadedRoute
from api.routes.labs import edit_lab, read_demand, read_lab
from api.routes.needs import list_needs
from indexer.exchange import LabIn
from matcher.roles import Role

router = APIRouter(prefix="/my-lab", include_in_schema=False, route_class=ThreadedRoute)

Edit = Annotated[Visit, Depends(visiting(Resource.LAB, Action.EDIT))]
_FIELDS = asked_fields(LabIn)
_BY_ITSELF = ("name", "name_en", "summary", "summary_en")
_FACTS = tuple(one for one in _FIELDS if one.name not in _BY_ITSELF)
"""What the preview lists of a lab below its text."""
RETIRED, REPRESENTS = 0.0, 1.0
"""Weights of evidence that is kept but no longer speaks for the lab, and of evidence that does."""


@router.get("")
def show_labs(visit: Edit) -> Response:
    """Show the only lab, or the labs to choose from."""
    ids = visit.look(lambda _, who: sorted(who.scopes(Role.RESEARCHER)))
    if len(ids) == 1:
        return visit.go(f"/my-lab/{ids[0]}")
    return visit.show("my_lab/choose.html", names=visit.look(lambda session, _: names_of(session, ids)))


@router.get("/{lab_id}")
def show_lab(lab_id: str, visit: Edit) -> Response:
    """Show the page of a lab."""
    return _page(visit, lab_id)


def _page(visit: Visit, lab_id: str, refused: Refusal | None = None) -> Response:
    reply = visit.reply(read_lab, lab_id=lab_id)
    lab = reply.document
    return visit.show(
        "my_lab/lab.html",
        refused.status if refused else 200,
        lab=lab,
        asked=_FIELDS,
        form=shown(_FIELDS, {**lab, **typed(visit.form, _FIELDS)} if refused and "name" in visit.form else lab),
        etag=reply.headers["ETag"],
        demand=visit.document(read_demand, lab_id=lab_id),
        needs=visit.document(list_needs, limit=20)["items"],
        state=visit.request.app.state.live.state(),
        refused=refused,
    )


def _changes(visit: Visit) -> dict[str, Any]:
    """Return what the form says, as the API takes it; an empty capacity means that none is stated."""
    return as_body(_FIELDS, typed(visit.form, _FIELDS))


@router.post("/{lab_id}")
def save_profile(lab_id: str, visit: Edit) -> Response:
    """Store the profile as the form says."""
    refused = visit.attempt(lambda: visit.document(edit_lab, lab_id=lab_id, body=visit.body(LabBody, _changes(visit))))
    if isinstance(refused, Refusal):
        return _page(visit, lab_id, refused)
    return visit.go(f"/my-lab/{lab_id}", N_("Your profile is stored. Rankings follow it with the next index."))


@router.post("/{lab_id}/preview")
def preview(lab_id: str, visit: Edit) -> Response:
    """Show what an expert would see of the profile as it is typed, without storing it."""
    lab = visit.document(read_lab, lab_id=lab_id)
    body = visit.attempt(lambda: visit.body(LabBody, _changes(visit)))
    if isinstance(body, Refusal):
        return _page(visit, lab_id, body)
    as_typed = {**lab, **body.model_dump(exclude_unset=True, mode="json", exclude={"evidence"})}
    return _preview(visit, as_typed, stored=False)


@router.get("/{lab_id}/preview")
def preview_stored(lab_id: str, visit: Edit) -> Response:
    """Show what an expert sees of the profile as it is stored."""
    return _preview(visit, visit.document(read_lab, lab_id=lab_id), stored=True)


def _preview(visit: Visit, lab: dict[str, Any], *, stored: bool) -> Response:
    speaks = [item for item in lab["evidence"] if item["weight"] > 0]
    return visit.show("my_lab/preview.html", lab=lab, facts=_FACTS, speaks=speaks, stored=stored)


@router.post("/{lab_id}/evidence")
def arrange_evidence(lab_id: str, visit: Edit) -> Response:
    """Move a piece of evidence up or down, retire it, or bring it back; `wish` is what, a colon, and its id."""
    lab = visit.document(read_lab, lab_id=lab_id)
    wish, _, evidence_id = str(visit.form.get("wish", "")).partition(":")
    arranged = _arranged(lab["evidence"], wish, evidence_id)
    refused = visit.attempt(
        lambda: visit.reply(edit_lab, lab_id=lab_id, body=visit.body(LabBody, {"evidence": arranged}))
    )
    if isinstance(refused, Refusal):
        return _page(visit, lab_id, refused)
    if not visit.by_htmx:
        return visit.go(f"/my-lab/{lab_id}#evidence")
    return visit.show(
        "my_lab/_evidence.html", lab=refused.document, etag=refused.headers["ETag"], moved=evidence_id, wish=wish
    )


def _arranged(evidence: list[dict[str, Any]], wish: str, evidence_id: str) -> list[dict[str, Any]]:
    ids = [item["id"] for item in evidence]
    weights = {item["id"]: item["weight"] for item in evidence}
    if evidence_id in weights:
        place = ids.index(evidence_id)
        to = {"up": place - 1, "down": place + 1, "first": 0}.get(wish, place)
        ids.insert(max(0, min(to, len(ids) - 1)), ids.pop(place))
        if wish in ("retire", "return"):
            weights[evidence_id] = RETIRED if wish == "retire" else REPRESENTS
    return [{"id": one, "weight": weights[one]} for one in ids]
