"""Searching for experts: free text in, ranked labs out; no text, all labs by name.

In: what a person typed, the stored labs, and the ranking of a need that says
just that. Out: labs with the passage that speaks for each. It exists beside
matching because a search has no hard rules, and because a person also types
names: a lab whose name, id or head is the text comes first, in the index or
not.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from indexer.arrays import BoolArray
from indexer.folding import for_names, for_search, whole_names
from indexer.plain_text import clean
from indexer.records.profiles import Lab, Need, School
from indexer.vocabulary import Confidentiality
from indexer.wording import Bilingual
from matcher.ranking.explanation import Speaking, speaking
from matcher.ranking.lab_table import (
    Columns,
    Facets,
    Filters,
    LabTable,
    facets,
    passing,
)
from matcher.ranking.opened.catalogue import Catalogue
from matcher.ranking.opened.opened_index import OpenedIndex
from matcher.ranking.ranker import Band, Ranking, band_columns

MAX_CHARS = 2000
"""Longest text that may be searched for."""


@dataclass(frozen=True)
class FoundLab:
    """One lab of a search.

    `rank` counts from 1 whatever filters hide. `by_name`: the text stands in its id, its names or
    its head's name in any order, or is its school's name.
    `score`, `band` and `speaking` are None in a list without a text and for a lab that is not in the index yet.
    """

    lab: Lab
    school: School | None
    rank: int
    score: float | None
    band: Band | None
    by_name: bool
    speaking: Speaking | None
    changed_since_index: bool


@dataclass(frozen=True)
class LabSearch:
    """A page of a search; `total` labs pass the filters, on all pages together, `facets` counts those without.

    `fitting` of them are found by name or may well be what is looked for: any text ranks all labs, the last ones too.
    """

    text: str
    labs: tuple[FoundLab, ...]
    total: int
    fitting: int
    facets: Facets
    generation: str
    created_at: str
    warnings: tuple[Bilingual, ...]


@dataclass(frozen=True)
class LabList:
    """All stored labs by id, with their rows in the index (-1: not there), and the order of their names.

    `said` is what each is called, folded; `heads` and `schools` are the names of its head and its school, to be equal.
    """

    table: LabTable
    index_rows: npt.NDArray[np.int64]
    said: tuple[str, ...]
    heads: tuple[frozenset[str], ...]
    schools: tuple[frozenset[str], ...]
    by_name: list[int]

    @classmethod
    def of(cls, catalogue: Catalogue, lab_rows: Mapping[str, int]) -> LabList:
        """Return the list of a catalogue's labs; `lab_rows` are the rows of the indexed ones."""
        labs = list(catalogue.labs.values())
        order = sorted(range(len(labs)), key=lambda row: ((labs[row].name or labs[row].name_en).casefold(), row))
        return cls(
            table=LabTable.of(tuple(catalogue.labs), catalogue.labs, catalogue.schools),
            index_rows=np.array([lab_rows.get(lab.id, -1) for lab in labs], dtype=np.int64),
            said=tuple("\n".join(map(for_search, (lab.id, lab.name, lab.name_en, lab.pi))) for lab in labs),
            heads=tuple(whole_names(lab.pi) for lab in labs),
            schools=tuple(_names_of(catalogue.schools.get(lab.school or "")) for lab in labs),
            by_name=order,
        )


@dataclass(frozen=True)
class FoundRows:
    """Rows of a `LabList` in order, before filters; `scores` are not a number for labs that are not in the index."""

    rows: list[int]
    columns: Mapping[str, Columns]
    scores: npt.NDArray[np.float64]
    named: BoolArray


def _names_of(school: School | None) -> frozenset[str]:
    return frozenset() if school is None else frozenset(for_names(one) for one in (school.name, school.name_en) if one)


def searched(text: str) -> str:
    """Return a text as it is searched for.

    Raises:
        indexer.plain_text.TextError: it is too long or has characters that no text may have.
    """
    return clean(text, max_chars=MAX_CHARS, multiline=False)


def plain_need(text: str) -> Need:
    """Return the need that says this text and nothing else."""
    public = Confidentiality.PUBLIC.value
    return Need("", None, None, text, "", (), (), None, None, public, None, (), (), None)


def alphabetical(listed: LabList) -> FoundRows:
    """Return all labs by name."""
    nobody = np.zeros(len(listed.said), dtype=bool)
    return FoundRows(listed.by_name, listed.table.columns, np.full(len(listed.said), np.nan), nobody)


def found_by_text(text: str, listed: LabList, ranking: Ranking) -> FoundRows:
    """Return the indexed labs as ranked, after all those whose name, head or school the text is."""
    wanted, person, school = for_search(text), whole_names(text), for_names(text)
    called = zip(listed.said, listed.heads, listed.schools, strict=True)
    named = np.array(
        [wanted in said or bool(person & head) or school in schools for said, head, schools in called], dtype=bool
    )
    indexed = listed.index_rows >= 0
    scores = np.where(indexed, ranking.scores[listed.index_rows], np.nan)
    members = np.flatnonzero(indexed | named)
    # Rows are in the order of ids, so equal scores are too.
    order = np.lexsort((members, -np.nan_to_num(scores[members], nan=-np.inf), ~named[members]))
    columns = {**listed.table.columns, "band": band_columns(scores, ranking.ranker)}
    return FoundRows([int(row) for row in members[order]], columns, scores, named)


def answer(
    text: str,
    found: FoundRows,
    *,
    listed: LabList,
    catalogue: Catalogue,
    index: OpenedIndex,
    ranking: Ranking | None,
    changed: frozenset[str],
    filters: Filters,
    page: slice,
    warnings: tuple[Bilingual, ...],
) -> LabSearch:
    """Return a page of what was found.

    Args:
        text: what was searched for.
        found: the labs in order.
        listed: all stored labs.
        catalogue: the records.
        index: where the passages are quoted from.
        ranking: that of the text; None where there was no text.
        changed: labs whose texts are newer than the index, or not in it.
        filters: hide labs.
        page: which of those that pass the filters.
        warnings: what to say beside the answer.
    """
    size = len(listed.said)
    kept, members = passing(filters, found.columns, size), np.zeros(size, dtype=bool)
    members[found.rows] = True
    shown = [(rank, row) for rank, row in enumerate(found.rows, start=1) if kept[row]]
    labs = []
    for rank, row in shown[page]:
        lab, scored = listed.table.profiles[row], ranking is not None and listed.index_rows[row] >= 0
        labs.append(
            FoundLab(
                lab=lab,
                school=catalogue.schools.get(lab.school or ""),
                rank=rank,
                score=float(found.scores[row]) if scored else None,
                band=ranking.band(int(listed.index_rows[row])) if ranking and scored else None,
                by_name=bool(found.named[row]),
                speaking=_best(ranking, index, int(listed.index_rows[row])) if ranking and scored else None,
                changed_since_index=lab.id in changed,
            )
        )
    snapshot = index.snapshot
    counted = facets(found.columns, members)
    near = [row for _, row in shown if found.named[row] or ranking is None or not _is_weak(found, row)]
    made = (snapshot.generation, snapshot.created_at)
    return LabSearch(text, tuple(labs), len(shown), len(near), counted, *made, warnings)


def _is_weak(found: FoundRows, row: int) -> bool:
    return bool(np.isnan(found.scores[row]) or found.columns["band"][Band.WEAK.value][row])


def _best(ranking: Ranking, index: OpenedIndex, row: int) -> Speaking:
    """Return the passage of an indexed lab that answers the text best."""
    passages, answers = index.searcher.passages_of(row), ranking.table.answers[0]
    best = max(passages, key=lambda i: (answers[i], -i))
    return speaking(index.passages, best, ranking.query.whole, float(answers[best]))
