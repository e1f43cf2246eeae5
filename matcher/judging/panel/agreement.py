"""How far two judges agree, and which grade comes of what they said.

In: the grades that two people gave the same pairs, and where they differ a third person's. Out: the share of equal
grades, Cohen's kappa without weights and with quadratic ones, the table of who said what; one grade for each pair,
as TREC judgements. It exists because a grade of one person is an opinion, and because figures about a ranking are
worth what its judges' agreement is worth.

Kappa is (observed − expected agreement) / (1 − expected agreement), expected from how often each judge gives each
grade (Cohen, "A coefficient of agreement for nominal scales", 1960); with weights a difference of two grades counts
four times one of one (Cohen, "Weighted kappa", 1968). scikit-learn computes both. Where both give one and the same
grade throughout there is nothing to correct for chance, and kappa is not defined.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

GRADES = (0, 1, 2, 3)
"""From not useful to an expert would introduce it; `fixtures/README.md` has the rules in full."""
FAR_APART = 2
"""Two grades that differ by so much are looked at again."""


@dataclass(frozen=True)
class Agreement:
    """How far two judges agree over the pairs that both graded.

    `table[i][j]` counts the pairs to which the first gave grade i and the second j. `equal` and `within_one` are
    shares from 0 to 1; they and the kappas are None where they are not defined.
    """

    pairs: int
    equal: float | None
    within_one: float | None
    kappa: float | None
    weighted_kappa: float | None
    table: tuple[tuple[int, ...], ...]


def agreement(grades: Sequence[tuple[int, int]]) -> Agreement:
    """Return how far two judges agree: `grades` holds what the first and the second gave each pair."""
    table = tuple(tuple(sum(pair == (i, j) for pair in grades) for j in GRADES) for i in GRADES)
    total = len(grades)
    near = sum(abs(one - other) <= 1 for one, other in grades)
    return Agreement(
        pairs=total,
        equal=sum(table[grade][grade] for grade in GRADES) / total if total else None,
        within_one=near / total if total else None,
        kappa=_kappa(grades, None),
        weighted_kappa=_kappa(grades, "quadratic"),
        table=table,
    )


def _kappa(grades: Sequence[tuple[int, int]], weights: str | None) -> float | None:
    if len({grade for pair in grades for grade in pair}) < 2:
        return None
    # Heavy, and needed by one page only.
    from sklearn.metrics import cohen_kappa_score

    first, second = zip(*grades, strict=True)
    return float(cohen_kappa_score(first, second, labels=list(GRADES), weights=weights))


def final_grade(first: int | None, second: int | None, settled: int | None) -> int | None:
    """Return the grade of a pair: the agreed one, else the settled one, else the lower of the two.

    None stands for a judge who could not say; a pair that only one could grade has that one's grade, and a pair that
    nobody could is not judged.
    """
    given = [grade for grade in (first, second) if grade is not None]
    if len(set(given)) < 2:
        return given[0] if given else settled
    return min(given) if settled is None else settled


def qrels_text(grades: Iterable[tuple[str, str, int]]) -> str:
    """Return TREC judgements, `need 0 lab grade` per line, by need and lab."""
    return "".join(f"{need_id} 0 {lab_id} {grade}\n" for need_id, lab_id, grade in sorted(grades))
