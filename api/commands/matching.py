"""`gloria reindex`, `map`, `match`, `run` and `evaluate`: what is derived from the records, asked, and measured.

In: the records and the index of the home, or a collection in the exchange format; judgements. Out: a new index
generation, the next map of the field, matches to read or as JSON, a TREC run in a file, a table of systems by
measures with the intervals of their differences. It exists as one module because these commands build on each
other: whoever matches needs an index, and whoever draws the map or measures a ranking needs matches. Progress is
said on stderr.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TextIO
from unicodedata import normalize

import typer

from api.commands.refusals import RefusedError
from api.commands.screen import Screen, finish, write_document
from api.home import open_reading, open_session, read_settings
from indexer.wording import P_, T_, either

if TYPE_CHECKING:
    from rich.table import Table

    from indexer.index.building import ReindexReport
    from indexer.records.profiles import Need
    from indexer.settings import Settings
    from matcher.judging.evaluation import Evaluation
    from matcher.judging.grades import ForetoldGrades
    from matcher.ranking.pairings import Matcher
    from matcher.ranking.wishes import Steering, Stress, Wish
    from matcher.review.mapped.field_map import Drawing
    from matcher.teams.teams import TeamPicks


def rebuild(
    context: typer.Context,
    full: Annotated[
        bool, typer.Option("--full", help="Publish anew even if nothing changed or the index was held back.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")] = False,
) -> None:
    """Bring the index up to date with the records; only what changed is encoded."""
    screen = Screen.of(context)
    report = reindexed(screen, read_settings(), full=full)
    if as_json:
        write_document(report.as_dict())
    else:
        say_report(screen, report)


def reindexed(screen: Screen, settings: Settings, *, full: bool = False) -> ReindexReport:
    """Run the job with a progress bar."""
    from indexer.index.building import reindex

    with open_session(settings) as session, screen.progress() as tell:
        return reindex(session, settings, full=full, progress=tell)


def say_report(screen: Screen, report: ReindexReport) -> None:
    """Print what a re-index did."""
    rate = report.as_dict()["encoded_per_s"]
    state = screen.text(T_("published")) if report.changed else screen.text(T_("nothing changed"))
    if report.held_back is not None:
        state = screen.text(T_("held back"))
    screen.say(
        T_(
            "index %(generation)s (%(state)s): %(labs)s labs, %(needs)s needs, %(passages)s passages",
            generation=report.generation,
            state=state,
            labs=report.labs,
            needs=report.needs,
            passages=report.passages,
        ),
    )
    screen.say(
        T_(
            "vectors: %(reused)s reused, %(encoded)s encoded (%(rate)s per second); %(dropped)s passages dropped",
            reused=report.reused,
            encoded=report.encoded,
            rate=rate,
            dropped=report.dropped,
        ),
    )
    screen.say(
        T_(
            "took %(total_s)s s, peak memory %(peak_memory_mb)s MB",
            total_s=f"{report.total_s:.1f}",
            peak_memory_mb=f"{report.peak_memory_mb:.0f}",
        ),
    )
    if report.held_back is not None:
        screen.say(
            T_(
                "this index is held back, the one before stays in use: %(held_back)s\nto use it all the same, "
                "run: gloria reindex --full",
                held_back=report.held_back,
            ),
        )


SHOWN_UNMET = 10


def redraw(
    context: typer.Context,
    afresh: Annotated[bool, typer.Option("--afresh", help="Forget where everything was on the map.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")] = False,
) -> None:
    """Draw the map of labs and needs, each near where it was before."""
    report = redrawn(read_settings(), afresh=afresh)
    if as_json:
        write_document(report.as_dict())
    else:
        say_map(Screen.of(context), report)


@dataclass(frozen=True)
class MapReport:
    """What is on the map now, and how long it took to get there."""

    drawing: Drawing
    total_s: float

    def as_dict(self) -> dict[str, Any]:
        """Return the report as plain values."""
        drawing = self.drawing
        return {
            "generation": drawing.generation,
            "changed": drawing.changed,
            "labs": len(drawing.labs),
            "needs": len(drawing.needs),
            "new": drawing.new,
            "without_place": drawing.without_place,
            "open_needs": len(drawing.standings),
            "unmet": drawing.unmet,
            "total_s": self.total_s,
        }


def redrawn(settings: Settings, *, afresh: bool = False) -> MapReport:
    """Draw the map and store it with its areas, if it is another than the one before."""
    from datetime import UTC, datetime

    from matcher.ranking.pairings import Matcher
    from matcher.review.mapped.area_names import topics_of_labs
    from matcher.review.mapped.areas import areas_of, keep_areas, kept_areas
    from matcher.review.mapped.field_map import last_map, publish
    from matcher.review.mapped.map_drawing import draw

    started = time.perf_counter()
    with open_reading(settings) as session:
        last = last_map(session)
        matcher = Matcher.load(session, settings)
        drawing = draw(session, matcher, afresh=afresh)
    before = None if last is None or afresh else kept_areas(settings.home, last.inputs)
    if drawing.changed or before is None:
        areas = areas_of(drawing.labs, matcher.labs, topics_of_labs(matcher), before or ())
        # Before the map, so that whoever sees it finds them.
        keep_areas(settings.home, drawing.inputs, areas)
    if drawing.changed:
        with open_session(settings, writes=True) as session:
            publish(session, drawing, now=datetime.now(UTC))
            session.commit()
    return MapReport(drawing, round(time.perf_counter() - started, 3))


def say_map(screen: Screen, report: MapReport) -> None:
    """Print what is on a map and what is new of it."""
    drawing = report.drawing
    state = screen.text(T_("drawn")) if drawing.changed else screen.text(T_("nothing changed"))
    labs, needs, new = len(drawing.labs), len(drawing.needs), drawing.new
    screen.say(
        T_(
            "map of the field (%(state)s): %(labs)s labs, %(needs)s needs; %(new)s places are new, "
            "%(without_place)s could not be placed",
            state=state,
            labs=labs,
            needs=needs,
            new=new,
            without_place=drawing.without_place,
        ),
    )
    unmet = drawing.unmet
    named = ", ".join(unmet[:SHOWN_UNMET]) + ("…" if len(unmet) > SHOWN_UNMET else "")
    counts = T_(
        "%(needs)s open needs, %(unmet)s of them without a strong or plausible lab",
        needs=len(drawing.standings),
        unmet=len(unmet),
    )
    screen.say(T_("%(counts)s: %(named)s", counts=counts, named=named) if unmet else counts)
    screen.say(T_("took %(total_s)s s", total_s=f"{report.total_s:.1f}"))


_PROMINENCE = {"high": T_("high"), "medium": P_("matching", "medium"), "low": T_("low"), "": T_("not stated")}


_PICKS = "most:3, least:2, with:LAB, apart:LAB,LAB, schools:different, region:one, lesser-known, share:500000 (NT$)."
_WISHES = "field, company, language or region."


def match(
    context: typer.Context,
    need_id: Annotated[str | None, typer.Argument(help="The id of a need.")] = None,
    lab: Annotated[
        str | None,
        typer.Option(help="The other direction: needs that this lab should hear of. With a need: what would lift it."),
    ] = None,
    company: Annotated[str | None, typer.Option(help="Companies and needs that are about what this one does.")] = None,
    similar: Annotated[bool, typer.Option("--similar", help="Needs like this one, and what came of them.")] = False,
    companies: Annotated[bool, typer.Option("--companies", help="With --lab: companies to tell of it.")] = False,
    top: Annotated[str, typer.Option(help="How many to show: a number or all.")] = "5",
    less: Annotated[list[str] | None, typer.Option(help="A wish that counts 0.3 times: " + _WISHES)] = None,
    more: Annotated[list[str] | None, typer.Option(help="A wish that counts 3 times: " + _WISHES)] = None,
    must: Annotated[list[str] | None, typer.Option(help="A wish; labs that do not meet it are hidden.")] = None,
    steer: Annotated[
        list[str] | None,
        typer.Option(help="Anything else: region:south.more, ask:2.must, lab:ID.never, school:ID.never."),
    ] = None,
    kept: Annotated[bool, typer.Option("--kept", help="Steered as the need's alliance keeps it.")] = False,
    team: Annotated[bool, typer.Option("--team", help="The fewest labs that cover what the need asks.")] = False,
    pick: Annotated[list[str] | None, typer.Option(help="With --team, what it is made of: " + _PICKS)] = None,
    chain: Annotated[bool, typer.Option("--chain", help="The lab, then the companies that would make it.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")] = False,
) -> None:
    """Show the best labs for a need, with reasons."""
    _check_asked(need_id, lab, company, similar=similar, companies=companies)
    _check_chain(is_chain=chain, is_other=need_id is None or lab is not None or similar or team)
    from api.commands.joint.diagnosing import show_chain
    from api.commands.printing import print_match
    from api.documents.matching.matches import match_document
    from api.trail.request_trail import MACHINE
    from matcher.ranking.pairings import Matcher
    from matcher.ranking.wishes import UNSTEERED, WISH_LABELS

    picks = _picks(pick or (), is_team=team, is_need=need_id is not None and not similar)
    steering = _steering({"less": less, "more": more, "must": must}, steer or ())
    if (lab is not None or company is not None) and (steering != UNSTEERED or kept):
        raise typer.BadParameter(T_("wishes are those of a need: give its id"), param_hint="--lab")
    screen, depth = Screen.of(context), number_or_all(top)
    if similar or companies or company is not None:
        _alike(screen, need_id=need_id, lab_id=lab, company_id=company, depth=depth, as_json=as_json)
        return
    matcher = Matcher.open(read_settings())
    if lab is not None:
        _of_lab(screen, matcher, _stored(lab), need_id, depth, as_json=as_json)
        return
    need = matcher.need(_stored(need_id or ""))
    if kept:
        steering = _kept_steering(screen, need.id, steering)
    if team or chain:
        if team:
            _team(screen, matcher, need, picks, steering, as_json=as_json)
        else:
            show_chain(screen, matcher, need, as_json=as_json)
        return
    result = matcher.match(need, top=depth or len(matcher.labs), steering=steering)
    for wish in (wish for wish in steering.chosen if wish not in result.wishes):
        screen.warn(T_("the need does not state this wish, so it changes nothing: %(wish)s", wish=WISH_LABELS[wish]))
    if as_json:
        write_document(match_document(matcher, result, to=MACHINE))
    else:
        print_match(screen, matcher, result)


def _check_asked(need_id: str | None, lab: str | None, company: str | None, *, similar: bool, companies: bool) -> None:
    """Refuse a question that is about nothing or about several things."""
    is_one_lab = need_id is not None and lab is not None and company is None and not (similar or companies)
    if [need_id, lab, company].count(None) != 2 and not is_one_lab:
        raise typer.BadParameter(
            T_("give the id of a need, or --lab with the id of a lab or both, or --company with the id of a company"),
            param_hint="NEED_ID",
        )
    if (similar and need_id is None) or (companies and lab is None):
        raise typer.BadParameter(T_("--similar is for a need, --companies for a lab"), param_hint="--similar")


def _check_chain(*, is_chain: bool, is_other: bool) -> None:
    """Refuse a chain that is asked for with something else."""
    if is_chain and is_other:
        raise typer.BadParameter(T_("a chain is for a need: NEED_ID --chain"), param_hint="--chain")


def _of_lab(
    screen: Screen, matcher: Matcher, lab_id: str, need_id: str | None, depth: int | None, *, as_json: bool
) -> None:
    """Print the needs that a lab should hear of; with a need, what would lift it there."""
    from api.commands.printing import print_lab_matches
    from api.documents.matching.matches import lab_document
    from api.trail.request_trail import MACHINE

    if need_id is not None:
        _near_misses(screen, matcher, matcher.need(_stored(need_id)), lab_id, as_json=as_json)
        return
    matches = matcher.match_lab(lab_id, list(matcher.needs.values()), top=depth or len(matcher.needs))
    if as_json:
        write_document(lab_document(matcher, lab_id, matches, to=MACHINE))
    else:
        print_lab_matches(screen, matcher, lab_id, matches)


def _near_misses(screen: Screen, matcher: Matcher, need: Need, lab_id: str, *, as_json: bool) -> None:
    """Print how a lab stands for a need and what would lift it; whoever has the home may see all of it."""
    from api.commands.printing import print_near_misses
    from api.documents.conversation.lab_questions import near_miss_document
    from matcher.teams.near_misses import near_misses

    found = near_misses(matcher, need, lab_id)
    if as_json:
        document = [near_miss_document(one, None) for one in found]
        write_document({"need_id": need.id, "lab_id": lab_id, "near_misses": document})
    else:
        print_near_misses(screen, matcher, need, lab_id, found)


def _alike(
    screen: Screen, *, need_id: str | None, lab_id: str | None, company_id: str | None, depth: int | None, as_json: bool
) -> None:
    """Print what is like a need or a company, or the companies for a lab; whoever has the home may see all of it."""
    from sqlalchemy import true
    from sqlmodel import select

    from api.commands.printing import print_lab_companies, print_like
    from api.documents.matching.matches import lab_companies_document, like_companies, like_needs_document
    from matcher.ranking.pairings import Matcher, UnknownRecordError
    from matcher.review.intake import NeedIntake
    from matcher.review.likeness import alike, cases_of, lab_companies, of_company, of_need

    settings = read_settings()
    with open_reading(settings) as session:
        matcher = Matcher.load(session, settings)
        needs, firms = matcher.needs, matcher.companies
        top = depth or len(needs) + len(firms)
        if lab_id is not None:
            found = lab_companies(matcher, _stored(lab_id), list(firms.values()), list(needs.values()), top=top)
            if as_json:
                write_document(lab_companies_document(matcher, _stored(lab_id), found))
            else:
                print_lab_companies(screen, matcher, _stored(lab_id), found)
            return
        if company_id is not None and _stored(company_id) not in firms:
            raise UnknownRecordError(T_("there is no company %(company_id)r", company_id=company_id))
        asked = of_need(matcher.need(_stored(need_id))) if need_id else of_company(firms[_stored(company_id or "")])
        like = alike(matcher, asked, map(of_need, needs.values()), top=top)
        cases = cases_of(session, [one.id for one in like], true())
        states = dict(session.exec(select(NeedIntake.need_id, NeedIntake.state)).all())
        firms_like = alike(matcher, asked, map(of_company, firms.values()), top=top) if company_id else []
    document = like_needs_document(matcher, like, needs=needs, states=states, cases=cases)
    if company_id is not None:
        document["companies"] = like_companies(matcher, firms_like)
    if as_json:
        write_document(document)
    else:
        print_like(screen, matcher, like, cases, firms_like if company_id is not None else None)


def _picks(words: Sequence[str], *, is_team: bool, is_need: bool) -> TeamPicks:
    """Return what is picked of a team, as `TeamPicks.read` takes it."""
    from matcher.teams.teams import TeamPicks

    if (is_team and not is_need) or (words and not is_team):
        raise typer.BadParameter(T_("a team is for a need: NEED_ID --team"), param_hint="--team")
    try:
        return TeamPicks.read(words)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--pick") from error


def _team(screen: Screen, matcher: Matcher, need: Need, picks: TeamPicks, steering: Steering, *, as_json: bool) -> None:
    """Print the team for a need; whoever has the home may see all of it."""
    from api.commands.printing import print_team
    from api.documents.matching.teams import team_document
    from api.trail.request_trail import MACHINE
    from indexer.instants import day_in_taipei, now
    from matcher.review.conversation.signing import labs_at_limit
    from matcher.teams.teams import team_for

    with open_reading(read_settings()) as session:
        full = labs_at_limit(session, matcher.labs, need.id, day_in_taipei(now()))
    found = team_for(matcher, need, picks, steering=steering, full=full)
    if as_json:
        write_document(team_document(matcher, found, to=MACHINE))
    else:
        print_team(screen, matcher, found)


def _kept_steering(screen: Screen, need_id: str, given: Steering) -> Steering:
    """Return what the alliance that has a need keeps with it, with what the options say beside or instead."""
    from matcher.ranking.wishes import Steering
    from matcher.review.intake import NeedIntake
    from matcher.review.steering import kept_steerings, steering_of

    with open_reading(read_settings()) as session:
        intake = session.get(NeedIntake, need_id)
        rows = kept_steerings(session, need_id, intake.alliance_id or "") if intake else ()
        if not rows or not rows[0][0].words:
            screen.warn(T_("nothing is kept with this need: it is ranked as usual"))
            return given
        return Steering.read([*steering_of(session, rows[0][0]).words, *given.words])


def _steering(chosen: Mapping[str, Sequence[str] | None], words: Sequence[str]) -> Steering:
    """Return what the options choose.

    Args:
        chosen: the wishes under the name of the option, which is that of the stress.
        words: what else is chosen, as `--steer` takes it.

    Raises:
        typer.BadParameter: there is no such wish, or two things are chosen for one, or a word steers nothing.
    """
    from matcher.ranking.wishes import Steering, Stress, Wish

    found: dict[Wish, Stress] = {}
    for option, names in chosen.items():
        for word in names or ():
            if word not in set(Wish):
                problem = T_("%(word)r is no wish; wishes are %(known)s", word=word, known=", ".join(Wish))
                raise typer.BadParameter(problem, param_hint=f"--{option}")
            if found.setdefault(Wish(word), Stress(option)).value != option:
                problem = T_("%(word)s is chosen twice; one of --less, --more and --must is enough", word=word)
                raise typer.BadParameter(problem, param_hint=f"--{option}")
    try:
        return Steering.read([*Steering.of(found).words, *words])
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--steer") from error


def _stored(written: str) -> str:
    """Return an id as the import stores it: full-width letters become plain ones."""
    return normalize("NFKC", written).strip()


def number_or_all(value: str) -> int | None:
    """Read `--top`: a number from 1 on, or `all` (None)."""
    if value == "all":
        return None
    if not value.isascii() or not value.isdigit() or not 0 < int(value) < 2**31:
        raise typer.BadParameter(T_("%(value)r is neither a number from 1 on nor all", value=value), param_hint="--top")
    return int(value)


def run(
    context: typer.Context,
    top: Annotated[str, typer.Option(help="How many labs per need: a number or all.")],
    out: Annotated[Path, typer.Option(help="File to write; an existing one is replaced when all is done.")],
) -> None:
    """Rank the labs for every need; lines of `need Q0 lab rank score tag`."""
    depth = number_or_all(top)
    from matcher.judging.measures import write_run
    from matcher.ranking.pairings import Matcher

    screen = Screen.of(context)
    matcher = Matcher.open(read_settings())
    if not matcher.needs:
        raise RefusedError(T_("no needs are stored; import some first: gloria import needs.jsonl"))
    for warning in matcher.warnings:
        screen.warn(either(warning.zh, warning.en))
    with replaced(out) as file, screen.progress() as tell:
        shown = write_run(matcher, depth, file, progress=lambda done, total: tell("match", done, total))
    _say_exposure(screen, matcher, shown)


@contextmanager
def replaced(path: Path) -> Iterator[TextIO]:
    """Open a file for writing that takes the place of `path` only once it is complete."""
    if path.exists() and not path.is_file():
        with path.open("w", encoding="utf-8", newline="\n") as file:
            yield file
        return
    partial = path.with_name(f".{path.name}.partial")
    try:
        with partial.open("w", encoding="utf-8", newline="\n") as file:
            yield file
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def _say_exposure(screen: Screen, matcher: Matcher, shown: Counter[str]) -> None:
    """Say how often schools of each prominence are shown, beside their share of all labs."""
    lines, labs = shown.total(), _labs_by_prominence(matcher)
    parts = [
        f"{screen.text(names)} {shown[key] / lines:.0%} ({labs[key] / labs.total():.0%})"
        for key, names in _PROMINENCE.items()
        if lines and labs[key]
    ]
    listed = ", ".join(parts)
    screen.note(
        T_(
            "%(lines)s lines; shown by prominence of the school (in brackets: share of all labs): %(listed)s",
            lines=lines,
            listed=listed,
        ),
    )


def _labs_by_prominence(matcher: Matcher) -> Counter[str]:
    """Return how many labs belong to schools of each prominence ("" if not known)."""
    schools = (matcher.schools.get(lab.school or "") for lab in matcher.labs.values())
    return Counter((school.prominence if school else None) or "" for school in schools)


DEFAULT_MEASURES = "nDCG@10,RR,R@10,R@100,P@5"


def evaluate(
    context: typer.Context,
    *,
    qrels: Annotated[Path | None, typer.Option(help="Judgements: lines of `need 0 lab grade`.")] = None,
    train: Annotated[Path | None, typer.Option(help="Judgements to learn from, in place of --qrels.")] = None,
    test: Annotated[Path | None, typer.Option(help="With --train: judgements that are foretold.")] = None,
    run: Annotated[Path | None, typer.Option(help="Evaluate this run file instead of ranking.")] = None,
    labs: Annotated[Path | None, typer.Option(help="Evaluate another collection: its labs.")] = None,
    needs: Annotated[Path | None, typer.Option(help="Its needs.")] = None,
    run_out: Annotated[Path | None, typer.Option(help="With --labs: write the run to this file too.")] = None,
    top: Annotated[str | None, typer.Option(help="Labs per need that are ranked: a number or all [1000].")] = None,
    measures: Annotated[str, typer.Option(help="Comma separated, as ir-measures names them.")] = DEFAULT_MEASURES,
    baselines: Annotated[
        bool, typer.Option("--baselines", help="Compare with TF-IDF, BM25, dense and size only.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")] = False,
) -> None:
    """Measure a ranking against judgements, and how well some foretell the others."""
    judged = _judged(qrels, train, test, run)
    if (labs is None) != (needs is None):
        raise typer.BadParameter(T_("--labs and --needs come together"), param_hint="--labs")
    if labs is not None and run is not None:
        raise typer.BadParameter(T_("a run file needs no collection; give one of --run and --labs"), param_hint="--run")
    if run_out is not None and labs is None:
        raise typer.BadParameter(
            T_("comes with --labs and --needs; for the home use: gloria run"), param_hint="--run-out"
        )
    from matcher.judging.evaluation import DEPTH, evaluate_collection, evaluate_home

    depth = DEPTH if top is None else number_or_all(top)
    names = tuple(name.strip() for name in measures.split(",") if name.strip())
    screen = Screen.of(context)
    settings = read_settings()
    with screen.progress() as tell:
        if labs is not None and needs is not None:
            evaluation = evaluate_collection(
                settings, labs, needs, judged,
                train=train, run_out=run_out, top=depth, measures=names, baselines=baselines, progress=tell,
            )  # fmt: skip
        else:
            evaluation = evaluate_home(
                settings, judged,
                train=train, run=run, top=depth, measures=names, baselines=baselines, progress=tell,
            )  # fmt: skip
    for problem in evaluation.problems:
        screen.complain(problem)
    if as_json:
        write_document(evaluation.as_dict())
    else:
        _print(screen, evaluation)
    finish(evaluation.problems)


def _judged(qrels: Path | None, train: Path | None, test: Path | None, run: Path | None) -> Path:
    """Return the judgements that are measured against."""
    if (train is None) != (test is None):
        raise typer.BadParameter(T_("--train and --test come together"), param_hint="--train")
    if train is not None and run is not None:
        raise typer.BadParameter(T_("a run file has nothing to learn from; leave out --run"), param_hint="--run")
    found = qrels or test
    if found is None or (qrels is not None and test is not None):
        raise typer.BadParameter(T_("give either --qrels or --train and --test"), param_hint="--qrels")
    return found


def _print(screen: Screen, evaluation: Evaluation) -> None:
    screen.say(T_("%(n_needs)s judged needs", n_needs=evaluation.n_needs))
    screen.out.print(_means(screen, evaluation))
    if evaluation.differences:
        screen.say(
            T_("differences: ours minus baseline, 95 % interval of a paired bootstrap"),
        )
        screen.out.print(_differences(screen, evaluation))
    if evaluation.grades is not None:
        _say_grades(screen, evaluation.grades)


def _say_grades(screen: Screen, found: ForetoldGrades) -> None:
    screen.say(
        T_(
            "grades: learned from %(learned)s pairs, %(asked)s foretold; a foretold grade is off by %(error)s on "
            "average; %(figures)s",
            learned=found.learned_from,
            asked=found.asked,
            error=f"{found.mean_error:.3f}",
            figures=", ".join(f"{name} {value:.3f}" for name, value in found.figures.items()),
        ),
    )


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
