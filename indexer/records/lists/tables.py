"""Where the tables in a sheet are: their headings, their rows, and what stands around them.

In: the cells of a sheet. Out: one table after another with the headings that its columns have, the rows below them and
what was left out: titles above, repeated headings, totals and remarks below, headings of sections. It exists because
the lists of offices begin with a title and a date, have headings over two lines with merged cells, and end with 合計.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from indexer.records.lists.grids import MAX_COLUMNS, Grid
from indexer.records.lists.headings import (
    Heading,
    heading_of,
    is_beside,
    is_person_heading,
    is_usual,
    known_fields,
    telling_score,
    unit_in,
)
from indexer.records.values import as_text, is_blank
from indexer.vocabulary import Kind

_LOOKED_AT = 60
"""Rows from the top among which the first header is sought."""
_HEADING_CHARS = 60
_FEWEST_KNOWN = 2
_TOTALS = re.compile(
    r"(?:合計|總計|小計|共計|總和|平均|累計|總數|sub-?total|total|grandtotal|sum|average)(?:[::].*|[0-9,.]+.*)?"
    r"|(?:以下空白|本頁小計|本頁合計|以上共.*|共計?[0-9,]+[筆項件間人家個案].*|第[0-9]+頁.*|page[0-9]+.*|-*end-*|結束)"
)
_REMARKS = re.compile(
    r"(?:備註|附註|備考|註|註[0-9]|說明|注意|注意事項|資料來源|來源|填表人|填表單位|製表|製表人|製表日期|製表單位|更新日期|統計日期|列印日期|"
    r"聯絡人|承辦人|note|notes|remark|remarks|source|sources|disclaimer|footnote)(?:[::.、0-9].*)?|[※＊*◎●].*"
)


@dataclass(slots=True)
class Table:
    """A table as it stands in a sheet.

    `candidates` are for each column what its heading may be looked up as, in the order of trying; `names` what people
    see above it. `left` columns of the sheet stand before its first one. `unit` is what a line above says that amounts
    are counted in. `aside` are rows left out, by reason.
    """

    header_row: int
    names: list[str]
    candidates: list[list[str]]
    rows: list[tuple[int, list[object]]] = field(default_factory=list)
    aside: list[tuple[int, str]] = field(default_factory=list)
    title: str = ""
    unit: str = ""
    header_rows: int = 1
    left: int = 0

    def headings(self, kind: Kind, *, guess: bool = False) -> list[Heading | None]:
        """Return what each column is of a kind, None where it is none of its fields."""
        found: list[Heading | None] = []
        for texts in self.candidates:
            exact = next((one for text in texts if (one := heading_of(kind, text)) is not None), None)
            if exact is None and guess:
                exact = next((one for text in texts if (one := heading_of(kind, text, guess=True)) is not None), None)
            found.append(exact)
        return found

    def score(self, kind: Kind) -> int:
        """Return how much the headings speak for a kind."""
        return telling_score(kind, [self._looked_up(kind, texts) for texts in self.candidates])

    def _looked_up(self, kind: Kind, texts: Sequence[str]) -> str:
        return next((text for text in texts if heading_of(kind, text) is not None), texts[0] if texts else "")


def find_tables(
    grid: Grid, kinds: Sequence[Kind], known: Sequence[str] = (), header_row: int | None = None
) -> list[Table]:
    """Return the tables of a sheet in reading order, at least one if it has any row.

    Args:
        grid: the sheet's rows that hold anything.
        kinds: what the rows may be.
        known: further headings that are known, such as those of a saved mapping.
        header_row: where the first headings stand, if somebody has said so.
    """
    fill_merged(grid)
    start = next((place for place, (row, _) in enumerate(grid.rows) if row == header_row), None)
    if start is None:
        start = _header_place(grid, kinds, known)
    if start is None:
        return []
    tables: list[Table] = []
    while start is not None:
        table, following = _table_at(grid, start, kinds, known)
        tables += _beside(table, kinds)
        start = following
    return tables


def fill_merged(grid: Grid) -> None:
    """Give every row of cells that are merged downwards what the first of them holds."""
    if not grid.merged:
        return
    by_row = dict(grid.rows)
    for first, left, last, _ in grid.merged:
        top = by_row.get(first)
        if top is None or left > len(top) or is_blank(top[left - 1]):
            continue
        for row in range(first + 1, last + 1):
            cells = by_row.get(row)
            if cells is not None:
                cells.extend([None] * (left - len(cells)))
                if is_blank(cells[left - 1]):
                    cells[left - 1] = top[left - 1]


def _texts(cells: Sequence[object]) -> list[str]:
    return [_text(cell) for cell in cells]


def _text(cell: object) -> str:
    if isinstance(cell, str):
        return cell.strip()
    if is_blank(cell):
        return ""
    try:
        return as_text(cell).strip()
    except ValueError:
        return str(cell)


def _known(cells: Sequence[object], kinds: Sequence[Kind], known: Sequence[str]) -> int:
    """Return how many different fields of one kind a row names, 0 if it can't be one of headings."""
    texts = [text for text in _texts(cells) if text]
    if not texts or any(len(text) > _HEADING_CHARS for text in texts[:_LOOKED_AT]):
        texts = [text for text in texts if len(text) <= _HEADING_CHARS]
    if (
        not texts
        or len(texts) > MAX_COLUMNS
        or sum(isinstance(cell, str) for cell in cells if not is_blank(cell)) * 2 < len(texts)
    ):
        return 0
    named = sum(text in known for text in texts)
    return max([named, *(len(known_fields(kind, texts)) for kind in kinds)])


def _header_place(grid: Grid, kinds: Sequence[Kind], known: Sequence[str]) -> int | None:
    """Return the place of the first row of headings among the rows, the first row in doubt."""
    if not grid.rows:
        return None
    looked = grid.rows[:_LOOKED_AT]
    scores = [_known(cells, kinds, known) for _, cells in looked]
    for place, score in enumerate(scores):
        if score >= _FEWEST_KNOWN:
            # Names of columns over two lines: the second may say more, and then the first is above it.
            return place
    for place, score in enumerate(scores):
        if score:
            return place
    return 0


def _table_at(grid: Grid, start: int, kinds: Sequence[Kind], known: Sequence[str]) -> tuple[Table, int | None]:
    row, cells = grid.rows[start]
    tops, subs = _texts(cells), list[str]()
    rows_used = 1
    if start + 1 < len(grid.rows) and grid.rows[start + 1][0] == row + 1:
        below = _texts(grid.rows[start + 1][1])
        if _continues(tops, below, kinds):
            subs, rows_used = below, 2
    above = _texts(grid.rows[start - 1][1]) if start and grid.rows[start - 1][0] == row - 1 else []
    names, candidates = _named(tops, subs, above)
    said = [text for _, cells in grid.rows[:start] for text in _texts(cells) if text]
    table = Table(row, names, candidates, header_rows=rows_used)
    table.title = " ".join(said[-6:])
    table.unit = next((unit for text in reversed(said[-12:]) if "單位" in text and (unit := unit_in(text))), "")
    following = _fill(table, grid, start + rows_used, tops, kinds, known)
    return table, following


def _continues(tops: Sequence[str], below: Sequence[str], kinds: Sequence[Kind]) -> bool:
    """Whether a row goes on with the headings of the one above it: sub-headings, or the same in the other language."""
    width = max(len(tops), len(below))
    pairs = [(tops[n] if n < len(tops) else "", below[n] if n < len(below) else "") for n in range(width)]
    texts = [sub for _, sub in pairs if sub]
    if not texts or any(len(text) > _HEADING_CHARS or re.search(r"[0-9]", text) for text in texts):
        return False
    under_nothing = any(sub and not top for top, sub in pairs)
    over_nothing = any(top and not sub for top, sub in pairs)
    for kind in kinds:
        named = len(known_fields(kind, texts))
        if under_nothing and over_nothing and named:
            return True
        same = sum(
            (found := heading_of(kind, sub)) is not None and found == heading_of(kind, top) for top, sub in pairs if top
        )
        if same >= _FEWEST_KNOWN and same * 2 >= len(texts):
            return True
    return False


def _named(tops: Sequence[str], subs: Sequence[str], above: Sequence[str]) -> tuple[list[str], list[list[str]]]:
    width = max(len(tops), len(subs))
    names, candidates = [], []
    parent = ""
    over = _spread(above) if sum(map(bool, above)) >= _FEWEST_KNOWN else []
    for n in range(width):
        top, sub = (tops[n] if n < len(tops) else ""), (subs[n] if n < len(subs) else "")
        parent = top or parent
        if not sub:
            group = over[n] if n < len(over) else ""
            person = is_person_heading(top) and group
            names.append(top)
            candidates.append((_of_person(group, top) if person else [top]) if top else [])
        elif not (top or parent) or top == sub:
            names.append(sub)
            candidates.append([sub])
        else:
            names.append(f"{top or parent}/{sub}")
            candidates.append(
                _of_person(top or parent, sub) if is_person_heading(sub) else [sub, f"{top or parent}{sub}"]
            )
    return names, candidates


def _of_person(group: str, heading: str) -> list[str]:
    """Return what a heading such as 姓名 may be looked up as under the heading of its group."""
    return [f"{group}{heading}", group, *([] if is_beside(group) else [heading])]


def _spread(texts: Sequence[str]) -> list[str]:
    found, last = [], ""
    for text in texts:
        last = text or last
        found.append(last)
    return found + [last] * 40


def _fill(
    table: Table, grid: Grid, place: int, tops: Sequence[str], kinds: Sequence[Kind], known: Sequence[str]
) -> int | None:
    """Add the rows below a header; return the place of the next header, None if there is none."""
    pattern = [text for text in tops if text]
    few = len(pattern) >= 3
    filled: Counter[int] = Counter()
    for n in range(place, len(grid.rows)):
        row, cells = grid.rows[n]
        texts = _texts(cells)
        said = [text for text in texts if text]
        if said == pattern:
            table.aside.append((row, "header"))
            continue
        if few and _begins_table(grid, n, texts, kinds, known):
            _drop_title(table, grid, n)
            return n
        reason = _aside(said)
        if reason:
            table.aside.append((row, reason))
            continue
        filled[len(said)] += 1
        table.rows.append((row, cells))
    return None


def _begins_table(grid: Grid, n: int, texts: Sequence[str], kinds: Sequence[Kind], known: Sequence[str]) -> bool:
    """Whether a row among others is a header of its own."""
    said = [text for text in texts if text]
    # Rows of a list are told by their long cells, before anything is looked up.
    if len(said) < _FEWEST_KNOWN or max(map(len, said)) > _HEADING_CHARS // 2:
        return False
    row = grid.rows[n][0]
    gap = row > grid.rows[n - 1][0] + 1 or (n > 1 and sum(map(bool, _texts(grid.rows[n - 1][1]))) == 1)
    # In a long list every row of short cells comes here; without a gap before it a header is told by what is usual.
    if len(said) < _FEWEST_KNOWN + (not gap) or not (gap or any(map(is_usual, said))):
        return False
    best = (
        max(len(known_fields(kind, said)) for kind in kinds if kind is not Kind.TERMS)
        if set(kinds) - {Kind.TERMS}
        else 0
    )
    return best >= _FEWEST_KNOWN + (not gap) and best * 2 >= len(said)


def _drop_title(table: Table, grid: Grid, n: int) -> None:
    """Take the title of the next table out of the rows of this one."""
    while (
        table.rows
        and len([text for text in _texts(table.rows[-1][1]) if text]) == 1
        and len(table.names) > _FEWEST_KNOWN
    ):
        row, _ = table.rows[-1]
        if row < grid.rows[n][0] - 3:
            return
        table.rows.pop()
        table.aside.append((row, "title"))


def _aside(said: Sequence[str]) -> str:
    """Say why a row is none of a list: a total or a remark; "" if it is one."""
    first = "".join(unicodedata.normalize("NFKC", said[0]).casefold().split()) if said else ""
    bare = first.strip("()[]【】")
    if _TOTALS.fullmatch(bare):
        return "total"
    if _REMARKS.fullmatch(bare) and (len(said) == 1 or len(bare) <= 4 or ":" in bare):
        return "remark"
    return ""


def sections(table: Table, columns: Sequence[Heading | None]) -> Iterator[tuple[int, str]]:
    """Take out the rows that hold one cell only where others hold several, such as 一、工學院; yield them."""
    mapped = sum(column is not None for column in columns)
    usual = Counter(sum(not is_blank(cell) for cell in cells) > 1 for _, cells in table.rows)
    if mapped < 3 or usual[True] < 2 * usual[False] or not usual[True]:
        return
    kept = []
    for row, cells in table.rows:
        texts = [text for text in _texts(cells) if text]
        if len(texts) == 1:
            yield row, texts[0]
        else:
            kept.append((row, cells))
    table.rows[:] = kept


def _beside(table: Table, kinds: Sequence[Kind]) -> list[Table]:
    """Return the tables that stand side by side under one row of headings with an empty column between them."""
    gaps = [
        n for n, name in enumerate(table.names) if not name and all(_cell(cells, n) is None for _, cells in table.rows)
    ]
    bounds = [-1, *gaps, len(table.names)]
    parts = [(left + 1, right) for left, right in pairwise(bounds) if right > left + 1]
    if len(parts) < _FEWEST_KNOWN:
        return [table]
    named = [
        max(
            (known_fields(kind, [t for texts in table.candidates[left:right] for t in texts]) for kind in kinds),
            key=len,
        )
        for left, right in parts
    ]
    if any(len(fields) < _FEWEST_KNOWN for fields in named) or not set.intersection(*named):
        return [table]
    found = []
    for left, right in parts:
        part = Table(
            table.header_row, table.names[left:right], table.candidates[left:right], title=table.title, unit=table.unit,
            header_rows=table.header_rows, left=left,
        )  # fmt: skip
        part.rows = [
            (row, list(cells[left:right]))
            for row, cells in table.rows
            if any(not is_blank(cell) for cell in cells[left:right])
        ]
        found.append(part)
    found[0].aside = table.aside
    return found


def _cell(cells: Sequence[object], n: int) -> object:
    return None if n >= len(cells) or is_blank(cells[n]) else cells[n]
