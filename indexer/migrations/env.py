"""Alembic's entry: runs the migrations on the connection that `indexer.schema` hands over."""

from __future__ import annotations

from typing import Any, Literal

from alembic import context


def _render(kind: str, value: Any, _autogen: Any) -> str | Literal[False]:
    """Write a draft with the database's own types: migrations must not change when a model's type does."""
    if kind == "type":
        if type(value).__name__ == "AutoString":
            return "sa.String()"
        if type(value).__name__ == "Instant":
            return "sa.DateTime(timezone=True)"
    return False


_connection = context.config.attributes["connection"]
context.configure(
    connection=_connection,
    target_metadata=context.config.attributes.get("metadata"),
    render_item=_render,
    render_as_batch=True,
    transactional_ddl=True,
    transaction_per_migration=False,
)
context.run_migrations()
