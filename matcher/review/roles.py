"""The roles of the programme.

In: nothing. Out: their codes and labels. They stand apart from the accounts so
that the command line can offer them without loading a database library.
"""

from __future__ import annotations

from enum import StrEnum


class Role(StrEnum):
    """What a person (or the nightly job) is in the programme, by the Ministry's plan."""

    EXPERT = "expert"
    LEAD = "lead"
    COMPANY = "company"
    RESEARCHER = "researcher"
    OFFICE = "office"
    COMMITTEE = "committee"
    JOB = "job"


STAFF = (Role.EXPERT, Role.LEAD)
"""Who works in an alliance: reads its needs, decides on pairings, reports results."""
