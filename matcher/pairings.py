"""The main job: for a need its ranked, explained labs; for a lab the needs it should hear of.

In: an opened index, the records of one moment, a way to encode queries. Out:
pairings with rank, score, band and explanation, the labs set aside by each
hard rule, and warnings if the index is older than the records. It exists as
one class that never changes, so that a command, a notebook and the many
threads of a server ask the same way and each answer rests on one state.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from heapq import nsmallest

import numpy as np
from sqlmodel import Session

from indexer.database import open_engine
from indexer.loading import load_needs
from indexer.profiles import Company, Need
from indexer.query_vectors import DirectQueries
from indexer.settings import Settings
from indexer.wording import T_
from matcher import cautions
from matcher.answers import LabMatch, MatchResult, Pairing, UnknownRecordError
from matcher.catalogue import Catalogue
from matcher.explanation import Bilingual, Explanation, explain
from matcher.facets import ALL, Filters
from matcher.features import FEATURES
from matcher.lab_search import LabList, LabSearch, alphabetical, answer, found_by_text, plain_need, searched
from matcher.need_rankings import NeedRankings
from matcher.opened_index import open_index
from matcher.ranker import Ranker
from matcher.ranking import Ranking

__all__ = ["LabMatch", "MatchResult", "Matcher", "Pairing", "UnknownRecordError"]


class Matcher(NeedRankings):
    """Answers from an opened index with the records of one moment; any number of threads may use it."""

    @classmethod
    def load(cls, session: Session, settings: Settings, ranker: Ranker | None = None) -> Matcher:
        """Read all records, needs too, and open the index.

        Raises:
            SnapshotError: there is no index, or it is damaged, or other encoders are configured.
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
        """What an expert must know before trusting any answer: a stale index, few labs, exclusions of nobody."""
        return (*self._general, *(w for need in self.needs.values() for w in self._exclusions(need)))

    @property
    def _general(self) -> tuple[Bilingual, ...]:
        earlier = cautions.earlier_index(self.index.problem, self.snapshot)
        return (*earlier, *self.stale, *cautions.few_labs(self.snapshot))

    def _exclusions(self, need: Need) -> tuple[Bilingual, ...]:
        return cautions.exclusions(need, self.labs.values())

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
        self, need: Need, company: Company | None = None, *, top: int = 10, offset: int = 0, filters: Filters = ALL
    ) -> MatchResult:
        """Return a page of the labs for a need, explained.

        Args:
            need: any need, stored or not.
            company: the need's company if it is not among the matcher's.
            top: how many labs at most.
            offset: how many of those that pass the filters to leave out first.
            filters: hide labs; ranks and facets are those without filters.
        """
        return self._result(self.ranking(need, company), top, offset, filters)

    def match_all(self, needs: Sequence[Need], *, top: int = 10) -> Iterator[MatchResult]:
        """Yield for each need what `match` gives, encoding all their texts together and keeping nothing."""
        for ranking in self.rankings(needs):
            yield self._result(ranking, top, 0, ALL)

    def _result(self, ranking: Ranking, top: int, offset: int, filters: Filters) -> MatchResult:
        rows, need = ranking.passing(filters), ranking.query.need
        return MatchResult(
            need=need,
            pairings=tuple(self._pairing(ranking, row) for row in rows[offset : offset + top]),
            total=len(rows),
            allowed=len(ranking.order),
            facets=ranking.facets,
            set_aside=ranking.set_aside,
            n_labs=len(self.snapshot.lab_ids),
            generation=self.snapshot.generation,
            created_at=self.snapshot.created_at,
            ranker_version=self.ranker.version,
            warnings=(*self._general, *self._exclusions(need), *cautions.too_little(need)),
        )

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
        # Of many needs only the best are held: a ranking is large.
        best = nsmallest(
            offset + top,
            (ranking for ranking in self.kept_rankings(needs) if ranking.ranks[row]),
            key=lambda ranking: (-ranking.scores[row], ranking.query.need.id),
        )
        return [self._lab_match(ranking, row) for ranking in best[offset:]]

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
        amounts = self.ranker.contributions(ranking.table.values[row])
        score, lab_id = float(ranking.scores[row]), self.snapshot.lab_ids[row]
        return Pairing(
            need_id=ranking.query.need.id,
            lab_id=lab_id,
            rank=int(ranking.ranks[row]),
            score=score,
            band=self.ranker.band(score),
            contributions=dict(zip(FEATURES, np.asarray(amounts).tolist(), strict=True)),
            explanation=self._explanation(ranking, row),
            changed_since_index=lab_id in self.changed_labs,
        )

    def _lab_match(self, ranking: Ranking, row: int) -> LabMatch:
        score = float(ranking.scores[row])
        return LabMatch(
            need=ranking.query.need,
            company=self.company_of(ranking.query.need),
            score=score,
            band=self.ranker.band(score),
            rank_of_lab=int(ranking.ranks[row]),
            explanation=self._explanation(ranking, row),
            changed_since_index=self.snapshot.lab_ids[row] in self.changed_labs,
        )

    def _explanation(self, ranking: Ranking, row: int) -> Explanation:
        lab = self.labs[self.snapshot.lab_ids[row]]
        school = self.schools.get(lab.school or "")
        return explain(
            query=ranking.query,
            lab=lab,
            school_names=(school.name, school.name_en or school.name) if school else (lab.school or "",) * 2,
            passages=self.index.passages,
            rows=self.searcher.passages_of(row),
            answers=ranking.table.answers,
            ask_scores=ranking.table.ask_scores[:, row],
        )


def _some_ids(what: str, records: Mapping[str, object]) -> str:
    if not records:
        return T_("no %(what)s are stored; import some first: gloria import %(what)s.jsonl", what=what)
    return T_("%(n)s %(what)s are stored, such as %(first)s", n=len(records), what=what, first=min(records))
