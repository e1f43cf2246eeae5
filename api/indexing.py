"""`gloria reindex`: records in, a new index generation out.

In: the records and the configured encoders. Out: what was reused, encoded and
dropped, on stdout; progress on stderr.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from api.opening import open_session, read_settings
from api.screen import Screen, write_document
from indexer.wording import T_

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
    state = screen.text(T_("published")) if report.changed else screen.text(T_("nothing changed"))
    if report.held_back is not None:
        state = screen.text(T_("held back"))
    screen.say(
        T_(
            "index %(generation)s (%(state)s): %(labs)s labs, %(needs)s needs, %(passages)s passages",
            generation=report.generation,
            state=state,
            labs=report.labs,
            needs=report.needs,
            passages=report.passages,
        ),
    )
    screen.say(
        T_(
            "vectors: %(reused)s reused, %(encoded)s encoded (%(rate)s per second); %(dropped)s passages dropped",
            reused=report.reused,
            encoded=report.encoded,
            rate=rate,
            dropped=report.dropped,
        ),
    )
    screen.say(
        T_(
            "took %(total_s)s s, peak memory %(peak_memory_mb)s MB",
            total_s=f"{report.total_s:.1f}",
            peak_memory_mb=f"{report.peak_memory_mb:.0f}",
        ),
    )
    if report.held_back is not None:
        screen.say(
            T_(
                "this index is held back, the one before stays in use: %(held_back)s\nto use it all the same, "
                "run: gloria reindex --full",
                held_back=report.held_back,
            ),
        )
