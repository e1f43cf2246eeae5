"""Whatever happens to the ledger, in whatever order and at once: nothing counts twice, every total is its rows' sum.

Hypothesis makes up histories; a plain model beside the ledger (`tests/rig/worlds/ledger_model.py`) predicts how each
step ends and what every figure is after it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from random import Random
from threading import Barrier
from typing import Any, ClassVar

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test
from sqlalchemy import text
from sqlmodel import Session

from indexer.database import reading, writing
from indexer.settings import Settings
from matcher.ledger.figures.folds import Status, figures
from matcher.ledger.proving.verification import verify
from matcher.ledger.rows import motions
from matcher.ledger.rows.entries import AlreadyReportedError, LedgerError
from matcher.ledger.rows.kpis import RECOGNISED_KPIS
from matcher.ledger.rows.periods import move_close, second_close, totals_of
from matcher.ledger.rows.result_claims import ClaimedElsewhereError, ExternalClaim, end_external, note_external
from matcher.ledger.rules.recognition import (
    ConflictError,
    check,
    give_back,
    move_reversal,
    recognise,
    refuse,
    second_recognition,
    second_reversal,
    supplement,
    tell_apart,
    withdraw,
)
from matcher.ledger.rules.reporting import report
from matcher.review.people import declare_stake, end_stake
from tests.rig.worlds.ledger_histories import NAMES, Beginning, again, key_text, result
from tests.rig.worlds.ledger_model import Claim, Fact, Model, Motion, day_of, quarter, quarter_name
from tests.rig.worlds.ledger_world import PROOF

HISTORIES = {"sqlite": (190, 40), "postgresql": (110, 25)}
"""How many, and of how many steps each. PostgreSQL answers more slowly, and there two writers are really at once."""
OF = 3
"""Every time a third of them is made up: the first, so that all of them in `make test-long` begin with the same."""
BEGIN = datetime(2018, 11, 20, 4, 0, tzinfo=UTC)
VERBS: dict[str, Callable[..., None]] = {
    "check": check,
    "give_back": give_back,
    "refuse": refuse,
    "tell_apart": tell_apart,
}
SECONDS: dict[str, Callable[..., Any]] = {
    "recognise": second_recognition,
    "reverse": second_reversal,
    "close": second_close,
}
REFUSALS: dict[type[LedgerError], str] = {
    AlreadyReportedError: "twice",
    ConflictError: "conflict",
    ClaimedElsewhereError: "elsewhere",
}
DECIDERS = ("committee", "office", "office", "second_office", "second_office", "second_committee", "reporter")
OFFICE = ("office", "second_office")
EVERYBODYS = {"al-a": 1}
AT_ONCE = 0.25
PROVED_EVERY = 10
"""After how many steps the whole is proved, beside the end: a proof replays every step ever taken, and nothing that it
would find goes away."""
WEIGHTS = {
    "report": (5.0, None),
    "report_at_once": (0.8, None),
    "report_again": (0.8, "facts"),
    "decide": (7.0, "facts"),
    "supplement": (1.0, "facts"),
    "withdraw": (0.4, "facts"),
    "recognise": (5.0, "facts"),
    "move_reversal": (1.5, "facts"),
    "move_close": (1.5, None),
    "second": (4.0, "motions"),
    "drop": (0.4, "motions"),
    "time_passes": (1.5, None),
    "claim": (0.7, None),
    "end_claim": (0.5, "claims"),
    "stake": (0.3, None),
}
"""How often each step is tried, and what the model must hold for it."""
_FINGERPRINT = text(
    "SELECT (SELECT count(*) FROM ledger_entry), (SELECT count(*) FROM ledger_step), "
    "(SELECT count(*) FROM ledger_live_fact), (SELECT count(*) FROM ledger_motion), "
    "(SELECT count(*) FROM ledger_motion_end), (SELECT count(*) FROM external_claim WHERE ended_at IS NULL), "
    "(SELECT count(*) FROM ledger_period_close), (SELECT count(*) FROM ledger_similarity), "
    "(SELECT sum(n) FROM ledger_head), "
    "(SELECT min(n || hash) FROM ledger_head), (SELECT max(n || hash) FROM ledger_head)"
)


class Histories(RuleBasedStateMachine):
    """One history of one database; both are begun anew for each."""

    beginning: ClassVar[Beginning]
    done: ClassVar[Counter[str]]
    both: ClassVar[ThreadPoolExecutor]

    def __init__(self) -> None:
        super().__init__()
        self.beginning.again()
        self.people = self.beginning.world.people
        self.model = Model({self.people["reporter"]: "al-a", self.people["other_reporter"]: "al-b"})
        self.now = BEGIN
        self.given: dict[str, tuple[Any, Fact]] = {}
        self.number = 0
        self.seen: list[tuple[datetime, dict[tuple[str, str, int, str], int]]] = []
        self.claim_ids: list[int] = []
        self.motion_ids: list[int] = []
        self.stake_ids: dict[tuple[str, str], int] = {}
        self.agreed = 0
        self.done["histories"] += 1
        self._agree()

    # How a step is taken

    def _write(self, verb: Callable[[Session], Any]) -> tuple[str, Any]:
        try:
            with writing(self.beginning.engine) as session:
                value = verb(session)
                if isinstance(value, motions.Motion):
                    return "motion", value.id
                if isinstance(value, tuple):
                    return ("held" if value[1] == "held" else "ok"), value[0].id
                return "ok", value
        except LedgerError as error:
            return REFUSALS.get(type(error), "refused"), None

    def _step(self, name: str, verb: Callable[[Session], Any], predict: Callable[[datetime], str]) -> Any:
        """Let the ledger and the model take a step; they must agree on how it ends and on everything after it."""
        self.now += timedelta(seconds=7)
        outcome, value = self._write(verb)
        predicted = predict(self.now)
        assert outcome == predicted, f"{name}: the ledger says {outcome}, the model {predicted}"
        self._count(name, outcome)
        if outcome in ("ok", "held", "motion"):
            if outcome == "motion":
                self.motion_ids.append(value)
            self._agree()
        else:
            with reading(self.beginning.engine) as session:
                assert self._fingerprint(session) == self.left, f"{name} was refused and left something behind"
        return value

    def _count(self, name: str, outcome: str) -> None:
        self.done["steps"] += 1
        self.done[f"{name} {outcome}"] += 1

    def _at_once(self, name: str, verbs: list[Callable[[Session], Any]], predict: Callable[[int], list[str]]) -> None:
        """Let two threads try at once; whoever is first, together they must end as one after the other."""
        self.now += timedelta(seconds=7)
        start = Barrier(len(verbs))

        def run(verb: Callable[[Session], Any]) -> tuple[str, Any]:
            start.wait()
            return self._write(verb)

        ended = list(self.both.map(run, verbs))
        outcomes = [outcome for outcome, _ in ended]
        first = self._first(ended)
        assert sorted(outcomes) == sorted(predict(first)), f"{name} at once"
        self.motion_ids += [value for outcome, value in ended if outcome == "motion"]
        self._count(f"{name} at once", "+".join(sorted(outcomes)))
        self._agree()

    def _first(self, ended: list[tuple[str, Any]]) -> int:
        """Return who was first of those that got through: whose entry stands before the other's."""
        through = [n for n, (outcome, _) in enumerate(ended) if outcome in ("ok", "held", "motion")]
        entries = [value for _, value in ended if isinstance(value, str)]
        if len(entries) < len(ended):
            return through[0] if through else 0
        with reading(self.beginning.engine) as session:
            run = session.connection().exec_driver_sql
            rows = [row[0] for row in run("SELECT id FROM ledger_entry ORDER BY seq").all()]
        return min(through, key=lambda n: rows.index(ended[n][1]))

    # What must hold

    def _fingerprint(self, session: Session) -> Any:
        return session.connection().execute(_FINGERPRINT).one()

    def _agree(self) -> None:
        with reading(self.beginning.engine) as session:
            self._rows_agree(session)
            self._figures_agree(session)
            self.left = self._fingerprint(session)
            self.agreed += 1
            if self.agreed % PROVED_EVERY == 0:
                self._prove(session)

    def _prove(self, session: Session) -> None:
        verdict = verify(session)
        assert verdict.findings == []
        assert (verdict.entries, verdict.steps) == (len(self.model.rows), self.model.steps)

    def _rows_agree(self, session: Session) -> None:
        run = session.connection().exec_driver_sql
        entries = run("SELECT seq, id, period, late_for, kpi, natural_key, kind FROM ledger_entry ORDER BY seq").all()
        assert [row[0] for row in entries] == list(range(1, len(entries) + 1))
        wanted = [(name, quarter_name(own), late and quarter_name(late)) for name, own, late in self.model.rows]
        assert [tuple(row[1:4]) for row in entries] == wanted
        steps = run("SELECT seq, entry_id, state FROM ledger_step ORDER BY seq").all()
        assert [row[0] for row in steps] == list(range(1, len(steps) + 1))
        last = {row[1]: row[2] for row in steps if not row[1].endswith("-reversal")}
        assert last == {fact.id: fact.state for fact in self.model.facts}
        live = run("SELECT kpi, skeleton, entry_id FROM ledger_live_fact").all()
        assert sorted(row[2] for row in live) == sorted(fact.id for fact in self.model.facts if fact.live)
        assert len({tuple(row[:2]) for row in live}) == len(live)
        counted = {row[1] for row in steps if row[2] == "recognised"}
        net = Counter[tuple[str, str]]()
        skeletons = {fact.id: str(fact.skeleton) for fact in self.model.facts}
        for _, name, _, _, kpi, _, kind in entries:
            net[kpi, skeletons[name.removesuffix("-reversal")]] += (1 if kind == "fact" else -1) * (name in counted)
        assert set(net.values()) <= {0, 1}

    def _figures_agree(self, session: Session) -> None:
        for number in {*self.model.closed, *(line.quarter for line in self.model.lines)}:
            assert totals_of(session, quarter_name(number)) == self.model.totals(number)
        closes = session.connection().exec_driver_sql("SELECT period FROM ledger_period_close ORDER BY period")
        assert [row[0] for row in closes] == [quarter_name(number) for number in sorted(self.model.closed)]
        for number, frozen in self.model.closed.items():
            assert self.model.totals(number) == frozen
        assert self._fold(session, self.now) == self.model.fold(self.now)
        if self.seen and self.done["steps"] % 3 == 0:
            moment, shown = self.seen[self.done["steps"] % len(self.seen)]
            assert self._fold(session, moment) == shown

    def _fold(self, session: Session, as_of: datetime) -> dict[tuple[str, str, int, str], int]:
        found = figures(session, as_of=as_of)
        cells = {
            (kpi.value, status.value, year, alliance): found.amount_bp(
                kpi, years=[year], alliance=alliance, status=status
            )
            for year in found.years()
            for alliance in found.alliances()
            for kpi in RECOGNISED_KPIS
            for status in Status
        }
        return {cell: amount for cell, amount in cells.items() if amount}

    def teardown(self) -> None:
        with reading(self.beginning.engine) as session:
            self._prove(session)
            for moment, shown in self.seen:
                assert self._fold(session, moment) == shown

    # What is picked

    def _who(self, chance: Random, shares: dict[str, int]) -> str:
        """Those whom a route would let through, and the reporter: of a committee, only if its alliance has a share."""
        return self.people[chance.choice([who for who in DECIDERS if "al-a" in shares or who in OFFICE])]

    def _fact(self, chance: Random, *states: str) -> Fact:
        """Mostly one that stands as the verb wants it, sometimes any."""
        fitting = [fact for fact in self.model.facts if fact.state in states]
        return chance.choice(fitting if fitting and chance.random() < 0.9 else self.model.facts)

    def _motion(self, chance: Random) -> Motion:
        waiting = [motion for motion in self.model.motions if motion.open]
        return chance.choice(waiting if waiting and chance.random() < 0.9 else self.model.motions)

    def _new(self, chance: Random, back: int, reporter: str) -> tuple[Any, Fact]:
        self.number += 1
        day = day_of(self.now) - timedelta(days=back)
        own = self.model.alliance_of.get(self.people[reporter], "al-a")
        return result(self.number, chance, day, (self.people[reporter], own), self.beginning.trained)

    # The steps

    @rule(seed=st.integers(0, 2**64 - 1))
    def step(self, seed: int) -> None:
        """Take one of them; by a seed, since rules of their own would seldom follow each other to a recognition."""
        chance = Random(f"{seed} {self.done['steps']}")
        verbs = {name: weight for name, (weight, needs) in WEIGHTS.items() if not needs or getattr(self.model, needs)}
        getattr(self, f"_{chance.choices(list(verbs), list(verbs.values()))[0]}")(chance)

    def _report(self, chance: Random) -> None:
        back = chance.choice((0, 0, 0, 1, 20, 40, 100, 380, -1))
        given, fact = self._new(chance, back, chance.choice(("reporter", "other_reporter")))
        self.given[fact.id] = given, fact
        self._step(
            "report",
            lambda session: report(session, given, by=fact.reporter, now=self.now),
            lambda now: self.model.report(fact, now),
        )

    def _report_again(self, chance: Random) -> None:
        given, fact = self.given[self._fact(chance).id]
        same_id = chance.random() < 0.3
        self.number += not same_id
        second, copy = again(given, fact, int(fact.id[-4:]) if same_id else self.number)
        self.given.setdefault(copy.id, (second, copy))
        self._step(
            "report again",
            lambda session: report(session, second, by=copy.reporter, now=self.now),
            lambda now: self.model.report(copy, now),
        )

    def _report_at_once(self, chance: Random) -> None:
        given, fact = self._new(chance, 0, "reporter")
        self.number += 1
        pair = [(given, fact), again(given, fact, self.number)]
        self.given |= {copy.id: (one, copy) for one, copy in pair}

        def predicted(first: int) -> list[str]:
            return [self.model.report(copy, self.now) for _, copy in (pair[first], pair[1 - first])]

        self._at_once(
            "report",
            [lambda s, one=one, c=copy: report(s, one, by=c.reporter, now=self.now) for one, copy in pair],
            predicted,
        )

    def _decide(self, chance: Random) -> None:
        verb = chance.choice(("check", "check", "check", "check", "give_back", "refuse", "tell_apart"))
        states = {"tell_apart": ["held"], "refuse": ["held", "checked", "returned"]}.get(verb, ["reported"])
        fact = self._fact(chance, *states)
        by = self._who(chance, fact.shares)
        note = {"note": ""} if verb == "check" else {"reason": "如說明"}
        self._step(
            verb,
            lambda session: VERBS[verb](session, entry_id=fact.id, by=by, now=self.now, **note),
            lambda now: self.model.decide(fact, verb, by, now),
        )

    def _supplement(self, chance: Random) -> None:
        fact = self._fact(chance, "returned")
        more = {"text": "補件", "evidence": PROOF, "by": fact.reporter}
        self._step(
            "supplement",
            lambda session: supplement(session, entry_id=fact.id, now=self.now, **more),
            lambda now: self.model.supplement(fact, now),
        )

    def _withdraw(self, chance: Random) -> None:
        fact = self._fact(chance, "held", "returned")
        self._step(
            "withdraw",
            lambda session: withdraw(session, entry_id=fact.id, reason="誤填", by=fact.reporter, now=self.now),
            lambda now: self.model.withdraw(fact, now),
        )

    def _recognise(self, chance: Random) -> None:
        fact = self._fact(chance, "checked")
        by = self._who(chance, fact.shares)

        def verb(session: Session) -> Any:
            return recognise(session, entry_id=fact.id, by=by, now=self.now)

        def predict(now: datetime) -> str:
            return self.model.recognise(fact, by, now)

        if chance.random() < AT_ONCE:
            self._at_once("recognise", [verb, verb], lambda _: [predict(self.now), predict(self.now)])
        else:
            self._step("recognise", verb, predict)

    def _move_reversal(self, chance: Random) -> None:
        fact = self._fact(chance, "recognised")
        by = self._who(chance, fact.shares)
        self._step(
            "move reversal",
            lambda session: move_reversal(session, entry_id=fact.id, reason="誤植", by=by, now=self.now),
            lambda _: self.model.move_reversal(fact, by),
        )

    def _move_close(self, chance: Random) -> None:
        ahead = chance.choice((0, 0, 0, 0, 1, -1))
        first = min((booked for _, booked, _ in self.model.rows), default=quarter(day_of(self.now)) - 1)
        number = max(self.model.closed, default=first - 1) + 1 + ahead
        by = self._who(chance, EVERYBODYS)
        self._step(
            "move close",
            lambda session: move_close(session, period=quarter_name(number), reason="季結", by=by, now=self.now),
            lambda now: self.model.move_close(number, by, now),
        )

    def _second(self, chance: Random) -> None:
        motion = self._motion(chance)
        by = self._who(chance, EVERYBODYS if motion.kind == "close" else self.model.fact(motion.subject).shares)

        def verb(session: Session) -> Any:
            SECONDS[motion.kind](session, motion_id=self.motion_ids[motion.id], by=by, now=self.now)

        if chance.random() < AT_ONCE:
            twice = [motion, motion]
            self._at_once(
                f"second {motion.kind}", [verb, verb], lambda _: [self.model.second(m, by, self.now) for m in twice]
            )
        else:
            self._step(f"second {motion.kind}", verb, lambda now: self.model.second(motion, by, now))

    def _drop(self, chance: Random) -> None:
        motion = self._motion(chance)

        def verb(session: Session) -> None:
            opened = motions.open_motion(session, self.motion_ids[motion.id])
            motions.end(session, opened, seconded=False, by=self.people["office"], now=self.now, reason="撤案")

        self._step("drop", verb, lambda _: self.model.drop(motion))

    def _time_passes(self, chance: Random) -> None:
        """Days, or to half an hour before or after the end of a quarter in Taipei."""
        days, edge = chance.choice((1, 15, 60, 92)), chance.choice((None, None, 12, 3, 6))
        self.seen.append((self.now, self.model.fold(self.now)))
        if edge is None:
            self.now += timedelta(days=days)
        else:
            end = datetime(self.now.year + (days > 15), edge, 30, 15, 30, tzinfo=UTC) + timedelta(days=edge in (12, 3))
            self.now = max(self.now, end + timedelta(hours=days % 2))
        self._count("time passes", "ok")
        self._agree()

    def _claim(self, chance: Random) -> None:
        """Of something that is reported already, or of something that may be."""
        programme, form = chance.choice(("patent", "other")), chance.randrange(6)
        known = self.model.facts and chance.random() < 0.5
        given, fact = self.given[self._fact(chance).id] if known else self._new(chance, 0, "office")
        group = fact.group or 0
        claim = Claim(
            programme,
            fact.kpi,
            fact.key,
            group,
            fact.amount if form % 3 else None,
            fact.counts if form % 2 else None,
        )
        row = ExternalClaim(
            programme=programme,
            kpi=fact.kpi,
            natural_key=key_text(given),
            claimant="某計畫",
            reference="X-1",
            party=NAMES[group][form % 2],
            amount=claim.amount,
            occurred_on=claim.day,
            noted_by=self.people["office"],
            noted_at=self.now,
        )
        live = [one.id for one in self.model.facts if one.live and (one.kpi, one.key) == (fact.kpi, fact.key)]

        def verb(session: Session) -> Any:
            assert list(note_external(session, row)) == live
            self.claim_ids.append(row.id or 0)

        self._step("claim", verb, lambda _: self.model.claim(claim))

    def _end_claim(self, chance: Random) -> None:
        place = chance.randrange(len(self.model.claims))
        by = self.people["office"]
        self._step(
            "end claim",
            lambda s: end_external(s, claim_id=self.claim_ids[place], by=by, now=self.now) and None,
            lambda _: self.model.end_claim(self.model.claims[place]),
        )

    def _stake(self, chance: Random) -> None:
        by, company = self.people[chance.choice(("committee", "second_office"))], chance.choice(("co-1", "co-2"))
        held = (by, company) in self.model.stakes
        self.now += timedelta(seconds=7)
        with writing(self.beginning.engine) as session:
            if held:
                end_stake(session, stake_id=self.stake_ids[by, company], reason="出售", by=by, now=self.now)
            else:
                stake = declare_stake(session, account_id=by, party="company", party_id=company, now=self.now)
                self.stake_ids[by, company] = stake.id or 0
        self.model.stakes ^= {(by, company)}
        self._count("stake", "ended" if held else "declared")
        self._agree()


@pytest.mark.parametrize("of", [OF, pytest.param(1, marks=pytest.mark.long)])
@pytest.mark.parametrize("kind", HISTORIES)
def test_histories_keep_their_invariants(
    kind: str, of: int, request: pytest.FixtureRequest, capsys: pytest.CaptureFixture[str]
) -> None:
    databases, folder = request.getfixturevalue("databases"), request.getfixturevalue("tmp_path") / "home"
    folder.mkdir()
    begun = Beginning(Settings(home=folder, database_url=databases.at_head(kind, folder)))
    histories, steps = HISTORIES[kind][0] // of, HISTORIES[kind][1]
    done = Counter[str]()
    with ThreadPoolExecutor(2) as both:
        machine = type("Histories", (Histories,), {"beginning": begun, "done": done, "both": both})
        run_state_machine_as_test(
            machine,
            settings=settings(
                max_examples=histories,
                stateful_step_count=steps,
                derandomize=True,
                database=None,
                deadline=None,
                phases=(Phase.generate,),
                suppress_health_check=list(HealthCheck),
            ),
        )
    begun.engine.dispose()
    with capsys.disabled():
        print(f"\n{kind}: {done['histories']} histories, {done['steps']} steps")
        print(", ".join(f"{name} {n}" for name, n in sorted(done.items()) if " " in name))
    assert done["histories"] >= histories
