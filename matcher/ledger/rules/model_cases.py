"""What makes an alliance a model case (典範案例): it carried itself within three years, and what shows it.

In: an entry that reports a model case. Out: what of it is missing. It exists because the plan's target (提前於 3
年內完成自主營運，建立典範案例) is about alliances: a model case is one that graduated within three years of its
founding, is judged by six aspects of which each says something, and is proven by something that a company measured.
A text that says "self-operating" is no graduation.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime

from sqlalchemy import String, column, select, table
from sqlmodel import Session

from indexer.instants import Instant, day_in_taipei
from indexer.records.record_tables import Alliance
from indexer.wording import T_, Text
from matcher.ledger.rows.details import Aspect, ModelCaseDetails, read_details
from matcher.ledger.rows.entries import Entry
from matcher.ledger.rows.kpis import Kpi

WITHIN_YEARS = 3
"""So soon an alliance has to carry itself; the plan's third and fourth chapters say so, the goal of 106 says six."""
_LEAST_LETTERS = 2
# The table of `matcher.ledger.figures.ladder`, which lies above the rules.
_STEPS = table("ladder_step", column("alliance_id", String), column("rung", String), column("at", Instant))


def lacking(session: Session, entry: Entry) -> Iterator[Text]:
    """Yield what an entry lacks to be a model case; nothing for other figures."""
    if entry.kpi != Kpi.MODEL_CASES:
        return
    details = read_details(Kpi.MODEL_CASES, entry.details)
    if not isinstance(details, ModelCaseDetails):
        return
    yield from _graduation(session, entry)
    if not all(_says_something(details.aspects.get(aspect, "")) for aspect in Aspect):
        yield T_("each of the six aspects says what speaks for the case")
    if details.proof_kind is None or details.proof_ntd is None or details.proof_of is None:
        yield T_("one measured proof: sales, profit, saved cost, a new industry or a new market, with its amount")


def _says_something(text: str) -> bool:
    return sum(character.isalnum() for character in text) >= _LEAST_LETTERS


def _graduation(session: Session, entry: Entry) -> Iterator[Text]:
    if len(entry.shares) != 1:
        yield T_("a model case is one alliance")
        return
    (alliance_id,) = entry.shares
    alliance = session.get(Alliance, alliance_id)
    founded = None if alliance is None else alliance.since
    left = _graduated_at(session, alliance_id)
    if founded is None:
        yield T_("the alliance's founding day")
    elif left is None:
        yield T_("the alliance has graduated early, self-operating")
    elif day_in_taipei(left) > _years_after(founded, WITHIN_YEARS):
        yield T_("the alliance graduated within %(years)s years of its founding", years=WITHIN_YEARS)


def _graduated_at(session: Session, alliance_id: str) -> datetime | None:
    query = select(_STEPS.c.at).where(_STEPS.c.alliance_id == alliance_id, _STEPS.c.rung == "graduated")
    found: datetime | None = session.execute(query).scalars().first()
    return found


def _years_after(day: date, years: int) -> date:
    """Return the same day so many years later; of 29 February the day before where there is none."""
    try:
        return day.replace(year=day.year + years)
    except ValueError:
        return day.replace(year=day.year + years, day=28)
