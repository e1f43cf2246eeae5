"""`gloria demo`: from an empty folder to ranked, explained matches of the invented demo world.

In: the demo world that comes with the product. Out: its records imported and
indexed in GLORIA_HOME, the matches of three needs printed, and what to try
next. It exists so that a newcomer sees the main job before having any data.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from api.demo_people import DemoPerson, let_people_in
from api.indexing import reindexed, say_report
from api.mapping import redrawn, say_map
from api.opening import open_session, read_settings
from api.refusals import RefusedError
from api.screen import Screen
from indexer.wording import T_

if TYPE_CHECKING:
    from sqlmodel import Session

    from indexer.settings import Settings

SHOWN_NEEDS = ("need-2-01", "need-1-10", "need-4-06")
"""One that several schools answer together, one in English, one in Chinese with three asks."""
SHOWN_LABS = 3


def show_demo(
    context: typer.Context,
    no_serve: Annotated[bool, typer.Option("--no-serve", help="Stop after printing; never start a server.")] = False,
) -> None:
    """Import and index the demo world, then match three of its needs."""
    from api.printing import print_match
    from matcher.pairings import Matcher

    del no_serve  # accepted already, so that scripts stay right once there is a server
    screen = Screen.of(context)
    settings = read_settings()
    _import_world(screen, settings)
    _tell_story(screen, settings)
    with open_session(settings, writes=True) as session:
        _assign(session)
        people, password = let_people_in(session, datetime.now(UTC))
        session.commit()
    say_report(screen, reindexed(screen, settings))
    say_map(screen, redrawn(settings))
    matcher = Matcher.open(settings)
    for need_id in SHOWN_NEEDS:
        screen.out.print()
        screen.out.rule(style="bold cyan")
        print_match(screen, matcher, matcher.match(matcher.need(need_id), top=SHOWN_LABS))
    _say_next(screen, settings, people, password)


def _import_world(screen: Screen, settings: Settings) -> None:
    from fixtures import world_files
    from indexer.importing import import_file

    with open_session(settings, writes=True) as session:
        before = _lab_ids(session)
        reports = [import_file(session, path) for path in world_files()]
        after = _lab_ids(session)
        # Rolled back on the way out: invented records must never mix with real ones.
        if before and before != after:
            raise RefusedError(
                T_(
                    "%(home)s holds other records; choose an empty folder: GLORIA_HOME=demo-data gloria demo",
                    home=settings.home,
                )
            )
        session.commit()
    counts = ", ".join(f"{report.kind} {report.created + report.updated + report.unchanged}" for report in reports)
    screen.say(T_("demo world (all invented): %(counts)s", counts=counts))


def _tell_story(screen: Screen, settings: Settings) -> None:
    """Replay the programme's invented years, so that cases, ledger and figures have something to show."""
    from sqlmodel import select

    from indexer.database import open_engine, reading
    from matcher.ledger.entries import Entry
    from matcher.ledger.story import FIRST_DAY, LAST_DAY, load_story

    engine = open_engine(settings)
    try:
        with reading(engine) as session:
            told = session.exec(select(Entry.seq).limit(1)).first() is not None
        if not told:
            load_story(engine, home=settings.home)
    finally:
        engine.dispose()
    screen.say(
        T_("the ledger's story (invented): %(first_day)s to %(last_day)s", first_day=FIRST_DAY, last_day=LAST_DAY)
    )


def _assign(session: Session) -> None:
    """Give every company and need of the demo world to the first alliance of its field, so that experts see them."""
    from sqlmodel import col, select

    from indexer.records import Alliance, Company, Need
    from matcher.clients import alliances_of, take_on
    from matcher.intake import adopt

    now = datetime.now(UTC)
    alliances = session.exec(select(Alliance).order_by(col(Alliance.id))).all()
    for company in session.exec(select(Company)).all():
        theirs = [alliance.id for alliance in alliances if set(alliance.fields) & set(company.fields)]
        alliance_id = theirs[0] if theirs else alliances[0].id
        if not alliances_of(session, company.id):
            take_on(session, company_id=company.id, alliance_id=alliance_id, expert_id=None, now=now)
    for need in session.exec(select(Need)).all():
        owners = alliances_of(session, need.company or "") or [alliances[0].id]
        adopt(session, need_ids=[need.id], alliance_id=owners[0], by=None, now=now)


def _lab_ids(session: Session) -> set[str]:
    from indexer.loading import load_labs

    return {lab.id for lab in load_labs(session)}


def _say_next(screen: Screen, settings: Settings, people: list[DemoPerson], password: str | None) -> None:
    screen.out.print()
    screen.say(
        T_("In a browser: gloria serve, then open http://127.0.0.1:8000"),
        "bold",
    )
    for person in people:
        screen.out.print(f"  {person.email:<32} {person.role}", soft_wrap=True)
    if password is None:
        screen.say(
            T_("  the password is the one shown at first; set anew: gloria user password"),
        )
    else:
        screen.say(T_("  password (shown this once): %(password)s", password=password))
    screen.out.print()
    screen.say(T_("What to try next:"), "bold")
    hints = (
        ("gloria match need-3-02 --top 10", T_("another need, ten labs")),
        ("gloria match --lab lab-1-03", T_("the other direction: needs for a lab")),
        ("gloria match need-3-02 --json", T_("the same for a program")),
        ("gloria --lang en match need-1-10", T_("in English")),
        ("gloria import --template labs.xlsx", T_("a template for your own labs")),
        ("gloria user key lead@gloria.example --name laptop", T_("a key for programs")),
        ("gloria report b003 --as-of 2020-12-31 --out b003.pdf", T_("the programme's table B003")),
        ("gloria doctor", T_("checks machine, records and index")),
    )
    for command, what in hints:
        screen.say(T_("  %(command)s  %(what)s", command=f"{command:<38}", what=what))
    home = settings.home
    screen.say(T_("State is kept in %(home)s (GLORIA_HOME).", home=home), "dim")
