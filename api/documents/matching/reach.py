"""What the server and the command line say of fair reach: the audit of a quarter, and what the rule would do.

In: a database, a quarter, and rankings where a simulation is asked for. Out: a dictionary of texts, numbers and lists
with the models that describe it to programs, the same as a report for XLSX and PDF, and the rule with the balance that
it goes by. It exists so that page, file and terminal show one count, and because the trail of views, which only this
package knows, is what tells how far somebody looked.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, NamedTuple

from pydantic import Field
from sqlmodel import Session

from api.documents.answers import Answer
from api.trail.opened_pairings import needs_looked_at, opened_pairings
from indexer.instants import TAIPEI
from indexer.records.profiles import Need
from indexer.settings import Settings
from indexer.wording import T_, Text, either
from matcher.judging.fair_reach import ABLATED, RankedLabs, Simulation, Standing, judgeable, simulated, world_of
from matcher.judging.measures import Qrels
from matcher.ledger.reports.document import CellKind, ReportCell, ReportColumn, ReportDocument, ReportTable, Value
from matcher.ledger.reports.said_days import quarter_text
from matcher.ledger.rows.periods import first_day, quarter_after
from matcher.ledger.rules.configuration import current
from matcher.ledger.rules.reach import ReachRule
from matcher.ranking.pairings import Matcher
from matcher.ranking.ranker import Ranker
from matcher.ranking.rankers import ranker_in_use
from matcher.ranking.reach.rule_in_use import rule_in_use
from matcher.ranking.reach.seen_less import FLOOR, Reach, Rule
from matcher.review.reach_audit import ReachAudit, reach_audit

MOST_NEEDS = 100
"""So many needs, the newest, are ranked for a simulation that somebody waits for."""
_HALVES = 4
"""What was seen longer ago than so many halvings is not counted any more: a sixteenth."""


class GroupReachAnswer(Answer):
    """A group of labs: how often they were shown, opened and accepted, what was seen of them and what they deserved."""

    group: str
    said: dict[str, str]
    labs: int
    shown: int
    opened: int
    accepted: int
    seen: float = Field(description="In first places: 1 / log2(1 + rank), down to where somebody looked.")
    deserved: float
    ratio: float | None = Field(description="Seen over deserved; 1 is what they deserve.")


class SchoolReachAnswer(Answer):
    """A school; `is_known` are the well-known ones."""

    school_id: str
    name: str
    name_en: str
    prominence: str
    is_known: bool
    labs: int
    shown: int
    opened: int
    accepted: int
    seen: float
    deserved: float
    ratio: float | None


class StandingAnswer(Answer):
    """How an order treats groups, see `gloria reach --simulate`."""

    name: str
    said: dict[str, str]
    known: float | None = Field(description="Reach of well-known schools over that of all others.")
    five: float | None = Field(description="The same of the five most seen schools.")
    five_graded: float | None = Field(description="The same by grades, where there are any.")
    share_known: float
    large: float
    ndcg: float | None


class SimulationAnswer(Answer):
    """What the rule would do to `needs` needs: `moved` labs would stand earlier."""

    needs: int
    moved: int
    floor: float
    tolerance: float
    standings: list[StandingAnswer]


class ReachAnswer(Answer):
    """A quarter: who was shown, seen and accepted; how the rule is set, and what it would do."""

    quarter: str
    since: date
    until: date
    needs: int
    looked_at: int = Field(description="Needs whose ranking somebody opened.")
    unread: int = Field(description="Needs that were shown, of which nobody left a trace of how far they read.")
    depths: dict[str, int] = Field(description="Needs by the rank down to which somebody looked.")
    ratio: float | None = Field(
        description="Reach of well-known schools over that of all others; null where too little was seen to say."
    )
    groups: list[GroupReachAnswer]
    schools: list[SchoolReachAnswer]
    rule: dict[str, float]
    is_on: bool = Field(description="Whether the rule is in use now; a change is taken up by the next night.")
    simulation: SimulationAnswer | None


class Bounds(NamedTuple):
    """A time: its first moment, and the one after its last."""

    since: datetime
    until: datetime


def bounds_of(quarter: str) -> Bounds:
    """Return when a quarter such as 2026Q4 begins and ends in Taipei."""
    return Bounds(*(_midnight(first_day(one)) for one in (quarter, quarter_after(quarter))))


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time.min, TAIPEI).astimezone(UTC)


def audit_of(session: Session, quarter: str, ranker: Ranker) -> ReachAudit:
    """Return the audit of a quarter."""
    since, until = bounds_of(quarter)
    opened = opened_pairings(session, since, until)
    return reach_audit(session, since=since, until=until, opened=opened, ranker=ranker)


def rule_as_set(session: Session, settings: Settings, now: datetime) -> Rule:
    """Return the rule as the office set it, with the balance of this moment; its floor is 0 where it is off."""
    document = current(session, ReachRule)
    since = now - timedelta(weeks=_HALVES * document.half_life_weeks)
    audit = reach_audit(
        session,
        since=since,
        until=now,
        opened=opened_pairings(session, since, now),
        ranker=ranker_in_use(settings),
        half_life_weeks=document.half_life_weeks,
    )
    of_known, of_others = audit.known_and_others
    return Rule(document.floor, document.tolerance, audit.known, of_known, of_others)


Progress = Callable[[str, int, int], None]


def simulation_of(
    matcher: Matcher,
    rule: Rule,
    needs: Sequence[Need],
    judged: Qrels | None = None,
    progress: Progress = lambda _stage, _done, _all: None,
) -> Simulation:
    """Return what a rule would do to needs of a matcher; one without a floor is simulated with the advised one."""
    found = []
    for done, ranking in enumerate(matcher.rankings(needs), start=1):
        found.append(judgeable(ranking))
        progress("match", done, len(needs))
    world: RankedLabs = world_of(matcher, judged)
    return simulated(found, rule if rule.floor else Rule(FLOOR, *_rest(rule)), world)


def _rest(rule: Rule) -> tuple[float, frozenset[str], Reach, Reach, int]:
    return rule.tolerance, rule.known, rule.of_known, rule.of_others, rule.depth


def reach_document(
    session: Session, settings: Settings, quarter: str, simulation: Simulation | None = None
) -> dict[str, Any]:
    """Return what is said of a quarter."""
    audit = audit_of(session, quarter, ranker_in_use(settings))
    since, until = bounds_of(quarter)
    document = current(session, ReachRule)
    return {
        "quarter": quarter,
        "since": first_day(quarter).isoformat(),
        "until": (first_day(quarter_after(quarter)) - timedelta(days=1)).isoformat(),
        "needs": audit.needs,
        "looked_at": needs_looked_at(session, since, until),
        "unread": audit.unread,
        "depths": {str(depth): many for depth, many in audit.depths.items()},
        "ratio": audit.ratio,
        "groups": _groups(audit),
        "schools": [
            {
                **_counts([one]),
                "school_id": one.school_id,
                "name": one.name,
                "name_en": one.name_en,
                "prominence": one.prominence,
                "is_known": one.school_id in audit.known,
                "labs": one.labs,
                **_reach(one.reach),
            }
            for one in audit.schools
        ],
        "rule": {
            "floor": document.floor,
            "tolerance": document.tolerance,
            "half_life_weeks": document.half_life_weeks,
        },
        "is_on": rule_in_use(settings) is not None,
        "simulation": None if simulation is None else simulation_document(simulation),
    }


def _counts(rows: Sequence[Any]) -> dict[str, int]:
    return {name: sum(getattr(one, name) for one in rows) for name in ("shown", "opened", "accepted")}


def _reach(one: Reach) -> dict[str, float | None]:
    return {"seen": one.seen, "deserved": one.deserved, "ratio": one.ratio}


GROUPS = {
    "known": T_("well-known schools"),
    "others": T_("all other schools"),
    "large": T_("labs with the most evidence (one in five)"),
    "small": T_("all other labs"),
}


def _groups(audit: ReachAudit) -> list[dict[str, Any]]:
    members = {
        "known": [one for one in audit.labs if one.school_id in audit.known],
        "others": [one for one in audit.labs if one.school_id and one.school_id not in audit.known],
        "large": [one for one in audit.labs if one.is_large],
        "small": [one for one in audit.labs if not one.is_large],
    }
    return [
        {
            "group": name,
            "said": _both(GROUPS[name]),
            "labs": len(labs),
            **_counts(labs),
            **_reach(sum((one.reach for one in labs), Reach())),
        }
        for name, labs in members.items()
    ]


def _both(text: Text) -> dict[str, str]:
    return {"zh": text.zh, "en": text.en}


def simulation_document(found: Simulation) -> dict[str, Any]:
    """Return what is said of a simulation."""
    standings = [
        ("plain", T_("by fit alone"), found.plain),
        ("ruled", T_("with the rule"), found.ruled),
        *((name, ABLATED[name], one) for name, one in found.without.items()),
    ]
    return {
        "needs": found.needs,
        "moved": found.moved,
        "floor": found.rule.floor,
        "tolerance": found.rule.tolerance,
        "standings": [_standing(name, said, one) for name, said, one in standings],
    }


def _standing(name: str, said: Text, one: Standing) -> dict[str, Any]:
    return {
        "name": name,
        "said": _both(said),
        "known": one.known,
        "five": one.five,
        "five_graded": one.five_graded,
        "share_known": one.share_known,
        "large": one.large,
        "ndcg": one.ndcg,
    }


_COUNTED = (
    ReportColumn(T_("Labs"), CellKind.COUNT),
    ReportColumn(T_("Shown"), CellKind.COUNT),
    ReportColumn(T_("Opened or decided on"), CellKind.COUNT),
    ReportColumn(T_("Accepted"), CellKind.COUNT),
    ReportColumn(T_("Seen, in first places"), CellKind.SHARE),
    ReportColumn(T_("Deserved"), CellKind.SHARE),
    ReportColumn(T_("Seen over deserved"), CellKind.SHARE),
)


def _row(*values: Value) -> tuple[ReportCell, ...]:
    return tuple(ReportCell(value) for value in values)


def _counted(one: dict[str, Any]) -> list[Value]:
    ratio = None if one["ratio"] is None else round(one["ratio"], 2)
    counts = [one[name] for name in ("labs", "shown", "opened", "accepted")]
    return [*counts, round(one["seen"], 2), round(one["deserved"], 2), ratio]


def reach_report(document: dict[str, Any], day: date) -> ReportDocument:
    """Return a quarter as a report, as of a day."""
    tables = [_groups_table(document), _schools_table(document), _depths_table(document)]
    if document["simulation"] is not None:
        tables.insert(1, _simulation_table(document["simulation"]))
    quarter = quarter_text(document["quarter"])
    return ReportDocument(
        name="reach",
        title=T_("Fair reach, %(quarter)s", quarter=quarter),
        as_of=day,
        tables=tuple(tables),
        heads=(),
        notes=(
            T_("Seen: a lab at rank r counts 1 / log2(1 + r), down to the deepest lab that somebody opened, decided on "
               "or released; of a need where nobody did, nothing."),
            T_("Deserved: each lab's part, by its chance of being introduced, of all that was seen of the need."),
        ),
    )  # fmt: skip


def _groups_table(document: dict[str, Any]) -> ReportTable:
    rows = [_row(either(one["said"]["zh"], one["said"]["en"]), *_counted(one)) for one in document["groups"]]
    return ReportTable(
        T_("Groups of schools and labs"), (ReportColumn(T_("Group"), names=True), *_COUNTED), tuple(rows)
    )


def _schools_table(document: dict[str, Any]) -> ReportTable:
    rows = [
        _row(
            either(one["name"], one["name_en"] or one["name"]) if one["name"] else T_("without a school"),
            T_("yes") if one["is_known"] else T_("no"),
            *_counted(one),
        )
        for one in document["schools"]
    ]
    columns = (ReportColumn(T_("School"), names=True), ReportColumn(T_("Well known")), *_COUNTED)
    return ReportTable(T_("Schools"), columns, tuple(rows), new_page=True)


def _depths_table(document: dict[str, Any]) -> ReportTable:
    rows = [_row(int(depth), many) for depth, many in document["depths"].items()]
    columns = (
        ReportColumn(T_("Looked at down to rank"), CellKind.COUNT, names=True),
        ReportColumn(T_("Needs"), CellKind.COUNT),
    )
    note = T_("%(unread)s of %(needs)s needs that were shown: nobody opened a lab of them",
              unread=document["unread"], needs=document["needs"])  # fmt: skip
    return ReportTable(T_("How far rankings were read"), columns, tuple(rows), notes=(note,))


def _simulation_table(found: dict[str, Any]) -> ReportTable:
    rows = [
        _row(
            either(one["said"]["zh"], one["said"]["en"]),
            *(None if one[name] is None else round(one[name], 2) for name in ("known", "five")),
            round(one["share_known"], 4),
            round(one["large"], 4),
        )
        for one in found["standings"]
    ]
    columns = (
        ReportColumn(T_("Order"), names=True),
        ReportColumn(T_("Well-known schools beside others"), CellKind.SHARE),
        ReportColumn(T_("Five most seen schools beside others"), CellKind.SHARE),
        ReportColumn(T_("Seen of well-known schools"), CellKind.PERCENT),
        ReportColumn(T_("Seen of the largest labs"), CellKind.PERCENT),
    )
    title = T_("Simulation on %(needs)s needs: floor %(floor)s, near ties of %(tolerance)s",
               needs=found["needs"], floor=f"{found['floor']:g}", tolerance=f"{found['tolerance']:g}")  # fmt: skip
    return ReportTable(title, columns, tuple(rows))
