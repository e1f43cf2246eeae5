"""Whose rows an import may bring: one rule for every way in, the command, HTTP, the page and the drop folder.

In: a portion of a file that was read, and on whose behalf it comes. Out: what is stored of it, what the import did, and
each row that was not the sender's own, with its place and id. It exists because a row whose id somebody else's record
has replaces that record: a way in that asks nobody is a way to rewrite everybody's.

The programme office, and an operator at the command line, bring in anything. An alliance brings in needs and companies:
new ones, which are its own from then on, and its own again; a need only until it is taken up, a company without its
names and 統一編號, by which everybody knows it. And it brings in labs of its own schools with their evidence: new ones,
and those that no researcher keeps yet. A drop folder of an alliance has the rights of its expert.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime

from sqlalchemy import ColumnElement
from sqlmodel import Session, col, or_, select

from api.access.policy import Action, Reach, Resource, reaches
from api.access.visibility import schools_of
from indexer.folding import for_names
from indexer.instants import TAIPEI
from indexer.plain_text import shown
from indexer.records.exchange import CompanyIn, Fault, LabIn
from indexer.records.import_log import begin_batch
from indexer.records.importing import ImportReport, import_reading
from indexer.records.mended.copies import with_copies_said
from indexer.records.mended.named_labs import with_labs_found
from indexer.records.readers import Reading
from indexer.records.record_tables import Company, Lab, Need, School
from indexer.vocabulary import Kind
from indexer.wording import T_
from matcher.review.clients import Client
from matcher.review.intake import NeedIntake, NeedState, hand_over
from matcher.review.people import Grant, Principal
from matcher.review.roles import STAFF, Role

ALLIANCES_KINDS = (Kind.NEEDS, Kind.COMPANIES, Kind.LABS, Kind.EVIDENCE)
"""What an alliance brings in itself. Schools, alliances and terms are the programme's."""


@dataclass(frozen=True)
class Sender:
    """On whose behalf rows come: `alliance_id` gets what is new; `anything` is for the office and for operators.

    `by` is the account, None for a folder or a command; `expert_id` looks after the companies that are new.
    """

    alliance_id: str | None
    anything: bool
    by: str | None = None
    expert_id: str | None = None


OPERATOR = Sender(None, anything=True)


def sender_of(who: Principal, alliance_id: str | None) -> Sender:
    """Return on whose behalf a person imports for an alliance."""
    anything = Reach.ALL in reaches(who, Resource.IMPORT, Action.CREATE).values()
    return Sender(alliance_id, anything, who.id, who.id if alliance_id in who.scopes(*STAFF) else None)


def folder_of(alliance_id: str | None) -> Sender:
    """Return on whose behalf a drop folder's files come: those of the programme, or an alliance's expert."""
    return Sender(alliance_id, anything=alliance_id is None)


def may_import(who: Principal, kind: Kind | None, alliance_id: str | None) -> bool:
    """Whether a person may import such rows for an alliance (None: for nobody); a kind not known yet passes."""
    action = Action.CREATE if kind is None or kind in ALLIANCES_KINDS else Action.REGISTER
    reach = reaches(who, Resource.IMPORT, action)
    return Reach.ALL in reach.values() or (bool(reach) and alliance_id in who.scopes(*STAFF))


@dataclass(frozen=True)
class NotOwn:
    """A row that was left out because the record is not the sender's to change.

    `is_anothers` is one of which that tells that another alliance has a record of this id.
    """

    row: int
    id: str
    is_anothers: bool = False


def import_portion(
    session: Session,
    portion: Reading,
    sender: Sender,
    *,
    name: str,
    now: datetime,
    dry_run: bool = False,
    batch_id: str | None = None,
) -> tuple[ImportReport, list[NotOwn]]:
    """Import what of a portion is the sender's, and hand over what is new; the caller commits.

    Args:
        session: all writes happen in its transaction.
        portion: what was read; it stays as it is.
        sender: on whose behalf.
        name: the file's name for the problems.
        now: the moment.
        dry_run: report what would happen and write nothing.
        batch_id: under which number the import can be taken back, None if it can't.
    """
    tried = replace(
        portion, records=dict(portion.records), evidence=dict(portion.evidence), problems=list(portion.problems)
    )
    tried = with_copies_said(with_labs_found(session, tried, name), name)
    left_out = [] if sender.anything else list(_kept_to_own(session, tried, sender.alliance_id or "", name, now))
    if batch_id is not None:
        begin_batch(session, batch_id, name, now)
    # Whose need another looks like is not for everybody to know.
    among = None if sender.anything or tried.kind is not Kind.NEEDS else _own_needs(sender.alliance_id or "")
    report = import_reading(session, tried, dry_run, batch_id, among)
    if sender.alliance_id is not None and not dry_run:
        hand_over(session, report, alliance_id=sender.alliance_id, by=sender.by, expert_id=sender.expert_id, now=now)
    return report, left_out


def _kept_to_own(session: Session, portion: Reading, alliance_id: str, name: str, now: datetime) -> Iterator[NotOwn]:
    """Refuse the records that are not an alliance's, and own ones where they can no longer be changed."""
    if portion.kind not in ALLIANCES_KINDS:
        yield from _programmes_own(portion, name)
        return
    if portion.kind in (Kind.LABS, Kind.EVIDENCE):
        yield from _labs_of_others(session, portion, alliance_id, name, now.astimezone(TAIPEI).date())
        return
    ids = list(portion.records)
    is_need = portion.kind is Kind.NEEDS
    taken = _needs_of_others(session, ids, alliance_id) if is_need else _companies_of_others(session, ids, alliance_id)
    for key in taken:
        wrong = T_("%(key)s is taken", key=shown(key))
        yield replace(_refused(portion, name, key, Fault("id", wrong, T_("give another id"))), is_anothers=True)
    if is_need:
        _refuse_settled(session, portion, name)
        return
    for key, field in _renamed(session, portion):
        wrong = T_("%(key)s has another: names and 統一編號 are changed by the programme office", key=shown(key))
        yield _refused(portion, name, key, Fault(field, wrong, T_("leave it as it was, or ask the programme office")))


def _refused(portion: Reading, name: str, key: str, fault: Fault) -> NotOwn:
    portion.refuse_record(portion.file_of(key) or name, key, fault)
    return NotOwn(portion.first_rows.get(key, 0), key)


def _programmes_own(portion: Reading, name: str) -> Iterator[NotOwn]:
    kind = "" if portion.kind is None else portion.kind.value
    fault = Fault("", T_("%(kind)s are not an alliance's to bring in", kind=kind), T_("ask the programme office"))
    for key in list(portion.records):
        yield _refused(portion, name, key, fault)
    for key, group in list(portion.evidence.items()):
        del portion.evidence[key]
        portion.refuse(group.file or name, group.row, [fault])
        yield NotOwn(group.row, key)


@dataclass(frozen=True)
class _Schools:
    """The schools of an alliance on a day: by id, and by whatever names a list may give them."""

    ids: frozenset[str]
    by_name: dict[str, str]

    def id_of(self, said: str | None) -> str | None:
        """Return the school of the alliance that is meant, None if it is none of them."""
        return self.by_name.get(for_names(said or ""))


def alliance_schools(session: Session, alliance_id: str, today: date) -> dict[str, str]:
    """Return the schools whose labs an alliance may bring in: their names by id."""
    own = schools_of(frozenset({alliance_id}), today)
    # A partner may have been given by its name alone.
    found = {str(one): str(one) for (one,) in session.execute(own).all()}
    merged = or_(col(School.merged_on).is_(None), col(School.merged_on) <= today)
    query = select(School.id, School.name, School.name_en).where(
        or_(col(School.id).in_(list(found)), col(School.merged_into).in_(list(found)) & merged)
    )
    found.update({school_id: name or name_en or school_id for school_id, name, name_en in session.exec(query).all()})
    return dict(sorted(found.items(), key=lambda one: one[1]))


def _schools(session: Session, alliance_id: str, today: date) -> _Schools:
    ids = list(alliance_schools(session, alliance_id, today))
    by_name = {for_names(one): one for one in ids}
    for school in session.exec(select(School).where(col(School.id).in_(ids))).all():
        by_name |= {for_names(said): school.id for said in (school.name, school.name_en) if said}
    return _Schools(frozenset(ids), by_name)


def _labs_of_others(session: Session, portion: Reading, alliance_id: str, name: str, today: date) -> Iterator[NotOwn]:
    """Refuse labs, and evidence of labs, that are of no school of the alliance or that a researcher keeps."""
    schools = _schools(session, alliance_id, today)
    ids = [*portion.records, *portion.evidence]
    stored = {lab.id: lab for lab in session.exec(select(Lab).where(col(Lab.id).in_(ids))).all()}
    labs = {key: record for key, record in portion.records.items() if isinstance(record, LabIn)}
    for key, record in labs.items():
        before = stored.get(key)
        if before is not None and schools.id_of(before.school) is None:
            wrong = T_("%(key)s is a lab of another alliance's school", key=shown(key))
            yield _refused(portion, name, key, Fault("id", wrong, T_("give another id, or ask the programme office")))
        elif (before is None or "school" in portion.given.get(key, {"school"})) and (
            fault := _school_fault(schools, record.school)
        ):
            yield _refused(portion, name, key, fault)
        elif record.school:
            # As the alliance's own lists name it, so that whoever looks for labs of a school finds all of them.
            portion.records[key] = record.model_copy(update={"school": schools.id_of(record.school)})
    yield from _evidence_of_others(session, portion, name, schools, stored)
    yield from _kept_by_researchers(session, portion, name)


def _school_fault(schools: _Schools, said: str | None) -> Fault | None:
    if schools.id_of(said) is not None:
        return None
    right = T_("give a school of your alliance, or ask the programme office")
    if not said:
        return Fault("school", T_("no school is given"), right)
    return Fault("school", T_("%(school)s is no school of your alliance", school=shown(said)), right)


def _evidence_of_others(
    session: Session, portion: Reading, name: str, schools: _Schools, stored: dict[str, Lab]
) -> Iterator[NotOwn]:
    unknown = [key for key in portion.evidence if key not in stored and key not in portion.records]
    named = _schools_named(session, unknown)
    for key, group in list(portion.evidence.items()):
        lab = stored.get(key)
        # A lab that is named rather than numbered is found when its evidence is stored; of none it is said then.
        of = [lab.school] if lab is not None else named.get(for_names(key), [])
        if key in portion.records or all(schools.id_of(school) is not None for school in of):
            continue
        del portion.evidence[key]
        wrong = T_("%(key)s is a lab of another alliance's school", key=shown(key))
        portion.refuse(
            group.file or name, group.row, [Fault("lab", wrong, T_("leave it out, or ask the programme office"))]
        )
        portion.refused += group.rows - 1
        yield NotOwn(group.row, key)


def _schools_named(session: Session, names: Sequence[str]) -> dict[str, list[str | None]]:
    """Return by name the schools of all labs that have one of the names."""
    wanted, found = {for_names(one) for one in names}, dict[str, list[str | None]]()
    if not wanted:
        return found
    for name, name_en, school in session.exec(select(Lab.name, Lab.name_en, Lab.school)).all():
        for said in {for_names(name), for_names(name_en)} & wanted:
            found.setdefault(said, []).append(school)
    return found


def _kept_by_researchers(session: Session, portion: Reading, name: str) -> Iterator[NotOwn]:
    """Refuse what would change a lab whose researcher keeps its profile; what is the same passes."""
    keys = {*portion.records, *portion.evidence}
    held = select(Grant.scope_id).where(
        Grant.role == Role.RESEARCHER.value, col(Grant.revoked_at).is_(None), col(Grant.scope_id).in_(keys)
    )
    kept = sorted(set(session.exec(held).all()))
    if not kept:
        return
    tried = replace(
        portion,
        records={key: portion.records[key] for key in kept if key in portion.records},
        evidence={key: portion.evidence[key] for key in kept if key in portion.evidence},
        problems=[],
    )
    for key in import_reading(session, tried, dry_run=True).updated_ids:
        wrong = T_("%(key)s is kept by its researcher", key=shown(key))
        fault = Fault("id", wrong, T_("leave the row out, or ask the researcher to change it"))
        group = portion.evidence.pop(key, None)
        if key in portion.records:
            yield _refused(portion, name, key, fault)
        elif group is not None:
            portion.refuse(group.file or name, group.row, [fault])
            yield NotOwn(group.row, key)


def _own_needs(alliance_id: str) -> ColumnElement[bool]:
    own = select(NeedIntake.need_id).where(NeedIntake.alliance_id == alliance_id)
    return col(Need.id).in_(own)


def _refuse_settled(session: Session, portion: Reading, name: str) -> None:
    query = select(NeedIntake.need_id).where(
        col(NeedIntake.need_id).in_(list(portion.records)), NeedIntake.state != NeedState.SUBMITTED.value
    )
    settled = sorted(session.exec(query).all())
    changed = replace(portion, records={key: portion.records[key] for key in settled}, evidence={}, problems=[])
    for key in import_reading(session, changed, dry_run=True).updated_ids:
        wrong = T_("%(key)s is past editing: a need can be changed only until it is taken up", key=shown(key))
        fault = Fault("id", wrong, T_("leave the row as it was, or leave it out"))
        portion.refuse_record(portion.file_of(key) or name, key, fault)


def _needs_of_others(session: Session, ids: Sequence[str], alliance_id: str) -> list[str]:
    own = select(NeedIntake.need_id).where(NeedIntake.alliance_id == alliance_id)
    return sorted(session.exec(select(Need.id).where(col(Need.id).in_(ids), col(Need.id).not_in(own))).all())


def _companies_of_others(session: Session, ids: Sequence[str], alliance_id: str) -> list[str]:
    portfolio = select(Client.company_id).where(Client.alliance_id == alliance_id, col(Client.until).is_(None))
    query = select(Company.id).where(col(Company.id).in_(ids), col(Company.id).not_in(portfolio))
    return sorted(session.exec(query).all())


def _renamed(session: Session, portion: Reading) -> Iterator[tuple[str, str]]:
    """Yield the companies whose name or 統一編號 a row would change, each with the first such field."""
    for stored in session.exec(select(Company).where(col(Company.id).in_(list(portion.records)))).all():
        given = portion.records[stored.id]
        if isinstance(given, CompanyIn):
            said = portion.given.get(stored.id, frozenset(CompanyIn.model_fields))
            fields = [field for field in ("name", "name_en", "tax_id") if field in said]
            changed = next((field for field in fields if getattr(given, field) != getattr(stored, field)), None)
            if changed is not None:
                yield stored.id, changed
