"""Matches on a terminal, to be read by an expert who has to decide.

In: what the matcher returns. Out: rich renderables. It shows everything that
the score rests on: each contribution as a number and a bar, the passages that
speak for each ask with the shared words marked, what is missing, and how many
labs each hard rule set aside.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from rich.cells import cell_len
from rich.console import RenderableType
from rich.rule import Rule as Line
from rich.text import Text

from api.commands.screen import Paragraph, Screen
from indexer.records.passages import PROFILE
from indexer.records.profiles import Company, Lab, Need
from indexer.vocabulary import AskKind, EvidenceKind, label
from indexer.wording import P_, T_, Bilingual, either, listed
from matcher.ranking.elements import ELEMENT_LABELS
from matcher.ranking.explanation import AskEvidence, Explanation, Speaking
from matcher.ranking.lab_table import RULE_TEXTS
from matcher.ranking.pairings import LabMatch, Matcher, MatchResult, Pairing
from matcher.ranking.ranker import BAND_LABELS, Band
from matcher.ranking.signals import CONTRIBUTION_LABELS
from matcher.ranking.wishes import WISH_LABELS
from matcher.review.cases import Case, Stage
from matcher.review.likeness import LabCompany, Like
from matcher.teams.near_misses import NearMiss
from matcher.teams.teams import Member, Team

BAR_CELLS = 24
SMALL_AMOUNT = 0.05
"""Contributions below this are added up in one line."""
NAMES_SHOWN = 6
_BAND_STYLES = {Band.STRONG: "bold green", Band.PLAUSIBLE: "yellow", Band.WEAK: "dim"}
_COVERED = {
    "yes": (T_("supported"), "green"),
    "partly": (T_("partly supported"), "yellow"),
    "no": (T_("not supported"), "red"),
}

_STAGES = {
    Stage.ACCEPTED: T_("accepted"),
    Stage.INTRODUCED: T_("introduced"),
    Stage.MEETING: T_("meeting"),
    Stage.NEGOTIATING: T_("negotiating"),
    Stage.SIGNED: T_("signed"),
    Stage.LOST: T_("lost"),
    Stage.UNDONE: T_("undone"),
}


def print_match(screen: Screen, matcher: Matcher, result: MatchResult) -> None:
    """Print the answer for one need."""
    for warning in result.warnings:
        screen.warn(either(warning.zh, warning.en))
    for part in (*_need(screen, matcher, result.need), *_questions(screen, result)):
        screen.out.print(part)
    longest = max((abs(x) for p in result.pairings for x in p.contributions.values()), default=0.0)
    for pairing in result.pairings:
        for part in _pairing(screen, matcher, pairing, longest):
            screen.out.print(part)
    if not result.pairings:
        screen.say(T_("No lab can be proposed."), "bold")
    for part in _set_aside(screen, matcher, result):
        screen.out.print(part)


def print_team(screen: Screen, matcher: Matcher, team: Team) -> None:
    """Print the team for a need: who covers what, then each member with its evidence and who could stand in."""
    for warning in team.result.warnings:
        screen.warn(either(warning.zh, warning.en))
    for part in _need(screen, matcher, team.result.need):
        screen.out.print(part)
    screen.out.print(Line(style="dim"))
    screen.say(_team_verdict(team), "bold")
    for ask in team.asks:
        covered, style = _COVERED[ask.covered]
        lab = matcher.labs.get(ask.lab_id or "")
        said = Text(screen.text(covered), style) + Text(f"  {_lab_name(screen, lab)}" if lab else "")
        screen.out.print(Paragraph(said, indent=2, lead=Text(f"{ask.number}. ", "cyan")))
    for member, pairing in zip(team.members, team.result.pairings, strict=True):
        for part in _member(screen, matcher, member, pairing):
            screen.out.print(part)
    screen.out.print(Line(style="dim"))
    screen.say(_team_ground(team))
    if team.without_room:
        names = listed([matcher.labs[one].name for one in team.without_room[:NAMES_SHOWN]])
        screen.say(T_("left out, since they carry as many cases as they can: %(names)s", names=names))


def _team_verdict(team: Team) -> str:
    covered, asked = sum(ask.covered == "yes" for ask in team.asks), len(team.asks)
    if not team.members:
        return T_("Nobody answers any part of this need, not even partly.")
    if len(team.members) == 1:
        return T_(
            "One lab is enough: more labs cover no more. It covers %(covered)s of %(asked)s.",
            covered=covered,
            asked=asked,
        )
    return T_("%(count)s labs cover %(covered)s of %(asked)s.", count=len(team.members), covered=covered, asked=asked)


def _team_ground(team: Team) -> str:
    if team.is_exact:
        return T_("the best team of %(count)s labs that answer some ask at least in part", count=team.candidates)
    return T_(
        "chosen of %(count)s labs: at least %(share)s %% of what the best team of that size could be worth",
        count=team.candidates,
        share=round(team.surely * 100),
    )


def _member(screen: Screen, matcher: Matcher, member: Member, pairing: Pairing) -> Iterator[RenderableType]:
    lab = matcher.labs[member.lab_id]
    yield Line(style="dim")
    lead = screen.text(T_("could lead: covers most")) if member.could_lead else ""
    yield Paragraph(Text(_lab_name(screen, lab), "bold") + Text(f"  {lead}", "green"))
    state = Text(f"{_band(screen, pairing.band)} {pairing.score:.2f}", _BAND_STYLES[pairing.band])
    yield Paragraph(state + Text(f"  {_school(screen, matcher, lab)}  {member.lab_id}", "dim"), indent=4)
    for said, numbers in (
        (T_("without it nobody covers asks %(asks)s", asks=_numbers(member.alone)), member.alone),
        (T_("answers asks %(asks)s best, in part", asks=_numbers(member.strengthens)), member.strengthens),
    ):
        if numbers:
            yield Paragraph(screen.text(said), indent=4)
    yield from _reasons(screen, pairing.explanation)
    for one in member.stand_ins:
        other = matcher.labs[one.lab_id]
        name = f"{_lab_name(screen, other)} ({one.lab_id})"
        said = (
            T_("could stand in and cover the same: %(name)s", name=name)
            if not one.loses
            else T_("could stand in, but nobody covers asks %(asks)s: %(name)s", asks=_numbers(one.loses), name=name)
        )
        yield Paragraph(screen.text(said), indent=4)


def _numbers(asks: Sequence[int]) -> str:
    return listed(str(ask) for ask in asks)


def print_lab_matches(screen: Screen, matcher: Matcher, lab_id: str, matches: Sequence[LabMatch]) -> None:
    """Print the needs that a lab should hear of."""
    for warning in matcher.warnings:
        screen.warn(either(warning.zh, warning.en))
    lab = matcher.labs[lab_id]
    screen.out.print(Paragraph(Text(f"{lab_id}  {_lab_name(screen, lab)}  {_school(screen, matcher, lab)}", "bold")))
    for rank, match in enumerate(matches, start=1):
        for part in _lab_match(screen, match, rank):
            screen.out.print(part)
    if not matches:
        screen.say(T_("There is no need that this lab should hear of."), "bold")


def print_near_misses(screen: Screen, matcher: Matcher, need: Need, lab_id: str, found: Sequence[NearMiss]) -> None:
    """Print how one lab stands for a need, what would lift it and what it could be asked."""
    result = matcher.explained(matcher.ranking(need), [matcher.searcher.lab_rows[lab_id]], total=1)
    for pairing in result.pairings:
        longest = max(map(abs, pairing.contributions.values()), default=0.0)
        for part in _pairing(screen, matcher, pairing, longest):
            screen.out.print(part)
    screen.out.print(Line(style="dim"))
    screen.say(T_("What would lift it"), "bold")
    for one in found:
        screen.out.print(Paragraph(screen.text(one.said), indent=2, lead=Text("· ", "cyan")))
        if one.effect is not None:
            screen.out.print(Paragraph(Text(screen.text(one.effect), "green"), indent=4))
        if one.question:
            screen.out.print(Paragraph(screen.text(T_("ask the lab: %(question)s", question=one.question)), indent=4))
    if not found:
        screen.say(T_("Each ask is covered."))


def print_lab_companies(screen: Screen, matcher: Matcher, lab_id: str, found: Sequence[LabCompany]) -> None:
    """Print the companies that a lab should hear of."""
    lab = matcher.labs[lab_id]
    screen.out.print(Paragraph(Text(f"{lab_id}  {_lab_name(screen, lab)}  {_school(screen, matcher, lab)}", "bold")))
    for rank, one in enumerate(found, start=1):
        screen.out.print(Line(style="dim"))
        screen.out.print(Paragraph(Text(_company_name(screen, one.company), "bold"), lead=_place(rank)))
        state = Text(f"{_band(screen, one.match.band)} {one.match.score:.2f}", _BAND_STYLES[one.match.band])
        screen.out.print(Paragraph(state + Text(f"  {one.company.id}", "dim"), indent=4))
        need = one.match.need
        said = T_("by its need: %(title)s", title=need.title or need.id) if one.by_need else T_("by what it does")
        screen.out.print(Paragraph(screen.text(said), indent=4))
    if not found:
        screen.say(T_("There is no company that should hear of this lab."), "bold")


def print_like(
    screen: Screen,
    matcher: Matcher,
    needs: Sequence[Like],
    cases: Mapping[str, Sequence[Case]],
    companies: Sequence[Like] | None,
) -> None:
    """Print needs that are alike with what came of them, and where a company was asked for companies before them."""
    for one in companies or ():
        for part in _like(screen, one, _company_name(screen, matcher.companies[one.id])):
            screen.out.print(part)
    if companies is not None and not companies:
        screen.say(T_("No company is much alike."), "bold")
    for one in needs:
        for part in _like(screen, one, matcher.needs[one.id].title):
            screen.out.print(part)
        for case in cases.get(one.id, ()):
            lab = matcher.labs.get(case.lab_id)
            name = _lab_name(screen, lab) if lab else case.lab_id
            screen.out.print(Paragraph(f"{name}: {screen.text(_STAGES[Stage(case.stage)])}", indent=6, lead="- "))
    if not needs:
        screen.say(T_("No need is much alike."), "bold")


def _like(screen: Screen, one: Like, title: str) -> Iterator[RenderableType]:
    yield Line(style="dim")
    yield Paragraph(Text(title or one.id, "bold"), lead=Text(f"{one.score:.1f}  ", "bold cyan"))
    yield Paragraph(Text(one.id, "dim"), indent=4)
    if one.speaking.excerpt != title:
        yield Paragraph(_marked(screen, one.speaking.excerpt, one.speaking.words), indent=4)


def _company_name(screen: Screen, company: Company) -> str:
    return screen.text(either(company.name, company.name_en or company.name))


def _place(rank: int) -> Text:
    return Text(f"{rank:>2}. ", "bold cyan")


def _need(screen: Screen, matcher: Matcher, need: Need) -> Iterator[RenderableType]:
    yield Paragraph(Text(need.title or need.description, "bold"), lead=Text(f"{need.id}  ", "bold cyan"))
    company = matcher.companies.get(need.company or "")
    if company is not None:
        name = screen.text(either(company.name, company.name_en or company.name))
        yield Paragraph(f"{name} ({company.id})")
    elif school := matcher.schools.get(need.school or ""):
        yield Paragraph(f"{screen.text(either(school.name, school.name_en or school.name))} ({school.id})")
    elif need.company or need.school:
        yield Paragraph(need.company or need.school or "")
    for ask in need.asks:
        yield Paragraph(ask.text, indent=2, lead=Text(f"{_ask_kind(screen, ask.kind)}  ", "cyan"))


def _questions(screen: Screen, result: MatchResult) -> Iterator[RenderableType]:
    if not result.elements.asked:
        return
    first = T_("ask the company before anything else") if not result.is_clear else T_("not stated; ask the company")
    yield Text("  " + screen.text(first), "bold")
    for question in result.elements.asked:
        label = screen.text(ELEMENT_LABELS[question.element] if question.element else P_("element", "field"))
        yield Paragraph(_said(screen, question.ask), indent=4, lead=Text(f"{label}  ", "cyan"))


def _pairing(screen: Screen, matcher: Matcher, pairing: Pairing, longest: float) -> Iterator[RenderableType]:
    lab = matcher.labs[pairing.lab_id]
    yield Line(style="dim")
    title = Text(_lab_name(screen, lab), "bold")
    lead = Text(f"{pairing.rank:>2}. ", "bold cyan")
    yield Paragraph(title, lead=lead)
    state = Text(f"{_band(screen, pairing.band)} {pairing.score:.2f}", _BAND_STYLES[pairing.band])
    yield Paragraph(state + Text(f"  {_school(screen, matcher, lab)}  {pairing.lab_id}", "dim"), indent=4)
    yield Paragraph(_said(screen, pairing.explanation.for_company), indent=4)
    yield from _reasons(screen, pairing.explanation)
    if pairing.explanation.seen_less:
        yield Paragraph(screen.text(T_("shown earlier: equally fit, seen less")), indent=4)
    if pairing.explanation.history is not None:
        yield Paragraph(_said(screen, pairing.explanation.history), indent=4)
    yield Text("    " + screen.text(T_("what the score is made of")), "bold")
    yield from _contributions(screen, pairing.contributions, longest)


def _lab_match(screen: Screen, match: LabMatch, rank: int) -> Iterator[RenderableType]:
    need = match.need
    yield Line(style="dim")
    yield Paragraph(Text(need.title or need.description, "bold"), lead=Text(f"{rank:>2}. ", "bold cyan"))
    company = (
        screen.text(either(match.company.name, match.company.name_en)) if match.company else need.company or need.school
    )
    state = Text(f"{_band(screen, match.band)} {match.score:.2f}", _BAND_STYLES[match.band])
    place = screen.text(T_("the lab's rank is %(rank_of_lab)s", rank_of_lab=match.rank_of_lab))
    yield Paragraph(state + Text(f"  {need.id}  {company or ''}  {place}", "dim"), indent=4)
    yield Paragraph(_said(screen, match.explanation.for_lab), indent=4)
    yield from _reasons(screen, match.explanation)


def _reasons(screen: Screen, explanation: Explanation) -> Iterator[RenderableType]:
    for ask in explanation.asks:
        yield from _ask(screen, ask)
    if explanation.missing:
        yield Text("    " + screen.text(T_("missing or to be checked")), "bold")
    for sentence in explanation.missing:
        yield Paragraph(_said(screen, sentence), indent=6, lead="- ")


def _ask(screen: Screen, ask: AskEvidence) -> Iterator[RenderableType]:
    covered, style = _COVERED[ask.covered]
    kind = _ask_kind(screen, ask.kind) if ask.kind else screen.text(T_("the whole need"))
    yield Text(f"    {kind}", "bold") + Text(screen.text(T_(": ")), "bold") + Text(screen.text(covered), style)
    for passage in ask.passages:
        yield Paragraph(_source(screen, passage), indent=6, lead="- ")
        if passage.excerpt != passage.title:
            yield Paragraph(_marked(screen, passage.excerpt, passage.words), indent=8)
        if passage.translated:
            pairs = screen.text(T_("; ")).join(f"{here} → {there}" for here, there in passage.translated)
            yield Paragraph(Text(pairs, "dim"), indent=8)


def _source(screen: Screen, passage: Speaking) -> Text:
    kind = screen.text(_evidence_kind(passage.kind))
    about = f"{kind} {passage.year}" if passage.year else kind
    return _marked(screen, passage.title, passage.words) + Text(f"  [{about}]", "dim")


def _evidence_kind(kind: str) -> str:
    return P_("evidence", "profile") if kind == PROFILE else either(label(EvidenceKind(kind)), kind)


def _marked(screen: Screen, text: str, words: Sequence[str]) -> Text:
    """Mark the shared words: bold where the terminal has styles, in asterisks where not."""
    if not words:
        return Text(text)
    pattern = re.compile("|".join(re.escape(word) for word in sorted(words, key=len, reverse=True)), re.IGNORECASE)
    if not screen.out.is_terminal:
        return Text(pattern.sub(lambda found: f"*{found.group()}*", text))
    marked = Text(text)
    marked.highlight_regex(pattern, "bold magenta")
    return marked


def _contributions(screen: Screen, amounts: dict[str, float], longest: float) -> Iterator[RenderableType]:
    labels = {name: screen.text(CONTRIBUTION_LABELS[name]) for name in amounts}
    small = [name for name in amounts if abs(amounts[name]) < SMALL_AMOUNT]
    rest = screen.text(T_("others"))
    column = max(map(cell_len, [*labels.values(), rest]))
    shown = sorted((name for name in amounts if name not in small), key=lambda name: (-amounts[name], name))
    for name in shown:
        yield _bar(labels[name], column, amounts[name], longest)
    remainder = sum((amounts[name] for name in small), 0.0)
    if round(remainder, 2):
        yield _bar(rest, column, remainder, longest)


def _bar(name: str, column: int, amount: float, longest: float) -> Text:
    cells = min(BAR_CELLS, round(BAR_CELLS * abs(amount) / longest)) if longest else 0
    text = Text(f"      {name}{' ' * (column - cell_len(name))} {amount:>7.2f} ")
    return text + Text(("▒" if amount < 0 else "█") * cells, "red" if amount < 0 else "blue")


def _set_aside(screen: Screen, matcher: Matcher, result: MatchResult) -> Iterator[RenderableType]:
    yield Line(style="dim")
    total = sum(map(len, result.set_aside.values()))
    yield Text(
        screen.text(
            T_("%(n_labs)s labs in all, %(total)s set aside by a rule", n_labs=result.n_labs, total=total),
        ),
        "bold",
    )
    for rule, ids in result.set_aside.items():
        names = [_lab_name(screen, matcher.labs[i]) if i in matcher.labs else i for i in ids[:NAMES_SHOWN]]
        more = "" if len(ids) <= NAMES_SHOWN else screen.text(T_(" ..."))
        between, colon = screen.text(T_("; ")), screen.text(T_(": "))
        listed = f" ({between.join(names)}{more})" if ids else ""
        yield Paragraph(f"{screen.text(RULE_TEXTS[rule])}{colon}{len(ids)}{listed}", indent=4)
    for wish, stated in result.wishes.items():
        if stated.hidden:
            hides = T_("%(wish)s: %(hidden)s hidden that do not meet it", wish=WISH_LABELS[wish], hidden=stated.hidden)
            yield Paragraph(screen.text(hides), indent=4)
    yield from _moved(screen, matcher, result)
    based = f"{result.generation} {result.created_at}"
    version = result.ranker_version
    yield Text(screen.text(T_("index %(based)s, weights %(version)s", based=based, version=version)), "dim")


def _moved(screen: Screen, matcher: Matcher, result: MatchResult) -> Iterator[RenderableType]:
    """Whom steering moves among the first labs, up first, with what changed most."""
    if result.moves:
        yield Text(screen.text(T_("moved by steering")), "bold")
    rose = [one for one in result.moves if 0 < one.after < one.before]
    fell = [one for one in result.moves if not 0 < one.after < one.before]
    for one in (*sorted(rose, key=lambda moved: moved.after), *sorted(fell, key=lambda moved: moved.before)):
        most = max(one.changes, key=lambda name: abs(one.changes[name]), default=None)
        why = "" if most is None else f" ({screen.text(CONTRIBUTION_LABELS[most])} {one.changes[most]:+.2f})"
        after = str(one.after) if one.after else screen.text(T_("not shown"))
        yield Paragraph(f"{_lab_name(screen, matcher.labs[one.lab_id])}: {one.before} → {after}{why}", indent=4)


def _said(screen: Screen, sentence: Bilingual) -> str:
    return screen.text(either(sentence.zh, sentence.en))


def _ask_kind(screen: Screen, kind: str) -> str:
    return screen.text(either(label(AskKind(kind)), kind))


def _band(screen: Screen, band: Band) -> str:
    return screen.text(BAND_LABELS[band])


def _lab_name(screen: Screen, lab: Lab) -> str:
    return screen.text(either(lab.name or lab.name_en, lab.name_en or lab.name))


def _school(screen: Screen, matcher: Matcher, lab: Lab) -> str:
    school = matcher.schools.get(lab.school or "")
    return screen.text(either(school.name, school.name_en or school.name)) if school else lab.school or ""
