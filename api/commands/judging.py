"""`gloria judge`: two people grade pooled results blind; how far they are and agree, and their judgements as a file.

In: needs, two people's addresses, run files of other rankers; a session's number. Out: a session that waits at
`/judging`, its progress and agreement, TREC judgements for `gloria evaluate --qrels`. It exists for whoever runs the
machine and wants to know on the programme's own needs whether the ranking is good; grading itself happens in pages.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from api.commands.matching import replaced
from api.commands.people import account_named, opened
from api.commands.refusals import RefusedError
from api.commands.screen import Screen, finish, write_document
from api.home import note_command, read_settings
from indexer.wording import T_

if TYPE_CHECKING:
    from rich.table import Table
    from sqlmodel import Session

    from api.routes.judging.starting import Pool, Wanted
    from matcher.judging.measures import Run
    from matcher.judging.panel.grades import Progress, Standing

judge = typer.Typer(no_args_is_help=True, help="Two people grade pooled results blind.")

Number = Annotated[
    int, typer.Argument(min=1, max=2**31 - 1, help="The number of the session, as `gloria judge list` prints it.")
]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")]


@judge.command("start")
def begin(
    context: typer.Context,
    *,
    needs: Annotated[str, typer.Option(help="How many needs to draw, or their ids with commas between them.")],
    judges: Annotated[tuple[str, str], typer.Option(help="The e-mail addresses of the two who grade.")],
    depth: Annotated[int, typer.Option(min=1, max=100, help="How many labs of each ranking.")] = 10,
    run: Annotated[list[Path] | None, typer.Option(help="Pool this TREC run file too; may be repeated.")] = None,
    ranker: Annotated[
        list[str] | None, typer.Option(help="Only these of our own; may be repeated (gloria, tfidf, bm25, dense).")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, max=2**31 - 1, help="Draws the needs and the order of grading.")] = 106,
    name: Annotated[str, typer.Option(help="What people call it.")] = "",
    as_json: AsJson = False,
) -> None:
    """Rank in several ways, pool the first labs of each, and give them to two people to grade blind."""
    from api.routes.judging.starting import Wanted, begun, chosen_needs, pool_for
    from matcher.judging.panel.grades import PoolError
    from matcher.judging.panel.pool import RANKERS
    from matcher.ranking.pairings import Matcher

    screen = Screen.of(context)
    runs, problems = _runs(run or [])
    ids = None if needs.isascii() and needs.isdigit() else [one.strip() for one in needs.split(",") if one.strip()]
    with opened(writes=False) as session:
        people = [account_named(session, email).id for email in judges]
        wanted = Wanted(
            judges=people,
            needs=ids,
            count=int(needs) if ids is None else None,
            depth=depth,
            rankers=tuple(dict.fromkeys(ranker or RANKERS)),
            runs=runs,
            seed=seed,
            name=_named(name),
        )
        try:
            chosen = chosen_needs(session, wanted)
        except PoolError as error:
            raise RefusedError(_blamed(error.field, str(error), ids)) from error
    pool = pool_for(Matcher.open(read_settings()), chosen, wanted)
    with opened(writes=True) as session:
        number = begun(session, wanted, pool, by=None, now=datetime.now(UTC)).id or 0
        subjects = [("judging", number), *(("need", need.id) for need in chosen)]
        note_command(session, "judging", "create", "judge start", subjects)
    for problem in (*problems, *pool.problems):
        screen.complain(problem)
    _say_begun(screen, number, pool, wanted, as_json=as_json)
    finish(problems or pool.problems)


def _named(given: str) -> str:
    from indexer.plain_text import TextError, clean

    try:
        return clean(given, max_chars=200, multiline=False)
    except TextError as error:
        raise RefusedError(T_("--name: %(error)s", error=error)) from error


def _blamed(field: str | None, message: str, ids: list[str] | None) -> str:
    """Say which need is to blame: whoever runs the machine may know its ids."""
    number = (field or "").removeprefix("needs[").removesuffix("]")
    if ids is None or not number.isdigit():
        return message
    return T_("need %(need_id)s: %(message)s", need_id=ids[int(number) - 1], message=message)


def _runs(paths: list[Path]) -> tuple[dict[str, Run], list[str]]:
    """Read run files; a ranking goes by its file's name.

    Raises:
        EvaluationError: a file has no usable line.
    """
    from matcher.judging.measures import read_run

    runs: dict[str, Run] = {}
    problems: list[str] = []
    for path in paths:
        if path.stem in runs:
            raise RefusedError(T_("--run: two files are called %(name)s; rename one", name=path.stem))
        runs[path.stem], more = read_run(path)
        problems += more
    return runs, problems


def _say_begun(screen: Screen, number: int, pool: Pool, wanted: Wanted, *, as_json: bool) -> None:
    from matcher.judging.panel.pool import contributions

    needs = len({one.need_id for one in pool.pairs})
    brought = contributions([one.ranks for one in pool.pairs])
    if as_json:
        pooled = {one.name: {"found": one.found, "alone": one.alone} for one in brought}
        write_document({"judging": number, "pairs": len(pool.pairs), "needs": needs, "pooled": pooled})
        return
    screen.say(
        T_(
            "judging %(number)s: %(pairs)s pairs for %(needs)s needs, the first %(depth)s of each ranking",
            number=number,
            pairs=len(pool.pairs),
            needs=needs,
            depth=wanted.depth,
        )
    )
    for one in brought:
        screen.say(
            T_("%(name)s found %(found)s of them, %(alone)s alone", name=one.name, found=one.found, alone=one.alone)
        )
    screen.say(T_("the two judges find it at /judging (gloria serve)"))


@judge.command("list")
def listing(context: typer.Context, as_json: AsJson = False) -> None:
    """List the sessions, the newest first."""
    from sqlmodel import col, select

    from matcher.judging.panel.grades import Judging, progress_of

    with opened(writes=False) as session:
        rows = session.exec(select(Judging).order_by(col(Judging.id).desc())).all()
        progress = progress_of(session, [row.id or 0 for row in rows])
        documents = [_listed(session, row.id or 0, row.name, progress[row.id or 0]) for row in rows]
    if as_json:
        write_document({"judgings": documents})
        return
    screen = Screen.of(context)
    for one in documents:
        done = ", ".join(f"{email} {count}/{one['pairs']}" for email, count in one["done"].items())
        line = f"{one['id']}  {screen.text(_STATES[one['state']])}  {done}  {one['name']}".rstrip()
        screen.out.print(line, markup=False, soft_wrap=True)


_STATES = {"open": T_("open"), "finished": T_("finished"), "closed": T_("closed")}


def _listed(session: Session, number: int, name: str, progress: Progress) -> dict[str, Any]:
    from matcher.judging.panel.grades import Part, Step, members_of

    emails = _emails(session, [one.account_id for one in members_of(session, [number]) if one.part == Part.JUDGE])
    state = next((step.value for step in (Step.CLOSED, Step.FINISHED) if step in progress.steps), "open")
    done = {email: progress.done.get(account_id, 0) for account_id, email in emails.items()}
    return {
        "id": number,
        "name": name,
        "state": state,
        "pairs": progress.pairs,
        "needs": progress.needs,
        "done": done,
    }


def _emails(session: Session, account_ids: list[str]) -> dict[str, str]:
    """Return the addresses of accounts in the order given."""
    from sqlmodel import col, select

    from matcher.review.people import Account

    rows = dict(session.exec(select(Account.id, Account.email).where(col(Account.id).in_(account_ids))).all())
    return {account_id: rows[account_id] for account_id in account_ids}


def _standing(session: Session, number: int) -> Standing:
    from matcher.judging.panel.grades import standing_of

    standing = standing_of(session, number)
    if standing is None:
        raise RefusedError(T_("there is no judging %(number)s; see: gloria judge list", number=number))
    return standing


@judge.command("status")
def status(context: typer.Context, number: Number, as_json: AsJson = False) -> None:
    """Tell how far a session is and, once both have finished, how far its judges agree."""
    from api.documents.matching.matches import standing_figures
    from matcher.judging.panel.grades import progress_of

    with opened(writes=False) as session:
        standing = _standing(session, number)
        listed = _listed(session, number, standing.judging.name, progress_of(session, [number])[number])
    far = [
        {
            "need": one.pair.need_id,
            "lab": one.pair.lab_id,
            "blind_grades": list(one.blind_grades),
            "final": one.final,
            "settled": one.settled is not None,
        }
        for one in standing.pairs
        if standing.finished is not None and one.far_apart
    ]
    document = {**listed, **standing_figures(standing), "far_apart": far}
    if as_json:
        write_document(document)
    else:
        _print_status(Screen.of(context), document)


def _print_status(screen: Screen, document: dict[str, Any]) -> None:
    needs, pairs = document["needs"], document["pairs"]
    state = _STATES[document["state"]]
    screen.say(T_("%(state)s: %(pairs)s pairs for %(needs)s needs", state=state, pairs=pairs, needs=needs))
    for email, count in document["done"].items():
        screen.say(T_("%(email)s has graded %(count)s of %(pairs)s", email=email, count=count, pairs=pairs))
    found = document["agreement"]
    if found is None:
        screen.say(T_("how far they agree is told once both have finished"))
        return
    screen.say(T_("%(pairs)s pairs that both graded, before either knew of the other", pairs=found["pairs"]))
    figures = (
        (T_("equal grades"), found["equal"]),
        (T_("at most one apart"), found["within_one"]),
        (T_("Cohen's kappa"), found["kappa"]),
        (T_("Cohen's kappa, quadratic weights"), found["weighted_kappa"]),
    )
    for label, value in figures:
        screen.out.print(f"{screen.text(label)}  {'—' if value is None else f'{value:.3f}'}", markup=False)
    screen.out.print(_table(screen, document))
    for one in document["far_apart"]:
        first, second = one["blind_grades"]
        final = T_("settled: %(final)s", final=one["final"]) if one["settled"] else one["final"]
        screen.say(
            T_(
                "far apart: %(need)s %(lab)s: %(first)s and %(second)s, comes to %(final)s",
                need=one["need"],
                lab=one["lab"],
                first=first,
                second=second,
                final=final,
            )
        )


def _table(screen: Screen, document: dict[str, Any]) -> Table:
    from rich import box
    from rich.table import Table

    first, second = document["done"]
    table = Table(box=box.SIMPLE)
    table.add_column(f"{first} ↓ {second} →")
    for grade in range(len(document["agreement"]["table"])):
        table.add_column(str(grade), justify="right")
    for grade, row in enumerate(document["agreement"]["table"]):
        table.add_row(str(grade), *map(str, row))
    return table


@judge.command("qrels")
def judgements(
    context: typer.Context,
    number: Number,
    out: Annotated[Path, typer.Option(help="File to write; an existing one is replaced when all is done.")],
    by: Annotated[str | None, typer.Option("--judge", help="Only what this judge says: an e-mail address.")] = None,
) -> None:
    """Write the judgements as TREC qrels: agreed grades, else settled ones, else the lower of the two."""
    from matcher.judging.panel.agreement import qrels_text

    with opened(writes=True) as session:
        standing = _standing(session, number)
        who = None if by is None else account_named(session, by).id
        if who is not None and who not in standing.judges:
            raise RefusedError(T_("%(email)s is no judge of it", email=by))
        if standing.finished is None and standing.closed is None:
            raise RefusedError(T_("both judges have to finish first, or the session to be closed: gloria judge close"))
        rows = standing.qrels(who)
        note_command(session, "judging", "read", "judge qrels", [("judging", number)], seen=True)
    with replaced(out) as file:
        file.write(qrels_text(rows))
    Screen.of(context).say(T_("wrote %(out)s (%(rows)s lines)", out=out, rows=len(rows)))


@judge.command("close")
def end(context: typer.Context, number: Number) -> None:
    """Close a session for good: nobody can say anything more in it."""
    from matcher.judging.panel.grades import close

    with opened(writes=True) as session:
        _standing(session, number)
        close(session, judging_id=number, by=None, now=datetime.now(UTC))
        note_command(session, "judging", "close", "judge close", [("judging", number)])
    Screen.of(context).say(T_("judging %(number)s is closed", number=number))
