"""Every need ranked, as a TREC run.

In: an opened matcher. Out: lines `need Q0 lab rank score tag`, best first, and
how often schools of each prominence were shown. It exists so that a ranking
can be judged by any evaluation tool and so that the programme can see whether
lesser-known schools are shown.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from typing import TextIO

from matcher.pairings import Matcher

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
    for done, ranking in enumerate(matcher.rankings(needs), start=1):
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
