"""What is known of proposed labs beside their score: how busy they are, who was in touch, what was decided.

In: a person, a need's company and the pairings on the page. Out: facts for each
lab and each pairing, in a few queries for all of them. It exists because an
expert who accepts needs more than a fit: a lab without a free hand, or one that
a colleague called last week, is another decision. Cases, contacts and notes are
those that the policy lets this person see; of other alliances' only how many
cases a lab has open.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime

from sqlmodel import Session, col, func, select

from api.policy import Action
from api.visibility import cases as visible_cases
from indexer.instants import day_in_taipei
from indexer.records import Lab, School
from matcher.cases import Case, Contact, Stage
from matcher.decisions import Decision
from matcher.lab_loads import LabLoad, loads_of
from matcher.people import Account, Principal
from matcher.proposals import StoredPairing
from matcher.releases import Release
from matcher.roles import Role

_STAFF = (Role.EXPERT, Role.LEAD)


@dataclass(frozen=True)
class CaseNote:
    """A case of the own alliance with a lab; `same_company` if it is with the need's company."""

    id: int
    stage: str
    same_company: bool


@dataclass(frozen=True)
class LabFacts:
    """What is known of a lab; contacts are those of the own alliance about it, `last` the day of the newest."""

    lab: Lab
    school: School | None
    load: LabLoad
    cases: tuple[CaseNote, ...]
    contacts: int
    last: date | None

    @property
    def is_full(self) -> bool:
        """Whether the lab has said how much it can take on and has that much."""
        return self.lab.capacity is not None and self.load.open_cases >= self.lab.capacity


@dataclass(frozen=True)
class LastWord:
    """The verdict that stands; its note is empty outside of the alliance that wrote it."""

    verdict: str
    reason: str | None
    note: str
    by: str
    at: datetime
    may_undo: bool


@dataclass(frozen=True)
class PairingFacts:
    """Where a pairing stands."""

    state: str
    deferred_until: date | None
    released_at: datetime | None
    word: LastWord | None
    case_id: int | None


@dataclass(frozen=True)
class Facts:
    """What is known of labs and pairings, by lab id and by the pairing's number."""

    labs: Mapping[str, LabFacts]
    pairings: Mapping[int, PairingFacts]


def facts_of(
    session: Session, who: Principal, company_id: str | None, pairings: Mapping[int, str], now: datetime
) -> Facts:
    """Return what is known of the labs that are stored, and where the pairings stand.

    Args:
        session: one state of the database.
        who: sees it.
        company_id: the company of the need that the pairings are of.
        pairings: the lab of each, by the pairing's number.
        now: the moment at which it is shown.
    """
    wanted = sorted(set(pairings.values()))
    cases = session.exec(
        select(Case)
        .where(visible_cases(who, Action.READ), col(Case.lab_id).in_(wanted), Case.stage != Stage.UNDONE.value)
        .order_by(col(Case.id))
    ).all()
    case_of = {case.pairing_id: case.id for case in cases}
    return Facts(
        _labs(session, who, company_id, wanted, cases), _pairings(session, who, sorted(pairings), case_of, now)
    )


def _labs(
    session: Session, who: Principal, company_id: str | None, wanted: list[str], cases: Sequence[Case]
) -> Mapping[str, LabFacts]:
    rows = session.exec(
        select(Lab, School).join(School, col(School.id) == col(Lab.school), isouter=True).where(col(Lab.id).in_(wanted))
    ).all()
    loads = loads_of(session, wanted)
    touched = _contacts(session, who, {case.id or 0: case.lab_id for case in cases})
    found = {}
    for lab, school in rows:
        notes = [
            CaseNote(case.id or 0, case.stage, company_id is not None and case.company_id == company_id)
            for case in cases
            if case.lab_id == lab.id
        ]
        notes.sort(key=lambda note: not note.same_company)
        count, last = touched.get(lab.id, (0, None))
        found[lab.id] = LabFacts(lab, school, loads[lab.id], tuple(notes), count, last)
    return found


def _contacts(session: Session, who: Principal, lab_of: Mapping[int, str]) -> dict[str, tuple[int, date | None]]:
    if not lab_of:
        return {}
    query = (
        select(Contact.case_id, func.count(), func.max(Contact.held_on))
        .where(col(Contact.case_id).in_(list(lab_of)), col(Contact.alliance_id).in_(who.scopes(*_STAFF)))
        .group_by(col(Contact.case_id))
    )
    found: dict[str, tuple[int, date | None]] = {}
    for case_id, count, last in session.exec(query).all():
        lab_id = lab_of[case_id or 0]
        had, before = found.get(lab_id, (0, None))
        found[lab_id] = (had + count, max(before or last, last))
    return found


def company_contacts(session: Session, who: Principal, company_id: str | None) -> tuple[int, date | None]:
    """Return how often the own alliance was in touch with a company, and on which day last."""
    if company_id is None or ("company", company_id) in who.stakes:
        return 0, None
    query = select(func.count(), func.max(Contact.held_on)).where(
        Contact.company_id == company_id, col(Contact.alliance_id).in_(who.scopes(*_STAFF))
    )
    count, last = session.exec(query).one()
    return int(count), last


def _pairings(
    session: Session, who: Principal, wanted: list[int], case_of: Mapping[int, int | None], now: datetime
) -> Mapping[int, PairingFacts]:
    stands_now = (col(Release.pairing_id) == col(StoredPairing.id)) & col(Release.ended_at).is_(None)
    rows = session.exec(
        select(StoredPairing, Release.released_at)
        .join(Release, stands_now, isouter=True)
        .where(col(StoredPairing.id).in_(wanted))
    ).all()
    words = _last_words(session, who, wanted, now)
    return {
        row.id or 0: PairingFacts(
            row.state, row.deferred_until, released_at, words.get(row.id or 0), case_of.get(row.id or 0)
        )
        for row, released_at in rows
    }


def _last_words(session: Session, who: Principal, pairing_ids: list[int], now: datetime) -> dict[int, LastWord]:
    query = (
        select(Decision, Account.name)
        .join(Account, col(Account.id) == Decision.by)
        .where(col(Decision.pairing_id).in_(pairing_ids))
        .order_by(col(Decision.id))
    )
    rows = session.exec(query).all()
    undone = {decision.undoes for decision, _ in rows}
    found = {}
    for decision, name in rows:
        if decision.undoes is None and decision.id not in undone:
            mine = decision.by == who.id
            found[decision.pairing_id] = LastWord(
                verdict=decision.verdict,
                reason=decision.reason,
                note=decision.note if decision.alliance_id in who.scopes(*_STAFF) else "",
                by=name,
                at=decision.at,
                may_undo=mine and day_in_taipei(decision.at) >= day_in_taipei(now),
            )
    return found
