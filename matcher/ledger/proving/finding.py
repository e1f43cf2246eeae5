"""One thing that a proof found.

In: where, and what. Out: nothing else. It exists so that every check says it in one form.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ProofFinding:
    """One thing that is not as it must be: where, and what."""

    check: str
    place: str
    message: str
