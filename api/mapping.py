"""`gloria map`: draws the map of the field anew, and says which needs no lab answers.

In: the records, the index and the map before. Out: the next map, stored whole,
and what is on it on stdout. Run it after `gloria reindex`, every night.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from api.opening import open_reading, open_session, read_settings
from api.screen import Screen, write_document

if TYPE_CHECKING:
    from indexer.settings import Settings
    from matcher.field_map import Drawing

SHOWN_UNMET = 10


def redraw(
    context: typer.Context,
    afresh: Annotated[bool, typer.Option("--afresh", help="Forget where everything was on the map.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")] = False,
) -> None:
    """Draw the map of labs and needs, each near where it was before."""
    report = redrawn(read_settings(), afresh=afresh)
    if as_json:
        write_document(report.as_dict())
    else:
        say_map(Screen.of(context), report)


@dataclass(frozen=True)
class MapReport:
    """What is on the map now, and how long it took to get there."""

    drawing: Drawing
    total_s: float

    def as_dict(self) -> dict[str, Any]:
        """Return the report as plain values."""
        drawing = self.drawing
        return {
            "generation": drawing.generation,
            "changed": drawing.changed,
            "labs": len(drawing.labs),
            "needs": len(drawing.needs),
            "new": drawing.new,
            "without_place": drawing.without_place,
            "open_needs": len(drawing.standings),
            "unmet": drawing.unmet,
            "total_s": self.total_s,
        }


def redrawn(settings: Settings, *, afresh: bool = False) -> MapReport:
    """Draw the map and store it, if it is another than the one before."""
    from datetime import UTC, datetime

    from matcher.field_map import publish
    from matcher.map_drawing import draw
    from matcher.pairings import Matcher

    started = time.perf_counter()
    with open_reading(settings) as session:
        drawing = draw(session, Matcher.load(session, settings), afresh=afresh)
    if drawing.changed:
        with open_session(settings, writes=True) as session:
            publish(session, drawing, now=datetime.now(UTC))
            session.commit()
    return MapReport(drawing, round(time.perf_counter() - started, 3))


def say_map(screen: Screen, report: MapReport) -> None:
    """Print what is on a map and what is new of it."""
    drawing = report.drawing
    state = screen.text("已更新", "drawn") if drawing.changed else screen.text("無變更", "nothing changed")
    labs, needs, new = len(drawing.labs), len(drawing.needs), drawing.new
    screen.say(
        f"領域地圖（{state}）：實驗室 {labs}、需求 {needs}，其中新位置 {new}、無法定位 {drawing.without_place}",
        f"map of the field ({state}): {labs} labs, {needs} needs; {new} places are new, "
        f"{drawing.without_place} could not be placed",
    )
    unmet = drawing.unmet
    named = ", ".join(unmet[:SHOWN_UNMET]) + ("…" if len(unmet) > SHOWN_UNMET else "")
    screen.say(
        f"進行中的需求 {len(drawing.standings)} 項，尚無合適實驗室者 {len(unmet)} 項" + (f"：{named}" if unmet else ""),
        f"{len(drawing.standings)} open needs, {len(unmet)} of them without a strong or plausible lab"
        + (f": {named}" if unmet else ""),
    )
    screen.say(f"耗時 {report.total_s:.1f} 秒", f"took {report.total_s:.1f} s")
