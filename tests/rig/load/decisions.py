"""How many decisions a second one worker stores, and how long a client waits: `python -m tests.rig.load.decisions`.

In: the number of clients and decisions. Out: decisions per second, waiting times and
whether every 201 is in the database. It is a command and no test, because its figures
are those of the machine it runs on.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import threading
import time
from collections import Counter
from datetime import UTC, datetime
from itertools import islice, product
from pathlib import Path

from sqlmodel import col, func, select

from fixtures import world_path
from indexer.database import open_engine, reading, writing
from indexer.records.record_tables import Lab, Need
from indexer.settings import Settings
from matcher.review.cases import Case
from matcher.review.decisions import Decision
from matcher.review.intake import NeedIntake, adopt
from matcher.review.proposals import StoredPairing
from tests.rig.load.clients import Request, Share, crowd, processor_s, waits_ms
from tests.rig.servers.served import Served, served
from tests.rig.worlds.small_world import proposal_of

Pair = tuple[int, int]


def stored_pairs(server: Served, wanted: int) -> list[Pair]:
    """Store so many pairings, each with a proposal, in the expert's alliance; return their numbers."""
    return pairs_in(server.settings, server.accounts["expert"], wanted)


def pairs_in(settings: Settings, expert: str, wanted: int) -> list[Pair]:
    """Do so in a database that need not be served."""
    now = datetime.now(UTC)
    engine = open_engine(settings)
    with writing(engine) as session:
        adopt(session, need_ids=session.exec(select(Need.id)).all(), alliance_id="al-a", by=None, now=now)
        needs = session.exec(select(NeedIntake.need_id).where(NeedIntake.alliance_id == "al-a")).all()
        labs = session.exec(select(Lab.id)).all()
        free = islice(product(sorted(needs), sorted(labs)), wanted)
        pairings = [StoredPairing(need_id=need_id, lab_id=lab_id) for need_id, lab_id in free]
        session.add_all(pairings)
        session.flush()
        proposals = [proposal_of(pairing.id or 0, expert) for pairing in pairings]
        session.add_all(proposals)
        session.flush()
        pairs = [(proposal.pairing_id, proposal.id or 0) for proposal in proposals]
    engine.dispose()
    return pairs


def measure(server: Served, pairs: list[Pair], clients: int) -> str:
    """Let the clients decide on all pairs; return the figures.

    Raises:
        AssertionError: a decision was not answered with 201, or one that was is not stored.
    """
    asked: list[Request] = [
        ("POST", f"/api/pairings/{pairing_id}/decision", {"verdict": "accept", "proposal_id": proposal_id})
        for pairing_id, proposal_id in pairs
    ]
    shares = [Share(server.url, server.keys["expert"], asked[n::clients]) for n in range(clients)]
    with crowd() as asking:
        used_s, began = processor_s(server.process.pid), time.perf_counter()
        answers = asking.ask(shares)
        took_s, used_after_s = time.perf_counter() - began, processor_s(server.process.pid)
    if used_s is None or used_after_s is None:
        cost = "server processor time unknown"
    else:
        cost = f"server processor time {1000 * (used_after_s - used_s) / len(pairs):.2f} ms each"
    engine = open_engine(server.settings)
    with reading(engine) as session:
        n_decisions = session.exec(select(func.count(col(Decision.id)))).one()
        n_cases = session.exec(select(func.count(col(Case.id)))).one()
    engine.dispose()
    statuses = Counter(status for status, _ in answers)
    if statuses != {201: len(pairs)} or not n_decisions == n_cases == len(pairs):
        raise AssertionError(f"answered {dict(statuses)}, stored {n_decisions} decisions and {n_cases} cases")
    return (
        f"{len(pairs)} decisions, {clients} clients, 1 worker: {len(pairs) / took_s:.0f}/s, "
        f"{waits_ms(answers)}; {cost}; "
        f"every 201 stored ({n_decisions} decisions, {n_cases} cases)"
    )


def main() -> None:
    """Serve a database of its own on the demo world, load it, and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clients", type=int, default=16)
    parser.add_argument("--decisions", type=int, default=4_000, help="at most needs times labs: 7,965")
    parser.add_argument("--profile", action="store_true", help="wait before the load, so that a profiler can attach")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="gloria-load-") as folder:
        home, empty = Path(folder) / "home", Path(folder) / "empty"
        empty.mkdir()
        settings = Settings(home=home, encoders="bundled-use", database_url=f"sqlite:///{home}/gloria.db")
        with served(settings, empty, world_path()) as server:
            pairs = stored_pairs(server, chosen.decisions)
            if chosen.profile:
                sys.stdout.write(f"server process {server.process.pid}\n")
                sys.stdout.flush()
                threading.Event().wait(5)
            sys.stdout.write(measure(server, pairs, chosen.clients) + "\n")


if __name__ == "__main__":
    main()
