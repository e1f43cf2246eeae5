"""How fast a ledger of 100,000 entries is proven, added up and added to: `python -m tests.rig.load.ledger`.

In: how many entries. Out: rows proven per second, the time of a KPI table, of reporting one more result and of
looking for what it resembles. It is a command and no test, because its figures are those of the machine it runs on.
"""

from __future__ import annotations

import argparse
import cProfile
import pstats
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sqlalchemy import Engine

from indexer.database import open_engine, reading, writing
from indexer.instants import day_in_taipei
from indexer.settings import Settings
from matcher.ledger.figures.folds import figures
from matcher.ledger.proving.verification import verify
from matcher.ledger.rows.details import read_details
from matcher.ledger.rows.kpis import RECOGNISED_KPIS, Kpi
from matcher.ledger.rules.configuration import current
from matcher.ledger.rules.recognition import RecognitionRules
from matcher.ledger.rules.reporting import report
from matcher.ledger.rules.similarity import likenesses
from tests.rig.load.crowded_ledger import fill_ledger
from tests.rig.worlds.ledger_world import LedgerWorld, build_ledger_world, money

NOW = datetime(2019, 5, 15, 4, 0, tzinfo=UTC)
REPEATS = 5


def say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def _best(work: Callable[[], object]) -> tuple[float, float]:
    """Return the shortest of some repeats in seconds, by the clock and of this process's processor time."""
    spent = []
    for _ in range(REPEATS):
        began, used = time.perf_counter(), time.process_time()
        work()
        spent.append((time.perf_counter() - began, time.process_time() - used))
    return min(took for took, _ in spent), min(used for _, used in spent)


def proving(engine: Engine) -> str:
    """Prove every row.

    Raises:
        AssertionError: something was found.
    """
    began, used = time.perf_counter(), time.process_time()
    with reading(engine) as session:
        verdict = verify(session)
    took_s, used_s = time.perf_counter() - began, time.process_time() - used
    if verdict.findings:
        raise AssertionError(verdict.findings[:3])
    rows = verdict.entries + verdict.steps
    return (
        f"verify: {verdict.entries:,} entries and {verdict.steps:,} steps in {took_s:.1f} s ({used_s:.1f} s of "
        f"processor time): {rows / took_s:,.0f} rows/s, {rows / used_s:,.0f} per second of processor time"
    )


def adding_up(engine: Engine) -> str:
    """Fold all figures."""

    def fold() -> None:
        with reading(engine) as session:
            found = figures(session, as_of=datetime(2021, 1, 1, tzinfo=UTC))
            if not any(found.whole(kpi) for kpi in RECOGNISED_KPIS):
                raise AssertionError("nothing was recognised")

    took_s, used_s = _best(fold)
    return f"figures: {took_s * 1000:.0f} ms ({used_s * 1000:.0f} ms of processor time)"


def looking(engine: Engine) -> str:
    """Look for what one result resembles."""
    given = money(details={"payer": "某公司", "contract": "X"})
    details = read_details(Kpi.MONEY, dict(given.details))

    def look() -> None:
        with reading(engine) as session:
            rules = current(session, RecognitionRules)
            likenesses(session, kpi=Kpi.MONEY, details=details, amount=1, day=day_in_taipei(NOW), rules=rules)

    took_s, used_s = _best(look)
    return f"similar claims: {took_s * 1000:.0f} ms ({used_s * 1000:.0f} ms of processor time)"


def reporting(engine: Engine, world: LedgerWorld) -> str:
    """Report one more result, and one more."""
    numbers = iter(range(1_000))

    def one_more() -> None:
        number = next(numbers)
        given = money(f"more-{number:05}", details={"contract": f"X-{number}", "payer": f"第{number}家"}, amount=777)
        with writing(engine) as session:
            report(session, given, by=world.people["reporter"], now=NOW + timedelta(seconds=number))

    took_s, used_s = _best(one_more)
    return f"reporting one more: {took_s * 1000:.0f} ms ({used_s * 1000:.0f} ms of processor time)"


def main() -> None:
    """Fill a ledger of its own, and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--entries", type=int, default=100_000)
    parser.add_argument("--url", default="", help="an empty database; an SQLite file of its own without it")
    parser.add_argument("--profile", action="store_true", help="print where verifying spends its time")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="gloria-load-") as folder:
        engine = open_engine(Settings(home=Path(folder), database_url=chosen.url))
        world = build_ledger_world(engine)
        fill_ledger(engine, world, chosen.entries)
        say(f"{engine.dialect.name}, {chosen.entries:,} entries")
        say(proving(engine))
        say(adding_up(engine))
        say(looking(engine))
        say(reporting(engine, world))
        if chosen.profile:
            profile = cProfile.Profile()
            profile.runcall(proving, engine)
            pstats.Stats(profile).sort_stats("tottime").print_stats(25)
        engine.dispose()


if __name__ == "__main__":
    main()
