"""A team for a need: who of which labs covers what, what it is made of, and what is done with it.

In: what an expert picks of a team, in the page's address; a press to accept its members or to make a shortlist of
them. Out: one sentence that says what the team covers, a table of asks by members, each member's card as in a
ranking with why it is in and who could stand in, and addresses that ask for the team with one thing changed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, Query, Response
from sqlmodel import Session

from api.access.policy import Action, Resource
from api.documents.bodies import TeamBody
from api.pages.needs.cards import cards_of
from api.pages.shell.record_names import BothNames
from api.pages.shell.visiting import Visit, visiting, what_to_do
from api.pages.shell.wording import N_
from api.requests.capacity import MATCHING, ThreadedRoute, takes
from api.requests.problems import REFUSED, ProblemError, Refusal, not_found, refusal_of
from api.requests.query_parameters import ChosenSteering, ChosenTeam
from api.routes.needs import read_need
from api.routes.pairings import accept_team as form_a_team
from api.routes.pairings import find_team
from indexer.database import RETRY_AFTER_S
from matcher.review.people import Principal
from matcher.teams.teams import MOST_MEMBERS, TeamPicks

router = APIRouter(prefix="/needs", include_in_schema=False, route_class=ThreadedRoute)


@dataclass(frozen=True)
class Picked:
    """A lab that the team must have, and the address without that."""

    names: BothNames
    without: str


@dataclass(frozen=True)
class StandInShown:
    """A lab that could take a member's place, what would be lost, and the address of the team with it."""

    lab_id: str
    names: BothNames
    loses: tuple[int, ...]
    place: str


@dataclass(frozen=True)
class MemberShown:
    """A member beside its card: what it is in for, who could stand in, and addresses that keep it in or out."""

    card: dict[str, Any]
    names: BothNames
    alone: tuple[int, ...]
    strengthens: tuple[int, ...]
    could_lead: bool
    is_included: bool
    stand_ins: tuple[StandInShown, ...]
    keep: str
    leave_out: str
    covers: Mapping[int, str]


@router.get("/{need_id}/team")
@takes(MATCHING)
def show_team(
    need_id: str,
    picks: ChosenTeam,
    steering: ChosenSteering,
    visit: Annotated[Visit, Depends(visiting(Resource.MATCH, Action.READ))],
    picking: Annotated[bool, Query(description="The form was used: it stays open.")] = False,
) -> Response:
    """Show the team: the page, or the part that a changed pick replaces."""
    visit.look(_admitted)
    try:
        # What is shown is stored, and belongs to the state that storing it leaves.
        with visit.storing():
            found = visit.document(find_team, need_id=need_id, picks=picks, steering=steering)
            need = visit.document(read_need, need_id=need_id)
            context = _shown(visit, need, picks, found)
    except REFUSED as error:
        refused = refusal_of(error)
        if refused.status not in (422, 503, 507):
            raise
        need = visit.document(read_need, need_id=need_id)
        context = {"status": refused.status, "refused": refused, "what_to_do": what_to_do(refused.name), "team": None}
        context |= {"picks": picks, "picked": _picked(visit, need_id, picks)}
    context |= {"need": need, "most_members": MOST_MEMBERS, "picking": picking or context["refused"] is not None}
    # htmx takes in no answer that it was refused, and what was refused is what the part says.
    status = 200 if visit.by_htmx else context["status"]
    response = visit.show("needs/team_part.html" if visit.by_htmx else "needs/team.html", status, **context)
    if context["status"] == 503:
        response.headers["Retry-After"] = str(RETRY_AFTER_S)
    return response


def _admitted(_: Session, who: Principal) -> Principal:
    """Look at nothing: whoever may not enter the page at all is told so before anything is looked for."""
    return who


def _shown(visit: Visit, need: dict[str, Any], picks: TeamPicks, found: dict[str, Any]) -> dict[str, Any]:
    cards = {card["lab_id"]: card for card in cards_of(visit, need, found["members"])}
    members = [
        _member(need["id"], picks, one, cards[one["lab_id"]]) for one in found["members"] if one["lab_id"] in cards
    ]
    covered = sum(ask["covered"] == "yes" for ask in found["asks"])
    return {
        "status": 200,
        "refused": None,
        "team": found,
        "members": members,
        "covered": covered,
        "picks": picks,
        "picked": _picked(visit, need["id"], picks),
        "open_cards": [one.card for one in members if one.card["is_open"]],
        "has_steering": bool(found["steering"]),
    }


def _member(need_id: str, picks: TeamPicks, one: Mapping[str, Any], card: dict[str, Any]) -> MemberShown:
    lab_id = one["lab_id"]
    others = tuple(other for other in picks.included if other != lab_id)
    return MemberShown(
        card=card,
        names=(one["name"], one["name_en"]),
        alone=tuple(one["alone"]),
        strengthens=tuple(one["strengthens"]),
        could_lead=one["could_lead"],
        is_included=lab_id in picks.included,
        stand_ins=tuple(
            StandInShown(
                stand_in["lab_id"],
                (stand_in["name"], stand_in["name_en"]),
                tuple(stand_in["loses"]),
                _place(need_id, picks, included=(*others, stand_in["lab_id"]), wish=f"lab:{lab_id}.never"),
            )
            for stand_in in one["stand_ins"]
        ),
        keep=_place(need_id, picks, included=(*others, lab_id)),
        leave_out=_place(need_id, picks, included=others, wish=f"lab:{lab_id}.never"),
        covers={number: ask["covered"] for number, ask in enumerate(one["explanation"]["asks"], start=1)},
    )


def _place(need_id: str, picks: TeamPicks, *, included: Sequence[str], wish: str = "") -> str:
    """Return the address of the team with these labs included and everything else as picked."""
    fields = _fields(picks) + [("included", one) for one in included] + ([("wish", wish)] if wish else [])
    return f"/needs/{need_id}/team?{urlencode(fields)}"


def _fields(picks: TeamPicks) -> list[tuple[str, str]]:
    """Return what is picked beside the labs, as it stands in an address."""
    found = [("most", str(picks.most)), ("least", str(picks.least))]
    for name in ("different_schools", "one_region", "lesser_known"):
        if getattr(picks, name):
            found.append((name, "true"))
    if picks.least_share_ntd is not None:
        found.append(("least_share_ntd", str(picks.least_share_ntd)))
    return found + [("apart", ",".join(pair)) for pair in picks.apart]


def _picked(visit: Visit, need_id: str, picks: TeamPicks) -> tuple[Picked, ...]:
    """Return the labs that were picked, by name, each with the address that lets it go."""
    labs = visit.request.app.state.live.current().labs
    return tuple(
        Picked(
            (labs[one].name, labs[one].name_en) if one in labs else (one, one),
            _place(need_id, picks, included=[other for other in picks.included if other != one]),
        )
        for one in dict.fromkeys(picks.included)
    )


@router.post("/{need_id}/team/accept")
def accept_team(need_id: str, visit: Annotated[Visit, Depends(visiting(Resource.PAIRING, Action.DECIDE))]) -> Response:
    """Accept the members that were shown as one team."""
    visit.look(_admitted)
    shown = [str(one).partition("-")[::2] for one in visit.form.getlist("member")]
    given = {
        "members": [{"pairing_id": pairing, "proposal_id": proposal} for pairing, proposal in shown],
        "lead": str(visit.form.get("lead", "")).partition("-")[0],
    }
    done = visit.attempt(lambda: visit.document(form_a_team, need_id=need_id, body=visit.body(TeamBody, given)))
    if isinstance(done, Refusal):
        if done.status == 404:
            raise not_found("need")
        raise ProblemError(done.status, done.name, done.detail, done.field, dict(done.headers))
    return visit.go(f"/cases/{done['lead_case_id']}", N_("Accepted as a team: a case is open for each member."))
