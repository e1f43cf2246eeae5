"""What clients may send about alliances and the rules that they are judged by: one model per request.

In: JSON bodies. Out: checked values. It exists apart from the ledger's other
bodies because these are about alliances, not about results; what a step, an
amount or a document has to say is checked by the ledger itself.
"""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any

import orjson
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from api.bodies import Note, Word
from api.ledger_bodies import MAX_PARTS, Reason, Year
from indexer.vocabulary import MAX_NTD, Tier
from matcher.ledger.configuration import default
from matcher.ledger.details import Gender
from matcher.ledger.gender import MAX_COUNT, Group
from matcher.ledger.kpis import Kpi
from matcher.ledger.ladder import Rung
from matcher.ledger.periods import common_year
from matcher.ledger.points import PointRules
from matcher.ledger.sufficiency import Item

SubsidyYear = Annotated[Year, AfterValidator(common_year)]
Source = Annotated[Word, Field(min_length=1, description="Where that is written down.")]
_EXAMPLE: dict[str, Any] = orjson.loads(default(PointRules).model_dump_json())


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class LadderBody(_Body):
    """A step on an alliance's ladder: which can follow depends on where the alliance stands."""

    rung: Rung = Field(examples=["graduated"])
    reason: Reason = Field(examples=["自籌收入已足以自主營運"])
    kpi: Kpi | None = Field(default=None, description="Of every step but graduation.", examples=[None])
    owner: Word | None = Field(default=None, description="Of a plan: the account that carries it out.", examples=[None])
    due_on: date | None = Field(default=None, description="Of a plan: its last day, in Taipei.", examples=[None])
    as_of: date | None = Field(
        default=None, description="Of a warning: the day whose gap it is for; today if left out.", examples=[None]
    )
    book: Word | None = Field(
        default=None, description="Of a warning: the target book; the first if left out.", examples=[None]
    )


class MoneyRowBody(_Body):
    """An income, an expense or the subsidy of an alliance."""

    item: Item = Field(examples=["overhead"])
    tier: Tier | None = Field(default=None, description="Of the member, for fees only.", examples=[None])
    occurred_on: date = Field(examples=["2019-05-02"])
    amount_ntd: int = Field(ge=1, le=MAX_NTD, examples=[1_200_000])
    source: Source = Field(examples=["傳票 108-0512"])


class TakeBackBody(_Body):
    """Why a row is taken back."""

    reason: Annotated[Word, Field(min_length=1, examples=["金額誤植"])]


class PointBody(_Body):
    """What somebody did; the document `points` says how much it earns."""

    person: Word = Field(min_length=1, description="A pseudonym, see POST /api/ledger/persons.", examples=["p-0"])
    activity: Word = Field(min_length=1, examples=["company_visit"])
    occurred_on: date = Field(examples=["2019-05-02"])
    source: Source = Field(examples=["訪視紀錄 108-031"])


class GenderCountsBody(_Body):
    """How many people of each gender a group has at the end of a subsidy year; who is not named is nobody."""

    year: SubsidyYear = Field(examples=[108])
    group: Group = Field(examples=["pi"])
    people: dict[Gender, Annotated[int, Field(ge=0, le=MAX_COUNT)]] = Field(examples=[{"female": 4, "male": 14}])
    source: Source = Field(examples=["人事資料 108-08-31"])


class GenderAnalysisBody(_Body):
    """Why a group is as it is."""

    year: SubsidyYear = Field(examples=[108])
    group: Group = Field(examples=["pi"])
    text: Annotated[Note, Field(min_length=1, examples=["理工領域女性教師比例偏低"])]


class ConfigurationBody(_Body):
    """What a document says from now on, and why."""

    document: dict[str, Any] = Field(max_length=MAX_PARTS, examples=[_EXAMPLE])
    reason: Annotated[Note, Field(min_length=1, examples=["計畫辦公室會議決議"])]
