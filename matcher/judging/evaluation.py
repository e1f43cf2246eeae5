"""Rankings and judgements in, measures out, beside those of four plain systems to beat.

In: a run (ours, a baseline's or a file's) and TREC qrels. Out: the mean of each measure per system, and for each
baseline the difference to ours with a 95 % interval from a paired bootstrap over needs; with judgements to learn
from, also how well they foretell the others (`grades`). It exists so that nobody
has to believe a ranking: measures are computed by `ir-measures`, and any collection in the exchange format can be
evaluated with one command. The baselines are TF-IDF, BM25 and dense retrieval, each by a lab's best passage, and the
number of a lab's passages (`size`), over the same labs and needs; they know no hard rules, no asks, no profile. What
`size` reaches is how much of a figure is volume.
"""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
from sqlmodel import Session

from indexer.database import open_engine
from indexer.encoders.embeddings import EmbeddingCache
from indexer.encoders.encoder import load_encoder
from indexer.index.building import ReindexError, reindex
from indexer.index.words import LexicalIndex, TermCounts, terms
from indexer.records.importing import import_file
from indexer.records.passages import need_text
from indexer.settings import Settings
from indexer.wording import T_, joined
from matcher.judging.measures import (
    MEASURES,
    TAG,
    TIE_STEP,
    EvaluationError,
    Interval,
    Qrels,
    Run,
    measure,
    paired_bootstrap,
    parsed_measures,
    ranked,
    read_qrels,
    read_run,
    write_lines,
)
from matcher.ranking.pairings import Matcher
from matcher.ranking.ranker import ordered_by_id

if TYPE_CHECKING:
    from matcher.judging.grades import ForetoldGrades

Scorer = Callable[[str], npt.NDArray[np.float32]]
"""Scores every passage for a need's text."""


def baseline_runs(matcher: Matcher, top: int | None) -> dict[str, Run]:
    """Return the runs of `tfidf`, `bm25`, `dense` and `size` for every need."""
    return {name: _run(matcher, scorer, top) for name, scorer in _scorers(matcher).items()}


def _scorers(matcher: Matcher) -> dict[str, Scorer]:
    snapshot = matcher.snapshot
    bm25 = LexicalIndex.build([terms(passage.text) for passage in snapshot.passages])
    cache = EmbeddingCache(matcher.settings.embeddings_path)
    encoder = load_encoder(snapshot.fields[0].name, matcher.settings)
    texts = [snapshot.passages[row].text for row in snapshot.fields[0].rows]
    passages = cache.embed(texts, role="passage", encoder=encoder).vectors

    sizes = np.bincount(snapshot.lab_of_passage)[snapshot.lab_of_passage].astype(np.float32)

    def dense(text: str) -> npt.NDArray[np.float32]:
        query = cache.embed([text], role="query", encoder=encoder).vectors[0]
        return np.asarray(passages @ query)

    return {
        "tfidf": _tfidf(snapshot.words.counts),
        "bm25": lambda text: bm25.scores(terms(text)),
        "dense": dense,
        "size": lambda text: sizes,
    }


def _tfidf(counts: TermCounts) -> Scorer:
    """Return the cosine of a text with passages: tf = 1 + ln(count), idf = 1 + ln((1 + n) / (1 + df))."""
    idf = 1 + np.log((1 + counts.matrix.shape[0]) / (1 + counts.document_frequencies))
    weighted = sp.csr_matrix(counts.matrix, dtype=np.float32)
    weighted.data = (1 + np.log(weighted.data)) * idf[weighted.indices]
    lengths = np.sqrt(np.add.reduceat(np.append(weighted.data**2, 0), weighted.indptr[:-1]))

    def scores(text: str) -> npt.NDArray[np.float32]:
        query = np.zeros(len(idf), dtype=np.float32)
        for term, n in Counter(terms(text)).items():
            if term in counts.vocabulary:
                query[counts.vocabulary[term]] = (1 + np.log(n)) * idf[counts.vocabulary[term]]
        found = weighted @ query / np.maximum(lengths * max(float(np.linalg.norm(query)), 1e-9), 1e-9)
        return np.asarray(found, dtype=np.float32)

    return scores


def _run(matcher: Matcher, scorer: Scorer, top: int | None) -> Run:
    snapshot = matcher.snapshot
    starts = np.searchsorted(snapshot.lab_of_passage, np.arange(len(snapshot.lab_ids)))
    everyone = np.ones(len(snapshot.lab_ids), dtype=bool)
    run: Run = {}
    for need_id in sorted(matcher.needs):
        best = np.maximum.reduceat(scorer(need_text(matcher.needs[need_id])).astype(np.float64), starts)
        last = float("inf")
        run[need_id] = {}
        for row in ordered_by_id(best, snapshot.lab_ids, everyone)[:top]:
            last = min(float(best[row]), last - TIE_STEP)
            run[need_id][snapshot.lab_ids[row]] = last
    return run


DEPTH = 1000
"""Labs per need in a run unless told otherwise; no default measure looks deeper."""
Progress = Callable[[str, int, int], None]
"""Called with a stage's name, how much of it is done, and how much there is."""


@dataclass(frozen=True)
class Evaluation:
    """Means per system and measure over `n_needs` judged needs; `problems` says what was left out.

    `grades` says how well the grades of the judged pairs were foretold, where there were others to learn from.
    """

    n_needs: int
    systems: dict[str, dict[str, float]]
    differences: dict[str, dict[str, Interval]] = field(default_factory=dict)
    per_need: dict[str, dict[str, dict[str, float]]] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    grades: ForetoldGrades | None = None

    def as_dict(self) -> dict[str, object]:
        """Return what `--json` prints."""
        content: dict[str, object] = {"n_needs": self.n_needs, "systems": self.systems}
        if self.differences:
            content["differences"] = {
                system: {name: [i.mean, i.low, i.high] for name, i in row.items()}
                for system, row in self.differences.items()
            }
        if self.grades is not None:
            content["grades"] = self.grades.figures
        return content


def evaluate_home(
    settings: Settings,
    qrels: Path,
    *,
    train: Path | None = None,
    run: Path | None = None,
    measures: Sequence[str] = MEASURES,
    baselines: bool = False,
    top: int | None = DEPTH,
    progress: Progress | None = None,
) -> Evaluation:
    """Evaluate the records and index of a home, or a run file, against judgements.

    With `train`, judgements to learn from, the grades of `qrels` are also foretold.

    Raises:
        EvaluationError: a file has no usable line, or a measure is unknown.
        SnapshotError: there is no usable index.
    """
    judged, problems = read_qrels(qrels)
    checked = parsed_measures(measures)
    if run is not None and not baselines:
        ours, more = read_run(run)
        return _evaluation(judged, {run.stem: ours}, checked, problems + more)
    matcher = Matcher.open(settings)
    problems += _unknown(judged, matcher) + [warning.en for warning in matcher.stale]
    if run is not None:
        ours, more = read_run(run)
        problems += more
    else:
        ours = _ranked(matcher, top, progress)
    systems = {TAG: ours} | (baseline_runs(matcher, top) if baselines else {})
    return _with_grades(_evaluation(judged, systems, checked, problems), matcher, train, qrels, progress)


def evaluate_collection(
    settings: Settings,
    labs: Path,
    needs: Path,
    qrels: Path,
    *,
    train: Path | None = None,
    run_out: Path | None = None,
    top: int | None = DEPTH,
    measures: Sequence[str] = MEASURES,
    baselines: bool = False,
    progress: Progress | None = None,
) -> Evaluation:
    """Import a collection into a throwaway home, index it, rank every need and evaluate; `train` as in `evaluate_home`.

    Raises:
        EvaluationError: a file has no usable row.
        OSError: a file can't be read or written.
    """
    judged, problems = read_qrels(qrels)
    checked = parsed_measures(measures)
    with collection_home(settings, labs, needs, progress) as (matcher, refused):
        problems += refused + _unknown(judged, matcher)
        ours = _ranked(matcher, top, progress)
        if run_out is not None:
            with run_out.open("w", encoding="utf-8", newline="\n") as out:
                for need_id, scores in ours.items():
                    write_lines(out, need_id, scores)
        systems = {TAG: ours} | (baseline_runs(matcher, top) if baselines else {})
        return _with_grades(_evaluation(judged, systems, checked, problems), matcher, train, qrels, progress)


def _with_grades(
    evaluation: Evaluation, matcher: Matcher, train: Path | None, test: Path, progress: Progress | None
) -> Evaluation:
    if train is None:
        return evaluation
    # Only here, since scikit-learn takes a second to load.
    from matcher.judging.grades import foretold_grades

    tell = progress or (lambda stage, done, total: None)
    found = foretold_grades(matcher, train, test, lambda done, total: tell("match", done, total))
    # What is wrong with the file asked about was said when it was read for the ranking.
    problems = list(dict.fromkeys([*evaluation.problems, *found.problems]))
    return replace(evaluation, problems=problems, grades=found)


@contextmanager
def collection_home(
    settings: Settings, labs: Path, needs: Path, progress: Progress | None = None
) -> Iterator[tuple[Matcher, list[str]]]:
    """Give a matcher over two files in a throwaway home, and a message per refused row.

    Models and embeddings are kept in the settings' own cache; nothing else is.

    Raises:
        EvaluationError: a file has no usable row.
    """
    with tempfile.TemporaryDirectory(prefix="gloria-collection-") as folder:
        throwaway = settings.model_copy(
            update={"home": Path(folder), "cache": settings.cache or settings.home, "database_url": ""}
        )
        refused = _import_and_index(throwaway, labs, needs, progress)
        yield Matcher.open(throwaway), refused


def _import_and_index(settings: Settings, labs: Path, needs: Path, progress: Progress | None) -> list[str]:
    engine = open_engine(settings)
    problems = []
    try:
        with Session(engine) as session:
            for path, kind in ((labs, "labs"), (needs, "needs")):
                report = import_file(session, path, kind)
                problems += [str(problem) for problem in report.errors]
                if not report.created:
                    wrong = T_("%(path)s: no usable row of %(kind)s", path=path, kind=kind)
                    raise EvaluationError(joined("\n", [wrong, *problems[:5]]))
            session.commit()
            try:
                reindex(session, settings, progress=progress)
            except ReindexError as error:
                raise EvaluationError(str(error)) from error
    finally:
        engine.dispose()
    return problems


def _ranked(matcher: Matcher, top: int | None, progress: Progress | None) -> Run:
    tell = progress or (lambda stage, done, total: None)
    return dict(ranked(matcher, top, lambda done, total: tell("match", done, total)))


def _unknown(judged: Qrels, matcher: Matcher) -> list[str]:
    needs = sorted(judged.keys() - matcher.needs.keys())
    labs = sorted({lab for grades in judged.values() for lab in grades} - matcher.labs.keys())
    return [
        f"not stored but judged in the qrels: {len(ids)} {what}, such as {ids[0]}; they count as not found"
        for what, ids in (("needs", needs), ("labs", labs))
        if ids
    ]


def _evaluation(judged: Qrels, systems: Mapping[str, Run], measures: Iterable[str], problems: list[str]) -> Evaluation:
    names = list(measures)
    per_need = {system: measure(judged, run, names) for system, run in systems.items()}
    means = {
        system: {name: float(np.mean(list(values[name].values()))) for name in names}
        for system, values in per_need.items()
    }
    first, *others = per_need
    differences = {
        other: {name: paired_bootstrap(_row(per_need[first][name]), _row(per_need[other][name])) for name in names}
        for other in others
    }
    n_needs = len(next(iter(per_need[first].values())))
    return Evaluation(n_needs, means, differences, per_need, problems)


def _row(values: Mapping[str, float]) -> npt.NDArray[np.float64]:
    return np.array([values[need] for need in sorted(values)])
