"""The rules that the database itself keeps, compared word for word with what this release would create.

In: an open database. Out: a finding for every trigger, constraint, table and index that is missing, says something
else or is switched off, for every trigger or view that is not ours, and for rows that no such rule lets in. It exists
because a rule that was taken away for a moment leaves no trace in hashes that were made anew: what was written
meanwhile has to be looked for, and a rule that is still away has to be seen at once.

What would be created is not written down anywhere: the migrations run again, for SQLite in memory, for PostgreSQL in a
schema of their own that is rolled back. That is done once in a process.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterator, Mapping
from functools import cache, lru_cache

from sqlalchemy import CheckConstraint, Connection, Engine, Table, TextClause, create_engine, text
from sqlalchemy.exc import DBAPIError
from sqlmodel import Session, SQLModel

from indexer.schema import migrate
from indexer.wording import T_
from matcher.ledger.proving.finding import ProofFinding
from matcher.ledger.rows.links import LINKED

_Rules = Mapping[tuple[str, str], str]
"""What each rule says, by its kind and name."""

_SQLITE = "SELECT type, name, sql FROM sqlite_schema WHERE sql IS NOT NULL"
_POSTGRESQL = """
SELECT 'trigger', c.relname || ' ' || t.tgname, pg_get_triggerdef(t.oid) || ' ' || t.tgenabled::text || ' ' || p.prosrc
  FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid JOIN pg_proc p ON p.oid = t.tgfoid
 WHERE NOT t.tgisinternal AND c.relnamespace = current_schema()::regnamespace
UNION ALL
SELECT 'constraint', c.relname || ' ' || k.conname, pg_get_constraintdef(k.oid) || ' ' || k.convalidated::text
  FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid
 WHERE c.relnamespace = current_schema()::regnamespace
UNION ALL
SELECT 'reference', c.relname || ' ' || k.conname, string_agg(t.tgenabled::text, '' ORDER BY t.tgtype, t.tgenabled)
  FROM pg_trigger t JOIN pg_constraint k ON k.oid = t.tgconstraint JOIN pg_class c ON c.oid = k.conrelid
 WHERE t.tgisinternal AND c.relnamespace = current_schema()::regnamespace
 GROUP BY c.relname, k.conname
UNION ALL
SELECT 'index', indexname, indexdef FROM pg_indexes WHERE schemaname = current_schema()
UNION ALL
SELECT 'rule', tablename || ' ' || rulename, definition FROM pg_rules WHERE schemaname = current_schema()
UNION ALL
SELECT 'view', viewname, definition FROM pg_views WHERE schemaname = current_schema()
UNION ALL
SELECT 'column', table_name || ' ' || column_name, concat_ws(' ', data_type, is_nullable, column_default)
  FROM information_schema.columns WHERE table_schema = current_schema()
"""
_NOT_ALLOWED = "42501"
_STRANGERS = ("trigger", "view", "rule")
"""What changes what a statement does, so that none but ours may be there; an index or table more does no harm."""
_CHECKED = ("ledger_entry", "ledger_step", "ledger_head", "ledger_live_fact", "ledger_link", *LINKED)


def broken_rules(session: Session) -> Iterator[ProofFinding]:
    """Yield every rule of the database that is not as this release makes it, and every row that breaks one."""
    connection = session.connection()
    try:
        wanted = _wanted(connection.engine)
    except DBAPIError as error:
        if getattr(error.orig, "sqlstate", None) != _NOT_ALLOWED:
            raise
        said = T_("its rules can't be compared: this account of the database may not make a schema to compare with")
        yield ProofFinding("database", "schema", said)
        wanted = None
    if wanted is not None:
        yield from _differences(wanted, _rules_of(connection))
    yield from _broken_checks(connection)
    yield from _broken_references(connection)


def _differences(wanted: _Rules, found: _Rules) -> Iterator[ProofFinding]:
    for kind, name in sorted(wanted):
        said = found.get((kind, name))
        if said is None:
            yield ProofFinding("database", f"{kind} {name}", T_("is missing: the database no longer keeps this rule"))
        elif said != wanted[kind, name]:
            yield ProofFinding("database", f"{kind} {name}", T_("says something else than this release makes it say"))
    for kind, name in sorted(set(found) - set(wanted)):
        if kind in _STRANGERS:
            yield ProofFinding("database", f"{kind} {name}", T_("is not one of this release"))


def _rules_of(connection: Connection) -> _Rules:
    if connection.dialect.name == "sqlite":
        rows = connection.exec_driver_sql(_SQLITE).all()
        return {(str(kind), str(name)): _plain(str(sql)) for kind, name, sql in rows}
    schema = connection.exec_driver_sql("SELECT current_schema()").scalar_one()
    rows = connection.exec_driver_sql(_POSTGRESQL).all()
    return {(str(kind), str(name)): _uncast(_plain(str(sql)).replace(f"{schema}.", "")) for kind, name, sql in rows}


_CAST = re.compile(r"::(?:character varying|text|double precision|integer|bigint|numeric)(?:\[\])?")
_NUMBER = re.compile(r"'(-?\d+(?:\.\d+)?)'")
_NOT_ONLY_AND = re.compile(r"\bOR\b|\bNOT\b|[+*/|]")
_BRACKETED = re.compile(r"\(((?:'(?:[^']|'')*'|ARRAY\[[^\[\]]*\]|-?\d+(?:\.\d+)?))\)")


def _uncast(said: str) -> str:
    """Return a rule of PostgreSQL without casts among texts or numbers, which it writes elsewhere after a restore."""
    said = _NUMBER.sub(r"\1", _CAST.sub("", said))
    while (plain := _BRACKETED.sub(r"\1", said)) != said:
        said = plain
    # A restore writes (a AND b) AND (c AND d) with fewer brackets; where nothing but AND joins, they say nothing.
    if said.startswith("CHECK") and " AND" in said.replace(")AND", " AND") and not _NOT_ONLY_AND.search(said):
        said = said.replace(")AND(", " AND ").replace("(", "").replace(")", "")
    return said


@lru_cache(maxsize=4_096)
def _plain(sql: str) -> str:
    """Return a rule without what no database reads: quotes of names, how it was wrapped, a table's order of clauses."""
    said = re.sub(r"\s*([(),])\s*", r"\1", re.sub(r"\s+", " ", sql.replace('"', ""))).strip()
    if not said.startswith("CREATE TABLE"):
        return said
    name, _, rest = said.partition("(")
    clauses, _, options = rest.rpartition(")")
    return f"{name}({','.join(sorted(_split(clauses)))}){options}"


def _split(clauses: str) -> list[str]:
    """Split at the commas that stand in no brackets."""
    parts, depth, begun = [], 0, 0
    for place, sign in enumerate(clauses):
        depth += (sign == "(") - (sign == ")")
        if sign == "," and depth == 0:
            parts.append(clauses[begun:place])
            begun = place + 1
    return [*parts, clauses[begun:]]


_made: dict[tuple[str, object], _Rules] = {}
# Two that begin at once make the same.


def _wanted(engine: Engine) -> _Rules:
    """Return what the migrations of this release make on a database of this kind and release."""
    kind = engine.dialect.name, engine.dialect.server_version_info
    if kind not in _made:
        _made[kind] = _made_in_memory() if engine.dialect.name == "sqlite" else _made_aside(engine)
    return _made[kind]


def _made_in_memory() -> _Rules:
    made = create_engine("sqlite://")
    with made.begin() as connection:
        migrate(connection, "head")
        rules = _rules_of(connection)
    made.dispose()
    return rules


def _made_aside(engine: Engine) -> _Rules:
    """Make it in a schema of its own, which is rolled back."""
    schema = f"gloria_rules_{secrets.token_hex(6)}"
    with engine.connect() as connection:
        try:
            connection.exec_driver_sql(f"CREATE SCHEMA {schema}")
            connection.exec_driver_sql(f"SET LOCAL search_path TO {schema}")
            migrate(connection, "head")
            return _rules_of(connection)
        finally:
            connection.rollback()


def _broken_checks(connection: Connection) -> Iterator[ProofFinding]:
    """Yield the checks that some row does not pass: it was written while the check was switched off."""
    for name in _CHECKED:
        # A table of a layer above is not known to a process without it; its checks were compared above.
        table = SQLModel.metadata.tables.get(name)
        checks, counting = ((), None) if table is None else _counting(table)
        if counting is None:
            continue
        for check, n in zip(checks, connection.execute(counting).one(), strict=True):
            if n:
                said = T_("%(n)s rows break the rule %(rule)s", n=f"{n:,}", rule=check)
                yield ProofFinding("database", f"table {name}", said)


@cache
def _counting(table: Table) -> tuple[tuple[str, ...], TextClause | None]:
    """Return the names of a table's checks, and what counts the rows that break each; None if it has none."""
    checks = [one for one in table.constraints if isinstance(one, CheckConstraint)]
    counted = ", ".join(f"SUM(CASE WHEN NOT ({one.sqltext}) THEN 1 ELSE 0 END)" for one in checks)
    statement = text(f'SELECT {counted} FROM "{table.name}"'.replace(":", r"\:")) if checks else None  # noqa: S608 (our own checks)
    return tuple(str(one.name) for one in checks), statement


def _broken_references(connection: Connection) -> Iterator[ProofFinding]:
    """Yield the tables whose rows refer to nothing; PostgreSQL's references were compared above."""
    if connection.dialect.name != "sqlite":
        return
    for name in _CHECKED:
        n = len(connection.exec_driver_sql(f'PRAGMA foreign_key_check("{name}")').all())
        if n:
            said = T_("%(n)s rows refer to what is not there", n=f"{n:,}")
            yield ProofFinding("database", f"table {name}", said)
