"""The two languages of the pages: every text, date and number as a reader of one of them expects it.

In: English texts as they stand in templates and code, and the catalogues of all
packages (`indexer.wording`), those of `api/locale` one `.po` file for each group
of pages. Out: their Traditional Chinese, and dates, numbers and amounts written
in either language. It exists so that a page is written once. A text without a
translation is shown in English; `tests/test_every_text_is_in_both_languages.py`
finds such texts.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum

from babel import Locale, dates, numbers
from markupsafe import Markup

from indexer.instants import TAIPEI
from indexer.wording import Text, chinese, recognised
from matcher.ledger.periods import roc_year


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
