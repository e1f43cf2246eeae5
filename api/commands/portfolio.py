"""`gloria portfolio`: which lab for which need, all open needs at once.

In: what is picked, a need that might be withdrawn. Out: for each need its lab with what stood in the way of its best,
or which limits clash and what to loosen; what another plan would change. Whoever has the home may see all of it;
nothing is kept and nothing is decided.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from api.commands.screen import Screen, write_document
from api.home import open_reading, read_settings
from indexer.wording import T_, either

if TYPE_CHECKING:
    from matcher.portfolio.picks import PlanPicks
    from matcher.portfolio.plans import Change

_WORDS = (
    "pin:NEED,LAB, never:NEED,LAB, apart:NEED,NEED, without:NEED, expert:6 and alliance:40 (cases at most), "
    "silent:3 (needs for a lab that states no capacity), tier:gold.90 (percent served)."
)
_SERVED = {True: "bold green", False: "bold yellow"}


def portfolio(
    context: typer.Context,
    pick: Annotated[list[str] | None, typer.Option(help="What the plan keeps to: " + _WORDS)] = None,
    withdrawn: Annotated[str | None, typer.Option(help="Say what changes if this need is withdrawn.")] = None,
    depth: Annotated[int, typer.Option(min=1, max=500, help="How many labs of each need come into question.")] = 50,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")] = False,
) -> None:
    """Plan all open needs at once: the worst served first, then the sum, within what labs and experts can carry."""
    from matcher.portfolio.picks import PlanError, PlanPicks

    try:
        picks = PlanPicks.read(pick or ())
    except PlanError as error:
        raise typer.BadParameter(str(error), param_hint="--pick") from error
    document = _planned(picks, withdrawn, depth)
    if as_json:
        write_document(document)
    else:
        _print(Screen.of(context), document, withdrawn=withdrawn)


def _planned(picks: PlanPicks, withdrawn: str | None, depth: int) -> dict[str, Any]:
    from dataclasses import replace

    from sqlalchemy import true

    from api.documents.matching.portfolio import MadePlan, PlanReader, plan_document
    from api.trail.request_trail import MACHINE
    from indexer.instants import day_in_taipei, now
    from matcher.portfolio.open_needs import carried, names_of_carriers, open_needs
    from matcher.portfolio.picks import PlanError
    from matcher.portfolio.plans import changes, fingerprint, planned, prospects_of
    from matcher.ranking.pairings import Matcher

    settings = read_settings()
    with open_reading(settings) as session:
        matcher = Matcher.load(session, settings)
        found, load = open_needs(session, true()), carried(session, matcher.labs, day_in_taipei(now()))
        loaded = [("expert", one.expert) for one in found.needs] + [("alliance", one.alliance) for one in found.needs]
        carriers = names_of_carriers(session, {(of, who) for of, who in loaded if who})
    ids = {one.need.id for one in found.needs}
    named, _ = picks.named()
    for one in sorted(named | ({withdrawn} if withdrawn else set())):
        if one not in ids:
            raise PlanError(T_("%(need)s is no open need without a lab", need=one))
    prospects = list(prospects_of(matcher, found.needs, picks, rooms=load.rooms, depth=depth))
    plan = planned(found.needs, prospects, load, picks)
    changed: Sequence[Change] = ()
    if withdrawn:
        kept = {one.need_id: one.lab_id for one in plan.given}
        fewer = replace(picks, without=(*picks.without, withdrawn)).only(ids - {withdrawn})
        then = planned(found.needs, prospects, load, fewer, kept={a: b for a, b in kept.items() if b})
        changed = changes(kept, {one.need_id: one.lab_id for one in then.given})
    made = MadePlan(
        words=picks.words,
        left_out={"with_lab": found.with_lab, "too_many": found.too_many},
        generation=matcher.snapshot.generation,
        rests_on=fingerprint(found.needs, prospects, load, picks),
    )
    reader = PlanReader({one.need.id: one.need for one in found.needs}, carriers=carriers)
    return plan_document(matcher, plan, made, changed, reader, to=MACHINE)


def _print(screen: Screen, document: dict[str, Any], *, withdrawn: str | None) -> None:
    for one in document["needs"]:
        lab, best = one["lab"], one["best"]
        screen.say(f"{one['need_id']}  {one['title']}", "bold")
        if lab is not None:
            pinned = screen.text(T_("; pinned")) if one["is_pinned"] else ""
            screen.say(f"    → {_called(screen, lab)}{pinned}", "green")
        elif not document["clash"]:
            screen.say(T_("    → no lab"), "yellow")
        elif best is not None:
            screen.say(T_("    fits best: %(lab)s", lab=_called(screen, best)))
        if one["said"] is not None:
            screen.say(f"    {screen.text(either(one['said']['zh'], one['said']['en']))}")
    if document["clash"]:
        _print_clash(screen, document)
        return
    screen.say(
        T_(
            "%(served)s of %(needs)s needs get a lab, of %(labs)s labs that come into question",
            served=document["served"],
            needs=len(document["needs"]),
            labs=document["labs"],
        ),
        _SERVED[document["served"] == len(document["needs"])],
    )
    if document["left_out"]["with_lab"]:
        screen.say(T_("left out: %(n)s that have a lab already", n=document["left_out"]["with_lab"]))
    screen.say(
        T_(
            "chances add up to %(total)s of at most %(bound)s (gap %(gap)s %%); worst served: %(worst)s",
            total=f"{document['total']:.2f}",
            bound=f"{document['bound']:.2f}",
            gap=f"{document['gap'] * 100:.2f}",
            worst=document["worst"] or "-",
        )
    )
    if withdrawn:
        _print_changes(screen, document, withdrawn)
    screen.say(T_("A plan is a proposal: nothing is decided by it."))


def _print_clash(screen: Screen, document: dict[str, Any]) -> None:
    screen.say(T_("There is no plan: these can't be kept together"), "bold red")
    for one in document["clash"]:
        screen.say(f"    {screen.text(either(one['said']['zh'], one['said']['en']))}")
    screen.say(T_("the cheapest way out"), "bold")
    for one in document["cheapest"]:
        screen.say(f"    {screen.text(either(one['loosen']['zh'], one['loosen']['en']))}")


def _print_changes(screen: Screen, document: dict[str, Any], withdrawn: str) -> None:
    others = [one for one in document["changes"] if not one["is_gone"]]
    if not others:
        screen.say(T_("if %(need)s is withdrawn, nothing else changes", need=withdrawn), "bold")
        return
    screen.say(T_("if %(need)s is withdrawn", need=withdrawn), "bold")
    none = screen.text(T_("no lab"))
    for one in others:
        before, after = (_called(screen, lab) if lab else none for lab in (one["before"], one["after"]))
        screen.say(f"    {one['need_id']}: {before} → {after}")


def _called(screen: Screen, lab: dict[str, Any]) -> str:
    name = screen.text(either(lab["name"] or lab["name_en"], lab["name_en"] or lab["name"]))
    chance = "" if lab["chance"] is None else f" {lab['chance']:.2f}"
    return f"{name} ({lab['lab_id']}){chance}"
