"""What one cell of somebody's list says, as the exchange format would hold it.

In: a cell as a spreadsheet or a CSV file gives it, the field that it is for and the unit that its heading named. Out:
the value, None where a word stands for nothing, or a `FieldError` that says what is wrong. It exists because people
write 無 where nothing is, 千元 in a heading, 民國 years without saying so, two heads in one cell, and because
spreadsheets turn ids into 1.23E+11: what can be read is read in one way, what could be read in two is refused.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Callable
from datetime import date, timedelta
from decimal import Decimal

from indexer.plain_text import shown, unguarded
from indexer.records.columns import Column, json_list, json_value
from indexer.records.field_notes import Cell
from indexer.records.lists.headings import ROC_YEARS, Heading, currency_in
from indexer.records.values import ROC_OFFSET, FieldError, amount_in, as_text, is_blank, numeral
from indexer.vocabulary import AskKind, find
from indexer.wording import T_

_NOTHING = frozenset(
    [
        "無",
        "沒有",
        "沒",
        "空",
        "空白",
        "未填",
        "未填寫",
        "未提供",
        "未定",
        "未訂",
        "不詳",
        "不明",
        "尚無",
        "尚未",
        "暫無",
        "從缺",
        "略",
        "n/a",
        "na",
        "n.a.",
        "n.a",
        "#n/a",
        "none",
        "null",
        "nil",
        "nan",
        "-",
        "--",
        "---",
        "–",
        "—",
        "―",
        "－",
        "─",
        "/",
        "\\",
        ".",
        "…",
        "...",
        "〇",
        "○",
        "无",
        "没有",
        "tbd",
        "tba",
        "unknown",
        "notavailable",
        "notapplicable",
    ]
)
_NOTHING_BUT = {"weight": frozenset(), "tier": frozenset({"無", "none"})}
_ERROR = re.compile(r"#(?:REF!|VALUE!|NAME\?|DIV/0!|NUM!|NULL!|SPILL!|CALC!)|Err:5\d\d", re.IGNORECASE)
"""What a spreadsheet writes where a formula could not be computed."""
_ANY = frozenset("不限 皆可 均可 不拘 不限制 都可 any anywhere 無限制 全部 all".split())  # noqa: SIM905
_ANY_FIELDS = frozenset({"region", "languages", "fields", "deadline", "budget_ntd", "capacity", "size"})
_DITTO = frozenset({"同上", "〃", "″", "同前", "同左上", "ditto", '"', "''"})
_PROSE = frozenset({"summary", "summary_en", "description", "abstract", "title", "asks", "confidential_reason"})
_SHORTENED = re.compile(r"[0-9](?:\.[0-9]+)?[eE]\+?[0-9]{1,3}")
_LINKS = re.compile(r"[;；,，、\s]+(?=https?://)|[\r\n]+")
_TITLES = "教授|老師|博士|副教授|助理教授|院士|主任|所長|院長"
_PEOPLE = re.compile(
    r"\s*(?:[、;；/／&＆\n]|，|,(?!\s*(?:Jr|Sr|Ph\.?\s?D|M\.?D|II|III)\b)|\band\b"
    # 祝清和博士 is one person.
    rf"|(?<=[\u3400-\u9fff]{{2}})[和與及](?!{_TITLES})(?=[\u3400-\u9fff]{{2}}))\s*"
)
_REMARK = r"(?:\s*[(（][^()（）]{1,20}[)）])?"
_HAN_NAME = re.compile(rf"[\u3400-\u9fff·．]{{2,6}}(?:\s*(?:{_TITLES}))?{_REMARK}")
_LATIN_NAME = re.compile(rf"[A-Z][\w.\-'’]*(?:\s+[A-Z][\w.\-'’]*){{1,4}}{_REMARK}")
_TURNED_NAME = re.compile(rf"[A-Z][\w\-'’]+,\s*[A-Z][\w.\-'’]*(?:\s+[A-Z][\w.\-'’]*)?{_REMARK}")
"""Surname, Given: the comma stands inside the name of one."""
_BETWEEN_PEOPLE = re.compile(r"\s*[、;；／/&＆\n]\s*")
_TITLE = re.compile(_TITLES)
_COMPOUND_SURNAMES = frozenset("歐陽 司馬 司徒 諸葛 上官 皇甫 東方 尉遲 夏侯 公孫 張簡 范姜 端木 令狐".split())  # noqa: SIM905
_FIRST_SERIAL, _LAST_SERIAL = 20_000, 80_000
"""The days from 1954 to 2119 as spreadsheets count them; a number below or above is something else."""
_SERIAL_ZERO = date(1899, 12, 30)
_DAYS = frozenset({"deadline", "since", "until", "merged_on"})
_IDENTITIES = frozenset({"id", "lab", "tax_id", "merged_into"})
_YEARS = frozenset({"year", "founded"})
_HEADS = "pi"
_MONEY_FIELDS = frozenset({"budget_ntd"})
_FACTORS = {"千": 10**3, "萬": 10**4, "百萬": 10**6, "億": 10**8}
_MOST_DIGITS = 15
"""Of an id that a spreadsheet keeps as a number; the digits after these are lost."""


def is_nothing(text: str) -> bool:
    """Whether a cell holds a word or a mark that people write where there is nothing."""
    return _plain(text) in _NOTHING


def is_taken_otherwise(field: str, text: str) -> bool:
    """Whether a cell with this text would be read as something else: as nothing, as what stands above, as people.

    A text that begins with an apostrophe before such a text is one too, so that `literal` gives every text back.
    """
    if _is_ditto(field, text) or _says_nothing(field, text):
        return True
    if (field == _HEADS and "、".join(people_in(text)) != text) or (field == "links" and _links(text) != [text]):
        return True
    if field in _IDENTITIES and (_SHORTENED.fullmatch(text) or text.startswith("'")):
        return True
    if _ERROR.fullmatch(text.strip()):
        return True
    return text.startswith("'") and is_taken_otherwise(field, text[1:])


def literal(field: str, text: str) -> str:
    """Return what to write into a cell so that the text is read as it stands: an apostrophe more where needed."""
    return f"'{text}" if is_taken_otherwise(field, text) else text


def _is_literal(field: str, cell: str) -> bool:
    return cell.startswith("'") and is_taken_otherwise(field, cell[1:])


def _is_ditto(field: str, cell: str) -> bool:
    return field != "id" and _plain(cell) in _DITTO


def _says_nothing(field: str, cell: str) -> bool:
    if field in _PROSE or is_blank(cell):
        return False
    plain = _plain(cell)
    if plain in _NOTHING and plain not in _NOTHING_BUT.get(field, ()):
        return True
    return field in _ANY_FIELDS and plain in _ANY


_LONGEST_WORD = 60
"""Of a cell that may be one of the words above, with blanks and brackets."""


def _plain(text: str) -> str:
    if len(text) > _LONGEST_WORD and len(text.strip()) > _LONGEST_WORD:
        return text
    return "".join(unicodedata.normalize("NFKC", text).casefold().split()).strip("()[]〔〕【】")


class CellReader:
    """Reads the cells of one column after another, row by row; `counts` says what was read as nothing or guessed."""

    def __init__(self, table_unit: str = "") -> None:
        """Begin; `table_unit` is what a line above the table says that its amounts are counted in."""
        self.counts: Counter[str] = Counter()
        self._unit = table_unit
        self._above: dict[str, object] = {}
        self._readers: dict[tuple[str, str], Callable[[object], object] | None] = {}

    def value(self, column: Column, heading: Heading, cell: object) -> object:
        """Return what a cell says.

        Raises:
            TextError: it can't be read, or could be read in two ways.
        """
        if isinstance(cell, str) and column.cell is Cell.ONE and _is_literal(column.field, cell):
            self._above[column.field] = said = unguarded(cell[1:])
            return said
        if isinstance(cell, str) and (len(cell) <= _LONGEST_WORD or len(cell.strip()) <= _LONGEST_WORD):
            if _is_ditto(column.field, cell):
                self.counts["ditto"] += 1
                return self._above.get(column.field)
            if _says_nothing(column.field, cell):
                self.counts["nothing"] += 1
                cell = None
            elif column.cell is Cell.ONE and _ERROR.fullmatch(cell.strip()):
                raise FieldError(
                    T_("%(value)s is an error of the spreadsheet and no value", value=shown(cell.strip())),
                    T_("correct the formula, or write what should stand there"),
                )
        found = self._read(column, heading, cell)
        self._above[column.field] = found
        return found

    def _read(self, column: Column, heading: Heading, cell: object) -> object:
        if is_blank(cell):
            return None
        if (listed := json_list(column, cell)) is not None and column.cell in (Cell.WORDS, Cell.TEXTS):
            # What an export wrote part by part holds no word for nothing.
            return listed
        kept_by = column.field, heading.unit
        if kept_by not in self._readers:
            self._readers[kept_by] = self._reader_of(column.field, heading)
        if (reader := self._readers[kept_by]) is not None:
            return reader(cell)
        found = json_value(column, cell)
        if column.cell is Cell.ASKS and isinstance(found, list):
            return [self._ask(one) for one in found]
        if column.cell in (Cell.WORDS, Cell.TEXTS) and isinstance(found, list):
            kept = [one for one in found if not (isinstance(one, str) and _plain(one) in _NOTHING)]
            self.counts["nothing"] += len(found) - len(kept)
            return kept
        return found

    def _reader_of(self, field: str, heading: Heading) -> Callable[[object], object] | None:
        """Return what reads the cells of a field that people write in ways of their own."""
        unit = heading.unit
        readers: dict[str, Callable[[object], object]] = {
            **dict.fromkeys(_IDENTITIES, _identity),
            **dict.fromkeys(_MONEY_FIELDS, lambda cell: _amount(cell, unit or self._unit)),
            **dict.fromkeys(_YEARS, lambda cell: self._year(cell, heading)),
            **dict.fromkeys(_DAYS, _day),
            "weight": lambda cell: _share(cell, unit),
            "capacity": _count,
            "links": _links,
            _HEADS: self._people,
        }
        return readers.get(field)

    def _people(self, cell: object) -> str:
        people = people_in(unguarded(as_text(cell)))
        self.counts["people"] += len(people) > 1
        return "、".join(people)

    def _ask(self, one: object) -> object:
        """Return an ask; a line without a kind asks for technology, as most do."""
        if isinstance(one, str):
            text = one
        elif isinstance(one, dict) and find(AskKind, str(one.get("kind", ""))[:60]) is None and one.get("text"):
            # What stands before the colon may be a word of the text, or a kind that does not exist.
            if len(str(one["kind"])) <= _LONGEST_KIND and str(one["kind"]).isascii():
                return one
            text = f"{one['kind']}：{one['text']}"
        else:
            return one
        bare = find(AskKind, text[:60])
        self.counts["ask"] += bare is None
        return {"kind": (bare or AskKind.TECHNOLOGY).value, "text": text}

    def _year(self, cell: object, heading: Heading) -> object:
        text = unicodedata.normalize("NFKC", as_text(cell)).strip()
        # In a column headed 年度, 112 is what Taiwan calls 2023; elsewhere it is no year.
        if re.fullmatch(r"[0-9]{2,3}", text) and (heading.unit == ROC_YEARS or 100 <= int(text) <= 150):
            self.counts["roc"] += heading.unit != ROC_YEARS
            return int(text) + ROC_OFFSET
        if isinstance(cell, date):
            return cell.year
        return cell


_LONGEST_KIND = 12


def _links(cell: object) -> list[str]:
    """Split addresses only before the next one begins: a semicolon may be part of one."""
    marks = " ,，;；、"
    return [part.strip(marks) for part in _LINKS.split(unguarded(as_text(cell))) if part.strip(marks)]


def _identity(cell: object) -> object:
    if isinstance(cell, bool) or not isinstance(cell, int | float):
        if isinstance(cell, str) and _SHORTENED.fullmatch(cell.strip()):
            raise FieldError(
                T_("%(value)s is an id that a spreadsheet has shortened", value=shown(cell.strip())),
                T_("format the column as text and enter the id again"),
            )
        return cell.strip().removeprefix("'") if isinstance(cell, str) else cell
    if abs(cell) >= 10**_MOST_DIGITS:
        raise FieldError(
            T_("%(value)s has more digits than a spreadsheet keeps", value=shown(cell)),
            T_("format the column as text and enter the id again"),
        )
    return cell


def _amount(cell: object, unit: str) -> object:
    if len(unit) == 3 and unit.isascii():
        raise _foreign(unit)
    if isinstance(cell, str):
        if (code := currency_in(cell)) is not None:
            raise _foreign(code)
        if (own := amount_in(cell)) is None or own[1]:
            return cell
        number = own[0]
    elif isinstance(cell, int | float) and not isinstance(cell, bool):
        number = Decimal(str(cell))
    else:
        return cell
    whole = number * _FACTORS.get(unit, 1)
    return int(whole) if whole == int(whole) else cell


def _foreign(code: str) -> FieldError:
    return FieldError(
        T_("the amount is in %(code)s, not in New Taiwan dollars", code=code), T_("give it in New Taiwan dollars")
    )


def _day(cell: object) -> object:
    """Return a cell, or the day that a spreadsheet's number of days stands for."""
    text = cell.strip() if isinstance(cell, str) else cell
    if isinstance(text, str) and re.fullmatch(r"[0-9]{5}(?:\.[0-9]+)?", text):
        text = float(text)
    is_number = isinstance(text, int | float) and not isinstance(text, bool)
    if is_number and _FIRST_SERIAL <= text <= _LAST_SERIAL:  # type: ignore[operator]
        return _SERIAL_ZERO + timedelta(days=int(text))  # type: ignore[call-overload]
    return cell


def _count(cell: object) -> object:
    """Return the number of a cell that counts in words, such as 3 件 or 兩案."""
    text = unicodedata.normalize("NFKC", cell).strip() if isinstance(cell, str) else ""
    found = re.fullmatch(
        r"([0-9]{1,5}|[〇零一二兩三四五六七八九十]{1,3})\s*(?:[件案個項組名位]|projects?|cases?)?", text
    )
    if found is None:
        return cell
    return int(found[1]) if found[1].isdigit() and found[1].isascii() else numeral(found[1])


def _share(cell: object, unit: str) -> object:
    text = unicodedata.normalize("NFKC", as_text(cell)).strip()
    plain = text.removesuffix("%").strip()
    if (text.endswith("%") or unit == "%") and re.fullmatch(r"[0-9]{1,3}(?:\.[0-9]+)?", plain):
        return float(Decimal(plain) / 100)
    return cell


def people_in(text: str) -> list[str]:
    """Return the people that a cell names: several only where each part is a whole name."""
    for between in (_BETWEEN_PEOPLE, _PEOPLE):
        parts = [part.strip() for part in between.split(text) if part.strip()]
        if len(parts) == 1:
            parts = _by_blanks(parts[0])
        if len(parts) > 1 and all(map(_is_whole_name, parts)):
            return parts
    return [text.strip()]


def _by_blanks(text: str) -> list[str]:
    """Return the people between whose Chinese names blanks stand; inside Latin names they stand too."""
    words: list[str] = []
    for word in text.split():
        if words and (_TITLE.fullmatch(word) or word[0] in "(（"):
            words[-1] += f" {word}"
        else:
            words.append(word)
    are_names = all(_HAN_NAME.fullmatch(word) and len(word) > 1 for word in words)
    return words if are_names and words[0] not in _COMPOUND_SURNAMES else [text]


def _is_whole_name(part: str) -> bool:
    return any(name.fullmatch(part) for name in (_HAN_NAME, _LATIN_NAME, _TURNED_NAME)) or _both(part)


def _both(part: str) -> bool:
    return re.fullmatch(r"[\u3400-\u9fff·]{2,6}\s*[(（]?\s*[A-Za-z .\-']+[)）]?", part) is not None
