"""`gloria diagnose` and `gloria match NEED --chain`: a team for a joint visit; companies that would make a product.

In: a company with what it answered; a need. Out: who of which school would go and what each of them answers, with a
half-day's agenda; the lab and the companies one after the other, each with its words. Whoever has the home may see all
of it; nothing is kept, nobody is asked.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from api.commands.screen import Screen, write_document
from api.home import read_settings
from indexer.wording import T_, either, listed

if TYPE_CHECKING:
    from indexer.records.profiles import Need
    from matcher.ranking.explanation import Speaking
    from matcher.ranking.pairings import Matcher
    from matcher.review.joint.chains import Chain
    from matcher.review.joint.diagnosis import Diagnosis, TopicAnswer

_TOPICS = "data, process, automation, quality, energy, people"


def diagnose(
    context: typer.Context,
    company: Annotated[str, typer.Argument(help="The id of a company.")],
    answer: Annotated[
        list[str],
        typer.Option(help=f"What it answered, TOPIC:DEGREE or TOPIC:DEGREE:its words; 1 to 3; topics: {_TOPICS}."),
    ],
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")] = False,
) -> None:
    """Propose a team of several schools for a visit to a company, with an agenda."""
    from indexer.instants import day_in_taipei, now
    from matcher.ranking.pairings import Matcher, UnknownRecordError
    from matcher.review.joint.diagnosis import DiagnosisError, TopicAnswer, diagnosis_of

    try:
        answers = [TopicAnswer.read(word) for word in answer]
    except DiagnosisError as error:
        raise typer.BadParameter(str(error), param_hint="--answer") from error
    matcher = Matcher.open(read_settings())
    whom = matcher.companies.get(company)
    if whom is None:
        raise UnknownRecordError(T_("there is no company %(company_id)r", company_id=company))
    past = [need for need in matcher.needs.values() if need.company == company]
    found = diagnosis_of(matcher, whom, past, answers, year=day_in_taipei(now()).year)
    if as_json:
        write_document(_document(matcher, answers, found))
    else:
        _print_diagnosis(Screen.of(context), matcher, answers, found)


def _document(matcher: Matcher, answers: list[TopicAnswer], found: Diagnosis) -> dict[str, Any]:
    from dataclasses import asdict

    from matcher.review.joint.diagnosis import agenda_of

    return {
        "team": [
            {
                "lab_id": one.lab_id,
                "name": matcher.labs[one.lab_id].name,
                "school": matcher.labs[one.lab_id].school,
                "topics": [topic.value for topic in one.topics],
                "leads": one.leads,
                "evidence": [{"topic": topic.value, "speaking": asdict(said)} for topic, said in one.speaking],
                "stand_ins": list(one.stand_ins),
            }
            for one in found.visitors
        ],
        "open_topics": [topic.value for topic in found.open_topics],
        "agenda": [{**asdict(one), "labs": list(one.labs)} for one in agenda_of(answers, found.visitors)],
    }


def _print_diagnosis(screen: Screen, matcher: Matcher, answers: list[TopicAnswer], found: Diagnosis) -> None:
    from matcher.review.joint.diagnosis import AGENDA_LABELS, TOPICS, agenda_of

    for one in found.visitors:
        lab = matcher.labs[one.lab_id]
        screen.say(f"{lab.name} ({lab.school or '—'}) {one.lab_id}", "bold")
        for topic, said in one.speaking:
            screen.say(T_("  %(topic)s: %(words)s", topic=TOPICS[topic].label, words=_quoted(said)))
    if found.open_topics:
        topics = listed([TOPICS[topic].label for topic in found.open_topics])
        screen.say(T_("Nobody answers: %(topics)s", topics=topics), "yellow")
    for item in agenda_of(answers, found.visitors):
        names = listed([either(matcher.labs[one].name, matcher.labs[one].name_en) for one in item.labs])
        what = AGENDA_LABELS[item.part]
        screen.say(T_("%(at)s  %(what)s  %(who)s", at=item.at, what=what, who=names if item.labs else ""))


def show_chain(screen: Screen, matcher: Matcher, need: Need, *, as_json: bool) -> None:
    """Print the chain that begins with a need."""
    from api.documents.matching.chains import chain_document
    from api.trail.request_trail import MACHINE
    from matcher.review.joint.chains import chain_for

    found = chain_for(matcher, need, matcher.companies.values(), matcher.needs.values())
    if as_json:
        write_document(chain_document(matcher, found, matcher.needs, to=MACHINE))
    else:
        _print_chain(screen, matcher, found)


def _print_chain(screen: Screen, matcher: Matcher, chain: Chain) -> None:
    whose = matcher.schools.get(chain.need.school or "")
    by = whose.name if whose else chain.need.school or chain.need.company or "—"
    screen.say(f"{chain.need.title} ({by}) {chain.need.id}", "bold")
    if chain.lab_id is None:
        screen.say(T_("No lab can be proposed."), "bold")
        return
    lab, first = matcher.labs[chain.lab_id], chain.result.pairings[0]
    screen.say(f"→ {lab.name} ({lab.school or '—'}) {lab.id}", "bold")
    screen.say(either(first.explanation.for_company.zh, first.explanation.for_company.en))
    for one in chain.companies:
        screen.say(f"→ {one.company.name} {one.company.id}", "bold")
        for said in one.evidence:
            part = T_("ask %(number)s", number=said.part) if said.part else T_("what the need is about")
            source = T_("need %(need_id)s", need_id=said.need_id) if said.need_id else T_("what it says of itself")
            screen.say(
                T_("  %(part)s, by %(source)s: %(words)s", part=part, source=source, words=_quoted(said.speaking))
            )
    if not chain.companies:
        screen.say(T_("No company says anything that speaks to it."), "bold")


def _quoted(said: Speaking) -> str:
    return f"「{said.excerpt}」"
