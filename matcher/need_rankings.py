"""All labs ranked for a need: what an opened index and the records of one moment say together.

In: an index generation, the records, a way to encode queries. Out: the ranking
of all labs for each need, kept for a while for those who ask again, and what
the index does not know of the records. It exists apart from the answers made of
it, since all of them rest on the same rankings.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping, Sequence
from functools import cached_property

from indexer.profiles import Company, Lab, Need, School
from indexer.query_vectors import QueryVectors
from indexer.settings import Settings
from indexer.snapshot import Snapshot
from indexer.text import need_text
from matcher import cautions
from matcher.catalogue import Catalogue
from matcher.explanation import Bilingual
from matcher.features import NeedQuery, features, need_query
from matcher.lab_table import LabTable
from matcher.opened_index import OpenedIndex, check_encoders
from matcher.ranker import Ranker, load_ranker
from matcher.ranking import Ranking, RecentRankings, ordered
from matcher.signals import Searcher

_NEEDS_AT_ONCE = 64
"""Needs whose texts are encoded together where many are ranked."""


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
            ranker: the weights; default those of this release.
            taken_in: whether what changed in the records is being taken into the index.
            revision: names the state of the records; with the generation it makes `Matcher.revision`.
        """
        self.settings = settings
        self.index = index
        self.catalogue = catalogue
        self.queries = queries
        self.needs: Mapping[str, Need] = needs or {}
        self.ranker = ranker or load_ranker()
        self.taken_in = taken_in
        self.revision = f"{self.snapshot.generation}.{revision}"
        self._recent = RecentRankings()

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
        return cautions.stale(self.catalogue.fingerprints, self.snapshot, taken_in=self.taken_in)

    @cached_property
    def changed_labs(self) -> frozenset[str]:
        """Indexed labs whose texts have changed since."""
        return cautions.changed_labs(self.catalogue.fingerprints, self.snapshot)

    @cached_property
    def not_indexed(self) -> frozenset[str]:
        """Stored labs that the index does not have yet and that therefore can't be proposed."""
        return frozenset(self.labs.keys() - self.snapshot.lab_fingerprints.keys())

    def prepare(self) -> None:
        """Compute what every answer needs, before the first request asks for it."""
        _ = self.table, self.stale, self.changed_labs, self.not_indexed

    def ranking(self, need: Need, company: Company | None = None) -> Ranking:
        """Return the ranking of all labs for a need, from memory if it was asked for before."""
        company = company or self.company_of(need)
        key: Hashable = (need, company)
        found = self._recent.get(key)
        if found is None:
            found = self._ranked(next(self._queries([need])), company)
            self._recent.put(key, found)
        return found

    def kept_rankings(self, needs: Sequence[Need]) -> Iterator[Ranking]:
        """Do as `ranking` for each need, encoding the texts of many together."""
        for start in range(0, len(needs), _NEEDS_AT_ONCE):
            part = [(need, self.company_of(need)) for need in needs[start : start + _NEEDS_AT_ONCE]]
            kept = [self._recent.get(key) for key in part]
            queries = self._queries([need for (need, _), known in zip(part, kept, strict=True) if known is None])
            for key, known in zip(part, kept, strict=True):
                found = known or self._ranked(next(queries), key[1])
                self._recent.put(key, found)
                yield found

    def company_of(self, need: Need) -> Company | None:
        """Return the company of a need if it is among the records."""
        return self.companies.get(need.company or "")

    def rankings(self, needs: Sequence[Need]) -> Iterator[Ranking]:
        """Rank all labs for each need, in the order given, encoding all their texts together and keeping nothing."""
        for query in self._queries(needs):
            yield self._ranked(query, self.company_of(query.need))

    def _ranked(self, query: NeedQuery, company: Company | None) -> Ranking:
        table = features(query, self.searcher, self.table)
        scores = self.ranker.scores(table.values)
        left_out = self.table.set_aside(query.need, company)
        allowed = self.table.known.copy()
        allowed[[self.searcher.lab_rows[lab_id] for ids in left_out.values() for lab_id in ids]] = False
        order = ordered(scores, self.searcher.id_rank, allowed)
        return Ranking(query, order, scores, table, left_out, self.table, self.ranker)

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
