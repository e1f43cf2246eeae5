"""The two languages of the pages: every text, date, number and code as a reader of one of them expects it.

In: English texts as they stand in templates and code, codes of closed lists, a request's cookie, and the catalogues
in `api/locale`, one `.po` file for each group of pages. Out: their Traditional Chinese, and dates, numbers and
amounts written in the language that the browser reads, which is Traditional Chinese unless another was chosen. It
exists so that a page is written once. A text without a translation is shown in English;
`tests/test_every_text_is_in_both_languages.py` finds such texts, and codes without words.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from urllib.parse import unquote

from babel import Locale, dates, numbers
from fastapi import Request
from markupsafe import Markup

from api.documents.people import ClaimState
from api.jobs.job_queue import JobKind, JobState
from indexer.instants import TAIPEI
from indexer.vocabulary import (
    AskKind,
    Confidentiality,
    EvidenceKind,
    Kind,
    Region,
    ResearchField,
    SchoolType,
    Size,
    Tier,
)
from indexer.wording import Text, catalogues, chinese, recognised
from matcher.ledger.rows.periods import roc_year
from matcher.ledger.rule_documents import DOCUMENTS
from matcher.ranking.lab_table import Rule
from matcher.ranking.ranker import Band
from matcher.review.cases import ContactKind, LostReason, Stage
from matcher.review.conversation.answers import AnswerReason, SideWord
from matcher.review.decisions import Reason, Verdict
from matcher.review.intake import NeedState
from matcher.review.own_lab.researchers import ClaimVerdict
from matcher.review.proposals import PairingState
from matcher.review.roles import Role


class Lang(StrEnum):
    """A language of the pages; its value is what HTML's `lang` says."""

    ZH = "zh-Hant"
    EN = "en"


_LOCALES = {Lang.ZH: Locale("zh", territory="TW", script="Hant"), Lang.EN: Locale("en")}


def N_(message: str) -> str:  # noqa: N802 (gettext's own name, which the extraction looks for)
    """Mark a text for the catalogues that is translated where it is shown."""
    return message


@dataclass(frozen=True)
class Wording:
    """How things are said in one language."""

    lang: Lang

    def text(self, message: str) -> str:
        """Return a text in this language."""
        if isinstance(message, Text):
            return message.zh if self.lang is Lang.ZH else message.en
        return chinese(message) if self.lang is Lang.ZH else message

    def told(self, message: str | None) -> Markup:
        """Return what a refusal or a stored report says; where it has no Chinese, marked as English."""
        text = recognised(message or "")
        if self.lang is Lang.EN or isinstance(text, Text) or not text:
            return Markup.escape(self.text(text))
        return Markup('<span lang="en">{}</span>').format(text)

    def counted(self, singular: str, plural: str, number: int) -> str:
        """Return a text that depends on a number, in this language; Chinese has one form."""
        if self.lang is Lang.ZH:
            return self.text(singular)
        return singular if number == 1 else plural

    def either(self, zh: str | None, en: str | None) -> Markup:
        """Return the one of two texts that this language has, marked as the other language where only that exists."""
        first, second = (zh, en) if self.lang is Lang.ZH else (en, zh)
        if first or not second:
            return Markup.escape(first or "")
        other = Lang.EN if self.lang is Lang.ZH else Lang.ZH
        return Markup('<span lang="{}">{}</span>').format(other.value, second)

    def plain(self, zh: str | None, en: str | None) -> str:
        """Return the one of two texts that this language has, else the other, where no mark-up can stand."""
        return ((zh or en) if self.lang is Lang.ZH else (en or zh)) or ""

    def day(self, moment: datetime | date | str | None) -> str:
        """Return a day: in Chinese with the ROC year (109年3月2日), as the programme writes it, in English as ISO."""
        if moment is None:
            return "—"
        if isinstance(moment, str):
            moment = datetime.fromisoformat(moment) if "T" in moment else date.fromisoformat(moment)
        if isinstance(moment, datetime):
            moment = moment.astimezone(TAIPEI).date()
        if self.lang is Lang.ZH and moment.year > 1911:
            return f"{roc_year(moment.year)}年{moment.month}月{moment.day}日"
        return moment.isoformat()

    def moment(self, moment: datetime | str | None) -> str:
        """Return a day and a time of day in Taipei."""
        if moment is None:
            return "—"
        if isinstance(moment, str):
            moment = datetime.fromisoformat(moment)
        local = moment.astimezone(TAIPEI)
        return f"{self.day(local.date())} {local:%H:%M}"

    def quarter(self, period: str) -> str:
        """Return a quarter, stored as 2020Q2: in Chinese with the ROC year."""
        if self.lang is Lang.ZH and period[:4].isdigit():
            return f"{roc_year(int(period[:4]))} 年第 {period[-1]} 季"
        return period

    def number(self, value: float, digits: int = 0) -> str:
        """Return a number with separators and so many decimals."""
        pattern = "#,##0" + ("." + "0" * digits if digits else "")
        return numbers.format_decimal(value, format=pattern, locale=_LOCALES[self.lang])

    def percent(self, share: float, digits: int = 0) -> str:
        """Return a share from 0 to 1 as a percentage."""
        return self.number(share * 100, digits) + " %"

    def money(self, amount_ntd: int) -> str:
        """Return an amount of New Taiwan dollars."""
        amount = self.number(amount_ntd)
        return f"{amount} 元" if self.lang is Lang.ZH else f"NT$ {amount}"

    def ago(self, moment: datetime | str, now: datetime) -> str:
        """Return how long ago something was, or in how long it will be."""
        if isinstance(moment, str):
            moment = datetime.fromisoformat(moment)
        return dates.format_timedelta(moment - now, add_direction=True, locale=_LOCALES[self.lang])


SAID_AS_THEY_ARE = (
    AskKind,
    Confidentiality,
    EvidenceKind,
    Region,
    SchoolType,
    Size,
    ContactKind,
    LostReason,
    Stage,
    SideWord,
    AnswerReason,
    Reason,
    Verdict,
    NeedState,
    PairingState,
    Band,
    Role,
    Rule,
    JobKind,
    JobState,
    Kind,
    ClaimVerdict,
    ClaimState,
)
"""Lists whose codes are their English words, with `_` for a blank."""
_SAID_OTHERWISE: dict[StrEnum, str] = {
    ResearchField.GENERAL: "general",
    ResearchField.SEMICONDUCTORS: "semiconductors",
    ResearchField.FINTECH: "fintech",
    ResearchField.BIOMEDICAL: "biomedical",
    ResearchField.AGRICULTURE: "new agriculture",
    ResearchField.GREEN_ENERGY: "green energy",
    ResearchField.SMART_MANUFACTURING: "smart manufacturing",
    Tier.NONE: "no member",
    Tier.DOMESTIC: "domestic member",
    Tier.INTERNATIONAL: "international member",
    Tier.GOLD: "international gold member",
}
_WORDS = {str(code): words for code, words in _SAID_OTHERWISE.items()}


def term(code: str) -> str:
    """Return the English words for a code; of a code on no list, the code with blanks."""
    return _WORDS.get(str(code), str(code).replace("_", " "))


def all_terms() -> list[str]:
    """Return the English words of every code on every list, each once."""
    said = [term(code) for terms in SAID_AS_THEY_ARE for code in terms]
    return sorted({*said, *_SAID_OTHERWISE.values(), *(term(name) for name in DOCUMENTS)})


LANG_COOKIE = "gloria-lang"


def lang_of(request: Request) -> Lang:
    """Return the language that was chosen in this browser, else Traditional Chinese."""
    return Lang.EN if request.cookies.get(LANG_COOKIE) == Lang.EN else Lang.ZH


class Scheme(StrEnum):
    """Whether pages are light or dark: as the device is, or as was chosen."""

    AUTO = "auto"
    LIGHT = "light"
    DARK = "dark"


SCHEME_COOKIE = "gloria-scheme"


def scheme_of(request: Request) -> str:
    """Return what was chosen in this browser, else that the device decides."""
    chosen = request.cookies.get(SCHEME_COOKIE, "")
    return chosen if chosen in list(Scheme) else Scheme.AUTO.value


def said_before(cookie: str | None) -> str | None:
    """Return the text that the last form left to be said, if it is one of ours."""
    said = unquote(cookie or "")
    return said if said in catalogues() else None
