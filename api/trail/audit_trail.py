"""The audit trail: who saw and did what, in the order in which it was stored, never changed afterwards.

In: acts, each of one account with what it was about, as ids and no texts; and why the office read a confidential
need in an emergency. Out: rows that the database refuses to change, those of the trail each with a number without a
gap and a hash over itself and the row before. It exists apart from the log: a log tells its operator how the server
does and is thrown away, the trail answers whose eyes and hands a need, a decision, an entry or a role has met, and
stays. A change writes its row in its own transaction, as the last thing before the commit, so that others wait for
the chain no longer than a commit takes. A reading in an emergency stands in a table of its own, with its reason:
the office must be able to look into a complaint, and companies must be able to trust that it does not look
otherwise.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from itertools import groupby
from typing import TYPE_CHECKING, Any, NamedTuple

from sqlalchemy import BigInteger, CheckConstraint, Index, Integer, Table, insert
from sqlmodel import Field, Session, SQLModel, col, select

from indexer.instants import Instant
from indexer.vocabulary import Kind
from indexer.wording import T_, Text
from matcher.ledger.rows.chain import GENESIS, Chain, ExportedHead, hash_of, head, next_place, set_head
from matcher.ledger.rows.links import Link

if TYPE_CHECKING:
    from indexer.records.importing import ImportReport


MAX_SUBJECTS = 500
"""How many subjects one row names; an act with more is several rows of the same request."""
TOLD_STATUS = 409
"""The status of a refusal that says that somebody else's record is there, where it is of one row of many too."""
_IMPORTED = {
    Kind.NEEDS: "need",
    Kind.COMPANIES: "company",
    Kind.LABS: "lab",
    Kind.EVIDENCE: "lab",
    Kind.SCHOOLS: "school",
    Kind.ALLIANCES: "alliance",
    Kind.TERMS: "term",
}
_SEQ = BigInteger().with_variant(Integer, "sqlite")


class How(StrEnum):
    """The way in which something was seen or done."""

    API = "api"
    PAGE = "page"
    COMMAND = "command"
    JOB = "job"
    SERVER = "server"


class Outcome(StrEnum):
    """What came of it; `repeated` is the stored answer to a request sent again, `lost` a gap of views."""

    SEEN = "seen"
    DONE = "done"
    REPEATED = "repeated"
    REFUSED = "refused"
    LOST = "lost"


class Subject(NamedTuple):
    """What an act is about: the kind of record, its id, and whether its text was withheld from who looked."""

    kind: str
    id: str
    withheld: bool = False


@dataclass(frozen=True)
class Act:
    """One thing that somebody saw or did. `resource` and `action` are words of the policy, `operation` the route's."""

    at: datetime
    resource: str
    action: str
    how: How
    operation: str
    account_id: str | None = None
    """None: whoever runs the machine."""
    key_id: int | None = None
    rights: str = ""
    method: str = ""
    outcome: Outcome = Outcome.DONE
    status: int | None = None
    request_id: str | None = None
    lost: int = 0
    subjects: tuple[Subject, ...] = field(default=())


class AuditRow(SQLModel, table=True):
    """One row of the trail: never updated, never deleted."""

    __tablename__ = "audit"
    __table_args__ = (
        CheckConstraint("length(hash) = 64", name="hash_is_sha256"),
        CheckConstraint("how IN ('api', 'page', 'command', 'job', 'server')", name="how_known"),
        CheckConstraint("outcome IN ('seen', 'done', 'repeated', 'refused', 'lost')", name="outcome_known"),
        CheckConstraint("lost >= 0 AND (lost > 0) = (outcome = 'lost')", name="lost_is_counted"),
        Index("ix_audit_account", "account_id", "seq"),
        Index("ix_audit_at", "at"),
    )

    seq: int = Field(primary_key=True, sa_type=_SEQ, sa_column_kwargs={"autoincrement": False})
    at: datetime = Field(sa_type=Instant)
    account_id: str | None = Field(default=None, foreign_key="account.id")
    key_id: int | None = None
    rights: str
    resource: str
    action: str
    how: str
    method: str
    operation: str
    outcome: str
    status: int | None = None
    request_id: str | None = None
    lost: int = 0
    prev_hash: str
    hash: str


class AuditSubject(SQLModel, table=True):
    """One record that a row of the trail is about."""

    __tablename__ = "audit_subject"
    __table_args__ = (
        Index("ix_audit_subject_seen", "kind", "subject_id", "seq"),
        {"sqlite_with_rowid": False},
    )

    seq: int = Field(primary_key=True, foreign_key="audit.seq", sa_type=_SEQ)
    kind: str = Field(primary_key=True)
    subject_id: str = Field(primary_key=True)
    withheld: bool = False


_AUDIT: Table = AuditRow.__table__  # type: ignore[attr-defined]
_SUBJECT: Table = AuditSubject.__table__  # type: ignore[attr-defined]
# Built once: every change asks them.
_ADD, _ADD_SUBJECT = insert(_AUDIT), insert(_SUBJECT)


def write_down(session: Session, acts: Sequence[Act]) -> None:
    """Write acts into the trail, in this order, as the last thing of a transaction; the caller commits.

    Whatever else the transaction does has to be done before: on PostgreSQL other writers wait from here to its end.
    """
    session.flush()
    parts = [part for one in acts for part in _parts(one)]
    if not parts:
        return
    last, previous = next_place(session, Chain.AUDIT, len(parts))
    rows, subjects, seq = [], [], last - len(parts)
    for act in parts:
        seq += 1
        row = _row(act, seq, previous)
        previous = row["hash"]
        rows.append(row)
        subjects += [
            {"seq": seq, "kind": one.kind, "subject_id": one.id, "withheld": one.withheld} for one in act.subjects
        ]
    session.connection().execute(_ADD, rows)
    if subjects:
        session.connection().execute(_ADD_SUBJECT, subjects)
    set_head(session, Chain.AUDIT, previous)


def _parts(act: Act) -> Iterator[Act]:
    """Yield an act as rows, each with a bounded number of subjects, every record once."""
    chosen = {(one.kind, one.id): one for one in sorted(act.subjects, reverse=True)}
    subjects = tuple(chosen[key] for key in sorted(chosen))
    for start in range(0, max(1, len(subjects)), MAX_SUBJECTS):
        yield Act(**{**act.__dict__, "subjects": subjects[start : start + MAX_SUBJECTS]})


def _row(act: Act, seq: int, previous: str) -> dict[str, Any]:
    row = {
        "seq": seq,
        "at": act.at,
        "account_id": act.account_id,
        "key_id": act.key_id,
        "rights": act.rights,
        "resource": act.resource,
        "action": act.action,
        "how": act.how.value,
        "method": act.method,
        "operation": act.operation,
        "outcome": act.outcome.value,
        "status": act.status,
        "request_id": act.request_id,
        "lost": act.lost,
        "prev_hash": previous,
    }
    return row | {"hash": _hash(row, act.subjects)}


def _hash(row: dict[str, Any], subjects: Sequence[Subject]) -> str:
    return hash_of({**row, "subjects": [[one.kind, one.id, one.withheld] for one in subjects]})


def subject_kind(kind: Kind) -> str:
    """Return what a record of a kind is called in the trail."""
    return _IMPORTED.get(kind, kind.value)


def subjects_imported(report: ImportReport) -> list[Subject]:
    """Return the records that an import made or changed."""
    if report.kind is None:
        return []
    kind = subject_kind(report.kind)
    return [Subject(kind, one) for one in sorted({*report.created_ids, *report.updated_ids})]


@dataclass(frozen=True)
class TrailProof:
    """What a look at every row found: how many there are, the last one's hash, and what is not as it must be."""

    rows: int
    head: str
    findings: tuple[str, ...]


def verify_trail(session: Session, exported: Sequence[ExportedHead] = ()) -> TrailProof:
    """Recompute the whole chain: numbers without a gap, each hash over its row, its subjects and the hash before.

    Heads that were `exported` before must be among its rows. Its end is held against the head that every writing
    notes, and every row against the links that name one: a trail that was emptied or lost its last rows fits together
    by itself.
    """
    query = select(AuditSubject).order_by(col(AuditSubject.seq), col(AuditSubject.kind), col(AuditSubject.subject_id))
    found = groupby(session.exec(query.execution_options(yield_per=1_000)), key=lambda one: one.seq)
    named = next(found, None)
    linked = _linked_heads(session)
    kept = {one.n: one.hash for one in exported if one.chain == Chain.AUDIT and one.n}
    findings, seq, previous = [], 0, GENESIS
    for row in session.exec(select(AuditRow).order_by(col(AuditRow.seq)).execution_options(yield_per=1_000)):
        if row.seq != seq + 1:
            findings.append(T_("rows %(first)s to %(last)s are missing", first=seq + 1, last=row.seq - 1))
        subjects = []
        while named is not None and named[0] < row.seq:
            findings.append(T_("subjects are named of row %(named)s, which is missing", named=named[0]))
            named = next(found, None)
        if named is not None and named[0] == row.seq:
            subjects = [Subject(one.kind, one.subject_id, one.withheld) for one in named[1]]
            named = next(found, None)
        if row.prev_hash != previous and row.seq == seq + 1:
            findings.append(T_("row %(seq)s does not follow the one before", seq=row.seq))
        if row.hash != _hash(row.model_dump(exclude={"hash"}), sorted(subjects)):
            findings.append(T_("row %(seq)s is not what was written", seq=row.seq))
        if linked.pop(row.seq, row.hash) != row.hash:
            findings.append(T_("row %(seq)s is not the one that the ledger's links name", seq=row.seq))
        if kept.pop(row.seq, row.hash) != row.hash:
            findings.append(T_("row %(seq)s is not the one of a head that was kept", seq=row.seq))
        seq, previous = row.seq, row.hash
    findings += [T_("row %(n)s, of which the head was kept, is gone", n=n) for n in sorted(kept)]
    if named is not None:
        findings.append(T_("subjects are named of row %(named)s, which is missing", named=named[0]))
    findings += _ends_otherwise(session, seq, previous, linked)
    return TrailProof(seq, previous, tuple(findings))


def _linked_heads(session: Session) -> dict[int, str]:
    """Return the heads of the trail that the ledger's links name, by number."""
    heads = (head.get(Chain.AUDIT.value, [0, ""]) for head in session.exec(select(Link.heads)).all())
    return {int(n): str(content) for n, content in heads if n}


def _ends_otherwise(session: Session, n: int, last: str, linked: dict[int, str]) -> Iterator[Text]:
    stored_n, stored = head(session, Chain.AUDIT)
    if stored_n > n:
        yield T_("the last rows are gone: it ends with row %(n)s and had %(stored)s", n=n, stored=stored_n)
    elif (stored_n, stored) != (n, last):
        yield T_("it does not end where the stored head says")
    if linked:
        yield T_("row %(n)s, which the ledger's links name, is gone", n=max(linked))


def was_seen(session: Session, *, kind: str, subject_id: str, by: Collection[str], since: datetime) -> bool:
    """Whether one of some accounts was shown a record, not withheld, since a moment."""
    query = (
        select(col(AuditRow.seq))
        .join(AuditSubject, col(AuditSubject.seq) == col(AuditRow.seq))
        .where(
            col(AuditSubject.kind) == kind,
            col(AuditSubject.subject_id) == subject_id,
            col(AuditSubject.withheld).is_(False),
            col(AuditRow.account_id).in_(list(by)),
            col(AuditRow.at) >= since,
            col(AuditRow.outcome).in_([Outcome.SEEN.value, Outcome.DONE.value]),
        )
    )
    return session.execute(query.limit(1)).first() is not None


class BreakGlassRead(SQLModel, table=True):
    """One reading of a need's text by somebody outside its alliance: never updated, never deleted."""

    __tablename__ = "break_glass_read"
    __table_args__ = (CheckConstraint("length(reason) > 0", name="for_a_reason"),)

    id: int | None = Field(default=None, primary_key=True)
    need_id: str = Field(foreign_key="need.id", index=True)
    account_id: str = Field(foreign_key="account.id")
    reason: str
    at: datetime = Field(sa_type=Instant)


def note_emergency_read(session: Session, *, need_id: str, account_id: str, reason: str, now: datetime) -> None:
    """Write down that a need was read, and why, in the transaction that reads it."""
    session.add(BreakGlassRead(need_id=need_id, account_id=account_id, reason=reason, at=now))
    session.flush()
