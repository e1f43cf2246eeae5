"""A process that decides and reports at full speed, and writes down what was acknowledged.

In: the settings of a home that `tests.rig.servers.served.fill` filled. Out: a file with one line for each commit that
came back. It exists as a process of its own, since a copy that is taken while another process writes is the hard case.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime
from itertools import count, product
from pathlib import Path

from sqlmodel import Session, select

from api import tables  # noqa: F401 (tables refer to each other, so all must be known)
from indexer.database import open_engine, writing
from indexer.records.record_tables import Lab, School
from indexer.settings import Settings
from matcher.ledger.rows.entries import Entry
from matcher.ledger.rows.evidence import keep, note_file
from matcher.ledger.rows.kpis import Kpi
from matcher.ledger.rules.reporting import NewResult, report
from matcher.review.decisions import Verdict, decide
from matcher.review.intake import NeedIntake
from matcher.review.people import Account
from matcher.review.proposals import StoredPairing
from tests.rig.servers.forked_programs import Forked, forker
from tests.rig.worlds.small_world import proposal_of

ENTRIES_FOR_EACH_DECISION = 4
PATIENCE_S = 60.0


class Writer:
    """What the process has done so far."""

    def __init__(self, said: Path, process: Forked) -> None:
        self._said, self._process = said, process

    def acknowledged(self) -> set[str]:
        """Return what was committed so far: `entry ID` or `decision PAIRING`."""
        whole, _, _ = self._said.read_text().rpartition("\n")
        return set(whole.splitlines())

    def wait_for(self, more: int) -> set[str]:
        """Wait until so many more were committed."""
        until, before = time.monotonic() + PATIENCE_S, len(self.acknowledged())
        while len(self.acknowledged()) < before + more:
            assert self._process.poll() is None, "the writer ended by itself"
            assert time.monotonic() < until, f"no {more} commits within {PATIENCE_S} s"
            time.sleep(0.02)
        return self.acknowledged()


@contextmanager
def busy_writer(settings: Settings, folder: Path) -> Iterator[Writer]:
    """Let a process write to a home from the first commit on, until the block ends."""
    said = folder / f"acknowledged-{time.monotonic_ns()}"
    said.touch()
    with Path(os.devnull).open("r+") as nothing:
        process = forker().begun(
            [str(settings.home), settings.database_url, str(said)],
            os.environ,
            streams=[nothing.fileno(), nothing.fileno(), sys.stderr.fileno()],
            program="tests.rig.load.busy_writer",
        )
    writer = Writer(said, process)
    try:
        writer.wait_for(10)
        yield writer
    finally:
        process.kill()
        process.wait()


def acknowledged_in(session: Session) -> set[str]:
    """Return what a database holds of what writers were told that it holds."""
    entries = session.exec(select(Entry.id)).all()
    decided = session.exec(select(StoredPairing.id).where(StoredPairing.state != "proposed")).all()
    return {f"entry {one}" for one in entries} | {f"decision {one}" for one in decided}


def _decide(session: Session, pair: tuple[str, str], expert: str, now: datetime) -> str:
    pairing = StoredPairing(need_id=pair[0], lab_id=pair[1])
    session.add(pairing)
    session.flush()
    proposal = proposal_of(pairing.id or 0, expert)
    session.add(proposal)
    session.flush()
    decide(
        session,
        pairing_id=pairing.id or 0,
        proposal_id=proposal.id or 0,
        verdict=Verdict.ACCEPT,
        by=expert,
        alliance_id="al-a",
        now=now,
    )
    return f"decision {pairing.id}"


def _report(session: Session, home: Path, number: int, school: str, expert: str, now: datetime) -> str:
    # The file comes before the row that names it, as in the service.
    content = f"contract {number}".encode() * 50
    digest = keep(home, content)
    note_file(session, sha256=digest, size_bytes=len(content), by=expert, now=now)
    given = NewResult(
        id=f"busy-{time.monotonic_ns()}-{number}",
        kpi=Kpi.MONEY,
        # Far apart, so that what it resembles need not be looked through each time.
        amount=1_000 + 7_919 * number,
        shares={"al-a": 10_000},
        details={
            "contract": f"C-{time.monotonic_ns()}",
            "instalment": 1,
            "payer": "甲公司",
            "payer_country": "TW",
            "payer_type": "company",
            "purpose": "research",
        },
        occurred_on=date(2019, 5, 2),
        school_id=school,
        company_id="co-1-1",
        value_added="聯盟專家促成合約",
        evidence=[{"sha256": digest, "name": "合約"}],
    )
    entry, _ = report(session, given, by=expert, now=now)
    return f"entry {entry.id}"


def main() -> None:
    """Write until killed."""
    home, database_url, said = Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3])
    engine = open_engine(Settings(home=home, database_url=database_url))
    with writing(engine) as session:
        expert = session.exec(select(Account.id).where(Account.email == "expert@example.org")).one()
        school = session.exec(select(School.id)).first() or ""
        needs = session.exec(select(NeedIntake.need_id).where(NeedIntake.alliance_id == "al-a")).all()
        known = set(session.exec(select(StoredPairing.need_id, StoredPairing.lab_id)).all())
        labs = session.exec(select(Lab.id)).all()
        pairs = iter([pair for pair in product(needs, labs) if pair not in known])
    with said.open("a") as file:
        for number in count(1):
            pair = next(pairs, None) if number % (ENTRIES_FOR_EACH_DECISION + 1) == 0 else None
            with writing(engine, 60) as session:
                now = datetime.now(UTC)
                if pair is None:
                    done = _report(session, home, number, school, expert, now)
                else:
                    done = _decide(session, pair, expert, now)
            file.write(f"{done}\n")
            file.flush()


if __name__ == "__main__":
    main()
