"""What somebody asks of a report.

In: a day, perhaps a year and alliances. Out: one value that every report takes.
It exists so that the command line and the server ask in the same way.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime


@dataclass(frozen=True)
class ReportRequest:
    """A report is as of the end of `as_of` in Taipei.

    `year` is a KPI year of the common era, None for all. `alliances` are those that it is about, such as one alliance
    or a committee's group, None for the whole programme; who may see which is decided by the caller. `now` is the
    moment that the heads of the chains are read at. A report that stays inside is for people of the alliances that it
    is about; from any other one small counts of people are left out.
    """

    as_of: date
    now: datetime
    year: int | None = None
    alliances: frozenset[str] | None = None
    stays_inside: bool = False
