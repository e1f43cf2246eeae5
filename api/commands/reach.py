"""`gloria reach`: who was shown, seen and accepted in a quarter, and what the rule for near ties would do.

In: a quarter, values to try, grades to hold against. Out: the audit on the terminal, as JSON or as a file; with
`--settle` the rule as the programme office set it is put in use with the balance of this moment, or taken away. It
exists beside the page because whoever runs the machine simulates on all needs and on judged collections.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from api.commands.screen import Screen, write_document
from api.home import open_reading, read_settings
from indexer.wording import T_, either

if TYPE_CHECKING:
    from indexer.settings import Settings
    from matcher.judging.fair_reach import Simulation

_QUARTER = r"20\d\d[Qq][1-4]"


def reach(
    context: typer.Context,
    quarter: Annotated[str | None, typer.Option(help="Such as 2026Q4; default: the one that runs.")] = None,
    simulate: Annotated[
        bool, typer.Option("--simulate", help="Rank all needs as it is, and as the rule would have it.")
    ] = False,
    floor: Annotated[float | None, typer.Option(min=0, max=2, help="Try this floor instead of the office's.")] = None,
    tolerance: Annotated[float | None, typer.Option(min=0, max=1, help="Try this width of near ties.")] = None,
    qrels: Annotated[Path | None, typer.Option(help="Grades (TREC) to hold the simulation against.")] = None,
    settle: Annotated[
        bool, typer.Option("--settle", help="Put the rule in use as the office set it; the night does so too.")
    ] = False,
    out: Annotated[
        Path | None, typer.Option(help="Write a file; its end tells the format, such as xlsx or pdf.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")] = False,
) -> None:
    """Show who was seen beside what they deserve, and what a rule for near ties would do before it is switched on."""
    from api.documents.matching.reach import reach_document
    from indexer.instants import day_in_taipei, now
    from matcher.ledger.rows.periods import quarter_of

    screen, settings = Screen.of(context), read_settings()
    if settle:
        settled(settings)
    chosen = _checked(quarter) if quarter else quarter_of(day_in_taipei(now()))
    trying = simulate or floor is not None or tolerance is not None or qrels is not None
    found = _simulated(screen, settings, floor, tolerance, qrels) if trying else None
    with open_reading(settings) as session:
        document = reach_document(session, settings, chosen, found)
    if out is not None:
        _write(screen, document, out)
    elif as_json:
        write_document(document)
    else:
        _print(screen, document)


def settled(settings: Settings) -> bool:
    """Put the rule in use as the office set it, with the balance of this moment; return whether it is on."""
    from api.documents.matching.reach import rule_as_set
    from indexer.instants import now
    from matcher.ledger.rules.configuration import current
    from matcher.ledger.rules.reach import ReachRule
    from matcher.ranking.reach.rule_in_use import put_in_use

    with open_reading(settings) as session:
        is_on = current(session, ReachRule).floor > 0
        rule = rule_as_set(session, settings, now()) if is_on else None
    put_in_use(settings, rule)
    return is_on


def _checked(quarter: str) -> str:
    import re

    if not re.fullmatch(_QUARTER, quarter):
        raise typer.BadParameter(str(T_("give a quarter such as 2026Q4")), param_hint="--quarter")
    return quarter.upper()


def _simulated(
    screen: Screen, settings: Settings, floor: float | None, tolerance: float | None, qrels: Path | None
) -> Simulation:
    from dataclasses import replace

    from api.documents.matching.reach import rule_as_set, simulation_of
    from indexer.instants import now
    from matcher.judging.measures import read_qrels
    from matcher.ranking.pairings import Matcher

    with open_reading(settings) as session:
        matcher, rule = Matcher.load(session, settings), rule_as_set(session, settings, now())
    rule = replace(
        rule,
        floor=rule.floor if floor is None else floor,
        tolerance=rule.tolerance if tolerance is None else tolerance,
    )
    judged = None if qrels is None else read_qrels(qrels)[0]
    with screen.progress() as tell:
        return simulation_of(matcher, rule, [matcher.needs[one] for one in sorted(matcher.needs)], judged, tell)


def _write(screen: Screen, document: dict[str, Any], out: Path) -> None:
    from api.commands.ledger import format_of
    from api.documents.matching.reach import reach_report
    from indexer.instants import day_in_taipei, now
    from matcher.ledger.rendering.formats import render
    from matcher.ledger.rendering.report_texts import ReportLanguage

    form = format_of(out)
    content = render(reach_report(document, day_in_taipei(now())), form, ReportLanguage(screen.language.value))
    out.write_bytes(content)
    screen.say(T_("wrote %(out)s (%(n_content)s bytes)", out=out, n_content=f"{len(content):,}"))


def _print(screen: Screen, document: dict[str, Any]) -> None:
    screen.say(
        T_(
            "%(quarter)s: %(needs)s needs were shown; of %(unread)s of them nobody opened a lab",
            quarter=document["quarter"],
            needs=document["needs"],
            unread=document["unread"],
        ),
        "bold",
    )
    for one in document["groups"]:
        counts = [one[name] for name in ("labs", "shown", "opened", "accepted")]
        screen.say(
            T_(
                "    %(group)s: %(labs)s labs, shown %(shown)s, opened %(opened)s, accepted %(accepted)s; seen over "
                "deserved %(ratio)s",
                group=either(one["said"]["zh"], one["said"]["en"]),
                **dict(zip(("labs", "shown", "opened", "accepted"), counts, strict=True)),
                ratio=_two(one["ratio"]),
            )
        )
    on = T_("the rule is in use") if document["is_on"] else T_("the rule is not in use")
    screen.say(on)
    if document["simulation"] is not None:
        _print_simulation(screen, document["simulation"])


def _two(number: float | None) -> str:
    return "—" if number is None else f"{number:.2f}"


def _print_simulation(screen: Screen, found: dict[str, Any]) -> None:
    screen.say(
        T_(
            "simulated on %(needs)s needs, floor %(floor)s, near ties of %(tolerance)s: %(moved)s labs stand earlier",
            needs=found["needs"],
            floor=f"{found['floor']:g}",
            tolerance=f"{found['tolerance']:g}",
            moved=found["moved"],
        ),
        "bold",
    )
    for one in found["standings"]:
        screen.say(
            T_(
                "    %(order)s: well-known schools beside others %(known)s, five most seen %(five)s (by grades "
                "%(graded)s), largest labs %(large)s %% of what is seen, nDCG@10 %(ndcg)s",
                order=either(one["said"]["zh"], one["said"]["en"]),
                known=_two(one["known"]),
                five=_two(one["five"]),
                graded=_two(one["five_graded"]),
                large=f"{one['large'] * 100:.0f}",
                ndcg="—" if one["ndcg"] is None else f"{one['ndcg']:.4f}",
            )
        )
