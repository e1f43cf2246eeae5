"""What the migrations make is what the code describes: columns, keys, indexes and every rule, on both databases."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, create_engine, inspect, text

from indexer.database import open_engine
from indexer.schema import models
from indexer.settings import Settings
from tests.conftest import Databases


def described(connection: Connection) -> dict[str, Any]:
    """All that the database itself says about its tables."""
    found = inspect(connection)
    tables: dict[str, Any] = {}
    for name in found.get_table_names():
        if name == "alembic_version":
            continue
        tables[name] = {
            "columns": {
                column["name"]: (str(column["type"]), column["nullable"], column["default"])
                for column in found.get_columns(name)
            },
            "primary key": found.get_pk_constraint(name)["constrained_columns"],
            "foreign keys": sorted(
                repr((key["constrained_columns"], key["referred_table"], key["referred_columns"], key["options"]))
                for key in found.get_foreign_keys(name)
            ),
            "checks": sorted((check["name"], check["sqltext"]) for check in found.get_check_constraints(name)),
            "uniques": sorted(repr(unique["column_names"]) for unique in found.get_unique_constraints(name)),
            "indexes": sorted(
                (
                    str(index["name"]),
                    repr(index["column_names"]),
                    bool(index["unique"]),
                    str(index.get("dialect_options", {}).get(f"{connection.dialect.name}_where")),
                )
                for index in found.get_indexes(name)
            ),
        }
    return tables


@pytest.fixture(params=["sqlite", "postgresql"])
def both(request: pytest.FixtureRequest, databases: Databases, tmp_path: Path) -> tuple[Engine, Engine]:
    """A database made by the migrations and one made from the models."""
    migrated = open_engine(Settings(home=tmp_path, database_url=databases.empty(request.param, tmp_path / "migrated")))
    url = databases.empty(request.param, tmp_path / "modelled")
    modelled = create_engine(url.replace("postgresql:", "postgresql+psycopg:", 1))
    models().create_all(modelled)
    return migrated, modelled


def test_migrations_make_what_the_models_describe(both: tuple[Engine, Engine]) -> None:
    migrated, modelled = both
    with migrated.connect() as one, modelled.connect() as other:
        made, wanted = described(one), described(other)
    assert sorted(made) == sorted(wanted)
    for table in wanted:
        assert made[table] == wanted[table], table
    for engine in both:
        engine.dispose()


def test_the_comparison_sees_a_rule_that_is_missing(both: tuple[Engine, Engine]) -> None:
    """Control: the same comparison after one rule and one index were left out."""
    migrated, modelled = both
    with modelled.begin() as connection:
        connection.execute(text("DROP INDEX ix_lab_school"))
        if modelled.dialect.name == "postgresql":
            connection.execute(text("ALTER TABLE evidence DROP CONSTRAINT weight_bounded"))
        else:
            rule = connection.execute(text("SELECT sql FROM sqlite_schema WHERE name = 'evidence'")).scalar_one()
            weaker = rule.replace("CHECK (weight BETWEEN 0 AND 10)", "CHECK (weight BETWEEN 0 AND 11)")
            assert weaker != rule
            connection.execute(text("DROP TABLE evidence"))
            connection.execute(text(weaker))
    with migrated.connect() as one, modelled.connect() as other:
        made, wanted = described(one), described(other)
    assert {table for table in wanted if made[table] != wanted[table]} == {"lab", "evidence"}
    for engine in both:
        engine.dispose()
