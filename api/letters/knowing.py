"""Whether somebody may still know of what a notice tells, asked at the moment at which it leaves.

In: a reader as they stand now, and a notice with the ids that it is about. Out: yes or no; and the title of the need,
for who chose to have it in mails and may read it. It exists because a letter may wait for days: a role is taken back, a
share ends, an interest is declared, and the letter must then say nothing. It asks the same conditions as every page.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from sqlmodel import Session, col, or_, select

from api.access.policy import Action, Resource, admits
from api.access.visibility import cases as visible_cases
from api.access.visibility import entries as visible_entries
from api.access.visibility import motions as visible_motions
from api.access.visibility import needs as visible_needs
from api.access.visibility import readable
from api.trail.request_trail import NeedReader
from indexer.records.record_tables import Need
from matcher.ledger.rows.entries import Entry
from matcher.ledger.rows.motions import Motion
from matcher.notices.kinds import KINDS, NoticeKind
from matcher.notices.outbox import Notice
from matcher.review.cases import INTRODUCED_STAGES, Case
from matcher.review.people import Principal
from matcher.review.roles import Role


def may_know(session: Session, who: Principal | None, notice: Notice) -> bool:
    """Whether the reader of a notice may know of it now; somebody who is shut out may know of nothing.

    Somebody without an account has no standing that could change: what they are sent was decided when it was told.
    """
    if notice.account_id is None:
        return True
    if who is None:
        return False
    facts, roles = notice.facts, KINDS[NoticeKind(notice.kind)].roles
    if roles and not who.holds(*roles):
        return False
    if who.has_stake(company_id=facts.get("company"), lab_id=facts.get("lab")):
        return False
    about = next((name for name in _ASKED if name in facts), None)
    return about is None or _ASKED[about](session, who, facts[about])


def _case(session: Session, who: Principal, number: str) -> bool:
    theirs = or_(
        visible_cases(who, Action.READ),
        col(Case.company_id).in_(who.scopes(Role.COMPANY)),
        col(Case.lab_id).in_(who.scopes(Role.RESEARCHER))
        & col(Case.stage).in_([*(stage.value for stage in INTRODUCED_STAGES), "lost"]),
    )
    return session.exec(select(Case.id).where(Case.id == int(number), theirs)).first() is not None


def _entry(session: Session, who: Principal, entry_id: str) -> bool:
    query = select(Entry.id).where(Entry.id == entry_id, visible_entries(who, Action.READ))
    return session.exec(query).first() is not None


def _motion(session: Session, who: Principal, number: str) -> bool:
    if not admits(who, Resource.MOTION, Action.LIST):
        return False
    query = select(Motion.id).where(Motion.id == int(number), visible_motions(who, Action.LIST))
    return session.exec(query).first() is not None


def _need(session: Session, who: Principal, need_id: str) -> bool:
    query = select(Need.id).where(Need.id == need_id, visible_needs(who, Action.READ))
    return session.exec(query).first() is not None


_ASKED: Mapping[str, Callable[[Session, Principal, str], bool]] = {
    "entry": _entry,
    "motion": _motion,
    "case": _case,
    "need": _need,
}
"""By fact, how it is asked; the first that a notice has decides, since what is about a case names its need too."""


def title_of_need(session: Session, who: Principal, notice: Notice, *, to: NeedReader) -> str | None:
    """Return the title of the need that a notice is about, if its reader may read it now."""
    need_id: Any = notice.facts.get("need")
    if need_id is None:
        return None
    query = select(Need.title).where(Need.id == need_id, visible_needs(who, Action.READ), readable(who))
    title = session.exec(query).first()
    if title is not None:
        to.reads(need_id)
    return title
