"""What the server and the command line say of a chain from a need to the companies that would make what it asks.

In: a chain as it was found, what an alliance keeps of it. Out: a dictionary of texts, numbers and lists, and the models
that describe it to programs. It exists apart from the matches because a chain names companies to an expert, with words
of their past needs: each need that is quoted is noted as read.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime
from typing import Any

from pydantic import Field

from api.documents.answers import Answer
from api.documents.matching.matches import RankedAnswer, match_document
from api.trail.request_trail import NeedReader
from indexer.records.profiles import Need
from indexer.wording import Bilingual
from matcher.ranking.explanation import Speaking
from matcher.ranking.pairings import Matcher
from matcher.review.joint.chains import Chain, ChainCompany


class ChainEvidenceAnswer(Answer):
    """What of a company speaks to a part: an ask by number from 1, 0 for the need itself."""

    part: int
    score: float
    need_id: str | None = Field(description="The past need that the words are of; null: the company's description.")
    title: str | None
    speaking: Speaking


class ChainLinkAnswer(Answer):
    """A company that could take another's place."""

    company_id: str
    name: str
    name_en: str


class ChainCompanyAnswer(ChainLinkAnswer):
    """A company of a chain, with what speaks for it."""

    tier: str
    is_maker: bool = Field(description="It makes such things; otherwise it brings what the maker lacks.")
    shared_fields: list[str]
    evidence: list[ChainEvidenceAnswer]
    stand_ins: list[ChainLinkAnswer]


class KeptChainAnswer(Answer):
    """What your alliance keeps of it: the lab, the companies in their order, and whom it is to be shown to next."""

    lab_id: str | None
    companies: list[ChainLinkAnswer]
    by_name: str
    at: datetime
    next: str | None = Field(description="The company that comes next, proposed once the case before it is signed.")


class ChainAnswer(Answer):
    """From a need to the lab that can build it and the companies that would make it, one after the other."""

    need_id: str
    school: str | None = Field(description="The school that states the need; null where a company does.")
    company: str | None
    generation: str
    created_at: str
    ranker_version: str
    warnings: list[Bilingual]
    lab_id: str | None = Field(description="The lab that was chosen, or the first of the ranking.")
    labs: list[RankedAnswer]
    companies: list[ChainCompanyAnswer]
    open_asks: list[int] = Field(description="Asks that no company of the chain speaks to.")
    looked_at: int = Field(description="How many companies came into question: those of your portfolio.")
    withheld: int = Field(description="Labs and companies that were left out because of interests that you declared.")
    kept: KeptChainAnswer | None


def chain_document(
    matcher: Matcher, chain: Chain, needs: Mapping[str, Need], *, to: NeedReader, kept: dict[str, Any] | None = None
) -> dict[str, Any]:
    """Return the answer for one need.

    Args:
        matcher: knows labs and companies.
        chain: as it was found.
        needs: at least those that it quotes.
        to: whoever is shown them.
        kept: what the reader's alliance keeps of it.
    """
    matched: dict[str, Any] = match_document(matcher, chain.result, to=to)
    names = ("need_id", "generation", "created_at", "ranker_version", "warnings")
    return {
        **{name: matched[name] for name in names},
        "school": chain.need.school,
        "company": chain.need.company,
        "lab_id": chain.lab_id,
        "labs": matched["pairings"],
        "companies": [_company(matcher, one, needs, to) for one in chain.companies],
        "open_asks": list(chain.open_asks),
        "looked_at": chain.looked_at,
        "withheld": 0,
        "kept": kept,
    }


def link_document(matcher: Matcher, company_id: str) -> dict[str, str]:
    """Return what a company is called; by its id if it is no record any more."""
    found = matcher.companies.get(company_id)
    names = (company_id, company_id) if found is None else (found.name, found.name_en)
    return {"company_id": company_id, "name": names[0], "name_en": names[1]}


def _company(matcher: Matcher, one: ChainCompany, needs: Mapping[str, Need], to: NeedReader) -> dict[str, Any]:
    for said in one.evidence:
        if said.need_id is not None:
            to.reads(said.need_id)
    return {
        **link_document(matcher, one.company.id),
        "tier": one.company.tier,
        "is_maker": one.is_maker,
        "shared_fields": list(one.shared_fields),
        "evidence": [
            {
                "part": said.part,
                "score": said.score,
                "need_id": said.need_id,
                "title": None if said.need_id is None else needs[said.need_id].title,
                "speaking": asdict(said.speaking),
            }
            for said in one.evidence
        ],
        "stand_ins": [link_document(matcher, other) for other in one.stand_ins],
    }
