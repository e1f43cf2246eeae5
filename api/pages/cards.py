"""Cards: each proposed lab with everything that an expert decides by.

In: pairings of a match, or one stored pairing, and the need they are for. Out:
values for the template `candidate.html`. It exists so that a card that comes
with a ranking and one that is put in its place after a verdict are the same:
after a verdict nothing is ranked again, the card shows the proposal as stored.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from markupsafe import Markup

from api.pages.candidate_facts import LabFacts, PairingFacts, facts_of
from api.pages.marking import marked
from api.pages.score_parts import parts_of
from api.pages.visiting import Visit
from api.problems import Refusal
from api.routes.pairings import read_pairing
from indexer.instants import day_in_taipei, now
from indexer.vocabulary import AskKind
from matcher.decisions import Reason

_OFFERS = {kind.value for kind in AskKind}


def cards_of(visit: Visit, need: Mapping[str, Any], pairings: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return the cards for pairings of a match (`MatchAnswer`), in their order."""
    found = visit.look(
        lambda session, who: facts_of(
            session, who, need["company"], {item["pairing_id"]: item["lab_id"] for item in pairings}, now()
        )
    )
    return [
        _card(item, found.labs[item["lab_id"]], found.pairings[item["pairing_id"]])
        for item in pairings
        if item["lab_id"] in found.labs and item["pairing_id"] in found.pairings
    ]


def card_of(visit: Visit, need: Mapping[str, Any], pairing_id: int) -> dict[str, Any] | None:
    """Return the card for a pairing as it was shown last; None if it was never shown.

    Raises:
        ProblemError: 404, there is no such pairing, or it is not for this person.
    """
    document = visit.document(read_pairing, pairing_id=pairing_id)
    if document["need_id"] != need["id"] or not document["proposals"]:
        return None
    shown = document["proposals"][0]
    changed = visit.attempt(lambda: visit.request.app.state.live.current().changed_labs)
    item = {
        **shown,
        "lab_id": document["lab_id"],
        "pairing_id": pairing_id,
        "proposal_id": shown["id"],
        "changed_since_index": not isinstance(changed, Refusal) and document["lab_id"] in changed,
    }
    return next(iter(cards_of(visit, need, [item])), None)


def _card(item: Mapping[str, Any], lab: LabFacts, stand: PairingFacts) -> dict[str, Any]:
    explanation, today = item["explanation"], day_in_taipei(now())
    return {
        "pairing_id": item["pairing_id"],
        "proposal_id": item["proposal_id"],
        "lab_id": item["lab_id"],
        "rank": item["rank"],
        "score": item["score"],
        "band": item["band"],
        "contributions": item["contributions"],
        "parts": parts_of(item["contributions"], item["score"]),
        "asks": [_ask(ask) for ask in explanation.get("asks", [])],
        "missing": explanation.get("missing", []),
        "changed": item["changed_since_index"],
        "generation": item.get("generation"),
        "facts": lab,
        "stand": stand,
        "tomorrow": (today + timedelta(days=1)).isoformat(),
        "in_two_weeks": (today + timedelta(days=14)).isoformat(),
        "reasons": list(Reason),
        "is_open": stand.state in ("proposed", "deferred"),
    }


def _ask(ask: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "kind": ask["kind"] if ask["kind"] in _OFFERS else None,
        "text": ask["text"],
        "covered": ask["covered"],
        "passages": [_passage(passage) for passage in ask["passages"]],
    }


def _passage(passage: Mapping[str, Any]) -> dict[str, Any]:
    title: Markup = marked(passage["title"], passage["words"])
    return {
        "kind": passage["kind"],
        "year": passage["year"],
        "lang": "zh-Hant" if passage["language"] == "zh" else "en",
        "title": title,
        "excerpt": marked(passage["excerpt"], passage["words"]) if passage["excerpt"] != passage["title"] else "",
        "words": passage["words"],
    }
