"""A process that tries to accept one pairing from 32 threads at once.

In: a home, its database, and the pairing, proposal and expert. Out: how many of the threads got through. It exists as
a process of its own, since two that share nothing but the database are the hard case.
"""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from sqlalchemy import Engine

from indexer.database import open_engine, writing
from indexer.settings import Settings
from matcher.review.decisions import AlreadyDecidedError
from tests.rig.worlds.small_world import World, accept

CLIENTS = 32


def accepted(engine: Engine, world: World) -> bool:
    """Accept the pairing, and return whether nobody had before."""
    with writing(engine, deadline_s=60) as session:
        try:
            accept(session, world)
        except AlreadyDecidedError:
            return False
        return True


def main() -> None:
    """Print how many got through."""
    home, database_url, pairing_id, proposal_id, by = sys.argv[1:]
    engine = open_engine(Settings(home=Path(home), database_url=database_url))
    world = World({"expert": by}, int(pairing_id), int(proposal_id))
    with ThreadPoolExecutor(CLIENTS) as pool:
        print(sum(pool.map(lambda _: accepted(engine, world), range(CLIENTS))))
    engine.dispose()


if __name__ == "__main__":
    main()
