"""What a plan says of itself, in words: why a need did not get its best lab, and which limits clash.

In: a row of a plan or one of its limits, and what its needs, labs and people are called for whoever reads it. Out: one
sentence. It exists apart from the plan because names are the reader's: of a need that somebody may not read it is only
said that there is one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from indexer.vocabulary import Tier
from indexer.wording import T_, Text, listed
from matcher.portfolio.assignment import LimitKind
from matcher.portfolio.plans import Given, Reason, Stated

MOST_NAMED = 3


@dataclass(frozen=True)
class Called:
    """How needs, labs, and experts, alliances and tiers (by what they are and whose) are called for a reader."""

    need: Callable[[str], str]
    lab: Callable[[str], str]
    carrier: Callable[[str, str], str]


def reason_in_words(given: Given, called: Called) -> Text | None:
    """Return why a need did not get its best lab, None if it did."""
    if given.why is None:
        return None
    plain = {
        Reason.NOBODY: T_("no lab fits even plausibly, or all that do are rejected or put off"),
        Reason.TOO_LITTLE: T_("the need says too little for any lab to fit; ask the company"),
        Reason.GAP: T_("not proved: there was no time to look further"),
    }
    if given.why in plain:
        return plain[given.why]
    best = called.lab(given.best_lab_id or "")
    others = _named([called.need(one) for one in given.others])
    if given.why is Reason.LOAD and given.limit is not None:
        who = called.carrier(given.limit.of, given.limit.whose)
        return (
            T_("%(who)s takes on no more than these: %(needs)s", who=who, needs=others)
            if given.others
            else (T_("%(who)s carries as many cases as the limit allows", who=who))
        )
    if given.why is Reason.TAKEN and given.lab_id is None:
        return T_("its labs are full; the best, %(lab)s, is given to: %(needs)s", lab=best, needs=others)
    said = {
        Reason.PINNED: T_("pinned, though %(lab)s fits better", lab=best),
        Reason.FORBIDDEN: T_("%(lab)s fits better and was ruled out by a pick", lab=best),
        Reason.NO_ROOM: T_("%(lab)s fits better and has no room just now", lab=best),
        Reason.TAKEN: T_("%(lab)s fits better and is full with: %(needs)s", lab=best, needs=others),
        Reason.APART: T_("%(lab)s fits better and is given to: %(needs)s; they are kept apart", lab=best, needs=others),
    }
    return said.get(given.why)


def limit_in_words(limit: Stated, called: Called) -> Text:
    """Return what a limit says."""
    needs = [called.need(one) for one in limit.needs]
    lab = called.lab(limit.lab or "")
    if limit.kind is LimitKind.PIN:
        return T_("%(need)s is pinned to %(lab)s", need=needs[0], lab=lab)
    if limit.kind is LimitKind.FORBIDDEN:
        return T_("%(need)s never gets %(lab)s", need=needs[0], lab=lab)
    if limit.kind is LimitKind.APART:
        return T_("%(needs)s never share a lab", needs=listed(needs))
    who = called.carrier(limit.of, limit.whose)
    if limit.kind is LimitKind.SERVICE:
        return T_(
            "of the %(count)s needs of %(who)s at least %(amount)s get a lab",
            count=len(needs),
            who=who,
            amount=limit.amount,
        )
    if limit.kind is LimitKind.LOAD:
        return T_("%(who)s takes on at most %(amount)s more", who=who, amount=limit.amount)
    return T_("%(lab)s has room for %(amount)s", lab=lab, amount=limit.amount)


def loosening_in_words(limit: Stated, called: Called) -> Text:
    """Return what to do about a limit, and by how much."""
    lab, who = called.lab(limit.lab or ""), called.carrier(limit.of, limit.whose)
    needs = [called.need(one) for one in limit.needs]
    by = limit.loosen or 0
    if limit.kind is LimitKind.PIN:
        return T_("let go of the pin of %(need)s", need=needs[0])
    if limit.kind is LimitKind.FORBIDDEN:
        return T_("allow %(lab)s for %(need)s again", lab=lab, need=needs[0])
    if limit.kind is LimitKind.APART:
        return T_("let %(needs)s share a lab", needs=listed(needs))
    if limit.kind is LimitKind.SERVICE:
        return T_("ask for %(by)s fewer of %(who)s: %(left)s", by=by, who=who, left=limit.amount - by)
    if limit.kind is LimitKind.LOAD:
        return T_("let %(who)s take on %(by)s more: %(left)s", who=who, by=by, left=limit.amount + by)
    return T_("find room for %(by)s more at %(lab)s", by=by, lab=lab)


def _named(names: list[str]) -> Text:
    if len(names) <= MOST_NAMED:
        return listed(names)
    return T_("%(names)s and %(more)s more", names=listed(names[:MOST_NAMED]), more=len(names) - MOST_NAMED)


TIER_NAMES = {
    Tier.NONE: T_("companies that are no members"),
    Tier.DOMESTIC: T_("domestic members"),
    Tier.INTERNATIONAL: T_("international members"),
    Tier.GOLD: T_("international gold members"),
}
"""What members of a tier are called within a sentence."""
