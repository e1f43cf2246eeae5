"""Proving the ledger: every row is what was written, nothing is missing, every rule was kept, every total adds up.

In: the database, the folder of evidence, and heads of the chains that were written down outside of it.
Out: a list of findings, empty if all is well; the whole ledger as lines that an outsider can recompute. It exists
because trust in the figures must not rest on trust in whoever holds the database: a changed cell, a removed row, a
dropped tail, an exchanged file of evidence, a trigger that was taken away, a result that was recognised against the
rules are each found by a check of their own. A database that was rewritten as a whole still fits together, so only
who has kept a head elsewhere can tell; reports carry them signed.

An export has one JSON line for each row of both chains, in its canonical form, one for each head and one for the heads
signed; what checks one
lies apart (`matcher.ledger.export_check`).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

import orjson
from sqlalchemy import BigInteger, Select, Table, bindparam
from sqlalchemy import select as select_columns
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import aliased
from sqlmodel import Session, SQLModel, col, select

from indexer.database import WRITTEN
from indexer.wording import T_
from matcher.ledger.proving.database_rules import broken_rules
from matcher.ledger.proving.finding import ProofFinding
from matcher.ledger.proving.replay import Replay
from matcher.ledger.rows.chain import GENESIS, LEDGER_CHAINS, Chain, ExportedHead, canonical, hash_of, head, heads_of
from matcher.ledger.rows.details import Circumstances, read_details
from matcher.ledger.rows.entries import WHOLE_BP, Entry, EntryKind
from matcher.ledger.rows.evidence import is_intact
from matcher.ledger.rows.kpis import KPI_FACTS, RECOGNISED_KPIS, Kpi
from matcher.ledger.rows.links import LINKED, START, Link, linked_rows
from matcher.ledger.rows.periods import PeriodClose, totals_of
from matcher.ledger.rows.pseudonyms import KEY_FILE, key_problem
from matcher.ledger.rows.result_claims import LiveFact
from matcher.ledger.rows.steps import ENDED, NEXT_STATES, State, Step

_ROWS_AT_ONCE = 5_000
_CHAINS: dict[Chain, type[SQLModel]] = {Chain.ENTRIES: Entry, Chain.STEPS: Step, Chain.LINKS: Link}

# Queries are built once: of a short ledger that takes longer than asking them.
_STEPS = select(Step.entry_id, Step.version, Step.state).order_by(col(Step.entry_id), col(Step.version))
_REVERSALS = select(Entry.id).where(Entry.kind == EntryKind.REVERSAL.value)
_RECOGNISABLE = select(Entry.id).where(col(Entry.kpi).in_(RECOGNISED_KPIS))
_REVERSED = aliased(Entry)
_REVERSALS_BESIDE_FACTS = select(
    Entry.reverses,
    (col(Entry.amount) == col(_REVERSED.amount)) & (col(Entry.kpi) == col(_REVERSED.kpi)),
    Entry.shares,
    _REVERSED.shares,
).join(_REVERSED, col(Entry.reverses) == col(_REVERSED.id))
_ENDED = select(Step.entry_id).where(col(Step.state).in_([state.value for state in ENDED]))
_REVERSED_IDS = select(Entry.reverses)
_FACTS = select(Entry.id, Entry.kpi, Entry.natural_key).where(Entry.kind == EntryKind.FACT.value)
_LIVE_FACT: Table = LiveFact.__table__  # type: ignore[attr-defined]
_LIVE = select_columns(*(_LIVE_FACT.c[name] for name in ("entry_id", "kpi", "natural_key", "skeleton", "series")))
_CLOSES = select(PeriodClose).order_by(col(PeriodClose.period))


@dataclass(frozen=True)
class LedgerProof:
    """What was looked at, and what was found."""

    entries: int
    steps: int
    heads: Mapping[str, str]
    findings: Sequence[ProofFinding]


def verify(
    session: Session,
    *,
    home: Path | None = None,
    exported: Sequence[ExportedHead] = (),
    with_database: bool = True,
) -> LedgerProof:
    """Look at every row of the ledger and of what it rests on; nothing is written.

    Args:
        session: one state of the database.
        home: where evidence lies; None leaves the files out.
        exported: heads that were exported before, which the chains must still contain.
        with_database: whether the database's own rules are compared with those of this release too.
    """
    replay = Replay()
    links = _Links(replay, exported)
    findings = list(links.run(session))
    walked = {chain: _Walk(chain, replay, exported, links.heads[chain.value]) for chain in LEDGER_CHAINS}
    findings += [finding for walk in walked.values() for finding in walk.run(session)]
    checks = {
        "link": links.compare(session),
        "steps": _check_steps(session),
        "key": _check_keys(session, walked[Chain.ENTRIES].keys),
        "total": _check_closes(session),
        "rule": replay.findings(session),
    }
    if home is not None:
        checks["evidence"] = _check_files(session, home)
        checks["persons"] = _check_persons_key(session, home)
    if with_database:
        checks["database"] = broken_rules(session)
    for name, check in checks.items():
        findings += _carried_out(name, check)
    heads = {chain.value: f"{walk.n} {walk.hash}" for chain, walk in {**walked, Chain.LINKS: links}.items()}
    return LedgerProof(walked[Chain.ENTRIES].n, walked[Chain.STEPS].n, heads, findings)


def _carried_out(name: str, check: Iterator[ProofFinding]) -> Iterator[ProofFinding]:
    """Yield what a check finds; values that no writer of ours leaves are a finding too, not a fault of the check."""
    try:
        yield from check
    except Exception as error:
        if not _is_unreadable(error):
            raise
        yield ProofFinding(
            name, "ledger", T_("can't be checked: a row holds what can't be read (%(error)s)", error=error)
        )


def _is_unreadable(error: Exception) -> bool:
    """Whether it was raised by a value that no writer of ours left, while it was read or added up."""
    if isinstance(error, OperationalError):
        # SQLite keeps bytes that are no text in a column of texts.
        return "decode" in str(error)
    return isinstance(error, (ValueError, TypeError, AttributeError, KeyError))


class _Walk:
    """One pass over a chain, row by row in its order."""

    def __init__(
        self,
        chain: Chain,
        replay: Replay,
        exported: Sequence[ExportedHead],
        linked: Mapping[int, set[str]] | None = None,
    ) -> None:
        self.chain, self.replay = chain, replay
        self.keys: dict[str, tuple[str, str]] = {}
        self._linked = dict(linked or {})
        self.n, self.hash = 0, GENESIS
        # All that were exported for a number: a rewritten chain is exported again and must not hide what it replaced.
        self._exported: defaultdict[int, set[str]] = defaultdict(set)
        for one in exported:
            if one.chain == chain.value and one.n > 0:
                self._exported[one.n].add(one.hash)

    def run(self, session: Session) -> Iterator[ProofFinding]:
        """Yield what is wrong with the chain and, row by row, with what its rows say."""
        for row in _chain_rows(session, _CHAINS[self.chain]):
            place = f"{self.chain.value} {row['seq']}"
            if "hash" not in row:
                yield ProofFinding("chain", place, T_("holds what can't be read"))
                self.n, self.hash = row["seq"], ""
                continue
            yield from self._in_place(row, place)
            yield from _carried_out("chain", self._look(row, place))
            self.n, self.hash = row["seq"], row["hash"]
        if head(session, self.chain) != (self.n, self.hash):
            yield ProofFinding("head", self.chain.value, T_("does not end where the stored head says"))
        for n in sorted(self._exported):
            yield ProofFinding("head", f"{self.chain.value} {n}", T_("was exported and is gone: the tail was dropped"))
        for n in sorted(self._linked):
            yield ProofFinding("head", f"{self.chain.value} {n}", T_("is named by a link and is gone"))

    def _in_place(self, row: Mapping[str, Any], place: str) -> Iterator[ProofFinding]:
        """Yield what is wrong with a row's number, hashes, and what others say of it."""
        if row["seq"] != self.n + 1:
            yield ProofFinding("chain", place, T_("follows number %(n)s: a row is missing or was inserted", n=self.n))
        if row["prev_hash"] != self.hash:
            yield ProofFinding("chain", place, T_("does not name the hash of the row before it"))
        if not _hash_fits(row):
            yield ProofFinding("chain", place, T_("is not what was written: its hash does not fit its content"))
        if self._exported.pop(row["seq"], set()) - {row["hash"]}:
            yield ProofFinding("head", place, T_("has another hash than the head that was exported"))
        if self._linked.pop(row["seq"], set()) - {row["hash"]}:
            yield ProofFinding("head", place, T_("has another hash than a link says that was written after it"))

    def _look(self, row: Mapping[str, Any], place: str) -> Iterator[ProofFinding]:
        """Yield what is wrong with what a row says."""
        if self.chain is Chain.ENTRIES:
            yield from self.replay.entry(row, place)
            yield from _check_entry(row, place, self.keys)
        else:
            yield from self.replay.step(row, place)


class _Links(_Walk):
    """The pass over the links, which gathers what they say of other rows and chains."""

    def __init__(self, replay: Replay, exported: Sequence[ExportedHead]) -> None:
        super().__init__(Chain.LINKS, replay, exported)
        self.heads: defaultdict[str, dict[int, set[str]]] = defaultdict(dict)
        self._rows: defaultdict[str, dict[str, str]] = defaultdict(dict)

    def _look(self, row: Mapping[str, Any], place: str) -> Iterator[ProofFinding]:
        yield from self.replay.moment("links", row["at"], place)
        for chain, (n, content) in row["heads"].items():
            if n:
                self.heads[chain].setdefault(n, set()).add(content)
        for table, key, content in row["rows"]:
            if START in row["heads"]:
                self.replay.was_there(table, key)
            if table not in LINKED:
                yield ProofFinding("link", place, T_("names a table that is not linked"))
            self._rows[table][key] = content

    def compare(self, session: Session) -> Iterator[ProofFinding]:
        """Yield the rows that are not as the last link to them says."""
        # What this very transaction wrote gets its link with its commit.
        waiting: dict[str, dict[Any, Any]] = session.info.get(WRITTEN, {})
        for table, linked in LINKED.items():
            said, new = self._rows[table], {str(key) for key in waiting.get(table, ())}
            for key, content in linked_rows(session, table, None if linked.every else said):
                known = said.pop(key, None)
                if key in new:
                    continue
                if known is None:
                    yield ProofFinding("link", f"{table} {key}", T_("has no link: the product did not write it"))
                elif known != content:
                    yield ProofFinding("link", f"{table} {key}", T_("is not what was written: its link says otherwise"))
            for key in sorted(said):
                yield ProofFinding("link", f"{table} {key}", T_("is linked and is gone"))


def _hash_fits(row: Mapping[str, Any]) -> bool:
    try:
        return bool(hash_of(row) == row["hash"])
    except TypeError:
        # It holds what has no canonical form, so it was never hashed.
        return False


def _chain_rows(session: Session, model: type[SQLModel]) -> Iterator[dict[str, Any]]:
    """Yield the rows of a chain in their order; of one that can't be read its number only."""
    numbers, rows = _queries_of(model)
    last = -(2**62)
    while True:
        found = session.connection().execute(numbers, {"last": last}).scalars().all()
        if not found:
            return
        last = found[-1]
        yield from _readable_rows(session, rows, found)


@cache
def _queries_of(model: type[SQLModel]) -> tuple[Select[Any], Select[Any]]:
    """Return the query of the next numbers of a chain, after `last`, and of its rows from `first` to `last`."""
    table: Table = model.__table__  # type: ignore[attr-defined]
    number, last = table.c.seq, bindparam("last", type_=BigInteger)
    numbers = select_columns(number).where(number > last).order_by(number).limit(_ROWS_AT_ONCE)
    return numbers, table.select().where(number.between(bindparam("first", type_=BigInteger), last)).order_by(number)


def _readable_rows(session: Session, rows: Select[Any], numbers: Sequence[int]) -> Iterator[dict[str, Any]]:
    """Yield rows in their order; where they can't be read together each half apart, down to the one that can't be."""
    try:
        within = {"first": numbers[0], "last": numbers[-1]}
        found = [dict(row) for row in session.connection().execute(rows, within).mappings()]
    except Exception as error:
        if not _is_unreadable(error):
            raise
        half = len(numbers) // 2
        if not half:
            yield {"seq": numbers[0]}
            return
        yield from _readable_rows(session, rows, numbers[:half])
        yield from _readable_rows(session, rows, numbers[half:])
        return
    yield from found


def _check_entry(row: Mapping[str, Any], place: str, keys: dict[str, tuple[str, str]]) -> Iterator[ProofFinding]:
    """Yield what is wrong with what an entry says, and note by which skeleton and series it counts once."""
    if sum(row["shares"].values()) != WHOLE_BP or min(row["shares"].values()) < 1:
        yield ProofFinding(
            "shares", place, T_("shares do not sum to %(whole_bp)s basis points", whole_bp=f"{WHOLE_BP:,}")
        )
    for party in ("school", "company"):
        parts = row[f"{party}_shares"]
        if parts is None:
            continue
        if sum(parts.values()) != WHOLE_BP or min(parts.values()) < 1 or row[f"{party}_id"] not in parts:
            yield ProofFinding("shares", place, T_("shares of schools or companies do not make up the whole"))
    kpi = Kpi(row["kpi"])
    if row["unit"] != KPI_FACTS[kpi].unit or row["amount"] <= 0:
        yield ProofFinding("amount", place, T_("amount or unit is not one of its figure"))
    details = read_details(kpi, row["details"])
    if kpi is not Kpi.MEMBERS:
        # A member's is by its 統一編號, which may become known later.
        keys[row["id"]] = details.skeleton(Circumstances(row["id"], row["school_id"])), details.series()
    if details.natural_key() != row["natural_key"]:
        yield ProofFinding("key", place, T_("its key is not that of its details"))


def _check_steps(session: Session) -> Iterator[ProofFinding]:
    """Every entry's steps follow each other, and a reversal equals what it reverses."""
    reversals = set(session.exec(_REVERSALS).all())
    unstepped = set(session.exec(_RECOGNISABLE).all())
    last: tuple[str, int, State | None] = ("", 0, None)
    for entry_id, version, name in session.execute(_STEPS).all():
        before = last if last[0] == entry_id else (entry_id, 0, None)
        state = State(name)
        follows = state in NEXT_STATES[before[2]] or (entry_id in reversals and state is State.RECOGNISED)
        if version != before[1] + 1 or not follows:
            yield ProofFinding(
                "steps",
                f"entry {entry_id}",
                T_(
                    "step %(version)s (%(state)s) can't follow %(before)s",
                    version=version,
                    state=state,
                    before=before[2],
                ),
            )
        last = (entry_id, version, state)
        unstepped.discard(entry_id)
    for entry_id in sorted(unstepped):
        yield ProofFinding("steps", f"entry {entry_id}", T_("has no step: nothing says where it stands"))
    yield from _check_reversals(session)


def _check_reversals(session: Session) -> Iterator[ProofFinding]:
    for entry_id, is_same, shares, reversed_shares in session.execute(_REVERSALS_BESIDE_FACTS).all():
        if not is_same or shares != reversed_shares:
            yield ProofFinding("reversal", f"entry {entry_id}", T_("was reversed by another amount, figure or shares"))


def _check_keys(session: Session, keys: Mapping[str, tuple[str, str]]) -> Iterator[ProofFinding]:
    """Exactly the facts that have not ended have a live key, each its own, compared by its own skeleton."""
    ended = set(session.exec(_ENDED).all())
    ended |= {one for one in session.exec(_REVERSED_IDS).all() if one is not None}
    facts = session.execute(_FACTS).all()
    wanted = {entry_id: (kpi, key) for entry_id, kpi, key in facts if entry_id not in ended}
    held = session.execute(_LIVE).all()
    live = {entry_id: (kpi, key) for entry_id, kpi, key, *_ in held}
    for entry_id, _, _, skeleton, series in held:
        wanted_skeleton, wanted_series = keys.get(entry_id, (skeleton, series))
        # Two that were counted before they were known to look like one were left apart by their entry.
        apart = f'{wanted_skeleton[:-1]},"entry {entry_id}"]'
        if skeleton not in (wanted_skeleton, apart) or series != wanted_series:
            yield ProofFinding("key", f"entry {entry_id}", T_("its key is compared by another skeleton than its own"))
    for entry_id in sorted({*wanted, *live}):
        if wanted.get(entry_id) != live.get(entry_id):
            yield ProofFinding(
                "key", f"entry {entry_id}", T_("its key is not held, or is held though the entry has ended")
            )


def _check_closes(session: Session) -> Iterator[ProofFinding]:
    for close in session.exec(_CLOSES).all():
        if totals_of(session, close.period) != close.totals:
            yield ProofFinding("total", close.period, T_("the closed quarter's totals are not what its rows add up to"))
        for model, n, said in ((Entry, close.entries_n, close.entries_hash), (Step, close.steps_n, close.steps_hash)):
            stored = session.exec(select(model.hash).where(model.seq == n)).first()
            if n and stored != said:
                yield ProofFinding("head", close.period, T_("the chain is not the one that was closed"))


def _check_files(session: Session, home: Path) -> Iterator[ProofFinding]:
    seen: dict[str, bool] = {}
    for model in (Entry, Step):
        for items in session.exec(select(model.evidence)).all():
            for digest in (item["sha256"] for item in items if "sha256" in item):
                if digest not in seen:
                    seen[digest] = is_intact(home, digest)
    for digest in sorted(digest for digest, intact in seen.items() if not intact):
        yield ProofFinding("evidence", digest, T_("the file is missing or is not the one that was stored"))


def _check_persons_key(session: Session, home: Path) -> Iterator[ProofFinding]:
    """With another key the same person is somebody else and counts again."""
    problem = key_problem(session, home)
    if problem is not None:
        yield ProofFinding("persons", KEY_FILE, str(problem))


_EXPORTED_AT_ONCE = 2_000


def export_lines(session: Session, now: datetime, seal: str) -> Iterator[bytes]:
    """Yield the lines of an export: `{"chain", "row"}` for each row, `{"head"}` for each chain, then the heads' seal.

    A row's `hash` is the SHA-256 over the row without `hash`, as JSON with sorted keys, no blanks, in UTF-8.
    """
    for chain in LEDGER_CHAINS:
        for row in _exported_rows(session, _CHAINS[chain]):
            plain = dict(sorted(canonical(row).items()))
            yield orjson.dumps({"chain": chain.value, "row": plain}) + b"\n"
    for one in heads_of(session, now):
        yield orjson.dumps({"head": one}) + b"\n"
    yield orjson.dumps({"signed_heads": seal}) + b"\n"


def _exported_rows(session: Session, model: type[SQLModel]) -> Iterator[dict[str, Any]]:
    table: Table = model.__table__  # type: ignore[attr-defined]
    last = 0
    while True:
        query = table.select().where(table.c.seq > last).order_by(table.c.seq).limit(_EXPORTED_AT_ONCE)
        found = session.connection().execute(query).mappings().all()
        yield from (dict(row) for row in found)
        if len(found) < _EXPORTED_AT_ONCE:
            return
        last = found[-1]["seq"]
