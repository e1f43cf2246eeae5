"""An import as a job: the uploaded file into the records, portion by portion.

In: the file of a job and for whom it is imported. Out: the records, and for each portion what was created, updated,
left alone and refused. It exists because who imports over HTTP is not an operator: an alliance's expert brings in
what is new or its own, and can't reach what is others'.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from sqlmodel import Session, col, select

from api.audit_trail import subjects_imported
from api.job_steps import JobRefusedError, PartWork, Running
from api.jobs import JobFile, results
from api.policy import Action, Reach, Resource, reaches
from indexer.checking import Fault
from indexer.database import reading
from indexer.importing import ImportReport, import_reading
from indexer.instants import now
from indexer.plain_text import printable, shown
from indexer.readers import Reading, read_bytes
from indexer.records import Company
from indexer.records import Need as StoredNeed
from indexer.vocabulary import Kind
from indexer.wording import T_, joined
from matcher.arrivals import hand_over
from matcher.clients import Client
from matcher.intake import NeedIntake, NeedState
from matcher.people import Principal
from matcher.roles import Role

RECORDS_PER_PART = 200
PROBLEMS_PER_PART = 2_000
MAX_PROBLEMS = 50_000
"""Problems that a result lists; it counts all."""
ALLIANCES_KINDS = (Kind.NEEDS, Kind.COMPANIES)
"""What an alliance brings in itself. Labs' profiles are their researchers', schools and alliances the programme's."""
_STAFF = (Role.EXPERT, Role.LEAD)
_COUNTS = ("created", "updated", "unchanged", "refused", "errors")


def may_import(who: Principal, kind: Kind | None, alliance_id: str | None) -> bool:
    """Whether a person may import such rows for an alliance (None: for nobody); a kind not known yet passes."""
    action = Action.CREATE if kind is None or kind in ALLIANCES_KINDS else Action.REGISTER
    reach = reaches(who, Resource.IMPORT, action)
    return Reach.ALL in reach.values() or (bool(reach) and alliance_id in who.scopes(*_STAFF))


def run_import(running: Running) -> None:
    """Carry out an import.

    Raises:
        JobRefusedError: who asked may not import this; whatever `Running.step` raises.
    """
    job = running.job
    with reading(running.engine) as session:
        file = session.get(JobFile, job.id)
        if file is None:
            raise JobRefusedError(T_("its file is gone"))
        name, content = file.name, file.content
        _must_reach(running.who(session), running, None)
    kind = job.parameters["kind"]
    found = read_bytes(content, name, None if kind is None else Kind(kind))
    del file, content
    with reading(running.engine) as session:
        _must_reach(running.who(session), running, found.kind)
    _carry_out(running, found, printable(name))


def _must_reach(who: Principal, running: Running, kind: Kind | None) -> None:
    if not may_import(who, kind, running.job.alliance_id):
        if kind is None:
            raise JobRefusedError(T_("none of your roles may import this"))
        refused = T_("none of your roles may import %(kind)s", kind=kind.value)
        raise JobRefusedError(joined("", [refused, _HINTS.get(kind.value, "")]))


_HINTS = {
    **dict.fromkeys(("labs", "evidence"), T_(": a lab's profile is its researcher's; ask the programme office")),
    **dict.fromkeys(("schools", "alliances"), T_(": ask the programme office")),
}


def _carry_out(running: Running, found: Reading, name: str) -> None:
    done_before = running.done_before()
    total = len(found.records.keys() | found.evidence.keys())
    problems, refused = list(found.problems), found.refused
    n = done = 0
    # What the reading found comes first, in parts of its own: it can be more than one row of a table should hold.
    for start in range(0, max(1, len(problems)), PROBLEMS_PER_PART):
        listed = problems[start : start + PROBLEMS_PER_PART]
        result = _result(ImportReport(found.kind, refused=0 if start else refused, problems=listed))
        if n not in done_before:
            running.step(n, done=0, total=total, work=_reporting(result))
        n += 1
    for portion in found.portions(RECORDS_PER_PART):
        done += len(portion.records.keys() | portion.evidence.keys())
        if n not in done_before:
            running.step(n, done=done, total=total, work=_importing(running, portion, name))
        n += 1


def _reporting(result: dict[str, Any]) -> PartWork:
    return lambda _session, _who: result


def _importing(running: Running, portion: Reading, name: str) -> PartWork:
    def work(session: Session, who: Principal) -> dict[str, Any]:
        _must_reach(who, running, portion.kind)
        tried = Reading(portion.kind, dict(portion.records), dict(portion.evidence), first_rows=portion.first_rows)
        alliance_id, dry_run = running.job.alliance_id, bool(running.job.parameters["dry_run"])
        if Reach.ALL not in reaches(who, Resource.IMPORT, Action.CREATE).values():
            _keep_to_own(session, tried, alliance_id or "", name)
        report = import_reading(session, tried, dry_run)
        if alliance_id is not None and not dry_run:
            expert_id = who.id if alliance_id in who.scopes(*_STAFF) else None
            hand_over(session, report, alliance_id=alliance_id, by=who.id, expert_id=expert_id, now=now())
        if not dry_run:
            running.subjects.update(subjects_imported(report))
        return _result(report)

    return work


def _keep_to_own(session: Session, portion: Reading, alliance_id: str, name: str) -> None:
    """Refuse the records whose id somebody else's record has, and own needs that can no longer be edited."""
    ids = list(portion.records)
    taken, settled = (
        _needs_of_others(session, ids, alliance_id)
        if portion.kind is Kind.NEEDS
        else (_companies_of_others(session, ids, alliance_id), set[str]())
    )
    for key in taken:
        portion.refuse_record(name, key, Fault("id", T_("%(key)s is taken", key=shown(key)), T_("give another id")))
    changed = Reading(portion.kind, {key: portion.records[key] for key in sorted(settled)})
    for key in import_reading(session, changed, dry_run=True).updated_ids:
        wrong = T_("%(key)s is past editing: a need can be changed only until it is taken up", key=shown(key))
        portion.refuse_record(name, key, Fault("id", wrong, T_("leave the row as it was, or leave it out")))


def _needs_of_others(session: Session, ids: Sequence[str], alliance_id: str) -> tuple[list[str], set[str]]:
    """Return those of the ids that needs of others have, and those of own needs that are past editing."""
    query = (
        select(StoredNeed.id, NeedIntake.alliance_id, NeedIntake.state)
        .join(NeedIntake, col(NeedIntake.need_id) == StoredNeed.id, isouter=True)
        .where(col(StoredNeed.id).in_(ids))
        .order_by(col(StoredNeed.id))
    )
    rows = session.exec(query).all()
    own = {need_id: state for need_id, whose, state in rows if whose == alliance_id}
    taken = [need_id for need_id, _, _ in rows if need_id not in own]
    return taken, {need_id for need_id, state in own.items() if state != NeedState.SUBMITTED.value}


def _companies_of_others(session: Session, ids: Sequence[str], alliance_id: str) -> list[str]:
    portfolio = select(Client.company_id).where(Client.alliance_id == alliance_id, col(Client.until).is_(None))
    query = select(Company.id).where(col(Company.id).in_(ids), col(Company.id).not_in(portfolio))
    return sorted(session.exec(query).all())


def _result(report: ImportReport) -> dict[str, Any]:
    return {
        "kind": report.kind,
        "created": report.created,
        "updated": report.updated,
        "unchanged": report.unchanged,
        "refused": report.refused,
        "errors": len(report.errors),
        "problems": [asdict(problem) for problem in report.problems],
    }


def import_result(session: Session, job_id: str, parameters: dict[str, Any]) -> dict[str, Any]:
    """Return what an import came to, as `gloria import --json` reports a file."""
    parts = results(session, job_id)
    problems = sorted(
        (problem for part in parts for problem in part["problems"]), key=lambda item: (item["file"], item["row"])
    )
    return {
        "dry_run": parameters["dry_run"],
        "file": parameters["name"],
        "kind": next((part["kind"] for part in parts), None),
        **{name: sum(part[name] for part in parts) for name in _COUNTS},
        "problems": problems[:MAX_PROBLEMS],
        "problems_left_out": max(0, len(problems) - MAX_PROBLEMS),
    }
