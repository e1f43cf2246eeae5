"""A row that is there already is told from every other refusal, on both databases."""

from __future__ import annotations

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.exc import DBAPIError

from indexer.database import is_duplicate, writing


@pytest.mark.parametrize(
    ("statement", "duplicate"),
    [
        ("INSERT INTO person_x VALUES (1, 8, 1)", True),
        ("INSERT INTO person_x VALUES (2, 7, 1)", True),
        ("INSERT INTO person_x VALUES (2, 8, 0)", False),
        ("INSERT INTO person_x VALUES (2, NULL, 1)", False),
    ],
    ids=["primary key", "unique", "check", "not null"],
)
def test_only_a_second_row_with_the_same_values_is_a_duplicate(engine: Engine, statement: str, duplicate: bool) -> None:
    with writing(engine) as session:
        connection = session.connection()
        connection.execute(
            text("CREATE TABLE person_x (a INTEGER PRIMARY KEY, b INTEGER NOT NULL UNIQUE, c INTEGER CHECK (c > 0))")
        )
        connection.execute(text("INSERT INTO person_x VALUES (1, 7, 1)"))
    with pytest.raises(DBAPIError) as refused, writing(engine) as session:
        session.connection().execute(text(statement))
    assert is_duplicate(refused.value) is duplicate
