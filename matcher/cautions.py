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
    counts = (
        ("新增", "new", len(now.keys() - indexed.keys())),
        ("變更", "changed", len(changed_labs(now, snapshot))),
        ("移除", "removed", len(indexed.keys() - now.keys())),
    )
    if not any(count for _, _, count in counts):
        return ()
    zh = "、".join(f"{count} 個{what}" for what, _, count in counts if count)
    en = ", ".join(f"{count} {what}" for _, what, count in counts if count)
    if taken_in:
        return (
            Bilingual(
                f"索引正在納入資料的變更（實驗室：{zh}），稍候片刻即可比對",
                f"the index is just taking in what changed in the records ({en} labs); ask again in a moment",
            ),
        )
    return (
        Bilingual(
            f"{snapshot.created_at} 的索引比資料舊（實驗室：{zh}）；請執行：gloria reindex",
            f"the index of {snapshot.created_at} is older than the records ({en} labs); run: gloria reindex",
        ),
    )


def earlier_index(problem: str | None, snapshot: Snapshot) -> tuple[Bilingual, ...]:
    """Say that an earlier index answers, since the newest can't be used; `problem` says why, None if it can."""
    if problem is None:
        return ()
    return (
        Bilingual(
            f"最新的索引無法使用（{problem}）；目前使用 {snapshot.created_at} 的索引",
            f"the newest index can't be used ({problem}); the index of {snapshot.created_at} answers instead",
        ),
    )


def few_labs(snapshot: Snapshot) -> tuple[Bilingual, ...]:
    """Say that scores mean little where there is hardly anybody to compare with."""
    if len(snapshot.lab_ids) >= FEW_LABS:
        return ()
    return (
        Bilingual(
            f"索引中的實驗室少於 {FEW_LABS} 個：分數與契合程度是相互比較的結果，僅供參考",
            f"there are fewer than {FEW_LABS} labs: scores and bands compare labs with each other and say little here",
        ),
    )


def exclusions(need: Need, labs: Collection[Lab]) -> tuple[Bilingual, ...]:
    """Name what a need excludes that is nobody: the lab that was meant would be shown."""
    unknown = ", ".join(unknown_exclusions(need, labs))
    if not unknown:
        return ()
    return (
        Bilingual(
            f"{need.id} 排除的實驗室不存在：{unknown}；請更正代號或名稱",
            f"{need.id} excludes labs that are not stored: {unknown}; correct the id or name",
        ),
    )


def too_little(need: Need) -> tuple[Bilingual, ...]:
    """Say that a need has no word to search with."""
    if terms(need_text(need)):
        return ()
    return (Bilingual(f"{need.id} 的文字不足以比對", f"{need.id} says too little to be matched"),)
