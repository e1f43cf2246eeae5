"""`gloria reindex`: records in, a new index generation out.

In: the records and the configured encoders. Out: what was reused, encoded and
dropped, on stdout; progress on stderr.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from api.opening import open_session, read_settings
from api.screen import Screen, write_document

if TYPE_CHECKING:
    from indexer.reindex import ReindexReport
    from indexer.settings import Settings


def rebuild(
    context: typer.Context,
    full: Annotated[
        bool, typer.Option("--full", help="Publish anew even if nothing changed or the index was held back.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")] = False,
) -> None:
    """Bring the index up to date with the records; only what changed is encoded."""
    screen = Screen.of(context)
    report = reindexed(screen, read_settings(), full=full)
    if as_json:
        write_document(report.as_dict())
    else:
        say_report(screen, report)


def reindexed(screen: Screen, settings: Settings, *, full: bool = False) -> ReindexReport:
    """Run the job with a progress bar."""
    from indexer.reindex import reindex

    with open_session(settings) as session, screen.progress() as tell:
        return reindex(session, settings, full=full, progress=tell)


def say_report(screen: Screen, report: ReindexReport) -> None:
    """Print what a re-index did."""
    rate = report.as_dict()["encoded_per_s"]
    state = screen.text("已發布", "published") if report.changed else screen.text("無變更", "nothing changed")
    if report.held_back is not None:
        state = screen.text("暫不啟用", "held back")
    screen.say(
        f"索引 {report.generation}（{state}）：實驗室 {report.labs}、需求 {report.needs}、段落 {report.passages}",
        f"index {report.generation} ({state}): {report.labs} labs, {report.needs} needs, {report.passages} passages",
    )
    screen.say(
        f"向量：沿用 {report.reused}、新編碼 {report.encoded}（每秒 {rate}）；移除段落 {report.dropped}",
        f"vectors: {report.reused} reused, {report.encoded} encoded ({rate} per second); "
        f"{report.dropped} passages dropped",
    )
    screen.say(
        f"耗時 {report.total_s:.1f} 秒，記憶體峰值 {report.peak_memory_mb:.0f} MB",
        f"took {report.total_s:.1f} s, peak memory {report.peak_memory_mb:.0f} MB",
    )
    if report.held_back is not None:
        screen.say(
            f"此索引暫不啟用，繼續使用先前的索引：{report.held_back}\n仍要啟用，請執行：gloria reindex --full",
            f"this index is held back, the one before stays in use: {report.held_back}\n"
            "to use it all the same, run: gloria reindex --full",
        )
