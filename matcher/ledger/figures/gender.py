"""Gender statistics by subsidy year: who leads, links, takes part, is trained and finds a job.

In: counts that an alliance supplies once a subsidy year has closed, analyses of causes, and what recognised entries
say of trainees and jobs. Out: dated rows that nobody can change, of which the newest hold; tables of counts;
findings where women's or men's share is too low, which ask for an analysis. It exists because the Ministry answers
for these figures once a year, and because a person may say another gender, or none, without being found in a small
number. A trained person of an entry that several alliances share counts once, in the alliance with the largest
share.

What leaves the alliances comes without small cells. Leaving out just those hides nothing, since the totals give
them back; so further cells are left out (complementary suppression) until an audit finds no left-out cell that the
printed ones tell. A left-out cell is safe if another value of it fits all that is printed, and, if it is small, if
a value of `least` or more does: then nothing shows that it is small. A table with totals is a flow from rows to
columns and back through the totals, so that a cell can be greater by as much as can flow back beside it through
other left-out cells; that is exact in whole numbers.
"""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from fractions import Fraction
from typing import ClassVar

from pydantic import Field
from sqlalchemy import CheckConstraint
from sqlmodel import Field as ColumnField
from sqlmodel import Session, SQLModel, col, select

from indexer.instants import Instant, day_in_taipei
from indexer.plain_text import clean
from indexer.records.record_tables import Alliance
from indexer.wording import P_, T_
from matcher.ledger.rows.details import Gender
from matcher.ledger.rows.entries import MAX_TEXT, Entry, EntryKind, LedgerError
from matcher.ledger.rows.kpis import Kpi
from matcher.ledger.rows.periods import subsidy_days
from matcher.ledger.rows.steps import State, Step
from matcher.ledger.rules.alliance_rows import stated_line
from matcher.ledger.rules.configuration import Configured

MAX_COUNT = 1_000_000


class GenderGroup(StrEnum):
    """Whose genders are counted."""

    PI = "pi"
    LIAISON_EXPERT = "liaison_expert"
    PARTICIPANT = "participant"
    TRAINEE = "trainee"
    JOB = "job"


GROUP_LABELS = {
    GenderGroup.PI: T_("principal investigators"),
    GenderGroup.LIAISON_EXPERT: T_("liaison experts"),
    GenderGroup.PARTICIPANT: T_("participants"),
    GenderGroup.TRAINEE: T_("trainees"),
    GenderGroup.JOB: T_("jobs"),
}
"""Each group in Chinese and English."""
GENDER_LABELS = {
    Gender.FEMALE: P_("gender", "female"),
    Gender.MALE: P_("gender", "male"),
    Gender.SELF_DESCRIBED: P_("gender", "self-described"),
    Gender.UNDISCLOSED: T_("undisclosed"),
}
"""Each gender in Chinese and English."""
COUNTED_FROM = {GenderGroup.TRAINEE: Kpi.TALENT, GenderGroup.JOB: Kpi.JOBS}
"""The groups that entries tell of; an alliance supplies the counts of all others."""

_GROUPS = ", ".join(f"'{group.value}'" for group in GenderGroup)
_SUPPLIED = ", ".join(f"'{group.value}'" for group in GenderGroup if group not in COUNTED_FROM)
_GENDERS = ", ".join(f"'{gender.value}'" for gender in Gender)


class GenderRules(Configured):
    """When a share asks for an analysis, and which cells are small."""

    name: ClassVar[str] = "gender"

    least_share: tuple[int, int] = Field(description="A share below this fraction asks for an analysis of causes.")
    judged_from: int = Field(ge=1, description="Groups of fewer people than this are not judged.")
    small_below: int = Field(ge=1, le=100, description="Cells below this are left out of what leaves the alliance.")


class GenderCount(SQLModel, table=True):
    """How many people of a gender a group has, as supplied once: never updated; the newest row holds."""

    __tablename__ = "gender_count"
    __table_args__ = (
        CheckConstraint(f"group_code IN ({_SUPPLIED})", name="group_known"),
        CheckConstraint(f"gender IN ({_GENDERS})", name="gender_known"),
        CheckConstraint(f"people BETWEEN 0 AND {MAX_COUNT}", name="people_bounded"),
        CheckConstraint("length(source) > 0", name="has_a_source"),
    )

    id: int | None = ColumnField(default=None, primary_key=True)
    alliance_id: str = ColumnField(foreign_key="alliance.id", index=True)
    year: int
    group_code: str
    gender: str
    people: int
    source: str
    by: str = ColumnField(foreign_key="account.id")
    at: datetime = ColumnField(sa_type=Instant)


class GenderAnalysis(SQLModel, table=True):
    """Why a group of an alliance is as it is: never updated; the newest row holds."""

    __tablename__ = "gender_analysis"
    __table_args__ = (
        CheckConstraint(f"group_code IN ({_GROUPS})", name="group_known"),
        CheckConstraint("length(text) > 0", name="says_something"),
    )

    id: int | None = ColumnField(default=None, primary_key=True)
    alliance_id: str = ColumnField(foreign_key="alliance.id", index=True)
    year: int
    group_code: str
    text: str
    by: str = ColumnField(foreign_key="account.id")
    at: datetime = ColumnField(sa_type=Instant)


def supply_counts(
    session: Session,
    *,
    alliance_id: str,
    year: int,
    group: GenderGroup,
    people: Mapping[Gender, int],
    source: str,
    by: str,
    now: datetime,
) -> list[GenderCount]:
    """Store the counts of a group as of a subsidy year's closing; a gender that is not named has nobody.

    Raises:
        LedgerError: the year has not closed, entries tell of that group, or something else is not what it must be.
    """
    if session.get(Alliance, alliance_id) is None:
        raise LedgerError(T_("there is no alliance %(alliance_id)r", alliance_id=alliance_id), "alliance_id")
    if group in COUNTED_FROM:
        raise LedgerError(T_("this group is counted from recognised entries"), "group")
    if not is_closed(year, now):
        raise LedgerError(
            T_(
                "the subsidy year %(year)s closes on %(last)s; supply its counts after",
                year=year,
                last=subsidy_days(year)[1],
            ),
            "year",
        )
    if any(not 0 <= count <= MAX_COUNT for count in people.values()):
        raise LedgerError(T_("give whole numbers from 0 to %(max_count)s", max_count=f"{MAX_COUNT:,}"), "people")
    said = stated_line(source, T_("say where the figures come from"), "source")
    rows = [
        GenderCount(
            alliance_id=alliance_id,
            year=year,
            group_code=group.value,
            gender=gender.value,
            people=people.get(gender, 0),
            source=said,
            by=by,
            at=now,
        )
        for gender in Gender
    ]
    session.add_all(rows)
    session.flush()
    return rows


def analyse(
    session: Session, *, alliance_id: str, year: int, group: GenderGroup, text: str, by: str, now: datetime
) -> GenderAnalysis:
    """Store an analysis of causes; a later one replaces it.

    Raises:
        LedgerError: there is no such alliance, the year has not closed, or nothing is said.
    """
    if session.get(Alliance, alliance_id) is None:
        raise LedgerError(T_("there is no alliance %(alliance_id)r", alliance_id=alliance_id), "alliance_id")
    if not is_closed(year, now):
        raise LedgerError(
            T_(
                "the subsidy year %(year)s closes on %(last)s; analyse it after",
                year=year,
                last=subsidy_days(year)[1],
            ),
            "year",
        )
    said = clean(text, max_chars=MAX_TEXT, multiline=True)
    if not said:
        raise LedgerError(T_("say what the causes are"), "text")
    row = GenderAnalysis(alliance_id=alliance_id, year=year, group_code=group.value, text=said, by=by, at=now)
    session.add(row)
    session.flush()
    return row


def is_closed(year: int, moment: datetime) -> bool:
    """Whether a subsidy year is over at a moment: in Taipei it is after its 31 August."""
    return day_in_taipei(moment) > subsidy_days(year)[1]


CountCell = tuple[int, int]
"""Row and column; the last row and the last column are the totals."""
_CountTable = list[list[int]]
_Node = tuple[str, int]
_Flow = dict[_Node, dict[_Node, int]]
_ANY = 2**62


def with_totals(counts: Sequence[Sequence[int]]) -> _CountTable:
    """Return a table with a column and a row of totals added."""
    rows = [[*row, sum(row)] for row in counts]
    return [*rows, [sum(column) for column in zip(*rows, strict=True)]]


def left_out(counts: Sequence[Sequence[int]], least: int) -> set[CountCell]:
    """Return the cells to leave out of a table with totals.

    Args:
        counts: the table without totals; every row has the same length, at least 1.
        least: counts below it are small. A zero is left out too: shown, it would narrow what its neighbours can be.
    """
    if not counts:
        return set()
    table = with_totals(counts)
    small = {(row, column) for row, line in enumerate(table) for column, count in enumerate(line) if count < least}
    hidden = set(small)
    while exposed := [*_exposed(table, hidden, least)]:
        for cell in exposed:
            hidden |= _beside(table, hidden, cell)
    # What was left out on the way and turns out not to be needed is printed again, the greatest first.
    for cell in sorted(hidden - small, key=lambda one: (-table[one[0]][one[1]], one)):
        if next(_exposed(table, hidden - {cell}, least), None) is None:
            hidden.discard(cell)
    return hidden


def _beside(table: _CountTable, hidden: set[CountCell], cell: CountCell) -> set[CountCell]:
    """Return the smallest printed cell in the row or column of one, else of the whole table."""
    cells = [(row, column) for row, line in enumerate(table) for column in range(len(line))]
    printed = [one for one in cells if one not in hidden]
    near = [one for one in printed if one[0] == cell[0] or one[1] == cell[1]] or printed
    return {min(near, key=lambda one: (table[one[0]][one[1]], one))} if near else set()


def _exposed(table: _CountTable, hidden: set[CountCell], least: int) -> Iterator[CountCell]:
    """Yield the left-out cells that the printed ones tell, or show to be small."""
    flow: _Flow = {}
    for cell in hidden:
        tail, head = _arc(table, cell)
        flow.setdefault(tail, {})[head] = _ANY
        flow.setdefault(head, {})[tail] = table[cell[0]][cell[1]]
    for cell in sorted(hidden):
        tail, head = _arc(table, cell)
        count = table[cell[0]][cell[1]]
        beside = {
            node: {to: room for to, room in out.items() if {node, to} != {tail, head}} for node, out in flow.items()
        }
        if count < least:
            safe = _flows(beside, head, tail, least - count)
        else:
            safe = _flows(beside, head, tail, 1) or _flows(beside, tail, head, 1)
        if not safe:
            yield cell


def _arc(table: _CountTable, cell: CountCell) -> tuple[_Node, _Node]:
    """Return where a cell's count flows from and to: from its row to its column, a total the other way."""
    row, column = ("row", cell[0]), ("column", cell[1])
    total = (cell[0] == len(table) - 1) != (cell[1] == len(table[0]) - 1)
    return (column, row) if total else (row, column)


def _flows(flow: _Flow, source: _Node, sink: _Node, wanted: int) -> bool:
    """Whether so much can flow from one node to another, found by shortest augmenting paths; `flow` is used up."""
    while wanted > 0:
        came: dict[_Node, _Node] = {source: source}
        queue = deque([source])
        while queue and sink not in came:
            node = queue.popleft()
            for to, room in flow.get(node, {}).items():
                if room > 0 and to not in came:
                    came[to] = node
                    queue.append(to)
        if sink not in came:
            return False
        path = [sink]
        while path[-1] != source:
            path.append(came[path[-1]])
        steps = [*zip(path[1:], path, strict=False)]
        room = min(wanted, *(flow[node][to] for node, to in steps))
        for node, to in steps:
            flow[node][to] -= room
            flow[to][node] += room
        wanted -= room
    return True


Counts = Mapping[str, Mapping[Gender, int]]
"""By alliance, how many people of each gender; an alliance that supplied nothing is not in it."""


@dataclass(frozen=True)
class Imbalance:
    """A gender whose share of a group is too low, and the analysis of causes, if there is one yet."""

    alliance: str
    group: GenderGroup
    year: int
    gender: Gender
    share: Fraction
    analysis: GenderAnalysis | None


@dataclass(frozen=True)
class Published:
    """A table as it may leave the alliances: a row for each and one of totals; None is a cell that is left out."""

    group: GenderGroup
    alliances: tuple[str, ...]
    rows: tuple[tuple[int | None, ...], ...]


def counts(session: Session, *, year: int, group: GenderGroup, as_of: datetime) -> Counts:
    """Return the counts of a group in a subsidy year as of a moment. Exact: they stay within each alliance."""
    kpi = COUNTED_FROM.get(group)
    return _supplied(session, year, group, as_of) if kpi is None else _from_entries(session, year, kpi, as_of)


def published(group: GenderGroup, exact: Counts, rules: GenderRules) -> Published:
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
    for group in GenderGroup:
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


def _analysis(session: Session, alliance: str, year: int, group: GenderGroup, as_of: datetime) -> GenderAnalysis | None:
    these = (
        GenderAnalysis.alliance_id == alliance,
        GenderAnalysis.year == year,
        GenderAnalysis.group_code == group.value,
        GenderAnalysis.at <= as_of,
    )
    return session.exec(select(GenderAnalysis).where(*these).order_by(col(GenderAnalysis.id).desc())).first()


def _supplied(session: Session, year: int, group: GenderGroup, as_of: datetime) -> Counts:
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
