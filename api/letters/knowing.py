"""Whether somebody may still know of what a notice tells, asked at the moment at which it leaves.

In: a reader as they stand now, and a notice with the ids that it is about. Out: yes or no; and the title of the need,
for who chose to have it in mails and may read it. It exists because a letter may wait for days: a role is taken back, a
share ends, an interest is declared, and the letter must then say nothing. It asks the same conditions as every page.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from sqlmodel import Session, and_, col, or_, select

from api.access.policy import Action, Resource, admits
from api.access.visibility import cases as visible_cases
from api.access.visibility import entries as visible_entries
from api.access.visibility import motions as visible_motions
from api.access.visibility import needs as visible_needs
from api.access.visibility import readable
from api.trail.request_trail import NeedReader
from indexer.records.mended.merged import with_same
from indexer.records.record_tables import Need
from matcher.ledger.rows.entries import Entry
from matcher.ledger.rows.motions import Motion
from matcher.notices.kinds import KINDS, NoticeKind
from matcher.notices.outbox import Notice
from matcher.review.cases import INTRODUCED_STAGES, Case, Stage
from matcher.review.conversation.lab_questions import LabQuestion
from matcher.review.people import Principal
from matcher.review.roles import Role


def knowable(session: Session, who: Principal, notices: Sequence[Notice]) -> list[Notice]:
    """Return those of somebody's notices that they may know of now, with one question for each kind of record."""
    told = [one for one in notices if _concerns(who, one)]
    wanted: dict[str, set[str]] = {}
    for notice in told:
        about = _about(notice)
        if about is not None:
            wanted.setdefault(about, set()).add(notice.facts[about])
    known = {about: _ASKED[about](session, who, ids) for about, ids in wanted.items()}
    return [one for one in told if (about := _about(one)) is None or one.facts[about] in known[about]]


def _concerns(who: Principal, notice: Notice) -> bool:
    roles = KINDS[NoticeKind(notice.kind)].roles
    facts = notice.facts
    conflicts = who.has_stake(company_id=facts.get("company"), lab_id=facts.get("lab"))
    return (not roles or who.holds(*roles)) and not conflicts


def _about(notice: Notice) -> str | None:
    return next((name for name in _ASKED if name in notice.facts), None)


def _cases(session: Session, who: Principal, numbers: set[str]) -> set[str]:
    stages = [*(stage.value for stage in INTRODUCED_STAGES), Stage.LOST.value]
    theirs = or_(
        visible_cases(who, Action.READ),
        col(Case.company_id).in_(who.scopes(Role.COMPANY)),
        and_(col(Case.lab_id).in_(who.scopes(Role.RESEARCHER)), col(Case.stage).in_(stages)),
    )
    query = select(Case.id).where(col(Case.id).in_([int(one) for one in numbers]), theirs)
    return {str(one) for one in session.exec(query).all()}


def _entries(session: Session, who: Principal, ids: set[str]) -> set[str]:
    return set(session.exec(select(Entry.id).where(col(Entry.id).in_(ids), visible_entries(who, Action.READ))).all())


def _motions(session: Session, who: Principal, numbers: set[str]) -> set[str]:
    if not admits(who, Resource.MOTION, Action.LIST):
        return set()
    query = select(Motion.id).where(
        col(Motion.id).in_([int(one) for one in numbers]), visible_motions(who, Action.LIST)
    )
    return {str(one) for one in session.exec(query).all()}


def _needs(session: Session, who: Principal, ids: set[str]) -> set[str]:
    return set(session.exec(select(Need.id).where(col(Need.id).in_(ids), visible_needs(who, Action.READ))).all())


def _questions(session: Session, who: Principal, numbers: set[str]) -> set[str]:
    theirs = or_(*(col(LabQuestion.lab_id).in_(some) for some in with_same(who.scopes(Role.RESEARCHER))))
    query = select(LabQuestion.id).where(col(LabQuestion.id).in_([int(one) for one in numbers]), theirs)
    return {str(one) for one in session.exec(query).all()}


_ASKED: Mapping[str, Callable[[Session, Principal, set[str]], set[str]]] = {
    "entry": _entries,
    "motion": _motions,
    "case": _cases,
    "need": _needs,
    "question": _questions,
}
"""By fact, how it is asked; the first that a notice has decides, since what is about a case names its need too."""


def titles_of_needs(session: Session, who: Principal, notices: Sequence[Notice], *, to: NeedReader) -> dict[str, str]:
    """Return the titles of the needs that notices are about, by id, of those that their reader may read now."""
    ids = {one.facts["need"] for one in notices if "need" in one.facts}
    if not ids:
        return {}
    query = select(Need.id, Need.title).where(col(Need.id).in_(ids), visible_needs(who, Action.READ), readable(who))
    found = dict(session.exec(query).all())
    for need_id in found:
        to.reads(need_id)
    return found
