"""Lists as somebody wants to see them again: a name, a page and what was chosen on it.

In: an account, a name of its own, one of the product's lists and what its address asked. Out: the account's views of
that list, in the order in which they were kept. It exists because whoever begins each day with "cases of mine that are
overdue" should press once. A view keeps the question, never the answer: what it shows is asked anew each time, with
the rights that the person has then.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from urllib.parse import parse_qsl, urlencode

from sqlalchemy import CheckConstraint, UniqueConstraint
from sqlmodel import Field, Session, SQLModel, col, func, select

from indexer.instants import Instant
from indexer.wording import T_

MOST_VIEWS = 40
"""How many an account keeps of all lists together."""
MAX_NAME, MAX_QUERY = 40, 1_000
_NEVER_KEPT = frozenset({"cursor", "offset", "csrf_token", "view"})
"""What an address says of where somebody was in a list, not of which list it is."""
_UNCHOSEN = frozenset({"", "false"})


class ViewedList(StrEnum):
    """A list of which views are kept."""

    DESK = "desk"
    NEEDS = "needs"
    LABS = "labs"
    COMPANIES = "companies"
    CASES = "cases"
    RESULTS = "results"
    MAP = "map"


_LISTS = ", ".join(f"'{one.value}'" for one in ViewedList)


class ViewError(ValueError):
    """A view can't be kept; the message says why and `field` what is to blame."""

    def __init__(self, message: str, field: str) -> None:
        super().__init__(message)
        self.field = field


class SavedView(SQLModel, table=True):
    """A list with what was chosen on it, under a name of its owner's."""

    __tablename__ = "saved_view"
    __table_args__ = (
        CheckConstraint(f"page IN ({_LISTS})", name="page_known"),
        UniqueConstraint("account_id", "page", "name", name="one_of_a_name"),
    )

    id: int | None = Field(default=None, primary_key=True)
    account_id: str = Field(foreign_key="account.id")
    page: str
    name: str
    query: str
    at: datetime = Field(sa_type=Instant)

    @property
    def address(self) -> str:
        """Where the view is seen."""
        return f"/{self.page}" + (f"?{self.query}" if self.query else "")


def cleaned_query(query: str) -> str:
    """Return what an address asked, without what is empty or says only where somebody was in the list.

    Raises:
        ViewError: it is longer than an address may be.
    """
    asked = parse_qsl(query.lstrip("?"))
    kept = [(name, value) for name, value in asked if value not in _UNCHOSEN and name not in _NEVER_KEPT]
    found = urlencode(kept)
    if len(found) > MAX_QUERY:
        raise ViewError(T_("too much is chosen on this list to be kept: choose less"), "query")
    return found


def keep_view(
    session: Session, *, account_id: str, page: ViewedList, name: str, query: str, now: datetime
) -> SavedView:
    """Keep a view; one of the same name on the same list is what it was called before, and is replaced.

    Raises:
        ViewError: it has no name or one too long, or there are too many.
    """
    name = " ".join(name.split())
    if not 0 < len(name) <= MAX_NAME:
        raise ViewError(T_("give the view a name of at most %(most)s characters", most=MAX_NAME), "name")
    asked = cleaned_query(query)
    view = session.exec(
        select(SavedView).where(
            SavedView.account_id == account_id, SavedView.page == page.value, SavedView.name == name
        )
    ).first()
    if view is None:
        kept = session.exec(select(func.count()).where(col(SavedView.account_id) == account_id)).one()
        if kept >= MOST_VIEWS:
            raise ViewError(T_("at most %(most)s views are kept; remove one first", most=MOST_VIEWS), "name")
        view = SavedView(account_id=account_id, page=page.value, name=name, query=asked, at=now)
    view.query, view.at = asked, now
    session.add(view)
    session.flush()
    return view


def views_of(session: Session, account_id: str) -> list[SavedView]:
    """Return an account's views, list by list, oldest first."""
    query = select(SavedView).where(SavedView.account_id == account_id)
    found = session.exec(query.order_by(col(SavedView.id))).all()
    order = list(ViewedList)
    return sorted(found, key=lambda view: order.index(ViewedList(view.page)))


def drop_view(session: Session, *, account_id: str, view_id: int) -> bool:
    """Remove a view of an account's own; return whether there was one."""
    view = session.get(SavedView, view_id)
    if view is None or view.account_id != account_id:
        return False
    session.delete(view)
    session.flush()
    return True
