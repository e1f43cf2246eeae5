"""What clients may send: one model per request, unknown fields refused.

In: JSON bodies. Out: checked values. It exists because a misspelt field that is
silently ignored is a lost instruction. What a need or a lab may say is checked
by the exchange format, the same as for files; which of its fields a route takes
is declared there too.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from datetime import date
from enum import StrEnum
from typing import Annotated, Any, TypeVar

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationInfo,
    WithJsonSchema,
)

from api.access.credentials import MAX_KEY_DAYS
from indexer.plain_text import clean
from indexer.records.exchange import LabIn, NeedIn
from indexer.records.field_notes import DeclaredField, declared, with_fields
from indexer.vocabulary import AskKind, Kind
from indexer.wording import T_
from matcher.judging.panel.grades import MAX_DEPTH, Said
from matcher.judging.panel.pool import RANKERS
from matcher.ledger.rows.details import Purpose
from matcher.ledger.rules.configuration import TakesNoYesForANumber
from matcher.portfolio.picks import MOST_PICKS
from matcher.ranking.wishes import MOST_WORDS, WORD, WORDS_SAID
from matcher.review.cases import ContactKind, LostReason, Stage
from matcher.review.decisions import Reason, Verdict
from matcher.review.desk.saved_views import ViewedList
from matcher.review.intake import NeedState
from matcher.review.joint.chains import MOST_COMPANIES
from matcher.review.joint.diagnosis import MOST_DEGREE, MOST_LINE, Topic
from matcher.review.joint.visits import VisitState
from matcher.review.own_lab.researchers import ClaimVerdict
from matcher.review.roles import Role
from matcher.teams.teams import MOST_MEMBERS

MAX_NOTE = 5_000
MAX_ROW_NUMBER = 2**31 - 1
"""The largest number of a row: PostgreSQL refuses to compare its INTEGER columns with more."""


def _cleaned(value: Any) -> Any:
    return clean(value, max_chars=MAX_NOTE, multiline=True) if isinstance(value, str) else value


def _short(value: Any) -> Any:
    return clean(value, max_chars=200, multiline=False) if isinstance(value, str) else value


def _line(value: Any) -> Any:
    return clean(value, max_chars=MOST_LINE, multiline=False) if isinstance(value, str) else value


Note = Annotated[str, BeforeValidator(_cleaned)]
Word = Annotated[str, BeforeValidator(_short)]


def _described(terms: type[StrEnum]) -> WithJsonSchema:
    """Name the terms in the description; which are accepted, their Chinese names too, is the exchange format's."""
    return WithJsonSchema({"type": "string", "enum": [term.value for term in terms]})


AskKindWord = Annotated[Word, _described(AskKind)]
Number = Annotated[int, Field(ge=1, le=MAX_ROW_NUMBER)]


def _whole(value: Any, info: ValidationInfo) -> Any:
    # A form has nothing but texts; JSON has numbers, and true, which Python takes for 1.
    if isinstance(value, str) and (info.context or {}).get("form"):
        return value
    if value is not None and type(value) is not int:
        raise ValueError(T_("give a whole number without quotation marks"))
    return value


Whole = Annotated[int, BeforeValidator(_whole)]
"""A number that neither a text nor true nor 1.5 can stand for."""


class _Body(TakesNoYesForANumber):
    model_config = ConfigDict(extra="forbid", frozen=True)


Body = TypeVar("Body", bound=_Body)


def body_of(record: type[BaseModel], **items: Any) -> Callable[[type[Body]], type[Body]]:
    """Return the decorator that gives a body the fields that a record's declaration lets it take, all optional.

    Args:
        record: the declaration.
        items: the types of fields that hold records themselves.
    """
    return with_fields(
        {
            one.name: (items.get(one.name, _word_for(one)) | None, copy(one.note.body))
            for one in declared(record)
            if one.note.body is not None
        }
    )


def _word_for(one: DeclaredField) -> Any:
    """Return the type that a body has for a field; what it may say is then checked by the exchange format."""
    if one.plain not in (str, str | None) and not one.is_list:
        return one.plain
    word: Any = Note if one.shape.wide else Word
    if one.shape.terms is not None:
        word = Annotated[Word, _described(one.shape.terms)]
    return list[word] if one.is_list else word


class AskBody(_Body):
    """One thing that a need asks for."""

    kind: AskKindWord = Field(examples=["technology"])
    text: Note = Field(examples=["提高移除率又不留刮傷的拋光液配方"])


@body_of(NeedIn, asks=list[AskBody])
class NeedBody(_Body):
    """A need; every field is optional except that title or description says something."""


class NewNeedBody(NeedBody):
    """A need with whose it is. A contact of one company may leave all out; an expert may name a school instead."""

    company: Word | None = Field(default=None, examples=["co-1-1"])
    school: Word | None = Field(
        default=None, examples=[None], description="The school that states it, such as clinicians."
    )
    alliance: Word | None = Field(default=None, examples=["al-02"])


class TakenDownBody(NewNeedBody):
    """A need that an expert took down for a company: one that is known, by its id, or another by its name.

    A company that is not known yet is registered and looked after by the alliance; `contact` is noted as a contact.
    """

    company_name: Word | None = Field(default=None, examples=["嶺風電力股份有限公司"])
    tax_id: Word | None = Field(default=None, examples=["00000016"])
    contact: Note = Field(default="", examples=["林經理 049-2345678"])
    came_by: ContactKind = Field(default=ContactKind.CALL, description="How it came.")


class NeedMoveBody(_Body):
    """Where a need is to go."""

    state: NeedState = Field(examples=["taken_up"])
    note: Note = ""


class ShareBody(_Body):
    """Which alliance a need is shared with, and what the company agreed to."""

    alliance: Word = Field(examples=["al-03"])
    consent: Note = Field(default="", examples=["同意分享給南區聯盟,2026-11-20 電話確認"])


class AssignBody(_Body):
    """Which alliance gets a need."""

    alliance: Word = Field(examples=["al-03"])


class DecisionBody(_Body):
    """A verdict on a pairing as it was shown, or `undo`."""

    verdict: Verdict = Field(examples=["accept"])
    proposal_id: Number | None = Field(default=None, examples=[12], description="Needed except with undo.")
    reason: Reason | None = Field(default=None, examples=[None])
    note: Note = ""
    defer_until: date | None = Field(default=None, examples=[None])


class TeamMemberBody(_Body):
    """A lab for the need as it was shown."""

    pairing_id: Number = Field(examples=[12])
    proposal_id: Number = Field(examples=[12])


class TeamBody(_Body):
    """Labs that are accepted together, and which of them leads."""

    members: list[TeamMemberBody] = Field(
        min_length=2,
        max_length=MOST_MEMBERS,
        examples=[[{"pairing_id": 12, "proposal_id": 12}, {"pairing_id": 13, "proposal_id": 13}]],
    )
    lead: Number = Field(examples=[12], description="The pairing of the lab that leads.")


class SteeringBody(_Body):
    """How the ranking of a need is steered from now on; no words: as usual."""

    words: list[Annotated[str, StringConstraints(pattern=WORD)]] = Field(
        max_length=MOST_WORDS, description=WORDS_SAID, examples=[["region:south.more", "ask:1.must"]]
    )


class ChainBody(_Body):
    """A chain as an alliance keeps it with a need: its lab, and companies in the order in which they come in."""

    lab: Word | None = Field(default=None, examples=["lab-1-01"])
    companies: list[Word] = Field(max_length=MOST_COMPANIES, examples=[["co-1-1", "co-1-2"]])


class TopicAnswerBody(_Body):
    """How pressing a topic is for a company, and its own line on it."""

    topic: Topic = Field(examples=["data"])
    degree: Whole = Field(ge=1, le=MOST_DEGREE, examples=[2], description="1 a little, 2 pressing, 3 very pressing.")
    line: Annotated[str, BeforeValidator(_line)] = Field(default="", examples=["鏈條的表面瑕疵還靠人眼看"])


class NewVisitBody(_Body):
    """A joint visit that is planned: the day, and what the company answered."""

    held_on: date = Field(examples=["2026-12-15"])
    place: Annotated[str, BeforeValidator(_line)] = Field(default="", examples=["臺南廠"])
    answers: list[TopicAnswerBody] = Field(
        min_length=1, max_length=len(Topic), examples=[[{"topic": "data", "degree": 3}]]
    )
    labs: list[Word] = Field(
        default=[], max_length=MOST_MEMBERS, description="The team, if you choose it yourself.", examples=[[]]
    )
    alliance: Word | None = Field(default=None, description="Needed with several alliances.", examples=["al-a"])


class AgendaItemBody(_Body):
    """An item of an agenda; no labs: all of them."""

    at: Annotated[str, StringConstraints(pattern=r"^([01]\d|2[0-3]):[0-5]\d$")] = Field(examples=["09:00"])
    part: str = Field(max_length=20, examples=["welcome"], description="A topic, or `welcome`, `closing`, `other`.")
    labs: list[Word] = Field(default=[], max_length=MOST_MEMBERS, examples=[[]])
    note: Annotated[str, BeforeValidator(_line)] = Field(default="", examples=[""])


class NextStepBody(_Body):
    """What is to come of a visit: a need that is to be written."""

    title: Annotated[str, BeforeValidator(_line)] = Field(min_length=1, examples=["鏈條瑕疵自動檢測"])
    text: Note = Field(default="", examples=["檢測三條產線，誤殺低於百分之一"])


class VisitBody(_Body):
    """What is changed of a visit; what is left out stays. Another team is proposed with another agenda."""

    held_on: date | None = Field(default=None, examples=["2026-12-16"])
    place: Annotated[str | None, BeforeValidator(_line)] = Field(default=None, examples=["臺南廠"])
    labs: list[Word] | None = Field(default=None, min_length=1, max_length=MOST_MEMBERS, examples=[["lab-1-01"]])
    agenda: list[AgendaItemBody] | None = Field(
        default=None, max_length=20, examples=[[{"at": "09:00", "part": "welcome"}]]
    )
    findings: dict[Topic, Note] | None = Field(default=None, examples=[{"data": "三條線的影像都有存檔"}])
    next_steps: list[NextStepBody] | None = Field(
        default=None, max_length=10, examples=[[{"title": "鏈條瑕疵自動檢測"}]]
    )


class VisitMoveBody(_Body):
    """Where a visit is to go."""

    state: VisitState = Field(examples=["held"])
    note: Note = ""


class InstalmentBody(_Body):
    """A part of a contract's sum and the day on which it falls due."""

    due_on: date = Field(examples=["2027-06-30"])
    amount_ntd: Whole = Field(ge=1, le=10**12, examples=[450_000])


class DocumentBody(_Body):
    """A file that you sent with `POST /api/evidence`, and what it is called."""

    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
    name: Word = ""


class SigningBody(_Body):
    """What was signed, as the ledger will need it."""

    signed_on: date = Field(examples=["2026-11-20"])
    ends_on: date | None = Field(default=None, examples=["2027-11-19"], description="Until when the lab is at work.")
    contract: Word = Field(default="", examples=["115-甲-001"])
    amount_ntd: Whole | None = Field(default=None, ge=1, le=10**12, examples=[900_000])
    purpose: Purpose | None = Field(default=None, examples=["research"])
    instalments: list[InstalmentBody] = Field(default=[], max_length=60, examples=[[]])
    shares: dict[Word, Annotated[Whole, Field(ge=1, le=10_000)]] = Field(
        default={}, examples=[{}], description="Basis points by alliance; empty: your own alliance alone."
    )
    document: DocumentBody | None = Field(default=None, examples=[None])


class TransitionBody(_Body):
    """Where a case is to go."""

    stage: Stage = Field(examples=["introduced"])
    reason: LostReason | None = Field(default=None, examples=[None])
    note: Note = ""
    signing: SigningBody | None = Field(
        default=None, examples=[None], description="With `signed`: what was signed; the result is pre-filled from it."
    )


class ContactBody(_Body):
    """That an expert was in touch, and what is to follow."""

    kind: ContactKind = Field(examples=["meeting"])
    held_on: date = Field(examples=["2026-11-20"])
    note: Note = ""
    next_step: Note = Field(default="", examples=["寄送報價"])
    next_on: date | None = Field(default=None, examples=["2026-12-01"])


class MatchBatchBody(_Body):
    """Which needs to rank; without them all open ones of the own alliance."""

    needs: list[Word] | None = Field(default=None, min_length=1, max_length=5_000, examples=[["need-1-01"]])
    top: int = Field(default=10, ge=1, le=100, description="How many labs for each.")


class PortfolioBody(_Body):
    """What a plan for all needs keeps to, and the plan whose picks are changed by it."""

    alliance: Word | None = Field(default=None, examples=[None], description="Without it the own one, or all.")
    words: list[Annotated[str, StringConstraints(max_length=300)]] = Field(
        default=[],
        max_length=MOST_PICKS,
        examples=[["expert:6"]],
        description="`pin:NEED,LAB`, `never:NEED,LAB`, `apart:NEED,NEED`, `without:NEED`, `expert:6`, `alliance:40`, "
        "`silent:3`, `tier:gold.90`.",
    )
    based_on: Number | None = Field(default=None, examples=[None], description="Its candidates are used again.")
    afresh: bool = Field(default=False, description="Rank the labs anew all the same.")


MAX_JUDGED_NEEDS = 500
_Ids = Annotated[list[Word], Field(min_length=1, max_length=MAX_JUDGED_NEEDS)]


class JudgingBody(_Body):
    """What two people are to grade: needs, named or drawn, and the first labs of several rankings for each."""

    judges: Annotated[list[Word], Field(min_length=2, max_length=2)] = Field(
        examples=[["u-0123456789abcdef", "u-fedcba9876543210"]], description="Accounts of two experts or leads."
    )
    needs: _Ids | None = Field(default=None, examples=[["need-1-01"]], description="Those that both judges may read.")
    count: int | None = Field(
        default=None, ge=1, le=MAX_JUDGED_NEEDS, examples=[None], description="Draw so many instead of naming them."
    )
    depth: int = Field(default=10, ge=1, le=MAX_DEPTH, description="How many labs of each ranking.")
    rankers: Annotated[list[Word], Field(max_length=10)] = Field(
        default=list(RANKERS), description=f"Which of our own: {', '.join(RANKERS)}."
    )
    runs: dict[Word, dict[Word, list[Word]]] = Field(
        default={}, max_length=20, description="Other rankings by name: for each need its labs by id, best first."
    )
    seed: int = Field(default=106, ge=0, le=MAX_ROW_NUMBER, description="Draws the needs and the order of grading.")
    name: Word = Field(default="", examples=["109 年度抽查"])


class GradeBody(_Body):
    """What a judge says of a pair: a grade, that the texts don't suffice, or that the word before is taken back."""

    said: Said = Field(default=Said.GRADE, examples=["grade"])
    grade: int | None = Field(default=None, ge=0, le=3, examples=[2], description="Given exactly with `grade`.")
    note: Note = ""


class SettlementBody(_Body):
    """The grade by which a third person settles a pair."""

    grade: int = Field(ge=0, le=3, examples=[2])
    note: Note = ""


class SettlerBody(_Body):
    """Who is to settle what the judges see far apart."""

    account: Word = Field(examples=["u-0123456789abcdef"])


class StakeBody(_Body):
    """A declared interest."""

    party: Annotated[Word, WithJsonSchema({"type": "string", "enum": ["company", "lab"]})] = Field(examples=["company"])
    party_id: Word = Field(examples=["co-1-1"], description="Its id, its whole name, or a company's 統一編號.")


class StakeEndBody(_Body):
    """Why a declared interest no longer exists."""

    reason: Note = Field(examples=["持股已於 2026-10 全數出售,附交易紀錄"])


class RoleBody(_Body):
    """A role, and the alliance, company or lab that it is held in."""

    role: Role = Field(examples=["expert"])
    scope: Word = Field(default="", examples=["al-02"])
    reason: str = Field(
        default="", max_length=1_000, description="Why; needed for office and committee, by two people."
    )


class NewAccountBody(_Body):
    """A person or a program that is to be let in."""

    email: Word = Field(examples=["name@example.org"])
    name: Word = Field(default="", examples=["林小姐"])
    roles: list[RoleBody] = Field(default_factory=list, max_length=20)


class AccountBody(_Body):
    """What may be changed of an account; what is left out stays."""

    name: Word | None = Field(default=None, examples=["林小姐"])
    disabled: bool | None = Field(default=None, examples=[True])


class PhoneBody(_Body):
    """Under which number you want to be called; empty for none."""

    phone: Word = Field(examples=["049-2345678 #12"])


class ContactPersonBody(_Body):
    """Whom to reach at a company, and how; what is empty is taken away."""

    contact: Word = Field(default="", examples=["林若川 經理"])
    contact_email: Word = Field(default="", examples=["lin@ridgewind.example"])
    contact_phone: Word = Field(default="", examples=["049-2345678 #12"])


class KeyBody(_Body):
    """What a key is for, whether it may change anything, and for how many days it is valid."""

    name: Annotated[Word, Field(min_length=1)] = Field(examples=["nightly report"])
    may_write: bool = Field(default=False, description="By default a key only reads.")
    days: int = Field(default=MAX_KEY_DAYS, ge=1, le=MAX_KEY_DAYS)


class OwnKeyBody(KeyBody):
    """A key for oneself. With the password it works at once; without, it sleeps until it is woken with it."""

    password: str | None = Field(default=None, max_length=1_000)


class OwnPasswordBody(_Body):
    """The own password, to prove that it is still you."""

    password: str | None = Field(default=None, max_length=1_000)


class PasswordBody(_Body):
    """A new password, and the old one if there is one."""

    old: str | None = Field(default=None, max_length=1_000)
    new: str = Field(max_length=1_000)
    end_keys: bool = Field(default=False, description="End all your keys too, which otherwise go on working.")


class CodeBody(_Body):
    """A code of the second factor: six digits of the authenticator, or a recovery code."""

    code: str = Field(min_length=1, max_length=60, examples=["123456"])


class ClaimBody(_Body):
    """What makes a person a lab's researcher."""

    statement: Note = Field(examples=["我是本實驗室主持人,聘書字號見系網頁"])


class ClaimVerdictBody(_Body):
    """Yes or no to a claim; a no says why."""

    verdict: ClaimVerdict = Field(examples=["approved"])
    reason: Note = ""


class HandOverBody(_Body):
    """To which colleague a need or a case is handed."""

    expert: Word = Field(examples=["u-0123456789abcdef"])
    note: Note = Field(default="", description="For the colleague.", examples=["下週起休假,請接手"])


class PutOffBody(_Body):
    """Until which day something is put off."""

    until: date = Field(examples=["2026-12-07"])


class SavedViewBody(_Body):
    """A list as somebody wants to see it again: which one, what its address asked, and a name for it."""

    page: ViewedList = Field(examples=["cases"])
    name: Word = Field(examples=["我的逾期案件"])
    query: str = Field(default="", max_length=4_000, examples=["mine=true&overdue=true"])


class ClientBody(_Body):
    """Who is to look after a company; without `expert` the person who asks."""

    alliance: Word | None = Field(default=None, examples=["al-02"], description="Needed with several alliances.")
    expert: Word | None = Field(default=None, examples=["u-0123456789abcdef"])
    reason: Note = Field(default="", description="For whoever is asked, if another alliance looks after it already.")


class ClientAnswerBody(_Body):
    """Whether another alliance may look after a company too."""

    agreed: bool
    note: Note = ""


class EvidenceWeightBody(_Body):
    """How much a piece of evidence stands for the lab: 0 takes it out, 1 is usual, up to 10."""

    id: Word
    weight: float = Field(ge=0, le=10, allow_inf_nan=False)


@body_of(LabIn)
class LabBody(_Body):
    """What a researcher may change of the own profile; what is left out stays."""

    evidence: list[EvidenceWeightBody] | None = Field(
        default=None, max_length=5_000, description="Those named come first, in this order, with these weights."
    )


class ConfirmBody(_Body):
    """The own password once more, and a code of the second factor where there is one."""

    password: str = Field(max_length=1_000, examples=["correct horse battery"])
    code: str | None = Field(default=None, max_length=60)


class SignInBody(_Body):
    """An address and a password."""

    email: Word = Field(examples=["name@example.org"])
    password: str = Field(max_length=1_000, examples=["correct horse battery"])
    code: str | None = Field(
        default=None, max_length=60, description="Of your second factor, if you have one; it can be given afterwards."
    )


class TableBody(_Body):
    """What is said of one table of a list; what is left out stays, null puts it back to what was guessed."""

    kind: Kind | None = None
    left_out: bool = False
    columns: dict[str, Word] | None = Field(
        default=None,
        description="The field of each heading: `-` leaves a column out, empty keeps it beside our fields.",
    )
    fixed: dict[str, Word] | None = Field(
        default=None, description="Values by field for the rows that have none of their own."
    )


class CellBody(_Body):
    """What stands in a cell; null is what the file says."""

    sheet: int = Field(ge=0, le=1_000, description="The number of the sheet, counted from 0.")
    row: Number
    column: Number
    value: Annotated[str, Field(max_length=20_000)] | None


class RowBody(_Body):
    """Whether a row is left out."""

    sheet: int = Field(ge=0, le=1_000)
    row: Number
    left_out: bool


class ImportDraftBody(_Body):
    """Corrections of a list; each is added to those before."""

    tables: dict[str, TableBody] = Field(default_factory=dict, max_length=200, description="By the table's key.")
    headers: dict[int, Number | None] = Field(
        default_factory=dict, max_length=200, description="By sheet, in which row its headings stand."
    )
    cells: list[CellBody] = Field(default_factory=list, max_length=5_000)
    rows: list[RowBody] = Field(default_factory=list, max_length=5_000)


class FillDownBody(_Body):
    """A cell whose value goes into those below it, down to the next that holds something right."""

    table: Word
    row: Number
    column: Number


class MappingBody(_Body):
    """Of which table the columns are kept, and under which name."""

    name: Annotated[str, Field(min_length=1, max_length=100)]
    table: Word
