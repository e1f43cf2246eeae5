"""The roles of the programme.

In: nothing. Out: their codes and labels. They stand apart from the accounts so
that the command line can offer them without loading a database library.
"""

from __future__ import annotations

from enum import StrEnum

from indexer.wording import T_


class Role(StrEnum):
    """What a person (or the nightly job) is in the programme, by the Ministry's plan."""

    EXPERT = "expert"
    LEAD = "lead"
    COMPANY = "company"
    RESEARCHER = "researcher"
    OFFICE = "office"
    COMMITTEE = "committee"
    JOB = "job"


ROLE_LABELS = {
    Role.EXPERT: T_("liaison expert"),
    Role.LEAD: T_("alliance lead"),
    Role.COMPANY: T_("company contact"),
    Role.RESEARCHER: T_("researcher"),
    Role.OFFICE: T_("programme office"),
    Role.COMMITTEE: T_("committee member"),
    Role.JOB: T_("nightly job"),
}
"""Each role in Chinese and English."""
