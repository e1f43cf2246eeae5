"""Areas of the map: labs that lie together, with a name, kept in the home beside the index that they were made from.

In: the labs of a map and their places. Out: a file of areas for the map, which whoever shows the map reads. It exists
because finding and naming them reads thousands of labs, which nobody should wait for. An area holds ids of labs and
topics of research: where it lies follows from the places of those of its labs that one sees. The areas of a map begin
from those of the map before, so that a name stays where it was; without the file a map has none.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import orjson

from indexer.arrays import DoubleArray, FloatArray, IntArray
from indexer.database import storing_file
from indexer.disk import write_whole
from indexer.records.profiles import Lab
from matcher.review.mapped.area_names import area_names
from matcher.review.mapped.field_map import KEPT_MAPS, Place

FEWEST_LABS = 12
"""Labs below which the map is read point by point."""
MOST_AREAS = 24
"""Names that a screen has room for."""
READ_FOR_NAME = 60
"""Labs of an area that are read for its name, those nearest to its middle: of thousands more say nothing new."""
FOLDER = "map"
_PER_ROOT = 1.1
"""Areas for each square root of the labs: 13 of 135, so that ten labs or so lie in each."""
_SEED = 0
_NAMED_BY = 32
"""Characters of the map's hash that name its file."""


@dataclass(frozen=True)
class Area:
    """Labs that lie together; words of its name in Chinese and English, and the field that at least half of them share.

    Words may be missing in either language, where nothing sets the labs apart; a field where none is common.
    """

    labs: tuple[str, ...]
    words: tuple[str, ...]
    words_en: tuple[str, ...]
    field: str | None


def areas_of(
    places: Mapping[str, Place],
    labs: Mapping[str, Lab],
    about: Mapping[str, FloatArray],
    before: Sequence[Area] = (),
) -> tuple[Area, ...]:
    """Return the areas of a map, none if it has too few labs.

    Args:
        places: where its labs lie.
        labs: at least those of `places`.
        about: how much each is about each topic (`topics_of_labs`), at least those of `places`.
        before: the areas of the map before, which these begin from.
    """
    ids = sorted(id_ for id_ in places if id_ in labs)
    if len(ids) < FEWEST_LABS:
        return ()
    points = np.array([places[id_] for id_ in ids])
    wanted = min(MOST_AREAS, max(2, round(_PER_ROOT * len(ids) ** 0.5)))
    numbers, middles = _grouped(points, wanted, _middles(places, before))
    members = [[ids[row] for row in np.flatnonzero(numbers == number)] for number in range(len(middles))]
    read = [_nearest(places, some, middle) for some, middle in zip(members, middles, strict=True)]
    names = area_names([[about[id_] for id_ in some] for some in read])
    return tuple(
        Area(tuple(some), name.zh, name.en, _field(labs[id_] for id_ in some))
        for some, name in zip(members, names, strict=True)
        if some
    )


def _middles(places: Mapping[str, Place], before: Sequence[Area]) -> DoubleArray:
    """Return where the areas of before would lie now, shape (areas, 2)."""
    found = [[places[id_] for id_ in area.labs if id_ in places] for area in before]
    return np.array([np.mean(some, axis=0) for some in found if some]).reshape(-1, 2)


def _grouped(points: DoubleArray, wanted: int, start: DoubleArray) -> tuple[IntArray, DoubleArray]:
    """Return the number of each point's group and the middles, by k-means; from the middles of before if as many."""
    from sklearn.cluster import KMeans
    from threadpoolctl import threadpool_limits

    different = len(np.unique(points, axis=0))
    wanted = min(wanted, different)
    begun = {"init": start, "n_init": 1} if len(start) == wanted else {"n_init": 10}
    # One thread: several add up in the order in which they happen to end.
    with threadpool_limits(limits=1):
        found = KMeans(wanted, random_state=_SEED, **begun).fit(points)
    return np.asarray(found.labels_), np.asarray(found.cluster_centers_)


def _nearest(places: Mapping[str, Place], ids: Sequence[str], middle: DoubleArray) -> list[str]:
    far = {id_: float(np.hypot(places[id_][0] - middle[0], places[id_][1] - middle[1])) for id_ in ids}
    return sorted(ids, key=lambda id_: (far[id_], id_))[:READ_FOR_NAME]


def _field(labs: Iterable[Lab]) -> str | None:
    fields = [lab.fields for lab in labs]
    counts = Counter(name for some in fields for name in some)
    first = min(counts, key=lambda name: (-counts[name], name), default=None)
    return first if first is not None and 2 * counts[first] >= len(fields) else None


def keep_areas(home: Path, inputs: str, areas: Sequence[Area]) -> None:
    """Store the areas of the map that was drawn from `inputs`, whole or not at all, and delete those of older maps.

    Raises:
        StorageFullError: the disk is full.
    """
    folder = home / FOLDER
    with storing_file():
        folder.mkdir(parents=True, exist_ok=True)
        write_whole(_file(home, inputs), orjson.dumps([asdict(area) for area in areas]))
        kept = sorted(folder.glob("*.json"), key=lambda path: path.stat().st_mtime_ns, reverse=True)
        for old in kept[KEPT_MAPS:]:
            old.unlink(missing_ok=True)


def kept_areas(home: Path, inputs: str) -> tuple[Area, ...] | None:
    """Return the areas of the map that was drawn from `inputs`; None where they are not there or can't be read."""
    try:
        rows = orjson.loads(_file(home, inputs).read_bytes())
        return tuple(
            Area(tuple(row["labs"]), tuple(row["words"]), tuple(row["words_en"]), row["field"]) for row in rows
        )
    except (OSError, ValueError, TypeError, KeyError):
        return None


def _file(home: Path, inputs: str) -> Path:
    return home / FOLDER / f"{inputs[:_NAMED_BY]}.json"
