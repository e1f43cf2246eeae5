"""Hard rules: which labs may not be proposed for a need, and why.

In: a need, its company and the labs. Out: for each rule the labs that it sets
aside. It exists apart from the ranking because no score may ever outweigh a
rule, and because an expert must be able to see who was left out and why.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum

from indexer.profiles import Company, Lab, Need
from indexer.wording import T_


class Rule(StrEnum):
    """Why a lab is set aside; the first that applies is the one reported."""

    EXCLUDED = "excluded"
    CONFLICT = "conflict"
    NO_CAPACITY = "no_capacity"
    NOT_OFFERED = "not_offered"


RULE_TEXTS = {
    Rule.EXCLUDED: T_("excluded by the need"),
    Rule.CONFLICT: T_("conflict of interest with the company"),
    Rule.NO_CAPACITY: T_("no capacity for another project"),
    Rule.NOT_OFFERED: T_("does not offer any kind of what is asked"),
}
"""What each rule means, in Chinese and English."""


def excluded_by(need: Need, lab: Lab) -> bool:
    """Whether a need excludes a lab: by its id or one of its names, in any case of letters."""
    excluded = {name.casefold() for name in need.excluded_labs}
    return not excluded.isdisjoint(names_of(lab))


def unknown_exclusions(need: Need, labs: Iterable[Lab]) -> list[str]:
    """Return what a need excludes that is neither id nor name of a stored lab, and so excludes nobody."""
    if not need.excluded_labs:
        return []
    known = {name for lab in labs for name in names_of(lab)}
    return [name for name in need.excluded_labs if name.casefold() not in known]


def names_of(lab: Lab) -> set[str]:
    """Return a lab's id and names in lower case."""
    return {name.casefold() for name in (lab.id, lab.name, lab.name_en) if name}


def set_aside(need: Need, labs: Iterable[Lab], company: Company | None = None) -> dict[Rule, list[str]]:
    """Return the ids of the labs that may not be proposed, by rule, every rule present.

    Args:
        need: `excluded_labs`, `company` and the kinds of its asks decide.
        labs: those to check.
        company: the need's company, so that a conflict stated by name is found too.

    A lab that states no offers or no capacity is not set aside for it.
    """
    result: dict[Rule, list[str]] = {rule: [] for rule in Rule}
    names = company_names(need, company)
    kinds = {ask.kind for ask in need.asks}
    for lab in labs:
        rule = _rule(need, lab, names, kinds)
        if rule is not None:
            result[rule].append(lab.id)
    return result


def company_names(need: Need, company: Company | None) -> set[str]:
    """Return everything that a lab's conflicts may call the company of a need, in lower case."""
    names = {need.company or ""}
    if company is not None:
        names |= {company.id, company.name, company.name_en, company.tax_id or ""}
    return {name.casefold() for name in names if name}


def _rule(need: Need, lab: Lab, company_names: set[str], kinds: set[str]) -> Rule | None:
    if need.excluded_labs and excluded_by(need, lab):
        return Rule.EXCLUDED
    if company_names & {name.casefold() for name in lab.conflicts}:
        return Rule.CONFLICT
    if lab.capacity == 0:
        return Rule.NO_CAPACITY
    if kinds and lab.offers and not kinds & set(lab.offers):
        return Rule.NOT_OFFERED
    return None
