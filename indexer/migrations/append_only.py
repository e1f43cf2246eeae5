"""Rules that the database itself keeps, in the words of both databases.

In: the name of a table and a rule. Out: triggers. It exists because a rule that
only the program keeps is broken by the first other way in: a console, a
script, a restored dump.
"""

from __future__ import annotations

from alembic import op


def is_sqlite() -> bool:
    """Whether the database being migrated is SQLite; otherwise it is PostgreSQL."""
    return op.get_bind().dialect.name == "sqlite"


def refuse_changes(table: str) -> None:
    """Make the database refuse to change or delete a row: what it says is a fact."""
    if is_sqlite():
        for verb in ("UPDATE", "DELETE"):
            op.execute(
                f"CREATE TRIGGER {table}_no_{verb.lower()} BEFORE {verb} ON {table} "
                f"BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END"
            )
        return
    op.execute(
        f"CREATE TRIGGER {table}_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON {table} "
        "FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()"
    )


def refuse_when(table: str, verb: str, name: str, condition: str, message: str, postgresql: str | None = None) -> None:
    """Make the database refuse a row for which a condition holds.

    Args:
        table: the table.
        verb: INSERT, UPDATE or DELETE.
        name: the rule's name.
        condition: an SQL condition on NEW or OLD.
        message: what is said.
        postgresql: the condition in PostgreSQL's words, where they differ.
    """
    rule = f"{table}_{name}"
    if is_sqlite():
        op.execute(
            f"CREATE TRIGGER {rule} BEFORE {verb} ON {table} WHEN {condition} "
            f"BEGIN SELECT RAISE(ABORT, '{message}'); END"
        )
        return
    row = "OLD" if verb == "DELETE" else "NEW"
    op.execute(
        f"CREATE FUNCTION {rule}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
        f"IF {postgresql or condition} THEN RAISE EXCEPTION '{message}' USING ERRCODE = '23001'; END IF; "
        f"RETURN {row}; END $$"
    )
    op.execute(f"CREATE TRIGGER {rule} BEFORE {verb} ON {table} FOR EACH ROW EXECUTE FUNCTION {rule}()")
