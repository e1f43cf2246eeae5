"""What may move a score and what may not: other labs, other needs, long lists, copies, a lone language, empty needs.

On the demo world with the default encoders; their vectors come with the tests (`tests/rig/kept_vectors.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import numpy as np
import pytest

from fixtures import world_path
from indexer.encoders.embeddings import EmbeddingCache
from indexer.encoders.encoder import Encoder, load_encoders
from indexer.index.building import overlaid
from indexer.records.passages import fingerprint, lab_passages, language_of, need_text
from indexer.records.profiles import Ask, Evidence, Lab, Need
from matcher.judging.evaluation import collection_home
from matcher.judging.goals import pairs, separation
from matcher.judging.measures import Qrels, read_qrels
from matcher.ranking.opened.opened_index import OpenedIndex
from matcher.ranking.pairings import Matcher
from matcher.ranking.ranker import Band, Ranking
from tests.rig.kept_vectors import seed
from tests.test_ranking_reaches_its_targets import _settings

Among = Callable[[Sequence[Lab]], Matcher]
Case = tuple[Need, Lab, list[Evidence]]
GOOD = 2
"""The grade from which an expert would introduce a lab."""


@pytest.fixture(scope="module")
def world() -> Iterator[Matcher]:
    seed()
    folder = world_path()
    with collection_home(_settings(), folder / "labs.jsonl", folder / "needs.jsonl") as (matcher, refused):
        assert refused == []
        yield matcher


@pytest.fixture(scope="module")
def qrels() -> Qrels:
    return read_qrels(world_path() / "qrels.txt")[0]


@pytest.fixture(scope="module")
def encoders() -> Sequence[Encoder]:
    return load_encoders(_settings())


@pytest.fixture(scope="module")
def among(world: Matcher, encoders: Sequence[Encoder]) -> Among:
    """Gives a matcher over other labs, as a server takes them in."""

    def matcher(labs: Sequence[Lab]) -> Matcher:
        by_id = {lab.id: lab for lab in sorted(labs, key=lambda lab: lab.id)}
        prints = {lab_id: fingerprint(lab_passages(lab)) for lab_id, lab in by_id.items()}
        snapshot = overlaid(
            world.snapshot,
            known=world.snapshot,
            labs=by_id,
            fingerprints=prints,
            encoders=encoders,
            cache=EmbeddingCache(_settings().embeddings_path),
            watermark={},
        )
        catalogue = replace(world.catalogue, labs=by_id)
        index = OpenedIndex.of(snapshot, None)
        return Matcher(
            settings=world.settings, index=index, catalogue=catalogue, queries=world.queries, needs=world.needs
        )

    return matcher


def _ranking(matcher: Matcher, need: Need) -> Ranking:
    return next(matcher.rankings([need]))


def _scores(matcher: Matcher, need: Need) -> dict[str, float]:
    return dict(zip(matcher.snapshot.lab_ids, _ranking(matcher, need).scores.tolist(), strict=True))


def _rank(matcher: Matcher, need: Need, lab_id: str) -> int:
    return int(_ranking(matcher, need).ranks[matcher.searcher.lab_rows[lab_id]])


def _instead(among: Among, world: Matcher, changed: Lab) -> Matcher:
    return among([*(lab for lab in world.labs.values() if lab.id != changed.id), changed])


def test_labs_that_are_added_move_nobody(world: Matcher, among: Among) -> None:
    labs = list(world.labs.values())
    field = labs[0].fields
    added = [lab for lab in labs if not set(lab.fields) & set(field)][:50]
    assert len(added) == 50
    fewer = among([lab for lab in labs if lab not in added])
    drift = []
    for need in list(world.needs.values())[::6]:
        before, after = _scores(fewer, need), _scores(world, need)
        spread = np.std(list(after.values()))
        drift += [abs(after[lab_id] - score) / spread for lab_id, score in before.items()]
    print("drift by 50 labs in deviations: most", max(drift), "mean", np.mean(drift))
    assert max(drift) <= 0.1
    assert np.mean(drift) <= 0.01


def test_another_need_moves_nobody(world: Matcher) -> None:
    first, other = list(world.needs.values())[:2]
    before = _scores(world, first)
    # Whatever is asked in between, and whatever is stored: a need is no part of what scores are read against.
    _ranking(world, replace(other, title="完全不同的需求", description="另一家公司改寫了需求內容"))
    assert _scores(world, first) == before
    moved = replace(first, description=first.description + "另需八吋機台。")
    assert _scores(world, moved) != before


def test_a_newer_lab_moves_nobody(world: Matcher, among: Among) -> None:
    """The age of evidence counts from the need's own year, and without one not at all."""
    stated = next(need for need in world.needs.values() if need.year)
    other = next(lab for lab in world.labs.values() if not set(lab.fields) & set(stated.fields))
    ahead = replace(other, id="lab-ahead", evidence=tuple(replace(one, year=2040) for one in other.evidence))
    newer = among([*world.labs.values(), ahead])
    # The same lab with its own years: what it adds by its words, which the new years must not add to.
    as_old = among([*world.labs.values(), replace(other, id="lab-ahead")])
    assert newer.searcher.years.max() == 2040 > as_old.searcher.years.max()
    for need in (stated, replace(stated, year=None)):
        before, after = _scores(as_old, need), _scores(newer, need)
        assert {lab: after[lab] for lab in world.labs} == {lab: before[lab] for lab in world.labs}
    # The control: the year of the need itself does move scores, and of evidence that is new to it none is better.
    assert _scores(world, stated) != _scores(world, replace(stated, year=None))


@pytest.fixture(scope="module")
def cases(world: Matcher, qrels: Qrels) -> list[Case]:
    """Six needs, each with a lab from the middle of its list, and sixty pieces of evidence of labs far below it."""
    chance = np.random.default_rng(5)
    found = []
    for need in list(world.needs.values())[::10]:
        ranking = _ranking(world, need)
        ids = [world.snapshot.lab_ids[row] for row in ranking.order]
        lab = world.labs[ids[int(chance.integers(24, 80))]]
        far = [world.labs[lab_id] for lab_id in ids[60:100] if not qrels[need.id].get(lab_id)]
        foreign = [piece for other in far if other.id != lab.id for piece in other.evidence if piece.weight > 0]
        chosen = [foreign[i] for i in chance.permutation(len(foreign))[:60]]
        found.append((need, lab, [replace(piece, id=f"{lab.id}-f{i}") for i, piece in enumerate(chosen)]))
    assert len(found) == 6
    return found


def test_sixty_foreign_pieces_hardly_help(world: Matcher, among: Among, cases: list[Case]) -> None:
    rises = []
    for need, lab, foreign in cases:
        padded = _instead(among, world, replace(lab, evidence=lab.evidence + tuple(foreign)))
        rises.append(_rank(world, need, lab.id) - _rank(padded, need, lab.id))
    print("places gained by sixty foreign pieces", rises)
    assert np.median(rises) <= 2
    assert max(rises) <= 12


def test_a_lab_that_really_works_on_it_does_rise(world: Matcher, among: Among, cases: list[Case], qrels: Qrels) -> None:
    """The control of the test above: evidence of the labs that experts would introduce."""
    rises = []
    for need, lab, _ in cases:
        good = [world.labs[lab_id] for lab_id, grade in qrels[need.id].items() if grade >= GOOD and lab_id != lab.id]
        pieces = [replace(piece, id=f"{lab.id}-g{i}") for i, piece in enumerate(p for x in good for p in x.evidence)]
        same = replace(lab, summary=good[0].summary, summary_en=good[0].summary_en)
        better = _instead(among, world, replace(same, evidence=lab.evidence + tuple(pieces)))
        rises.append(_rank(world, need, lab.id) - _rank(better, need, lab.id))
    assert np.median(rises) >= 15


def test_copies_and_near_copies_change_nothing(world: Matcher, among: Among, cases: list[Case]) -> None:
    for need, lab, _ in cases[:3]:
        piece = max((p for p in lab.evidence if p.weight > 0), key=lambda p: len(p.abstract))
        same = [replace(piece, id=f"{lab.id}-c{i}") for i in range(10)]
        near = [replace(piece, id=f"{lab.id}-n{i}", title=f"{piece.title}（第{i + 2}版）") for i in range(10)]
        copied = _instead(among, world, replace(lab, evidence=(*lab.evidence, *same, *near)))
        ranks = _rank(world, need, lab.id), _rank(copied, need, lab.id)
        scores = _scores(world, need)[lab.id], _scores(copied, need)[lab.id]
        print("with twenty copies", ranks, scores)
        assert ranks[1] == ranks[0]
        assert scores[1] == pytest.approx(scores[0], abs=1e-9)


@pytest.mark.parametrize("foreign", [1, 3, 35])
def test_few_labs_of_a_language_keep_their_rank(world: Matcher, among: Among, foreign: int) -> None:
    languages = {lab.id: {p.language for p in lab_passages(lab)} for lab in world.labs.values()}
    chinese = [lab for lab in world.labs.values() if languages[lab.id] == {"zh"}]
    english = [lab for lab in world.labs.values() if languages[lab.id] == {"en"}]
    moved = []
    for need in world.needs.values():
        if language_of(need_text(need)) != "zh":
            continue
        ranking = _ranking(world, need)
        order = [world.snapshot.lab_ids[row] for row in ranking.order]
        there = [lab for lab in order if languages[lab] in ({"zh"}, {"en"})]
        best = next((lab for lab in there if languages[lab] == {"en"}), "")
        # Only where the one English lab is among the first of the whole world.
        if not best or there.index(best) > 2:
            continue
        kept = [world.labs[best], *(lab for lab in english if lab.id != best)][:foreign]
        few = among([*chinese, *kept])
        expected = 1 + sum(languages[lab] == {"zh"} for lab in there[: there.index(best)])
        moved.append(abs(_rank(few, need, best) - expected))
        if len(moved) == 5:
            break
    print(foreign, "labs of another language: places moved", moved)
    assert len(moved) == 5
    assert max(moved) <= 1


NOTHING = ("測試", "N/A", "test", "無", "待補", "asdf", "---", "TBD")
NONSENSE = (
    (
        "修復拉丁文手抄本",
        "館藏十二世紀羊皮紙手抄本褪色,想請人判讀並修復頁緣的金箔插圖。",
        ("判讀拉丁文縮寫", "修復羊皮紙"),
    ),
    ("芭蕾舞劇服裝縫製", "年度公演需要三十套芭蕾舞裙,想找人打版與刺繡。", ("設計舞裙版型", "手工刺繡")),
    ("婚禮主持人", "十二月在飯店辦婚宴,需要會帶動氣氛的主持人與樂團。", ("主持婚宴", "安排樂團演奏")),
    ("足球教練", "社區少年足球隊缺教練,每週六上午訓練。", ("訓練守門員", "帶隊比賽")),
    ("Ballet costumes", "We need thirty tutus for the annual gala.", ("design tutu patterns", "embroider bodices")),
    ("Wedding band", "Looking for a jazz quartet for a wedding dinner.", ("play swing standards", "sing ballads")),
    ("Chess arbiter", "A weekend open with ninety players needs an arbiter.", ("pair the rounds", "settle disputes")),
    ("Divorce lawyer", "We seek legal advice on custody and alimony.", ("draft a settlement", "represent in court")),
)


def _need(title: str, description: str = "", asks: tuple[str, ...] = ()) -> Need:
    empty = Need("need-x", None, None, title, description, (), (), None, None, "public", None, (), (), None)
    return replace(empty, asks=tuple(Ask("technology", text) for text in asks))


def test_needs_that_say_nothing_find_nobody(world: Matcher) -> None:
    for text in NOTHING:
        for need in (_need(text), _need(text, text, (text,))):
            found = world.match(need, top=10)
            assert {pairing.band for pairing in found.pairings} == {Band.WEAK}, text
            assert found.warnings, text


def test_nobody_covers_what_nobody_does(world: Matcher) -> None:
    asked = covered = 0
    for title, description, asks in NONSENSE:
        found = world.match(_need(title, description, asks), top=10)
        assert all(pairing.band != Band.STRONG for pairing in found.pairings), title
        for pairing in found.pairings:
            asked += len(pairing.explanation.asks)
            covered += sum(ask.covered == "yes" for ask in pairing.explanation.asks)
    print("asks of nonsense covered", covered, "of", asked)
    assert covered / asked < 0.03


def test_what_is_asked_and_done_is_covered(world: Matcher, qrels: Qrels) -> None:
    """The control of the two tests above."""
    asked = covered = strong = good = 0
    for need in list(world.needs.values())[::4]:
        for pairing in world.match(need, top=10).pairings:
            if qrels[need.id].get(pairing.lab_id, 0) >= GOOD:
                good += 1
                strong += pairing.band == Band.STRONG
                asked += len(pairing.explanation.asks)
                covered += sum(ask.covered != "no" for ask in pairing.explanation.asks)
    print("of good pairs strong", strong, "of", good, "asks covered at least in part", covered, "of", asked)
    assert strong >= 0.5 * good
    assert covered >= 0.6 * asked


def test_scores_of_all_needs_are_on_one_scale(world: Matcher, qrels: Qrels) -> None:
    found = pairs(world, qrels)
    assert list(found.groups) == ["all", "zh", "en", "across"]
    for name, chosen in found.groups.items():
        area, recall = separation(found.scores[chosen], found.good[chosen])
        print(name, "AUC", round(area, 4), "recall at 90 % precision", round(recall, 3))
        if name != "across":
            assert area >= 0.988
            assert recall >= 0.7
    shuffled = np.random.default_rng(1).permutation(found.good)
    assert separation(found.scores, shuffled)[0] < 0.6
