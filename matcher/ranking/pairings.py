"""The main job: for a need its ranked, explained labs; for a lab the needs it should hear of.

In: an opened index, the records of one moment, a way to encode queries. Out: pairings with rank, score, band and
explanation, the labs set aside by each hard rule, and warnings if the index is older than the records, all frozen
values; under them the ranking of all labs for each need, kept for a while for those who ask again. It exists as one
class that never changes, so that a command, a notebook and the many threads of a server ask the same way and each
answer rests on one state.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

from sqlmodel import Session

from indexer.database import open_engine
from indexer.encoders.query_vectors import DirectQueries, QueryVectors
from indexer.folding import for_names, for_reading
from indexer.index.snapshot import Snapshot
from indexer.records.passages import need_text
from indexer.records.profiles import Company, Lab, Need, School
from indexer.records.record_tables import load_needs
from indexer.settings import Settings
from indexer.wording import T_, Bilingual
from matcher.ranking import explanation
from matcher.ranking.elements import NeedElements, elements_of
from matcher.ranking.explanation import Explanation, explain
from matcher.ranking.history import Trace, schools_of, trace_of
from matcher.ranking.lab_search import LabList, LabSearch, alphabetical, answer, found_by_text, plain_need, searched
from matcher.ranking.lab_table import ALL, Facets, Filters, LabTable, Rule
from matcher.ranking.opened.catalogue import Catalogue
from matcher.ranking.opened.one_lab import NeedTable, only
from matcher.ranking.opened.opened_index import OpenedIndex, check_encoders, open_index
from matcher.ranking.ranker import Band, Ranker, Ranking, RecentRankings, ordered_rows
from matcher.ranking.rankers import ranker_in_use
from matcher.ranking.reach.rule_in_use import rule_in_use
from matcher.ranking.reranker import load_reranker
from matcher.ranking.signals import HISTORY, NeedQuery, Searcher, features, need_query
from matcher.ranking.wishes import UNSTEERED, StatedWish, Steering, Wish, wishes_of


class UnknownRecordError(LookupError):
    """There is no need or lab of that id."""


@dataclass(frozen=True)
class Pairing:
    """One lab proposed for one need; contributions sum to `score`.

    `rank` counts from 1 among all labs that may be proposed, whatever filters hide.
    `changed_since_index`: the lab's texts are newer than those that were ranked.
    """

    need_id: str
    lab_id: str
    rank: int
    score: float
    band: Band
    contributions: dict[str, float]
    explanation: Explanation
    changed_since_index: bool


@dataclass(frozen=True)
class LabMoved:
    """A lab that steering moves: its rank without and with it, 0 for hidden or left out, and what changed."""

    lab_id: str
    before: int
    after: int
    changes: Mapping[str, float]


@dataclass(frozen=True)
class MatchResult:
    """The answer for one need: a page of pairings best first, labs set aside by rule, and what it rests on.

    `total` labs pass the filters, on all pages together; `allowed` may be proposed
    at all, and `facets` counts those. `elements` are what the need states and what to
    ask the company; if it is not `is_clear`, that comes before any lab. `steering` is what an expert
    chose of what the need has, and `moves` whom of the first labs it moves.
    """

    need: Need
    pairings: tuple[Pairing, ...]
    total: int
    allowed: int
    facets: Facets
    set_aside: dict[Rule, list[str]]
    n_labs: int
    generation: str
    created_at: str
    ranker_version: str
    wishes: dict[Wish, StatedWish]
    warnings: tuple[Bilingual, ...]
    elements: NeedElements
    is_clear: bool
    steering: Steering
    moves: tuple[LabMoved, ...]


@dataclass(frozen=True)
class LabMatch:
    """One need that a lab should hear of, with the lab's rank among all labs for that need."""

    need: Need
    company: Company | None
    score: float
    band: Band
    rank_of_lab: int
    explanation: Explanation
    changed_since_index: bool


_NEEDS_AT_ONCE = 64
"""Needs whose texts are encoded together where many are ranked."""
SCORED_IN_FULL = 80
"""So many needs at least are scored for a lab that is asked for what it should hear of; of more the nearest ones."""
NEW_AT_ONCE = 8
"""So many needs that nobody has encoded yet are encoded for somebody who waits."""
_NEAREST = 12
"""So many labs are looked at for what a need that says too little could mean."""
_MOVES_TO = 20
"""How deep in either order it is told whom steering moves."""


class NeedRankings:
    """An opened index with the records of one moment. It never changes, and any number of threads may use it."""

    def __init__(
        self,
        *,
        settings: Settings,
        index: OpenedIndex,
        catalogue: Catalogue,
        queries: QueryVectors,
        needs: Mapping[str, Need] | None = None,
        ranker: Ranker | None = None,
        revision: str = "",
        taken_in: bool = False,
    ) -> None:
        """Put together what was opened.

        Args:
            settings: those of the index.
            index: the generation to search.
            catalogue: labs, schools and companies.
            queries: encodes the texts of needs.
            needs: stored needs by id, for those who ask by id; a server passes needs in instead.
            ranker: the weights; default those that the home has in use.
            taken_in: whether what changed in the records is being taken into the index.
            revision: names the state of the records; with the generation it makes `Matcher.revision`.
        """
        self.settings = settings
        self.index = index
        self.catalogue = catalogue
        self.queries = queries
        self.needs: Mapping[str, Need] = needs or {}
        self.ranker = ranker or ranker_in_use(settings)
        self.reranker = load_reranker(settings)
        self.reach = rule_in_use(settings)
        self.taken_in = taken_in
        self.revision = f"{self.snapshot.generation}.{revision}"
        self._recent = RecentRankings()
        # What a reader may see is mostly the same as a moment ago; of hundreds of needs all of it is large.
        self._asked = lru_cache(maxsize=2)(self._queries_of_many)
        self._table_of_needs = lru_cache(maxsize=2)(
            lambda needs: NeedTable.of(self._asked(needs), self.searcher),
        )

    @property
    def snapshot(self) -> Snapshot:
        """The index generation."""
        return self.index.snapshot

    @property
    def searcher(self) -> Searcher:
        """The generation's searcher."""
        return self.index.searcher

    @property
    def labs(self) -> Mapping[str, Lab]:
        """The labs by id."""
        return self.catalogue.labs

    @property
    def schools(self) -> Mapping[str, School]:
        """The schools by id."""
        return self.catalogue.schools

    @property
    def companies(self) -> Mapping[str, Company]:
        """The companies by id."""
        return self.catalogue.companies

    @cached_property
    def table(self) -> LabTable:
        """What the indexed labs state, in the order of the index."""
        return LabTable.of(self.snapshot.lab_ids, self.labs, self.schools)

    @cached_property
    def stale(self) -> tuple[Bilingual, ...]:
        """What the index does not know of the records yet; empty if it is up to date."""
        return explanation.stale_warnings(self.catalogue.fingerprints, self.snapshot, taken_in=self.taken_in)

    @cached_property
    def changed_labs(self) -> frozenset[str]:
        """Indexed labs whose texts have changed since."""
        return explanation.changed_labs(self.catalogue.fingerprints, self.snapshot)

    @cached_property
    def not_indexed(self) -> frozenset[str]:
        """Stored labs that the index does not have yet and that therefore can't be proposed."""
        return frozenset(self.labs.keys() - self.snapshot.lab_fingerprints.keys())

    def prepare(self) -> None:
        """Compute what every answer needs, before the first request asks for it."""
        _ = self.table, self.stale, self.changed_labs, self.not_indexed, self._companies_by_name

    def ranking(
        self,
        need: Need,
        company: Company | None = None,
        steering: Steering = UNSTEERED,
        *,
        second_look: bool = False,
    ) -> Ranking:
        """Return the ranking of all labs for a need, from memory if it was asked for before, in whatever steering.

        Args:
            need: any need.
            company: the need's company if it is not among the records.
            steering: what an expert chose.
            second_look: whether the first labs are read again, where a reranker is configured.
        """
        company = company or self.company_asking(need)
        key: Hashable = (need, company)
        if second_look and self.reranker is not None:
            again: Hashable = (key, self.reranker.scorer.name)
            found = self._recent.get(again)
            if found is None:
                found = self.reranker.looked_again(self.ranking(need, company), self.searcher)
                self._recent.put(again, found)
            return found.steered(steering, self.searcher.id_rank)
        found = self._recent.get(key)
        if found is None:
            found = self._ranked(next(self._queries([need])), company)
            self._recent.put(key, found)
        return found.steered(steering, self.searcher.id_rank)

    def kept_rankings(self, needs: Sequence[Need]) -> Iterator[Ranking]:
        """Do as `ranking` for each need, encoding the texts of many together."""
        for start in range(0, len(needs), _NEEDS_AT_ONCE):
            part = [(need, self.company_asking(need)) for need in needs[start : start + _NEEDS_AT_ONCE]]
            kept = [self._recent.get(key) for key in part]
            queries = self._queries([need for (need, _), known in zip(part, kept, strict=True) if known is None])
            for key, known in zip(part, kept, strict=True):
                found = known or self._ranked(next(queries), key[1])
                self._recent.put(key, found)
                yield found

    def company_of(self, need: Need) -> Company | None:
        """Return the company of a need if it is among the records."""
        return self.companies.get(need.company or "")

    @cached_property
    def _companies_by_name(self) -> Mapping[str, Company]:
        """The companies by each name that only one of them has."""
        found: dict[str, dict[str, Company]] = {}
        for company in self.companies.values():
            for name in {for_names(name) for name in (company.name, company.name_en, company.tax_id) if name}:
                found.setdefault(name, {})[company.id] = company
        return {name: next(iter(named.values())) for name, named in found.items() if len(named) == 1}

    def company_asking(self, need: Need) -> Company | None:
        """Return the company of a need, also one that the need calls by its name: a conflict may state its id."""
        return self.company_of(need) or self._companies_by_name.get(for_names(need.company or ""))

    def rankings(self, needs: Sequence[Need], *, second_look: bool = False) -> Iterator[Ranking]:
        """Rank all labs for each need, in the order given, encoding all their texts together and keeping nothing.

        Args:
            needs: any needs.
            second_look: see `ranking`.
        """
        for query in self._queries(needs):
            found = self._ranked(query, self.company_asking(query.need))
            again = self.reranker if second_look else None
            yield again.looked_again(found, self.searcher) if again else found

    def traces(self, needs: Sequence[Need]) -> Iterator[Trace]:
        """Yield what a ranker that learns keeps of each need, encoding all their texts together."""
        for query in self._queries(needs):
            yield trace_of(query, self.snapshot)

    def _ranked(self, query: NeedQuery, company: Company | None) -> Ranking:
        return self._ranked_in(self.searcher, self.table, self._schools, query, company)

    def _ranked_in(
        self, searcher: Searcher, labs: LabTable, schools: Sequence[str], query: NeedQuery, company: Company | None
    ) -> Ranking:
        table = features(query, searcher, labs, company)
        scores, added, remembered = self.ranker.scores(table.values), {}, None
        if self.ranker.history is not None:
            remembered = self.ranker.history.of(trace_of(query, searcher.snapshot), labs.ids, schools)
            added = {HISTORY: remembered.amounts}
            scores = scores + remembered.amounts
        left_out = labs.set_aside(query.need, company)
        allowed = labs.known.copy()
        allowed[[searcher.lab_rows[lab_id] for ids in left_out.values() for lab_id in ids]] = False
        order = ordered_rows(scores, searcher.id_rank, allowed)
        wished = wishes_of(query.need, company)
        ranker = self.ranker if searcher.is_clear(query.whole) else self.ranker.without_upper_bands()
        return Ranking(
            query, order, scores, table, left_out, labs, ranker, scores, wished, added=added, remembered=remembered
        )

    @cached_property
    def _schools(self) -> tuple[str, ...]:
        return schools_of(self.table)

    def held_against(self, lab_id: str, needs: Sequence[Need], most: int) -> list[tuple[float, Need]]:
        """Return the needs that fit a lab best, with their scores, without ranking any other lab for them.

        Of more than `SCORED_IN_FULL` needs, and more than four times `most`, only those are scored whose words and
        meaning are nearest to what the lab does (`matcher.ranking.opened.one_lab`). What the lab is set aside for is
        left out.

        Args:
            lab_id: an indexed lab.
            needs: to choose from.
            most: how many at most.
        """
        row = self.searcher.lab_rows[lab_id]
        alone = only(self.index, row).searcher
        asked, looked = tuple(needs), max(SCORED_IN_FULL, 4 * most)
        queries = self._asked(asked)
        if len(queries) > looked:
            queries = [queries[one] for one in self._table_of_needs(asked).nearest(alone, looked)]
        labs, schools = LabTable.of((lab_id,), self.labs, self.schools), (self._schools[row],)
        found = []
        for query in queries:
            ranking = self._ranked_in(alone, labs, schools, query, self.company_asking(query.need))
            if ranking.order:
                found.append((float(ranking.scores[0]), query.need))
        return sorted(found, key=lambda one: (-one[0], one[1].id))[:most]

    def readable(self, needs: Sequence[Need], *, new: int = NEW_AT_ONCE) -> list[Need]:
        """Return those of the needs whose texts are encoded already, and so many more, in the order given.

        An import of a thousand needs is encoded by the next re-index; nobody who looks at a lab should wait for that.
        """
        texts = {text for need in needs for text in _texts(need)}
        known = self.queries.known(sorted(texts))
        found = []
        for need in needs:
            is_known = known.issuperset(_texts(need))
            if is_known or new > 0:
                found.append(need)
                new -= not is_known
        return found

    def _queries_of_many(self, needs: tuple[Need, ...]) -> list[NeedQuery]:
        starts = range(0, len(needs), _NEEDS_AT_ONCE)
        return [query for start in starts for query in self._queries(needs[start : start + _NEEDS_AT_ONCE])]

    def _queries(self, needs: Sequence[Need]) -> Iterator[NeedQuery]:
        texts = [_texts(need) for need in needs]
        wanted = list(dict.fromkeys(text for items in texts for text in items))
        check_encoders(self.snapshot, self.queries)
        vectors = dict(zip(wanted, self.queries.vectors(wanted), strict=True))
        for need, items in zip(needs, texts, strict=True):
            yield need_query(need, items, [vectors[text] for text in items])


def _texts(need: Need) -> list[str]:
    """Return the texts that a need is searched by: the whole, then each ask."""
    return [need_text(need), *(ask.text for ask in need.asks)]


class Matcher(NeedRankings):
    """Answers from an opened index with the records of one moment; any number of threads may use it."""

    @classmethod
    def load(cls, session: Session, settings: Settings, ranker: Ranker | None = None) -> Matcher:
        """Read all records, needs too, and open the index.

        Raises:
            SnapshotError: there is no index, or it is damaged, or other encoders are configured.
            WeightsError: the ranker in use is missing or damaged.
        """
        return cls(
            settings=settings,
            index=open_index(settings),
            catalogue=Catalogue.load(session),
            queries=DirectQueries(settings),
            needs={need.id: need for need in load_needs(session)},
            ranker=ranker,
        )

    @classmethod
    def open(cls, settings: Settings | None = None) -> Matcher:
        """Open the database and the index that the settings name."""
        settings = settings or Settings()
        engine = open_engine(settings)
        try:
            with Session(engine) as session:
                return cls.load(session, settings)
        finally:
            engine.dispose()

    @cached_property
    def lab_list(self) -> LabList:
        """All stored labs, in the index or not."""
        return LabList.of(self.catalogue, self.searcher.lab_rows)

    @cached_property
    def warnings(self) -> tuple[Bilingual, ...]:
        """What an expert must know before trusting any answer: a stale index, exclusions of nobody."""
        return (*self._general, *(w for need in self.needs.values() for w in self._exclusions(need)))

    @property
    def _general(self) -> tuple[Bilingual, ...]:
        earlier = explanation.earlier_index_warnings(self.index.problem, self.snapshot)
        return (*earlier, *self.stale)

    def _exclusions(self, need: Need) -> tuple[Bilingual, ...]:
        return explanation.exclusion_warnings(need, self.labs.values())

    def _too_little(self, ranking: Ranking) -> tuple[Bilingual, ...]:
        return explanation.too_little_warnings(ranking.query.need, is_clear=self.searcher.is_clear(ranking.query.whole))

    def need(self, need_id: str) -> Need:
        """Return a stored need.

        Raises:
            UnknownRecordError: there is no such need.
        """
        found = self.needs.get(need_id)
        if found is None:
            hint = T_("that is a lab, use --lab") if need_id in self.labs else _some_ids("needs", self.needs)
            raise UnknownRecordError(T_("there is no need %(need_id)r; %(hint)s", need_id=need_id, hint=hint))
        return found

    def match(
        self,
        need: Need,
        company: Company | None = None,
        *,
        top: int = 10,
        offset: int = 0,
        filters: Filters = ALL,
        steering: Steering = UNSTEERED,
    ) -> MatchResult:
        """Return a page of the labs for a need, explained.

        Args:
            need: any need, stored or not.
            company: the need's company if it is not among the matcher's.
            top: how many labs at most.
            offset: how many of those that pass the filters to leave out first.
            filters: hide labs; ranks and facets are those without filters.
            steering: what an expert chose for this answer; what is a must hides labs as a filter does.
        """
        ranking = self.ranking(need, company, steering, second_look=True).with_seen_less_earlier(self.reach)
        shown = ranking.with_near_ties_drawn(self.settings.near_ties, self.snapshot.generation)
        rows = shown.passing(filters)
        return self.explained(shown, rows[offset : offset + top], total=len(rows))

    def match_all(self, needs: Sequence[Need], *, top: int = 10) -> Iterator[MatchResult]:
        """Yield for each need what `match` gives, encoding all their texts together and keeping nothing."""
        for ranking in self.rankings(needs, second_look=True):
            shown = ranking.with_seen_less_earlier(self.reach)
            rows = shown.passing(ALL)
            yield self.explained(shown, rows[:top], total=len(rows))

    def explained(self, ranking: Ranking, rows: Sequence[int], *, total: int) -> MatchResult:
        """Return the answer that shows some labs of a ranking.

        Args:
            ranking: that of the need.
            rows: which labs, in the order in which they are shown.
            total: how many there are to be shown, on all pages together.
        """
        need = ranking.query.need
        return MatchResult(
            need=need,
            pairings=tuple(self._pairing(ranking, row) for row in rows),
            total=total,
            allowed=len(ranking.order),
            facets=ranking.facets,
            set_aside=ranking.set_aside,
            n_labs=len(self.snapshot.lab_ids),
            generation=self.snapshot.generation,
            created_at=self.snapshot.created_at,
            ranker_version=ranking.version,
            wishes=ranking.wishes,
            warnings=(*self._general, *self._exclusions(need), *self._too_little(ranking), *ranking.warnings),
            elements=self._elements(ranking),
            is_clear=self.searcher.is_clear(ranking.query.whole),
            steering=ranking.steering,
            moves=tuple(
                LabMoved(self.snapshot.lab_ids[one.row], one.before, one.after, one.changes)
                for one in ranking.moved(_MOVES_TO)
            ),
        )

    def _elements(self, ranking: Ranking) -> NeedElements:
        """Return what a need states and leaves open; of one that says too little, what tells the nearest labs apart."""
        need = ranking.query.need
        stated = elements_of(for_reading(need_text(need)), has_limits=bool(need.budget_ntd or need.deadline))
        if self.searcher.is_clear(ranking.query.whole):
            return stated
        nearest = (self.labs[self.snapshot.lab_ids[row]] for row in ranking.order[:_NEAREST])
        return stated.with_labs_told_apart(lab.fields for lab in nearest)

    def match_lab(self, lab_id: str, needs: Sequence[Need], *, top: int = 10, offset: int = 0) -> list[LabMatch]:
        """Return those of `needs` that a lab should hear of, best score first; needs that set it aside are left out.

        Raises:
            UnknownRecordError: there is no such lab, or it is not in the index yet.
        """
        if lab_id not in self.labs:
            raise UnknownRecordError(
                T_("there is no lab %(lab_id)r; %(hint)s", lab_id=lab_id, hint=_some_ids("labs", self.labs))
            )
        if lab_id in self.not_indexed:
            remedy = T_("ask again in a moment") if self.taken_in else T_("run: gloria reindex")
            raise UnknownRecordError(
                T_("lab %(lab_id)r is not in the index yet; %(remedy)s", lab_id=lab_id, remedy=remedy)
            )
        row = self.searcher.lab_rows[lab_id]
        # Only for what is shown are all labs ranked: a need's whole ranking costs as much as its match.
        best = [need for _, need in self.held_against(lab_id, needs, offset + top)] if needs else []
        rankings = sorted(self.kept_rankings(best), key=lambda ranking: (-ranking.scores[row], ranking.query.need.id))
        return [self._lab_match(ranking, row) for ranking in rankings[offset:]]

    def search_labs(self, text: str, *, top: int = 10, offset: int = 0, filters: Filters = ALL) -> LabSearch:
        """Return a page of the labs for a free text, those whose name it is first; for no text all labs by name.

        Args:
            text: words in any language, an id, or the name of a lab or of its head.
            top: how many labs at most.
            offset: how many of those that pass the filters to leave out first.
            filters: hide labs; a band hides nothing where no text was given.
        """
        wanted = searched(text)
        ranking = self.ranking(plain_need(wanted)) if wanted else None
        found = found_by_text(wanted, self.lab_list, ranking) if ranking else alphabetical(self.lab_list)
        return answer(
            wanted,
            found,
            listed=self.lab_list,
            catalogue=self.catalogue,
            index=self.index,
            ranking=ranking,
            changed=self.changed_labs | self.not_indexed,
            filters=filters,
            page=slice(offset, offset + top),
            warnings=self._general,
        )

    def _pairing(self, ranking: Ranking, row: int) -> Pairing:
        lab_id = self.snapshot.lab_ids[row]
        return Pairing(
            need_id=ranking.query.need.id,
            lab_id=lab_id,
            rank=int(ranking.ranks[row]),
            score=float(ranking.scores[row]),
            band=ranking.band(row),
            contributions=ranking.contributions(row),
            # Of what was decided on it a lab that asks for its needs is told nothing.
            explanation=self._explanation(ranking, row, with_decisions=True),
            changed_since_index=lab_id in self.changed_labs,
        )

    def _lab_match(self, ranking: Ranking, row: int) -> LabMatch:
        return LabMatch(
            need=ranking.query.need,
            company=self.company_of(ranking.query.need),
            score=float(ranking.scores[row]),
            band=ranking.band(row),
            rank_of_lab=int(ranking.ranks[row]),
            explanation=self._explanation(ranking, row),
            changed_since_index=self.snapshot.lab_ids[row] in self.changed_labs,
        )

    def _explanation(self, ranking: Ranking, row: int, *, with_decisions: bool = False) -> Explanation:
        lab = self.labs[self.snapshot.lab_ids[row]]
        school = self.schools.get(lab.school or "")
        return explain(
            query=ranking.query,
            lab=lab,
            school_names=(school.name, school.name_en or school.name) if school else (lab.school or "",) * 2,
            passages=self.index.passages,
            rows=self.searcher.passages_of(row),
            answers=ranking.table.answers,
            chances=ranking.chances(row),
            decided=ranking.remembered.sentence(row) if with_decisions and ranking.remembered else None,
            drawn=ranking.drawn.get(row),
            seen_less=row in ranking.earlier,
        )


def _some_ids(what: str, records: Mapping[str, object]) -> str:
    if not records:
        return T_("no %(what)s are stored; import some first: gloria import %(what)s.jsonl", what=what)
    return T_("%(n)s %(what)s are stored, such as %(first)s", n=len(records), what=what, first=min(records))
