"""How many new needs a second one worker matches over HTTP, against what encoding them allows.

    python -m tests.rig.load.matches [--labs 1000] [--clients 16] [--seconds 15] [--rounds 3] [--home FOLDER]

In: how many synthetic labs, clients, seconds and rounds. Out: the rates, their ratio and
waiting times. Each request is an expert's first question for the matches of a need that
nobody has encoded before; each answer stores 20 proposals. Encoding alone is the texts of
as many other needs of the same collection through the same batches, nothing else, in this
process while the server is idle. Both run in turn, and the rates are over all rounds. With `--home`
the index and the models stay in that folder, so that a second run starts at once. It is a
command and no test, because its figures are those of the machine it runs on.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path

import httpx
from sqlmodel import col, func, select

from fixtures import world_path
from fixtures.synthetic import generate
from indexer.database import open_engine, reading, writing
from indexer.encoders.encoder import load_encoders
from indexer.encoders.query_vectors import BatchedQueries
from indexer.index.building import reindex
from indexer.index.generations import POINTER
from indexer.records.importing import import_file
from indexer.records.passages import need_text
from indexer.records.profiles import Need
from indexer.records.record_tables import load_needs
from indexer.settings import Settings
from matcher.judging.matching_throughput import KNOWN_NEEDS, NEEDS_PER_S, asked
from matcher.review.intake import adopt
from matcher.review.proposals import Proposal
from tests.rig.load.clients import Answer, Crowd, Request, Share, crowd, processor_s, waits_ms
from tests.rig.servers.served import Served, served

SHOWN = 20


def prepared(home: Path, records: Path, labs: int, needs: int, known: int = KNOWN_NEEDS) -> None:
    """Write a collection that has the people's company and labs too, and index its labs and first needs in a home."""
    generate(labs=labs, needs=needs, out=records)
    for name in ("schools", "companies", "labs", "needs"):
        # The accounts of the tests' people name records of the demo world.
        lines = (world_path() / f"{name}.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)
        wanted = lines if name in ("schools", "companies") else [line for line in lines if f'"{name[:-1]}-1-0' in line]
        with (records / f"{name}.jsonl").open("a", encoding="utf-8") as file:
            file.writelines(wanted)
    settings = Settings(home=home, database_url="")
    if (settings.index_path / POINTER).exists():
        return
    first = records / "known"
    first.mkdir()
    lines = (records / "needs.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)
    (first / "needs.jsonl").write_text("".join(lines[:known]), encoding="utf-8")
    engine = open_engine(settings)
    with writing(engine) as session:
        for path in (
            records / "schools.jsonl",
            records / "companies.jsonl",
            records / "labs.jsonl",
            first / "needs.jsonl",
        ):
            import_file(session, path)
        reindex(session, settings)
    engine.dispose()


def new_needs(server: Served) -> list[Need]:
    """Give the needs that the index does not know to the expert's alliance; return them."""
    engine = open_engine(server.settings)
    with writing(engine) as session:
        needs = [need for need in load_needs(session) if need.id.startswith("synth")][KNOWN_NEEDS:]
        adopt(session, need_ids=[need.id for need in needs], alliance_id="al-a", by=None, now=datetime.now(UTC))
    engine.dispose()
    return needs


def measure(server: Served, needs: Sequence[Need], asking: Crowd, *, clients: int, seconds: float, rounds: int) -> str:
    """Measure both ways in turn; return the figures.

    Raises:
        AssertionError: a match was not answered with 200, or its proposals are not stored.
    """
    encoded, spent, answers = 0, Counter[str](), list[Answer]()
    half = len(needs) // 2
    to_encode, to_match = iter(needs[:half]), iter(needs[half:])
    used_s = 0.0
    with closing(BatchedQueries(load_encoders(server.settings))) as alone:
        alone.warm()

        def encode(need: Need) -> None:
            alone.vectors([need_text(need), *(ask.text for ask in need.asks)])

        for _ in range(rounds):
            began = time.perf_counter()
            encoded += len(asked(encode, to_encode, clients, seconds))
            spent["encoding"] += time.perf_counter() - began
            shares = [_share(server, to_match, half // rounds // clients, seconds) for _ in range(clients)]
            before_s, began = processor_s(server.process.pid), time.perf_counter()
            answers += asking.ask(shares)
            spent["matching"] += time.perf_counter() - began
            used_s += (processor_s(server.process.pid) or 0) - (before_s or 0)
    statuses = Counter(status for status, _ in answers)
    stored = _proposals(server)
    if statuses != {200: len(answers)} or stored != SHOWN * len(answers):
        raise AssertionError(f"answered {dict(statuses)}, stored {stored} proposals")
    encode_per_s, match_per_s = encoded / spent["encoding"], len(answers) / spent["matching"]
    return (
        f"{len(answers)} matches, {clients} clients, 1 worker: {match_per_s:.1f}/s, {waits_ms(answers)}; "
        f"encoding alone {encode_per_s:.1f}/s: ratio {match_per_s / encode_per_s:.2f}; "
        f"server processor time {1000 * used_s / len(answers):.1f} ms each; every proposal stored ({stored})"
    )


def _share(server: Served, needs: Iterator[Need], most: int, seconds: float) -> Share:
    requests: list[Request] = [("GET", f"/api/needs/{n.id}/matches?top={SHOWN}", None) for n in islice(needs, most)]
    return Share(server.url, server.keys["expert"], requests, seconds)


def _proposals(server: Served) -> int:
    engine = open_engine(server.settings)
    with reading(engine) as session:
        n_proposals = session.exec(select(func.count(col(Proposal.id)))).one()
    engine.dispose()
    return n_proposals


def until_ready(server: Served) -> None:
    """Wait until the models are loaded and the index is open."""
    while True:
        ready = httpx.get(server.url + "/readyz", timeout=60).json()
        if ready["matching"] and ready["index"]["models_ready"]:
            return
        time.sleep(0.2)


def main() -> None:
    """Serve synthetic labs, measure, and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--labs", type=int, default=1_000, help="where the home is still empty")
    parser.add_argument("--clients", type=int, default=16)
    parser.add_argument("--seconds", type=float, default=15, help="how long each way is measured in a round")
    parser.add_argument("--rounds", type=int, default=3, help="how often to measure each way")
    parser.add_argument("--home", type=Path, help="folder to keep the index in; default a throwaway one")
    chosen = parser.parse_args()
    needs = KNOWN_NEEDS + int(2 * chosen.seconds * chosen.rounds * NEEDS_PER_S)
    with tempfile.TemporaryDirectory(prefix="gloria-load-") as folder, crowd() as asking:
        home, records, own = chosen.home or Path(folder) / "indexed", Path(folder) / "records", Path(folder) / "home"
        prepared(home, records, chosen.labs, needs)
        settings = Settings(home=own, database_url=f"sqlite:///{own}/gloria.db")
        with served(settings, home, records) as server:
            found = new_needs(server)
            until_ready(server)
            figures = measure(
                server, found, asking, clients=chosen.clients, seconds=chosen.seconds, rounds=chosen.rounds
            )
    sys.stdout.write(figures + "\n")


if __name__ == "__main__":
    main()
