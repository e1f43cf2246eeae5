"""What has to be said of a result, figure by figure, and by which key it counts once.

In: the details of a reported result. Out: checked values, a natural key that is written down with the entry, and the
skeleton of that key, by which results are the same. It exists because "counted twice" is only defined by a key: money
by contract and instalment, a job by employer, post, start and person, a trained person by pseudonym, programme and
year, a startup by its tax id (統一編號), a membership by the company's.

The key says what was written, the skeleton what it is: K1-001 with a longer dash or with a letter of another alphabet
is one contract, and contracts 108-001 of two schools are two, since each school numbers its own. Keys stay as they were
hashed; skeletons lie beside the entries (`matcher.ledger.rows.result_claims`) and may be computed anew.

No personal name is part of any details: people appear by pseudonym
(`matcher.ledger.rows.pseudonyms`), so that a person can be erased and every total stays.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from typing import Annotated, Any, Literal

import orjson
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, TypeAdapter, field_validator
from stdnum.tw import ubn

from indexer.folding import for_keys, for_looks
from indexer.plain_text import clean
from indexer.vocabulary import COUNTRIES, ID_LENGTH_MAX, MAX_NTD, folded
from indexer.wording import T_
from matcher.ledger.rows.kpis import Kpi


class PayerType(StrEnum):
    """Who pays."""

    COMPANY = "company"
    INDUSTRY_BODY = "industry_body"
    PUBLIC_BODY = "public_body"
    OTHER = "other"


class Purpose(StrEnum):
    """What money is paid for."""

    RESEARCH = "research"
    LICENSING = "licensing"
    FACILITY = "facility"
    TRAINING = "training"
    MEMBERSHIP = "membership"
    DONATION = "donation"
    OTHER = "other"


class Gender(StrEnum):
    """As the person says; nobody has to say."""

    FEMALE = "female"
    MALE = "male"
    SELF_DESCRIBED = "self_described"
    UNDISCLOSED = "undisclosed"


class InternationalBasis(StrEnum):
    """Why a case is called international; the plan can be read both ways, so both are kept."""

    FOREIGN_PARTNER = "foreign_partner"
    DOMESTIC_AT_INTERNATIONAL_EVENT = "domestic_at_international_event"


class ProofKind(StrEnum):
    """How a model case is measured: what came of what a company used, as the plan lists it."""

    SALES = "sales"
    PROFIT = "profit"
    SAVED_COST = "saved_cost"
    NEW_INDUSTRY = "new_industry"
    NEW_MARKET = "new_market"


class Aspect(StrEnum):
    """The six aspects by which model cases are judged."""

    COMMERCIAL_USE = "commercial_use"
    INTERNATIONAL = "international"
    CAPACITY = "capacity"
    SELF_OPERATION = "self_operation"
    INDUSTRY_LEAD = "industry_lead"
    INTEGRATION = "integration"


def _line(value: Any) -> Any:
    return clean(value, max_chars=ID_LENGTH_MAX, multiline=False) if isinstance(value, str) else value


def _number(value: Any) -> Any:
    # Python takes true for 1.
    if isinstance(value, bool):
        raise ValueError(T_("give a number"))
    return value


Number = Annotated[int, BeforeValidator(_number)]
Line = Annotated[str, BeforeValidator(_line), Field(min_length=1)]
Pseudonym = Annotated[str, Field(pattern=r"^p-[0-9a-f]{16}$")]


@dataclass(frozen=True)
class Circumstances:
    """What tells results apart beside their details: whose number it is, the member's 統一編號, the entry itself."""

    entry_id: str
    school_id: str | None = None
    tax_id: str | None = None


class Details(BaseModel):
    """What every kind of result says in its own way."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    def natural_key(self) -> str:
        """Return the key by which this result counts once, as it is written down."""
        raise NotImplementedError

    def skeleton(self, about: Circumstances) -> str:
        """Return the key by which results are compared: those with the same one are the same."""
        return _skeleton(self.natural_key())

    def series(self) -> str:
        """Return what results may share and yet be two, such as the look of a contract's number; empty if nothing."""
        return ""

    def party(self) -> str:
        """Return the name of the other party, by which two claims may look alike; empty if there is none."""
        return ""


def _skeleton(*parts: str | int) -> str:
    return orjson.dumps(list(parts)).decode()


def _key(*parts: str | int) -> str:
    """A list, so that no blank or mark within a part can make two keys one."""
    return orjson.dumps([folded(part) if isinstance(part, str) else part for part in parts]).decode()


def _country(value: str) -> str:
    if value not in COUNTRIES:
        raise ValueError(T_("give the ISO code of a country, such as TW or DE"))
    return value


Country = Annotated[str, BeforeValidator(_country)]


class AllianceDetails(Details):
    """An alliance was founded."""

    kpi: Literal[Kpi.ALLIANCES] = Kpi.ALLIANCES
    alliance: Line

    def natural_key(self) -> str:
        """An alliance is founded once."""
        return self.alliance


class MemberDetails(Details):
    """A representative company became a member of the programme."""

    kpi: Literal[Kpi.MEMBERS] = Kpi.MEMBERS
    company: Line
    company_name: Line
    country: Country
    tier: Line

    def natural_key(self) -> str:
        """A company counts once, whichever alliances it joins."""
        return self.company

    def skeleton(self, about: Circumstances) -> str:
        """By its 統一編號: a company that was brought in twice is one member."""
        return _skeleton("company", self.company) if about.tax_id is None else _skeleton("tax", about.tax_id)

    def party(self) -> str:
        """The company."""
        return self.company_name


class CaseDetails(Details):
    """An international cooperation case came about."""

    kpi: Literal[Kpi.INTERNATIONAL_CASES] = Kpi.INTERNATIONAL_CASES
    reference: Line
    partner: Line
    partner_country: Country
    basis: InternationalBasis

    def natural_key(self) -> str:
        """A case counts once, by its reference."""
        return _key(self.reference)

    def skeleton(self, about: Circumstances) -> str:
        """The reference, which is one of its school."""
        return _skeleton(for_keys(self.reference), about.school_id or "")

    def series(self) -> str:
        """The reference."""
        return for_looks(self.reference)

    def party(self) -> str:
        """The partner."""
        return self.partner


class MoneyDetails(Details):
    """Industry pays an instalment of a contract to a school."""

    kpi: Literal[Kpi.MONEY] = Kpi.MONEY
    contract: Line
    instalment: Number = Field(ge=1, le=1_000)
    payer: Line
    payer_country: Country
    payer_type: PayerType
    purpose: Purpose

    def natural_key(self) -> str:
        """Contract and instalment."""
        return _key(self.contract, self.instalment)

    def skeleton(self, about: Circumstances) -> str:
        """Contract and instalment, of the school that numbered the contract."""
        return _skeleton(for_keys(self.contract), self.instalment, about.school_id or "")

    def series(self) -> str:
        """The contract."""
        return for_looks(self.contract)

    def party(self) -> str:
        """Who pays."""
        return self.payer


class TalentDetails(Details):
    """A person was trained."""

    kpi: Literal[Kpi.TALENT] = Kpi.TALENT
    person: Pseudonym
    programme: Line
    year: Number = Field(ge=2000, le=2200)
    gender: Gender = Gender.UNDISCLOSED

    def natural_key(self) -> str:
        """Person, programme and year."""
        return _key(self.person, self.programme, self.year)

    def skeleton(self, about: Circumstances) -> str:
        """Person, programme and year."""
        return _skeleton(self.person, for_keys(self.programme), self.year)

    def series(self) -> str:
        """Person and year."""
        return _skeleton(self.person, self.year)

    def party(self) -> str:
        """The programme."""
        return self.programme


class JobDetails(Details):
    """A post was filled."""

    kpi: Literal[Kpi.JOBS] = Kpi.JOBS
    employer: Line
    post: Line
    start_on: date
    person: Pseudonym | None = None
    gender: Gender = Gender.UNDISCLOSED

    def natural_key(self) -> str:
        """Employer, post and start."""
        return _key(self.employer, self.post, self.start_on.isoformat())

    def skeleton(self, about: Circumstances) -> str:
        """Employer, post, start and who found it; without a person nobody knows, so each is held against the others."""
        post = (for_keys(self.employer), for_keys(self.post), self.start_on.isoformat())
        return _skeleton(*post, self.person or f"entry {about.entry_id}")

    def series(self) -> str:
        """Employer, post and start."""
        return _skeleton(for_looks(self.employer), for_looks(self.post), self.start_on.isoformat())

    def party(self) -> str:
        """The employer."""
        return self.employer


class StartupDetails(Details):
    """A startup was founded."""

    kpi: Literal[Kpi.STARTUPS] = Kpi.STARTUPS
    tax_id: str
    startup_name: Line

    @field_validator("tax_id")
    @classmethod
    def _valid(cls, value: str) -> str:
        if not ubn.is_valid(value):
            raise ValueError(T_("is no 統一編號: give its eight digits"))
        return str(ubn.compact(value))

    def natural_key(self) -> str:
        """The tax id (統一編號)."""
        return self.tax_id

    def party(self) -> str:
        """The startup."""
        return self.startup_name


class ModelCaseDetails(Details):
    """An alliance became a model for others, for it carried itself early; the proof is what a company made of it."""

    kpi: Literal[Kpi.MODEL_CASES] = Kpi.MODEL_CASES
    reference: Line
    title: Line
    aspects: dict[Aspect, Line] = Field(description="For each of the six aspects, what speaks for it.")
    proof_kind: ProofKind | None = Field(default=None, description="What was measured.")
    proof_ntd: Number | None = Field(default=None, ge=1, le=MAX_NTD, description="How much it came to, in NTD.")
    proof_of: Line | None = Field(default=None, description="Of which product or service, company and period.")

    @field_validator("aspects")
    @classmethod
    def _all_six(cls, value: dict[Aspect, str]) -> dict[Aspect, str]:
        missing = [aspect.value for aspect in Aspect if aspect not in value]
        if missing:
            raise ValueError(T_("say something of every aspect; missing: %(missing)s", missing=", ".join(missing)))
        return value

    def natural_key(self) -> str:
        """Its reference."""
        return _key(self.reference)

    def skeleton(self, about: Circumstances) -> str:
        """The reference, which is one of its school."""
        return _skeleton(for_keys(self.reference), about.school_id or "")

    def series(self) -> str:
        """The reference."""
        return for_looks(self.reference)

    def party(self) -> str:
        """Its title."""
        return self.title


class AcceptanceDetails(Details):
    """An expert accepted a pairing; booked by the decision itself."""

    kpi: Literal[Kpi.ACCEPTANCES] = Kpi.ACCEPTANCES
    case: int
    pairing: int

    def natural_key(self) -> str:
        """The case that it opened."""
        return str(self.case)


AnyDetails = Annotated[
    AllianceDetails
    | MemberDetails
    | CaseDetails
    | MoneyDetails
    | TalentDetails
    | JobDetails
    | StartupDetails
    | ModelCaseDetails
    | AcceptanceDetails,
    Field(discriminator="kpi"),
]
_ADAPTER: TypeAdapter[Any] = TypeAdapter(AnyDetails)


def read_details(kpi: Kpi, given: dict[str, Any]) -> Details:
    """Return checked details of a figure.

    Raises:
        pydantic.ValidationError: something is missing, misspelt or impossible.
    """
    checked: Details = _ADAPTER.validate_python({**given, "kpi": kpi})
    return checked
