"""The programme's calendar: quarters, ROC years, subsidy years.

In: days in Taipei. Out: the quarter, the KPI year and the subsidy year that
they belong to. It exists because the programme counts by two calendars of its
own: KPI years are calendar years, subsidy years close at the end of August.
"""

from __future__ import annotations

import re
from datetime import date, timedelta

from indexer.wording import T_

ROC_OFFSET = 1911
_QUARTER = re.compile(r"(\d{4})Q([1-4])")


def quarter_of(day: date) -> str:
    """Return the quarter of a day, such as "2018Q4"; quarters sort as texts."""
    return f"{day.year:04}Q{(day.month + 2) // 3}"


def quarter_after(quarter: str) -> str:
    """Return the next quarter."""
    year, number = _parts(quarter)
    return f"{year + 1:04}Q1" if number == 4 else f"{year:04}Q{number + 1}"


def last_day(quarter: str) -> date:
    """Return the last day of a quarter."""
    year, number = _parts(quarter_after(quarter))
    return date(year, 3 * number - 2, 1) - timedelta(days=1)


def first_day(quarter: str) -> date:
    """Return the first day of a quarter."""
    year, number = _parts(quarter)
    return date(year, 3 * number - 2, 1)


def last_quarter_over(day: date) -> str:
    """Return the last quarter that is over once a day has ended: on 30 June that is the second of its year."""
    now = quarter_of(day)
    return now if day == last_day(now) else quarter_of(first_day(now) - timedelta(days=1))


def year_of(quarter: str) -> int:
    """Return the KPI year of a quarter, in the common era."""
    return _parts(quarter)[0]


def is_quarter(text: str) -> bool:
    """Whether a text names a quarter."""
    return _QUARTER.fullmatch(text) is not None


def roc_year(year: int) -> int:
    """Return a year of the Republic (民國) for one of the common era: 2017 is 106."""
    return year - ROC_OFFSET


def common_year(year: int) -> int:
    """Return a year of the common era for one that people may give in either count: 106 and 2017 are both 2017."""
    return year + ROC_OFFSET if year < ROC_OFFSET else year


def subsidy_year(day: date) -> int:
    """Return the subsidy year that a day belongs to, named by the year in which it closes (31 August)."""
    return day.year if (day.month, day.day) <= (8, 31) else day.year + 1


def subsidy_days(year: int) -> tuple[date, date]:
    """Return the first and the last day of a subsidy year: 1 September of the year before, 31 August."""
    return date(year - 1, 9, 1), date(year, 8, 31)


def _parts(quarter: str) -> tuple[int, int]:
    found = _QUARTER.fullmatch(quarter)
    if found is None:
        raise ValueError(T_("%(quarter)r is no quarter; give one such as 2018Q4", quarter=quarter))
    return int(found[1]), int(found[2])
