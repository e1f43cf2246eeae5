"""An alliance's income, expenses and subsidy as its lead or the office books them: one row, or a list as it is kept.

In: an alliance; a row's fields, or lines of a list (copied from a spreadsheet, or as CSV), and why a row was wrong.
Out: the list looked through, line by line, with what is wrong where; once nothing is, all of its rows in one
transaction. It exists because the statement of income and expense (營運收入支出報告表) is made of these rows, and who
keeps them keeps a list: a mistyped amount must be seen before it is booked, for a row is only taken back.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Response
from sqlmodel import Session

from api.access.policy import Action, Resource
from api.documents.ledger_bodies import MoneyRowBody, TakeBackBody
from api.pages.figures.kpi import DAY, view_of
from api.pages.shell.visiting import Visit, visiting
from api.pages.shell.wording import N_
from api.requests.capacity import ThreadedRoute
from api.requests.problems import ProblemError, Refusal
from api.requests.query_parameters import chosen_alliances
from api.routes.ledger.alliances import (
    MoneyRowId,
    ThisAlliance,
    book_money_row,
    read_sufficiency,
    reverse_money_row,
)
from indexer.instants import day_in_taipei, now
from indexer.vocabulary import MAX_NTD, Tier
from indexer.wording import T_, Text
from matcher.ledger.figures.sufficiency import FEE_TIERS, ITEM_LABELS, TIER_LABELS, SufficiencyItem, book
from matcher.ledger.rows.entries import LedgerError
from matcher.ledger.rows.periods import common_year, subsidy_year
from matcher.ledger.rules.configuration import current
from matcher.ledger.rules.recognition import RecognitionRules
from matcher.review.people import Principal

router = APIRouter(prefix="/sufficiency", include_in_schema=False, route_class=ThreadedRoute)

COLUMNS = (N_("Day"), N_("Item"), N_("Tier, of fees only"), N_("Amount (NT$)"), N_("Source"))
"""The columns of a list, in their order."""
_FIELDS = ("item", "tier", "occurred_on", "amount_ntd", "source")
MAX_LINES, _MAX_CHARS = 500, 200_000
_DAY = re.compile(r"(\d{2,4})\D+(\d{1,2})\D+(\d{1,2})\D*")
_Booking = Annotated[Visit, Depends(visiting(Resource.MONEY_ROW, Action.CREATE))]


@dataclass
class BookedLine:
    """A line of a list: its texts as they came, what they mean, and by column what is wrong with them."""

    number: int
    texts: list[str]
    values: dict[str, Any] = field(default_factory=dict)
    wrong: dict[int, Text] = field(default_factory=dict)


@router.get("/{alliance_id}/rows")
def show_rows(visit: _Booking, alliance_id: str, year: DAY = "") -> Response:
    """Show the forms, and the rows of a subsidy year."""
    return _page(visit, alliance_id, year)


@router.post("/{alliance_id}/rows")
def book_rows(visit: _Booking, alliance_id: str) -> Response:
    """Book a row, or look a list through and, once nothing is wrong in it, book all of it."""
    if "lines" not in visit.form:
        given = visit.values(*_FIELDS)
        given["amount_ntd"] = given.get("amount_ntd", "").replace(",", "")
        done = visit.attempt(
            lambda: visit.reply(book_money_row, alliance_id=alliance_id, body=visit.body(MoneyRowBody, given))
        )
        if isinstance(done, Refusal):
            return _page(visit, alliance_id, refused=done)
        return visit.go(f"/sufficiency/{alliance_id}/rows", N_("The row is booked."))
    text = str(visit.form["lines"])[:_MAX_CHARS]
    lines = visit.attempt(lambda: visit.look(lambda session, _: looked_through(session, text)))
    if isinstance(lines, Refusal):
        return _page(visit, alliance_id, refused=lines)
    if "book" not in visit.form or any(line.wrong for line in lines):
        return _page(visit, alliance_id, lines=lines)
    kept = visit.attempt(lambda: visit.change(lambda session, who: _book(session, who, alliance_id, lines)))
    if isinstance(kept, Refusal):
        return _page(visit, alliance_id, refused=kept, lines=lines)
    return visit.go(f"/sufficiency/{alliance_id}/rows", N_("The rows are booked."))


@router.post("/{alliance_id}/rows/{money_row_id}/reverse")
def take_row_back(
    visit: Annotated[Visit, Depends(visiting(Resource.MONEY_ROW, Action.REVERSE))],
    alliance_id: ThisAlliance,
    money_row_id: MoneyRowId,
) -> Response:
    """Take a row back; the right one is booked anew."""

    def work() -> Any:
        body = visit.body(TakeBackBody, {"reason": visit.form.get("reason") or ""})
        return visit.reply(reverse_money_row, money_row_id=money_row_id, body=body)

    done = visit.attempt(work)
    if isinstance(done, Refusal):
        return _page(visit, alliance_id, refused=done)
    return visit.go(f"/sufficiency/{alliance_id}/rows", N_("The row is taken back."))


def _page(
    visit: Visit,
    alliance_id: str,
    year: str = "",
    *,
    refused: Refusal | None = None,
    lines: Sequence[BookedLine] = (),
) -> Response:
    view = view_of(visit, Resource.SUFFICIENCY, "", alliance_id, one_alliance=True)
    running = subsidy_year(view.today)
    chosen = common_year(int(year)) if year.isdecimal() and len(year) <= 4 else running
    booked = visit.document(read_sufficiency, alliance_id=alliance_id, year=min(chosen, running))
    return visit.show(
        "figures/bookings.html",
        refused.status if refused else 422 if any(line.wrong for line in lines) else 200,
        view=view,
        booked=booked,
        taken_back={row["reverses"] for row in booked["rows"] if row["reverses"]},
        items=[(item.value, label) for item, label in ITEM_LABELS.items()],
        tiers=[(tier.value, TIER_LABELS[tier]) for tier in FEE_TIERS],
        columns=COLUMNS,
        lines=lines,
        faults=sum(bool(line.wrong) for line in lines),
        sums=_sums(lines),
        typed={name: str(visit.form.get(name, "")) if refused or lines else "" for name in (*_FIELDS, "lines")},
        refused=refused,
    )


def _sums(lines: Sequence[BookedLine]) -> list[tuple[Text, int]]:
    """Return what a list adds up to by item, of the lines in which nothing is wrong."""
    found: dict[SufficiencyItem, int] = {}
    for line in lines:
        if not line.wrong:
            item = line.values["item"]
            found[item] = found.get(item, 0) + line.values["amount_ntd"]
    return [(ITEM_LABELS[item], amount) for item, amount in found.items()]


def _book(session: Session, who: Principal, alliance_id: str, lines: Sequence[BookedLine]) -> int:
    chosen_alliances(session, who, Resource.MONEY_ROW, Action.CREATE, alliance_id)
    for line in lines:
        try:
            book(session, alliance_id=alliance_id, by=who.id, now=now(), **line.values)
        except LedgerError as error:
            told = T_("line %(number)s: %(why)s", number=line.number, why=error.args[0])
            raise ProblemError(422, "ledger", told, "lines") from error
    return len(lines)


def looked_through(session: Session, text: str) -> list[BookedLine]:
    """Return the lines of a list with what they mean and what is wrong with them; heads and empty lines are left out.

    Raises:
        ProblemError: 422, there is no line, or there are too many.
    """
    start = current(session, RecognitionRules).programme_start
    lines = [_line(number, texts, start) for number, texts in _cells(text)]
    if not 1 <= len(lines) <= MAX_LINES:
        raise ProblemError(
            422, "invalid", T_("give 1 to %(most)s lines: day, item, tier, amount, source", most=MAX_LINES), "lines"
        )
    return lines


def _cells(text: str) -> Iterator[tuple[int, list[str]]]:
    rows = text.splitlines()
    delimiter = "\t" if any("\t" in row for row in rows) else ","
    for number, texts in enumerate(csv.reader(rows, delimiter=delimiter), start=1):
        cells = [cell.strip() for cell in texts]
        if any(cells) and not (number == 1 and not re.search(r"\d", cells[0])):
            yield number, [*cells, *[""] * len(COLUMNS)][: max(len(COLUMNS), len(cells))]


def _line(number: int, texts: list[str], start: date) -> BookedLine:
    line = BookedLine(number, texts)
    if any(texts[len(COLUMNS) :]):
        line.wrong[len(COLUMNS) - 1] = T_("there are more than five columns; put texts with commas in quotation marks")
    day, item, tier, amount, source = texts[: len(COLUMNS)]
    readers: tuple[tuple[str, Callable[[], Any]], ...] = (
        ("occurred_on", lambda: _day(day, start, day_in_taipei(now()))),
        ("item", lambda: _named(item, ITEM_LABELS, T_("give one of the items of the form above"))),
        ("tier", lambda: _tier(tier, line.values.get("item"))),
        ("amount_ntd", lambda: _amount(amount)),
        ("source", lambda: _source(source)),
    )
    for place, (name, read) in enumerate(readers):
        try:
            line.values[name] = read()
        except LedgerError as error:
            line.wrong.setdefault(place, error.args[0])
    return line


def _day(text: str, start: date, today: date) -> date:
    found = _DAY.fullmatch(text) or re.fullmatch(r"(\d{3,4})(\d\d)(\d\d)", text)
    try:
        day = None if found is None else date(common_year(int(found[1])), int(found[2]), int(found[3]))
    except ValueError:
        day = None
    if day is None:
        raise LedgerError(T_("give a day such as 109/05/02 or 2020-05-02"), "occurred_on")
    if not start <= day <= today:
        raise LedgerError(T_("give a day between %(start)s and today in Taipei", start=start), "occurred_on")
    return day


def _named(text: str, labels: Mapping[Any, Text], otherwise: Text) -> Any:
    for one, label in labels.items():
        if text.casefold() in (one.value, label.zh.casefold(), label.en.casefold()):
            return one
    raise LedgerError(otherwise, "item")


def _tier(text: str, item: SufficiencyItem | None) -> Tier | None:
    if item is not None and item is not SufficiencyItem.MEMBER_FEES:
        if text:
            raise LedgerError(T_("only member fees have a tier"), "tier")
        return None
    if item is None and not text:
        return None
    otherwise = T_("give the member's tier: domestic, international, or international gold")
    # 國內 as well as 國內會員.
    said = text if not text or text.isascii() or text.endswith("會員") else f"{text}會員"
    found: Tier = _named(said, {one: TIER_LABELS[one] for one in FEE_TIERS}, otherwise)
    return found


def _amount(text: str) -> int:
    plain = re.sub(r"^(NT\$|\$)|[,\s]|(元|\.0+)$", "", text)
    if not plain.isdecimal() or not 1 <= int(plain) <= MAX_NTD:
        raise LedgerError(T_("give whole NTD from 1 to %(max_ntd)s", max_ntd=f"{MAX_NTD:,}"), "amount_ntd")
    return int(plain)


def _source(text: str) -> str:
    if not text:
        raise LedgerError(T_("say where the figure comes from"), "source")
    return text
