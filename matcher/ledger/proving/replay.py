"""x"""

from __future__ import annotations

from collections.abc import Iterator

from sqlmodel import Session

from matcher.ledger.proving.finding import ProofFinding


def replay(session: Session) -> Iterator[ProofFinding]:
    """X"""
    yield from ()
