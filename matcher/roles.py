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


ROLE_LABELS = {
    Role.EXPERT: ("產業聯絡專家", "liaison expert"),
    Role.LEAD: ("聯盟主持人", "alliance lead"),
    Role.COMPANY: ("企業聯絡人", "company contact"),
    Role.RESEARCHER: ("研究人員", "researcher"),
    Role.OFFICE: ("總辦公室", "programme office"),
    Role.COMMITTEE: ("分組委員", "committee member"),
    Role.JOB: ("排程作業", "nightly job"),
}
"""Each role in Chinese and English."""
