"""`gloria evaluate`: how good the ranking is, by judgements.

In: judgements, and either the home's records, a run file, or a collection in
the exchange format. Out: a table of systems by measures with the intervals of
their differences, or the same as JSON.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from api.matching import number_or_all
from api.opening import read_settings
from api.screen import Screen, finish, write_document
from indexer.wording import T_

if TYPE_CHECKING:
    from rich.table import Table

    from matcher.evaluation import Evaluation

DEFAULT_MEASURES = "nDCG@10,RR,R@10,R@100,P@5"


def evaluate(
    context: typer.Context,
    *,
    qrels: Annotated[Path, typer.Option(help="Judgements: lines of `need 0 lab grade`.")],
    run: Annotated[Path | None, typer.Option(help="Evaluate this run file instead of ranking.")] = None,
    labs: Annotated[Path | None, typer.Option(help="Evaluate another collection: its labs.")] = None,
    needs: Annotated[Path | None, typer.Option(help="Its needs.")] = None,
    run_out: Annotated[Path | None, typer.Option(help="With --labs: write the run to this file too.")] = None,
    top: Annotated[str | None, typer.Option(help="Labs per need that are ranked: a number or all [1000].")] = None,
    measures: Annotated[str, typer.Option(help="Comma separated, as ir-measures names them.")] = DEFAULT_MEASURES,
    baselines: Annotated[bool, typer.Option("--baselines", help="Compare with TF-IDF, BM25 and dense.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")] = False,
) -> None:
    """Measure a ranking against judgements."""
    if (labs is None) != (needs is None):
        raise typer.BadParameter(T_("--labs and --needs come together"), param_hint="--labs")
    if labs is not None and run is not None:
        raise typer.BadParameter(T_("a run file needs no collection; give one of --run and --labs"), param_hint="--run")
    if run_out is not None and labs is None:
        raise typer.BadParameter(
            T_("comes with --labs and --needs; for the home use: gloria run"), param_hint="--run-out"
        )
    from matcher.evaluation import DEPTH, evaluate_collection, evaluate_home

    depth = DEPTH if top is None else number_or_all(top)
    names = tuple(name.strip() for name in measures.split(",") if name.strip())
    screen = Screen.of(context)
    settings = read_settings()
    with screen.progress() as tell:
        if labs is not None and needs is not None:
            evaluation = evaluate_collection(
                settings, labs, needs, qrels,
                run_out=run_out, top=depth, measures=names, baselines=baselines, progress=tell,
            )  # fmt: skip
        else:
            evaluation = evaluate_home(
                settings, qrels, run=run, top=depth, measures=names, baselines=baselines, progress=tell
            )
    for problem in evaluation.problems:
        screen.complain(problem)
    if as_json:
        write_document(evaluation.as_dict())
    else:
        _print(screen, evaluation)
    finish(evaluation.problems)


def _print(screen: Screen, evaluation: Evaluation) -> None:
    screen.say(T_("%(n_needs)s judged needs", n_needs=evaluation.n_needs))
    screen.out.print(_means(screen, evaluation))
    if evaluation.differences:
        screen.say(
            T_("differences: ours minus baseline, 95 % interval of a paired bootstrap"),
        )
        screen.out.print(_differences(screen, evaluation))


def _means(screen: Screen, evaluation: Evaluation) -> Table:
    names = list(next(iter(evaluation.systems.values())))
    table = _table(screen, names)
    for system, values in evaluation.systems.items():
        table.add_row(system, *(f"{values[name]:.3f}" for name in names))
    return table


def _differences(screen: Screen, evaluation: Evaluation) -> Table:
    columns = screen.text(T_("measure difference low high")).split()
    table = _table(screen, columns)
    for system, row in evaluation.differences.items():
        for name, interval in row.items():
            table.add_row(system, name, *(f"{x:+.3f}" for x in (interval.mean, interval.low, interval.high)))
    return table


def _table(screen: Screen, names: list[str]) -> Table:
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE)
    table.add_column(screen.text(T_("system")))
    for name in names:
        table.add_column(name, justify="right")
    return table
