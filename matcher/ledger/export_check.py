"""Recomputing an exported ledger, without any database.

In: the lines of an export, and heads that somebody kept. Out: a list of
findings, empty if all is well. It exists for outsiders, and shares no code with
what writes the chains: were that wrong, this would see it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

import orjson

from indexer.wording import T_

_GENESIS = "0" * 64
_WHOLE_BP = 10_000
CHAINS = ("entries", "steps")
_NEVER_EXPORTED = frozenset({"audit", "links"})
"""Chains whose heads are kept beside those of the ledger; their rows lie in the database alone."""


@dataclass(frozen=True)
class ExportFinding:
    """One thing that is not as it must be: in which line (from 1, 0 for the whole file), and what."""

    line: int
    message: str


@dataclass
class CheckedExport:
    """How many rows each chain has, its head, what was found, and how many kept heads were compared."""

    rows: dict[str, int] = field(default_factory=lambda: dict.fromkeys(CHAINS, 0))
    heads: dict[str, str] = field(default_factory=lambda: dict.fromkeys(CHAINS, _GENESIS))
    findings: list[ExportFinding] = field(default_factory=list)
    kept_heads: int = 0


def check_export(lines: Iterable[bytes], *, kept: Iterable[Mapping[str, Any]] = ()) -> CheckedExport:
    """Recompute both chains of an export.

    Args:
        lines: the lines of the file.
        kept: heads that were kept elsewhere (`chain`, `n`, `hash`), which the export must contain; those of chains
            that no export has are passed over.
    """
    compared = [head for head in kept if head["chain"] not in _NEVER_EXPORTED]
    checked = CheckedExport(kept_heads=len(compared))
    wanted = {(str(head["chain"]), int(head["n"])): str(head["hash"]) for head in compared if head["n"]}
    said_heads: dict[str, tuple[int, int, str]] = {}
    ids: set[str] = set()
    for number, line in enumerate(lines, start=1):
        try:
            document = orjson.loads(line)
            if "head" in document:
                head = document["head"]
                said_heads[head["chain"]] = (number, head["n"], head["hash"])
            elif "signed_heads" not in document:
                _row(checked, number, document["chain"], document["row"], wanted, ids)
        except (orjson.JSONDecodeError, KeyError, TypeError, AttributeError):
            checked.findings.append(ExportFinding(number, T_("is not a line of an export")))
    _ends(checked, said_heads, wanted)
    return checked


def _row(
    checked: CheckedExport,
    number: int,
    chain: str,
    row: dict[str, Any],
    wanted: dict[tuple[str, int], str],
    ids: set[str],
) -> None:
    def found(message: str) -> None:
        checked.findings.append(
            ExportFinding(number, T_("%(chain)s %(seq)s %(message)s", chain=chain, seq=row["seq"], message=message))
        )

    said = {name: value for name, value in row.items() if name != "hash"}
    computed = sha256(orjson.dumps(said, option=orjson.OPT_SORT_KEYS)).hexdigest()
    if row["seq"] != checked.rows[chain] + 1:
        found(T_("follows number %(rows)s: a row is missing or was inserted", rows=checked.rows[chain]))
    if row["prev_hash"] != checked.heads[chain]:
        found(T_("does not name the hash of the row before it"))
    if row["hash"] != computed:
        found(T_("is not what was written: its hash does not fit its content"))
    if wanted.pop((chain, row["seq"]), computed) != computed:
        found(T_("has another hash than the head that was kept"))
    if chain == "entries":
        ids.add(row["id"])
        if sum(row["shares"].values()) != _WHOLE_BP:
            found(T_("has shares that do not sum to %(whole_bp)s basis points", whole_bp=f"{_WHOLE_BP:,}"))
        # Only entries of several schools or companies have these.
        several = [parts for parts in (row.get("school_shares"), row.get("company_shares")) if parts]
        if any(sum(parts.values()) != _WHOLE_BP for parts in several):
            found(T_("shares of schools or companies do not make up the whole"))
    elif row["entry_id"] not in ids:
        found(T_("is a step of an entry that the file does not have"))
    checked.rows[chain], checked.heads[chain] = row["seq"], row["hash"]


def _ends(checked: CheckedExport, said: dict[str, tuple[int, int, str]], wanted: dict[tuple[str, int], str]) -> None:
    for chain in CHAINS:
        if chain not in said:
            checked.findings.append(
                ExportFinding(0, T_("the head of %(chain)s is missing: the file was cut off", chain=chain))
            )
        elif said[chain][1:] != (checked.rows[chain], checked.heads[chain]):
            checked.findings.append(
                ExportFinding(said[chain][0], T_("%(chain)s does not end where its head says", chain=chain))
            )
    for chain, n in sorted(wanted):
        checked.findings.append(
            ExportFinding(
                0, T_("%(chain)s %(n)s was kept as a head and is gone: the tail was dropped", chain=chain, n=n)
            )
        )
