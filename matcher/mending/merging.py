"""Making one of two labs, companies, schools or people that are one, and taking that back within thirty days.

In: which of two records is kept, and why. Out: first what would move, then the move: all that people may change names
the record that is kept, what the database keeps for ever is found by the old id, and the old record is retired. It
exists because one lab that is stored twice is proposed twice, asked twice and counted twice.

Where both have a pairing with one need, the one that is further along becomes the kept record's, so that nothing is
decided twice; the other stays under the old id. The kept record's empty fields are filled from the other, and what
protects somebody (conflicts of interest, what a lab will not do) is what either said.

Of a person's two accounts one is shut out. What it looks after moves; what it decided stays as it was written, and the
two are one person wherever it takes two; interests declared by either bind both. No role and no way to sign in moves:
roles are given by people, some by two.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlmodel import Session, SQLModel, col, select

from indexer.folding import for_names
from indexer.instants import day_in_taipei
from indexer.records.mended.merged import RecordMerge, kept_id
from indexer.records.mended.retired import Retirement, retirement_of
from indexer.records.mended.same_work import work_keys
from indexer.records.record_tables import note_changes
from indexer.vocabulary import EVIDENCE_ID_LENGTH_MAX, Kind, Mendable
from indexer.wording import T_, Text
from matcher.mending.references import REFERENCES, Reference, Way
from matcher.mending.retiring import (
    MODELS,
    MendingError,
    NoSuchRecordError,
    no_such,
    record_name,
    stated_reason,
)
from matcher.mending.row_changes import RowChange, carry_out, has_room, key_of, put_back, rows_where
from matcher.review.people import Account, active_grants, leave_an_office, set_disabled
from matcher.review.roles import Role

MERGEABLE = (Mendable.LAB, Mendable.COMPANY, Mendable.SCHOOL, Mendable.PERSON)
UNDO_WITHIN = timedelta(days=30)
_FURTHER = ("proposed", "deferred", "rejected", "accepted")
"""States of a pairing, the one that counts most last."""
_PROTECTS = ("conflicts", "will_not_do")
_OWN = frozenset({"id", "name", "other", "merged_into", "merged_on", *_PROTECTS})
_TELLS_APART = {
    Mendable.LAB: (("orcid", T_("ORCID iDs")),),
    Mendable.COMPANY: (("tax_id", T_("tax ids")), ("country", T_("countries"))),
    Mendable.SCHOOL: (("ror", T_("ROR ids")),),
    Mendable.PERSON: (),
}
_FEEDS = {
    "lab": Kind.LABS,
    "evidence": Kind.LABS,
    "company": Kind.COMPANIES,
    "school": Kind.SCHOOLS,
    "need": Kind.NEEDS,
    "alliance": Kind.ALLIANCES,
    "alliance_partner": Kind.ALLIANCES,
}


@dataclass(frozen=True)
class Plan:
    """What a merging would do: rows that move, rows that are found by the old id, and what to look at first."""

    kind: Mendable
    gone_id: str
    kept_id: str
    changes: tuple[RowChange, ...]
    found_by_old_id: tuple[tuple[str, int], ...]
    warnings: tuple[Text, ...]

    @property
    def moved(self) -> list[tuple[str, int]]:
        """How many rows of each sort move, in words."""
        return list(Counter(one.label for one in self.changes if one.label).items())


def plan(session: Session, *, kind: Mendable, gone_id: str, kept_id: str) -> Plan:
    """Return what making one of two records would do; nothing is written.

    Raises:
        NoSuchRecordError: one of them does not exist.
        MendingError: they are one record, not of a kind that can be merged, or one of them was merged or retired.
    """
    _must_be_two(session, kind, gone_id, kept_id)
    gone, kept = _record(session, kind, gone_id), _record(session, kind, kept_id)
    moving = _Moving(session, kind, gone, kept)
    found = [(one.label, rows) for one in REFERENCES[kind] if one.way is Way.ALIAS and (rows := moving.count(one))]
    warnings = [*_warnings(kind, gone, kept)]
    if kind is Mendable.PERSON:
        warnings += _roles_left(session, gone_id, kept_id)
    return Plan(kind, gone_id, kept_id, tuple(moving.changes()), tuple(found), tuple(warnings))


def merge(
    session: Session, *, kind: Mendable, gone_id: str, kept_id: str, reason: str, by: str | None, now: datetime
) -> RecordMerge:
    """Make one of two records, as `plan` says; the record `gone_id` is retired and its id leads to the other.

    Raises:
        MendingError: see `plan`; no reason is given, or it is the own account that would go.
        LastOfficeError: nobody would be left in the programme office.
    """
    if kind is Mendable.PERSON:
        leave_an_office(session, without=gone_id)
        if by == gone_id:
            raise MendingError(T_("nobody merges the own account into another one; ask a colleague"), "record")
    planned = plan(session, kind=kind, gone_id=gone_id, kept_id=kept_id)
    row = RecordMerge(kind=kind.value, gone_id=gone_id, kept_id=kept_id, reason=stated_reason(reason), by=by, at=now)
    session.add(row)
    session.flush()
    carry_out(session, row.id or 0, planned.changes)
    session.add(
        Retirement(kind=kind.value, record_id=gone_id, since=day_in_taipei(now), reason=row.reason, by=by, at=now)
    )
    session.flush()
    if kind is Mendable.PERSON:
        set_disabled(session, account_id=gone_id, disabled=True, now=now)
    _tell(session, {(one.table, str(part)) for one in planned.changes for part in (one.key[0], one.key_after[0])})
    _tell(session, {(kind.value, gone_id), (kind.value, kept_id)})
    session.expire_all()
    session.refresh(row)
    return row


def undo_merge(session: Session, *, merge_id: int, by: str | None, now: datetime) -> RecordMerge:
    """Take a merging back: every row is as it was before.

    Raises:
        MendingError: there is none, it was taken back already, thirty days are over, or a row was changed since.
    """
    row = session.get(RecordMerge, merge_id, with_for_update=True)
    if row is None:
        raise NoSuchRecordError(T_("there is no merging %(id)s", id=merge_id), "merge")
    if row.undone_at is not None:
        raise MendingError(T_("it was taken back already"), "merge")
    if now - row.at > UNDO_WITHIN:
        raise MendingError(T_("thirty days are over: a merging is taken back within them"), "merge")
    touched = put_back(session, merge_id)
    kind = Mendable(row.kind)
    retired = retirement_of(session, kind, row.gone_id)
    if retired is not None:
        session.delete(retired)
    row.undone_at, row.undone_by = now, by
    session.add(row)
    session.flush()
    if kind is Mendable.PERSON:
        _let_in_again(session, row)
    _tell(session, touched | {(row.kind, row.gone_id), (row.kind, row.kept_id)})
    return row


def mergings(session: Session, *, of: tuple[Mendable, str] | None = None) -> list[RecordMerge]:
    """Return the mergings that hold, the newest first, all or those of which one record is the old or the kept one."""
    query = select(RecordMerge).where(col(RecordMerge.undone_at).is_(None)).order_by(col(RecordMerge.id).desc())
    if of is not None:
        kind, record_id = of
        query = query.where(
            RecordMerge.kind == kind.value,
            (col(RecordMerge.gone_id) == record_id) | (col(RecordMerge.kept_id) == record_id),
        )
    return list(session.exec(query).all())


def can_be_undone(row: RecordMerge, now: datetime) -> bool:
    """Whether a merging can still be taken back."""
    return row.undone_at is None and now - row.at <= UNDO_WITHIN


def _must_be_two(session: Session, kind: Mendable, gone_id: str, kept: str) -> None:
    if kind not in MERGEABLE:
        raise MendingError(T_("only labs, companies, schools and people are merged"), "kind")
    if gone_id == kept:
        raise MendingError(T_("these are one record already; name two"), "kept")
    for field, one in (("record", gone_id), ("kept", kept)):
        if record_name(session, kind, one) is None:
            missing = NoSuchRecordError if field == "record" else MendingError
            raise missing(no_such(kind, one), field)
        other = kept_id(session, kind, one)
        if other is not None:
            raise MendingError(T_("%(id)s was merged into %(kept)s already", id=one, kept=other), field)
        if retirement_of(session, kind, one) is not None:
            raise MendingError(T_("%(id)s is retired; take it back into use first", id=one), field)
        if kind is Mendable.PERSON and Role.JOB.value in {held.role for held in active_grants(session, one)}:
            raise MendingError(T_("%(id)s is a program's account; only people are merged", id=one), field)


def _roles_left(session: Session, gone_id: str, kept: str) -> Iterator[Text]:
    """Say which roles the account that is kept does not have: none moves, since roles are given by people."""
    held = {one: {(row.role, row.scope_id) for row in active_grants(session, one)} for one in (gone_id, kept)}
    if left := held[gone_id] - held[kept]:
        yield T_("%(n)s roles that only the account that goes holds do not move; give them anew", n=len(left))


def _let_in_again(session: Session, row: RecordMerge) -> None:
    """Let an account in again that was shut out by the merging, not one that was before."""
    account = session.get(Account, row.gone_id)
    if account is not None and account.disabled_at == row.at:
        set_disabled(session, account_id=row.gone_id, disabled=False, now=row.at)


def _record(session: Session, kind: Mendable, record_id: str) -> dict[str, Any]:
    table = SQLModel.metadata.tables[MODELS[kind].__tablename__]  # type: ignore[index]
    return rows_where(session, table.name, table.c.id == record_id)[0]


def _warnings(kind: Mendable, gone: dict[str, Any], kept: dict[str, Any]) -> Iterator[Text]:
    for name, words in _TELLS_APART[kind]:
        if gone.get(name) and kept.get(name) and gone[name] != kept[name]:
            yield T_(
                "they have different %(field)s: %(one)s and %(other)s", field=words, one=gone[name], other=kept[name]
            )


def _tell(session: Session, touched: set[tuple[str, str]]) -> None:
    kinds: dict[Kind, set[str]] = {}
    for table, record_id in touched:
        if table in _FEEDS and record_id:
            kinds.setdefault(_FEEDS[table], set()).add(record_id)
    for kind in sorted(kinds):
        note_changes(session, kind, kinds[kind])


class _Moving:
    """The rows that change when one record takes the place of another; reads only."""

    def __init__(self, session: Session, kind: Mendable, gone: dict[str, Any], kept: dict[str, Any]) -> None:
        self._session, self._kind = session, kind
        self._gone, self._kept = gone, kept
        self._ids = str(gone["id"]), str(kept["id"])

    def changes(self) -> Iterator[RowChange]:
        """Yield every change, in the order in which they are to be written."""
        yield from self._filled()
        yield from self._aliases()
        for one in REFERENCES[self._kind]:
            if one.way is Way.LISTED:
                yield from self._listed(one)
            elif one.way is Way.MOVES and one.table == "evidence":
                yield from self._evidence(one)
            elif one.way is Way.MOVES and one.table == "pairing":
                yield from self._pairings(one)
            elif one.way is Way.MOVES and one.table != "release":
                yield from self._moved(one)

    def count(self, one: Reference) -> int:
        """Return how many rows name the record that goes."""
        table, column = one.at()
        only = [] if one.only is None else [table.c[one.only[0]] == one.only[1]]
        return len(rows_where(self._session, one.table, column == self._ids[0], *only))

    def _filled(self) -> Iterator[RowChange]:
        """The kept record's empty fields, and what protects somebody."""
        if self._kind is Mendable.PERSON:
            return
        after: dict[str, Any] = {}
        for name, said in self._gone.items():
            had = self._kept[name]
            if name in _PROTECTS and set(said) - set(had):
                after[name] = [*had, *(one for one in said if one not in had)]
            elif name not in _OWN and had in (None, "", []) and said not in (None, "", []):
                after[name] = said
        if after:
            before = {name: self._kept[name] for name in after}
            yield RowChange(self._kind.value, (self._ids[1],), before, after, T_("fields filled from the other"))
        if self._kind is Mendable.SCHOOL:
            # The ledger's own way to read an old school: its totals and results count for the one that took it in.
            before = {"merged_into": self._gone["merged_into"], "merged_on": self._gone["merged_on"]}
            yield RowChange("school", (self._ids[0],), before, {"merged_into": self._ids[1], "merged_on": None})

    def _aliases(self) -> Iterator[RowChange]:
        """Ids that led to the record that goes lead to the kept one."""
        table = RecordMerge.__table__  # type: ignore[attr-defined]
        holds = (table.c.kind == self._kind.value, table.c.kept_id == self._ids[0], table.c.undone_at.is_(None))
        for row in rows_where(self._session, "record_merge", *holds):
            yield RowChange("record_merge", (row["id"],), {"kept_id": self._ids[0]}, {"kept_id": self._ids[1]})

    def _moved(self, one: Reference) -> Iterator[RowChange]:
        _, column = one.at()
        for row in rows_where(self._session, one.table, column == self._ids[0]):
            if one.unique and self._is_taken(one, row):
                continue
            # A school that took the other one in is not taken in by itself.
            if (one.table, row.get("id")) == ("school", self._ids[1]):
                continue
            key = key_of(one.table, row)
            yield RowChange(one.table, key, {one.column: self._ids[0]}, {one.column: self._ids[1]}, one.label)

    def _is_taken(self, one: Reference, row: dict[str, Any]) -> bool:
        table, column = one.at()
        if one.while_null is not None and row[one.while_null] is not None:
            return False
        same = [table.c[name] == row[name] for name in one.unique]
        open_ones = [] if one.while_null is None else [table.c[one.while_null].is_(None)]
        return bool(rows_where(self._session, one.table, column == self._ids[1], *same, *open_ones))

    def _listed(self, one: Reference) -> Iterator[RowChange]:
        """Lists of names and ids in which the record that goes stands: the kept one is added, or takes its place."""
        names = [{for_names(str(said)) for said in self._called(record)} for record in (self._gone, self._kept)]
        for row in rows_where(self._session, one.table):
            listed: Sequence[str] = row[one.column]
            folded = [for_names(said) for said in listed]
            if names[0].isdisjoint(folded):
                continue
            after = [self._ids[1] if said == self._ids[0] else said for said in listed]
            if names[1].isdisjoint(map(for_names, after)):
                after.append(self._ids[1])
            after = list(dict.fromkeys(after))
            if after != list(listed):
                yield RowChange(
                    one.table, key_of(one.table, row), {one.column: list(listed)}, {one.column: after}, one.label
                )

    def _called(self, record: dict[str, Any]) -> Iterator[str]:
        yield from (record[name] for name in ("id", "name", "name_en", "tax_id") if record.get(name))

    def _evidence(self, one: Reference) -> Iterator[RowChange]:
        """Evidence that the kept lab does not have yet; the same work under another id stays with the old record."""
        _, column = one.at()
        own = rows_where(self._session, "evidence", column == self._ids[1])
        taken, works = {row["id"] for row in own}, {key for row in own for key in work_keys(row)}
        position = max((row["position"] for row in own), default=0)
        for row in sorted(
            rows_where(self._session, "evidence", column == self._ids[0]), key=lambda row: row["position"]
        ):
            keys = work_keys(row)
            if keys & works:
                continue
            position += 1
            before = {"lab_id": self._ids[0], "position": row["position"]}
            after: dict[str, Any] = {"lab_id": self._ids[1], "position": position}
            if row["id"] in taken:
                before["id"] = row["id"]
                after["id"] = f"{row['id']}#{self._ids[0]}"[:EVIDENCE_ID_LENGTH_MAX]
            taken.add(after.get("id", row["id"]))
            works |= keys
            yield RowChange("evidence", (self._ids[0], row["id"]), before, after, one.label)

    def _pairings(self, one: Reference) -> Iterator[RowChange]:
        """Pairings, and the releases that hang on them."""
        _, column = one.at()
        kept = {row["need_id"]: row for row in rows_where(self._session, "pairing", column == self._ids[1])}
        for row in rows_where(self._session, "pairing", column == self._ids[0]):
            other = kept.get(row["need_id"])
            if other is not None and not self._is_further(row, other):
                continue
            yield from self._paired(row, *self._ids, one.label)
            if other is not None:
                yield from self._paired(other, self._ids[1], self._ids[0], "")

    def _is_further(self, row: dict[str, Any], other: dict[str, Any]) -> bool:
        further = _FURTHER.index(row["state"]) > _FURTHER.index(other["state"])
        return further and has_room(self._session, row["need_id"])

    def _paired(self, row: dict[str, Any], old: str, new: str, label: str) -> Iterator[RowChange]:
        yield RowChange("pairing", (row["id"],), {"lab_id": old}, {"lab_id": new}, label)
        release = SQLModel.metadata.tables["release"]
        for released in rows_where(self._session, "release", release.c.pairing_id == row["id"]):
            said = T_("releases to companies") if label else ""
            yield RowChange("release", (released["id"],), {"lab_id": old}, {"lab_id": new}, said)
