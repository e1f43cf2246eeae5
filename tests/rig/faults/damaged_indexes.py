"""Index generations damaged as a disk, a copy or a hand may, opened in processes of their own, and what came of it.

In: a whole index of two generations and seeds. Out: the same, damaged, always alike for the same seed (in half of
the cases the manifest is made to fit); how often a reader gave the right answers, refused, or did what it must
never do, and how much memory it took.
"""

from __future__ import annotations

import multiprocessing
import random
import resource
import shutil
import struct
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from indexer.index import generations, opening, vectors
from indexer.index.generations import MANIFEST, POINTER, SnapshotError, current_generation, fallbacks
from indexer.index.opening import BASE_BYTES, open_generation, open_newest_usable
from indexer.index.snapshot import Snapshot
from indexer.index.vectors import VectorIndex, VectorIndexError
from indexer.index.words import terms
from tests.rig.faults.small_generations import translated

_HEADER_BYTES = 45
_FORGED = (0, 1, 2**16, 2**24, 2**28, 600 * 2**20, 2**31 - 1, 2**32, 2**40, 2**63 - 1)
_ODD: tuple[Any, ...] = (None, -1, 0, 1, 2**31, 2**40, 2**62, 1.5, True, "", "x", "../../x", [], [1], {}, {"a": 1})


def damage(index: Path, seed: int) -> str:
    """Damage the current generation and return how; in half of the cases its manifest is made to fit again."""
    chance = random.Random(seed)
    folder = index / current_generation(index)
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    path, other = chance.sample(files, 2)
    kind = chance.choice(sorted(_DAMAGES))
    _DAMAGES[kind](chance, path, other)
    if chance.random() < 0.5:
        make_fit(index, folder)
        kind += ", made to fit"
    return kind


def _flip(chance: random.Random, path: Path, _: Path) -> None:
    content = bytearray(path.read_bytes())
    for _ in range(chance.choice((1, 1, 1, 2, 8))):
        content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
    path.write_bytes(content)


def _flip_in_the_first_bytes(chance: random.Random, path: Path, _: Path) -> None:
    content = bytearray(path.read_bytes())
    for _ in range(chance.choice((1, 2, 4))):
        content[chance.randrange(min(128, len(content)))] ^= 1 << chance.randrange(8)
    path.write_bytes(content)


def _forge(chance: random.Random, path: Path, _: Path) -> None:
    content = bytearray(path.read_bytes())
    place = chance.randrange(max(1, min(96, len(content) - 8)))
    number = chance.choice((0, 1, 2**16, 2**31 - 1, 2**32, 2**40, 2**63 - 1))
    content[place : place + 8] = struct.pack("<Q", number)
    path.write_bytes(content)


def _cut(chance: random.Random, path: Path, _: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: chance.randrange(len(content))])


def _zero(chance: random.Random, path: Path, _: Path) -> None:
    content = bytearray(path.read_bytes())
    start = chance.randrange(len(content))
    length = min(chance.choice((1, 16, 512, 4096)), len(content) - start)
    content[start : start + length] = bytes(length)
    path.write_bytes(content)


def _repeat(chance: random.Random, path: Path, _: Path) -> None:
    content = path.read_bytes()
    start = chance.randrange(len(content))
    path.write_bytes(content[:start] + content[start : start + 512] * 2 + content[start + 512 :])


def _swap(_: random.Random, path: Path, other: Path) -> None:
    first, second = path.read_bytes(), other.read_bytes()
    path.write_bytes(second)
    other.write_bytes(first)


def _copy_over(_: random.Random, path: Path, other: Path) -> None:
    path.write_bytes(other.read_bytes())


def _take_away(_: random.Random, path: Path, __: Path) -> None:
    path.unlink()


def _edit_manifest(chance: random.Random, path: Path, _: Path) -> None:
    folder = path.parent if (path.parent / MANIFEST).exists() else path.parent.parent
    document = orjson.loads((folder / MANIFEST).read_bytes())
    places = list(_places(document))
    holder, key = chance.choice(places)
    if chance.random() < 0.2:
        del holder[key]
    else:
        value = holder[key]
        near = [value + 1, value - 1, value * 2] if type(value) is int else []
        holder[key] = chance.choice([*_ODD, *near, *near])
    (folder / MANIFEST).write_bytes(orjson.dumps(document))


def _places(holder: Any) -> Iterator[tuple[Any, Any]]:
    for key in list(holder) if isinstance(holder, dict) else range(len(holder)):
        yield holder, key
        if isinstance(holder[key], dict | list):
            yield from _places(holder[key])


_DAMAGES: dict[str, Callable[[random.Random, Path, Path], None]] = {
    "bits flipped": _flip,
    "bits flipped in the first bytes": _flip_in_the_first_bytes,
    "a number forged": _forge,
    "cut short": _cut,
    "zeroed": _zero,
    "a block twice": _repeat,
    "two files swapped": _swap,
    "another file's bytes": _copy_over,
    "a file taken away": _take_away,
    "manifest edited": _edit_manifest,
}


def make_fit(index: Path, folder: Path) -> None:
    """Let the manifest, the name and the pointer fit what is there, as who wanted to deceive would."""
    path = folder / MANIFEST
    try:
        document = orjson.loads(path.read_bytes())
        listed = document["files"]
        for name in list(listed):
            file = folder / name
            if not file.is_file():
                del listed[name]
                continue
            listed[name] = {"bytes": file.stat().st_size, "sha256": generations._sha256(file)}
        document["sha256"] = generations._seal(document)
        name = generations._name(document)
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return
    path.write_bytes(orjson.dumps(document))
    folder.rename(index / name)
    (index / POINTER).write_text(name)


def damage_vectors(content: bytes, size: int, dims: int, seed: int) -> tuple[bytes, int, int]:
    """Damage the bytes of a FAISS index, or forge its header; return them with the counts that a manifest gives."""
    chance = random.Random(seed)
    damaged = bytearray(content)
    kind = chance.randrange(6)
    if kind == 0:
        for _ in range(chance.choice((1, 1, 2, 8))):
            damaged[chance.randrange(len(damaged))] ^= 1 << chance.randrange(8)
    elif kind == 1:
        for _ in range(chance.choice((1, 2, 4))):
            damaged[chance.randrange(_HEADER_BYTES)] ^= 1 << chance.randrange(8)
    elif kind == 2:
        del damaged[chance.randrange(len(damaged)) :]
    elif kind == 3:
        start = chance.randrange(len(damaged))
        damaged[start : start + chance.choice((4, 64, 1024))] = bytes(4)
    elif kind == 4:
        place = chance.choice((4, 8, 16, 24, 33, 37, chance.randrange(_HEADER_BYTES)))
        damaged[place : place + 8] = struct.pack("<Q", chance.choice(_FORGED))
    else:
        # A header and a manifest that agree on more than the file holds.
        size = chance.choice((size + 1, size - 1, 2**20, 2**23, 2**31, 2**40))
        damaged[8:16] = struct.pack("<q", size)
        damaged[37:45] = struct.pack("<Q", size * dims)
    return bytes(damaged), size, dims


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
        for scores in (*opened.words.answers(terms(text)), translated(opened, text)):
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

    generations._check_file = nothing
    opening.check_known_answers = nothing
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
