"""What the server says of joint visits to companies: the visit with its team, its agenda, its findings and its steps.

In: a visit and its steps, what companies and labs are called. Out: a dictionary of texts, numbers and lists, and the
models that describe it to programs. It exists because the page, the paper and a program say the same of a visit.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any

from pydantic import Field

from api.documents.answers import Answer
from indexer.records.profiles import Company, Lab
from matcher.ranking.explanation import Speaking
from matcher.review.joint.diagnosis import Topic
from matcher.review.joint.visits import DiagnosisVisit, VisitState, VisitStep


class TopicSaidAnswer(Answer):
    """How pressing a topic is, and the company's own line on it."""

    topic: Topic
    degree: int
    line: str


class VisitorEvidenceAnswer(Answer):
    """What of a lab says that it answers a topic."""

    topic: Topic
    speaking: Speaking


class LabNameAnswer(Answer):
    """A lab by its names."""

    lab_id: str
    name: str
    name_en: str


class VisitorAnswer(LabNameAnswer):
    """A lab of the team, as it was chosen."""

    school: str | None
    topics: list[Topic] = Field(description="What it is in for.")
    covers: list[Topic]
    leads: bool
    evidence: list[VisitorEvidenceAnswer]
    stand_ins: list[LabNameAnswer]


class AgendaItemAnswer(Answer):
    """An item of the agenda; no labs: all of them."""

    at: str
    part: str = Field(description="A topic, or `welcome`, `closing`, `other`.")
    labs: list[str]
    note: str


class NextStepAnswer(Answer):
    """A need that is to be written."""

    title: str
    text: str


class VisitStepAnswer(Answer):
    """A change of the visit's state."""

    old: VisitState | None
    new: VisitState
    note: str
    by: str
    at: datetime


class ListedVisitAnswer(Answer):
    """A visit in a list."""

    id: int
    company: str
    alliance: str
    state: VisitState
    held_on: date
    place: str
    labs: list[LabNameAnswer]


class VisitAnswer(ListedVisitAnswer):
    """A visit as it stands."""

    company_name: str
    company_name_en: str
    answers: list[TopicSaidAnswer]
    team: list[VisitorAnswer]
    open_topics: list[Topic] = Field(description="Topics that no lab of the team answers.")
    agenda: list[AgendaItemAnswer]
    findings: dict[str, str]
    next_steps: list[NextStepAnswer]
    version: int
    steps: list[VisitStepAnswer]


def listed_visit(visit: DiagnosisVisit, labs: Mapping[str, Lab]) -> dict[str, Any]:
    """Return a visit as it stands in a list."""
    return {
        "id": visit.id,
        "company": visit.company_id,
        "alliance": visit.alliance_id,
        "state": visit.state,
        "held_on": visit.held_on.isoformat(),
        "place": visit.place,
        "labs": [lab_name(one["lab_id"], labs) for one in visit.team],
    }


def visit_document(
    visit: DiagnosisVisit, steps: Sequence[VisitStep], labs: Mapping[str, Lab], company: Company | None
) -> dict[str, Any]:
    """Return a whole visit.

    Args:
        visit: as it stands.
        steps: of its state, the first one first.
        labs: all labs by id; one that is gone is named by its id.
        company: whom it visits, None if it is no record any more.
    """
    met = {topic for one in visit.team for topic in one["topics"]}
    return {
        **listed_visit(visit, labs),
        "company_name": company.name if company else visit.company_id,
        "company_name_en": company.name_en if company else visit.company_id,
        "answers": visit.answers,
        "team": [_visitor(one, labs) for one in visit.team],
        "open_topics": [one["topic"] for one in visit.answers if one["topic"] not in met],
        "agenda": visit.agenda,
        "findings": visit.findings,
        "next_steps": visit.next_steps,
        "version": visit.version,
        "steps": [
            {"old": one.old, "new": one.new, "note": one.note, "by": one.by, "at": one.at.isoformat()} for one in steps
        ],
    }


def lab_name(lab_id: str, labs: Mapping[str, Lab]) -> dict[str, str]:
    """Return what a lab is called."""
    found = labs.get(lab_id)
    names = (lab_id, lab_id) if found is None else (found.name, found.name_en)
    return {"lab_id": lab_id, "name": names[0], "name_en": names[1]}


def _visitor(one: Mapping[str, Any], labs: Mapping[str, Lab]) -> dict[str, Any]:
    found = labs.get(one["lab_id"])
    return {
        **lab_name(one["lab_id"], labs),
        "school": None if found is None else found.school,
        "topics": one["topics"],
        "covers": one["covers"],
        "leads": one["leads"],
        "evidence": one["evidence"],
        "stand_ins": [lab_name(other, labs) for other in one["stand_ins"]],
    }
