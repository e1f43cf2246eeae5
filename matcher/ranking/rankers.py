"""The rankers of a home: which there are, and which one is in use.

In: weights that were learned from decisions, with what they were learned from; the version that a person wants to be
used. Out: one file per ranker in `GLORIA_HOME/rankers`, of the form of `weights.json`, never changed, with a hash over
its content in its name; and the ranker in use, which is that of the release until somebody promotes another. It exists
apart from the learning because everybody who ranks must find the same ranker, and because any earlier one must be
there to go back to. A file whose content is not what its name says is refused: weights decide who is introduced.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

import orjson

from indexer.disk import write_whole
from indexer.settings import Settings
from indexer.wording import T_
from matcher.ranking.ranker import DEFAULT_WEIGHTS, Ranker, WeightsError, load_ranker
from matcher.ranking.wishes import Steering

FOLDER = "rankers"
IN_USE = "in-use.json"
_VERSION = re.compile(r"learned-\d{4}-\d{2}-\d{2}-([0-9a-f]{12})")
_DEPTH = "depth"


@dataclass(frozen=True)
class StoredRanker:
    """A ranker that was learned in this home; `content` is its file, `problem` says why it can't be used."""

    version: str
    content: Mapping[str, Any]
    problem: str | None = None


def rankers_path(settings: Settings) -> Path:
    """Return the folder of the home's rankers."""
    return settings.home / FOLDER


def default_ranker() -> Ranker:
    """Return the ranker of this release."""
    return load_ranker(DEFAULT_WEIGHTS)


def store(settings: Settings, content: Mapping[str, Any], day: str) -> str:
    """Keep a ranker and return its version; the same content gives the same version.

    Args:
        settings: name the home.
        content: what `load_ranker` reads but for the version, and what it was learned from.
        day: the day up to which it learned, as 2026-11-30.

    Raises:
        OSError: the disk is full or not writable.
    """
    version = f"learned-{day}-{_hash(content)}"
    path = _path(settings, version)
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        whole = {**content, "version": version}
        write_whole(path, orjson.dumps(whole, option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS))
    return version


def stored_rankers(settings: Settings) -> list[StoredRanker]:
    """Return the rankers that were learned in this home, by day and name."""
    found = []
    for path in sorted(rankers_path(settings).glob("learned-*.json")):
        try:
            found.append(StoredRanker(path.stem, _content(settings, path.stem)))
        except WeightsError as error:
            found.append(StoredRanker(path.stem, {}, str(error)))
    return found


def content_of(settings: Settings, version: str) -> Mapping[str, Any]:
    """Return the file of a ranker that was learned in this home.

    Raises:
        WeightsError: there is none of that version, or it is damaged.
    """
    return _content(settings, version)


def ranker_named(settings: Settings, version: str) -> Ranker:
    """Return the ranker of a version: the release's, or one that was learned in this home.

    Raises:
        WeightsError: there is none of that version, or it is damaged.
    """
    if version == default_ranker().version:
        return default_ranker()
    _content(settings, version)
    return load_ranker(_path(settings, version))


def shown_by(settings: Settings, version: str) -> Ranker | None:
    """Return the ranker by which something was shown, with its depth and steering; None if it is not known any more."""
    base, *notes = version.split(", ")
    try:
        found = ranker_named(settings, base)
        steered = []
        for note in notes:
            what, _, how = note.rpartition(" ")
            if what == _DEPTH:
                found = found.with_depth(float(how))
            else:
                steered.append(f"{what}.{how}")
        return found.steered(Steering.read(steered))
    except (WeightsError, ValueError):
        return None


def version_in_use(settings: Settings) -> str | None:
    """Return the version that was promoted or restored last; None if never one was.

    Raises:
        WeightsError: the note of it can't be read.
    """
    used = _uses(settings)
    return str(used[-1]["version"]) if used else None


def versions_once_used(settings: Settings) -> frozenset[str]:
    """Return all versions that were in use at some time, beside the release's.

    Raises:
        WeightsError: the note of them can't be read.
    """
    return frozenset(str(one["version"]) for one in _uses(settings))


def _uses(settings: Settings) -> list[Mapping[str, Any]]:
    path = rankers_path(settings) / IN_USE
    try:
        used: list[Mapping[str, Any]] = orjson.loads(path.read_bytes())["used"]
        _ = [one["version"] for one in used]
    except FileNotFoundError:
        return []
    except (OSError, orjson.JSONDecodeError, KeyError, TypeError) as error:
        raise WeightsError(
            T_("%(path)s can't be read; bring it back from a backup, or remove it to rank as released", path=path)
        ) from error
    return used


def ranker_in_use(settings: Settings) -> Ranker:
    """Return the ranker that all answers of this home rest on, weighed as the settings say.

    Raises:
        WeightsError: the one in use is missing or damaged.
    """
    version = version_in_use(settings)
    found = load_ranker() if version is None else ranker_named(settings, version)
    return found.with_depth(settings.depth)


def put_in_use(settings: Settings, version: str, *, by: str, now: datetime) -> None:
    """Let all answers rest on a ranker from now on; that this is deserved is the caller's to know.

    Raises:
        WeightsError: there is none of that version, or it is damaged.
        OSError: the disk is full or not writable.
    """
    ranker_named(settings, version)
    folder = rankers_path(settings)
    folder.mkdir(parents=True, exist_ok=True)
    used = [*_uses(settings), {"version": version, "by": by, "at": now}]
    write_whole(folder / IN_USE, orjson.dumps({"used": used}, option=orjson.OPT_INDENT_2))


def _path(settings: Settings, version: str) -> Path:
    return rankers_path(settings) / f"{version}.json"


def _hash(content: Mapping[str, Any]) -> str:
    plain = {name: value for name, value in content.items() if name != "version"}
    return sha256(orjson.dumps(plain, option=orjson.OPT_SORT_KEYS)).hexdigest()[:12]


def _content(settings: Settings, version: str) -> Mapping[str, Any]:
    named, path = _VERSION.fullmatch(version), _path(settings, version)
    if named is None or not path.is_file():
        raise WeightsError(T_("there is no ranker %(version)r; see: gloria learn --list", version=version))
    try:
        content: dict[str, Any] = orjson.loads(path.read_bytes())
        whole = content["version"] == version and _hash(content) == named[1]
    except (OSError, orjson.JSONDecodeError, KeyError, TypeError, AttributeError):
        whole = False
    if not whole:
        raise WeightsError(T_("%(path)s was changed or damaged since it was learned; it is not used", path=path))
    return content
