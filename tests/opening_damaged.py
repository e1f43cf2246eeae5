"""Opens damaged indexes in processes of their own, and counts what came of it.

In: a whole index of two generations and seeds. Out: how often a reader gave the right answers, refused, or did what it
must never do, and how much memory it took at most. The processes have the bounds that the product gives to the one
that opens an index first; one that dies of what it opened is counted and replaced.
"""

from __future__ import annotations

import multiprocessing
import resource
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from indexer import checked_opening, manifest, vectors
from indexer.checked_opening import open_generation
from indexer.first_opening import BASE_BYTES
from indexer.generation import current_generation, fallbacks
from indexer.lexical import terms
from indexer.manifest import SnapshotError
from indexer.snapshot import Snapshot, open_newest_usable
from indexer.tfidf import word_parts
from indexer.vectors import VectorIndex, VectorIndexError
from tests.damaging import damage, damage_vectors

ASKED = ("鈣鈦礦太陽能電池的封裝與壽命", "dissolved oxygen in aquaculture ponds", "深度學習 bearing fault diagnosis")
WRONG = "wrong"
_TOP = 20
_PROCESSES = 2


@dataclass
class Outcome:
    """How often each thing came of it, how often a process died, its peak memory, and what was wrong."""

    counts: Counter[str] = field(default_factory=Counter)
    crashes: int = 0
    peak_mb: int = 0
    wrong: list[str] = field(default_factory=list)

    def note(self, seed: int, said: str, peak_mb: int) -> None:
        """Take in what a process said of a seed."""
        self.counts[said.partition(":")[0]] += 1
        self.peak_mb = max(self.peak_mb, peak_mb)
        if said.startswith(WRONG):
            self.wrong.append(f"seed {seed}: {said}")


def answers(opened: Snapshot) -> bytes:
    """Return what a snapshot says of itself and answers to fixed questions, with all scores."""
    found: list[Any] = [opened.lab_ids, opened.lab_of_passage.tolist(), _rows(opened)]
    for text in ASKED:
        for scores in (
            opened.words.scores(terms(text)),
            opened.word_parts.scores(word_parts(text)),
            opened.lab_words.scores(terms(text)),
        ):
            found.append([(int(i), float(scores[i])) for i in np.argsort(-scores, kind="stable")[:_TOP]])
    chance = np.random.default_rng(7)
    for one in opened.fields:
        asked = chance.normal(size=(len(ASKED), one.index.dims)).astype(np.float32)
        scores, rows = one.index.search(asked - one.query_means[""], _TOP)
        texts = [opened.passages[one.rows[row]].text for row in rows.ravel()]
        found += [one.name, one.languages, scores.tolist(), rows.tolist(), texts]
    return orjson.dumps(found)


def _rows(opened: Snapshot) -> list[tuple[Any, ...]]:
    return [(p.lab_id, p.source, p.kind, p.text, p.language, p.year, p.weight) for p in opened.passages]


class _Reader:
    """Opens damaged copies of one index."""

    def __init__(self, whole: Path, scratch: Path) -> None:
        self._whole, self._index = whole, scratch / "index"
        self._newest, self._before = current_generation(whole), fallbacks(whole)[0].name
        self._said = {name: answers(open_generation(whole / name)) for name in (self._newest, self._before)}
        self._vectors = (whole / self._newest / "vectors-0.faiss").read_bytes()
        self._field = open_generation(whole / self._newest).fields[0]

    def generation(self, seed: int) -> str:
        """Damage the newest generation and open the index as a server does."""
        shutil.rmtree(self._index, ignore_errors=True)
        shutil.copytree(self._whole, self._index)
        how = damage(self._index, seed)
        try:
            opened, problem = open_newest_usable(self._index)
        except SnapshotError as error:
            return f"{WRONG}: {how}: {error}"
        said = answers(opened)
        if opened.generation != self._before:
            # Whatever it is called by now, only what it was may be used.
            return "answers are right" if said == self._said[self._newest] else f"{WRONG}: {how}: other answers"
        if said != self._said[self._before] or not problem:
            return f"{WRONG}: {how}: the earlier one answers otherwise or does not say why"
        by_hash = "sha256" in problem or " bytes instead of " in problem or "not listed" in problem
        return "refused by a hash" if by_hash else "refused by what is behind the hashes"

    def vectors(self, seed: int) -> str:
        """Damage a FAISS index and read it."""
        index = self._field.index
        content, size, dims = damage_vectors(self._vectors, index.size, index.dims, seed)
        try:
            found = VectorIndex.from_bytes(content, size=size, dims=dims)
        except VectorIndexError:
            return "refused by a stated error"
        asked = index.some_rows([0, 1])
        found.search(asked, _TOP)
        if np.array_equal(found.rows(), index.rows()):
            return "answers are right"
        return f"{WRONG}: other vectors" if found.digest() == index.digest() else "other vectors, found by their hash"


def _leave_out_checks() -> None:
    """Take the hashes, the canaries and the look at FAISS's header out of the product."""

    def nothing(*_: object, **__: object) -> None:
        pass

    manifest._check_file = nothing
    checked_opening.check_canaries = nothing
    vectors._check_header = nothing


def _work(pipe: Connection, whole: Path, scratch: Path, kind: str, checked: bool) -> None:
    limit = BASE_BYTES + 4 * sum(path.stat().st_size for path in whole.rglob("*") if path.is_file())
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    reader = _Reader(whole, Path(tempfile.mkdtemp(dir=scratch)))
    if not checked:
        _leave_out_checks()
    while True:
        seed = pipe.recv()
        try:
            said = getattr(reader, kind)(seed)
        except Exception as error:
            said = f"{WRONG}: {type(error).__name__} ({error})"
        pipe.send((said, _peak_mb()))


def _peak_mb() -> int:
    # Not by getrusage, whose figure begins with the memory of the process that began this one.
    (line,) = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM")]
    return int(line.split()[1]) // 1024


class _Process:
    """A process that is given one seed after the other."""

    def __init__(self, *about: Any) -> None:
        context = multiprocessing.get_context("spawn")
        self._about = about
        self.pipe, theirs = context.Pipe()
        self._process: BaseProcess = context.Process(target=_work, args=(theirs, *about), daemon=True)
        self._process.start()
        theirs.close()
        self._seed = 0

    def ask(self, seeds: Iterator[int]) -> bool:
        """Begin with the next seed, if there is one."""
        for seed in seeds:
            self._seed = seed
            self.pipe.send(seed)
            return True
        return False

    def take(self, outcome: Outcome) -> _Process:
        """Note what came of the seed; return who goes on."""
        try:
            outcome.note(self._seed, *self.pipe.recv())
        except EOFError:
            outcome.crashes += 1
            self.end()
            return _Process(*self._about)
        return self

    def end(self) -> None:
        """Kill it."""
        self._process.kill()
        self._process.join()


def opened_damaged(whole: Path, kind: str, seeds: Sequence[int], *, checked: bool = True) -> Outcome:
    """Open one damaged copy for each seed.

    Args:
        whole: an index with two generations.
        kind: `generation` or `vectors`.
        seeds: each gives one damage.
        checked: False leaves out the product's checks: the control.
    """
    outcome, left = Outcome(), iter(seeds)
    with tempfile.TemporaryDirectory(prefix="damaged-") as scratch:
        running = [_Process(whole, Path(scratch), kind, checked) for _ in range(_PROCESSES)]
        asked = [one for one in running if one.ask(left)]
        while asked:
            for pipe in wait([one.pipe for one in asked]):
                (one,) = [one for one in asked if one.pipe is pipe]
                asked.remove(one)
                running.remove(one)
                following = one.take(outcome)
                running.append(following)
                if following.ask(left):
                    asked.append(following)
        for one in running:
            one.end()
    return outcome
