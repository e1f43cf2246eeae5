"""Runs and judgements as TREC files, the value of each measure, and intervals for differences.

In: an opened matcher or a run file, and a file of what experts graded. Out: lines `need Q0 lab rank score tag`,
best first, and how often schools of each prominence were shown; grades and scores by need and lab, with a message
for every line that can't be used; each measure per need as `ir-measures` computes it, and paired-bootstrap
intervals. It exists so that a ranking can be judged by any evaluation tool, so that every figure of the product is
computed in one place by a known library, and because judgement files are written by people: a bad line must neither
stop nor silently change a figure.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

import numpy as np
import numpy.typing as npt

from indexer.wording import T_
from matcher.ranking.pairings import Matcher

if TYPE_CHECKING:
    from ir_measures import Measure


TAG = "gloria"
TIE_STEP = 1e-5
"""Equal scores are written this much apart: tools break ties in an order of their own, and trec_eval keeps
scores in single precision, where scores of our size are 4e-6 apart."""

Run = dict[str, dict[str, float]]
Progress = Callable[[int, int], None]


def ranked(
    matcher: Matcher, top: int | None, progress: Progress | None = None
) -> Iterator[tuple[str, dict[str, float]]]:
    """Yield for every need its id and the score of its best `top` labs (None: of all that may be proposed).

    The scores of a need fall strictly, so that every tool reads the same order.
    """
    needs = [matcher.needs[need_id] for need_id in sorted(matcher.needs)]
    for done, ranking in enumerate(matcher.rankings(needs, second_look=True), start=1):
        scores: dict[str, float] = {}
        last = float("inf")
        for row in ranking.order[:top]:
            last = min(float(ranking.scores[row]), last - TIE_STEP)
            scores[matcher.snapshot.lab_ids[row]] = last
        yield ranking.query.need.id, scores
        if progress is not None:
            progress(done, len(needs))


def write_lines(out: TextIO, need_id: str, scores: dict[str, float], tag: str = TAG) -> None:
    """Write one need's labs as TREC run lines; `scores` is in the order of ranks."""
    for rank, (lab_id, score) in enumerate(scores.items(), start=1):
        out.write(f"{need_id} Q0 {lab_id} {rank} {score:.6f} {tag}\n")


def write_run(matcher: Matcher, top: int | None, out: TextIO, progress: Progress | None = None) -> Counter[str]:
    """Write a run and return how many of its lines show a lab of each school prominence ("" if not known)."""
    shown: Counter[str] = Counter()
    for need_id, scores in ranked(matcher, top, progress):
        write_lines(out, need_id, scores)
        for lab_id in scores:
            school = matcher.schools.get(matcher.labs[lab_id].school or "")
            shown[(school.prominence if school else None) or ""] += 1
    return shown


Qrels = dict[str, dict[str, int]]


class EvaluationError(ValueError):
    """Nothing can be evaluated; the message says what is wrong and what would be right."""


def read_qrels(path: Path) -> tuple[Qrels, list[str]]:
    """Read TREC judgements, `need 0 lab grade` per line.

    Returns:
        grades by need and lab, and one message per refused line.

    Raises:
        EvaluationError: no line can be used, or no lab is graded above 0.
    """
    grades, problems = _read_grades(path)
    judged: Qrels = {}
    for (need_id, lab_id), (_, grade) in grades.items():
        judged.setdefault(need_id, {})[lab_id] = grade
    if not any(grade > 0 for grades in judged.values() for grade in grades.values()):
        detail = "".join(f"\n{problem}" for problem in problems[:3])
        raise EvaluationError(
            T_(
                "%(path)s: no lab is judged relevant; expected lines such as `need-1 0 lab-1 2`%(detail)s",
                path=path,
                detail=detail,
            )
        )
    return judged, problems


Grades = dict[tuple[str, str], tuple[int, int]]
"""For each need and lab the number of the line that grades it, and the grade."""


def read_grades(path: Path) -> tuple[Grades, list[str]]:
    """Read TREC judgements as `read_qrels` does, but for grades of any height, each with the line it stands in.

    Raises:
        EvaluationError: no line can be used.
    """
    grades, problems = _read_grades(path)
    if not grades:
        detail = "".join(f"\n{problem}" for problem in problems[:3])
        raise EvaluationError(
            T_(
                "%(path)s: no pair is graded; expected lines such as `need-1 0 lab-1 2`%(detail)s",
                path=path,
                detail=detail,
            )
        )
    return grades, problems


def _read_grades(path: Path) -> tuple[Grades, list[str]]:
    grades: Grades = {}
    problems = []
    for number, parts in _lines(path):
        try:
            need_id, _, lab_id, written = parts
            grade = int(written)
        except ValueError:
            problems.append(f"{path.name}:{number} expected `need 0 lab grade` with a whole number as grade")
            continue
        before, other = grades.get((need_id, lab_id), (number, grade))
        if other != grade:
            problems.append(
                f"{path.name}:{number} grades {need_id} with {lab_id} again, {grade} after {other} in line {before}; "
                "the last one counts"
            )
        grades[need_id, lab_id] = (number, grade)
    return grades, problems


def read_run(path: Path) -> tuple[Run, list[str]]:
    """Read a TREC run, `need Q0 lab rank score tag` per line; the order is that of the scores.

    Returns:
        scores by need and lab, and one message per refused line.

    Raises:
        EvaluationError: no line can be used.
    """
    run: Run = {}
    problems = []
    for number, parts in _lines(path):
        try:
            need_id, _, lab_id, _, score, _ = parts
            value = float(score)
            if not math.isfinite(value):
                raise ValueError(score)
        except ValueError:
            problems.append(f"{path.name}:{number} expected `need Q0 lab rank score tag` with a number as score")
            continue
        run.setdefault(need_id, {})[lab_id] = value
    if not run:
        raise EvaluationError(
            T_("%(path)s: no usable line; expected such as `need-1 Q0 lab-1 1 7.5 %(tag)s`", path=path, tag=TAG)
        )
    return run, problems


def _lines(path: Path) -> Iterable[tuple[int, list[str]]]:
    try:
        content = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise EvaluationError(T_("%(path)s is not UTF-8 text; save it as UTF-8", path=path)) from error
    for number, line in enumerate(content.splitlines(), start=1):
        if line.strip():
            yield number, line.split()


MEASURES = ("nDCG@10", "RR", "R@10", "R@100", "P@5")
BOOTSTRAP_SAMPLES = 10_000
SEED = 106


@dataclass(frozen=True)
class Interval:
    """Mean of a difference with the bounds of its 95 % interval."""

    mean: float
    low: float
    high: float


def parsed_measures(names: Sequence[str]) -> dict[str, Measure]:
    """Return measures by the name they were asked for.

    Raises:
        EvaluationError: there is none, or a name is not one of `ir-measures`.
    """
    import ir_measures

    found: dict[str, Measure] = {}
    for name in names:
        try:
            found[name] = ir_measures.parse_measure(name)
        except (ValueError, NameError, SyntaxError, TypeError) as error:
            raise EvaluationError(
                T_("unknown measure %(name)r; known are such as %(measures)s", name=name, measures=", ".join(MEASURES))
            ) from error
    if not found:
        raise EvaluationError(T_("no measure is named; give such as %(measures)s", measures=",".join(MEASURES)))
    return found


def measure(judged: Mapping[str, Mapping[str, int]], run: Run, names: Sequence[str]) -> dict[str, dict[str, float]]:
    """Return each measure's value for each judged need; a need that the run lacks has 0.

    Args:
        judged: grades by need and lab; needs without a relevant lab are left out.
        run: scores by need and lab.
        names: measures as `ir-measures` writes them.
    """
    import ir_measures

    wanted = parsed_measures(names)
    needs = {need: dict(grades) for need, grades in judged.items() if any(grade > 0 for grade in grades.values())}
    values: dict[str, dict[str, float]] = {name: dict.fromkeys(sorted(needs), 0.0) for name in wanted}
    by_measure = {str(parsed): name for name, parsed in wanted.items()}
    for metric in ir_measures.iter_calc(list(wanted.values()), needs, run):
        values[by_measure[str(metric.measure)]][metric.query_id] = float(metric.value)
    return values


def paired_bootstrap(ours: npt.NDArray[np.float64], theirs: npt.NDArray[np.float64]) -> Interval:
    """Return the mean of ours − theirs over needs, with the percentile 95 % interval of a paired bootstrap.

    The seed is fixed: the same input gives the same interval.
    """
    difference = ours - theirs
    chance = np.random.default_rng(SEED)
    picks = chance.integers(0, len(difference), size=(BOOTSTRAP_SAMPLES, len(difference)))
    low, high = np.percentile(difference[picks].mean(axis=1), [2.5, 97.5])
    return Interval(float(difference.mean()), float(low), float(high))
