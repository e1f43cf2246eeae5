"""Which rows a person may see: the reach of the policy as conditions on the tables, those of the ledger too.

In: a person and what they want to do. Out: SQL conditions that let through exactly what the policy's reach covers,
or the alliances that a person reaches. It exists so that what is foreign is never loaded in the first place: a list
leaves it out and a single one is not found. In the ledger an entry belongs to the alliances that have a share in
it, a motion to its entry, a file of evidence to the entries that name it.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from functools import lru_cache
from typing import Any

from sqlalchemy import (
    ColumnElement,
    CompoundSelect,
    String,
    and_,
    cast,
    exists,
    false,
    func,
    literal,
    or_,
    select,
    true,
    union,
)
from sqlmodel import Session, SQLModel, col

from api.access.policy import Action, Reach, Resource, reaches
from indexer.folding import for_search
from indexer.records.mended.merged import old_ids
from indexer.records.mended.retired import in_use
from indexer.records.record_tables import Alliance, AlliancePartner, Company, Lab, Need, School
from indexer.vocabulary import Confidentiality, Mendable
from matcher.ledger.rows.entries import Entry
from matcher.ledger.rows.motions import Motion, MotionKind
from matcher.ledger.rows.steps import Step
from matcher.review.cases import INTRODUCED_STAGES, Case
from matcher.review.clients import Client
from matcher.review.conversation.thread import Side
from matcher.review.intake import NeedIntake, NeedShare
from matcher.review.own_lab.researchers import LabClaim
from matcher.review.people import Principal
from matcher.review.proposals import Release, StoredPairing
from matcher.review.roles import STAFF, Role

Condition = ColumnElement[bool]
# A condition depends on nothing but what a person holds, and building one takes as long as asking it.
_remembered = lru_cache(maxsize=1_024)


@_remembered
def needs(who: Principal, action: Action, resource: Resource = Resource.NEED) -> Condition:
    """Return the condition on `Need` for what a person may do with it (or with something that hangs on it).

    A retired one is read by whoever could read it, and neither listed nor matched.
    """
    mine = _any(_need_of(who, role, reach) for role, reach in reaches(who, resource, action).items())
    if action is Action.LIST or resource is Resource.MATCH:
        return and_(mine, in_use(Mendable.NEED, col(Need.id)))
    return mine


def _need_of(who: Principal, role: Role, reach: Reach) -> Condition:
    scopes = who.scopes(role)
    if reach is Reach.ALL:
        return true()
    if role is Role.COMPANY:
        return and_(col(Need.company).in_(scopes), readable(who))
    if role is Role.RESEARCHER:
        stages = [stage.value for stage in INTRODUCED_STAGES]
        # A case keeps the id under which its lab was known when it was opened.
        theirs = or_(col(Case.lab_id).in_(scopes), col(Case.lab_id).in_(old_ids(Mendable.LAB, scopes)))
        introduced = _has(Need, Case.need_id == Need.id, theirs, col(Case.stage).in_(stages))
        return and_(introduced, readable(who))
    own = _has(Need, NeedIntake.need_id == Need.id, col(NeedIntake.alliance_id).in_(scopes))
    shared = _has(
        Need, NeedShare.need_id == Need.id, col(NeedShare.alliance_id).in_(scopes), col(NeedShare.ended_at).is_(None)
    )
    return and_(or_(own, shared), readable(who))


@_remembered
def own_needs(who: Principal) -> Condition:
    """Return the condition on `Need` for those that belong to the person's own alliance or company, not shared ones."""
    alliances = who.scopes(*STAFF)
    return or_(
        _has(Need, NeedIntake.need_id == Need.id, col(NeedIntake.alliance_id).in_(alliances)),
        col(Need.company).in_(who.scopes(Role.COMPANY)),
    )


@_remembered
def readable(who: Principal) -> Condition:
    """Return the condition on `Need`, one of those that the person sees, that its text is not withheld from them.

    Whoever is of the office reads what is public, and the rest by breaking the glass alone: the office gives roles and
    shares needs, so none of its other ways may lead there.
    """
    return col(Need.confidentiality) == Confidentiality.PUBLIC.value if who.holds(Role.OFFICE) else true()


@_remembered
def gradable(who: Principal) -> Condition:
    """Return the condition on `Need` that a person may judge labs for it: they read it, and have no interest in it."""
    companies = [party_id for party, party_id in who.stakes if party == "company"]
    clear = or_(col(Need.company).is_(None), col(Need.company).not_in(companies))
    return and_(needs(who, Action.READ), readable(who), clear)


@_remembered
def unconflicted(who: Principal) -> Condition:
    """Return the condition on `StoredPairing` joined with `Need`: no declared interest in either party."""
    companies = [party_id for party, party_id in who.stakes if party == "company"]
    labs = [party_id for party, party_id in who.stakes if party == "lab"]
    clear: list[Condition] = []
    if companies:
        clear.append(or_(col(Need.company).is_(None), col(Need.company).not_in(companies)))
    if labs:
        clear.append(col(StoredPairing.lab_id).not_in(labs))
    return and_(true(), *clear)


@_remembered
def conversations(who: Principal, action: Action, side: Side, resource: Resource = Resource.CONVERSATION) -> Condition:
    """Return the condition on `StoredPairing` joined with `Need`: those in which a person speaks for a side.

    The alliance speaks where it may read the need; a company about the labs that were released to it, or that know of
    its need; a lab about the needs that it was introduced to.
    """
    reach = reaches(who, resource, action)
    knows = _has(
        StoredPairing,
        Case.pairing_id == StoredPairing.id,
        col(Case.stage).in_([stage.value for stage in INTRODUCED_STAGES]),
    )
    if side is Side.EXPERT:
        read = _any(_need_of(who, role, far) for role, far in reach.items() if role in STAFF)
        return and_(read, unconflicted(who))
    if side is Side.COMPANY:
        own = who.scopes(*({Role.COMPANY} & reach.keys()))
        shown = _has(StoredPairing, Release.pairing_id == StoredPairing.id, col(Release.ended_at).is_(None))
        return and_(col(Need.company).in_(own), or_(shown, knows), readable(who))
    own = who.scopes(*({Role.RESEARCHER} & reach.keys()))
    return and_(col(StoredPairing.lab_id).in_(own), knows, readable(who))


@_remembered
def cases(who: Principal, action: Action) -> Condition:
    """Return the condition on `Case`: the own alliance's, without those in which the person has a stake."""
    reach = reaches(who, Resource.CASE, action)
    own = _any(
        true() if far is Reach.ALL else col(Case.alliance_id).in_(who.scopes(role)) for role, far in reach.items()
    )
    companies = [party_id for party, party_id in who.stakes if party == "company"]
    labs = [party_id for party, party_id in who.stakes if party == "lab"]
    clear = or_(col(Case.company_id).is_(None), col(Case.company_id).not_in(companies))
    return and_(own, clear, col(Case.lab_id).not_in(labs))


@_remembered
def labs(who: Principal, action: Action) -> Condition:
    """Return the condition on `Lab`; a retired one is read, not listed."""
    reach = reaches(who, Resource.LAB, action)
    mine = _any(true() if far is Reach.ALL else col(Lab.id).in_(who.scopes(role)) for role, far in reach.items())
    return and_(mine, in_use(Mendable.LAB, col(Lab.id))) if action is Action.LIST else mine


@_remembered
def companies(who: Principal, action: Action) -> Condition:
    """Return the condition on `Company`: the portfolio, or the person's own; a retired one is read, not listed."""
    found: list[Condition] = []
    for role, far in reaches(who, Resource.COMPANY, action).items():
        if far is Reach.ALL:
            found.append(true())
        elif far is Reach.OWN:
            found.append(col(Company.id).in_(who.scopes(role)))
        else:
            scopes = col(Client.alliance_id).in_(who.scopes(role))
            found.append(_has(Company, Client.company_id == Company.id, scopes, col(Client.until).is_(None)))
    mine = _any(found)
    return and_(mine, in_use(Mendable.COMPANY, col(Company.id))) if action is Action.LIST else mine


def claims(who: Principal, action: Action, today: date) -> Condition:
    """Return the condition on `LabClaim` for those that a person decides: of labs at schools of the own alliance."""
    found: list[Condition] = []
    for role, far in reaches(who, Resource.CLAIM, action).items():
        schools = schools_of(who.scopes(role), today)
        done = or_(col(School.merged_on).is_(None), col(School.merged_on) <= today)
        merged = select(col(School.id)).where(col(School.merged_into).in_(schools), done)
        here = or_(col(Lab.school).in_(schools), col(Lab.school).in_(merged))
        found.append(true() if far is Reach.ALL else _has(LabClaim, Lab.id == LabClaim.lab_id, here))
    return _any(found)


def schools_of(alliances: frozenset[str], today: date) -> CompoundSelect[Any]:
    """Select the schools that are center or partner of one of the alliances on a day; no date means no limit."""

    def holds(since: Any, until: Any) -> Condition:
        return and_(or_(since.is_(None), since <= today), or_(until.is_(None), until >= today))

    lives = and_(col(Alliance.id).in_(alliances), holds(col(Alliance.since), col(Alliance.until)))
    partners = (
        select(col(AlliancePartner.school))
        .join(Alliance, col(Alliance.id) == col(AlliancePartner.alliance_id))
        .where(lives, holds(col(AlliancePartner.since), col(AlliancePartner.until)))
    )
    return union(partners, select(col(Alliance.center)).where(lives, col(Alliance.center).is_not(None)))


def _has(outer: type[SQLModel], *conditions: Any) -> Condition:
    """Whether rows beside `outer` fit; named, since the outer query may join the same table itself."""
    return exists(select(1).where(*conditions).correlate(outer))


def _any(conditions: Any) -> Condition:
    found = list(conditions)
    return or_(*found) if found else false()


def reached_alliances(who: Principal, resource: Resource, action: Action) -> frozenset[str] | None:
    """Return the alliances in which a person may do this; None for all of them."""
    reach = reaches(who, resource, action)
    if Reach.ALL in reach.values():
        return None
    return who.scopes(*reach)


def shared_by(alliances: Iterable[str] | None) -> Condition:
    """Return the condition on `Entry` that one of some alliances has a share in it; None stands for any."""
    if alliances is None:
        return true()
    shares = func.json_each(col(Entry.shares)).table_valued("key", "value")
    return exists(select(literal(1)).select_from(shares).where(shares.c.key.in_(list(alliances))))


def entries(who: Principal, action: Action, resource: Resource = Resource.ENTRY) -> Condition:
    """Return the condition on `Entry` for what a person may do with it, or with what hangs on it."""
    return shared_by(reached_alliances(who, resource, action))


def motions(who: Principal, action: Action) -> Condition:
    """Return the condition on `Motion`.

    A committee member has a word on recognising what its alliances reported, and on who decides by which rules.
    """
    reached = reached_alliances(who, Resource.MOTION, action)
    if reached is None:
        return true()
    if not reached:
        return false()
    theirs = select(col(Entry.id)).where(shared_by(reached))
    of_entries = and_(col(Motion.kind) == MotionKind.RECOGNISE.value, col(Motion.subject).in_(theirs))
    return or_(of_entries, col(Motion.kind).in_([MotionKind.CONFIGURE.value, MotionKind.GRANT.value]))


def naming_file(digest: str) -> Condition:
    """Return a condition on `Entry` that holds wherever the entry or one of its steps names a file.

    It looks for the hash in the text of the evidence, so it may hold where only a name mentions it: the caller looks
    at the items themselves.
    """
    steps = select(col(Step.entry_id)).where(cast(col(Step.evidence), String).contains(digest))
    return or_(cast(col(Entry.evidence), String).contains(digest), col(Entry.id).in_(steps))


def companies_saying(session: Session, words: str, *, names_only: bool = False) -> Condition:
    """Return the condition on `Company` that what it is called, its text, id or tax id has these words.

    Words and texts are folded as the index folds them, which no database does: so the texts are read.
    """
    wanted = for_search(words)
    texts = [Company.name, Company.name_en, *([] if names_only else [Company.description, Company.id, Company.tax_id])]
    found = [
        row[0]
        for row in session.connection().execute(select(col(Company.id), *map(col, texts)))
        if any(wanted in for_search(text) for text in row[1:] if text)
    ]
    return col(Company.id).in_(found)
