"""The step that draws the map of the field anew.

In: the records and the current generation. Out: the next map, and how many open
needs no lab answers. It exists because the map is drawn from where it was, so
every night must draw it.
"""

from __future__ import annotations

from api.mapping import redrawn
from api.nightly.outcome import Outcome, Work


def draw_map(work: Work) -> Outcome:
    """Lay labs and needs out in two dimensions, each near where it was."""
    said = redrawn(work.settings).as_dict()
    names = ("changed", "labs", "needs", "new", "without_place", "open_needs")
    figures = {name: said[name] for name in names} | {"unmet": len(said["unmet"])}
    return Outcome(figures, details={"generation": said["generation"]})
