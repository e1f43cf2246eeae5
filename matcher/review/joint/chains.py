"""A chain: from a need that somebody states to the lab that can build it, to the companies that would make it.

In: a need, most often a school's (a clinician states it), the companies and past needs that a reader may see, and
perhaps the lab that was chosen. Out: the labs that come into question, then one company after another: first whoever
makes such things (by its products, its industry and what it needed before), then for every ask that this one does not
speak to whoever does; each with the words that say so, quoted, and who else could take its place. It exists because no
list of labs for a need leads to a product: the lab has nobody to make what it builds, and the maker lacks a material
that another member works with.

A company's texts are read as a lab's passages are, on the ranking's scale: a fit of 1 is a passage that answers, and
none of the other companies moves it. All needs sound alike (they want, they hope, their customers say), so a past need
has to fit better than a description, and either less well where the company's industry is one that the need names.
Nothing here looks for itself what a reader may see: whoever calls gives it, and what is not given is no evidence.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from indexer.arrays import DoubleArray
from indexer.folding import for_names
from indexer.records.passages import joined
from indexer.records.profiles import Company, Lab, Need
from indexer.wording import T_
from matcher.ranking.explanation import PassageWords, Speaking, speaking
from matcher.ranking.lab_table import ALL, conflicting_names
from matcher.ranking.pairings import Matcher, MatchResult
from matcher.ranking.signals import Query, Searcher
from matcher.ranking.wishes import UNSTEERED, Steering
from matcher.review.likeness import SCORE_OF_ONE, Said, as_snapshot, of_company, of_need

DESCRIPTION_FROM, NEED_FROM = (0.65, 0.75), (0.9, 1.15)
"""The fit from which a company's description, or a past need of it, speaks to a part: in the same industry, in another.

On the demo world's needs of all fields what passes was read: below these, needs met over words such as customers.
"""
MOST_COMPANIES = 3
LABS_SHOWN = 3
STAND_INS = 2
_WHOLE = 0
"""The number of the part that is the need itself, without its asks."""


class ChainError(ValueError):
    """What was picked makes no chain; the message says why and `field` what is to blame."""

    def __init__(self, message: str, field: str | None = None) -> None:
        super().__init__(message)
        self.field = field


@dataclass(frozen=True)
class ChainEvidence:
    """What of a company speaks to a part: an ask by number from 1, 0 for the need itself.

    `need_id` names the past need that the words are of, None where they are the company's own description.
    """

    part: int
    score: float
    need_id: str | None
    speaking: Speaking


@dataclass(frozen=True)
class ChainCompany:
    """A company of a chain: what speaks for it, for each part that it answers the best words.

    `shared_fields` are industries that the need names too; `stand_ins` could take its place, best first.
    """

    company: Company
    is_maker: bool
    evidence: tuple[ChainEvidence, ...]
    shared_fields: tuple[str, ...]
    stand_ins: tuple[str, ...]

    @property
    def parts(self) -> tuple[int, ...]:
        """What it speaks to."""
        return tuple(one.part for one in self.evidence)


@dataclass(frozen=True)
class Chain:
    """A need, the labs for it with the chosen one first, and the companies in the order in which they would come in.

    `result` explains the labs as any ranking does; `open_asks` are those that no company of the chain speaks to, which
    says nothing against it: that is what the lab is for.
    """

    result: MatchResult
    lab_id: str | None
    companies: tuple[ChainCompany, ...]
    open_asks: tuple[int, ...]
    looked_at: int

    @property
    def need(self) -> Need:
        """The need that it begins with."""
        return self.result.need


@dataclass(frozen=True)
class _Read:
    """Companies by row, and how much each text of theirs speaks to each part; a text knows its need, or None."""

    companies: tuple[Company, ...]
    texts: tuple[tuple[int, str | None], ...]
    fits: DoubleArray
    """(parts, texts)"""
    bars: DoubleArray
    """(texts,): from which fit each speaks."""
    parts: tuple[Query, ...]
    passages: PassageWords

    def best(self) -> DoubleArray:
        """Return how far the text of each company that says most is above its bar, shape (parts, companies)."""
        found = np.full((len(self.parts), len(self.companies)), -np.inf)
        for text, (row, _) in enumerate(self.texts):
            found[:, row] = np.maximum(found[:, row], self.fits[:, text] - self.bars[text])
        return found

    def evidence(self, row: int, part: int) -> ChainEvidence:
        """Return what of a company says most to a part."""
        text = max(
            (number for number, (of, _) in enumerate(self.texts) if of == row),
            key=lambda number: (self.fits[part, number] - self.bars[number], -number),
        )
        fit = float(self.fits[part, text])
        found = speaking(self.passages, text, self.parts[part], fit)
        return ChainEvidence(part, SCORE_OF_ONE * fit, self.texts[text][1], found)


def chain_for(
    matcher: Matcher,
    need: Need,
    companies: Iterable[Company],
    needs: Iterable[Need],
    *,
    lab_id: str | None = None,
    barred: Collection[str] = (),
    steering: Steering = UNSTEERED,
) -> Chain:
    """Return the chain that begins with a need.

    Args:
        matcher: the labs.
        need: any need, stored or not.
        companies: those that the reader may see; whoever states the need is left out.
        needs: past needs that the reader may match; those of other companies are no evidence.
        lab_id: the lab that was chosen; otherwise the first of the ranking.
        barred: labs that this reader may not be shown.
        steering: as for the ranking.

    Raises:
        ChainError: the lab may not be proposed for this need.
    """
    ranking = matcher.ranking(need, None, steering, second_look=True)
    labs = ranking.labs.ids
    hidden = set(barred)
    rows = [row for row in ranking.passing(ALL) if labs[row] not in hidden]
    if lab_id is not None:
        if lab_id not in {labs[row] for row in rows}:
            raise ChainError(T_("lab %(lab_id)r may not be proposed for this need", lab_id=lab_id), "lab")
        rows.sort(key=lambda row: labs[row] != lab_id)
    result = matcher.explained(ranking, rows[:LABS_SHOWN], total=len(rows))
    chosen = labs[rows[0]] if rows else None
    free = _free(companies, need, None if chosen is None else matcher.labs[chosen])
    read = _read(matcher, need, free, needs)
    found = () if read is None else tuple(_companies(read, need))
    answered = {part for one in found for part in one.parts}
    asks = range(1, len(need.asks) + 1)
    return Chain(result, chosen, found, tuple(part for part in asks if part not in answered), len(free))


def _free(companies: Iterable[Company], need: Need, lab: Lab | None) -> tuple[Company, ...]:
    """Return the companies that may come in: not whoever states the need, none that the lab won't work with."""
    shut = set() if lab is None else {for_names(name) for name in conflicting_names(lab)}
    own = for_names(need.company or "")

    def names(company: Company) -> set[str]:
        return {for_names(name) for name in (company.id, company.name, company.name_en, company.tax_id) if name}

    return tuple(
        one
        for one in sorted(companies, key=lambda one: one.id)
        if shut.isdisjoint(names(one)) and not (own and own in names(one))
    )


def _read(matcher: Matcher, need: Need, companies: Sequence[Company], needs: Iterable[Need]) -> _Read | None:
    """Read what companies say of themselves and needed before against the parts of a need; None if they say nothing."""
    rows = {company.id: row for row, company in enumerate(companies)}
    texts: list[tuple[int, str | None]] = []
    said: list[Said] = []
    for row, company in enumerate(companies):
        if company.description.strip():
            texts.append((row, None))
            said.append(of_company(company))
    for past in sorted(needs, key=lambda one: one.id):
        if past.id != need.id and past.company in rows and of_need(past).text.strip():
            texts.append((rows[past.company], past.id))
            said.append(of_need(past))
    parts = [joined(need.title, need.description), *(ask.text for ask in need.asks)]
    if not said or not any(part.strip() for part in parts):
        return None
    snapshot = as_snapshot(matcher, said)
    queries = [Query(text, found) for text, found in zip(parts, matcher.queries.vectors(parts), strict=True)]
    fits = np.stack([one.fit for one in Searcher(snapshot).fits(queries)])
    bars = np.array([_bar(companies[row], need, is_need=past is not None) for row, past in texts])
    return _Read(tuple(companies), tuple(texts), fits, bars, tuple(queries), PassageWords(snapshot))


def _bar(company: Company, need: Need, *, is_need: bool) -> float:
    """Return the fit from which a text of a company speaks."""
    same, other = NEED_FROM if is_need else DESCRIPTION_FROM
    return same if set(company.fields) & set(need.fields) else other


def _companies(read: _Read, need: Need) -> Iterable[ChainCompany]:
    """Yield the maker, then for each ask that is still open whoever speaks to it best."""
    best = read.best()
    asks = list(range(1, len(read.parts)))
    maker = _first(best, [_WHOLE])
    maker = _first(best, asks) if maker is None else maker
    if maker is None:
        return
    chosen = [maker]
    yield _company(read, need, best, maker, [_WHOLE, *asks], chosen, is_maker=True)
    still = [part for part in asks if best[part, maker] < 0]
    while still and len(chosen) < MOST_COMPANIES:
        further = _first(best, still, without=chosen)
        if further is None:
            return
        chosen.append(further)
        yield _company(read, need, best, further, still, chosen, is_maker=False)
        still = [part for part in still if best[part, further] < 0]


def _first(best: DoubleArray, parts: Sequence[int], *, without: Collection[int] = ()) -> int | None:
    """Return the row of the company that speaks to one of the parts most, None if nobody does."""
    order = _order(best, parts, without)
    return order[0] if order else None


def _order(best: DoubleArray, parts: Sequence[int], without: Collection[int]) -> list[int]:
    if not parts:
        return []
    most = best[list(parts)].max(axis=0)
    return [row for row in np.argsort(-most, kind="stable").tolist() if most[row] >= 0 and row not in without]


def _company(
    read: _Read,
    need: Need,
    best: DoubleArray,
    row: int,
    asked: Sequence[int],
    chosen: Sequence[int],
    *,
    is_maker: bool,
) -> ChainCompany:
    parts = [part for part in asked if best[part, row] >= 0]
    company = read.companies[row]
    # Whoever stands in has to speak to what this one is in for.
    others = _order(best, parts[:1], chosen)
    return ChainCompany(
        company=company,
        is_maker=is_maker,
        evidence=tuple(read.evidence(row, part) for part in parts),
        shared_fields=tuple(name for name in company.fields if name in need.fields),
        stand_ins=tuple(read.companies[other].id for other in others[:STAND_INS]),
    )
