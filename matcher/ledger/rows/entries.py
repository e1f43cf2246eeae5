"""The ledger's entries: what was reported, each an immutable row of a hash chain.

In: a fact or a reversal, complete. Out: its row, numbered without a gap. It
exists as the one place that writes entries. The database itself refuses to
change or delete one, to leave out a number, to take one whose shares do not sum
to the whole, and to add to a closed quarter; so no other way in can do so
either. Whether an entry counts is not written here but in its steps.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import JSON, BigInteger, CheckConstraint, Column, Integer, Table, bindparam, insert
from sqlmodel import Field, Session, SQLModel, select

from indexer.instants import Instant
from indexer.wording import T_
from matcher.ledger.rows import links  # noqa: F401 (links whatever a transaction writes)
from matcher.ledger.rows.chain import Chain, hash_of, next_place, set_head
from matcher.ledger.rows.kpis import KPI_FACTS, Kpi, Unit
from matcher.review import decisions  # noqa: F401 (its tables, and those below, are referred to)

WHOLE_BP = 10_000
"""Shares are in basis points: the whole is 10,000."""
MAX_TEXT = 5_000
ACCEPTANCE_PREFIX, REVERSAL_SUFFIX = "acceptance-", "-reversal"
"""The ledger's own rows are named after what they book; no report may take such a name before them."""
MAX_REPORTED_ID = 90
"""Leaves room for the suffix of a reversal."""
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{7,99}")
_SEQUENCE = BigInteger().with_variant(Integer, "sqlite")


class EntryKind(StrEnum):
    """A fact, or what takes one back."""

    FACT = "fact"
    REVERSAL = "reversal"


class LedgerError(ValueError):
    """The ledger can't take that; the message says why and `field` what is to blame.

    `tells_of` is the record, by kind and id, that the refusal says is there: whoever may ask a thousand times learns
    what every refusal says, so such ones are counted.
    """

    def __init__(self, message: str, field: str | None = None, tells_of: tuple[str, str] | None = None) -> None:
        super().__init__(message)
        self.field, self.tells_of = field, tells_of


class AlreadyReportedError(LedgerError):
    """The same id, key or step is there already; the message says where."""


def _codes(terms: type[StrEnum]) -> str:
    return ", ".join(f"'{term.value}'" for term in terms)


class Entry(SQLModel, table=True):
    """One row of the ledger: never updated, never deleted."""

    __tablename__ = "ledger_entry"
    __table_args__ = (
        CheckConstraint(f"kind IN ({_codes(EntryKind)})", name="kind_known"),
        CheckConstraint(f"kpi IN ({_codes(Kpi)})", name="kpi_known"),
        CheckConstraint(f"unit IN ({_codes(Unit)})", name="unit_known"),
        CheckConstraint("amount > 0", name="amount_positive"),
        CheckConstraint("(kind = 'reversal') = (reverses IS NOT NULL)", name="reversal_names_an_entry"),
        CheckConstraint("late_for IS NULL OR late_for < period", name="late_for_an_earlier_quarter"),
        CheckConstraint("length(hash) = 64 AND length(prev_hash) = 64", name="hashes_are_sha256"),
        CheckConstraint("length(natural_key) > 0", name="has_a_key"),
    )

    seq: int = Field(primary_key=True, sa_type=_SEQUENCE, sa_column_kwargs={"autoincrement": False})
    id: str = Field(unique=True)
    kind: str
    kpi: str = Field(index=True)
    amount: int = Field(sa_type=BigInteger)
    unit: str
    shares: dict[str, int] = Field(sa_column=Column(JSON, nullable=False))
    natural_key: str = Field(index=True)
    details: dict[str, Any] = Field(sa_column=Column(JSON, nullable=False))
    occurred_on: date
    counts_on: date
    period: str = Field(index=True)
    late_for: str | None
    school_id: str | None = Field(foreign_key="school.id")
    school_shares: dict[str, int] | None = Field(sa_column=Column(JSON(none_as_null=True), nullable=True))
    company_id: str | None
    company_shares: dict[str, int] | None = Field(sa_column=Column(JSON(none_as_null=True), nullable=True))
    case_id: int | None = Field(foreign_key="case_file.id", index=True)
    decision_id: int | None = Field(foreign_key="decision.id")
    reverses: str | None = Field(foreign_key="ledger_entry.id", unique=True)
    restates: str | None = Field(foreign_key="ledger_entry.id")
    value_added: str
    evidence: list[dict[str, str]] = Field(sa_column=Column(JSON, nullable=False))
    reporter: str = Field(foreign_key="account.id")
    reported_at: datetime = Field(sa_type=Instant)
    prev_hash: str
    hash: str

    def by_school(self) -> dict[str, int]:
        """Return the shares of its schools in basis points: the whole for its one school if it names no others."""
        return _parts(self.school_shares, self.school_id)

    def by_company(self) -> dict[str, int]:
        """Return the shares of its companies in basis points: the whole for its one company if it names no others."""
        return _parts(self.company_shares, self.company_id)


def _parts(shares: Mapping[str, int] | None, first: str | None) -> dict[str, int]:
    if shares:
        return dict(shares)
    return {} if first is None else {first: WHOLE_BP}


@dataclass(frozen=True)
class NewEntry:
    """An entry before it has its place. `id` is made by the client, so that sending twice stores once.

    `amount` is in the unit of its figure; `shares` are basis points by alliance; `counts_on` is the day whose KPI
    year the amount belongs to, which differs from `occurred_on` for instalments that fall due later. `school_shares`
    and `company_shares` say how several schools or companies have parts in it, `school_id` and `company_id` among
    them; where there is one, they are None.
    """

    id: str
    kind: EntryKind
    kpi: Kpi
    amount: int
    shares: Mapping[str, int]
    natural_key: str
    details: Mapping[str, Any]
    occurred_on: date
    counts_on: date
    period: str
    reporter: str
    reported_at: datetime
    late_for: str | None = None
    school_id: str | None = None
    school_shares: Mapping[str, int] | None = None
    company_id: str | None = None
    company_shares: Mapping[str, int] | None = None
    case_id: int | None = None
    decision_id: int | None = None
    reverses: str | None = None
    restates: str | None = None
    value_added: str = ""
    evidence: list[dict[str, str]] = field(default_factory=list)


# Built once: every acceptance and every step asks them.
_ENTRY: Table = Entry.__table__  # type: ignore[attr-defined]
_WITH_ID = select(Entry.seq).where(Entry.id == bindparam("entry_id"))
_INSERTION = insert(_ENTRY)
_WHOLE = select(Entry).where(Entry.id == bindparam("entry_id"))


def append(session: Session, new: NewEntry) -> dict[str, Any]:
    """Write an entry at the end of the chain; the caller commits.

    Returns:
        The stored row, by column.

    Raises:
        LedgerError: id, amount or shares are not what they must be.
        AlreadyReportedError: an entry with this id exists.
    """
    _check(new)
    if session.connection().execute(_WITH_ID, {"entry_id": new.id}).first() is not None:
        raise AlreadyReportedError(
            T_("an entry %(id)s exists already; a new one needs an id of its own", id=new.id), "id", ("entry", new.id)
        )
    seq, previous = next_place(session, Chain.ENTRIES)
    row: dict[str, Any] = {
        **vars(new),
        "seq": seq,
        "kind": new.kind.value,
        "kpi": new.kpi.value,
        "unit": KPI_FACTS[new.kpi].unit.value,
        "shares": dict(sorted(new.shares.items())),
        "details": dict(new.details),
        "school_shares": _several(new.school_shares),
        "company_shares": _several(new.company_shares),
        "prev_hash": previous,
    }
    row["hash"] = hash_of(row)
    session.connection().execute(_INSERTION, row)
    set_head(session, Chain.ENTRIES, row["hash"])
    return row


def _several(shares: Mapping[str, int] | None) -> dict[str, int] | None:
    """Return shares as they are stored: none where one party has the whole."""
    return None if shares is None or len(shares) < 2 else dict(sorted(shares.items()))


def _check(new: NewEntry) -> None:
    if not _ID.fullmatch(new.id):
        raise LedgerError(T_("give an id of 8 to 100 letters, digits, dots, hyphens, such as a UUID"), "id")
    if not 0 < new.amount < 2**53:
        raise LedgerError(
            T_("an amount is a whole number of %(unit)s, at least 1", unit=KPI_FACTS[new.kpi].unit.value), "amount"
        )
    if not _is_whole(new.shares):
        raise LedgerError(
            T_("shares are basis points by alliance, each at least 1, together %(whole_bp)s", whole_bp=f"{WHOLE_BP:,}"),
            "shares",
        )
    _check_parts("school_shares", new.school_shares, new.school_id)
    _check_parts("company_shares", new.company_shares, new.company_id)


def _is_whole(shares: Mapping[str, int]) -> bool:
    return bool(shares) and min(shares.values()) >= 1 and sum(shares.values()) == WHOLE_BP


def _check_parts(field: str, shares: Mapping[str, int] | None, first: str | None) -> None:
    if shares is None:
        return
    if not _is_whole(shares):
        raise LedgerError(
            T_("shares are basis points, each at least 1, together %(whole_bp)s", whole_bp=f"{WHOLE_BP:,}"), field
        )
    if first not in shares:
        raise LedgerError(T_("the one that the result is reported under has a share too"), field)


def entry_of(session: Session, entry_id: str) -> Entry:
    """Return an entry.

    Raises:
        LedgerError: there is none with this id.
    """
    found: Entry | None = session.execute(_WHOLE, {"entry_id": entry_id}).scalars().first()
    if found is None:
        raise LedgerError(T_("there is no entry %(entry_id)r", entry_id=entry_id), "id")
    return found
