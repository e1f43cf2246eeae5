"""A target book as aims: the plain numbers that warnings are read against.

In: a book of the document `target_books`. Out: an aim for each figure and year
that it names. It exists because the plan has several books that disagree: a
warning is read against one of them, and says which.
"""

from __future__ import annotations

from indexer.wording import T_
from matcher.ledger.entries import LedgerError
from matcher.ledger.kpis import RECOGNISED_KPIS
from matcher.ledger.targets import TargetBasis, TargetBook, TargetBooks
from matcher.ledger.warnings import Aim


def chosen_book(books: TargetBooks, code: str | None) -> TargetBook:
    """Return the book of a code; without one the first.

    Raises:
        LedgerError: there is no such book.
    """
    if code is None:
        return books.books[0]
    found = next((book for book in books.books if book.code == code), None)
    if found is None:
        raise LedgerError(
            T_("there is no such target book; there are %(books)s", books=", ".join(b.code for b in books.books)),
            "book",
        )
    return found


def aims_of(book: TargetBook) -> list[Aim]:
    """Return a book's targets by year; those of the whole programme have no pace, and acceptances have no ladder."""
    return [
        Aim(target.kpi, target.year, target.amount, cumulative=target.basis is TargetBasis.CUMULATIVE)
        for target in book.targets
        if target.year is not None and target.kpi in RECOGNISED_KPIS
    ]
