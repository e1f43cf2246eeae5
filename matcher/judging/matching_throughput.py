"""How many new needs a second a server's matching answers, against what encoding them alone allows.

In: how many synthetic labs, client threads and seconds. Out: one JSON object
with the rates, their ratio and the times of a match. It exists so that the
figure can be measured on any machine:

    python -m matcher.judging.matching_throughput --labs 1000 --clients 16 --seconds 20 [--home FOLDER]

Each client asks with a need that nobody asked before and gets 20 explained
labs. Encoding alone is the same needs' texts through the same batches, nothing
else. Both run with all models loaded and the index read, in turn, `--rounds`
times; the rates are over all rounds. With `--home` the records, the index and
the embeddings stay in that folder, so that a second run starts at once;
nothing else should be in it.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import orjson
from sqlalchemy import Engine
from sqlmodel import Session

from fixtures import world_path
from fixtures.synthetic import generate
from indexer.database import open_engine
from indexer.encoders.encoder import load_encoders
from indexer.encoders.query_vectors import BatchedQueries
from indexer.index.building import reindex
from indexer.index.generations import POINTER
from indexer.records.importing import import_file
from indexer.records.passages import need_text
from indexer.records.profiles import Ask, Need
from indexer.settings import Settings
from indexer.vocabulary import Kind
from matcher.ranking.opened.live import LiveMatcher

SHOWN = 20
KNOWN_NEEDS = 200
"""Needs that are stored and encoded before, as in a real home."""
NEEDS_PER_S = 150
"""New needs made for each second measured; a machine that answers more would run out of them."""


@dataclass(frozen=True)
class MatchingThroughput:
    """Rates per second, and times of one match in milliseconds, over all rounds."""

    labs: int
    clients: int
    seconds: float
    matches: int
    encode_only_per_s: float
    match_per_s: float
    ratio: float
    p50_ms: float
    p99_ms: float


def measure(settings: Settings, *, labs: int, clients: int, seconds: float, rounds: int = 1) -> MatchingThroughput:
    """Measure in the home of the settings, which is filled if it is empty.

    Raises:
        RuntimeError: the machine answered more needs than were made.
    """
    engine = open_engine(settings)
    live = LiveMatcher(settings, engine)
    with tempfile.TemporaryDirectory() as folder, closing(live):
        made = KNOWN_NEEDS + int(2 * seconds * rounds * NEEDS_PER_S)
        lab_file, need_file, _ = generate(labs=labs, needs=made, out=Path(folder))
        lines = need_file.read_bytes().splitlines()
        if not (settings.index_path / POINTER).exists():
            need_file.write_bytes(b"\n".join(lines[:KNOWN_NEEDS]) + b"\n")
            schools = world_path() / "schools.jsonl"
            _fill(engine, settings, [(schools, Kind.SCHOOLS), (lab_file, Kind.LABS), (need_file, Kind.NEEDS)])
        live.warm()
        needs = [_need(orjson.loads(line)) for line in lines[KNOWN_NEEDS:]]
        with closing(BatchedQueries(load_encoders(settings))) as alone:
            alone.warm()
            found = _measured(live, alone, needs, clients=clients, seconds=seconds, rounds=rounds)
    engine.dispose()
    return found


def _measured(
    live: LiveMatcher, alone: BatchedQueries, needs: Sequence[Need], *, clients: int, seconds: float, rounds: int
) -> MatchingThroughput:
    def encode(need: Need) -> None:
        alone.vectors([need_text(need), *(ask.text for ask in need.asks)])

    def match(need: Need) -> None:
        live.current().match(need, top=SHOWN)

    # The same needs both ways, each asked once of either.
    ways = {"encode": (encode, iter(needs)), "match": (match, iter(needs))}
    times: dict[str, list[float]] = {way: [] for way in ways}
    spent = dict.fromkeys(ways, 0.0)
    for _ in range(rounds):
        for way, (work, source) in ways.items():
            started = time.perf_counter()
            times[way] += asked(work, source, clients, seconds)
            spent[way] += time.perf_counter() - started
    encoded, matched = (len(times[way]) / spent[way] for way in ways)
    p50, p99 = np.percentile(times["match"], [50, 99])
    return MatchingThroughput(
        labs=len(live.current().snapshot.lab_ids),
        clients=clients,
        seconds=seconds * rounds,
        matches=len(times["match"]),
        encode_only_per_s=round(encoded, 2),
        match_per_s=round(matched, 2),
        ratio=round(matched / encoded, 3),
        p50_ms=round(float(p50) * 1000, 1),
        p99_ms=round(float(p99) * 1000, 1),
    )


def asked(work: Callable[[Need], None], needs: Iterator[Need], clients: int, seconds: float) -> list[float]:
    """Let clients ask for some seconds, each one need after the other; return what each need took, in seconds."""
    taking = threading.Lock()
    until = time.perf_counter() + seconds

    def ask() -> list[float]:
        times = []
        while (started := time.perf_counter()) < until:
            with taking:
                need = next(needs, None)
            if need is None:
                raise RuntimeError("all needs were asked for; measure for a shorter time")
            work(need)
            times.append(time.perf_counter() - started)
        return times

    with ThreadPoolExecutor(clients) as pool:
        done = [pool.submit(ask) for _ in range(clients)]
        return [spent for client in done for spent in client.result()]


def _fill(engine: Engine, settings: Settings, files: Sequence[tuple[Path, Kind]]) -> None:
    with Session(engine) as session:
        for path, kind in files:
            import_file(session, path, kind)
        session.commit()
        reindex(session, settings)


def _need(row: dict[str, Any]) -> Need:
    """Return a synthetic need as a value; it names no company."""
    return Need(
        id=row["id"],
        company=None,
        school=None,
        title=row["title"],
        description=row["description"],
        asks=tuple(Ask(**ask) for ask in row["asks"]),
        fields=tuple(row["fields"]),
        budget_ntd=row["budget_ntd"],
        deadline=None,
        confidentiality=row["confidentiality"],
        region=None,
        languages=tuple(row["languages"]),
        excluded_labs=tuple(row["excluded_labs"]),
        year=row["year"],
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the figures of one measurement."""
    parser = argparse.ArgumentParser(
        prog="python -m matcher.judging.matching_throughput", description="measures matching of new needs"
    )
    parser.add_argument("--labs", type=int, default=1000, help="synthetic labs, where the home is still empty")
    parser.add_argument("--clients", type=int, default=16, help="threads that ask at once")
    parser.add_argument("--seconds", type=float, default=20, help="how long each way is measured in a round")
    parser.add_argument("--rounds", type=int, default=1, help="how often to measure each way")
    parser.add_argument("--home", type=Path, help="folder to keep records and index in; default a throwaway one")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="gloria-throughput-") as throwaway:
        settings = Settings(home=options.home or Path(throwaway), database_url="")
        found = measure(
            settings, labs=options.labs, clients=options.clients, seconds=options.seconds, rounds=options.rounds
        )
    sys.stdout.write(orjson.dumps(asdict(found), option=orjson.OPT_INDENT_2).decode() + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
