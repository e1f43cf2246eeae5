"""The ledger once more, as plainly as it can be said: lists, sums and ifs, to hold the real one against.

It shares no code with the product, not even the calendar: what it predicts is read off the programme's rules.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime, timedelta, timezone
from typing import Any

TAIPEI = timezone(timedelta(hours=8))
PROGRAMME_END = date(2020, 12, 31)
LARGE_NTD = 5_000_000
NEAR_DAYS, NEAR_SHARE = 45, 0.01
ENDED = ("refused", "withdrawn", "reversed")


def day_of(moment: datetime) -> date:
    return moment.astimezone(TAIPEI).date()


def quarter(day: date) -> int:
    """Quarters as one running number."""
    return day.year * 4 + (day.month - 1) // 3


def quarter_name(number: int) -> str:
    return f"{number // 4}Q{number % 4 + 1}"


def quarter_is_over(number: int, today: date) -> bool:
    return quarter(today) > number


@dataclass
class Fact:
    """A reported result. `group` are names that mean the same party; `series` tells results of one party apart."""

    id: str
    kpi: str
    key: tuple[Any, ...]
    amount: int
    shares: dict[str, int]
    day: date
    counts: date
    company: str | None
    group: int | None
    series: str | None
    reporter: str
    says_added: bool
    proven: bool
    school: str
    booked: int = 0
    late_for: int | None = None
    states: list[tuple[datetime, str]] = field(default_factory=list)
    checked_by: set[str] = field(default_factory=set)
    moved_by: set[str] = field(default_factory=set)

    @property
    def skeleton(self) -> tuple[Any, ...]:
        """By what it counts once: numbers are those of a school, and nobody knows who has a post that names nobody."""
        return (*self.key, {"L": self.school, "T": self.school, "jobs": self.id}.get(self.kpi))

    @property
    def state(self) -> str:
        return self.states[-1][1]

    @property
    def live(self) -> bool:
        return self.state not in ENDED


@dataclass
class Line:
    """What counts, from a moment on; a reversal's amount is below zero."""

    at: datetime
    fact: Fact
    amount: int
    quarter: int
    year: int


@dataclass
class Claim:
    """What another programme claims."""

    programme: str
    kpi: str
    key: tuple[Any, ...]
    group: int
    amount: int | None
    day: date | None
    active: bool = True


@dataclass
class Motion:
    """What waits for a second person."""

    id: int
    kind: str
    subject: Any
    by: str
    payload: Any = None
    open: bool = True


class Model:
    """Predicts, for each verb, how it ends: ok, held, motion, or why it is refused."""

    def __init__(self, alliance_of: dict[str, str]) -> None:
        """Begin with nothing but the alliances whose experts report."""
        self.alliance_of = alliance_of
        self.facts: list[Fact] = []
        self.rows: list[tuple[str, int, int | None]] = []
        self.steps = 0
        self.lines: list[Line] = []
        self.claims: list[Claim] = []
        self.motions: list[Motion] = []
        self.stakes: set[tuple[str, str]] = set()
        self.closed: dict[int, dict[str, dict[str, int]]] = {}

    # What the rules ask

    def fact(self, fact_id: str) -> Fact:
        return next(one for one in self.facts if one.id == fact_id)

    def _booking(self, day: date) -> tuple[int, int | None]:
        own = quarter(day)
        return (own, None) if not self.closed or own > max(self.closed) else (max(self.closed) + 1, own)

    def _counting(self, fact: Fact) -> tuple[int, int]:
        booked, late_for = self._booking(fact.day)
        return booked, fact.counts.year if late_for is None else max(fact.counts.year, booked // 4)

    def _claimed_elsewhere(self, kpi: str, key: tuple[Any, ...]) -> bool:
        return any(one.active and one.kpi == kpi and one.key == key for one in self.claims)

    def alike(self, new: Fact) -> bool:
        if any(one.live and one.kpi == new.kpi and self._may_be_one(one, new) for one in self.facts):
            return True
        if new.group is None:
            return False
        entries = [one for one in self.facts if one.live and one.kpi == new.kpi and one.group == new.group]
        near = [
            one
            for one in entries
            if (one.series is None or one.series != new.series)
            and abs((one.counts - new.counts).days) <= NEAR_DAYS
            and _near_amount(new.kpi, new.amount, one.amount)
        ]
        claims = [
            one
            for one in self.claims
            if one.active
            and (one.kpi, one.group) == (new.kpi, new.group)
            and one.key != new.key
            and (one.day is None or abs((one.day - new.counts).days) <= NEAR_DAYS)
            and _near_amount(new.kpi, new.amount, one.amount)
        ]
        return bool(near or claims)

    def _may_be_one(self, one: Fact, new: Fact) -> bool:
        if new.kpi == "C":
            return (one.key[0], one.key[2]) == (new.key[0], new.key[2])
        if new.kpi == "jobs":
            return one.key == new.key
        if new.kpi == "L" and one.key[0] == new.key[0] and one.school != new.school:
            return one.group == new.group or _near_amount(new.kpi, new.amount, one.amount)
        return new.kpi == "T" and one.key == new.key and one.group == new.group

    def _conflicted(self, fact: Fact, by: str, apart: frozenset[str] | set[str] = frozenset()) -> bool:
        if fact.reporter == by or by in apart or self.alliance_of.get(by) in fact.shares:
            return True
        return fact.company is not None and (by, fact.company) in self.stakes

    def pending(self, kind: str, subject: Any) -> bool:
        return any(one.open and (one.kind, one.subject) == (kind, subject) for one in self.motions)

    # The verbs

    def report(self, new: Fact, now: datetime) -> str:
        if not date(2017, 9, 1) <= new.day <= day_of(now) or new.counts < new.day:
            return "refused"
        if self._claimed_elsewhere(new.kpi, new.key):
            return "elsewhere"
        if sum(new.shares.values()) != 10_000 or min(new.shares.values()) < 1:
            return "refused"
        if any(row[0] == new.id for row in self.rows):
            return "twice"
        if any(one.live and (one.kpi, one.skeleton) == (new.kpi, new.skeleton) for one in self.facts):
            return "twice"
        held = self.alike(new)
        new.booked, new.late_for = self._booking(new.day)
        self.facts.append(new)
        self.rows.append((new.id, new.booked, new.late_for))
        self._step(new, "held" if held else "reported", now)
        return "held" if held else "ok"

    def _step(self, fact: Fact, state: str, now: datetime) -> None:
        fact.states.append((now, state))
        self.steps += 1

    def decide(self, fact: Fact, verb: str, by: str, now: datetime) -> str:
        """Check, return, refuse, tell apart: all but the reporter and who has a stake may."""
        allowed, then = {
            "check": (("reported",), "checked"),
            "give_back": (("reported", "checked"), "returned"),
            "refuse": (("held", "reported", "checked", "returned"), "refused"),
            "tell_apart": (("held",), "reported"),
        }[verb]
        if fact.state not in allowed:
            return "refused"
        if self._conflicted(fact, by, fact.moved_by if verb == "check" else frozenset()):
            return "conflict"
        if verb == "check":
            fact.checked_by.add(by)
        self._step(fact, then, now)
        return "ok"

    def supplement(self, fact: Fact, now: datetime) -> str:
        if fact.state != "returned":
            return "refused"
        fact.proven = True
        self._step(fact, "reported", now)
        return "ok"

    def withdraw(self, fact: Fact, now: datetime) -> str:
        if fact.state not in ("held", "reported", "returned"):
            return "refused"
        self._step(fact, "withdrawn", now)
        return "ok"

    def _unrecognisable(self, fact: Fact, by: str) -> str | None:
        if fact.state != "checked":
            return "refused"
        if self._conflicted(fact, by, fact.checked_by):
            return "conflict"
        if not fact.says_added or not fact.proven:
            return "refused"
        return "elsewhere" if self._claimed_elsewhere(fact.kpi, fact.key) else None

    def _of_contract(self, fact: Fact) -> int:
        """Large money in small parts is large money: instalments of a school's contract are taken together."""
        parts = [one for one in self.facts if one.live and one.kpi == fact.kpi and one.series == fact.series]
        return sum(one.amount for one in parts)

    def _count(self, fact: Fact, sign: int, now: datetime) -> None:
        self.lines.append(Line(now, fact, sign * fact.amount, *self._counting(fact)))

    def _move(self, kind: str, subject: Any, by: str, payload: Any = None) -> str:
        if self.pending(kind, subject):
            return "twice"
        self.motions.append(Motion(len(self.motions), kind, subject, by, payload))
        return "motion"

    def recognise(self, fact: Fact, by: str, now: datetime) -> str:
        refusal = self._unrecognisable(fact, by)
        if refusal:
            return refusal
        if fact.kpi == "L" and self._of_contract(fact) > LARGE_NTD:
            moved = self._move("recognise", fact.id, by)
            if moved == "motion":
                fact.moved_by.add(by)
            return moved
        self._count(fact, 1, now)
        self._step(fact, "recognised", now)
        return "ok"

    def move_reversal(self, fact: Fact, by: str) -> str:
        if fact.state != "recognised":
            return "refused"
        return "conflict" if self._conflicted(fact, by) else self._move("reverse", fact.id, by)

    def _too_early(self, number: int, now: datetime) -> bool:
        if not quarter_is_over(number, day_of(now)):
            return True
        if self.closed:
            return number != max(self.closed) + 1
        return any(booked < number for _, booked, _ in self.rows)

    def move_close(self, number: int, by: str, now: datetime) -> str:
        if self._too_early(number, now):
            return "refused"
        return self._move("close", number, by, self.totals(number))

    def drop(self, motion: Motion) -> str:
        if not motion.open:
            return "refused"
        motion.open = False
        return "ok"

    def second(self, motion: Motion, by: str, now: datetime) -> str:
        if not motion.open:
            return "refused"
        refusal = self._unsecondable(motion, by, now)
        if refusal or by == motion.by:
            return refusal or "refused"
        motion.open = False
        if motion.kind == "close":
            self.closed[motion.subject] = self.totals(motion.subject)
            return "ok"
        fact = self.fact(motion.subject)
        if motion.kind == "recognise":
            self._count(fact, 1, now)
            self._step(fact, "recognised", now)
            return "ok"
        self.rows.append((f"{fact.id}-reversal", *self._booking(fact.day)))
        self._count(fact, -1, now)
        self.steps += 1
        self._step(fact, "reversed", now)
        return "ok"

    def _unsecondable(self, motion: Motion, by: str, now: datetime) -> str | None:
        if motion.kind == "close":
            changed = self._too_early(motion.subject, now) or self.totals(motion.subject) != motion.payload
            return "refused" if changed else None
        fact = self.fact(motion.subject)
        if motion.kind == "recognise":
            return self._unrecognisable(fact, by)
        if fact.state != "recognised":
            return "refused"
        return "conflict" if self._conflicted(fact, by) else None

    def claim(self, new: Claim) -> str:
        if any(o.active and (o.programme, o.kpi, o.key) == (new.programme, new.kpi, new.key) for o in self.claims):
            return "twice"
        self.claims.append(new)
        return "ok"

    def end_claim(self, claim: Claim) -> str:
        if not claim.active:
            return "refused"
        claim.active = False
        return "ok"

    # What must come of it

    def totals(self, number: int) -> dict[str, dict[str, int]]:
        sums: dict[str, dict[str, int]] = {}
        for line in self.lines:
            if line.quarter == number:
                of = sums.setdefault(line.fact.kpi, {"all": 0})
                of["all"] += line.amount
                for alliance, share in line.fact.shares.items():
                    of[alliance] = of.get(alliance, 0) + line.amount * share
        return sums

    def fold(self, as_of: datetime) -> dict[tuple[str, str, int, str], int]:
        """Sums in units × basis points by figure, status, year and alliance; what is nothing is left out."""
        sums: dict[tuple[str, str, int, str], int] = {}

        def add(fact: Fact, status: str, year: int, amount: int) -> None:
            for alliance, share in fact.shares.items():
                cell = (fact.kpi, status, year, alliance)
                sums[cell] = sums.get(cell, 0) + amount * share

        for line in self.lines:
            if line.at <= as_of:
                counts = line.fact.counts
                status = "committed" if counts > day_of(as_of) else "actual"
                add(line.fact, "after_programme" if counts > PROGRAMME_END else status, line.year, line.amount)
        for fact in self.facts:
            states = [state for at, state in fact.states if at <= as_of]
            if states and states[-1] in ("held", "reported", "checked", "returned"):
                add(fact, "in_review", fact.counts.year, fact.amount)
        return {cell: amount for cell, amount in sums.items() if amount}


def _near_amount(kpi: str, one: int, other: int | None) -> bool:
    return kpi != "L" or other is None or abs(one - other) <= NEAR_SHARE * max(one, other)
