"""How reports say days, months, quarters and shares: as a Chinese paper has them, and in English.

In: a day, a quarter, the shares of alliances. Out: a text in both languages, such as 109 年 12 月 31 日 and 109 年第
4 季. It exists so that notes, cells and titles say them alike, and so that no code such as 2020Q4 or al-03 stands on a
paper.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date

from indexer.wording import Text, either, listed
from matcher.ledger.rows.entries import WHOLE_BP
from matcher.ledger.rows.periods import roc_year, year_of


def day_text(day: date) -> Text:
    """Return a day with its year of the Republic."""
    roc = roc_year(day.year)
    return either(f"{roc} 年 {day.month} 月 {day.day} 日", f"{day.isoformat()} (ROC {roc})")


def month_text(day: date) -> Text:
    """Return the month of a day."""
    roc = roc_year(day.year)
    return either(f"{roc} 年 {day.month} 月", f"{day.isoformat()[:7]} (ROC {roc})")


def quarter_text(quarter: str) -> Text:
    """Return a quarter such as "2020Q4"."""
    year = year_of(quarter)
    return either(f"{roc_year(year)} 年第 {quarter[-1]} 季", f"{quarter} (ROC {roc_year(year)})")


def shares_text(shares: Mapping[str, int], names: Mapping[str, Text]) -> Text:
    """Return who has which share of a result, by name; shares are in basis points."""
    parts = []
    for one, share_bp in sorted(shares.items()):
        percent = f"{share_bp * 100 / WHOLE_BP:g} %"
        parts.append(either(f"{names[one].zh} {percent}", f"{names[one].en} {percent}"))
    return listed(parts)
