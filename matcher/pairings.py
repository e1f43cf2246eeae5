"""The main job: for a need its ranked, explained labs; for a lab the needs it should hear of.

In: settings that say where database and index live. Out: pairings with rank,
score, band and explanation, the labs set aside by each hard rule, and warnings
if the index is older than the records. It exists as one class that opens
everything once, so that a command, a notebook and a server ask the same way.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
from sqlmodel import Session

from indexer.database import open_engine
from indexer.embeddings import EmbeddingCache
from indexer.encoder import load_encoder
from indexer.loading import load_companies, load_labs, load_needs, load_schools
from indexer.profiles import Company, Lab, Need, School
from indexer.reindex import covered
from indexer.settings import Settings
from indexer.snapshot import Snapshot, SnapshotError, open_snapshot
from indexer.text import language_of, need_text
from matcher import cautions
from matcher.explanation import Bilingual, Explanation, explain
from matcher.features import FEATURES, FeatureTable, NeedQuery, features, need_query
from matcher.ranker import Band, Ranker, load_ranker, ordered
from matcher.rules import Rule, set_aside
from matcher.signals import Searcher

FloatArray = npt.NDArray[np.float64]


class UnknownRecordError(LookupError):
    """There is no need or lab of that id."""


@dataclass(frozen=True)
class Pairing:
    """One lab proposed for one need. `rank` counts from 1; contributions sum to `score`."""

    need_id: str
    lab_id: str
    rank: int
    score: float
    band: Band
    contributions: dict[str, float]
    explanation: Explanation


@dataclass(frozen=True)
class MatchResult:
    """The answer for one need: pairings best first, labs set aside by rule, and what it rests on."""

    need: Need
    pairings: tuple[Pairing, ...]
    set_aside: dict[Rule, list[str]]
    n_labs: int
    generation: str
    created_at: str
    ranker_version: str
    warnings: tuple[Bilingual, ...]


@dataclass(frozen=True)
class LabMatch:
    """One need that a lab should hear of, with the lab's rank among all labs for that need."""

    need: Need
    company: Company | None
    score: float
    band: Band
    rank_of_lab: int
    explanation: Explanation


@dataclass(frozen=True)
class Ranking:
    """All labs for one need, best first: row numbers into the index, with every lab's score and features."""

    query: NeedQuery
    order: list[int]
    scores: FloatArray
    table: FeatureTable
    set_aside: dict[Rule, list[str]]


class Matcher:
    """An opened index with the records it stands for. Use it for many needs; it never changes."""

    def __init__(self, session: Session, settings: Settings, ranker: Ranker | None = None) -> None:
        """Read the records and open the index.

        Raises:
            SnapshotError: there is no index, or it is damaged, or other encoders are configured.
        """
        self.settings = settings
        self.ranker = ranker or load_ranker()
        self.snapshot: Snapshot = open_snapshot(settings.index_path)
        self.searcher = Searcher(self.snapshot)
        self.labs: dict[str, Lab] = {lab.id: lab for lab in load_labs(session)}
        self.needs: dict[str, Need] = {need.id: need for need in load_needs(session)}
        self.companies: dict[str, Company] = {company.id: company for company in load_companies(session)}
        self.schools: dict[str, School] = {school.id: school for school in load_schools(session)}
        self._check_encoders()

    @classmethod
    def open(cls, settings: Settings | None = None) -> Matcher:
        """Open the database and the index that the settings name."""
        settings = settings or Settings()
        engine = open_engine(settings)
        try:
            with Session(engine) as session:
                return cls(session, settings)
        finally:
            engine.dispose()

    def _check_encoders(self) -> None:
        built = [field.name for field in self.snapshot.fields]
        if built != self.settings.encoder_names():
            raise SnapshotError(
                f"the index has the encoders {', '.join(built)}, the settings name "
                f"{', '.join(self.settings.encoder_names())}; run: gloria reindex"
            )

    @cached_property
    def stale(self) -> tuple[Bilingual, ...]:
        """What the index does not know of the records yet; empty if it is up to date."""
        return cautions.stale(self.labs.values(), self.snapshot)

    @cached_property
    def warnings(self) -> tuple[Bilingual, ...]:
        """What an expert must know before trusting any answer: a stale index, few labs, exclusions of nobody."""
        labs, few = self.labs.values(), cautions.few_labs(self.snapshot)
        return (*self.stale, *few, *(w for need in self.needs.values() for w in cautions.exclusions(need, labs)))

    def match(self, need_id: str, top: int = 10) -> MatchResult:
        """Return the `top` labs for a need, explained.

        Raises:
            UnknownRecordError: there is no such need.
        """
        need = self.needs.get(need_id)
        if need is None:
            hint = "that is a lab, use --lab" if need_id in self.labs else _some_ids("needs", self.needs)
            raise UnknownRecordError(f"there is no need {need_id!r}; {hint}")
        ranking = next(self.rankings([need]))
        return MatchResult(
            need=need,
            pairings=tuple(self._pairing(ranking, place) for place in range(min(top, len(ranking.order)))),
            set_aside=ranking.set_aside,
            n_labs=len(self.snapshot.lab_ids),
            generation=self.snapshot.generation,
            created_at=self.snapshot.created_at,
            ranker_version=self.ranker.version,
            warnings=(
                *self.stale,
                *cautions.few_labs(self.snapshot),
                *cautions.exclusions(need, self.labs.values()),
                *cautions.too_little(need),
            ),
        )

    def match_lab(self, lab_id: str, top: int = 10) -> list[LabMatch]:
        """Return the `top` needs that a lab should hear of, best score first; needs that set it aside are left out.

        Raises:
            UnknownRecordError: there is no such lab, or it is not in the index yet.
        """
        if lab_id not in self.labs:
            raise UnknownRecordError(f"there is no lab {lab_id!r}; {_some_ids('labs', self.labs)}")
        if lab_id not in self.snapshot.lab_fingerprints:
            raise UnknownRecordError(f"lab {lab_id!r} is not in the index yet; run: gloria reindex")
        row = self.snapshot.lab_ids.index(lab_id)
        found: list[tuple[float, Ranking]] = []
        for ranking in self.rankings(list(self.needs.values())):
            if row in ranking.order:
                found.append((float(ranking.scores[row]), ranking))
        found.sort(key=lambda item: (-item[0], item[1].query.need.id))
        return [self._lab_match(ranking, row) for _, ranking in found[:top]]

    def rankings(self, needs: Sequence[Need]) -> Iterator[Ranking]:
        """Rank all labs for each need, in the order given."""
        regions = {school.id: school.region for school in self.schools.values()}
        profiles = {lab_id: self.labs.get(lab_id) or _removed(lab_id) for lab_id in self.snapshot.lab_ids}
        for query in self._queries(needs):
            table = features(query, self.searcher, profiles, regions)
            scores = self.ranker.scores(table.values)
            company = self.companies.get(query.need.company or "")
            left_out = set_aside(query.need, profiles.values(), company)
            barred = {lab_id for ids in left_out.values() for lab_id in ids}
            allowed = np.array([i in self.labs and i not in barred for i in self.snapshot.lab_ids], dtype=bool)
            yield Ranking(query, ordered(scores, self.snapshot.lab_ids, allowed), scores, table, left_out)

    def _queries(self, needs: Sequence[Need]) -> Iterator[NeedQuery]:
        texts = {need.id: [need_text(need), *(ask.text for ask in need.asks)] for need in needs}
        wanted = list(dict.fromkeys(text for items in texts.values() for text in items))
        vectors: dict[str, dict[str, npt.NDArray[np.float32]]] = {text: {} for text in wanted}
        cache = EmbeddingCache(self.settings.embeddings_path)
        for field in self.snapshot.fields:
            encoder = load_encoder(field.name, self.settings)
            if encoder.identity != field.identity:
                raise SnapshotError(
                    f"the index was built with {field.identity}, this machine has {encoder.identity}; "
                    "run: gloria reindex"
                )
            asked = [text for text in wanted if covered(language_of(text), field.languages)]
            if not asked:
                continue
            for text, vector in zip(asked, cache.embed(asked, role="query", encoder=encoder).vectors, strict=True):
                vectors[text][field.name] = vector
        for need in needs:
            yield need_query(need, texts[need.id], [vectors[text] for text in texts[need.id]])

    def _pairing(self, ranking: Ranking, place: int) -> Pairing:
        row = ranking.order[place]
        amounts = self.ranker.contributions(ranking.table.values[row])
        return Pairing(
            need_id=ranking.query.need.id,
            lab_id=self.snapshot.lab_ids[row],
            rank=place + 1,
            score=float(ranking.scores[row]),
            band=self.ranker.band(float(ranking.scores[row])),
            contributions={name: float(amount) for name, amount in zip(FEATURES, amounts, strict=True)},
            explanation=self._explanation(ranking, row),
        )

    def _lab_match(self, ranking: Ranking, row: int) -> LabMatch:
        score = float(ranking.scores[row])
        return LabMatch(
            need=ranking.query.need,
            company=self.companies.get(ranking.query.need.company or ""),
            score=score,
            band=self.ranker.band(score),
            rank_of_lab=ranking.order.index(row) + 1,
            explanation=self._explanation(ranking, row),
        )

    def _explanation(self, ranking: Ranking, row: int) -> Explanation:
        lab = self.labs[self.snapshot.lab_ids[row]]
        school = self.schools.get(lab.school or "")
        return explain(
            need=ranking.query.need,
            lab=lab,
            school_names=(school.name, school.name_en or school.name) if school else (lab.school or "",) * 2,
            snapshot=self.snapshot,
            rows=self.searcher.passages_of(row),
            answers=ranking.table.answers,
            ask_scores=ranking.table.ask_scores[:, row],
        )


def _removed(lab_id: str) -> Lab:
    """A lab that is still in the index but no longer in the records; it is never proposed."""
    return Lab(lab_id, lab_id, "", "", None, (), "", "", (), (), (), None, (), (), (), ())


def _some_ids(what: str, records: Mapping[str, object]) -> str:
    if not records:
        return f"no {what} are stored; import some first: gloria import {what}.jsonl"
    return f"{len(records)} {what} are stored, such as {min(records)}"
