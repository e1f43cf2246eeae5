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
from indexer.wording import T_

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
    state = screen.text(T_("drawn")) if drawing.changed else screen.text(T_("nothing changed"))
    labs, needs, new = len(drawing.labs), len(drawing.needs), drawing.new
    screen.say(
        T_(
            "map of the field (%(state)s): %(labs)s labs, %(needs)s needs; %(new)s places are new, "
            "%(without_place)s could not be placed",
            state=state,
            labs=labs,
            needs=needs,
            new=new,
            without_place=drawing.without_place,
        ),
    )
    unmet = drawing.unmet
    named = ", ".join(unmet[:SHOWN_UNMET]) + ("…" if len(unmet) > SHOWN_UNMET else "")
    counts = T_(
        "%(needs)s open needs, %(unmet)s of them without a strong or plausible lab",
        needs=len(drawing.standings),
        unmet=len(unmet),
    )
    screen.say(T_("%(counts)s: %(named)s", counts=counts, named=named) if unmet else counts)
    screen.say(T_("took %(total_s)s s", total_s=f"{report.total_s:.1f}"))
