"""What tests of the review share: a browser that counts, and what the database and the server's log hold afterwards."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import orjson
from playwright.sync_api import Page, expect
from sqlmodel import col, select

from indexer.database import open_engine, reading
from matcher.decisions import Decision
from matcher.proposals import StoredPairing
from tests.serving import Served


@dataclass
class Counted:
    """The documents that a page loaded, that is, full page loads."""

    documents: list[str] = field(default_factory=list)


@contextmanager
def counting(page: Page) -> Iterator[Counted]:
    """Count full page loads from here on."""
    counted = Counted()
    page.on("request", lambda sent: counted.documents.append(sent.url) if sent.is_navigation_request() else None)
    yield counted


def ranked(page: Page) -> None:
    """Wait until the labs have come."""
    expect(page.locator(".candidate").first).to_be_visible(timeout=30_000)


def keep_cards(page: Page, count: int) -> None:
    """Take all but the first cards off the page: what looks for faults would look twenty times for the same ones."""
    page.evaluate(
        "count => [...document.querySelectorAll('.candidate')].slice(count).forEach(card => card.remove())", count
    )


def focused_lab(page: Page) -> str | None:
    """Return the number of the pairing whose card has the focus."""
    found: str | None = page.evaluate("document.activeElement.closest('.candidate')?.id ?? null")
    return found


def verdicts(server: Served, need_id: str) -> list[tuple[int, str, str | None, str]]:
    """Return every stored verdict on a need's pairings in order: pairing, verdict, reason, note."""
    engine = open_engine(server.settings)
    with reading(engine) as session:
        rows = session.exec(
            select(Decision)
            .join(StoredPairing, col(StoredPairing.id) == Decision.pairing_id)
            .where(StoredPairing.need_id == need_id)
            .order_by(col(Decision.id))
        ).all()
    engine.dispose()
    return [(row.pairing_id, row.verdict, row.reason, row.note) for row in rows]


def states(server: Served, need_id: str) -> dict[int, str]:
    """Return the state of every pairing of a need."""
    engine = open_engine(server.settings)
    with reading(engine) as session:
        rows = session.exec(select(StoredPairing).where(StoredPairing.need_id == need_id)).all()
    engine.dispose()
    return {row.id or 0: row.state for row in rows}


def served_ms(server: Served, method: str, route: str) -> list[float]:
    """Return how long the server took for each request of a route, by its own log."""
    lines = [orjson.loads(line) for line in server.log.read_text().splitlines() if line.startswith("{")]
    return [line["duration_ms"] for line in lines if (line.get("method"), line.get("route")) == (method, route)]
