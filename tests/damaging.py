"""Damages an index generation in the ways that a disk, a copy or a hand may.

In: a whole index, or the bytes of a FAISS index, and a seed. Out: the same, damaged, always alike for the same seed.
In half of the cases the manifest is made to fit what is there, so that the checks behind it are reached too.
"""

from __future__ import annotations

import random
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import orjson

from indexer import manifest
from indexer.generation import POINTER, current_generation
from indexer.manifest import MANIFEST

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
            listed[name] = {"bytes": file.stat().st_size, "sha256": manifest._sha256(file)}
        document["sha256"] = manifest._seal(document)
        name = manifest._name(document)
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
