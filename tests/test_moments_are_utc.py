"""A moment comes back as it was stored, aware and in UTC, and compares; without a zone it is refused."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from sqlalchemy import Column, Engine, Integer, MetaData, Table, insert, select
from sqlalchemy.exc import StatementError

from indexer.database import reading, writing
from indexer.instants import Instant

MOMENTS = Table("moments", MetaData(), Column("id", Integer, primary_key=True), Column("at", Instant))
TAIPEI = timezone(timedelta(hours=8))
NOON = datetime(2026, 11, 24, 12, 0, 0, 123456, tzinfo=TAIPEI)


@pytest.fixture(autouse=True)
def table(engine: Engine) -> None:
    with writing(engine) as session:
        MOMENTS.create(session.connection())


def test_it_comes_back_in_utc(engine: Engine) -> None:
    with writing(engine) as session:
        session.connection().execute(insert(MOMENTS), [{"id": 1, "at": NOON}, {"id": 2, "at": None}])
    with reading(engine) as session:
        found = session.connection().execute(select(MOMENTS.c.at).order_by(MOMENTS.c.id)).scalars().all()
    assert found == [NOON, None]
    assert found[0] is not None
    assert found[0].isoformat() == "2026-11-24T04:00:00.123456+00:00"


def test_moments_of_different_zones_compare(engine: Engine) -> None:
    rows = [{"id": 1, "at": NOON}, {"id": 2, "at": NOON.astimezone(UTC) + timedelta(microseconds=1)}]
    with writing(engine) as session:
        session.connection().execute(insert(MOMENTS), rows)
    with reading(engine) as session:
        later = session.connection().execute(select(MOMENTS.c.id).where(MOMENTS.c.at > NOON)).scalars().all()
    assert later == [2]


def test_a_moment_without_a_zone_is_refused(engine: Engine) -> None:
    with pytest.raises(StatementError, match="a moment needs a time zone"), writing(engine) as session:
        session.connection().execute(insert(MOMENTS), [{"id": 1, "at": NOON.replace(tzinfo=None)}])
