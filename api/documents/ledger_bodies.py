"""What clients may send to the ledger and about alliances and their rules: one model per request.

In: JSON bodies. Out: checked values, unknown fields refused. It exists apart from the other bodies because the
ledger has many; what each kind of result, a step, an amount or a document has to say is checked by the ledger
itself.
"""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any

import orjson
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, field_validator

from api.documents.bodies import Note, Whole, Word
from indexer.vocabulary import MAX_NTD, Tier
from matcher.ledger.figures.gender import MAX_COUNT, GenderGroup
from matcher.ledger.figures.ladder import Rung
from matcher.ledger.figures.self_operation import Ladder
from matcher.ledger.figures.sufficiency import PointRules, SufficiencyItem
from matcher.ledger.rows.details import Aspect, Gender
from matcher.ledger.rows.entries import WHOLE_BP
from matcher.ledger.rows.kpis import Kpi
from matcher.ledger.rows.periods import common_year
from matcher.ledger.rows.result_claims import OtherProgramme
from matcher.ledger.rows.school_totals import MAX_COUNT as MAX_TOTAL
from matcher.ledger.rules.configuration import default
from matcher.ledger.rules.model_cases import HIGHEST, LOWEST

MAX_AMOUNT = 2**53 - 1
MAX_PARTS = 100
# Shorter than what the ledger takes: numbers of instalments and the mark of a reversal come after it.
_ID = r"^[A-Za-z0-9][A-Za-z0-9._:-]{7,79}$"

Reason = Annotated[Note, Field(min_length=1, examples=["兩份合約,金額相同"])]


Year = Annotated[Whole, Field(ge=1, le=3_000, description="In either count: 108 and 2019 are the same.")]


class _LedgerBody(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class EvidenceBody(_LedgerBody):
    """A piece of evidence: the hash of a file sent to /api/evidence, or a link."""

    sha256: str | None = Field(default=None, pattern="^[0-9a-f]{64}$", examples=[None])
    url: Word | None = Field(default=None, examples=["https://example.org/contract"])
    name: Word = Field(default="", examples=["合約"])

    def item(self) -> dict[str, str]:
        """Return it as the ledger keeps it."""
        return self.model_dump(exclude_none=True)


Evidence = Annotated[list[EvidenceBody], Field(max_length=50)]


class InstalmentBody(_LedgerBody):
    """What of a contract falls due on a day."""

    due_on: date = Field(examples=["2020-05-02"])
    amount_ntd: Whole = Field(ge=1, le=MAX_AMOUNT, examples=[500_000])


PartyShares = Annotated[
    dict[Word, Annotated[Whole, Field(ge=1, le=WHOLE_BP)]], Field(min_length=1, max_length=MAX_PARTS)
]


class EntryBody(_LedgerBody):
    """A result, or with `instalments` a contract, which becomes an entry for each instalment."""

    id: str = Field(pattern=_ID, description="Made by the client, such as a UUID.", examples=["money-2019-0001"])
    kpi: Kpi = Field(examples=["L"])
    amount: Whole = Field(ge=1, le=MAX_AMOUNT, description="NTD for money, otherwise a count.", examples=[1_000_000])
    shares: dict[Word, Annotated[Whole, Field(ge=1, le=WHOLE_BP)]] = Field(
        min_length=1, max_length=MAX_PARTS, description="Basis points by alliance.", examples=[{"al-a": 10_000}]
    )
    details: dict[Word, Any] = Field(
        max_length=MAX_PARTS,
        examples=[
            {
                "contract": "C-108-001",
                "instalment": 1,
                "payer": "甲公司",
                "payer_country": "TW",
                "payer_type": "company",
                "purpose": "research",
            }
        ],
    )
    occurred_on: date = Field(examples=["2019-05-02"])
    school_id: Word = Field(examples=["sc-1"])
    school_shares: PartyShares | None = Field(
        default=None, description="Of several schools: basis points by school, `school_id` among them.", examples=[None]
    )
    counts_on: date | None = Field(default=None, examples=[None])
    company_id: Word | None = Field(default=None, examples=["co-1-1"])
    company_shares: PartyShares | None = Field(
        default=None,
        description="Of several companies: basis points by company, `company_id` among them.",
        examples=[None],
    )
    case_id: Annotated[Whole, Field(ge=1, le=2**31 - 1)] | None = Field(default=None, examples=[None])
    restates: Word | None = Field(default=None, examples=[None])
    value_added: Note = Field(default="", examples=["聯盟專家促成合約"])
    evidence: Evidence = Field(default=[])
    instalments: list[InstalmentBody] | None = Field(default=None, min_length=1, max_length=MAX_PARTS, examples=[None])


class PersonBody(_LedgerBody):
    """A person who was trained or found a job; entries name the pseudonym that comes back."""

    name: Word = Field(min_length=1, examples=["王小明"])
    identifier: Word = Field(
        min_length=1,
        description="The number that tells people of one name apart, such as a student number; it is not stored.",
        examples=["B0612345"],
    )
    contact: Word | None = Field(default=None, examples=[None])


class NoteBody(_LedgerBody):
    """A word on a step."""

    note: Note = ""


class ReasonBody(_LedgerBody):
    """Why."""

    reason: Reason


class SupplementBody(_LedgerBody):
    """The answer to a returned entry."""

    text: Reason
    evidence: Evidence = Field(default=[])


class MonthBody(_LedgerBody):
    """What a lead says of the alliance's month; only what came of it has to be said."""

    month: Word = Field(pattern=r"^20[0-9]{2}-[0-9]{2}$", examples=["2019-05"])
    achievements: Reason = Field(description="成果", examples=["與兩家會員簽約，培育學員 12 人"])
    highlights: Note = Field(default="", description="亮點")
    gap: Note = Field(default="", description="落差")
    measures: Note = Field(default="", description="改善措施")
    help: Note = Field(default="", description="需協助")


class ScoreBody(_LedgerBody):
    """The committee's score of an aspect, and why."""

    score: Whole = Field(ge=LOWEST, le=HIGHEST, examples=[4])
    reason: Reason = Field(examples=["三項成果已量產，與佐證相符"])


class ScoresBody(_LedgerBody):
    """The committee's scores of some or all of the six aspects of a model case."""

    scores: dict[Aspect, ScoreBody] = Field(
        min_length=1, max_length=len(Aspect), examples=[{"capacity": {"score": 4, "reason": "三項成果已量產"}}]
    )


class SchoolTotalBody(_LedgerBody):
    """What a school cooperates in as a whole, in a year."""

    school_id: Word = Field(examples=["sc-1"])
    year: Year = Field(examples=[108])
    kpi: Kpi = Field(default=Kpi.MONEY, description="What it is a total of.", examples=["L"])
    amount_ntd: Annotated[Whole, Field(ge=0, le=MAX_NTD)] | None = Field(
        default=None, description="Of money.", examples=[900_000_000]
    )
    count: Annotated[Whole, Field(ge=0, le=MAX_TOTAL)] | None = Field(
        default=None, description="Of every other figure, in its unit.", examples=[None]
    )
    source: Reason = Field(examples=["校務公開資訊"])

    @field_validator("year")
    @classmethod
    def _common(cls, value: int) -> int:
        return common_year(value)


class ExternalClaimBody(_LedgerBody):
    """That another programme claims a result.

    With the result's `details` exactly that result is blocked; without, what looks alike is held for a person.
    """

    programme: OtherProgramme = Field(examples=["value_creation"])
    kpi: Kpi = Field(examples=["L"])
    claimant: Word = Field(min_length=1, examples=["三號大學"])
    reference: Word = Field(min_length=1, examples=["價創-107-12"])
    party: Word = Field(min_length=1, examples=["甲公司"])
    details: dict[Word, Any] | None = Field(default=None, max_length=MAX_PARTS, examples=[None])
    amount: Annotated[Whole, Field(ge=1, le=MAX_AMOUNT)] | None = Field(default=None, examples=[1_000_000])
    occurred_on: date | None = Field(default=None, examples=["2019-05-02"])


SubsidyYear = Annotated[Year, AfterValidator(common_year)]
Source = Annotated[Word, Field(min_length=1, description="Where that is written down.")]
_EXAMPLE: dict[str, Any] = orjson.loads(default(PointRules).model_dump_json())


class LadderBody(_LedgerBody):
    """A step on an alliance's ladder: which can follow depends on where the alliance stands."""

    rung: Rung = Field(examples=["graduated"])
    reason: Reason = Field(examples=["自籌收入已足以自主營運"])
    kpi: Ladder | None = Field(
        default=None, description="Of every step but graduation: a figure, or self_operation.", examples=[None]
    )
    owner: Word | None = Field(default=None, description="Of a plan: the account that carries it out.", examples=[None])
    due_on: date | None = Field(default=None, description="Of a plan: its last day, in Taipei.", examples=[None])
    as_of: date | None = Field(
        default=None, description="Of a warning: the day whose gap it is for; today if left out.", examples=[None]
    )
    book: Word | None = Field(
        default=None, description="Of a warning: the target book; the first if left out.", examples=[None]
    )


class MoneyRowBody(_LedgerBody):
    """An income, an expense or the subsidy of an alliance."""

    item: SufficiencyItem = Field(examples=["overhead"])
    tier: Tier | None = Field(default=None, description="Of the member, for fees only.", examples=[None])
    occurred_on: date = Field(examples=["2019-05-02"])
    amount_ntd: Whole = Field(ge=1, le=MAX_NTD, examples=[1_200_000])
    source: Source = Field(examples=["傳票 108-0512"])


class TakeBackBody(_LedgerBody):
    """Why a row is taken back."""

    reason: Annotated[Word, Field(min_length=1, examples=["金額誤植"])]


class PointBody(_LedgerBody):
    """What somebody did; the document `points` says how much it earns."""

    person: Word = Field(min_length=1, description="A pseudonym, see POST /api/ledger/persons.", examples=["p-0"])
    activity: Word = Field(min_length=1, examples=["company_visit"])
    occurred_on: date = Field(examples=["2019-05-02"])
    source: Source = Field(examples=["訪視紀錄 108-031"])


class GenderCountsBody(_LedgerBody):
    """How many people of each gender a group has at the end of a subsidy year; who is not named is nobody."""

    year: SubsidyYear = Field(examples=[108])
    group: GenderGroup = Field(examples=["pi"])
    people: dict[Gender, Annotated[int, Field(ge=0, le=MAX_COUNT)]] = Field(examples=[{"female": 4, "male": 14}])
    source: Source = Field(examples=["人事資料 108-08-31"])


class GenderAnalysisBody(_LedgerBody):
    """Why a group is as it is."""

    year: SubsidyYear = Field(examples=[108])
    group: GenderGroup = Field(examples=["pi"])
    text: Annotated[Note, Field(min_length=1, examples=["理工領域女性教師比例偏低"])]


class ConfigurationBody(_LedgerBody):
    """What a document says from now on, and why."""

    document: dict[str, Any] = Field(max_length=MAX_PARTS, examples=[_EXAMPLE])
    reason: Annotated[Note, Field(min_length=1, examples=["計畫辦公室會議決議"])]
