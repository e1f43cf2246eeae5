"""What counts as the programme's money and as an international case: each definition that the plan can be read to mean.

In: the document `money_definitions`. Out: predicates over payer country, payer
type and purpose of money, and over the basis of a case. It exists because the
plan words its money target in three ways: each can be printed, none is chosen.
"""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from indexer.vocabulary import COUNTRIES
from indexer.wording import T_
from matcher.ledger.configuration import Configured
from matcher.ledger.details import InternationalBasis, PayerType, Purpose


def _countries(value: tuple[str, ...]) -> tuple[str, ...]:
    unknown = sorted(set(value) - COUNTRIES)
    if unknown:
        raise ValueError(T_("%(unknown)r is no country; give ISO codes such as TW or DE", unknown=unknown[0]))
    return value


class MoneyDefinition(BaseModel):
    """One way to say which money counts; an empty list takes in all."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    code: str = Field(pattern="^[a-z][a-z0-9_]*$")
    title_zh: str = Field(min_length=1)
    title_en: str = Field(min_length=1)
    source: str = Field(min_length=1, description="Where the plan words it so.")
    payer_countries: Annotated[tuple[str, ...], AfterValidator(_countries)]
    payer_types: tuple[PayerType, ...]
    purposes: tuple[Purpose, ...]

    def takes(self, country: str | None, payer_type: str | None, purpose: str | None) -> bool:
        """Whether money of this payer and purpose counts."""
        return (
            (not self.payer_countries or country in self.payer_countries)
            and (not self.payer_types or payer_type in self.payer_types)
            and (not self.purposes or purpose in self.purposes)
        )


class CaseDefinition(BaseModel):
    """One way to say which cases are international."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    code: str = Field(pattern="^[a-z][a-z0-9_]*$")
    title_zh: str = Field(min_length=1)
    title_en: str = Field(min_length=1)
    bases: tuple[InternationalBasis, ...] = Field(min_length=1)


class MoneyDefinitions(Configured):
    """All definitions, in the order in which they are printed."""

    name: ClassVar[str] = "money_definitions"

    definitions: tuple[MoneyDefinition, ...] = Field(min_length=1)
    international_cases: tuple[CaseDefinition, ...] = Field(min_length=1)
