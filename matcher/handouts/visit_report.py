"""The report of a joint visit: who went where, what was asked, what was found, what comes next.

In: a visit as it stands, the company's and the labs' names. Out: a handout, a draft until the visit is reported, which
has room for each finding that is not written yet. It exists so that the report is begun before the visit: the team
takes it along, and a liaison completes it in a word processor instead of writing one. What the company answered is in
it, so it goes to the company and to nobody else.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from indexer.wording import P_, T_, Text, either, listed
from matcher.handouts.handout import Fact, Handout, Part, Point, Quote, Section
from matcher.review.joint.diagnosis import AGENDA_LABELS, TOPICS, Topic
from matcher.review.joint.visits import DiagnosisVisit, VisitState

DEGREE_LABELS: Mapping[int, Text] = {
    1: P_("how pressing", "a little"),
    2: P_("how pressing", "pressing"),
    3: P_("how pressing", "very pressing"),
}
_ROOM = either("＿" * 40, "_" * 60)
"""Where something is written by hand."""
_ROC = 1911


@dataclass(frozen=True)
class VisitorNames:
    """What a lab of the team is called, its school, and who heads it."""

    lab: Text
    school: Text
    head: str


def roc_day(day: date) -> Text:
    """Return a day as a paper has it: with its year of the Republic, or in English."""
    return either(f"民國{day.year - _ROC}年{day.month}月{day.day}日", f"{day.day} {day:%B %Y}")


def visit_report(
    visit: DiagnosisVisit,
    *,
    company: Text,
    alliance: Text,
    visitors: Mapping[str, VisitorNames],
    made_on: date,
    logo: bytes = b"",
) -> Handout:
    """Return the report of a visit.

    Args:
        visit: as it stands.
        company: what the company is called.
        alliance: who reports.
        visitors: the labs of the team, by id; one that is unknown now stands by its id.
        made_on: the day of this paper.
        logo: the alliance's as PNG.
    """
    is_draft = visit.state != VisitState.REPORTED
    parts = (
        _about(visit, visitors),
        Part(T_("What the company answered"), facts=tuple(_answered(visit))),
        Part(T_("Agenda"), facts=tuple(_agenda(visit, visitors))),
        Part(T_("Who answers what, and why"), points=tuple(_reasons(visit, visitors))),
        Part(T_("Findings"), points=tuple(_findings(visit))),
        Part(T_("Proposed next steps"), points=tuple(_next_steps(visit))),
    )
    section = Section(
        company,
        T_("visited on %(day)s", day=roc_day(visit.held_on)),
        either(visit.place, visit.place),
        tuple(part for part in parts if not part.is_empty),
    )
    return Handout(
        title=T_("Report of a joint diagnosis visit"),
        issuer=alliance,
        made_on=roc_day(made_on),
        sections=(section,),
        about=T_("Draft: what is not filled in yet is left blank.") if is_draft else either("", ""),
        logo=logo,
        notes=(T_("For the company that was visited and for those named here."),),
    )


def _named(lab_id: str, visitors: Mapping[str, VisitorNames]) -> Text:
    found = visitors.get(lab_id)
    return either(lab_id, lab_id) if found is None else found.lab


def _about(visit: DiagnosisVisit, visitors: Mapping[str, VisitorNames]) -> Part:
    people = []
    for one in visit.team:
        found = visitors.get(one["lab_id"])
        if found is None:
            people.append(either(one["lab_id"], one["lab_id"]))
            continue
        who = T_("%(lab)s, %(school)s", lab=found.lab, school=found.school) if found.school.zh else found.lab
        people.append(T_("%(lab)s (%(head)s)", lab=who, head=found.head) if found.head else who)
    facts = (
        Fact(T_("Day of the visit"), (roc_day(visit.held_on),)),
        *((Fact(T_("Place of the visit"), (either(visit.place, visit.place),)),) if visit.place else ()),
        Fact(P_("report of a visit", "Team"), tuple(people) or (_ROOM,)),
    )
    return Part(T_("The visit"), facts=facts)


def _answered(visit: DiagnosisVisit) -> Iterator[Fact]:
    for one in visit.answers:
        degree = DEGREE_LABELS[one["degree"]]
        said = T_("%(degree)s: %(line)s", degree=degree, line=one["line"]) if one.get("line") else degree
        yield Fact(TOPICS[Topic(one["topic"])].label, (said,))


def _agenda(visit: DiagnosisVisit, visitors: Mapping[str, VisitorNames]) -> Iterator[Fact]:
    for one in visit.agenda:
        lines = [AGENDA_LABELS[one["part"]]] if one["part"] != "other" or not one.get("note") else []
        if one.get("labs"):
            lines.append(listed([_named(lab_id, visitors) for lab_id in one["labs"]]))
        if one.get("note"):
            lines.append(either(one["note"], one["note"]))
        yield Fact(either(one["at"], one["at"]), tuple(lines))


def _reasons(visit: DiagnosisVisit, visitors: Mapping[str, VisitorNames]) -> Iterator[Point]:
    for one in visit.team:
        topics = listed([TOPICS[Topic(topic)].label for topic in one["topics"]]) if one["topics"] else either("", "")
        name = _named(one["lab_id"], visitors)
        text = T_("%(lab)s: %(topics)s", lab=name, topics=topics) if topics.zh else name
        yield Point(text, tuple(_quotes(one.get("evidence", ()))))


def _quotes(evidence: Sequence[Mapping[str, Any]]) -> Iterator[Quote]:
    seen = set()
    for one in evidence:
        said = one["speaking"]
        if (said["title"], said["excerpt"]) in seen:
            continue
        seen.add((said["title"], said["excerpt"]))
        year = either(str(said["year"]), str(said["year"])) if said.get("year") else either("", "")
        excerpt = "" if said["excerpt"] == said["title"] else said["excerpt"]
        yield Quote(said["title"], excerpt, year)


def _findings(visit: DiagnosisVisit) -> Iterator[Point]:
    for one in visit.answers:
        label, found = TOPICS[Topic(one["topic"])].label, visit.findings.get(one["topic"], "").strip()
        said = either(found, found) if found else _ROOM
        yield Point(T_("%(topic)s: %(finding)s", topic=label, finding=said))


def _next_steps(visit: DiagnosisVisit) -> Iterator[Point]:
    for one in visit.next_steps:
        title, text = either(one["title"], one["title"]), one.get("text", "")
        yield Point(
            T_("To be written as a need: %(title)s", title=title), (Quote("", text, either("", "")),) if text else ()
        )
    if not visit.next_steps:
        yield Point(_ROOM)
