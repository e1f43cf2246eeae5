"""Every act that must be somebody else's × every way in which one human can own both accounts or both roles.

The cells are made of the rule itself, so that an act added to it is tested with it: program and database both refuse,
and a stranger may each time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Engine, insert
from sqlalchemy.exc import DBAPIError
from sqlmodel import Session, select

from indexer.database import writing
from indexer.records.importing import import_rows
from matcher.ledger.rows.entries import Entry, LedgerError
from matcher.ledger.rows.motions import Motion, MotionEnd, TiedError, end
from matcher.ledger.rows.periods import move_close, second_close
from matcher.ledger.rows.school_totals import supply
from matcher.ledger.rows.steps import NewStep, State, standing, take
from matcher.ledger.rule_documents import move_document, second_document
from matcher.ledger.rules.configuration import TakesTwoError, change, default
from matcher.ledger.rules.duties import APART, Act, Bar, barred_second, strictest
from matcher.ledger.rules.granting import move_grant, second_grant
from matcher.ledger.rules.recognition import (
    ConflictError,
    RecognitionRules,
    check,
    give_back,
    move_reversal,
    recognise,
    second_recognition,
    second_reversal,
    supplement,
    takes_two,
)
from matcher.ledger.rules.reporting import NewResult, report
from matcher.review.cases import Case
from matcher.review.own_lab.researchers import ClaimVerdict, claim, decide_claim
from matcher.review.people import (
    Hand,
    SamePersonError,
    add_account,
    declare_stake,
    end_stake,
    grant,
    revoke,
    tie,
)
from matcher.review.roles import Role
from tests.rig.worlds.ledger_world import PROOF, money
from tests.rig.worlds.small_world import accept, build_world

NOW = datetime(2026, 11, 25, 4, 0, tzinfo=UTC)
LARGE, SMALL = 6_000_000, 1_000_000
ACTORS = ("reporter", "supplier", "checker", "mover", "second", "returner", "stranger", "puppet")


@dataclass
class World:
    """A database with a case, and people of whom each has no part in anything but what they do."""

    engine: Engine
    people: dict[str, str]

    def __getitem__(self, name: str) -> str:
        return self.people[name]


@pytest.fixture
def world(engine: Engine) -> World:
    base = build_world(engine)
    with writing(engine) as session:
        accept(session, base)
        people = {**base.people, "acceptor": session.exec(select(Case.owner_id)).one()}
        for name in ACTORS:
            people[name] = add_account(session, email=f"{name}@example.net", name=name, now=NOW).id
        import_rows(session, "schools", [{"id": "sc-1", "name": "一號大學"}])
        supply(session, school_id="sc-1", year=2026, amount_ntd=10**9, source="校務", by=people["office"], now=NOW)
        _programme_goes_on(session, people)
    return World(engine, people)


def _programme_goes_on(session: Session, people: dict[str, str]) -> None:
    """Let the programme last until today, as two people agree; the limit stays."""
    document = default(RecognitionRules).model_copy(update={"programme_end": date(2030, 12, 31)})
    motion = move_document(session, document, reason="延長", by=people["mover"], now=NOW - timedelta(days=1))
    second_document(session, motion_id=motion.id or 0, by=people["second"], now=NOW - timedelta(days=1))


class _UndoneError(Exception):
    """Ends a cell: nothing of it stays."""


@contextmanager
def undone(world: World) -> Iterator[Session]:
    """A transaction of which nothing stays."""
    try:
        with writing(world.engine) as session:
            yield session
            raise _UndoneError
    except _UndoneError:
        pass


@contextmanager
def tried(session: Session) -> Iterator[None]:
    """Something of which nothing stays, within what is to be undone."""
    point = session.begin_nested()
    try:
        yield
        session.flush()
    finally:
        if point.is_active:
            point.rollback()


def refused(session: Session, verb: Callable[..., object], *given: Any, **named: Any) -> Exception | None:
    """Return the error by which something is refused, None if it goes through; what it did is undone."""
    try:
        with tried(session):
            verb(*given, **named)
    except (LedgerError, SamePersonError, DBAPIError) as error:
        return error
    return None


ENTRY = "duty-0001"
Verb = Callable[[Session, World, str, dict[str, Any]], object]


def _report(session: Session, world: World, given: NewResult) -> Entry:
    """Report as somebody who has no other part in it: they worked for its alliance, and left."""
    by = world["reporter"]
    post = grant(session, account_id=by, role=Role.EXPERT, scope_id="al-a", by=None, now=NOW)
    entry, _ = report(session, given, by=by, now=NOW)
    revoke(session, grant_id=post.id or 0, by=world["office"], now=NOW)
    return entry


def _prepared(session: Session, world: World, act: Act, first: Act) -> dict[str, Any]:
    """Bring an entry to where `act` comes next, each step by somebody of its own; `first` is among what was done."""
    amount = LARGE if act in (Act.MOVE, Act.SECOND) or first is Act.MOVE else SMALL
    case_id = session.exec(select(Case.id)).one()
    given = money(ENTRY, amount=amount, occurred_on=date(2026, 11, 24), company_id="co-1", case_id=case_id)
    _report(session, world, given)
    if first is Act.MOVE:
        check(session, entry_id=ENTRY, by=world["checker"], now=NOW)
        moved = recognise(session, entry_id=ENTRY, by=world["mover"], now=NOW)
        assert moved is not None
        end(session, moved, seconded=False, by=world["mover"], now=NOW, reason="再看")
    give_back(session, entry_id=ENTRY, reason="補件", by=world["returner"], now=NOW)
    supplement(session, entry_id=ENTRY, text="如附", evidence=PROOF, by=world["supplier"], now=NOW)
    if act in (Act.DECIDE, Act.CHECK):
        return {}
    check(session, entry_id=ENTRY, by=world["checker"], now=NOW)
    if act in (Act.MOVE, Act.RECOGNISE):
        return {}
    by = world["mover"] if act is Act.SECOND else world["second"]
    motion = recognise(session, entry_id=ENTRY, by=by, now=NOW)
    if act is Act.AGREE:
        motion = move_reversal(session, entry_id=ENTRY, reason="誤植", by=world["mover"], now=NOW)
    return {} if motion is None else {"motion_id": motion.id}


VERBS: dict[Act, Verb] = {
    Act.DECIDE: lambda s, w, by, m: give_back(s, entry_id=ENTRY, reason="缺", by=by, now=NOW),
    Act.CHECK: lambda s, w, by, m: check(s, entry_id=ENTRY, by=by, now=NOW),
    Act.MOVE: lambda s, w, by, m: recognise(s, entry_id=ENTRY, by=by, now=NOW),
    Act.RECOGNISE: lambda s, w, by, m: recognise(s, entry_id=ENTRY, by=by, now=NOW),
    Act.SECOND: lambda s, w, by, m: second_recognition(s, by=by, now=NOW, **m),
    Act.REVERSE: lambda s, w, by, m: move_reversal(s, entry_id=ENTRY, reason="誤", by=by, now=NOW),
    Act.AGREE: lambda s, w, by, m: second_reversal(s, by=by, now=NOW, **m),
}
STEPS = {
    Act.DECIDE: State.RETURNED,
    Act.CHECK: State.CHECKED,
    Act.RECOGNISE: State.RECOGNISED,
    Act.SECOND: State.RECOGNISED,
    Act.AGREE: State.REVERSED,
}
"""The step that each act takes; moving takes none."""
DOERS = {
    Act.ACCEPT: "acceptor",
    Act.REPORT: "reporter",
    Act.SUPPLY: "supplier",
    Act.CHECK: "checker",
    Act.MOVE: "mover",
}
STAFFS = (Act.ACCEPT, Act.REPORT)
"""What only somebody does who works for an alliance."""
PAIRS = [(first, then) for then, firsts in APART.items() for first in firsts]
WAYS = ("the own account", *(f"{hand} {way}" for hand in Hand for way in ("it", "by it")))


def _other(session: Session, world: World, first: str, way: str) -> str:
    """Return the account by which the same human comes again."""
    if way == "the own account":
        return world[first]
    hand, _, way = way.partition(" ")
    ends = (world[first], world["puppet"]) if way == "it" else (world["puppet"], world[first])
    tie(session, account_id=ends[0], by=ends[1], how=Hand(hand), now=NOW)
    return world["puppet"]


def _ended(session: Session, row: dict[str, Any]) -> None:
    session.connection().execute(insert(MotionEnd), row)


def _step_of(session: Session, act: Act, by: str, more: dict[str, Any]) -> None:
    """Take the step past the program."""
    if act is Act.SECOND:
        motion = session.get_one(Motion, more["motion_id"])
        row = {"motion_id": motion.id, "moved_by": motion.moved_by, "seconded": True, "reason": "", "by": by, "at": NOW}
        _ended(session, row)
    state, counts = STEPS[act], {}
    if state is State.RECOGNISED:
        counts = {"period": "2026Q4", "kpi_year": 2026}
    take(session, NewStep(ENTRY, standing(session, ENTRY).version, state, by, NOW, reason="r", **counts))


def test_every_act_that_must_be_somebody_elses(world: World) -> None:
    assert set(Act) == {*APART, *DOERS}
    wrong, cells = [], 0
    for first, then in PAIRS:
        with undone(world) as session:
            more, stranger = _prepared(session, world, then, first), world["stranger"]
            for way in WAYS:
                if first in STAFFS and way == "keyed it":
                    # The account of whoever works for an alliance gets no key from somebody else.
                    assert isinstance(refused(session, _other, session, world, DOERS[first], way), SamePersonError)
                    continue
                with tried(session):
                    by = _other(session, world, DOERS[first], way)
                    said = refused(session, VERBS[then], session, world, by, more)
                    tied = way == "the own account" or (isinstance(said, ConflictError) and said.bar is Bar.TIED)
                    if not isinstance(said, ConflictError) or not tied:
                        wrong.append(f"{first} then {then}, {way}: {said!r}")
                    if then in STEPS and refused(session, _step_of, session, then, by, more) is None:
                        wrong.append(f"{first} then {then}, {way}: the database let it through")
                cells += 1
            # The control: who has nothing to do with them may.
            assert refused(session, VERBS[then], session, world, stranger, more) is None, (first, then)
            if then in STEPS:
                assert refused(session, _step_of, session, then, stranger, more) is None, (first, then)
    assert wrong == []
    assert cells == len(PAIRS) * len(WAYS) - sum(first in STAFFS for first, _ in PAIRS)


def _moved_close(session: Session, world: World, by: str) -> Motion:
    return move_close(session, period="2026Q3", reason="季結", by=by, now=NOW)


def _moved_rules(session: Session, world: World, by: str) -> Motion:
    return move_document(session, default(RecognitionRules), reason="改", by=by, now=NOW)


def _moved_role(session: Session, world: World, by: str) -> Motion:
    given = {"account_id": world["returner"], "role": Role.OFFICE, "scope_id": ""}
    return move_grant(session, reason="新任", by=by, now=NOW, **given)


MOTIONS: dict[str, tuple[Callable[[Session, World, str], Motion], Callable[..., object]]] = {
    "close": (_moved_close, second_close),
    "configure": (_moved_rules, second_document),
    "grant": (_moved_role, second_grant),
}


def test_every_motion_is_seconded_by_somebody_else(world: World) -> None:
    wrong = []
    for kind, (moved, second) in MOTIONS.items():
        for way in WAYS:
            with undone(world) as session:
                motion = moved(session, world, world["mover"])
                by, number = _other(session, world, "mover", way), motion.id or 0
                said = refused(session, second, session, motion_id=number, by=by, now=NOW)
                if not isinstance(said, LedgerError if way == "the own account" else TiedError):
                    wrong.append(f"{kind}, {way}: {said!r}")
                row = {"motion_id": number, "moved_by": world["mover"], "seconded": True, "reason": "", "at": NOW}
                passed = refused(session, _ended, session, {**row, "by": by})
                if passed is None:
                    wrong.append(f"{kind}, {way}: the database let it through")
                stranger = world["stranger"]
                assert refused(session, second, session, motion_id=number, by=stranger, now=NOW) is None, kind
    assert wrong == []


Part = Callable[[Session, World, str], object]


def _role(role: Role, scope: str, *, until: timedelta | None = None) -> Part:
    def give(session: Session, world: World, who: str) -> None:
        early = NOW - timedelta(days=9)
        held = grant(session, account_id=who, role=role, scope_id=scope, by=None, now=early)
        if until is not None:
            revoke(session, grant_id=held.id or 0, by=world["office"], now=NOW + until)

    return give


def _stake(party: str, party_id: str, *, ended: bool = False) -> Part:
    def give(session: Session, world: World, who: str) -> None:
        held = declare_stake(session, account_id=who, party=party, party_id=party_id, now=NOW)
        if ended:
            end_stake(session, stake_id=held.id or 0, by=world["office"], reason="出售", now=NOW)

    return give


def _claim(verdict: ClaimVerdict | None) -> Part:
    def give(session: Session, world: World, who: str) -> None:
        asked = claim(session, account_id=who, lab_id="lab-1", statement="本人", now=NOW)
        if verdict is not None:
            by, number = world["office"], asked.id or 0
            decide_claim(session, claim_id=number, verdict=verdict, reason="r", by=by, now=NOW)

    return give


PARTS: dict[str, tuple[Part, Bar | None]] = {
    "expert of the alliance": (_role(Role.EXPERT, "al-a"), Bar.ALLIANCE),
    "lead of the alliance": (_role(Role.LEAD, "al-a"), Bar.ALLIANCE),
    "its expert until a moment ago": (_role(Role.EXPERT, "al-a", until=timedelta(minutes=5)), Bar.ALLIANCE),
    "for the company": (_role(Role.COMPANY, "co-1"), Bar.PARTY),
    "the lab's researcher": (_role(Role.RESEARCHER, "lab-1"), Bar.PARTY),
    "a stake in the company": (_stake("company", "co-1"), Bar.STAKE),
    "a stake in the lab": (_stake("lab", "lab-1"), Bar.STAKE),
    "a claim of the lab that waits": (_claim(None), Bar.CLAIMANT),
    "a claim of the lab that was granted": (_claim(ClaimVerdict.APPROVED), Bar.PARTY),
    # The controls.
    "expert of another alliance": (_role(Role.EXPERT, "al-b"), None),
    "its expert long ago": (_role(Role.EXPERT, "al-a", until=timedelta(days=-3)), None),
    "for another company": (_role(Role.COMPANY, "co-2"), None),
    "another lab's researcher": (_role(Role.RESEARCHER, "lab-2"), None),
    "a stake that was ended": (_stake("company", "co-1", ended=True), None),
    "a claim that was refused": (_claim(ClaimVerdict.REFUSED), None),
}


def test_nobody_decides_on_what_is_their_own(world: World) -> None:
    wrong, by = [], world["puppet"]
    for act in APART:
        with undone(world) as session:
            more = _prepared(session, world, act, Act.REPORT)
            for name, (part, bar) in PARTS.items():
                with tried(session):
                    part(session, world, by)
                    said = refused(session, VERBS[act], session, world, by, more)
                    if (said.bar if isinstance(said, ConflictError) else said) != bar:
                        wrong.append(f"{act}, {name}: {said!r}")
                    passed = act not in STEPS or refused(session, _step_of, session, act, by, more) is None
                    if act in STEPS and passed != (bar is None):
                        wrong.append(f"{act}, {name}: the database says otherwise")
    assert wrong == []


def test_nobody_gives_a_role_to_himself_and_two_give_those_that_decide(world: World) -> None:
    me, other, third = world["stranger"], world["puppet"], world["second"]
    alone = {"scope_id": "al-a", "now": NOW}
    with undone(world) as session:
        for role in (Role.EXPERT, Role.LEAD):
            given = {"account_id": me, "role": role, "by": me, **alone}
            assert isinstance(refused(session, grant, session, **given), SamePersonError)
            assert refused(session, grant, session, **{**given, "by": other}) is None
        for role, scope in ((Role.OFFICE, ""), (Role.COMMITTEE, "al-a")):
            given = {"account_id": me, "role": role, "scope_id": scope, "now": NOW}
            assert isinstance(refused(session, grant, session, by=other, **given), SamePersonError)
            assert isinstance(refused(session, move_grant, session, by=me, reason="r", **given), SamePersonError)
            motion = move_grant(session, by=other, reason="新任", **given)
            number = motion.id or 0
            for by, kind in ((other, LedgerError), (me, SamePersonError)):
                assert isinstance(refused(session, second_grant, session, motion_id=number, by=by, now=NOW), kind)
            held = second_grant(session, motion_id=number, by=third, now=NOW)
            assert (held.granted_by, held.motion_id) == (other, number)


def test_an_account_is_a_persons_or_a_programs_for_good(world: World) -> None:
    with undone(world) as session:
        keyed, person = world["stranger"], world["puppet"]
        grant(session, account_id=keyed, role=Role.JOB, by=None, now=NOW)
        tie(session, account_id=keyed, by=world["office"], how=Hand.KEYED, now=NOW)
        given = {"scope_id": "al-a", "by": world["mover"], "now": NOW}
        said = refused(session, grant, session, account_id=keyed, role=Role.EXPERT, **given)
        assert isinstance(said, SamePersonError)
        held = grant(session, account_id=person, role=Role.EXPERT, **given)
        revoke(session, grant_id=held.id or 0, by=world["office"], now=NOW)
        said = refused(session, tie, session, account_id=person, by=world["office"], how=Hand.KEYED, now=NOW)
        assert isinstance(said, SamePersonError)


def _limit(session: Session, world: World, ntd: int, at: datetime) -> None:
    document = default(RecognitionRules).model_copy(
        update={"programme_end": date(2030, 12, 31), "two_people_from_ntd": ntd}
    )
    motion = move_document(session, document, reason="調整", by=world["mover"], now=at)
    second_document(session, motion_id=motion.id or 0, by=world["second"], now=at)


@pytest.mark.parametrize(
    ("limits", "two"),
    [
        ({}, True),
        ({timedelta(hours=1): 10**12}, True),
        ({timedelta(hours=-1): 10**12}, False),
        ({timedelta(hours=-1): 10**12, timedelta(hours=1): 100}, True),
        ({timedelta(hours=-1): 10**12, timedelta(hours=1): 100, timedelta(hours=2): 10**12}, True),
    ],
)
def test_a_limit_that_is_raised_loosens_nothing_that_is_reported(
    world: World, limits: dict[timedelta, int], two: bool
) -> None:
    with undone(world) as session:
        for after, ntd in sorted(limits.items()):
            if after < timedelta(0):
                _limit(session, world, ntd, NOW + after)
        more = {"amount": LARGE, "occurred_on": date(2026, 11, 24)}
        entry = _report(session, world, money(ENTRY, **more))
        for after, ntd in sorted(limits.items()):
            if after > timedelta(0):
                _limit(session, world, ntd, NOW + after)
        check(session, entry_id=ENTRY, by=world["checker"], now=NOW + timedelta(hours=3))
        assert takes_two(session, entry) is two
        # The database compares in the same way.
        by = world["second"]
        alone = refused(session, _step_of, session, Act.RECOGNISE, by, {})
        assert (alone is None) is not two
        moved = recognise(session, entry_id=ENTRY, by=by, now=NOW + timedelta(hours=4))
        assert (moved is not None) is two


def test_rules_that_bind_two_are_changed_by_nobody_alone(world: World) -> None:
    rules = default(RecognitionRules)
    with undone(world) as session:
        by = world["office"]
        assert isinstance(refused(session, change, session, rules, reason="r", by=by, now=NOW), TakesTwoError)
        motion = move_document(session, rules, reason="r", by=by, now=NOW)
        # Past the program, with a motion that nobody agreed to.
        said = refused(session, change, session, rules, reason="r", by=by, now=NOW, motion_id=motion.id)
        assert isinstance(said, DBAPIError)


def test_the_rules_are_asked_without_a_database() -> None:
    assert barred_second("a", "a", ()) is Bar.MOVER
    assert barred_second("a", "b", {"a"}) is Bar.TIED
    assert barred_second("a", "b", (), gets="b") is Bar.GRANTEE
    assert barred_second("a", "b", {"c"}, gets="d") is None
    at = [NOW + timedelta(hours=n) for n in range(4)]
    assert strictest([], NOW, otherwise=5) == 5
    assert strictest([(at[0], 9), (at[2], 7)], at[1], otherwise=5) == 7
    assert strictest([(at[0], 9), (at[2], 70)], at[1], otherwise=5) == 9
    assert strictest([(at[2], 70)], at[1], otherwise=5) == 5
