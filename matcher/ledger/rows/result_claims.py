"""Who claims which result: every key counts once, here and across programmes.

In: natural keys of results, and what other programmes (價創, 萌芽, 專利, 技轉 and
others) say that they claim. Out: a claim that stands alone, or a refusal that
says who has it. It exists because reviewers fear one thing: the same result
counted twice (一魚多吃). The table of live facts makes a second claim impossible
in the database itself, however many report at once.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import date, datetime
from enum import StrEnum
from functools import lru_cache

import orjson
from sqlalchemy import BigInteger, CheckConstraint, Index, Table, bindparam, delete, insert, text
from sqlalchemy.exc import IntegrityError
from sqlmodel import Field, Session, SQLModel, col, select

from indexer.database import is_duplicate
from indexer.folding import for_keys
from indexer.instants import Instant
from indexer.records.record_tables import Company
from indexer.wording import T_
from matcher.ledger.rows.chain import lock_heads
from matcher.ledger.rows.details import Circumstances, Details
from matcher.ledger.rows.entries import AlreadyReportedError, Entry, LedgerError
from matcher.ledger.rows.kpis import Kpi


class OtherProgramme(StrEnum):
    """Another programme that may claim a result."""

    VALUE_CREATION = "value_creation"
    GERMINATION = "germination"
    PATENT = "patent"
    TECH_TRANSFER = "tech_transfer"
    OTHER = "other"


OTHER_PROGRAMME_LABELS = {
    OtherProgramme.VALUE_CREATION: T_("value creation"),
    OtherProgramme.GERMINATION: T_("germination"),
    OtherProgramme.PATENT: T_("patent subsidy"),
    OtherProgramme.TECH_TRANSFER: T_("technology transfer"),
    OtherProgramme.OTHER: T_("another programme"),
}
"""Each programme in Chinese and English."""

_PROGRAMMES = ", ".join(f"'{programme.value}'" for programme in OtherProgramme)


class ClaimedElsewhereError(LedgerError):
    """Another programme claims the same result; the message says which."""


class LiveFact(SQLModel, table=True):
    """The one entry that a key belongs to; the row goes when the entry ends, and only then.

    What counts once is the skeleton (`matcher.ledger.rows.details`); the natural key is that of the entry, as written.
    Facts of one series may be the same and are compared.
    """

    __tablename__ = "ledger_live_fact"
    __table_args__ = (Index("ix_ledger_live_fact_series", "kpi", "series"),)

    kpi: str = Field(primary_key=True)
    natural_key: str
    entry_id: str = Field(foreign_key="ledger_entry.id", unique=True)
    skeleton: str = Field(primary_key=True)
    series: str


class ExternalClaim(SQLModel, table=True):
    """That another programme claims a result, until it withdraws the claim."""

    __tablename__ = "external_claim"
    __table_args__ = (
        CheckConstraint(f"programme IN ({_PROGRAMMES})", name="programme_known"),
        CheckConstraint("amount IS NULL OR amount > 0", name="amount_positive"),
        Index(
            "ix_external_claim_active",
            "programme",
            "kpi",
            "natural_key",
            unique=True,
            sqlite_where=text("ended_at IS NULL"),
            postgresql_where=text("ended_at IS NULL"),
        ),
    )

    id: int | None = Field(default=None, primary_key=True)
    programme: str
    kpi: str
    natural_key: str
    claimant: str
    reference: str
    party: str
    amount: int | None = Field(sa_type=BigInteger)
    occurred_on: date | None
    noted_by: str = Field(foreign_key="account.id")
    noted_at: datetime = Field(sa_type=Instant)
    ended_at: datetime | None = Field(default=None, sa_type=Instant)
    ended_by: str | None = None


# Built once: every acceptance asks them.
_LIVE: Table = LiveFact.__table__  # type: ignore[attr-defined]
_INSERTION = insert(_LIVE)
_WHO_HAS = (
    select(Entry.id, Entry.shares)
    .join(LiveFact, col(LiveFact.entry_id) == col(Entry.id))
    .where(LiveFact.kpi == bindparam("of_kpi"), LiveFact.skeleton == bindparam("of_skeleton"))
)


def take_key(
    session: Session, *, kpi: Kpi, details: Details, about: Circumstances, by: Collection[str] | None = None
) -> None:
    """Let an entry have its key, alone.

    Args:
        session: the transaction.
        kpi: the figure.
        details: what is said of the result.
        about: the entry.
        by: the alliances of who reports it, None if nobody does: see `refuse_second`.

    Raises:
        AlreadyReportedError: another entry has it.
    """
    refuse_second(session, kpi, details.skeleton(about), by)
    try:
        session.connection().execute(_INSERTION, live_row(kpi, details, about))
    except IntegrityError as error:
        if not is_duplicate(error):
            raise
        raise AlreadyReportedError(T_("the same result was reported a moment ago; read the ledger again")) from error


def live_row(kpi: Kpi, details: Details, about: Circumstances) -> dict[str, str]:
    """Return the row that says which entry a key belongs to."""
    return {
        "kpi": kpi.value,
        "natural_key": details.natural_key(),
        "entry_id": about.entry_id,
        "skeleton": details.skeleton(about),
        "series": details.series(),
    }


def tax_id_of(session: Session, company_id: str | None) -> str | None:
    """Return the 統一編號 of a company, None if it is not known."""
    return None if company_id is None else session.exec(select(Company.tax_id).where(Company.id == company_id)).first()


def refuse_second(session: Session, kpi: Kpi, skeleton: str, by: Collection[str] | None = None) -> None:
    """Refuse a key, by its skeleton, that an entry has already.

    Which entry it is, is said to who is of an alliance with a share in it; others (`by` are the alliances of who
    reports) read whose it is and nothing else.

    Raises:
        AlreadyReportedError: an entry has it.
    """
    found = session.connection().execute(_WHO_HAS, {"of_kpi": kpi.value, "of_skeleton": skeleton}).first()
    if found is None:
        return
    told = {"alliances": ", ".join(sorted(found[1]))}
    if by is None or not set(by).isdisjoint(found[1]):
        said = T_(
            "this result is counted already: entry %(found)s of %(alliances)s; a result that several "
            "alliances brought about is one entry with shares",
            found=found[0],
            **told,
        )
    else:
        said = T_(
            "this result is counted already, by %(alliances)s; a result that several alliances brought about is one "
            "entry with shares",
            **told,
        )
    raise AlreadyReportedError(said, "natural_key", ("entry", str(found[0])))


def free_key(session: Session, entry_id: str) -> None:
    """Set the key of an entry free that has ended; the database refuses it for one that has not."""
    session.connection().execute(delete(LiveFact).where(col(LiveFact.entry_id) == entry_id))


def refuse_claimed_elsewhere(session: Session, kpi: Kpi, natural_key: str) -> None:
    """Refuse a key that another programme claims.

    Raises:
        ClaimedElsewhereError: the message says which programme, who and under which reference.
    """
    these = select(ExternalClaim).where(ExternalClaim.kpi == kpi.value, col(ExternalClaim.ended_at).is_(None))
    mine = _plainly(natural_key)
    found = next((claim for claim in session.exec(these).all() if _plainly(claim.natural_key) == mine), None)
    if found is not None:
        programme = OTHER_PROGRAMME_LABELS[OtherProgramme(found.programme)]
        raise ClaimedElsewhereError(
            T_(
                "%(zh)s (%(en)s) claims this result already: %(claimant)s, %(reference)s",
                zh=programme.zh,
                en=programme.en,
                claimant=found.claimant,
                reference=found.reference,
            ),
            "natural_key",
            ("external_claim", str(found.id)),
        )


@lru_cache(maxsize=2**16)
def _plainly(natural_key: str) -> tuple[str, ...]:
    """Return the parts of a key without what `for_keys` puts aside and without dashes, which older keys never had."""
    try:
        parts = orjson.loads(natural_key)
    except orjson.JSONDecodeError:
        parts = natural_key
    return tuple(for_keys(str(part)).replace("-", "") for part in (parts if isinstance(parts, list) else [parts]))


def note_external(session: Session, claim: ExternalClaim) -> Sequence[str]:
    """Note that another programme claims a result; the caller commits.

    Returns:
        The ids of live entries with the same key: each must now be looked at by a person.

    Raises:
        AlreadyReportedError: the programme's claim is noted already.
    """
    lock_heads(session)
    session.add(claim)
    try:
        session.flush()
    except IntegrityError as error:
        if not is_duplicate(error):
            raise
        raise AlreadyReportedError(
            T_("this programme's claim to this result is noted already"), "natural_key"
        ) from error
    query = select(LiveFact.entry_id, LiveFact.natural_key).where(LiveFact.kpi == claim.kpi)
    mine = _plainly(claim.natural_key)
    return [
        entry_id for entry_id, key in session.exec(query).all() if key == claim.natural_key or _plainly(key) == mine
    ]


def end_external(session: Session, *, claim_id: int, by: str, now: datetime) -> ExternalClaim:
    """Note that another programme withdrew its claim.

    Raises:
        LedgerError: there is no such claim, or it has ended.
    """
    claim = session.get(ExternalClaim, claim_id, with_for_update=True)
    if claim is None or claim.ended_at is not None:
        raise LedgerError(T_("there is no active claim %(claim_id)s", claim_id=claim_id), "claim")
    claim.ended_at, claim.ended_by = now, by
    session.add(claim)
    session.flush()
    return claim
