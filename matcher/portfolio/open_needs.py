"""The open needs of a plan as the records have them now, and what labs, experts and alliances carry already.

In: which needs somebody may plan for, and the labs. Out: those of them that labs are still looked for, with who looks
after each, how it is steered and whom it was declined to; how many have a lab already and are left out; the room of
labs that state one; the open cases by expert and by alliance. It exists apart from the plan because it is all that a
plan asks the database, in a handful of statements however many needs there are.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import date

from sqlalchemy import ColumnElement, func, or_
from sqlmodel import Session, col, select

from indexer.records.mended.retired import in_use
from indexer.records.profiles import Lab as LabProfile
from indexer.records.record_tables import Alliance, Company, Need, load_needs
from indexer.vocabulary import Mendable, Tier
from indexer.wording import either
from matcher.portfolio.plans import Carried, OpenNeed
from matcher.ranking.wishes import UNSTEERED, Steering
from matcher.review.cases import OPEN_STAGES, Case, Stage
from matcher.review.clients import Client
from matcher.review.conversation.signing import loads_of_labs
from matcher.review.intake import OPEN_STATES, NeedIntake
from matcher.review.people import Account
from matcher.review.proposals import PairingState, StoredPairing
from matcher.review.steering import NeedSteering, steering_of

MOST_NEEDS = 2_000
"""So many needs are planned together."""
_RUNNING = [stage.value for stage in (*OPEN_STAGES, Stage.SIGNED)]


@dataclass(frozen=True)
class OpenNeeds:
    """The needs of a plan, by id, and how many were left out: they have a lab, or it can't take so many."""

    needs: tuple[OpenNeed, ...]
    with_lab: int = 0
    too_many: int = 0


def open_needs(session: Session, allowed: ColumnElement[bool]) -> OpenNeeds:
    """Return the open needs that fulfil a condition on `Need` joined with its intake, where it has one.

    A need that has a case, open or signed, has a lab, and is left out.
    """
    still_open = col(NeedIntake.state).in_([state.value for state in OPEN_STATES])
    has_case = select(Case.id).where(Case.need_id == Need.id, col(Case.stage).in_(_RUNNING)).exists()
    query = (
        select(Need.id, NeedIntake, has_case)
        .join(NeedIntake, col(Need.id) == NeedIntake.need_id, isouter=True)
        # What nobody has taken into their hands yet is open too.
        .where(allowed, in_use(Mendable.NEED, col(Need.id)), or_(col(NeedIntake.state).is_(None), still_open))
        .order_by(col(Need.id))
    )
    rows = session.exec(query).all()
    wanted = [(need_id, intake) for need_id, intake, is_served in rows if not is_served]
    intakes: dict[str, NeedIntake | None] = dict(wanted[:MOST_NEEDS])
    needs = {need.id: need for need in load_needs(session, list(intakes))}
    companies = [need.company for need in needs.values() if need.company]
    tiers = dict(session.exec(select(Company.id, Company.tier).where(col(Company.id).in_(companies))).all())
    experts = _experts(session, companies)
    steered, declined = _steered(session, intakes), _declined(session, intakes)
    found = tuple(
        OpenNeed(
            need=needs[one],
            expert=_expert(intake, needs[one].company, experts),
            alliance=None if intake is None else intake.alliance_id,
            tier=Tier(tiers.get(needs[one].company or "", Tier.NONE)),
            steering=steered.get(one, UNSTEERED),
            declined=frozenset(declined.get(one, ())),
        )
        for one, intake in intakes.items()
        if one in needs
    )
    return OpenNeeds(found, with_lab=len(rows) - len(wanted), too_many=max(0, len(wanted) - MOST_NEEDS))


def _expert(intake: NeedIntake | None, company: str | None, experts: Mapping[tuple[str, str], str]) -> str | None:
    """Return who works on a need: who took it up, else who calls its company."""
    if intake is None:
        return None
    return intake.expert_id or experts.get((company or "", intake.alliance_id or ""))


def _experts(session: Session, companies: Collection[str]) -> dict[tuple[str, str], str]:
    """Return who calls a company for an alliance, where somebody does."""
    query = select(Client.company_id, Client.alliance_id, Client.expert_id).where(
        col(Client.company_id).in_(companies), col(Client.until).is_(None), col(Client.expert_id).is_not(None)
    )
    return {(company, alliance): str(expert) for company, alliance, expert in session.exec(query).all()}


def _steered(session: Session, intakes: Mapping[str, NeedIntake | None]) -> dict[str, Steering]:
    """Return how the alliance that has a need steers it, what it chose last."""
    query = select(NeedSteering).where(col(NeedSteering.need_id).in_(intakes)).order_by(col(NeedSteering.id))
    alliances = {one: intake.alliance_id for one, intake in intakes.items() if intake is not None}
    rows = {row.need_id: row for row in session.exec(query) if row.alliance_id == alliances.get(row.need_id)}
    return {need_id: steering_of(session, row) for need_id, row in rows.items() if row.words}


def _declined(session: Session, needs: Collection[str]) -> dict[str, set[str]]:
    states = [PairingState.REJECTED.value, PairingState.DEFERRED.value]
    query = select(StoredPairing.need_id, StoredPairing.lab_id).where(
        col(StoredPairing.need_id).in_(needs), col(StoredPairing.state).in_(states)
    )
    found: dict[str, set[str]] = {}
    for need_id, lab_id in session.exec(query).all():
        found.setdefault(need_id, set()).add(lab_id)
    return found


def carried(session: Session, labs: Mapping[str, LabProfile], today: date) -> Carried:
    """Return what is carried on a day: a lab's room is how many cases it says it can carry without those it has."""
    running = select(Case.lab_id).where(col(Case.stage).in_(_RUNNING)).distinct()
    busy = set(session.exec(running).all())
    stated = {lab_id: lab.capacity for lab_id, lab in labs.items() if lab.capacity is not None}
    loads = loads_of_labs(session, busy & stated.keys(), today)
    rooms = {
        lab_id: max(0, capacity - loads[lab_id].carried if lab_id in loads else capacity)
        for lab_id, capacity in stated.items()
    }
    still_open = col(Case.stage).in_([stage.value for stage in OPEN_STAGES])
    experts = select(Case.owner_id, func.count()).where(still_open).group_by(col(Case.owner_id))
    alliances = select(Case.alliance_id, func.count()).where(still_open).group_by(col(Case.alliance_id))
    return Carried(rooms, dict(session.exec(experts).all()), dict(session.exec(alliances).all()))


def names_of_carriers(session: Session, carriers: Collection[tuple[str, str]]) -> dict[tuple[str, str], str]:
    """Return what some experts and alliances are called, by what they are and their id."""
    experts = [one for of, one in carriers if of == "expert"]
    alliances = [one for of, one in carriers if of == "alliance"]
    people = session.exec(select(Account.id, Account.name).where(col(Account.id).in_(experts))).all()
    named = session.exec(select(Alliance.id, Alliance.name, Alliance.name_en).where(col(Alliance.id).in_(alliances)))
    return {
        **{("expert", account_id): name for account_id, name in people},
        **{("alliance", one): either(name or name_en, name_en or name) for one, name, name_en in named.all()},
    }
