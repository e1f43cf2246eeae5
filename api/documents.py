"""Matches as plain values, for `--json`.

In: what the matcher returns. Out: dictionaries of texts, numbers and lists. It
exists apart from the printing because programs rely on these names.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

import orjson

from api.index_age import is_old
from matcher.explanation import Explanation
from matcher.pairings import LabMatch, Matcher, MatchResult


def match_document(matcher: Matcher, result: MatchResult) -> dict[str, object]:
    """Return the answer for one need: what it rests on, who was set aside, and the pairings, best first."""
    return {
        "need_id": result.need.id,
        "generation": result.generation,
        "created_at": result.created_at,
        "index_is_old": is_old(result.created_at),
        "ranker_version": result.ranker_version,
        "n_labs": result.n_labs,
        "total": result.total,
        "allowed": result.allowed,
        "facets": asdict(result.facets),
        "warnings": [asdict(warning) for warning in result.warnings],
        "set_aside": {rule.value: ids for rule, ids in result.set_aside.items()},
        "pairings": [
            {
                "rank": pairing.rank,
                "lab_id": pairing.lab_id,
                "name": matcher.labs[pairing.lab_id].name,
                "name_en": matcher.labs[pairing.lab_id].name_en,
                "school": matcher.labs[pairing.lab_id].school,
                "score": pairing.score,
                "band": pairing.band.value,
                "contributions": pairing.contributions,
                "changed_since_index": pairing.changed_since_index,
                "explanation": _explanation(pairing.explanation),
            }
            for pairing in result.pairings
        ],
    }


def lab_document(matcher: Matcher, lab_id: str, matches: Sequence[LabMatch]) -> dict[str, object]:
    """Return the answer for one lab: the needs that it should hear of, best score first."""
    return {
        "lab_id": lab_id,
        "generation": matcher.snapshot.generation,
        "created_at": matcher.snapshot.created_at,
        "index_is_old": is_old(matcher.snapshot.created_at),
        "ranker_version": matcher.ranker.version,
        "warnings": [asdict(warning) for warning in matcher.warnings],
        "needs": [
            {
                "rank": rank,
                "need_id": match.need.id,
                "title": match.need.title,
                "company": match.need.company,
                "company_name": match.company.name if match.company else None,
                "score": match.score,
                "band": match.band.value,
                "rank_of_lab": match.rank_of_lab,
                "changed_since_index": match.changed_since_index,
                "explanation": _explanation(match.explanation),
            }
            for rank, match in enumerate(matches, start=1)
        ],
    }


def _explanation(explanation: Explanation) -> dict[str, object]:
    # Eight times as quick as `asdict`, for each of a page's pairings.
    plain: dict[str, object] = orjson.loads(orjson.dumps(explanation))
    return plain
