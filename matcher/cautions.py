"""What an expert must know before trusting an answer.

In: records, an index, a need. Out: warnings in Chinese and English, empty if
there is nothing to warn of. They exist because a ranking always looks sure: a
stale index, a mistyped exclusion or a need of three words must be said, not
guessed from the result. Pure.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from indexer.lexical import terms
from indexer.profiles import Lab, Need
from indexer.snapshot import Snapshot
from indexer.text import need_text
from indexer.wording import T_, listed
from matcher.explanation import FEW_LABS, Bilingual
from matcher.rules import unknown_exclusions


def changed_labs(now: Mapping[str, str], snapshot: Snapshot) -> frozenset[str]:
    """Return the indexed labs whose texts are no longer those of the index; `now` has a fingerprint per stored lab."""
    indexed = snapshot.lab_fingerprints
    return frozenset(lab_id for lab_id in now.keys() & indexed.keys() if now[lab_id] != indexed[lab_id])


def stale(now: Mapping[str, str], snapshot: Snapshot, *, taken_in: bool = False) -> tuple[Bilingual, ...]:
    """Say how many labs are new, changed or gone since the index was built.

    Args:
        now: as in `changed_labs`.
        snapshot: the index.
        taken_in: whether they are being taken in, so that nobody has to do anything.
    """
    indexed = snapshot.lab_fingerprints
    new, changed, removed = now.keys() - indexed.keys(), changed_labs(now, snapshot), indexed.keys() - now.keys()
    counts = [
        *([T_("%(n)s new", n=len(new))] if new else ()),
        *([T_("%(n)s changed", n=len(changed))] if changed else ()),
        *([T_("%(n)s removed", n=len(removed))] if removed else ()),
    ]
    if not counts:
        return ()
    labs = listed(counts)
    if taken_in:
        return (
            Bilingual.of(
                T_(
                    "the index is just taking in what changed in the records (%(labs)s labs); ask again in a moment",
                    labs=labs,
                )
            ),
        )
    return (
        Bilingual.of(
            T_(
                "the index of %(created_at)s is older than the records (%(labs)s labs); run: gloria reindex",
                created_at=snapshot.created_at,
                labs=labs,
            )
        ),
    )


def earlier_index(problem: str | None, snapshot: Snapshot) -> tuple[Bilingual, ...]:
    """Say that an earlier index answers, since the newest can't be used; `problem` says why, None if it can."""
    if problem is None:
        return ()
    return (
        Bilingual.of(
            T_(
                "the newest index can't be used (%(problem)s); the index of %(created_at)s answers instead",
                problem=problem,
                created_at=snapshot.created_at,
            )
        ),
    )


def few_labs(snapshot: Snapshot) -> tuple[Bilingual, ...]:
    """Say that scores mean little where there is hardly anybody to compare with."""
    if len(snapshot.lab_ids) >= FEW_LABS:
        return ()
    return (
        Bilingual.of(
            T_(
                "there are fewer than %(few_labs)s labs: scores and bands compare labs with each other and say "
                "little here",
                few_labs=FEW_LABS,
            )
        ),
    )


def exclusions(need: Need, labs: Collection[Lab]) -> tuple[Bilingual, ...]:
    """Name what a need excludes that is nobody: the lab that was meant would be shown."""
    unknown = ", ".join(unknown_exclusions(need, labs))
    if not unknown:
        return ()
    return (
        Bilingual.of(
            T_(
                "%(id)s excludes labs that are not stored: %(unknown)s; correct the id or name",
                id=need.id,
                unknown=unknown,
            )
        ),
    )


def too_little(need: Need) -> tuple[Bilingual, ...]:
    """Say that a need has no word to search with."""
    if terms(need_text(need)):
        return ()
    return (Bilingual.of(T_("%(id)s says too little to be matched", id=need.id)),)
