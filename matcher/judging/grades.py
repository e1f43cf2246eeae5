"""Two files of judgements in; how well grades are foretold out: learned on the one, asked about the other.

In: an opened matcher, and judged pairs to learn from and to be asked about. Out: `1/(1+MAE)` over all pairs asked
about, on the scale of the grades learned from, `nDCG@10` of each need's asked pairs, and a message for whatever could
not be taken as it stood. It exists because who grades pairs wants to know what those grades teach. The two figures
read one estimate per pair (`grade_learning`): the error is that of its median, the order that of its mean. A pair
whose need or lab is not known gets the mean of the grades learned from, so that no pair asked about disappears.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from indexer.wording import T_
from matcher.judging.grade_learning import FEWEST, estimated_grades
from matcher.judging.measures import EvaluationError, Grades, Qrels, Run, measure, read_grades
from matcher.judging.pair_evidence import pair_evidence
from matcher.ranking.pairings import Matcher

CLOSENESS, ORDER = "1/(1+MAE)", "nDCG@10"
Pair = tuple[str, str]


@dataclass(frozen=True)
class ForetoldGrades:
    """What came of it: figures by name, the mean error in grades, and how many pairs were learned from and asked."""

    figures: dict[str, float]
    mean_error: float
    learned_from: int
    asked: int
    problems: list[str] = field(default_factory=list)


def foretold_grades(
    matcher: Matcher, train: Path, test: Path, progress: Callable[[int, int], None] | None = None
) -> ForetoldGrades:
    """Learn from the grades of one file and foretell those of another.

    Raises:
        EvaluationError: a file has no usable line, or nothing is left to learn from.
    """
    taught, problems = read_grades(train)
    asked, more = read_grades(test)
    problems += more
    both = taught.keys() & asked.keys()
    if both:
        problems.append(_said_of_both(taught, asked, both, train, test))
        taught = {pair: found for pair, found in taught.items() if pair not in both}
    problems += _unknown(matcher, taught, train.name, T_("they are not learned from"))
    known = [pair for pair in taught if _is_known(matcher, pair)]
    if not known:
        raise EvaluationError(
            T_(
                "%(path)s: nothing to learn from; expected stored needs with indexed labs in pairs that %(test)s lacks",
                path=train,
                test=test.name,
            )
        )
    if len(known) < FEWEST:
        problems.append(
            T_(
                "%(path)s: %(n)s pairs are too few to learn from, %(least)s would do; all get the median and the mean",
                path=train.name,
                n=len(known),
                least=FEWEST,
            )
        )
    problems += _unknown(matcher, asked, test.name, T_("they get the mean of the grades learned from"))
    medians, means = _estimates(matcher, {pair: taught[pair][1] for pair in known}, list(asked), progress)
    wrong = float(np.mean([abs(medians[pair] - grade) for pair, (_, grade) in asked.items()]))
    figures = {CLOSENESS: 1 / (1 + wrong), ORDER: _order(asked, means)}
    return ForetoldGrades(figures, wrong, len(known), len(asked), problems)


def _is_known(matcher: Matcher, pair: Pair) -> bool:
    return pair[0] in matcher.needs and pair[1] in matcher.labs and pair[1] in matcher.searcher.lab_rows


def _said_of_both(taught: Grades, asked: Grades, both: set[Pair], train: Path, test: Path) -> str:
    first = min(both, key=lambda pair: asked[pair][0])
    return T_(
        "%(n)s pairs stand in both files, such as %(need)s with %(lab)s (%(train)s:%(at)s, %(test)s:%(again)s); "
        "they are not learned from",
        n=len(both),
        need=first[0],
        lab=first[1],
        train=train.name,
        at=taught[first][0],
        test=test.name,
        again=asked[first][0],
    )


def _unknown(matcher: Matcher, grades: Grades, name: str, what_then: str) -> Iterator[str]:
    """Say which needs are not stored, and which labs not stored and indexed, with the first line of each."""
    lines: dict[str, int] = {}
    for (need, lab), (line, _) in grades.items():
        if need not in matcher.needs:
            lines.setdefault(need, line)
        elif not _is_known(matcher, (need, lab)):
            lines.setdefault(lab, line)
    pairs = sum(not _is_known(matcher, pair) for pair in grades)
    if lines:
        yield T_(
            "%(name)s: %(pairs)s pairs are of needs or labs that are not stored and indexed: %(named)s; %(what_then)s",
            name=name,
            pairs=pairs,
            named=", ".join(f"{record} ({name}:{line})" for record, line in list(lines.items())[:NAMED])
            + (", …" if len(lines) > NAMED else ""),
            what_then=what_then,
        )


NAMED = 20
"""Unknown records that are named; of more it is said how many pairs they concern."""


def _estimates(
    matcher: Matcher, taught: dict[Pair, int], asked: list[Pair], progress: Callable[[int, int], None] | None
) -> tuple[dict[Pair, float], dict[Pair, float]]:
    """Return the median and the mean for each pair asked about."""
    grades = np.array(list(taught.values()), dtype=np.float64)
    medians: dict[Pair, float] = dict.fromkeys(asked, float(grades.mean()))
    means = medians.copy()
    known = [pair for pair in asked if _is_known(matcher, pair)]
    evidence = pair_evidence(matcher, [*taught, *known], progress)
    rows = np.arange(len(evidence))
    found = estimated_grades(evidence, rows[: len(taught)], grades, rows[len(taught) :])
    medians |= dict(zip(known, found.medians.tolist(), strict=True))
    means |= dict(zip(known, found.means.tolist(), strict=True))
    return medians, means


def _order(asked: Grades, means: dict[Pair, float]) -> float:
    """Return the mean nDCG@10 of the needs that have a grade above 0, each over its own pairs only."""
    judged: Qrels = {}
    for (need, lab), (_, grade) in asked.items():
        judged.setdefault(need, {})[lab] = grade
    # Whole numbers in place of scores, so that every tool breaks ties as we do: by the lab's id.
    run: Run = {}
    for need, labs in judged.items():
        best_first = sorted((-means[need, lab], lab) for lab in labs)
        run[need] = {lab: -float(place) for place, (_, lab) in enumerate(best_first)}
    return float(np.mean(list(measure(judged, run, [ORDER])[ORDER].values())))
