"""A joint diagnosis: what a company answers to a few questions, the team of several schools for it, and a half-day.

In: a company with its past needs, and for each topic how pressing it is, with a line in its own words. Out: a need that
says so, with an ask for each topic; the labs that together answer them, each with the topics that it is in for and the
words that say so; an agenda that gives each topic to whoever answers it. It exists because a company that wants to
change a whole factory (toward Industry 4.0, toward net zero) has no need that one could match: it has a dozen that it
half knows, and the way to find out is to send the right few people from different schools for half a day. The team is
found by the same covering as a team for a need, so it is explained alike. Pure.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from indexer.records.passages import CHINESE, joined, language_of
from indexer.records.profiles import Ask, Company, Need
from indexer.vocabulary import AskKind, Confidentiality
from indexer.wording import P_, T_, Text
from matcher.ranking.explanation import Speaking
from matcher.ranking.pairings import Matcher
from matcher.ranking.wishes import Steering
from matcher.teams.teams import Team, TeamError, TeamPicks, team_for

MOST_DEGREE = 3
MOST_LINE = 300
_STEPS = {1: "less", 3: "more"}
"""A little pressing counts less than an ask without a word, very pressing more."""
_PAST_NEEDS = 5
BEGINS_MINUTES, TOUR_MINUTES, TALK_MINUTES = 9 * 60, 50, 30
"""A visit begins at nine; six topics fit into a morning."""


class Topic(StrEnum):
    """What a company is asked about before a visit."""

    DATA = "data"
    PROCESS = "process"
    AUTOMATION = "automation"
    QUALITY = "quality"
    ENERGY = "energy"
    PEOPLE = "people"


@dataclass(frozen=True)
class TopicFacts:
    """A topic: what it is called, what the company is asked, what it asks labs for, and in which words."""

    label: Text
    question: Text
    kind: AskKind
    zh: str
    en: str


TOPICS: Mapping[Topic, TopicFacts] = {
    Topic.DATA: TopicFacts(
        P_("topic of a visit", "AI and data"),
        T_("Is there data or pictures of production that nobody evaluates: defects, faults, forecasts?"),
        AskKind.TECHNOLOGY,
        "以人工智慧與機器學習分析產線資料與影像，辨識瑕疵、預測異常",
        "machine learning on production data and images: find defects, predict faults",
    ),
    Topic.PROCESS: TopicFacts(
        P_("topic of a visit", "process and materials"),
        T_("Which step or material of your production holds back yield, strength or cost?"),
        AskKind.TECHNOLOGY,
        "改善製程與材料，提高良率與性能",
        "improve the process and materials: yield and properties",
    ),
    Topic.AUTOMATION: TopicFacts(
        P_("topic of a visit", "automation and connected machines"),
        T_("Which work is still done by hand, and which machines do not talk to each other?"),
        AskKind.TECHNOLOGY,
        "產線自動化與機械手臂，機台聯網與智慧製造系統",
        "automation of the line with robot arms, connected machines, smart manufacturing systems",
    ),
    Topic.QUALITY: TopicFacts(
        P_("topic of a visit", "testing and quality"),
        T_("What do customers ask you to prove that you can't measure or test yourselves?"),
        AskKind.FACILITY,
        "檢測設備與可靠度試驗，驗證產品品質",
        "testing equipment and reliability tests that prove quality",
    ),
    Topic.ENERGY: TopicFacts(
        P_("topic of a visit", "energy and net zero"),
        T_("Where do energy, water and waste go, and who asks you for carbon figures?"),
        AskKind.TECHNOLOGY,
        "工廠節能、餘熱回收與碳盤查，邁向淨零",
        "energy saving in the factory, recovery of heat, carbon inventory, net zero",
    ),
    Topic.PEOPLE: TopicFacts(
        P_("topic of a visit", "people and training"),
        T_("Which people can't you find, and what should those you have learn?"),
        AskKind.TALENT,
        "實習生與人才培育，員工在職訓練課程",
        "interns, young engineers, training courses for staff",
    ),
}
"""Every topic, in the order in which it is asked."""


class AgendaPart(StrEnum):
    """What an item of an agenda is; any other one is named by its topic."""

    WELCOME = "welcome"
    CLOSING = "closing"
    OTHER = "other"


AGENDA_LABELS: Mapping[str, Text] = {
    AgendaPart.WELCOME.value: T_("Welcome and a walk through production"),
    **{topic.value: T_("Talk on the spot: %(topic)s", topic=facts.label) for topic, facts in TOPICS.items()},
    AgendaPart.CLOSING.value: T_("Findings together, and who does what next"),
    AgendaPart.OTHER.value: P_("item of an agenda", "Other"),
}
"""What stands in an agenda, by its code."""


class DiagnosisError(ValueError):
    """What was answered makes no visit; the message says why and `field` what is to blame."""

    def __init__(self, message: str, field: str | None = None) -> None:
        super().__init__(message)
        self.field = field


@dataclass(frozen=True)
class TopicAnswer:
    """How pressing a topic is, from 1 (a little) to `MOST_DEGREE`, and the company's own line on it."""

    topic: Topic
    degree: int
    line: str = ""

    @classmethod
    def read(cls, word: str) -> TopicAnswer:
        """Return the answer of a word such as `data:3` or `energy:2:boilers from 1990`.

        Raises:
            DiagnosisError: there is no such topic or degree.
        """
        name, _, rest = word.partition(":")
        degree, _, line = rest.partition(":")
        if name.strip() not in set(Topic) or degree.strip() not in {str(n) for n in range(1, MOST_DEGREE + 1)}:
            known = ", ".join(Topic)
            raise DiagnosisError(
                T_("%(word)r answers nothing; give TOPIC:DEGREE, one of %(known)s and 1 to 3", word=word, known=known),
                "answers",
            )
        return cls(Topic(name.strip()), int(degree), line.strip()[:MOST_LINE])


@dataclass(frozen=True)
class Visitor:
    """A lab of the team, the topics that it answers, what of it says so, and who could take its place."""

    lab_id: str
    topics: tuple[Topic, ...]
    covers: tuple[Topic, ...]
    leads: bool
    speaking: tuple[tuple[Topic, Speaking], ...]
    stand_ins: tuple[str, ...]


@dataclass(frozen=True)
class Diagnosis:
    """The team that is proposed for a visit; `open_topics` are those that no lab of it answers."""

    team: Team
    visitors: tuple[Visitor, ...]
    open_topics: tuple[Topic, ...]


def need_of(company: Company, past: Iterable[Need], answers: Sequence[TopicAnswer], *, year: int) -> Need:
    """Return the need that a company's answers make, with an ask for each topic in the order given.

    Args:
        company: its description and industry are what the need is about.
        past: its needs that the reader may match; their titles say what it had to do before.
        answers: at least one.
        year: of the visit, from which the age of evidence counts.

    Raises:
        DiagnosisError: nothing was answered, or a topic twice.
    """
    if not answers:
        raise DiagnosisError(T_("say of at least one topic how pressing it is"), "answers")
    if len({one.topic for one in answers}) != len(answers):
        raise DiagnosisError(T_("answer each topic once"), "answers")
    before = [one.title for one in sorted(past, key=lambda one: one.id) if one.title][-_PAST_NEEDS:]
    is_chinese = language_of(joined(company.description, company.name)) == CHINESE
    asks = []
    for one in answers:
        facts = TOPICS[one.topic]
        asks.append(Ask(facts.kind.value, joined(one.line, facts.zh if is_chinese else facts.en)))
    return Need(
        id="",
        company=company.id,
        school=None,
        title="",
        description=joined(company.description, *before),
        asks=tuple(asks),
        fields=company.fields,
        budget_ntd=None,
        deadline=None,
        confidentiality=Confidentiality.PUBLIC.value,
        region=None,
        languages=(),
        excluded_labs=(),
        year=year,
    )


def diagnosis_of(
    matcher: Matcher,
    company: Company,
    past: Iterable[Need],
    answers: Sequence[TopicAnswer],
    *,
    year: int,
    labs: Sequence[str] = (),
    full: Collection[str] = (),
    barred: Collection[str] = (),
) -> Diagnosis:
    """Return the team for a visit: of several schools if that is possible, else whoever answers.

    Args:
        matcher: the labs.
        company: whom it visits.
        past: see `need_of`.
        answers: see `need_of`.
        year: see `need_of`.
        labs: if any, the team is made of these and nobody else.
        full: labs that carry as many cases as they can.
        barred: labs that this reader may not be shown.

    Raises:
        DiagnosisError: see `need_of`.
        TeamError: the labs that were picked make no team.
    """
    need = need_of(company, past, answers, year=year)
    words = [f"ask:{n}.{_STEPS[one.degree]}" for n, one in enumerate(answers, start=1) if one.degree in _STEPS]
    more: dict[str, Any] = {"steering": Steering.read(words), "full": full, "barred": barred}
    if labs:
        picked = tuple(dict.fromkeys(labs))
        team = team_for(matcher, need, TeamPicks(most=len(picked), least=len(picked), included=picked), **more)
    else:
        team = _across_schools(matcher, need, more)
    visitors = tuple(_visitors(team, answers))
    met = {topic for one in visitors for topic in one.topics}
    return Diagnosis(team, visitors, tuple(one.topic for one in answers if one.topic not in met))


def _across_schools(matcher: Matcher, need: Need, more: Mapping[str, Any]) -> Team:
    try:
        return team_for(matcher, need, TeamPicks(least=2, different_schools=True), **more)
    except TeamError:
        # One lab or one school is better than no visit.
        return team_for(matcher, need, TeamPicks(), **more)


def _visitors(team: Team, answers: Sequence[TopicAnswer]) -> Iterable[Visitor]:
    topics = {n: one.topic for n, one in enumerate(answers, start=1)}
    explained = {one.lab_id: one.explanation.asks for one in team.result.pairings}
    for member in team.members:
        of = [n for n in topics if n in member.answers] or [n for n in topics if n in member.covers]
        said = explained[member.lab_id]
        yield Visitor(
            lab_id=member.lab_id,
            topics=tuple(topics[n] for n in of),
            covers=tuple(topics[n] for n in member.covers),
            leads=member.could_lead or len(team.members) == 1,
            speaking=tuple((topics[n], said[n - 1].passages[0]) for n in of if said[n - 1].passages),
            stand_ins=tuple(one.lab_id for one in member.stand_ins),
        )


@dataclass(frozen=True)
class AgendaItem:
    """An item of an agenda: from when, what it is (a topic or an `AgendaPart`), and which labs speak; none: all."""

    at: str
    part: str
    labs: tuple[str, ...] = ()
    note: str = ""


def agenda_of(answers: Sequence[TopicAnswer], visitors: Sequence[Visitor]) -> tuple[AgendaItem, ...]:
    """Return a half-day: a walk, each topic with whoever answers it, the most pressing first, then the findings."""
    found = [AgendaItem(_clock(0), AgendaPart.WELCOME.value)]
    minutes = TOUR_MINUTES
    for one in sorted(answers, key=lambda one: -one.degree):
        speak = tuple(who.lab_id for who in visitors if one.topic in who.topics)
        found.append(AgendaItem(_clock(minutes), one.topic.value, speak))
        minutes += TALK_MINUTES
    return (*found, AgendaItem(_clock(minutes), AgendaPart.CLOSING.value))


def _clock(minutes: int) -> str:
    """Return the time of day so many minutes after the visit begins."""
    hours, rest = divmod(BEGINS_MINUTES + minutes, 60)
    return f"{hours:02}:{rest:02}"
