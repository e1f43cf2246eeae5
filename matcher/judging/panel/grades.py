"""Sessions of judging: who grades which pairs, what they said when, and what stands.

In: a pool and two judges; a judge's grade, "can't say", or a word that takes the last one back; a third person's
grade where two are apart; that a session is closed. Out: rows that are never changed, and where a session stands,
folded from them. It exists because grades decide whether a ranking is called good: who said what, and when, must
stay readable, and neither judge may know the other's grades before both have said all they will. Whoever changes
a grade afterwards adds a row; agreement is always that of the grades as they stood when the second judge finished.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from functools import cached_property

from sqlalchemy import JSON, CheckConstraint, Column, UniqueConstraint, func
from sqlalchemy import select as select_columns
from sqlmodel import Field, Session, SQLModel, col, select

from indexer.database import insert_fact
from indexer.instants import Instant
from indexer.wording import T_
from matcher.judging.panel.agreement import FAR_APART, GRADES, Agreement, agreement, final_grade

JUDGES = 2
MAX_DEPTH = 100
"""Labs of each ranking that a pool may take for a need."""


class Part(StrEnum):
    """What somebody does in a session."""

    JUDGE = "judge"
    SETTLER = "settler"


class Said(StrEnum):
    """What a word on a pair says: a grade, that the texts don't suffice, or that the word before is taken back."""

    GRADE = "grade"
    CANNOT_SAY = "cannot_say"
    TAKEN_BACK = "taken_back"


class Step(StrEnum):
    """What a session went through after it was begun."""

    FINISHED = "finished"
    CLOSED = "closed"


def _codes(terms: type[StrEnum]) -> str:
    return ", ".join(f"'{term.value}'" for term in terms)


class JudgingError(ValueError):
    """A session can't be begun, or a word can't be said, as asked; `field` is to blame."""

    def __init__(self, message: str, field: str | None = None) -> None:
        super().__init__(message)
        self.field = field


class PoolError(JudgingError):
    """Nothing can be pooled as asked."""


@dataclass(frozen=True)
class PooledPair:
    """A need and a lab to grade; `ranks` holds, for each ranking that had it among its first, the rank from 1 on."""

    need_id: str
    lab_id: str
    ranks: Mapping[str, int]


class Judging(SQLModel, table=True):
    """A session: what was pooled and how. Never changed; `started_by` is None for a command."""

    __tablename__ = "judging"
    __table_args__ = (CheckConstraint(f"depth BETWEEN 1 AND {MAX_DEPTH}", name="depth_bounded"),)

    id: int | None = Field(default=None, primary_key=True)
    name: str
    depth: int
    seed: int
    rankers: list[str] = Field(sa_column=Column(JSON, nullable=False))
    generation: str
    ranker_version: str
    started_at: datetime = Field(sa_type=Instant)
    started_by: str | None = Field(foreign_key="account.id")


class JudgingMember(SQLModel, table=True):
    """Who takes part in a session, and as what."""

    __tablename__ = "judging_member"
    __table_args__ = (
        UniqueConstraint("judging_id", "account_id", name="one_part"),
        CheckConstraint(f"part IN ({_codes(Part)})", name="part_known"),
    )

    id: int | None = Field(default=None, primary_key=True)
    judging_id: int = Field(foreign_key="judging.id")
    account_id: str = Field(foreign_key="account.id", index=True)
    part: str
    named_at: datetime = Field(sa_type=Instant)
    named_by: str | None = Field(foreign_key="account.id")


class JudgedPair(SQLModel, table=True):
    """A need and a lab of a session, at its place in the order of grading. `ranks` is never shown to a judge."""

    __tablename__ = "judged_pair"
    __table_args__ = (
        UniqueConstraint("judging_id", "need_id", "lab_id", name="one_judged_pair"),
        UniqueConstraint("judging_id", "place", name="one_at_a_place"),
    )

    id: int | None = Field(default=None, primary_key=True)
    judging_id: int = Field(foreign_key="judging.id")
    place: int
    need_id: str = Field(foreign_key="need.id", index=True)
    lab_id: str = Field(foreign_key="lab.id")
    ranks: dict[str, int] = Field(sa_column=Column(JSON, nullable=False))


class JudgedWord(SQLModel, table=True):
    """What somebody said of a pair; the last word of each person stands. `settles`: as the third person."""

    __tablename__ = "judged_word"
    __table_args__ = (
        CheckConstraint(f"said IN ({_codes(Said)})", name="said_known"),
        CheckConstraint("(said = 'grade') = (grade IS NOT NULL)", name="grade_fits_said"),
        CheckConstraint("grade BETWEEN 0 AND 3", name="grade_known"),
    )

    id: int | None = Field(default=None, primary_key=True)
    judged_pair_id: int = Field(foreign_key="judged_pair.id", index=True)
    by: str = Field(foreign_key="account.id")
    settles: bool
    said: str
    grade: int | None
    note: str = ""
    at: datetime = Field(sa_type=Instant)


class JudgingStep(SQLModel, table=True):
    """That both judges finished, with the word by which they did, or that a session was closed; each once."""

    __tablename__ = "judging_step"
    __table_args__ = (
        UniqueConstraint("judging_id", "step", name="one_step"),
        CheckConstraint(f"step IN ({_codes(Step)})", name="step_known"),
        CheckConstraint("(step = 'finished') = (last_word IS NOT NULL)", name="finished_by_a_word"),
    )

    id: int | None = Field(default=None, primary_key=True)
    judging_id: int = Field(foreign_key="judging.id")
    step: str
    last_word: int | None = Field(foreign_key="judged_word.id")
    at: datetime = Field(sa_type=Instant)
    by: str | None = Field(foreign_key="account.id")


def start(
    session: Session,
    *,
    name: str,
    pairs: Sequence[PooledPair],
    judges: Sequence[str],
    depth: int,
    seed: int,
    rankers: Sequence[str],
    generation: str,
    ranker_version: str,
    by: str | None,
    now: datetime,
) -> Judging:
    """Begin a session of two judges over a pool; that they may see its needs is the caller's to know.

    Args:
        session: its transaction holds all writes.
        name: what people call it; may be empty.
        pairs: the pool, in the order of grading.
        judges: the accounts of the two.
        depth: how many labs of each ranking were pooled.
        seed: what the order was drawn by.
        rankers: the names of the rankings.
        generation: of the index that they rest on.
        ranker_version: of the product's own.
        by: whose account begins it; None for a command.
        now: the moment.

    Raises:
        JudgingError: there are not two different judges.
    """
    if len(judges) != JUDGES or len(set(judges)) != JUDGES:
        raise JudgingError(T_("a session has two judges, two different people"), "judges")
    judging = Judging(
        name=name,
        depth=depth,
        seed=seed,
        rankers=list(rankers),
        generation=generation,
        ranker_version=ranker_version,
        started_at=now,
        started_by=by,
    )
    session.add(judging)
    session.flush()
    number = judging.id or 0
    for account_id in judges:
        insert_fact(session, _member(number, account_id, Part.JUDGE, by, now))
    session.add_all(
        JudgedPair(judging_id=number, place=place, need_id=one.need_id, lab_id=one.lab_id, ranks=dict(one.ranks))
        for place, one in enumerate(pairs, start=1)
    )
    session.flush()
    return judging


def _member(judging_id: int, account_id: str, part: Part, by: str | None, now: datetime) -> JudgingMember:
    return JudgingMember(judging_id=judging_id, account_id=account_id, part=part.value, named_at=now, named_by=by)


def name_settler(session: Session, *, judging_id: int, account_id: str, by: str | None, now: datetime) -> JudgingMember:
    """Name a third person, who settles what the judges see far apart.

    Raises:
        JudgingError: the session is closed, or this person takes part in it already.
    """
    _held(session, judging_id)
    if any(one.account_id == account_id for one in members_of(session, [judging_id])):
        raise JudgingError(T_("this person takes part in the session already"), "account")
    return insert_fact(session, _member(judging_id, account_id, Part.SETTLER, by, now))


def say(
    session: Session, *, pair: JudgedPair, by: str, said: Said, grade: int | None = None, note: str = "", now: datetime
) -> JudgedWord:
    """Say something of a pair as one of its judges; the word before stays on record.

    If nothing is left to say for either judge, the session is finished with this word, and each may see the other's.

    Raises:
        JudgingError: the session is closed, the grade is none, or there is nothing to take back.
    """
    _check(said, grade)
    _held(session, pair.judging_id)
    if said is Said.TAKEN_BACK and _standing_word(session, pair.id or 0, by) is None:
        raise JudgingError(T_("you have said nothing of this pair that could be taken back"), "said")
    word = insert_fact(session, _word(pair, by, said, grade, note, now, settles=False))
    _finish(session, pair.judging_id, word)
    return word


def _word(
    pair: JudgedPair, by: str, said: Said, grade: int | None, note: str, now: datetime, *, settles: bool
) -> JudgedWord:
    return JudgedWord(
        judged_pair_id=pair.id or 0, by=by, settles=settles, said=said.value, grade=grade, note=note.strip(), at=now
    )


def _check(said: Said, grade: int | None) -> None:
    if (said is Said.GRADE) != (grade is not None):
        raise JudgingError(T_("a grade is given exactly with the word grade"), "grade")
    if grade is not None and grade not in GRADES:
        raise JudgingError(T_("give a grade from 0 to 3"), "grade")


def _held(session: Session, judging_id: int) -> None:
    """Hold a session until the transaction ends, so that of two last words the second finds itself the last.

    Raises:
        JudgingError: it is closed.
    """
    session.exec(select(Judging.id).where(Judging.id == judging_id).with_for_update()).first()
    if _step(session, judging_id, Step.CLOSED) is not None:
        raise JudgingError(T_("this session is closed; nothing more can be said in it"))


def _step(session: Session, judging_id: int, step: Step) -> JudgingStep | None:
    return session.exec(
        select(JudgingStep).where(JudgingStep.judging_id == judging_id, JudgingStep.step == step.value)
    ).first()


def _standing_word(session: Session, judged_pair_id: int, by: str, *, settles: bool = False) -> JudgedWord | None:
    same = (JudgedWord.judged_pair_id == judged_pair_id, JudgedWord.by == by, col(JudgedWord.settles) == settles)
    last = session.exec(select(JudgedWord).where(*same).order_by(col(JudgedWord.id).desc())).first()
    return None if last is None or last.said == Said.TAKEN_BACK else last


def _finish(session: Session, judging_id: int, word: JudgedWord) -> None:
    if _step(session, judging_id, Step.FINISHED) is not None:
        return
    judges = [one.account_id for one in members_of(session, [judging_id]) if one.part == Part.JUDGE]
    far = progress_of(session, [judging_id])[judging_id]
    if all(far.done.get(judge) == far.pairs for judge in judges):
        step = Step.FINISHED.value
        insert_fact(session, JudgingStep(judging_id=judging_id, step=step, last_word=word.id, at=word.at, by=word.by))


def settle(session: Session, *, pair: JudgedPair, by: str, grade: int, note: str = "", now: datetime) -> JudgedWord:
    """Settle a pair on which the judges differ, as the third person; a later grade of theirs takes its place.

    Raises:
        JudgingError: the session is closed or not finished, the grade is none, or the judges agree.
    """
    _check(Said.GRADE, grade)
    _held(session, pair.judging_id)
    stands = standing_of(session, pair.judging_id)
    if stands is None or stands.finished is None:
        raise JudgingError(T_("both judges have to finish before anything is settled"))
    if not stands.of(pair.id or 0).differ:
        raise JudgingError(T_("the judges do not differ on this pair; there is nothing to settle"))
    return insert_fact(session, _word(pair, by, Said.GRADE, grade, note, now, settles=True))


def close(session: Session, *, judging_id: int, by: str | None, now: datetime) -> JudgingStep:
    """Close a session for good: what was said by then is what it comes to.

    Raises:
        JudgingError: it is closed already.
    """
    _held(session, judging_id)
    step = JudgingStep(judging_id=judging_id, step=Step.CLOSED.value, last_word=None, at=now, by=by)
    return insert_fact(session, step)


def members_of(session: Session, judging_ids: Iterable[int]) -> Sequence[JudgingMember]:
    """Return who takes part in some sessions, in the order in which they were named."""
    wanted = col(JudgingMember.judging_id).in_(list(judging_ids))
    return session.exec(select(JudgingMember).where(wanted).order_by(col(JudgingMember.id))).all()


@dataclass(frozen=True, eq=False)
class PairStanding:
    """A pair with the words that stand: of each judge now, and when both had finished; and the third person's."""

    pair: JudgedPair
    words: Mapping[str, JudgedWord]
    blind: Mapping[str, JudgedWord]
    settled: JudgedWord | None
    judges: tuple[str, ...]

    def _grades(self, words: Mapping[str, JudgedWord]) -> tuple[int | None, ...]:
        return tuple(words[judge].grade if judge in words else None for judge in self.judges)

    @property
    def grades(self) -> tuple[int | None, ...]:
        """What each judge grades the pair now; None for one who can't say, or has not said yet."""
        return self._grades(self.words)

    @property
    def blind_grades(self) -> tuple[int | None, ...]:
        """What each judge graded the pair before they could know of each other."""
        return self._grades(self.blind)

    @property
    def differ(self) -> bool:
        """Whether both graded it, and not alike."""
        first, second = self.grades
        return first is not None and second is not None and first != second

    @property
    def far_apart(self) -> bool:
        """Whether the two blind grades differ so much that the pair is to be looked at again."""
        first, second = self.blind_grades
        return first is not None and second is not None and abs(first - second) >= FAR_APART

    @property
    def final(self) -> int | None:
        """The grade that comes of it: agreed, else settled, else the lower; None if it is not judged."""
        first, second = self.grades
        return final_grade(first, second, None if self.settled is None else self.settled.grade)


@dataclass(frozen=True)
class Standing:
    """Where a session stands, folded from its rows; `pairs` are in the order of grading."""

    judging: Judging
    members: tuple[JudgingMember, ...]
    pairs: tuple[PairStanding, ...]
    finished: JudgingStep | None
    closed: JudgingStep | None

    @cached_property
    def judges(self) -> tuple[str, ...]:
        """The accounts of the two judges, in the order in which they were named."""
        return tuple(one.account_id for one in self.members if one.part == Part.JUDGE)

    @property
    def settlers(self) -> tuple[str, ...]:
        """The accounts of those who may settle."""
        return tuple(one.account_id for one in self.members if one.part == Part.SETTLER)

    def of(self, judged_pair_id: int) -> PairStanding:
        """Return the pair of a number.

        Raises:
            KeyError: it is none of this session's.
        """
        return self.by_number[judged_pair_id]

    @cached_property
    def by_number(self) -> Mapping[int, PairStanding]:
        """The pairs by their numbers."""
        return {one.pair.id or 0: one for one in self.pairs}

    def done(self, judge: str) -> int:
        """Return of how many pairs a judge has said something that stands."""
        return sum(judge in one.words for one in self.pairs)

    @cached_property
    def agreement(self) -> Agreement | None:
        """How far the blind grades agree; None until both have finished."""
        if self.finished is None:
            return None
        both = [(first, second) for first, second in (one.blind_grades for one in self.pairs)
                if first is not None and second is not None]  # fmt: skip
        return agreement(both)

    def qrels(self, judge: str | None = None) -> list[tuple[str, str, int]]:
        """Return need, lab and grade of all that is judged: what it came to, or what one judge says."""
        found = []
        for one in self.pairs:
            word = None if judge is None else one.words.get(judge)
            grade = one.final if judge is None else word.grade if word else None
            if grade is not None:
                found.append((one.pair.need_id, one.pair.lab_id, grade))
        return found


def standing_of(session: Session, judging_id: int) -> Standing | None:
    """Return where a session stands; None if there is none of that number."""
    judging = session.get(Judging, judging_id)
    if judging is None:
        return None
    members = tuple(members_of(session, [judging_id]))
    judges = tuple(one.account_id for one in members if one.part == Part.JUDGE)
    steps = session.exec(select(JudgingStep).where(JudgingStep.judging_id == judging_id)).all()
    finished, closed = (next((one for one in steps if one.step == step), None) for step in (Step.FINISHED, Step.CLOSED))
    pairs = session.exec(
        select(JudgedPair).where(JudgedPair.judging_id == judging_id).order_by(col(JudgedPair.place))
    ).all()
    words = session.exec(
        select(JudgedWord)
        .join(JudgedPair, col(JudgedPair.id) == col(JudgedWord.judged_pair_id))
        .where(JudgedPair.judging_id == judging_id)
        .order_by(col(JudgedWord.id))
    ).all()
    last_blind = None if finished is None else finished.last_word
    now, blind, settled = _folded(words, last_blind)
    rows = tuple(
        PairStanding(pair, now.get(pair.id or 0, {}), blind.get(pair.id or 0, {}), settled.get(pair.id or 0), judges)
        for pair in pairs
    )
    return Standing(judging, members, rows, finished, closed)


_Words = dict[int, dict[str, JudgedWord]]


def _folded(words: Iterable[JudgedWord], last_blind: int | None) -> tuple[_Words, _Words, dict[int, JudgedWord]]:
    """Return the words that stand now, those that stood with the word that finished, and those that settle."""
    now: _Words = {}
    blind: _Words = {}
    settled: dict[int, JudgedWord] = {}
    for word in words:
        if word.settles:
            settled[word.judged_pair_id] = word
            continue
        for kept in (now, blind):
            if kept is blind and last_blind is not None and (word.id or 0) > last_blind:
                continue
            of_pair = kept.setdefault(word.judged_pair_id, {})
            of_pair.pop(word.by, None)
            if word.said != Said.TAKEN_BACK:
                of_pair[word.by] = word
    return now, blind, settled


def last_said(standing: Standing, judge: str) -> PairStanding | None:
    """Return the pair of which a judge spoke last, of those whose word stands: what undoing is about."""
    spoken = [one for one in standing.pairs if judge in one.words]
    return max(spoken, key=lambda one: one.words[judge].id or 0, default=None)


@dataclass(frozen=True)
class Progress:
    """How far a session is: its pairs and needs, of how many pairs each judge has spoken, and what it went through."""

    pairs: int
    needs: int
    done: Mapping[str, int]
    steps: Mapping[Step, datetime]


def progress_of(session: Session, judging_ids: Sequence[int]) -> dict[int, Progress]:
    """Return how far some sessions are, by number, without reading what was said."""
    chosen = col(JudgedPair.judging_id).in_(judging_ids)
    number = col(JudgedPair.judging_id)
    counts = select_columns(number, func.count(), func.count(func.distinct(col(JudgedPair.need_id)))).where(chosen)
    # Folded here: a database takes longer to find each pair's last word than to list all of them.
    words = (
        select_columns(number, col(JudgedWord.by), col(JudgedPair.id), col(JudgedWord.said))
        .join(JudgedPair, col(JudgedPair.id) == col(JudgedWord.judged_pair_id))
        .where(chosen, col(JudgedWord.settles).is_(False))
        .order_by(col(JudgedWord.id))
    )
    stands = {(one, by, pair): said != Said.TAKEN_BACK for one, by, pair, said in session.execute(words)}
    done: dict[int, Counter[str]] = {one: Counter() for one in judging_ids}
    for (one, by, _), holds in stands.items():
        done[one][by] += holds
    steps: dict[int, dict[Step, datetime]] = {one: {} for one in judging_ids}
    for step in session.exec(select(JudgingStep).where(col(JudgingStep.judging_id).in_(judging_ids))).all():
        steps[step.judging_id][Step(step.step)] = step.at
    rows = session.execute(counts.group_by(number)).all()
    return {one: Progress(pairs, needs, done[one], steps[one]) for one, pairs, needs in rows}
