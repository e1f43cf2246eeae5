"""Moments in time as every table stores them.

In: aware datetimes. Out: aware datetimes in UTC, on every database. It exists
because SQLite keeps no time zone: without it the same column would give naive
values there and aware ones on PostgreSQL.
"""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import DateTime, Dialect
from sqlalchemy.types import TypeDecorator

TAIPEI = ZoneInfo("Asia/Taipei")
"""The programme's calendar: its days begin and end in Taipei."""


def now() -> datetime:
    """Return this moment."""
    return datetime.now(UTC)


def day_in_taipei(moment: datetime) -> date:
    """Return the calendar day that a moment falls on in Taipei.

    Raises:
        ValueError: the moment has no time zone, so nobody knows which day it is.
    """
    if moment.tzinfo is None:
        raise ValueError("a moment needs a time zone")
    return moment.astimezone(TAIPEI).date()


class Instant(TypeDecorator[datetime]):
    """A moment in time, always aware and in UTC on the Python side."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Store UTC.

        Raises:
            ValueError: the datetime has no time zone, so nobody knows which moment it is.
        """
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a moment needs a time zone")
        moment = value.astimezone(UTC)
        return moment.replace(tzinfo=None) if dialect.name == "sqlite" else moment

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:
        """Return an aware datetime in UTC."""
        del dialect
        if value is None:
            return None
        moment: datetime = value
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
