"""Codes of closed lists as people call them.

In: a code as it is stored (`taken_up`, `technology`). Out: its English words,
which the catalogues translate like every other text. It exists because a code
is for programs; `tests/test_every_text_is_in_both_languages.py` finds codes
without words.
"""

from __future__ import annotations

from enum import StrEnum

from api.jobs import JobKind, JobState
from api.people_answers import ClaimState
from indexer.vocabulary import (
    AskKind,
    Confidentiality,
    EvidenceKind,
    Kind,
    Region,
    ResearchField,
    Size,
    Tier,
)
from matcher.cases import ContactKind, LostReason, Stage
from matcher.claims import ClaimVerdict
from matcher.decisions import Reason, Verdict
from matcher.intake import NeedState
from matcher.ledger.configurable import DOCUMENTS
from matcher.proposals import PairingState
from matcher.ranker import Band
from matcher.roles import Role
from matcher.rules import Rule

SAID_AS_THEY_ARE = (
    AskKind,
    Confidentiality,
    EvidenceKind,
    Region,
    Size,
    ContactKind,
    LostReason,
    Stage,
    Reason,
    Verdict,
    NeedState,
    PairingState,
    Band,
    Role,
    Rule,
    JobKind,
    JobState,
    Kind,
    ClaimVerdict,
    ClaimState,
)
"""Lists whose codes are their English words, with `_` for a blank."""
_SAID_OTHERWISE: dict[StrEnum, str] = {
    ResearchField.GENERAL: "general",
    ResearchField.SEMICONDUCTORS: "semiconductors",
    ResearchField.FINTECH: "fintech",
    ResearchField.BIOMEDICAL: "biomedical",
    ResearchField.AGRICULTURE: "new agriculture",
    ResearchField.GREEN_ENERGY: "green energy",
    ResearchField.SMART_MANUFACTURING: "smart manufacturing",
    Tier.NONE: "no member",
    Tier.DOMESTIC: "domestic member",
    Tier.INTERNATIONAL: "international member",
    Tier.GOLD: "international gold member",
}
_WORDS = {str(code): words for code, words in _SAID_OTHERWISE.items()}


def term(code: str) -> str:
    """Return the English words for a code; of a code on no list, the code with blanks."""
    return _WORDS.get(str(code), str(code).replace("_", " "))


def all_terms() -> list[str]:
    """Return the English words of every code on every list, each once."""
    said = [term(code) for terms in SAID_AS_THEY_ARE for code in terms]
    return sorted({*said, *_SAID_OTHERWISE.values(), *(term(name) for name in DOCUMENTS)})
