"""What makes an alliance a model case (典範案例): it carried itself within three years, and what shows it.

In: an entry that reports a model case; the committee's score of each of the six aspects, with its reason. Out: what
of it is missing. It exists because the plan's target (提前於 3 年內完成自主營運，建立典範案例) is about alliances: a
model case is one that graduated within three years of its founding, is scored by the committee in six aspects of
which each says something, and is proven by something that a company measured. A text that says "self-operating" is
no graduation. A score is never changed: who scores again adds one, and the newest of an aspect holds.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime

from sqlalchemy import CheckConstraint, String, column, select, table
from sqlmodel import Field, Session, SQLModel, col
from sqlmodel import select as select_rows

from indexer.instants import Instant, day_in_taipei
from indexer.plain_text import clean
from indexer.records.record_tables import Alliance
from indexer.wording import T_, Text
from matcher.ledger.rows.chain import lock_heads
from matcher.ledger.rows.details import Aspect, ModelCaseDetails, read_details
from matcher.ledger.rows.entries import MAX_TEXT, Entry, EntryKind, LedgerError, entry_of
from matcher.ledger.rows.kpis import Kpi
from matcher.ledger.rows.steps import State, standing

WITHIN_YEARS = 3
"""So soon an alliance has to carry itself; the plan's third and fourth chapters say so, the goal of 106 says six."""
LOWEST, HIGHEST = 1, 5
"""Between these the committee scores an aspect; the plan names the aspects and no scale."""
_LEAST_LETTERS = 2
_ASPECTS = ", ".join(f"'{aspect.value}'" for aspect in Aspect)
# The table of `matcher.ledger.figures.ladder`, which lies above the rules.
_STEPS = table("ladder_step", column("alliance_id", String), column("rung", String), column("at", Instant))


class AspectScore(SQLModel, table=True):
    """What a member of the committee gave an aspect of a model case, and why: never updated, never deleted."""

    __tablename__ = "aspect_score"
    __table_args__ = (
        CheckConstraint(f"aspect IN ({_ASPECTS})", name="aspect_known"),
        CheckConstraint(f"score BETWEEN {LOWEST} AND {HIGHEST}", name="score_bounded"),
        CheckConstraint("length(reason) > 0", name="said_why"),
    )

    id: int | None = Field(default=None, primary_key=True)
    entry_id: str = Field(foreign_key="ledger_entry.id", index=True)
    aspect: str
    score: int
    reason: str
    by: str = Field(foreign_key="account.id")
    at: datetime = Field(sa_type=Instant)


@dataclass(frozen=True)
class Scored:
    """A score and its reason, as somebody gives them."""

    score: int
    reason: str


def score_aspects(
    session: Session, *, entry_id: str, scores: Mapping[Aspect, Scored], by: str, now: datetime
) -> list[AspectScore]:
    """Score aspects of a model case as the committee, before it counts; the caller commits.

    That the caller may decide on the entry is for whoever calls to say, as with a check.

    Raises:
        LedgerError: it is no model case or has ended or counts already, or a score or its reason is missing.
    """
    lock_heads(session)
    entry = entry_of(session, entry_id)
    if entry.kpi != Kpi.MODEL_CASES or entry.kind != EntryKind.FACT:
        raise LedgerError(T_("only a model case is scored in aspects"), "kpi")
    if State(standing(session, entry_id).state) not in (State.REPORTED, State.CHECKED):
        raise LedgerError(T_("a model case is scored before it counts, while it waits for the committee"), "state")
    if not scores:
        raise LedgerError(T_("give at least one aspect its score"), "scores")
    found = []
    for aspect in Aspect:
        if aspect not in scores:
            continue
        given, place = scores[aspect], f"scores.{aspect.value}"
        if not LOWEST <= given.score <= HIGHEST:
            raise LedgerError(T_("give a score from %(lowest)s to %(highest)s", lowest=LOWEST, highest=HIGHEST), place)
        reason = clean(given.reason, max_chars=MAX_TEXT, multiline=True)
        if not _says_something(reason):
            raise LedgerError(T_("say why the aspect gets this score"), place)
        found.append(
            AspectScore(entry_id=entry_id, aspect=aspect.value, score=given.score, reason=reason, by=by, at=now)
        )
    session.add_all(found)
    session.flush()
    return found


def scores_of(session: Session, entry_id: str) -> list[AspectScore]:
    """Return every score of an entry, oldest first."""
    query = select_rows(AspectScore).where(AspectScore.entry_id == entry_id).order_by(col(AspectScore.id))
    return list(session.exec(query).all())


def holding_scores(session: Session, entry_id: str) -> dict[Aspect, AspectScore]:
    """Return the score that holds of each aspect: its newest."""
    return {Aspect(one.aspect): one for one in scores_of(session, entry_id)}


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
    if set(holding_scores(session, entry.id)) != set(Aspect):
        yield T_("the committee's score of each of the six aspects, with its reason")


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
