"""Judgements and runs from files: what experts graded, what a system ranked.

In: TREC qrels and run files. Out: grades and scores by need and lab, and a
message for every line that can't be used. It exists because judgement files are
written by people, and a bad line must neither stop nor silently change a figure.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from pathlib import Path

from indexer.wording import T_
from matcher.run import TAG, Run

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
    judged: Qrels = {}
    problems = []
    for number, parts in _lines(path):
        try:
            need_id, _, lab_id, grade = parts
            judged.setdefault(need_id, {})[lab_id] = int(grade)
        except ValueError:
            problems.append(f"{path.name}:{number} expected `need 0 lab grade` with a whole number as grade")
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
