"""Gender statistics by subsidy year: who leads, links, takes part, is trained and finds a job.

In: what recognised entries say of trainees and jobs, and what alliances supplied
of all other groups. Out: tables of counts; what leaves the alliances comes
without small cells; findings where women's or men's share is too low, which ask
for an analysis of causes. It exists because a person may say another gender, or
none, without being found in a small number.

A trained person of an entry that several alliances share counts once, in the
alliance with the largest share.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from fractions import Fraction

from sqlmodel import Session, col, select

from indexer.instants import day_in_taipei
from matcher.ledger.details import Gender
from matcher.ledger.entries import Entry, EntryKind
from matcher.ledger.gender import COUNTED_FROM, GenderAnalysis, GenderCount, GenderRules, Group, is_closed
from matcher.ledger.kpis import Kpi
from matcher.ledger.periods import subsidy_days
from matcher.ledger.steps import State, Step
from matcher.ledger.suppression import left_out, with_totals

Counts = Mapping[str, Mapping[Gender, int]]
"""By alliance, how many people of each gender; an alliance that supplied nothing is not in it."""


@dataclass(frozen=True)
class Imbalance:
    """A gender whose share of a group is too low, and the analysis of causes, if there is one yet."""

    alliance: str
    group: Group
    year: int
    gender: Gender
    share: Fraction
    analysis: GenderAnalysis | None


@dataclass(frozen=True)
class Published:
    """A table as it may leave the alliances: a row for each and one of totals; None is a cell that is left out."""

    group: Group
    alliances: tuple[str, ...]
    rows: tuple[tuple[int | None, ...], ...]


def counts(session: Session, *, year: int, group: Group, as_of: datetime) -> Counts:
    """Return the counts of a group in a subsidy year as of a moment. Exact: they stay within each alliance."""
    kpi = COUNTED_FROM.get(group)
    return _supplied(session, year, group, as_of) if kpi is None else _from_entries(session, year, kpi, as_of)


def published(group: Group, exact: Counts, rules: GenderRules) -> Published:
    """Return a group's counts as they may leave the alliances.

    Always give all alliances: the cells to leave out depend on all of them, and two tables with different ones left
    out would tell both.
    """
    alliances = tuple(sorted(exact))
    table = [[exact[alliance].get(gender, 0) for gender in Gender] for alliance in alliances]
    hidden = left_out(table, rules.small_below)
    rows = with_totals(table) if table else []
    shown = tuple(
        tuple(None if (row, column) in hidden else count for column, count in enumerate(line))
        for row, line in enumerate(rows)
    )
    return Published(group, alliances, shown)


def imbalances(session: Session, *, year: int, rules: GenderRules, as_of: datetime) -> list[Imbalance]:
    """Return where women's or men's share of those who said a gender is below the rule's, once the year has closed."""
    if not is_closed(year, as_of):
        return []
    found = []
    for group in Group:
        for alliance, people in counts(session, year=year, group=group, as_of=as_of).items():
            analysis = _analysis(session, alliance, year, group, as_of)
            found += [
                Imbalance(alliance, group, year, gender, share, analysis) for gender, share in low_shares(people, rules)
            ]
    return found


def low_shares(people: Mapping[Gender, int], rules: GenderRules) -> Sequence[tuple[Gender, Fraction]]:
    """Return which of women and men have too low a share of those who said a gender, and what it is."""
    said = sum(count for gender, count in people.items() if gender is not Gender.UNDISCLOSED)
    if said < rules.judged_from:
        return []
    shares = [(gender, Fraction(people.get(gender, 0), said)) for gender in (Gender.FEMALE, Gender.MALE)]
    return [(gender, share) for gender, share in shares if share < Fraction(*rules.least_share)]


def _analysis(session: Session, alliance: str, year: int, group: Group, as_of: datetime) -> GenderAnalysis | None:
    these = (
        GenderAnalysis.alliance_id == alliance,
        GenderAnalysis.year == year,
        GenderAnalysis.group_code == group.value,
        GenderAnalysis.at <= as_of,
    )
    return session.exec(select(GenderAnalysis).where(*these).order_by(col(GenderAnalysis.id).desc())).first()


def _supplied(session: Session, year: int, group: Group, as_of: datetime) -> Counts:
    these = (GenderCount.year == year, GenderCount.group_code == group.value, GenderCount.at <= as_of)
    found: defaultdict[str, dict[Gender, int]] = defaultdict(dict)
    for row in session.exec(select(GenderCount).where(*these).order_by(col(GenderCount.id))).all():
        found[row.alliance_id][Gender(row.gender)] = row.people
    return dict(found)


def _from_entries(session: Session, year: int, kpi: Kpi, as_of: datetime) -> Counts:
    first, last = subsidy_days(year)
    until: date = min(last, day_in_taipei(as_of))
    query = (
        select(Entry.kind, Entry.amount, Entry.shares, Entry.details)
        .join(Step, col(Step.entry_id) == col(Entry.id))
        .where(Entry.kpi == kpi.value, Step.state == State.RECOGNISED.value, Step.at <= as_of)
        .where(col(Entry.counts_on).between(first, until))
    )
    found: defaultdict[str, Counter[Gender]] = defaultdict(Counter)
    for kind, amount, shares, details in session.execute(query).all():
        alliance = min(shares, key=lambda one: (-shares[one], one))
        found[alliance][Gender(details["gender"])] += -amount if kind == EntryKind.REVERSAL else amount
    return {alliance: dict(people) for alliance, people in found.items() if any(people.values())}
